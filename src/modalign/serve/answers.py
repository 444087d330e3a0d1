"""The answers behind the page's addresses, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModalignError
from ..features.choose import DEFAULTS
from ..search import layout
from ..search.commands import command_line, notes
from ..search.examples import examples
from ..search.index import Index
from ..search.items import item_id
from ..search.part import Place
from ..search.query import ITEM, Query
from ..search.recall import recall_text
from ..search.space import Space
from .state import SearchRequest, State
from .things import find, thing
from .workers import Answer

SIDE, LARGE = 160, 640  # pixels of pictures
STARTS = 2  # items of a modality to begin with, where nothing can be asked in words
HEADS = {b"\x1a\x45\xdf\xa3": "video/webm"}
PICTURES, SOUNDS, VIDEOS = ("image",), ("audio",), ("video",)


class Video(NamedTuple):
    """A video file that may be sent as it is."""

    path: str
    type: str


# ------------------------------------------------------------------ what there is


def info(state: State, limits: Mapping[str, int], version: str) -> dict[str, Any]:
    """What is served, for the page to set itself up."""
    return {
        "version": version,
        "limits": dict(limits),
        "spaces": [_space(state, i, s) for i, s in enumerate(state.spaces)],
    }


def _space(state: State, number: int, space: Space) -> dict[str, Any]:
    gallery = space.gallery
    index = gallery if isinstance(gallery, Index) else None
    words = space.reader("text")
    return {
        "name": state.names[number],
        "title": space.facts.get("title", ""),
        "attribution": space.facts.get("attribution", ""),
        "modalities": {m: gallery.count(m) for m in gallery.modalities},
        "encoders": [kind for kind in DEFAULTS if space.reader(kind)],
        "dim": gallery.dim,
        "kind": index.settings.kind if index else "exact",
        "recall": _recall(index.current.get("recall")) if index else "",
        "examples": examples(space) if words else [],
        "starts": [] if words else [
            _item(state, number, Place(m, int(row))) for m in gallery.modalities for row in gallery.sample(m, STARTS)
        ],
        "keys": sorted(set(gallery.keys) - {"picture", "uri", "text", "row", "id", "modality", "name"}),
    }  # fmt: skip


def _recall(table: Mapping[str, Any] | None) -> str:
    """The measured recall of an approximate index in one line; empty for exact search."""
    head, *lines = recall_text(table) or [""]
    return f"{head} {'; '.join(map(str.strip, lines))}".strip()


# ------------------------------------------------------------------ searching


def search(state: State, body: Any) -> dict[str, Any]:
    """Answers of every run that is asked, each with the command that gives it."""
    request = state.request(body)
    return {"answers": [_one(state, request, number) for number in request.spaces]}


def _one(state: State, request: SearchRequest, number: int) -> dict[str, Any]:
    space = state.spaces[number]
    try:
        query, rows = state.query(request, number)
        vector = query.compose(rows)
        found = space.answer(query, vector, request.to or None, request.k, request.where, request.correction)
    except ModalignError as problem:
        if len(state.spaces) == 1:
            raise
        return {"space": number, "error": str(problem)}  # the other run may well have an answer
    hits = [_shown(state, number, h) for h in found["hits"]]
    command = command_line(space.folder, query, found["to"], request.k, request.where, request.correction)
    chance = {
        m: {**c, "n": space.gallery.count(m), "rank": (space.gallery.count(m) + 1) / 2}
        for m, c in found["chance"].items()
    }
    told = notes(space, query)
    return {"space": number, "to": found["to"], "hits": hits, "chance": chance, "command": command, "notes": told}


def _shown(state: State, number: int, hit: Mapping[str, Any]) -> dict[str, Any]:
    """A hit without paths, with where its picture and sound are and a warning where it is a hub."""
    place = state.spaces[number].gallery.find(hit["id"])
    told = {k: hit[k] for k in ("rank", "score", "cosine", "split", "extra")}
    return {**_item(state, number, place), **told, "hub": state.analysis[number].hub(place)}


def _links(space: Space, number: int, place: Place) -> dict[str, str]:
    """Addresses of an item's picture, sound and video."""
    try:
        there = space.file(place) is not None
    except ModalignError:
        there = False
    base = f"/media/{number}/{place.modality}/{place.row}"
    if not there:
        return {}
    if place.modality in SOUNDS:
        return {"sound": f"{base}?as=sound"}
    if place.modality in VIDEOS:
        return {"picture": f"{base}?as=frame", "video": f"{base}?as=video"}
    return {"picture": base}


def _item(state: State, number: int, place: Place, cosine: float | None = None) -> dict[str, Any]:
    space = state.spaces[number]
    entry = space.gallery.entry(place)
    shown = {
        "id": item_id(entry.get("id"), *place),
        "modality": place.modality,
        "row": place.row,
        "name": space.name(place, entry),
        "group": entry.get("group"),
        "thing": thing(space, place, entry),
        **_links(space, number, place),
    }
    return shown if cosine is None else {**shown, "cosine": round(cosine, 4)}


# ------------------------------------------------------------------ why


def why(state: State, body: Any) -> dict[str, Any]:
    """Why a result matched: share of each term, neighbours, and the geodesic path."""
    request = state.request(body)
    number = request.spaces[0]
    space, about = state.spaces[number], state.analysis[number]
    place = find(space, state.names[number], str(body.get("id", "")), body.get("thing"))
    query, rows = state.query(request, number)
    vector = query.compose(rows)
    own = space.gallery.vectors(place.modality, [place.row])[0].astype(np.float64)
    cosine = float(own @ vector)
    standing = layout.standing(space.gallery, vector, {place.modality: [place.row]})[place.modality]
    near_query, near_result = about.neighbours(vector), about.neighbours(own, without=place)
    shared = {m: len({f.place for f in near_query[m]} & {f.place for f in near_result[m]}) for m in near_query}
    path = about.path(vector, place)
    return {
        "item": {**_item(state, number, place, cosine), "hub": about.hub(place)},
        "rank": standing["rank"][0],
        "of": standing["of"],
        "chance": {"cosine": standing["mean"], "rank": standing["expected"]},
        "terms": _shares(query, rows, own),
        "near_query": {m: [_item(state, number, f.place, f.cosine) for f in fs] for m, fs in near_query.items()},
        "near_result": {m: [_item(state, number, f.place, f.cosine) for f in fs] for m, fs in near_result.items()},
        "shared": shared,
        "near_chance": {
            m: {"query": space.chance(vector, m)["mean"], "result": space.chance(own, m)["mean"]} for m in near_query
        },
        "path": None if path is None else {
            "steps": [
                {"item": None if s.place is None else _item(state, number, s.place), "cosine": s.cosine}
                for s in path.steps
            ],
            "length": path.length,
            "direct": path.direct,
            "chance": path.chance if np.isfinite(path.chance) else None,
        },
    }  # fmt: skip


def _shares(query: Query, rows: np.ndarray, own: np.ndarray) -> list[dict[str, Any]]:
    """What each term adds to the cosine: w_i <z_i, y> / |sum_i w_i z_i|; they sum to it."""
    weights = np.array([t.weight for t in query.terms])
    length = float(np.linalg.norm((weights[:, None] * rows).sum(0)))
    return [
        {
            **t.json(),
            "kind": t.kind,
            "cosine": round(float(z @ own), 4),
            "share": round(float(w * (z @ own)) / length, 4),
        }
        for t, w, z in zip(query.terms, weights, rows, strict=True)
    ]


# ------------------------------------------------------------------ the map


def atlas(state: State, number: int) -> dict[str, Any]:
    """The map of a space: points with what they are."""
    if not 0 <= number < len(state.spaces):
        raise ModalignError(f"there are {len(state.spaces)} runs, numbered from 0")
    flat = state.analysis[number].layout()
    points = []
    for m, table in flat["points"].items():
        hubs = state.analysis[number].hubs(m)
        for row, x, y in zip(table["rows"], table["x"], table["y"], strict=True):
            hub = hubs is not None and bool(hubs.counts[row] > hubs.limit)
            points.append({**_item(state, number, Place(m, row)), "x": x, "y": y, "hub": hub})
    return {**{k: flat[k] for k in ("kept", "kept_pca", "gap", "of")}, "points": points}


def standings(state: State, body: Any) -> dict[str, Any]:
    """Cosine and rank of the map's points for a query, and where the query lies."""
    request = state.request(body)
    number = request.spaces[0]
    query, rows = state.query(request, number)
    vector = query.compose(rows)
    flat = state.analysis[number].layout()
    found = layout.standing(state.spaces[number].gallery, vector, {m: p["rows"] for m, p in flat["points"].items()})
    own = [state.spaces[number].gallery.find(str(t.value)) for t in query.terms if t.kind == ITEM]
    return {"standing": found, "query": layout.spot(flat, found), "items": [[p.modality, p.row] for p in own]}


# ------------------------------------------------------------------ media


def media(state: State, number: int, modality: str, row: int, as_what: str, large: bool) -> Answer | Video:
    """The picture, sound or video of an item, decoded away from this process and made anew.

    Raises:
        ModalignError: no such item or nothing of that kind, or its file is broken.
    """
    if not 0 <= number < len(state.spaces):
        raise ModalignError("no such run")
    space = state.spaces[number]
    if modality not in space.gallery.modalities or not 0 <= row < space.gallery.rows(modality):
        raise ModalignError("no such item")
    found = space.file(Place(modality, row))
    if found is None or as_what not in ("picture", "frame", "sound", "video"):
        raise ModalignError("this item has no such file")
    path, start, end = found
    if as_what == "video":
        return _video(path)
    decode = state.decode if as_what == "sound" else state.picture
    return decode(as_what, path, LARGE if large else SIDE, start, end)


def _video(path: str) -> Video:
    """A file that begins like a video of a kind that browsers play; nothing else is sent as it is."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(12)
    except OSError:
        raise ModalignError("the file of this item is not there") from None
    if head[:4] in HEADS:
        return Video(path, HEADS[head[:4]])
    if head[4:8] == b"ftyp":
        return Video(path, "video/mp4")
    raise ModalignError("this file is no video that a browser plays")
