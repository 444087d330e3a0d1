"""The front door: `solve` a transport problem, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ...errors import ModalignError, unknown
from . import dense, exact, partial, semipaired
from .entropic import Settings
from .result import Plan, Potentials


@dataclass(frozen=True)
class Kind:
    """What a method needs beside cost, weights and epsilon, and the function that solves it."""

    run: Callable[..., Plan]
    options: tuple[str, ...] = ()


def solve(
    cost: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    epsilon: float = 0.05,
    method: str = "entropic",
    rho: float | tuple[float, float] | None = None,
    mass: float | None = None,
    pairs: Tensor | None = None,
    strength: float | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 2000,
    start: Potentials | None = None,
    anneal: float | None = None,
    accelerate: bool = True,
) -> Plan:
    """Solve an optimal transport problem between n and m weighted items.

    ==============  ============================================================================
    method          minimises, over P >= 0
    ==============  ============================================================================
    exact           <P, C> with P 1 = a, P^T 1 = b: the linear program, through POT
    entropic        <P, C> + epsilon KL(P | a b^T), same marginals
    unbalanced      <P, C> + epsilon KL(P | a b^T) + rho KL(P 1 | a) + rho KL(P^T 1 | b)
    partial         entropic with P 1 <= a, P^T 1 <= b and sum P = mass
    semi_paired     entropic with known pairs held in P, or their cost lowered by ``strength``
    ==============  ============================================================================

    Args:
        cost: C, (n, m) or (batch, n, m), any float dtype; +inf forbids a pair.
        a: weights of the rows, (n,) or (batch, n), non-negative; None: uniform with mass 1.
        b: weights of the columns, with the mass of a where marginals are hard.
        epsilon: regularisation in units of the cost, > 0; unused by ``exact``.
        method: see the table.
        rho: price of a wrong marginal, in units of the cost (``unbalanced``, default 1); a pair gives one
            for rows and one for columns, ``math.inf`` makes that side hard.
        mass: what ``partial`` transports, in (0, min(sum a, sum b)].
        pairs: (p, 2) known pairs, row and column numbers (``semi_paired``).
        strength: None holds the pairs; a number lowers their cost by so much instead.
        tolerance: L1 error of the marginals, relative to the mass, at which to stop.
        max_iterations: passes over the kernel.
        start: potentials of a similar problem (`Plan.potentials`) to start from.
        anneal: factor between successive epsilons on the way down, 1 for none; None: only for a small epsilon.
        accelerate: False for the plain Sinkhorn iteration, slower, for comparison with published programs.

    Returns:
        `Plan`: plan, value <P, C>, objective (differentiable), potentials and how well it converged.

    Raises:
        ModalignError: misfitting shapes, NaN, negative weights, unequal masses, an infeasible problem, an
            option of another method.

    Warns:
        ConvergenceWarning: the tolerance was not reached; the message carries the marginal error.

    Reference:
        Peyré and Cuturi, 2019, arXiv 1803.00567; Chizat et al., 2018, arXiv 1607.05816 (unbalanced).

    Example:
        >>> import torch
        >>> found = solve(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), epsilon=1.0)
        >>> round(float(found.value), 6), round(float(found.objective), 6), found.converged
        (0.268941, 0.379886, True)
    """
    settings = Settings(tolerance, max_iterations, start, anneal, accelerate=accelerate)
    given = {"rho": rho, "mass": mass, "pairs": pairs, "strength": strength}
    if method not in KINDS:
        raise unknown("transport method", method, KINDS)
    kind = KINDS[method]
    for name, option in given.items():
        if option is not None and name not in kind.options:
            raise ModalignError(f"transport method '{method}' has no option '{name}': leave it out")
    options = {name: given[name] for name in kind.options if given[name] is not None}
    return kind.run(cost, a, b, epsilon, settings, **options)


KINDS: Mapping[str, Kind] = {
    "exact": Kind(exact.run),
    "entropic": Kind(dense.entropic),
    "unbalanced": Kind(dense.unbalanced, ("rho",)),
    "partial": Kind(partial.run, ("mass",)),
    "semi_paired": Kind(semipaired.run, ("pairs", "strength")),
}
