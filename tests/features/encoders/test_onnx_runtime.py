"""ONNX Runtime gives what torch gives, picture by picture and thread by thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from modalign.features.encoders import onnx_runtime
from modalign.features.encoders.efficientnet_folded import fold
from modalign.features.encoders.efficientnet_lite import EfficientNetLite
from modalign.features.encoders.image import EfficientNetLite0

pytestmark = pytest.mark.skipif(not onnx_runtime.available(), reason="onnxruntime and onnx are not installed")


@pytest.mark.parametrize("pixels", [224, 75])
def test_graph_is_the_same_function(pixels):
    net = fold(EfficientNetLite0().trainable().eval())
    x = torch.rand(3, 3, pixels, pixels) * 2 - 1
    with torch.inference_mode():
        expected = net(x.contiguous(memory_format=torch.channels_last))
    run = onnx_runtime.compiled(net, pixels)
    torch.testing.assert_close(run(x), expected, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(
        run(x.contiguous(memory_format=torch.channels_last))[1:2], run(x[1:2]), rtol=1e-5, atol=1e-5
    )


def test_threads_share_it():
    run = onnx_runtime.compiled(fold(EfficientNetLite(0).eval()), 64)
    x = [torch.rand(2, 3, 64, 64) for _ in range(8)]
    with ThreadPoolExecutor(2) as workers:
        for one, other in zip(workers.map(run, x), map(run, x), strict=True):
            assert torch.equal(one, other)


def test_encoder_falls_back_to_torch(monkeypatch):
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    quick = EfficientNetLite0()(pixels)
    monkeypatch.setattr(onnx_runtime, "available", lambda: False)
    encoder = EfficientNetLite0()
    torch.testing.assert_close(encoder(pixels), quick, rtol=1e-4, atol=2e-5)
    assert encoder.run is encoder.network
