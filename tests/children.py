"""Processes of the tests' own that start at once: this one, forked, with all that is imported already.

Not for what needs a backward pass, which torch refuses in the fork of a process that had one, nor for what has to be
imported anew.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NamedTuple

from modalign.progress import Progress


class Child(NamedTuple):
    """A process that does some work; what it prints, on both streams, comes through a pipe."""

    pid: int
    pipe: int

    def lines(self) -> Iterator[str]:
        """What it prints, line by line, until it ends; then it must be waited for by ``end``."""
        with os.fdopen(os.dup(self.pipe), errors="replace") as printed:
            for line in printed:
                yield line.rstrip("\n")

    def kill(self) -> None:
        """As ``kill -9`` does."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait for it; its exit code, or minus the signal that ended it."""
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def forked(work: Callable[[], object]) -> Child:
    """Start some work in a process of its own. It ends with 0, with what the work gives to ``sys.exit``, or with 1."""
    read, write = os.pipe()
    if pid := os.fork():
        os.close(write)
        return Child(pid, read)
    code = 1
    try:
        os.close(read)
        os.dup2(write, 1)
        os.dup2(write, 2)
        sys.stdout = sys.stderr = os.fdopen(write, "w", buffering=1)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def ran(work: Callable[[], object]) -> tuple[int, list[str]]:
    """Do some work in a process of its own: how it ended, and the lines that it printed."""
    child = forked(work)
    printed = list(child.lines())
    return child.end(), printed


def killed(work: Callable[[Progress], object], stage: str, after: int) -> None:
    """Do some work in a process of its own, and kill it when it has told of a stage of its progress so many times."""

    def slow(done: int, total: int, what: str) -> None:
        print(what)
        time.sleep(0.05)

    child, told = forked(lambda: work(slow)), 0
    for line in child.lines():
        told += line == stage
        if told >= after:
            break
    child.kill()
    assert (child.end(), told) == (-signal.SIGKILL, after)
