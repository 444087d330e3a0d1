"""Encode on a Ray cluster: actors hold the encoder, each takes whole shards, and the features come back in order."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ..data.manifest import Manifest, Row
from ..errors import ModalignError, check_known, explained, require
from .batches import Encoded, encode_batches
from .choose import make_encoders
from .encoders.base import Encoder

ENGINES = ("local", "ray")
BLOCKS = 1000
"""Into how many pieces Ray cuts the work at most: what is lost with a worker and done again is one of them."""


class OnRay:
    """An engine of ``embed``: the features, and the files they lie in, are those that one process makes.

    Ray Data holds back when the program that writes the store is slower than the actors, so that memory stays flat. A
    worker that dies is started again, and only what it was at is done again. The program that calls writes the store;
    the actors need the data set's files under the same paths.

    Args:
        entries: modality -> name and settings of its encoder, which each actor makes for itself.
        address: of a Ray cluster ("auto", "ray://host:10001"); None: processes of this machine.
        workers: actors at most; None: as many as there are processors for. Each takes as many processors as torch has
            threads here, since the same number of threads gives the same bits.

    Raises:
        MissingExtraError: Ray is not installed.
        ModalignError: no cluster at this address.
    """

    def __init__(
        self, entries: Mapping[str, Mapping[str, Any]], address: str | None = None, workers: int | None = None
    ) -> None:
        self.entries, self.workers = entries, workers
        self.ray = connect(address)

    def __call__(self, modality: str, encoder: Encoder, shards: Iterable[Sequence[Row]]) -> Iterator[Iterable[Encoded]]:
        """What comes of each shard, in order."""
        data = require("ray.data", "scale")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        threads = torch.get_num_threads()
        work = [{"shard": pickle.dumps(list(items))} for items in shards]
        if not work:
            return
        most = self.workers or max(1, int(self.ray.cluster_resources().get("CPU", 1)) // threads)
        pool = data.ActorPoolStrategy(min_size=1, max_size=min(most, len(work)))
        encoded = data.from_items(work, override_num_blocks=min(len(work), BLOCKS)).map_batches(
            Worker, fn_constructor_args=(modality, dict(self.entries[modality]), threads), batch_size=1,
            compute=pool, num_cpus=threads,
        )  # fmt: skip
        try:
            for row in encoded.iter_rows():
                yield [(p, torch.from_numpy(x.copy()), errors) for p, x, errors in pickle.loads(row["found"])]
        except self.ray.exceptions.RayError as problem:
            raise _reason(problem) from None


class Worker:
    """Holds an encoder, on whichever machine Ray puts it."""

    def __init__(self, modality: str, entry: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.modality, self.entry = modality, entry
        self.encoder: Encoder | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """Encode one shard."""
        items: list[Row] = pickle.loads(batch["shard"][0])
        if self.encoder is None:
            self.encoder = make_encoders(Manifest.from_rows(items[:1]), {self.modality: self.entry})[self.modality]
        found = [(places, block.numpy(), errors) for places, block, errors in encode_batches(items, self.encoder)]
        return {"found": [pickle.dumps(found)]}


def wants_ray(engine: str, *settings: Any) -> bool:
    """Whether the engine that a command names is Ray.

    Raises:
        ModalignError: an unknown engine, or settings of Ray without Ray.
    """
    check_known("engine", engine, ENGINES)
    if engine != "ray" and any(s is not None for s in settings):
        raise ModalignError("an address and a number of actors are of Ray: give --engine ray, too")
    return engine == "ray"


def connect(address: str | None = None) -> Any:
    """Ray, joined to a cluster, or to processes of this machine that end with this one.

    Without an address the cluster is that of ``RAY_ADDRESS``, as in a job that Ray started; never one that Ray finds
    noted in a file, which may have ended long ago.

    Raises:
        MissingExtraError: Ray is not installed.
        ModalignError: no cluster at this address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = require("ray", "scale")
    if not ray.is_initialized():
        place = address or (None if os.environ.get("RAY_ADDRESS") else "local")
        _ask(address or "")
        where = address or "this machine"
        with explained(f"no Ray cluster can be reached at {where}", ConnectionError, ValueError, RuntimeError):
            ray.init(address=place, log_to_driver=False, logging_level="error")
    return ray


def _ask(address: str) -> None:
    """Refuse an address at which nobody listens; Ray itself would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    start = ": start one with  ray start --head"
    with explained(f"no Ray cluster can be reached at {address}", OSError, OverflowError, then=start):
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _reason(problem: BaseException) -> ModalignError:
    """The mistake that a worker met, or what Ray says."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ModalignError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return ModalignError(f"encoding on Ray failed ({' '.join(str(problem).split())[:300]})")
