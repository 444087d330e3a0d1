"""Gradient caching: the gradient of a loss over a large batch, in the memory of a small one.

A contrastive or transport loss sees all items of a batch at once, so accumulating gradients over small batches is not
the same. Here the items are encoded in mini-batches without a graph, the loss is taken on all embeddings, its
gradient in the embeddings is kept, and each mini-batch is encoded again, with a graph, to carry its part back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import ModalignError
from ..views import Batch, Views
from .ranks import random_state, set_random_state

Encode = Callable[[Views], Views]


def backward(
    encode: Encode,
    x: Views,
    objective: Callable[[Batch], Tensor],
    *,
    mini_batch: int,
    augmented: Views | None = None,
    step: int = 0,
    scale: Callable[[Tensor], Tensor] | None = None,
    seen: Views | None = None,
    gather: Callable[[Views], Views] | None = None,
) -> Tensor:
    """Backward pass of ``objective(Batch(encode(x), x))``, encoding ``mini_batch`` items of each modality at a time.

    Equal to the plain gradient for every objective that reads z, since dL/dw = sum_i dL/dz_i dz_i/dw. The random
    state (dropout) of each mini-batch is restored for its second pass. Parameters of the objective (temperatures,
    extra heads) get their gradients in the same call. Costs one more forward pass of the encoder. Not for encoders
    whose rows depend on each other (batch normalisation in training).

    Args:
        encode: views of inputs -> views of unit rows: one row per item, in the same order, whatever the batch.
        x: the whole batch.
        objective: batch -> scalar loss.
        mini_batch: items of each modality at a time, >= 1.
        augmented: second views of the same items, encoded likewise.
        step: optimiser step, for schedules.
        scale: applied to the loss before the backward pass, for example ``GradScaler.scale`` or a division by the
            number of accumulated batches.
        seen: what the objective is given as ``batch.x``, if not x itself.
        gather: embeddings of x -> those of the batch that the objective sees, with gradients: where x is the share of
            one of several processes.

    Returns:
        The loss, detached, not scaled.

    Raises:
        ModalignError: mini_batch < 1, or an encoder that does not return one row per item.

    Reference: Gao et al. (2021), arXiv 2101.06983.

    Example:
        >>> from modalign.objectives.retrieval import Clip
        >>> w = torch.eye(3, requires_grad=True)
        >>> x = Views.from_arrays(text=torch.randn(8, 3), image=torch.randn(8, 3))
        >>> def encode(v): return v.map(lambda m, rows: torch.nn.functional.normalize(rows @ w, dim=1))
        >>> _ = backward(encode, x, Clip(), mini_batch=2)
        >>> cached, w.grad = w.grad, None
        >>> Clip()(Batch(encode(x), x)).backward()
        >>> torch.allclose(cached, w.grad, atol=1e-6)
        True
    """
    if mini_batch < 1:
        raise ModalignError(f"mini_batch is {mini_batch}: it must be at least 1")
    inputs = [x] if augmented is None else [x, augmented]
    passes = [_first_pass(encode, views, mini_batch) for views in inputs]
    leaves = [_leaves(views, parts) for views, parts in zip(inputs, passes, strict=True)]
    with torch.enable_grad():
        z = [leaf if gather is None else gather(leaf) for leaf in leaves]
        loss = objective(Batch(z[0], x if seen is None else seen, z[1] if augmented is not None else None, step))
        if loss.requires_grad:
            (loss if scale is None else scale(loss)).backward()
    _second_pass(encode, [(part, z) for parts, z in zip(passes, leaves, strict=True) for part in parts])
    return loss.detach()


@dataclass(eq=False)
class MiniBatch:
    """A mini-batch: its inputs, its rows in the whole, the random state before its encoding, its embeddings."""

    views: Views
    rows: dict[str, slice]
    random: tuple[Tensor, list[Tensor]]
    z: dict[str, Tensor]


def _first_pass(encode: Encode, x: Views, mini_batch: int) -> list[MiniBatch]:
    parts = []
    for views, rows in _split(x, mini_batch):
        random = random_state()
        with torch.no_grad():
            z = encode(views)
        for m, r in rows.items():
            if m not in z or len(z[m]) != r.stop - r.start:
                got = tuple(z[m].shape) if m in z else "nothing"
                raise ModalignError(
                    f"the encoder must return one row per item of '{m}' ({r.stop - r.start}), got {got}"
                )
        parts.append(MiniBatch(views, rows, random, dict(z.data)))
    return parts


def _split(x: Views, mini_batch: int) -> Iterator[tuple[Views, dict[str, slice]]]:
    """Mini-batches of up to so many items of each modality, in order, and the rows they are."""
    bare = replace(x, links=None)  # links matter to the objective, which sees the whole
    longest = max((len(rows) for rows in x.data.values()), default=0)
    for start in range(0, longest, mini_batch):
        rows = {m: slice(start, min(start + mini_batch, len(v))) for m, v in x.data.items() if start < len(v)}
        views = bare.only(*rows)
        yield views.select({m: torch.arange(r.start, r.stop, device=x[m].device) for m, r in rows.items()}), rows


def _leaves(x: Views, parts: list[MiniBatch]) -> Views:
    """All embeddings as leaves of a new graph; modalities without items keep an empty row set."""
    data = {}
    for m, rows in x.data.items():
        pieces = [p.z[m] for p in parts if m in p.z]
        whole = torch.cat(pieces) if pieces else rows.new_zeros(0, *rows.shape[1:])
        data[m] = whole.detach().requires_grad_(whole.is_floating_point())
    return replace(x, data=data)


def _second_pass(encode: Encode, parts: Sequence[tuple[MiniBatch, Views]]) -> None:
    """Encode each mini-batch again, in the same random state, and send its part of the gradient back."""
    after = random_state()
    for part, z in parts:
        grads = {m: z[m].grad[rows] for m, rows in part.rows.items() if z[m].grad is not None}  # type: ignore[index]
        if not grads:
            continue
        set_random_state(part.random)
        with torch.enable_grad():
            again = encode(part.views)
        with_graph = [m for m in grads if again[m].requires_grad]
        if with_graph:
            torch.autograd.backward([again[m] for m in with_graph], [grads[m].to(again[m].dtype) for m in with_graph])
    set_random_state(after)
