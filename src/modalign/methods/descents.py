"""The ways of gradient descent that "full" tries from its closed forms, by the number of links."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..model import Heads
from ..progress import silent
from ..views import Views
from .gradient import Gradient, with_residual

MANY = 2500  # linked groups from which on so many anchors do what a perceptron does, and pairs alone fill the batches
FEWEST_TO_DESCEND = 500  # linked groups: with fewer, descent does not raise dev recall and its trials go elsewhere


class Descent(NamedTuple):
    """A way of gradient descent from the closed form.

    retrieval: term of the objective. hidden, dropout: of a perceptron beside the maps. lr: learning rate. longer:
    times the steps that are asked for. unpaired: share of a batch without partners. closed: begins at this one of
    `cases.CLOSED`; None: at the chosen one.
    """

    retrieval: str = "clip"
    hidden: int = 0
    dropout: float = 0.0
    lr: float = 1e-3
    longer: float = 1.0
    unpaired: float = 0.5
    closed: int | None = None

    def end(
        self, start: Heads, objective: dict[str, Any], x: Views, dev: Views, steps: int, seed: int, run: Path | None
    ) -> tuple[Heads, float]:
        """The heads that are best on dev on the way down from the start, which stays as it is, and their recall.

        Args:
            objective: table. run: folder of the training log and checkpoints.
        """
        draw = torch.Generator().manual_seed(seed)
        begun = with_residual(start, self.hidden, self.dropout, draw) if self.hidden else start
        method = Gradient(
            objective, steps=int(self.longer * steps), lr=self.lr, mixing=1.0, unpaired=self.unpaired,
            every=round(10 * self.longer), patience=4, checkpoints=run is not None, seed=seed,
        )  # fmt: skip
        heads = method.descend(copy.deepcopy(begun), x, dev, run, silent)
        return heads, method.record["training"]["dev"]


DESCENTS: Mapping[str, Descent] = {
    "linear": Descent(),
    "perceptron": Descent("siglip", hidden=256, dropout=0.5),
    "pairs": Descent(lr=3e-4, longer=1.5, unpaired=0.0),
    "ridged": Descent(lr=3e-4, longer=1.5, unpaired=0.0, closed=6),
}


def ways(linked: int) -> list[str]:
    """Which of them follow with so many linked groups."""
    if linked < FEWEST_TO_DESCEND:
        return []
    return ["linear", "perceptron"] if linked < MANY else ["pairs", "ridged"]


def joins(names: Sequence[str]) -> bool:
    """Whether these end in one head too: several from one start."""
    return len(names) > 1 and all(DESCENTS[name].closed is None for name in names)
