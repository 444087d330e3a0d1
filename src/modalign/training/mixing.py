"""Transforms of a batch for training: latent mixing and feature augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Views, connected_groups


def mix(x: Views, alpha: float = 1.0, unpaired: bool = True, generator: torch.Generator | None = None) -> Views:
    """FuseMix: mix each group with another one, by the same share and the same partner in every modality.

    x'_g = l x_g + (1 - l) x_h, l ~ Beta(alpha, alpha) drawn once per batch, h a random other group that has the same
    modalities; mixtures of pairs are pairs. Shapes and group ids stay: the mixture carries the id of g. Where h has
    fewer items of a modality than g they are used in turn. Where links stand in for equal groups, items that links
    connect are mixed as one group, so that mixtures of positives stay positives.

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
    tied = Views(x.data, connected_groups(x))
    ids, partner = _partners(tied, unpaired, generator)
    return x.map(lambda m, rows: share * rows + (1 - share) * rows[_partner_rows(tied.group[m], ids, partner)])


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
