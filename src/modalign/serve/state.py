"""What the server knows: the spaces it serves, files that were uploaded, and how requests become queries."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import ModalignError
from ..search.analysis import Analysis
from ..search.gallery import CORRECTIONS
from ..search.query import ITEM, Query
from ..search.space import Space
from ..values import whole_text
from .things import find, thing
from .workers import Answer, Decoders

UPLOADS = 256  # kept, the oldest are forgotten
WORDS = 2000  # characters of a text
TERMS = 12  # parts of a query
RESULTS = 200  # at most
REMEMBERED = 1024  # encoded texts
PICTURES = 4096  # decoded ones that are remembered
BATCH = 32  # texts encoded at once


class Upload(NamedTuple):
    """A file that was sent: its modality, name and features by encoder. The file itself is not kept."""

    modality: str
    name: str
    features: dict[str, torch.Tensor]


class SearchRequest(NamedTuple):
    """A checked search request."""

    terms: list[dict[str, Any]]
    to: list[str]
    k: int
    where: list[str]
    correction: str | None
    spaces: list[int]


class State:
    """Spaces, decoders and uploads.

    Args:
        spaces: what is served. names: what each is called.
    """

    def __init__(self, spaces: Sequence[Space], names: Sequence[str], decoders: Decoders | None = None) -> None:
        self.spaces, self.names = list(spaces), list(names)
        self.analysis = [Analysis(s.gallery) for s in spaces]
        self.decoders = decoders or Decoders()
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self._encoders: dict[str, Any] = {}
        self._waiting: dict[tuple[str, str], Future[torch.Tensor]] = {}
        self._lock, self._encoding = threading.Lock(), threading.Lock()
        self._features = lru_cache(REMEMBERED)(self._encode)
        self.picture = lru_cache(PICTURES)(self.decode)

    def warm(self, ended: threading.Event) -> None:
        """Load what the first query would wait for, until it is ended: the text encoder, counts of hubs, a decoder."""
        self.decoders.start()
        for number, space in enumerate(self.spaces):
            # What goes wrong here goes wrong again at the first query, which tells it; and a program that is ended
            # meanwhile takes away what is being imported.
            with contextlib.suppress(Exception):
                if space.reader("text") and not ended.is_set():
                    self._text(number, "a word")
                for m in space.gallery.modalities:
                    if not ended.is_set():
                        self.analysis[number].hubs(m)

    # ------------------------------------------------------------------ files

    def decode(self, op: str, path: str, side: int, start: float | None, end: float | None) -> Answer:
        """A file of an item, made anew by a decoder; ``picture`` does the same and remembers."""
        return self.decoders.ask({"op": op, "path": path, "side": side, "start": start, "end": end})

    def upload(self, modality: str, name: str, data: bytes) -> str:
        """Encode a file, with every encoder that a space has for it. Returns the token that queries name it by.

        Raises:
            ModalignError: no space has an encoder for it, or it cannot be decoded.
        """
        readers = [s.encoders[m] for s in self.spaces if (m := s.reader(modality)) is not None]
        tables = {_key(table): table for table in readers}
        if not tables:
            raise ModalignError(f"no run here has an encoder for '{modality}'")
        features = {key: self.decoders.encode(table, data) for key, table in tables.items()}
        token = secrets.token_urlsafe(12)
        with self._lock:
            self._uploads[token] = Upload(modality, name, features)
            while len(self._uploads) > UPLOADS:
                self._uploads.popitem(last=False)
        return token

    # ------------------------------------------------------------------ queries

    def query(self, request: SearchRequest, number: int) -> tuple[Query, np.ndarray]:
        """A request's query in one space, and the unit vectors of its terms (terms, d).

        Raises:
            ModalignError: an upload that is forgotten, or a space that lacks an encoder.
        """
        space = self.spaces[number]
        query = Query()
        vectors: list[np.ndarray] = []
        for term in request.terms:
            kind, value, weight = term["kind"], term["value"], term["weight"]
            if kind == "upload":
                upload = self._uploads.get(value)
                if upload is None:
                    raise ModalignError("an uploaded file has been forgotten: add it again")
                modality = space.require_encoder(upload.modality)
                features = upload.features.get(_key(space.encoders[modality]))
                if features is None:
                    raise ModalignError(f"{self.names[number]} cannot read '{upload.name}'")
                query = query.of(upload.modality, upload.name, weight, upload.name)
                vectors.append(space.place(modality, features))
            elif kind == ITEM:
                find(space, self.names[number], value, term["thing"])
                query = query.item(value, weight)
                vectors.append(space.vector(query.terms[-1]))
            else:
                query = query.text(value, weight)
                vectors.append(self._text(number, value))
        stacked = iter(vectors)
        return query, query.vectors(lambda term: next(stacked))

    def _text(self, number: int, words: str) -> np.ndarray:
        """A text's vector in a space; spaces with the same encoder share its features."""
        space = self.spaces[number]
        modality = space.require_encoder("text")
        encoder = space.encoder(modality)
        key = _key(space.encoders[modality])
        self._encoders.setdefault(key, encoder)  # one encoder of a kind, whichever run it is of
        return space.place(modality, self._features(key, words))

    def _encode(self, encoder: str, words: str) -> torch.Tensor:
        """Features (1, d) of words. Whoever comes first encodes all that wait, in one batch."""
        key = encoder, words
        with self._lock:
            waiting = self._waiting.setdefault(key, Future())
        with self._encoding:
            if not waiting.done():
                with self._lock:
                    others = [k for k in self._waiting if k[0] == encoder and k != key]
                    some = [key, *others[: BATCH - 1]]
                    futures = [self._waiting.pop(k) for k in some]
                try:
                    with torch.inference_mode():
                        rows = self._encoders[encoder].encode([words for _, words in some]).split(1)
                    for future, row in zip(futures, rows, strict=True):
                        future.set_result(row)
                except BaseException as problem:
                    for future in futures:
                        future.set_exception(problem)
        return waiting.result()

    def request(self, body: Any) -> SearchRequest:
        """Check the body of a search request.

        Raises:
            ModalignError: what is wrong with it.
        """
        if not isinstance(body, dict) or not isinstance(body.get("terms"), list):
            raise ModalignError("a search needs a list of terms")
        if not 1 <= len(body["terms"]) <= TERMS:
            raise ModalignError(f"a search has 1 to {TERMS} terms, got {len(body['terms'])}")
        k = body.get("k", 12)
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= RESULTS:
            raise ModalignError(f"k must be a whole number from 1 to {RESULTS}, got {k!r}")
        correction = body.get("correction") or None
        if correction is not None and correction not in CORRECTIONS:
            raise ModalignError(f"unknown correction {correction!r}")
        spaces = _texts(body.get("spaces", []), int, "spaces") or list(range(len(self.spaces)))
        if any(not 0 <= s < len(self.spaces) for s in spaces):
            raise ModalignError(f"there are {len(self.spaces)} runs, numbered from 0")
        return SearchRequest(
            [self._told(_term(t), spaces) for t in body["terms"]],
            _texts(body.get("to", []), str, "to"),
            k,
            _texts(body.get("where", []), str, "where"),
            correction,
            spaces,
        )

    def _told(self, term: dict[str, Any], spaces: Sequence[int]) -> dict[str, Any]:
        """An item that only its id tells is that of the first run; the others may have another under that id."""
        if term["kind"] != ITEM or term["thing"] is not None or len(spaces) < 2:
            return term
        gallery = self.spaces[spaces[0]].gallery
        try:
            place = gallery.find(term["value"])
        except ModalignError:
            return term
        return {**term, "thing": thing(self.spaces[spaces[0]], place, gallery.entry(place))}


def _key(table: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(table, sort_keys=True).encode(), digest_size=8).hexdigest()


def _texts(value: Any, kind: type, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > 32 or any(type(v) is not kind for v in value):
        raise ModalignError(f"'{what}' must be a short list")
    return value


def _term(term: Any) -> dict[str, Any]:
    """A checked term: {"kind": text, item or upload, "value", "weight", "thing": what an item is, or None}."""
    if not isinstance(term, dict) or term.get("kind") not in ("text", ITEM, "upload"):
        raise ModalignError("a term has the kind text, item or upload")
    value, weight = term.get("value"), term.get("weight", 1.0)
    if not isinstance(value, str) or not value.strip() or len(value) > WORDS:
        raise ModalignError(f"a term needs a value of 1 to {WORDS} characters")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not -100 <= weight <= 100:
        raise ModalignError("a weight must be a number between -100 and 100")
    thing = term.get("thing")
    if thing is not None and (not isinstance(thing, str) or len(thing) > 64):
        raise ModalignError("what an item is must be told as it was given")
    return {"kind": term["kind"], "value": whole_text(value), "weight": float(weight), "thing": thing}


def names_of(folders: Sequence[Path]) -> list[str]:
    """Short names that tell folders apart.

    Example:
        >>> names_of([Path("runs/a/full"), Path("runs/b/full")]), names_of([Path("runs/demo")])
        (['a/full', 'b/full'], ['demo'])
    """
    parts = [p.resolve().parts for p in folders]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(p[-1:])} ({i})" for i, p in enumerate(parts, 1)]
