"""The settings of "transport_cca" that "full" tries, and how: by what there is to learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

CLOSED: Sequence[Mapping[str, Any]] = (
    {
        "ridge": 10.0, "share": 1.0, "sharpness": 1.5, "smoothing": 0.25, "neighbours": 10, "epsilon": 0.05,
        "weight": 0.5,
    },
    {"ridge": 4.0, "share": 1.0, "smoothing": 0.0, "epsilon": 0.02, "weight": 0.3},
    {
        "ridge": 10.0, "last_ridge": 1.0, "share": 0.3, "late": True, "smoothing": 0.0, "epsilon": 0.02,
        "weight": 0.3, "plan_neighbours": 0, "rounds": 4,
    },
    {"ridge": 1.0, "share": 0.3, "smoothing": 0.0, "epsilon": 0.02, "weight": 0.3},
    {"ridge": 10.0, "share": 1.0, "smoothing": 0.5, "epsilon": 0.02, "weight": 0.3},
    {"ridge": 10.0, "share": 0.5, "smoothing": 0.5, "epsilon": 0.02, "weight": 0.1, "sharpness": 1.0},
    {"ridge": 10.0, "share": 0.3, "smoothing": 0.0, "epsilon": 0.02, "weight": 0.3},
    {"ridge": 4.0, "share": 1.0, "smoothing": 0.25, "epsilon": 0.05, "weight": 1.0},
    {
        "ridge": 10.0, "last_ridge": 1.0, "tilt": 2.0, "last_power": 0.75, "share": 0.5, "late": True,
        "smoothing": 0.0, "epsilon": 0.02, "weight": 0.3, "plan_neighbours": 0, "rounds": 4, "matches": 1000,
    },
    {
        "tilt": 1.0, "power": 0.75, "share": 0.3, "smoothing": 0.0, "epsilon": 0.02, "weight": 0.3,
        "most_anchors": 2500,
    },
    {
        "ridge": 10.0, "share": 1.0, "sharpness": 1.5, "late": True, "smoothing": 0.0, "epsilon": 0.02,
        "weight": 0.3, "plan_neighbours": 0,
    },
    {
        "ridge": 10.0, "last_ridge": 3.0, "share": 0.5, "late": True, "smoothing": 0.0, "epsilon": 0.02,
        "weight": 1.0, "plan_neighbours": 0,
    },
)  # fmt: skip
#: Where they name no ridge: this over the root of the number of linked items, as the noise of a covariance falls.
RIDGE = 70.0


def rounds_among(rows: int) -> int:
    """Where they name no rounds: of matches among so many rows, four up to 10,000, two more for each factor of 10.

    The more rows there are, the more first matches are strangers, and the longer rounds gain; photographs lose by more.
    """
    return max(4, round(4 + 2 * math.log10(rows / 10_000)))


class Case(NamedTuple):
    """What there is to learn from, and what follows.

    tried: of ``CLOSED``, the most plausible first. crowded: settings are judged with hubs removed, as items are many
    enough for that to be more than noise. halved: only the half that does best on dev before any plan is tried in full.
    last: the last round alone is judged, in which a refit ends, with few unlinked rows, and hubs go untried.
    strengths: of hub removal to try.
    """

    tried: tuple[int, ...]
    crowded: bool = True
    halved: bool = False
    last: bool = False
    strengths: tuple[float, ...] = (1.0,)


#: With a plan of many items, where a trial takes long and settings of small data are no match; with more of them than a
#: plan holds, where matches are sought among all (`meeting`); with many links of three modalities and more or of two,
#: and of two without dev views, where the few groups that are held out tell few settings apart; and otherwise.
CASES: Mapping[str, Case] = {
    "plan": Case((8, 1)),
    "beyond": Case((11,)),
    "several": Case((10, 9, 8, 6, 1, 3)),
    "links": Case((1, 9, 8, 6, 0, 2, 3, 4, 5, 7), halved=True),
    "held": Case((9, 1, 6), crowded=False, last=True),
    "few": Case((0, 5, 4, 1, 2, 3, 6, 7), crowded=False, strengths=(0.5, 1.0)),
}
#: After all others where more trials are allowed than by default: one of ``CLOSED`` with a change.
FURTHER: Sequence[tuple[int, Mapping[str, Any]]] = (
    *((number, {}) for number in range(11)),
    (8, {"epsilon": 0.015}), (8, {"share": 0.3}), (9, {"ridge": 3.0, "power": 0.5}), (8, {"weight": 0.6}),
    (8, {"last_ridge": 3.0}), (9, {"share": 0.6}), (8, {"epsilon": 0.03}), (8, {"rounds": 6}),
    (9, {"ridge": 2.0}), (8, {"last_power": 1.0}),
)  # fmt: skip
