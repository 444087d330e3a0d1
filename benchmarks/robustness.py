"""CLIP, GRAM and the full objective on the same data, ill-treated: missing modalities, noise, attacks.

    python benchmarks/robustness.py [--data openmoji|synthetic] [--out runs/robustness] [--most 200]

Data "openmoji": pictograms, their English and their Spanish names (features from the cache of ``modalign demo``); the
Spanish names go through the same English text encoder, so they are a weaker third modality. "synthetic": three
modalities that share 8 of 12 bits, two of them behind random networks. The folder gets robustness.json and a report
with all curves. Every method is fitted once on complete data; the panel "missing in training too" fits anew.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from modalign.data.openmoji import openmoji
from modalign.files import RunFile, write_text
from modalign.metrics.shown import line
from modalign.model import Heads
from modalign.registry import make
from modalign.report import write
from modalign.report.figures.robustness import robustness_figure
from modalign.report.sections.robustness import looks_for
from modalign.report.svg import standalone
from modalign.report.words import Words, words
from modalign.robustness import Panel, measure
from modalign.runs import MethodResult, Result, Run
from modalign.runs.data import load_data
from modalign.runs.fit import scores_of
from modalign.runs.robustness import LABELS
from modalign.specification import specification
from modalign.views import Views

GRADIENT = {"start": "random", "steps": 200, "lr": 3e-3, "weight_decay": 0.3, "mixing": 1.0, "every": 20, "patience": 4}
METHODS: dict[str, dict[str, Any]] = {
    "clip": {"name": "gradient", "objective": "clip", **GRADIENT},
    "gram": {"name": "gradient", "objective": "gram", **GRADIENT},
    "full": {"name": "full", "trials": 4},
}
Splits = dict[str, Views]


def pictograms() -> Splits:
    """Three modalities of OpenMoji: image, text and spanish."""
    from modalign.features.encoders.text import MiniLM

    spec = specification(
        {
            "data": {"name": "openmoji"},
            "encoders": {"image": "efficientnet-lite0", "text": "minilm"},
            "method": {"name": "cca"},
        }
    )
    data = load_data(spec)
    names = {r.extra["emoji"]: r.text for r in openmoji(language="es").modality("text")}
    rows = [(r.group, names[r.extra["emoji"]]) for r in openmoji().modality("text") if r.extra["emoji"] in names]
    groups = torch.tensor([g for g, _ in rows])
    spanish = MiniLM().encode([str(words) for _, words in rows])
    out = {}
    for split, x in data.splits.items():
        mine = torch.isin(groups, x.group_ids())
        out[split] = Views({**x.data, "spanish": spanish[mine]}, {**x.group, "spanish": groups[mine]})
    return out


def bits() -> Splits:
    """Three synthetic modalities."""
    from modalign.data.synthetic import generate

    x = generate(1400, shared=8, unique=4, heterogeneity=2, modalities=("image", "text", "sound"), noise=0.5).views
    cuts = {"train": range(800), "dev": range(800, 1000), "test": range(1000, 1400)}
    return {split: x.groups(ids) for split, ids in cuts.items()}


DATA = {"openmoji": pictograms, "synthetic": bits}


def fit(settings: dict[str, Any], dev: Views, train: Views) -> Heads:
    """One method's heads."""
    return make("method", **settings).fit(train, dev)


def run(data: str = "openmoji", out: Path | None = None, most: int = 200, refit: bool = True) -> list[dict[str, Any]]:
    """Fit, ill-treat, report; one row per curve."""
    splits = DATA[data]()
    train, dev, test = (splits[s] for s in ("train", "dev", "test"))
    again = {name: partial(fit, settings, dev) for name, settings in METHODS.items()}
    methods: dict[str, Heads] = {}
    results: dict[str, MethodResult] = {}
    for name, one in again.items():
        start = time.perf_counter()
        methods[name] = one(train)
        seconds = round(time.perf_counter() - start, 1)
        results[name] = MethodResult(LABELS.get(name, name), scores_of(methods[name], test), seconds)
    found = measure(methods, test, train, dev, most=most, refit=again if refit else None)
    result = Result(
        title=f"Robustness of CLIP, GRAM and the full objective on {data}",
        methods=results,
        data={"name": data, "pairs": len(train), "test": len(test), "dev": len(dev)},
        seeds=(0,),
        groups=len(test),
        focus=found.focus,
        kinds=found.kinds,
        skipped=found.skipped,
    )
    if out is not None:
        Run(out).keep(result)
        Run(out).keep(result, RunFile.ROBUSTNESS)
        write(out)
        pictures(result, out / "pictures")
    return [
        {
            "picture": said.title,
            "curve": name,
            "first": 100 * c.scores[0].value,
            "last": 100 * c.scores[-1].value,
            "area": line(c.area),
            "retained": 100 * c.retained.value,
        }
        for panel, said in drawn(result)
        for name, c in {**panel.curves, **{f"{k}, at random": c for k, c in panel.controls.items()}}.items()
    ]


def drawn(result: Result) -> list[tuple[Panel, Words]]:
    """Every panel with its words."""
    labels = {name: m.label for name, m in result.methods.items()}
    return [
        (panel, words(name, kind, panel, labels, str(result.focus)))
        for name, kind in result.kinds.items()
        for panel in kind.panels
    ]


def pictures(result: Result, folder: Path) -> None:
    """Every panel as an SVG file of its own: kind-number.svg."""
    labels = {name: m.label for name, m in result.methods.items()}
    for name, kind in result.kinds.items():
        for number, panel in enumerate(kind.panels):
            said = words(name, kind, panel, labels, str(result.focus))
            svg = robustness_figure(panel, said, looks_for(panel, labels))
            write_text(folder / f"{name}-{number}.svg", standalone(svg, width=560))


def main() -> None:
    """Print the table."""
    from benchmarks.__main__ import table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, default="openmoji")
    parser.add_argument("--out", type=Path, default=Path("runs/robustness"))
    parser.add_argument("--most", type=int, default=200)
    asked = parser.parse_args()
    print(table(run(asked.data, asked.out, asked.most)))


if __name__ == "__main__":
    main()
