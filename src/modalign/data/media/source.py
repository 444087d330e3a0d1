"""Where the bytes of an item come from: a file, a member of a tar shard, or the bytes themselves."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...errors import ModalignError
from ...files import LFS, file_size
from ..shards import is_member, open_place

MAX_BYTES = 1 << 30
"""Largest file that is read into memory, in bytes."""

HASHED_BYTES = 64 * 1024
"""Files up to this size are identified by content, larger ones by place, size and times (``signature``)."""

KNOWN = {
    b"%PDF": "a PDF", b"PK\x03\x04": "a zip archive", b"RIFF": "a sound or video", b"<!DO": "a web page",
    b"<htm": "a web page", b"\x1f\x8b": "gzip data", b"%!PS": "PostScript: save it as SVG or PNG",
    b"\xff\x0a": "JPEG XL: save it as JPEG or PNG", b"\0\0\0\x0cJXL ": "JPEG XL: save it as JPEG or PNG",
    b"\x89PNG": "a picture", b"II*\0": "a picture", b"MM\0*": "a picture", b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture", b"MThd": "MIDI, which is notes, not sound",
}  # fmt: skip
"""How files begin that are met in place of others."""

BRANDS = dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1", b"hevc"), "HEIC: save it as JPEG")


def read_bytes(source: str | os.PathLike[str] | bytes) -> bytes:
    """Content of a file, of a member of a tar shard (``shard.tar#member``), or the bytes themselves.

    Raises:
        ModalignError: missing, unreadable, empty, too large, or a Git LFS pointer in place of the data.
    """
    with open_bytes(source) as handle, _readable(source):
        if not isinstance(source, bytes) and handle.seek(0, os.SEEK_END) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MAX_BYTES >> 20} MiB")
        handle.seek(0)
        return handle.read()


def open_bytes(source: str | os.PathLike[str] | bytes) -> io.BufferedIOBase:
    """A source as a binary file for a decoder. Files stay on disk, however large; the caller closes them.

    Raises:
        ModalignError: as ``read_bytes``, but only members of shards have a largest size.
    """
    if not isinstance(source, bytes | str | os.PathLike):
        raise ModalignError(f"a file is given as its path or its bytes, got {type(source).__name__}")
    with _readable(source):
        handle = io.BytesIO(source) if isinstance(source, bytes) else open_place(named(source), MAX_BYTES)
        head = handle.read(len(LFS))
        handle.seek(0)
    if head and not head.startswith(LFS):
        return handle
    handle.close()
    if not head:
        raise ModalignError(f"file is empty: {named(source)}")
    raise ModalignError(f"file is a Git LFS pointer, not the data: {named(source)} (run  git lfs pull)")


def signature(uri: str | os.PathLike[str]) -> str:
    """Identity of a file's content, for caches: changes whenever the content does.

    Small files (up to ``HASHED_BYTES``) are hashed, so they keep their identity when they are moved. Larger ones
    are known by absolute path, size, and times of modification and change, without being read. A member of a shard
    is known by its shard and its name.

    Raises:
        ModalignError: the file is missing or unreadable.
    """
    if is_member(str(uri)):
        shard, _, member = str(uri).partition("#")
        return f"member {member} of {signature(shard)}"
    with _readable(uri):
        path = Path(uri).resolve(strict=True)
        file_size(path)
        facts = path.stat()
        if facts.st_size <= HASHED_BYTES:
            return f"content {hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()}"
    return f"file {path} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


@contextmanager
def _readable(source: object) -> Iterator[None]:
    """What is wrong with a file is said in one line."""
    try:
        yield
    except ModalignError:
        raise
    except (FileNotFoundError, RuntimeError):  # links in a circle are the second
        raise ModalignError(f"file not found: {named(source)}") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise ModalignError(f"file cannot be read: {named(source)} ({reason})") from None


def installed(package: str) -> str:
    """The version of a package, for fingerprints of features; "none" where it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def named(source: object) -> str:
    """A source as a message names it: the path of what stands for one, whatever that looks like printed."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return os.fsdecode(source) if isinstance(source, os.PathLike) else str(source)


def looks_like(data: bytes) -> str:
    """A guess at what the beginning of a file is, for the message about one that is not what it should be.

    Example:
        >>> looks_like(b"%PDF-1.4")
        'looks like a PDF'
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "looks like a picture"
    for magic, what in KNOWN.items():
        if data.startswith(magic):
            return f"looks like {what}"
    if data[4:8] == b"ftyp":
        return f"looks like {BRANDS.get(data[8:12], 'a video (MP4)')}"
    if data[:4] == b"\x01\0\0\0" and data[40:44] == b" EMF":
        return "looks like a Windows metafile (EMF): save it as SVG or PNG"
    head = data[:64]
    return "looks like text" if all(32 <= c < 127 or c in b"\t\r\n" for c in head) else "unknown format"
