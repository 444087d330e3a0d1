"""Hypotheses and references: what words are scored from, and intervals of scores that are functions of sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import ModalignError, few
from .intervals import bootstrap_means, percentile_interval
from .score import Score

References = Sequence[Sequence[str]]


def check_sentences(hypotheses: Sequence[str], references: References) -> None:
    """Refuse what other programs score silently: transposed references, or nothing at all.

    Raises:
        ModalignError: see ``corpus_bleu``.
    """
    if not len(hypotheses):
        raise ModalignError("there are no hypotheses to score")
    if len(hypotheses) != len(references):
        raise ModalignError(
            f"{len(hypotheses)} hypotheses but {len(references)} lists of references: give one list of references "
            "for each hypothesis"
        )
    empty = [i for i, several in enumerate(references) if not len(several)]
    if empty:
        raise ModalignError(f"{len(empty)} hypotheses have no references ({few(empty)}): leave them out")


def with_interval(
    score: Score,
    counts: Tensor,
    value: Callable[[Tensor], Tensor],
    group: Tensor | None,
    samples: int,
    level: float,
    seed: int,
) -> Score:
    """Bootstrap over groups of a score that is a function of summed statistics."""
    if not samples:
        return score
    if group is not None:
        ids, where = torch.unique(group.cpu(), return_inverse=True)
        counts = torch.zeros(len(ids), counts.shape[1], dtype=torch.float64).index_add(0, where, counts)
    # Means over draws instead of sums: every value above depends on ratios alone, but for smoothing (count one).
    draws = bootstrap_means(counts, torch.ones_like(counts), samples, seed) * len(counts)
    low, high = percentile_interval(value(draws), level)
    return replace(score, low=low, high=high)
