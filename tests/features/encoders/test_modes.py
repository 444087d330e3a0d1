"""What an encoder keeps from a first use in inference mode can still be part of a gradient."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import modalign
from modalign.errors import MissingExtraError
from modalign.features.encoders.audio import LogMel
from modalign.features.encoders.base import loading
from modalign.features.encoders.image import EfficientNetLite0
from modalign.features.encoders.melbands import mel_filters
from modalign.features.encoders.text import MiniLM
from modalign.registry import make
from modalign.robustness.attack.victim import differentiable

PICTURE = Image.new("RGB", (32, 32), (90, 20, 200))


def test_sounds_heard_in_inference_mode_can_be_attacked_later() -> None:
    mel_filters.cache_clear()
    encoder = LogMel()
    with torch.inference_mode():
        encoder.encode([(0.1 * np.sin(np.arange(4000) / 5), 16000)])
    assert not mel_filters().is_inference()
    x = (0.1 * torch.randn(1, 4000)).requires_grad_()
    differentiable(encoder)(x).sum().backward()
    assert x.grad is not None


def test_every_cached_tensor_is_made_outside_inference_mode() -> None:
    """Functions whose tensors are kept for later callers say so themselves."""
    found = []
    for path in (Path(modalign.__file__).parent).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and "Tensor" in ast.unparse(node.returns or ast.Constant("")):
                marks = [ast.unparse(mark) for mark in node.decorator_list]
                if any(mark.partition("(")[0].endswith("cache") for mark in marks):
                    found.append(node.name)
                    assert "torch.inference_mode(False)" in marks, f"{path.name}: {node.name}"
    assert "mel_filters" in found


@pytest.mark.parametrize("backend", ["run", "network"])
def test_pictures_seen_in_inference_mode_can_be_attacked_later(backend: str) -> None:
    encoder = EfficientNetLite0()
    with torch.inference_mode():
        getattr(encoder, backend)
    assert not any(w.is_inference() for w in encoder.network.state_dict().values())
    x = torch.rand(1, 3, 64, 64).requires_grad_()
    differentiable(encoder)(x).sum().backward()
    assert x.grad is not None


def test_texts_read_in_inference_mode_leave_ordinary_weights() -> None:
    encoder = MiniLM()
    with torch.inference_mode():
        encoder.encode(["a dog"])
    assert not any(w.is_inference() for w in encoder.model.state_dict().values())


def test_models_of_transformers_are_loaded_outside_inference_mode(tmp_path: Path) -> None:
    import transformers as t

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    t.ViTModel(t.ViTConfig(**shape, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    t.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = make("encoder", "hf-vision", folder=str(tmp_path))
    with torch.inference_mode():
        encoder.encode([PICTURE])
    assert not any(w.is_inference() for w in encoder.model.state_dict().values())


def test_loading_gives_the_callers_mode_back() -> None:
    with torch.inference_mode():
        with loading(), loading():
            assert not torch.is_inference_mode_enabled()
        assert torch.is_inference_mode_enabled()
    with pytest.raises(ValueError, match="broken"), torch.no_grad(), loading():
        raise ValueError("broken")
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    "name", ["aisfx", "efficientnet-lite0", "frames", "logmel", "logmel-cnn", "minilm", "speech", "wordllama"]
)
def test_no_items_have_no_features(name: str) -> None:
    try:
        encoder = make("encoder", name)
    except MissingExtraError as missing:
        pytest.skip(str(missing))
    assert encoder(encoder.collate([])).shape == (0, encoder.dim)
