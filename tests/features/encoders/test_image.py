"""Image encoder: preprocessing by hand, exactness, batch independence, broken files, real weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modalign.data.manifest import Row
from modalign.errors import ModalignError
from modalign.features.encoders.base import Encoder
from modalign.features.encoders.image import EfficientNetLite0, square
from modalign.registry import make


@pytest.fixture(scope="module")
def encoder():
    return make("encoder", "efficientnet-lite0")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    paths = []
    for i, size in enumerate([(224, 224), (300, 200), (50, 90), (640, 480), (1, 1), (900, 3), (64, 64)]):
        small = Image.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        paths.append(str(folder / f"{i}.png"))
        small.resize(size, Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def by_hand(encoder, path):
    """The plain way: one picture, unfolded network, default memory layout."""
    picture = Image.open(path).convert("RGB")
    wide, high = picture.size
    side = min(wide, high)
    box = ((wide - side) / 2, (high - side) / 2, (wide + side) / 2, (high + side) / 2)
    if picture.size != (224, 224):
        picture = picture.resize((224, 224), Image.Resampling.BICUBIC, box=box)
    x = torch.tensor(np.asarray(picture)).permute(2, 0, 1)[None].float().contiguous()
    with torch.inference_mode():
        return encoder.trainable().eval()((x - 127) / 128)[0]


def test_it_is_an_encoder(encoder):
    assert isinstance(encoder, Encoder)
    assert (encoder.modality, encoder.dim) == ("image", 1280)


def test_features_equal_the_plain_loop(encoder, pictures):
    got = encoder.encode(pictures)
    expected = torch.stack([by_hand(encoder, p) for p in pictures])
    assert got.shape == (len(pictures), 1280)
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (got >= 0).all()
    assert (got <= 6).all()


def test_company_does_not_change_a_picture(encoder, pictures):
    together = encoder.encode(pictures)
    for i, p in enumerate(pictures[:4]):
        assert (encoder.encode([p])[0] - together[i]).abs().max() < 1e-5
    assert (encoder.encode(pictures[::-1]).flip(0) - together).abs().max() < 1e-5


def test_items_may_be_rows_paths_bytes_or_pictures(encoder, pictures):
    path = pictures[1]
    kinds = [path, Row(0, "image", uri=path), Path(path).read_bytes(), Image.open(path)]
    features = encoder.encode(kinds)
    assert (features - features[0]).abs().max() < 1e-5
    assert encoder.encode([]).shape == (0, 1280)
    with pytest.raises(ModalignError, match="list of items"):
        encoder.encode(path)


def test_broken_files_are_named(encoder, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(ModalignError, match=r"bad\.png"):
        encoder.encode([*pictures, str(bad)])


def test_bfloat16_is_close_and_by_choice(encoder, pictures):
    pictures = pictures[:4]  # a flat picture has little but rounding in its features
    half = EfficientNetLite0(precision="bfloat16").encode(pictures)
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(half, encoder.encode(pictures)).min() > 0.98


def test_fingerprints_tell_settings_apart(encoder):
    marks = {
        e.fingerprint()
        for e in (
            encoder,
            EfficientNetLite0(),
            EfficientNetLite0(fit="stretch"),
            EfficientNetLite0(precision="bfloat16"),
        )
    }
    assert len(marks) == 3


def test_weights_are_not_loaded_before_they_are_needed():
    encoder = EfficientNetLite0()
    encoder.fingerprint()
    assert "network" not in vars(encoder)


def test_settings_are_checked():
    with pytest.raises(ModalignError, match="fit"):
        make("encoder", "efficientnet-lite0", fit="pad")
    with pytest.raises(ModalignError, match="'crop' or 'stretch'"):
        EfficientNetLite0(fit="pad")


def test_square_takes_the_middle_or_everything():
    picture = Image.new("RGB", (30, 10), "white")
    picture.paste("red", (0, 0, 8, 10))
    assert square(picture, 8).getpixel((1, 4)) == (255, 255, 255)
    assert square(picture, 8, "stretch").getpixel((0, 4)) == (255, 0, 0)


@pytest.mark.data
def test_photos_find_themselves_among_reference_features(encoder, external_data):
    """Reference features came from full photos, these from 128-pixel copies: alike, not equal."""
    folder = external_data / "flickr8k"
    names = (folder / "features" / "image_names.txt").read_text().split()
    here = sorted(p.name for p in (folder / "images").iterdir())[:24]
    stored = np.load(folder / "features" / "image_efficientnet_lite0.npy", mmap_mode="r")
    reference = torch.tensor(np.stack([stored[names.index(n)] for n in here])).float()
    got = encoder.encode([str(folder / "images" / n) for n in here])
    reference, got = (torch.nn.functional.normalize(x - x.mean(0), dim=1) for x in (reference, got))
    assert ((got @ reference.T).argmax(1) == torch.arange(len(here))).float().mean() > 0.9
