"""Lists in JSON, of any size."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ..errors import ModalignError
from ..files import from_json
from .lists import read_list, wrong_content


def read_json(path: Path, what: str = "list", kind: type = dict) -> Any:
    """JSON of a file whose outermost value is of one kind (dict or list).

    Raises:
        ModalignError: as ``read_list``, or not JSON (with the line), or of another kind.
    """
    text, _ = read_list(path, what)
    try:
        value = from_json(text)
    except json.JSONDecodeError as problem:
        raise ModalignError(f"{what} is damaged: {path}, line {problem.lineno}: {problem.msg}") from None
    if not isinstance(value, kind):
        raise ModalignError(f"{what} {path} holds a JSON {type(value).__name__}, not a {kind.__name__}")
    return value


def stream_json(path: Path, what: str = "list", chunk: int = 1 << 20) -> Iterator[tuple[str, Any]]:
    """Key and value of each entry of a JSON object, one at a time: files of many gigabytes in little memory.

    Raises:
        ModalignError: the file is missing, a pointer, not a JSON object, or cut off; entries before that are given.
    """
    try:
        handle = path.open(encoding="utf-8-sig")
    except OSError as problem:
        raise ModalignError(f"{what} not found or not readable: {path} ({problem.strerror})") from None
    with handle:
        buffer = _read_on(handle, chunk, path, what).lstrip()
        wrong = wrong_content(buffer[:200].encode())
        if wrong:
            raise ModalignError(f"{what} is {wrong} ({path})")
        if not buffer.startswith("{"):
            raise ModalignError(f"{what} {path} does not hold a JSON object")
        at, given = 1, 0
        while True:
            at = _BETWEEN.match(buffer, at).end()  # type: ignore[union-attr]
            if buffer.startswith("}", at):
                return
            entry = _entry(buffer, at)
            if entry is None:
                # Reading as much as is held keeps the work linear in the size of one entry.
                held = len(buffer) - at
                more = _read_on(handle, max(chunk, held), path, what) if held < LARGEST_ENTRY else ""
                if not more:
                    raise ModalignError(f"{what} is cut off or damaged: {path}, after {given} entries")
                buffer, at = buffer[at:] + more, 0
                continue
            key, value, at = entry
            given += 1
            yield key, value


def _read_on(handle: TextIO, size: int, path: Path, what: str) -> str:
    try:
        return handle.read(size)
    except UnicodeDecodeError as problem:
        raise ModalignError(f"{what} is damaged: {path} is not UTF-8 ({problem.reason})") from None


_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_COLON = re.compile(r"\s*:\s*")
LARGEST_ENTRY = 1 << 28  # characters: more than any video's captions; stops a damaged file from filling the memory


def _entry(text: str, at: int) -> tuple[str, Any, int] | None:
    """The key and value at a place in text, and where they end; None where they are not all there yet."""
    try:
        key, end = _DECODER.raw_decode(text, at)
        colon = _COLON.match(text, end)
        if colon is None:
            return None
        value, end = _DECODER.raw_decode(text, colon.end())
    except (ValueError, RecursionError):
        return None
    # A number at the very end of the buffer may go on in the next piece.
    return (str(key), value, end) if end < len(text) else None
