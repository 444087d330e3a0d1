"""What adapters are fitted on, and those in closed form: orthogonal, low-rank, ridge, canonical.

Each takes a `Sample` of unit rows and gives an `Adapter`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .adapter import Adapter

RIDGES = tuple(10.0 ** (e / 2) for e in range(-6, 5))  # in units of the mean variance: .001 to 100


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that an adapter from x to y learns from.

    Args:
        x: (p, w), y: (p, d): row i of both is the same item.
        more_x: (n, w), more_y: (m, d): rows of either model, linked or not: all that is known of its shape.
        tag: names the links; equal tags mean equal links, whichever side is x. swapped: x is what was y.
    """

    x: Tensor
    y: Tensor
    more_x: Tensor
    more_y: Tensor
    tag: str = ""
    swapped: bool = False

    def units(self) -> Sample:
        """All rows at length 1."""
        x, y, more_x, more_y = (normalize(v.float(), dim=1) for v in (self.x, self.y, self.more_x, self.more_y))
        return replace(self, x=x, y=y, more_x=more_x, more_y=more_y)

    def flipped(self) -> Sample:
        """The same from y to x."""
        return Sample(self.y, self.x, self.more_y, self.more_x, self.tag, not self.swapped)

    def linked(self, rows: Tensor, tag: str = "") -> Sample:
        """Only some of the links."""
        return replace(self, x=self.x[rows], y=self.y[rows], tag=tag)


def some(x: Tensor, rows: int, seed: int) -> Tensor:
    """At most so many rows, drawn at random."""
    return x if len(x) <= rows else shuffled(x, rows, seed)


def shuffled(x: Tensor, rows: int, seed: int) -> Tensor:
    """At most so many rows in random order, so that the first ones are a sample too."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:rows]]


def identity(s: Sample) -> Adapter:
    """y = u: right for one model under two names, and near it for a model that was tuned a little."""
    return Adapter("identity", torch.eye(s.x.shape[1], s.y.shape[1]), torch.zeros(s.y.shape[1]))


def orthogonal(s: Sample, centred: bool = False, gain: float = 1.0, scaled: bool = False) -> Adapter:
    """y = u R, R the rotation (or its first rows or columns, for unequal widths) that lays the links on each other.

    Args:
        centred: y = gain scale (u - mean_x) R + mean_y, means over the links, scale by least squares.
        gain: of the centred form. scaled: a diagonal scaling behind the rotation, see ``scales``.

    Reference: Schönemann 1966; as an adapter: Vejendla 2025, arXiv 2509.23471.
    """
    mx, my = (v.mean(0) if centred else torch.zeros(v.shape[1]) for v in (s.x, s.y))
    x, y = s.x - mx, s.y - my
    weight = turned(x.T @ y)
    if centred:
        laid = x @ weight
        weight = gain * float((laid * y).sum() / laid.square().sum().clamp(min=1e-12)) * weight
    if scaled:
        weight = weight * (gain if centred else 1.0) * scales(x @ weight, y)
    return Adapter("orthogonal", weight, my - mx @ weight)


def scales(laid: Tensor, y: Tensor) -> Tensor:
    """(d,) diagonal scaling behind an adapter: s_j = argmin sum_i (y_ij - s_j laid_ij)^2, 1 where laid is zero.

    Reference: Vejendla 2025, arXiv 2509.23471 (diagonal scaling of an adapter's output).

    Example:
        >>> scales(torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[3.0, 1.0], [6.0, 1.0]]))
        tensor([3., 1.])
    """
    power = laid.square().sum(0)
    return torch.where(power > 1e-12, (laid * y).sum(0) / power.clamp(min=1e-12), torch.ones_like(power))


def turned(cross: Tensor) -> Tensor:
    """U V^T of a cross product X^T Y = U S V^T, (w, d): the rotation, or its first rows or columns for unequal widths.

    The thin form: `geometry.procrustes.rotation` is square of the larger width, of which only this part is used here.

    Example:
        >>> turned(torch.tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 0.0]])).abs().round()
        tensor([[0., 1., 0.],
                [1., 0., 0.]])
    """
    u, _, vt = torch.linalg.svd(cross.double(), full_matrices=False)
    return (u @ vt).float().contiguous()


def ridge(s: Sample, strength: float | None = None) -> Adapter:
    """Affine map by ridge regression, its strength by leave-one-out in closed form where none is given.

    W = argmin |Y - X W|^2 + strength tr(C) / d |W|^2; the residual of a row that was left out is e_i / (1 - h_i).

    Args:
        strength: in units of the mean variance.

    Reference: Hoerl & Kennard 1970; Allen 1974 (leave-one-out).
    """
    weight, bias = ridge_map(s.x, s.y, strength)
    return Adapter("ridge", weight, bias)


def corrected(base: Adapter, s: Sample) -> Adapter:
    """A linear adapter plus the ridge regression of what it leaves at the links, its strength by leave-one-out.

    Ridge regression that shrinks towards ``base`` in place of zero.
    """
    weight, bias = ridge_map(s.x, s.y - (s.x @ base.weight + base.bias))
    return replace(base, weight=base.weight + weight, bias=base.bias + bias)


def ridge_map(x: Tensor, y: Tensor, strength: float | None = None) -> tuple[Tensor, Tensor]:
    """Weight (w, d) and bias (d,) of ``ridge``, in float32."""
    x, y = x.double(), y.double()
    mx, my = x.mean(0), y.mean(0)
    u, spectrum, axes = torch.linalg.svd(x - mx, full_matrices=False)
    power, target = spectrum.square(), u.T @ (y - my)
    unit = float(power.sum()) / x.shape[1]
    if strength is None:
        strength = min(RIDGES, key=lambda r: left_out(u, power / (power + r * unit + 1e-300), target, y - my))
    kept = spectrum / (power + strength * unit + 1e-300)
    weight = axes.T @ (kept[:, None] * target)
    return weight.float(), (my - mx @ weight).float()


def left_out(u: Tensor, shrink: Tensor, target: Tensor, y: Tensor) -> float:
    """Mean square of the leave-one-out residuals of a linear smoother with eigenvectors u and eigenvalues shrink."""
    residual = y - u @ (shrink[:, None] * target)
    leverage = (u.square() @ shrink + 1.0 / len(y)).clamp(max=1 - 1e-6)
    return float((residual / (1.0 - leverage)[:, None]).square().mean())


def low_rank(s: Sample, rank: int = 64, strength: float = 0.01, scaled: bool = False) -> Adapter:
    """y = u A B + b, A (w, rank), B (rank, d): the least-squares map of that rank, solved exactly.

    Ridge regression projected on the leading directions of what it predicts.

    Args:
        rank: published 64. strength: as in ``ridge``. scaled: a diagonal scaling behind it, see ``scales``.

    Reference: Izenman 1975 (reduced rank); as an adapter: arXiv 2509.23471, which descends on the same loss.
    """
    weight, _ = ridge_map(s.x, s.y, strength)
    mx, my = s.x.mean(0), s.y.mean(0)
    _, _, axes = torch.linalg.svd((s.x - mx) @ weight, full_matrices=False)
    kept = axes[:rank]
    weight = weight @ kept.T @ kept
    if scaled:
        weight = weight * scales((s.x - mx) @ weight, s.y - my)
    return Adapter("low_rank", weight, my - mx @ weight)


def canonical(s: Sample, strength: float = 1.0, power: float = 1.0) -> Adapter:
    """Canonical correlation as a predictor: whitened x, times the correlations, in y's own scale.

    y = my + (u - mx) C_x^-1/2 U S^power V^T C_y^1/2, U S V^T = C_x^-1/2 C_xy C_y^-1/2. Own covariances use all rows,
    linked or not; the cross-covariance the links.

    Args:
        strength: added to both covariances, in units of the mean variance. power: of the correlations.

    Reference: Hotelling 1936; Vinod 1976.
    """
    mx, my = s.more_x.double().mean(0), s.more_y.double().mean(0)
    sx, _ = roots(s.more_x, strength)
    sy, back = roots(s.more_y, strength)
    cross = (s.x.double() - mx).T @ (s.y.double() - my) / len(s.x)
    u, correlation, vt = torch.linalg.svd(sx @ cross @ sy, full_matrices=False)
    weight = (sx @ u) @ (correlation.clamp(max=1.0)[:, None] ** power * (vt @ back))
    return Adapter("cca", weight.float(), (my - mx @ weight).float())


def roots(x: Tensor, strength: float, power: float = 0.5) -> tuple[Tensor, Tensor]:
    """C^-power and C^power of a covariance with a ridge, float64."""
    covariance = torch.cov(x.double().T).reshape(x.shape[1], x.shape[1])
    values, axes = torch.linalg.eigh(covariance)
    values = values.clamp(min=0.0) + strength * float(values.clamp(min=0.0).mean()) + 1e-12
    return (axes * values.pow(-power)) @ axes.T, (axes * values.pow(power)) @ axes.T
