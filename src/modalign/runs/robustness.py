"""Robustness of a run: its heads, and those of others on the same data, on its test features."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..specification import named, specification
from ..data.arrays import load_array, load_pairs
from ..data.manifest import Row
from ..features.choose import make_encoders
from ..features.encoders.audio import RATE, hear
from ..features.encoders.base import source
from ..errors import ModalignError
from ..files import read_text, write_json
from ..data.media.pictures import load_image
from ..metrics.score import Score
from ..metrics.shown import line, shown
from ..model import Heads, Model
from ..progress import Progress, silent
from ..robustness.attack import differentiable
from ..robustness.corruptions import FAMILIES, SEVERITIES, TYPOS, corrupt, misspell
from ..robustness.document import DAMAGES, Damage, Raw, document, few_groups
from ..views import Views, hold_out
from .data import load_data

FILE = "robustness.json"
RAW = {"pixels": "image", "waveform": "audio"}
"""Kinds of attack that go through an encoder, and the modality they change."""
ITEMS, SECONDS = 16, 5
DAMAGED, PIXELS = 100, 224
"""Groups whose inputs are damaged, and the shorter side of their pictures meanwhile."""


def evaluate_robustness(
    run: Path,
    kinds: Sequence[str],
    against: Sequence[Path] = (),
    gallery: str | None = None,
    most: int = 400,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure the robustness of a run; writes robustness.json, which the report shows.

    Args:
        kinds: "missing", "noise", "attack", "corruptions", "typos", "pixels" or "waveform".
        against: other runs on the same data, for the same pictures; a demo's other methods join by themselves.
        gallery, most, seed: see ``robustness.document``.

    Raises:
        ModalignError: a folder that is no run, features that are gone, or runs whose heads do not fit the data.
    """
    splits = run_features(run, progress)
    if "test" not in splits:
        raise ModalignError(f"{run} has no test items to measure robustness on")
    methods = {name: _fitting(heads, splits["test"], name) for name, heads in methods_of(run, against).items()}
    own = method_name(Model.load(run))
    spaces = [k for k in kinds if k in RAW]
    if len(spaces) > 1:
        raise ModalignError(f"attacks on {' and '.join(spaces)} take one command each")
    raw = raw_of(run, splits["test"], spaces[0], ITEMS, seed, progress) if spaces else None
    damage = {k: damage_of(run, splits["test"], k, seed, progress) for k in kinds if k in DAMAGES}
    plain = [k for k in kinds if k not in RAW and k not in DAMAGES]
    table = document(
        methods, splits["test"], splits.get("train"), splits.get("dev"), plain, gallery, own, most, seed=seed, raw=raw,
        damage=damage, progress=progress,
    )  # fmt: skip
    write_json(run / FILE, table)
    return {"run": str(run), **table}


def raw_of(run: Path, test: Views, space: str, most: int, seed: int, progress: Progress = silent) -> Raw:
    """The pictures or sounds behind some of the test items, as their encoder sees them.

    Sounds are brought to one length, that of the longest but ``SECONDS`` at most, with silence at the end.

    Raises:
        ModalignError: the run's files or their encoder are not at hand, or it has no differentiable form.
    """
    modality = RAW[space]
    encoder, rows, part = _encoded(run, test, modality, most, seed, progress)
    differentiable(encoder)  # says at once where this encoder has no gradient
    if space == "pixels":
        return Raw(modality, encoder, encoder.collate(rows).float() / 255, part, space)
    sounds = [hear(row, RATE)[: SECONDS * RATE] for row in rows]
    return Raw(modality, encoder, torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True).clamp(-1, 1), part, space)


def damage_of(run: Path, test: Views, kind: str, seed: int, progress: Progress = silent) -> Damage:
    """Some of the test items' pictures or texts, damaged and encoded again by the run's encoder.

    Raises:
        ModalignError: the run's files or their encoder are not at hand.
    """
    modality = "image" if kind == "corruptions" else "text"
    encoder, rows, part = _encoded(run, test, modality, DAMAGED, seed, progress)
    clean = part[modality]
    families: Mapping[str, Sequence[str]]
    damaged: Callable[[str, int], list[Any]]
    if kind == "corruptions":
        families = FAMILIES
        pictures = [_small(load_image(source(row), PIXELS)) for row in rows]
        damaged = lambda name, severity: [corrupt(p, name, severity, seed) for p in pictures]  # noqa: E731
    else:
        families = {name: (name,) for name in TYPOS}
        damaged = lambda name, severity: [misspell(r.text or "", severity, seed, name) for r in rows]  # noqa: E731
    kinds = [k for family in families.values() for k in family]
    found: dict[str, list[Tensor]] = {}
    for number, name in enumerate(kinds):
        progress(number, len(kinds), f"robustness: {kind}")
        found[name] = [clean, *(encoder.encode(damaged(name, severity)).to(clean) for severity in SEVERITIES)]
    progress(len(kinds), len(kinds), f"robustness: {kind}")
    return Damage(modality, part, {f: {k: found[k] for k in names} for f, names in families.items()})


def _small(picture: Image.Image) -> Image.Image:
    """With a shorter side of ``PIXELS``, so that damage is as large as it is meant for what encoders see."""
    scale = PIXELS / min(picture.size)
    size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    return picture if scale == 1 else picture.resize(size, Image.Resampling.BICUBIC)


def _encoded(
    run: Path, test: Views, modality: str, most: int, seed: int, progress: Progress
) -> tuple[Any, list[Row], Views]:
    """A run's encoder, and some of the test items with the rows that it read."""
    table = _table(run)
    entry = table.get("encoders", {}).get(modality)
    if entry is None or modality not in test or test.row is None:
        raise ModalignError(f"{run} has no '{modality}' that an encoder of modalign reads: try noise, on its features")
    data = load_data(specification(table, str(run / "config.toml")), progress)
    assert data.manifest is not None
    part = few_groups(test, most, seed)
    assert part.row is not None
    rows = [data.manifest[int(r)] for r in part.row[modality]]
    return make_encoders(data.manifest, {modality: named(entry)})[modality], rows, part


def methods_of(run: Path, against: Sequence[Path] = ()) -> dict[str, Heads]:
    """Name -> heads: what a demo compared with its run, the other runs, and last the run itself."""
    model = Model.load(run)
    models = [Model.load(p.parent) for p in sorted(run.glob("fits/*/model.json")) if _same_budget(p.parent, run)]
    models += [Model.load(p) for p in against]
    out: dict[str, Heads] = {}
    for other in [*models, model]:
        name = method_name(other)
        while name in out:
            name += "'"
        out[name] = other.heads
    return out


def _same_budget(fit: Path, run: Path) -> bool:
    """Whether a fit beside a demo's run (method-pairs-seed) has the run's budget and first seed."""
    pairs = _table(run).get("pairs")
    return fit.name.split("-")[1:] == [str(pairs), "0"]


def method_name(model: Model) -> str:
    """The method, or for plain gradient descent its objective."""
    name = str(model.method.get("name", "method"))
    objective = model.method.get("objective")
    if name != "gradient" or objective is None:
        return name
    return str(objective["name"] if isinstance(objective, dict) else objective)


def run_features(run: Path, progress: Progress = silent) -> dict[str, Views]:
    """The features that a run was fitted and tested on, by split, from its config.toml.

    Raises:
        ModalignError: no config.toml, or arrays or data that are no longer there.
    """
    table = _table(run)
    if "arrays" not in table:
        return dict(load_data(specification(table, str(run / "config.toml")), progress).splits)
    arrays = {name: load_array(path) for name, path in table["arrays"].items()}
    pairs = load_pairs(table["pairs"]) if isinstance(table.get("pairs"), str) else None
    if pairs is None and len({len(x) for x in arrays.values()}) > 1:
        raise ModalignError(f"{run}/config.toml does not say which rows are pairs: align again, then measure")
    x = Views.from_arrays(pairs, **arrays).validate()
    train, test = hold_out(x, float(table.get("holdout", 0.2)), int(table.get("seed", 0)))
    return {"train": train, "test": test}


def _table(run: Path) -> dict[str, Any]:
    path = run / "config.toml"
    try:
        return tomllib.loads(read_text(path, "specification"))
    except tomllib.TOMLDecodeError as problem:
        raise ModalignError(f"specification is damaged: {path}: {problem}") from None


def _fitting(heads: Heads, test: Views, name: str) -> Heads:
    """The heads, checked against the features."""
    for m, x in test.data.items():
        if m not in heads.modalities or heads[m].features.width != x.shape[1]:
            raise ModalignError(f"the heads of '{name}' do not fit the test features of '{m}' ({x.shape[1]} numbers)")
    return heads


def robustness_text(result: dict[str, Any]) -> str:
    """Areas of all curves as text for the terminal."""
    lines = []
    for part in result["kinds"].values():
        lines.append(part["title"])
        for panel in part["panels"]:
            lines.append(f"  {panel['title']}")
            width = max(len(c["key"]) for c in panel["curves"])
            for c in panel["curves"]:
                scores = [Score.from_json(s, c["key"]) for s in c["scores"]]
                heights = " ".join(f"{shown(s, sign=False):>5}" for s in scores)
                lines.append(f"    {c['key']:<{width}}  {heights}   area {line(Score.from_json(c['area'], c['key']))}")
        for table in part.get("tables", []):
            worst = Score.from_json(table["subsets"][table["worst_subset"]], table["worst_subset"])
            lines.append(f"  {table['method']}: worst subset {table['worst_subset']} ({shown(worst)})")
    lines += [f"{kind} left out: {why}" for kind, why in result["skipped"].items()]
    return "\n".join([*lines, f"all numbers: {Path(result['run']) / FILE}"])
