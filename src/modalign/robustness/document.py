"""All curves of several methods on the same data as one document: robustness.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError, unknown
from ..model import Heads
from ..progress import Progress, silent
from ..views import Views
from .attack import raw as victim
from .curves import worst
from .fusion import RULES
from .noise import decibels
from .panels import Drawn, fill_name, name_of, panel, with_controls
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
FORMAT = 1


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


def document(
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
) -> dict[str, Any]:
    """Curves, tables and the words to them, in plain values.

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
        if kind not in KINDS:
            raise unknown("kind of robustness", kind, KINDS)
    if not methods or not (kinds or raw or damage):
        raise ModalignError(f"robustness needs a method and a kind ({', '.join(KINDS)})")
    shown = focus if focus is not None and focus in methods else "full" if "full" in methods else list(methods)[-1]
    parts: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    total = len(kinds) + (raw is not None)
    for number, kind in enumerate(kinds):
        progress(number, total, f"robustness: {kind}")
        if kind == "missing":
            if len(test.modalities) < 3:
                skipped[kind] = "a query of two modalities is needed, so three modalities in all"
                continue
            parts[kind] = _missing(methods, test, train, dev, gallery, shown, seed)
            if refit and train is not None:
                parts[kind]["panels"].insert(1, _refitted(refit, train, test, parts[kind], seed))
        elif kind == "noise":
            parts[kind] = _noise(methods, test, train, seed)
        else:
            parts[kind] = _attack(methods, few_groups(test, most, seed), shown, steps, seed)
    if raw is not None:
        progress(len(kinds), total, f"robustness: {raw.space}")
        parts[raw.space] = _raw(methods, raw, steps, seed)
    for kind, harm in (damage or {}).items():
        parts[kind] = _damage(methods, kind, harm, shown, seed)
    progress(total, total, "robustness")
    if not parts:
        raise ModalignError(f"nothing to measure: {'; '.join(skipped.values())}")
    return {
        "format": FORMAT,
        "methods": {name: name_of(name) for name in methods},
        "focus": shown,
        "test": len(test),
        "kinds": parts,
        "skipped": skipped,
    }


def few_groups(x: Views, most: int, seed: int) -> Views:
    """At most so many groups, drawn at random; the same ones for one seed."""
    ids = x.group_ids()
    return x.groups(ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))[:most].sort().values])


def _missing(
    methods: Mapping[str, Heads], test: Views, train: Views | None, dev: Views | None, gallery: str | None,
    focus: str, seed: int,
) -> dict[str, Any]:  # fmt: skip
    target = gallery or ("image" if "image" in test.modalities else test.modalities[-1])
    test[target]
    query = [m for m in test.modalities if m != target]
    found = {
        name: missing_curves(heads, test, query, [target], train, dev=dev, seed=seed) for name, heads in methods.items()
    }
    axis = "share of the query's modalities that are missing"
    rules = {k: c for k, c in found[focus].items() if k in RULES}
    fills = {k: c for k, c in found[focus].items() if k not in RULES}
    names = f"{' + '.join(query)} and {target}"
    panels = [
        panel(f"{names}, by method", axis, {k: Drawn(name_of(k), "solid", c["mean"]) for k, c in found.items()}),
        panel(f"{name_of(focus)}, by fusion rule", axis, {k: Drawn(k, "solid", c) for k, c in rules.items()}),
        panel(
            f"{name_of(focus)}, beside what fills gaps", axis,
            {"mean": Drawn("what is present", "solid", found[focus]["mean"])}
            | {k: Drawn(fill_name(k), "dashed", c) for k, c in fills.items()},
        ),
    ]  # fmt: skip
    tables = []
    for name, heads in methods.items():
        subsets = subset_scores(heads, test, query, [target], seed=seed)
        dealt = unbalanced_scores(heads, test, query, [target], seed=seed) if len(query) <= 3 else {}
        worst_subset, worst_dealt = worst(subsets)[0], worst(dealt)[0] if dealt else None
        tables.append(
            {
                "method": name,
                "subsets": {k: s.json() for k, s in subsets.items()},
                "worst_subset": worst_subset,
                "unbalanced": {k: s.json() for k, s in dealt.items()},
                "worst_unbalanced": worst_dealt,
            }
        )
    return {
        "title": "Missing modalities",
        "note": "Masks are nested: what is missing at a rate is missing at every higher one; each query keeps one "
        "modality. The heads were trained on what the training data had; modalities are missing at test time only.",
        "trained_on": list(train.modalities) if train is not None else None,
        "query": query,
        "gallery": target,
        "panels": panels,
        "tables": tables,
    }


def _refitted(
    refit: Mapping[str, Fit], train: Views, test: Views, part: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """The picture of modalities missing in training as well."""
    query, gallery = part["query"], [part["gallery"]]
    found = {k: refitted_curve(fit, train, test, query, gallery, REFIT_RATES, seed=seed) for k, fit in refit.items()}
    return panel(
        f"{' + '.join(query)} and {part['gallery']}, missing in training too",
        "share missing, in training and of the query",
        {k: Drawn(name_of(k), "solid", c) for k, c in found.items()},
    )


def _noise(methods: Mapping[str, Heads], test: Views, train: Views | None, seed: int) -> dict[str, Any]:
    found = {name: noise_curves(heads, test, train, seed=seed) for name, heads in methods.items()}
    levels = next(iter(found.values()))["all"].levels
    which = {"all": "noise on all modalities"} | {m: f"noise on {m} alone" for m in test.modalities}
    return {
        "title": "Noise on features",
        "note": "Gaussian noise, its standard deviation in units of that of the features; the same draws at each "
        "level. Signal-to-noise ratios: " + ", ".join(f"{v:g} is {decibels(v):.0f} dB" for v in levels if v > 0) + ".",
        "panels": [
            panel(title, "noise over signal", {k: Drawn(name_of(k), "solid", c[key]) for k, c in found.items()})
            for key, title in which.items()
        ],
    }


def _attack(methods: Mapping[str, Heads], test: Views, focus: str, steps: int, seed: int) -> dict[str, Any]:
    panels = []
    words = {"features": "features, through the heads", "embedding": "embedding space"}
    axes = {"features": "radius over spread of the features", "embedding": "radius on unit rows"}
    hubs = {}
    for space in ("features", "embedding"):
        radii = (0.0, 0.05, 0.1, 0.2) if space == "features" else (0.0, 0.1, 0.2, 0.4)
        found = {
            name: attack_curves(heads, test, space, radii=radii, steps=steps, seed=seed)
            for name, heads in methods.items()
        }
        for side in ("query", "gallery"):
            drawn = with_controls(found, side)
            panels.append(panel(f"{side} side, {words[space]}", axes[space], drawn, space=space, side=side, norm="l2"))
        hubs = {
            name: hub_curves(heads, test, space, radii=radii, steps=2 * steps, seed=seed)
            for name, heads in methods.items()
        }
        panels.append(panel(f"hub attack, {words[space]}", axes[space], with_controls(hubs, "hub"), space=space))
    targeted = targeted_scores(methods[focus], test, "features", radii=(0.05, 0.2), steps=steps, most=100, seed=seed)
    return {
        "title": "Attacks",
        "note": f"APGD of {steps} steps within an l2 ball. Dashed: the same radius in random directions. Embedding "
        "space attacks move the stored vectors themselves and so bound what any attack of that reach could do. Hub "
        "attacks change one gallery item; hits are counted on queries the attacker has not seen; more is worse.",
        "panels": panels,
        "targeted": {"method": focus, "rows": targeted},
    }


#: Space -> title, axis, radii, the input's units in one of the axis', what else is to be said.
RAW_SPACES: Mapping[str, tuple[str, str, tuple[float, ...], float, str]] = {
    "pixels": (
        "Attacks on pixels", "radius, of 255 levels", PIXEL_LEVELS, 1 / 255,
        "Changes are whole 8-bit steps, so the attacked pictures can be saved as PNG.",
    ),
    "waveform": (
        "Attacks on waveforms", "radius, thousandths of full scale", (0, 0.5, 1, 2, 4), 1e-3,
        "A thousandth of full scale is 60 dB below it.",
    ),
}  # fmt: skip


def _raw(methods: Mapping[str, Heads], raw: Raw, steps: int, seed: int) -> dict[str, Any]:
    title, axis, radii, unit, words = RAW_SPACES[raw.space]
    found, rows = {}, []
    for name, heads in methods.items():
        way = victim(raw.encoder, heads, raw.modality)
        z = heads.embed(raw.views)
        found[name], success = raw_curves(
            way, raw.x, raw.modality, z, radii=radii, unit=unit, steps=max(1, steps // 2), seed=seed
        )
        rows += [{"method": name, **r} for r in success]
    panels = []
    for side in ("query", "gallery"):
        drawn = with_controls(found, side)
        panels.append(panel(f"{side} side, {raw.space} of {raw.modality}", axis, drawn, side=side, norm="linf"))
    return {
        "title": title,
        "note": f"APGD of {max(1, steps // 2)} steps through encoder and head on {len(raw.x)} items, bound on the "
        f"largest change. Dashed: as large changes at random. {words}",
        "panels": panels,
        "success": rows,
    }


#: Kind -> title, what else is to be said.
DAMAGES: Mapping[str, tuple[str, str]] = {
    "corruptions": (
        "Damaged pictures",
        "Thirteen kinds of damage at five severities, after Hendrycks & Dietterich 2019, on pictures of 224 pixels "
        "that are encoded again.",
    ),
    "typos": (
        "Typing mistakes",
        "Letters swapped, dropped, doubled or replaced by a key beside them: 3, 6, 10, 15 and 25 % of a text's "
        "letters, at least one.",
    ),
}


def _damage(methods: Mapping[str, Heads], kind: str, harm: Damage, focus: str, seed: int) -> dict[str, Any]:
    every = {k: x for family in harm.features.values() for k, x in family.items()}
    families = {name: list(family) for name, family in harm.features.items()}
    found = {
        k: damaged_curves(heads, harm.views, harm.modality, every, families, seed=seed) for k, heads in methods.items()
    }
    by_method = {k: Drawn(name_of(k), "solid", c["all"]) for k, c in found.items()}
    by_family = {f: Drawn(f, "solid", found[focus][f]) for f in families}
    title, note = DAMAGES[kind]
    return {
        "title": title,
        "note": f"{note} {len(harm.views[harm.modality])} items of '{harm.modality}'.",
        "panels": [
            panel(f"{harm.modality}, mean over kinds, by method", "severity", by_method),
            panel(f"{name_of(focus)}, by kind", "severity", by_family),
        ],
    }
