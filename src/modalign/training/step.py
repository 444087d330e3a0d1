"""One step: its batch, read ahead, its embeddings on however many ranks, its loss and gradient."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ..errors import ModalignError
from ..objectives.base import Objective
from ..views import Batch, Views
from . import gradcache, ranks, shards
from .mixing import augment, mix
from .stream import Stream

if TYPE_CHECKING:
    from .settings import TrainingSettings


class RankBatch(NamedTuple):
    """A batch, this rank's rows of it, and whose each row is where ranks do not have equal parts."""

    whole: Views
    own: Views
    owner: Mapping[str, Tensor] | None = None


Read = tuple[RankBatch, Views, RankBatch | None]
T = TypeVar("T")

KEPT = 1 << 24


def keep_freed() -> None:
    """Have glibc keep up to twice ``KEPT`` bytes of what a step frees for the next one.

    By itself it gives memory back to the system from twice the largest block on that was ever freed, so that each step
    of a small training fetches some hundred pages anew. The block freed here is never touched and costs nothing.
    """
    torch.empty(KEPT, dtype=torch.uint8)


def rank_batch(batch: Views, stream: Stream | None = None) -> RankBatch:
    """This rank's share of a batch, on its device; read from its shards where the batch holds places."""
    owner = None if stream is None else stream.owner(batch)
    own = ranks.own_part(batch) if stream is None else stream.own(batch)
    place = ranks.device()
    return RankBatch(batch, own, owner) if place.type == "cpu" else RankBatch(batch.to(place), own.to(place), owner)


class Shared:
    """Encodes a batch by the shares of all ranks: a share in, embeddings of the whole batch out.

    Args:
        module: views of inputs -> views of unit rows. sharded: see ``TrainingSettings``.
    """

    def __init__(self, module: nn.Module, sharded: bool = False) -> None:
        self.engine, self.sharded = ranks.spread(module, sharded), sharded

    def __call__(self, batch: RankBatch) -> Views:
        return ranks.assembled(self.engine(batch.own), batch.whole, batch.owner)

    def part(self, batch: RankBatch) -> Views:
        """This rank's share, as it goes through the module in mini-batches."""
        return ranks.level(batch.own, batch.whole, batch.owner) if self.sharded else batch.own

    def join(self) -> None:
        """After the backward pass: the gradients of all ranks. Those of parameters in parts are joined within it."""
        if not self.sharded:
            ranks.join(self.engine.parameters())


def read(
    x: Views, seen: Views, rows: Mapping[str, Tensor], s: TrainingSettings, step: int, stream: Stream | None = None
) -> Read:
    """The batch of a step: inputs, the same items as the objective sees them, and second views where asked for."""
    draws = torch.Generator().manual_seed((s.seed * 5_915_587 + step) % (1 << 62))
    inputs = x.select(full(rows, x))
    features = inputs if seen is x else seen.select(full(rows, seen))
    if s.mixing:
        twin = draws.clone_state()  # the same partners and shares for both forms of the items
        inputs, features = mix(inputs, s.mixing, generator=draws), mix(features, s.mixing, generator=twin)
    second = augment(inputs, s.noise, s.drop, draws) if s.noise or s.drop else None
    if (place := ranks.device()).type != "cpu":
        features = features.to(place)
    return rank_batch(inputs, stream), features, None if second is None else rank_batch(second)


def read_ahead(read: Callable[[int], T], steps: Sequence[int], workers: int = 0) -> Iterator[T]:
    """What ``read`` gives for each step, in order: what waits for a disk waits beside the arithmetic.

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


def descend(encode: Shared, objective: Objective, batch: Read, s: TrainingSettings, step: int) -> tuple[Tensor, Batch]:
    """The loss of a batch, detached, and what the objective saw; gradients are left in the parameters.

    Raises:
        ModalignError: the loss is not finite.
    """
    inputs, features, second = batch
    seen: list[Batch] = []
    with ranks.own_draws(s.seed, step) as common:

        def loss_of(given: Batch) -> Tensor:
            seen.append(given)
            with autocast(s.precision, inputs.own), common():
                loss = objective(given)
            if not torch.isfinite(loss):
                raise ModalignError(f"the loss is {loss.item()} at step {step}: lower the learning rate ({s.lr})")
            return loss

        if s.mini_batch:

            def own(part: Views) -> Views:
                with autocast(s.precision, part):
                    z: Views = encode.engine(part)
                return z

            twin = None if second is None else encode.part(second)
            loss = gradcache.backward(
                own, encode.part(inputs), loss_of, mini_batch=s.mini_batch, augmented=twin, step=step, seen=features,
                gather=lambda z: ranks.assembled(z, inputs.whole, inputs.owner),
            )  # fmt: skip
        else:
            with autocast(s.precision, inputs.own):
                made = Batch(encode(inputs), features, None if second is None else encode(second), step)
            loss = loss_of(made)
            loss.backward()
    encode.join()
    return loss.detach(), seen[0]


def full(rows: Mapping[str, Tensor], x: Views) -> dict[str, Tensor]:
    """Rows of every modality, none of those that the batch lacks."""
    return {m: rows[m] if m in rows else torch.empty(0, dtype=torch.long) for m in x.modalities}


def autocast(precision: str, x: Views) -> AbstractContextManager[Any]:
    """Mixed precision where it exists."""
    device = next(iter(x.data.values())).device.type
    if precision not in ("auto", "float32", "bfloat16"):
        raise ModalignError(f"precision is '{precision}': choose auto, float32 or bfloat16")
    wanted = precision == "bfloat16" or (precision == "auto" and device == "cuda" and torch.cuda.is_bf16_supported())
    return torch.autocast(device, dtype=torch.bfloat16) if wanted else nullcontext()


def clip_gradient(optimiser: torch.optim.Optimizer, most: float) -> float:
    """Clip the gradient's norm over all parameters; the norm before."""
    parameters = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    kinds = [some for some in shards.whole_and_sharded(parameters) if some]
    norms = [shards.whole(nn.utils.get_total_norm([p.grad for p in some if p.grad is not None])) for some in kinds]
    if not norms:
        return 0.0
    norm = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
    for some in kinds:
        nn.utils.clip_grads_with_norm_(some, most if most > 0 else math.inf, norm)
    return float(norm)
