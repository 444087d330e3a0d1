"""Scores of the methods: figures with intervals, a table, recall against linked pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from ...metrics.key import Key
from ...metrics.score import UNITS, Score
from ...metrics.shown import chosen, heading, interval, number, shown
from ...runs.result import MethodResult
from ..figures import budget_figure, recall_figure
from ..figures.recall import looks
from ..page import Absent, render
from ..sheet import Sheet
from . import evaluation


class Column(NamedTuple):
    """A column of the table of methods: which score, under which headings, and what to say of it."""

    key: str
    over: str
    name: str
    explanation: str = ""


def build(sheet: Sheet) -> Markup | Absent:
    """Dot plots, the curve over budgets, the table, and every measure."""
    methods, result = sheet.methods, sheet.result
    if not any(m.scores for m in methods.values()):
        return Absent("nothing was measured when the run was made.")
    panels = recall_figure(methods, sheet.focus)
    sizes = {b.pairs for b in result.budgets}
    drawn = looks(methods, sheet.focus)
    curve = None
    if len(sizes) > 1 and any(b.method in drawn for b in result.budgets):
        curve = budget_figure(result.budgets, drawn, result.saving)
    columns = table_columns(methods)
    return render(
        "scores.html.j2",
        panels=panels,
        curve=curve,
        columns=columns,
        heads=_over(columns),
        rows=[_row(name, m, columns, methods, sheet.focus) for name, m in methods.items()],
        chance=_chance(columns, methods),
        measures=_every(methods),
        falling=any(not s.higher_is_better for s in first_scores(methods).values()),
        labels=[m.label for m in methods.values()],
        timed=any(m.seconds is not None for m in methods.values()),
        evaluation=evaluation.build(sheet),
    )


def first_scores(methods: Mapping[str, MethodResult]) -> dict[str, Score]:
    """The main scores of all methods: headlines, then by modalities, in the order in which they were measured."""
    found = {k: s for m in reversed([*methods.values()]) for k, s in m.scores.items()}
    order = dict.fromkeys(k for m in methods.values() for k in m.scores)
    main = chosen({k: found[k] for k in order}, "main")
    places = {s: n for n, s in enumerate(dict.fromkeys(Key.parse(k).subject for k in main))}
    return dict(sorted(main.items(), key=lambda e: (not e[1].at_least("headline"), places[Key.parse(e[0]).subject])))


def table_columns(methods: Mapping[str, MethodResult]) -> list[Column]:
    """The main scores; of more than two directions, each one's first measure alone, at its middle depth."""
    scores = first_scores(methods)
    ways: dict[str, list[str]] = {}
    for key in scores:
        parsed = Key.parse(key)
        if parsed.target is not None and not parsed.mutual:
            ways.setdefault(parsed.subject, []).append(key)
    left_out: set[str] = set()
    if len(ways) > 2:
        for keys in ways.values():
            depths = [k for k in keys if Key.parse(k).measure == Key.parse(keys[0]).measure]
            left_out |= set(keys) - {depths[len(depths) // 2]}
    return [Column(k, Key.parse(k).subject, _name(k, s), s.explanation) for k, s in scores.items() if k not in left_out]


def _name(key: str, score: Score) -> str:
    """A heading that holds the unit's sign, so that cells are numbers alone."""
    sign = UNITS[score.unit].sign.strip()
    return heading(key, score) + (f", {sign}" if sign else "")


def _row(
    name: str, m: MethodResult, columns: Sequence[Column], methods: Mapping[str, MethodResult], focus: str | None
) -> dict[str, object]:
    cells = []
    for column in columns:
        score = m.scores.get(column.key)
        best = score is not None and len(methods) > 1 and _is_best(score, column.key, methods)
        cells.append({"value": shown(score, sign=False), "interval": interval(score), "best": best})
    seconds = f"{m.seconds:.1f}" if m.seconds is not None else "–"
    return {"label": m.label, "cells": cells, "seconds": seconds, "focus": name == focus and len(methods) > 1}


def _is_best(score: Score, key: str, methods: Mapping[str, MethodResult]) -> bool:
    return not any(m.scores[key].better_than(score) for m in methods.values() if key in m.scores)


def _over(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Headings over neighbouring columns, with how many each spans."""
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and spans[-1][0] == column.over and column.over:
            spans[-1] = (column.over, spans[-1][1] + 1)
        else:
            spans.append((column.over, 1))
    return spans


def _chance(columns: Sequence[Column], methods: Mapping[str, MethodResult]) -> list[str] | None:
    """The row of a random aligner, where any method's score says it."""
    row = []
    for column in columns:
        known = next((s for m in methods.values() if (s := m.scores.get(column.key)) and s.chance is not None), None)
        row.append("" if known is None else number(known.chance, known.unit, sign=False))
    return row if any(row) else None


def _every(methods: Mapping[str, MethodResult]) -> list[dict[str, object]]:
    """Every measure in words and by its key, one cell per method."""
    found = {k: s for m in methods.values() for k, s in m.scores.items()}
    return [
        {
            "name": heading(key, s),
            "of": Key.parse(key).subject,
            "key": key,
            "explanation": s.explanation,
            "cells": [(shown(m.scores.get(key)), interval(m.scores.get(key))) for m in methods.values()],
        }
        for key, s in found.items()
    ]
