"""Heads by gradient descent on any objective, from random or closed-form starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import ModalignError
from ..model import Heads
from ..model.heads import FeatureMap, Head, Projection
from ..objectives.base import Objective
from ..parameters import Count, Dim, Fraction, Number, Positive, Seed, Share, Units, Weight
from ..progress import Progress, silent
from ..registry import make, register
from ..training.checkpoint import mark
from ..training.loop import train
from ..training.settings import TrainingSettings
from ..views import Views
from .base import at_least_two, on_cpu
from .local_scaling import without_hubs


class Maps(nn.Module):
    """The trained backs of heads: views of coordinates -> views of unit rows."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.modalities = heads.modalities
        self.list = nn.ModuleList(heads[m].map for m in heads.modalities)

    def forward(self, x: Views) -> Views:
        return x.map(lambda m, rows: self.list[self.modalities.index(m)](rows))


@register("method", "gradient")
class Gradient:
    """Heads trained by gradient descent on any objective.

    The front of the heads is frozen, so its output is computed once where it takes less than 128 MiB; else for each
    batch, so that memory-mapped rows may be more than memory holds. The maps behind it are trained (``train``).
    On dev the result is never worse than the start: the best weights are kept, the first ones included.

    Args:
        objective: table with the name and settings of an objective, or its bare name.
        start: "random": standardised features and random maps; or the name, or a table of name and settings, of a
            method whose heads are the start.
        dim: of the shared space; a closed-form start may give fewer.
        hidden: units of a residual two-layer perceptron beside the linear map; 0: linear heads.
        dropout: on its hidden units.
        hubs: put `LocalScaling` behind the trained heads, as "full" may. target: as in "cca".
        steps, batch, unpaired, lr, optimiser, weight_decay, warmup, clip: as in ``training.TrainingSettings``.
        mixing, noise, drop, every, checkpoints, patience: likewise.
        precision, seed, mini_batch, workers, sharded: likewise.

    Use when: an objective of your own, or any of `modalign.objectives`, is to be trained on frozen features.
    Related: "full", which chooses start, objective and settings; `modalign.training.finetune`, which trains the
        encoders as well.
    """

    def __init__(
        self,
        objective: str | dict[str, Any] = "clip",
        start: str | dict[str, Any] = "cca",
        dim: Dim = 256,
        hidden: Units = 0,
        dropout: Share = 0.0,
        steps: Number = 300,
        batch: Count = 256,
        unpaired: Share = 0.0,
        lr: Positive = 1e-3,
        optimiser: str = "adamw",
        weight_decay: Weight = 0.01,
        warmup: Fraction = 0.1,
        clip: Weight = 1.0,
        mixing: Weight = 0.0,
        noise: Weight = 0.0,
        drop: Share = 0.0,
        every: Count = 25,
        checkpoints: bool = True,
        patience: Number = 6,
        precision: str = "auto",
        hubs: bool = False,
        target: str | None = None,
        seed: Seed = 0,
        mini_batch: Number = 0,
        workers: Number = 0,
        sharded: bool = False,
    ) -> None:
        self.objective, self.start, self.dim, self.hidden, self.dropout = objective, start, dim, hidden, dropout
        self.hubs, self.target = hubs, target
        self.training = TrainingSettings(
            steps=steps, batch=batch, unpaired=unpaired, lr=lr, optimiser=optimiser, weight_decay=weight_decay,
            warmup=warmup, clip=clip,
            mixing=mixing, noise=noise, drop=drop, every=every, checkpoints=checkpoints, patience=patience,
            precision=precision, seed=seed, mini_batch=mini_batch, workers=workers, sharded=sharded,
        )  # fmt: skip
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """Start, then train."""
        x, dev = on_cpu(x), on_cpu(dev)
        x.validate()
        if self.target is not None:
            x[self.target]  # refuses a name that is no modality
        heads = self.begin(x, dev)
        heads = self.descend(heads, x, dev, run, progress)
        return without_hubs(heads, x, seed=self.training.seed, target=self.target) if self.hubs else heads

    def begin(self, x: Views, dev: Views | None) -> Heads:
        """The heads to start from."""
        name, settings = part(self.start, "start")
        torch_seed = torch.Generator().manual_seed(self.training.seed)
        if name == "random":
            return random_heads(x, self.dim, self.hidden, self.dropout, torch_seed)
        method = make("method", name, **{"dim": self.dim, **settings})
        heads = method.fit(x, dev)
        self.record["start"] = method.record
        return with_residual(heads, self.hidden, self.dropout, torch_seed) if self.hidden else heads

    def descend(self, heads: Heads, x: Views, dev: Views | None, run: Path | None, progress: Progress) -> Heads:
        """Train the maps of these heads, in place."""
        name, settings = part(self.objective, "objective")
        objective: Objective = make("objective", name, **settings)
        known = None if dev is None else dev.only(*[m for m in dev.modalities if m in heads.modalities])
        trained: nn.Module = heads
        inputs = x
        if sum(4 * len(rows) * heads[m].features.out for m, rows in x.data.items()) <= HELD:
            trained, inputs = Maps(heads), coordinates(heads, x)
            known = None if known is None else coordinates(heads, known)
        with threads_for(heads, self.training.batch):
            made_of = [self.objective, self.start, self.hidden, self.dropout, run and mark("dev", dev)]
            end = train(trained, objective, inputs, self.training, known, run, x, progress, made_of=made_of)
        self.record["training"] = {"steps": end.step, "best_step": end.best_step}
        if dev is not None:
            self.record["training"]["dev"] = end.best
            if end.best_step == 0:
                start, settings = part(self.start, "start")
                self.record["took_part"] = {"name": start, **settings}
        return heads.eval()


#: Bytes of coordinates that are computed once and held; more of them are computed anew for each batch.
HELD = 1 << 27
#: Multiply-adds of a step, forward, below which one thread is faster than several that wait for each other.
SMALL_STEP = 5e8


@contextmanager
def threads_for(heads: nn.Module, batch: int) -> Iterator[None]:
    """One thread while small heads are trained, and the number from before afterwards."""
    before = torch.get_num_threads()
    work = batch * sum(p.numel() for p in heads.parameters())
    torch.set_num_threads(1 if work < SMALL_STEP else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def part(table: str | Mapping[str, Any], what: str) -> tuple[str, dict[str, Any]]:
    """Name and settings of a bare name or of a table with a name."""
    if isinstance(table, str):
        return table, {}
    settings = dict(table)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise ModalignError(f'{what} needs a name, for example {{name = "clip"}}, got {dict(table)}')
    return name, settings


@torch.no_grad()
def coordinates(heads: Heads, x: Views) -> Views:
    """What the maps of the heads see of x."""
    return x.map(lambda m, rows: torch.cat([heads[m].features(part) for part in rows.split(2048)]))


def random_heads(x: Views, dim: int, hidden: int, dropout: float, generator: torch.Generator) -> Heads:
    """Heads on standardised features (each feature centred, all scaled to mean square norm 1) with random maps."""
    at_least_two(x)
    heads = {}
    for m, rows in x.data.items():
        rows = rows.float()
        width = rows.shape[1]
        features = FeatureMap(width, rank=width)
        mean, spread = _moments(rows)
        features.mean.copy_(mean)
        live = spread > 1e-7 * mean.abs()  # more than the rounding of single precision
        if not live.any():
            raise ModalignError(f"'{m}' with {len(rows)} rows: all of them are equal: there is no variance to align")
        live &= spread > 1e-6 * spread[live].median()  # a feature that is constant here says nothing: weight 0
        scale = torch.where(live, spread, torch.inf).reciprocal() / width**0.5
        features.basis.copy_(torch.diag(scale))  # type: ignore[union-attr]
        heads[m] = Head(features, random_map(width, dim, hidden, dropout, generator))
    return Heads(heads)


def _moments(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(d,) means and standard deviations, of sums in float64: in single ones a far mean costs all digits."""
    mean = torch.stack([part.sum(0, dtype=torch.float64) for part in rows.split(2048)]).sum(0) / len(rows)
    away = torch.stack([(part.double() - mean).square().sum(0) for part in rows.split(2048)]).sum(0)
    return mean, (away / (len(rows) - 1)).sqrt()


def random_map(width: int, dim: int, hidden: int, dropout: float, generator: torch.Generator) -> Projection:
    """A map with its random weights drawn from a generator."""
    with torch.random.fork_rng(devices=[]):  # what is not drawn below, such as the biases of a perceptron
        torch.manual_seed(generator.initial_seed())
        back = Projection(width, dim, hidden, dropout)
    with torch.no_grad():
        for name, p in back.named_parameters():
            if p.ndim == 2 and not (name.startswith("residual") and p.abs().sum() == 0):
                p.copy_(torch.randn(p.shape, generator=generator) / width**0.5)
    return back


def with_residual(heads: Heads, hidden: int, dropout: float, generator: torch.Generator) -> Heads:
    """The same heads with a perceptron beside their linear maps that adds nothing yet."""
    out = {}
    for m in heads.modalities:
        old = heads[m].map
        back = random_map(old.width, old.dim, hidden, dropout, generator)
        with torch.no_grad():
            back.weight.copy_(old.weight)
            back.bias.copy_(old.bias)
        out[m] = Head(heads[m].features, back)
    return Heads(out)
