"""Timed speech of a video as segments: cleaned, rolling captions undone, short ones lengthened, neighbours found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ..errors import unknown

Rolling = Literal["trim", "merge", "keep"]
Short = Literal["widen", "merge"]


class Segment(NamedTuple):
    """Words spoken from start to end, in seconds."""

    start: float
    end: float
    text: str


def clean(triples: Iterable[tuple[object, object, object]], dropped: Counter[str] | None = None) -> list[Segment]:
    """Segments in the order of time, without those that mean nothing.

    Left out and counted in ``dropped`` by reason: "no text" (empty, blank, or not a text: a careless reader makes the
    word "nan" of it), "no time" (not a number), "end before start" (or equal).

    Example:
        >>> clean([(3, 4, "b"), (1, 2, " a "), (5, 5, "c"), (6, 7, float("nan"))])
        [Segment(start=1.0, end=2.0, text='a'), Segment(start=3.0, end=4.0, text='b')]
    """
    counts = dropped if dropped is not None else Counter()
    kept = []
    for start, end, text in triples:
        words = text.strip() if isinstance(text, str) else ""
        times = [_seconds(start), _seconds(end)]
        if not words:
            counts["no text"] += 1
        elif any(map(math.isnan, times)) or times[0] < 0:
            counts["no time"] += 1
        elif times[1] <= times[0]:
            counts["end before start"] += 1
        else:
            kept.append(Segment(times[0], times[1], words))
    return sorted(kept, key=lambda s: s[:2])


def _seconds(value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
    return seconds if math.isfinite(seconds) else math.nan


def unroll(segments: Sequence[Segment], how: Rolling = "trim") -> list[Segment]:
    """Undo rolling captions, whose windows overlap their neighbours and often repeat the words of the one before.

    "trim": a window ends where the next one begins, and words that the next repeats from this one are taken out of the
    next, so that no moment and no word is in two segments; "merge": each chain of overlapping windows becomes one
    segment; "keep": as they are.

    Args:
        segments: in the order of time.

    Example:
        >>> for s in unroll([Segment(0, 4, "peel the big potatoes"), Segment(2, 6, "big potatoes and wash")]): print(s)
        Segment(start=0, end=2, text='peel the big potatoes')
        Segment(start=2, end=6, text='and wash')
    """
    if how == "keep":
        return list(segments)
    if how not in ("trim", "merge"):
        raise unknown("way to treat rolling captions", how, ["trim", "merge", "keep"])
    out: list[Segment] = []
    for segment in segments:
        before = out[-1] if out else None
        if before is None or segment.start >= before.end:
            out.append(segment)
            continue
        fresh = _fresh(before.text, segment.text)
        joined = f"{before.text} {fresh}".strip()
        if how == "merge" or not fresh or segment.start <= before.start:
            out[-1] = Segment(before.start, max(before.end, segment.end), joined)
        else:
            out[-1] = before._replace(end=segment.start)
            out.append(Segment(segment.start, max(before.end, segment.end), fresh))
    return out


def _fresh(before: str, text: str) -> str:
    """The words of text that do not repeat the end of the text before (two words at least, or all of it)."""
    old, new = before.split(), text.split()
    plain_old, plain_new = [w.casefold() for w in old], [w.casefold() for w in new]
    for k in range(min(len(old), len(new)), 0, -1):
        if plain_old[-k:] == plain_new[:k] and (k >= 2 or k == len(new)):
            return " ".join(new[k:])
    return text


def lengthen(segments: Sequence[Segment], seconds: float, how: Short = "widen") -> list[Segment]:
    """Segments of at least a length.

    "widen": the window grows by the same time on both sides, never before 0 (the words stay; windows may overlap, see
    ``positives``); "merge": a short segment takes the ones after it, until it is long enough; a short rest at the end
    joins the one before.

    Args:
        seconds: least length, >= 0.

    Example:
        >>> lengthen([Segment(1, 2, "a"), Segment(9, 12, "b")], 5)
        [Segment(start=0.0, end=5.0, text='a'), Segment(start=8.0, end=13.0, text='b')]
        >>> lengthen([Segment(1, 2, "a"), Segment(9, 12, "b"), Segment(12, 13, "c")], 5, "merge")
        [Segment(start=1, end=13, text='a b c')]
    """
    if how == "widen":
        return [_widened(s, seconds) for s in segments]
    if how != "merge":
        raise unknown("way to lengthen segments", how, ["widen", "merge"])
    out: list[Segment] = []
    for segment in segments:
        if out and out[-1].end - out[-1].start < seconds:
            out[-1] = _joined(out[-1], segment)
        else:
            out.append(segment)
    if len(out) > 1 and out[-1].end - out[-1].start < seconds:
        out[-2:] = [_joined(out[-2], out[-1])]
    return out


def _joined(a: Segment, b: Segment) -> Segment:
    return Segment(a.start, max(a.end, b.end), f"{a.text} {b.text}")


def _widened(segment: Segment, seconds: float) -> Segment:
    lack = seconds - (segment.end - segment.start)
    if lack <= 0:
        return segment
    start = max(0.0, segment.start - lack / 2)
    return Segment(start, start + seconds, segment.text)


def positives(segments: Sequence[Segment], candidates: int = 1) -> list[list[int]]:
    """For each segment, the segments whose words may describe it: the nearest in time, and all that overlap it.

    The candidate set of MIL-NCE: starting from the segment, the run of consecutive segments grows, one at a time, on
    the side where it then spans less time, until it has ``candidates`` members. Overlapping windows show the same
    moment, so their words are never wrong for each other.

    Args:
        segments: of one video, in the order of time. candidates: size of the set, >= 1, itself included.

    Returns:
        One ascending list of indices per segment.

    Reference: Miech et al. 2020, End-to-end learning of visual representations from uncurated instructional videos,
        arXiv 1912.06430, section 3.

    Example:
        >>> positives([Segment(0, 2, "a"), Segment(3, 5, "b"), Segment(9, 11, "c")], candidates=2)
        [[0, 1], [0, 1], [1, 2]]
    """
    start, end = (np.asarray([s[side] for s in segments], dtype=np.float64) for side in (0, 1))
    found = []
    for i in range(len(segments)):
        first = last = i
        while last - first + 1 < min(candidates, len(segments)):
            before = segments[last].end - segments[first - 1].start if first else math.inf
            after = segments[last + 1].end - segments[first].start if last + 1 < len(segments) else math.inf
            first, last = (first - 1, last) if before < after else (first, last + 1)
        overlapping = ((start < end[i]) & (start[i] < end)).nonzero()[0].tolist()
        found.append(sorted({*range(first, last + 1), *overlapping}))
    return found
