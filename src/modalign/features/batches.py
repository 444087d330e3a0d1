"""Encode a few hundred items on this machine: in batches, by threads, broken items counted and named."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..data.manifest import Row
from ..errors import MissingExtraError, ModalignError
from .encoders.base import Encoder, plan

T = TypeVar("T")
Encoded = tuple[list[int], Tensor, dict[int, str]]
"""Positions of items in their shard, their features, and why others have none."""


def encode_batches(items: Sequence[Row], encoder: Encoder) -> Iterator[Encoded]:
    """Batches of features with the positions of their items, and the reasons of those that failed.

    Encoders that allow it (``parallel``) run in several threads, each with a batch and one torch thread of its own:
    as many as torch may use here. Small batches gain more from that than from sharing every operation among threads,
    and other programs on the machine do not stall it. Other encoders run alone, decoding one batch ahead.
    """
    batches = plan(encoder, items)
    own = torch.get_num_threads()
    if not getattr(encoder, "parallel", False):
        with ThreadPoolExecutor(1, "decode") as worker:
            for decoded in _ahead(worker, lambda places: _decode(items, places, encoder), batches, 1):
                yield _run(encoder, *decoded)
        return

    def work(places: list[int]) -> Encoded:
        return _run(encoder, *_decode(items, places, encoder))

    count = min(own, len(batches))
    if count <= 1:
        yield from map(work, batches)
        return
    try:
        with ThreadPoolExecutor(count, "encode", initializer=torch.set_num_threads, initargs=(1,)) as workers:
            yield from _ahead(workers, work, batches, 2 * count)
    finally:
        torch.set_num_threads(own)  # a part of that setting is shared by all threads


def _ahead(pool: Executor, work: Callable[[list[int]], T], batches: Iterable[list[int]], most: int) -> Iterator[T]:
    """What comes of each batch, in order; at most so many are under way or done while one is waited for or used."""
    waiting: deque[Future[T]] = deque()
    for places in batches:
        waiting.append(pool.submit(work, places))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _run(encoder: Encoder, places: list[int], batch: Any, errors: dict[int, str]) -> Encoded:
    """Features of a decoded batch. A row that comes out NaN, infinite or all zero is a failure: worse than no row."""
    block = encoder(batch).float().cpu() if places else torch.empty(0, encoder.dim)
    finite, live = torch.isfinite(block).all(1), (block != 0).any(1)
    if bool((finite & live).all()):
        return places, block, errors
    why = {(False, True): "NaN or infinite features", (True, False): "features of zeros alone, which have no direction"}
    found = list(zip(places, zip(finite.tolist(), live.tolist(), strict=True), strict=True))
    errors = errors | {p: f"the encoder returned {why[state]}" for p, state in found if state != (True, True)}
    return [p for p, state in found if state == (True, True)], block[finite & live], errors


def _decode(items: Sequence[Row], places: list[int], encoder: Encoder) -> tuple[list[int], Any, dict[int, str]]:
    """Collate a batch; where it fails, find the items to blame one by one and go on without them."""
    try:
        return places, encoder.collate([items[i] for i in places]), {}
    except MissingExtraError:
        raise
    except ModalignError:
        pass
    errors: dict[int, str] = {}
    for i in places:
        try:
            encoder.collate([items[i]])
        except ModalignError as problem:
            errors[i] = str(problem)
    good = [i for i in places if i not in errors]
    return good, encoder.collate([items[i] for i in good]) if good else None, errors
