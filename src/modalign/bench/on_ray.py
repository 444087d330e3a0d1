"""The processes of a bench on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..errors import ModalignError
from ..features.on_ray import connect


class RayWorkers:
    """Actors in the place of the processes of ``bench.workers.Workers``; one that dies is started again, at its cell.

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
