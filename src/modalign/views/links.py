"""Which groups are linked, and what becomes of views when links or modalities are lost or held out.

A group is *linked* where two modalities or more have items of it: something there is known to be the same thing.
"Hidden": items stay, but nothing says what they belong to. "Disjoint": what an item loses exists nowhere. Both leave
unpaired items, which transport and neighbourhoods learn from. Where ``Views.links`` replaces group equality, a group
is linked where one of its items has a partner, and a link goes with either of its ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..parameters import checked
from .checks import BLOCK, wanted_ids
from .groups import connected, unused
from .presence import by_group, presence
from .views import Views

Rate = float | Mapping[str, float]


@checked
def linked_groups(x: Views, pairs: int | None = None, seed: int = 0) -> Tensor:
    """The linked groups, or a random set of them, nested over budgets for one seed.

    Args:
        x: training views. Candidates are the groups that two modalities or more have.
        pairs: how many, 0 <= pairs <= candidates; None: all of them, ascending.
        seed: of the draw. Sets of one seed are nested: that of 100 pairs lies in that of 200.

    Returns:
        (pairs,) group ids.

    Raises:
        ModalignError: more pairs asked for than there are.

    Example:
        >>> chain = Views({m: torch.eye(2) for m in "abc"},
        ...               {"a": torch.tensor([0, 1]), "b": torch.tensor([1, 2]), "c": torch.tensor([2, 3])})
        >>> linked_groups(chain).tolist(), len(linked_groups(chain, 1))
        ([1, 2], 1)
    """
    if x.links:
        ways = permutations(x.modalities, 2)  # each may have links of its own
        ends = [(m, rows) for way in ways for m, rows in zip(way, x.paired(*way).T, strict=True)]
        whole = torch.unique(_joined([x.group[m][rows] for m, rows in ends]))
    elif in_step(x):
        whole = x.group[x.modalities[0]].long()
    else:
        ids, count = torch.unique(_joined([torch.unique(g) for g in x.group.values()]), return_counts=True)
        whole = ids[count > 1]
    if pairs is None:
        return whole
    if not 0 <= pairs <= len(whole):
        raise ModalignError(
            f"{pairs} pairs were asked for, but the training data have {len(whole)} linked groups "
            "(those that two modalities or more have)"
        )
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    return whole[order[:pairs]]


@checked
def in_step(x: Views) -> bool:
    """Whether row i of every modality, of two at least, is the same thing and no other row is, by ascending ids.

    Looked at in blocks: nothing as long as the rows is made.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(3), b=torch.eye(3))
        >>> in_step(x), in_step(x.groups([0, 2])), in_step(x.select({"a": torch.tensor([1, 0])}))
        (True, True, False)
    """
    if x.links or len(x.group) < 2:
        return False
    first, *others = x.group.values()
    if any(len(g) != len(first) for g in others):
        return False
    for start in range(0, len(first), BLOCK):
        ids = first[start : start + BLOCK + 1]
        if any(not bool((g[start : start + BLOCK + 1] == ids).all()) for g in others if g is not first):
            return False
        if not bool((ids[1:] > ids[:-1]).all()):
            return False
    return True


@checked
def hide_links(x: Views, keep: Tensor | Mapping[str, Tensor]) -> Views:
    """The same items, but only the groups in ``keep`` stay linked across modalities.

    In every other group, each modality's items get a group id of their own, so several captions of one unlinked
    photo still belong together, but to no photo.

    Args:
        keep: ids of groups, for all modalities or for each by name.

    Example:
        >>> x = Views({"a": torch.eye(2), "b": torch.eye(2)}, {"a": torch.arange(2), "b": torch.arange(2)})
        >>> {m: g.tolist() for m, g in hide_links(x, torch.tensor([1])).group.items()}
        {'a': [0, 1], 'b': [2, 1]}
    """
    stays = _rows_of(x, keep if isinstance(keep, Mapping) else dict.fromkeys(x.modalities, keep))
    own: dict[str, tuple[Tensor, Tensor]] = {}  # modality -> hidden groups, and where they lie among them
    for k, (m, g) in enumerate(x.group.items()):
        hidden = ~stays[m]
        if k == 0:  # nobody else uses the ids of the first modality's hidden groups, unless they keep theirs
            hidden &= torch.isin(g.long(), _joined([x.group[o][stays[o]] for o in x.modalities[1:]]))
        own[m] = hidden, torch.unique(g[hidden].long(), return_inverse=True)[1]
    free = unused(x.group_ids(), sum(len(g) for g in x.group.values()))
    group = {}
    for m, (hidden, place) in own.items():
        group[m] = x.group[m].long().index_put((hidden.nonzero().flatten(),), free + place)
        free += int(place.max()) + 1 if len(place) else 0
    links = {(a, b): v[:, stays[a][v[0]] & stays[b][v[1]]] for (a, b), v in (x.links or {}).items()}
    return replace(x, group=group, links=links or None)


@checked
def connected_groups(x: Views) -> dict[str, Tensor]:
    """Modality -> (n_m,) ids by which items are one group that positives connect, directly or over other items.

    Without links these are the group ids. With links, overlapping sets of candidates become one group, for what needs
    an equivalence: mixing, anchors.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(3), b=torch.eye(3))
        >>> x = replace(x, links={("a", "b"): torch.tensor([[0, 1], [1, 1]])})
        >>> {m: g.tolist() for m, g in connected_groups(x).items()}
        {'a': [0, 0, 2], 'b': [3, 0, 5]}
    """
    if not x.links:
        return {m: g.long() for m, g in x.group.items()}
    start, total = {}, 0
    for m, rows in x.data.items():
        start[m], total = total, total + len(rows)
    ways = permutations(x.modalities, 2)
    edges = [(rows := x.paired(a, b)) + rows.new_tensor([start[a], start[b]]) for a, b in ways]
    least = connected(total, *torch.cat(edges).T)
    return {m: least[start[m] : start[m] + len(rows)] for m, rows in x.data.items()}


@checked
def keep_items(x: Views, keep: Mapping[str, Tensor]) -> Views:
    """The items whose group is among the ids that their modality keeps; modalities that are not named stay whole.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(3), b=torch.eye(3))
        >>> {m: g.tolist() for m, g in keep_items(x, {"b": torch.tensor([0, 2])}).group.items()}
        {'a': [0, 1, 2], 'b': [0, 2]}
    """
    return x.select(_rows_of(x, keep))


@checked
def lose(x: Views, rate: Rate, kind: str = "random", seed: int = 0, how: str = "disjoint", length: int = 25) -> Views:
    """Training views of which each modality is lost at a rate; at random, by the ids of the groups (``presence``).

    Args:
        x: views with group ids. rate: one for all modalities, or by name (others: 0).
        kind, seed, length: as in ``presence``.
        how: "disjoint": what is lost is nowhere; "hidden": the item stays, but nothing says what it belongs to.

    Raises:
        ModalignError: an unknown modality or ``how``.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(8), b=torch.eye(8))
        >>> gone, hidden = lose(x, 0.5), lose(x, 0.5, how="hidden")
        >>> len(gone["a"]) + len(gone["b"]) < 16, len(hidden["a"]), len(gone) == 8, len(hidden) > 8
        (True, 8, True, True)
    """
    check_known("way to lose a modality", how, ("disjoint", "hidden"))
    ids = x.group_ids()
    there = torch.stack([torch.isin(ids, g.long()) for g in x.group.values()], 1)
    kept = presence(there, _rates(rate, x.modalities), kind, seed, ids, length)
    keep = {m: ids[kept[:, k]] for k, m in enumerate(x.modalities)}
    return keep_items(x, keep) if how == "disjoint" else hide_links(x, keep)


@checked
def queries_present(x: Views, target: str, rate: float, seed: int) -> Views:
    """Views whose query modalities lose items at a rate; where all would be lost the first query modality stays.

    Args:
        x: views. target: modality that composed queries search, which loses nothing. rate: in [0, 1]. seed: of losses.

    Example:
        >>> x = Views.from_arrays(image=torch.eye(100), text=torch.eye(100), tags=torch.eye(100))
        >>> asked = queries_present(x, "image", 0.5, seed=0)
        >>> len(asked["image"]), len(asked["text"]) < 100, len(asked.group_ids())
        (100, True, 100)
    """
    if not rate:
        return x
    queries = [m for m in x.modalities if m != target]
    ids = x.group_ids()
    draw = by_group(ids, len(queries), 4000 + seed)
    have = torch.stack([torch.isin(ids, x.group[m].long()) for m in queries], 1)
    keep = have & (draw >= rate)
    first = have.long().argmax(1)
    keep[torch.arange(len(ids), device=ids.device), first] |= ~keep.any(1) & have.any(1)
    return keep_items(x, {m: ids[keep[:, k]] for k, m in enumerate(queries)})


@checked
def hold_out(x: Views, share: float = 0.2, seed: int = 0, least: int = 1) -> tuple[Views, Views]:
    """Split off linked groups as dev views; the rest, with all unlinked items, is for training.

    Groups that links connect stay together, so that no link is lost, as far as such sets fit into the share. Where they
    fill less than half of it, single groups of larger sets follow, whose links to groups on the other side are lost.

    Args:
        x: training views.
        share: of the linked groups that go to dev.
        seed: of the draw.
        least: groups to hold out at least.

    Returns:
        the rest, and the dev views.

    Raises:
        ModalignError: fewer than two linked groups.

    Example:
        >>> rest, dev = hold_out(Views.from_arrays(a=torch.eye(10), b=torch.eye(10)), share=0.2)
        >>> len(rest), len(dev)
        (8, 2)
    """
    dev = held_out(x, share, seed, least)
    kept = x.group_ids()
    return x.groups(kept[~torch.isin(kept, dev)]), x.groups(dev)


@checked
def held_out(x: Views, share: float = 0.2, seed: int = 0, least: int = 1) -> Tensor:
    """The groups that `hold_out` takes for dev.

    Raises:
        ModalignError: fewer than two linked groups.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(10), b=torch.eye(10))
        >>> held_out(x).sort().values.equal(hold_out(x)[1].group_ids())
        True
    """
    linked = linked_groups(x)
    if len(linked) < 2:
        raise ModalignError(
            f"the views have {len(linked)} linked groups: at least 2 are needed to hold some out; give dev views"
        )
    count = min(max(least, round(share * len(linked))), len(linked) - 1)
    order = torch.randperm(len(linked), generator=torch.Generator().manual_seed(seed))
    return linked[order[:count] if not x.links else _together(x, linked, order, count, least)]


def _together(x: Views, linked: Tensor, order: Tensor, count: int, least: int) -> Tensor:
    """The first places of an order of linked groups, about as many as ``count``, with those that links connect."""
    ends = [(x.group[a][rows[:, 0]], x.group[b][rows[:, 1]]) for a, b in x.pairs() for rows in _both_ways(x, a, b)]
    left, right = (torch.searchsorted(linked, torch.cat(side).long()) for side in zip(*ends, strict=True))
    part = connected(len(linked), left, right).to(order)
    size = torch.bincount(part).tolist()
    taken, kept = 0, torch.zeros(len(size), dtype=torch.bool)
    for number in dict.fromkeys(part[order].tolist()):
        if taken + size[number] <= count or (not taken and 2 * size[number] <= len(linked)):
            kept[number], taken = True, taken + size[number]
    whole = kept[part[order]]
    fill = count - taken if 2 * taken < count or taken < least else 0
    return torch.cat([order[whole], order[~whole][:fill]])


def _both_ways(x: Views, a: str, b: str) -> tuple[Tensor, Tensor]:
    """Positive pairs of a and b by the links of either direction."""
    return x.paired(a, b), x.paired(b, a).flip(1)


def _rows_of(x: Views, keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Modality -> (n_m,) bool: which items have a group that is kept."""
    for m in keep:
        x[m]
    return {m: torch.isin(x.group[m].long(), wanted_ids(ids).to(x.group[m].device)) for m, ids in keep.items()}


def _joined(ids: Sequence[Tensor]) -> Tensor:
    return torch.cat([g.long() for g in ids]) if ids else torch.empty(0, dtype=torch.long)


def _rates(rate: Rate, modalities: Sequence[str]) -> list[float]:
    if not isinstance(rate, Mapping):
        return [float(rate)] * len(modalities)
    for m in rate:
        check_known("modality", m, modalities)
    return [float(rate.get(m, 0.0)) for m in modalities]
