"""Values as strict JSON can hold them: whole texts, finite numbers, dates as text."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any

from .errors import ModalignError


def whole_text(text: str) -> str:
    """A text that every encoding can hold: halves of surrogate pairs are joined where both are there, else U+FFFD.

    Example:
        >>> whole_text("\\ud83d\\ude00 \\ud83d") == "\\U0001f600 �"
        True
    """
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(value: Any) -> Any:
    """What json does not know, as it does: numbers and arrays of numpy, paths, sets, times (ISO 8601), spans (seconds).

    Example:
        >>> from datetime import date, timedelta
        >>> plain(date(2026, 11, 5)), plain(timedelta(minutes=2)), plain({"b", "a"})
        ('2026-11-05', 120.0, ['a', 'b'])
    """
    if getattr(getattr(value, "dtype", None), "kind", "") in ("M", "m"):
        return value.astype(str).tolist()
    if hasattr(value, "tolist"):
        found = value.tolist()
        return float(found) if type(found) is type(value) else found  # of a long double
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__name__ == "Decimal":
        return float(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: give text, numbers, dates, or lists of them")


def strict(value: Any) -> Any:
    """The same values as strict JSON can hold them: None for numbers that are not finite, whole texts, dates as text.

    Raises:
        TypeError: bytes, or what else JSON has no form for.

    Example:
        >>> strict({"a": (1.0, float("inf")), "b": "x"})
        {'a': [1.0, None], 'b': 'x'}
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {whole_text(k) if isinstance(k, str) else k: strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    return strict(plain(value))


def kept(value: Any, what: str) -> Any:
    """``strict``, of what a caller gave and files are to keep.

    Raises:
        ModalignError: bytes, or what else JSON has no form for; ``what`` says where it is.

    Example:
        >>> kept(b"x", "it")
        Traceback (most recent call last):
        modalign.errors.ModalignError: it: bytes cannot be written as JSON: give text, numbers, dates, or lists of them
    """
    try:
        return strict(value)
    except TypeError as problem:
        raise ModalignError(f"{what}: {problem}") from None
