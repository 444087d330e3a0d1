"""A data set by its name, as a command line gives it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from ..errors import ModalignError, few
from ..registry import get, make, names
from ..specification import overridden
from .manifest import Manifest
from .rows import split_name


def read_named(name: str, root: Path | None = None, settings: Sequence[str] = (), split: str | None = None) -> Manifest:
    """The rows of a registered data set.

    Args:
        name: as in ``modalign list dataset``. root: its folder or file; None: it needs none.
        settings: ``key=value`` entries, as in TOML. split: only this one.

    Raises:
        ModalignError: no such data set or setting, a place for one that takes none, or as the data set raises.

    Example:
        >>> size = Path("list.csv").write_text("caption,split\\na dog,train\\na cat,test\\n")
        >>> read_named("table", Path("list.csv"), split="test").text
        ('a cat',)
    """
    if root is None and name not in names("dataset") and Path(name).exists():
        kind = "folders" if Path(name).is_dir() else "table"
        raise ModalignError(f"{name} is a place, and the name of the data set comes first: perhaps  {kind} {name}")
    if root is not None and "root" not in (takes := inspect.signature(get("dataset", name)).parameters):
        example = ": --set files.image=image.npy" if name == "arrays" else ""
        raise ModalignError(f"data set '{name}' takes no place, but settings ({few(takes)}){example}, got {root}")
    given = overridden(settings, **({"root": str(root)} if root else {}))
    manifest: Manifest = make("dataset", name, **given)
    return manifest if split is None else manifest.split(split if split in manifest.splits else split_name(split))
