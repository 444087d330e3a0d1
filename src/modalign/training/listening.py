"""Who else hears what a training logs: a tracker, a plot, a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Listener = Callable[[Mapping[str, Any]], None]
"""Called with each line of the log: "step", and what was measured there."""
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """While this is open, the listener hears every line that trainings of this thread log.

    Example:
        >>> lines = []
        >>> with heard_by(lines.append):
        ...     tell({"step": 1, "loss": 0.5})
        >>> lines
        [{'step': 1, 'loss': 0.5}]
    """
    before = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(before)


def tell(line: Mapping[str, Any]) -> None:
    """Pass a line of the log on."""
    for listener in _listeners.get():
        listener(line)
