"""AudioSet's ontology: a directed acyclic graph of sounds (a class may have several parents)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from ..errors import ModalignError, check_known, few
from .lists import entries_of, read_json


@dataclass(frozen=True)
class Ontology:
    """Classes and their children.

    Args:
        names: id -> display name. children: id -> ids of the children.

    Raises:
        ModalignError: children that do not exist, or a cycle.

    Example:
        >>> o = Ontology({"a": "Animal", "p": "Pet", "d": "Dog"}, {"a": ("d",), "p": ("d",), "d": ()})
        >>> sorted(o.ancestors("d")), o.roots
        (['a', 'p'], ('a', 'p'))
    """

    names: Mapping[str, str]
    children: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        unborn = {c for children in self.children.values() for c in children} - set(self.names)
        if unborn:
            raise ModalignError(
                f"the ontology names {len(unborn)} children that it does not have: {few(sorted(unborn))}"
            )
        try:
            TopologicalSorter(self.children).prepare()
        except CycleError as problem:
            raise ModalignError(f"the ontology has a cycle through {few(sorted(set(problem.args[1])))}") from None

    @classmethod
    def load(cls, path: Path) -> Ontology:
        """Read ``ontology.json``, a list of {id, name, child_ids, ...}."""
        entries = read_json(path, "ontology", list)
        with entries_of(f"{path} is not AudioSet's ontology"):
            return cls({e["id"]: e["name"] for e in entries}, {e["id"]: tuple(e["child_ids"]) for e in entries})

    @cached_property
    def parents(self) -> Mapping[str, tuple[str, ...]]:
        """id -> ids of the parents."""
        found: dict[str, list[str]] = {i: [] for i in self.names}
        for parent, children in self.children.items():
            for child in children:
                found[child].append(parent)
        return {child: tuple(parents) for child, parents in found.items()}

    @property
    def roots(self) -> tuple[str, ...]:
        """Classes without parents, sorted."""
        return tuple(sorted(i for i, parents in self.parents.items() if not parents))

    def ancestors(self, label: str) -> frozenset[str]:
        """All classes above one, itself not among them; each once, however many ways lead there."""
        check_known("class of the ontology", label, self.names)
        seen: set[str] = set()
        open_ = list(self.parents.get(label, ()))
        while open_:
            node = open_.pop()
            if node not in seen:
                seen.add(node)
                open_.extend(self.parents.get(node, ()))
        return frozenset(seen)
