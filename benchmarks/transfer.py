"""Classifiers carried from one modality to another: pictograms' topics, and classes of sounds.

    python -m benchmarks transfer
    MODALIGN_DATA=... python -m benchmarks transfer    also the sounds (small: 9 test clips)

Pictograms: OpenMoji's images and names, 15 topics (``tasks.topics``). Sounds: the CC0 part of ESC-50, audio and the
recordings' titles, split by recording; classes with at least 4 training clips. Heads: CCA on the training pairs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.lab import openmoji
from modalign.data.annotations import from_manifest
from modalign.data.esc50 import esc50
from modalign.data.openmoji import openmoji as pictograms
from modalign.features.encoders.text import MiniLM
from modalign.registry import make
from modalign.runs.data import encode
from modalign.tasks.evaluation import evaluate_transfer
from modalign.tasks.topics import pictogram_topics
from modalign.views import Views

DRAWS = 5


def table(train: Views, test: Views, labels: Mapping[int, str], names: Mapping[str, Tensor], data: str) -> list[dict]:
    """Rows of what was measured."""
    found = evaluate_transfer(train, test, labels, names, draws=DRAWS)
    rows = []
    for name, score in found.items():
        metric, way = name.split("/", 1)
        if metric == "accuracy":
            balanced = found[f"balanced_accuracy/{way}"]
            cell = f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"
            rows.append(
                {"data": data, "way": way, "accuracy": cell, "chance": f"{100 * score.chance:.1f}"}
                | {"balanced": f"{100 * balanced.value:.1f}", "items": len(score.per_item)}
            )
    return rows


def pictogram_rows() -> list[dict[str, Any]]:
    """Names to pictures and back, over the topics."""
    splits = openmoji()
    heads = make("method", "cca").fit(splits["train"], splits["dev"])
    labels = pictogram_topics(pictograms())
    names = {name: heads.transform(x, "text") for name, x in named(sorted(set(labels.values()))).items()}
    return table(heads.embed(splits["train"]), heads.embed(splits["test"]), labels, names, "openmoji")


def sound_rows(root: Path) -> list[dict[str, Any]]:
    """Titles to sounds and back, over the classes that have enough training clips."""
    train, test, labels = sounds(root)
    heads = make("method", "cca", dim=64).fit(train)
    names = {name: heads.transform(x, "text") for name, x in named(sorted(set(labels.values()))).items()}
    return table(heads.embed(train), heads.embed(test), labels, names, "esc50 (small)")


def sounds(root: Path, least: int = 4) -> tuple[Views, Views, dict[int, str]]:
    """Training and test views of ESC-50's CC0 part, and the class of each group; rare classes are left out."""
    manifest = esc50(root)
    data = encode(manifest, {"audio": {"name": "logmel"}, "text": {"name": "minilm"}})
    category = {g: c[0].replace("_", " ") for g, c in from_manifest(manifest, "category").items()}
    count = Counter(category[g] for g in data["train"].group_ids().tolist())
    return data["train"], data["test"], {g: c for g, c in category.items() if count[c] >= least}


def named(classes: list[str]) -> dict[str, Tensor]:
    """Class -> text features of its name."""
    return {name: x[None] for name, x in zip(classes, MiniLM().encode(classes), strict=True)}


def run() -> list[dict[str, Any]]:
    """Pictograms, and the sounds where they are."""
    torch.set_num_threads(1)
    rows = pictogram_rows()
    if os.environ.get("MODALIGN_DATA"):
        rows += sound_rows(Path(os.environ["MODALIGN_DATA"]) / "esc50_cc0")
    return rows
