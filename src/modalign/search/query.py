"""Queries: words, pictures, sounds, videos, items of the index and vectors, added up and taken away."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import ModalignError, unknown
from ..parameters import Finite, checked
from ..values import whole_text
from ..views.compose import blend
from ..views.tables import numbers

ITEM, VECTOR = "item", "vector"
NO_QUERY = 'search needs a query: words, as in  modalign search RUN "a word"  or  --image FILE'
LONGEST = 10_000  # characters of one text


@checked
@dataclass(frozen=True)
class Term:
    """One part of a query.

    kind: a modality, or "item" (an id of the index), or "vector". value: words, a file, bytes, an id, or (d,) numbers.
    weight: how much it counts; negative: taken away. label: what to call it.
    """

    kind: str
    value: Any
    weight: Finite = 1.0
    label: str = ""

    def __post_init__(self) -> None:
        if self.kind == "text":
            if not str(self.value).strip():
                raise ModalignError("the words to search for are empty")
            if len(str(self.value)) > LONGEST:
                raise ModalignError(f"the words to search for are longer than {LONGEST:,} characters")
        elif isinstance(self.value, Path) and not os.path.isfile(self.value):
            raise ModalignError(f"{'picture' if self.kind == 'image' else 'file'} not found: {self.value}")

    def json(self) -> dict[str, Any]:
        """The term as a result names it."""
        shown = self.label or (f"<{len(self.value)} bytes>" if isinstance(self.value, bytes) else str(self.value))
        return {self.kind: shown, "weight": self.weight}


@dataclass(frozen=True)
class Query:
    """A sum of terms: q = sum_i w_i z_i / |sum_i w_i z_i|, z_i the unit vector of term i in the shared space.

    Example:
        >>> q = Query().text("a dog").text("snow", weight=0.5).minus("people")
        >>> [(t.kind, t.value, t.weight) for t in q.terms]
        [('text', 'a dog', 1.0), ('text', 'snow', 0.5), ('text', 'people', -1.0)]
    """

    HOW: ClassVar[str] = "Query().text(words) or Query().vector(x) makes one"

    terms: tuple[Term, ...] = ()

    def of(self, kind: str, value: Any, weight: float = 1.0, label: str = "") -> Query:
        """With one more term of any modality."""
        if kind == "text" and not isinstance(value, str):
            raise ModalignError(f"words to search for are one text, got {type(value).__name__}: {reprlib.repr(value)}")
        if kind == "text" and isinstance(value, str):
            value = whole_text(value)  # no encoder reads half a surrogate pair
        return replace(self, terms=(*self.terms, Term(kind, value, weight, label)))

    def text(self, words: str, weight: float = 1.0) -> Query:
        """With words."""
        return self.of("text", words, weight)

    def image(self, file: Path | str | bytes, weight: float = 1.0) -> Query:
        """With a picture."""
        return self.of("image", _file(file), weight)

    def audio(self, file: Path | str | bytes, weight: float = 1.0) -> Query:
        """With a sound."""
        return self.of("audio", _file(file), weight)

    def video(self, file: Path | str | bytes, weight: float = 1.0) -> Query:
        """With a video."""
        return self.of("video", _file(file), weight)

    def item(self, id: str, weight: float = 1.0) -> Query:
        """With an item of the index."""
        return self.of(ITEM, id, weight)

    def vector(self, values: Any, weight: float = 1.0, label: str = "vector") -> Query:
        """With a vector (d,) of the shared space; scaled to length 1."""
        return self.of(VECTOR, numbers(values, label).detach().cpu().double().numpy(), weight, label)

    def minus(self, value: Any, kind: str = "text", weight: float = 1.0) -> Query:
        """Without something: its vector is taken away."""
        return self.of(kind, value if kind in ("text", ITEM, VECTOR) else _file(value), -weight)

    def vectors(self, encode: Callable[[Term], np.ndarray]) -> np.ndarray:
        """(terms, d) float64 unit vectors.

        Raises:
            ModalignError: no terms, or one without a direction.
        """
        if not self.terms:
            raise ModalignError(NO_QUERY)
        rows = np.stack([np.asarray(encode(t), np.float64).ravel() for t in self.terms])
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(rows).all() or (length == 0).any():
            raise ModalignError("a part of the query has no direction in the shared space (zeros or NaN)")
        return rows / length

    def compose(self, rows: np.ndarray) -> np.ndarray:
        """(d,) the unit vector of the query from those of its terms.

        Raises:
            ModalignError: the terms cancel each other.

        Example:
            >>> Query().text("a").text("b", 0.0).compose(np.eye(2)).tolist()
            [1.0, 0.0]
        """
        weights = torch.tensor([t.weight for t in self.terms], dtype=torch.float64)
        return blend(torch.from_numpy(rows), weights).numpy()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the terms that count, without items and vectors."""
        return tuple(dict.fromkeys(t.kind for t in self.terms if t.kind not in (ITEM, VECTOR) and t.weight > 0))


def _file(value: Any) -> Any:
    return Path(value) if isinstance(value, str) else value


@checked
def parse_query(given: Mapping[str, Sequence[Any]], minus: Sequence[str] = (), weights: Sequence[str] = ()) -> Query:
    """A query from the options of a command.

    Args:
        given: modality or "item" -> values, in their order.
        minus: what is taken away: words, or "MODALITY=VALUE" with image, audio, video, text or item.
        weights: "KIND=NUMBER" for all terms of a kind, "KIND.N=NUMBER" for the Nth; KIND is a modality, item or minus.

    Raises:
        ModalignError: a weight that is no number or names no term.

    Example:
        >>> q = parse_query({"text": ["dog", "snow"]}, ["people"], ["text.2=0.5", "minus=0.3"])
        >>> [(t.value, t.weight) for t in q.terms]
        [('dog', 1.0), ('snow', 0.5), ('people', -0.3)]
    """
    table = _weights(weights)
    used: set[str] = set()

    def weight(kind: str, number: int) -> float:
        for key in (f"{kind}.{number}", kind):
            if key in table:
                used.add(key)
        return table.get(f"{kind}.{number}", table.get(kind, 1.0))

    query = Query()
    for kind, values in given.items():
        for n, value in enumerate(values, 1):
            query = query.of(kind, value if kind in ("text", ITEM) else _file(value), weight(kind, n))
    for n, text in enumerate(minus, 1):
        kind, _, rest = text.partition("=")
        kind, rest = (kind, rest) if kind in ("text", "image", "audio", "video", ITEM) and rest else ("text", text)
        query = query.minus(rest, kind, weight("minus", n))
    for key in table:
        if key not in used:
            terms = [f"{k}.{n}" for k, v in {**given, "minus": minus}.items() for n in range(1, len(v) + 1)]
            raise unknown("part of the query to weigh", key, terms)
    return query


def _weights(entries: Sequence[str]) -> dict[str, float]:
    table = {}
    for entry in entries:
        key, _, value = entry.partition("=")
        try:
            table[key.strip()] = float(value)
        except ValueError:
            raise ModalignError(
                f"a weight is written text=0.5 or text.2=0.5 (the second --text), got '{entry}'"
            ) from None
    return table
