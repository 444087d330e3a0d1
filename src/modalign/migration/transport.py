"""The adapter that learns from rows without a partner: a rotation refined by transport plans, and a kernel on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..progress import Progress, silent
from .adapter import Adapter
from .linear import Sample, roots, shuffled, some, turned

MOST_ROWS = 8192  # rows of either model in the last plan: 268 MB
ROUNDS = 5
FIRST, LAST = 0.05, 0.02  # entropy of the first plan and of the last
EVEN, EVEN_RIDGE = 0.125, 0.1  # power of the covariances by which clouds are evened, and its ridge
LANDMARKS = 3000


@dataclass(frozen=True, eq=False)
class Turn:
    """A rotation between two centred and evened spaces, with the way back out of them; it works both ways.

    mean_x, mean_y: centres. there: (w, d) from x - mean_x to y - mean_y. back: (d, w), the other way.
    scale, scale_back: of what is laid on y, on x, by least squares.
    """

    mean_x: Tensor
    mean_y: Tensor
    there: Tensor
    back: Tensor
    scale: float
    scale_back: float

    def flipped(self) -> Turn:
        """From y to x."""
        return Turn(self.mean_y, self.mean_x, self.back, self.there, self.scale_back, self.scale)

    def adapter(self) -> Adapter:
        """y = scale (u - mean_x) W + mean_y."""
        weight = self.scale * self.there
        return Adapter("full", weight, self.mean_y - self.mean_x @ weight)


def turn(s: Sample, seed: int = 0, rows: int = MOST_ROWS, progress: Progress = silent) -> Turn:
    """The rotation that lays links and clouds on each other.

    1. Both models' rows are centred on the mean of all their rows, evened a little (times C^-1/8, C their covariance
       with a ridge: few directions would else say everything) and scaled to length 1.
    2. R = rotation of sum_links x y^T.
    3. In rounds: P = entropic plan of mass 1 between n rows of either side under <u R, v>; R = rotation of
       sum_links x y^T + n sum_jk P_jk u_j v_k^T. Entropy falls from .05 to .02 while n grows to ``rows``: what is known
       roughly needs few rows, the last plan needs near ones. Few links say where to start, the shapes of the two
       clouds say the rest; no row needs a partner on the other side, only neighbours of one.
    4. W = C_x^-1/8 R C_y^1/8.

    Reference: Grave, Joulin & Berthet 2019, "Unsupervised alignment of embeddings with Wasserstein Procrustes" (the
        rounds, there without links); Cuturi 2013 (the plan); Artetxe, Labaka & Agirre 2018 (whitening before a rotation
        and its undoing behind it, there in full).
    """
    mean_x, mean_y = s.more_x.mean(0), s.more_y.mean(0)
    (even_x, out_x), (even_y, out_y) = (
        tuple(m.float() for m in roots(v, EVEN_RIDGE, EVEN)) for v in (s.more_x, s.more_y)
    )
    width = max(len(mean_x), len(mean_y))
    x, more_x = (normalize((v - mean_x) @ even_x, dim=1) for v in (s.x, shuffled(s.more_x, rows, seed)))
    y, more_y = (normalize((v - mean_y) @ even_y, dim=1) for v in (s.y, shuffled(s.more_y, rows, seed + 1)))
    known = x.T @ y
    found = turned(known)
    rounds = ROUNDS if min(len(more_x), len(more_y)) > width // 4 else 0  # fewer rows have no shape to speak of
    for r in range(rounds):
        progress(r, rounds, "laying the clouds on each other")
        entropy = FIRST * (LAST / FIRST) ** (r / (rounds - 1))
        u, v = (m[: max(len(m) * (r + 1) // rounds, width)] for m in (more_x, more_y))
        matched = plan((u @ found) @ v.T, entropy)
        found = turned(known + min(len(u), len(v)) * (u.T @ (matched @ v)))
    progress(rounds, rounds, "laying the clouds on each other")
    there, back = (even_x @ found @ out_y).contiguous(), (even_y @ found.T @ out_x).contiguous()
    a, b = s.x - mean_x, s.y - mean_y
    return Turn(mean_x, mean_y, there, back, _scale(a @ there, b), _scale(b @ back, a))


def _scale(laid: Tensor, target: Tensor) -> float:
    return float((laid * target).sum()) / max(float(laid.square().sum()), 1e-12)


def plan(similarity: Tensor, entropy: float, steps: int = 12) -> Tensor:
    """Entropic plan with uniform margins and mass 1, by scaling; rough is enough here, and ``similarity`` is used up.

    Example:
        >>> plan(torch.eye(2), 0.1).mul(2).round().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    n, m = similarity.shape
    kernel = similarity.sub_(similarity.amax(1, keepdim=True)).div_(entropy).exp_()
    a = torch.full((n,), 1.0 / n)
    b = torch.full((m,), 1.0 / m)
    for _ in range(steps):
        b = 1.0 / (m * (kernel.T @ a).clamp(min=1e-30))
        a = 1.0 / (n * (kernel @ b).clamp(min=1e-30))
    return kernel.mul_(a[:, None]).mul_(b)


class Landmarks(NamedTuple):
    """Landmarks of a kernel with what its regression needs: k (p, h) links by landmarks, g (h, h), square = k^T k."""

    centre: Tensor
    anchors: Tensor
    k: Tensor
    g: Tensor
    square: Tensor
    sharpness: float


def landmarks(s: Sample, sharpness: float = 2.0, most: int = LANDMARKS, seed: int = 0) -> Landmarks:
    """Links as landmarks, at most so many, under exp(sharpness (cosine - 1)) on centred rows."""
    centre = s.more_x.mean(0)
    c = normalize(s.x - centre, dim=1)
    anchors = some(c, most, seed)
    k, g = (torch.exp(sharpness * (v @ anchors.T - 1.0)).double() for v in (c, anchors))
    return Landmarks(centre, anchors.contiguous(), k, g, k.T @ k, sharpness)


def with_kernel(base: Adapter, s: Sample, strength: float, marks: Landmarks | None = None) -> Adapter:
    """An adapter with a smooth correction on top: kernel ridge regression on what it leaves at the links.

    r = y - base(u); values = argmin |r - K V|^2 + strength tr(V^T G V), K, G the kernel of links and landmarks, which
    are links too. Where links are few or far, the correction fades and the base remains.

    Args:
        strength: 1 counts as much as one link. marks: landmarks of the same links.

    Reference: Williams & Seeger 2001 (Nyström); Drineas & Mahoney 2005.
    """
    m = landmarks(s) if marks is None else marks
    rest = (s.y - (s.x @ base.weight + base.bias)).double()
    shift = rest.mean(0)
    own = m.square + strength * m.g
    own.diagonal().add_(1e-6 * float(own.diagonal().mean()))
    values = torch.linalg.solve(own, m.k.T @ (rest - shift)).float()
    parts = {"centre": m.centre, "anchors": m.anchors, "values": values}
    return Adapter(base.method, base.weight, base.bias + shift.float(), "kernel", parts, m.sharpness)
