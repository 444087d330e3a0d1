#!/usr/bin/env bash
# Guess, written down first: smooth=True of torchmetrics' BLEU, by the paper it names (Lin and Och 2004: one is added to
# the counts of two words and more), gives a caption without a common run of four words a score above 0, that of
# sacrebleu and nltk.
# Seen (torchmetrics 1.9.0): 0, with smoothing and without, where sacrebleu 2.6.0 and nltk 3.10.4 both say .271. A count
# of 0 returns before the smoothing is reached, so that the option acts only where there is nothing to smooth: there all
# three agree on .658 (.595 without). Means over captions are too low by every caption without such a run, and a
# training that watches them sees steps. bleu_score, sacre_bleu_score and the classes BLEUScore and SacreBLEUScore share
# it.
# So: take sacrebleu (add-k with 1) or nltk (method2) for single captions, or give torchmetrics a whole corpus.
# Source: torchmetrics/functional/text/bleu.py, _bleu_score_compute, its first two lines.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" torch==2.13.0 torchmetrics==1.9.0 \
  sacrebleu==2.6.0 nltk==3.10.4
PYTHONPATH="$place" python3 -W ignore - <<'PYTHON'
import nltk
import sacrebleu
import torchmetrics
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from torchmetrics.functional.text import bleu_score, sacre_bleu_score
from torchmetrics.text import BLEUScore, SacreBLEUScore

print("torchmetrics", torchmetrics.__version__, "sacrebleu", sacrebleu.__version__, "nltk", nltk.__version__)
caption = "a man rides a horse on the beach"
peer = sacrebleu.BLEU(smooth_method="add-k", smooth_value=1)
seen = {}
for truth in ("a man rides a horse along the beach", "a man is riding a horse along the beach"):
    expected = peer.corpus_score([caption], [[truth]]).score / 100
    other = sentence_bleu([truth.split()], caption.split(), smoothing_function=SmoothingFunction().method2)
    assert abs(expected - other) < 1e-6
    own = [f([caption], [[truth]], smooth=True).item() for f in (bleu_score, sacre_bleu_score)]
    own += [c(smooth=True)([caption], [[truth]]).item() for c in (BLEUScore, SacreBLEUScore)]
    seen[truth] = (expected, own)
    print(f"{truth!r}: sacrebleu and nltk {expected:.3f}, torchmetrics {[round(v, 3) for v in own]}")
(four, same), (few, none) = seen.values()
assert all(abs(v - four) < 1e-6 for v in same)
assert abs(few - 0.2713) < 1e-4
assert none == [0.0] * 4
PYTHON
