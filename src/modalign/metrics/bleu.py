"""BLEU: n-gram precision of a corpus of generated sentences, as sacrebleu and the COCO caption tools count it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from ..parameters import Level, Number, Seed, Shape, checked
from .coco_tokens import coco_tokens
from .intervals import with_interval
from .score import Measure, Score
from .sentences import References, check_sentences

ORDERS = 4
Tokenise = Literal["coco", "13a", "none", "intl", "char", "zh"]
BLEU = Measure(
    "BLEU-4", "points", "Precision of n-grams up to four words against the references, 0 to 100.", topic="Translation",
    importance="main",
)  # fmt: skip
GAIN = Measure("Gain in BLEU-4", "points", "BLEU-4 of the first system minus that of the other.", topic="Translation")


@checked
def corpus_bleu(
    hypotheses: Sequence[str],
    references: References,
    tokenize: Tokenise = "coco",
    group: Tensor | None = None,
    samples: Number = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> Score:
    """BLEU-4 of a corpus against any number of references.

    BLEU = 100 min(1, exp(1 - r / c)) (p_1 p_2 p_3 p_4)^(1/4), p_n the clipped n-gram precision summed over the corpus,
    c the length of the hypotheses, r the sum of the nearest reference lengths.

    The tokenisation "coco" (lower case, Penn Treebank words, no punctuation, no smoothing) gives the number of the
    COCO caption tools; all others are sacrebleu's own with its exponential smoothing and the case kept. A corpus of
    hypotheses under four words has no 4-grams, so its BLEU-4 is 0 even where it is perfect: use ``corpus_chrf`` and
    ``exact_match`` for names.

    Use when: sentences are compared with published ones. Related: ``corpus_chrf`` (short texts), ``cider`` (captions,
    rare words count more), ``exact_match`` (names).

    Args:
        hypotheses: n sentences.
        references: n lists of at least one sentence each; their numbers may differ.
        tokenize: how sentences are cut into words.
        group: (n,) ids; sentences of one group are drawn together. None: each by itself.
        samples: bootstrap draws of groups; 0: no interval.
        level, seed: of the interval.

    Returns:
        Value in 0 to 100, interval and sacrebleu's signature.

    Raises:
        ModalignError: nothing to score, one string where a list belongs, numbers of hypotheses and references differ,
            a sentence without references.

    Reference: Papineni et al. 2002, ACL; Post 2018, arXiv 1804.08771; Chen et al. 2015, arXiv 1504.00325.

    Example:
        >>> score = corpus_bleu(["A man riding a horse."], [["a man riding a horse"]], samples=0)
        >>> score.value, score.signature.split("|version")[0]
        (100.0, 'nrefs:1|case:lc|eff:no|tok:coco|smooth:none')
    """
    counts = bleu_statistics(hypotheses, references, tokenize)
    value = float(bleu_values(counts.sum(0, keepdim=True), tokenize)[0])
    what = BLEU if tokenize == "coco" else replace(BLEU, heading=f"BLEU-4, {tokenize}", importance="usual")
    score = what.score(value, signature=bleu_signature(references, tokenize))
    return with_interval(score, counts, lambda sums: bleu_values(sums, tokenize), group, samples, level, seed)


@checked
def bleu_statistics(hypotheses: Sequence[str], references: References, tokenize: Tokenise = "coco") -> Tensor:
    """(n, 10) float64: matched n-grams of orders 1 to 4, n-grams of orders 1 to 4, hypothesis and reference length.

    Rows add up: BLEU of any set of sentences is a function of the sum of their rows.
    """
    check_sentences(hypotheses, references)
    if tokenize == "coco":
        hypotheses = [" ".join(coco_tokens(h)) for h in hypotheses]
        references = [[" ".join(coco_tokens(r)) for r in several] for several in references]
    metric = _sacrebleu_bleu(tokenize, effective=True)
    rows = []
    for hypothesis, several in zip(hypotheses, references, strict=True):
        s = metric.sentence_score(hypothesis, list(several))
        rows.append([*s.counts, *s.totals, s.sys_len, s.ref_len])
    return torch.tensor(rows, dtype=torch.float64)


@checked
def bleu_values(sums: Annotated[Tensor, Shape("k 10")], tokenize: Tokenise = "coco") -> Tensor:
    """BLEU of each row of summed statistics, (k, 10) to (k,). Rows may be scaled: only ratios count."""
    matched, total, length, target = sums[:, :ORDERS], sums[:, ORDERS : 2 * ORDERS], sums[:, -2], sums[:, -1]
    some = matched.sum(1, keepdim=True) > 0
    if tokenize != "coco":  # sacrebleu's exponential smoothing: the k-th order without a match counts 1 / 2^k
        halves = torch.where(matched == 0, 0.5, 1.0).cumprod(1)
        matched = torch.where(matched == 0, halves, matched)
    precision = torch.where((total > 0) & some, matched / total.clamp(min=1e-300), 0.0)
    geometric = torch.exp(precision.log().mean(1))
    brevity = torch.exp((1.0 - target / length.clamp(min=1e-300)).clamp(max=0.0))
    return 100.0 * torch.where(length > 0, brevity * geometric, 0.0)


@checked
def bleu_signature(references: References, tokenize: Tokenise = "coco") -> str:
    """sacrebleu's signature; "tok:coco" and "case:lc" where the words were cut before sacrebleu saw them."""
    metric = _sacrebleu_bleu(tokenize)
    metric.corpus_score(["a"], [["a"]])
    parts = dict(part.split(":", 1) for part in str(metric.get_signature()).split("|"))
    if tokenize == "coco":
        parts |= {"case": "lc", "tok": "coco"}
    sizes = {len(several) for several in references}
    parts["nrefs"] = str(next(iter(sizes))) if len(sizes) == 1 else "var"
    return "|".join(f"{key}:{value}" for key, value in parts.items())


@checked
def bleu_difference(
    ours: Sequence[str],
    theirs: Sequence[str],
    references: References,
    tokenize: Tokenise = "coco",
    group: Tensor | None = None,
    samples: Number = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> Score:
    """BLEU of one system minus BLEU of another on the same sentences, with a paired bootstrap interval.

    Reference: Koehn 2004, "Statistical significance tests for machine translation evaluation", EMNLP.

    Example:
        >>> bleu_difference(["a b c d"], ["a b c d"], [["a b c d e"]], samples=0).value
        0.0
    """
    a, b = bleu_statistics(ours, references, tokenize), bleu_statistics(theirs, references, tokenize)
    width = a.shape[1]

    def both(sums: Tensor) -> Tensor:
        return bleu_values(sums[:, :width], tokenize) - bleu_values(sums[:, width:], tokenize)

    counts = torch.cat([a, b], 1)
    gain = float(both(counts.sum(0, keepdim=True))[0])
    score = GAIN.score(gain, signature=bleu_signature(references, tokenize))
    return with_interval(score, counts, both, group, samples, level, seed)


def _sacrebleu_bleu(tokenize: Tokenise, effective: bool = False) -> Any:
    from sacrebleu.metrics import BLEU

    coco = tokenize == "coco"
    return BLEU(
        tokenize="none" if coco else tokenize,
        smooth_method="none" if coco else "exp",
        effective_order=effective,
        force=True,  # it would warn of captions with a blank before the full stop
    )
