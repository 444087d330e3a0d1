"""What a data set names and no item stands for: counted, with the reason and the places, on the way to every reader.

Each reader tells it to its ``Rows``; the manifest carries it, a feature store adds what could not be encoded, and
terminal, ``--json`` (``failures``), scores and reports show the same list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import few
from ..values import whole_text

KEPT = 20
"""Places of one reason that a reader keeps by name; the others are counted."""


@dataclass(frozen=True)
class LeftOut:
    """Things of one kind that are left out for one reason.

    Args:
        what: a plural, such as "files", "texts", "shards". reason: why. count: how many.
        places: where: names of files, lines of lists, keys of samples; the first ones where they are many.

    Example:
        >>> LeftOut("texts", "empty", 3, ("group 4", "group 7")).line
        '3 texts left out, empty: group 4, group 7 and 1 more'
    """

    what: str
    reason: str
    count: int
    places: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """One line for people."""
        shown = self.places[:5]
        more = f" and {self.count - len(shown):,} more" if shown and self.count > len(shown) else ""
        named = f": {', '.join(shown)}{more}" if shown else ""
        what = self.what
        if self.count == 1:
            kind, of, whose = what.partition(" of ")
            what = f"{kind.removesuffix('s')}{of}{whose}"
        return f"{self.count:,} {what} left out, {self.reason}{named}"

    def json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "places": list(self.places)}

    @classmethod
    def of(cls, value: LeftOut | Mapping[str, Any]) -> LeftOut:
        """From what ``json`` gave."""
        if isinstance(value, LeftOut):
            return value
        places = tuple(map(str, value["places"]))
        return cls(str(value["what"]), str(value["reason"]), int(value["count"]), places)


class Tally:
    """Counts what is left out, by kind and reason."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._places: dict[tuple[str, str], list[str]] = {}

    def add(self, what: str, reason: str, place: str, count: int = 1) -> None:
        """Count something; its place is kept while there are few of its kind."""
        key = (what, reason)
        self._counts[key] = self._counts.get(key, 0) + count
        places = self._places.setdefault(key, [])
        if len(places) < KEPT:
            places.append(whole_text(place))

    def told(self) -> tuple[LeftOut, ...]:
        """All of it, in the order in which it was met."""
        return tuple(LeftOut(*key, count, tuple(self._places[key])) for key, count in self._counts.items())


def lines(left_out: Iterable[LeftOut], limit: int = 12) -> list[str]:
    """One line each, for people; of very many kinds the first ones, and how many more."""
    told = [x.line for x in left_out]
    more = [f"and {len(told) - limit} more reasons (all in --json and in the store)"] if len(told) > limit else []
    return told[:limit] + more


def summary(left_out: Sequence[LeftOut]) -> str:
    """All of it in one sentence, for a message; empty where nothing is left out.

    Example:
        >>> summary([LeftOut("files", "not there", 1, ("a.jpg",))])
        '1 file left out, not there: a.jpg'
    """
    return few((x.line for x in left_out), 3).replace("\n", " ")
