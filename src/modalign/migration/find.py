"""Search across a change of model: by either model, in the old index or in one that was mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..files import read_table
from ..registry import make
from ..search.index import Index
from ..search.query import Query
from ..search.segments import CURRENT, is_index
from ..search.space import Space
from . import gradual
from .migrating import FACTS, Migration, load_migration

MODELS = ("new", "old")


def is_moved(folder: Path) -> bool:
    """Whether a folder is a migration, or a search index that one made."""
    if (folder / FACTS).is_file():
        return True
    return is_index(folder) and "migration" in read_table(folder / CURRENT, "index")


def items_of(folder: Path) -> Path:
    """The index that a search by one of its items asks: that of a migration, or the mapped one itself.

    Raises:
        ModalignError: old and new items in one list, whose rows are no queries.
    """
    if (folder / FACTS).is_file():
        folder = Moved(folder).index.folder
    if read_table(folder / CURRENT, "index").get("mixed"):
        raise ModalignError(f"{folder} holds old and new items in one list, which is searched by words or files")
    return folder


class Moved:
    """A gallery across a change of model.

    Args:
        folder: of a migration whose OLD is a search index (queries go into the old space), or an index of
            ``modalign remap`` (its items are in the new space).

    Raises:
        ModalignError: the old store is no search index, or the migration is gone.
    """

    def __init__(self, folder: Path) -> None:
        if (folder / FACTS).is_file():
            self.migration: Migration = load_migration(folder)
            place, self.home = Path(self.migration.facts["old"]["path"]), "old"
            if place.is_absolute() and not place.exists():
                raise ModalignError(
                    f"{folder} is a migration of {place}, which is not there any more: put it back, or migrate it "
                    "again where it lies now"
                )
            if not is_index(place):
                raise ModalignError(
                    f"{place} is no search index: map your queries with {folder}/queries and search there"
                )
        else:
            current = read_table(folder / CURRENT, "index")
            maker = current["migration"]
            if not (Path(maker) / FACTS).is_file():
                raise ModalignError(
                    f"{folder} was mapped by the migration {maker}, which is not there any more: put its folder back, "
                    "or ask by items alone (--item ID)"
                )
            self.migration, place = load_migration(maker), folder
            self.home = "new"
        self.index = Index(place)
        self.mixed = bool(self.index.current.get("mixed"))
        self.space = Space(place, self.index, self.index.model_folder)

    def vector(self, x: Tensor, by: str) -> Tensor:
        """Rows (n, d) that a model made, in the space of this gallery."""
        if by == self.home:
            rows = torch.nn.functional.normalize(x.float(), dim=1)
        else:
            rows = self.migration.queries(x) if by == "new" else self.migration.rows(x)
        return gradual.mixed_query(rows) if self.mixed else rows

    def encode(self, modality: str, value: Any, by: str) -> Tensor:
        """(1, d) a raw query through a model's encoder.

        Raises:
            ModalignError: the migration was told of no encoder for that model, or one of another modality.
        """
        name = self.migration.facts["encoders"].get(by)
        if name is None:
            if by == "old" and self.index.model_folder is not None:
                return torch.from_numpy(self.space.encode(modality, value))[None]
            raise ModalignError(
                f"the {by} model's encoder is not known: give  --{by}-encoder NAME  to modalign migrate"
            )
        encoder = make("encoder", name)
        if encoder.modality != modality:
            raise ModalignError(f"'{name}' encodes {encoder.modality}, not {modality}")
        with torch.inference_mode():
            found: Tensor = encoder(encoder.collate([value]))
        return found

    def search(
        self, modality: str, value: Any, by: str = "new", to: Sequence[str] = (), k: int = 10, where: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The nearest items to a raw query as a model sees it; see ``Space.search`` for what comes back.

        Raises:
            ModalignError: an unknown model.
        """
        check_known("model to search by", by, MODELS)
        vector = self.vector(self.encode(modality, value, by), by)[0].double().numpy()
        named = list(to) or [m for m in self.index.modalities if m == modality][:1] or list(self.index.modalities)[:1]
        found = self.space.answer(Query().vector(vector, label=str(value)), vector, named, k, where)
        return scaled({**found, "query": [{modality: str(value), "by": by}]}) if self.mixed else found


def scaled(found: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of a mixed index as the calibrated scores that they stand for."""
    hits = [
        {**h, "score": round(h["score"] * gradual.SCALE, 6), "cosine": round(h["cosine"] * gradual.SCALE, 6)}
        for h in found["hits"]
    ]
    chance = {m: {k: round(v * gradual.SCALE, 6) for k, v in c.items()} for m, c in found["chance"].items()}
    return {**found, "hits": hits, "chance": chance}


def search_moved(
    folder: Path,
    given: Mapping[str, Sequence[Any]],
    by: str | None = None,
    to: Sequence[str] = (),
    k: int = 10,
    where: Sequence[str] = (),
) -> dict[str, Any]:
    """``modalign search`` on a migration or a mapped index: one query of one modality.

    Raises:
        ModalignError: no query, or several.
    """
    queries = [(m, value) for m, values in given.items() for value in values]
    if len(queries) != 1:
        raise ModalignError(f"a migrated index is searched by one text or file at a time, got {len(queries)}")
    modality, value = queries[0]
    return Moved(folder).search(modality, value if isinstance(value, str) else str(value), by or "new", to, k, where)
