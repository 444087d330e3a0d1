"""An entry of the catalogue of methods, how the settings of its trials are written down, and groups of entries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModalignError, unknown
from ..registry import names

Settings = dict[str, Any]


@dataclass(frozen=True)
class MethodEntry:
    """A method of the catalogue.

    Args:
        label: for people. method: registered name. settings: what holds in every trial.
        candidates: changes to the settings, one per trial; empty: nothing to try. further: more of them, where more
            trials are allowed.
        tunes_itself: the method tries settings itself (``trials``), says what it chose (``record["chosen"]``) and can
            be told (``chosen``).
        group: of the catalogue. least_pairs: with fewer it cannot be fitted.
        paired_only: unlinked items are taken away from it. modalities: it needs so many; None: any number.
    """

    label: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[Mapping[str, Any], ...] = ()
    further: tuple[Mapping[str, Any], ...] = ()
    tunes_itself: bool = False
    group: str = "own"
    least_pairs: int = 2
    paired_only: bool = False
    modalities: int | None = None

    def tried(self, trials: int) -> tuple[Mapping[str, Any], ...]:
        """The changes that so many trials try."""
        return (*self.candidates, *self.further)[:trials]

    def facts(self, trials: int) -> dict[str, Any]:
        """What decides the outcome of so many trials: everything but label and group."""
        tried = self.candidates if trials <= len(self.candidates) else self.tried(trials)
        return {
            "method": self.method, "settings": dict(self.settings), "candidates": [dict(c) for c in tried],
            "tunes_itself": self.tunes_itself, "paired_only": self.paired_only,
        }  # fmt: skip

    def with_candidate(self, candidate: Mapping[str, Any]) -> Settings:
        """The settings of one trial."""
        return changed(self.settings, candidate)


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    """Settings with dotted changes applied; neither argument is altered.

    Example:
        >>> changed({"lr": 1, "objective": {"name": "clip"}}, {"lr": 2, "objective.scale": 30})
        {'lr': 2, 'objective': {'name': 'clip', 'scale': 30}}
    """
    out = dict(settings)
    for key, value in changes.items():
        head, dot, rest = key.partition(".")
        if not dot:
            out[key] = value
            continue
        inner = out.get(head, {})
        if not isinstance(inner, Mapping):
            raise ModalignError(f"'{key}' cannot be set: '{head}' is {inner!r}, not a table")
        out[head] = changed(inner, {rest: value})
    return out


def product(**axes: Sequence[Any]) -> tuple[Settings, ...]:
    """All combinations; the first axis varies fastest.

    Example:
        >>> product(ridge=[1, 2], root=[False, True])[:3]
        ({'ridge': 1, 'root': False}, {'ridge': 2, 'root': False}, {'ridge': 1, 'root': True})
    """
    names = list(axes)[::-1]
    return tuple(
        dict(zip(names[::-1], values[::-1], strict=True)) for values in itertools.product(*(axes[n] for n in names))
    )


BASELINES = ("contrastive", "closed", "strong")
"""Groups of the catalogue that are called baselines."""


def groups(entries: Mapping[str, MethodEntry]) -> dict[str, list[str]]:
    """Names of groups -> names of their entries; "baselines" is contrastive, closed and strong together."""
    found: dict[str, list[str]] = {}
    for name, entry in entries.items():
        found.setdefault(entry.group, []).append(name)
    found.pop("closed", None)  # the name of an entry, too
    found["closed-forms"] = [n for n, e in entries.items() if e.group == "closed"]
    found["baselines"] = [n for n, e in entries.items() if e.group in BASELINES]
    return found


def names_of(asked: Sequence[str], entries: Mapping[str, MethodEntry], where: str) -> list[str]:
    """Names of entries, with groups taken apart, each once.

    Raises:
        ModalignError: neither an entry nor a group; the nearest is named.
    """
    if not isinstance(asked, list | tuple) or not all(isinstance(name, str) for name in asked):
        raise ModalignError(f"{where}: methods are a list of names, got {asked!r}")
    together = groups(entries)
    found: list[str] = []
    for name in asked:
        if name not in entries and name not in together:
            if name in names("method"):
                entry = f'[entries.{name}] method = "{name}"'
                raise ModalignError(f"{where}: '{name}' is a registered method and no entry yet: add  {entry}")
            raise unknown(f"method of {where}", name, [*entries, *together])
        found += [name] if name in entries else together[name]
    return list(dict.fromkeys(found))
