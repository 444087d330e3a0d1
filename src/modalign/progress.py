"""Progress of long work: a callback that library code calls, and its drawing on the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

#: (done, total, what): called as often as there is news; ``what`` names the work in a few words.
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, what: str) -> None:
    """Progress that shows nothing: the default in library code."""


@contextmanager
def terminal() -> Iterator[Progress]:
    """Bars with the time left on standard error; plain lines every few seconds where it is no terminal."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def show(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, completed=done)  # what was there took no time
            elif done < bars.tasks[tasks[what]].completed:  # the same work once more
                bars.reset(tasks[what])  # type: ignore[arg-type]
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield show


EVERY = 5.0  # seconds between two lines, and between two savings, at least


class _Lines:
    """One line at the start, then at most one every ``EVERY`` seconds, then one at the end of each piece of work."""

    def __init__(self) -> None:
        self.start: dict[str, tuple[float, int]] = {}
        self.last: dict[str, float] = {}
        self.done: dict[str, int] = {}

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        known = self.done.get(what, -1)
        self.done[what] = done
        if done < known:  # the same work once more, with a clock of its own
            del self.start[what]
        begun, before = self.start.setdefault(what, (now, done))
        finished = done >= total
        if (done == known) if finished else (now - self.last.get(what, -1e9) < EVERY):
            return
        self.last[what] = now
        spent, new = now - begun, done - before  # what was there before took no time
        left = f", about {spent / new * (total - done):.0f} s left" if new > 0 and not finished else ""
        print(f"{what}: {done} of {total} ({spent:.0f} s{left})", file=sys.stderr, flush=True)


class Pause:
    """Time between two savings of unfinished work: a few seconds, or more where saving itself takes long.

    Args:
        cost: seconds that the last saving took.
    """

    def __init__(self, cost: float = 0.0) -> None:
        self.begun, self.length = time.monotonic(), max(EVERY, 10 * cost)
        self.ended = self.begun

    def over(self) -> bool:
        """Whether it is time to save."""
        self.ended = time.monotonic()
        return self.ended - self.begun >= self.length

    def spent(self) -> float:
        """Seconds since it was over: what the saving took."""
        return time.monotonic() - self.ended


@contextmanager
def kept(what: Callable[[], str]) -> Iterator[None]:
    """Say what an interruption (Ctrl-C) of the work inside leaves behind; the program prints it.

    Example:
        >>> try:
        ...     with kept(lambda: "3 of 8 trials are kept"):
        ...         raise KeyboardInterrupt
        ... except KeyboardInterrupt as stop:
        ...     print(*stop.__notes__)
        3 of 8 trials are kept
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(what())
        raise


def note(lines: Iterable[str]) -> None:
    """What people should know before they wait: a line each on standard error."""
    for line in lines:
        print(f"note: {line}", file=sys.stderr, flush=True)
