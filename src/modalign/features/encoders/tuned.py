"""An encoder with weights that a run has trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import ModalignError, check_known, explained
from ...files import TUNED, RunFile, read_table
from ...registry import make, register
from .base import FrozenEncoder, Item, credits_of, frozen, loaded, plan
from .tuning import Tunable, TunableEncoder, Tuning, digest, restore
from .weights import Credit


@register("encoder", "tuned")
class TunedEncoder(FrozenEncoder):
    """The encoder of a run of ``modalign finetune``: that which it started from, with the weights that it trained.

    Args:
        run: folder of the run. modality: whose encoder, as the run calls it.

    Raises:
        ModalignError: no such run, or it has trained no encoder of this modality.
    """

    def __init__(self, run: str, modality: str = "image") -> None:
        self.run = Path(run)
        table = read_table(self.run / RunFile.MODEL, "model description").get("tuned") or {}
        check_known(f"tuned encoder of {run}", modality, table)
        settings = dict(table[modality])
        self.base: Any = make("encoder", **settings.pop("base"))
        self.tuning = Tuning(**settings)
        self.modality = modality
        self.dim: int = self.base.dim
        self.batch_size = getattr(self.base, "batch_size", FrozenEncoder.batch_size)
        self.shard_size = getattr(self.base, "shard_size", FrozenEncoder.shard_size)
        self.parallel = bool(getattr(self.base, "parallel", False))

    @loaded
    def weights(self) -> dict[str, Tensor]:
        """The trained weights."""
        prefix = TUNED.format(self.modality)
        path, broken = self.run / RunFile.WEIGHTS, f"tuned weights cannot be read: {self.run}"
        with explained(broken, SafetensorError, OSError), safe_open(path, framework="pt") as file:
            names = [n for n in file.keys() if n.startswith(prefix)]  # noqa: SIM118
            return {n.removeprefix(prefix): file.get_tensor(n) for n in names}

    @loaded
    def parts(self) -> Tunable:
        """Frozen front and tuned net."""
        made = as_tunable(self.base).tunable(self.tuning)
        restore(made.net, self.weights)
        frozen(made.net)
        return made

    def description(self) -> dict[str, Any]:
        """The encoder it was, what of it was trained, and the weights."""
        return {
            "encoder": "tuned",
            "base": self.base.fingerprint(),
            "tuning": self.tuning.table(),
            "weights": digest(self.weights),
        }

    def credits(self) -> tuple[Credit, ...]:
        """Those of the encoder it was."""
        return credits_of(self.base)

    def plan(self, items: Sequence[Item]) -> list[list[int]]:
        """Batches as the encoder wants them."""
        return plan(self.base, items)

    def collate(self, items: Sequence[Item]) -> Any:
        """The encoder's batch."""
        return self.base.collate(items)

    def __call__(self, batch: Any) -> Tensor:
        """(n, dim) features."""
        with torch.inference_mode():
            return self.parts.net(self.parts.front(batch)).float()


def as_tunable(encoder: Any) -> TunableEncoder:
    """The encoder, if it can be trained.

    Raises:
        ModalignError: it cannot.
    """
    if not isinstance(encoder, TunableEncoder):
        raise ModalignError(
            f"the encoder of '{encoder.modality}' ({type(encoder).__name__}) has no part that can be trained here"
        )
    return encoder
