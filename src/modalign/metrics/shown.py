"""Scores in words: one form for reports, tables and the terminal, decided by each score's unit and direction."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .key import Key
from .score import UNITS, Score


def number(value: float | None, unit: str, sign: bool = True) -> str:
    """A value in its unit; "–" for none.

    Args:
        value: of the measure, unscaled.
        unit: one of ``score.UNITS``.
        sign: whether the unit's sign follows.

    Example:
        >>> number(0.1234, "share"), number(3.2, "distance"), number(1204.0, "rank"), number(2.5, "rank")
        ('12.3 %', '3.200', '1,204', '2.5')
    """
    if value is None or not math.isfinite(value):
        return "–"
    u = UNITS[unit]
    text = f"{u.scale * value:,.{u.digits}f}"
    if unit in ("rank", "count"):
        text = text.removesuffix(".0")
    return (text.removeprefix("-") if not text.strip("-0.,") else text) + (u.sign if sign else "")


def shown(score: Score | None, sign: bool = True) -> str:
    """A score's value in its unit.

    Example:
        >>> shown(Score(0.1234, unit="share")), shown(Score(3.2, unit="distance")), shown(None)
        ('12.3 %', '3.200', '–')
    """
    return "–" if score is None else number(score.value, score.unit, sign)


def interval(score: Score | None, between: str = " to ") -> str:
    """Both ends of a score's interval, or nothing.

    Example:
        >>> interval(Score(0.5, low=0.4, high=0.6, unit="share"))
        '40.0 to 60.0'
    """
    if score is None or score.low is None or score.high is None:
        return ""
    return between.join(number(v, score.unit, sign=False) for v in (score.low, score.high))


def p_value(p: float) -> str:
    """A p value for people.

    Example:
        >>> p_value(0.00001), p_value(0.042)
        ('< .001', '.042')
    """
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def line(score: Score) -> str:
    """A score on one line: value [low, high], chance, and what is to be noted.

    Example:
        >>> line(Score(0.5, low=0.4, high=0.6, chance=0.1, unit="share"))
        '50.0 % [40.0, 60.0], chance 10.0'
    """
    ends = interval(score, ", ")
    text = shown(score) + (f" [{ends}]" if ends else "")
    if score.chance is not None:
        text += f", chance {number(score.chance, score.unit, sign=False)}"
    notes = ([f"{score.skipped} left out"] if score.skipped else []) + ([score.note] if score.note else [])
    return f"{text} ({'; '.join(notes)})" if notes else text


def heading(key: str, score: Score) -> str:
    """What people call a measure, with the mark of its direction where lower is better.

    Example:
        >>> heading("procrustes/a~b", Score(0.1, False, heading="Procrustes distance")), heading("my_own/a", Score(0.1))
        ('Procrustes distance ↓', 'My own')
    """
    return (score.heading or Key.parse(key).words) + ("" if score.higher_is_better else " ↓")


def chosen(scores: Mapping[str, Score], importance: str) -> dict[str, Score]:
    """The scores that are as important, or more; headlines first, else in their order.

    Example:
        >>> list(chosen({"a": Score(1.0), "b": Score(1.0, importance="main")}, "main"))
        ['b']
    """
    there = [(k, s) for k, s in scores.items() if s.at_least(importance)]
    return dict(sorted(there, key=lambda entry: not entry[1].at_least("headline")))


def listing(scores: Mapping[str, Score], importance: str) -> list[str]:
    """The scores from a level of importance on, one line each, their keys in a column.

    Example:
        >>> listing({"recall": Score(0.5, unit="share"), "gap": Score(0.1)}, "usual")
        ['  recall  50.0 %', '  gap     0.100']
    """
    rows = chosen(scores, importance)
    width = max(map(len, rows), default=0)
    return [f"  {key:<{width}}  {line(score)}" for key, score in rows.items()]
