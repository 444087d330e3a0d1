"""All curves of several methods on the same data, by kind of ill-treatment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..model import Heads
from ..progress import Progress, silent
from ..views import Views
from .attack import raw as victim
from .curves import Curve
from .fusion import RULES
from .kinds import Kind, Panel, Subsets
from .protocol import (
    PIXEL_LEVELS,
    attack_curves,
    damaged_curves,
    hub_curves,
    missing_curves,
    noise_curves,
    raw_curves,
    refitted_curve,
    subset_scores,
    targeted_scores,
    unbalanced_scores,
)

Fit = Callable[[Views], Heads]
REFIT_RATES = (0.0, 0.3, 0.5, 0.7)
KINDS = ("missing", "noise", "attack")
DAMAGES = ("corruptions", "typos")
#: Space of raw inputs -> radii on its axis, and one unit of the axis in units of the input.
RAW_SPACES: Mapping[str, tuple[tuple[float, ...], float]] = {
    "pixels": (PIXEL_LEVELS, 1 / 255),  # whole 8-bit steps, so that attacked pictures can be saved as PNG
    "waveform": ((0, 0.5, 1, 2, 4), 1e-3),
}


class Raw(NamedTuple):
    """Raw inputs of one modality: x (n, ...), in the order of views[modality]; space "pixels" or "waveform"."""

    modality: str
    encoder: Any
    x: Tensor
    views: Views
    space: str = "pixels"


class Damage(NamedTuple):
    """One modality, damaged before its encoder: family -> kind -> features at severities 0 to 5, as views[modality]."""

    modality: str
    views: Views
    features: Mapping[str, Mapping[str, Sequence[Tensor]]]


class Measured(NamedTuple):
    """kinds: what was measured. focus: method whose rules and fills are shown. skipped: kind -> why it was left out."""

    kinds: dict[str, Kind]
    focus: str
    skipped: dict[str, str]


def measure(
    methods: Mapping[str, Heads],
    test: Views,
    train: Views | None = None,
    dev: Views | None = None,
    kinds: Sequence[str] = KINDS,
    gallery: str | None = None,
    focus: str | None = None,
    most: int = 400,
    steps: int = 20,
    seed: int = 0,
    refit: Mapping[str, Fit] | None = None,
    raw: Raw | None = None,
    damage: Mapping[str, Damage] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Curves and tables of every kind asked for.

    Args:
        methods: name -> heads, all fitted on the same data. test, train, dev: features.
        kinds: of ``KINDS``. gallery: modality that is searched where some are missing; default "image", else the last.
        focus: method whose fusion rules and fills are shown; default "full", else the last one.
        most: test groups that are attacked, at most. steps: gradients per attack. seed: of everything random.
        refit: name -> how to fit the method anew, for modalities that are missing in training too; needs ``train``.
        raw: pictures or sounds to attack through their encoder; None: none.
        damage: of ``DAMAGES``, what was encoded again.

    Raises:
        ModalignError: no method, an unknown kind, or nothing that could be measured.
    """
    for kind in kinds:
        check_known("kind of robustness", kind, KINDS)
    if not methods or not (kinds or raw or damage):
        raise ModalignError(f"robustness needs a method and a kind ({', '.join(KINDS)})")
    shown = focus if focus is not None and focus in methods else "full" if "full" in methods else list(methods)[-1]
    few = few_groups(test, most, seed)
    jobs: dict[str, Callable[[], Kind]] = {
        "missing": lambda: _missing(methods, test, train, dev, gallery, shown, refit, seed),
        "noise": lambda: _noise(methods, test, train, seed),
        "attack": lambda: _attack(methods, few, shown, steps, seed),
    }
    jobs = {kind: jobs[kind] for kind in kinds}
    if raw is not None:
        jobs[raw.space] = lambda: _raw(methods, raw, steps, seed)
    jobs |= {kind: partial(_damage, methods, harm, shown, seed) for kind, harm in (damage or {}).items()}
    found: dict[str, Kind] = {}
    skipped: dict[str, str] = {}
    for number, (kind, job) in enumerate(jobs.items()):
        progress(number, len(jobs), f"robustness: {kind}")
        if kind == "missing" and len(test.modalities) < 3:
            skipped[kind] = "a query of two modalities is needed, so three modalities in all"
            continue
        found[kind] = job()
    progress(len(jobs), len(jobs), "robustness")
    if not found:
        raise ModalignError(f"nothing to measure: {'; '.join(skipped.values())}")
    return Measured(found, shown, skipped)


def few_groups(x: Views, most: int, seed: int) -> Views:
    """At most so many groups, drawn at random; the same ones for one seed."""
    ids = x.group_ids()
    return x.groups(ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))[:most].sort().values])


def _missing(
    methods: Mapping[str, Heads], test: Views, train: Views | None, dev: Views | None, gallery: str | None,
    focus: str, refit: Mapping[str, Fit] | None, seed: int,
) -> Kind:  # fmt: skip
    target = gallery or ("image" if "image" in test.modalities else test.modalities[-1])
    test[target]
    query = [m for m in test.modalities if m != target]
    found = {
        name: missing_curves(heads, test, query, [target], train, dev=dev, seed=seed) for name, heads in methods.items()
    }
    rules = {k: c for k, c in found[focus].items() if k in RULES}
    fills = {k: c for k, c in found[focus].items() if k not in RULES}
    panels = [Panel("methods", {k: c["mean"] for k, c in found.items()})]
    if refit and train is not None:
        again = {k: refitted_curve(f, train, test, query, [target], REFIT_RATES, seed=seed) for k, f in refit.items()}
        panels.append(Panel("refit", again))
    panels += [Panel("rules", rules), Panel("fills", {"mean": found[focus]["mean"], **fills})]
    tables = {
        name: Subsets(
            subset_scores(heads, test, query, [target], seed=seed),
            unbalanced_scores(heads, test, query, [target], seed=seed) if len(query) <= 3 else {},
        )
        for name, heads in methods.items()
    }
    facts = {"query": query, "gallery": target, "trained_on": list(train.modalities) if train is not None else None}
    return Kind(tuple(panels), tables, facts=facts)


def _noise(methods: Mapping[str, Heads], test: Views, train: Views | None, seed: int) -> Kind:
    found = {name: noise_curves(heads, test, train, seed=seed) for name, heads in methods.items()}
    return Kind(tuple(Panel(key, {k: c[key] for k, c in found.items()}) for key in ("all", *test.modalities)))


def _attack(methods: Mapping[str, Heads], test: Views, focus: str, steps: int, seed: int) -> Kind:
    panels = []
    for space in ("features", "embedding"):
        radii = (0.0, 0.05, 0.1, 0.2) if space == "features" else (0.0, 0.1, 0.2, 0.4)
        found = {
            name: attack_curves(heads, test, space, radii=radii, steps=steps, seed=seed)
            for name, heads in methods.items()
        }
        panels += [replace(_with_controls(found, side), space=space) for side in ("query", "gallery")]
        hubs = {
            name: hub_curves(heads, test, space, radii=radii, steps=2 * steps, seed=seed)
            for name, heads in methods.items()
        }
        panels.append(replace(_with_controls(hubs, "hub"), space=space))
    targeted = targeted_scores(methods[focus], test, "features", radii=(0.05, 0.2), steps=steps, most=100, seed=seed)
    return Kind(tuple(panels), rows=tuple({"method": focus, **r} for r in targeted), facts={"steps": steps})


def _with_controls(found: Mapping[str, Mapping[str, Curve]], name: str) -> Panel:
    """Each method's curve, and that of changes as large in random directions."""
    return Panel(name, {k: c[name] for k, c in found.items()}, {k: c[f"{name}/random"] for k, c in found.items()})


def _raw(methods: Mapping[str, Heads], raw: Raw, steps: int, seed: int) -> Kind:
    radii, unit = RAW_SPACES[raw.space]
    steps = max(1, steps // 2)
    found, rows = {}, []
    for name, heads in methods.items():
        way = victim(raw.encoder, heads, raw.modality)
        z = heads.embed(raw.views)
        found[name], success = raw_curves(way, raw.x, raw.modality, z, radii=radii, unit=unit, steps=steps, seed=seed)
        rows += [{"method": name, **r} for r in success]
    facts = {"steps": steps, "items": len(raw.x), "modality": raw.modality}
    return Kind(tuple(_with_controls(found, side) for side in ("query", "gallery")), rows=tuple(rows), facts=facts)


def _damage(methods: Mapping[str, Heads], harm: Damage, focus: str, seed: int) -> Kind:
    every = {k: x for family in harm.features.values() for k, x in family.items()}
    families = {name: list(family) for name, family in harm.features.items()}
    found = {
        k: damaged_curves(heads, harm.views, harm.modality, every, families, seed=seed) for k, heads in methods.items()
    }
    panels = (
        Panel("methods", {k: c["all"] for k, c in found.items()}),
        Panel("kinds", {f: found[focus][f] for f in families}),
    )
    return Kind(panels, facts={"items": len(harm.views[harm.modality]), "modality": harm.modality})
