"""Encoders that are said to have made vectors which lie ready in files, so that new items are encoded as those were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..data.places import KIND_OF
from ..errors import ModalignError, check_known
from ..registry import make
from ..specification import named
from .encoders.base import Encoder, credits_of

SAMPLE = 8  # rows that are encoded to see that the encoder is the one
NEAR = 0.05  # of a row's length: what precision and decoders may change
WHICH = "name the one that made them, or none"


class Origin(NamedTuple):
    """What is known of encoders, by modality: entries, fingerprints; whose weights they use; remarks."""

    encoders: dict[str, dict[str, Any]]
    fingerprints: dict[str, str]
    credits: tuple[str, ...]
    notes: list[str]


def origin_of(
    entries: Mapping[str, str | dict[str, Any]],
    x: Mapping[str, Tensor],
    facts: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Origin:
    """Make the encoders, and compare what they give for some of the items at hand with the vectors.

    Args:
        entries: modality -> name, or table of name and settings. x: modality -> (n, d).
        facts: modality -> of each row; its words are "text", its file is "uri".

    Raises:
        ModalignError: no such modality; an encoder of another width, or one that gives other vectors.
    """
    found = Origin({}, {}, (), [])
    for m, entry in entries.items():
        check_known("modality", m, x)
        table = named(entry)
        encoder: Encoder = make("encoder", **table)
        name, rows = table["name"], x[m]
        if encoder.dim != rows.shape[1]:
            raise ModalignError(f"encoder '{name}' gives {encoder.dim} numbers, but '{m}' has {rows.shape[1]}: {WHICH}")
        if told := _compared(encoder, name, m, rows, facts.get(m, ())):
            found.notes.append(told)
        found.encoders[m], found.fingerprints[m] = table, encoder.fingerprint()
        found = found._replace(credits=(*found.credits, *(c.line for c in credits_of(encoder))))
    return found._replace(credits=tuple(dict.fromkeys(found.credits)))


def _compared(encoder: Encoder, name: str, modality: str, rows: Tensor, facts: Sequence[Mapping[str, Any]]) -> str:
    """A remark where items at hand do not show that the encoder made these vectors; empty where they do.

    Raises:
        ModalignError: it did not. Files may be smaller copies of those that were encoded: then each vector is still
            nearest to that of its own file.
    """
    items = {i: _item(encoder.modality, fact) for i, fact in enumerate(facts)}
    there = [i for i, item in items.items() if item is not None]
    some = there[:: max(1, -(-len(there) // SAMPLE))]
    what = "words" if encoder.modality == "text" else f"{encoder.modality} files"
    if not some:
        return f"whether '{name}' made '{modality}' is not known: its table (--ids) has no {what} to compare"
    encoded = _encoded(encoder, {i: items[i] for i in some})
    some, made = list(encoded), torch.cat(list(encoded.values())).double().cpu()
    given = rows[some].double()
    if float(((given - made).norm(dim=1) / made.norm(dim=1)).median()) <= NEAR:
        return ""
    cosine, times = normalize(given) @ normalize(made).T, float((given.norm(dim=1) / made.norm(dim=1)).median())
    alike = f"median cosine {float(cosine.diag().median()):.2f} of {len(some)}, theirs are {times:.3g} times as long"
    told = f"encoder '{name}' gives other vectors than '{modality}' has ({alike})"
    own = 2 * len(some) >= SAMPLE and torch.equal(cosine.argmax(1), torch.arange(len(some)))
    if encoder.modality != "text" and own and 0.5 < times < 2:
        return f"{told}: are the {what} copies of another size?"
    raise ModalignError(f"{told}: {WHICH}")


def _encoded(encoder: Encoder, items: Mapping[int, Any]) -> dict[int, Tensor]:
    """Features of items, without those of files that cannot be decoded. Raises ModalignError: none can be."""
    found, first = {}, None
    for i, item in items.items():
        try:
            found[i] = encoder(encoder.collate([item]))
        except ModalignError as problem:
            first = first or problem
    if not found and first is not None:
        raise first
    return found


def _item(kind: str, fact: Mapping[str, Any]) -> Any:
    """The words or the file of a row, for an encoder of this modality; None where there is none."""
    if kind == "text":
        return fact.get("text")
    place = fact.get("uri")
    return place if place and KIND_OF.get(Path(place).suffix.lower()) == kind else None
