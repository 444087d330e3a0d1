"""Batches read ahead of the training, by threads: what waits for a disk waits beside the arithmetic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def read_ahead(read: Callable[[int], T], steps: Sequence[int], workers: int = 0) -> Iterator[T]:
    """What ``read`` gives for each step, in order.

    Args:
        read: a function of the step alone, so that any number of workers gives the same.
        steps: in the order in which they are wanted.
        workers: threads, each up to two steps ahead; 0: each step is read when it is asked for.

    Example:
        >>> list(read_ahead(lambda step: step**2, range(4), workers=2))
        [0, 1, 4, 9]
    """
    if workers < 1:
        yield from map(read, steps)
        return
    pool = ThreadPoolExecutor(workers, "read")
    try:
        coming = iter(steps)
        waiting = deque(pool.submit(read, step) for step in islice(coming, 2 * workers))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(pool.submit(read, step) for step in islice(coming, 1))
            yield found
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
