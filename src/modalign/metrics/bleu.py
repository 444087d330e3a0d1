"""How near generated words are to reference words: BLEU, chrF, exact match, CIDEr-D.

Plain functions of hypotheses and references, because words do not travel in views. BLEU and chrF are sacrebleu's, on
its scale 0 to 100 and with its signature; exact match is a share in [0, 1]; CIDEr-D is on its own scale, 0 to 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ModalignError, few
from .coco_tokens import coco_tokens
from .score import Score, bootstrap, bootstrap_means, percentile_interval

ORDERS = 4
References = Sequence[Sequence[str]]
Tokenise = Literal["coco", "13a", "none", "intl", "char", "zh"]


@dataclass(frozen=True)
class TextScore(Score):
    """A score of words with the signature that makes it comparable."""

    signature: str = ""

    def json(self) -> dict[str, Any]:
        """Plain numbers and the signature."""
        return {**super().json(), "signature": self.signature}


def corpus_bleu(
    hypotheses: Sequence[str],
    references: References,
    tokenize: Tokenise = "coco",
    group: Tensor | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> TextScore:
    """BLEU-4 of a corpus against any number of references.

    BLEU = 100 min(1, exp(1 - r / c)) (p_1 p_2 p_3 p_4)^(1/4), p_n the clipped n-gram precision summed over the corpus,
    c the length of the hypotheses, r the sum of the nearest reference lengths.

    The tokenisation "coco" (lower case, Penn Treebank words, no punctuation, no smoothing) gives the number of the
    COCO caption tools; all others are sacrebleu's own with its exponential smoothing and the case kept. A corpus of
    hypotheses under four words has no 4-grams, so its BLEU-4 is 0 even where it is perfect: use ``corpus_chrf`` and
    ``exact_match`` for names.

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
    score = TextScore(float(bleu_values(counts.sum(0, keepdim=True), tokenize)[0]), signature="")
    score = replace(score, signature=bleu_signature(references, tokenize))
    return _with_interval(score, counts, lambda sums: bleu_values(sums, tokenize), group, samples, level, seed)


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


def bleu_values(sums: Tensor, tokenize: Tokenise = "coco") -> Tensor:
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


def corpus_chrf(
    hypotheses: Sequence[str],
    references: References,
    group: Tensor | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> TextScore:
    """chrF2: F-score of character n-grams up to 6, recall counted twice; of each sentence's best reference.

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
    score = TextScore(value, signature=str(metric.get_signature()))
    return _with_interval(score, counts, _chrf_values, group, samples, level, seed)


def _chrf_values(sums: Tensor, beta: float = 2.0) -> Tensor:
    """chrF of rows of (hypothesis, reference, matched) counts per order, averaged over the orders that have any."""
    hypothesis, reference, matched = sums.view(len(sums), -1, 3).unbind(2)
    there = (hypothesis > 0) & (reference > 0)
    precision = torch.where(there, matched / hypothesis.clamp(min=1e-300), 0.0)
    recall = torch.where(there, matched / reference.clamp(min=1e-300), 0.0)
    orders = there.sum(1).clamp(min=1)
    p, r = precision.sum(1) / orders, recall.sum(1) / orders
    return 100.0 * torch.where(p + r > 0, (1 + beta**2) * p * r / (beta**2 * p + r).clamp(min=1e-300), 0.0)


def exact_match(
    hypotheses: Sequence[str],
    references: References,
    group: Tensor | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> TextScore:
    """Share of hypotheses with the same words as one of their references; case and punctuation aside.

    Example:
        >>> exact_match(["Red fox!", "dog"], [["red fox"], ["cat"]], samples=0).value
        0.5
    """
    check_sentences(hypotheses, references)
    same = [
        coco_tokens(h) in [coco_tokens(r) for r in several] for h, several in zip(hypotheses, references, strict=True)
    ]
    per_item = torch.tensor(same, dtype=torch.float64)
    score = TextScore(float(per_item.mean()), per_item=per_item, group=group, signature="tok:coco")
    return bootstrap(score, level, samples, seed) if samples else score  # type: ignore[return-value]


def bleu_difference(
    ours: Sequence[str],
    theirs: Sequence[str],
    references: References,
    tokenize: Tokenise = "coco",
    group: Tensor | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> TextScore:
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
    score = TextScore(float(both(counts.sum(0, keepdim=True))[0]), signature=bleu_signature(references, tokenize))
    return _with_interval(score, counts, both, group, samples, level, seed)


def text_scores(
    hypotheses: Sequence[str], references: References, group: Tensor | None = None, **interval: Any
) -> Mapping[str, TextScore]:
    """All of them by name: bleu4, bleu4_13a, chrf, exact_match, and, for two sentences or more, cider."""
    from .cider import cider

    out = {
        "bleu4": corpus_bleu(hypotheses, references, "coco", group, **interval),
        "bleu4_13a": corpus_bleu(hypotheses, references, "13a", group, **interval),
        "chrf": corpus_chrf(hypotheses, references, group, **interval),
        "exact_match": exact_match(hypotheses, references, group, **interval),
    }
    if len(hypotheses) > 1:
        out["cider"] = cider(hypotheses, references, group, **interval)
    return out


def check_sentences(hypotheses: Sequence[str], references: References) -> None:
    """Refuse what other programs score silently: transposed references, a string in place of a list, nothing at all.

    Raises:
        ModalignError: see ``corpus_bleu``.
    """
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise ModalignError("hypotheses must be a list of sentences and references a list of lists, got one string")
    if not len(hypotheses):
        raise ModalignError("there are no hypotheses to score")
    if len(hypotheses) != len(references):
        raise ModalignError(
            f"{len(hypotheses)} hypotheses but {len(references)} lists of references: give one list of references "
            "for each hypothesis"
        )
    flat = [i for i, several in enumerate(references) if isinstance(several, str)]
    if flat:
        raise ModalignError(f"references of {few(flat)} are a string each: put it in a list, also where it is the only")
    empty = [i for i, several in enumerate(references) if not len(several)]
    if empty:
        raise ModalignError(f"{len(empty)} hypotheses have no references ({few(empty)}): leave them out")


def _sacrebleu_bleu(tokenize: Tokenise, effective: bool = False) -> Any:
    from sacrebleu.metrics import BLEU

    coco = tokenize == "coco"
    return BLEU(
        tokenize="none" if coco else tokenize,
        smooth_method="none" if coco else "exp",
        effective_order=effective,
        force=True,  # it would warn of captions with a blank before the full stop
    )


def _streams(references: References) -> Any:
    """References as sacrebleu takes them: stream k holds the k-th reference of every sentence, None for none."""
    most = max(len(several) for several in references)
    return [[several[k] if k < len(several) else None for several in references] for k in range(most)]


def _with_interval(
    score: TextScore,
    counts: Tensor,
    value: Callable[[Tensor], Tensor],
    group: Tensor | None,
    samples: int,
    level: float,
    seed: int,
) -> TextScore:
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
