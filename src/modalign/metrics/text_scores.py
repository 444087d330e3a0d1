"""How near generated words are to reference words, by every measure of words.

Plain functions of hypotheses and references, because words do not travel in views. BLEU and chrF are sacrebleu's, on
its scale 0 to 100 and with its signature; exact match is a share in [0, 1]; CIDEr-D is on its own scale, 0 to 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .bleu import corpus_bleu
from .chrf import corpus_chrf
from .cider import cider
from .exact_match import exact_match
from .score import Score
from .sentences import References


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
