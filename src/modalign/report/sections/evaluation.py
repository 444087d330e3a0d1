"""What a later evaluation measured: tables by kind, from evaluation.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...errors import ModalignError
from ...files import read_json
from ...metrics.corrected import WAYS
from ..load import Number, Run, number
from ..page import render
from ..values import interval, shown

FILE = "evaluation.json"
KINDS = {
    "Retrieval": ("mean_recall", "recall", "rank", "mrr", "ndcg", "map", "r_precision", "foscttm", "fidelity"),
    "Retrieval, hubs corrected": WAYS,
    "Translation": ("bleu4", "bleu4_13a", "bleu4_gain", "chrf", "cider", "exact_match"),
    "Transfer": ("accuracy", "balanced_accuracy"),
}
USES = ("/transfer", "/probe", "-shot", "/zero_shot", "/zero_shot_raw")
REST = "Geometry"
HEADS = "What the heads keep of their features"


def build(run: Run) -> Markup | None:
    """Tables by kind; nothing where the folder has no evaluation.json.

    Raises:
        ModalignError: the file is damaged.
    """
    path = run.folder / FILE
    if not path.exists():
        return None
    table = read_json(path, "evaluation")
    try:
        entry = next(iter(table["methods"].values()))
        scores = {name: value for name, value in entry.items() if isinstance(value, Mapping)}
        tables: dict[str, list[dict[str, Any]]] = {}
        for name, value in scores.items():
            tables.setdefault(kind_of(name), []).append(_row(name, value, str(path)))
        order = [*KINDS, REST, HEADS]
        return render(
            "evaluation.html.j2",
            tables=sorted(tables.items(), key=lambda t: order.index(t[0])),
            settings=", ".join(f"{k} = {_plain(v)}" for k, v in table.get("settings", {}).items()),
            groups=table.get("groups"),
            bank=table.get("bank"),
            skipped=table.get("skipped", {}),
        )
    except (KeyError, TypeError, AttributeError, StopIteration) as problem:
        raise ModalignError(
            f"evaluation is damaged: {path} ({type(problem).__name__}: {problem}); measure it again"
        ) from None


def kind_of(name: str) -> str:
    """Under which heading a score stands.

    Example:
        >>> kind_of("map/text->image/@R"), kind_of("map/text->image/transfer"), kind_of("csls_recall/a->b/any@1")
        ('Retrieval', 'Transfer', 'Retrieval, hubs corrected')
    """
    if ".features" in name:
        return HEADS
    if name.endswith(USES):
        return "Transfer"
    measure = name.partition("/")[0]
    if measure.startswith(tuple(f"{way}_" for way in WAYS)):
        return "Retrieval, hubs corrected"
    return next((kind for kind, measures in KINDS.items() if measure in measures), REST)


def _row(name: str, value: Mapping[str, Any], where: str) -> dict[str, Any]:
    plain = next((name.removeprefix(f"{way}_") for way in WAYS if name.startswith(f"{way}_")), name)
    score = number(value, where)
    return {
        "name": name,
        "value": shown(plain, score),
        "interval": interval(plain, score),
        "chance": "" if score.chance is None else shown(plain, Number(score.chance)),
        "skipped": value.get("skipped") or "",
    }


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
