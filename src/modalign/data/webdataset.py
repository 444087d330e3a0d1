"""WebDataset: tar shards (`shards`) whose members with one key are one sample."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import ModalignError, few
from ..files import from_json
from ..parameters import Place
from ..registry import register
from .lists import decode
from .manifest import Manifest
from .places import KIND_OF, hidden
from .rows import Rows, split_name
from .shards import Member, index, read

ENDINGS = (".tar", ".tar.gz", ".tgz")
ABOUT = {"source": "WebDataset shards", "paper": "Aizman, Maltby and Breuel 2019, arXiv 2001.01858"}
TEXT_BYTES = 1 << 20
WORDS = ("caption", "captions", "text", "title")
READ = ("txt", "json", "cls")
"""Endings of members that are read while the samples are listed."""
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 1_000_000
NEIGHBOURS = 8
"""Shards behind a shard that may hold the other part of a sample."""
Keys = Literal["shard", "all"]


@register("dataset", "webdataset")
def webdataset(
    root: Place, split: str | None = None, *, modalities: dict[str, str] | None = None, keys: Keys | None = None
) -> Manifest:
    """WebDataset: samples in tar shards, members of one key together.

    Layout: a shard, a pattern such as ``shards/{000..012}.tar``, or a folder with ``*.tar`` (also ``.tar.gz``,
    ``.tgz``; slow to open at random), whose subfolders may be named train, val, test. The key of a member is its name
    up to the first dot after the last slash, the rest is its extension: ``/path/22.0/1.1.png`` is key
    ``/path/22.0/1``, extension ``1.png``. Pictures, sounds and videos are rows; ``.txt`` is a text, and so are caption,
    text or title of ``.json`` where the sample has no ``.txt``; ``.cls`` is a label.

    Args:
        root: see above. split: a folder's name; None for all.
        modalities: extension -> modality, in any case, for extensions that are not known by themselves
            ("left.jpg": "left").
        keys: "shard": equal keys are one sample within a shard, as many sets count anew in each; "all": anywhere, as
            where pictures lie in one shard and texts in another. None is "shard", and refuses samples that are torn:
            two shards none of whose common keys has the same extension in both.

    Returns:
        One group per sample (members of equal key, wherever they stand); extra: key, shard, label. ``left_out`` counts
        shards that cannot be read, members that are no plain files or of no known kind, and texts that are too large.

    Raises:
        ModalignError: no shards, none that can be read, or a sample whose parts lie in two shards (with its key).

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
    top = Path(root) if Path(root).is_dir() else None
    samples: dict[Path, dict[str, Sample]] = {}
    for path in paths:
        shard = index(path)
        if shard.broken:
            rows.left_out("shards", f"some or all of it cannot be read ({shard.broken})", path.name)
        for name, why in shard.skipped:
            rows.left_out("members", why, f"{path.name}#{name}")
        samples[path] = _samples(shard.members, path, rows)
    if not any(samples.values()) and all(index(p).broken for p in paths):
        found = few(f"{p.name} ({index(p).broken})" for p in paths)
        raise ModalignError(f"none of the {len(paths)} shards of {root} can be read: {found}")
    if keys is None:
        _refuse_torn(samples)
    kinds = {extension.lower(): modality for extension, modality in (modalities or {}).items()}
    for path, own in samples.items():
        inner = path.parent.relative_to(top).parts if top else ()
        part = split_name(inner[0]) if inner else ""
        for key, sample in own.items():
            _sample(rows, path, key if keys == "all" else f"{path} {key}", key, sample, part, kinds)
    return rows.manifest(split)


def _refuse_torn(samples: Mapping[Path, Mapping[str, Sample]]) -> None:
    """Refuse keys whose parts lie in two shards: those that they share have no extension in common."""
    where: dict[str, list[Path]] = {}
    for path, own in samples.items():
        for key in own:
            where.setdefault(key, []).append(path)
    parts: dict[tuple[Path, Path], list[str]] = {}  # of two shards, the keys that they seem to share between them
    whole: set[tuple[Path, Path]] = set()  # shards that count their keys anew
    for key, paths in where.items():
        for i, a in enumerate(paths):
            for b in paths[i + 1 : i + 1 + NEIGHBOURS]:
                if (a, b) in whole:
                    continue
                if {e for e, *_ in samples[a][key]} & {e for e, *_ in samples[b][key]}:
                    whole.add((a, b))
                    parts.pop((a, b), None)
                else:
                    parts.setdefault((a, b), []).append(key)
    if parts:
        (a, b), torn = next(iter(parts.items()))
        kinds = [", ".join(sorted(e for e, *_ in samples[p][torn[0]])) for p in (a, b)]
        raise ModalignError(
            f"the sample '{torn[0]}' is torn: {a.name} has its {kinds[0]}, {b.name} its {kinds[1]} "
            f"({sum(map(len, parts.values())):,} such keys): put the parts of a sample into one shard, or say what "
            'equal keys mean with keys="all" (one sample) or keys="shard" (a sample in each shard)'
        )


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


def _shards(root: Place) -> list[Path]:
    path = Path(root).expanduser()
    if path.is_dir():
        shards = (p for p in path.rglob("*") if p.name.endswith(ENDINGS) and not hidden(p.relative_to(path)))
        found = sorted(p for p in shards if p.is_file())
        if not found:
            raise ModalignError(f"no shards in {path}: looked for {', '.join('*' + e for e in ENDINGS)}")
        return [p.absolute() for p in found]
    count = math.prod(int(b) - int(a) + 1 for a, b in RANGE.findall(str(path)))
    if not 1 <= count <= MOST_SHARDS:
        raise ModalignError(f"{path} stands for {count:,} shards: a range counts from the smaller number to the larger")
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
    found = RANGE.search(pattern)
    if not found:
        yield pattern
        return
    first, last = found.groups()
    for i in range(int(first), int(last) + 1):
        yield from _expand(pattern[: found.start()] + str(i).zfill(len(first)) + pattern[found.end() :])


Sample = list[tuple[str, str, Member]]
"""Extension, name and place of each member."""


def _samples(members: Mapping[str, Member], path: Path, rows: Rows) -> dict[str, Sample]:
    """Members by key, whatever stands between them."""
    samples: dict[str, Sample] = {}
    for name, member in members.items():
        parts = key_and_extension(name)
        if hidden(name):
            continue  # of the system that packed the shard
        if parts is None:
            rows.left_out("members", "no key and extension in the name", f"{path.name}#{name}")
            continue
        samples.setdefault(parts[0], []).append((parts[1].lower(), name, member))
    return samples


def _sample(
    rows: Rows, path: Path, identity: str, key: str, sample: Sample, part: str, modalities: Mapping[str, str]
) -> None:
    group = rows.group(identity)
    extra: dict[str, Any] = {"key": key, "shard": path.name}
    words = {name: _words(rows, path, name, m) for extension, name, m in sample if extension.endswith(READ)}
    for extension, name, _ in sample:
        if extension == "cls" and (label := words[name]) is not None:
            extra["label"] = int(label) if re.fullmatch(r"\s*\d+\s*", label) else label.strip()
    captioned = any(extension.endswith("txt") for extension, *_ in sample)  # then JSON holds facts, not captions
    for extension, name, _ in sample:
        kind = modalities.get(extension) or KIND_OF.get(f".{extension.rpartition('.')[2]}")
        if extension in ("json", "cls"):
            continue
        if kind is None:
            rows.unknown(name)
        elif not extension.endswith("txt"):
            rows.file(group, kind, f"{path}#{name}", part, None, None, **extra)
        elif words[name] is not None:
            rows.text(group, words[name], part, kind, None, None, **extra)
    for extension, name, _ in sample if not captioned else ():
        if extension == "json" and words[name] is not None:
            for text in _captions(rows, f"{path.name}#{name}", str(words[name])):
                rows.text(group, text, part, **extra)


def _words(rows: Rows, path: Path, name: str, member: Member) -> str | None:
    """Text of a small member; None for one that is too large to be a caption, or that cannot be read."""
    if member.size > TEXT_BYTES:
        rows.left_out("texts", f"larger than {TEXT_BYTES >> 20} MiB", f"{path.name}#{name}")
        return None
    try:
        return decode(read(path, name, member))[0]
    except ModalignError as problem:
        rows.left_out("texts", str(problem), f"{path.name}#{name}")
        return None


def _captions(rows: Rows, place: str, described: str) -> Iterable[Any]:
    """The captions that a JSON member holds: texts, or whatever stands in their place."""
    try:
        content = from_json(described)
    except json.JSONDecodeError as problem:
        rows.left_out("texts", f"no JSON ({problem.msg})", place)
        return ()
    named = [content[w] for w in WORDS if w in content] if isinstance(content, dict) else []
    value = next((v for v in named if v), named[0] if named else [])
    return value if isinstance(value, list) else [value]
