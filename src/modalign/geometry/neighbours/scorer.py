"""Scores of query-gallery pairs in two precisions: fast single-precision blocks with a proven error, exact pairs.

Products of matrices are rounded differently at the edges of a block than inside it, so equal vectors may get unequal
scores. Here the blocks only select; whatever lies within their error is decided by scores computed pair by pair in
float64, which do not depend on blocks, on order or on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...errors import ModalignError, check_known
from .inner import inner

METRICS = ("cosine", "dot", "euclidean")
NUMBERS_AT_ONCE = 1 << 19  # of queries, or of pairs that are gathered: 4 MB of float64
WIDE = 1 << 24  # numbers of a gallery that is held in float64 beside itself: 128 MB


@dataclass(frozen=True, eq=False)
class Scorer:
    """Score of query i and gallery item j, larger is nearer: <x_i, y_j> + bias_j after the metric's scaling.

    With "euclidean" the exact scores are -|x_i - y_j|^2, and the blocks hold (|x_i|^2 - |x_i - y_j|^2) / 2 about the
    gallery's mean, which has the same order for each query.

    Args:
        x: (n, d) queries. y: (m, d) gallery. Both as given; scaling is applied on the fly.
        metric: "cosine" (rows scaled to length 1; a zero row scores 0), "dot", or "euclidean" (-|x_i - y_j|^2).
        bias: (m,) float64 added to the scores of gallery items (hubness corrections); not with "euclidean".
    """

    x: Tensor
    y: Tensor
    metric: str = "cosine"
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        check_rows(self.x, self.y)
        check_known("metric", self.metric, METRICS)
        if self.bias is not None and self.metric == "euclidean":
            raise ModalignError("a bias on gallery scores needs the metric 'cosine' or 'dot'")

    def single(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Float32 (queries, gallery, bias): ``queries @ gallery.T + bias`` ranks each row up to ``error``."""
        if self.metric == "cosine":
            x, bias = _shrunk(self.x, self._lengths[0]), self.bias
            y = x if self.y is self.x else _shrunk(self.y, self._lengths[1])
        elif self.metric == "dot":
            x, y, bias = self.x.float(), self.y.float(), self.bias
        else:  # |x - y|^2 = |x|^2 - 2 (<x, y> - |y|^2 / 2); the shift keeps the squares small
            centre = self.y.double().mean(0)
            x, y = (self.x.double() - centre).float(), (self.y.double() - centre).float()
            bias = -0.5 * y.double().square().sum(1)
        return x, y, None if bias is None else bias.float()

    def error(self, x: Tensor, y: Tensor, bias: Tensor | None) -> Tensor:
        """(n,) bound of |single-precision score - exact score|, for the operands of ``single``, with a bias or without.

        (d + 8) u |x_i| max_j |y_j| + 2 u max |bias|, u = 2^-24: any order of summation, inputs rounded thrice.
        Reference: Higham 2002, "Accuracy and Stability of Numerical Algorithms", equation 3.5.
        """
        unit = 2.0**-24
        length = _norm(x)
        there = length if y is x else _norm(y)
        bound = (x.shape[1] + 8) * unit * length * (there.max() if len(y) else 0.0)
        return bound if bias is None else bound + 2 * unit * bias.double().abs().max()

    def tolerance(self) -> float:
        """Exact cosines closer than this are tied: the rounding of float64."""
        return (self.x.shape[1] + 6) * 2.0**-52

    def slack(self, i: Tensor, score: Tensor) -> Tensor:
        """How far from ``score``, exact scores (p, ...) of queries (p,), others are tied with it: float64's rounding.

        Products are rounded by their lengths, which a score near 0 does not show.
        """
        size = self._sizes[i].view(-1, *(1,) * (score.dim() - 1))
        return self.tolerance() * torch.maximum(score.abs(), size)

    @cached_property
    def _sizes(self) -> Tensor:
        """(n,) float64, what no product of a query exceeds."""
        if self.metric == "cosine":
            return torch.ones(len(self.x), dtype=torch.float64, device=self.x.device)
        x, y = self.x, self.y
        if self.metric == "euclidean":
            centre = y.double().mean(0)
            x, y = x.double() - centre, y.double() - centre
        own, other = _norm(x), _norm(y).max() if len(y) else 0.0
        return own * other if self.metric == "dot" else (own + other).square()

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Exact float64 scores of the pairs (i, j), (p,); equal rows give equal bits wherever they stand."""
        return self.candidates(i, j[:, None])[:, 0]

    def candidates(self, i: Tensor, j: Tensor) -> Tensor:
        """The same for several gallery items (p, t) of each query (p,): (p, t)."""
        out = torch.empty(j.shape, dtype=torch.float64, device=self.x.device)
        (p, t), d = j.shape, self.x.shape[1]
        # A small gallery whose rows are asked for more than once each is turned into float64 once.
        wide = self.y.dtype == torch.float64 or (p * t > len(self.y) and self.y.numel() <= WIDE)
        gathered = not wide or self.metric == "euclidean"
        step = max(1, NUMBERS_AT_ONCE // max(1, d * t if gathered else d))
        for start in range(0, p, step):
            some, found = i[start : start + step], j[start : start + step]
            a, y = self.x[some].double(), self._wide if wide else self.y
            if gathered:
                y, found = y[found.flatten()].double(), torch.arange(found.numel(), device=j.device).view(found.shape)
            if self.metric == "euclidean":
                torch.sum(y.view(*found.shape, d).sub_(a[:, None]).square_(), 2, out=out[start : start + step])
            else:
                out[start : start + step] = inner(a, y, found)
        if self.metric == "euclidean":
            out.neg_()
        if self.metric == "cosine":
            out.div_(self._lengths[0][i, None]).div_(self._lengths[1][j])
        return out if self.bias is None else out.add_(self.bias[j])

    @cached_property
    def _wide(self) -> Tensor:
        return self.y.double().contiguous()  # else each product would copy it

    @cached_property
    def _lengths(self) -> tuple[Tensor, Tensor]:
        length = _length(self.x)
        return length, length if self.y is self.x else _length(self.y)

    def rows(self, i: Tensor, columns: slice = slice(None)) -> Tensor:
        """Float64 scores of some queries against the gallery or a slice of it, rounded at 1e-16 relative."""
        a, b = self.x[i].double(), self.y[columns].double()
        if self.metric == "cosine":
            a, b = _unit(a), _unit(b)
        elif self.metric == "euclidean":
            centre = b.mean(0)
            a, b = a - centre, b - centre
            return (2 * a @ b.T).sub_(a.square().sum(1, keepdim=True)).sub_(b.square().sum(1)).clamp_(max=0.0)
        scores = a @ b.T
        return scores if self.bias is None else scores.add_(self.bias[columns])


def check_rows(x: Tensor, y: Tensor) -> None:
    """Refuse what has no neighbours: wrong shapes, integers, NaN.

    Raises:
        ModalignError: not two matrices of equally long rows of finite floating-point numbers.
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1]:
        raise ModalignError(
            f"two matrices with equally long rows are needed, got {tuple(x.shape)} and {tuple(y.shape)}: "
            "give (n, d) and (m, d)"
        )
    for name, rows in (("first", x), ("second", y)):
        if not rows.is_floating_point():
            raise ModalignError(f"the {name} matrix must hold floating-point numbers, got {rows.dtype}")
        if not torch.isfinite(rows.sum()) and not torch.isfinite(rows).all():
            raise ModalignError(f"the {name} matrix has NaN or infinite values: remove these rows first")


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1 in float64 (zero rows stay zero)."""
    return rows.double() / _length(rows)[:, None]


def _shrunk(rows: Tensor, length: Tensor) -> Tensor:
    """The same in float32; halves and floats need no copy in float64."""
    if rows.dtype == torch.float64:
        return (rows / length[:, None]).float()
    return rows.float() / length.float()[:, None]


def _length(rows: Tensor) -> Tensor:
    """Length of each row in float64; 1 for a zero row, which then scores 0."""
    length = _norm(rows)
    return length.masked_fill_(length == 0, 1.0)


def _norm(rows: Tensor) -> Tensor:
    """Length of each row in float64, in parts: torch turns all it is given into float64 first."""
    parts = rows.split(max(1, NUMBERS_AT_ONCE // 4 // max(1, rows.shape[1])))
    return torch.cat([torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in parts])
