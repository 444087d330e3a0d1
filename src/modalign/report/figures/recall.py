"""Recall of the methods as points with whiskers, on the page and as a picture of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ...errors import ModalignError
from ...metrics.key import Key
from ...metrics.score import Score
from ...metrics.shown import interval, shown
from ...runs.result import MethodResult, Result
from ..sheet import first_sentence, focus_of
from ..svg import join, line, marker, picture, shorten, standalone, text, ticks, width_of
from .curves import budget_panel
from .panel import Drawing, Series, brief, linear, series, x_axis

Group = tuple[str, Sequence[tuple[Series, Score]]]


def looks(methods: Mapping[str, MethodResult], focus: str | None) -> dict[str, Series]:
    """The look of each method."""
    return series({name: m.label for name, m in methods.items()}, focus)


def recall_figure(methods: Mapping[str, MethodResult], focus: str | None) -> list[Markup]:
    """Panels of points and 95 % whiskers: mean recall, then each direction at each k."""
    drawn = looks(methods, focus)
    out = []
    mean = mean_panel(methods, drawn)
    if mean is not None:
        words = "; ".join(_words(key, methods) for key in headlines(methods))
        out.append(mean.svg("Mean recall of each method", words))
    for way, keys in depths(methods).items():
        groups = [
            (_heading(key, methods), [(drawn[name], m.scores[key]) for name, m in methods.items() if key in m.scores])
            for key in keys
        ]
        words = "; ".join(_words(key, methods) for key in keys)
        out.append(dot_panel(way, groups, labels=False).svg(f"Recall, {way}", words))
    return out


def recall_picture(result: Result, width: int = 960, theme: str = "light") -> str:
    """A result as one SVG file: saving, recall of each method, recall against linked pairs.

    Args:
        result: of a run.
        width: in pixels.
        theme: "light" or "dark"; colours are written in, so that any program can draw it.

    Raises:
        ModalignError: a result without mean recall.
    """
    methods, budgets, saving = result.methods, result.budgets, result.saving
    drawn = looks(methods, focus_of(methods))
    mean = mean_panel(methods, drawn)
    if mean is None:
        raise ModalignError("the result holds no method with a mean recall: there is nothing to draw")
    said = str(saving.get("text") or result.title or "Recall of each method")
    headline = shorten(first_sentence(said)[0], 110)
    parts: list[Markup] = [text(24, 44, headline, min(24.0, 912 / max(1.0, width_of(headline, 1))), weight=700)]
    y = 72.0
    if len({b.pairs for b in budgets}) > 1:
        curve = budget_panel(budgets, drawn, saving, 472, max(300.0, mean.height))
        parts += [mean.at(24, y), curve.at(464, y)]
        height = y + max(mean.height, curve.height) + 12
    else:
        parts += [mean.at(24, y)]
        height = y + mean.height + 12
    words = "; ".join(_words(key, methods) for key in headlines(methods))
    return standalone(picture(960, height, headline, *parts, description=words), theme, width)


def depths(methods: Mapping[str, MethodResult]) -> dict[str, list[str]]:
    """Direction in words -> keys of its main shares, by rising depth k."""
    found: dict[str, dict[int, str]] = {}
    for method in methods.values():
        for key, score in method.scores.items():
            parsed = Key.parse(key)
            drawn = score.at_least("main") and score.unit == "share" and not parsed.mutual
            if drawn and parsed.target is not None and isinstance(parsed.k, int):
                found.setdefault(parsed.subject, {})[parsed.k] = key
    return {way: [key for _, key in sorted(keys.items())] for way, keys in found.items()}


def headlines(methods: Mapping[str, MethodResult]) -> list[str]:
    """Keys of the scores that lead, of one unit, so that they share an axis."""
    found = {
        k: s for m in methods.values() for k, s in m.scores.items() if s.at_least("headline") and s.unit == "share"
    }
    return list(found)


def _heading(key: str, methods: Mapping[str, MethodResult]) -> str:
    return next(m.scores[key].heading for m in methods.values() if key in m.scores) or Key.parse(key).words


def mean_panel(methods: Mapping[str, MethodResult], drawn: Mapping[str, Series]) -> Drawing | None:
    """The headline, one row per method; or, of more than two modalities, one group per pair of them."""
    keys = headlines(methods)
    if not keys:
        return None
    title = _heading(keys[0], methods)
    if len(keys) == 1:
        rows = [(m.label, [(drawn[name], m.scores[keys[0]])]) for name, m in methods.items() if keys[0] in m.scores]
        return dot_panel(title, rows, labels=True)
    groups = [
        (Key.parse(k).subject, [(drawn[name], m.scores[k]) for name, m in methods.items() if k in m.scores])
        for k in keys
    ]
    return dot_panel(f"{title} of each pair of modalities", groups, labels=False)


def dot_panel(title: str, groups: Sequence[Group], labels: bool) -> Drawing:
    """Rows of points with whiskers on one percent axis.

    Args:
        title: above the panel.
        groups: a heading and its points; each point is (look, number).
        labels: whether each group is one method, whose name then stands before the axis, and not at the point.
    """
    width = 420.0
    numbers = [n for _, points in groups for _, n in points]
    marks = ticks(0, 100 * max([n.high if n.high is not None else n.value for n in numbers] + [0.01]), 5)
    names = [shorten(heading, 18) for heading, _ in groups] if labels else []
    left, right, y = 8.0 + max([width_of(name, 13) + 12 for name in names] + [0.0]), width - 58.0, 44.0
    at = linear(0, marks[-1], left, right)
    parts = [text(0, 16, title, 15, weight=700)]
    body: list[Markup] = []
    chances: list[tuple[float, float, float]] = []
    for heading, points in groups:
        start = y
        if labels:
            body.append(text(left - 12, y + 20.5, shorten(heading, 18), 13, "var(--muted)", "end"))
            y += 16
        else:
            body.append(text(left, y + 12, shorten(heading, 46), 13, "var(--muted)", halo=4))
            y += 28
        for look, number in points:
            body.append(_whisker(at, look, number, y, right, "" if labels else brief(look.label)))
            y += 22
        chance = next((n.chance for _, n in points if n.chance is not None), None)
        if chance is not None:
            chances.append((100 * chance, start + (0 if labels else 17), y - 8))
        y += 6
    parts.append(join(line(at(v), 42, at(v), y) for v in marks))
    parts.append(_chance(at, chances, y))
    parts += body
    parts.append(x_axis(at, [(v, f"{v:g}{' %' if v == marks[-1] else ''}") for v in marks], y, left, right))
    return Drawing(join(parts), width, y + 28)


def _whisker(at: Any, look: Series, number: Score, y: float, right: float, name: str) -> Markup:
    value = 100 * number.value
    parts = []
    if number.low is not None and number.high is not None:
        low, high = at(100 * number.low), at(100 * number.high)
        parts.append(line(low, y, high, y, look.colour, look.width))
        parts += [line(x, y - 4, x, y + 4, look.colour, look.width) for x in (low, high)]
    parts.append(marker(look.shape, at(value), y, 5.5, look.colour, stroke="var(--card)", stroke_width=1.5))
    weight = 700 if look.shape == 0 else None
    parts.append(text(right + 56, y + 4.5, shown(number, sign=False), 13, "var(--ink)", "end", weight))
    if name:
        end = at(100 * number.high) if number.high is not None else at(value)
        start = at(100 * number.low) if number.low is not None else at(value)
        after, before, needed = right + 10 - end, start - 22, width_of(name, 11.5)
        behind = needed < after or (needed > before and after >= before)
        x, anchor = (end + 8, "start") if behind else (start - 8, "end")
        name = shorten(name, int((after if behind else before) / width_of("x", 11.5)))
        parts.append(text(x, y + 4, name, 11.5, look.colour, anchor, 700 if look.shape == 0 else None))
    return join(parts)


def _chance(at: Any, chances: Sequence[tuple[float, float, float]], bottom: float) -> Markup:
    """Dashed lines where a random aligner would be; one for all rows where they agree."""
    if not chances:
        return Markup("")
    if len({round(v, 6) for v, _, _ in chances}) == 1:
        chances = [(chances[0][0], 42, bottom)]
    dashes = [line(at(v), y1, at(v), y2, "var(--miss)", 1.5, stroke_dasharray="4 3") for v, y1, y2 in chances]
    values = [v for v, _, _ in chances]
    label = "chance " + ", ".join(f"{v:.1f}" for v in values)
    return join([*dashes, text(at(values[0]) + (5 if len(values) > 1 else 0), 36, label, 11.5, "var(--miss)")])


def _words(key: str, methods: Mapping[str, MethodResult]) -> str:
    """The numbers of a panel for those who cannot see it."""
    parts = []
    for m in methods.values():
        score = m.scores.get(key)
        if score is not None:
            ends = interval(score)
            parts.append(f"{brief(m.label)} {shown(score)}" + (f" ({ends})" if ends else ""))
    return f"{_heading(key, methods)}: " + ", ".join(parts)
