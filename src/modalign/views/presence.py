"""Which modalities a group keeps when they are lost at a rate: nested in the rate, the same for one seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..parameters import checked
from .groups import places

KINDS = ("random", "blocks", "sites")


@checked
def presence(
    there: Tensor,
    rate: float | Sequence[float],
    kind: str = "random",
    seed: int = 0,
    group: Tensor | None = None,
    length: int = 25,
    site: Tensor | None = None,
    keep_one: bool = True,
) -> Tensor:
    """Which modalities each group keeps when each is lost at a rate.

    A unit (group, block or site) draws one number u in [0, 1) per modality, once and for all of a seed, and loses the
    modality where u < rate: what is missing at a rate is missing at every higher one. (Of unequal rates, but for what
    ``keep_one`` keeps.)

    Args:
        there: (g, M) bool, what each group has to begin with.
        rate: in [0, 1], for all modalities or one for each.
        kind: "random": every group draws; "blocks": runs of ``length`` consecutive groups lose together, as when a
            sensor fails; "sites": all groups of a site lose together, as when a source never had the modality.
        seed: of the draws. group: (g,) ids, so that "random" draws of a group are the same in any selection
            (`groups.places` says for which ids); default: its position.
        length: of a block.
        site: (g,) integer; default: ten sites, dealt at random.
        keep_one: a group that would lose all it has keeps the one with the largest draw.

    Returns:
        (g, M) bool.

    Raises:
        ModalignError: a rate outside [0, 1], an unknown kind, or shapes that do not fit.

    Example:
        >>> there = torch.ones(1000, 3, dtype=torch.bool)
        >>> low, high = presence(there, 0.3), presence(there, 0.5)
        >>> bool((high <= low).all()), bool(high.any(1).all()), 0.25 < float((~low).double().mean()) < 0.32
        (True, True, True)
    """
    check_known("kind of missingness", kind, KINDS)
    rates = torch.as_tensor(rate, dtype=torch.float64, device=there.device).expand(there.shape[1])
    if not bool(((rates >= 0) & (rates <= 1)).all()):
        raise ModalignError(f"missing rates must lie in [0, 1], got {rates.tolist()}")
    if length < 1:
        raise ModalignError(f"a block needs at least one group, got {length}")
    group = torch.arange(len(there), device=there.device) if group is None else group
    if len(group) != len(there):
        raise ModalignError(f"presence needs one id for each of {len(there)} groups, got {len(group)}")
    u = _draws(there.shape[1], kind, seed, group, length, site)
    kept = there & (u >= rates)
    if keep_one:
        last = torch.where(there, u, -1.0).argmax(1)
        alone = there.any(1) & ~kept.any(1)
        kept[alone, last[alone]] = True
    return kept


def _draws(modalities: int, kind: str, seed: int, group: Tensor, length: int, site: Tensor | None) -> Tensor:
    """(g, M) float64 numbers in [0, 1) of each group's unit."""
    if kind == "random":
        return by_group(group, modalities, seed, dtype=torch.float64)
    g = torch.Generator().manual_seed(seed)
    if kind == "blocks":
        unit = torch.arange(len(group), device=group.device) // length
    elif site is None:
        where = places(group)
        unit = torch.randint(10, (_rows(where),), generator=g, device="cpu").to(where.device)[where]
    else:
        unit = torch.unique(site, return_inverse=True)[1]
    return torch.rand(_rows(unit), modalities, generator=g, dtype=torch.float64, device="cpu").to(unit.device)[unit]


@checked
def by_group(
    ids: Tensor, columns: int, seed: int, among: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(g, columns) uniform numbers in [0, 1) of groups: those of an id do not change with the selection.

    Args:
        ids: (g,) of groups. columns: numbers per group. seed: of the draw.
        among: ascending ids of all groups there are, of which ``ids`` are a selection: needed where ids are too large
            to be places in a table (`groups.places`); default: ``ids``.

    Example:
        >>> whole = by_group(torch.arange(10), 2, seed=0)
        >>> by_group(torch.tensor([7, 3]), 2, seed=0).equal(whole[[7, 3]])
        True
    """
    where = places(ids if among is None else among)
    if among is not None:
        where = where[torch.searchsorted(among, ids.long().contiguous())]
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(_rows(where), columns, generator=generator, dtype=dtype, device="cpu").to(where.device)[where]


def _rows(where: Tensor) -> int:
    return int(where.max()) + 1 if len(where) else 0
