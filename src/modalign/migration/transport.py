"""The adapter that learns from rows without a partner: a rotation refined by transport plans, and a kernel on top."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..progress import Progress, silent
from .adapter import Adapter
from .linear import turned
from .sample import Sample, shuffled, some

MOST_ROWS = 8192  # rows of either model in the last plan: 268 MB
ROUNDS = 5
FIRST, LAST = 0.05, 0.02  # entropy of the first plan and of the last
LANDMARKS = 1500


@dataclass(frozen=True)
class Turn:
    """A rotation between two centred spaces, or its first rows or columns for unequal widths; it works both ways.

    mean_x, mean_y: centres. turn: (w, d). scale_x, scale_y: of what is laid on y, on x, by least squares.
    """

    mean_x: Tensor
    mean_y: Tensor
    turn: Tensor
    scale: float
    scale_back: float

    def flipped(self) -> Turn:
        """From y to x."""
        return Turn(self.mean_y, self.mean_x, self.turn.T.contiguous(), self.scale_back, self.scale)

    def adapter(self) -> Adapter:
        """y = scale (u - mean_x) R + mean_y."""
        weight = self.scale * self.turn
        return Adapter("full", weight, self.mean_y - self.mean_x @ weight)


def turn(s: Sample, seed: int = 0, rows: int = MOST_ROWS, progress: Progress = silent) -> Turn:
    """The rotation that lays links and clouds on each other.

    1. Both models' rows are centred on the mean of all their rows and scaled to length 1.
    2. R = rotation of sum_links x y^T.
    3. In rounds: P = entropic plan of mass 1 between n rows of either side under <u R, v>; R = rotation of
       sum_links x y^T + n sum_jk P_jk u_j v_k^T. Entropy falls from .05 to .02 while n grows to ``rows``: what is known
       roughly needs few rows, the last plan needs near ones. Few links say where to start, the shapes of the two
       clouds say the rest; no row needs a partner on the other side, only neighbours of one.

    Reference: Grave, Joulin & Berthet 2019, "Unsupervised alignment of embeddings with Wasserstein Procrustes" (the
        rounds, there without links); Cuturi 2013 (the plan).
    """
    mean_x, mean_y = s.more_x.mean(0), s.more_y.mean(0)
    width = max(len(mean_x), len(mean_y))
    x, y = (normalize(v - mean, dim=1) for v, mean in ((s.x, mean_x), (s.y, mean_y)))
    more_x = normalize(shuffled(s.more_x, rows, seed) - mean_x, dim=1)
    more_y = normalize(shuffled(s.more_y, rows, seed + 1) - mean_y, dim=1)
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
    a, b = s.x - mean_x, s.y - mean_y
    cross = float(((a @ found) * b).sum())
    return Turn(
        mean_x, mean_y, found,
        cross / max(float((a @ found).square().sum()), 1e-12), cross / max(float((b @ found.T).square().sum()), 1e-12),
    )  # fmt: skip


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


def with_kernel(
    base: Adapter, s: Sample, strength: float, sharpness: float = 2.0, landmarks: int = LANDMARKS, seed: int = 0
) -> Adapter:
    """An adapter with a smooth correction on top: kernel ridge regression on what it leaves at the links.

    r = y - base(u); values = argmin |r - K V|^2 + strength tr(V^T G V), K, G the kernel of links and landmarks, which
    are links too. Where links are few or far, the correction fades and the base remains.

    Args:
        strength: 1 counts as much as one link. sharpness: of exp(sharpness (cosine - 1)) on centred rows.

    Reference: Williams & Seeger 2001 (Nyström); Drineas & Mahoney 2005.
    """
    centre = s.more_x.mean(0)
    c = normalize(s.x - centre, dim=1)
    anchors = some(c, landmarks, seed)
    g = torch.exp(sharpness * (anchors @ anchors.T - 1.0)).double()
    k = torch.exp(sharpness * (c @ anchors.T - 1.0)).double()
    rest = (s.y - (s.x @ base.weight + base.bias)).double()
    shift = rest.mean(0)
    own = k.T @ k + strength * g
    own.diagonal().add_(1e-6 * float(own.diagonal().mean()))
    values = torch.linalg.solve(own, k.T @ (rest - shift)).float()
    parts = {"centre": centre, "anchors": anchors.contiguous(), "values": values}
    return Adapter(base.method, base.weight, base.bias + shift.float(), "kernel", parts, sharpness)
