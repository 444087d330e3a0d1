"""Transport between large sets: the cost is recomputed row block by row block, the plan is never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ModalignError, unknown
from ..cost import KINDS, working
from .entropic import Settings, Tally, dual_value, iterate
from .problem import pose
from .result import Potentials, warn_unless
from .sinkhorn import Scaled
from .source import EmbeddingCost, points


@dataclass(frozen=True)
class ChunkedPlan:
    """A plan that is read by blocks of rows; see `Plan` for the fields of the same names.

    Args:
        value: <P, C>, scalar.
        objective: <P, C> + epsilon KL(P | a b^T), scalar, detached (`transport_loss` is differentiable).
        f: (n,) row potential.
        g: (m,) column potential.
        marginal_error: L1 error of both marginals.
        iterations: passes over the cost.
        converged: whether the error reached the tolerance.
        found: the solver's state, from which blocks are computed.
    """

    value: Tensor
    objective: Tensor
    f: Tensor
    g: Tensor
    marginal_error: float
    iterations: int
    converged: bool
    found: Scaled

    @property
    def potentials(self) -> Potentials:
        """The potentials, for ``start=``."""
        return Potentials(self.f, self.g)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """(rows, P[rows]) in order, each block (r, m) computed when it is asked for."""
        return self.found.blocks()

    def apply(self, targets: Tensor) -> Tensor:
        """P @ targets, (m, k) -> (n, k), at least float32."""
        targets, _ = working(targets, self.f)
        if len(targets) != len(self.g):
            raise ModalignError(f"a plan with {len(self.g)} columns cannot send rows to {tuple(targets.shape)}")
        with torch.no_grad(), torch.autocast(device_type=targets.device.type, enabled=False):
            return torch.cat([block.to(targets.dtype) @ targets for _, block in self.blocks()])

    def barycentric(self, targets: Tensor) -> Tensor:
        """The mean target of each row, see `barycentric`."""
        weights = self.found.problem.a.unsqueeze(-1)  # rows of P are exact, so their mass is a
        return torch.where(weights > 0, self.apply(targets) / weights.clamp_min(1e-38), 0.0)


def solve_chunked(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    epsilon: float = 0.05,
    cost: str = "cosine",
    rows: int = 256,
    tolerance: float = 1e-4,
    max_iterations: int = 500,
    start: Potentials | None = None,
    anneal: float | None = None,
) -> ChunkedPlan:
    """Entropic transport between two sets of vectors in O((n + m) d + rows m) memory.

    min_P <P, C(x, y)> + epsilon KL(P | a b^T), as `solve` with ``method="entropic"``, in the log domain, with
    each block of the cost recomputed in each pass.

    Args:
        x: (n, d), any float dtype.
        y: (m, d).
        a: (n,) positive weights with the mass of b; None: uniform.
        b: (m,) positive weights.
        epsilon: regularisation in units of the cost.
        cost: ``"cosine"`` or ``"sqeuclidean"``.
        rows: at most so many rows of the cost are ever held (about 3 copies of such a block are alive).
        tolerance, max_iterations, start, anneal: see `solve`.

    Returns:
        `ChunkedPlan`.

    Raises:
        ModalignError: misfitting shapes, weights that are not positive, unknown cost.

    Reference:
        Schmitzer, 2019, arXiv 1610.06519, section 3.1 (stabilised in the log domain).

    Example:
        >>> found = solve_chunked(torch.eye(4), torch.eye(4), rows=2)
        >>> found.apply(torch.eye(4)).argmax(1).tolist(), found.converged
        ([0, 1, 2, 3], True)
    """
    if cost not in KINDS:
        raise unknown("cost", cost, KINDS)
    settings = Settings(tolerance, max_iterations, start, anneal, rows)
    source = EmbeddingCost.of(*points(x.detach(), y.detach(), cost), cost)
    problem = pose(source, a, b, epsilon)
    if not bool((problem.a > 0).all() and (problem.b > 0).all()):
        raise ModalignError("chunked transport needs positive weights: leave out the items of weight 0")
    found = iterate(problem, settings)
    with torch.no_grad():
        tally = Tally(problem)
        toward = source.gradients(tally.watch(found.blocks()))
        value = source.paid(toward, tally.rows)
    error = tally.error(found)
    converged = error <= 1.01 * tolerance * float(problem.b.sum()) + 8 * torch.finfo(source.dtype).eps
    warn_unless(converged, error, tolerance, found.iterations)
    dtype = source.dtype
    return ChunkedPlan(
        value, dual_value(found), found.f.to(dtype), found.g.to(dtype), error, found.iterations, converged, found
    )
