"""Searches to begin with: texts of the items whose answers are good."""

from __future__ import annotations

import itertools

from .part import Place
from .space import Space


def examples(space: Space, count: int = 4, tried: int = 200) -> list[str]:
    """A few short texts of the items to begin with: of those tried, texts that find their own partner first.

    Texts that the heads were not fitted on come first, so that an example promises no more than the run keeps.

    Args:
        space: with texts among its items. count: of examples, at most. tried: texts that are looked up, at most.

    Returns:
        Texts of 3 to 40 characters; those that find something else only where there are too few others.
    """
    gallery, places, known = space.gallery, dict[str, Place](), set[str]()
    for m in gallery.modalities:
        for row in gallery.sample(m, 4 * tried):
            entry = gallery.entry(place := Place(m, int(row)))
            words = str(entry.get("text") or "")
            if 2 < len(words) <= 40 and words not in places:
                places[words] = place
                known |= {words} if entry.get("split") == "train" else set()
    texts = sorted(places, key=lambda words: words in known)[:tried]
    some = [texts[i] for first in range(7) for i in range(first, len(texts), 7)]  # not all of the same kind
    good = list(itertools.islice((words for words in some if _finds_itself(space, places[words])), count))
    return (good + [words for words in some if words not in good])[:count]


def _finds_itself(space: Space, place: Place) -> bool:
    """Whether the item nearest to this one, of another modality, is of the same group."""
    gallery = space.gallery
    others = [m for m in gallery.modalities if m != place.modality]
    found = gallery.nearest(gallery.vectors(place.modality, [place.row])[0], others, 1) if others else []
    return bool(found) and gallery.entry(found[0].place).get("group") == gallery.entry(place).get("group")
