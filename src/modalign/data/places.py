"""Places of media files: inside their folder, found by their name whatever the extension."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import ModalignError, few
from ..files import as_path

IMAGES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".svgz", ".avif", ".apng", ".jfif",
    ".jpe", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".dib", ".pcx", ".qoi",
)  # fmt: skip
SOUNDS = (
    ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".oga", ".aiff", ".aif", ".aifc", ".mka", ".amr",
    ".caf", ".au", ".snd", ".w64", ".rf64", ".mp2", ".ac3", ".m4b", ".weba", ".wv", ".tta", ".spx",
)  # fmt: skip
VIDEOS = (
    ".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".flv", ".mpg", ".mpeg", ".3gp", ".wmv", ".ogv", ".ts", ".m2ts",
    ".mts", ".asf", ".vob", ".3g2", ".f4v", ".divx",
)  # fmt: skip
"""Endings of what the decoders read; the content decides, not the name."""

KINDS: Mapping[str, tuple[str, ...]] = {"image": IMAGES, "audio": SOUNDS, "video": VIDEOS, "text": (".txt",)}
KIND_OF = {extension: kind for kind, extensions in KINDS.items() for extension in extensions}

MAGIC = (
    (0, b"\xff\xd8\xff", ".jpg"), (0, b"\x89PNG\r\n", ".png"), (0, b"GIF8", ".gif"), (0, b"BM", ".bmp"),
    (0, b"II*\0", ".tif"), (0, b"MM\0*", ".tif"), (8, b"WEBP", ".webp"), (8, b"WAVE", ".wav"), (8, b"AVI ", ".avi"),
    (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (0, b"ID3", ".mp3"), (0, b"\xff\xfa", ".mp3"),
    (0, b"\xff\xfb", ".mp3"), (0, b"\xff\xf3", ".mp3"), (0, b"\xff\xf1", ".aac"), (0, b"\xff\xf9", ".aac"),
    (0, b"\x1a\x45\xdf\xa3", ".mkv"), (8, b"M4A", ".m4a"), (4, b"ftyp", ".mp4"), (0, b"FLV", ".flv"),
    (0, b"\0\0\x01\xba", ".mpg"),
)  # fmt: skip
"""How files begin: place, bytes, and the usual ending."""


def sniff(head: bytes) -> str | None:
    """The usual extension of a file's format, judged by its first 16 bytes; None where they tell nothing.

    Example:
        >>> sniff(b"\\x00\\x00\\x00\\x1cftypmp42"), sniff(b"RIFF\\x00\\x00\\x00\\x00WAVEfmt ")
        ('.mp4', '.wav')
    """
    return next((ending for at, magic, ending in MAGIC if head[at : at + len(magic)] == magic), None)


def inside(root: Path, entry: str, what: str = "list") -> Path:
    """The place of an entry under root; entries that lead out of it are refused.

    The path is judged as written (links on the user's own disk may point elsewhere, entries of a list may not).

    Raises:
        ModalignError: an absolute path, a drive, or one that climbs above root.

    Example:
        >>> inside(Path("/data"), "a/../b.jpg").as_posix()
        '/data/b.jpg'
        >>> inside(Path("/data"), "../etc/passwd")
        Traceback (most recent call last):
        ...
        modalign.errors.ModalignError: list names '../etc/passwd', which lies outside /data: refused
    """
    plain = os.path.normpath(entry.replace("\\", "/") if "\\" in entry else entry)
    climbs = plain == ".." or plain.startswith(("../", "/"))
    if climbs or re.match(r"[A-Za-z]:/", plain) or "\0" in entry or not entry.strip():
        raise ModalignError(f"{what} names '{entry}', which lies outside {root}: refused")
    return Path(os.path.abspath(root)) / plain


def hidden(path: Path | str) -> bool:
    """Whether a file is one that systems write beside people's own: ``._a.jpg``, ``.DS_Store``, ``__MACOSX/a.jpg``.

    Example:
        >>> hidden("photos/._a.jpg"), hidden("__MACOSX/a.jpg"), hidden("../photos/a.jpg")
        (True, True, False)
    """
    parts = Path(path).parts
    return "__MACOSX" in parts or any(p.startswith(".") and p not in (".", "..") for p in parts)


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted, hidden ones left out."""
    for place, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(s for s in subfolders if not hidden(s))
        yield from (Path(place, name) for name in sorted(names) if not hidden(name))


def clip_names(video: str, start: float, end: float) -> list[str]:
    """The names, without extension, under which people save a clip of a video, the plainest first.

    Example:
        >>> clip_names("-_A4yJmxFdM", 30.0, 40.0)[:3]
        ['-_A4yJmxFdM', 'Y-_A4yJmxFdM', '-_A4yJmxFdM_30']
    """
    whole = (f"{start:.0f}", f"{end:.0f}")
    ends = [f"_{whole[0]}", f"_{whole[0]}_{whole[1]}", f"_{start:.1f}_{end:.1f}", f"_{start:.3f}_{end:.3f}",
            f"_{start * 1000:.0f}", f"_{start * 1000:.0f}_{end * 1000:.0f}",
            f"_{whole[0].zfill(6)}_{whole[1].zfill(6)}"]  # fmt: skip
    return [f"{mark}{video}{end_}" for end_ in ["", *ends] for mark in ("", "Y")]


def existing_folder(root: Path | str, what: str) -> Path:
    """The absolute path of a folder that must be there."""
    path = Path(os.path.abspath(as_path(root).expanduser()))
    if not path.is_dir():
        raise ModalignError(f"{what} needs a folder, and there is none at {path}")
    return path


def first_folder(root: Path, names: Iterable[str]) -> Path:
    """The first of several folders that exists under root; the first name where none does."""
    candidates = [root / name for name in names]
    return next((c for c in candidates if c.is_dir()), candidates[0])


def first_file(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of several files that exists under root.

    Raises:
        ModalignError: none of them does; the message lists them.
    """
    for name in names:
        if (root / name).is_file():
            return root / name
    raise ModalignError(f"{what} not found in {root}: looked for {few(names)}")


class Files:
    """Media files under some folders, found by their name without extension, whatever the extension.

    Only the known extension is cut off, so names with dots keep them. Where several files share a name, the order
    of ``extensions`` decides, then the path.

    Args:
        folders: searched with their subfolders; those that do not exist hold nothing.
        extensions: in order of preference, with the dot, lower case.
    """

    def __init__(self, folders: Iterable[Path], extensions: Sequence[str]) -> None:
        self.folders = tuple(Path(os.path.abspath(f)) for f in folders)
        self.extensions = tuple(extensions)
        self._paths: dict[str, Path] = {}
        self.others: list[str] = []
        """Names of files of other endings, hidden ones left out."""
        self.doubles: list[str] = []
        """Files whose name without ending another file has too, which is taken."""
        rank: dict[str, tuple[int, str]] = {}
        for folder in self.folders:
            for path in walk(folder):
                stem, extension = os.path.splitext(path.name)
                if extension.lower() not in self.extensions:
                    self.others.append(path.name)
                    continue
                key = composed(stem)
                this = (self.extensions.index(extension.lower()), str(path))
                if rank.get(key, this) != this:
                    self.doubles.append(os.path.relpath(max(this, rank[key])[1], folder))
                if key not in rank or this < rank[key]:
                    rank[key] = this
                    self._paths[key] = path

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, *names: str) -> Path | None:
        """The file of the first of these names that there is, or None."""
        for name in names if self._paths else ():
            found = self._paths.get(composed(name))
            if found is not None:
                return found
        return None

    def place(self, *names: str) -> Path:
        """As ``find``; where there is none, the place where the first name would lie, to be reported as missing."""
        found = self.find(*names)
        if found is not None:
            return found
        return inside(self.folders[0], names[0] + self.extensions[0], "data set")

    def stems(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._paths)


def composed(name: str) -> str:
    """A name with its accents composed: file systems differ in how they write them."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def split_place(place: str | Path) -> tuple[Path, str]:
    """A file, and what is named behind it; either may have a # in its own name: the file is what is there.

    Example:
        >>> split_place("captions.csv#key")[1], split_place("captions.csv")[1], split_place("captions.csv#a#b")[1]
        ('key', '', 'a#b')
    """
    parts = str(place).split("#")
    cuts = [("#".join(parts[:n]), "#".join(parts[n:])) for n in range(1, len(parts) + 1)]
    whole, column = next((cut for cut in reversed(cuts) if cut[0] and os.path.exists(cut[0])), cuts[0])
    return Path(whole or place), column
