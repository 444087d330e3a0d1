"""EfficientNet-Lite: padding, shapes, folding equal to the trained network, training still possible."""

import pytest
import torch
import torch.nn.functional as F

from modalign.errors import ModalignError
from modalign.features.encoders.efficientnet_folded import Folded, fold
from modalign.features.encoders.efficientnet_lite import EfficientNetLite, InvertedResidual, SameConv2d


def shaken(net, seed=0):
    """Random statistics and affine parts, so that folding has something to fold."""
    g = torch.Generator().manual_seed(seed)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.3, generator=g)
            m.running_var.uniform_(0.5, 2, generator=g)
            m.weight.data.uniform_(0.5, 1.5, generator=g)
            m.bias.data.normal_(0, 0.3, generator=g)
    return net


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_puts_the_odd_row_at_the_bottom_and_right(size, kernel, stride):
    conv = SameConv2d(2, 3, kernel, stride)
    x = torch.randn(1, 2, size, size)
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    padded = torch.zeros(1, 2, size + total, size + total)
    padded[:, :, total // 2 : total // 2 + size, total // 2 : total // 2 + size] = x
    expected = F.conv2d(padded, conv.weight, conv.bias, stride)
    torch.testing.assert_close(conv(x), expected)
    assert conv(x).shape == (1, 3, out, out)
    conv.widen()
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize("size", [0, 1])
def test_folded_network_is_the_same_function(size):
    net = shaken(EfficientNetLite(size)).eval()
    x = torch.rand(2, 3, 64, 46) * 2 - 1
    with torch.inference_mode():
        expected, got = net(x), fold(net)(x.contiguous(memory_format=torch.channels_last))
    scale = expected.abs().max()
    assert scale > 0.1
    assert (got - expected).abs().max() < 1e-5 * scale.clamp(min=1)


def test_folding_in_double_precision_is_exact_to_rounding():
    net = shaken(EfficientNetLite(0)).double().eval()
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(fold(net)(x), net(x), rtol=1e-11, atol=1e-12)


def test_folding_leaves_the_trained_network_alone_and_can_be_repeated():
    net = shaken(EfficientNetLite(0)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    folded = fold(net)
    assert net.training
    assert not folded.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters())
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(fold(folded)(x), folded(x))


def test_the_unfolded_network_trains():
    net = EfficientNetLite(0).train()
    mean = net._bn0.running_mean.clone()
    net(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert not torch.equal(net._bn0.running_mean, mean)


def test_each_picture_is_alone_in_a_batch():
    net = fold(shaken(EfficientNetLite(0)))
    x = torch.rand(5, 3, 48, 48)
    whole = net(x)
    for i in range(5):
        torch.testing.assert_close(net(x[i : i + 1])[0], whole[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 4), (5, 1, 4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_folded_convolution_equals_the_two_steps_with_and_without_fusion(
    kernel, stride, groups, clip, layout, monkeypatch
):
    conv = SameConv2d(4, 8, kernel, stride, groups=groups)
    x = 4 * torch.randn(2, 4, 9, 12)
    expected = F.relu6(conv(x)) if clip else conv(x)
    folded = Folded(conv, conv.weight.detach(), conv.bias.detach(), clip)
    torch.testing.assert_close(folded(x.contiguous(memory_format=layout)), expected, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr("modalign.features.encoders.efficientnet_folded.FUSED", None)
    torch.testing.assert_close(folded(x.contiguous(memory_format=layout)), expected, rtol=1e-5, atol=1e-5)


def test_blocks_add_their_input_only_where_shapes_allow():
    x = torch.rand(1, 16, 8, 8)
    same, other = InvertedResidual(16, 16, 3, 1, 6).eval(), InvertedResidual(16, 24, 3, 1, 6).eval()
    torch.nn.init.zeros_(same._bn2.weight)
    torch.nn.init.zeros_(other._bn2.weight)
    torch.testing.assert_close(same(x), x)
    assert not other(x).any()


@pytest.mark.parametrize(
    ("size", "blocks", "last"), [(0, 16, 320), (1, 21, 320), (2, 21, 352), (3, 24, 384), (4, 30, 448)]
)
def test_widths_and_depths_of_the_family(size, blocks, last):
    net = EfficientNetLite(size)
    assert len(net._blocks) == blocks
    assert net._conv_head.in_channels == last


def test_weights_must_fit():
    weights = EfficientNetLite(0).state_dict()
    weights["_fc.weight"] = torch.zeros(10, 1280)
    net = EfficientNetLite(0).load(weights)
    assert torch.equal(net._conv_stem.weight, weights["_conv_stem.weight"])
    for wrong in ({**weights, "extra": torch.zeros(1)}, {k: v for k, v in weights.items() if k != "_bn1.bias"},
                  {**weights, "_bn1.bias": torch.zeros(3)}):  # fmt: skip
        with pytest.raises(ModalignError, match="not the weights of this EfficientNet-Lite"):
            EfficientNetLite(0).load(wrong)
    with pytest.raises(ModalignError, match="sizes 0 to 4, got 5"):
        EfficientNetLite(5)
