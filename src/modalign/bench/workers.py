"""Processes for fits: they end with the process that started them, however that ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, connection, get_context, parent_process
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """A pool of processes that start afresh (``spawn``).

    Ctrl-C is for the process that started them: they do not hear it, and are ended when the pool is left by an error.
    Where that process is killed they end by themselves, so that the next call finds nobody at its files.

    Args:
        count: processes. begin: called once in each, with ``given``.
    """

    def __init__(self, count: int, begin: Callable[..., None] | None = None, *given: Any) -> None:
        self.count, self.others = count, set(active_children())
        self.pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_begin, initargs=(begin, given))

    def submit(self, work: Callable[..., T], *given: Any) -> Future[T]:
        """Have something done; processes are started as they are needed."""
        with _deaf():  # what is started now does not hear Ctrl-C, not even while it imports
            return self.pool.submit(work, *given)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is None:
            self.pool.shutdown()
            return
        self.pool.shutdown(wait=False, cancel_futures=True)
        for child in set(active_children()) - self.others:
            child.kill()


def _begin(begin: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    threading.Thread(target=_follow, daemon=True).start()
    if begin is not None:
        begin(*given)


def _follow() -> None:
    """End where the process that started this one is gone."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _deaf() -> Iterator[None]:
    """Without Ctrl-C for a moment; a process that is started meanwhile never hears it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
