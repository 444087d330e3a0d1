"""Lists: their text, of any encoding, their JSON, of any size, and what lies there in place of one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..errors import ModalignError
from ..files import LFS, from_json

BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
OTHERS = (
    (b"PK\x03\x04", "a zip archive, not text: unpack it first"),
    (b"\x1f\x8b", "a gzip archive, not text: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive, not text: unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an Excel file, not text: save it as CSV (UTF-8)"),
    (b"PAR1", "a Parquet file: give it the ending .parquet"),
    (b"SQLite format 3", "a database, not text: export the table as CSV"),
    (b"%PDF", "a PDF, not text"),
)
"""What begins a file that is no list, and what to do."""
SHEETS = (b"[Content_Types].xml", b"xl/", b"opendocument.spreadsheet", b"Index/Document.iwa")
"""What is named at the beginning of the zip archives that Excel, LibreOffice and Numbers write."""


def wrong_content(head: bytes) -> str | None:
    """What a file holds in place of data, judged by its first bytes, or None when nothing speaks against it.

    Example:
        >>> wrong_content(b"version https://git-lfs.github.com/spec/v1")
        'a Git LFS pointer, not the data: run  git lfs pull  or download the file itself'
    """
    if not head:
        return "empty"
    if head.startswith(LFS):
        return "a Git LFS pointer, not the data: run  git lfs pull  or download the file itself"
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not the data: the download failed or needs a login"
    return None


def read_list(path: Path, what: str = "list") -> tuple[str, str]:
    """Text of a list file and the encoding it turned out to have.

    UTF-8 (with or without mark) and UTF-16 with mark are certain. Anything else is cp949 where it reads as Korean
    words, else cp1252, else latin-1.

    Raises:
        ModalignError: no such file, or it is empty, an archive, a spreadsheet or other binary data, a Git LFS pointer
            or a web page.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ModalignError(f"{what} not found: {path}") from None
    except OSError as problem:
        raise ModalignError(f"{what} cannot be read: {path} ({problem.strerror})") from None
    wrong = wrong_content(raw[:200])
    if wrong:
        raise ModalignError(f"{what} is {wrong} ({path})")
    if other := _binary(raw):
        raise ModalignError(f"{what} is {other} ({path})")
    return decode(raw)


def _binary(raw: bytes) -> str | None:
    """What bytes are that are no text, and what to do about it; None where they may be one."""
    found = next((said for magic, said in OTHERS if raw.startswith(magic)), None)
    if found and raw.startswith(b"PK") and any(name in raw[:4096] for name in SHEETS):
        return "a spreadsheet, not text: save it as CSV (UTF-8)"
    head = raw[:4096]
    marked = any(raw.startswith(mark) for mark, _ in BYTE_ORDER_MARKS)
    return found or ("binary data, not text" if not marked and head.count(0) > len(head) / 50 else None)


def decode(raw: bytes) -> tuple[str, str]:
    """Text and encoding of bytes; see ``read_list``.

    Example:
        >>> decode("개가 짖는다".encode("cp949"))
        ('개가 짖는다', 'cp949')
        >>> decode("a dog\N{RIGHT SINGLE QUOTATION MARK}s bark".encode("cp1252"))[1]
        'cp1252'
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace"), encoding  # it may be cut within a letter
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode("cp949")
        # Single accented letters of cp1252 can pass for lone Hangul syllables; Korean words have runs of them.
        foreign = len(re.findall(r"[^\x00-\x7f]", text))
        if sum(map(len, re.findall(r"[가-힣]{2,}", text))) > foreign / 2:
            return text, "cp949"
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


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


@contextmanager
def entries_of(what: str) -> Iterator[None]:
    """What the entries of a JSON list lack or hold instead becomes one clear line."""
    try:
        yield
    except ModalignError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        lack = f"an entry has no {problem}" if isinstance(problem, KeyError) else problem
        raise ModalignError(f"{what}: {lack}") from None


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
