"""Kinds of parameters, checked alike for Python, for specifications and for the command line.

A signature says ``seed: Seed``; whoever calls through ``checked`` (every registered part and every command) is told at
once, in one line, what is of another type or does not lie in the range. To a type checker they are plain numbers.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import reprlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

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


@dataclass(frozen=True)
class Shape:
    """The axes of a tensor of real numbers. In one call axes of one name have one length, and numbers one precision.

    Args:
        axes: names, or lengths: "n d", "p 2".
        mixed: whether its numbers may have another precision than those of the call's other tensors.
    """

    axes: str
    mixed: bool = False

    def check(self, value: Any, name: str, known: dict[str, Any]) -> None:
        """Refuse another shape. ``known``: what is known of this call's axes and precision, to which this adds."""
        if not value.is_floating_point():
            raise ModalignError(f"{name} must hold real numbers in floating point, got {value.dtype}")
        axes = self.axes.split()
        said = f"{name} must have the shape ({', '.join(axes)})"
        if value.ndim != len(axes):
            raise ModalignError(f"{said}, got {tuple(value.shape)}")
        for axis, length in zip(axes, value.shape, strict=True):
            wanted = int(axis) if axis.isdigit() else known.setdefault(axis, length)
            if wanted != length:
                raise ModalignError(f"{said} with {axis} = {wanted}, got {tuple(value.shape)}")
        if not self.mixed and known.setdefault("precision", value.dtype) != value.dtype:
            raise ModalignError(f"{name} must be of {known['precision']} as the others are, got {value.dtype}")


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
Units = Annotated[int, Range(least=0, most=65_536)]
"""Of a layer; 0: no layer."""
Port = Annotated[int, Range(least=0, most=65_535)]
Share = Annotated[float, Range(least=0, below=1)]
"""A part that is taken away: it may be nothing, not all."""
Portion = Annotated[float, Range(above=0, most=1)]
"""A part that is used: it may be all, not nothing."""
Fraction = Annotated[float, Range(least=0, most=1)]
Level = Annotated[float, Range(above=0, below=1)]
"""Coverage of an interval."""
Positive = Annotated[float, Range(above=0)]
"""Rates, temperatures, seconds."""
Weight = Annotated[float, Range(least=0)]
"""Weights of terms, strengths, ridges."""
Finite = Annotated[float, Range()]


def check_value(annotation: Any, value: Any, name: str, known: dict[str, Any] | None = None) -> Any:
    """Hold a value against its type and the ranges in it; a type that cannot be told at run time lets all pass.

    Args:
        annotation: ``Seed``, ``Count | None``, ``tuple[Count, ...]``, ``Literal["a", "b"]``, ``Views`` and the like. A
            class may say how one of it is made, in ``HOW``.
        known: axes of the tensors of a call, see ``Shape``.

    Returns:
        The value, converted where that loses nothing: a list for a tuple, text for a path or a path for text,
        1 for a float.

    Raises:
        ModalignError: another type, or outside the range; it names the parameter, what it takes and the value.

    Example:
        >>> check_value(Seed, -1, "seed")
        Traceback (most recent call last):
        modalign.errors.ModalignError: seed must lie in [0, 4,294,967,295], got -1
    """
    kinds = _kinds(annotation)
    kind = type(value) if type(value) in kinds else next((k for k in kinds if _fits(k, value)), None)
    if kind is None:
        wanted = " or ".join(map(_described, kinds))
        how = [getattr(k, "HOW", "") for k in kinds]
        if "Tensor" in wanted and hasattr(value, "__array__"):
            how.append(f"torch.as_tensor(x{'.to_numpy()' * hasattr(value, 'to_numpy')}) makes one")
        said = [f"{name} must be {wanted}, got {_shown(value)}", "; ".join(filter(None, how))]
        raise ModalignError(": ".join(filter(None, said)))
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        for entry in args[1:]:
            if isinstance(entry, Range) and not entry.holds(float(value)):
                raise ModalignError(f"{name} must {entry}, got {value}")
            elif isinstance(entry, Absolute):
                value = entry.of(value)
            elif isinstance(entry, Shape):
                entry.check(value, name, {} if known is None else known)
        return check_value(args[0], value, name)
    if hasattr(value, "dtype") and not is_sparse(value):  # which has a type of its own, where it is asked for
        check_readable(value, name)
    if kind is float and not math.isfinite(value):
        raise ModalignError(f"{name} must be finite, got {value}")
    if origin in (tuple, list, Sequence):
        same = origin is not tuple or args[-1] is ...
        entries = args[:1] * len(value) if same else args
        if len(entries) != len(value):
            raise ModalignError(f"{name} must have {len(entries)} entries, got {_shown(value)}")
        if same and set(map(type, value)) <= {str, int, type(None)} & set(_kinds(args[0])):
            made = list(value)  # as all of a long list mostly are
        else:
            made = [check_value(k, entry, f"an entry of {name}") for k, entry in zip(entries, value, strict=True)]
        return tuple(made) if origin is tuple else made
    if origin in (dict, Mapping):
        if args == (str, Any) and all(type(k) is str for k in value):
            return dict(value)  # as millions of items are described
        return {check_value(args[0], k, name): check_value(args[1], v, f"{name} ({k})") for k, v in value.items()}
    if kind is str:
        return os.fspath(value)
    return kind(value) if kind in (int, float, bool, Path) else value


def check_readable(value: Any, name: str) -> None:
    """Refuse tensors and arrays whose numbers nothing here reads; what is no array passes.

    Raises:
        ModalignError: complex, sparse or masked, or a tensor on the device "meta", which holds none.

    Example:
        >>> import torch
        >>> check_readable(torch.eye(2).to_sparse(), "x")
        Traceback (most recent call last):
        modalign.errors.ModalignError: x is sparse, and sparse input is not supported: give it dense, as x.to_dense()
    """
    tensor = isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))
    if value.is_complex() if tensor else getattr(getattr(value, "dtype", None), "kind", "") == "c":
        raise ModalignError(
            f"Complex data not supported: {name} holds {value.dtype}; give real and imaginary parts as columns"
        )
    if tensor and value.is_meta:
        raise ModalignError(f"{name} is on the device 'meta', which holds no numbers")
    if is_sparse(value) or (tensor and str(value.layout) != "torch.strided"):
        dense = "x.to_dense()" if tensor else "x.toarray()"
        raise ModalignError(f"{name} is sparse, and sparse input is not supported: give it dense, as {dense}")
    if type(value).__name__ == "MaskedArray":
        raise ModalignError(f"{name} is a masked array: leave the masked rows out, or fill them in, and give x.data")


def is_sparse(x: Any) -> bool:
    """Whether it is a sparse array of scipy; where scipy's are not loaded, or not yet wholly, there is none."""
    issparse = getattr(sys.modules.get("scipy.sparse"), "issparse", None)
    return issparse is not None and bool(issparse(x))


_NAMES: Mapping[Any, str] = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path", type(None): "None",
    tuple: "a list", list: "a list", Sequence: "a list", dict: "a table of names and values",
    Mapping: "a table of names and values", Callable: "a function",
}  # fmt: skip
_WIDER: Mapping[Any, Any] = {
    int: Integral, float: Real, Path: (str, Path), str: (str, Path), tuple: (list, tuple), list: (list, tuple),
    dict: Mapping,
}  # fmt: skip
"""What counts as one of a type, where Python's own is narrower."""


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union; or the one kind."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _kinds(member)]
    return [type(None) if annotation is None else annotation]


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value is of a kind, its range and its entries aside."""
    origin = get_origin(kind) or kind
    if origin is Any:
        return True
    if origin is Annotated:
        return any(_fits(k, value) for k in _kinds(get_args(kind)[0]))
    if origin is Literal:
        return any(type(value) is type(known) and value == known for known in get_args(kind))
    if origin is Callable:
        return callable(value)
    if not isinstance(origin, type):
        return True
    if getattr(origin, "_is_protocol", False):
        return callable(value) if "__call__" in vars(origin) else True
    if origin is bool or type(value).__name__ in ("bool", "bool_"):  # numpy's too
        return origin in (bool, object) and type(value).__name__ in ("bool", "bool_")
    return isinstance(value, _WIDER.get(origin, origin)) and not (origin is Sequence and isinstance(value, str | bytes))


def _described(kind: Any) -> str:
    origin = get_origin(kind) or kind
    if origin is Annotated:
        return " or ".join(map(_described, _kinds(get_args(kind)[0])))
    if origin is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return _NAMES.get(origin, getattr(origin, "__name__", str(origin)))


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return reprlib.repr(value) if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"


def check_names(names: Sequence[str]) -> None:
    """Refuse names of modalities that neither folders nor options could hold.

    Raises:
        ModalignError: an empty name, one with a slash or a control character, with blanks at its ends, or a long one.

    Example:
        >>> check_names(["a/b"])
        Traceback (most recent call last):
        modalign.errors.ModalignError: the name of a modality has no slash and no blank at its ends, got 'a/b'
    """
    for name in names:
        if not name or name != name.strip() or len(name) > 100 or any(c in "/\\" or c < " " for c in name):
            rules = "no slash and no blank at its ends" + " and at most 100 characters" * (len(name) > 100)
            raise ModalignError(f"the name of a modality has {rules}, got {name[:120]!r}")


def checked(part: T) -> T:
    """A function, or a class whose constructor, that holds its arguments against their types before it runs.

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

    @wraps(part)
    def call(*args: Any, **kwargs: Any) -> Any:
        compiler = getattr(sys.modules.get("torch"), "compiler", None)  # another thread may still be loading torch
        if compiler is not None and compiler.is_compiling():
            return part(*args, **kwargs)  # a graph has no room for questions
        signature, table = _read(part)
        try:
            bound = signature.bind_partial(*args, **kwargs)
        except TypeError:
            for name, value in zip(signature.parameters, args, strict=False):
                check_value(table.get(name, Any), value, name)
            return part(*args, **kwargs)  # which says what is wrong with the call
        axes: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if name in table:
                bound.arguments[name] = check_value(table[name], value, name, axes)
        return part(*bound.args, **bound.kwargs)

    return call  # type: ignore[return-value]


@cache
def _read(part: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    """The signature of a function, and the types of its parameters that can be read.

    They are read at the first call, so that imports stay quick.
    """
    signature, table = inspect.signature(part), {}
    for name, parameter in signature.parameters.items():
        kind = parameter.annotation
        if kind is not parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            with suppress(NameError):  # a type that is imported for a type checker alone
                table[name] = eval(kind, inspect.unwrap(part).__globals__) if isinstance(kind, str) else kind
    return signature, table
