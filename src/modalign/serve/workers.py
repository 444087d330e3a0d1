"""Decoding in processes of their own, with a time limit: what kills one of them does not touch the server."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import subprocess
import sys
import time
from typing import Any, NamedTuple

import torch

from ..errors import ModalignError
from ..files import from_json

START = 120.0  # seconds for a process to load what it needs
SECONDS = 20.0  # for one file
LARGEST = 64 << 20  # bytes of an answer


class Answer(NamedTuple):
    """What a decoder gave back."""

    header: dict[str, Any]
    data: bytes


class Decoders:
    """A few decoder processes, started when they are first needed and again after one was killed.

    Args:
        count: how many. seconds: how long one file may take.
    """

    def __init__(self, count: int = 2, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._free: queue.Queue[_Process | None] = queue.Queue()
        self._all: list[_Process] = []
        for _ in range(count):
            self._free.put(None)

    def ask(self, request: dict[str, Any], payload: bytes = b"", first: bool = False) -> Answer:
        """One request to a free process.

        Args:
            first: the process may have to load weights for it, so that starting time is added to the limit.

        Raises:
            ModalignError: the file is broken, takes too long, or ended the process.
        """
        process = self._free.get()
        try:
            if process is None or not process.alive():
                process = self._new()
            answer = process.ask(request, payload, self.seconds, START if first else 0.0)
        finally:
            self._free.put(process)
        if "error" in answer.header:
            raise ModalignError(str(answer.header["error"]))
        return answer

    def start(self) -> None:
        """Start the processes that are free now, so that the first files need not wait for them."""
        for _ in range(self._free.qsize()):
            with contextlib.suppress(queue.Empty):
                process = self._free.get_nowait()
                self._free.put(process if process is not None and process.alive() else self._new())

    def _new(self) -> _Process:
        process = _Process()
        self._all = [p for p in self._all if p.alive()] + [process]
        return process

    def encode(self, encoder: dict[str, Any], data: bytes) -> torch.Tensor:
        """Features (1, d) of an uploaded file.

        Raises:
            ModalignError: as ``ask``; or features that are no finite (1, d).
        """
        header, blob = self.ask({"op": "encode", "encoder": encoder}, data, first=True)
        shape = header.get("shape")
        if not isinstance(shape, list) or len(shape) != 2 or shape[0] != 1 or len(blob) != 4 * shape[1]:
            raise ModalignError("the encoder gave no features for this file")
        features = torch.frombuffer(bytearray(blob), dtype=torch.float32).view(1, -1)
        if not bool(torch.isfinite(features).all()):
            raise ModalignError("the encoder gave NaN or infinite features for this file")
        return features

    def close(self) -> None:
        """End all processes."""
        for process in self._all:
            process.kill()


class _Process:
    """One decoder process."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "modalign.serve.decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.started = False

    def alive(self) -> bool:
        return self.child.poll() is None

    def ask(self, request: dict[str, Any], payload: bytes, seconds: float, loading: float) -> Answer:
        try:
            if not self.started:
                self._read(START)
                self.started = True
            assert self.child.stdin is not None
            line = json.dumps({**request, "size": len(payload)}).encode() + b"\n"
            self.child.stdin.write(line + payload)
            self.child.stdin.flush()
            return self._read(seconds + loading)
        except TimeoutError:
            self.kill()
            raise ModalignError(f"the file takes longer than {seconds:.0f} s to decode: refused") from None
        except (OSError, EOFError, ValueError):
            self.kill()
            raise ModalignError("the file cannot be decoded: it ended the decoder") from None

    def _read(self, seconds: float) -> Answer:
        """A header line and as many bytes as it says, within a time limit."""
        assert self.child.stdout is not None
        handle, limit = self.child.stdout.fileno(), time.monotonic() + seconds
        buffer = b""
        size: int | None = None
        header: dict[str, Any] = {}
        with selectors.DefaultSelector() as selector:
            selector.register(handle, selectors.EVENT_READ)
            while size is None or len(buffer) < size:
                left = limit - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError
                part = os.read(handle, 1 << 20)
                if not part:
                    raise EOFError
                buffer += part
                if size is None and b"\n" in buffer:
                    line, _, buffer = buffer.partition(b"\n")
                    header = from_json(line)
                    size = int(header["size"])
                if len(buffer) > LARGEST or (size is not None and size > LARGEST):
                    raise ValueError("answer too large")
        return Answer(header, buffer)

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
