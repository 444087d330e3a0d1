"""Scores of the methods: figures with intervals, a table, recall against linked pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ..figures import budget_figure, recall_figure
from ..figures.recall import directions, looks
from ..load import MethodScores, Number, Run
from ..page import Absent, render
from ..values import interval, shown
from . import evaluation

LOWER_IS_BETTER = ("procrustes", "rank", "foscttm", "gap", "hubness", "seconds")


class Column(NamedTuple):
    """A column of the table of methods: which score, under which headings."""

    key: str
    over: str
    name: str


def build(run: Run) -> Markup | Absent:
    """Dot plots, the curve over budgets, the table, and every measure."""
    if run.scores is None:
        return Absent("the folder has no scores.json (nothing was evaluated).")
    if not any(m.numbers for m in run.methods):
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
        labels=[m.label for m in run.methods],
        timed=any(m.seconds is not None for m in run.methods),
        evaluation=evaluation.build(run),
    )


def table_columns(methods: Sequence[MethodScores]) -> list[Column]:
    """Mean recall, each direction (all k for two directions, the middle k for more), Procrustes, mutual kNN."""
    keys = list(dict.fromkeys(key for m in methods for key in m.numbers))
    columns = [Column(key, key.partition("/")[2], "Mean recall") for key in keys if key.split("/")[0] == "mean_recall"]
    main = directions(methods)
    for (source, target, _), ks in main.items():
        shown = ks if len(main) <= 2 else [ks[len(ks) // 2]]
        columns += [Column(key, f"{source} → {target}", f"R@{k}") for k, key in shown]
    for base, name in (("procrustes", "Procrustes ↓"), ("mutual_knn", "Mutual kNN")):
        found = next((k for k in keys if k == base or k.startswith(f"{base}/")), None)
        if found is not None:
            columns.append(Column(found, "", name))
    return columns


def _row(
    m: MethodScores, columns: Sequence[Column], methods: Sequence[MethodScores], focus: str | None
) -> dict[str, object]:
    cells = []
    for column in columns:
        number = m.numbers.get(column.key)
        best = number is not None and len(methods) > 1 and number.value == _best(column.key, methods)
        cells.append({"value": shown(column.key, number), "interval": interval(column.key, number), "best": best})
    seconds = f"{m.seconds:.1f}" if m.seconds is not None else "–"
    return {"label": m.label, "cells": cells, "seconds": seconds, "focus": m.key == focus and len(methods) > 1}


def _best(key: str, methods: Sequence[MethodScores]) -> float:
    values = [m.numbers[key].value for m in methods if key in m.numbers]
    return min(values) if key.startswith(LOWER_IS_BETTER) else max(values)


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
        values = [m.numbers[column.key].chance for m in methods if column.key in m.numbers]
        known = next((v for v in values if v is not None), None)
        row.append("" if known is None else shown(column.key, Number(known)))
    return row if any(row) else None


def _every(methods: Sequence[MethodScores]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every measure by its name, one cell per method."""
    keys = sorted({key for m in methods for key in m.numbers})
    return [
        (key, [(shown(key, m.numbers.get(key)), interval(key, m.numbers.get(key))) for m in methods]) for key in keys
    ]
