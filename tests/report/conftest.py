"""Small run folders, made as the program makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modalign import __version__
from modalign.files import write_json
from modalign.metrics.mean_recall import MEAN_RECALL
from modalign.metrics.mutual_knn import MUTUAL
from modalign.metrics.procrustes import DISPARITY
from modalign.metrics.recall import forms
from modalign.metrics.score import Measure
from modalign.model import FeatureMap, Head, Heads, Model, Projection
from modalign.robustness.curves import AREA, RETAINED
from modalign.runs.items import Items, write_lines
from modalign.views import Views

CREDIT = "Pictograms: OpenMoji (https://openmoji.org), CC BY-SA 4.0"


def embeddings(n: int, modalities: tuple[str, ...] = ("image", "text"), noise: float = 0.6, d: int = 16) -> Views:
    """Noisy copies of one cloud: row i of every modality is group i."""
    draw = torch.Generator().manual_seed(0)
    centre = torch.randn(n, d, generator=draw)
    data = {
        m: torch.nn.functional.normalize(centre + noise * torch.randn(n, d, generator=draw), dim=1) for m in modalities
    }
    return Views(data, {m: torch.arange(n) for m in modalities})


def score(value: float, half: float = 0.02, what: Measure = MEAN_RECALL, **more: float) -> dict[str, Any]:
    return what.score(value, low=value - half, high=value + half, **more).json()


def method(label: str, level: float) -> dict[str, Any]:
    out: dict[str, Any] = {"mean_recall": score(level, chance=0.02)}
    for a, b in (("text", "image"), ("image", "text")):
        for k in (1, 5, 10):
            hit, share = forms([k])[:2]
            out[f"recall/{a}->{b}/any@{k}"] = score(level * (0.4 + k / 10), what=hit.what, chance=k / 40)
            out[f"recall/{a}->{b}/fraction@{k}"] = score(level * (0.3 + k / 10), what=share.what, chance=k / 40)
    out["procrustes/image~text"] = score(0.9 - level, what=DISPARITY)
    out["mutual_knn/image~text/@10"] = score(level / 2, what=MUTUAL, chance=0.1)
    return {"label": label, "seconds": 1.5, "scores": out}


def scores(**changes: Any) -> dict[str, Any]:
    table = {
        "format": 2,
        "title": "Pictogram boards",
        "task": "find the picture for a word",
        "data": {
            "name": "openmoji",
            "settings": {"language": "en"},
            "pairs": 200,
            "unlinked": {"image": 100, "text": 90},
            "dev": 50,
            "test": 40,
        },
        "seeds": [0, 1, 2],
        "split": "test",
        "methods": {"clip": method("CLIP", 0.2), "cca": method("CCA", 0.25), "full": method("full", 0.31)},
        "budgets": [
            {"method": m, "pairs": p, "mean_recall": score(level * p**0.2 / 3)}
            for m, level in (("clip", 0.2), ("full", 0.31))
            for p in (50, 100, 200)
        ],
        "saving": {
            "text": "full reaches CLIP's recall (13.7 %) with 70 pairs: 2.9 times fewer. It is 1.5 times CLIP's.",
            "target": 0.19,
            "factor": 2.9,
            "pairs": 69.0,
        },
        "attribution": CREDIT,
    }
    return table | changes


def robustness() -> dict[str, Any]:
    """What ``modalign evaluate --robustness noise`` writes."""
    curves = {
        key: {
            "levels": [0.0, 1.0, 2.0],
            "scores": [score(top), score(top / 2), score(top / 4)],
            "area": score(top / 2, what=AREA),
            "retained": score(0.5, what=RETAINED),
        }
        for key, top in (("clip", 0.2), ("full", 0.31))
    }
    kinds = {"noise": {"panels": [{"name": "all", "curves": curves}]}}
    methods = {"clip": {"label": "CLIP", "scores": {}}, "full": {"label": "full", "scores": {}}}
    return {"format": 2, "title": "robustness", "methods": methods, "groups": 40, "focus": "full", "kinds": kinds}


Make = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> Make:
    """A whole run folder; settings leave parts out or change them."""

    def make(
        n: int = 40,
        modalities: tuple[str, ...] = ("image", "text"),
        names: Callable[[int], str] | None = lambda i: f"thing {i}",
        pictures: bool = True,
        split: str | None = "test",
        table: dict[str, Any] | None = None,
        folder: str = "run",
    ) -> Path:
        run = tmp_path / folder
        (run / "media").mkdir(parents=True)
        z = embeddings(n, modalities)
        items: dict[str, list[dict[str, Any]]] = {m: [{"row": i} for i in range(n)] for m in modalities}
        for i in range(n):
            if split:
                for m in modalities:
                    items[m][i]["split"] = split
            if names and "text" in items:
                items["text"][i]["text"] = names(i)
            if pictures and "image" in items:
                place = f"media/{i}.png"
                Image.new("RGB", (24, 24), (5 * i % 255, 90, 160)).save(run / place)
                items["image"][i]["picture"] = place
        Items(z, items).write(run)
        write_json(run / "scores.json", scores() if table is None else table)
        write_json(
            run / "environment.json",
            {
                "command": ["modalign", "demo", "--out", "my runs"],
                "time": "2026-01-02T03:04:05+0000",
                "system": "Linux x86_64",
                "cores": 4,
                "threads": 2,
                "device": "cpu",
                "versions": {"modalign": __version__, "torch": "2.13"},
            },
        )
        write_json(run / "robustness.json", robustness())
        write_lines(
            run / "metrics.jsonl",
            [
                {"step": s, "loss": 3.0 - s / 9, "transport": 0.5, "transport.weight": 0.1, "lr": 1e-3}
                | ({"dev": 0.1 + s / 50} if s % 5 == 0 else {})
                for s in range(20)
            ],
        )
        front = {"width": 12, "rank": 6, "root": True}
        heads = Heads({m: Head(FeatureMap(**front), Projection(6, 256)) for m in modalities})
        method = {"name": "transport_cca", "epsilon": 0.02, "weight": 0.3, "rounds": 4}
        encoders = {m: {"name": f"{m}-encoder"} for m in modalities}
        Model(heads, encoders, {}, method, {"chosen": {"ridge": 3.0, "power": 0.7}}).save(run)
        (run / "config.toml").write_text('pairs = 200\n[data]\nstore = "features"\n[method]\nname = "transport_cca"\n')
        return run

    return make


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file in place."""
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value)))
