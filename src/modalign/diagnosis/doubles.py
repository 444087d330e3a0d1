"""Captions and files that stand for several things: false negatives within a split, leaks across splits."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from ..data.leakage import leakage, level
from ..data.manifest import Manifest
from ..errors import few

SHOWN = 3


def doubles(manifest: Manifest, near: bool = True) -> list[str]:
    """What a data set holds more than once, in words: one line per kind, nothing where all is single.

    Captions that belong to several groups are negatives of each other that are none: a search for one finds the other,
    and is counted wrong. Captions that differ in numbers, punctuation and the order of words alone are nearly the same.
    Across splits both tell the test what training has seen, as do equal and nearly equal files.

    Args:
        manifest: rows with groups and splits. near: also compare how pictures look (decodes each once, small).

    Returns:
        Lines for people.

    Example:
        >>> rows = [{"group": g, "modality": "text", "text": t} for g, t in enumerate(["Star 1.", "A star", "Star 2"])]
        >>> doubles(Manifest.from_rows(rows))
        ["near-duplicate captions: 2 of 3 groups share one with others in all but numbers and order: 2 'star'"]
    """
    found = [*_captions(manifest, level, "equal captions", "share one with others"),
             *_captions(manifest, bare, "near-duplicate captions",
                        "share one with others in all but numbers and order")]  # fmt: skip
    across = leakage(manifest, near=near)
    told = zip(across.across().values(), across.lines(), strict=False)
    return [*found, *(f"across splits: {line}" for sets, line in told if sets)]


def bare(text: str) -> str:
    """The words of a caption in alphabetical order, without numbers and punctuation.

    Example:
        >>> bare("Flower, red (2)")
        'flower red'
    """
    words = re.findall(r"[^\W\d_]+", level(text))
    return " ".join(sorted(words)) or level(text)


def _captions(manifest: Manifest, key: object, kind: str, how: str) -> Iterable[str]:
    """The line of one kind of equality, where it says more than plain equality does."""
    groups: dict[str, set[int]] = defaultdict(set)
    forms: dict[str, set[str]] = defaultdict(set)
    everyone: set[int] = set()
    for text, group in zip(manifest.text, manifest.group.tolist(), strict=True):
        if text is not None:
            shared = key(text)  # type: ignore[operator]
            groups[shared].add(group)
            forms[shared].add(level(text))
            everyone.add(group)
    several = {t: g for t, g in groups.items() if len(g) > 1 and (key is level or len(forms[t]) > 1)}
    if several:
        counts = Counter({t: len(g) for t, g in several.items()})
        shown = few((f"{n} '{t[:60]}'" for t, n in counts.most_common()), SHOWN)
        yield f"{kind}: {len(set().union(*several.values())):,} of {len(everyone):,} groups {how}: {shown}"
