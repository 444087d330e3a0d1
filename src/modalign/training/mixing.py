"""Transforms and samplers for training: latent mixing, feature augmentation, hard negatives."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError
from ..geometry.neighbours import knn
from ..views import Views


def mix(x: Views, alpha: float = 1.0, unpaired: bool = True, generator: torch.Generator | None = None) -> Views:
    """FuseMix: mix each group with another one, by the same share and the same partner in every modality.

    x'_g = l x_g + (1 - l) x_h, l ~ Beta(alpha, alpha) drawn once per batch, h a random other group that has the same
    modalities; mixtures of pairs are pairs. Shapes and group ids stay: the mixture carries the id of g. Where h has
    fewer items of a modality than g they are used in turn.

    Args:
        x: features, floating. Applied to the heads' raw inputs, before the heads.
        alpha: of the Beta distribution, > 0; published 1 (uniform).
        unpaired: mix groups of one modality among themselves, too; False leaves them as they are.
        generator: source of randomness, on the CPU.

    Returns:
        Views of the same shapes.

    Raises:
        ModalignError: alpha is not positive; data that are not floating.

    Reference: Vouitsis et al. (2023), arXiv 2312.10144, section 4.2.

    Example:
        >>> x = Views.from_arrays(text=torch.eye(2), image=2 * torch.eye(2))
        >>> mixed = mix(x, generator=torch.Generator().manual_seed(0))
        >>> bool(torch.allclose(mixed["image"], 2 * mixed["text"]))
        True
    """
    if not alpha > 0:
        raise ModalignError(f"alpha is {alpha}: it must be positive")
    for m, rows in x.data.items():
        if not rows.is_floating_point():
            raise ModalignError(f"only features can be mixed, '{m}' holds {rows.dtype}")
    share = _beta(alpha, generator)
    ids, partner = _partners(x, unpaired, generator)
    return x.map(lambda m, rows: share * rows + (1 - share) * rows[_partner_rows(x.group[m], ids, partner)])


def _beta(alpha: float, generator: torch.Generator | None) -> float:
    """One draw of Beta(alpha, alpha), seeded by the torch generator."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))


def _partners(x: Views, unpaired: bool, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Sorted group ids and the id each is mixed with: another group with the same modalities, or itself."""
    ids = x.group_ids()
    has = torch.stack([torch.isin(ids, g.long()) for g in x.group.values()], 1)
    pattern = (has.long() * 2 ** torch.arange(has.shape[1], device=ids.device)).sum(1)
    partner = ids.clone()
    for kind in pattern.unique().tolist():
        rows = (pattern == kind).nonzero().flatten()
        if len(rows) < 2 or (not unpaired and int(kind).bit_count() < 2):
            continue
        order = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
        partner[order] = ids[order.roll(1)]  # along one random cycle, so nobody is mixed with itself
    return ids, partner


def _partner_rows(group: Tensor, ids: Tensor, partner: Tensor) -> Tensor:
    """For each item, a row of the partner group in the same modality: the item's rank in its group, in turn."""
    group = group.long()
    order = torch.argsort(group, stable=True)
    position = torch.searchsorted(ids, group)
    count = torch.bincount(position, minlength=len(ids))
    start = torch.cumsum(count, 0) - count
    rank = torch.empty_like(group)
    rank[order] = torch.arange(len(group), device=group.device) - start[position[order]]
    other = torch.searchsorted(ids, partner[position])
    return order[start[other] + rank % count[other]]


def augment(x: Views, noise: float = 0.1, drop: float = 0.1, generator: torch.Generator | None = None) -> Views:
    """Second views of features, by dropped coordinates and Gaussian noise, for objectives that need augmentation.

    x' = mask x / (1 - drop) + noise sd(x) n, n standard normal, sd per coordinate over the batch.

    Args:
        x: features, floating.
        noise: in standard deviations of each coordinate, >= 0.
        drop: share of coordinates set to 0, in [0, 1).
        generator: source of randomness, on the CPU.

    Returns:
        Views of the same items.

    Raises:
        ModalignError: noise or drop out of range.

    Example:
        >>> x = Views.from_arrays(text=torch.ones(2, 3))
        >>> augment(x, noise=0.0, drop=0.0)["text"].equal(x["text"])
        True
    """
    if noise < 0 or not 0 <= drop < 1:
        raise ModalignError(f"noise={noise} must be at least 0 and drop={drop} in [0, 1)")

    def change(_: str, rows: Tensor) -> Tensor:
        keep = (torch.rand(rows.shape, generator=generator) >= drop).to(rows)
        spread = rows.std(0) if len(rows) > 1 else torch.zeros_like(rows[:1]).sum(0)
        jitter = torch.randn(rows.shape, generator=generator).to(rows)
        return keep * rows / (1 - drop) + noise * spread * jitter

    return x.map(change)


def hardest(similarity: Tensor, positives: Tensor, k: int = 1) -> Tensor:
    """The k most similar columns of each row that are not its positives.

    Args:
        similarity: (n, m), higher is nearer.
        positives: (n, m) bool.
        k: how many, >= 1.

    Returns:
        (n, min(k, m)) column indices, hardest first; -1 where a row has fewer negatives.

    Raises:
        ModalignError: shapes differ, k < 1.

    Example:
        >>> hardest(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[True, False, False]]), k=2).tolist()
        [[1, 2]]
    """
    if similarity.shape != positives.shape or k < 1:
        raise ModalignError(
            f"hardest needs one mask per similarity and k >= 1, got {tuple(similarity.shape)}, "
            f"{tuple(positives.shape)} and k={k}"
        )
    values, columns = similarity.float().masked_fill(positives, -torch.inf).topk(min(k, similarity.shape[1]), 1)
    return torch.where(torch.isfinite(values), columns, -1)


class HardBatches:
    """Batches of groups that are easily confused: each batch is made of seeds and their nearest other groups.

    Neighbours are taken on given features of one modality (frozen, or current embeddings), one vector per group (the
    mean of its items). Every group appears once per epoch. Same seed and epoch, same batches.

    Args:
        x: features or embeddings.
        batch_size: groups per batch, >= 1; the last batch may be smaller.
        modality: whose features decide; default the first. Groups without it are spread at random.
        hardness: share of a batch that are neighbours of its seeds, in [0, 1]; 0: plain shuffling.
        neighbours: how many nearest groups of a seed are candidates.
        seed: of the shuffling.

    Raises:
        ModalignError: a setting is out of range.

    Example:
        >>> x = Views.from_arrays(text=torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]]))
        >>> sorted(sorted(b.tolist()) for b in HardBatches(x, batch_size=2, hardness=0.5, neighbours=1))
        [[0, 2], [1, 3]]
    """

    def __init__(
        self,
        x: Views,
        batch_size: int,
        modality: str | None = None,
        hardness: float = 0.5,
        neighbours: int = 20,
        seed: int = 0,
    ) -> None:
        if batch_size < 1 or not 0 <= hardness <= 1 or neighbours < 1:
            raise ModalignError(
                f"batch_size={batch_size} and neighbours={neighbours} must be at least 1, hardness={hardness} in [0, 1]"
            )
        self.batch_size, self.hardness, self.seed, self.epoch = batch_size, hardness, seed, 0
        name = modality or x.modalities[0]
        self.ids = x.group_ids().cpu()
        stack = x.only(name).stack([name], pick="mean")
        near = knn(stack.data[:, 0], None, neighbours, metric="cosine")[1].cpu()
        place = torch.searchsorted(self.ids, stack.group.cpu())
        self.near: dict[int, list[int]] = dict(zip(place.tolist(), place[near].tolist(), strict=True))

    def set_epoch(self, epoch: int) -> None:
        """Choose which shuffle comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.ids) / self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Group ids of each batch, (b,) int64."""
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
        seeds = iter(torch.randperm(len(self.ids), generator=generator).tolist())
        used: set[int] = set()
        while len(used) < len(self.ids):
            yield self.ids[torch.tensor(self._batch(seeds, used))]

    def _batch(self, seeds: Iterator[int], used: set[int]) -> list[int]:
        """The next batch: unused seeds, each followed by its share of unused neighbours, nearest first."""
        batch: list[int] = []
        hard = round(self.hardness * self.batch_size)
        each = math.ceil(hard / max(self.batch_size - hard, 1))
        while len(batch) < self.batch_size and (seed := next((g for g in seeds if g not in used), None)) is not None:
            free = [g for g in self.near.get(seed, []) if g not in used and g != seed]
            taken = [seed, *free[:each]][: self.batch_size - len(batch)]
            used.update(taken)
            batch += taken
        return batch
