"""Which files of a data set are there and what their names say, what lies in two splits: before hours of decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import few
from .leakage import LeakReport, leakage
from .left_out import lines as told
from .lists import wrong_content
from .manifest import Manifest
from .named import read_named
from .places import KIND_OF, sniff
from .shards import open_place

SAME = (
    {".jpg", ".jpeg"}, {".tif", ".tiff"}, {".ogg", ".opus"}, {".mkv", ".webm"}, {".mpg", ".mpeg"},
    {".mp4", ".m4a", ".m4v", ".mov", ".3gp"}, {".aac", ".m4a"},
)  # fmt: skip


@dataclass(frozen=True)
class FileReport:
    """What ``check_files`` found. Each list names files once, in the manifest's order.

    files: how many different files. missing: not there. empty: no bytes. pointers: Git LFS pointers in place of data.
    pages: web pages in place of data. mislabelled: file -> what it is ("a.mp3" -> ".mp4"); they can often be decoded.
    """

    files: int = 0
    missing: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    mislabelled: dict[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> int:
        """Number of files that hold something to decode."""
        return self.files - len(self.missing) - len(self.empty) - len(self.pointers) - len(self.pages)

    def lines(self) -> list[str]:
        """The report in words: a count and a few names per kind; kinds without any are left out."""
        found = [f"{self.usable:,} of {self.files:,} files are there"]
        for what, names in (
            ("missing", self.missing),
            ("empty", self.empty),
            ("Git LFS pointers, not data", self.pointers),
            ("web pages, not data", self.pages),
        ):
            if names:
                found.append(f"{len(names):,} {what}: {few(Path(n).name for n in names)}")
        if self.mislabelled:
            named = (f"{Path(n).name} is {kind}" for n, kind in self.mislabelled.items())
            found.append(f"{len(self.mislabelled):,} under a wrong extension: {few(named)}")
        return found


def check_files(manifest: Manifest) -> FileReport:
    """Look at each file of a manifest: is it there, has it bytes, are they data, are they what the name says?

    Reads 200 bytes of each file; decodes nothing.

    Returns:
        FileReport; ``lines()`` for people.

    Example:
        >>> m = Manifest.from_rows([{"group": 0, "modality": "image", "uri": "/nowhere/a.jpg"}])
        >>> check_files(m).lines()
        ['0 of 1 files are there', '1 missing: a.jpg']
    """
    names = list(dict.fromkeys(uri for uri in manifest.uri if uri is not None))
    found: dict[str, list[str]] = {"missing": [], "empty": [], "pointers": [], "pages": []}
    mislabelled: dict[str, str] = {}
    for name, head in _heads(names):
        wrong = wrong_content(head) if head is not None else ""
        if head is None:
            found["missing"].append(name)
        elif wrong:
            kind = "empty" if wrong == "empty" else "pointers" if "pointer" in wrong else "pages"
            found[kind].append(name)
        else:
            ending, real = Path(name).suffix.lower(), sniff(head)
            alike = real == ending or any({real, ending} <= group for group in SAME)
            if real and ending in KIND_OF and not alike:
                mislabelled[name] = real
    kinds: dict[str, Any] = {kind: tuple(own) for kind, own in found.items()}
    return FileReport(len(names), **kinds, mislabelled=mislabelled)


def _heads(names: list[str]) -> Iterator[tuple[str, bytes | None]]:
    """First bytes of each file, None for those that cannot be read."""
    for name in names:
        try:
            with open_place(name) as handle:
                yield name, handle.read(200)
        except (OSError, ValueError):
            yield name, None


def check_dataset(
    name: str,
    root: Path | None = None,
    settings: Sequence[str] = (),
    split: str | None = None,
    near: bool = True,
    against: str | None = None,
) -> dict[str, Any]:
    """What ``modalign check`` tells of a data set: rows, files, and what is in two splits at once. Encodes nothing.

    Args:
        name: of a registered data set. root: its folder or file. settings: ``key=value`` entries of the data set.
        split: only this one. near: also find pictures that look alike, which decodes each of them once, small.
        against: NAME=ROOT of another data set, which was or will be learnt from too: what lies in both is told.

    Returns:
        ``rows`` (modality -> number), ``splits`` (split -> number of groups), ``failures`` (what the reader left
        out), ``files`` (as ``FileReport``),
        ``across_splits`` (kind -> sets of names), ``shared`` (the same with the other data set), and ``lines`` for
        people.

    Example:
        >>> size = Path("list.csv").write_text("caption,split\\nA dog.,train\\na dog,test\\n")
        >>> check_dataset("table", Path("list.csv"))["across_splits"]["texts"]
        [['A dog.', 'a dog']]
    """
    manifest = read_named(name, root, settings, split)
    files, leaks = check_files(manifest), leakage(manifest, near=near)
    missing = set(files.missing)
    leaks = replace(leaks, unread=tuple(u for u in leaks.unread if u not in missing))
    both = shared(manifest, against, near) if against else None
    groups: dict[str, set[int]] = {}
    for row in manifest:
        groups.setdefault(row.split or "no split", set()).add(row.group)
    rows = {m: len(manifest.rows(m)) for m in manifest.modalities}
    splits = {name: len(found) for name, found in groups.items()}
    return {
        "dataset": name,
        "rows": rows,
        "splits": splits,
        "failures": [x.json() for x in manifest.left_out],
        "files": asdict(files),
        "across_splits": _named(leaks),
        "shared": _named(both) if both else {},
        "lines": [
            "rows: " + ", ".join(f"{n:,} {m}" for m, n in rows.items()),
            "groups: " + ", ".join(f"{n:,} {s}" for s, n in splits.items()),
            *told(manifest.left_out),
            *(files.lines() if files.files else ()),
            *leaks.lines(),
            *(f"with {against}: {line.replace('across splits', 'in both')}" for line in (both.lines() if both else ())),
        ],
    }


def shared(manifest: Manifest, against: str, near: bool) -> LeakReport:
    """What lies in a data set and in another, "NAME=ROOT": of both, the data set stands for the split."""
    name, _, root = against.partition("=")
    other = read_named(name, Path(root) if root else None)
    title = name if name != manifest.name else f"other {name}"
    first = int(manifest.group.max(initial=-1)) + 1
    rows = [row._replace(split=manifest.name) for row in manifest]
    rows += [row._replace(group=row.group + first, split=title) for row in other]
    return leakage(Manifest.from_rows(rows), near=near)


def _named(leaks: LeakReport) -> dict[str, list[list[str]]]:
    """Kind -> sets of names of what lies in two splits."""
    return {kind: [[leaks.names[r] for r in s] for s in sets] for kind, sets in leaks.across().items()}
