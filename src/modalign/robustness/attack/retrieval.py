"""Attacks on retrieval: on queries or on gallery items, away from the partner or towards a target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import normalize

from ...errors import ModalignError
from ...files import atomic
from ...metrics.found import Found
from ...metrics.ranking import rank
from .ascent import ascend
from .threat import Threat, untouched
from .victim import Victim

TEMPERATURE = 0.05
SIDES = ("query", "gallery")


@dataclass(frozen=True, eq=False)
class Scene:
    """One direction of retrieval, one side of which is attacked.

    Args:
        side: "query" or "gallery". victim: way of the attacked side into the shared space.
        x: (n, ...) attacked inputs, as they were. other: (m, d) embeddings of the other side, which stay.
        pairs: (p, 2) rows of x and of other that are the same thing.
        target: (n,) rows of other that an attacked item wants to be matched with; None: untargeted.
        beside: (r, d) embeddings of gallery items that are not attacked, for targeted gallery items to get ahead of.
    """

    side: str
    victim: Victim
    x: Tensor
    other: Tensor
    pairs: Tensor
    target: Tensor | None = None
    beside: Tensor | None = None
    unit: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise ModalignError(f"the attacked side is 'query' or 'gallery', got '{self.side}'")
        if len(self.pairs) == 0:
            raise ModalignError("an attack needs items with partners, but there is no pair")
        if self.target is not None and len(self.target) != len(self.x):
            raise ModalignError(f"targets must be one per attacked item ({len(self.x)}), got {len(self.target)}")
        object.__setattr__(self, "unit", normalize(self.other.detach().float(), dim=1))

    def attack(
        self, threat: Threat, method: str = "apgd", steps: int = 20, restarts: int = 1, batch: int = 256, seed: int = 0
    ) -> Tensor:
        """Adversarial inputs, (n, ...); on the victim's grid where it has one, and within the threat either way."""
        with untouched(*self.victim.modules):
            found = ascend(self.loss, self.x, threat, method, steps, restarts, batch, seed)
        return on_grid(self.x, found, threat, self.victim.grid)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        """What an attacker raises, (b,).

        Untargeted queries: log sum exp of the wrong items' cosines / .05 minus that of the right ones'. Untargeted
        gallery items: minus the mean cosine to their own queries. Targeted: the target's cosine, for queries minus the
        log sum exp of all others'.
        """
        z = normalize(self.victim.network(x).float(), dim=1)
        if self.side == "gallery" or self.target is not None:
            return self._pull(z, rows)
        cosine = z @ self.unit.T / TEMPERATURE
        own = self._own(rows)
        wrong = cosine.masked_fill(own, -torch.inf).logsumexp(1)
        right = cosine.masked_fill(~own, -torch.inf).logsumexp(1)
        known = own.any(1) & ~own.all(1)
        return torch.where(known, wrong, 0.0) - torch.where(known, right, 0.0)

    def _pull(self, z: Tensor, rows: Tensor) -> Tensor:
        cosine = z @ self.unit.T
        if self.target is None:
            own = self._own(rows).float()
            return -(cosine * own).sum(1) / own.sum(1).clamp(min=1.0)
        aim = self.target[rows]
        wanted = cosine.gather(1, aim[:, None])[:, 0]
        if self.side == "gallery":
            return wanted
        others = (cosine / TEMPERATURE).scatter(1, aim[:, None], -torch.inf).logsumexp(1)
        return wanted / TEMPERATURE - others

    def _own(self, rows: Tensor) -> Tensor:
        """(b, m) bool: which rows of the other side are an item's partners."""
        where = torch.full((len(self.x),), -1)
        where[rows] = torch.arange(len(rows))
        here = where[self.pairs[:, 0]]
        own = torch.zeros(len(rows), len(self.unit), dtype=torch.bool)
        own[here[here >= 0], self.pairs[here >= 0, 1]] = True
        return own

    def ranking(self, x: Tensor) -> Found:
        """Retrieval of the true partners with these inputs: queries against the gallery, whichever side is attacked."""
        z = self.victim.embed(x)
        if self.side == "query":
            return rank(z, self.unit, self.pairs)
        return rank(self.unit, z, self.pairs.flip(1))

    def success(self, x: Tensor) -> float:
        """Share of attacked items that got what they want with these inputs; what is reported is this, of saved inputs.

        Untargeted: of the items whose pair was retrieved first before, those whose pair no longer is. Targeted: of all,
        those first in their target's list (gallery) or whose list begins with their target (queries).
        """
        if self.target is None:
            before, after = (self._first(self.ranking(v)) for v in (self.x, x))
            return float((before & ~after).sum()) / max(1, int(before.sum()))
        z = self.victim.embed(x)
        wanted = torch.stack([torch.arange(len(x)), self.target], 1)
        if self.side == "query":
            return float(self._first(rank(z, self.unit, wanted)).double().mean())
        # Each attacked item enters the gallery alone: beside the others as they were.
        clean = self.victim.embed(self.x)
        asked = self.unit[self.target].double()
        best = (asked @ clean.double().T).fill_diagonal_(-torch.inf).amax(1)
        if self.beside is not None and len(self.beside):
            best = torch.maximum(best, (asked @ normalize(self.beside.double(), dim=1).T).amax(1))
        return float(((asked * z.double()).sum(1) > best + 1e-9).double().mean())

    @staticmethod
    def _first(r: Found) -> Tensor:
        """(entries,) whether a pair's item is ahead of every other: a tie is no success of the model."""
        return (r.above == 0) & (r.tied == 1)


def on_grid(x0: Tensor, x: Tensor, threat: Threat, grid: int) -> Tensor:
    """Inputs as an 8-bit file stores them: linf changes cut towards x0 to whole steps of 1 / grid, so no bound breaks.

    An l2 attack spreads over many numbers changes smaller than a step; it stays as it is, and is saved without loss.

    Example:
        >>> x0 = torch.tensor([[100 / 255]])
        >>> (on_grid(x0, x0 + 3.9 / 255, Threat("linf", 4 / 255, 0.0, 1.0), 255) * 255).round(decimals=3)
        tensor([[103.]])
    """
    if not grid or threat.norm != "linf":
        return x
    change = (x.double() - x0.double()) * grid
    whole = torch.trunc(change + 1e-4 * change.sign())  # a step that float32 holds as .99999 is a step
    return (((x0.double() * grid).round() + whole) / grid).to(x.dtype)


def save_inputs(path: Path, x: Tensor, facts: dict[str, Any]) -> None:
    """Write attacked inputs as safetensors, losslessly, with what they are."""
    with atomic(path) as partial:
        partial.write_bytes(save({"x": x.contiguous()}, {k: str(v) for k, v in facts.items()}))


def load_inputs(path: Path) -> Tensor:
    """Read what ``save_inputs`` wrote.

    Raises:
        ModalignError: missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("x")
    except (OSError, SafetensorError) as problem:
        raise ModalignError(f"attacked inputs cannot be read: {path} ({problem})") from None
