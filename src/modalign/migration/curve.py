"""How much is kept with so many pairs, and how many more would be needed; which rows to embed when one may choose."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, unknown
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
        found = nearest(mapped, g.store, g.truth.shape[1], g.measure, g.own[held]).rows
        out.append(CurvePoint(n, trials.scored(trials.raw, held, mapped, found)))
    return out


def forecast(pairs: list[int], kept: list[float], target: float = 0.95) -> dict[str, Any]:
    """How many pairs for a share of the level that the curve runs to, and for that share of everything.

    r(p) = top - a p^-b, fitted by least squares over a grid of b; top at most 1.

    Returns:
        {"top", "pairs_of_top", "pairs_of_all", "reliable", "at_ten_times"}: counts are None where the curve does not
        get there. Beyond ten times the pairs at hand a count is a guess: ``reliable`` is then False, and what the curve
        says is the level at ten times as many.

    Example:
        >>> p = [50, 100, 400, 1600]
        >>> forecast(p, [0.8 - 2 / n**0.5 for n in p])["pairs_of_top"]
        2500
    """
    if len(pairs) < 3:
        return {
            "target": target, "top": None, "pairs_of_top": None, "pairs_of_all": None, "reliable": False,
            "at_ten_times": None,
        }  # fmt: skip
    p, r = np.asarray(pairs, float), np.asarray(kept, float)
    fits = []
    for power in np.arange(0.1, 1.55, 0.05):
        basis = np.stack([np.ones(len(p)), -(p**-power)], 1)
        (top, a), *_ = np.linalg.lstsq(basis, r, rcond=None)
        top, a = min(float(top), 1.0), max(float(a), 0.0)
        fits.append((float(((basis @ [top, a] - r) ** 2).sum()), top, a, float(power)))
    _, top, a, power = min(fits)
    top = max(top, float(r.max()))

    def needed(level: float) -> int | None:
        if level >= top:
            return None
        return 1 if a == 0 else max(1, round((a / (top - level)) ** (1 / power), -int(np.log10(p.max())) + 1).__int__())

    of_top, of_all = needed(target * top), needed(target)
    reliable = of_top is not None and of_top <= 10 * max(pairs)
    ahead = max(float(r.max()), top - a * (10.0 * p.max()) ** -power)
    return {
        "target": target, "top": round(top, 4), "pairs_of_top": of_top, "pairs_of_all": of_all, "reliable": reliable,
        "at_ten_times": round(ahead, 4),
    }  # fmt: skip


How = Literal["spread", "farthest", "random"]


def choose_rows(old: Tensor, count: int, how: str = "spread", seed: int = 0, most: int = 20_000) -> Tensor:
    """Rows of the old store to embed with the new model, when one may choose.

    spread: k-means++ draws, each row with chance proportional to its squared distance from those drawn; farthest: the
    row farthest from all chosen ones, again and again; random: as they come.

    Args:
        old: (n, d) rows. count: how many. most: rows looked at; more are drawn from at random.

    Returns:
        (count,) rising row numbers.

    Raises:
        ModalignError: an unknown way, or more rows than there are.

    Reference: Arthur & Vassilvitskii 2007 (k-means++); Gonzalez 1985 (farthest points).

    Example:
        >>> choose_rows(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 2, "farthest").tolist()[-1]
        2
    """
    if how not in ("spread", "farthest", "random"):
        raise unknown("way to choose rows", how, ("spread", "farthest", "random"))
    if not 0 < count <= len(old):
        raise ModalignError(f"{count} rows were asked for, but the store has {len(old)}")
    draw = torch.Generator().manual_seed(seed)
    pool = torch.randperm(len(old), generator=draw)[: max(most, count)]
    if how == "random":
        return pool[:count].sort().values
    rows = normalize(old[pool].float(), dim=1)
    chosen = [int(torch.randint(len(rows), (1,), generator=draw))]
    far = 1.0 - rows @ rows[chosen[0]]
    while len(chosen) < count:
        far[chosen[-1]] = 0.0
        weight = far.clamp(min=0.0)
        chosen.append(
            int(weight.argmax()) if how == "farthest" else int(torch.multinomial(weight + 1e-12, 1, generator=draw))
        )
        far = torch.minimum(far, 1.0 - rows @ rows[chosen[-1]])
    return pool[torch.tensor(chosen)].unique()
