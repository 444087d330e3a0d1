"""Which layer of an encoder to take: the one whose neighbours agree best with those of the other modality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ...errors import ModalignError
from ...geometry.similarity import mutual_knn
from .base import FrozenEncoder, Item


class LayerChoice(NamedTuple):
    """layer: with the greatest score. scores: layer -> mean mutual kNN in [0, 1]. chance: of unrelated features."""

    layer: int
    scores: dict[int, float]
    chance: float


def compare_layers(layers: Mapping[int, Tensor], other: Tensor, k: int = 10) -> LayerChoice:
    """The layer whose nearest neighbours agree best with those of the other modality.

        layer* = argmax_l  mean_i |N_l(i) & N_other(i)| / k,  neighbours by cosine; of equal ones the lowest

    Nothing is fitted, so a few hundred pairs will do; take them from the training data, not from test.

    Args:
        layers: layer -> (n, d_l) features of the paired items, such as pooled hidden states.
        other: (n, d) features of their partners. k: neighbours, below n.

    Raises:
        ModalignError: no layers, or other numbers of rows.

    Reference: Huh et al. 2024, arXiv 2405.07987 (the measure, over models and layers); Zhang et al. 2025, STRUCTURE,
        arXiv 2506.16895 (for the choice of layers before aligning).

    Example:
        >>> import torch
        >>> x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
        >>> choice = compare_layers({1: x.roll(7, 0), 2: x}, 2 * x, k=5)
        >>> choice.layer, choice.scores[2]
        (2, 1.0)
    """
    if not layers:
        raise ModalignError("there are no layers to choose from")
    scores = {layer: float(mutual_knn(x, other, k).mean()) for layer, x in sorted(layers.items())}
    return LayerChoice(max(scores, key=lambda layer: scores[layer]), scores, min(k, len(other) - 1) / (len(other) - 1))


def choose_layer(
    encoder: Callable[[int], FrozenEncoder], layers: Iterable[int], items: Sequence[Item], other: Tensor, k: int = 10
) -> LayerChoice:
    """``compare_layers`` for an encoder that takes the setting ``layer``.

    Args:
        encoder: layer -> the encoder cut there, for example
            ``lambda layer: make("encoder", "transformer", folder=DIR, layer=layer)``.
        layers: to try, 1 for the first. items: of the paired set. other: (n, d) features of their partners.

    Raises:
        ModalignError: fewer layers in the encoder, or a broken item.
    """
    return compare_layers({layer: encoder(layer).encode(items) for layer in layers}, other, k)


def block_list(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The blocks of a model of transformers, with their name: its longest list of modules.

    Raises:
        ModalignError: it has none.
    """
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        raise ModalignError(f"'{type(model).__name__}' has no list of blocks")
    return max(lists, key=lambda entry: len(entry[1]))


def cut(model: nn.Module, layer: int) -> None:
    """Leave the first blocks only, in place; what follows the blocks, such as a last norm, stays. 0: all of them.

    Raises:
        ModalignError: fewer blocks than that.
    """
    if layer == 0:
        return
    _, blocks = block_list(model)
    if not 1 <= layer <= len(blocks):
        raise ModalignError(f"layer {layer} was asked for, but the encoder has layers 1 to {len(blocks)}")
    del blocks[layer:]
