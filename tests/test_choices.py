"""Where a user must choose, the docstring says when to use a part, and what to look at beside it."""

from __future__ import annotations

import inspect
import re

import pytest

import modalign as ma
from modalign import registry
from modalign.geometry import transport

FRONTS = [transport.Problem, transport.Unbalanced, transport.Partial, transport.SemiPaired, transport.solve]
FRONTS += [transport.sinkhorn_divergence, transport.gromov, transport.barycentre]
PARTS = [registry.get(family, name) for family in ("objective", "method") for name in registry.names(family)]
CHOICES = {part.__qualname__: part for part in [*PARTS, *FRONTS]}


@pytest.mark.parametrize("name", CHOICES)
def test_choices_say_when_and_what_else(name: str) -> None:
    doc = inspect.getdoc(CHOICES[name]) or ""
    assert re.search(r"^Use when: \S", doc, re.M), name
    related = re.search(r"^Related: (.+(?:\n    .+)*)", doc, re.M)
    assert related, name
    for other in re.findall(r"`([^`]+)`", related[1]):
        places = (ma.objectives, ma.methods, transport, ma)
        assert any(found(place, other) for place in places), f"{name} points to {other}, which does not exist"
    for other in re.findall(r'"(\w+)"', related[1]):
        known = {*registry.names("method"), "structure"}  # the last: a form of L_RMA
        assert other in known, f"{name} points to {other}, which does not exist"


def found(place: object, dotted: str) -> bool:
    """Whether a dotted name is reached from a place."""
    for part in dotted.removeprefix("modalign.").split("."):
        place = getattr(place, part, None)
    return place is not None
