"""The model card of a run: what it is, how to use it, its scores with intervals, its data, licences and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import require
from ..files import write_text
from ..metrics.shown import chosen, heading, interval, number, shown
from ..model import Model
from ..report.figures.architecture import architecture_figure
from ..report.sections.architecture import describe
from ..report.sections.space import drawn
from ..report.sheet import Sheet, load
from ..report.svg import standalone
from ..runs.result import MethodResult, Result
from ..runs.run import Run

ARCHITECTURE, MAP = "figure1.svg", "map.svg"
TAGS = ["modalign", "multimodal", "cross-modal-retrieval", "embeddings"]
METRICS = {"recall": "recall", "mean_recall": "mean_recall", "mrr": "mrr", "ndcg": "ndcg", "map": "map"}
"""Measure -> what the hub calls it, of those that it is told."""


def write_figures(run: Run, folder: Path) -> list[str]:
    """Draw what the run's files allow: the architecture, and the map of its test items. Returns the files' names."""
    sheet = load(run.folder)
    write_text(folder / ARCHITECTURE, standalone(architecture_figure(describe(sheet))))
    if sheet.z is None or sum(len(x) for x in sheet.z.data.values()) < 3:
        return [ARCHITECTURE]
    write_text(folder / MAP, standalone(drawn(sheet, sheet.z)[1]))
    return [ARCHITECTURE, MAP]


def card(model: Model, run: Run | None, name: str, figures: list[str], more: Mapping[str, Any]) -> str:
    """The card, its metadata before it as huggingface_hub writes them.

    Args:
        model: heads and encoders. run: where its scores and data are; None: a card without them.
        name: of the model. figures: files that lie beside the card.
        more: further metadata, which overrides: ``license``, ``language``, ``datasets``, ...

    Raises:
        MissingExtraError: huggingface_hub is not installed.
    """
    hub = require("huggingface_hub", "hub")
    sheet = load(run.folder) if run is not None else None
    best = sheet.methods.get(sheet.focus or "") if sheet is not None else None
    told: dict[str, Any] = {"library_name": "modalign", "tags": TAGS, "pipeline_tag": "feature-extraction"}
    if sheet is not None and best is not None:
        told |= {"model_name": name, "eval_results": _results(hub, sheet.result, best)}
    data = hub.ModelCardData(**told | dict(more))
    parts = [f"# {name}", _first(model), *_figures(figures), *_use(model), *_scores(sheet, best), *_data(sheet)]
    parts += [*_licences(model, sheet, more), f"Made with modalign {__version__}."]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _first(model: Model) -> str:
    heads = ", ".join(f"{m} ({model.heads[m].features.width} features)" for m in model.heads.modalities)
    return (
        f"Heads that bring {heads} into one shared space of {model.heads.dim} dimensions, where the cosine tells what "
        f"belongs together. Learnt by the method `{model.method.get('name', 'of its own')}`."
    )


def _figures(figures: list[str]) -> list[str]:
    words = {
        ARCHITECTURE: "Figure 1: inputs, encoders, heads, the shared space and its uses.",
        MAP: "Map of the test items in the shared space; lines join true pairs.",
    }
    return [f"![{words[f]}]({f})\n\n{words[f]}" for f in figures]


def _use(model: Model) -> list[str]:
    m = model.heads.modalities[0]
    names = "\n".join(f"- `{m}`: {_encoder(model, m)}" for m in model.heads.modalities)
    lines = (
        "from modalign.exports import HubModel\n\n"
        'model = HubModel.from_pretrained("FOLDER_OR_REPOSITORY")\n'
        f'points = model.transform(features, "{m}")  # (n, {model.heads[m].features.width}) -> unit rows'
    )
    return ["## Use", f"```python\n{lines}\n```", f"Features come from:\n\n{names}"]


def _encoder(model: Model, modality: str) -> str:
    entry = model.encoders.get(modality)
    if entry is None:
        return "arrays of your own, made by the encoder that the training arrays came from"
    settings = ", ".join(f"{k}={v!r}" for k, v in entry.items() if k != "name")
    return f"the encoder `{entry['name']}`" + (f" with {settings}" if settings else "")


def _scores(sheet: Sheet | None, best: MethodResult | None) -> list[str]:
    if sheet is None or best is None:
        return ["## Scores", "None were kept with this model."]
    found = chosen(best.scores, "main")
    rows = [
        f"| {heading(key, s)} | `{key}` | {shown(s)} | {interval(s) or '–'} | {number(s.chance, s.unit)} |"
        for key, s in found.items()
    ]
    head = "| measure | key | value | 95 % interval | chance |\n|---|---|---|---|---|\n"
    where = f"On the {sheet.result.split} split" + (f", {sheet.result.groups:,} groups" if sheet.result.groups else "")
    return ["## Scores", f"{where}, which no fit has seen. {best.label}.", head + "\n".join(rows)]


def _data(sheet: Sheet | None) -> list[str]:
    if sheet is None:
        return []
    data = sheet.result.data
    settings = data.get("settings")
    facts = {**(settings if isinstance(settings, Mapping) else {}), **data}
    told = [f"- {k}: {' '.join(str(v).split())}" for k, v in facts.items() if isinstance(v, str | int)]
    return ["## Data", "\n".join(told)] if told else []


def _licences(model: Model, sheet: Sheet | None, more: Mapping[str, Any]) -> list[str]:
    stated = more.get("license")
    lines = [f"- heads: {stated}" if stated else "- heads: not stated; say it with `license` before you publish"]
    if sheet is not None:
        lines += [f"- weights of encoders: {w}" for w in sheet.result.weights]
        lines += [f"- data: {sheet.result.attribution}"] if sheet.result.attribution else []
    lines += [f"- the weights of the encoder of {m} in this repository were trained further" for m in model.tuned]
    return ["## Licences", "\n".join(lines)]


def _results(hub: Any, result: Result, best: MethodResult) -> list[Any]:
    """Scores of the kinds that the hub lists."""
    data = str(result.data.get("name") or "data of one's own")
    return [
        hub.EvalResult(
            task_type="feature-extraction", dataset_type=data, dataset_name=data, dataset_split=result.split,
            metric_type=METRICS[key.split("/")[0]], metric_name=key, metric_value=score.value,
        )
        for key, score in chosen(best.scores, "main").items() if key.split("/")[0] in METRICS
    ]  # fmt: skip
