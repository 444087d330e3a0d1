"""The command finetune: parses and calls, no logic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document on standard output.")]
Several = Annotated[list[str] | None, Parameter(negative="")]


def finetune(
    run: Path,
    *tune: str,
    out: Path,
    objective: str = "clip",
    share: float = 0.1,
    new_heads: Annotated[bool, Parameter(negative="")] = False,
    set: Several = None,
    json: Json = False,
) -> None:
    """Train encoders of a run together with its heads; leaves a run with the tuned weights.

    Parameters
    ----------
    run
        Folder of a run by cca, clip or gradient.
    tune
        MODALITY=last[,blocks=1], MODALITY=lora[,rank=8] or MODALITY=all; none: the heads alone.
    out
        Folder of the new run.
    objective
        See: modalign list objective.
    share
        Of the learning rate, for the encoders.
    new_heads
        Start from heads that have learnt nothing, so that the encoders learn from the first step.
    set
        Setting of the training: steps=150, batch=64, lr=1e-3, patience=5, ...
    """
    from .progress import terminal
    from .workflow import scores_table
    from .workflow.finetuning import finetune_run, overrides

    with terminal() as progress:
        result = finetune_run(run, out, tune, objective, overrides(set or []), share, new_heads, progress)
    _emit(result, json, scores_table)


def _emit(result: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    from .cli import emit

    emit(result, as_json, text)
