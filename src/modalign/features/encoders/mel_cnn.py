"""A small convolutional network on log-mel bands, to be trained: sounds of any length in one batch, padding masked."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...errors import explained
from ...files import atomic
from ...parameters import Count, Dim, Range, checked
from .framing import shares

CENTRE, SPREAD = -5.0, 2.0
"""Bands enter the network as (L + 5) / 2: about unit variance for ordinary sounds."""

STAGES = 4
SHORTEST = 1 << STAGES
"""Fewest frames the network can take; shorter sounds are filled up with silence."""

Pitches = Annotated[int, Range(least=SHORTEST)]


class Bands(NamedTuple):
    """Windows of sounds: values (w, t, b), padded at the end; length (w,) real frames; item (w,) whose each one is."""

    values: Tensor
    length: Tensor
    item: Tensor


@checked
class MelCNN(nn.Module):
    """Four stages of 3 x 3 convolution, GELU and halving in time and pitch; then

        f = W (mean_t h_t + max_t h_t) + c,  averaged over the windows of a sound

    or, in parts, the same of each equal part of time, one after the other. h_t holds the channels at every remaining
    pitch. There are no norms (He's start serves four stages, and norms over channels would take away the loudness), and
    padding is set to zero after each stage: neither the other sounds of a batch nor their lengths change a feature, in
    training as in use.

    Args:
        bands: of the input, at least 16. width: channels of the first stage; they double. dim: of the feature.
        parts: of time. Weights do not depend on them.

    Reference:
        K. He, X. Zhang, S. Ren, J. Sun, 2015. Delving deep into rectifiers (the start). arXiv 1502.01852, equation 10.

    Example:
        >>> net = MelCNN(bands=16, width=4, dim=8)
        >>> net(Bands(torch.zeros(3, 40, 16), torch.tensor([40, 20, 31]), torch.tensor([0, 0, 1]))).shape
        torch.Size([2, 8])
    """

    def __init__(self, bands: Pitches = 64, width: Dim = 32, dim: Dim = 256, parts: Count = 1) -> None:
        super().__init__()
        self.shape = {"bands": bands, "width": width, "dim": dim}
        self.parts = parts
        channels = [1, *(width << i for i in range(STAGES))]
        layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.convolutions = nn.ModuleList(layers)
        self.head = nn.Linear(channels[-1] * (bands >> STAGES), dim)  # pitch is told apart, time is not

    def forward(self, batch: Bands) -> Tensor:
        """(n, parts x dim) features of n sounds, n = largest ``item`` + 1."""
        length = batch.length
        x = ((batch.values - CENTRE) / SPREAD)[:, None]  # (w, 1, t, b)
        x = x * _mask(length, x.shape[2])
        for convolution in self.convolutions:
            x = F.avg_pool2d(F.gelu(convolution(x)), 2)
            length = length // 2
            x = x * _mask(length, x.shape[2])
        h = x.movedim(2, -1).flatten(1, 2)  # (w, channels x pitch, t)
        pooled = _pooled(h, length, self.parts).flatten(0, 1)  # (w x parts, channels x pitch)
        place, windows = _places(batch.item, self.parts)
        total = torch.zeros(len(windows) * self.parts, pooled.shape[1]).to(pooled).index_add(0, place, pooled)
        return self.head(total / windows.repeat_interleave(self.parts).to(pooled)[:, None]).view(len(windows), -1)

    def save(self, path: str | Path) -> None:
        """Write weights and shape as safetensors."""
        with atomic(Path(path)) as partial:
            save_file(self.state_dict(), partial, {k: str(v) for k, v in self.shape.items()})

    @classmethod
    def load(cls, path: str | Path, parts: int = 1) -> MelCNN:
        """A network from a file that ``save`` wrote, for that many parts of time.

        Raises:
            ModalignError: no such file, or not such a network.
        """
        kinds = (OSError, SafetensorError, RuntimeError, ValueError)
        with explained(f"weights of the sound network cannot be read: {path}", *kinds):
            with safe_open(path, framework="pt") as file:
                shape = {k: int(v) for k, v in (file.metadata() or {}).items() if k in ("bands", "width", "dim")}
                state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  (not a mapping)
            net = cls(**shape, parts=parts)
            net.load_state_dict(state)
        return net


def _mask(length: Tensor, frames: int) -> Tensor:
    """(w, 1, t, 1) bool: true for real frames."""
    return (torch.arange(frames, device=length.device) < length[:, None])[:, None, :, None]


def _pooled(h: Tensor, length: Tensor, parts: int) -> Tensor:
    """(w, c, t) values, of which so many are real -> (w, parts, c): mean plus maximum over each part of time."""
    share = shares(length, h.shape[2], parts).to(h)[:, :, None]  # (w, parts, 1, t)
    out = []
    for p in range(parts):
        mean = (h * share[:, p]).sum(2) / (length / parts)[:, None]
        out.append(mean + h.masked_fill(share[:, p] == 0, -torch.inf).amax(2))
    return torch.stack(out, 1)


def _places(item: Tensor, parts: int) -> tuple[Tensor, Tensor]:
    """Where each part of each window goes among the parts of all items, and how many windows an item has.

    Example:
        >>> _places(torch.tensor([0, 0, 1]), 2)
        (tensor([0, 0, 1, 1, 2, 3]), tensor([2, 1]))
    """
    windows = torch.bincount(item)
    before = (item[:, None] == item).tril(-1).sum(1)  # earlier windows of the same item
    cell = before[:, None] * parts + torch.arange(parts, device=item.device)
    return (item[:, None] * parts + cell // windows[item][:, None]).flatten(), windows
