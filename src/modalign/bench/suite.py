"""A suite: which data, which methods, which grid of settings, which seeds. Read from TOML and checked at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ModalignError, check_known, unknown
from ..files import read_table, write_json
from ..parameters import Count, Seed
from ..registry import check
from ..specification import located, read_toml
from .catalogue import catalogue
from .entries import MethodEntry, names_of
from .setting import Setting, expand


@dataclass(frozen=True, kw_only=True)
class Common:
    """What a suite and its file say alike.

    Args:
        name: short name. title: for people. about: what the numbers mean and what they do not.
        data: table for ``sources.load``. variants: changes of it by name, for settings that name one.
        trials: settings that every method may try on dev. tune_seed: the seed they run on.
        target: modality that composed queries are matched with; None: every pair of modalities, both ways.
        focus: our method. baseline: what it is compared with.
        robustness: what to do to the kept heads at test time, see ``robust``; empty: nothing.
        targets: setting -> percent of mean recall that our method is meant to reach.
        seeds: of everything drawn. own_seeds: setting -> its own seeds instead.
        keep: methods whose fitted heads are saved for the first seed.
    """

    name: str
    data: dict[str, Any]
    title: str = ""
    about: str = ""
    trials: Count = 8
    tune_seed: Seed = 0
    target: str | None = None
    focus: str = "full"
    baseline: str = "clip"
    robustness: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    seeds: tuple[Seed, ...] = (0, 1, 2)
    own_seeds: dict[str, tuple[Seed, ...]] = field(default_factory=dict)
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Suite(Common):
    """A benchmark.

    Args:
        settings: the grid. entries: the methods by name, those of the suite's own included.
    """

    settings: tuple[Setting, ...]
    entries: Mapping[str, MethodEntry]

    def data_of(self, variant: str | None) -> dict[str, Any]:
        """The data table of a variant."""
        return {**self.data, **(self.variants[variant] if variant is not None else {})}

    def trials_of(self, setting: Setting) -> int:
        """How many settings every method may try on dev."""
        return self.trials if setting.trials is None else setting.trials

    def seeds_of(self, setting: Setting) -> tuple[int, ...]:
        """Of everything that is drawn."""
        return self.own_seeds.get(setting.name, self.seeds)

    def cells(self) -> list[tuple[Setting, str, int]]:
        """(setting, method, seed) in the order they are run; a cell of two parts stands twice."""
        return [(s, m, seed) for s in self.settings for m in s.methods for seed in self.seeds_of(s)]

    def distinct(self) -> list[Setting]:
        """The settings by name, each once, with the methods of all parts."""
        found: dict[str, Setting] = {}
        for s in self.settings:
            methods = (*found[s.name].methods, *s.methods) if s.name in found else s.methods
            found[s.name] = replace(found.get(s.name, s), methods=tuple(dict.fromkeys(methods)))
        return list(found.values())

    def identity(self, setting: Setting, method: str, data: str) -> str:
        """What a tuning depends on, as a fingerprint; ``data`` is the fingerprint of the features."""
        trials = self.trials_of(setting)
        facts = [__version__, data, setting.facts(), self.entries[method].facts(trials), trials, self.tune_seed]
        facts += [self.target]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, kw_only=True)
class _File(Common):
    """The keys of a suite file."""

    settings: list[dict[str, Any]]
    methods: list[str]
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    modalities: Count = 2


def read(path: Path, overrides: Iterable[str] = ()) -> Suite:
    """Read a suite file.

    Args:
        path: TOML.
        overrides: ``"seeds=[0]"`` entries, with dots for tables.

    Raises:
        ModalignError: no such file, broken TOML, unknown keys (the nearest is named), impossible settings.
    """
    return build(located(read_toml(path, "suite", overrides), path.parent, sure=False), str(path))


def build(table: Mapping[str, Any], where: str = "suite") -> Suite:
    """A suite from its table, checked.

    Example:
        >>> s = build({"name": "mine", "data": {"store": "x"}, "methods": ["cca"],
        ...            "settings": [{"regime": "hidden", "pairs": [10, 20]}]})
        >>> [x.name for x in s.settings]
        ['hidden-10', 'hidden-20']
    """
    file = _File(**check(_File, table, where))
    for seeds in (file.seeds, *file.own_seeds.values()):
        if not seeds:
            raise ModalignError(f"{where}: a suite needs at least one seed")
        if len(set(seeds)) < len(seeds):
            raise ModalignError(f"{where}: the same seed is named twice")
    entries = catalogue(file.entries, where)
    entries = {n: e for n, e in entries.items() if e.modalities in (None, file.modalities)}
    methods = names_of(file.methods, entries, where)
    settings = [s for block in file.settings for s in expand(block, methods, entries, where)]
    if not settings:
        raise ModalignError(f"{where} has no settings: add a [[settings]] table")
    for s in settings:
        if s.variant is not None and s.variant not in file.variants:
            raise unknown(f"variant of the data in {where}", s.variant, file.variants)
    for name in file.own_seeds:
        check_known(f"setting in own_seeds of {where}", name, {s.name for s in settings})
    used = {m: entries[m] for s in settings for m in s.methods}
    common = {f.name: getattr(file, f.name) for f in fields(Common)}
    common |= {"title": file.title or file.name, "keep": tuple(m for m in file.keep if m in used)}
    return Suite(**common, settings=tuple(settings), entries=used)


def choose(
    suite: Suite,
    methods: Sequence[str] = (),
    settings: Sequence[str] = (),
    parts: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[tuple[Setting, str, int]]:
    """The cells of some methods, settings, parts and seeds; nothing named: all.

    Raises:
        ModalignError: a name that the suite does not have; the nearest is named.
    """
    names = {s.name for s in suite.settings}
    for kind, asked, known in (
        ("setting", settings, names),
        ("part", parts, {s.part for s in suite.settings}),
        ("seed", seeds, {seed for s in suite.settings for seed in suite.seeds_of(s)}),
    ):
        for one in asked:
            check_known(f"{kind} of suite '{suite.name}'", one, known)
    wanted = set(names_of(methods, suite.entries, f"suite '{suite.name}'")) if methods else set(suite.entries)
    found = {
        (s.name, m, seed): (s, m, seed)
        for s, m, seed in suite.cells()
        if m in wanted
        and (not settings or s.name in settings)
        and (not parts or s.part in parts)
        and (not seeds or seed in seeds)
    }
    return list(found.values())


def own(out: Path, name: str, title: str, about: str) -> None:
    """Take a folder for a suite. Raises ModalignError where it is another suite's."""
    path = out / "suite.json"
    if path.exists() and (other := read_table(path, "suite of the folder").get("name")) != name:
        raise ModalignError(f"{out} holds the bench '{other}', not '{name}': choose another --out")
    write_json(path, {"name": name, "title": title, "about": about})
