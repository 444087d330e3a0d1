"""Frames through an image encoder: sampling, pooling, windows, company, what is broken."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from modalign.data import media
from modalign.data.manifest import Manifest, Row
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.features.encoders.base import Encoder, FrozenEncoder
from modalign.features.encoders.video import FrameEncoder, pool_frames
from modalign.registry import make


def film(path: Path, frames: int = 40, shift: int = 0) -> Path:
    """Frame i is grey of level 5 i + shift, 20 a second."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 5 * i + shift, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path.write_bytes(out.getvalue())
    return path


class Grey(FrozenEncoder):
    """Mean level of each picture, and one."""

    modality, dim, batch_size = "image", 2, 3

    def description(self) -> dict[str, Any]:
        return {"encoder": "grey"}

    def collate(self, items):
        return torch.tensor([float(np.asarray(media.load_image(i)).mean()) for i in items])

    def __call__(self, batch: Tensor) -> Tensor:
        return torch.stack([batch, torch.ones_like(batch)], 1)


@pytest.fixture
def grey() -> Any:
    def build(**settings: Any) -> FrameEncoder:
        encoder = FrameEncoder(**settings)
        encoder.image = Grey()
        encoder.dim = 2
        return encoder

    return build


def test_features_are_pooled_over_even_steps(grey: Any, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv")
    mean = grey(frames=4).encode([str(path)])[0]
    assert torch.allclose(mean, torch.tensor([100.0, 1.0]), atol=2.0)
    most = grey(frames=4, pooling="max").encode([str(path)])[0]
    assert torch.allclose(most, torch.tensor([5.0 * 35, 1.0]), atol=2.0)


def test_windows_of_rows(grey: Any, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv")
    row = Row(0, "video", uri=str(path), start=1.0, end=1.5)
    assert torch.allclose(grey(frames=5).encode([row])[0, 0], torch.tensor(125.0), atol=4)
    with pytest.raises(ModalignError, match="words, not a video"):
        grey().encode([Row(0, "video", text="a film")])


def test_pooling_has_the_right_values() -> None:
    x = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    assert torch.equal(pool_frames(x, "mean"), torch.tensor([[0.5, 1.5]]))
    assert torch.equal(pool_frames(x, "max"), torch.tensor([[1.0, 3.0]]))
    cosine = np.array([0.5, 1.5]) / np.hypot(0.5, 1.5)
    weight = np.exp(cosine / 0.1) / np.exp(cosine / 0.1).sum()
    assert np.allclose(pool_frames(x, "attention").numpy(), [[weight[0], 3 * weight[1]]], atol=1e-5)
    same = torch.ones(1, 4, 3)
    for pooling in ("mean", "max", "attention"):
        assert torch.allclose(pool_frames(same, pooling), torch.ones(1, 3))  # type: ignore[arg-type]


def test_attention_discounts_a_frame_unlike_the_others() -> None:
    x = torch.cat([torch.tensor([[1.0, 0.1]]).expand(5, 2), torch.tensor([[-0.2, 1.0]])])[None]
    assert pool_frames(x, "attention")[0, 1] < pool_frames(x, "mean")[0, 1]


def test_company_changes_nothing(grey: Any, tmp_path: Path) -> None:
    paths = [str(film(tmp_path / f"{i}.mkv", 10 + 7 * i, 9 * i)) for i in range(4)]
    encoder = grey(frames=4)
    together = encoder(encoder.collate(paths))
    alone = torch.cat([encoder(encoder.collate([p])) for p in paths])
    assert torch.equal(together, alone)
    assert encoder(encoder.collate([])).shape == (0, 2)


def test_broken_videos_are_left_out_and_named(grey: Any, tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(whole[: len(whole) // 5])
    (tmp_path / "c.mkv").write_bytes(b"<html>gone")
    rows = [Row(i, "video", uri=str(tmp_path / f"{n}.mkv")) for i, n in enumerate("abcd")]
    store = embed(Manifest.from_rows(rows), {"video": grey()}, tmp_path / "store")
    assert store.views().group["video"].tolist() == [0]
    assert [f.row for f in store.failures] == [1, 2, 3]
    assert all("\n" not in f.reason for f in store.failures)


def test_settings_are_checked_and_part_of_the_fingerprint() -> None:
    plain = make("encoder", "frames")
    assert isinstance(plain, Encoder)
    assert plain.modality == "video"
    assert plain.dim == 1280
    others = [
        make("encoder", "frames", image={"name": "efficientnet-lite0", "fit": "stretch"}),
        make("encoder", "frames", frames=4),
        make("encoder", "frames", pooling="max"),
        make("encoder", "frames", substitutes=1),
    ]
    assert len({e.fingerprint() for e in [plain, *others]}) == 5
    with pytest.raises(ModalignError, match="is for text"):
        make("encoder", "frames", image="minilm")
    with pytest.raises(ModalignError, match="pooling"):
        make("encoder", "frames", pooling="median")
    with pytest.raises(ModalignError, match="at least 1"):
        make("encoder", "frames", frames=0)


def test_frames_through_a_real_image_encoder(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv")
    encoder = make("encoder", "frames", frames=2)
    pictures = media.load_frames(path, 2)
    assert torch.allclose(encoder.encode([path])[0], encoder.image.encode(pictures).mean(0), atol=1e-4)
