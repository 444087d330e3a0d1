"""Which term of a total objective draws the embeddings together, for the warning when they collapse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.cost import unit
from ..views import Batch
from .total import Total


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
        >>> from modalign.views import Views
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
