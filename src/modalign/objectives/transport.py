"""Transport objectives: move one modality's items onto the other's at the least cost; match a teacher's plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModalignError, check_known
from ..geometry.cost import inner, pair
from ..geometry.matching import iterated_plan, plan_divergence
from ..geometry.neighbours import plan_entropy
from ..geometry.transport import (
    Partial,
    Potentials,
    Problem,
    SemiPaired,
    Solver,
    Unbalanced,
    barycentre,
    between,
    sinkhorn_divergence,
    solve,
)
from ..geometry.transport.sharing import current
from ..parameters import Count, Dim, Positive, Weight
from ..registry import register
from ..views import Batch, Pair, Views
from .pairwise import Pairwise
from .teacher import Teacher

ITEMS = ("all", "unpaired")
BETWEEN = ("pairs", "barycentre")
PROBLEMS: Mapping[str, Callable[..., Problem]] = {
    "entropic": Problem, "exact": Problem, "unbalanced": Unbalanced, "partial": Partial, "semi_paired": SemiPaired,
}  # fmt: skip
OPTIONS = {"unbalanced": ("rho",), "partial": ("mass",), "semi_paired": ("strength",)}


@register("objective", "transport")
class Transport(Pairwise):
    """L_OT: the cost of the best coupling between the items of two modalities, paired or not.

    L = mean over pairs of modalities of min over couplings G of sum_jk G_jk C(x_j, y_k) (+ epsilon KL(G | a b^T)),
    uniform weights. The gradient is that of the envelope theorem: the plan is held fixed. By itself it ignores
    which item belongs to which: any permutation of the items costs the same.

    Args:
        epsilon: regularisation, in units of the cost; > 0 (unused by "exact").
        cost: "cosine" (1 - cos, in [0, 2]) or "sqeuclidean".
        method: "entropic", "exact" (linear program), "unbalanced", "partial", or "semi_paired": the batch's known pairs
            are held in the coupling, and the other items matched freely.
        debias: Sinkhorn divergence, which is 0 when the two sets are equal; "entropic" only.
        rho: price of a wrong marginal ("unbalanced"); None: 1.
        mass: share that is transported, in (0, 1] ("partial").
        strength: lowers the cost of known pairs by so much instead of holding them ("semi_paired").
        items: "all", or "unpaired": only items without a partner in the batch.
        between: "pairs" of modalities, or each modality and the "barycentre" of all: as many problems as there are
            modalities ("entropic", all items).
        tolerance: L1 error of the marginals at which solving stops.
        modalities: look only at pairs of these; default all.

    A step that sees the same items as the last one starts from its potentials.
    ``log()`` gives the plan's entropy, between 0 (one to one) and 1 (everything to everything: collapse); not of a plan
    so large that several processes hold it in parts.

    Use when: many items have no known partner, beside a term that knows pairs; ``method="semi_paired"`` where it
        stands alone.
    Related: `Klot`, which also learns from unpaired items but asks a teacher who belongs together; the solver:
        `geometry.transport.solve`.

    Reference: Cuturi (2013), arXiv 1306.0895; debiased: Feydy et al. (2019), arXiv 1810.08278.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(2), image=torch.eye(2).flip(0))
        >>> abs(Transport(epsilon=1e-2, debias=True)(Batch(z, z)).item()) < 1e-4
        True
    """

    def __init__(
        self,
        epsilon: Weight = 0.05,
        cost: str = "cosine",
        method: str = "entropic",
        debias: bool = False,
        rho: Positive | None = None,
        mass: Positive | None = None,
        strength: Weight | None = None,
        items: str = "all",
        between: str = "pairs",
        tolerance: Positive = 1e-4,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities)
        check_known("items", items, ITEMS)
        check_known("transport method", method, PROBLEMS)
        check_known("between", between, BETWEEN)
        if between == "barycentre" and (method, items) != ("entropic", "all"):
            raise ModalignError("transport to a barycentre needs method='entropic' and items='all'")
        if debias and method != "entropic":
            raise ModalignError(f"debias needs method='entropic', got '{method}'")
        given = {"rho": rho, "mass": mass, "strength": strength}
        self.options = {name: option for name, option in given.items() if option is not None}
        for name in self.options:
            if name not in OPTIONS.get(method, ()):
                raise ModalignError(f"transport method '{method}' has no option '{name}': leave it out")
        if method == "partial" and mass is None:
            raise ModalignError("transport method 'partial' needs mass, the share that is transported, in (0, 1]")
        self.between, self.items = between, items
        self.cost, self.method, self.debias = cost, method, debias
        self.solver = Solver(epsilon=0.0 if method == "exact" else epsilon, tolerance=tolerance)
        self.last: tuple[Tensor, Tensor, Tensor | None] | None = None
        self.starts = WarmStarts()

    def forward(self, batch: Batch) -> Tensor:
        self.last = None
        if self.between == "barycentre" and len(self.pairs(batch)) > 1:
            return self.to_barycentre(batch)
        return super().forward(batch)

    def to_barycentre(self, batch: Batch) -> Tensor:
        """Mean over modalities of the transport to their barycentre, which is held fixed while gradients flow."""
        pairs = self.pairs(batch)
        sets = [batch.z[m] for m in dict.fromkeys(m for pair in pairs for m in pair)]
        middle = barycentre(sets, cost=self.cost, rounds=3, solver=self.solver)
        self.last = sets[0].detach(), middle, None
        return torch.stack([self.loss(x, middle) for x in sets]).mean()

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        rows = chosen_rows(batch.z, a, b, self.items)
        if rows is None:
            return None
        x, y = batch.z[a][rows[0]], batch.z[b][rows[1]]
        pairs = None
        if self.method == "semi_paired":  # items without partners have no pairs among them
            pairs = batch.z.paired(a, b) if self.items == "all" else rows[0].new_zeros(0, 2)
        if self.last is None and current().rows(len(x), len(y)) is None:
            self.last = (x.detach(), y.detach(), pairs)
        if self.method not in ("entropic", "unbalanced") or self.debias:
            return self.loss(x, y, pairs)
        items = torch.cat([batch.z.group[m][r] for m, r in zip((a, b), rows, strict=True)])
        found = solve(self.problem(x, y), self.solver, self.starts.of((a, b), items))
        self.starts.keep((a, b), items, found.potentials)
        return found.objective

    def loss(self, x: Tensor, y: Tensor, pairs: Tensor | None = None) -> Tensor:
        """Transport of one set onto another."""
        if self.debias:
            return sinkhorn_divergence(x, y, cost=self.cost, solver=self.solver)
        return solve(self.problem(x, y, pairs), self.solver).objective

    def problem(self, x: Tensor, y: Tensor, pairs: Tensor | None = None) -> Problem:
        """What is solved between two sets."""
        known = {} if pairs is None else {"pairs": pairs}
        return PROBLEMS[self.method](between(x, y, self.cost), **self.options, **known)

    def log(self) -> dict[str, float]:
        if self.last is None:
            return {}
        return {"plan_entropy": plan_entropy(solve(self.problem(*self.last), self.solver).plan)}


@register("objective", "klot")
class Klot(Pairwise):
    """KLOT: the transport plan of the embeddings should be the plan that a teacher's similarities give.

    L = mean over pairs of modalities of KL(P* || P), P the entropic plan of the cosines K at ``epsilon``, P* that of
    the teacher's similarities K* at ``teacher_epsilon``; dL/dK = (P - P*) / epsilon. It learns from unpaired items:
    as published, SigLIP on the pairs plus this term on unpaired batches.

    Args:
        teacher: "cca" (fitted to the known pairs when training starts; the published best of the linear teachers),
            "features" (the heads' inputs are already comparable), or the folder of a saved model.
        epsilon: of the student's plan; published .05.
        teacher_epsilon: of the teacher's plan; published .005.
        items: "all", or "unpaired": only items without a partner in the batch.
        official: True: 100 iterations and a half update for both plans, as the public program does, converged or
            not. False (default): both plans are solved to their tolerance.
        iterations: of the official form.
        tolerance: L1 error of the plans' marginals at which solving stops.
        dim: directions of the "cca" teacher.
        ridge: of the "cca" teacher, in units of the mean variance.
        modalities: look only at pairs of these; default all.

    Raises:
        ModalignError: unknown items, no model in the teacher's folder.

    Use when: pairs are few and unpaired items many, and a teacher (CCA of the few pairs, or a model) is better than
        chance.
    Related: `Transport`, which needs no teacher; `SigLip` is its published companion on the pairs.

    Reference: SOTAlign / KLOT (2026), arXiv 2602.23353.

    Example:
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(3), image=torch.eye(3))
        >>> abs(Klot(teacher="features", teacher_epsilon=0.05)(Batch(z, z)).item()) < 1e-5
        True
    """

    def __init__(
        self,
        teacher: str = "cca",
        epsilon: Positive = 0.05,
        teacher_epsilon: Positive = 0.005,
        items: str = "all",
        official: bool = False,
        iterations: Count = 100,
        tolerance: Positive = 1e-4,
        dim: Dim = 256,
        ridge: Weight = 1.0,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities)
        check_known("items", items, ITEMS)
        self.teacher = Teacher(teacher, dim, ridge)
        self.epsilon, self.teacher_epsilon, self.items = epsilon, teacher_epsilon, items
        self.official, self.iterations, self.tolerance = official, iterations, tolerance

    def prepare(self, x: Views) -> None:
        """Fit the teacher to the training features, where it needs fitting."""
        self.teacher.prepare(x)

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        rows = chosen_rows(batch.z, a, b, self.items)
        if rows is None:
            return None
        student = inner(*pair(batch.z[a][rows[0]], batch.z[b][rows[1]]))
        wanted = self.teacher.similarity(batch.x, a, b)[rows[0]][:, rows[1]]
        plan, target = self.plan(student, self.epsilon), self.plan(wanted, self.teacher_epsilon)
        return plan_divergence(student, plan, target.to(plan), self.epsilon)

    def plan(self, similarity: Tensor, epsilon: float) -> Tensor:
        """The entropic plan of similarities, uniform weights."""
        if self.official:
            return iterated_plan(similarity, epsilon, self.iterations)
        return solve(Problem(1.0 - similarity.detach()), Solver(epsilon, self.tolerance)).plan


def chosen_rows(z: Views, a: str, b: str, items: str) -> tuple[Tensor, Tensor] | None:
    """Rows of a and b to transport: all, or those without a partner; None if a side has none."""
    if items == "unpaired":
        rows = z.unpaired(a, b), z.unpaired(b, a)
    else:
        rows = tuple(torch.arange(len(z[m]), device=z[m].device) for m in (a, b))  # type: ignore[assignment]
    return rows if len(rows[0]) and len(rows[1]) else None


class WarmStarts(nn.Module):
    """Potentials of the last step by pair of modalities, for a batch of the same items in the same order.

    Items that moved a little need about a quarter of the passes. A batch of other items starts cold: potentials
    carried over to them by a c-transform save nothing. The potentials are part of ``state_dict``, so that a
    training that is resumed takes the same steps.

    Example:
        >>> starts = WarmStarts()
        >>> starts.keep(("text", "image"), torch.arange(2), Potentials(None, torch.ones(2)))
        >>> starts.of(("text", "image"), torch.arange(2)).g
        tensor([1., 1.])
        >>> starts.of(("text", "image"), torch.arange(3)) is None
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[Tensor, Potentials]] = {}

    def of(self, pair: Pair, items: Tensor) -> Potentials | None:
        """Where to start, if the last step saw the same. items: ids of the items of both sides."""
        items_then, potentials = self.kept.get(" ".join(pair), (None, None))
        return potentials if items_then is not None and torch.equal(items_then, items) else None

    def keep(self, pair: Pair, items: Tensor, potentials: Potentials) -> None:
        """Where this step ended."""
        self.kept[" ".join(pair)] = items.clone(), potentials

    def get_extra_state(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Key -> (items, potentials of the second side)."""
        return {key: (items, p.g) for key, (items, p) in self.kept.items()}

    def set_extra_state(self, state: Any) -> None:
        """As saved."""
        self.kept = {key: (items, Potentials(None, g)) for key, (items, g) in state.items()}
