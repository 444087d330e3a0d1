"""The one file that knows what ranks tell each other: processes that train one model together (`launch`).

Every rank draws the same batch, encodes its share of it, and sees the embeddings of all: objectives know nothing of
ranks, and their values and gradients are those of one process. With one process every function here does nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from ..errors import ModalignError
from ..views import Views

LARGE = 1 << 24
"""Entries of a plan from which on it is parted: 4,096 items a side, where passes over it cost more than messages."""


def world() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Number of this one, from 0."""
    return distributed.get_rank() if world() > 1 else 0


def leads() -> bool:
    """Whether this is the process that writes and prints."""
    return rank() == 0


def device() -> torch.device:
    """Where to train: ``MODALIGN_DEVICE`` ("cpu", "cuda", ...), of several devices the one of this rank; else the CPU.

    Raises:
        ModalignError: a device that is not there.
    """
    return _device(os.environ.get("MODALIGN_DEVICE", "cpu"), int(os.environ.get("LOCAL_RANK", "0")))


@cache
def _device(name: str, number: int) -> torch.device:
    try:
        found = torch.device(name)
        if found.type == "cuda" and found.index is None:
            found = torch.device("cuda", number)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as problem:
        raise ModalignError(f"MODALIGN_DEVICE={name} cannot be used ({str(problem).splitlines()[0]})") from None
    return found


# ------------------------------------------------------------------ numbers that all agree on


def share(count: int) -> slice:
    """The part of so many rows that is this rank's: parts follow each other, and differ by one row at most.

    Example:
        >>> share(5)
        slice(0, 5, None)
    """
    return _share(count, rank(), world())


def _share(count: int, number: int, of: int) -> slice:
    return slice(count * number // of, count * (number + 1) // of)


def total(x: Tensor) -> Tensor:
    """The sum over ranks, in place: of sums, counts and products that each took over its own rows."""
    if world() > 1:
        distributed.all_reduce(x)
    return x


def least(x: Tensor) -> Tensor:
    """The minimum over ranks, in place."""
    if world() > 1:
        distributed.all_reduce(x, distributed.ReduceOp.MIN)
    return x


@dataclass(frozen=True)
class PlanRows:
    """How ranks part a transport plan of a large batch, each having some rows: see ``geometry.transport.shared``.

    Args:
        entries: smallest plan that is parted.
    """

    entries: int = LARGE

    def rows(self, n: int, m: int) -> slice | None:
        """This rank's rows; None where every rank had better solve the whole."""
        return share(n) if world() > 1 and n >= world() and n * m >= self.entries else None

    def total(self, x: Tensor) -> Tensor:
        """The sum over ranks, in place."""
        return total(x)

    def least(self, x: Tensor) -> Tensor:
        """The minimum over ranks, in place."""
        return least(x)


def agreed(value: float) -> float:
    """A number as rank 0 has it, for choices that all must make alike."""
    if world() == 1:
        return value
    kept = torch.tensor([value], dtype=torch.float64)
    distributed.broadcast(kept, 0)
    return float(kept)


def same(*modules: nn.Module) -> None:
    """Give every rank the parameters and buffers that rank 0 has."""
    if world() > 1:
        for module in modules:
            for tensor in [*module.parameters(), *module.buffers()]:
                distributed.broadcast(tensor.data, 0)


def from_lead(path: Path) -> io.BytesIO | None:
    """The content of a file that only rank 0 needs to have; None where it is not there."""
    content = path.read_bytes() if leads() and path.exists() else None
    if world() > 1:
        size = int(agreed(-1 if content is None else len(content)))
        if size < 0:
            return None
        whole = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(size).byte()
        distributed.broadcast(whole, 0)
        content = whole.numpy().tobytes()
    return None if content is None else io.BytesIO(content)


@contextmanager
def own_draws(seed: int, step: int) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Random numbers of this rank alone (dropout) inside; after it, all ranks go on with the same ones.

    What is yielded makes a block inside, for the loss, in which those of all ranks are drawn.
    """
    if world() == 1:
        yield nullcontext
        return
    of_all = random_state()
    torch.manual_seed((seed * 9_176_263 + step * world() + rank()) % (1 << 62))

    @contextmanager
    def common() -> Iterator[None]:
        nonlocal of_all
        own = random_state()
        set_random_state(of_all)
        yield
        of_all = random_state()
        set_random_state(own)

    yield common
    set_random_state(of_all)


def random_state() -> tuple[Tensor, list[Tensor]]:
    """Of the CPU's generator and of the CUDA devices'."""
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []


def set_random_state(state: tuple[Tensor, list[Tensor]]) -> None:
    """Go back to a state."""
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])


# ------------------------------------------------------------------ one batch on all ranks


class _Gathered(torch.autograd.Function):
    """Rows of all ranks, one after the other. Every rank takes the same loss of them, so that the gradient of its own
    rows is at hand without another message; it is scaled because engines average over ranks what here is a sum."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.own = slice(sum(counts[: rank()]), sum(counts[: rank() + 1]))
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return grads[0][ctx.own] * world(), None


def own_part(x: Views, owner: Mapping[str, Tensor] | None = None) -> Views:
    """This rank's share of a batch that every rank has. A rank always has a row of what is in the batch at all, so
    that sharded encoders, whose parts lie on all ranks, meet on each: `assembled` leaves such guests out.

    Args:
        owner: modality -> the rank that has each row, where that is not by equal parts.
    """
    if world() == 1:
        return x
    rows = {}
    for m, data in x.data.items():
        if owner and m in owner:
            own = (owner[m] == rank()).nonzero().flatten()
            rows[m] = own if len(own) else torch.arange(min(1, len(data)))
            continue
        part = share(len(data))
        rows[m] = torch.arange(part.start, max(part.stop, min(part.start + 1, len(data))))
    return replace(x, links=None).select(rows)


def assembled(z: Views, batch: Views, owner: Mapping[str, Tensor] | None = None) -> Views:
    """The embeddings of a whole batch from those of every rank's `own_part`, in the batch's order, with gradients."""
    if world() == 1:
        return z
    data = {}
    for m, rows in z.data.items():
        counts = _counts(batch, m, owner)
        data[m] = _Gathered.apply(rows[: counts[rank()]], counts) if sum(counts) else rows
        if owner and m in owner:
            data[m] = data[m][torch.argsort(torch.argsort(owner[m], stable=True)).to(rows.device)]
    return replace(batch, data=data)


def level(own: Views, batch: Views, owner: Mapping[str, Tensor] | None = None) -> Views:
    """This rank's `own_part` with as many rows as the greatest part has, by guests, which `assembled` leaves out.

    So sharded encoders, whose parts lie on all ranks, take as many mini-batches of the same modalities on each.
    """
    if world() == 1:
        return own
    return own.select(
        {m: torch.arange(max(_counts(batch, m, owner))).clamp(max=len(rows) - 1) for m, rows in own.data.items()}
    )


def _counts(batch: Views, m: str, owner: Mapping[str, Tensor] | None) -> list[int]:
    """How many rows of a modality each rank has."""
    if owner and m in owner:
        return torch.bincount(owner[m], minlength=world()).tolist()
    shares = [_share(len(batch[m]), r, world()) for r in range(world())]
    return [s.stop - s.start for s in shares]


def gather(x: Views) -> Views:
    """Views of all ranks as one, with gradients: any number of items of any modalities on each.

    Groups keep their meaning across ranks; links name rows of their own rank. Modalities come in the order in which
    ranks, by their number, have them.

    Raises:
        ModalignError: two ranks have one modality in different shapes or types.
    """
    if world() == 1:
        return x
    links = x.links or {}
    mine = {
        "rows": {m: (len(v), tuple(v.shape[1:]), str(v.dtype).removeprefix("torch.")) for m, v in x.data.items()},
        "links": {pair: v.shape[1] for pair, v in links.items()},
        "row": x.row is not None,
    }
    found: list[Mapping[str, Any]] = [{}] * world()
    distributed.all_gather_object(found, mine)
    forms: dict[str, tuple[Any, ...]] = {}
    for number, table in enumerate(found):
        for m, (_, *form) in table["rows"].items():
            if forms.setdefault(m, tuple(form)) != tuple(form):
                raise ModalignError(f"'{m}' is {forms[m]} on one rank and {tuple(form)} on rank {number}")
    counts = {m: [table["rows"].get(m, (0,))[0] for table in found] for m in forms}
    data, group, row = {}, {}, {}
    for m, (tail, dtype) in forms.items():
        none = torch.zeros(0, *tail, dtype=getattr(torch, dtype), device=device())
        data[m] = _Gathered.apply(x.data.get(m, none), counts[m])
        group[m] = _Gathered.apply(x.group.get(m, none.new_zeros(0)).long(), counts[m])
        if all(table["row"] for table in found):
            row[m] = _Gathered.apply((x.row or {}).get(m, none.new_zeros(0)).long(), counts[m])
    joined = {}
    for a, b in dict.fromkeys(pair for table in found for pair in table["links"]):
        start = torch.tensor([sum(counts[m][: rank()]) for m in (a, b)], device=device())
        own = (links[a, b].long().T + start) if (a, b) in links else start.new_zeros(0, 2)
        joined[a, b] = _Gathered.apply(own, [table["links"].get((a, b), 0) for table in found]).T
    return Views(data, group, joined or None, row or None)


# ------------------------------------------------------------------ one model on all ranks


def spread(module: nn.Module, sharded: bool = False) -> nn.Module:
    """The module as all ranks train it: as it is, where each has a copy (`join`), or in parts that lie on all of them.

    Args:
        module: with the same parameters on every rank. It stays the owner of the parameters.
        sharded: each rank keeps a part of every parameter and of what the optimiser knows of it (FSDP2), in place.
    """
    if world() > 1 and sharded:
        from torch.distributed.fsdp import fully_shard

        mesh = distributed.device_mesh.init_device_mesh(device().type, (world(),))
        for net in getattr(module, "nets", ()):
            fully_shard(net, mesh=mesh)
        fully_shard(module, mesh=mesh)
    return module


def join(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients of copies over ranks, after the backward pass of each.

    A rank without a gradient counts as 0. What no rank has a gradient of keeps none, as in one process: its momentum
    and decay stand still.
    """
    if world() == 1:
        return
    own = [p for p in parameters if p.requires_grad]
    having = total(torch.tensor([p.grad is not None for p in own], dtype=torch.int32, device=device())).tolist()
    used = [p for p, n in zip(own, having, strict=True) if n]
    if not used:
        return
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
    whole = total(torch.cat([g.flatten() for g in grads])).div_(world())
    for p, part in zip(used, whole.split([p.numel() for p in used]), strict=True):
        p.grad = part.view_as(p).to(p.dtype)
