"""The ontology of sounds is a directed acyclic graph, not a tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.ontology import Ontology
from modalign.errors import ModalignError

#   a   b      a diamond (d has two parents, both lead to e) with a second root
#    \ / \
#     c   d
#      \ /
#       e
DIAMOND = Ontology({k: k.upper() for k in "abcde"}, {"a": ("c",), "b": ("c", "d"), "c": ("e",), "d": ("e",), "e": ()})


def test_ancestors_of_a_graph() -> None:
    assert DIAMOND.ancestors("e") == {"a", "b", "c", "d"}
    assert DIAMOND.ancestors("a") == frozenset()
    assert DIAMOND.roots == ("a", "b")
    assert DIAMOND.parents["e"] == ("c", "d")


def test_cycles_and_unborn_children_are_refused() -> None:
    with pytest.raises(ModalignError, match="cycle through a, b"):
        Ontology({"a": "A", "b": "B", "c": "C"}, {"a": ("b",), "b": ("a",), "c": ("a",)})
    with pytest.raises(ModalignError, match="names 1 children that it does not have: z"):
        Ontology({"a": "A"}, {"a": ("z",)})
    with pytest.raises(ModalignError, match="did you mean"):
        DIAMOND.ancestors("aa")


def test_a_file_that_is_none(tree: Callable[..., Path]) -> None:
    with pytest.raises(ModalignError, match="no 'name'"):
        Ontology.load(tree({"o.json": [{"id": "a"}]}) / "o.json")


@pytest.mark.data
def test_real_ontology(external_data: Path) -> None:
    real = Ontology.load(external_data / "audioset_meta" / "ontology.json")
    assert len(real.names) == 632
    assert len(real.roots) == 7
    assert sum(len(p) > 1 for p in real.parents.values()) == 38
    for label in list(real.names)[::50]:
        assert all(label in real.ancestors(child) for child in real.children.get(label, ()))
