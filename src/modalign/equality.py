"""Equality by content, for results and items that hold arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar


class ByContent:
    """A base of dataclasses whose fields may be arrays: equal where all fields are.

    The equality that dataclasses make themselves asks arrays for one truth value, which they refuse. Arrays are equal
    where type, shape, device and all numbers are, NaN among them. Use with ``@dataclass(frozen=True, eq=False)``;
    fields with ``compare=False`` do not count.

    Example:
        >>> import numpy as np
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, eq=False)
        ... class Rows(ByContent):
        ...     name: str
        ...     x: np.ndarray
        >>> Rows("a", np.eye(2)) == Rows("a", np.eye(2)), Rows("a", np.eye(2)) == Rows("a", np.ones((2, 2)))
        (True, False)
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.compare)

    def __hash__(self) -> int:
        values = (getattr(self, f.name) for f in fields(self) if f.compare)
        return hash((type(self), *(v for v in values if isinstance(v, str | int | bool | None))))


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal throughout: arrays, NaN, and mappings and sequences of them.

    Example:
        >>> same({"x": [float("nan"), 1]}, {"x": [float("nan"), 1]}), same([1, 2], [1, 2, 3])
        (True, False)
    """
    if a is b:
        return True
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return type(a) is type(b) and _kind(a) == _kind(b) and bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (a != a and b != b))


def _kind(array: Any) -> tuple[Any, ...]:
    return array.dtype, tuple(array.shape), getattr(array, "device", None)
