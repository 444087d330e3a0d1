"""What links and values of views must be like."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError, few
from ..parameters import check_readable

BLOCK = 1 << 12  # rows that are looked at together
LEAST, MOST = 1e-12, 1e15  # lengths below the one are taken for zero; squares above the other leave float32


def check_link(link: Tensor, pair: tuple[str, str], lengths: tuple[int, int]) -> None:
    """Refuse links that are not (2, p) rows of two modalities of these lengths."""
    for side, (m, n) in enumerate(zip(pair, lengths, strict=True)):
        if link.ndim != 2 or link.shape[0] != 2:
            raise ModalignError(f"links of {pair} must have shape (2, p), got {tuple(link.shape)}")
        outside = link[side][(link[side] < 0) | (link[side] >= n)]
        if len(outside):
            raise ModalignError(f"links of {pair} name rows {few(outside.tolist())} of '{m}', which has {n} rows")


def check_values(x: Tensor, m: str, zero_rows: bool) -> None:
    """Refuse what `Views.validate` refuses, in one modality."""
    if x.ndim != 2 or x.shape[1] == 0:
        raise ModalignError(f"'{m}' must be a 2-D array (rows, features), got shape {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ModalignError(f"'{m}' must hold floating-point numbers, got {x.dtype}")
    check_readable(x, f"'{m}'")
    bad, empty, short, most = _looked_at(x)
    if len(bad):
        raise ModalignError(
            f"'{m}' has NaN or infinite values in {len(bad)} of {len(x)} rows ({few(bad.tolist())}): remove these rows"
        )
    if len(empty) and not zero_rows and x.shape[1] > 1:
        raise ModalignError(
            f"'{m}' has {len(empty)} all-zero rows of {len(x)} ({few(empty.tolist())}): "
            "a missing item is left out, not written as zeros; remove these rows"
        )
    if most > MOST or 0 < most < LEAST:
        raise ModalignError(
            f"'{m}' has numbers up to {most:.3g}, whose lengths are lost in float32: divide all of them by {most:.0e}"
        )
    if len(short) and not zero_rows and x.shape[1] > 1:
        raise ModalignError(
            f"'{m}' has {len(short)} rows of {len(x)} with all numbers below {LEAST:.0e} ({few(short.tolist())}), so "
            "that their direction is lost in float32: remove these rows, or scale them to the length of the others"
        )


def wanted_ids(ids: Tensor) -> Tensor:
    """Ids of groups as int64. Raises ModalignError for fractions, and for masks, which would name groups 0 and 1."""
    if ids.numel() and (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool):
        raise ModalignError(f"groups are named by whole numbers, their ids, got {ids.dtype} (a mask: x.select)")
    return ids.long()


def chosen_rows(m: str, want: Any, x: Tensor) -> Tensor:
    """Row numbers of ``x`` where its device is, of numbers or a mask; all rows for None.

    Raises:
        ModalignError: fractions, numbers of rows that there are not, or a mask of another length.
    """
    n = len(x)
    if want is None:
        return torch.arange(n, device=x.device)
    rows = torch.as_tensor(want, device=x.device).flatten()
    if rows.dtype == torch.bool:
        if len(rows) != n:
            raise ModalignError(f"the mask of '{m}' has {len(rows)} entries for {n} rows")
        return rows.nonzero().flatten()
    if not len(rows):
        return rows.long()
    if rows.is_floating_point() or rows.is_complex():
        raise ModalignError(f"rows of '{m}' must be whole numbers, got {rows.dtype}")
    least, most = (int(v) for v in torch.aminmax(rows))
    if least < 0 or most >= n:
        raise ModalignError(f"rows {least} to {most} of '{m}' were asked for, which has rows 0 to {n - 1}")
    return rows.long()


def _looked_at(x: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Rows that are not finite, zero, or nearly zero, and the largest absolute number of all, read in blocks.

    A memory-mapped array is never held. Nothing is kept of a block without such rows: what is small and stays would lie
    between the blocks, where C libraries then find no room for the next one.
    """
    found: tuple[list[Tensor], ...] = ([], [], [])
    most = 0.0
    for start in range(0, len(x), BLOCK):
        peak = x[start : start + BLOCK].abs().amax(1)
        most = max(most, float(peak.max()))
        kinds = ~torch.isfinite(peak), peak == 0, (peak > 0) & (peak < LEAST)
        for rows, which in zip(found, kinds, strict=True):
            if len(here := which.nonzero().flatten()):
                rows.append(start + here)
    bad, empty, short = (torch.cat(rows) if rows else torch.empty(0, dtype=torch.long) for rows in found)
    return bad, empty, short, most
