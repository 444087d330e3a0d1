"""How a transport problem is solved: the settings of the solver, in one object."""

from __future__ import annotations

from dataclasses import dataclass

from ...parameters import Count, Portion, Weight, checked


@checked
@dataclass(frozen=True)
class Solver:
    """How exactly, by which way and in how much memory a transport problem is solved.

    Args:
        epsilon: regularisation in units of the cost. Small values come near the exact plan and need more passes;
            .05 suits the cosine cost. 0: no regularisation, the linear program, through POT.
        tolerance: L1 error of the marginals, relative to the mass, at which to stop.
        max_iterations: passes over the kernel, over all epsilons.
        anneal: factor between successive epsilons on the way down, in (0, 1], 1 for none; None: only for an epsilon
            that is small beside the cost's spread.
        accelerate: False for the plain Sinkhorn iteration: slower, for comparison with published programs.
        rows: hold no more than so many rows of the cost (about 2 copies of such a block are alive), for sets whose
            cost does not fit in memory; None: a kernel of the cost's size.

    Raises:
        ModalignError: a setting is out of its range.

    Example:
        >>> Solver(epsilon=0.01).tolerance
        0.0001
    """

    epsilon: Weight = 0.05
    tolerance: Weight = 1e-4
    max_iterations: Count = 2000
    anneal: Portion | None = None
    accelerate: bool = True
    rows: Count | None = None


DEFAULT = Solver()
