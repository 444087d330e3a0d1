"""Noise on features, and damage before the encoder: corrupted pictures, misspelt captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from ...errors import ModalignError
from ...metrics.mean_recall import recalls
from ...metrics.ranking import find_all
from ...metrics.score import Score
from ...model import Heads
from ...views import Views
from ..curves import Curve, curve
from ..noise import RATIOS, add_noise


def directions(z: Views, pairs: Sequence[tuple[str, str]] | None = None) -> list[tuple[str, str]]:
    """Ordered (query, gallery) modalities that share groups: those of ``pairs`` both ways, default all.

    Raises:
        ModalignError: there is none.
    """
    wanted = [d for a, b in (pairs or z.pairs()) for d in ((a, b), (b, a))]
    found = [(a, b) for a, b in wanted if len(z.paired(a, b))]
    if not found:
        raise ModalignError("no two modalities of the test items share groups: there is nothing to retrieve")
    return found


def found_between(z: Views, ways: Sequence[tuple[str, str]]) -> list[Score]:
    """Recall@k of every direction."""
    return recalls(find_all(z, ways).values())


def noise_curves(
    heads: Heads, test: Views, train: Views | None = None, ratios: Sequence[float] = RATIOS, seed: int = 0
) -> dict[str, Curve]:
    """Mean recall both ways with Gaussian noise on the features, against the ratio of noise to signal.

    Args:
        heads: trained. test: features. train: gives the size of the signal; default test.
        ratios: ascending, from 0. seed: of noise and intervals.

    Returns:
        "all" (every modality noisy) and each modality's name (only that one) -> curve.

    Example:
        >>> from modalign.data.synthetic import generate
        >>> from modalign.registry import make
        >>> x = generate(300, shared=10, unique=2).views
        >>> heads = make("method", "cca", ridge=0.1).fit(x.groups(range(200)))
        >>> found = noise_curves(heads, x.groups(range(200, 300)), ratios=(0.0, 1.0, 3.0))
        >>> list(found), [round(s.value, 1) for s in found["all"].scores][0] > found["all"].scores[-1].value
        (['all', 'a', 'b'], True)
    """
    ways = directions(test)
    clean = heads.embed(test)
    noisy = []
    for ratio in ratios:
        data = {}
        for k, (m, x) in enumerate(test.data.items()):
            reference = None if train is None or m not in train else train[m]
            data[m] = heads.transform(add_noise(x.float(), ratio, reference, seed + k), m)
        noisy.append(data)
    out = {}
    for which in ("all", *test.modalities):
        views = [replace(clean, data={m: data[m] if which in ("all", m) else clean[m] for m in data}) for data in noisy]
        out[which] = curve(ratios, [found_between(v, ways) for v in views], seed)
    return out


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
