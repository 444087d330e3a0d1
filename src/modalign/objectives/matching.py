"""Data-anchor matching: a classifier that tells own tuples from hard wrong ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax

from ..geometry.cost import working
from .tuples import AnchoredTuples


class Matching(nn.Module):
    """Data-anchor matching: does this anchor belong to this tuple? Two-way cross-entropy, hard negatives both ways.

    Args:
        dim: width of the shared space.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU(), nn.Linear(dim, 2))

    def forward(self, tuples: AnchoredTuples, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Mean loss over own pairs, a hard tuple for each anchor and a hard anchor for each tuple."""
        rows, columns = tuples.own()
        wrong_column = hard_negatives(logits, tuples.positives, generator)[rows]
        wrong_row = hard_negatives(logits.mT, tuples.positives.mT, generator)[columns]
        left = torch.cat([rows, rows[wrong_column >= 0], wrong_row[wrong_row >= 0]])
        right = torch.cat([columns, wrong_column[wrong_column >= 0], columns[wrong_row >= 0]])
        label = (torch.arange(len(left), device=left.device) < len(rows)).long()
        return cross_entropy(self.layers(self.features(tuples, left, right)), label)

    def features(self, tuples: AnchoredTuples, left: Tensor, right: Tensor) -> Tensor:
        """(p, 2d): what the classifier sees of anchors ``left`` and tuples ``right``."""
        anchor, others = working(tuples.anchor[left], tuples.others[right])
        there = tuples.present[right][..., None]
        mean = (others * there).sum(1) / there.sum(1)
        return torch.cat([anchor * mean, (anchor - mean).square()], 1)


def hard_negatives(logits: Tensor, positives: Tensor, generator: torch.Generator) -> Tensor:
    """One wrong column per row, drawn with probability softmax(logits) + 1e-4 over wrong columns; -1 if there is none.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> hard_negatives(torch.zeros(2, 2), torch.eye(2, dtype=torch.bool), g).tolist()
        [1, 0]
    """
    odds = (softmax(logits.float(), 1) + 1e-4).masked_fill(positives, 0.0)
    possible = odds.sum(1) > 0
    odds = torch.where(possible[:, None], odds, 1.0).cpu()  # a CPU generator draws the same on every device
    drawn = torch.multinomial(odds, 1, generator=generator).squeeze(1).to(logits.device)
    return torch.where(possible, drawn, -1)
