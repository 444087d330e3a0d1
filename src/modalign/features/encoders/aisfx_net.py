"""The network of "aisfx" and its mel bands: eight convolutions over blocks of 100 frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ...errors import explained
from .framing import framed, gathered
from .winograd import convolved, transformed

RATE, SIZE, HOP, BANDS = 44100, 2048, 1024, 96
BLOCK, BLOCK_HOP, DIM = 100, 50, 512
WIDE = 128  # channels from which on Winograd's filtering is quicker: 26 ms a block on one core against 36
TOP = 9.457798957824707
"""What divides the logarithm, so that values lie in about [0, 1]."""


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # ordinary tensors are kept, whatever mode the first caller is in
def mel_weights() -> Tensor:
    """Triangles that are straight lines on the mel scale, 0 to 22,050 Hz, each with sum 1.

        mel(f) = 1127.01048 ln(1 + f / 700)

    Returns:
        (1025, 96) float32.
    """

    def mel(f: Tensor) -> Tensor:
        return 1127.01048 * torch.log1p(f / 700)

    f = mel(torch.linspace(0, RATE / 2, SIZE // 2 + 1, dtype=torch.float64))
    marks = torch.linspace(0, 1, BANDS + 2, dtype=torch.float64) * f[-1]
    step = marks[1]
    triangles = (1 - (f[:, None] - marks[1:-1]).abs() / step).clamp(min=0)
    return (triangles / triangles.sum(0)).float()


def spectrogram(blocks: Iterable[Tensor]) -> Tensor:
    """Compressed mel bands of a sound at 44.1 kHz.

        L[t, b] = log10(1 + 10^4 sum_k w[k, b] |X[t, k]|^2) / 9.4578,   X = DFT(hann x) of 2048 samples every 1024

    Samples are clamped to [-1, 1]; the first frame begins 1,024 samples before the sound, the last ends after it.

    Args:
        blocks: the sound in pieces, (n,) float32 each.

    Returns:
        (t, 96) float32, t = ceil(n / 1024) + 1.

    Reference: A. B. Ma, A. Lerch, 2022. Representation learning for the automatic indexing of sound effects
    libraries. ISMIR, section 3.
    """
    with torch.no_grad():
        window = torch.hann_window(SIZE, periodic=False)

        def compressed(frames: Tensor) -> Tensor:
            power = torch.fft.rfft(frames * window).abs().square()
            return (1e4 * (power @ mel_weights())).log1p_().div_(TOP * 2.302585092994046)

        frames = framed((b.clamp(-1, 1) for b in blocks), SIZE, HOP, HOP, lambda n: -(-n // HOP) + 1)
        return gathered(compressed(some) for some in frames)


def blocks_of(bands: Tensor) -> Tensor:
    """(t, 96) -> (b, 1, 100, 96): blocks of 100 frames every 50; a cut last one is left out, a lone one filled up."""
    bands = F.pad(bands, (0, 0, 0, max(0, BLOCK - len(bands))))
    return bands.unfold(0, BLOCK, BLOCK_HOP).transpose(1, 2)[:, None]


class Network(nn.Module):
    """Four pairs of 3 x 3 convolutions with ReLU, 64 to 512 channels, halving time and pitch between the pairs.

    The mean over pitch, then the maximum over time, are the features. Batch norms are folded into the convolutions.

    Args:
        state: of the trained network, names as in its file.

    Raises:
        ModalignError: the state is of another network.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        with explained("weights are not those of 'aisfx'", KeyError, RuntimeError):
            layers = [_folded(state, f"embedding_net.conv_block{i}.", half) for i in range(1, 5) for half in (1, 2)]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 100, 96) -> (n, 512)."""
        return _through(x, [partial(_plain, layer) for layer in self._layers()])

    def quick(self, dtype: torch.dtype = torch.float32) -> Callable[[Tensor], Tensor]:
        """The same function for frozen weights in less time: in float32 to rounding, or in bfloat16."""
        self.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        narrow = WIDE if dtype == torch.float32 else math.inf
        layers = [partial(_plain, c) if c.in_channels < narrow else _filtered(c) for c in self._layers()]
        return lambda x: _through(x.to(dtype).contiguous(memory_format=torch.channels_last), layers).float()

    def _layers(self) -> list[nn.Conv2d]:
        return cast(list[nn.Conv2d], list(self.layers))


def _through(x: Tensor, layers: Iterable[Callable[[Tensor], Tensor]]) -> Tensor:
    for i, layer in enumerate(layers):
        x = F.max_pool2d(layer(x), 2) if i in (1, 3, 5) else layer(x)
    return x.mean(3).amax(2)


def _plain(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return F.relu_(layer(x))


def _filtered(layer: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    weights, bias = transformed(layer.weight), cast(Tensor, layer.bias)
    return lambda x: convolved(x.permute(0, 2, 3, 1), weights, bias).permute(0, 3, 1, 2)


def _folded(state: Mapping[str, Tensor], block: str, half: int) -> nn.Conv2d:
    """A convolution that does what it and the batch norm after it did."""
    plain = state[f"{block}conv{half}.weight"].double()
    mean, variance, gain, shift = (
        state[f"{block}bn{half}.{name}"].double() for name in ("running_mean", "running_var", "weight", "bias")
    )
    weight, bias = fuse_conv_bn_weights(plain, None, mean, variance, 1e-5, gain, shift)
    layer = nn.Conv2d(plain.shape[1], plain.shape[0], 3, padding=1)
    layer.weight, layer.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    return layer
