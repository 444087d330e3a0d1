"""Index arithmetic on group ids: joins, one item per group, groups from pairs. Never an n x m matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModalignError, few, unknown


def join(a: Tensor, b: Tensor) -> Tensor:
    """(p, 2) index pairs with a[i] == b[j], ordered by i then j; O((n + m) log m + p)."""
    order = torch.argsort(b, stable=True)
    ordered = b[order]
    a = a.contiguous()
    low = torch.searchsorted(ordered, a, side="left")
    count = torch.searchsorted(ordered, a, side="right") - low
    left = torch.repeat_interleave(torch.arange(len(a), device=a.device), count)
    first = torch.repeat_interleave(torch.cumsum(count, 0) - count, count)
    offset = torch.arange(len(left), device=a.device) - first
    return torch.stack([left, order[low[left] + offset]], 1)


def one_per_group(
    x: Tensor, where: Tensor, groups: int, pick: str, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """One row of x per group (zeros where a group has none) and which groups have one."""
    count = torch.bincount(where, minlength=groups)
    present = count > 0
    if pick == "mean":
        total = torch.zeros(groups, *x.shape[1:], dtype=x.dtype, device=x.device).index_add(0, where, x)
        shape = (-1,) + (1,) * (x.ndim - 1)
        return total / count.clamp(min=1).to(x.dtype).view(shape), present
    order = torch.argsort(where, stable=True)
    start = torch.cumsum(count, 0) - count
    if pick == "first":
        offset = torch.zeros_like(count)
    elif pick == "sample":
        draw = torch.rand(groups, generator=generator, dtype=torch.float64).to(x.device)
        offset = (draw * count).long()
    else:
        raise unknown("pick", pick, ["first", "sample", "mean"])
    out = torch.zeros(groups, *x.shape[1:], dtype=x.dtype, device=x.device)
    chosen = order[(start + offset)[present]]
    return out.index_put((present.nonzero().flatten(),), x[chosen]), present


def groups_of_pairs(pairs: Tensor, n: int, m: int, a: str, b: str) -> tuple[Tensor, Tensor]:
    """Group ids of two arrays from known pairs: connected items share a group, the rest are alone."""
    if pairs.numel() == 0:
        pairs = pairs.reshape(0, 2).long()
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ModalignError(f"pairs must have shape (p, 2), got {tuple(pairs.shape)}")
    if pairs.is_floating_point() or pairs.dtype == torch.bool:
        raise ModalignError(f"pairs must be integer row numbers, got {pairs.dtype}")
    pairs = pairs.long()
    for side, (name, size) in enumerate(((a, n), (b, m))):
        outside = ((pairs[:, side] < 0) | (pairs[:, side] >= size)).nonzero().flatten()
        if len(outside):
            rows = few(pairs[outside, side].tolist())
            raise ModalignError(f"pairs name rows {rows} of '{name}', which has {size} rows (numbered from 0)")
    # Every item's id shrinks to the least id it is connected to; as many rounds as the longest chain.
    ids = torch.arange(n + m)
    left, right = pairs[:, 0], pairs[:, 1] + n
    while True:
        low = torch.minimum(ids[left], ids[right])
        new = ids.scatter_reduce(0, left, low, "amin").scatter_reduce(0, right, low, "amin")
        if torch.equal(new, ids):
            break
        ids = new
    # Renumber: groups of pairs first, in order of appearance, then the items that are alone.
    linked = torch.zeros(n + m, dtype=torch.bool)
    linked[left] = linked[right] = True
    key = ids + (~linked) * (n + m)
    _, dense = torch.unique(key, return_inverse=True)
    return dense[:n], dense[n:]


def relink(link: Tensor, rows_a: Tensor, rows_b: Tensor) -> Tensor:
    """Links after a selection of rows: kept where both ends are kept, renumbered."""
    ends_a = join(link[0].long(), rows_a)  # (link, new row of a)
    ends_b = join(link[1].long(), rows_b)
    both = join(ends_a[:, 0], ends_b[:, 0])
    return torch.stack([ends_a[both[:, 0], 1], ends_b[both[:, 1], 1]])
