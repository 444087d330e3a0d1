"""Scores as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: What the terminal shows of the scores; scores.json and the report hold all of them.
SHOWN = ("mean_recall", "/any@1", "/any@5", "/any@10", "/median", "procrustes/", "mutual_knn/")
HIDDEN = ("/size_and_shape", "/angle", "/pairs@", "/fraction@")


def scores_table(result: Mapping[str, Any]) -> str:
    """The main scores as text: one line per score, with interval and chance value."""
    lines = []
    for entry in result["methods"].values():
        rows = {k: v for k, v in entry.items() if any(s in k for s in SHOWN) and not any(h in k for h in HIDDEN)}
        lines.append(
            f"{entry['label']}" + ("" if rows else ": not measured (fewer than 20 linked groups, or no holdout)")
        )
        width = max((len(k) for k in rows), default=0)
        lines += [f"  {k:<{width}}  {number(v)}" for k, v in rows.items()]
    return "\n".join(
        [*lines, f"all scores: {Path(result['run']) / 'scores.json'}", f"report: {Path(result['run']) / 'report.html'}"]
    )


def evaluation_text(result: Mapping[str, Any]) -> str:
    """Every score of an evaluation as text, retrieval without its less usual forms, and what was left out."""
    lines = []
    for entry in result["methods"].values():
        rows = {k: v for k, v in entry.items() if isinstance(v, Mapping) and not any(h in k for h in HIDDEN)}
        lines.append(str(entry["label"]))
        width = max((len(k) for k in rows), default=0)
        lines += [f"  {k:<{width}}  {number(v)}" for k, v in rows.items()]
    lines += [f"{name} left out: {why}" for name, why in result["skipped"].items()]
    folder = Path(result["run"])
    return "\n".join([*lines, f"all scores: {folder / 'evaluation.json'}", f"page: modalign report {folder}"])


def embedded(result: Mapping[str, Any]) -> str:
    """What a store holds and what is left out of it, as text."""
    lines = [f"{m}: {n} items" for m, n in result["items"].items()]
    return "\n".join([*lines, *filter(None, [result["left_out"]]), f"store: {result['store']}"])


def number(score: Mapping[str, Any]) -> str:
    """A score as text: value [low, high], chance, and the queries left out where there are any.

    Example:
        >>> number({"value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.1})
        '0.5000  [0.4000, 0.6000]  chance 0.1000'
    """
    text = f"{score['value']:.4f}"
    if score.get("low") is not None:
        text += f"  [{score['low']:.4f}, {score['high']:.4f}]"
    if score.get("chance") is not None:
        text += f"  chance {score['chance']:.4f}"
    if score.get("skipped"):
        text += f"  ({score['skipped']} left out)"
    return text
