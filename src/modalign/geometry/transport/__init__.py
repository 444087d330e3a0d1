"""Optimal transport between two sets of items: a problem and a solver make a plan.

    found = solve(Problem(cost, a, b), Solver(epsilon=0.01))      # a cost matrix
    loss = solve(Problem(between(x, y))).objective                # embeddings; differentiable in them
    found = solve(Partial(between(x, y), mass=0.7))               # or Unbalanced, SemiPaired
    large = solve(Problem(between(x, y)), Solver(rows=256))       # the cost does not fit in memory

`Solver` holds epsilon (0 for the exact plan), tolerance and memory for all of them. `sinkhorn_divergence` is 0 where
two sets agree; `gromov` and `fused_gromov` take sets that can only be compared within themselves; `barycentre` is the
mean of several sets; `barycentric` the map that a plan stands for; `matches` what a plan that is never held says.

Modules, from the door inwards: ``front`` (the problems), ``partial``, ``semipaired``, ``exact``, ``gromov``,
``divergence``, ``barycentre``, ``matches`` (one kind each); ``entropic`` (annealing, plans) over ``dual`` (value,
gradients), ``sinkhorn`` (iteration with absorbed potentials), ``kernel`` (one pass) and ``anderson`` (acceleration).
``problem``, ``solver``, ``source`` and ``points`` are what goes in, ``result`` and ``coupling`` what comes out;
``sharing`` and ``parted`` let several processes hold one plan by rows.
"""

from ... import renamed
from .barycentre import barycentre
from .divergence import barycentric, sinkhorn_divergence
from .front import Partial, Problem, SemiPaired, Unbalanced, solve
from .gromov import distortion, fused_gromov, gromov
from .matches import Matches, matches
from .points import between
from .result import ConvergenceWarning, Plan, Potentials
from .sharing import Sharing, shared
from .solver import Solver
from .source import CostSource

__all__ = [
    "ConvergenceWarning", "CostSource", "Matches", "Partial", "Plan", "Potentials", "Problem", "SemiPaired", "Sharing",
    "Solver", "Unbalanced", "barycentre", "barycentric", "between", "distortion", "fused_gromov", "gromov", "matches",
    "shared", "sinkhorn_divergence", "solve",
]  # fmt: skip

__getattr__ = renamed.names_of(__name__)
