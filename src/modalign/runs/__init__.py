"""What the commands do: load features, fit a method, measure it, leave a run folder behind."""

from .commands import align_arrays, attribution, embed_dataset, facts, run_specification, transform_array
from .data import Data, load_data
from .evaluation import Request, evaluate_run
from .fitting import fit, measure, settings_of
from .folder import leave
from .text import embedded, evaluation_text, scores_table

__all__ = [
    "Data",
    "Request",
    "align_arrays",
    "attribution",
    "embed_dataset",
    "embedded",
    "evaluate_run",
    "evaluation_text",
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
