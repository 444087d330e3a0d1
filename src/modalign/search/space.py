"""A searchable space: the items, the model that made them, and its encoders. One face for runs and indexes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError, unknown
from ..features.choose import DEFAULTS
from ..features.encoders.base import loaded
from ..features.store import Store
from ..files import as_path
from ..model import Model, model_fingerprint
from ..outputs import from_here
from ..parameters import Count, check_value
from ..registry import get, make
from ..runs import Run
from .gallery import CORRECTIONS, Gallery, in_memory
from .index import Index
from .items import conditions, item_id, with_ids
from .part import Hit, Place
from .query import ITEM, VECTOR, Query, Term
from .segments import is_index
from .sources import embedded

INTERNAL = frozenset({"id", "modality", "group", "text", "uri", "picture", "split", "row", "start", "end", "name"})
CHANCE = 2000  # items looked at for the cosine of a random one


class Space:
    """Everything that answers a query.

    Args:
        folder: run or index folder. gallery: its items. model: folder of the model; None: queries by vector or item.
        root: folder that picture paths start from, where the gallery does not know it.
    """

    def __init__(
        self,
        folder: Path,
        gallery: Gallery,
        model: Path | None,
        root: Path | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.gallery, self.model_folder = folder, gallery, model
        self._root, self.facts = root, dict(facts or {})
        self._encoders: dict[str, Any] = {}
        self._lock = threading.RLock()

    def __str__(self) -> str:
        return str(from_here(self.folder))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    # ------------------------------------------------------------------ the model

    @loaded
    def model(self) -> Model:
        """The model, read when it is first needed."""
        if self.model_folder is None:
            raise ModalignError(f"{self} holds plain vectors: search it by --item, or by a vector")
        return Model.load(self.model_folder)

    @property
    def encoders(self) -> dict[str, dict[str, Any]]:
        """Modality -> encoder of raw queries."""
        return self.model.encoders if self.model_folder is not None else {}

    def encoder(self, kind: str) -> Any:
        """The encoder of a modality or of a kind of raw queries, made once.

        Raises:
            ModalignError: the model has none for it.
        """
        with self._lock:
            if (modality := self.require_encoder(kind)) not in self._encoders:
                self._encoders[modality] = make("encoder", **self.encoders[modality])
            return self._encoders[modality]

    def encode(self, modality: str, item: Any) -> np.ndarray:
        """A raw item as a unit vector (d,) of the shared space."""
        encoder = self.encoder(modality)
        with self._lock, torch.inference_mode():
            return self.place(modality, encoder(encoder.collate([item])))

    def place(self, modality: str, features: Tensor) -> np.ndarray:
        """Features (1, f) of a query as a unit vector (d,) of the shared space."""
        with self._lock, torch.inference_mode():
            return np.asarray(self.model.transform(features.float(), modality)[0].double().numpy())

    def vector(self, term: Term) -> np.ndarray:
        """A term's vector (d,)."""
        if term.kind == VECTOR:
            return np.asarray(term.value, np.float64)
        if term.kind == ITEM:
            place = self.gallery.find(str(term.value))
            return self.gallery.vectors(place.modality, [place.row])[0].astype(np.float64)
        modality = self.require_encoder(term.kind)
        return self.encode(modality, term.value if isinstance(term.value, bytes | str) else str(term.value))

    # ------------------------------------------------------------------ searching

    def sources(self, query: Query) -> tuple[str, ...]:
        """Modalities of a query, items by their own."""
        named = [self.reader(kind) or kind for kind in query.modalities]
        named += [self.gallery.find(str(t.value)).modality for t in query.terms if t.kind == ITEM and t.weight > 0]
        return tuple(dict.fromkeys(named))

    def targets(self, query: Query, to: Sequence[str] | str | None) -> list[str]:
        """Modalities to search in: those asked for ("any": all), else one that the query has not: pictures first.

        Raises:
            ModalignError: unknown modality, or no items at all.
        """
        known = [m for m in self.gallery.modalities if self.gallery.count(m)]
        if not known:
            raise ModalignError(f"{self} has no items: add some with  modalign index RUN --out {self} --add")
        if to:
            wanted = [to] if isinstance(to, str) else list(to)
            if wanted == ["any"]:
                return known
            for m in wanted:
                if m not in known:
                    raise unknown("modality of this run", m, [*known, "any"])
            return list(dict.fromkeys(wanted))
        asked = self.sources(query)
        order = sorted(known, key=lambda m: ("image", "text").index(m) if m in ("image", "text") else 2)
        return [next((m for m in order if m not in asked), order[0])]

    def search(
        self,
        query: Query,
        to: Sequence[str] | str | None = None,
        k: int = 10,
        where: Sequence[str] | Mapping[str, Any] | None = None,
        correction: str | None = None,
        exact: bool = False,
    ) -> dict[str, Any]:
        """The items nearest to a query.

        Args:
            query: what to look for.
            to: modality or modalities to search in, "any" for all; default: pictures, or words for pictures.
            k: how many, at least 1. where: filters on metadata, see ``conditions``.
            correction: "csls" or "inverted_softmax" against hubs; None: plain cosine.
            exact: compare with every item, whatever the index.

        Returns:
            {"query": [...], "to": [...], "run", "correction", "chance": {modality: {"mean", "sd", "high"}}, "hits"}:
            ``chance`` tells what a random item scores: mean, standard deviation and 95th percentile of the cosines.

        Raises:
            ModalignError: unknown items, modalities, keys or corrections, k below 1, or a modality without an encoder:
                before an encoder is loaded.
        """
        check_value(Query, query, "query")
        check_value(Count, k, "k")
        if correction is not None and correction not in CORRECTIONS:
            raise unknown("correction", correction, CORRECTIONS)
        for term in query.terms:
            if term.kind == ITEM:
                self.gallery.find(str(term.value))
        for m in self.targets(query, to):
            self.gallery.allowed(m, conditions(where))
        for kind in {t.kind for t in query.terms} - {ITEM, VECTOR}:
            self.require_encoder(kind)
        rows = query.vectors(self.vector)
        return self.answer(query, query.compose(rows), to, k, where, correction, exact)

    def reader(self, kind: str) -> str | None:
        """The modality as which raw queries of a kind are read: its own, else the first one under a name of the data
        set's whose encoder is of that kind, as words are read as ``question``."""
        if kind in self.encoders:
            return kind
        others = (m for m in self.encoders if m not in DEFAULTS)
        return next(
            (m for m in others if getattr(get("encoder", self.encoders[m]["name"]), "modality", "") == kind), None
        )

    def require_encoder(self, kind: str) -> str:
        """``reader``. Raises ModalignError where the model has no encoder for raw items of a kind."""
        if (modality := self.reader(kind)) is not None:
            return modality
        known = ", ".join(self.encoders) or "none: it was fitted on plain arrays"
        raise ModalignError(
            f"this run has no encoder for '{kind}' (it has: {known}); items of it are found by --item ID"
        )

    def answer(
        self,
        query: Query,
        vector: np.ndarray,
        to: Sequence[str] | str | None = None,
        k: int = 10,
        where: Sequence[str] | Mapping[str, Any] | None = None,
        correction: str | None = None,
        exact: bool = False,
    ) -> dict[str, Any]:
        """``search`` for a query whose vector (d,) is known."""
        targets = self.targets(query, to)
        bias = self.gallery.correction(correction, self.sources(query), targets) if correction else None
        own = {self.gallery.find(str(t.value)) for t in query.terms if t.kind == ITEM}  # they are no news
        found = self.gallery.nearest(vector, targets, k + len(own) if k > 0 else k, conditions(where), bias, exact)
        news = [f for f in found if f.place not in own][:k]
        hits = [self.hit(rank, f.score, f.cosine, f.place).json() for rank, f in enumerate(news, 1)]
        return {
            "query": [t.json() for t in query.terms],
            "to": targets,
            "run": str(self),
            "correction": correction,
            "chance": {m: self.chance(vector, m) for m in targets},
            "hits": hits,
        }

    def hit(self, rank: int, score: float, cosine: float, place: Place) -> Hit:
        """What a result is."""
        entry = self.gallery.entry(place)
        file = self.file(place)
        return Hit(
            rank=rank,
            score=round(score, 6),
            cosine=round(cosine, 6),
            modality=place.modality,
            id=item_id(entry.get("id"), *place),
            group=entry.get("group"),
            name=self.name(place, entry),
            picture=entry.get("picture"),
            file=file[0] if file else None,
            split=entry.get("split"),
            extra={k: v for k, v in entry.items() if k not in INTERNAL},
        )

    def name(self, place: Place, entry: Mapping[str, Any] | None = None) -> str:
        """What to call an item: its words or those of its group, else its file's name, modality and row, or id."""
        entry = entry if entry is not None else self.gallery.entry(place)
        words, row = self.gallery.words(place, entry), entry.get("row")
        return words or str(entry.get("name") or (self.gallery.id(place) if row is None else f"{place.modality} {row}"))

    def chance(self, vector: np.ndarray, modality: str) -> dict[str, float]:
        """Cosine of a random item of a modality with the query: mean, standard deviation, 95th percentile."""
        rows = self.gallery.sample(modality, CHANCE)
        if not len(rows):
            return {"mean": 0.0, "sd": 0.0, "high": 0.0}
        cosine = self.gallery.vectors(modality, rows) @ np.asarray(vector, np.float32)
        return {
            "mean": round(float(cosine.mean()), 6),
            "sd": round(float(cosine.std()), 6),
            "high": round(float(np.quantile(cosine, 0.95)), 6),
        }

    def file(self, place: Place) -> tuple[str, float | None, float | None] | None:
        """The file of an item with its times; None for words.

        Raises:
            ModalignError: a picture that lies outside the folder of pictures.
        """
        entry = self.gallery.entry(place)
        if entry.get("picture"):
            root = self.gallery.part(place)[0].root or self._root
            path = ((root or self.folder) / str(entry["picture"])).resolve()
            if root is None or not path.is_relative_to(root.resolve()):
                raise ModalignError(f"the picture of {entry.get('id')} lies outside the folder of pictures")
            return str(path), None, None
        if entry.get("uri"):
            return str(entry["uri"]), entry.get("start"), entry.get("end")
        return None


def space_of(index: Index) -> Space:
    """An index that is open, for search."""
    facts = {k: str(v) for k, v in index.current.items() if k in ("title", "attribution")}
    return Space(index.folder, index, index.model_folder, None, facts)


def open_space(folder: Path | str, model: Path | None = None) -> Space:
    """Open a run folder or an index for search.

    Args:
        folder: run, fit inside a run, or index. model: run whose model must be that of the index.

    Raises:
        ModalignError: neither; or an index of another model, with both fingerprints.
    """
    folder = as_path(folder).absolute()
    if is_index(folder):
        index = Index(folder)
        if model is not None:
            index.check_model(model_fingerprint(model), str(model))
        return space_of(index)
    if Store.is_store(folder):
        raise ModalignError(f"{folder} is a feature store: make an index of it with  modalign index RUN {folder}")
    if model is not None:
        raise ModalignError(f"{folder} is no index, so it has no other model to be checked against")
    run = Run.open(folder)
    source = embedded(run)
    z = source.z.data
    gallery = in_memory(z, with_ids(source.items, {m: x.numpy() for m, x in z.items()}))
    return Space(folder, gallery, folder if run.has_model else None, source.root, source.facts)
