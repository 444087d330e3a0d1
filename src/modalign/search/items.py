"""What the items are: ids, metadata in lists or in Arrow files, one row per vector, and filters on them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import ModalignError, check_known, explained, require
from ..files import from_json, to_json
from ..values import kept

if TYPE_CHECKING:
    import pyarrow


Entries = Mapping[str, Sequence[Mapping[str, Any]]]
"""What is known of the items of each modality, row by row."""

MIXED = {b"modalign": b"json"}
"""Mark of a column in an Arrow file whose values have several types, and are written as JSON."""


class ListItems:
    """Metadata of the items of one modality in memory: one dictionary per item."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def entry(self, row: int) -> dict[str, Any]:
        """What is known of an item; keys without a value are left out."""
        return _given(self.entries[row])

    def several(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """``entry`` of each of some rows."""
        return [self.entry(r) for r in rows.tolist()]

    def column(self, key: str) -> list[Any]:
        """One value per row, None where an item has none."""
        return [e.get(key) for e in self.entries]

    def keys(self, rows: np.ndarray) -> list[str]:
        """Names of what is known of any of some rows."""
        return list(dict.fromkeys(k for e in self.several(rows) for k in e))


class ArrowItems:
    """The same in an Arrow file, mapped into memory: pages are read as they are needed."""

    def __init__(self, path: Path) -> None:
        arrow = require("pyarrow", "search")
        with explained(f"index is damaged: {path}", arrow.ArrowInvalid, OSError, then="; build it again"):
            self.table: pyarrow.Table = arrow.ipc.open_file(arrow.memory_map(str(path))).read_all()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def entry(self, row: int) -> dict[str, Any]:
        return self._entries(self.table.slice(row, 1))[0]

    def several(self, rows: np.ndarray) -> list[dict[str, Any]]:
        return self._entries(self.table.take(rows))

    def _entries(self, table: pyarrow.Table) -> list[dict[str, Any]]:
        columns = self._values(table)
        return [_given(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]

    def column(self, key: str) -> list[Any]:
        return self._values(self.table.select([key]))[key] if key in self.table.column_names else [None] * len(self)

    def _values(self, table: pyarrow.Table) -> dict[str, list[Any]]:
        """Columns of some rows, as they were given."""
        columns = {}
        for field, column in zip(table.schema, table.columns, strict=True):
            values = column.to_pylist()
            coded = MIXED.items() <= (field.metadata or {}).items()
            columns[field.name] = [v if v is None else from_json(v) for v in values] if coded else values
        return columns

    def keys(self, rows: np.ndarray) -> list[str]:
        table = self.table if len(rows) == len(self) else self.table.take(rows)
        known = zip(table.column_names, table.columns, strict=True)
        return [name for name, column in known if column.null_count < len(column)]


Metadata = ListItems | ArrowItems


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}


def write_arrow(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Entries as an Arrow file. Columns of several types, and of what is no plain text or number, are written as JSON;
    the same entries give the same bytes."""
    arrow = require("pyarrow", "search")
    names = list(dict.fromkeys(k for e in entries for k in e))
    columns, fields = [], []
    for name in names:
        values = [e.get(name) for e in entries]
        kind = _kind(values)
        if mixed := kind is None:
            values = [v if v is None else to_json(v) for v in values]
        kinds = {str: arrow.string(), bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64()}
        fields.append(arrow.field(name, kinds[kind or str], metadata=MIXED if mixed else None))
        columns.append(arrow.array(values, fields[-1].type))
    table = arrow.table(columns, schema=arrow.schema(fields))
    with path.open("wb") as sink, arrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _kind(values: Sequence[Any]) -> type | None:
    """The one type of all values that are there, which Arrow holds to the last digit; None: there are several."""
    kinds = {type(v) for v in values if v is not None} or {str}
    kind = next(iter(kinds))
    if len(kinds) > 1 or kind not in (str, bool, int, float):
        return None
    return None if kind is int and any(v is not None and not -(2**63) <= v < 2**63 for v in values) else kind


ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Condition(NamedTuple):
    """A filter on metadata: the column, one of = != < <= > >=, and what to compare with."""

    key: str
    operator: str
    value: str


def conditions(where: str | Sequence[str] | Mapping[str, Any] | None) -> tuple[Condition, ...]:
    """Filters from "key=value" texts ("==" does as well), or from a mapping of keys to a value or to alternatives.

    Raises:
        ModalignError: a text without key or operator, a key without a value, or with one that metadata cannot hold.

    Example:
        >>> conditions(["split=test", "year>=2020"])[1]
        Condition(key='year', operator='>=', value='2020')
        >>> conditions({"split": "test"})
        (Condition(key='split', operator='=', value='test'),)
    """
    if isinstance(where, Mapping):
        return tuple(Condition(str(k), "=", value) for k, v in where.items() for value in _values(str(k), v))
    out = []
    for text in [where] if isinstance(where, str) else where or ():
        if not isinstance(text, str):
            raise ModalignError(f"a filter is a text as key=value, got {type(text).__name__}: {text!r}")
        match = re.match(r"^\s*([^=!<>]+?)\s*(!=|<=|>=|==?|<|>)(.*)$", text, re.DOTALL)
        if match is None:
            raise ModalignError(f"a filter is written key=value (or !=, <, <=, >, >=), got '{text}'")
        out.append(Condition(match[1], "=" if match[2] == "==" else match[2], match[3].strip()))
    return tuple(out)


def _values(key: str, value: Any) -> list[str]:
    """The alternatives of a key, as text."""
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
    several = kept(several, f"a filter on '{key}'")
    if not several or None in several:
        raise ModalignError(f"a filter on '{key}' needs a value or several, got {value!r}")
    return [_text(v) for v in several]


def mask(items: Metadata, wanted: Sequence[Condition]) -> np.ndarray:
    """(n,) bool: the items that meet every condition; conditions with "=" on one key count as alternatives.

    With a number, "<" and its like compare numbers, which words never meet; else they compare text. An item without the
    key meets only "!=". The splits "val" and "dev" are one.

    Example:
        >>> items = ListItems([{"split": "dev"}, {"split": "test"}, {}])
        >>> mask(items, conditions(["split=test"])).tolist(), mask(items, conditions(["split!=test"])).tolist()
        ([False, True, False], [True, False, True])
    """
    keep = np.ones(len(items), dtype=bool)
    for key in dict.fromkeys(c.key for c in wanted):
        values, here = items.column(key), [c for c in wanted if c.key == key]
        if key == "split":  # runs say dev where lists and stores say val
            values = ["dev" if v == "val" else v for v in values]
            here = [c._replace(value="dev") if c.value == "val" else c for c in here]
        equal = {c.value for c in here if c.operator == "="}
        if equal:
            keep &= np.fromiter((_is_one_of(v, equal) for v in values), bool, len(values))
        for c in here:
            if c.operator != "=":
                keep &= np.fromiter((_meets(v, c) for v in values), bool, len(values))
    return keep


def _is_one_of(value: Any, wanted: set[str]) -> bool:
    if isinstance(value, bool):
        return _text(value) in {w.lower() for w in wanted}
    return value is not None and (_text(value) in wanted or any(_same_number(value, w) for w in wanted))


def _meets(value: Any, condition: Condition) -> bool:
    if condition.operator == "!=":
        return not _is_one_of(value, {condition.value})
    if value is None:
        return False
    bound = _number(condition.value)
    if bound is None:
        return bool(ORDERS[condition.operator](_text(value), condition.value))
    number = _number(value)
    return number is not None and bool(ORDERS[condition.operator](number, bound))


def check_order(condition: Condition, values: Iterable[Any]) -> None:
    """Refuse to put in order what has none: words against a number, or numbers against words.

    Args:
        values: of the key, of all items that may be asked for.

    Raises:
        ModalignError: there are values, and none that the condition could compare; with one of them.

    Example:
        >>> check_order(Condition("year", "<", "2000"), [1990, "unknown", None])
        >>> check_order(Condition("date", "<", "2000"), ["1999-12-31", None])
        Traceback (most recent call last):
        modalign.errors.ModalignError: 'date<2000' compares numbers, but no value of 'date' is one (one is '1999-12-31')
    """
    if condition.operator not in ORDERS:
        return
    numbers, other = _number(condition.value) is not None, None
    for value in values:
        if value is not None:
            if (_number(value) is not None) == numbers:
                return
            other = value if other is None else other
    if other is not None:
        kind, which = ("numbers", "no value") if numbers else ("words", "every value")
        shown = "is one" if numbers else "is a number"
        raise ModalignError(
            f"'{condition.key}{condition.operator}{condition.value}' compares {kind}, but {which} of '{condition.key}' "
            f"{shown} (one is {_text(other)!r})"
        )


def _same_number(value: Any, text: str) -> bool:
    number = _number(value) if isinstance(value, int | float) else None
    return number is not None and number == _number(text)


def _number(value: Any) -> float | None:
    """A finite number; a whole one as it is: ids of 64 bits are more than a fraction tells apart."""
    if isinstance(value, int | str):
        with suppress(ValueError):
            return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    return to_json(value) if isinstance(value, bool | list | Mapping) else str(value)


def item_id(given: Any, modality: str, row: int) -> str:
    """An item's id: its own, which may be the number 0, or modality/row where it has none.

    Example:
        >>> item_id("007", "image", 3), item_id(0, "image", 3), item_id("", "image", 3), item_id(None, "image", 3)
        ('007', '0', 'image/3', 'image/3')
    """
    return f"{modality}/{row}" if given is None or given == "" else str(given)


def with_ids(items: Entries, rows: Mapping[str, np.ndarray]) -> dict[str, list[dict[str, Any]]]:
    """Entries with an id each: their own, or modality/row, with the row that the entry names if those differ.

    Raises:
        ModalignError: another number of entries than rows, or two items with one id.
    """
    out: dict[str, list[dict[str, Any]]] = {}
    seen: set[str] = set()
    for m, entries in items.items():
        check_known("modality", m, rows)
        if len(entries) != len(rows[m]):
            raise ModalignError(f"'{m}' has {len(rows[m])} vectors but {len(entries)} item descriptions")
        out[m] = []
        numbers = [entry.get("row", r) for r, entry in enumerate(entries)]
        numbers = numbers if len(set(numbers)) == len(numbers) else list(range(len(entries)))
        for r, entry in zip(numbers, entries, strict=True):
            known = kept(entry, f"item {r} of '{m}'")
            own = {"id": item_id(known.get("id"), m, r), "text": None, "group": None} | {
                k: v for k, v in known.items() if k not in ("id", "modality")
            }
            if own["id"] in seen:
                raise ModalignError(f"two items have the id '{own['id']}': ids must differ")
            seen.add(own["id"])
            out[m].append(own)
    return out
