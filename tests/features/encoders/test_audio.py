"""Audio encoders: right values of log-mel bands, silence, gain, lengths, company, training."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F

from modalign.data.manifest import Manifest, Row
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.features.encoders.audio import LogMel, LogMelCNN, hear
from modalign.features.encoders.base import Encoder
from modalign.features.encoders.mel_cnn import Bands, MelCNN
from modalign.features.encoders.melbands import log_mel, mel_filters, statistics, windows
from modalign.registry import make

Sound = tuple[np.ndarray, int]


def tone(seconds: float, hertz: float = 1000.0, rate: int = 16000, level: float = 0.5) -> Sound:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate), rate)


def noise(seconds: float, seed: int = 0) -> Sound:
    return (np.random.default_rng(seed).normal(size=round(16000 * seconds)) * 0.1, 16000)


# ------------------------------------------------------------------ items


def test_items_are_encoded_in_their_order_whatever_holds_them() -> None:
    """A Series of pandas answers [0] with the item of that label."""
    sounds = [noise(0.2, seed) for seed in range(3)]
    right = LogMel().encode(sounds)
    turned = pytest.importorskip("pandas").Series(sounds, index=[2, 1, 0])
    for held in (tuple(sounds), (s for s in sounds), turned, dict(enumerate(sounds)).values()):
        assert torch.equal(LogMel().encode(held), right)
    with pytest.raises(ModalignError, match="takes a list of items, got one int"):
        LogMel().encode(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)])
def test_arrays_without_a_sample_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModalignError, match="sound has no samples"):
        LogMel().encode([(np.zeros(shape, np.float32), 16000)])


# ------------------------------------------------------------------ bands


def test_filters_are_triangles_that_cover_the_range() -> None:
    filters = mel_filters()
    assert filters.shape == (64, 513)
    assert float(filters.min()) == 0.0
    assert float(filters.max()) <= 1.0
    assert int((filters > 0).sum(1).min()) >= 3
    inside = torch.linspace(0, 8000, 513)
    middle = (inside > 100) & (inside < 7500)
    assert torch.allclose(filters.sum(0)[middle], torch.ones(int(middle.sum())), atol=1e-5)  # neighbours add up to 1
    centre = 700 * (10 ** (np.linspace(*(2595 * math.log10(1 + f / 700) for f in (50, 8000)), 66)[1:-1] / 2595) - 1)
    assert np.abs(filters.argmax(1).numpy() * 15.625 - centre).max() < 15.7


def test_bands_equal_a_plain_loop() -> None:
    x = torch.from_numpy(noise(0.1)[0]).float()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    expected = []
    for t in range(0, len(x) - 400 + 1, 160):
        spectrum = np.fft.rfft(x[t : t + 400].numpy() * hann, 1024) * 2 / np.sqrt(1024 * np.sum(hann**2))
        expected.append(np.log10(np.maximum(1e-10, mel_filters().double().numpy() @ np.abs(spectrum) ** 2)))
    assert np.allclose(log_mel(x).numpy(), np.stack(expected), atol=1e-4)


@pytest.mark.parametrize("hertz", [400.0, 1000.0, 3100.0])
def test_powers_of_a_full_scale_sine_add_up_to_one(hertz: float) -> None:
    bands = log_mel(torch.from_numpy(tone(1.0, hertz, level=1.0)[0]))
    assert bands.shape == (98, 64)
    assert torch.allclose((10**bands).sum(1), torch.ones(98), atol=0.02)
    half = log_mel(torch.from_numpy(tone(1.0, hertz, level=0.5)[0]))
    assert torch.allclose(bands.max() - half.max(), torch.tensor(2 * math.log10(2)), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_tone_stays_in_its_band_at_any_rate(rate: int) -> None:
    def loudest(sound: Sound) -> set[int]:
        return set(log_mel(hear(sound, 16000))[5:-5].argmax(1).tolist())

    assert loudest(tone(1.0, rate=rate)) == loudest(tone(1.0))


def test_long_sounds_are_transformed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(noise(1.0)[0])
    whole = log_mel(x)
    some = statistics(whole)
    monkeypatch.setattr("modalign.features.encoders.framing.FRAMES", 7)
    monkeypatch.setattr("modalign.features.encoders.melbands.CELLS", 300)
    assert torch.allclose(log_mel(x), whole, atol=1e-6)
    assert torch.allclose(log_mel(x.split(1234)), whole, atol=1e-6)
    assert torch.allclose(statistics(whole), some, atol=1e-6)


def test_statistics_are_those_of_numpy() -> None:
    x = torch.randn(50, 3)
    a = x.numpy()
    expected = [a.mean(0), a.std(0), *np.quantile(a, [0.1, 0.5, 0.9], axis=0), np.abs(np.diff(a, axis=0)).mean(0)]
    assert np.allclose(statistics(x).numpy(), np.concatenate(expected), atol=1e-6)


@pytest.mark.parametrize(("length", "size"), [(1, 10), (10, 10), (11, 10), (29, 10), (1000, 7)])
def test_windows_cover_everything_evenly(length: int, size: int) -> None:
    cuts = windows(length, size)
    assert len(cuts) == math.ceil(length / size)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == length
    assert set().union(*(range(a, b) for a, b in cuts)) == set(range(length))
    assert len({b - a for a, b in cuts}) == 1


# ------------------------------------------------------------------ encoders


@pytest.fixture(scope="module", params=["logmel", "logmel-cnn"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return make("encoder", request.param, **({"width": 4, "dim": 16} if request.param == "logmel-cnn" else {}))


def test_registered_and_of_its_kind(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert encoder.modality == "audio"
    assert encoder.encode([tone(0.5)]).shape == (1, encoder.dim)
    assert encoder.encode([]).shape == (0, encoder.dim)


@pytest.mark.parametrize("seconds", [1 / 16000, 0.01, 0.1, 0.17, 5.0])
def test_silence_and_short_sounds_are_finite(encoder: Encoder, seconds: float) -> None:
    silence = (np.zeros(max(1, round(16000 * seconds))), 16000)
    for sound in (silence, tone(max(seconds, 1 / 8000))):
        assert bool(torch.isfinite(encoder.encode([sound])).all())


def test_company_and_order_change_nothing(encoder: Encoder) -> None:
    sounds = [noise(s, i) for i, s in enumerate([0.5, 0.02, 3.0, 1.7, 0.33, 2.0, 0.05])]
    together = encoder(encoder.collate(sounds))
    alone = torch.cat([encoder(encoder.collate([s])) for s in sounds])
    backwards = encoder(encoder.collate(sounds[::-1])).flip(0)
    assert torch.allclose(together, alone, atol=1e-5, rtol=1e-5)
    assert torch.allclose(together, backwards, atol=1e-5, rtol=1e-5)


def test_two_runs_are_the_same_bit_for_bit(encoder: Encoder) -> None:
    again = make("encoder", "logmel") if isinstance(encoder, LogMel) else LogMelCNN(width=4, dim=16)
    torch.manual_seed(5)
    assert torch.equal(encoder.encode([noise(40.0)]), again.encode([noise(40.0)]))
    assert encoder.fingerprint() == again.fingerprint()


def test_gain_can_be_removed() -> None:
    quiet, loud = (noise(1.0)[0] * 0.01, 16000), noise(1.0)
    for name, size in (("logmel", {}), ("logmel-cnn", {"width": 4, "dim": 16})):
        kept, removed = (make("encoder", name, gain=g, **size) for g in ("keep", "remove"))
        assert torch.allclose(removed.encode([quiet]), removed.encode([loud]), atol=1e-4)
        assert not torch.allclose(kept.encode([quiet]), kept.encode([loud]), atol=1e-2)
        assert bool(torch.isfinite(removed.encode([(np.zeros(16000), 16000)])).all())
        assert kept.fingerprint() != removed.fingerprint()
    with pytest.raises(ModalignError, match="gain"):
        make("encoder", "logmel", gain="loud")


def test_rows_are_windows_of_files(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(3.0)[0], 16000, subtype="FLOAT")
    whole = noise(3.0)[0].astype(np.float32)
    encoder = LogMel()
    row = Row(0, "audio", uri=str(path), start=1.0, end=2.0)
    assert torch.equal(encoder.encode([row]), encoder.encode([(whole[16000:32000], 16000)]))
    with pytest.raises(ModalignError, match="words, not a sound"):
        encoder.encode([Row(0, "audio", text="woof")])


def test_broken_sounds_are_left_out_and_named(tmp_path: Path) -> None:
    out = io.BytesIO()
    soundfile.write(out, noise(1.0)[0], 16000, format="WAV")
    data = out.getvalue()
    for name, content in {"a": data, "b": data[:9000], "c": b"", "d": data}.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
    rows = [Row(i, "audio", uri=str(tmp_path / f"{n}.wav")) for i, n in enumerate("abcde")]
    store = embed(Manifest.from_rows(rows), {"audio": LogMel()}, tmp_path / "store")
    assert store.views().group["audio"].tolist() == [0, 3]
    assert [(f.row, f.reason.split(":")[0]) for f in store.failures] == [
        (1, "sound is truncated"),
        (2, "file is empty"),
        (4, "file not found"),
    ]


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for i in range(20):
        soundfile.write(tmp_path / f"{i}.wav", noise(0.1 + 0.05 * i, i)[0], 16000)
        rows.append(Row(i, "audio", uri=str(tmp_path / f"{i}.wav")))
    found = []
    for workers in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda w=workers: w)
        store = embed(Manifest.from_rows(rows), {"audio": LogMelCNN(width=4, dim=8)}, tmp_path / f"store{workers}")
        found.append(store.views().data["audio"])
    assert torch.equal(*found)


# ------------------------------------------------------------------ training


def test_long_sounds_are_the_mean_of_their_windows() -> None:
    encoder = LogMelCNN(width=4, dim=8, seconds=1.0)
    long = torch.from_numpy(noise(2.5)[0]).float()
    bands = log_mel(long)
    cuts = windows(len(bands), 100)
    assert len(cuts) == 3
    parts = encoder.net(Bands(torch.stack([bands[a:b] for a, b in cuts]), torch.full((3,), 100), torch.arange(3)))
    assert torch.allclose(encoder.encode([noise(2.5)])[0], parts.mean(0), atol=1e-5)


def test_padding_does_not_leak_in_training_either() -> None:
    net = MelCNN(bands=16, width=4, dim=8)
    values = torch.randn(2, 60, 16)
    length = torch.tensor([37, 60])
    once = net(Bands(values, length, torch.arange(2)))
    values[0, 37:] = 1e3
    assert torch.allclose(net(Bands(values, length, torch.arange(2))), once, atol=1e-5)
    values.requires_grad_()
    net(Bands(values, length, torch.arange(2)))[0].sum().backward()
    assert not values.grad[0, 37:].any()
    assert bool(values.grad[0, :32].any())


def test_the_network_learns_and_keeps_what_it_learnt(tmp_path: Path) -> None:
    """High and low tones in noise, told apart after a few steps, also by the encoder made from the saved weights."""

    def sounds(seed: int) -> tuple[list[Sound], torch.Tensor]:
        rng = np.random.default_rng(seed)
        label = np.arange(16) % 2
        pitch = np.where(label, rng.uniform(1500, 2500, 16), rng.uniform(300, 600, 16))
        mixed = [tone(0.3, p, level=0.05)[0] + rng.normal(size=4800) * 0.05 for p in pitch]
        return [(m, 16000) for m in mixed], torch.from_numpy(label)

    encoder = LogMelCNN(width=4, dim=2)
    net = encoder.trainable()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    batch, label = encoder.collate(sounds(0)[0]), sounds(0)[1]
    first = F.cross_entropy(net(batch), label).item()
    for _ in range(15):
        optimiser.zero_grad()
        loss = F.cross_entropy(net(batch), label)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.3 * first
    net.save(tmp_path / "net.safetensors")
    learnt = make("encoder", "logmel-cnn", weights=str(tmp_path / "net.safetensors"))
    fresh, truth = sounds(1)
    assert learnt.dim == 2
    assert (learnt.encode(fresh).argmax(1) == truth).float().mean() >= 0.9
    assert learnt.fingerprint() != encoder.fingerprint()
    torch.testing.assert_close(learnt.encode(fresh), net(learnt.collate(fresh)).detach())  # one without gradient


def test_the_network_tells_parts_of_time_apart(tmp_path: Path) -> None:
    """Hidden frames cut into parts by hand; silence first and silence last differ, which the whole does not tell."""
    whole, halves = LogMelCNN(width=4, dim=8, seconds=1.0), LogMelCNN(width=4, dim=8, seconds=1.0, parts=2)
    assert (whole.dim, halves.dim) == (8, 16)
    assert whole.fingerprint() == LogMelCNN(width=4, dim=8, seconds=1.0, parts=1).fingerprint() != halves.fingerprint()
    bands = torch.randn(1, 64, 64)  # 4 frames are left after four halvings, two a part
    seen: list[torch.Tensor] = []
    hook = halves.net.convolutions[-1].register_forward_hook(lambda *given: seen.append(given[2]))
    got = halves.net(Bands(bands, torch.tensor([64]), torch.tensor([0])))
    hook.remove()
    h = F.avg_pool2d(F.gelu(seen[0]), 2).movedim(2, -1).flatten(1, 2)
    expected = [halves.net.head(h[..., a : a + 2].mean(2) + h[..., a : a + 2].amax(2)) for a in (0, 2)]
    assert torch.allclose(got, torch.cat(expected, 1), atol=1e-6)
    half = noise(0.5)[0]
    late, early = (np.concatenate(s) for s in ((0 * half, half), (half, 0 * half)))
    apart = halves.encode([(late, 16000), (early, 16000)]).view(2, 2, 8)
    assert F.cosine_similarity(apart[0, 1], apart[1, 0], dim=0) > 0.9
    assert F.cosine_similarity(apart[0, 0], apart[0, 1], dim=0) < 0.5
    one, two = (halves.encode([s]) for s in (noise(2.0), noise(0.3)))  # two windows: the first is the first half
    assert torch.allclose(halves.encode([noise(2.0), noise(0.3)]), torch.cat([one, two]), atol=1e-5)
    bands = log_mel(torch.from_numpy(noise(2.0)[0]).float())
    cuts = [bands[a:b] for a, b in windows(len(bands), 100)]
    alone = halves.net(Bands(torch.stack(cuts), torch.full((2,), 100), torch.arange(2))).view(2, 2, 8)
    assert torch.allclose(one.view(2, 8), alone.mean(1), atol=1e-5)
    halves.net.save(tmp_path / "net.safetensors")
    again = LogMelCNN(weights=str(tmp_path / "net.safetensors"), seconds=1.0, parts=2)
    assert torch.equal(again.encode([noise(2.0)]), one)


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no weights")
    for path in (tmp_path / "x", tmp_path / "gone"):
        with pytest.raises(ModalignError, match="weights of the sound network cannot be read"):
            LogMelCNN(weights=str(path))
    with pytest.raises(ModalignError, match="bands must be at least 16"):
        MelCNN(bands=4)
    with pytest.raises(ModalignError, match="at least 1"):
        LogMelCNN(seconds=0.5)


def test_seeds_draw_other_weights() -> None:
    a, b = LogMelCNN(width=4, dim=8), LogMelCNN(width=4, dim=8, seed=1)
    assert a.fingerprint() != b.fingerprint()
    assert not torch.allclose(a.encode([noise(0.5)]), b.encode([noise(0.5)]))
