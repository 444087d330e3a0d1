"""Products in bfloat16, on processors with units for them: a sixth of the time of float32, with a proven error."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

FEWEST, LEAST = 1024, 1 << 30  # queries, and multiplications, from which on turning the operands into it is worth it
GALLERY = 1 << 14  # rows of a gallery whose scores are held at a time: they stay near the processor
UNSURE = 0.25  # share of the first queries that are not sure, from which on the others are not asked so
ROUNDED = 2.0**-8  # of a score, at most, when it is written: twice the rounding to the nearest
PART = 4096  # rows whose rounding is measured at a time
PROBE = (512, 1024, 256)  # rows, columns and width of the products that are timed once


@cache
def quick() -> bool:
    """Whether this processor multiplies bfloat16 in units of their own (Intel's AMX), more quickly than float32."""
    known = getattr(torch.cpu, "get_capabilities", None)  # newer than the oldest torch that will do
    if known is None or not known().get("amx_bf16"):
        return False
    rows, columns, width = PROBE  # it may be there and not be granted, and is then slower than float32
    x, y = torch.ones(rows, width), torch.ones(columns, width)
    x16, y16 = x.bfloat16(), y.bfloat16()
    return _seconds(lambda: x16 @ y16.T) < 0.7 * _seconds(lambda: x @ y.T)


def suits(queries: int, y: Tensor) -> bool:
    """Whether products of so many rows with the rows of y are worth it."""
    return y.device.type == "cpu" and queries >= FEWEST and queries * y.numel() >= LEAST and quick()


def spare(k: int) -> int:
    """Candidates beyond k, to make it unlikely that rounding hides a neighbour: among more of them more are near."""
    return 10 + k // 2


def operands(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Rows in bfloat16, and what the sums of products of each row miss at most, (n,) and (m,), before they are rounded.

    |<x, y> - <x', y'>| <= |x - x'| |y| + |x'| |y - y'|, and (d + 8) u |x'| |y'| for the sum, u = 2^-24, whose terms are
    exact in float32; numbers below 2^-126 count as zeros.
    Reference: Higham 2002, "Accuracy and Stability of Numerical Algorithms", equation 3.5.

    Args:
        x: (n, d), y: (m, d) float32.

    Example:
        >>> x, y, errors = operands(torch.tensor([[1.0, 0.0], [1.01, 0.0]]), torch.eye(2))
        >>> x.tolist(), [f"{e:.4f}" for e in errors[0]]
        ([[1.0, 0.0], [1.0078125, 0.0]], ['0.0000', '0.0022'])
    """
    x16, y16 = x.bfloat16(), x.bfloat16() if y is x else y.bfloat16()
    off = [_missed(x, x16), _missed(y, y16)]
    size = [_longer(v) + e for v, e in zip((x, y), off, strict=True)]
    summed, tiny = (x.shape[1] + 8) * 2.0**-24, x.shape[1] * 2.0**-120
    there, back = (
        off[i] * size[j].max() + size[i] * (off[j].max() + summed * size[j].max()) + tiny for i, j in ((0, 1), (1, 0))
    )
    return x16, y16, (there, back)


def bits(scores: Tensor) -> Tensor:
    """The 16 bits of float32 numbers that bfloat16 keeps, rounded down, as integers in the order of the numbers.

    Example:
        >>> bits(torch.tensor([-1.0, 0.0, 1.0, 1.001])).tolist()
        [-16257, 0, 16256, 16256]
    """
    return (in_order(scores.view(torch.int32).clone()) >> 16).short()


def in_order(table: Any) -> Any:
    """The bits of floating point numbers, signed integers of an array or tensor, put in the order of the numbers.

    In their place: of negative numbers all bits but the sign turn. A second call turns them back.

    Example:
        >>> in_order(torch.tensor([-1.0, -2.0, 3.0]).view(torch.int32)).argsort().tolist()
        [1, 0, 2]
    """
    sign = 8 * table.dtype.itemsize - 1
    table ^= (table >> sign) & ((1 << sign) - 1)
    return table


def _missed(rows: Tensor, short: Tensor) -> Tensor:
    """(n,) lengths of what rounding took, in parts: whole differences would take twice the memory of the rows."""
    parts = zip(rows.split(PART), short.split(PART), strict=True)
    return torch.cat([_longer(a - b.float()) for a, b in parts])


def _longer(rows: Tensor) -> Tensor:
    """(n,) float64, a little more than the length of each row, whatever its rounding."""
    return 1.001 * torch.linalg.vector_norm(rows, dim=1).double()


def _seconds(product: Callable[[], Tensor]) -> float:
    taken = []
    for _ in range(6):  # the first call makes what the others use, and some may be disturbed
        start = time.perf_counter()
        product()
        taken.append(time.perf_counter() - start)
    return min(taken)
