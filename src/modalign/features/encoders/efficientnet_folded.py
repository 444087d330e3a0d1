"""EfficientNet-Lite with its normalisations folded into the convolutions: the same features, sooner."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .efficientnet_lite import EfficientNetLite, SameConv2d, same_padding

PARTS = (("_conv_stem", "_bn0", "_act0"), ("_conv_head", "_bn1", "_act1"))
BLOCK_PARTS: tuple[tuple[str, str, str | None], ...] = (
    ("_expand_conv", "_bn0", "_act0"),
    ("_depthwise_conv", "_bn1", "_act1"),
    ("_project_conv", "_bn2", None),
)


class Folded(nn.Module):
    """Convolution with the batch norm folded in and the ReLU6 behind it, for inference.

    On processors, oneDNN clips the result while it is still in the cache; elsewhere that is a second pass.

    Args:
        conv: gives stride, padding and groups. weight, bias: with the batch norm in them. clip: ReLU6 behind it.
    """

    def __init__(self, conv: SameConv2d, weight: Tensor, bias: Tensor, clip: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.stride, self.groups, self.clip = conv.stride[0], conv.groups, clip
        self.kernel, self.lead = conv.kernel_size[0], conv.lead

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride))."""
        top, bottom = same_padding(x.shape[-2], self.kernel, self.stride, self.lead)
        left, right = same_padding(x.shape[-1], self.kernel, self.stride, self.lead)
        if top != bottom or left != right:
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        stride = [self.stride, self.stride]
        if self.clip and FUSED is not None and x.device.type == "cpu" and x.dtype in FUSED_TYPES:
            y: Tensor = FUSED(
                x, self.weight, self.bias, [top, left], stride, [1, 1], self.groups, "hardtanh", [0.0, 6.0], ""
            )
            return y
        y = F.conv2d(x, self.weight, self.bias, stride, (top, left), 1, self.groups)
        return F.relu6(y, inplace=True) if self.clip else y


#: Convolution and clipping in one pass, where this build of torch has it.
FUSED = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if torch.backends.mkldnn.is_available() else None

#: In half precision oneDNN has no pass of its own, and refuses, where the processor has no instructions for it.
FUSED_TYPES = {torch.float32}
if FUSED is not None and torch.ops.mkldnn._is_mkldnn_bf16_supported():
    FUSED_TYPES.add(torch.bfloat16)


def fold(net: EfficientNetLite) -> EfficientNetLite:
    """A copy for inference, batch norms folded into the convolutions before them: the same function, fewer passes.

        BN(W * x) = (g / sqrt(v + eps)) W * x + b - g m / sqrt(v + eps)

    Scale and shift are computed in float64. The network given stays as it is, so it can still be trained.

    Args:
        net: any EfficientNetLite; its running statistics are used, whatever its mode.

    Returns:
        A new network in evaluation mode without batch norms, in channels-last memory, without gradients.

    Reference:
        R. Krishnamoorthi, 2018. arXiv 1806.08342, section 3.2.2.

    Example:
        >>> net = EfficientNetLite(0).eval()
        >>> x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
        >>> with torch.inference_mode():
        ...     bool(torch.allclose(fold(net)(x), net(x), atol=1e-6))
        True
    """
    folded = copy.deepcopy(net).eval().requires_grad_(False)
    for conv, norm, act in PARTS:
        _fold(folded, conv, norm, act)
    for block in folded._blocks:
        for conv, norm, after in BLOCK_PARTS:
            _fold(block, conv, norm, after)
    return folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold(parent: nn.Module, conv_name: str, norm_name: str, act_name: str | None) -> None:
    conv, norm = getattr(parent, conv_name), getattr(parent, norm_name)
    if not isinstance(conv, SameConv2d) or not isinstance(norm, nn.BatchNorm2d):
        return  # a block without expansion, or a network that is folded already
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = (norm.bias.double() - norm.running_mean.double() * scale).to(conv.weight.dtype)
    conv.weight = nn.Parameter((conv.weight.double() * scale[:, None, None, None]).to(conv.weight.dtype), False)
    if conv.stride[0] == 2:
        conv.widen()
    setattr(parent, conv_name, Folded(conv, conv.weight.detach(), shift.detach(), act_name is not None))
    for gone in (norm_name, act_name):
        if gone is not None:
            setattr(parent, gone, nn.Identity())
