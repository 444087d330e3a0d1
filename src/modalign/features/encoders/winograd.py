"""3 x 3 convolutions of many channels with a quarter of the products: Winograd's minimal filtering in tiles of 4 x 4.

What libraries of convolutions do on one core is near what the core can do, so only fewer products are quicker. Sums of
samples and of weights take their place; with 128 channels and more they cost less than what they save.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
"""Outputs of a tile along each side; it reads two samples more."""

_SAMPLES = torch.tensor(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
     [0, 4, 0, -5, 0, 1]], dtype=torch.float32,
)  # fmt: skip
_WEIGHTS = (
    torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64) / 24
)
_OUTPUTS = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float32
)


def transformed(weight: Tensor) -> Tensor:
    """The weights of a convolution as ``convolved`` takes them: U = G w G^T.

    Args:
        weight: (o, c, 3, 3).

    Returns:
        (36, c, o) float32.
    """
    return torch.einsum("ai,ocij,bj->abco", _WEIGHTS, weight.double(), _WEIGHTS).flatten(0, 1).float().contiguous()


def convolved(x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """ReLU of a 3 x 3 convolution with a border of one zero; as exact as summing the products, to rounding.

        Y = A^T (sum over channels of U * (B^T x B)) A   for every tile of 6 x 6 samples, 4 apart

    Args:
        x: (n, h, w, c) float32. weights: (36, c, o), see ``transformed``. bias: (o,).

    Returns:
        (n, h, w, o).

    Reference:
        A. Lavin, S. Gray, 2016. Fast algorithms for convolutional neural networks. CVPR, section 4.2.

    Example:
        >>> x, w, b = torch.rand(2, 9, 6, 5), torch.rand(3, 5, 3, 3), torch.rand(3)
        >>> plain = F.conv2d(x.permute(0, 3, 1, 2), w, b, padding=1).relu().permute(0, 2, 3, 1)
        >>> torch.allclose(convolved(x, transformed(w), b), plain, atol=1e-4)
        True
    """
    n, h, w, c = x.shape
    down, across, out = -(-h // TILE), -(-w // TILE), len(bias)
    x = F.pad(x, (0, 0, 1, across * TILE + 1 - w, 1, down * TILE + 1 - h))
    tiles = x.unfold(1, 6, TILE).unfold(2, 6, TILE).permute(4, 5, 0, 1, 2, 3).reshape(6, -1)
    sums = torch.matmul(_SAMPLES, (_SAMPLES @ tiles).view(6, 6, -1))
    products = torch.bmm(sums.view(36, -1, c), weights)
    y = torch.matmul(_OUTPUTS, (_OUTPUTS @ products.view(6, -1)).view(TILE, 6, -1)).view(-1, out)
    y = y.add_(bias).relu_().view(TILE, TILE, n, down, across, out)
    return y.permute(2, 3, 0, 4, 1, 5).reshape(n, down * TILE, across * TILE, out)[:, :h, :w]
