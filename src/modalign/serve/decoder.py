"""A process of its own that opens files nobody vouches for: it decodes, and gives back numbers or fresh pictures.

Run as ``python -m modalign.serve.decoder`` by ``workers``. A request is one JSON line and, if it says so, a payload; an
answer likewise. What a broken or hostile file can do ends here: the process has limits on memory and files, its
owner kills it when it takes too long, and only plain bytes of a known size come out, never objects.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any, BinaryIO

MEMORY = 6 << 30  # bytes of address space; torch alone maps two to three GiB
SOUND_RATE = 22_050
SOUND_SECONDS = 60.0


def main() -> None:
    """Answer requests on standard input until it ends."""
    wire = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    _limit()
    encoders: dict[str, Any] = {}
    _answer(wire, {"ready": True})
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        payload = sys.stdin.buffer.read(int(request.get("size", 0)))
        try:
            header, data = _work(request, payload, encoders)
        except Exception as problem:  # whatever a decoder raises is an answer, not an end
            header, data = {"error": _reason(problem, request)}, b""
        _answer(wire, header, data)


def _limit() -> None:
    import resource
    import tempfile

    tempfile.gettempdir()  # which torch asks for when it is imported, and which is found by writing a file
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write


def _answer(wire: BinaryIO, header: dict[str, Any], data: bytes = b"") -> None:
    wire.write(json.dumps({**header, "size": len(data)}).encode() + b"\n" + data)
    wire.flush()


def _reason(problem: Exception, request: dict[str, Any]) -> str:
    from ..errors import ModalignError

    if isinstance(problem, MemoryError):
        return "the file needs more memory than a decoder is given"
    text = " ".join(str(problem).split())[:300]
    if "path" in request:
        text = text.replace(str(request["path"]), "the file")  # where files lie is nobody's business
    return text if isinstance(problem, ModalignError) else f"the file cannot be decoded ({type(problem).__name__})"


def _work(request: dict[str, Any], payload: bytes, encoders: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    source = request.get("path") or payload
    times = request.get("start"), request.get("end")
    if request["op"] == "encode":
        return _encode(source, request["encoder"], encoders)
    if request["op"] == "sound":
        return _sound(source, *times)
    return {"type": "image/webp"}, _picture(source, request["op"], int(request["side"]), *times)


def _encode(source: Any, table: dict[str, Any], encoders: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    import torch

    from ..registry import make

    torch.set_num_threads(1)
    key = json.dumps(table, sort_keys=True)
    if key not in encoders:
        encoders[key] = make("encoder", **table)
    encoder = encoders[key]
    with torch.inference_mode():
        features = encoder(encoder.collate([source])).float().cpu().contiguous()
    return {"shape": list(features.shape)}, features.numpy().tobytes()


def _picture(source: Any, op: str, side: int, start: float | None, end: float | None) -> bytes:
    """A picture, or a frame of a video, as WebP."""
    from PIL import Image

    from ..data import media

    picture = media.load_image(source, side) if op == "picture" else media.load_frames(source, 1, start, end)[0]
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=84, method=2)
    return out.getvalue()


def _sound(source: Any, start: float | None, end: float | None) -> tuple[dict[str, Any], bytes]:
    import numpy as np
    from scipy.io import wavfile

    from ..data import media

    first = start or 0.0
    last = min(first + SOUND_SECONDS, end) if end is not None else first + SOUND_SECONDS
    samples, rate = media.load_sound(source, SOUND_RATE, start, last)
    out = io.BytesIO()
    wavfile.write(out, rate, (np.clip(samples, -1, 1) * 32767).astype(np.int16))
    return {"type": "audio/wav"}, out.getvalue()


if __name__ == "__main__":
    main()
