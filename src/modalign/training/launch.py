"""How processes that torchrun started begin and end together, and take turns; what they tell each other: `ranks`."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from torch import distributed

from ..errors import LostRankError, ModalignError
from .ranks import device, leads, world

PATIENCE = timedelta(minutes=10)
"""How long a rank waits for another inside a step before it gives it up for lost."""
LONG = timedelta(days=7)
"""How long it waits while rank 0 does what is done once: encoding a data set, say."""


@contextmanager
def together() -> Iterator[None]:
    """Join the processes that torchrun started with this one; alone, do nothing.

    Only rank 0 prints. Where one rank fails or is lost, all end, and one of them says why.

    Raises:
        ModalignError: as inside, on the first rank that fails; the processes do not find each other.
        LostRankError: another rank ended.
        SystemExit: on the ranks that have nothing to add.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if not size.isdecimal():
        raise ModalignError(f"WORLD_SIZE must be a number of processes, got {size!r}: torchrun sets it")
    if int(size) < 2 or world() > 1:
        yield
        return
    _join()
    before = signal.signal(signal.SIGTERM, _ended)
    try:
        with _quiet_unless_leading():
            yield
    except ModalignError:
        if _first_to_speak():
            raise
        raise SystemExit(2) from None
    except (RuntimeError, _Ended) as problem:
        if not _is_loss(problem):
            raise
        if _first_to_speak():
            raise LostRankError(
                "a process of this training was lost, so all end: the same command goes on from the last checkpoint"
            ) from None
        raise SystemExit(1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
        distributed.destroy_process_group()


def _join() -> None:
    engine = "cuda:nccl,cpu:gloo" if device().type == "cuda" else "gloo"
    try:
        store, number, of = next(distributed.rendezvous("env://", timeout=PATIENCE))
        if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":  # torchrun's store keeps old addresses at a restart
            store = distributed.PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        distributed.init_process_group(engine, store=store, rank=number, world_size=of, timeout=PATIENCE)
    except (ValueError, RuntimeError) as problem:  # a variable that is missing, an address that nobody answers at
        place = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
        reason = str(problem).strip().partition("\n")[0][:200]
        raise ModalignError(
            f"the {os.environ['WORLD_SIZE']} processes of WORLD_SIZE cannot meet at {place} ({reason}): "
            "start them with torchrun, or unset WORLD_SIZE for one process"
        ) from None


class _Ended(BaseException):
    """torchrun ends this process because another one ended."""


def _ended(*_: Any) -> None:
    raise _Ended


def _is_loss(problem: BaseException) -> bool:
    return isinstance(problem, (_Ended, distributed.DistError)) or "gloo" in str(problem)


def _first_to_speak() -> bool:
    """Whether no other rank has said yet why all of them end."""
    try:
        return int(_store().add("modalign/said", 1)) == 1
    except RuntimeError:  # whoever kept the count is gone as well
        return True


def _store() -> distributed.Store:
    return distributed.distributed_c10d._get_default_store()


@contextmanager
def _quiet_unless_leading() -> Iterator[None]:
    """Standard output and warnings of rank 0 alone."""
    if leads():
        yield
        return
    shown = sys.stdout
    with warnings.catch_warnings(), open(os.devnull, "w", encoding="utf-8") as nowhere:
        warnings.simplefilter("ignore")
        sys.stdout = nowhere
        try:
            yield
        finally:
            sys.stdout = shown


_turns = iter(range(sys.maxsize))


@contextmanager
def in_turn() -> Iterator[None]:
    """Rank 0 first, then the others: what it leaves on disk, they find."""
    if world() == 1:
        yield
        return
    done = f"modalign/turn/{next(_turns)}"
    if not leads():
        _store().wait([done], LONG)
    yield
    if leads():
        _store().set(done, "1")
