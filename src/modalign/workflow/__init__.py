"""What the commands do: load features, fit a method, measure it, leave a run folder behind."""

from .commands import (
    align_arrays,
    attribution,
    embed_dataset,
    evaluate_run,
    facts,
    run_specification,
    transform_array,
)
from .data import Data, load_data
from .fitting import fit, measure, settings_of
from .folder import leave
from .text import embedded, scores_table

__all__ = [
    "Data",
    "align_arrays",
    "attribution",
    "embed_dataset",
    "embedded",
    "evaluate_run",
    "facts",
    "fit",
    "leave",
    "load_data",
    "measure",
    "run_specification",
    "scores_table",
    "settings_of",
    "transform_array",
]
