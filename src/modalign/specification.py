"""The run specification: TOML with dotted overrides, validated against constructor signatures.

The configuration *is* the constructor: the tables ``[data]``, ``[encoders.*]``, ``[method]`` and any table inside
them with a ``name`` hold the arguments of the registered part of that name, and nothing else.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import ModalignError
from .files import absolute, read_text
from .parameters import Number, Seed, Share, check_names, checked
from .registry import check, get


@dataclass(frozen=True)
class Specification:
    """One run: which data, which encoders, how many links, which method, what to measure.

    Args:
        method: name and settings of a registered method.
        data: name and settings of a registered data set; ``{"store": folder}`` of embedded features; or ``{"arrays":
            {modality: file}}`` of feature arrays, with ``pairs``, a file of row numbers (default: row by row), and
            ``holdout``, the share of the pairs that is held out to be measured (default .2).
        encoders: modality -> encoder name, or table of name and settings. Not needed with a store; with arrays, those
            that made them, where they are to read new items.
        pairs: how many training groups keep their links; the others stay as unpaired items. None: all.
        seed: draws the linked groups and every random number of the fit.
        metrics: registered metrics to report; empty: the default ones.
        out: the run folder.

    Raises:
        ModalignError: from ``from_toml``, for unknown keys, wrong types, unknown parts or settings.
    """

    method: dict[str, Any]
    data: dict[str, Any]
    encoders: dict[str, str | dict[str, Any]] = field(default_factory=dict)
    pairs: Number | None = None
    seed: Seed = 0
    metrics: list[str] = field(default_factory=list)
    out: str = "runs/run"

    def table(self) -> dict[str, Any]:
        """The resolved specification as nested tables."""
        return {k: v for k, v in asdict(self).items() if v is not None}

    def to_toml(self) -> str:
        """The resolved specification as TOML text."""
        return dump_toml(self.table())


@dataclass(frozen=True)
class StoreData:
    """Features that lie in a store."""

    store: Path


@checked
@dataclass(frozen=True)
class ArrayData:
    """Feature arrays, one file per modality.

    Args:
        arrays: modality -> file, see ``data.arrays.load_array``.
        pairs: file of rows that belong together, see ``data.pairs.load_pairs``; None: rows of equal ids, or row by row.
        ids: modality -> file of the ids of its rows, see ``data.pairs.load_ids``; empty: rows have none.
        holdout: share of the linked groups kept for measuring, in [0, 1); 0: fit on everything, measure nothing.
    """

    arrays: dict[str, Path]
    pairs: Path | None = None
    ids: dict[str, Path] = field(default_factory=dict)
    holdout: Share = 0.2

    def __post_init__(self) -> None:
        if len(self.arrays) < 2:
            raise ModalignError(
                "align needs two or more arrays, for example  modalign align text.npy image.npy --out RUN"
            )
        check_names(list(self.arrays))


READY: Mapping[str, type] = {"store": StoreData, "arrays": ArrayData}
"""Kinds of data that need no encoder, by the key of the [data] table that tells them."""


def from_toml(path: Path, overrides: Iterable[str] = ()) -> Specification:
    """Read and check a specification.

    Args:
        path: TOML file.
        overrides: ``"method.lr=1e-3"`` entries; the value is TOML, or else a plain string.

    Relative places of data and weights are looked for beside the file, then in the current folder.

    Example file:
        pairs = 200
        [data]
        name = "openmoji"
        [encoders]
        image = "efficientnet-lite0"
        text = "minilm"
        [method]
        name = "full"
    """
    return specification(read_toml(path, "specification", overrides), str(path), path.parent)


def read_toml(path: Path, what: str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """A TOML file as a table, with ``key=value`` changes.

    Raises:
        ModalignError: missing, no text, or no TOML; names the file and, for a reader, what it should be.
    """
    try:
        table = tomllib.loads(read_text(path, what))
    except tomllib.TOMLDecodeError as problem:
        raise ModalignError(f"{what} is damaged: {path} is not valid TOML: {problem}") from None
    return overridden(overrides, **table)


def specification(table: Mapping[str, Any], where: str = "specification", home: Path | None = None) -> Specification:
    """Build a specification from a nested table and check every part of it before any work starts.

    Args:
        where: for messages. home: folder that relative places start from, before the current one.
    """
    spec = Specification(**located(check(Specification, table, where), home))
    check_part("method", spec.method, f"{where} [method]")
    ready = next((kind for kind in READY if kind in spec.data), None)
    if ready is not None:
        check(READY[ready], spec.data, f"{where} [data]")
    else:
        check_part("dataset", spec.data, f"{where} [data]")
        if not spec.encoders:
            raise ModalignError(f'{where} needs [encoders], for example  text = "minilm"')
    for modality, encoder in spec.encoders.items():
        check_part("encoder", named(encoder), f"{where} [encoders.{modality}]")
    for metric in spec.metrics:
        get("metric", metric)
        if spec.metrics.count(metric) > 1:
            raise ModalignError(f"{where}: metric '{metric}' is named twice")
    return spec


SOURCES = ("root", "store", "files", "arrays", "ids", "pairs")
"""Settings that name a file or a folder and nothing else."""
PLACES = (*SOURCES, "captions", "labels", "texts", "weights", "folder", "path", "run")
"""Settings that may name one."""


def located(value: Any, home: Path | None = None, key: str = "", sure: bool = True) -> Any:
    """A table with absolute paths where settings name files and folders that are there, so that it holds anywhere.

    Args:
        value: a table, or a value of one. home: where relative paths start from, before the current folder. key: of
            the value. sure: also what is not there, where it can only be meant to lie beside the file.

    Example:
        >>> located({"data": {"name": "table", "root": "list.csv"}}, Path("nowhere"), sure=False)["data"]["root"]
        'list.csv'
    """
    if isinstance(value, Mapping):
        inside = key if key in ("files", "arrays", "ids") else ""
        return {k: located(v, home, inside or k, sure) for k, v in value.items()}
    if key not in PLACES or not isinstance(value, str | Path) or not str(value):
        return value
    path = Path(value).expanduser()
    if "://" in absolute(value):
        return absolute(value)
    found = next((p for p in (Path(home or "") / path, path) if os.path.exists(p) or os.path.exists(_bare(p))), None)
    if found is None and sure and home is not None and key in SOURCES:
        found = home / path  # a message then says where it was looked for
    return value if found is None else os.path.abspath(found)


def _bare(path: Path) -> str:
    """A file without the part that is named in it."""
    return str(path).partition("#")[0]


def check_part(family: str, table: Mapping[str, Any], where: str) -> None:
    """Check a table with a ``name`` against the constructor of that part."""
    if not isinstance(table.get("name"), str):
        raise ModalignError(f'{where} needs a name, for example  name = "..."  (see: modalign list {family})')
    settings = {k: v for k, v in table.items() if k != "name"}
    check(get(family, table["name"]), settings, f"{where} '{table['name']}'")


def named(part: str | Mapping[str, Any]) -> dict[str, Any]:
    """A part given by its bare name, or by a table of name and settings, as a table."""
    return {"name": part} if isinstance(part, str) else dict(part)


def overridden(entries: Iterable[str], /, **table: Any) -> dict[str, Any]:
    """A table with ``dotted.key=value`` changes; its nested tables are changed in place.

    Example:
        >>> overridden(["lr=1e-3", "a.b=x", "method.name=full"], seed=1, method="clip")
        {'seed': 1, 'method': {'name': 'full'}, 'lr': 0.001, 'a': {'b': 'x'}}
    """
    for entry in entries:
        key, equals, value = entry.partition("=")
        *way, last = [p.strip() for p in key.split(".")]
        if not equals or not all([*way, last]):
            raise ModalignError(f"override '{entry}' must look like  key=value  or  table.key=value")
        inner = table
        for part in way:
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        inner[last] = parse_value(value.strip())
    return table


def parse_value(text: str) -> Any:
    """A TOML value, a bare number such as ``.5``, or else the text itself.

    Example:
        >>> [parse_value(t) for t in ("1", ".5", "true", "[1, 2]", "full")]
        [1, 0.5, True, [1, 2], 'full']
    """
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        try:
            return float(text)
        except ValueError:
            return text


def dump_toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """TOML text of nested tables of strings, numbers, booleans and lists; None values are left out.

    Example:
        >>> print(dump_toml({"seed": 1, "method": {"name": "full", "objective": {"alpha": 0.1}}}))
        seed = 1
        <BLANKLINE>
        [method]
        name = "full"
        <BLANKLINE>
        [method.objective]
        alpha = 0.1
        <BLANKLINE>
    """
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping) and v is not None}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for k, v in table.items():
        if isinstance(v, Mapping):
            name = f"{prefix}{_key(k)}"
            lines.append(f"\n[{name}]\n{dump_toml(v, name + '.')}".rstrip())
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, float) and value == int(value) and abs(value) < 1e16:
        return f"{value:.1f}"
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)
