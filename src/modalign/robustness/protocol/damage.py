"""Damage before the encoder: corrupted pictures, misspelt captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from ...errors import ModalignError
from ...model import Heads
from ...views import Views
from ..curves import Curve, curve
from .noises import directions, found_between


def damaged_curves(
    heads: Heads,
    test: Views,
    modality: str,
    damaged: Mapping[str, Sequence[Tensor]],
    families: Mapping[str, Sequence[str]] | None = None,
    severities: Sequence[int] = (0, 1, 2, 3, 4, 5),
    seed: int = 0,
) -> dict[str, Curve]:
    """Mean recall both ways against the severity of damage that was done to one modality before its encoder.

    Args:
        heads: trained. test: features.
        modality: the damaged one; directions without it are left out.
        damaged: kind of damage -> features (n, width) at each severity, in the order of test[modality]; for example of
            ``corruptions.corrupt`` pictures, encoded again.
        families: name -> kinds; default: each kind is its own. severities: ascending from 0. seed: of intervals.

    Returns:
        "all" and each family -> curve of the mean over its kinds.

    Raises:
        ModalignError: features of another shape or number than the test items', or nothing to retrieve.

    Example:
        >>> from modalign.data.synthetic import generate
        >>> from modalign.registry import make
        >>> x = generate(100, shared=10, unique=2).views
        >>> heads = make("method", "cca", ridge=0.1).fit(x)
        >>> found = damaged_curves(heads, x, "a", {"rolled": [x["a"], x["a"].roll(1, 0)]}, severities=(0, 1))
        >>> list(found), found["all"].scores[0].value > found["all"].scores[1].value
        (['all', 'rolled'], True)
    """
    between = [p for p in test.pairs() if modality in p]
    if not between or not damaged:
        raise ModalignError(f"damage to '{modality}' needs a kind of damage and another modality to find it by")
    ways = directions(test, between)
    found = {}
    for kind, levels in damaged.items():
        shapes = {tuple(x.shape) for x in levels}
        if len(levels) != len(severities) or shapes != {tuple(test[modality].shape)}:
            raise ModalignError(
                f"'{kind}' of '{modality}' has features of {sorted(shapes)} at {len(levels)} severities, "
                f"the test items {tuple(test[modality].shape)} at {len(severities)}"
            )
        views = [replace(test, data={**test.data, modality: x}) for x in levels]
        found[kind] = [found_between(heads.embed(v), ways) for v in views]
    at = [float(s) for s in severities]
    members = {"all": list(found)} | dict(families or {kind: [kind] for kind in found})
    return {
        name: curve(at, [[h for kind in kinds for h in found[kind][s]] for s in range(len(at))], seed)
        for name, kinds in members.items()
    }
