"""Layers: cut where asked, compared by neighbours, the right one found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modalign.errors import ModalignError
from modalign.features.encoders.layers import choose_layer, compare_layers
from modalign.features.encoders.pooling import pool
from modalign.features.encoders.text import MiniLM
from modalign.registry import make

TEXTS = [f"{a} {b}" for a in ("a red", "a small", "one old", "my") for b in ("dog", "house", "song", "river", "idea")]


def test_the_layer_that_agrees_is_found() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(60, 8, generator=draw)
    noise = [torch.randn(60, 8, generator=draw) for _ in range(3)]
    choice = compare_layers({4: x + 2 * noise[0], 2: x + 0.2 * noise[1], 3: noise[2]}, x @ torch.randn(8, 8), k=6)
    assert choice.layer == 2
    assert list(choice.scores) == [2, 3, 4]
    assert choice.chance == pytest.approx(6 / 59)
    assert choice.scores[3] < choice.chance + 0.1
    assert compare_layers({5: x, 1: x, 3: x}, x).layer == 1  # of equal ones the cheapest
    with pytest.raises(ModalignError, match="no layers"):
        compare_layers({}, x)


def test_a_text_encoder_cut_at_a_layer_is_its_hidden_state() -> None:
    whole = MiniLM()
    tokens = whole.collate(TEXTS)
    mask = torch.arange(tokens.ids.shape[1]) < tokens.length[:, None]
    with torch.inference_mode():
        states = whole.model(tokens.ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
    for layer in (2, 6):
        expected = torch.nn.functional.normalize(pool(states[layer], mask, "mean"), dim=1)
        assert torch.allclose(MiniLM(layer=layer).encode(TEXTS), expected, atol=1e-5)
    assert torch.allclose(MiniLM(layer=6).encode(TEXTS), whole.encode(TEXTS), atol=1e-6)
    marks = {MiniLM(layer=n).fingerprint() for n in (0, 2, 3)}
    assert len(marks) == 3
    with pytest.raises(ModalignError, match="layers 1 to 6"):
        MiniLM(layer=7).encode(["a"])
    choice = choose_layer(lambda layer: MiniLM(layer=layer), (1, 3, 6), TEXTS, whole.encode(TEXTS), k=4)
    assert choice.layer == 6
    assert choice.scores[6] == 1.0


def test_a_vision_model_cut_at_a_layer(tmp_path: Path) -> None:
    import numpy as np
    import transformers as t
    from PIL import Image

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    t.ViTModel(t.ViTConfig(**shape, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    t.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(6)]
    whole = make("encoder", "hf-vision", folder=str(tmp_path))
    with torch.inference_mode():
        found = whole.model(pixel_values=whole.collate(pictures), output_hidden_states=True)
        expected = whole.model.layernorm(found.hidden_states[2])[:, 0]
    middle = make("encoder", "hf-vision", folder=str(tmp_path), layer=2)
    assert torch.allclose(middle.encode(pictures), expected, atol=1e-5)
