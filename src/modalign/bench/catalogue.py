"""The methods that suites compare: a name, a registered method with its settings, and what it may try on dev.

Every entry gets the same number of trials. Those trained by gradient descent share one list of learning rates, weight
decays, mixing and heads (``SHARED``); what belongs to one objective alone is varied along with it. Candidates stand in
order of plausibility, from what worked on dev splits. Dotted keys reach into tables: ``objective.scale``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import ModalignError, check_known
from ..registry import check, get
from .entries import MethodEntry, Settings, changed, groups, product

MLP: Settings = {"hidden": 256, "dropout": 0.6}
LINEAR: Settings = {"hidden": 0}
#: What every method trained by gradient descent from random heads tries.
SHARED: tuple[Settings, ...] = (
    {"lr": 3e-3, "mixing": 1.0, "weight_decay": 0.3, **MLP},
    {"lr": 3e-3, "mixing": 1.0, "weight_decay": 0.3, **LINEAR},
    {"lr": 1e-2, "mixing": 1.0, "weight_decay": 0.3, **LINEAR},
    {"lr": 1e-3, "mixing": 1.0, "weight_decay": 0.3, **LINEAR},
    {"lr": 1e-2, "mixing": 0.0, "weight_decay": 0.01, **LINEAR},
    {"lr": 3e-3, "mixing": 0.0, "weight_decay": 0.01, **MLP},
    {"lr": 1e-3, "mixing": 1.0, "weight_decay": 0.3, **MLP},
    {"lr": 1e-3, "mixing": 0.0, "weight_decay": 0.01, **LINEAR},
)
TRAINING: Settings = {"steps": 300, "every": 20, "patience": 4, "checkpoints": False}


def descent(
    label: str, objective: Settings, own: Mapping[str, Sequence[Any]] | None = None, **more: Any
) -> MethodEntry:
    """An objective trained from random heads, with the shared candidates and its own ones taken in turn."""
    candidates = tuple(
        {**shared, **{k: values[i % len(values)] for k, values in (own or {}).items()}}
        for i, shared in enumerate(SHARED)
    )
    return MethodEntry(label, "gradient", {"objective": objective, "start": "random", **TRAINING, **more}, candidates)


def total(alpha: float, beta: float, **parts: Settings) -> Settings:
    """The total objective as a table, retrieval at weight 1."""
    return {"name": "total", "alpha": alpha, "beta": beta, "gamma": 1.0, **parts}


#: The two geometric terms as "full" has them.
TERMS: dict[str, Settings] = {
    "transport": {"name": "transport", "epsilon": 0.05},
    "neighbourhood": {"name": "rma", "form": "carried"},
}


def contrastive() -> dict[str, MethodEntry]:
    """Baselines by gradient descent from random heads, and SOTAlign, which starts at its teacher.

    Temperatures are learned where the method learns them.
    """
    scale = {"objective.scale": [1 / 0.07, 1 / 0.07, 30.0]}
    heat = {"objective.temperature": [0.07, 0.07, 0.03]}
    augmented: Settings = {"noise": 0.1, "drop": 0.1}
    alone: Settings = {"separation": 0.0, "bridge": 0.0, "consistency": 0.0}
    return {
        "clip": descent("CLIP", {"name": "clip"}, scale),
        "siglip": descent("SigLIP", {"name": "siglip"}, {"objective.scale": [10.0, 10.0, 20.0]}),
        "cyclip": descent("CyCLIP", {"name": "cyclip"}, scale),
        "gram": descent("GRAM", {"name": "gram"}, heat),
        "triangle": replace(descent("TRIANGLE", {"name": "triangle"}, heat), modalities=3),
        "pmrl": descent("PMRL", {"name": "pmrl"}, {"objective.temperature": [0.05, 0.05, 0.1]}),
        "symile": descent("Symile", {"name": "symile"}, scale),
        "bridge": descent(
            "Brownian bridge", {"name": "jiang", **alone}, {"objective.bridge": [0.25, 1.0]}, **augmented
        ),
        "separation": descent(
            "feature separation", {"name": "jiang", **alone}, {"objective.separation": [0.1, 0.5]}, **augmented
        ),
        "consistency": descent(
            "geometric consistency", {"name": "jiang", **alone}, {"objective.consistency": [0.25, 1.0]}, **augmented
        ),
        "jiang": descent("Jiang et al., all three", {"name": "jiang"}, {"objective.bridge": [0.25, 1.0]}, **augmented),
        "structure": descent(
            "STRUCTURE",
            total(0.0, 1.0, neighbourhood={"name": "structure", "warm_up": 100, "official": True}),
            {"objective.neighbourhood.weight": [10.0, 10.0, 1.0]},
            unpaired=0.5,
        ),
        "sotalign": MethodEntry(
            "SOTAlign",
            "sotalign",
            {"steps": 300, "unpaired": 256},
            product(ridge=[10.0, 3.0], alpha=[1e-3, 1e-5], lr=[1e-4, 1e-3]),
        ),
        "fusemix": fusemix(),
    }


def fusemix() -> MethodEntry:
    """CLIP on mixed features, with the strength of the mixing tried where CLIP tries to do without."""
    base = descent("FuseMix", {"name": "clip"}, {"objective.scale": [1 / 0.07, 1 / 0.07, 30.0]})
    strengths = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 2.0, 2.0]
    mixed = tuple({**c, "mixing": s} for c, s in zip(base.candidates, strengths, strict=True))
    return replace(base, candidates=mixed)


def closed() -> dict[str, MethodEntry]:
    """Baselines in closed form."""
    root = [False, True]
    asif = [(800, 8.0), (800, 4.0), (200, 8.0), (200, 4.0), (50, 4.0), (800, 2.0), (50, 8.0), (200, 2.0)]
    return {
        "procrustes": MethodEntry("Procrustes", "procrustes", {}, product(dim=[256, 128, 64, 32], root=root)),
        "cca": MethodEntry(
            "CCA", "cca", {}, product(ridge=[10.0, 3.0, 30.0, 1.0], power=[0.5, 1.0]),
            product(ridge=[1.0, 3.0, 10.0, 5.0, 2.0, 0.3, 30.0], power=[0.75])
            + product(ridge=[5.0, 2.0, 20.0, 0.3, 0.1], power=[0.5]),
        ),
        "csa": MethodEntry("CSA", "csa", {}, product(ridge=[1e-3, 1e-2, 0.1, 1.0], dim=[256, 64])),
        "asif": MethodEntry("ASIF", "asif", {}, tuple({"nearest": n, "power": p} for n, p in asif)),
        "linear": MethodEntry("linear regression", "ridge", {}, product(ridge=[3.0, 1.0, 10.0, 30.0], root=root)),
        "wasserstein": MethodEntry(
            "Wasserstein-Procrustes", "wasserstein_procrustes", {"most": 1000, "restarts": 4},
            product(dim=[64, 32, 128, 256], root=root), least_pairs=0,
        ),
    }  # fmt: skip


def strong() -> dict[str, MethodEntry]:
    """Simple baselines with everything that is open to them: root and unit features, CCA start, hub removal."""
    features: Settings = {"root": True, "unit": True}
    found = closed()
    grown = {**features, "hubs": True}
    start = {"name": "cca", **features}
    descended = descent("CLIP from CCA", {"name": "clip"}, mixing=1.0, start=start)
    rates = tuple(
        {"lr": lr, "start.ridge": ridge, "start.power": power}
        for lr, ridge, power in [
            (1e-3, 10.0, 0.5), (1e-3, 3.0, 0.5), (3e-4, 10.0, 0.5), (3e-4, 3.0, 0.5), (3e-3, 10.0, 0.5),
            (3e-3, 3.0, 0.5), (1e-3, 1.0, 0.5), (1e-3, 10.0, 1.0),
        ]
    )  # fmt: skip
    further = tuple(
        {"lr": lr, "start.ridge": ridge, "start.power": power, "hidden": hidden, "dropout": 0.5}
        for lr, ridge, power, hidden in [
            (1e-3, 1.0, 0.75, 0), (1e-3, 3.0, 0.5, 256), (1e-3, 3.0, 0.75, 0), (1e-3, 1.0, 0.75, 256),
            (3e-4, 1.0, 0.75, 0), (1e-3, 10.0, 0.5, 256), (3e-4, 3.0, 0.5, 256), (2e-3, 3.0, 0.5, 0),
            (1e-4, 1.0, 0.75, 0), (2e-3, 10.0, 0.5, 0), (1e-4, 3.0, 0.5, 0), (1e-3, 30.0, 0.5, 0),
        ]
    )  # fmt: skip
    from_cca = replace(descended, candidates=rates, further=further)
    return {
        "cca-root": replace(found["cca"], label="CCA, root and unit features", settings=features),
        "cca-root-hubs": replace(found["cca"], label="CCA + hub", settings=grown),
        "cca-tilted-hubs": replace(found["cca"], label="CCA tilted + hub", settings={**grown, "tilt": 2.0}),
        "linear-root-hubs": replace(
            found["linear"], label="linear regression + hub", settings=grown,
            candidates=product(ridge=[3.0, 10.0, 1.0, 30.0, 5.0, 20.0, 100.0, 0.3]),
        ),
        "clip-from-cca": from_cca,
        "clip-from-cca-hubs": replace(
            from_cca, label="CLIP from CCA + hub", settings={**from_cca.settings, "hubs": True}
        ),
    }  # fmt: skip


def ours() -> dict[str, MethodEntry]:
    """Our methods: closed form, gradient, both."""
    full = MethodEntry("ours: both in turn", "full", {}, tunes_itself=True, least_pairs=0)
    axes: dict[str, list[Any]] = {"lr": [1e-3, 3e-4], "start.ridge": [10.0, 3.0], "objective.alpha": [0.1, 1.0]}
    start = {"name": "cca", "ridge": 10.0, "power": 0.5}
    descended = {"objective": total(0.1, 0.1, **TERMS), "start": start, "unpaired": 0.5, "mixing": 1.0, **TRAINING}
    return {
        "full": full,
        "closed": replace(full, label="ours: closed form", settings={"steps": 0}),
        "descended": MethodEntry("ours: gradient", "gradient", descended, product(**axes)),
    }


def ablations() -> dict[str, MethodEntry]:
    """What "full" loses without one of its parts, or with another form of it."""
    full = ours()["full"]

    def other(label: str, **settings: Any) -> MethodEntry:
        return replace(full, label=label, settings=settings)

    no_plan: Settings = {"rounds": 0}
    no_neighbours: Settings = {"smoothing": 0.0}
    return {
        "full-no-ot": other("without L_OT", alpha=0.0, closed=no_plan),
        "full-no-rma": other("without L_RMA", beta=0.0, closed=no_neighbours),
        "full-neither": other("without either", alpha=0.0, beta=0.0, closed={**no_plan, **no_neighbours}),
        "full-held-ot": other("L_OT with pairs held", transport={"method": "semi_paired"}),
        "full-klot": other("L_OT as plan matching", transport={"name": "klot"}),
        "full-literal-rma": other("L_RMA literal", neighbourhood={"form": "literal"}),
        "full-structure-rma": other("L_RMA structural", neighbourhood={"form": "structure"}),
        "full-diffused-rma": other("L_RMA diffused", neighbourhood={"form": "diffused"}),
        "full-text-rma": other("L_RMA carried, text side", neighbourhood={"manifolds": ["text"]}),
        "full-no-start": descent("without the CCA start", total(0.1, 0.1, **TERMS), unpaired=0.5),
        "full-no-unpaired": replace(full, label="without unpaired data", paired_only=True),
        "full-no-hubs": other("without hub removal", hubs=False),
        "full-no-anchors": other("without relations to anchors", closed={"share": 0.0}),
        "full-no-rma-anchors": other(
            "without L_RMA and relations to anchors", beta=0.0, closed={**no_neighbours, "share": 0.0}
        ),
        "clip-hubs": with_hubs(contrastive()["clip"]),
        "cca-hubs": with_hubs(closed()["cca"]),
    }


def with_hubs(entry: MethodEntry) -> MethodEntry:
    """A baseline with our hub removal behind it: what that part alone is worth."""
    return replace(entry, label=f"{entry.label} with hub removal", settings={**entry.settings, "hubs": True})


def sweeps() -> dict[str, MethodEntry]:
    """The weights of the three terms of "full", one at a time."""
    full = ours()["full"]
    grid = {"alpha": [0.01, 1.0, 10.0], "beta": [0.01, 1.0, 10.0], "gamma": [0.1, 10.0]}
    return {
        f"full-{name}-{value:g}": replace(full, label=f"{name} = {value:g}", settings={name: value})
        for name, values in grid.items()
        for value in values
    }


FAMILIES: Mapping[str, Callable[[], dict[str, MethodEntry]]] = {
    "contrastive": contrastive, "closed": closed, "strong": strong, "ours": ours, "ablations": ablations,
    "sweeps": sweeps,
}  # fmt: skip
"""Group -> its entries."""


def catalogue(own: Mapping[str, Mapping[str, Any]] | None = None, where: str = "suite") -> dict[str, MethodEntry]:
    """All entries by name, with a suite's own ones.

    Args:
        own: name -> table: ``base`` (an entry to start from) or ``method``; then any of label, settings (changes,
            dotted keys reach into tables), candidates, tunes_itself, least_pairs, paired_only.
        where: for messages.

    Raises:
        ModalignError: unknown keys, bases, methods or settings, or a name that is taken.
    """
    entries = {name: replace(e, group=group) for group, made in FAMILIES.items() for name, e in made().items()}
    for name, table in (own or {}).items():
        place = f"[entries.{name}] of {where}"
        if name in entries or name in groups(entries):
            raise ModalignError(f"{place}: an entry or a group of entries has that name already; take another one")
        entries[name] = _own(name, table, entries, place)
    return entries


def _own(name: str, table: Mapping[str, Any], entries: Mapping[str, MethodEntry], place: str) -> MethodEntry:
    known = ("base", "method", "label", "settings", "candidates", "tunes_itself", "least_pairs", "paired_only")
    for key in table:
        check_known(f"key of {place}", key, known)
    if ("base" in table) == ("method" in table):
        raise ModalignError(f"{place} needs either base (an entry) or method (a registered one)")
    if "base" in table:
        check_known(f"base of {place}", table["base"], entries)
        entry = entries[table["base"]]
    else:
        entry = MethodEntry(name, table["method"])
    change: dict[str, Any] = {k: table[k] for k in ("tunes_itself", "least_pairs", "paired_only") if k in table}
    change["settings"] = changed(entry.settings, table.get("settings", {}))
    if "candidates" in table:
        change |= {"candidates": tuple(table["candidates"]), "further": ()}
    made = replace(entry, label=table.get("label", name), group="own", **change)
    for candidate in made.candidates or ({},):
        settings = made.with_candidate(candidate)
        check(get("method", made.method), settings, f"{place}: method '{made.method}'")
    return made
