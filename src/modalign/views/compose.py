"""Queries composed of what is present: several embeddings of one thing as one unit vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, few
from ..parameters import checked
from .aligned import Aligned, Stack, aligned
from .groups import join
from .views import Views

SHORTEST = 1e-6  # length of a sum of unit vectors, over that of its weights, up to which its direction is rounding


@checked
def blend(rows: Tensor, weight: Tensor) -> Tensor:
    """(..., d) unit vectors: normalise(sum_m w_m z_m).

    Args:
        rows: (..., M, d) unit vectors. weight: (..., M), negative to take something away.

    Raises:
        ModalignError: a sum that has no direction, because its parts cancel each other.

    Example:
        >>> blend(torch.eye(2), torch.tensor([3.0, 4.0]))
        tensor([0.6000, 0.8000])
    """
    total = (rows * weight[..., None]).sum(-2)
    if bool((total.norm(dim=-1) <= SHORTEST * weight.abs().sum(-1)).any()):
        raise ModalignError("the parts of the query cancel each other: nothing is left to search for")
    return total / total.norm(dim=-1, keepdim=True)


@checked
def side(z: Aligned, modalities: Sequence[str]) -> Stack:
    """Queries or gallery: unit rows of some modalities, (g, M, d), zeros where absent.

    Groups with none of the modalities are left out.

    Args:
        z: embeddings. modalities: which, in which order.

    Raises:
        ModalignError: unknown modality, no group that has any of them, or embeddings of zeros: they have no direction.
    """
    part = z.only(modalities).some()
    if not len(part.group):
        raise ModalignError(f"no item has any of {', '.join(modalities)}: there is nothing to compose")
    rows, present, group, _ = part.stack()
    rows = rows.float() * present[..., None]
    lost = present & (rows == 0).all(-1)
    if bool(lost.any()):
        k = int(lost.any(0).long().argmax())
        raise ModalignError(
            f"'{modalities[k]}' has all-zero embeddings in the groups {few(group[lost[:, k]].tolist())}: "
            "a missing item is left out, not written as zeros; remove these rows"
        )
    return Stack(normalize(rows, dim=-1), present, group)


@checked
def compose(s: Stack, weight: Sequence[float] | None = None) -> Tensor:
    """(g, d) unit rows: normalise(sum_m w_m z_m) over what is present.

    Args:
        s: unit rows, see ``side``.
        weight: (M,) >= 0, one per modality; default equal. A group whose present weights are all 0 counts them equal.

    Raises:
        ModalignError: weights that do not fit, or rows that cancel each other.

    Example:
        >>> z = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> compose(Stack(z, torch.tensor([[True, True]]), torch.tensor([0])), [3.0, 4.0])
        tensor([[0.6000, 0.8000]])
    """
    given = [1.0] * s.data.shape[1] if weight is None else weight
    w = torch.as_tensor(given, dtype=torch.float32, device=s.data.device)
    if len(w) != s.data.shape[1] or bool((w < 0).any()):
        raise ModalignError(f"fusion needs {s.data.shape[1]} weights >= 0, got {w.tolist()}")
    share = s.present * w
    return blend(s.data, torch.where(share.sum(1, keepdim=True) > 0, share, s.present.float()))


@checked
def composed(z: Views, target: str) -> Views:
    """Queries of all modalities but the target, each group's the normalised sum of what it has, beside the target.

    Of several items of a group and modality, the mean takes part. Where links stand in for equal groups, a query has
    the positives of all its items.

    Example:
        >>> z = Views({"image": torch.eye(2), "text": torch.eye(2), "tags": torch.eye(2)[:1]},
        ...           {"image": torch.arange(2), "text": torch.arange(2), "tags": torch.arange(1)})
        >>> composed(z, "image")["query"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    names = [m for m in z.modalities if m != target]
    asked = side(aligned(z, names), names)
    links = {("query", target): positives_of(z, asked.group, names, target).T} if z.links else None
    return Views({"query": compose(asked), target: z[target]}, {"query": asked.group, target: z.group[target]}, links)


@checked
def task_views(z: Views, target: str | None) -> Views:
    """What is compared: all modalities, or composed queries beside the target."""
    return z if target is None else composed(z, target)


@checked
def positives_of(z: Views, asked: Tensor, modalities: Sequence[str], target: str) -> Tensor:
    """(p, 2) positive pairs of composed queries and the items of a modality, in order.

    Args:
        z: views. asked: (g,) ascending groups of the queries. modalities: that the queries are composed of.
        target: modality that is searched.

    Example:
        >>> z = Views.from_arrays(a=torch.eye(3), b=torch.eye(3), c=torch.eye(3))
        >>> positives_of(z, torch.tensor([0, 2]), ["a", "b"], "c").tolist()
        [[0, 0], [1, 2]]
    """
    if not z.links:
        return join(asked, z.group[target].long())
    found = []
    for m in modalities:
        pairs = z.paired(m, target)
        query = torch.searchsorted(asked, z.group[m].long()[pairs[:, 0]])
        found.append(torch.stack([query, pairs[:, 1]], 1))
    return torch.unique(torch.cat(found), dim=0)
