"""BLEU, chrF, exact match, CIDEr-D against sacrebleu, an independent count and numbers of the COCO caption tools."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from pathlib import Path

import pytest
import sacrebleu
import torch

from modalign.errors import ModalignError
from modalign.metrics.bleu import (
    bleu_difference,
    bleu_statistics,
    bleu_values,
    corpus_bleu,
)
from modalign.metrics.chrf import corpus_chrf
from modalign.metrics.cider import cider
from modalign.metrics.coco_tokens import coco_tokens
from modalign.metrics.text_scores import exact_match, text_scores

HYPOTHESES = [
    "A man rides a brown horse on the beach.",
    "two dogs are running through the grass",
    "a child in a red shirt plays with a ball",
    "a bird",
    "The woman's dog can't swim in the lake!",
]
REFERENCES = [
    ["a man riding a horse on the beach", "A man on a brown horse rides along the beach.", "someone rides a horse"],
    ["Two dogs run through the tall grass.", "two brown dogs are running in the grass"],
    ["a boy in a red shirt is playing with a ball", "A child plays ball.", "the child in a red shirt plays"],
    ["a small bird sits on a branch"],
    ["the woman's dog can't swim", "A dog that cannot swim is in the lake"],
]


def streams(references):
    most = max(map(len, references))
    return [[r[k] if k < len(r) else None for r in references] for k in range(most)]


def independent_bleu(hypotheses, references):
    """BLEU-4 of words that are cut already, by counting; as the COCO tools do, without smoothing."""
    matched, total, length, target = [0] * 4, [0] * 4, 0, 0
    for h, several in zip(hypotheses, references, strict=True):
        length += len(h)
        target += min((abs(len(r) - len(h)), len(r)) for r in several)[1]
        for n in range(1, 5):
            own = Counter(tuple(h[i : i + n]) for i in range(len(h) - n + 1))
            most = Counter()
            for r in several:
                most |= Counter(tuple(r[i : i + n]) for i in range(len(r) - n + 1))
            matched[n - 1] += sum((own & most).values())
            total[n - 1] += sum(own.values())
    if not all(matched):
        return 0.0
    mean = sum(math.log(m / t) for m, t in zip(matched, total, strict=True)) / 4
    return 100 * math.exp(mean) * min(1.0, math.exp(1 - target / length))


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("caption", "words"),
    [  # what Stanford's PTBTokenizer 3.4.1 with the COCO tools' settings gives, punctuation dropped
        ("A man's dog can't don't I'm they're", "a man 's dog ca n't do n't i 'm they 're"),
        ("\"quoted\" text, 'single' and (paren) [b]", "quoted text single and paren -lsb- b -rsb-"),
        ("t-shirt well-known cannot gonna gimme", "t-shirt well-known can not gon na gim me"),
        ("Mr. Smith e.g. 3.5 $5.00 50% 1,000 a/b", "mr. smith e.g. 3.5 $ 5.00 50 % 1,000 a/b"),
        ("wait... what?! no -- yes; ok: 10:30 a.m.", "wait what ?! no yes ok 10:30 a.m."),
        ("dogs' toys & the '90s", "dogs toys & the '90s"),
        ("C++ & R&D 1/2 2x4 3-4", "c++ & r&d 1/2 2x4 3-4"),
        ("A man,a dog.A cat", "a man a dog.a cat"),
        ("#hashtag @name *star*", "#hashtag @name * star *"),
        ("at the U.S. border on 5th Ave. in June", "at the u.s. border on 5th ave. in june"),
        ("  \t ", ""),
        ("...", ""),
    ],
)
def test_words_are_those_of_the_coco_tools(caption, words):
    assert coco_tokens(caption) == words.split()


def test_cutting_twice_changes_nothing():
    for caption in HYPOTHESES + [r for several in REFERENCES for r in several]:
        once = coco_tokens(caption)
        assert coco_tokens(" ".join(once)) == once


# ------------------------------------------------------------------ BLEU


def test_bleu_equals_an_independent_count():
    score = corpus_bleu(HYPOTHESES, REFERENCES, samples=0)
    cut = [coco_tokens(h) for h in HYPOTHESES], [[coco_tokens(r) for r in several] for several in REFERENCES]
    assert score.value == pytest.approx(independent_bleu(*cut), abs=1e-9)
    # pycocoevalcap 1.2, its Java words and its own count, on the same sentences
    assert score.value == pytest.approx(54.33435765631824, abs=1e-6)


@pytest.mark.parametrize("tokenize", ["13a", "none", "intl", "char"])
@pytest.mark.parametrize("which", [slice(0, 5), slice(3, 4), slice(1, 3)])
def test_bleu_equals_sacrebleu(tokenize, which):
    h, r = HYPOTHESES[which], REFERENCES[which]
    wanted = sacrebleu.metrics.BLEU(tokenize=tokenize).corpus_score(h, streams(r)).score
    assert corpus_bleu(h, r, tokenize, samples=0).value == pytest.approx(wanted, abs=1e-9)


def test_a_perfect_caption_scores_100_whatever_its_case_and_full_stop():
    # Cased and with the full stop as a word the same pair scores about 51, see sacrebleu's 13a.
    pair = ["A man riding a horse."], [["a man riding a horse"]]
    assert corpus_bleu(*pair, samples=0).value == pytest.approx(100.0)
    assert corpus_bleu(*pair, "13a", samples=0).value == pytest.approx(50.8, abs=0.05)


def test_a_short_hypothesis_pays_by_its_brevity_and_never_gains():
    whole = "a b c d e f g"
    assert corpus_bleu(["a b c d e"], [[whole]], samples=0).value == pytest.approx(67.0320, abs=1e-4)
    assert corpus_bleu([whole], [["a b c d e f g h"[:9]]], samples=0).value <= 100.0


def test_names_under_four_words_score_nothing_without_an_error():
    assert corpus_bleu(["yes"], [["yes"]]).value == 0.0
    assert corpus_chrf(["yes"], [["yes"]]).value == 100.0
    assert exact_match(["yes"], [["Yes."]]).value == 1.0
    assert corpus_bleu([""], [["yes"]], samples=0).value == 0.0
    assert corpus_bleu([""], [["yes"]], "13a", samples=0).value == 0.0


def test_signature_says_how_the_number_came_about():
    assert corpus_bleu(HYPOTHESES, REFERENCES, samples=0).signature == (
        f"nrefs:var|case:lc|eff:no|tok:coco|smooth:none|version:{sacrebleu.__version__}"
    )
    metric = sacrebleu.metrics.BLEU()
    metric.corpus_score(HYPOTHESES[:1], [[REFERENCES[0][0]]])
    assert corpus_bleu(HYPOTHESES[:1], [REFERENCES[0][:1]], "13a", samples=0).signature == str(metric.get_signature())
    assert "signature" in corpus_bleu(["a"], [["a"]], samples=0).json()


def test_statistics_add_up():
    parts = [bleu_statistics(HYPOTHESES[i : i + 1], REFERENCES[i : i + 1]) for i in range(5)]
    torch.testing.assert_close(torch.cat(parts), bleu_statistics(HYPOTHESES, REFERENCES))
    total = torch.cat(parts).sum(0, keepdim=True)
    assert float(bleu_values(total)) == corpus_bleu(HYPOTHESES, REFERENCES, samples=0).value
    torch.testing.assert_close(bleu_values(3 * total), bleu_values(total))


def test_order_of_sentences_and_references_does_not_matter():
    turned = corpus_bleu(HYPOTHESES[::-1], [r[::-1] for r in REFERENCES[::-1]], samples=0)
    assert turned.value == pytest.approx(corpus_bleu(HYPOTHESES, REFERENCES, samples=0).value)


# ------------------------------------------------------------------ intervals


def test_intervals_hold_the_value_and_come_from_groups():
    h, r = HYPOTHESES * 8, REFERENCES * 8
    for score in (corpus_bleu(h, r), corpus_chrf(h, r), exact_match(h, r), cider(h, r)):
        assert score.low <= score.value <= score.high
    assert corpus_bleu(h, r, seed=1) == corpus_bleu(h, r, seed=1)
    assert corpus_bleu(h, r, seed=1) != corpus_bleu(h, r, seed=2)
    # Every draw of groups that each hold all sentences is the same corpus.
    same = corpus_bleu(h, r, group=torch.arange(8).repeat_interleave(5))
    assert same.low == pytest.approx(same.value)
    assert same.high == pytest.approx(same.value)


def test_the_gain_of_one_system_over_another():
    h, r = HYPOTHESES * 8, REFERENCES * 8
    worse = [" ".join(reversed(s.split())) for s in h]
    gain = bleu_difference(h, worse, r)
    wanted = corpus_bleu(h, r, samples=0).value - corpus_bleu(worse, r, samples=0).value
    assert gain.value == pytest.approx(wanted)
    assert 0 < gain.low < gain.value < gain.high
    none = bleu_difference(h, h, r)
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)


# ------------------------------------------------------------------ chrF, exact match, CIDEr


def test_chrf_equals_sacrebleu_and_its_sentences_sum_to_it():
    wanted = sacrebleu.metrics.CHRF().corpus_score(HYPOTHESES, streams(REFERENCES))
    score = corpus_chrf(HYPOTHESES, REFERENCES, group=torch.zeros(5, dtype=torch.long))
    assert score.value == pytest.approx(wanted.score)
    assert score.low == pytest.approx(wanted.score)  # one group: every draw is the whole corpus
    assert score.signature.startswith("nrefs:var|case:mixed|eff:yes|nc:6|nw:0|space:no")


def test_exact_match_takes_any_reference():
    assert exact_match(["Dog", "a cat", "fox!"], [["cat", "dog"], ["cat"], ["fox"]], samples=0).value == 2 / 3


def test_cider_equals_the_coco_tools():
    # pycocoevalcap 1.2 on these words: Cider().compute_score
    assert cider(HYPOTHESES, REFERENCES, samples=0).value == pytest.approx(3.111864807446718, abs=1e-9)
    assert cider(["a b c d", "e f g h"], [["a b c d"], ["e f g h"]], samples=0).value == pytest.approx(10.0)
    assert cider(["e f g h", "a b c d"], [["a b c d"], ["e f g h"]], samples=0).value == 0.0


def test_all_scores_by_name():
    scores = text_scores(HYPOTHESES, REFERENCES, samples=10)
    assert list(scores) == ["bleu4", "bleu4_13a", "chrf", "exact_match", "cider"]
    assert "cider" not in text_scores(HYPOTHESES[:1], REFERENCES[:1], samples=10)


@pytest.mark.data
def test_human_captions_of_flickr8k_score_what_the_coco_tools_say():
    """First caption of each of the first 1,000 photos against the other four: pycocoevalcap 1.2 with its Java words."""
    root = os.environ.get("MODALIGN_DATA")
    if root is None:
        pytest.skip("MODALIGN_DATA is not set")
    with (Path(root) / "flickr8k/features/captions.csv").open(encoding="utf-8") as file:
        rows = [row[1] for row in csv.reader(file)][1:5001]
    several = [rows[i : i + 5] for i in range(0, 5000, 5)]
    hypotheses, references = [s[0] for s in several], [s[1:] for s in several]
    assert corpus_bleu(hypotheses, references, samples=0).value == pytest.approx(20.8937246, abs=1e-6)
    assert cider(hypotheses, references, samples=0).value == pytest.approx(0.7658764497, abs=1e-9)


# ------------------------------------------------------------------ user mistakes


@pytest.mark.parametrize(
    ("hypotheses", "references", "says"),
    [
        ([], [], "no hypotheses"),
        (["a", "b"], [["a"]], "2 hypotheses but 1 lists"),
        (["A B C"] * 2, [["A B C", "B C D"], ["B C D", "x"], ["C D E", "y"]], "2 hypotheses but 3 lists"),
        (["a", "b"], ["a", ["b"]], "an entry of references must be a list"),
        ("a b", [["a b"]], "hypotheses must be a list"),
        (["a"], "a", "references must be a list"),
        (["a", "b"], [["a"], []], "no references"),
    ],
)
@pytest.mark.parametrize("metric", [corpus_bleu, corpus_chrf, exact_match, cider])
def test_mistakes_are_named(metric, hypotheses, references, says):
    with pytest.raises(ModalignError, match=says):
        metric(hypotheses, references)


def test_cider_of_one_item_is_refused():
    with pytest.raises(ModalignError, match="two items"):
        cider(["a b"], [["a b"]])


def test_long_runs_of_signs_take_no_time():
    for run in ("+", "+a", "a@", ".a-"):  # quadratic time would be minutes
        assert coco_tokens(run * 100_000) is not None
    assert coco_tokens("write to a.b+c@d-e.org, now") == ["write", "to", "a.b+c@d-e.org", "now"]
    assert coco_tokens("+" * 3) == ["+"] * 3
