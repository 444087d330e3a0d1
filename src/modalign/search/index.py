"""A persistent index: built, added to, updated, deleted from, and opened by memory mapping."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModalignError, check_known, explained, few
from ..files import as_path, write_json
from ..model import copy_model, model_fingerprint
from ..outputs import claim, from_here
from ..parameters import Count, checked
from ..progress import Progress, silent
from . import origins, segments
from .ann import MIN_IVFPQ
from .gallery import Gallery, unit_rows
from .items import Entries, with_ids
from .part import Part
from .recall import cross_modal_recall
from .settings import AnnSettings, settings_from

Vectors = Mapping[str, Any]
"""Modality -> (n, d) embeddings: whatever ``views.tables.numbers`` reads."""


BUILT = ("format", "dim", "settings", "model", "segments", "batches", "deleted", "recall")
"""Of the description of an index, what follows from how it is built; the rest is facts that were given."""


class Index(Gallery):
    """A search index in a folder.

    Example:
        >>> import tempfile, torch
        >>> place = Path(tempfile.mkdtemp()) / "index"
        >>> index = Index.build(place, {"text": torch.eye(3)}, {"text": [{"text": w} for w in ("a", "b", "c")]})
        >>> index.delete(["text/0"]).count("text")
        2
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = folder = as_path(folder).absolute()  # it is changed later, maybe from another working folder
        self.current = segments.read_current(folder)
        while (parts := self._read()) is None:
            self.current = segments.read_current(folder)
        super().__init__(parts, int(self.current["dim"]))

    def __str__(self) -> str:
        return str(from_here(self.folder))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def _read(self) -> dict[str, list[Part]] | None:
        """What the description names; None where a writer has put another index in its place meanwhile."""
        try:
            return self._parts()
        except (FileNotFoundError, ModalignError) as problem:
            if segments.read_current(self.folder) != self.current:
                return None
            if isinstance(problem, ModalignError):
                raise
            raise ModalignError(
                f"index is damaged: {problem.filename} is gone; build it again with  modalign index"
            ) from None

    def _parts(self) -> dict[str, list[Part]]:
        dim = int(self.current["dim"])
        names = list(self.current["segments"])
        parts: dict[str, list[Part]] = {}
        read = [segments.read_segment(self.folder, name, dim) for name in names]
        deleted = segments.read_deleted(self.folder, self.current["deleted"])
        told = self.current.get("batches") or range(len(names))  # of an older version: every segment is one
        kinds = (KeyError, TypeError, IndexError, ValueError)
        for s, found in enumerate(read):
            for i, (m, part) in enumerate(found.items()):
                part.home = (s, i)
                with explained(f"index is damaged: {self.folder / segments.CURRENT}", *kinds, then="; build it again"):
                    part.batches = origins.read(told[s], m, len(part.vectors))
                gone = deleted[(deleted[:, 0] == s) & (deleted[:, 1] == i), 2]
                if len(gone):
                    part.dead = np.zeros(len(part.vectors), bool)
                    part.dead[gone] = True
                parts.setdefault(m, []).append(part)
        return parts

    @property
    def settings(self) -> AnnSettings:
        """How its vectors are indexed."""
        return settings_from(self.current["settings"], str(self.folder / segments.CURRENT))

    @property
    def model_folder(self) -> Path | None:
        """Folder of its model; None for an index of plain vectors."""
        model = self.current["model"]
        return self.folder / "model" / model["folder"] if model else None

    # ------------------------------------------------------------------ writing

    @classmethod
    @checked
    def build(
        cls,
        folder: Path | str,
        vectors: Vectors,
        items: Entries,
        *,
        settings: AnnSettings | None = None,
        model: Path | None = None,
        only: Sequence[str] | None = None,
        root: Path | None = None,
        facts: Mapping[str, Any] | None = None,
        shards: Count = 1,
        progress: Progress = silent,
    ) -> Index:
        """Build an index, in place of the one that may be there.

        Args:
            folder: of the index.
            vectors: modality -> (n, d) embeddings: tensors, arrays of any layout and type, data frames; scaled to
                length 1.
            items: modality -> one entry per row: "id" (default modality/row), "group", "text", "uri", "picture" and
                whatever else is known; all of it can be filtered on.
            settings: kind of index. only: modalities to index; the others serve to measure recall.
            model: run folder whose model made the vectors; the index keeps a copy and is tied to it.
            root: folder that "picture" paths start from. facts: noted in the index ("title", "attribution").
            shards: parts that are built side by side and searched together.

        Raises:
            ModalignError: rows and entries that do not match, unequal widths, equal ids, unknown modalities.
        """
        chosen = list(only) if only else list(vectors)
        for m in chosen:
            check_known("modality", m, vectors)
        rows = {m: unit_rows(x, m) for m, x in vectors.items()}
        described = {m: items.get(m, ()) for m in chosen}
        folder, settings = as_path(folder), settings or AnnSettings()
        return cls._built(folder, rows, described, settings, model, root, facts, shards, progress)

    @classmethod
    def _built(
        cls,
        folder: Path,
        rows: Mapping[str, np.ndarray],
        items: Entries,
        settings: AnnSettings,
        model: Path | None = None,
        root: Path | None = None,
        facts: Mapping[str, Any] | None = None,
        shards: int = 1,
        progress: Progress = silent,
        numbers: Mapping[str, np.ndarray] | None = None,
    ) -> Index:
        """``build``, of unit rows, of the modalities that ``items`` has.

        Args:
            numbers: modality -> batch of each row, where they were indexed in several before.
        """
        chosen, entries = list(items), with_ids(items, rows)
        with claim(folder, "index"):
            current = {
                "format": segments.FORMAT,
                "dim": _width(rows),
                "settings": asdict(settings),
                "model": _copy_model(folder, model) if model else None,
                "segments": [],
                "deleted": None,
                **(facts or {}),
            }
            kept = {m: rows[m] for m in chosen}
            relative = os.path.relpath(root.resolve(), folder.resolve()) if root else None
            current["segments"] = segments.write_shards(folder, kept, entries, settings, relative, shards, progress)
            told = 0 if numbers is None else {m: origins.runs(numbers[m]) for m in chosen}
            current["batches"] = [told] * len(current["segments"])
            current["recall"] = None
            if settings.kind != "exact":
                read = [segments.read_segment(folder, name, current["dim"]) for name in current["segments"]]
                fresh = Gallery({m: [parts[m] for parts in read if m in parts] for m in chosen}, current["dim"])
                current["recall"] = cross_modal_recall(fresh, rows, progress=progress)
            return cls._commit(folder, current)

    @classmethod
    def join(cls, folder: Path, indexes: Sequence[Path]) -> Index:
        """Make one index of several, built by other processes or on other machines: their segments, side by side.

        Files are linked where the file system can, else copied; nothing is built again.

        Args:
            folder: of the new index. indexes: folders, in the order of the rows.

        Raises:
            ModalignError: indexes of other models, widths or kinds, or items of one id in two of them.
        """
        parts = [cls(index) for index in indexes]
        first = parts[0].current
        for name in ("dim", "settings", "model", "migration", "mixed"):
            own = [part.current.get(name) for part in parts]
            if any(value != own[0] for value in own):
                raise ModalignError(f"the indexes differ in their {name}: {few(map(str, own))}")
        with claim(folder, "index", inputs=indexes):
            names: list[str] = []
            told: list[origins.Told] = []
            gone: list[np.ndarray] = []
            ids: set[str] = set()
            for part in parts:
                gone.append(part._deleted([]) + np.array([len(names), 0, 0]))
                told += origins.told(part, origins.unused(told))
                for name in part.current["segments"]:
                    segments.link(part.folder, folder, name)
                    names.append(name)
                if twice := ids.intersection(part._ids):
                    raise ModalignError(f"{part} has {len(twice)} ids that another has too ({few(sorted(twice), 3)})")
                ids.update(part._ids)
            if first["model"]:
                copy_model(indexes[0] / "model" / first["model"]["folder"], folder / "model" / first["model"]["folder"])
            deleted = segments.write_deleted(folder, np.concatenate(gone))
            changes = {"segments": names, "batches": told, "deleted": deleted, "recall": None}
            return cls._commit(folder, {**first, **changes, **credited(*(part.current for part in parts))})

    @classmethod
    def _commit(cls, folder: Path, current: Mapping[str, Any]) -> Index:
        write_json(folder / segments.CURRENT, current)
        segments.tidy(folder, current)
        return cls(folder)

    def add(
        self,
        vectors: Vectors,
        items: Entries,
        *,
        model: Path | None = None,
        update: bool = False,
        root: Path | None = None,
        facts: Mapping[str, Any] | None = None,
        progress: Progress = silent,
    ) -> Index:
        """Add items, as a segment beside the others. Returns the index with them; this one stays as it was.

        Args:
            model: run folder that the vectors come from; must be the index's model.
            update: items whose id is there take its place; without it they are refused.
            root: as in ``build``. facts: of the items; their "attribution" is noted beside the one that is there.

        Raises:
            ModalignError: another model (both fingerprints are named), another width (both), an id that is there.
        """
        if model is not None:
            self.check_model(model_fingerprint(model), str(model))
        rows = {m: unit_rows(x, m) for m, x in vectors.items()}
        if _width(rows) != self.dim:
            raise ModalignError(
                f"the new vectors have {_width(rows)} dimensions, the index {self.dim}{self._of_both_origins()}"
            )
        entries = with_ids({**dict.fromkeys(rows, ()), **items}, rows)
        with claim(self.folder, "index"):
            latest = Index(self.folder)
            known = {str(e["id"]) for m in entries for e in entries[m]}
            old = [i for i in known if latest.has(i)]
            if old and not update:
                raise ModalignError(
                    f"{len(old)} ids are in the index already ({few(sorted(old), 3)}): replace them with --update"
                )
            settings = latest.settings if min(len(x) for x in rows.values()) > 50_000 else AnnSettings()
            relative = os.path.relpath(root.resolve(), self.folder.resolve()) if root else None
            number = len(latest.current["segments"])
            name = segments.write_segment(self.folder, rows, entries, settings, relative, progress, number)
            deleted = segments.write_deleted(self.folder, latest._deleted(old))
            told = [*origins.told(latest), origins.joining(latest, entries)]
            changes = {"segments": [*latest.current["segments"], name], "batches": told, "deleted": deleted}
            return self._commit(self.folder, {**latest.current, **changes, **credited(latest.current, facts or {})})

    def delete(self, ids: str | Iterable[str | int]) -> Index:
        """Delete items by id, one or several. Returns the index without them; this one stays as it was.

        Raises:
            ModalignError: no item has such an id; nothing is deleted then.
        """
        with claim(self.folder, "index"):
            latest = Index(self.folder)
            gone = [ids] if isinstance(ids, str) else [str(i) for i in ids]
            deleted = segments.write_deleted(self.folder, latest._deleted(gone))
            return self._commit(self.folder, {**latest.current, "deleted": deleted})

    def compact(self, progress: Progress = silent) -> Index:
        """Rewrite the index as one segment without deleted items, or as none. Returns the new one."""
        with claim(self.folder, "index"):
            return Index(self.folder)._compacted(progress)

    def _compacted(self, progress: Progress) -> Index:
        alive = {m: np.flatnonzero(self.alive(m)) for m in self.modalities if self.count(m)}
        if not alive:
            nothing: dict[str, Any] = {"segments": [], "batches": [], "deleted": None, "recall": None}
            return self._commit(self.folder, {**self.current, **nothing})
        vectors = {m: self.vectors(m, rows) for m, rows in alive.items()}  # as they are, not scaled once more
        root = origins.common([self])
        items = {m: origins.entries(self, m, rows, root) for m, rows in alive.items()}
        settings = self.settings
        if settings.kind == "ivfpq" and any(len(x) < MIN_IVFPQ for x in vectors.values()):
            settings = AnnSettings()  # too few are left to learn codes from
        numbers = {m: self.batches(m)[rows] for m, rows in alive.items()}
        return Index._built(
            self.folder, vectors, items, settings, self.model_folder, root, self.facts, 1, progress, numbers
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What was noted in the index beside how it is built."""
        return {k: v for k, v in self.current.items() if k not in BUILT}

    def check_model(self, fingerprint: str, whose: str) -> None:
        """Refuse a model that is not the one of this index.

        Raises:
            ModalignError: naming both fingerprints.
        """
        own = (self.current["model"] or {}).get("fingerprint")
        if own is None:
            raise ModalignError(f"the index {self} holds plain vectors, made by no model{self._of_both_origins()}")
        if own != fingerprint:
            raise ModalignError(
                f"the index {self} belongs to model {own}, but {whose} has model {fingerprint}: "
                "vectors of two models cannot be compared; build an index for each"
            )

    def _of_both_origins(self) -> str:
        """The end of a message that new items do not fit, where old and new ones of a migration lie in one list."""
        if not self.current.get("mixed"):
            return ""
        return "; it holds old and new items in one list: add rows of  modalign.migration.mixed_rows, or remap again"

    def has(self, id: str) -> bool:
        """Whether an item with this id can be found."""
        return id in self._ids

    def _deleted(self, more: Sequence[str]) -> np.ndarray:
        """Deleted rows and those of some ids, (n, 3)."""
        rows = [segments.read_deleted(self.folder, self.current["deleted"])]
        for part, row in (self.part(self.find(id)) for id in more):
            rows.append(np.array([[*part.home, row]], np.int64))
        return np.concatenate(rows)


def credited(*facts: Mapping[str, Any]) -> dict[str, str]:
    """Whom the data of several origins ask to name, each once.

    Example:
        >>> credited({"attribution": "A, CC BY"}, {}, {"attribution": "B"}, {"attribution": "A, CC BY"})
        {'attribution': 'A, CC BY; B'}
    """
    told = ""
    for own in facts:
        note = str(own.get("attribution") or "")
        if note and f"; {note}; " not in f"; {told}; ":
            told = f"{told}; {note}" if told else note
    return {"attribution": told} if told else {}


def _width(rows: Mapping[str, np.ndarray]) -> int:
    widths = {m: x.shape[1] for m, x in rows.items()}
    if not widths or not any(len(x) for x in rows.values()):
        raise ModalignError("there is nothing to index: no modality has any item")
    if len(set(widths.values())) > 1:
        raise ModalignError(f"the modalities have vectors of unequal widths {widths}")
    return next(iter(widths.values()))


def _copy_model(folder: Path, run: Path) -> dict[str, Any]:
    """Copy a run's model into the index."""
    fingerprint = model_fingerprint(run)
    copy_model(run, folder / "model" / fingerprint)
    return {"fingerprint": fingerprint, "folder": fingerprint}
