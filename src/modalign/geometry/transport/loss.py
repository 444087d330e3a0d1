"""Transport between embeddings as a loss: the plan is found first, then held fixed while gradients flow."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...errors import ModalignError, unknown
from ..cost import KINDS as COSTS
from ..cost import cost as cost_matrix
from ..cost import working
from .entropic import Envelope, Settings, dual_value, iterate, weight_gradients
from .front import KINDS, solve
from .problem import pose
from .result import Potentials, warn_unless
from .sinkhorn import Scaled, sinkhorn_symmetric
from .source import EmbeddingCost, points


def transport_loss(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    epsilon: float = 0.05,
    cost: str = "cosine",
    method: str = "entropic",
    debias: bool = False,
    rho: float | tuple[float, float] | None = None,
    mass: float | None = None,
    pairs: Tensor | None = None,
    strength: float | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 2000,
    start: Potentials | None = None,
    anneal: float | None = None,
    rows: int | None = None,
) -> Tensor:
    """The least cost of moving one set of embeddings onto another, differentiable in both.

    min_P <P, C(x, y)> + epsilon KL(P | a b^T) over couplings P of a and b, or the objective of another
    ``method`` of `solve`. By the envelope theorem its gradient is that of <P, C> with P held at the optimum.
    It is the regularised objective, not <P, C> alone, whose gradient would be another.

    Args:
        x: (n, d), any float dtype; half precision is summed in float32.
        y: (m, d).
        a: (n,) weights of x, non-negative, mass 1; None: uniform.
        b: (m,) weights of y.
        epsilon: regularisation in units of the cost; .05 suits the cosine cost.
        cost: ``"cosine"`` in [0, 2] or ``"sqeuclidean"``.
        method: ``entropic``, ``unbalanced``, ``partial``, ``semi_paired`` or ``exact``, see `solve`.
        debias: give the Sinkhorn divergence instead (``entropic`` only), which is 0 at x = y.
        rho, mass, pairs, strength: options of the methods, see `solve`.
        tolerance: L1 error of the marginals at which to stop.
        max_iterations: passes over the kernel.
        start: potentials of the last step; read where the sizes fit, then overwritten with the new ones.
        anneal: see `solve`.
        rows: hold no more than so many rows of the cost (``entropic`` and ``unbalanced``); slower, for sets
            whose cost does not fit in memory.

    Returns:
        Scalar, in units of the cost, at least float32.

    Raises:
        ModalignError: unknown names, misfitting shapes or weights.

    Reference:
        Cuturi, 2013, arXiv 1306.0895; Feydy et al., 2019, arXiv 1810.08278, section 3.2 (gradients).

    Example:
        >>> x = torch.eye(3, requires_grad=True)
        >>> transport_loss(x, torch.eye(3), method="exact").item()
        0.0
    """
    settings = Settings(tolerance, max_iterations, start, anneal, rows)
    _check_names(cost, method)
    if debias:
        if method != "entropic":
            raise ModalignError(f"debias needs method='entropic', got '{method}'")
        return sinkhorn_divergence(
            x, y, a, b, epsilon=epsilon, cost=cost, tolerance=tolerance, max_iterations=max_iterations,
            start=start, anneal=anneal, rows=rows,
        )  # fmt: skip
    if method in ("entropic", "unbalanced") and not (mass or strength or pairs is not None):
        if method == "entropic" and rho is not None:
            raise ModalignError("transport method 'entropic' has no option 'rho': leave it out")
        price = float("inf") if method == "entropic" else (1.0 if rho is None else rho)
        return _between(x, y, a, b, epsilon, cost, settings, price)
    if rows is not None:
        raise ModalignError(f"rows works with the methods entropic and unbalanced, not with '{method}'")
    found = solve(
        cost_matrix(x, y, cost), a, b, epsilon=epsilon, method=method, rho=rho, mass=mass, pairs=pairs,
        strength=strength, tolerance=tolerance, max_iterations=max_iterations, start=start, anneal=anneal,
    )  # fmt: skip
    _carry(start, found.f, found.g)
    return found.objective


def sinkhorn_divergence(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    epsilon: float = 0.05,
    cost: str = "cosine",
    tolerance: float = 1e-4,
    max_iterations: int = 2000,
    start: Potentials | None = None,
    anneal: float | None = None,
    rows: int | None = None,
) -> Tensor:
    """Debiased entropic transport: at least 0, and 0 only where the two weighted sets agree.

    S(x, y) = OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2, OT the objective of `transport_loss`.

    Args:
        x, y, a, b, epsilon, cost, tolerance, max_iterations, start, anneal, rows: see `transport_loss`.

    Returns:
        Scalar, in units of the cost, differentiable in x, y, a and b. Rounding and the tolerance may leave
        it a little below 0 near equality.

    Raises:
        ModalignError: unknown cost, misfitting shapes or weights.

    Reference:
        Genevay, Peyré and Cuturi, 2018, arXiv 1706.00292, eq. 8; Feydy et al., 2019, arXiv 1810.08278, eq. 3.

    Example:
        >>> x, y = torch.tensor([[0.0]]), torch.tensor([[1.0]])
        >>> float(sinkhorn_divergence(x, y, cost="sqeuclidean"))
        1.0
    """
    settings = Settings(tolerance, max_iterations, start, anneal, rows)
    _check_names(cost, "entropic")
    across = _between(x, y, a, b, epsilon, cost, settings, float("inf"))
    own = _within(x, a, epsilon, cost, settings) + _within(y, b, epsilon, cost, settings)
    return across - 0.5 * own


def barycentric(plan: Tensor, y: Tensor) -> Tensor:
    """Where a plan sends each row: the mean of its targets.

    T(x_i) = sum_j P_ij y_j / sum_j P_ij; a row without mass goes to 0.

    Args:
        plan: (n, m) or (batch, n, m), non-negative.
        y: (m, d) or (batch, m, d), any float dtype.

    Returns:
        (n, d) or (batch, n, d), at least float32, differentiable in y.

    Raises:
        ModalignError: shapes do not fit together.

    Reference:
        Ferradans et al., 2014, arXiv 1307.5551, section 2.

    Example:
        >>> barycentric(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([[0.0], [4.0]]))
        tensor([[2.],
                [4.]])
    """
    if plan.shape[-1] != y.shape[-2]:
        raise ModalignError(f"a plan {tuple(plan.shape)} cannot send rows to targets {tuple(y.shape)}")
    plan, y = working(plan, y)
    mass = plan.sum(-1, keepdim=True)
    share = torch.where(mass > 0, plan / mass.clamp_min(torch.finfo(plan.dtype).tiny), 0.0)
    with torch.autocast(device_type=plan.device.type, enabled=False):
        return share @ y


def _between(
    x: Tensor,
    y: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    epsilon: float,
    kind: str,
    settings: Settings,
    rho: float | tuple[float, float],
) -> Tensor:
    """The objective between two sets, without a cost matrix beside the kernel."""
    x, a, kept_x = _weighted(x, a)
    y, b, kept_y = _weighted(y, b)
    start = settings.start
    if kept_y is not None and start is not None and start.g is not None and len(start.g) == len(kept_y):
        settings = replace(settings, start=Potentials(None, start.g[kept_y]))
    inputs = points(x, y, kind)
    source = EmbeddingCost.of(*inputs, kind)
    found = iterate(pose(source, a, b, epsilon, rho), settings)
    if kept_x is None and kept_y is None:
        _carry(start, found.f.to(source.dtype), found.g.to(source.dtype))
    return _with_gradient(found, settings, *inputs, a, b)


def _within(x: Tensor, a: Tensor | None, epsilon: float, kind: str, settings: Settings) -> Tensor:
    """The objective between a set and itself."""
    x, a, _ = _weighted(x, a)
    point, _ = points(x, x, kind)
    problem = pose(EmbeddingCost.of(point, point, kind), a, a, epsilon)
    with torch.no_grad(), torch.autocast(device_type=x.device.type, enabled=False):
        tolerance = settings.tolerance * float(problem.a.sum())
        found = sinkhorn_symmetric(problem, tolerance, settings.max_iterations, settings.rows)
    return _with_gradient(found, settings, point, point, a, a)


def _with_gradient(
    found: Scaled, settings: Settings, x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None
) -> Tensor:
    problem, source = found.problem, found.problem.source
    assert isinstance(source, EmbeddingCost)
    error = float(found.error)
    converged = error <= settings.tolerance * float(problem.b.sum())
    warn_unless(converged, error, settings.tolerance, found.iterations)
    value = dual_value(found)
    weights = [(w, d) for w, d in zip((a, b), weight_gradients(found), strict=True) if w is not None]
    inputs = [w for w, _ in weights]
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, y, *inputs))):
        return value
    with torch.no_grad():
        gradients = source.gradients(found.blocks())
    return Envelope.apply(value, (*gradients, *(d for _, d in weights)), x, y, *inputs)


def _weighted(x: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Embeddings and weights without the items of weight 0, and which were kept (None: all)."""
    if x.dim() != 2 or not len(x) or not x.is_floating_point():
        raise ModalignError(f"transport needs float embeddings (n, d), n > 0, got {tuple(x.shape)} {x.dtype}")
    if weights is None or weights.shape != x.shape[:1] or bool((weights != 0).all()):
        return x, weights, None
    kept = weights != 0
    return x[kept], weights[kept], kept


def _carry(start: Potentials | None, f: Tensor, g: Tensor) -> None:
    if start is not None:
        start.f, start.g = f, g


def _check_names(cost: str, method: str) -> None:
    if cost not in COSTS:
        raise unknown("cost", cost, COSTS)
    if method not in KINDS:
        raise unknown("transport method", method, KINDS)
