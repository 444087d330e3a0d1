"""What is wrong with the pairs, before anything is fitted: found, counted, said."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, few
from . import transport
from .choose import without
from .curved import spherical_means
from .linear import Sample

LEAST = 10  # links that anything can be said with
DOUBT = 0.05  # share of wrong links from which they are put aside
JUDGED = 30  # links below which a wrong one cannot be told from an odd one
PLACES = 20
ROWS = 1024  # of either model in the plans of the check


class Links(NamedTuple):
    """Row numbers of links (p, 2) old and new, and what was put aside with its count."""

    rows: Tensor
    aside: dict[str, int]


def usable(pairs: Tensor, old_rows: int, new_rows: int) -> Links:
    """Links inside both stores, each once, and no row of either side twice with different partners.

    Raises:
        ModalignError: a row number beyond a store, with both numbers.

    Example:
        >>> usable(torch.tensor([[0, 1], [0, 1], [2, 3], [2, 4]]), 5, 5)
        Links(rows=tensor([[0, 1]]), aside={'repeated': 1, 'contradictory': 2})
    """
    if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
        raise ModalignError(f"pairs must be whole numbers of shape (p, 2), got {pairs.dtype} of {tuple(pairs.shape)}")
    for side, (name, rows) in enumerate((("OLD", old_rows), ("NEW", new_rows))):
        beyond = pairs[(pairs[:, side] >= rows) | (pairs[:, side] < 0), side]
        if len(beyond):
            raise ModalignError(
                f"{len(beyond)} pairs name rows that {name} has not ({few(beyond.tolist())}): "
                f"its rows are 0 to {rows - 1}"
            )
    once = torch.unique(pairs, dim=0)
    alone = torch.ones(len(once), dtype=torch.bool)
    for side in (0, 1):
        _, where, count = torch.unique(once[:, side], return_inverse=True, return_counts=True)
        alone &= count[where] == 1
    aside = {"repeated": len(pairs) - len(once), "contradictory": int((~alone).sum())}
    return Links(once[alone], {k: v for k, v in aside.items() if v})


class Doubt(NamedTuple):
    """share: estimated share of wrong links. rows: (w,) links taken for wrong."""

    share: float
    rows: Tensor


def wrong_links(s: Sample, seed: int = 0) -> Doubt:
    """Links whose sides are no nearer to each other than strangers are, under a map that did not see them.

    In three parts: a map of the other two thirds takes x_i to f(x_i); the percentile of cos(f(x_i), y_i) among
    cos(f(x_i), y_j) is uniform for a wrong link and near 1 for a right one. Their share is 2 #(percentile < .5) / p, of
    which right links make up a little; taken for wrong are those below .9, where that share is above .05. A second pass
    fits without them.

    Args:
        s: unit rows.

    Reference: Storey 2002 (the share of the uniform part).
    """
    n = len(s.x)
    keep = torch.ones(n, dtype=torch.bool)
    if n < JUDGED:
        return Doubt(0.0, torch.empty(0, dtype=torch.long))
    for _ in range(2):
        percentile = _percentiles(s, keep, seed)
        share = min(1.0, 2.0 * float((percentile < 0.5).float().mean()))
        if share <= DOUBT:
            return Doubt(share, torch.empty(0, dtype=torch.long))
        keep = percentile >= 0.9
        if int(keep.sum()) < LEAST:
            break
    return Doubt(share, (~keep).nonzero().flatten())


def _percentiles(s: Sample, keep: Tensor, seed: int) -> Tensor:
    out = torch.empty(len(s.x))
    order = torch.randperm(len(s.x), generator=torch.Generator().manual_seed(seed))
    for held in order.chunk(3):
        rest = without(len(s.x), held)
        fit = transport.turn(s.linked(rest[keep[rest]]), seed, ROWS).adapter()
        likeness = normalize(fit(s.x[held]) - fit.bias, dim=1) @ normalize(s.y - s.more_y.mean(0), dim=1).T
        own = likeness.gather(1, held[:, None])
        out[held] = (likeness < own).float().mean(1) + 0.5 / len(s.x)
    return out


class Cover(NamedTuple):
    """How the links lie in the old model's store.

    label: (n,) place of each row of the sample. share: (k,) of the store in each place. links: (k,) in each place.
    bare: share of the store in places with far fewer links than a random draw would have there.
    """

    centres: Tensor
    mean: Tensor
    label: Tensor
    share: Tensor
    links: Tensor
    bare: float


def cover(store: Tensor, old: Tensor, seed: int = 0) -> Cover:
    """Places of the store by k-means, and the links in each.

    Bare is a place where 5 or more links would be expected and fewer than a fifth of them are.

    Args:
        store: (n, d) sample of the store. old: (p, d) the links' rows in it.
    """
    mean = normalize(store, dim=1).mean(0)
    rows = normalize(normalize(store, dim=1) - mean, dim=1)
    places = max(1, min(PLACES, len(old) // 10, len(store) // 5))
    centres = spherical_means(rows, places, seed)
    label = (rows @ centres.T).argmax(1)
    share = torch.bincount(label, minlength=places).float() / len(store)
    links = place_of(old, mean, centres).bincount(minlength=places)
    expected = share * len(old)
    bare = (expected >= 5) & (links < expected / 5)
    return Cover(centres, mean, label, share, links, float(share[bare].sum()))


def place_of(rows: Tensor, mean: Tensor, centres: Tensor) -> Tensor:
    """(n,) the nearest place of each row."""
    return (normalize(normalize(rows, dim=1) - mean, dim=1) @ centres.T).argmax(1)
