"""The total objective: alpha L_OT + beta L_RMA + gamma L_retrieve + task terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModalignError
from ..geometry.cost import unit
from ..registry import make, register
from ..views import Batch, Views
from .base import Objective, nothing
from .weighting import Weight, make_weighting, schedule

Term = Mapping[str, Any] | Objective


@register("objective", "total")
class Total(Objective):
    """A weighted sum of named terms: transport, neighbourhoods, retrieval, and tasks.

    L = alpha L_OT + beta L_RMA + gamma L_retrieve + sum_t w_t L_t.

    Args:
        alpha: weight of ``transport``: a number, or a schedule as a table
            ``{end, start = 0, steps = 0, after = 0, shape = "linear" | "cosine"}`` in optimiser steps.
        beta: weight of ``neighbourhood``, likewise.
        gamma: weight of ``retrieval``, likewise.
        transport: an objective, or its name and settings as a table, for example ``{"name": "transport"}``.
        neighbourhood: likewise, for example ``{"name": "rma", "form": "carried"}``.
        retrieval: likewise; the default is CLIP; ``None`` leaves it out.
        terms: further terms by name (a task, a regulariser): tables or objectives.
        weights: their weights, numbers or schedules; default 1 each.
        weighting: "fixed", "uncertainty" (learned, Kendall et al.) or "balance" (equal pull on the embeddings),
            or a table with such a name and settings. Weights above are then what is asked for.

    A term that stays at weight 0 at this step is not computed. ``log()`` gives each term by its name, unweighted,
    its weight as ``<name>.weight``, and what the term itself logs as ``<name>.<key>``.

    Use when: more than one term is wanted, with weights that may change over the steps; one term alone needs none.
    Related: the terms: `Transport` or `Klot`, `Rma` or `Structure`, `Clip` or `SigLip`, `Caption`, `Classify`.

    Raises:
        ModalignError: unknown names or settings, weights of terms that do not exist, no terms at all.

    Example:
        >>> z = Views.from_arrays(text=torch.eye(4), image=torch.eye(4))
        >>> total = Total(alpha=0.1, transport={"name": "transport", "epsilon": 0.1})
        >>> _ = total(Batch(z, z))
        >>> [name for name in total.log() if name.startswith("transport")]
        ['transport', 'transport.weight', 'transport.plan_entropy']
    """

    def __init__(
        self,
        alpha: Weight = 0.1,
        beta: Weight = 0.1,
        gamma: Weight = 1.0,
        transport: Term | None = None,
        neighbourhood: Term | None = None,
        retrieval: Term | None = {"name": "clip"},  # noqa: B006 (never changed)
        terms: Mapping[str, Term] | None = None,
        weights: Mapping[str, Weight] | None = None,
        weighting: str | Mapping[str, Any] = "fixed",
    ) -> None:
        super().__init__()
        wanted: dict[str, Weight] = {"transport": alpha, "neighbourhood": beta, "retrieval": gamma}
        parts = {"transport": transport, "neighbourhood": neighbourhood, "retrieval": retrieval}
        given = {name: part for name, part in parts.items() if part is not None} | dict(terms or {})
        wanted |= dict.fromkeys(terms or {}, 1.0) | dict(weights or {})
        _check_names(given, terms or {}, weights or {})
        self.terms = nn.ModuleDict({name: build(part, f"term '{name}'") for name, part in given.items()})
        self.schedules = {name: schedule(wanted[name], name) for name in given}
        self.weighting = make_weighting(weighting, list(given))
        self.last: dict[str, Tensor] = {}
        self.wanted: dict[str, float] = {}

    def forward(self, batch: Batch) -> Tensor:
        """The weighted sum at ``batch.step``."""
        self.wanted = {name: plan(batch.step) for name, plan in self.schedules.items()}
        losses = {name: term(batch) for name, term in self.parts().items() if self.wanted[name]}
        self.last = {name: loss.detach() for name, loss in losses.items()}
        if not losses:
            return nothing(batch)
        return self.weighting(losses, {name: self.wanted[name] for name in losses}, batch)

    def parts(self) -> dict[str, Objective]:
        """The terms by name."""
        return {name: term for name, term in self.terms.items() if isinstance(term, Objective)}

    def prepare(self, x: Views) -> None:
        """Hand the training features to the terms that fit something to them first (teachers)."""
        for term in self.parts().values():
            term.prepare(x)

    def after_step(self) -> None:
        for term in self.parts().values():
            term.after_step()
        self.weighting.after_step()

    def log(self) -> dict[str, float]:
        numbers: dict[str, float] = {}
        parts = self.parts()
        weights = self.weighting.used({name: self.wanted[name] for name in self.last})
        for name, loss in self.last.items():
            numbers[name] = float(loss)
            numbers[f"{name}.weight"] = weights[name]
            numbers |= {f"{name}.{key}": value for key, value in parts[name].log().items()}
        return numbers


def build(part: Term, where: str) -> Objective:
    """An objective from a table with its name and settings; an objective is returned as it is.

    Raises:
        ModalignError: a table without a name, unknown names or settings.

    Example:
        >>> type(build({"name": "siglip"}, "term 'retrieval'")).__name__
        'SigLip'
    """
    if isinstance(part, Objective):
        return part
    settings = dict(part)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise ModalignError(f'{where} needs the name of an objective, for example {{name = "clip"}}; got {dict(part)}')
    return make("objective", name, **settings)


def _check_names(given: Mapping[str, Any], terms: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    if not given:
        raise ModalignError("the total objective has no terms: give transport, neighbourhood, retrieval or terms")
    taken = {"transport", "neighbourhood", "retrieval"} & set(terms)
    if taken:
        raise ModalignError(f"the term '{min(taken)}' has its own setting: give it there, not in terms")
    lost = set(weights) - set(terms)
    if lost:
        raise ModalignError(f"weights names '{min(lost)}', which is not among the terms ({', '.join(terms) or 'none'})")


def pull(total: Total, batch: Batch) -> dict[str, float]:
    """How fast each term's gradient step raises the mean cosine of the embeddings: positive means towards collapse.

    r_i = -w_i <dL_i/dz, dc/dz>, c the mean over modalities of mean_{j != k} <z_j, z_k>, w_i the weight in use: the
    change of c per unit of learning rate if the embeddings themselves followed term i. The term with the largest
    r_i is the one that collapses.

    Args:
        total: the objective.
        batch: a batch; its embeddings are taken as they are, gradients do not reach heads.

    Returns:
        Name of the term -> r_i, for the terms in use at this step.

    Example:
        >>> x = torch.nn.functional.normalize(torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), dim=1)
        >>> z = Views.from_arrays(text=x, image=x.flip(0))
        >>> near, spread = {"name": "rma", "form": "literal", "k": 16}, {"spread": {"name": "uniformity"}}
        >>> rates = pull(Total(neighbourhood=near, retrieval=None, terms=spread), Batch(z, z))
        >>> rates["neighbourhood"] > 0, rates["spread"] < 0
        (True, True)
    """
    z = {m: v.detach().clone().requires_grad_() for m, v in batch.z.data.items()}
    leaves = list(z.values())
    live = replace(batch, z=replace(batch.z, data=z))
    with torch.enable_grad():
        together = _gradient(_mean_cosine(z), leaves)
        wanted = {name: plan(batch.step) for name, plan in total.schedules.items()}
        weights = total.weighting.used(wanted)
        rates = {}
        for name, term in total.parts().items():
            if weights[name]:
                own = _gradient(term(live), leaves)
                rates[name] = -weights[name] * sum(float((g * c).sum()) for g, c in zip(own, together, strict=True))
    return rates


def _mean_cosine(z: Mapping[str, Tensor]) -> Tensor:
    means = []
    for rows in z.values():
        n = len(rows)
        if n > 1:
            u = unit(rows)
            means.append((u.sum(0).square().sum() - u.square().sum()) / (n * (n - 1)))
    return torch.stack(means).mean() if means else torch.stack([rows.sum() * 0.0 for rows in z.values()]).sum()


def _gradient(value: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    grads = torch.autograd.grad(value, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g.float() for leaf, g in zip(leaves, grads, strict=True)]
