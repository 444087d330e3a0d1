"""Names for the parts of modalign, so that a specification can say ``name = "clip"``.

A part registers itself where it is defined:

    @register("objective", "clip")
    class Clip(Objective): ...

Built-in parts are found by importing every module of the family's folder, so a new loss, metric, encoder
or data set is one new file. Other people's packages add theirs through entry points in the group
``modalign.<family>``, for example ``modalign.objective``: each entry point is a module to import, or the
part itself, whose entry-point name becomes its name here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, TypeVar

from .errors import ModalignError, check_known, explained, unknown
from .parameters import check_value, checked

FAMILIES: Mapping[str, str] = {
    "dataset": "modalign.data",
    "encoder": "modalign.features.encoders",
    "objective": "modalign.objectives",
    "method": "modalign.methods",
    "metric": "modalign.metrics",
}

CALLED: Mapping[str, str] = {"method": "fit", "metric": "__call__"}
"""By which verb parts of a family are used: what it is given is ``checked`` as the constructor's arguments are."""

T = TypeVar("T", bound=Callable[..., Any])
_parts: dict[str, dict[str, Callable[..., Any]]] = {family: {} for family in FAMILIES}
_discovered: set[str] = set()


def register(family: str, name: str) -> Callable[[T], T]:
    """Class or function decorator that files a part under ``family`` and ``name``, its arguments ``checked``.

    Raises:
        ModalignError: the family is unknown, or another part already has that name.
    """
    check_known("family", family, FAMILIES)

    def file(part: T) -> T:
        other = _parts[family].get(name)
        if other is not None and _origin(other) != _origin(part):
            raise ModalignError(f"{family} '{name}' is defined twice: in {_origin(other)} and {_origin(part)}")
        _parts[family][name] = made = checked(part)
        if (verb := CALLED.get(family)) in vars(part):
            setattr(part, verb, checked(vars(part)[verb]))
        return made

    return file


def names(family: str) -> list[str]:
    """Sorted names of a family."""
    return sorted(parts(family))


def get(family: str, name: str) -> Callable[..., Any]:
    """The class or function registered under a name.

    Raises:
        ModalignError: no such part; the message names the nearest one, or the metric that gives such a score.
    """
    known = parts(family)
    if name not in known:
        asked = re.split("[/@]", str(name))[0]
        giver = next((n for n, part in known.items() if asked in getattr(part, "gives", ())), None)
        raise unknown(family, name, known, "" if giver is None else f": ask for '{giver}', which gives it")
    return known[name]


def by_class(family: str) -> dict[str, Callable[..., Any]]:
    """The built-in parts of a family by the names of their classes: what the family's package offers.

    A part of somebody else's package is imported from there, and made by its registered name.
    """
    home = FAMILIES[family] + "."
    _import_modules(family)  # without entry points, whose own classes may inherit from what is asked for here
    return {part.__name__: part for part in _parts[family].values() if part.__module__.startswith(home)}


def describe(family: str) -> dict[str, str]:
    """Name -> first line of the docstring, for ``modalign list``."""
    return {name: (inspect.getdoc(part) or "").split("\n")[0] for name, part in sorted(parts(family).items())}


def make(family: str, name: str, **settings: Any) -> Any:
    """Build a part from its settings, checked against its signature.

    Raises:
        ModalignError: unknown name, misspelt setting, missing setting, or a value of the wrong type.
    """
    part = get(family, name)
    return part(**check(part, settings, where=f"{family} '{name}'"))


def resolved(family: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a part with its defaults filled in: what a run folder records, so that it outlives them."""
    parameters = inspect.signature(get(family, table["name"])).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    return {"name": table["name"], **defaults, **table}


def check(part: Callable[..., Any], settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Validate settings against a constructor: right names, all required ones, right types.

    Values are converted where that loses nothing (``1`` for a float, a list for a tuple).
    """
    signature = inspect.signature(part, eval_str=True)
    accepted = {n: p for n, p in signature.parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    checked: dict[str, Any] = {}
    for key, value in settings.items():
        if key in accepted:
            checked[key] = check_value(accepted[key].annotation, value, f"{where}: setting '{key}'")
        elif open_ended:
            checked[key] = value
        else:
            raise unknown(f"setting of {where}", key, accepted)
    missing = [n for n, p in accepted.items() if p.default is p.empty and n not in settings]
    if missing:
        raise ModalignError(f"{where} needs the setting{'s' * (len(missing) > 1)} {', '.join(missing)}")
    return checked


def _origin(part: Callable[..., Any]) -> str:
    return f"{part.__module__}.{part.__qualname__}"


def parts(family: str) -> Mapping[str, Callable[..., Any]]:
    """All parts of a family by their registered names; imports every module of the family once.

    Raises:
        ModalignError: unknown family, or an entry point that cannot be loaded.
    """
    check_known("family", family, FAMILIES)
    if family not in _discovered:
        _import_modules(family)
        for point in entry_points(group=f"modalign.{family}"):
            found = _loaded(point)
            if not isinstance(found, ModuleType):
                register(family, point.name)(found)
        _discovered.add(family)
    return _parts[family]


@cache
def _import_modules(family: str) -> None:
    package = importlib.import_module(FAMILIES[family])
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)


def _loaded(point: EntryPoint) -> Any:
    owner = f" of the package '{point.dist.name}'" if point.dist else ""
    then = f": python -c 'import {point.module}' shows where; mend that package or uninstall it"
    with explained(f"the entry point '{point.name}' in {point.group}{owner} cannot be loaded", Exception, then=then):
        return point.load()
