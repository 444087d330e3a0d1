"""Features of scales so different that one of them is nearly all that distances see."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

ROWS = 10_000  # that are looked at
ALONE = 0.99  # share of the variance from which one feature drowns the others; that of embeddings is below a half


def drowned(x: Mapping[str, Tensor]) -> list[str]:
    """A remark for each modality in which one feature has nearly all variance.

    Example:
        >>> rows = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> drowned({"a": rows * torch.tensor([1, 1, 1, 1e6]), "b": rows})[0][:47]
        "feature 3 of 'a' (counted from 0) has 99.99 % o"
    """
    said = []
    for m, rows in x.items():
        if min(rows.shape) < 2:
            continue
        some = rows[:: -(-len(rows) // ROWS)].double()
        variance = some.var(0)
        most = int(variance.argmax())
        others = variance[torch.arange(len(variance)) != most]
        if 0 < float(others.sum()) < (1 - ALONE) * float(variance.sum()):
            share = min(99.99, 100 * float(variance[most] / variance.sum()))
            said.append(
                f"feature {most} of '{m}' (counted from 0) has {share:.4g} % of all variance (standard deviation "
                f"{float(variance[most].sqrt()):.3g}; median of the others {float(others.median().sqrt()):.3g}): "
                "most methods see little else; leave it out, or divide each feature by its standard deviation"
            )
    return said
