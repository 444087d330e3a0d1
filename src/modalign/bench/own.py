"""A folder belongs to one suite."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..errors import ModalignError
from ..files import read_json, write_json

SUITE = "suite.json"


class Named(Protocol):
    """What a folder notes of its suite."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def about(self) -> str: ...


def own(suite: Named, out: Path) -> None:
    """Take a folder for a suite. Raises ModalignError where it is another suite's."""
    path = out / SUITE
    if path.exists() and (other := read_json(path, "suite of the folder").get("name")) != suite.name:
        raise ModalignError(f"{out} holds the bench '{other}', not '{suite.name}': choose another --out")
    write_json(path, {"name": suite.name, "title": suite.title, "about": suite.about})
