"""How a transport problem is solved: the settings of the solver, in one object."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import ModalignError


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

    epsilon: float = 0.05
    tolerance: float = 1e-4
    max_iterations: int = 2000
    anneal: float | None = None
    accelerate: bool = True
    rows: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.epsilon < math.inf:
            raise ModalignError(f"epsilon is {self.epsilon}: it must be positive, or 0 for exact transport")
        if self.max_iterations < 1 or not self.tolerance >= 0:
            raise ModalignError(
                f"max_iterations is {self.max_iterations} and tolerance {self.tolerance}: "
                "give at least one iteration and a tolerance of at least 0"
            )
        if self.anneal is not None and not 0.0 < self.anneal <= 1.0:
            raise ModalignError(
                f"anneal is {self.anneal}: it is the factor between successive epsilons, in (0, 1], 1 for none"
            )
        if self.rows is not None and self.rows < 1:
            raise ModalignError(f"rows is {self.rows}: hold at least one row of the cost")


DEFAULT = Solver()
