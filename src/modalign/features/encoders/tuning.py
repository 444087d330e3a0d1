"""Parts of encoders that can be trained: which parameters move, what stays frozen before them, what is saved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ...errors import ModalignError, require
from ...parameters import Count, Seed, checked
from .base import Encoder
from .layers import block_list

Part = Literal["last", "lora", "all"]


@checked
@dataclass(frozen=True)
class Tuning:
    """What of an encoder is trained.

    Args:
        part: "last": its last blocks and what comes after them; "lora": low-rank additions to the linear layers of all
            blocks (transformers only); "all": everything.
        blocks: how many, for "last".
        rank: of the additions, for "lora"; they are scaled by alpha / rank with alpha = 2 rank.
        seed: of the additions' random half; the other half is zero, so that training starts from the encoder as it is.

    Reference: E. J. Hu et al. 2021, LoRA, arXiv 2106.09685, section 4.1.
    """

    part: Part = "last"
    blocks: Count = 1
    rank: Count = 8
    seed: Seed = 0

    def table(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


class Tunable(NamedTuple):
    """An encoder in two steps: f(item) = net(front(collate(item))).

    front: a batch of ``collate`` -> (n, ...) rows; frozen, so it is computed once for every item.
    net: rows -> (n, dim) features; its parameters that require gradients are the ones that are trained. It is used in
    evaluation mode also in training: batch norms keep their statistics, and nothing is dropped out.
    """

    front: Callable[[Any], Tensor]
    net: nn.Module


@runtime_checkable
class TunableEncoder(Encoder, Protocol):
    """An encoder whose weights can be trained: it can give a fresh copy of itself as ``Tunable``."""

    def tunable(self, tuning: Tuning) -> Tunable: ...


def release(model: nn.Module, tuning: Tuning, tower: str = "", after: Sequence[str] = ()) -> None:
    """Let the chosen part of a transformer require gradients, in place, or put low-rank additions in.

    Args:
        model: frozen, of transformers.
        tower: name of the submodule that counts, where a model has several; "": all of it.
        after: names of modules outside the tower that follow it, such as a projection.

    Raises:
        ModalignError: fewer blocks than asked for, or a higher rank than any layer has. MissingExtraError: "lora", and
            peft is not installed.
    """
    part = model.get_submodule(tower)
    prefix = f"{tower}." if tower else ""
    name, blocks = block_list(part)
    if tuning.part == "lora":
        linear = [f"{prefix}{name}.{n}" for n, m in blocks.named_modules() if isinstance(m, nn.Linear)]
        add_low_rank(model, linear, tuning)
        return
    if tuning.part == "last" and tuning.blocks > len(blocks):
        raise ModalignError(f"the last {tuning.blocks} blocks were asked for, but the encoder has {len(blocks)}")
    first = 0 if tuning.part == "all" else len(blocks) - tuning.blocks
    reached = tuning.part == "all"
    for n, p in part.named_parameters():
        reached = reached or n.startswith(f"{name}.{first}.")  # in the order in which the model was built
        p.requires_grad_(reached and "pooler" not in n)
    for other in after:
        model.get_submodule(other).requires_grad_(True)


def add_low_rank(model: nn.Module, targets: Sequence[str], tuning: Tuning) -> None:
    """W x becomes W x + (alpha / r) B A x for linear layers, in place; only A and B require gradients."""
    peft = require("peft", "finetune")
    full = max(min(model.get_submodule(n).get_parameter("weight").shape) for n in targets)
    if tuning.rank > full:
        raise ModalignError(f"rank {tuning.rank:,} was asked for, but the encoder's layers have {full} at most")
    config = peft.LoraConfig(r=tuning.rank, lora_alpha=2 * tuning.rank, lora_dropout=0.0, target_modules=list(targets))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(tuning.seed)
        peft.inject_adapter_in_model(config, model)
    for name, p in model.named_parameters():
        p.requires_grad_("lora_" in name)


def trained(net: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters that require gradients, by name."""
    return {n: p.detach().cpu().clone().contiguous() for n, p in net.named_parameters() if p.requires_grad}


def restore(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put trained parameters back.

    Raises:
        ModalignError: they are not those of this part of this encoder.
    """
    own = {n: p for n, p in net.named_parameters() if p.requires_grad}
    wrong = sorted(own.keys() ^ weights.keys()) + [n for n in own if n in weights and own[n].shape != weights[n].shape]
    if wrong:
        raise ModalignError(f"tuned weights do not fit the encoder: tensor '{wrong[0]}'")
    with torch.no_grad():
        for n, p in own.items():
            p.copy_(weights[n])


def digest(weights: Mapping[str, Tensor]) -> str:
    """Hash of names and values, 32 hexadecimal digits.

    Example:
        >>> a, b = {"w": torch.zeros(2)}, {"w": torch.tensor([0.0, 1.0])}
        >>> digest(a) == digest({"w": torch.zeros(2)}), digest(a) == digest(b)
        (True, False)
    """
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        found.update(f"{name}{tuple(weights[name].shape)}".encode())
        found.update(weights[name].contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()
