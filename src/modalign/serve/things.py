"""What an item is, whichever run shows it: rows of two runs are one thing only where they show the same thing."""

from __future__ import annotations

import hashlib
from typing import Any

from ..errors import ModalignError
from ..files import to_json
from ..runs import Run
from ..search.part import Place
from ..search.space import Space

ITS_OWN = ("text", "picture", "uri", "start", "end")
"""What tells an item of one data set from an item of another that stands in the same row."""


def thing(space: Space, place: Place, entry: dict[str, Any]) -> str:
    """Identity of what an item is: its words, its picture or its file with its times.

    A row of plain numbers is known by its data and its place in them. Pictures of a run are known by their content.
    """
    own = {k: entry[k] for k in ITS_OWN if entry.get(k) is not None}
    if not own.keys() & {"text", "picture", "uri"}:
        own = {"of": _data(space), "row": entry.get("row", place.row)}
    text = to_json([place.modality, own], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _data(space: Space) -> Any:
    """The data of a run; what no data are known of is like nothing else."""
    run = Run(space.folder)
    try:
        known = run.specification
    except ModalignError:
        known = None
    return known.data if known is not None else str(space.folder.resolve())


def find(space: Space, name: str, id: str, wanted: str | None) -> Place:
    """The place of an item in a run.

    Args:
        name: of the run, for the message. id: of the item. wanted: what the item is, see ``thing``; None: whatever the
            run has under that id.

    Raises:
        ModalignError: the run has no such item, or another one under that id.
    """
    place = space.gallery.find(id)
    if wanted is not None and thing(space, place, space.gallery.entry(place)) != wanted:
        raise ModalignError(f"{name} does not know this item: its own '{id}' is another one")
    return place
