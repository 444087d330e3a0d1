"""WebDataset shards: tar files whose members with one key are one sample. Nothing is unpacked to disk.

A member is named ``<shard>#<member>`` in a manifest; ``open_member`` gives its bytes. Names inside an archive are only
names here, never places: no file is written, links and devices are passed over.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ModalignError, few
from ..files import from_json
from ..registry import register
from .manifest import Manifest
from .places import KIND_OF, aside
from .rows import Rows, split_name
from .tables import decode, wrong_content

ENDINGS = (".tar", ".tar.gz", ".tgz")
ABOUT = {"source": "WebDataset shards", "paper": "Aizman, Maltby and Breuel 2019, arXiv 2001.01858"}
TEXT_BYTES = 1 << 20
MEMBER_BYTES = 1 << 31
WORDS = ("caption", "captions", "text", "title")


class Member(NamedTuple):
    """Where the bytes of a member lie in its shard (offset -1: compressed, to be read through)."""

    offset: int
    size: int


class Shard(NamedTuple):
    """Members of a shard by name, in order. skipped: names that are no plain files. broken: what is wrong, or ""."""

    members: Mapping[str, Member]
    skipped: tuple[str, ...]
    broken: str


@register("dataset", "webdataset")
def webdataset(root: Path | str, split: str | None = None, *, modalities: dict[str, str] | None = None) -> Manifest:
    """WebDataset: samples in tar shards, members of one key together.

    Layout: a shard, a pattern such as ``shards/{000..012}.tar``, or a folder with ``*.tar`` (also ``.tar.gz``,
    ``.tgz``; slow to open at random), whose subfolders may be named train, val, test. The key of a member is its name
    up to the first dot after the last slash, the rest is its extension: ``/path/22.0/1.1.png`` is key
    ``/path/22.0/1``, extension ``1.png``. Pictures, sounds and videos are rows; ``.txt`` is a text, and so are caption,
    text or title of ``.json`` where the sample has no ``.txt``; ``.cls`` is a label.

    Args:
        root: see above. split: a folder's name; None for all.
        modalities: extension -> modality, for extensions that are not known by themselves ("left.jpg": "left").

    Returns:
        One group per sample (members of equal key that follow each other in a shard); extra: key, shard, label.
        ``meta`` counts shards that cannot be read and members that are no plain files.

    Raises:
        ModalignError: no shards, or none that can be read.

    Reference: Aizman, Maltby and Breuel 2019, arXiv 2001.01858.

    Example:
        >>> import io, tarfile
        >>> with tarfile.open("000.tar", "w") as shard:
        ...     for name, content in {"a.jpg": b"...", "a.txt": b"a dog"}.items():
        ...         member = tarfile.TarInfo(name)
        ...         member.size = len(content)
        ...         shard.addfile(member, io.BytesIO(content))
        >>> webdataset("000.tar").text
        (None, 'a dog')
    """
    paths = _shards(root)
    rows = Rows("webdataset", ABOUT)
    broken: list[str] = []
    skipped: list[str] = []
    others: list[str] = []
    top = Path(root) if Path(root).is_dir() else None
    for path in paths:
        shard = _index(path)
        if shard.broken:
            broken.append(f"{path.name} ({shard.broken})")
        skipped += shard.skipped
        inner = path.parent.relative_to(top).parts if top else ()
        part = split_name(inner[0]) if inner else ""
        for number, (key, sample) in enumerate(_samples(shard.members)):
            _sample(rows, path, (str(path), number), key, sample, part, modalities or {}, others)
    if others:
        rows.note("left_aside", aside(others))
    for name, found in (("broken_shards", broken), ("skipped_members", skipped)):
        if found:
            rows.note(name, f"{len(found)}: {few(found)}")
    if len(broken) == len(paths) and not any(_index(p).members for p in paths):
        raise ModalignError(f"none of the {len(paths)} shards of {root} can be read: {few(broken)}")
    return rows.manifest(split)


def key_and_extension(name: str) -> tuple[str, str] | None:
    """Key and extension of a member's name by WebDataset's rule, None where it has no extension.

    Example:
        >>> key_and_extension("/some/path/22.0/1.1.png")
        ('/some/path/22.0/1', '1.png')
        >>> key_and_extension("train.v1/README") is None
        True
    """
    folder, slash, last = name.rpartition("/")
    stem, dot, extension = last.partition(".")
    return (f"{folder}{slash}{stem}", extension) if stem and dot and extension else None


def is_member(uri: str) -> bool:
    """Whether a place is a member of a shard.

    Example:
        >>> is_member("/data/a.tar#1.jpg"), is_member("/data/1#2.jpg")
        (True, False)
    """
    return _split(uri) is not None


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
    shard = _index(path)
    member = shard.members.get(name)
    if member is None:
        raise ModalignError(f"{path} has no member '{name}'{f': {shard.broken}' if shard.broken else ''}")
    if member.size > limit:
        raise ModalignError(f"{uri} has {member.size:,} bytes, more than the {limit:,} that are allowed")
    return io.BytesIO(_read(path, name, member))


def _split(uri: str) -> tuple[str, str] | None:
    found = re.match(r"(.+?(?:\.tar|\.tar\.gz|\.tgz))#(.+)", uri, re.DOTALL)
    return (found.group(1), found.group(2)) if found else None


def _shards(root: Path | str) -> list[Path]:
    path = Path(root).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.name.endswith(ENDINGS) and p.is_file())
        if not found:
            raise ModalignError(f"no shards in {path}: looked for {', '.join('*' + e for e in ENDINGS)}")
        return [p.absolute() for p in found]
    names = list(_expand(str(path)))
    lost = [n for n in names if not Path(n).is_file()]
    if lost:
        raise ModalignError(f"{len(lost)} of {len(names)} shards not found: {few(lost)}")
    return [Path(n).absolute() for n in names]


def _expand(pattern: str) -> Iterator[str]:
    """Names of a pattern with number ranges: a{08..10} is a08, a09, a10.

    Example:
        >>> list(_expand("a{08..10}.tar"))
        ['a08.tar', 'a09.tar', 'a10.tar']
    """
    found = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if not found:
        yield pattern
        return
    first, last = found.groups()
    for i in range(int(first), int(last) + 1):
        yield from _expand(pattern[: found.start()] + str(i).zfill(len(first)) + pattern[found.end() :])


def _index(path: Path) -> Shard:
    try:
        state = path.stat()
    except OSError:
        return Shard({}, (), "not found")
    return _indexed(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _indexed(path: str, _mtime: int, size: int) -> Shard:
    """Members of a shard, read once per state of the file. Of a damaged shard, those before the damage."""
    members: dict[str, Member] = {}
    skipped: list[str] = []
    broken = ""
    plain = path.endswith(".tar")
    try:
        with tarfile.open(path, "r:" if plain else "r:*") as archive:
            for info in archive:
                if info.isdir():
                    continue
                if not info.isreg() or info.issparse():
                    skipped.append(info.name)
                elif plain and info.offset_data + info.size > size:
                    broken = f"cut off at '{info.name}'"
                elif info.name in members:
                    broken = f"two members are named '{info.name}'"
                else:
                    members[info.name] = Member(info.offset_data if plain else -1, info.size)
    except (tarfile.TarError, OSError, EOFError) as problem:
        with open(path, "rb") as handle:
            broken = broken or wrong_content(handle.read(200)) or f"damaged: {problem}"
    return Shard(members, tuple(skipped), broken)


def _read(path: Path, name: str, member: Member) -> bytes:
    try:
        if member.offset >= 0:
            with path.open("rb") as handle:
                handle.seek(member.offset)
                content = handle.read(member.size)
        else:
            with tarfile.open(path, "r:*") as archive:
                stream = archive.extractfile(name)
                content = stream.read(member.size) if stream else b""
    except (tarfile.TarError, OSError, EOFError, KeyError) as problem:
        raise ModalignError(f"{path}#{name} cannot be read: {problem}") from None
    if len(content) != member.size:
        raise ModalignError(f"{path}#{name} is cut off: {len(content):,} of {member.size:,} bytes")
    return content


Sample = dict[str, tuple[str, Member]]
"""Extension -> name and place of a member."""


def _samples(members: Mapping[str, Member]) -> Iterator[tuple[str, Sample]]:
    """Runs of members with the same key."""
    current: str | None = None
    sample: Sample = {}
    for name, member in members.items():
        parts = key_and_extension(name)
        if parts is None:
            continue
        key, extension = parts
        if key != current or extension.lower() in sample:
            if current is not None:
                yield current, sample
            current, sample = key, {}
        sample[extension.lower()] = (name, member)
    if current is not None:
        yield current, sample


def _sample(
    rows: Rows,
    path: Path,
    identity: object,
    key: str,
    sample: Sample,
    part: str,
    modalities: Mapping[str, str],
    others: list[str],
) -> None:
    group = rows.group(str(identity))
    extra: dict[str, Any] = {"key": key, "shard": path.name}
    label = _words(path, sample.get("cls"))
    if label is not None:
        extra["label"] = int(label) if re.fullmatch(r"\s*\d+\s*", label) else label.strip()
    described = _words(path, sample.get("json"))
    for extension, (name, _) in sample.items():
        kind = modalities.get(extension) or KIND_OF.get(f".{extension.rpartition('.')[2]}")
        if kind is None:
            others += [] if extension.rpartition(".")[2] in ("json", "cls") else [name]
            continue
        if extension.endswith("txt"):
            rows.text(group, _words(path, sample[extension]), part, kind, None, None, **extra)
        else:
            rows.file(group, kind, f"{path}#{name}", part, None, None, **extra)
    if described is not None and not any(e.endswith("txt") for e in sample):
        for text in _captions(described):
            rows.text(group, text, part, **extra)


def _words(path: Path, found: tuple[str, Member] | None) -> str | None:
    """Text of a small member, None where there is none (or one too large to be a caption)."""
    if found is None or found[1].size > TEXT_BYTES:
        return None
    try:
        return decode(_read(path, *found))[0]
    except ModalignError:
        return None


def _captions(described: str) -> Iterable[str]:
    try:
        content = from_json(described)
    except json.JSONDecodeError:
        return ()
    value = next((content[w] for w in WORDS if w in content), None) if isinstance(content, dict) else None
    several = value if isinstance(value, list) else [value]
    return [v for v in several if isinstance(v, str)]
