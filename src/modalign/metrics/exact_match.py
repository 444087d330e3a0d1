"""Exact match: the share of answers that are right word for word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..parameters import Level, Number, Seed, checked
from .coco_tokens import coco_tokens
from .intervals import bootstrap
from .score import Measure, Score
from .sentences import References, check_sentences

EXACT = Measure(
    "Exact match", "share", "Share of answers with the words of one of their references.", topic="Translation"
)


@checked
def exact_match(
    hypotheses: Sequence[str],
    references: References,
    group: Tensor | None = None,
    samples: Number = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> Score:
    """Share of hypotheses with the same words as one of their references; case and punctuation aside.

    Use when: answers are names. Related: ``corpus_chrf`` (partial credit).

    Example:
        >>> exact_match(["Red fox!", "dog"], [["red fox"], ["cat"]], samples=0).value
        0.5
    """
    check_sentences(hypotheses, references)
    same = [
        coco_tokens(h) in [coco_tokens(r) for r in several] for h, several in zip(hypotheses, references, strict=True)
    ]
    per_item = torch.tensor(same, dtype=torch.float64)
    score = EXACT.mean(per_item, group=group, signature="tok:coco")
    return bootstrap(score, level, samples, seed) if samples else score
