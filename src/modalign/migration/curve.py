"""How much is kept with so many pairs, and how many more would be needed; which rows to embed when one may choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, check_known
from .choose import Candidate, Kept, Trials, with_norm
from .inputs import LEAST
from .lists import nearest

SIZES = (25, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000)
MOST_POINTS = 6


class CurvePoint(NamedTuple):
    """What is kept, per held-out link, with so many links."""

    pairs: int
    kept: Kept


def measured(trials: Trials, candidate: Candidate, seed: int = 0) -> list[CurvePoint]:
    """The chosen adapter for queries with fewer links, on the first part that was held out; nested draws."""
    g, held, rest = trials.gallery, trials.parts[0].sort().values, trials.rests[0]
    order = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
    sizes = [n for n in SIZES if LEAST <= n < 0.8 * len(rest)]
    step = max(1, -(-len(sizes) // (MOST_POINTS - 1)))
    units, out = trials.raw.units(), []
    for n in [*sizes[::-1][::step][::-1], len(rest)]:
        rows = order[:n] if n < len(rest) else rest
        tag = "part 0" if n == len(rest) else f"first {n}"
        fit = candidate.fit(units.linked(rows, tag))
        adapter = with_norm(fit, trials.raw.x[rows], trials.raw.y[rows], g.measure)
        mapped = adapter(trials.raw.x[held])
        found = nearest(mapped, g.store, g.truth.shape[1], g.measure, g.own[held])
        out.append(CurvePoint(n, trials.scored(trials.raw, held, mapped, found)))
    return out


def forecast(pairs: list[int], kept: Tensor, target: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """How many pairs for a share of the level that the curve runs to, and for that share of everything.

    r(p) = top - a p^-b, fitted by least squares over a grid of b; top at most 1. Ranges are 95 % intervals: the curve
    is fitted again to queries drawn with replacement, the same ones at every point.

    Args:
        pairs: (m,) rising. kept: (m, q) what is kept per query with so many.

    Returns:
        {"target", "top", "at_ten_times": the level with ten times the pairs at hand, "pairs_of_top", "pairs_of_all",
        "reliable", "range": of each}; counts are None where the curve does not get there. Beyond ten times the pairs at
        hand a count is a guess: ``reliable`` is then False. Of fewer than three points all is None.

    Example:
        >>> p = [50, 100, 400, 1600]
        >>> forecast(p, torch.tensor([[0.8 - 2 / n**0.5] * 5 for n in p]))["pairs_of_top"]
        2500
    """
    if len(pairs) < 3:
        return {"target": target, **dict.fromkeys(FORESEEN), "reliable": False, "range": dict.fromkeys(FORESEEN)}
    rows = kept.double().numpy()
    draws = np.random.default_rng(seed).integers(0, rows.shape[1], (DRAWS, rows.shape[1]))
    levels = np.concatenate([rows.mean(1)[:, None], rows[:, draws].mean(2)], 1)
    p = np.asarray(pairs, float)
    laws = zip(levels.T, *_power_laws(p, levels), strict=True)
    found = [_foreseen(p, r, float(top), float(a), float(power), target) for r, top, a, power in laws]
    first = dict(zip(FORESEEN, found[0], strict=True))
    ranges = {name: _range([f[i] for f in found[1:]]) for i, name in enumerate(FORESEEN)}
    reliable = first["pairs_of_top"] is not None and first["pairs_of_top"] <= 10 * max(pairs)
    return {"target": target, **first, "reliable": reliable, "range": ranges}


DRAWS = 200
FORESEEN = ("top", "at_ten_times", "pairs_of_top", "pairs_of_all")


def _power_laws(p: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """top, a and b of each column of levels (m, n), each (n,)."""
    least = np.full(levels.shape[1], np.inf)
    found = np.zeros((3, levels.shape[1]))
    for power in np.arange(0.1, 1.55, 0.05):
        basis = np.stack([np.ones(len(p)), -(p**-power)], 1)
        top, a = np.linalg.lstsq(basis, levels, rcond=None)[0]
        fall = -basis[:, 1]
        a = np.where(top > 1.0, fall @ (1.0 - levels) / (fall @ fall), a)  # the best one where top is held at 1
        top, a = np.where(a < 0.0, levels.mean(0), np.minimum(top, 1.0)), np.maximum(a, 0.0)
        error = ((basis @ np.stack([top, a]) - levels) ** 2).sum(0)
        better = error < least
        least[better] = error[better]
        found[:, better] = np.stack([top, a, np.full_like(a, power)])[:, better]
    return found[0], found[1], found[2]


def _foreseen(
    p: np.ndarray, r: np.ndarray, top: float, a: float, power: float, target: float
) -> tuple[float, float, int | None, int | None]:
    """What a curve says, in the order of ``FORESEEN``; of levels that were measured never less than those."""
    top = max(top, float(r.max()))

    def needed(level: float) -> int | None:
        if level <= r[0]:
            return int(p[0])  # the fewest that were tried
        if level >= top or a == 0:
            return None
        return max(1, int(round((a / (top - level)) ** (1 / power), -int(np.log10(p.max())) + 1)))

    ahead = max(float(r.max()), top - a * (10.0 * p.max()) ** -power)
    return round(top, 4), round(ahead, 4), needed(target * top), needed(target)


def _range(values: Sequence[float | None]) -> list[float | None]:
    """The ends of the middle 95 %; None stands for more than any number."""
    ordered = sorted(values, key=lambda v: np.inf if v is None else v)
    cut = round(0.025 * len(ordered))
    return [ordered[cut], ordered[-1 - cut]]


def choose_rows(old: Tensor, count: int, how: str = "spread", seed: int = 0, most: int = 20_000) -> Tensor:
    """Rows of the old store to embed with the new model, when one may choose.

    spread: k-means++ draws, each row with chance proportional to its squared distance from those drawn; farthest: the
    row farthest from all chosen ones, again and again; random: as they come.

    Args:
        old: (n, d) rows; those that are zero or not finite are never chosen. count: how many. most: rows looked at;
            more are drawn from at random.

    Returns:
        (count,) rising row numbers, no two equal.

    Raises:
        ModalignError: an unknown way, or more rows than have a direction.

    Reference: Arthur & Vassilvitskii 2007 (k-means++); Gonzalez 1985 (farthest points).

    Example:
        >>> choose_rows(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 2, "farthest").tolist()[-1]
        2
    """
    check_known("way to choose rows", how, ("spread", "farthest", "random"))
    able = (old.isfinite().all(1) & old.any(1)).nonzero().flatten()
    if not 0 < count <= len(able):
        lacking = f" ({len(old) - len(able)} more are zero or not finite)" if len(able) < len(old) else ""
        raise ModalignError(f"{count} rows were asked for, but the store has {len(able)}{lacking}")
    draw = torch.Generator().manual_seed(seed)
    pool = able[torch.randperm(len(able), generator=draw)[: max(most, count)]]
    if how == "random":
        return pool[:count].sort().values
    rows = normalize(old[pool].float(), dim=1)
    chosen = [int(torch.randint(len(rows), (1,), generator=draw))]
    far = 1.0 - rows @ rows[chosen[0]]
    while len(chosen) < count:
        weight = far.clamp(min=0.0) + 1e-12  # where all that are left equal a chosen row, one of them
        weight[chosen] = 0.0
        chosen.append(int(weight.argmax() if how == "farthest" else torch.multinomial(weight, 1, generator=draw)))
        far = torch.minimum(far, 1.0 - rows @ rows[chosen[-1]])
    return pool[torch.tensor(chosen)].sort().values
