"""The command evaluate: parse and call, no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document on standard output.")]
Several = Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)]
Files = Annotated[list[Path] | None, Parameter(negative="", consume_multiple=True)]
Flag = Annotated[bool, Parameter(negative="")]


def evaluate(
    run: Path,
    *,
    metrics: Several = None,
    geometry: Flag = False,
    protocol: str | None = None,
    positives: str | None = None,
    query: Several = None,
    fusion: str = "mean",
    translation: Flag = False,
    transfer: Flag = False,
    labels: str | None = None,
    robustness: Several = None,
    against: Files = None,
    gallery: str | None = None,
    json: Json = False,
) -> None:
    """Measure a run on its test items; with --robustness, what is left of it under ill-treatment.

    Scores go into RUN/evaluation.json or RUN/robustness.json, and from there into the report.

    Parameters
    ----------
    run
        folder of the run.
    metrics
        these instead of retrieval and quick geometry, for example retrieval,corrected_retrieval.
    geometry
        also the slower metrics of geometry.
    protocol
        coco-1k (five folds of 1,000) or coco-5k.
    positives
        original, cxc or eccv: which captions of COCO's test photos are right.
    query
        composed queries, for example text+audio.
    fusion
        how they are composed: mean, max or volume.
    translation
        train a decoder on the training texts and score its captions (minutes).
    transfer
        carry classifiers from each modality to each.
    labels
        of transfer: file (.csv, .json), or column of the data set.
    robustness
        missing, noise, attack, corruptions, typos, and pixels or waveform: curves into RUN/robustness.json, for
        the report.
    against
        other runs on the same data, for the same pictures (with --robustness).
    gallery
        modality that is searched while others are missing (with --robustness); default: image, else the last.
    """
    from .cli import emit
    from .progress import terminal

    if robustness is not None:
        from .workflow.robustness import evaluate_robustness, robustness_text

        with terminal() as progress:
            result = evaluate_robustness(run, robustness, against or [], gallery, progress=progress)
        emit(result, json, robustness_text)
        return
    from .workflow import Request, evaluate_run, evaluation_text

    request = Request(
        _names(metrics), geometry, protocol, positives, _names(query), fusion, translation, transfer, labels
    )
    with terminal() as progress:
        result = evaluate_run(run, request, progress)
    emit(result, json, evaluation_text)


def _names(entries: list[str] | None) -> tuple[str, ...]:
    """Names given one by one or with commas."""
    return tuple(name for entry in entries or () for name in entry.split(",") if name)
