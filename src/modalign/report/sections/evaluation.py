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
        topics=[_topic(topic, own) for topic, own in topics.items()],
        corrected=CORRECTED,
        settings=", ".join(f"with {k}" if v is True else f"{k}: {_plain(v)}" for k, v in result.settings.items()),
        groups=result.groups,
        bank=result.bank,
        skipped=result.skipped,
    )


def _topic(topic: str, scores: Mapping[str, Score]) -> dict[str, Any]:
    """A topic's scores: tables for the whole run, single modalities, pairs and directions, in order of appearance."""
    kinds: dict[tuple[bool, ...], dict[Key, Score]] = {}
    for text, score in scores.items():
        key = Key.parse(text)
        kinds.setdefault((key.mutual and key.target is not None, key.source is None, key.target is None), {})[key] = (
            score
        )
    blocks = [_block(own) for own in kinds.values()]
    return {"name": topic, "blocks": blocks, "count": sum(len(b["rows"]) for b in blocks)}


def _block(scores: Mapping[Key, Score]) -> dict[str, Any]:
    """A row per measure and form, a column per modality, pair or direction."""
    columns = list(dict.fromkeys(key.subject for key in scores))
    rows: dict[tuple[str, str, Any], dict[str, Any]] = {}
    for key, score in scores.items():
        about = {"name": heading(str(key), score), "about": f"{key}: {score.explanation}"}
        row = rows.setdefault((key.measure, key.form, key.k), {**about, "cells": dict.fromkeys(columns)})
        ends = [interval(score)] if score.low is not None else []
        ends += [] if score.chance is None else [f"chance {number(score.chance, score.unit, sign=False)}"]
        notes = [*([f"{score.skipped} left out"] if score.skipped else []), *filter(None, [score.note])]
        row["cells"][key.subject] = {"value": shown(score), "beside": ", ".join(ends), "note": "; ".join(notes)}
    return {"columns": [c or "All together" for c in columns], "rows": list(rows.values())}


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
