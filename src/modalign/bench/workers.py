"""Processes for fits, of this machine or of a Ray cluster: they end with the process that started them."""

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

from ..errors import ModalignError
from ..features.on_ray import connect

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


class RayWorkers:
    """Actors in the place of the processes of `Workers`; one that dies is started again, at its cell.

    They write into the folder of the bench, which all machines must see under one path.

    Args:
        address: of the cluster; None: processes of this machine. count: actors; None: one per processor of the cluster.
        begin: called once in each, with ``given``.
    """

    def __init__(self, address: str | None, count: int | None, begin: Callable[..., None], *given: Any) -> None:
        self.ray = connect(address)
        self.count = count or max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        kind = self.ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Actor)
        self.idle = [kind.remote(begin, given) for _ in range(self.count)]

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Have something done by an actor that has nothing to do; there is one while fewer than ``count`` are busy."""
        actor = self.idle.pop()
        future: Future[Any] = actor.do.remote(work, given).future()
        future.add_done_callback(lambda _: self.idle.append(actor))
        return future

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *problem: object) -> None:
        for actor in self.idle:
            self.ray.kill(actor)
        if isinstance(problem[1], self.ray.exceptions.RayError):
            raise ModalignError(f"the bench on Ray failed ({' '.join(str(problem[1]).split())[:200]})") from None


class _Actor:
    def __init__(self, begin: Callable[..., None], given: tuple[Any, ...]) -> None:
        begin(*given)

    def do(self, work: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        return work(*given)


class Here:
    """This process in the place of `Workers`: what is submitted is done at once.

    Args:
        begin: called once, with ``given``.
    """

    count = 1

    def __init__(self, begin: Callable[..., None], *given: Any) -> None:
        begin(*given)

    def submit(self, work: Callable[..., T], *given: Any) -> Future[T]:
        """Do something; it is done when this returns."""
        future: Future[T] = Future()
        future.set_result(work(*given))
        return future

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *problem: object) -> None:
        """Nothing is left to end."""


Pool = Workers | RayWorkers | Here
