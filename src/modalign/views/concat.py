"""Several views as one, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ModalignError
from ..parameters import checked
from .views import Views


@checked
def concat(parts: Sequence[Views]) -> Views:
    """Views one after another; group ids keep their meaning, so equal ids in two parts are the same thing.

    Where one part has links of two modalities, those of the others are taken from their groups, and no item of one part
    has a positive in another.

    Raises:
        ModalignError: nothing to join.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(2), b=torch.eye(2))
        >>> concat([x.only("a"), x.only("b")]).paired("a", "b").tolist()
        [[0, 0], [1, 1]]
    """
    if not parts:
        raise ModalignError("nothing to concatenate: the list of views is empty")
    names = list(dict.fromkeys(m for p in parts for m in p.data))
    rows = all(p.row is not None for p in parts)
    linked = dict.fromkeys(pair for p in parts for pair in p.links or ())
    return Views(
        {m: torch.cat([p.data[m] for p in parts if m in p]) for m in names},
        {m: torch.cat([p.group[m] for p in parts if m in p]) for m in names},
        {pair: _shifted(parts, *pair) for pair in linked} or None,
        {m: torch.cat([p.row[m] for p in parts if p.row and m in p]) for m in names} if rows else None,
    )


def _shifted(parts: Sequence[Views], a: str, b: str) -> Tensor:
    """(2, p) the positive pairs of each part, by their rows in all parts together."""
    start, found = torch.zeros(2, 1, dtype=torch.long), []
    for p in parts:
        if a in p and b in p:
            link = (p.links or {}).get((a, b), p.paired(a, b).T)
            found.append(link.long() + start.to(link.device))
        start = start + torch.tensor([[len(p[m]) if m in p else 0] for m in (a, b)])
    return torch.cat(found, 1)
