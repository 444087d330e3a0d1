"""Public names, loaded on first use, so that importing a package costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from . import renamed

Parts = Callable[[], Mapping[str, Any]]
Getattr = Callable[[str], Any]
Dir = Callable[[], list[str]]


def load(package: str, name: str, homes: Mapping[str, str], parts: Parts = dict) -> Any:
    """The value of a public name of a package: what its module-level ``__getattr__`` returns.

    A name is sought among the homes, then among the package's own modules, then among the registered parts, so that
    a new part is public without a list to edit; and last among those of an older version.

    Args:
        package: dotted name, for example ``"modalign.metrics"``.
        homes: name -> the package's module that holds it; ``"module:other"`` where it has another name there.
        parts: gives the registered parts by their public names.

    Raises:
        AttributeError: no such name.

    Example:
        >>> load("modalign", "few", {"few": "errors"})(range(3))
        '0, 1, 2'
    """
    if name in homes:
        module, _, other = homes[name].partition(":")
        return getattr(importlib.import_module(f"{package}.{module}"), other or name)
    if not name.startswith("_"):
        place = f"{package}.{name}"
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as problem:
            if problem.name != place:
                raise
        if name in (found := parts()):
            return found[name]
    return renamed.value(package, name)


def listed(package: str, homes: Mapping[str, str], parts: Parts = dict) -> list[str]:
    """The public names of a package: what its module-level ``__dir__`` returns.

    Example:
        >>> {"few", "errors"} <= set(listed("modalign", {"few": "errors"}))
        True
    """
    import pkgutil

    inside = getattr(sys.modules[package], "__path__", [])
    own = {m.name for m in pkgutil.iter_modules(inside) if not m.name.startswith("_")}
    return sorted({*vars(sys.modules[package]), *own, *homes, *parts()})


def lazily(package: str, homes: Mapping[str, str] | None = None, parts: Parts = dict) -> tuple[Getattr, Dir]:
    """``load`` and ``listed`` of one package: its ``__getattr__`` and its ``__dir__``.

    Args:
        homes: module of the package -> the names that it holds, with blanks between; ``new=old`` where a name is
            another one there. parts: see ``load``.
    """
    where: dict[str, str] = {}
    for module, held in (homes or {}).items():
        for entry in held.split():
            name, _, other = entry.partition("=")
            where[name] = f"{module}:{other}" if other else module
    return partial(load, package, homes=where, parts=parts), partial(listed, package, where, parts)
