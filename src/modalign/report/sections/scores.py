"""Scores of the methods: figures with intervals, a table, recall against linked pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ...metrics.key import Key
from ...metrics.score import UNITS, Score
from ...metrics.shown import chosen, heading, interval, number, shown
from ..figures import budget_figure, recall_figure
from ..figures.recall import looks
from ..load import MethodScores, Run
from ..page import Absent, render
from . import evaluation


class Column(NamedTuple):
    """A column of the table of methods: which score, under which headings, and what to say of it."""

    key: str
    over: str
    name: str
    explanation: str = ""


def build(run: Run) -> Markup | Absent:
    """Dot plots, the curve over budgets, the table, and every measure."""
    if run.scores is None:
        return Absent("the folder has no scores.json (nothing was evaluated).")
    if not any(m.scores for m in run.methods):
        return Absent("scores.json lists no scored method.")
    panels = recall_figure(run.methods, run.focus)
    sizes = {b.pairs for b in run.budgets}
    drawn = looks(run.methods, run.focus)
    curve = None
    if len(sizes) > 1 and any(b.method in drawn for b in run.budgets):
        curve = budget_figure(run.budgets, drawn, run.saving)
    columns = table_columns(run.methods)
    return render(
        "scores.html.j2",
        panels=panels,
        curve=curve,
        columns=columns,
        heads=_over(columns),
        rows=[_row(m, columns, run.methods, run.focus) for m in run.methods],
        chance=_chance(columns, run.methods),
        measures=_every(run.methods),
        falling=any(not s.higher_is_better for s in first_scores(run.methods).values()),
        labels=[m.label for m in run.methods],
        timed=any(m.seconds is not None for m in run.methods),
        evaluation=evaluation.build(run),
    )


def first_scores(methods: Sequence[MethodScores]) -> dict[str, Score]:
    """The main scores of all methods: headlines, then by modalities, in the order in which they were measured."""
    found = {k: s for m in reversed(methods) for k, s in m.scores.items()}
    order = dict.fromkeys(k for m in methods for k in m.scores)
    main = chosen({k: found[k] for k in order}, "main")
    places = {s: n for n, s in enumerate(dict.fromkeys(Key.parse(k).subject for k in main))}
    return dict(sorted(main.items(), key=lambda e: (not e[1].at_least("headline"), places[Key.parse(e[0]).subject])))


def table_columns(methods: Sequence[MethodScores]) -> list[Column]:
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
    m: MethodScores, columns: Sequence[Column], methods: Sequence[MethodScores], focus: str | None
) -> dict[str, object]:
    cells = []
    for column in columns:
        score = m.scores.get(column.key)
        best = score is not None and len(methods) > 1 and _is_best(score, column.key, methods)
        cells.append({"value": shown(score, sign=False), "interval": interval(score), "best": best})
    seconds = f"{m.seconds:.1f}" if m.seconds is not None else "–"
    return {"label": m.label, "cells": cells, "seconds": seconds, "focus": m.key == focus and len(methods) > 1}


def _is_best(score: Score, key: str, methods: Sequence[MethodScores]) -> bool:
    return not any(m.scores[key].better_than(score) for m in methods if key in m.scores)


def _over(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Headings over neighbouring columns, with how many each spans."""
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and spans[-1][0] == column.over and column.over:
            spans[-1] = (column.over, spans[-1][1] + 1)
        else:
            spans.append((column.over, 1))
    return spans


def _chance(columns: Sequence[Column], methods: Sequence[MethodScores]) -> list[str] | None:
    """The row of a random aligner, where any method's score says it."""
    row = []
    for column in columns:
        known = next((s for m in methods if (s := m.scores.get(column.key)) and s.chance is not None), None)
        row.append("" if known is None else number(known.chance, known.unit, sign=False))
    return row if any(row) else None


def _every(methods: Sequence[MethodScores]) -> list[dict[str, object]]:
    """Every measure in words and by its key, one cell per method."""
    found = {k: s for m in methods for k, s in m.scores.items()}
    return [
        {
            "name": heading(key, s),
            "of": Key.parse(key).subject,
            "key": key,
            "explanation": s.explanation,
            "cells": [(shown(m.scores.get(key)), interval(m.scores.get(key))) for m in methods],
        }
        for key, s in found.items()
    ]
