"""What a text encoder makes of texts before it computes: which it cuts, which it cannot read, which it reads alike."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import few
from .encoders.base import Encoder, Tokenised

VOIDS = ("nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "NA", "undefined")
SHORT = 64
"""Characters up to which no encoder cuts a text; a short one of plain letters need not be looked at."""


def remarks(texts: Sequence[str], encoder: Encoder) -> list[str]:
    """Lines on texts that an encoder does not read as they are: how many, at how many tokens, the first of them.

    Counted are different texts that are longer than what the encoder takes, that hold no token which it knows, and that
    become the same tokens as another one, so that one vector stands for several (upper case and white space aside);
    and texts such as "nan", which programs write for nothing and which are read as words.

    Args:
        encoder: one that has ``tokenise``; of any other only the texts themselves are known.

    Example:
        >>> from modalign.features.encoders.text import MiniLM
        >>> remarks(["a dog", "woof " * 300], MiniLM())[0].partition(":")[0]
        '1 text is longer than the 256 tokens that are read, and was cut'
    """
    tokenise = getattr(encoder, "tokenise", None)
    distinct = {" ".join(t.casefold().split()): t for t in texts if len(t) > SHORT or not t.isascii()}
    names = list(distinct.values())
    read: Tokenised | None = tokenise(names) if tokenise is not None and names else None
    return [*_voids(texts), *([] if read is None else _lines(names, read))]


def _voids(texts: Sequence[str]) -> list[str]:
    """The remark on words that stand for nothing."""
    found = [t for t in texts if t.strip() in VOIDS]
    said = f"{_count(found, 'reads', 'read')} as a word what programs write for nothing: {_named(found)}"
    return [said] if found else []


def _lines(texts: Sequence[str], read: Tokenised) -> list[str]:
    """The three remarks, those that apply."""
    cut = [t for t, ids in zip(texts, read.ids, strict=True) if read.longest is not None and len(ids) > read.longest]
    blind = []
    alike: dict[tuple[int, ...], list[str]] = {}
    for text, ids in zip(texts, read.ids, strict=True):
        words = [i for i in ids if i not in read.special]
        if words and read.unknown.issuperset(words):
            blind.append(text)
        alike.setdefault(tuple(ids[: read.longest] if read.longest is not None else ids), []).append(text)
    shared = [group for group in alike.values() if len(group) > 1]
    out = []
    if cut:
        out.append(f"{_count(cut, 'is', 'are')} longer than the {read.longest} tokens that are read, and "
                   f"{'was' if len(cut) == 1 else 'were'} cut: {_named(cut)}")  # fmt: skip
    if blind:
        out.append(f"{_count(blind, 'holds', 'hold')} no word that the encoder knows: {_named(blind)}")
    if shared:
        total = sum(map(len, shared))
        out.append(f"{total:,} different texts are read alike, as {len(shared):,}: {_named([g[0] for g in shared])}")
    return out


def _count(texts: Sequence[str], one: str, many: str) -> str:
    return f"1 text {one}" if len(texts) == 1 else f"{len(texts):,} texts {many}"


def _named(texts: Sequence[str]) -> str:
    return few((f'"{t[:40]}..."' if len(t) > 43 else f'"{t}"' for t in texts), 3)
