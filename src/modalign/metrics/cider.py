"""CIDEr-D: likeness of captions in n-grams weighted by how rare they are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import ModalignError
from ..parameters import Level, Number, Positive, Seed, checked
from .coco_tokens import coco_tokens
from .intervals import bootstrap
from .score import Measure, Score
from .sentences import References, check_sentences

Gram = tuple[str, ...]
ORDERS = 4
CIDER = Measure(
    "CIDEr-D", "number", "Likeness of captions in n-grams weighted by rarity, 0 to 10 (as often quoted: times 10).",
    topic="Translation",
)  # fmt: skip


@checked
def cider(
    hypotheses: Sequence[str],
    references: References,
    group: Tensor | None = None,
    samples: Number = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    sigma: Positive = 6.0,
) -> Score:
    """CIDEr-D of captions: mean over captions of 10 times the mean clipped cosine of TF-IDF n-gram vectors.

    CIDEr-D(c, S) = 10 / (4 |S|) sum_n sum_{s in S} P(l_c - l_s) min(g_c, g_s) . g_s / (|g_c| |g_s|),
    P(l) = exp(-l^2 / (2 sigma^2)), g the counts of n-grams of order n times log(I / number of items in whose
    references the n-gram occurs), I the number of items.

    The weights come from the references of this very corpus, so values of different test sets do not compare, and a
    corpus of one item has none. The lengths l are counted in bigrams as in the COCO caption tools.

    Use when: several references say what people find worth saying. Related: ``corpus_bleu``, ``corpus_chrf``.

    Args:
        hypotheses, references, group, samples, level, seed: as in ``corpus_bleu``.
        sigma: width of the penalty on lengths, in words.

    Returns:
        Value in 0 to 10 with per-item values.

    Raises:
        ModalignError: fewer than two items, or as ``corpus_bleu``.

    Reference: Vedantam et al. 2015, arXiv 1411.5726, section 7.

    Example:
        >>> texts = ["a red fox runs", "two dogs sleep here"]
        >>> round(cider(texts, [[t] for t in texts], samples=0).value, 6)
        10.0
    """
    check_sentences(hypotheses, references)
    if len(hypotheses) < 2:
        raise ModalignError("CIDEr weighs n-grams by how rare they are: it needs at least two items")
    truth = [[_grams(r) for r in several] for several in references]
    seen = Counter(gram for several in truth for gram in set().union(*several))
    weight = {gram: math.log(len(truth)) - math.log(count) for gram, count in seen.items()}
    rarest = math.log(len(truth))
    values = []
    for hypothesis, several in zip(hypotheses, truth, strict=True):
        ours = _vectors(_grams(hypothesis), weight, rarest)
        found = [_likeness(ours, _vectors(r, weight, rarest), sigma) for r in several]
        values.append(10.0 * sum(found) / len(found))
    per_item = torch.tensor(values, dtype=torch.float64)
    score = CIDER.mean(per_item, group=group, signature="CIDEr-D|tok:coco|df:corpus")
    return bootstrap(score, level, samples, seed) if samples else score


def _grams(sentence: str) -> Counter[Gram]:
    """How often each n-gram of orders 1 to 4 occurs."""
    words = coco_tokens(sentence)
    return Counter(tuple(words[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1))


def _vectors(
    grams: Counter[Gram], weight: Mapping[Gram, float], rarest: float
) -> tuple[list[dict[Gram, float]], list[float], int]:
    """TF-IDF vector and norm of each order, and the number of bigrams."""
    vectors: list[dict[Gram, float]] = [{} for _ in range(ORDERS)]
    for gram, count in grams.items():
        vectors[len(gram) - 1][gram] = count * weight.get(gram, rarest)
    norms = [math.sqrt(sum(v * v for v in vector.values())) for vector in vectors]
    return vectors, norms, sum(count for gram, count in grams.items() if len(gram) == 2)


def _likeness(
    ours: tuple[list[dict[Gram, float]], list[float], int],
    theirs: tuple[list[dict[Gram, float]], list[float], int],
    sigma: float,
) -> float:
    """Mean over orders of the clipped cosine, times the penalty on lengths."""
    total = 0.0
    for a, b, norm_a, norm_b in zip(ours[0], theirs[0], ours[1], theirs[1], strict=True):
        if norm_a and norm_b:
            total += sum(min(value, b.get(gram, 0.0)) * b.get(gram, 0.0) for gram, value in a.items()) / norm_a / norm_b
    return total / ORDERS * math.exp(-((ours[2] - theirs[2]) ** 2) / (2 * sigma**2))
