"""Fine-tuning: encoders and heads together, by the training loop and the objectives that train heads alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModalignError
from ..features.encoders.base import plan
from ..features.encoders.tuning import Tunable
from ..model import Heads
from ..model.heads import Projection
from ..objectives.base import Objective
from ..progress import Progress, silent
from ..views import Views
from .loop import Position, train
from .settings import TrainingSettings
from .stream import Stream

CHUNK = 64
"""Rows that go through an encoder at a time where no gradient is needed."""


class Together(nn.Module):
    """Encoders and heads as one module: views of raw rows -> views of unit rows.

    Args:
        heads: of all modalities; their fronts are frozen, their maps are trained.
        nets: modality -> raw rows to features; the other modalities come as features.
        share: of the learning rate for the encoders, which start from weights that are good already.
    """

    def __init__(self, heads: Heads, nets: Mapping[str, nn.Module], share: float = 0.1) -> None:
        super().__init__()
        self.heads, self.share = heads, share
        self.names = tuple(nets)
        self.nets = nn.ModuleList(nets.values())

    def slow(self) -> tuple[list[nn.Parameter], float]:
        """The parameters that learn at a share of the rate."""
        return [p for p in self.nets.parameters() if p.requires_grad], self.share

    def train(self, mode: bool = True) -> Together:
        """Heads train; encoders stay in evaluation mode: batch norms keep their statistics, nothing is dropped out."""
        super().train(mode)
        self.nets.eval()
        return self

    def features(self, rows: Tensor, modality: str) -> Tensor:
        """Raw rows of one modality as features."""
        if modality not in self.names:
            return rows
        if not len(rows):
            return torch.zeros(0, self.heads[modality].features.width)
        net = self.nets[self.names.index(modality)]
        if torch.is_grad_enabled():
            return net(rows).float()
        return torch.cat([net(part).float() for part in rows.split(CHUNK)])

    def forward(self, x: Views) -> Views:
        return x.map(lambda m, rows: self.heads[m](self.features(rows, m)))


def finetune(
    heads: Heads,
    nets: Mapping[str, nn.Module],
    objective: Objective,
    x: Views,
    settings: TrainingSettings | None = None,
    dev: Views | None = None,
    seen: Views | None = None,
    share: float = 0.1,
    run: Path | None = None,
    progress: Progress = silent,
    stream: Stream | None = None,
) -> Position:
    """Train encoders and heads together, in place: min over both of objective(heads(nets(x))).

    This is ``train`` with the encoders inside: the same objectives, batches, early stopping on dev and resuming.
    With no nets, the heads alone are trained, which is what to compare with.

    Args:
        heads: to start from, of a method whose heads keep no training items ("cca", "gradient", "clip", ...).
        nets: modality -> ``Tunable.net``; trained are the parameters that require gradients.
        objective: any.
        x, dev: training and dev views; raw rows (``raw``) of the modalities with a net, features of the others.
        settings: as for heads alone. seen: the training views as frozen features, for objectives with teachers.
        share: of the learning rate for the encoders, in (0, 1].
        stream: of raw rows that are read batch by batch: x then holds their places.

    Raises:
        ModalignError: heads that keep training items, which would stay as the frozen encoder saw them; settings that
            mix or blur rows that are no numbers to calculate with (token ids, pixels).
    """
    s = settings or TrainingSettings()
    if not 0.0 < share <= 1.0:
        raise ModalignError(f"share must lie in (0, 1], got {share}")
    for m in heads.modalities:
        front = heads[m].features
        if front.bank is not None or front.anchors is not None or heads[m].hubs is not None:
            raise ModalignError(
                f"the head of '{m}' keeps training items as the frozen encoder saw them: fine-tune from heads of "
                "'cca', 'clip' or 'gradient'"
            )
    whole = [m for m in nets if not x[m].is_floating_point()]
    if whole and (s.mixing or s.noise or s.drop):
        raise ModalignError(
            f"mixing, noise and drop need numbers, and '{whole[0]}' holds tokens or pixels: set them to 0"
        )
    for m in heads.modalities:
        heads[m].features.requires_grad_(False)
    return train(Together(heads, nets, share), objective, x, s, dev, run, seen, progress, stream)


def fresh(heads: Heads, seed: int = 0) -> Heads:
    """Heads of the same form that have learnt nothing: the fronts stay, the maps start at random again.

    Heads that fit the training pairs leave an encoder nothing to learn but to overfit; with new heads it learns from
    the first step.

    Args:
        heads: of all modalities; not changed. seed: of the random maps.

    Example:
        >>> from modalign.model.heads import FeatureMap, Head, Projection
        >>> old = Heads({"a": Head(FeatureMap(3), Projection(3, 2))})
        >>> new = fresh(old, seed=1)
        >>> bool((new["a"].map.weight == old["a"].map.weight).any())
        False
    """
    new = copy.deepcopy(heads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for m in new.modalities:
            new[m].map = Projection(new[m].map.width, **new[m].map.settings)
    return new


def raw_inputs(encoder: Any, tunable: Tunable, items: Sequence[Any]) -> Tensor:
    """Items as rows that the net takes, in their order: decoded, and through the frozen part once. Held in memory.

    Rows of token ids are padded with -1 to one length.

    Raises:
        ModalignError: an item is broken.
    """
    parts: list[Tensor] = []
    order: list[int] = []
    for places in plan(encoder, items):
        with torch.no_grad():
            parts.append(tunable.front(encoder.collate([items[i] for i in places])))
        order += places
    if not parts:
        raise ModalignError(f"there are no items of '{encoder.modality}' to train on")
    if parts[0].ndim == 2:
        longest = max(p.shape[1] for p in parts)
        parts = [nn.functional.pad(p, (0, longest - p.shape[1]), value=-1) for p in parts]
    rows = torch.cat(parts)
    return torch.empty_like(rows).index_copy_(0, torch.tensor(order), rows)
