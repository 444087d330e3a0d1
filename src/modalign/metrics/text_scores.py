"""How near generated words are to reference words: exact match, and every measure of words together.

Plain functions of hypotheses and references, because words do not travel in views. BLEU and chrF are sacrebleu's, on
its scale 0 to 100 and with its signature; exact match is a share in [0, 1]; CIDEr-D is on its own scale, 0 to 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..parameters import Level, Number, Seed, checked
from .bleu import corpus_bleu
from .chrf import corpus_chrf
from .cider import cider
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


def text_scores(
    hypotheses: Sequence[str], references: References, group: Tensor | None = None, **interval: Any
) -> dict[str, Score]:
    """All of them by name: bleu4, bleu4_13a, chrf, exact_match, and, for two sentences or more, cider."""
    out = {
        "bleu4": corpus_bleu(hypotheses, references, "coco", group, **interval),
        "bleu4_13a": corpus_bleu(hypotheses, references, "13a", group, **interval),
        "chrf": corpus_chrf(hypotheses, references, group, **interval),
        "exact_match": exact_match(hypotheses, references, group, **interval),
    }
    if len(hypotheses) > 1:
        out["cider"] = cider(hypotheses, references, group, **interval)
    return out
