"""Scores as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..metrics.score import Score
from ..metrics.shown import chosen, line


def scores_table(result: Mapping[str, Any]) -> str:
    """The main scores as text: one line per score, with interval and chance value."""
    lines = []
    for entry in result["methods"].values():
        rows = lines_of(entry, "main")
        lines.append(
            f"{entry['label']}" + ("" if rows else ": not measured (fewer than 20 linked groups, or no holdout)")
        )
        lines += rows
    return "\n".join(
        [*lines, f"all scores: {Path(result['run']) / 'scores.json'}", f"report: {Path(result['run']) / 'report.html'}"]
    )


def evaluation_text(result: Mapping[str, Any]) -> str:
    """Every score of an evaluation as text, retrieval without its less usual forms, and what was left out."""
    lines = []
    for entry in result["methods"].values():
        lines += [str(entry["label"]), *lines_of(entry, "usual")]
    lines += [f"{name} left out: {why}" for name, why in result["skipped"].items()]
    folder = Path(result["run"])
    return "\n".join([*lines, f"all scores: {folder / 'evaluation.json'}", f"page: modalign report {folder}"])


def lines_of(entry: Mapping[str, Any], importance: str) -> list[str]:
    """A method's scores from a level of importance on, one line each."""
    scores = {k: Score.from_json(v, k) for k, v in entry.items() if isinstance(v, Mapping)}
    rows = chosen(scores, importance)
    width = max((len(k) for k in rows), default=0)
    return [f"  {k:<{width}}  {line(s)}" for k, s in rows.items()]


def embedded(result: Mapping[str, Any]) -> str:
    """What a store holds and what is left out of it, as text."""
    lines = [f"{m}: {n} items" for m, n in result["items"].items()]
    return "\n".join([*lines, *filter(None, [result["left_out"]]), f"store: {result['store']}"])
