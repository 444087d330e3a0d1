"""What a later evaluation measured: tables by topic, from evaluation.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...errors import ModalignError
from ...files import read_json
from ...metrics.corrected import TOPIC as CORRECTED
from ...metrics.key import Key
from ...metrics.score import Score
from ...metrics.shown import heading, interval, number, shown
from ..load import Run
from ..page import render

FILE = "evaluation.json"


def build(run: Run) -> Markup | None:
    """Tables by topic; nothing where the folder has no evaluation.json.

    Raises:
        ModalignError: the file is damaged.
    """
    path = run.folder / FILE
    if not path.exists():
        return None
    table = read_json(path, "evaluation")
    try:
        entry = next(iter(table["methods"].values()))
        tables: dict[str, list[dict[str, Any]]] = {}
        for key, value in entry.items():
            if isinstance(value, Mapping):
                score = Score.from_json(value, f"{path}: {key}")
                tables.setdefault(score.topic, []).append(_row(key, score))
        return render(
            "evaluation.html.j2",
            tables=list(tables.items()),
            corrected=CORRECTED,
            settings=", ".join(f"{k} = {_plain(v)}" for k, v in table.get("settings", {}).items()),
            groups=table.get("groups"),
            bank=table.get("bank"),
            skipped=table.get("skipped", {}),
        )
    except (KeyError, TypeError, AttributeError, StopIteration) as problem:
        raise ModalignError(
            f"evaluation is damaged: {path} ({type(problem).__name__}: {problem}); measure it again"
        ) from None


def _row(key: str, score: Score) -> dict[str, Any]:
    return {
        "name": heading(key, score),
        "of": Key.parse(key).subject,
        "key": key,
        "explanation": score.explanation,
        "value": shown(score),
        "interval": interval(score),
        "chance": "" if score.chance is None else number(score.chance, score.unit),
        "note": "; ".join([*([f"{score.skipped} left out"] if score.skipped else []), *filter(None, [score.note])]),
    }


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
