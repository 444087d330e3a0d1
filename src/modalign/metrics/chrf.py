"""chrF: F-score of character n-grams, kind to short texts and to inflection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..parameters import Level, Number, Seed, checked
from .intervals import with_interval
from .score import Measure, Score
from .sentences import References, check_sentences

CHRF_SCORE = Measure(
    "chrF", "points", "F-score of character n-grams against the best reference, 0 to 100.", topic="Translation"
)


@checked
def corpus_chrf(
    hypotheses: Sequence[str],
    references: References,
    group: Tensor | None = None,
    samples: Number = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> Score:
    """chrF2: F-score of character n-grams up to 6, recall counted twice; of each sentence's best reference.

    Use when: texts are short, or in languages without blanks. Related: ``corpus_bleu``.

    Args: as ``corpus_bleu``.

    Returns:
        Value in 0 to 100, interval and sacrebleu's signature.

    Raises:
        ModalignError: as ``corpus_bleu``.

    Reference: Popović 2015, WMT, W15-3049.

    Example:
        >>> corpus_chrf(["red fox"], [["fox", "red fox"]], samples=0).value
        100.0
    """
    check_sentences(hypotheses, references)
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    streams = _streams(references)
    value = float(metric.corpus_score(list(hypotheses), streams).score)
    # sacrebleu sums these per-sentence counts itself; a test holds the sum to its corpus score.
    counts = torch.tensor(metric._extract_corpus_statistics(list(hypotheses), streams), dtype=torch.float64)
    score = CHRF_SCORE.score(value, signature=str(metric.get_signature()))
    return with_interval(score, counts, _chrf_values, group, samples, level, seed)


def _chrf_values(sums: Tensor, beta: float = 2.0) -> Tensor:
    """chrF of rows of (hypothesis, reference, matched) counts per order, averaged over the orders that have any."""
    hypothesis, reference, matched = sums.view(len(sums), -1, 3).unbind(2)
    there = (hypothesis > 0) & (reference > 0)
    precision = torch.where(there, matched / hypothesis.clamp(min=1e-300), 0.0)
    recall = torch.where(there, matched / reference.clamp(min=1e-300), 0.0)
    orders = there.sum(1).clamp(min=1)
    p, r = precision.sum(1) / orders, recall.sum(1) / orders
    return 100.0 * torch.where(p + r > 0, (1 + beta**2) * p * r / (beta**2 * p + r).clamp(min=1e-300), 0.0)


def _streams(references: References) -> Any:
    """References as sacrebleu takes them: stream k holds the k-th reference of every sentence, None for none."""
    most = max(len(several) for several in references)
    return [[several[k] if k < len(several) else None for several in references] for k in range(most)]
