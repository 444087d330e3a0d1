"""Missing modalities: who loses what, nested in the rate, and views without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError, unknown
from ..views import Views
from ..views.groups import one_per_group

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
KINDS = ("random", "blocks", "sites")
Rate = float | Mapping[str, float]


class Aligned(NamedTuple):
    """One row per group and modality, side by side; widths may differ.

    group: (g,) ids, ascending. data: modality -> (g, d_m), zeros where absent. present: (g, M) bool, in data's order.
    """

    group: Tensor
    data: dict[str, Tensor]
    present: Tensor

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.data)

    def only(self, modalities: Sequence[str]) -> Aligned:
        """Some modalities, in the given order; groups that have none of them stay, with nothing present."""
        unknowns = [m for m in modalities if m not in self.data]
        if unknowns:
            raise unknown("modality", unknowns[0], self.data)
        columns = [self.modalities.index(m) for m in modalities]
        return Aligned(self.group, {m: self.data[m] for m in modalities}, self.present[:, columns])

    def kept(self, present: Tensor) -> Aligned:
        """The same with some of it gone."""
        return self._replace(present=self.present & present)


def aligned(x: Views, pick: str = "mean", generator: torch.Generator | None = None) -> Aligned:
    """Views with one row per group and modality, of any widths.

    Args:
        x: features or embeddings. pick: which of a group's items: "first", "sample" or "mean".

    Example:
        >>> x = Views({"a": torch.eye(2), "b": torch.ones(1, 3)}, {"a": torch.tensor([5, 7]), "b": torch.tensor([7])})
        >>> aligned(x).present.tolist()
        [[True, False], [True, True]]
    """
    ids = x.group_ids()
    data, present = {}, []
    for m in x.modalities:
        where = torch.searchsorted(ids, x.group[m].long())
        data[m], has = one_per_group(x[m], where, len(ids), pick, generator)
        present.append(has)
    return Aligned(ids, data, torch.stack(present, 1))


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
    modality where u < rate: what is missing at a rate is missing at every higher one.

    Args:
        there: (g, M) bool, what each group has to begin with.
        rate: in [0, 1], for all modalities or one for each.
        kind: "random": every group draws; "blocks": runs of ``length`` consecutive groups lose together, as when a
            sensor fails; "sites": all groups of a site lose together, as when a source never had the modality.
        seed: of the draws. group: (g,) ids, so that a group draws the same in any selection; default: its position.
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
    if kind not in KINDS:
        raise unknown("kind of missingness", kind, KINDS)
    rates = torch.as_tensor(rate, dtype=torch.float64).expand(there.shape[1])
    if not bool(((rates >= 0) & (rates <= 1)).all()):
        raise ModalignError(f"missing rates must lie in [0, 1], got {rates.tolist()}")
    if length < 1:
        raise ModalignError(f"a block needs at least one group, got {length}")
    u = _draws(len(there), there.shape[1], kind, seed, group, length, site)
    kept = there & (u >= rates)
    if keep_one:
        last = torch.where(there, u, -1.0).argmax(1)
        alone = there.any(1) & ~kept.any(1)
        kept[alone, last[alone]] = True
    return kept


def _draws(
    n: int, modalities: int, kind: str, seed: int, group: Tensor | None, length: int, site: Tensor | None
) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    where = torch.arange(n) if group is None else group.long()
    if len(where) != n or (n and int(where.min()) < 0):
        raise ModalignError(f"presence needs one id >= 0 for each of {n} groups, got {len(where)}")
    top = int(where.max()) + 1 if n else 0
    if kind == "random":
        return torch.rand(top, modalities, generator=g, dtype=torch.float64)[where]
    if kind == "blocks":
        unit = torch.arange(n) // length
    elif site is None:
        unit = torch.randint(10, (top,), generator=g)[where]
    else:
        unit = torch.unique(site, return_inverse=True)[1]
    units = int(unit.max()) + 1 if n else 0
    return torch.rand(units, modalities, generator=g, dtype=torch.float64)[unit]


def lose(x: Views, rate: Rate, kind: str = "random", seed: int = 0, how: str = "disjoint", length: int = 25) -> Views:
    """Training views of which each modality is lost at a rate.

    Args:
        x: views with group ids. rate: one for all modalities, or by name (others: 0).
        kind, seed, length: as in ``presence``.
        how: "disjoint": what is lost is nowhere; "hidden": the item stays, but nothing says what it belongs to.

    Raises:
        ModalignError: views with links, an unknown modality or ``how``.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(8), b=torch.eye(8))
        >>> gone, hidden = lose(x, 0.5), lose(x, 0.5, how="hidden")
        >>> len(gone["a"]) + len(gone["b"]) < 16, len(hidden["a"]), len(gone) == 8, len(hidden) > 8
        (True, 8, True, True)
    """
    if how not in ("disjoint", "hidden"):
        raise unknown("way to lose a modality", how, ("disjoint", "hidden"))
    if x.links:
        raise ModalignError("views with links cannot lose modalities: express the positives by group ids")
    rates = _rates(rate, x.modalities)
    ids = x.group_ids()
    there = torch.stack([torch.isin(ids, x.group[m].long()) for m in x.modalities], 1)
    kept = presence(there, rates, kind, seed, ids - ids.min() if len(ids) else ids, length)
    keeps = {m: torch.isin(x.group[m].long(), ids[kept[:, k]]) for k, m in enumerate(x.modalities)}
    if how == "disjoint":
        return x.select(keeps)
    span = int(ids.max()) + 1 - min(0, int(ids.min())) if len(ids) else 1
    group = {
        m: torch.where(keeps[m], x.group[m].long(), x.group[m].long() + (k + 1) * span) for k, m in enumerate(keeps)
    }
    return Views(x.data, group, None, x.row)


def _rates(rate: Rate, modalities: Sequence[str]) -> list[float]:
    if not isinstance(rate, Mapping):
        return [float(rate)] * len(modalities)
    for m in rate:
        if m not in modalities:
            raise unknown("modality", m, modalities)
    return [float(rate.get(m, 0.0)) for m in modalities]


def subsets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, the small ones first.

    Example:
        >>> subsets(["a", "b"])
        [('a',), ('b',), ('a', 'b')]
    """
    return [s for size in range(1, len(modalities) + 1) for s in combinations(modalities, size)]


def unbalanced(modalities: Sequence[str], rates: Sequence[float] = (0.3, 0.5, 0.7)) -> Iterator[dict[str, float]]:
    """Every way of dealing different rates to the modalities.

    Example:
        >>> list(unbalanced(["a", "b"], (0.3, 0.7)))
        [{'a': 0.3, 'b': 0.7}, {'a': 0.7, 'b': 0.3}]

    Raises:
        ModalignError: fewer rates than modalities.
    """
    if len(rates) < len(modalities):
        raise ModalignError(f"{len(modalities)} modalities need as many rates, got {list(rates)}")
    for order in permutations(rates, len(modalities)):
        yield dict(zip(modalities, order, strict=True))
