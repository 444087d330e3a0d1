"""Members of tar shards, read where they lie. Nothing is unpacked to disk.

A member is named ``<shard>#<member>``; ``open_member`` gives its bytes. Names inside an archive are only names here,
never places: no file is written, links and devices are passed over.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..errors import ModalignError, explained
from ..files import file_size
from .lists import wrong_content

MEMBER_BYTES = 1 << 31
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
"""How compressed archives begin, whatever their name."""


class Member(NamedTuple):
    """Where the bytes of a member lie in its shard (offset -1: compressed, to be read through)."""

    offset: int
    size: int


class Shard(NamedTuple):
    """Members of a shard by name, in order. skipped: names and why. broken: what is wrong with the shard, or ""."""

    members: Mapping[str, Member]
    skipped: tuple[tuple[str, str], ...]
    broken: str


def is_member(uri: str) -> bool:
    """Whether a place is a member of a shard.

    Example:
        >>> is_member("/data/a.tar#1.jpg"), is_member("/data/1#2.jpg")
        (True, False)
    """
    return _split(uri) is not None


def shard_of(uri: str | None) -> str | None:
    """The shard that a place lies in; None where it is no member of one.

    Example:
        >>> shard_of("/data/a.tar#1.jpg"), shard_of("/data/1.jpg")
        ('/data/a.tar', None)
    """
    found = None if uri is None else _split(uri)
    return found and found[0]


def open_member(uri: str, limit: int = MEMBER_BYTES) -> io.BytesIO:
    """The bytes of a member, as a file object for a decoder.

    Args:
        uri: ``<shard>#<member>``. limit: bytes; larger members are refused.

    Raises:
        ModalignError: not such a place, no such shard or member, too large, or cut off.

    Example:
        >>> import tarfile
        >>> size = Path("a.txt").write_bytes(b"a dog")
        >>> with tarfile.open("000.tar", "w") as shard:
        ...     shard.add("a.txt")
        >>> open_member("000.tar#a.txt").read()
        b'a dog'
    """
    parts = _split(uri)
    if parts is None:
        raise ModalignError(f"'{uri}' is not a member of a shard: it should read SHARD.tar#MEMBER")
    path, name = Path(parts[0]), parts[1]
    shard = index(path)
    member = shard.members.get(name)
    if member is None:
        raise ModalignError(f"{path} has no member '{name}'{f': {shard.broken}' if shard.broken else ''}")
    if member.size > limit:
        raise ModalignError(f"{uri} has {member.size:,} bytes, more than the {limit:,} that are allowed")
    return io.BytesIO(read(path, name, member))


def open_place(uri: str, limit: int = MEMBER_BYTES) -> io.BufferedIOBase:
    """A file on disk, or a member of a shard, as a binary file.

    Raises:
        OSError: a file that cannot be read. ModalignError: as ``open_member``.
    """
    if is_member(uri):
        return open_member(uri, limit)
    file_size(uri)  # which refuses what has no end
    return open(uri, "rb")


def _split(uri: str) -> tuple[str, str] | None:
    found = re.match(r"(.+?(?:\.tar|\.tar\.gz|\.tgz))#(.+)", uri, re.DOTALL)
    return (found.group(1), found.group(2)) if found else None


def index(path: Path) -> Shard:
    """What a shard holds."""
    try:
        state = path.stat()
    except OSError:
        return Shard({}, (), "not found")
    return _indexed(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _indexed(path: str, _mtime: int, size: int) -> Shard:
    """Members of a shard, read once per state of the file. Of a damaged shard, those before the damage."""
    members: dict[str, Member] = {}
    skipped: list[tuple[str, str]] = []
    broken = ""
    plain = _is_plain(Path(path))
    try:
        with tarfile.open(path, "r:" if plain else "r:*") as archive:
            for info in archive:
                if info.isdir():
                    continue
                if not info.isreg() or info.issparse():
                    skipped.append((info.name, "no plain files"))
                elif plain and info.offset_data + info.size > size:
                    broken = f"cut off at '{info.name}'"
                elif info.name in members:
                    skipped.append((info.name, "a member of that name comes before"))
                else:
                    members[info.name] = Member(info.offset_data if plain else -1, info.size)
            end = archive.offset
        broken = broken or (_after(path, end, size, next(reversed(members), "")) if plain else "")
    except (tarfile.TarError, OSError, EOFError) as problem:
        with open(path, "rb") as handle:
            broken = broken or wrong_content(handle.read(200)) or f"damaged: {problem}"
    return Shard(members, tuple(skipped), broken)


def _is_plain(path: Path) -> bool:
    """Whether a shard is an archive that is not compressed, judged by its content."""
    with path.open("rb") as handle:
        return not handle.read(6).startswith(PACKED)


def _after(path: str, end: int, size: int, last: str) -> str:
    """What speaks against a shard's end: the reader of archives stops there without a word."""
    if not end:
        return ""
    with open(path, "rb") as handle:
        handle.seek(end)
        mark = handle.read(tarfile.BLOCKSIZE)
        while (block := handle.read(1 << 20)) and not any(block):
            pass
    if end >= size:
        return f"it has no end mark, so that members may be missing after '{last}'"
    if any(mark):
        return f"cut off or damaged after '{last}'"
    return f"another archive follows after '{last}': take them apart" if any(block) else ""


def read(path: Path, name: str, member: Member) -> bytes:
    """The bytes of a member. Raises ModalignError where they cannot be read."""
    with explained(f"{path}#{name} cannot be read", tarfile.TarError, OSError, EOFError, KeyError):
        if member.offset >= 0:
            with path.open("rb") as handle:
                handle.seek(member.offset)
                content = handle.read(member.size)
        else:
            with tarfile.open(path, "r:*") as archive:
                stream = archive.extractfile(name)
                content = stream.read(member.size) if stream else b""
    if len(content) != member.size:
        raise ModalignError(f"{path}#{name} is cut off: {len(content):,} of {member.size:,} bytes")
    return content
