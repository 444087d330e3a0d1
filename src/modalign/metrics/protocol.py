"""Protocols that papers quote: how many groups compete, in how many folds, with how many items each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Views
from .crossed import Spread
from .score import UNITS, Metric, Score


@dataclass(frozen=True)
class Protocol:
    """A test set cut into folds.

    Args:
        groups: groups of a fold. folds: how many, one after another in the order of the data set.
        each: the first so many items of a group and modality take part.
    """

    groups: int
    folds: int
    each: int


#: Karpathy's 5,000 test photos with five captions each: whole, or as five folds of 1,000 (Karpathy & Fei-Fei 2015).
PROTOCOLS = {"coco-1k": Protocol(1000, 5, 5), "coco-5k": Protocol(5000, 1, 5)}


def folds(z: Views, protocol: Protocol, name: str = "the protocol") -> list[Views]:
    """The folds of a protocol: consecutive groups, in the order in which the first modality has them.

    Args:
        z: views of which every modality takes part; groups that one of them lacks do not.
        protocol: how to cut. name: for the message.

    Raises:
        ModalignError: the number of groups is not the protocol's.

    Example:
        >>> z = Views.from_arrays(a=torch.eye(6), b=torch.eye(6))
        >>> [part.group["a"].tolist() for part in folds(z, Protocol(3, 2, 1))]
        [[0, 1, 2], [3, 4, 5]]
    """
    names = z.modalities
    ids = list(dict.fromkeys(z.group[names[0]].tolist())) if names else []
    common = set(ids).intersection(*(set(z.group[m].tolist()) for m in names))
    ids = [g for g in ids if g in common]
    wanted = protocol.groups * protocol.folds
    if len(ids) != wanted:
        raise ModalignError(
            f"{name} needs {wanted} groups that every modality has ({protocol.folds} times {protocol.groups}), "
            f"got {len(ids)}"
        )
    few = z.select({m: _place(z.group[m]) < protocol.each for m in names})
    cuts = range(0, wanted, protocol.groups)
    return [few.groups(torch.tensor(ids[start : start + protocol.groups])) for start in cuts]


def _place(group: Tensor) -> Tensor:
    """(n,) how many earlier items each item's group has."""
    order = group.argsort(stable=True)
    ordered = group[order]
    start = torch.searchsorted(ordered, ordered)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=group.device) - start
    return place


def in_folds(metric: Metric, parts: Sequence[Views]) -> dict[str, Score]:
    """A metric's scores over folds: of all items together, or for metrics of whole sets the mean over folds.

    Every item is ranked within its own fold; of equal folds the mean over items is the mean over folds. Medians are of
    all items. Set metrics carry Student's interval of the mean over folds. A score that some fold lacks is left out.

    Example:
        >>> from .recall import Retrieval
        >>> z = Views.from_arrays(a=torch.eye(6), b=torch.eye(6))
        >>> in_folds(Retrieval(), folds(z, Protocol(3, 2, 1)))["recall/a->b/any@1"].chance == 1 / 3
        True
    """
    found = [metric(part) for part in parts]
    names = [name for name in found[0] if all(name in scores for scores in found)] if found else []
    return {name: _together([scores[name] for scores in found]) for name in names}


def _together(scores: Sequence[Score]) -> Score:
    if len(scores) == 1:
        return scores[0]
    known = [s.chance for s in scores if s.chance is not None]
    chance = sum(known) / len(known) if len(known) == len(scores) else None
    skipped = sum(s.skipped for s in scores)
    values = [s.per_item for s in scores if s.per_item is not None]
    if len(values) == len(scores):
        items = torch.cat(values)
        groups = [s.group for s in scores if s.group is not None]
        value = float(items.median() if scores[0].statistic == "median" else items.double().mean())
        group = torch.cat(groups) if len(groups) == len(scores) else None
        return replace(scores[0], value=value, per_item=items, group=group, chance=chance, skipped=skipped)
    each = torch.tensor([s.value for s in scores], dtype=torch.float64)
    value, error = float(each.mean()), float(each.std()) / len(each) ** 0.5
    unit = UNITS[scores[0].unit]  # beyond its range no truth can lie
    low, high = (min(max(end, unit.low), unit.high) for end in Spread(error, len(each) - 1.0).interval(value))
    return replace(scores[0], value=value, low=low, high=high, chance=chance, skipped=skipped)
