"""A shuffled order that is computed place by place, for passes too long to be written down."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

ROUNDS = 6


def keyed(places: Tensor, count: int, key: int) -> Tensor:
    """What stands at some places of a shuffled 0 .. count - 1; nothing as long as ``count`` is held.

    A number x is a row and a column of a table, x = column + width row with width about sqrt(count). In turn the
    columns are moved by a hash of their row and the rows by a hash of their column, modulo the sides of the table (a
    Feistel network): each turn can be undone, so that all of them are a permutation. Numbers beyond ``count``, of which
    there are fewer than ``width``, go round again.

    Args:
        places: (p,) integers in [0, count). count: how many are shuffled, at least 1.
        key: says which of the permutations.

    Returns:
        (p,) int64 in [0, count).

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.

    Example:
        >>> sorted(keyed(torch.arange(7), 7, key=1).tolist())
        [0, 1, 2, 3, 4, 5, 6]
        >>> keyed(torch.tensor([3]), 10**12, key=1).equal(keyed(torch.arange(5), 10**12, key=1)[3:4])
        True
    """
    width = math.isqrt(count - 1) + 1
    sides = (np.uint64(width), np.uint64(-(-count // width)))
    keys = _mixed(np.arange(1, ROUNDS + 1, dtype=np.uint64), np.uint64(key % (1 << 64)))
    found = _turned(places.numpy().astype(np.uint64), sides, keys)
    while (beyond := found >= count).any():
        found[beyond] = _turned(found[beyond], sides, keys)
    return torch.from_numpy(found.astype(np.int64))


def _turned(x: np.ndarray, sides: tuple[np.uint64, np.uint64], keys: np.ndarray) -> np.ndarray:
    """The permutation of all places of the table."""
    parts = [x % sides[0], x // sides[0]]
    for turn, key in enumerate(keys):
        moved = turn % 2
        parts[moved] = (parts[moved] + _mixed(parts[1 - moved], key)) % sides[moved]
    found: np.ndarray = parts[0] + sides[0] * parts[1]
    return found


def _mixed(x: np.ndarray, key: np.uint64) -> np.ndarray:
    """A hash of each number, in [0, 2^63): the finaliser of SplitMix64."""
    x = (x ^ key) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = (x ^ (x >> np.uint64(31))) >> np.uint64(1)
    return mixed
