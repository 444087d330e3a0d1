"""Index arithmetic on group ids: joins, one item per group, groups from pairs. Never an n x m matrix.

Ids may be any 64-bit integers: nothing here is as long as an id is large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError, few, unknown
from ..parameters import checked

SPARSE = 1 << 22  # numbers by id in a table: 4 million rows, so that ids that count items keep theirs
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


@checked
def join(a: Tensor, b: Tensor) -> Tensor:
    """(p, 2) index pairs with a[i] == b[j], ordered by i then j; O((n + m) log m + p).

    Example:
        >>> join(torch.tensor([7, 8]), torch.tensor([8, 7, 8])).tolist()
        [[0, 1], [1, 0], [1, 2]]
    """
    order = torch.argsort(b, stable=True)
    ordered = b[order]
    a = a.contiguous()
    low = torch.searchsorted(ordered, a, side="left")
    count = torch.searchsorted(ordered, a, side="right") - low
    left = torch.repeat_interleave(torch.arange(len(a), device=a.device), count)
    first = torch.repeat_interleave(torch.cumsum(count, 0) - count, count)
    offset = torch.arange(len(left), device=a.device) - first
    return torch.stack([left, order[low[left] + offset]], 1)


@checked
def one_per_group(
    x: Tensor, where: Tensor, groups: int, pick: str, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """One row of x per group (zeros where a group has none) and which groups have one.

    Args:
        x: (n, ...) rows. where: (n,) place of each row's group, 0 <= where < groups.
        pick: of a group's rows the "first", one "sample" (uniform, from ``generator``) or their "mean".

    Returns:
        (groups, ...) rows and (groups,) bool.

    Raises:
        ModalignError: unknown pick.

    Example:
        >>> one_per_group(torch.tensor([[1.0], [3.0]]), torch.tensor([2, 2]), 3, "mean", None)[0].flatten().tolist()
        [0.0, 0.0, 2.0]
    """
    count = torch.bincount(where, minlength=groups)
    present = count > 0
    if pick == "mean":
        wide = torch.promote_types(x.dtype, torch.float32)  # half precision overflows in sums, and loses digits
        total = torch.zeros(groups, *x.shape[1:], dtype=wide, device=x.device).index_add(0, where, x.to(wide))
        mean = total / count.clamp(min=1).view((-1,) + (1,) * (x.ndim - 1))
        return mean.to(x.dtype) if x.is_floating_point() else mean, present
    order = torch.argsort(where, stable=True)
    start = torch.cumsum(count, 0) - count
    if pick == "first":
        offset = torch.zeros_like(count)
    elif pick == "sample":
        draw = torch.rand(groups, generator=generator, dtype=torch.float64, device="cpu").to(x.device)
        offset = (draw * count).long()
    else:
        raise unknown("pick", pick, ["first", "sample", "mean"])
    out = torch.zeros(groups, *x.shape[1:], dtype=x.dtype, device=x.device)
    chosen = order[(start + offset)[present]]
    return out.index_put((present.nonzero().flatten(),), x[chosen]), present


@checked
def pair_table(pairs: Any) -> Tensor:
    """Known pairs as people hold them as a tensor, of whatever shape: arrays, data frames, lists, zips, sets.

    Raises:
        ModalignError: words, paths, mappings, rows of unequal lengths, what is no number.

    Example:
        >>> pair_table(zip([0, 1], [2, 3])).tolist()
        [[0, 2], [1, 3]]
    """
    if isinstance(pairs, Tensor):
        return pairs
    if isinstance(pairs, Mapping):
        raise ModalignError(f"pairs must be (p, 2) row numbers, got a {type(pairs).__name__}: give list(pairs.items())")
    if not hasattr(pairs, "__array__"):
        if not isinstance(pairs, Iterable) or isinstance(pairs, str | bytes):
            raise ModalignError(f"pairs must be (p, 2) row numbers, got {pairs!r}: read a file of them first")
        pairs = list(pairs)
    try:
        table = np.array(pairs)  # a copy: a data frame shares its memory read-only
    except ValueError:
        raise ModalignError("pairs must be (p, 2) row numbers, got rows of unequal lengths") from None
    if table.dtype == object and all(isinstance(v, int | np.integer) for v in table.flat):
        table = table.astype(np.int64)
    if table.dtype.kind not in "biuf":
        words = any(isinstance(v, str) for v in table.flat)
        how = ": find each id's row first, for example by pandas.Index(ids).get_indexer(column)" if words else ""
        raise ModalignError(f"pairs must be (p, 2) row numbers, got an array of {table.dtype}{how}")
    return torch.from_numpy(table.astype(table.dtype.newbyteorder("="), copy=False))


def row_pairs(pairs: Any) -> Tensor:
    """Known pairs as (p, 2) whole row numbers.

    Raises:
        ModalignError: another shape or kind, and what `pair_table` refuses.

    Example:
        >>> row_pairs([]).shape
        torch.Size([0, 2])
    """
    table = pair_table(pairs)
    if table.numel() == 0:
        return table.reshape(0, 2).long()
    if table.ndim != 2 or table.shape[1] != 2:
        raise ModalignError(f"pairs must have shape (p, 2), got {tuple(table.shape)}")
    if table.is_floating_point() or table.dtype == torch.bool:
        raise ModalignError(f"pairs must be integer row numbers, got {table.dtype}")
    return table.long()


def turned(header: Sequence[str], sides: Sequence[str]) -> bool:
    """Whether column names stand in the other order than the sides that they name.

    Example:
        >>> turned(["Caption id", "photo"], ["photo", "caption"]), turned(["x", "y"], ["photo", "caption"])
        (True, False)
    """
    (x, y), (a, b) = (tuple(word.lower() for word in words) for words in (header, sides))

    def names(column: str, side: str, other: str) -> bool:
        return column == side or (len(side) > 2 and side in column and other not in column)

    return names(x, b, a) and names(y, a, b)


@checked
def groups_of_pairs(pairs: Any, n: int, m: int, a: str, b: str) -> tuple[Tensor, Tensor]:
    """Group ids of two arrays from known pairs: connected items share a group, the rest are alone.

    Args:
        pairs: (p, 2) row numbers, may be empty, as `row_pairs` takes them.
        n, m: rows of the arrays. a, b: their names, for messages.

    Raises:
        ModalignError: pairs of another shape or kind, or of rows that are not there.

    Example:
        >>> [ids.tolist() for ids in groups_of_pairs(torch.tensor([[0, 1]]), 2, 3, "a", "b")]
        [[0, 1], [2, 0, 3]]
    """
    pairs = row_pairs(pairs)
    for side, (name, size) in enumerate(((a, n), (b, m))):
        outside = ((pairs[:, side] < 0) | (pairs[:, side] >= size)).nonzero().flatten()
        if len(outside):
            rows = few(pairs[outside, side].tolist())
            raise ModalignError(f"pairs name rows {rows} of '{name}', which has {size} rows (numbered from 0)")
    left, right = pairs[:, 0], pairs[:, 1] + n
    ids = connected(n + m, left, right)
    # Renumber: groups of pairs first, in order of appearance, then the items that are alone.
    linked = torch.zeros(n + m, dtype=torch.bool, device=pairs.device)
    linked[left] = linked[right] = True
    key = ids + (~linked) * (n + m)
    _, dense = torch.unique(key, return_inverse=True)
    return dense[:n], dense[n:]


@checked
def connected(n: int, left: Tensor, right: Tensor) -> Tensor:
    """(n,) the least number that each of n things is connected to by the edges left[i] - right[i].

    Example:
        >>> connected(5, torch.tensor([3, 1]), torch.tensor([1, 4])).tolist()
        [0, 1, 2, 1, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((torch.ones(len(left)).numpy(), (left.cpu().numpy(), right.cpu().numpy())), (n, n))
    label = torch.from_numpy(connected_components(edges, directed=False)[1]).to(left)
    things = torch.arange(n, device=left.device)
    return torch.full_like(things, n).scatter_reduce(0, label, things, "amin")[label]


@checked
def relink(link: Tensor, rows_a: Tensor, rows_b: Tensor) -> Tensor:
    """Links after a selection of rows: kept where both ends are kept, renumbered.

    Args:
        link: (2, p) row numbers. rows_a, rows_b: the rows that were selected, in their new order.

    Example:
        >>> relink(torch.tensor([[0, 1], [5, 6]]), torch.tensor([1]), torch.tensor([4, 6])).tolist()
        [[0], [1]]
    """
    ends_a = join(link[0].long(), rows_a)  # (link, new row of a)
    ends_b = join(link[1].long(), rows_b)
    both = join(ends_a[:, 0], ends_b[:, 0])
    return torch.stack([ends_a[both[:, 0], 1], ends_b[both[:, 1], 1]])


@checked
def places(ids: Tensor) -> Tensor:
    """(n,) small numbers >= 0 that stand for ids, for draws by id: the ids while those are small, else ranks.

    Small ids (row numbers, COCO's image ids) keep their number in every selection, so that a group draws the same
    among few as among many; ids such as k x 10^15 are ranked among those given.

    Example:
        >>> places(torch.tensor([7, 9])).tolist(), places(torch.tensor([2 * 10**15, -(1 << 62)])).tolist()
        ([7, 9], [1, 0])
    """
    ids = ids.long()
    if not len(ids) or (int(ids.min()) >= 0 and int(ids.max()) < SPARSE):
        return ids
    return torch.unique(ids, return_inverse=True)[1]


@checked
def unused(ids: Tensor, count: int) -> int:
    """The first of ``count`` successive integers that are not among the ids: above all of them, else below.

    Raises:
        ModalignError: ids that leave no room on either side.

    Example:
        >>> unused(torch.tensor([3, 8]), 2), unused(torch.tensor([5, (1 << 63) - 1]), 2)
        (9, 3)
    """
    low, high = (int(ids.min()), int(ids.max())) if len(ids) else (0, -1)
    if high + count <= HIGHEST:
        return max(high, -1) + 1
    if low - count >= LOWEST:
        return low - count
    raise ModalignError("the group ids reach both ends of the 64-bit integers: number the groups anew, from 0")
