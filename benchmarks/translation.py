"""Captions of Flickr8k's official test photos: a decoder against the nearest training caption; joint against two steps.

    MODALIGN_DATA=... python -m benchmarks translation
    TRANSLATION="cca joint" TRANSLATION_STEPS=300 MODALIGN_DATA=... python -m benchmarks translation

Parts: "cca", "clip", "full" (which heads), "noise" (sigma on the dev photos), "joint" (caption loss in L_total),
"titles" (of sounds; a handful). Heads learn from the 6,000 official training pairs, decoders from the 30,000 captions
of these photos; the 1,000 test photos have 5 references each. Nothing is chosen on test photos. One thread; a decoder
takes minutes.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.lab import flickr8k
from modalign.data.annotations import from_manifest
from modalign.data.esc50 import esc50
from modalign.methods.gradient import Gradient
from modalign.metrics.score import Score
from modalign.objectives.caption import Caption
from modalign.registry import make
from modalign.runs.data import encode
from modalign.tasks.captions import Captions, Examples, Nearest, Training, examples, fit_captioner
from modalign.tasks.translation import choose_noise, evaluate_translation
from modalign.training.loop import dev_recall
from modalign.views import Views, linked_groups

#: Settings of the heads; trials are few so that all of it takes minutes.
HEADS: Mapping[str, dict[str, Any]] = {"cca": {}, "clip": {"trials": 2}, "full": {"trials": 3, "steps": 60}}
#: Fixed before any test score was seen; a grid on dev photos (part "noise") is still to be run at full length.
NOISE = 0.6
SIGMAS = (0.0, 0.3, 0.6, 1.0)
JOINT_STEPS, JOINT_WEIGHT = 100, 0.5
#: Decoders that are compared with each other only are small and short.
QUICK: Mapping[str, Any] = {"steps": 150, "width": 128}


def captions() -> Captions:
    """Group -> its five captions, as they are."""
    path = Path(os.environ["MODALIGN_DATA"]) / "flickr8k/features/captions.csv"
    with path.open(encoding="utf-8") as file:
        words = [row[1] for row in csv.reader(file)][1:]
    return {group: words[5 * group : 5 * group + 5] for group in range(len(words) // 5)}


def scored(z: Views, known: Captions, writers: Mapping[str, Any], heads: str, seconds: float) -> list[dict[str, Any]]:
    """One row per writer; the gain is over the last one."""
    found = evaluate_translation(z.only("image"), known, writers)
    base = list(writers)[-1]
    rows = []
    for name in writers:
        of = {m: found[f"{m}/image->text/{name}"] for m in ("bleu4", "cider", "chrf")}
        gain = found.get(f"bleu4_gain/image->text/{name}-{base}")
        rows.append(
            {"heads": heads, "writer": name, "BLEU-4": shown(of["bleu4"]), "CIDEr-D": f"{of['cider'].value:.3f}"}
            | {"chrF": f"{of['chrf'].value:.1f}", "gain": shown(gain) if gain else "", "train s": round(seconds)}
        )
    return rows


def shown(score: Score) -> str:
    """Value and interval."""
    return f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]"


def training(**settings: Any) -> Training:
    """The decoder's settings."""
    return Training(steps=int(os.environ.get("TRANSLATION_STEPS", "400")), **settings)


def timed(data: Examples, how: Training) -> tuple[Any, float]:
    """A trained captioner and its processor seconds."""
    start = time.process_time()
    return fit_captioner(data, how), time.process_time() - start


def with_heads(name: str, x: Mapping[str, Views], known: Captions) -> list[dict[str, Any]]:
    """Decoder trained on captions alone, and the nearest caption, in the space of some heads."""
    heads = make("method", name, **HEADS[name]).fit(x["train"], x["dev"])
    data = examples(heads.embed(x["train"]), known)
    captioner, seconds = timed(data, training(noise=NOISE))
    writers = {"decoder, text alone": captioner, "nearest caption": Nearest(data)}
    return scored(heads.embed(x["test"]), known, writers, name, seconds)


def noise(x: Mapping[str, Views], known: Captions) -> list[dict[str, Any]]:
    """BLEU-4 on the dev photos against sigma, with CCA heads."""
    heads = make("method", "cca").fit(x["train"], x["dev"])
    train, dev = heads.embed(x["train"]), heads.embed(x["dev"])
    _, found = choose_noise(examples(train, known), dev, known, SIGMAS, Training(**QUICK))
    return [{"sigma": sigma, "BLEU-4 on dev": value} for sigma, value in found.items()]


def joint(x: Mapping[str, Views], known: Captions) -> list[dict[str, Any]]:
    """Caption loss as a term of L_total, against heads first and the decoder after them; equal numbers of captions."""
    own = {g: known[g] for g in linked_groups(x["train"], None).tolist()}
    retrieval = {"name": "clip"}
    common = {"start": "cca", "steps": JOINT_STEPS, "lr": 1e-3, "batch": 256, "every": JOINT_STEPS}
    rows = []
    before = Gradient({"name": "total", "retrieval": retrieval}, **common).fit(x["train"])
    data = examples(before.embed(x["train"]), known, ("image", "text"))
    after, seconds = timed(data, Training(steps=4 * JOINT_STEPS, batch=128, lr=1e-3, width=QUICK["width"]))
    rows += compared("two steps", before, after, x["test"], known, seconds)
    loss = Caption(own, dim=256, least=5, width=QUICK["width"])
    total = {"name": "total", "retrieval": retrieval, "terms": {"words": loss}, "weights": {"words": JOINT_WEIGHT}}
    start = time.process_time()
    together = Gradient(total, **common).fit(x["train"])
    seconds = time.process_time() - start
    return rows + compared("joint", together, loss.captioner(), x["test"], known, seconds)


def titles(x: Mapping[str, Views], known: Captions) -> list[dict[str, Any]]:
    """Sounds of ESC-50's CC0 part -> titles of their recordings, by a decoder of titles alone; a handful of items."""
    manifest = esc50(Path(os.environ["MODALIGN_DATA"]) / "esc50_cc0")
    data = encode(manifest, {"audio": {"name": "logmel"}, "text": {"name": "minilm"}})
    heads = make("method", "cca", dim=64).fit(data["train"])
    words = from_manifest(manifest)
    read = examples(heads.embed(data["train"]), words)
    small = Training(steps=200, width=96, least=1, noise=NOISE, longest=12)
    writers = {"decoder, titles alone": fit_captioner(read, small), "nearest title": Nearest(read)}
    found = evaluate_translation(heads.embed(data["test"]), words, writers, source="audio")
    return [
        {"data": "esc50 (small)", "writer": name, "items": len(data["test"]["audio"])}
        | {m: shown(found[f"{m}/audio->text/{name}"]) for m in ("chrf", "exact_match")}
        for name in writers
    ]


def compared(name: str, heads: Any, captioner: Any, test: Views, known: Captions, seconds: float) -> list[dict]:
    """Captions and retrieval of heads with their decoder."""
    z = heads.embed(test)
    row = scored(z, known, {name: captioner}, "cca + clip", seconds)[0]
    return [row | {"gain": "", "recall": f"{100 * dev_recall(z):.1f}"}]


PARTS = {"noise": noise, "joint": joint, "titles": titles}


def run() -> list[dict[str, Any]]:
    """The parts that the environment names, all by default."""
    torch.set_num_threads(1)
    x, known = flickr8k(), captions()
    parts = os.environ.get("TRANSLATION", "cca clip full noise joint titles").split()
    rows: list[dict[str, Any]] = []
    for part in parts:
        if part in HEADS:
            rows += with_heads(part, x, known)
        elif part in PARTS:
            rows += PARTS[part](x, known)
        else:
            raise SystemExit(f"unknown part '{part}': choose among {', '.join([*HEADS, *PARTS])}")
    return rows
