"""Attacks against radius, on features, embeddings and raw inputs; a random control of the same radius beside each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...errors import ModalignError, check_known
from ...metrics.mean_recall import recalls
from ...metrics.score import Measure, Score
from ...model import Heads
from ...views import Views
from ..attack import SIDES, Scene, Threat, Victim, embedding, features, hubs, on_grid
from ..curves import Curve, curve
from .noises import directions

RADII = {"embedding": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5), "features": (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)}
"""Of unit rows (0.1 turns an embedding by six degrees), and in units of the typical distance of a feature vector from
the mean."""
PIXEL_LEVELS = (0, 1, 2, 4, 8)
"""Of 255: the usual linf radii."""
BATCH = 8  # inputs that are attacked together
HUB_RATE = Measure(
    "Queries that find the hub", "share", "Share of held-out queries with the attacked item among their first results.",
    higher_is_better=False, topic="Robustness",
)  # fmt: skip


def attack_curves(
    heads: Heads,
    test: Views,
    space: str = "features",
    norm: str = "l2",
    radii: Sequence[float] | None = None,
    sides: Sequence[str] = ("query", "gallery"),
    method: str = "apgd",
    steps: int = 20,
    seed: int = 0,
) -> dict[str, Curve]:
    """Mean recall both ways under untargeted attacks of growing radius.

    "query": every query is changed, the gallery stays; "gallery": every gallery item is, the queries stay. Each with a
    control, "query/random" and "gallery/random": the same radius in random directions.

    Args:
        heads: trained. test: features. space: "features" (through the heads), or "embedding" (on the unit rows that the
            heads give: no encoder or head is attacked, so it only bounds what attacks of that reach could do).
        norm: "l2" or "linf". radii: ascending, from 0: on unit rows (embedding), or in units of the root mean square
            distance of a modality's features from their mean (features); linf radii are divided by the square root of
            the width, so that both norms reach about as far.
        sides: which to attack. method, steps: of the ascent. seed: of controls.

    Example:
        >>> from modalign.data.synthetic import generate
        >>> from modalign.registry import make
        >>> x = generate(260, shared=10, unique=2).views
        >>> heads = make("method", "cca", ridge=0.1).fit(x.groups(range(200)))
        >>> found = attack_curves(heads, x.groups(range(200, 260)), radii=(0.0, 0.3), sides=["query"], steps=5)
        >>> found["query"].area.value < found["query/random"].area.value
        True
    """
    levels = _levels(radii, space)
    z = heads.embed(test)
    found: dict[str, list[list[Score]]] = {}
    for side in sides:
        for radius in levels:
            parts: dict[str, list[Score]] = {}
            for way in directions(test):
                scene, threat = scene_of(heads, test, z, way, side, space, norm, radius)
                for kind, x in _attacked(scene, threat, method, steps, seed).items():
                    parts[side + kind] = parts.get(side + kind, []) + _recalls(scene, x, z.group[way[0]])
            for name, scores in parts.items():
                found.setdefault(name, []).append(scores)
    return {name: curve(levels, scores, seed) for name, scores in found.items()}


def _levels(radii: Sequence[float] | None, space: str) -> tuple[float, ...]:
    """Radii as given, or those usual for the space."""
    check_known("space of an attack on features", space, RADII)
    return RADII[space] if radii is None else tuple(radii)


def _attacked(scene: Scene, threat: Threat, method: str, steps: int, seed: int, batch: int = 256) -> dict[str, Tensor]:
    """Attacked inputs, and under "/random" those that moved as far in random directions."""
    random = on_grid(scene.x, threat.random(scene.x, seed, surface=True), threat, scene.victim.grid)
    return {"": scene.attack(threat, method, steps, batch=batch, seed=seed), "/random": random}


def _recalls(scene: Scene, x: Tensor, group: Tensor) -> list[Score]:
    """Recall@k of one direction with these inputs."""
    return recalls([replace(scene.ranking(x), group=group)])


def scene_of(
    heads: Heads, test: Views, z: Views, way: tuple[str, str], side: str, space: str, norm: str, radius: float,
    target: Tensor | None = None,
) -> tuple[Scene, Threat]:  # fmt: skip
    """The attacked side of one direction, and the ball around its inputs."""
    query, gallery = way
    mine, other = (query, gallery) if side == "query" else (gallery, query)
    victim, x = victim_of(heads, test, z, mine, space)
    pairs = z.paired(query, gallery)
    scene = Scene(side, victim, x, z[other], pairs if side == "query" else pairs.flip(1), target)
    return scene, Threat(norm, radius * unit_of(x, space, norm), victim.low, victim.high)


def victim_of(heads: Heads, test: Views, z: Views, modality: str, space: str) -> tuple[Victim, Tensor]:
    """What is attacked and its inputs."""
    if space == "embedding":
        return embedding(), z[modality]
    return features(heads, modality), test[modality].float()


def unit_of(x: Tensor, space: str, norm: str) -> float:
    """The radius that a level of 1 stands for."""
    scale = 1.0 if space == "embedding" else float((x - x.mean(0)).square().sum(1).mean().sqrt())
    return scale if norm == "l2" else scale / x.shape[1] ** 0.5


def targeted_scores(
    heads: Heads,
    test: Views,
    space: str = "features",
    radii: Sequence[float] | None = None,
    steps: int = 20,
    most: int = 200,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Share of attacked items that reach a randomly drawn target, by direction, side and radius.

    Query side: the target is the first result. Gallery side: the item, alone among clean ones, is the first result of
    the target query.

    Args:
        most: attacked items, at most. Others: as in ``attack_curves``, by "apgd" in "l2".

    Returns:
        rows of "query", "gallery", "side", "radius", "success", "random" (control), "items".
    """
    levels = _levels(radii, space)
    z = heads.embed(test)
    rows = []
    for a, b in directions(test):
        for side in ("query", "gallery"):
            mine, other = (a, b) if side == "query" else (b, a)
            g = torch.Generator().manual_seed(seed)
            keep = torch.randperm(len(test[mine]), generator=g)[:most]
            part_x, part_z = (v.select({mine: keep}) for v in (test, z))
            target = torch.randint(len(z[other]), (len(keep),), generator=g)
            rest = torch.ones(len(z[mine]), dtype=torch.bool).index_fill(0, keep, False)
            unit = unit_of(victim_of(heads, test, z, mine, space)[1], space, "l2")  # of all items, however few are kept
            for radius in levels:
                scene, threat = scene_of(heads, part_x, part_z, (a, b), side, space, "l2", radius, target)
                scene, threat = replace(scene, beside=z[mine][rest]), replace(threat, epsilon=radius * unit)
                success, random = map(scene.success, _attacked(scene, threat, "apgd", steps, seed).values())
                rows.append(
                    {"query": a, "gallery": b, "side": side, "radius": radius, "success": success, "random": random,
                     "items": len(keep)}
                )  # fmt: skip
    return rows


def hub_curves(
    heads: Heads,
    test: Views,
    space: str = "features",
    radii: Sequence[float] | None = None,
    items: int = 5,
    depth: int = 10,
    steps: int = 50,
    seed: int = 0,
) -> dict[str, Curve]:
    """How many held-out queries find a gallery item that was made a hub, against the radius of the change.

    Half of the queries, by group, are the attacker's; hits are counted on the other half.

    Args:
        items: gallery items attacked, each by itself, in every direction; the mean counts.
        depth: of the list that counts as a hit. Others: as in ``attack_curves``, in "l2".

    Returns:
        "hub", "hub/random" -> curve of the hit rate (higher is worse for the system); the first level is the rate
        of the untouched items.

    Raises:
        ModalignError: fewer than four query groups.
    """
    levels = _levels(radii, space)
    z = heads.embed(test)
    found: dict[str, list[list[Score]]] = {"hub": [], "hub/random": []}
    ways = directions(test)
    for radius in levels:
        parts: dict[str, list[Score]] = {"hub": [], "hub/random": []}
        for a, b in ways:
            ids = torch.unique(z.group[a])
            if len(ids) < 4:
                raise ModalignError(f"a hub attack needs four or more groups of '{a}', got {len(ids)}")
            g = torch.Generator().manual_seed(seed)
            mine = torch.isin(z.group[a], ids[torch.randperm(len(ids), generator=g)[: len(ids) // 2]])
            rows = torch.randperm(len(z[b]), generator=g)[:items]
            victim, x = victim_of(heads, test, z, b, space)
            threat = Threat("l2", radius * unit_of(x, space, "l2"), victim.low, victim.high)
            hub = hubs(victim, x, rows, z[a][mine], z[a][~mine], threat, depth, steps=steps, seed=seed)
            chance = min(1.0, depth / len(z[b]))
            for name, matrix in (("hub", hub.hits), ("hub/random", hub.random)):
                rate = matrix.double().mean(1)
                parts[name].append(HUB_RATE.mean(rate, group=z.group[a][~mine], chance=chance))
        for name, p in parts.items():
            found[name].append(p)
    return {name: curve(levels, level, seed, HUB_RATE) for name, level in found.items()}


def raw_curves(
    victim: Victim,
    x: Tensor,
    modality: str,
    z: Views,
    radii: Sequence[float] = PIXEL_LEVELS,
    unit: float = 1 / 255,
    steps: int = 10,
    seed: int = 0,
) -> tuple[dict[str, Curve], list[dict[str, Any]]]:
    """Mean recall under attacks ("apgd", linf) on raw inputs, and what the attacks achieved.

    Args:
        victim: way of the inputs into the shared space, from ``attack.raw``.
        x: (n, ...) inputs, in the order of z[modality]. z: embeddings of both modalities.
        radii: ascending from 0, in units of ``unit``. steps, seed: as in ``attack_curves``.

    Returns:
        "query", "query/random", "gallery", "gallery/random" -> curve of one direction each (the attacked inputs as
        queries, or as the gallery); and rows of "side", "radius", "success" (``Scene.success``), "random".
    """
    facing = next(m for m in z.modalities if m != modality)
    pairs = z.paired(modality, facing)
    found: dict[str, list[list[Score]]] = {}
    rows = []
    for side in SIDES:
        scene = Scene(side, victim, x, z[facing], pairs)
        group = z.group[modality if side == "query" else facing]
        for radius in radii:
            threat = Threat("linf", radius * unit, victim.low, victim.high)
            inputs = _attacked(scene, threat, "apgd", steps, seed, BATCH)
            for kind, attacked in inputs.items():
                found.setdefault(side + kind, []).append(_recalls(scene, attacked, group))
            success, random = map(scene.success, inputs.values())
            rows.append({"side": side, "radius": radius, "success": success, "random": random})
    return {name: curve([float(r) for r in radii], parts, seed) for name, parts in found.items()}, rows
