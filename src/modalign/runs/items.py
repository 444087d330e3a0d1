"""The items of a run: embeddings with their groups, and what each item is, in two files that fit together."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ..data.manifest import Manifest, Row
from ..data.media import signature, thumbnail
from ..data.places import KIND_OF
from ..errors import ModalignError
from ..files import RunFile, atomic, from_json, read_jsonl, to_json, write_text
from ..model import Heads
from ..progress import Progress, silent
from ..views import Views

THUMBNAIL = 96  # pixels
BLOCK, NEAR = 1 << 14, 1e-2  # rows compared at once; numbers of unit rows that are taken for equal
AT_ONCE = 256  # thumbnails that are asked for together
DRAWN = (
    20_000  # pictures of a modality; of more, those are drawn that a report may show, and a page draws what is asked
)

OWN = frozenset({"modality", "group", "split", "row", "text", "uri", "picture", "start", "end"})  # that entries hold

Entries = Mapping[str, list[dict[str, Any]]]
"""Modality -> one entry per row: "split", "row", "text" or "picture" (a path inside the folder) or "uri", metadata."""


class Items(NamedTuple):
    """z: embeddings in the shared space. entries: what each row of it is."""

    z: Views
    entries: Entries

    def split(self, name: str) -> Items:
        """The items of one split."""
        rows = {m: [i for i, e in enumerate(self.entries[m]) if e.get("split") == name] for m in self.z.modalities}
        kept = self.z.select({m: torch.tensor(index, dtype=torch.long) for m, index in rows.items()})
        return Items(kept, {m: [self.entries[m][i] for i in index] for m, index in rows.items()})

    def stranger(self, heads: Heads, splits: Mapping[str, Views]) -> str:
        """Where features are not those that were embedded: the first row that lies elsewhere; empty where all agree."""
        for m, known in self.z.data.items():
            found = [x for x in splits.values() if m in x]
            if (rows := sum(len(x[m]) for x in found)) != len(known):
                return f"they have {rows:,} rows of '{m}', not {len(known):,}"
            start = 0
            for x in found:
                for part, groups in zip(x[m].split(BLOCK), x.group[m].split(BLOCK), strict=True):
                    stop = start + len(part)
                    off = (heads.transform(part, m) - known[start:stop]).abs().amax(1) > NEAR
                    off |= groups.long() != self.z.group[m][start:stop].long()
                    if off.any():
                        return f"item {start + int(off.nonzero()[0])} of '{m}' is another one"
                    start = stop
        return ""

    def unlisted(self, manifest: Manifest) -> str:
        """Where a manifest lists other things than were embedded: the first item of another row; empty where none is.

        An item is known by its group and its words, or else by what the data set says of it.
        """
        for m in (m for m in self.z.modalities if m in manifest.modalities):
            for n, (g, entry) in enumerate(zip(self.z.group[m].tolist(), self.entries[m], strict=True)):
                r = int(entry["row"])
                if r >= len(manifest) or not _is_of(entry, m, g, manifest[r]):
                    return f"item {n} of '{m}' is another one"
        return ""

    def words(self) -> dict[int, str]:
        """Group -> its first words: an item without words of its own goes by them."""
        names: dict[int, str] = {}
        for m in self.z.modalities:
            for g, entry in zip(self.z.group[m].tolist(), self.entries[m], strict=True):
                if entry.get("text"):
                    names.setdefault(g, str(entry["text"]))
        return names

    def write(self, folder: Path) -> None:
        """Write both files, each atomically.

        Raises:
            ModalignError: as many entries as embeddings are not there.
        """
        tensors = {}
        for m, x in self.z.data.items():
            if len(self.entries[m]) != len(x):
                raise ModalignError(f"'{m}' has {len(x)} embeddings but {len(self.entries[m])} item descriptions")
            tensors[f"data.{m}"] = x.detach().cpu().clone(memory_format=torch.contiguous_format)
            tensors[f"group.{m}"] = self.z.group[m].cpu().clone()  # modalities may share one tensor, the file must not
        for pair, link in (self.z.links or {}).items():
            tensors[f"links.{json.dumps(pair)}"] = link.cpu().clone(memory_format=torch.contiguous_format)
        with atomic(folder / RunFile.VECTORS) as partial:
            partial.write_bytes(save(tensors))  # save_file would make a file that nobody else may read
        lines = [
            {"modality": m, "group": int(g), **entry}
            for m in self.z.modalities
            for g, entry in zip(self.z.group[m].tolist(), self.entries[m], strict=True)
        ]
        write_lines(folder / RunFile.ITEMS, lines)

    @classmethod
    def read(cls, folder: Path) -> Items:
        """Read what ``write`` wrote.

        Raises:
            ModalignError: files that are missing, damaged, or do not fit together.
        """
        path, listed = folder / RunFile.VECTORS, folder / RunFile.ITEMS
        if not path.exists():
            raise ModalignError(
                f"{folder} holds no embedded items ({path.name}): it is no run folder, or its run was not finished: "
                "run the command that made it again"
            )
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as problem:
            raise ModalignError(f"embeddings are damaged: {path} ({problem})") from None
        names = [key.removeprefix("data.") for key in tensors if key.startswith("data.")]
        if missing := [m for m in names if f"group.{m}" not in tensors]:
            raise ModalignError(f"embeddings are damaged: {path} has no groups of '{missing[0]}'")
        entries: dict[str, list[dict[str, Any]]] = {m: [] for m in names}
        for number, line in enumerate(read_jsonl(listed, "item list"), 1):
            if not isinstance(line, dict) or line.get("modality") not in entries or "group" not in line:
                raise ModalignError(f"item list is damaged: {listed}, line {number} names no modality or group")
            entries[line["modality"]].append(line)
        for m in names:
            if len(entries[m]) != len(tensors[f"data.{m}"]):
                raise ModalignError(
                    f"{folder}: {listed.name} lists {len(entries[m])} items of '{m}', "
                    f"{path.name} {len(tensors[f'data.{m}'])}"
                )
        widths = {m: tensors[f"data.{m}"].shape[-1] for m in names}
        if len(set(widths.values())) > 1:
            raise ModalignError(f"embeddings are damaged: {path} has unequal widths {widths}")
        links = {_pair(key, path): table for key, table in tensors.items() if key.startswith("links.")}
        data, group = ({m: tensors[f"{kind}.{m}"] for m in names} for kind in ("data", "group"))
        return cls(Views(data, group, links or None), entries)


def _is_of(entry: Mapping[str, Any], modality: str, group: int, row: Row) -> bool:
    """Whether an entry tells of a row of a manifest."""
    known = metadata(row) if row.text is None else {"text": row.text}
    told = from_json(to_json(known))  # as it was read back
    same = all(entry.get(k, v) == v for k, v in told.items() if k != "id")  # some ids were told apart
    return (row.modality, row.group) == (modality, group) and same


def _pair(key: str, path: Path) -> tuple[str, str]:
    """The two modalities that links join, from the name of their table."""
    try:
        a, b = json.loads(key.removeprefix("links."))
    except ValueError:
        raise ModalignError(f"embeddings are damaged: {path} names links '{key}'") from None
    return str(a), str(b)


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(to_json(line) + "\n" for line in lines))


def describe(
    x: Views,
    modality: str,
    split: str,
    manifest: Manifest | None,
    ids: Sequence[str] = (),
    facts: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """One entry per row of a modality: its split, its row, its text, or its file by absolute path and its times, and
    what else the data set says of it.

    Rows of feature arrays, which have an ``index``, are no files that could be shown or played. Those with ``ids`` are
    called by them, unless ``facts`` name or quote them, and found by them where they differ.
    """
    rows = (x.row or {}).get(modality)
    numbers = rows.tolist() if rows is not None else list(range(len(x[modality])))
    entries: list[dict[str, Any]] = [{"split": split, "row": r} for r in numbers]
    if manifest is None:
        unlike = len(set(ids)) == len(ids)
        for entry, r in zip(entries, numbers, strict=True) if ids else ():
            known = facts[r] if facts else {}
            entry |= {"name": ids[r], **known} | ({"id": f"{modality}/{ids[r]}"} if unlike else {})
        return entries
    for entry, r in zip(entries, numbers, strict=True):
        row = manifest[r]
        if row.text is not None:
            entry["text"] = row.text
        elif "index" not in row.extra:
            entry["uri"] = os.path.abspath(str(row.uri))
            entry |= {k: t for k, t in (("start", row.start), ("end", row.end)) if t is not None}
        entry |= metadata(row)
    return entries


def metadata(row: Row) -> dict[str, Any]:
    """What a data set says of an item beyond what every entry has."""
    return {k: v for k, v in row.extra.items() if k not in OWN}


def told_apart(entries: Entries) -> Entries:
    """The same entries with ids that differ, as a table may give one id to all that stands in its row.

    Ids that are unique stay. Else each has its modality before it, and the row after it where items of that modality
    share one.

    Example:
        >>> twice = [{"id": 7, "row": 0}, {"id": 7, "row": 2}]
        >>> found = told_apart({"a": twice, "b": [{"id": 7, "row": 1}, {"row": 3}]})
        >>> [e.get("id") for own in found.values() for e in own]
        ['a/7/0', 'a/7/2', 'b/7', None]
    """
    ids = {m: [None if e.get("id") in (None, "") else str(e["id"]) for e in own] for m, own in entries.items()}
    given = [i for own in ids.values() for i in own if i is not None]
    if len(set(given)) == len(given):
        return entries
    counts = {m: Counter(own) for m, own in ids.items()}
    return {
        m: [
            e if i is None else {**e, "id": f"{m}/{i}" if counts[m][i] == 1 else f"{m}/{i}/{e['row']}"}
            for e, i in zip(own, ids[m], strict=True)
        ]
        for m, own in entries.items()
    }


def draw_thumbnails(folder: Path, entries: Entries, progress: Progress = silent) -> list[str]:
    """Small pictures of the image items in the run folder, drawn once: an image's "uri" becomes its "picture".

    Sounds and videos keep theirs, for players; their words are the file's name, where they have none. Of more than
    ``DRAWN`` pictures the training items keep theirs too.

    Returns:
        Why there is none, of each picture that could not be drawn.
    """
    lost = []
    with ThreadPoolExecutor(os.cpu_count(), "draw") as pool:  # half of the time a thread waits for the disk
        for m, own in entries.items():
            files = [
                (e, m == "image" or KIND_OF.get(Path(e["uri"]).suffix.lower()) == "image") for e in own if "uri" in e
            ]
            todo = [e for e, picture in files if picture]
            if len(todo) > DRAWN:
                todo = [e for e in todo if e["split"] != "train"][:DRAWN]
            for entry in (e for e, picture in files if not picture):
                entry.setdefault("text", Path(entry["uri"]).stem)
            for start in range(0, len(todo), AT_ONCE):
                some = todo[start : start + AT_ONCE]
                pictures = pool.map(partial(_drawn, folder), [entry.pop("uri") for entry in some])
                for done, (entry, (picture, problem)) in enumerate(zip(some, pictures, strict=True), start + 1):
                    entry |= {"picture": picture} if picture else {}
                    lost += [problem] if problem else []
                    progress(done, len(todo), "thumbnails")
    return lost


def _drawn(folder: Path, uri: str) -> tuple[str, str]:
    """Where in the run folder the thumbnail of a file lies, now at the latest; or why it does not."""
    try:
        name = hashlib.blake2b(signature(uri).encode(), digest_size=8).hexdigest()  # a changed file is drawn anew
        picture = f"{RunFile.PICTURES}/{name}.png"
        if not (place := folder / picture).exists():
            small = thumbnail(uri, THUMBNAIL)
            with atomic(place) as new:
                new.write_bytes(small)
    except ModalignError as problem:
        return "", str(problem)
    return picture, ""


def picture_of(folder: Path, entry: Mapping[str, Any]) -> Path | None:
    """The thumbnail of an item; None where there is none.

    Raises:
        ModalignError: the entry names a place outside the run folder.
    """
    if not entry.get("picture"):
        return None
    picture = (folder / str(entry["picture"])).resolve()
    if not picture.is_relative_to(folder.resolve()):
        raise ModalignError(
            f"item list is damaged: {folder / RunFile.ITEMS} names the picture {entry['picture']!r}, "
            "which lies outside the run folder"
        )
    return picture if picture.is_file() else None
