"""What a quick alignment would bring, measured on held-out pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError
from ..geometry.correlation import Canonical, cca
from ..metrics.mean_recall import mean_recall
from ..metrics.measures import first_rank
from ..metrics.ranking import find
from ..metrics.recall import Retrieval
from ..metrics.score import Score
from ..views import Views

SHARE, MOST = 0.25, 500  # of the pairs held out
RIDGES = (0.1, 1.0, 10.0)
SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of the training pairs, at which recall is measured: how the gain grows with pairs."""


@dataclass(frozen=True)
class Gain:
    """Retrieval of held-out partners by canonical correlation.

    pairs: it learnt from. test: held-out pairs, the gallery. recall: mean recall both ways, with interval and chance.
    times: recall over chance. bits: what the ranks tell about which item is the partner, log2; chance 0.
    error: standard error of the bits, over held-out pairs.
    ridge: chosen on training pairs. curve: "pairs" and mean recall at smaller budgets.
    """

    pairs: int
    test: int
    recall: Score
    times: float
    bits: float
    error: float
    ridge: float
    curve: list[dict[str, Any]]


def gain(x: Tensor, y: Tensor, seed: int = 0) -> Gain:
    """Fit canonical correlation on some pairs, find the partners of the others.

    bits = mean_r log2 r over ranks 1 .. n - mean_i log2(rank_i), mean of both ways: s where partners are known up to a
    share 2^-s of the items.

    Args:
        x, y: (n, a), (n, b): row i of both is the same item; reduced by ``geometry.information.principal``.
        seed: of the split.

    Raises:
        ModalignError: fewer than 20 pairs.

    Example:
        >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        >>> found = gain(x, x @ torch.ones(4, 4).triu())
        >>> found.recall.value, round(found.bits, 2)
        (1.0, 4.28)
    """
    n = len(x)
    if n < 20:
        raise ModalignError(f"a held-out alignment needs 20 or more pairs, got {n}")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    held = min(MOST, max(5, round(SHARE * n)))
    test, train = order[:held], order[held:]
    inner = max(5, len(train) // 4)
    ridge = max(RIDGES, key=lambda r: _bits(_fit(x, y, train[inner:], r), x, y, train[:inner]).mean())
    budgets = list(dict.fromkeys(max(10, round(s * len(train))) for s in SHARES))
    curve = []
    for budget in budgets:
        fit = _fit(x, y, train[:budget], ridge)
        recall = mean_recall(Retrieval()(_embed(fit, x, y, test)), "x", "y", seed=seed)
        curve.append({"pairs": budget, **recall.json()})
    chance = recall.chance or 0.0
    bits = _bits(fit, x, y, test)
    error = float(bits.std()) / held**0.5
    return Gain(len(train), held, recall, recall.value / chance, float(bits.mean()), error, ridge, curve)


def _fit(x: Tensor, y: Tensor, rows: Tensor, ridge: float) -> Canonical:
    return cca([x[rows], y[rows]], ridge=ridge)


def _embed(fit: Canonical, x: Tensor, y: Tensor, rows: Tensor) -> Views:
    return Views.from_arrays(x=fit.project(0, x[rows]), y=fit.project(1, y[rows]))


def _bits(fit: Canonical, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
    """(n,) bits of each pair, mean of both ways."""
    z = _embed(fit, x, y, rows)
    n = len(rows)
    ranks = [first_rank(find(z, a, b)).log2() for a, b in (("x", "y"), ("y", "x"))]
    chance = sum(math.log2(r) for r in range(1, n + 1)) / n
    return chance - (ranks[0] + ranks[1]) / 2
