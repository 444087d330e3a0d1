"""EfficientNet-Lite: a small convolutional image network that is quick on a CPU.

The Lite family drops squeeze-and-excitation and uses ReLU6 in place of swish, and keeps stem and head at one width
for every size. Names of modules match the published weights. Two forms of one network: as trained, with batch norms
(``EfficientNetLite``), and folded for inference (``fold``), where each batch norm is part of the convolution before it.

References:
    M. Tan, Q. V. Le, 2019. EfficientNet: rethinking model scaling for convolutional neural networks. arXiv 1905.11946.
    R. Krishnamoorthi, 2018. Quantizing deep convolutional networks for efficient inference. arXiv 1806.08342,
    section 3.2.2 (folding).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ModalignError


class Stage(NamedTuple):
    """Equal blocks in a row: how many, kernel size, stride of the first, expansion, output channels (size 0)."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280
SCALES = {0: (1.0, 1.0, 224), 1: (1.0, 1.1, 240), 2: (1.1, 1.2, 260), 3: (1.2, 1.4, 280), 4: (1.4, 1.8, 300)}
"""Size -> (width factor, depth factor, pixels)."""


def same_padding(size: int, kernel: int, stride: int, lead: int = 0) -> tuple[int, int]:
    """Zeros before and after, so that ceil(size / stride) places come out; the odd one comes after.

    lead: zeros that the kernel itself begins with.
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - lead - size, 0)
    return total // 2 + lead, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution whose output has ceil(size / stride) pixels, padded as the weights were trained.

    Where the padding is odd, the extra row and column lie at the bottom and the right.
    """

    lead = 0
    """Rows and columns of zeros that ``widen`` has put before the kernel."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride))."""
        top, bottom = same_padding(x.shape[-2], self.kernel_size[0], self.stride[0], self.lead)
        left, right = same_padding(x.shape[-1], self.kernel_size[1], self.stride[1], self.lead)
        if top == bottom and left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def widen(self) -> None:
        """Put a row and a column of zeros before the kernel: the same function.

        At stride 2 and even sizes its padding then is equal on all sides, so the convolution can do it by itself, and
        the picture need not be copied into a larger one.
        """
        self.weight = nn.Parameter(F.pad(self.weight.detach(), (1, 0, 1, 0)), self.weight.requires_grad)
        self.kernel_size = (self.kernel_size[0] + 1, self.kernel_size[1] + 1)
        self.lead += 1


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Inverted residual: widen (1x1), convolve each channel alone (k x k), narrow (1x1), add the input if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self._expand_conv: nn.Module = nn.Identity()
        self._bn0: nn.Module = nn.Identity()
        if expand != 1:
            self._expand_conv = SameConv2d(inputs, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv: nn.Module = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1: nn.Module = _norm(wide)
        self._project_conv: nn.Module = SameConv2d(wide, outputs, 1, bias=False)
        self._bn2: nn.Module = _norm(outputs)
        self._act0: nn.Module = nn.ReLU6(inplace=True)
        self._act1: nn.Module = nn.ReLU6(inplace=True)
        self.expands = expand != 1
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride))."""
        y = self._act0(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._act1(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier: pictures -> mean-pooled features.

    Args:
        size: 0 to 4. Size 0 takes 224 x 224 pixels.

    Raises:
        ModalignError: no such size.

    Reference:
        M. Tan, Q. V. Le, 2019. arXiv 1905.11946, section 4 (without squeeze-and-excitation, with ReLU6).

    Example:
        >>> import torch
        >>> net = EfficientNetLite(0).eval()
        >>> net(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 1280])
    """

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        if size not in SCALES:
            raise ModalignError(f"EfficientNet-Lite comes in the sizes 0 to 4, got {size}")
        width, depth, self.pixels = SCALES[size]
        self.dim = HEAD
        self._conv_stem: nn.Module = SameConv2d(3, STEM, 3, 2, bias=False)
        self._bn0: nn.Module = _norm(STEM)
        blocks, inputs = [], STEM
        for place, stage in enumerate(STAGES):
            outputs = _round_channels(stage.channels * width)
            ends = place in (0, len(STAGES) - 1)
            for i in range(stage.repeats if ends else math.ceil(stage.repeats * depth)):
                blocks.append(
                    InvertedResidual(inputs, outputs, stage.kernel, stage.stride if i == 0 else 1, stage.expand)
                )
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head: nn.Module = SameConv2d(inputs, HEAD, 1, bias=False)
        self._bn1: nn.Module = _norm(HEAD)
        self._act0: nn.Module = nn.ReLU6(inplace=True)
        self._act1: nn.Module = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 1280), each >= 0 and <= 6."""
        x = self._act0(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = self._act1(self._bn1(self._conv_head(x)))
        return x.mean((2, 3))

    def before(self, blocks: int) -> nn.Sequential:
        """The network up to its last blocks: pictures -> maps."""
        return nn.Sequential(self._conv_stem, self._bn0, self._act0, *list(self._blocks)[:-blocks])

    def load(self, weights: Mapping[str, Tensor]) -> EfficientNetLite:
        """Copy published weights in; the classifier (``_fc``) is left out.

        Raises:
            ModalignError: a tensor is missing, or has another shape, or is not of this network.
        """
        own = self.state_dict()
        given = {k: v for k, v in weights.items() if not k.startswith("_fc.")}
        wrong = sorted(k for k in own.keys() ^ given.keys() if not k.endswith("num_batches_tracked"))
        wrong += sorted(k for k in own.keys() & given.keys() if own[k].shape != given[k].shape)
        if wrong:
            raise ModalignError(
                f"these are not the weights of this EfficientNet-Lite: tensor '{wrong[0]}' does not fit"
            )
        self.load_state_dict(given, strict=False)
        return self


class Tail(nn.Module):
    """The last blocks of a network and its head: maps of ``before`` -> features. Shares the network's weights.

    Example:
        >>> import torch
        >>> net = EfficientNetLite(0).eval()
        >>> x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
        >>> with torch.inference_mode():
        ...     torch.equal(Tail(net, 2)(net.before(2)(x)), net(x))
        True
    """

    def __init__(self, net: EfficientNetLite, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(list(net._blocks)[-blocks:])
        self.head = nn.Sequential(net._conv_head, net._bn1, net._act1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) maps -> (n, 1280) features."""
        for block in self.blocks:
            x = block(x)
        y: Tensor = self.head(x)
        return y.mean((2, 3))


def _round_channels(channels: float) -> int:
    """Nearest multiple of 8, but not more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
