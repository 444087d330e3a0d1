"""How vectors are indexed: kinds of index and what each can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ..errors import ModalignError, check_known, explained
from ..parameters import Count, Number, Range, checked

SETTINGS = {"exact": (), "hnsw": ("links", "effort", "beam"), "ivfpq": ("lists", "codes", "probes", "refine")}
"""Kind of index -> what it can be told."""
KINDS = tuple(SETTINGS)
Links = Annotated[int, Range(least=2)]


@checked
@dataclass(frozen=True)
class AnnSettings:
    """How vectors are indexed.

    Args:
        kind: "exact", "hnsw" or "ivfpq".
        links: neighbours per node of the HNSW graph (M).
        effort: candidates looked at while building HNSW (efConstruction).
        beam: candidates looked at while searching HNSW (efSearch).
        lists: inverted lists of IVF-PQ; 0: about 4 sqrt(n).
        codes: bytes per vector of IVF-PQ; 0: one for every four dimensions.
        probes: inverted lists looked at in a search; 0: a sixteenth of them, at least 32.
        refine: IVF-PQ candidates per result that are scored again with the full vectors.
    """

    kind: str = "exact"
    links: Links = 32
    effort: Count = 80
    beam: Count = 128
    lists: Number = 0
    codes: Number = 0
    probes: Number = 0
    refine: Count = 10

    def __post_init__(self) -> None:
        check_known("kind of index", self.kind, KINDS)


@checked
def parse_settings(kind: str, entries: Sequence[str]) -> AnnSettings:
    """Settings from a kind and "name=number" texts.

    Raises:
        ModalignError: an unknown name, or a value that is no whole number.

    Example:
        >>> parse_settings("hnsw", ["links=16"]).links
        16
    """
    table: dict[str, int] = {}
    names = [name for known in SETTINGS.values() for name in known]
    check_known("kind of index", kind, KINDS)
    for entry in entries:
        name, _, value = entry.partition("=")
        check_known("setting of an index", name, names)
        if name not in SETTINGS[kind]:
            own = next(k for k, known in SETTINGS.items() if name in known)
            raise ModalignError(
                f"{name} is a setting of {own}, and the index is {kind}: give --kind {own}, or leave it out"
            )
        try:
            table[name] = int(value)
        except ValueError:
            raise ModalignError(f"{name} is a whole number, as in {name}=32, got '{entry}'") from None
    return AnnSettings(kind, **table)


def settings_from(table: Mapping[str, Any], where: str) -> AnnSettings:
    """Settings as an index file holds them."""
    with explained(f"index is damaged: {where}", TypeError):
        return AnnSettings(**table)
