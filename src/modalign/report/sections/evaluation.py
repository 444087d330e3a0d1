"""What a later evaluation measured: tables by topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...metrics.corrected import TOPIC as CORRECTED
from ...metrics.key import Key
from ...metrics.score import Score
from ...metrics.shown import chosen, heading, interval, number, shown
from ..page import render
from ..sheet import Sheet


def build(sheet: Sheet) -> Markup | None:
    """Tables by topic; nothing where no evaluation was made."""
    result = sheet.run.evaluation
    if result is None:
        return None
    scores = {k: s for m in result.methods.values() for k, s in m.scores.items()}
    topics: dict[str, dict[str, Score]] = {}
    for key, score in scores.items():
        topics.setdefault(score.topic, {})[key] = score
    return render(
        "evaluation.html.j2",
        first=[(heading(k, s), shown(s), interval(s)) for k, s in chosen(scores, "headline").items()],
        tables=[_table(topic, own) for topic, own in topics.items()],
        corrected=CORRECTED,
        settings=", ".join(f"{k} = {_plain(v)}" for k, v in result.settings.items()),
        groups=result.groups,
        bank=result.bank,
        skipped=result.skipped,
    )


def _table(topic: str, scores: Mapping[str, Score]) -> dict[str, Any]:
    """A topic's scores: a row per measure and form, a column per modality, pair or direction."""
    keys = {key: Key.parse(key) for key in scores}
    columns = list(dict.fromkeys(k.subject for k in keys.values()))
    rows: dict[tuple[str, str, Any], dict[str, Any]] = {}
    for text, key in keys.items():
        score = scores[text]
        row = rows.setdefault(
            (key.measure, key.form, key.k),
            {"name": heading(text, score), "about": f"{text}: {score.explanation}", "cells": dict.fromkeys(columns)},
        )
        row["cells"][key.subject] = {
            "value": shown(score),
            "interval": interval(score),
            "chance": "" if score.chance is None else number(score.chance, score.unit, sign=False),
            "note": "; ".join([*([f"{score.skipped} left out"] if score.skipped else []), *filter(None, [score.note])]),
        }
    return {"topic": topic, "columns": [c or "All together" for c in columns], "rows": list(rows.values())}


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
