"""Several encoders of one modality side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...errors import ModalignError, explained
from ...files import atomic
from ...registry import make, register
from .base import FrozenEncoder, Item, Tokenised, credits_of, file_hash
from .weights import Credit

LEAST = 1e-6
"""Deviations below this are those of constants, which stay 0."""


@register("encoder", "joined")
class Joined(FrozenEncoder):
    """Items -> features of several encoders of one modality, each at the same weight.

        f = [(g_1(x) - m_1) / (s_1 sqrt(d_1)), (g_2(x) - m_2) / (s_2 sqrt(d_2)), ...]

    m and s are constants: the usual mean and deviation that an encoder states of itself (``typical``), or yours. With
    ``standard`` they are those of each number over items of your own: ``Joined.fit`` writes them.

    Args:
        encoders: names, or tables of name and settings; also one string: "logmel+aisfx+speech".
        constants: (m, s) of each encoder; None: what the encoders state.
        standard: file that ``fit`` wrote, in place of constants.

    Raises:
        ModalignError: fewer than two encoders, of different modalities, or constants that do not fit them.

    Example:
        >>> Joined("logmel+logmel").dim
        768
    """

    def __init__(
        self,
        encoders: str | list[str | dict[str, Any]],
        constants: list[tuple[float, float]] | None = None,
        standard: str | None = None,
    ) -> None:
        entries = encoders.split("+") if isinstance(encoders, str) else encoders
        tables = [{"name": e.strip()} if isinstance(e, str) else dict(e) for e in entries]
        self.parts: list[Any] = [make("encoder", **table) for table in tables]
        kinds = {p.modality for p in self.parts}
        if len(self.parts) < 2 or len(kinds) > 1:
            got = f"{len(self.parts)} ({', '.join(sorted(kinds))})"
            raise ModalignError(f"joining takes two or more encoders of one modality, got {got}")
        if constants is not None and (len(constants) != len(self.parts) or min(s for _, s in constants) <= 0):
            raise ModalignError(f"constants must be {len(self.parts)} pairs (m, s) with s > 0, got {constants}")
        self.modality = self.parts[0].modality
        self.widths = [p.dim for p in self.parts]
        self.dim = sum(self.widths)
        self.constants = constants or [tuple(p.typical) for p in self.parts]
        self.standard = standard
        self.batch_size = min(p.batch_size for p in self.parts)
        self.shard_size = min(p.shard_size for p in self.parts)
        self.parallel = all(p.parallel for p in self.parts)
        self.shift, self.scale = self._read(Path(standard).expanduser()) if standard else self._constant()

    def _constant(self) -> tuple[Tensor, Tensor]:
        pairs = list(zip(self.constants, self.widths, strict=True))
        return (
            torch.cat([torch.full((d,), float(m)) for (m, _), d in pairs]),
            torch.cat([torch.full((d,), s * math.sqrt(d)) for (_, s), d in pairs]),
        )

    def _read(self, path: Path) -> tuple[Tensor, Tensor]:
        broken = f"statistics of joined encoders cannot be read: {path}"
        with explained(broken, OSError, SafetensorError), safe_open(path, framework="pt") as file:
            shift, scale = file.get_tensor("mean"), file.get_tensor("scale")
            marks = (file.metadata() or {}).get("encoders", "")
        if marks != self._marks():
            raise ModalignError(f"statistics are those of other encoders: {path} (fit them again)")
        return shift, scale

    def _marks(self) -> str:
        return " ".join(p.fingerprint() for p in self.parts)

    def fit(self, items: Sequence[Item], path: str | Path) -> None:
        """Write mean and deviation of each number over items, such as those of the training split.

        Args:
            items: at least 2. path: .safetensors file, for the setting ``standard``.
        """
        if len(items) < 2:
            raise ModalignError(f"statistics need at least 2 items, got {len(items)}")
        x = torch.cat([p.encode(items) for p in self.parts], 1).double()
        width = torch.cat([torch.full((d,), math.sqrt(d)) for d in self.widths])
        deviation = x.std(0, correction=0)
        scale = torch.where(deviation > LEAST, deviation, torch.inf) * width
        with atomic(Path(path)) as partial:
            save_file({"mean": x.mean(0).float(), "scale": scale.float()}, partial, {"encoders": self._marks()})

    def description(self) -> dict[str, Any]:
        """The encoders, and what is subtracted and divided by."""
        return {
            "encoder": "joined",
            "parts": [p.fingerprint() for p in self.parts],
            "scaled": file_hash(self.standard) if self.standard else [list(c) for c in self.constants],
        }

    def tokenise(self, texts: Sequence[str]) -> Tokenised | None:
        """As the part that takes the fewest tokens; None where no part has tokens."""
        asked = [p.tokenise(texts) for p in self.parts if hasattr(p, "tokenise")]
        read = [r for r in asked if r is not None]
        return min(read, key=lambda r: math.inf if r.longest is None else r.longest, default=None)

    def credits(self) -> tuple[Credit, ...]:
        """Those of the encoders."""
        return tuple(dict.fromkeys(c for p in self.parts for c in credits_of(p)))

    def collate(self, items: Sequence[Item]) -> list[Any]:
        """Each encoder's batch."""
        return [p.collate(items) for p in self.parts]

    def __call__(self, batch: Sequence[Any]) -> Tensor:
        """(n, dim) float32 features."""
        x = torch.cat([p(part).float().cpu() for p, part in zip(self.parts, batch, strict=True)], 1)
        return (x - self.shift) / self.scale
