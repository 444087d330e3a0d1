"""Topics of the built-in pictograms, for classifiers without other people's data.

Unicode lays emoji of one topic side by side. These are the stretches that hold one topic; emoji elsewhere have none.
"""

from __future__ import annotations

from ..data.manifest import Manifest

#: topic -> stretches of code points, both ends inside.
STRETCHES: dict[str, tuple[tuple[int, int], ...]] = {
    "face": ((0x1F600, 0x1F644), (0x1F910, 0x1F917), (0x1F920, 0x1F925), (0x1F927, 0x1F92F), (0x1F970, 0x1F976),
             (0x1FAE0, 0x1FAEA)),
    "person": ((0x1F466, 0x1F478), (0x1F481, 0x1F482), (0x1F486, 0x1F487), (0x1F645, 0x1F647), (0x1F64B, 0x1F64E),
               (0x1F9D1, 0x1F9DF)),
    "hand": ((0x1F446, 0x1F44F), (0x1F590, 0x1F596), (0x1F918, 0x1F91F), (0x1FAF0, 0x1FAF8)),
    "animal": ((0x1F400, 0x1F43F), (0x1F980, 0x1F9AE)),
    "plant": ((0x1F331, 0x1F335), (0x1F337, 0x1F33C), (0x1F33E, 0x1F343)),
    "food": ((0x1F32D, 0x1F330), (0x1F345, 0x1F37F), (0x1F950, 0x1F96F), (0x1F9C0, 0x1F9CB), (0x1FAD0, 0x1FAD5)),
    "sky": ((0x1F308, 0x1F308), (0x1F311, 0x1F320), (0x1F324, 0x1F32C), (0x2600, 0x2604), (0x26C4, 0x26C8)),
    "clothes": ((0x1F451, 0x1F462), (0x1F97B, 0x1F97F), (0x1F9E2, 0x1F9E6)),
    "place": ((0x1F3D4, 0x1F3ED), (0x1F3EF, 0x1F3F0), (0x1F5FB, 0x1F5FE)),
    "vehicle": ((0x1F680, 0x1F6A2), (0x1F6F3, 0x1F6FC)),
    "sport": ((0x1F3BD, 0x1F3C2), (0x1F3C4, 0x1F3C6), (0x1F3C8, 0x1F3CC), (0x1F3CF, 0x1F3D3),
              (0x1F93A, 0x1F93E), (0x1F94A, 0x1F94F)),
    "heart": ((0x1F493, 0x1F49F), (0x1F90D, 0x1F90E), (0x1FA75, 0x1FA77)),
    "zodiac": ((0x2648, 0x2653),),
    "office": ((0x1F4B0, 0x1F4B9), (0x1F4BB, 0x1F4F8),),
    "music": ((0x1F3B5, 0x1F3BC), (0x1FA95, 0x1FA95), (0x1FA97, 0x1FA98)),
}  # fmt: skip


def topic(emoji: str) -> str | None:
    """Topic of an emoji by its first code point, or None.

    Example:
        >>> topic("🦊"), topic("🍕"), topic("©")
        ('animal', 'food', None)
    """
    point = ord(emoji[0])
    return next((name for name, parts in STRETCHES.items() if any(a <= point <= b for a, b in parts)), None)


def pictogram_topics(manifest: Manifest) -> dict[int, str]:
    """Group -> topic of the pictograms of ``openmoji()`` that have one: labels for ``evaluate_transfer``."""
    emoji = manifest.extra["emoji"]
    found = {int(g): topic(e) for g, e in zip(manifest.group, emoji, strict=True)}
    return {group: name for group, name in found.items() if name is not None}
