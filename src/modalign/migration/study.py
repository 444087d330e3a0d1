"""From two stores and some links to adapters and all that is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..diagnosis.scales import drowned
from ..errors import ModalignError
from ..metrics.intervals import bootstrap
from ..metrics.score import Score
from ..progress import Progress, silent
from ..views.checks import MOST
from . import choose, curve
from .adapter import Adapter
from .choose import METHODS, Candidate, Direction, Kept, Trial
from .inputs import LEAST, Cover, cover, place_of, usable, wrong_links
from .linear import Sample
from .lists import K, Measure, as_tensor, nearest, overlap, own_length
from .vectors import Vectors

SAMPLE = 20_000  # rows of either store that are looked at
WORST = 20
MOST_WRONG = 0.5  # share of wrong links above which the list of pairs is at fault, and not some of its lines


@dataclass(frozen=True, eq=False)
class LinkedRows:
    """Linked rows and a sample of both stores, all finite and none zero.

    Args:
        links: (p, 2) old and new row numbers. raw: from the new model to the old. store: (n, d) rows of the old store,
            the linked ones first. aside: what was left out, by reason.
    """

    links: Tensor
    raw: Sample
    store: Tensor
    aside: dict[str, int]


def gather(old: Vectors, new: Vectors, pairs: Tensor, seed: int = 0, progress: Progress = silent) -> LinkedRows:
    """Read what is needed of both stores: the links, and at most 20,000 other rows of each.

    Raises:
        ModalignError: too few usable links; rows that are all equal; numbers whose squares leave float32.
    """
    links = usable(pairs, old.rows, new.rows)
    progress(0, 2, "reading the stores")
    x, y = (as_tensor(v.at(links.rows[:, i].numpy())) for i, v in ((1, new), (0, old)))
    sound = _sound(x) & _sound(y)
    aside = dict(links.aside)
    if not sound.all():
        aside["zero or not finite"] = int((~sound).sum())
    rows, x, y = links.rows[sound], x[sound], y[sound]
    if len(rows) < LEAST:
        told = "".join(f", {n} {why}" for why, n in aside.items())
        raise ModalignError(f"{len(rows)} usable pairs of {len(pairs)}{told}: at least {LEAST} are needed")
    others = [_others(v, links.rows[:, i], seed + i) for i, v in ((0, old), (1, new))]
    progress(2, 2, "reading the stores")
    for name, lost in zip(("OLD", "NEW"), (o[1] for o in others), strict=True):
        if lost:
            aside[f"sampled rows of {name} that are zero or not finite"] = lost
    store, more = torch.cat([y, others[0][0]]), torch.cat([x, others[1][0]])
    for name, found in (("OLD", store), ("NEW", more)):
        if (most := float(found.abs().max())) > MOST:
            raise ModalignError(f"{name} has numbers up to {most:.3g}, whose lengths are lost in float32: scale them")
        if bool((found == found[0]).all()):
            raise ModalignError(f"all rows of {name} are equal: there is nothing to find in it")
    return LinkedRows(rows, Sample(x, y, more, store), store, aside)


def _sound(x: Tensor) -> Tensor:
    return torch.isfinite(x).all(1) & (x.abs().amax(1) > 0)


def _others(v: Vectors, linked: Tensor, seed: int) -> tuple[Tensor, int]:
    """A sample of the rows without a link, and how many of it were unusable."""
    draw = np.random.default_rng(seed)
    size = min(v.rows, SAMPLE + len(linked))
    rows = draw.choice(v.rows, size, replace=False) if v.rows < 4 * size else draw.integers(0, v.rows, size)
    rows = np.setdiff1d(rows, linked.numpy())
    rows = (rows if v.rows <= size else draw.permutation(rows))[:SAMPLE]
    found = as_tensor(v.at(rows)) if len(rows) else torch.empty(0, v.width)
    sound = _sound(found)
    return found[sound], int((~sound).sum())


@dataclass(frozen=True, eq=False)
class Side:
    """One direction: the adapter fitted on all links, the trials that led to it, and what it keeps.

    mapped: (q, d) the held-out links through adapters that had not seen them.
    """

    adapter: Adapter
    chosen: Candidate
    trials: list[Trial]
    kept: Kept
    mapped: Tensor


@dataclass(frozen=True, eq=False)
class Study:
    """All that was found out. ``places`` are those of the store; ``held`` the links (rows of ``rows.links``) tested."""

    rows: LinkedRows
    measure: Measure
    sides: dict[str, Side]
    points: list[curve.CurvePoint]
    places: Cover
    held: Tensor
    wrong: Tensor
    wrong_share: float
    agreement: Tensor


def study(
    old: Vectors,
    new: Vectors,
    pairs: Tensor,
    measure: Measure = "cosine",
    methods: Sequence[str] = METHODS,
    directions: Sequence[Direction] = ("queries", "rows"),
    k: int = K,
    seed: int = 0,
    progress: Progress = silent,
) -> Study:
    """Fit, choose and measure. See ``migrate`` for the arguments."""
    full = choose.FullAdapter(seed, progress=progress)
    choices = choose.candidates(methods, full, old.width == new.width)
    rows = gather(old, new, pairs, seed, progress)
    places = cover(rows.store, rows.raw.y, seed)
    progress(0, 1, "checking the pairs")
    doubt = wrong_links(rows.raw.units(), seed)
    progress(1, 1, "checking the pairs")
    good = torch.ones(len(rows.links), dtype=torch.bool)
    good[doubt.rows] = False
    if doubt.share > MOST_WRONG or int(good.sum()) < LEAST:
        scales = drowned({"OLD": rows.raw.y, "NEW": rows.raw.x})
        raise ModalignError(
            f"{int((~good).sum())} of {len(good)} pairs look wrong, too many to trust the others. Are the row numbers "
            "of OLD first and those of NEW second, counted from 0, and is each pair one item?"
            + "".join(f" Also, {remark}" for remark in scales)
        )
    kept_links = good.nonzero().flatten()
    raw = rows.raw.linked(kept_links)
    gallery = choose.StoreSample.of(rows.store, kept_links, raw.y, measure, k)
    trials = choose.Trials(raw, gallery, seed)
    sides: dict[str, Side] = {}
    for direction in directions:
        tried = choose.compare(trials, choices, direction, progress)
        first = choose.best(tried)
        won = first.candidate
        way = raw if direction == "queries" else raw.flipped()
        fitted = won.fit(way.units().linked(torch.arange(len(way.x)), choose.LAST))
        fitted = choose.with_norm(fitted, way.x, way.y, measure)
        sides[direction] = Side(fitted, won, tried, choose.honest(tried), first.mapped)
    lead = sides.get("queries") or next(iter(sides.values()))
    points = curve.measured(trials, lead.chosen, seed)
    held = kept_links[trials.rows]
    return Study(
        rows, measure, sides, points, places, held, doubt.rows, doubt.share, agreement(rows.raw, held, measure, k)
    )


def agreement(raw: Sample, held: Tensor, measure: Measure, k: int) -> Tensor:
    """(q,) overlap of both models' own lists among the held-out links: how far they mean the same at all."""
    x, y, own = raw.x[held], raw.y[held], torch.arange(len(held))
    k = own_length(k, len(held))
    return overlap(nearest(x, x, k, measure, own), nearest(y, y, k, measure, own))


def score(values: Tensor) -> dict[str, float | None]:
    """Mean with its 95 % interval over queries."""
    s = bootstrap(Score(float(values.mean()), per_item=values))
    return {"value": round(s.value, 5), "low": _round(s.low), "high": _round(s.high)}


def _round(x: float | None) -> float | None:
    return None if x is None else round(x, 5)


def by_place(s: Study) -> list[dict[str, Any]]:
    """What is kept in each place of the store, worst first; places without a tested link say so."""
    lead = next(iter(s.sides.values()))
    where = place_of(s.rows.raw.y[s.held], s.places.mean, s.places.centres)
    out = []
    for i, share in enumerate(s.places.share.tolist()):
        tested = lead.kept.old[where == i]
        near = (s.places.label == i).nonzero().flatten()
        entry = {"place": i, "share": round(share, 4), "pairs": int(s.places.links[i]), "tested": len(tested)}
        linked = near[near < len(s.rows.links)]
        entry["example_old_row"] = int(s.rows.links[linked[0], 0]) if len(linked) else None
        entry["kept"] = score(tested) if len(tested) >= 3 else None
        out.append(entry)
    return sorted(out, key=lambda e: (e["kept"] is None, e["kept"]["value"] if e["kept"] else 0.0))


def worst(s: Study) -> list[dict[str, Any]]:
    """The held-out links whose lists are least kept, by row numbers of both stores."""
    lead = next(iter(s.sides.values()))
    order = lead.kept.old_ndcg.argsort(stable=True)[:WORST]
    links = s.rows.links[s.held[order]]
    found = zip(links.tolist(), lead.kept.old[order].tolist(), lead.kept.old_ndcg[order].tolist(), strict=True)
    return [
        {"old_row": o, "new_row": n, "overlap": round(kept, 3), "ndcg": round(gain, 3)} for (o, n), kept, gain in found
    ]
