"""Kinds of parameters: one range for each, checked alike for Python and for the command line.

A signature says ``seed: Seed``; whoever calls through ``checked`` (every registered part and every command) is told at
once, in one line, what does not lie in the range. To a type checker they are plain numbers.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import reprlib
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from .errors import ModalignError

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Range:
    """Finite numbers that a parameter may be.

    Args:
        least, most: ends that belong to it. above, below: ends that do not.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def check(self, value: Any, name: str, whole: bool = False) -> None:
        """Refuse what is no such number.

        Raises:
            ModalignError: naming the parameter, the range and the value.
        """
        if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
            raise ModalignError(f"{name} must be a {'whole ' * whole}number, got {reprlib.repr(value)}")
        if not self.holds(float(value)):
            raise ModalignError(f"{name} must {self}, got {value}")

    def holds(self, value: float) -> bool:
        """Whether a number lies in the range.

        Example:
            >>> Range(least=0, below=1).holds(1.0)
            False
        """
        return math.isfinite(value) and not (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def __str__(self) -> str:
        low, high = (self.least, self.above), (self.most, self.below)
        if high == (None, None):
            if low == (None, 0):
                return "be positive and finite"
            if low == (None, None):
                return "be finite"
            return f"be at least {low[0]:,}" if low[0] is not None else f"be above {low[1]:,}"
        left = f"[{low[0]:,}" if low[0] is not None else f"({low[1] if low[1] is not None else '-inf'}"
        right = f"{high[0]:,}]" if high[0] is not None else f"{high[1]:,})"
        return f"lie in {left}, {right}"


@dataclass(frozen=True)
class Absolute:
    """A file or folder, which is the same place whatever folder the program runs in later.

    Args:
        found: only where it is there: what is given may also be a name.
    """

    found: bool = False

    def of(self, value: Any) -> Any:
        """The place as an absolute path, of the type that was given; ``~`` is the user's folder."""
        if not isinstance(value, str | Path) or (self.found and not os.path.exists(os.path.expanduser(value))):
            return value
        if re.match(r"([A-Za-z][A-Za-z0-9+.-]+:/|pipe:)", str(value)):  # a Path has one slash of "https://"
            raise ModalignError(f"{value} is not on this machine, and nothing is downloaded: get the files first")
        return type(value)(os.path.abspath(os.path.expanduser(value)))


Place = Annotated[Path | str, Absolute()]
"""Files of a data set: what is read from there is named by absolute paths."""
Seed = Annotated[int, Range(least=0, most=2**32 - 1)]
"""Of random numbers: what numpy, torch and scikit-learn all take."""
Dim = Annotated[int, Range(least=1, most=65_536)]
"""Width of a space or of features."""
Count = Annotated[int, Range(least=1)]
"""Things of which there must be one: rows, trials, neighbours, items of a batch."""
Number = Annotated[int, Range(least=0)]
"""Things of which there may be none: steps, links, permutations."""
Port = Annotated[int, Range(least=0, most=65_535)]
Share = Annotated[float, Range(least=0, below=1)]
"""A part that is taken away: it may be nothing, not all."""
Portion = Annotated[float, Range(above=0, most=1)]
"""A part that is used: it may be all, not nothing."""
Fraction = Annotated[float, Range(least=0, most=1)]
Positive = Annotated[float, Range(above=0)]
"""Rates, temperatures, seconds."""
Weight = Annotated[float, Range(least=0)]
"""Weights of terms, strengths, ridges."""
Finite = Annotated[float, Range()]


def check_value(annotation: Any, value: Any, name: str) -> None:
    """Hold a value against the ranges of its type; what has none passes.

    Args:
        annotation: ``Seed``, ``Count | None``, ``tuple[Count, ...]`` and the like.

    Raises:
        ModalignError: outside the range.

    Example:
        >>> check_value(Seed, -1, "seed")
        Traceback (most recent call last):
        modalign.errors.ModalignError: seed must lie in [0, 4,294,967,295], got -1
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        for entry in args[1:]:
            if isinstance(entry, Range):
                entry.check(value, name, whole=args[0] is int)
        check_value(args[0], value, name)
    elif origin in (Union, types.UnionType):
        for kind in args:
            if isinstance(value, Real) or (isinstance(value, list | tuple) and get_origin(kind) is not Annotated):
                check_value(kind, value, name)
    elif isinstance(value, list | tuple) and origin is not None and args:
        for entry in value:
            check_value(args[0], entry, name)


def check_names(names: Sequence[str], what: str = "a modality") -> None:
    """Refuse names that neither folders nor options could hold.

    Raises:
        ModalignError: an empty name, one with a slash or a control character, with blanks at its ends, or a long one.

    Example:
        >>> check_names(["a/b"])
        Traceback (most recent call last):
        modalign.errors.ModalignError: the name of a modality has no slash and no blank at its ends, got 'a/b'
    """
    for name in names:
        if not name or name != name.strip() or len(name) > 100 or any(c in "/\\" or c < " " for c in name):
            limit = " and at most 100 characters" if len(name) > 100 else ""
            raise ModalignError(f"the name of {what} has no slash and no blank at its ends{limit}, got {name[:120]!r}")


def has_range(annotation: Any) -> bool:
    """Whether a type says what range a number must lie in."""
    if get_origin(annotation) is Annotated and any(isinstance(entry, Range) for entry in get_args(annotation)[1:]):
        return True
    return any(has_range(kind) for kind in get_args(annotation))


def _place(annotation: Any) -> Absolute | None:
    if get_origin(annotation) is not Annotated:
        return None
    return next((entry for entry in get_args(annotation)[1:] if isinstance(entry, Absolute)), None)


def checked(part: T) -> T:
    """A function, or a class whose constructor, that holds its arguments against their types' ranges before it runs.

    Arguments that are a ``Place`` become absolute paths.

    Example:
        >>> @checked
        ... def draw(n: Count = 3) -> int:
        ...     return n
        >>> draw(0)
        Traceback (most recent call last):
        modalign.errors.ModalignError: n must be at least 1, got 0
    """
    if isinstance(part, type):
        part.__init__ = checked(part.__init__)  # type: ignore[misc]
        return part
    known: list[tuple[inspect.Signature, dict[str, Any]]] = []

    @wraps(part)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not known:  # annotations are read at the first call: imports stay quick
            signature = inspect.signature(part, eval_str=True)
            kinds = {n: p.annotation for n, p in signature.parameters.items()}
            known.append((signature, {n: k for n, k in kinds.items() if has_range(k) or _place(k)}))
        signature, table = known[0]
        if not table:
            return part(*args, **kwargs)
        try:
            bound = signature.bind_partial(*args, **kwargs)
        except TypeError:
            return part(*args, **kwargs)  # which says what is wrong with the call
        for name in table.keys() & bound.arguments.keys():
            check_value(table[name], bound.arguments[name], name)
            if (place := _place(table[name])) is not None:
                bound.arguments[name] = place.of(bound.arguments[name])
        return part(*bound.args, **bound.kwargs)

    return call  # type: ignore[return-value]
