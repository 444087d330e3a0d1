"""Errors that a user can mend. Each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType

from . import renamed

LONGEST = 1500  # characters of a message
ARROW = (OSError, ValueError, NotImplementedError)  # what pyarrow raises about a file; the last: a codec it cannot read


def one_line(message: object) -> str:
    """A message as one line that can be read: what is quoted in it may have line breaks, or be a whole file.

    Example:
        >>> one_line("unknown word 'a\\nb'")
        "unknown word 'a b'"
        >>> len(one_line("unknown word '" + "a" * 10**6))
        1505
    """
    line = " ".join(str(message).splitlines())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


class ModalignError(ValueError):
    """A mistake in what the user gave us. The program prints its one line and exits with 2."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(message))


class DiskError(ModalignError):
    """A disk takes no file. Who goes on where something else is refused does not go on here: no work is at fault."""


class LostRankError(ModalignError):
    """Another process of a training ended; the program exits with 1, and torchrun may start it again."""


class MissingExtraError(ModalignError, ImportError):
    """An optional dependency is not installed."""


@contextmanager
def explained(what: str, *kinds: type[BaseException], then: str = "") -> Iterator[None]:
    """What other code raises within becomes one line: what failed, the reason in brackets, and what to do then.

    Args:
        what: that failed. kinds: of exceptions that are told so; ours pass as they are. then: the end of the line.

    Example:
        >>> with explained("x.json is damaged", KeyError, then="; write it again"):
        ...     {}["shape"]
        Traceback (most recent call last):
        modalign.errors.ModalignError: x.json is damaged (no 'shape'); write it again
    """
    try:
        yield
    except ModalignError:
        raise
    except kinds as problem:
        words = f"no {problem}" if isinstance(problem, KeyError) else getattr(problem, "strerror", None) or str(problem)
        reason = " ".join(words.split())[:300] or type(problem).__name__
        raise ModalignError(f"{what} ({reason}){then}") from None


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Args:
        module: dotted name of the module, for example ``"resvg_py"``.
        extra: the extra of modalign that installs it, for example ``"demo"``.

    Raises:
        MissingExtraError: the module is not installed.

    Example:
        >>> require("math", "demo").sqrt(4.0)
        2.0
    """
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        if cause.name is not None and cause.name.split(".")[0] != module.split(".")[0]:
            raise  # the module is there, but something inside it is broken: do not hide that
        raise MissingExtraError(
            f"the Python package for '{module}' is not installed: run  pip install 'modalign[{extra}]'"
        ) from cause


_ELSEWHERE = {
    "random_state": ("seed",), "n_components": ("dim",), "n_dims": ("dim",), "embed_dim": ("dim",),
    "learning_rate": ("lr",), "epochs": ("steps",), "max_iter": ("steps", "trials"), "n_iter": ("steps", "trials"),
    "batch_size": ("batch",), "temperature": ("scale",), "logit_scale": ("scale",), "reg": ("ridge",),
    "alpha": ("ridge",), "n_neighbors": ("neighbours", "k"), "metric": ("measure",),
}  # fmt: skip
"""What other libraries call a setting -> what it is called here, the first of them that there is."""


def unknown(kind: str, name: object, known: Iterable[object], told: str = "") -> ModalignError:
    """The error for a name that is not in a list, with what is ``told`` of it, its name of today or the nearest one.

    Example:
        >>> print(unknown("metric", "recal", ["recall", "cka"]))
        unknown metric 'recal': did you mean 'recall'? (known: cka, recall)
        >>> print(unknown("setting", "random_state", ["dim", "seed"]))  # as other libraries say
        unknown setting 'random_state': did you mean 'seed'? (known: dim, seed)
    """
    names = sorted({str(k) for k in known})
    here = next((own for own in _ELSEWHERE.get(str(name), ()) if own in names), None)
    near = [here] if here else difflib.get_close_matches(str(name), names, n=1, cutoff=0.65)
    hint = told or (f": did you mean '{near[0]}'?" if near else "")
    if (now := renamed.setting(kind, name)) is not None:
        hint = f": it is now '{now}'"
    return ModalignError(f"unknown {kind} '{name}'{hint} (known: {', '.join(names) or 'none'})")


def check_known(kind: str, name: object, known: Collection[object]) -> None:
    """Refuse a name that is not in a list, by the error of ``unknown``.

    Example:
        >>> check_known("metric", "cka", ["recall", "cka"])
    """
    if name not in known:
        raise unknown(kind, name, known)


def few(items: Iterable[object], limit: int = 5) -> str:
    """A short list for a message: the first few entries and how many more.

    Example:
        >>> few(range(8))
        '0, 1, 2, 3, 4 and 3 more'
    """
    entries = [str(i) for i in items]
    more = f" and {len(entries) - limit} more" if len(entries) > limit else ""
    return ", ".join(entries[:limit]) + more
