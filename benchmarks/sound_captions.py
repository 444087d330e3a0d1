"""Captions from sounds: a decoder of titles against the nearest title, on all clips of ESC-50's CC0 part.

    MODALIGN_DATA=... python -m benchmarks sound_captions

Five folds over source recordings, so that every clip is captioned once by what has heard no clip of its recording. In
each fold: heads learn from sounds and titles of three folds (dev: a fourth), the decoder reads titles of these three
folds alone, and is then given the points of sounds. Scores are over all clips together; intervals are over recordings
(a recording is one group), and so is the paired gain in BLEU-4 over the nearest title. Nothing is chosen on test clips:
settings of decoder and heads are those of the page's other tables. SEEDS (default "0 1 2"): of folds, heads, decoders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from benchmarks.translation import NOISE
from modalign.data.annotations import from_manifest
from modalign.data.esc50 import esc50
from modalign.metrics.bleu import bleu_difference
from modalign.metrics.text_scores import text_scores
from modalign.registry import make
from modalign.runs.data import encode
from modalign.tasks.captions import Nearest, Training, examples, fit_captioner
from modalign.views import Views, concat

FOLDS = 5
SOUND = {"name": "joined", "encoders": [{"name": "logmel", "parts": 4}, "aisfx", "speech"]}
HEADS: dict[str, dict[str, Any]] = {"cca": {"dim": 64}, "clip": {"trials": 4}, "full": {"trials": 4}}
DECODER = {"steps": 300, "width": 96, "least": 1, "longest": 12, "noise": NOISE}


def folds(x: Views, source: dict[int, str], seed: int) -> list[tuple[Views, Views, Views]]:
    """(train, dev, test) of each fold, recordings whole."""
    names = sorted(set(source.values()))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    place = {names[n]: i % FOLDS for i, n in enumerate(order)}
    groups = [[g for g, s in source.items() if place[s] == k] for k in range(FOLDS)]
    out = []
    for k in range(FOLDS):
        test, dev = groups[k], groups[(k + 1) % FOLDS]
        train = [g for j, some in enumerate(groups) if j not in (k, (k + 1) % FOLDS) for g in some]
        out.append((x.groups(train), x.groups(dev), x.groups(test)))
    return out


def written(x: Views, known: dict[int, Any], source: dict[int, str], name: str, seed: int) -> dict[str, dict[int, str]]:
    """Writer -> group -> caption of its sound, each by the fold that has not heard it."""
    out: dict[str, dict[int, str]] = {"decoder": {}, "decoder, on pairs": {}, "nearest title": {}}
    for train, dev, test in folds(x, source, seed):
        settings = HEADS[name] | ({"seed": seed} if name != "cca" else {})
        heads = make("method", name, **settings).fit(train, dev)
        z, heard = heads.embed(train), heads.embed(test)
        alone, both = examples(z, known), examples(z, known, ("audio", "text"))
        writers: dict[str, Any] = {
            "decoder": fit_captioner(alone, Training(**DECODER, seed=seed)),
            "decoder, on pairs": fit_captioner(both, Training(**DECODER, seed=seed)),
            "nearest title": Nearest(alone),
        }
        for writer, model in writers.items():
            out[writer] |= dict(zip(heard.group["audio"].tolist(), model.caption(heard["audio"], "audio"), strict=True))
    return out


def shown(score: Any) -> str:
    """Value and interval."""
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"


def run() -> list[dict[str, Any]]:
    """A row for each heads and writer."""
    torch.set_num_threads(1)
    manifest = esc50(Path(os.environ["MODALIGN_DATA"]) / "esc50_cc0")
    data = encode(manifest, {"audio": SOUND, "text": {"name": "minilm"}})
    x = concat(list(data.splits.values()))
    known = from_manifest(manifest)
    source = {row.group: str(row.extra["source"]) for row in manifest}
    number = {s: i for i, s in enumerate(sorted(set(source.values())))}
    rows = []
    for name in os.environ.get("HEADS", " ".join(HEADS)).split():
        found = [written(x, known, source, name, int(s)) for s in os.environ.get("SEEDS", "0 1 2").split()]
        captions = {w: [c for one in found for c in one[w].values()] for w in found[0]}
        order = [g for one in found for g in one["decoder"]]
        truth, group = [known[g] for g in order], torch.tensor([number[source[g]] for g in order])
        for writer, words in captions.items():
            scores = text_scores(words, truth, group)
            row = {"heads": name, "writer": writer, "clips": len(set(order))}
            row |= {m: shown(scores[m]) for m in ("bleu4", "cider", "chrf", "exact_match")}
            if writer != "nearest title":
                row["gain in BLEU-4"] = shown(bleu_difference(words, captions["nearest title"], truth, "coco", group))
            rows.append(row)
    return rows


if __name__ == "__main__":
    for row in run():
        print(row)
