"""Robustness of a run: its heads, and those of others on the same data, on its test features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..data.manifest import Row
from ..data.media.pictures import load_image
from ..errors import ModalignError, check_known
from ..features.choose import make_encoders
from ..features.encoders.audio import RATE, hear
from ..features.encoders.base import source
from ..model import Heads
from ..outputs import claim
from ..progress import Progress, silent
from ..robustness.attack import differentiable
from ..robustness.corruptions import FAMILIES, SEVERITIES, TYPOS, corrupt, misspell
from ..robustness.measuring import DAMAGES, KINDS, RAW_SPACES, Damage, Raw, few_groups, measure
from ..specification import named
from ..views import Views
from .data import Data
from .result import MethodResult, Result
from .run import Run

EVERY = (*KINDS, *DAMAGES, *RAW_SPACES)
LABELS = {"clip": "CLIP", "gram": "GRAM", "cca": "CCA"}
RAW = {"pixels": "image", "waveform": "audio"}
"""Kinds of attack that go through an encoder, and the modality they change."""
ITEMS, SECONDS = 16, 5
SEED = 0
DAMAGED, PIXELS = 100, 224
"""Groups whose inputs are damaged, and the shorter side of their pictures meanwhile."""


def evaluate_robustness(
    folder: Path,
    kinds: Sequence[str],
    against: Sequence[Path] = (),
    gallery: str | None = None,
    progress: Progress = silent,
) -> Result:
    """Measure the robustness of a run; the run keeps the result, which the report shows.

    Args:
        kinds: "missing", "noise", "attack", "corruptions", "typos", "pixels" or "waveform".
        against: other runs on the same data, for the same pictures; a demo's other methods join by themselves.
        gallery: see ``robustness.measure``.

    Raises:
        ModalignError: a folder that is no run or is written to by another program, features that are gone, runs whose
            heads do not fit the data, or a run compared with itself.
    """
    for kind in kinds:
        check_known("kind of robustness", kind, EVERY)
    run = Run.open(folder)
    if os.path.realpath(folder) in map(os.path.realpath, against):
        raise ModalignError(f"{folder} cannot be compared with itself: leave it out of --against")
    with claim(run.folder, "run"):
        result = _measured(run, kinds, against, gallery, progress)
        run.keep(result, "robustness")
    return result


def _measured(
    run: Run, kinds: Sequence[str], against: Sequence[Path], gallery: str | None, progress: Progress
) -> Result:
    """Curves of a run's heads, and of others."""
    data = run.data(progress)
    if data.kept is None:
        raise ModalignError(f"{run} has no split 'test' or 'dev' to measure robustness on")
    test, dev = data[data.kept], data.splits.get("dev") if data.kept != "dev" else None
    methods = {name: _fitting(heads, test, name) for name, heads in methods_of(run, against).items()}
    spaces = [k for k in kinds if k in RAW]
    if len(spaces) > 1:
        raise ModalignError(f"attacks on {' and '.join(spaces)} take one command each")
    found = measure(
        methods,
        test,
        data.splits.get("train"),
        dev,
        [k for k in kinds if k in KINDS],
        gallery,
        run.model.method_name,
        raw=raw_of(run, data, spaces[0], ITEMS) if spaces else None,
        damage={k: damage_of(run, data, k, progress) for k in kinds if k in DAMAGES},
        progress=progress,
    )
    return Result(
        title=f"robustness of {', '.join(methods)}",
        methods={name: MethodResult(LABELS.get(name, name), {}) for name in methods},
        split=data.kept,
        groups=len(test),
        focus=found.focus,
        kinds=found.kinds,
        skipped=found.skipped,
    )


def raw_of(run: Run, data: Data, space: str, most: int) -> Raw:
    """The pictures or sounds behind some of the test items, as their encoder sees them.

    Sounds are brought to one length, that of the longest but ``SECONDS`` at most, with silence at the end.

    Raises:
        ModalignError: the run's files or their encoder are not at hand, or it has no differentiable form.
    """
    modality = RAW[space]
    encoder, rows, part = _encoded(run, data, modality, most)
    differentiable(encoder)  # says at once where this encoder has no gradient
    if space == "pixels":
        return Raw(modality, encoder, encoder.collate(rows).float() / 255, part, space)
    sounds = [hear(row, RATE)[: SECONDS * RATE] for row in rows]
    return Raw(modality, encoder, torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True).clamp(-1, 1), part, space)


def damage_of(run: Run, data: Data, kind: str, progress: Progress = silent) -> Damage:
    """Some of the test items' pictures or texts, damaged and encoded again by the run's encoder.

    Raises:
        ModalignError: the run's files or their encoder are not at hand.
    """
    modality = "image" if kind == "corruptions" else "text"
    encoder, rows, part = _encoded(run, data, modality, DAMAGED)
    clean = part[modality]
    families: Mapping[str, Sequence[str]]
    damaged: Callable[[str, int], list[Any]]
    if kind == "corruptions":
        families = FAMILIES
        pictures = [_small(load_image(source(row), PIXELS)) for row in rows]
        damaged = lambda name, severity: [corrupt(p, name, severity, SEED) for p in pictures]  # noqa: E731
    else:
        families = {name: (name,) for name in TYPOS}
        damaged = lambda name, severity: [misspell(r.text or "", severity, SEED, name) for r in rows]  # noqa: E731
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


def _encoded(run: Run, data: Data, modality: str, most: int) -> tuple[Any, list[Row], Views]:
    """A run's encoder, and some of the test items with the rows that it read."""
    entry, test = run.model.encoders.get(modality), data[data.kept or "test"]
    if entry is None or modality not in test or test.row is None or data.manifest is None:
        raise ModalignError(f"{run} has no '{modality}' that an encoder of modalign reads: try noise, on its features")
    part = few_groups(test, most, SEED)
    assert part.row is not None
    rows = [data.manifest[int(r)] for r in part.row[modality]]
    return make_encoders(data.manifest, {modality: named(entry)})[modality], rows, part


def methods_of(run: Run, against: Sequence[Path] = ()) -> dict[str, Heads]:
    """Name -> heads: what a demo compared with its run, the other runs, and last the run itself."""
    others = [fit for fit in run.fits if _same_budget(fit, run)] + [Run.open(folder) for folder in against]
    out: dict[str, Heads] = {}
    for model in [*(other.model for other in others), run.model]:
        name = model.method_name
        while name in out:
            name += "'"
        out[name] = model.heads
    return out


def _same_budget(fit: Run, run: Run) -> bool:
    """Whether a fit beside a demo's run (method-pairs-seed) has the run's budget and first seed."""
    return fit.folder.name.split("-")[1:] == [str(run.require_specification().pairs), "0"]


def _fitting(heads: Heads, test: Views, name: str) -> Heads:
    """The heads, checked against the features."""
    for m, x in test.data.items():
        if m not in heads.modalities or heads[m].features.width != x.shape[1]:
            raise ModalignError(f"the heads of '{name}' do not fit the test features of '{m}' ({x.shape[1]} numbers)")
    return heads
