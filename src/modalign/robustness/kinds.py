"""What a robustness check holds: curves in panels, by kind of ill-treatment. Numbers only; the report has the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..metrics.score import Score
from .curves import Curve


@dataclass(frozen=True)
class Panel:
    """Curves over the same levels.

    Args:
        name: what sets the curves apart or what is ill-treated: "methods", "refit", "rules", "fills" (missing
            modalities); "all" or a modality (noise); "query", "gallery" or "hub" (attacks); "kinds" (damage).
        curves: of methods, or else of rules, fills or kinds.
        controls: of the same keys: as large changes at random.
        space: of an attack, "features" or "embedding".
    """

    name: str
    curves: Mapping[str, Curve]
    controls: Mapping[str, Curve] = field(default_factory=dict)
    space: str | None = None

    def json(self) -> dict[str, Any]:
        """Plain values."""
        out: dict[str, Any] = {"name": self.name} | ({"space": self.space} if self.space else {})
        out["curves"] = {k: c.json() for k, c in self.curves.items()}
        return out | ({"controls": {k: c.json() for k, c in self.controls.items()}} if self.controls else {})


@dataclass(frozen=True)
class Subsets:
    """Mean recall of one method where some modalities of the query are all there is.

    subsets: "a" or "a+b" -> score. unbalanced: rates dealt to the modalities -> score.
    """

    subsets: Mapping[str, Score]
    unbalanced: Mapping[str, Score] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: {k: s.json() for k, s in getattr(self, name).items()} for name in ("subsets", "unbalanced")}


@dataclass(frozen=True)
class Kind:
    """One kind of ill-treatment.

    Args:
        panels: in the order they are shown.
        tables: method -> what subsets of the modalities give (missing modalities).
        rows: what targeted attacks, or attacks on pixels and waveforms, reached.
        facts: numbers that the words to the panels need: steps, items, modality, query, gallery, levels.
    """

    panels: tuple[Panel, ...]
    tables: Mapping[str, Subsets] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Plain values; what is empty is left out."""
        out: dict[str, Any] = {"panels": [p.json() for p in self.panels]}
        out |= {"tables": {m: t.json() for m, t in self.tables.items()}} if self.tables else {}
        out |= {"rows": [dict(r) for r in self.rows]} if self.rows else {}
        return out | ({"facts": dict(self.facts)} if self.facts else {})

    @classmethod
    def from_json(cls, table: Mapping[str, Any], where: str = "kind") -> Kind:
        """A kind from what ``json`` wrote.

        Raises:
            ModalignError: a damaged score. KeyError, TypeError, AttributeError: another shape, for the caller to tell.
        """
        panels = []
        for i, p in enumerate(table["panels"]):
            curves, controls = (
                {k: Curve.from_json(c, f"{where}.panels[{i}].{k}") for k, c in table.items()}
                for table in (p["curves"], p.get("controls", {}))
            )
            panels.append(Panel(str(p["name"]), curves, controls, p.get("space")))
        tables = {
            m: Subsets(**{n: {k: Score.from_json(s, f"{where}.tables.{m}.{k}") for k, s in t[n].items()} for n in t})
            for m, t in table.get("tables", {}).items()
        }
        return cls(tuple(panels), tables, tuple(table.get("rows", ())), dict(table.get("facts", {})))
