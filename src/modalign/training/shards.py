"""States of parameters that lie in parts on several processes (FSDP2): made whole to be kept, and parted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def whole(state: Any) -> Any:
    """A state with every sharded tensor in one piece, on every rank."""
    return _each(state, lambda t: t.full_tensor() if hasattr(t, "full_tensor") else t)


def whole_and_sharded(parameters: Sequence[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that every rank has, and those of which each has a part."""
    sharded = [p for p in parameters if hasattr(p, "full_tensor")]
    return [p for p in parameters if not hasattr(p, "full_tensor")], sharded


def like(state: Any, wanted: Any) -> Any:
    """A whole state as the shards that ``wanted``, of the same form, has on this rank."""
    if isinstance(state, dict):
        return {k: like(v, wanted[k]) if k in wanted else v for k, v in state.items()}
    if hasattr(wanted, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(state, wanted.device_mesh, wanted.placements)
    return state


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give an optimiser a whole state, of which it keeps the shards that its parameters have on this rank."""
    own = [p for group in optimiser.param_groups for p in group["params"]]
    shards = {
        place: {name: like(t, own[place]) if isinstance(t, Tensor) and t.ndim else t for name, t in kept.items()}
        for place, kept in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": shards})


def _each(state: Any, change: Any) -> Any:
    if isinstance(state, dict):
        return {k: _each(v, change) for k, v in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_each(v, change) for v in state)
    return change(state) if isinstance(state, Tensor) else state
