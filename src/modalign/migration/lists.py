"""Nearest lists of a store and how much of them another space keeps: overlap and nDCG."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..geometry.neighbours import knn

K = 10  # length of a list
Measure = Literal["cosine", "dot", "l2"]


def nearest(queries: Tensor, store: Tensor, k: int, measure: Measure = "cosine", own: Tensor | None = None) -> Tensor:
    """(q, k) int64, the k nearest rows of a store to each query, nearest first; of equally near rows the first one.

    Near is by cosine <q, x> / (|q| |x|), dot <q, x> or l2 -|q - x|^2. Stores hold the same text many times: with ties
    in any order, two models that agree would seem not to.

    Args:
        queries: (q, d). store: (n, d). k: at most n are found.
        own: (q,) row of each query in the store, which is not its neighbour; -1: none.

    Example:
        >>> nearest(torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 4.0]]), 2).tolist()
        [[0, 2], [1, 2]]
    """
    metric = "euclidean" if measure == "l2" else measure
    found = knn(queries, store, k + (own is not None), metric=metric)[1]
    if own is None:
        return found
    mine = found == own[:, None]
    mine[:, -1] |= ~mine.any(1)  # one row goes from each list: the query itself, else the last
    return found[~mine].view(len(found), -1)


def own_length(k: int, held: int) -> int:
    """Length of lists among the held-out links: k, but a quarter of the others at most.

    Longer lists agree whatever the models: all ten others of eleven links are everybody's top ten. Chance keeps
    k / (held - 1) of a list.

    Example:
        >>> [own_length(10, held) for held in (2, 11, 41, 500)]
        [1, 2, 10, 10]
    """
    return max(1, min(k, (held - 1) // 4))


def first_equal(rows: Tensor) -> Tensor:
    """(n,) the first row that equals each of the rows (n, d); itself, where none before it does.

    Example:
        >>> first_equal(torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])).tolist()
        [0, 1, 0]
    """
    seen: dict[bytes, int] = {}
    return torch.tensor([seen.setdefault(row.tobytes(), i) for i, row in enumerate((rows + 0.0).numpy())])


def as_one(lists: Tensor, first: Tensor) -> Tensor:
    """Lists (q, k) in which copies of a row are interchangeable: the j-th copy of one list equals the j-th of another.

    A store holds some texts many times, and which of the copies a list shows is chance.

    Args:
        first: (n,) see ``first_equal``.

    Example:
        >>> first = torch.tensor([0, 1, 0])
        >>> overlap(as_one(torch.tensor([[0, 1]]), first), as_one(torch.tensor([[2, 1]]), first)).tolist()
        [1.0]
    """
    row = first[lists]
    copy = (row[:, :, None] == row[:, None, :]).tril(-1).sum(2)
    return row * lists.shape[1] + copy


def overlap(found: Tensor, truth: Tensor) -> Tensor:
    """(q,) share of the true list that was found, whatever the order.

    Example:
        >>> overlap(torch.tensor([[1, 2]]), torch.tensor([[2, 3]])).tolist()
        [0.5]
    """
    return (found[:, :, None] == truth[:, None, :]).any(1).float().mean(1)


def ndcg(found: Tensor, truth: Tensor) -> Tensor:
    """(q,) nDCG of the found lists; the true list's first item is worth k, the next k - 1, the last 1.

    DCG = sum_r gain(found_r) / log2(r + 1), divided by that of the true list.

    Reference: Järvelin & Kekäläinen 2002.

    Example:
        >>> ndcg(torch.tensor([[5, 6], [6, 5]]), torch.tensor([[5, 6], [5, 6]])).round(decimals=3).tolist()
        [1.0, 0.86]
    """
    k = truth.shape[1]
    gains = torch.arange(k, 0, -1, dtype=torch.float32)
    gain = ((found[:, :, None] == truth[:, None, :]).float() * gains).sum(2)
    discount = 1.0 / torch.log2(torch.arange(2, found.shape[1] + 2, dtype=torch.float32))
    best = (gains * (1.0 / torch.log2(torch.arange(2, k + 2, dtype=torch.float32)))).sum()
    return (gain * discount).sum(1) / best


def as_tensor(x: np.ndarray) -> Tensor:
    """A float32 tensor of rows that may lie in a read-only map."""
    return torch.from_numpy(np.require(x, np.float32, ["C", "W"]))
