"""Perceptual hashes of pictures, and all pairs that are close, without comparing all with all."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..errors import ModalignError
from . import media

GRID = 8
MOST = 1_000_000  # pairs
COLOUR = 12.0  # root mean square of 8 x 8 colours out of 255: re-encoding and resizing stay below 6


def picture_hash(uri: str) -> np.ndarray | None:
    """What a picture looks like, in little: 64 bits and 8 x 8 colours, of what encoders see (drawings, transparency).

    The bits are the signs of the differences of neighbouring brightnesses in a 9 x 8 picture (a difference hash).

    Returns:
        (8 + 192,) uint8: the bits, packed, then the colours; None where the file cannot be decoded.
    """
    from PIL import Image

    try:
        upright = media.load_image(uri, 64)
    except ModalignError:
        return None
    grey = np.asarray(upright.convert("L").resize((GRID + 1, GRID), Image.Resampling.BOX), dtype=np.int16)
    colours = np.asarray(upright.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.uint8)
    return np.concatenate([np.packbits(grey[:, 1:] > grey[:, :-1]), colours.reshape(-1)])


def near_pairs(hashes: np.ndarray, bits: int) -> list[tuple[int, int]]:
    """All pairs i < j whose bits differ in at most ``bits`` places and whose colours are close.

    With bits + 1 bands of the 64 bits, two hashes that differ in at most ``bits`` places agree in one whole band
    (pigeonholes): only those are compared, so that the work grows far slower than the square of their number.

    Args:
        hashes: (n, 200) uint8 of ``picture_hash``. bits: 0 to 7.

    Returns:
        Sorted pairs; ``MOST`` of them at least where pictures by the thousand are all the same.

    Example:
        >>> x = np.zeros((3, 200), np.uint8); x[1, 0] = 1; x[2, 8:] = 255
        >>> near_pairs(x, 4)
        [(0, 1)]
    """
    signs = np.unpackbits(hashes[:, :GRID], axis=1)
    words = np.ascontiguousarray(hashes[:, :GRID]).view(np.uint64)[:, 0]
    colours = hashes[:, GRID:].astype(np.float32)
    found: set[tuple[int, int]] = set()
    for band in np.array_split(np.arange(64), bits + 1):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for i, key in enumerate(np.packbits(signs[:, band], axis=1)):
            buckets[key.tobytes()].append(i)
        for members in buckets.values():
            several = np.asarray(members)
            for place, i in enumerate(members[:-1]):
                others = several[place + 1 :]
                others = others[np.bitwise_count(words[others] ^ words[i]) <= bits]
                tint = np.sqrt(((colours[others] - colours[i]) ** 2).mean(1))
                found.update((i, int(j)) for j in others[tint <= COLOUR])
                if len(found) >= MOST:
                    return sorted(found)
    return sorted(found)
