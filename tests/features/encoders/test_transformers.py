"""Encoders by transformers, with tiny models of random weights saved on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from modalign.data import media
from modalign.data.manifest import Row
from modalign.errors import ModalignError
from modalign.features.encoders.base import Encoder
from modalign.features.encoders.melbands import windows
from modalign.features.encoders.transformers_base import model_folder, pool_tokens
from modalign.registry import make

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
Build = Callable[[str], str]


def vit(t: Any) -> list[Any]:
    return [
        t.ViTModel(t.ViTConfig(**SMALL, image_size=32, patch_size=8)),
        t.ViTImageProcessorPil(size={"height": 32, "width": 32}),
    ]


def swin(t: Any) -> list[Any]:
    shape = {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "patch_size": 4}
    return [t.SwinModel(t.SwinConfig(**shape, image_size=32)), t.ViTImageProcessorPil(size={"height": 32, "width": 32})]


def convnext(t: Any) -> list[Any]:
    config = t.ConvNextConfig(hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], image_size=32)
    return [t.ConvNextModel(config), t.ViTImageProcessorPil(size={"height": 32, "width": 32})]


def clip(t: Any) -> list[Any]:
    text = {**SMALL, "vocab_size": 99, "max_position_embeddings": 16}
    config = t.CLIPConfig(
        text_config=text, vision_config={**SMALL, "image_size": 32, "patch_size": 8}, projection_dim=24
    )
    crop = {"height": 32, "width": 32}
    return [t.CLIPModel(config), t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=crop)]


def videomae(t: Any) -> list[Any]:
    config = t.VideoMAEConfig(**SMALL, image_size=32, patch_size=8, num_frames=4, tubelet_size=2)
    crop = {"height": 32, "width": 32}
    return [t.VideoMAEModel(config), t.VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size=crop)]


def vivit(t: Any) -> list[Any]:
    config = t.VivitConfig(**SMALL, image_size=32, num_frames=4, tubelet_size=[2, 8, 8])
    crop = {"height": 32, "width": 32}
    return [t.VivitModel(config), t.VivitImageProcessor(size={"shortest_edge": 32}, crop_size=crop)]


def wave(t: Any, norm: str) -> list[Any]:
    convolutions = {"conv_dim": [16] * 3, "conv_kernel": [10, 3, 3], "conv_stride": [5, 4, 4]}
    config = t.Wav2Vec2Config(
        **SMALL, **convolutions, num_feat_extract_layers=3, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer",
    )  # fmt: skip
    extract = t.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=norm == "layer")
    return [t.Wav2Vec2Model(config), extract]


def ast(t: Any) -> list[Any]:
    config = t.ASTConfig(**SMALL, max_length=100, num_mel_bins=16)
    return [t.ASTModel(config), t.ASTFeatureExtractor(num_mel_bins=16, max_length=100)]


def clap(t: Any, fusion: bool = False) -> list[Any]:
    audio = {
        "spec_size": 64, "hidden_size": 32, "patch_embeds_hidden_size": 16, "depths": [1, 1], "window_size": 4,
        "num_attention_heads": [2, 2], "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4],
        "enable_fusion": fusion,
    }  # fmt: skip
    config = t.ClapConfig(text_config={**SMALL, "vocab_size": 99}, audio_config=audio, projection_dim=24)
    extract = t.ClapFeatureExtractor(
        feature_size=16, sampling_rate=16000, hop_length=160, max_length_s=1, fft_window_size=512,
        frequency_max=8000, truncation="fusion" if fusion else "rand_trunc", padding="repeatpad",
    )  # fmt: skip
    return [t.ClapModel(config), extract]


WORDS = [f"w{i}" for i in range(80)]
SENTENCES = ["w1 w2", "w3", "w4 w5 w6 w7 w8", "w9 w10 w11", "w3 w2"]


def tokenizer(t: Any) -> Any:
    """Whole words, between a begin and an end token; the end has the highest number, as in CLIP."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"<s>": 0, "<pad>": 1, "<unk>": 2, "</s>": 98} | {w: i + 3 for i, w in enumerate(WORDS)}
    fast = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [("<s>", 0), ("</s>", 98)]
    fast.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=marks)
    return t.PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def clip_text(t: Any) -> list[Any]:
    model = clip(t)[0]
    model.config.text_config.eos_token_id = 98
    return [model, tokenizer(t)]


def clap_text(t: Any) -> list[Any]:
    return [clap(t)[0], tokenizer(t)]


MODELS: dict[str, tuple[Callable[[Any], list[Any]], int]] = {
    "vit": (vit, 32), "swin": (swin, 32), "convnext": (convnext, 24), "clip": (clip, 24),
    "videomae": (videomae, 32), "vivit": (vivit, 32),
    "wave-layer": (lambda t: wave(t, "layer"), 32), "wave-group": (lambda t: wave(t, "group"), 32), "ast": (ast, 32),
    "clap": (clap, 24), "clap-fusion": (lambda t: clap(t, True), 24),
    "clip-text": (clip_text, 24), "clap-text": (clap_text, 24),
}  # fmt: skip
PICTURES, VIDEOS = ["vit", "swin", "convnext", "clip"], ["videomae", "vivit"]
SOUNDS = ["wave-layer", "wave-group", "ast", "clap", "clap-fusion"]
TEXTS = ["clip-text", "clap-text"]
NAME = {
    **dict.fromkeys(TEXTS, "hf-text"),
    **dict.fromkeys(PICTURES, "hf-vision"),
    **dict.fromkeys(VIDEOS, "hf-video"),
    **dict.fromkeys(SOUNDS, "hf-audio"),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Build:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folders: dict[str, str] = {}

    def build(name: str) -> str:
        if name not in folders:
            torch.manual_seed(0)
            folder = tmp_path_factory.mktemp(name)
            for part in MODELS[name][0](transformers):
                part.save_pretrained(folder)
            folders[name] = str(folder)
        return folders[name]

    return build


@cache  # two runs of an encoder with threads need not end in the same bytes
def film(seed: int) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for i in range(9):
            pixels = np.random.default_rng(100 * seed + i).integers(0, 256, (5, 6, 3)).repeat(8, 0).repeat(8, 1)
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def items(name: str, n: int = 5) -> list[Any]:
    rng = np.random.default_rng(0)
    if name in PICTURES:
        return [Image.fromarray(rng.integers(0, 256, (30 + 9 * i, 50, 3), dtype=np.uint8)) for i in range(n)]
    if name in TEXTS:
        return SENTENCES[:n]
    if name in VIDEOS:
        return [film(i) for i in range(n)]
    return [(rng.normal(size=round(16000 * s)) * 0.1, 16000) for s in [0.4, 1.0, 0.02, 2.3, 0.7, 1.0][:n]]


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model(saved: Build, name: str) -> None:
    encoder = make("encoder", NAME[name], folder=saved(name))
    assert isinstance(encoder, Encoder)
    assert encoder.dim == MODELS[name][1]
    given = items(name)
    together = encoder(encoder.collate(given))
    assert together.shape == (len(given), encoder.dim)
    assert bool(torch.isfinite(together).all())
    assert float(torch.pdist(together).min()) > 1e-4  # the items tell apart
    # company and order change nothing
    alone = torch.cat([encoder(encoder.collate([g])) for g in given])
    assert torch.allclose(together, alone, atol=2e-5)
    assert torch.allclose(encoder(encoder.collate(given[::-1])).flip(0), together, atol=2e-5)
    # neither does a second encoder, or what was drawn before
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  (extractors draw from it)
    again = make("encoder", NAME[name], folder=saved(name))
    assert torch.equal(again(again.collate(given)), together)
    assert again.fingerprint() == encoder.fingerprint()
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_pictures_equal_the_model_run_by_hand(saved: Build) -> None:
    import transformers

    folder = saved("vit")
    pictures = items("vit", 2)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        expected = model(**processor(images=pictures, return_tensors="pt")).last_hidden_state
    for pooling, right in {"auto": expected[:, 0], "cls": expected[:, 0], "mean": expected.mean(1)}.items():
        found = make("encoder", "hf-vision", folder=folder, pooling=pooling).encode(pictures)
        assert torch.allclose(found, right, atol=1e-5)


def test_pictures_of_a_pair_of_encoders_are_projected(saved: Build) -> None:
    import transformers

    model = transformers.CLIPModel.from_pretrained(saved("clip")).eval()
    encoder = make("encoder", "hf-vision", folder=saved("clip"))
    with torch.no_grad():
        pixels = encoder.collate(items("clip", 2))
        expected = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    assert torch.allclose(encoder(pixels), expected, atol=1e-5)
    plain = make("encoder", "hf-vision", folder=saved("clip"), pooling="mean")
    assert plain.encode(items("clip", 2)).shape == (2, plain.dim) == (2, 32)


def test_long_sounds_are_the_mean_of_their_windows(saved: Build) -> None:
    long = items("clap", 4)[3]
    for name, size in (("clap", 16000), ("clap-fusion", 16000), ("ast", round(1.015 * 16000)), ("wave-layer", 16000)):
        settings = {"seconds": 1.0} if name == "wave-layer" else {}
        encoder = make("encoder", "hf-audio", folder=saved(name), **settings)
        parts = [(long[0][a:b], 16000) for a, b in windows(len(long[0]), size)]
        assert len(parts) == 3
        assert torch.allclose(encoder.encode([long])[0], encoder.encode(parts).mean(0), atol=2e-5)


@pytest.mark.parametrize("name", SOUNDS)
def test_silence_and_a_single_sample_are_finite(saved: Build, name: str) -> None:
    encoder = make("encoder", "hf-audio", folder=saved(name))
    for sound in (np.zeros(16000), np.zeros(1), np.ones(1) * 0.5):
        assert bool(torch.isfinite(encoder.encode([(sound, 16000)])).all())


def test_frames_of_videos_are_at_even_steps(saved: Build) -> None:
    encoder = make("encoder", "hf-video", folder=saved("videomae"))
    assert encoder.frames == 4
    assert encoder.collate([film(0)]).shape == (1, 4, 3, 32, 32)
    by_hand = encoder.processor([media.load_frames(film(0), 4)], return_tensors="pt")
    assert torch.equal(encoder.collate([film(0)]), by_hand["pixel_values"])


def test_parts_of_a_video_are_the_videos_of_its_parts(saved: Build, tmp_path: Path) -> None:
    encoder = make("encoder", "hf-video", folder=saved("videomae"), parts=2)
    path = tmp_path / "film.mkv"
    path.write_bytes(film(0))
    length, _ = media.film_length(path)
    halves = [Row(0, "video", str(path), None, a, b, "", {}) for a, b in ((0.0, length / 2), (length / 2, length))]
    alone = make("encoder", "hf-video", folder=saved("videomae")).encode(halves)
    assert torch.allclose(encoder.encode([path, path]), alone.reshape(1, -1).expand(2, -1), atol=1e-5)
    assert encoder.dim == alone.numel()
    with pytest.raises(ModalignError, match="must be at least 1"):
        make("encoder", "hf-video", folder=saved("videomae"), parts=0)


def test_frames_go_through_vision_models_too(saved: Build) -> None:
    encoder = make("encoder", "frames", image={"name": "hf-vision", "folder": saved("vit")}, frames=3)
    assert encoder.encode([film(0), film(1)]).shape == (2, 32)


def test_other_weights_and_settings_have_other_fingerprints(saved: Build, tmp_path: Path) -> None:
    import shutil

    import transformers

    folder = shutil.copytree(saved("vit"), tmp_path / "copy")
    before = make("encoder", "hf-vision", folder=str(folder)).fingerprint()
    assert before == make("encoder", "hf-vision", folder=saved("vit")).fingerprint()
    assert before != make("encoder", "hf-vision", folder=str(folder), pooling="mean").fingerprint()
    transformers.ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    after = make("encoder", "hf-vision", folder=str(folder)).fingerprint()
    assert after != before
    torch.manual_seed(9)
    vit(transformers)[0].save_pretrained(folder)
    assert make("encoder", "hf-vision", folder=str(folder)).fingerprint() not in (before, after)


def test_missing_weights_are_never_drawn_at_random(saved: Build, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(saved("vit"), tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    gone = next(k for k in weights if "layer" in k and k.endswith("weight"))
    save_file({k: v for k, v in weights.items() if k != gone}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModalignError, match="lacks 1 of its weights"):
        make("encoder", "hf-vision", folder=str(folder)).encode(items("vit", 1))


def test_what_is_no_model_is_refused(saved: Build, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(ModalignError, match="neither a folder nor in the local cache"):
        make("encoder", "hf-vision", folder="nobody/no-such-model")
    with pytest.raises(ModalignError, match="not a model of transformers"):
        make("encoder", "hf-vision", folder=str(tmp_path))
    with pytest.raises(ModalignError, match="no audio model that modalign knows"):
        make("encoder", "hf-audio", folder=saved("vit"))
    with pytest.raises(ModalignError, match="not a model of videos"):
        make("encoder", "hf-video", folder=saved("vit"))
    folder = shutil.copytree(saved("vit"), tmp_path / "cut")
    (folder / "model.safetensors").write_bytes(b"0" * 50)
    with pytest.raises(ModalignError, match="cannot be loaded"):
        make("encoder", "hf-vision", folder=str(folder)).encode(items("vit", 1))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModalignError, match="no weights"):
        make("encoder", "hf-vision", folder=str(folder)).fingerprint()
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModalignError, match="no preprocessing"):
        make("encoder", "hf-vision", folder=str(folder)).collate(items("vit", 1))


def test_folders_come_first() -> None:
    assert model_folder(".") == Path(".")


def test_pooling_of_tokens() -> None:
    hidden = torch.randn(2, 5, 3)
    assert torch.equal(pool_tokens(hidden, torch.nn.Identity(), "cls"), hidden[:, 0])
    assert torch.equal(pool_tokens(hidden, torch.nn.Identity(), "mean"), hidden.mean(1))
    places = torch.randn(2, 3, 4, 4)
    assert torch.allclose(pool_tokens(places, torch.nn.Identity(), "auto"), places.mean((2, 3)))


# ------------------------------------------------------------------ the text side of two


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_those_of_the_whole_model(saved: Build, name: str) -> None:
    import transformers

    encoder = make("encoder", "hf-text", folder=saved(name))
    model = transformers.AutoModel.from_pretrained(saved(name)).eval()
    tokens = encoder.collate(SENTENCES)
    mask = torch.arange(tokens.ids.shape[1]) < tokens.length[:, None]
    with torch.no_grad():
        found = model.get_text_features(input_ids=tokens.ids, attention_mask=mask.long())
    expected = found if isinstance(found, torch.Tensor) else found.pooler_output
    ours, theirs = (torch.nn.functional.normalize(v, dim=1) for v in (encoder.encode(SENTENCES), expected))
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", TEXTS)
def test_long_texts_lose_words_but_keep_the_end_token(saved: Build, name: str) -> None:
    encoder = make("encoder", "hf-text", folder=saved(name))
    longest = {"clip-text": 16, "clap-text": 512}[name]
    assert encoder.longest == longest
    long = " ".join(WORDS[i % 80] for i in range(600))
    tokens = encoder.collate([long, "w1"])
    assert tokens.ids.shape == (2, longest)
    assert int(tokens.ids[0, -1]) == 98
    assert int(tokens.ids[0, -2]) == 3 + (longest - 3) % 80
    cut = " ".join(WORDS[i % 80] for i in range(longest - 2))
    assert torch.equal(encoder.encode([long]), encoder.encode([cut]))


def test_both_sides_share_one_space_and_both_can_be_tuned(saved: Build, tmp_path: Path) -> None:
    import shutil

    from modalign.features.encoders.tuning import Tuning, trained
    from modalign.training.finetune import raw_inputs

    folder = shutil.copytree(saved("clip"), tmp_path / "both")
    for path in Path(saved("clip-text")).glob("token*"):
        shutil.copy(path, folder)
    text, image = (make("encoder", n, folder=str(folder)) for n in ("hf-text", "hf-vision"))
    assert text.dim == image.dim == 24
    for encoder, given in ((text, SENTENCES), (image, items("clip"))):
        made = encoder.tunable(Tuning("last"))
        assert torch.allclose(made.net(raw_inputs(encoder, made, given)), encoder.encode(given), atol=1e-5)
        names = trained(made.net)
        assert any("projection" in n for n in names)
        assert not any(".layers.0." in n for n in names)


def test_models_without_a_text_side_are_refused(saved: Build) -> None:
    with pytest.raises(ModalignError, match="no text side"):
        make("encoder", "hf-text", folder=saved("vit"))
    with pytest.raises(ModalignError, match="not text"):
        make("encoder", "hf-text", folder=saved("clip-text")).encode([3])
