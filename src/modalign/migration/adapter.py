"""An adapter: vectors of one model -> the space of another. Plain tensors, so that any program can apply it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import gelu, normalize

from ..equality import ByContent
from ..errors import ModalignError, explained
from ..files import atomic, read_json, write_json

FORMAT = 1
BLOCK = 2048  # rows at once: what a product leaves is still in the cache when it is scaled
BENDS = ("", "kernel", "perceptron", "local")
#: What each bend needs beside the linear part, with its shape in symbols of ``shapes``.
PARTS: Mapping[str, Mapping[str, str]] = {
    "": {},
    "kernel": {"centre": "w", "anchors": "hw", "values": "hd"},
    "perceptron": {"inner": "wh", "offset": "h", "outer": "hd"},
    "local": {"centre": "w", "anchors": "hw", "maps": "hwd", "shifts": "hd"},
}


@dataclass(frozen=True, eq=False, repr=False)
class Adapter(ByContent):
    """u = x / |x|;  y = u W + b + bend(u);  f(x) = y / |y|, times the norm where the store keeps norms.

    bend, with c = (u - centre) / |u - centre|:
        kernel:      sum_h exp(sharpness (<c, anchor_h> - 1)) value_h
        perceptron:  gelu(u inner + offset) outer
        local:       sum_h g_h (u map_h + shift_h), g = softmax(sharpness <c, anchor>)
    norm: exp(slope log |x| + level), for stores that compare by dot product or distance; None: rows of length 1.

    Args:
        method: what made it. weight: (w, d). bias: (d,). bend: "", "kernel", "perceptron" or "local".
        parts: tensors of the bend. sharpness: of kernel and gate. norm: (slope, level).

    Raises:
        ModalignError: tensors that do not fit each other.

    Example:
        >>> turn = Adapter("orthogonal", torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.zeros(2))
        >>> turn(torch.tensor([[3.0, 4.0]]))
        tensor([[0.8000, 0.6000]])
        >>> turn
        <Adapter orthogonal, 2 -> 2>
    """

    method: str
    weight: Tensor
    bias: Tensor
    bend: str = ""
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    sharpness: float = 1.0
    norm: tuple[float, float] | None = None

    def __repr__(self) -> str:
        made = ", ".join(filter(None, [self.method, self.bend]))
        return f"<Adapter {made}, {len(self.weight)} -> {self.weight.shape[1]}>"

    def __post_init__(self) -> None:
        if self.bend not in BENDS:
            raise ModalignError(f"an adapter has no part '{self.bend}' (known: {', '.join(BENDS[1:])})")
        sizes = {"w": self.weight.shape[0], "d": self.weight.shape[1]}
        for name, shape in {"bias": "d", **PARTS[self.bend]}.items():
            found = self.bias if name == "bias" else self.parts.get(name)
            if found is None or found.dim() != len(shape):
                raise ModalignError(f"the adapter's '{name}' is missing or has the wrong shape")
            for symbol, size in zip(shape, found.shape, strict=True):
                if sizes.setdefault(symbol, size) != size:
                    raise ModalignError(f"the adapter's '{name}' of {tuple(found.shape)} does not fit its other parts")
        for name in ("weight", "bias"):  # as they are read again: another layout would give other last digits
            object.__setattr__(self, name, getattr(self, name).float().contiguous())
        object.__setattr__(self, "parts", {k: v.float().contiguous() for k, v in self.parts.items()})

    @property
    def width(self) -> int:
        """Width of the rows that go in."""
        return self.weight.shape[0]

    @property
    def dim(self) -> int:
        """Width of the rows that come out."""
        return self.weight.shape[1]

    def __call__(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, dim) float32. Zero rows have no direction and give zero rows.

        Raises:
            ModalignError: rows of another width.
        """
        if x.dim() != 2 or x.shape[1] != self.width:
            raise ModalignError(f"the adapter takes rows of {self.width} numbers, got {tuple(x.shape)}")
        out = torch.empty(len(x), self.dim)
        with torch.inference_mode():
            for start in range(0, len(x), BLOCK):
                self._block(x[start : start + BLOCK].float(), out[start : start + BLOCK])
        return out

    def _block(self, x: Tensor, out: Tensor) -> None:
        """One block in place: the product of raw rows, and the norms put in where the result is scaled anyway."""
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        torch.mm(x, self.weight, out=out)
        out.addcmul_(length, self.bias)
        if self.bend:
            out.addcmul_(length, self.bent(x / length.clamp(min=1e-30)))
        scale = torch.linalg.vector_norm(out, dim=1, keepdim=True).clamp_(min=1e-30).reciprocal_()
        if self.norm is not None:
            scale *= torch.exp(self.norm[0] * length.clamp(min=1e-30).log() + self.norm[1])
        out.mul_(scale.masked_fill_(length == 0, 0.0))

    def bent(self, u: Tensor) -> Tensor:
        """(n, dim) the part of unit rows that is not linear."""
        p = self.parts
        if self.bend == "perceptron":
            return gelu(u @ p["inner"] + p["offset"]) @ p["outer"]
        likeness = normalize(u - p["centre"], dim=1) @ p["anchors"].T
        if self.bend == "kernel":
            return torch.exp(self.sharpness * (likeness - 1.0)) @ p["values"]
        gate = torch.softmax(self.sharpness * likeness, 1)
        return torch.einsum("nh,nw,hwd->nd", gate, u, p["maps"]) + gate @ p["shifts"]

    def settings(self) -> dict[str, Any]:
        """What the tensors do not say, as JSON holds it."""
        return {
            "format": FORMAT, "method": self.method, "width": self.width, "dim": self.dim, "bend": self.bend,
            "sharpness": self.sharpness, "norm": None if self.norm is None else list(self.norm),
        }  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write ``adapter.safetensors`` and ``adapter.json``."""
        tensors = {"weight": self.weight, "bias": self.bias, **self.parts}
        with atomic(folder / "adapter.safetensors") as partial:
            save_file(tensors, str(partial))
        write_json(folder / "adapter.json", self.settings())


def load_adapter(folder: Path | str) -> Adapter:
    """Read an adapter from the folder that ``Adapter.save`` wrote.

    Raises:
        ModalignError: no adapter there, a damaged one, or one of a newer format.
    """
    folder = Path(folder)
    table = read_json(folder / "adapter.json", "adapter")
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise ModalignError(f"{folder / 'adapter.json'} has another format than this version reads ({FORMAT})")
    kinds = (SafetensorError, OSError, KeyError, TypeError, ValueError)
    with explained(f"adapter is damaged: {folder}", *kinds):
        tensors = load_file(folder / "adapter.safetensors")
        norm = table["norm"]
        return Adapter(
            str(table["method"]), tensors.pop("weight"), tensors.pop("bias"), str(table["bend"]), tensors,
            float(table["sharpness"]), None if norm is None else (float(norm[0]), float(norm[1])),
        )  # fmt: skip


def fit_norm(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and level of log |y| on log |x|, by least squares; slope 0 where the lengths of x do not vary.

    Example:
        >>> slope, level = fit_norm(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[2.0], [8.0], [32.0]]))
        >>> round(slope, 4), round(level, 4)
        (2.0, 0.6931)
    """
    a, b = (torch.linalg.vector_norm(v.double(), dim=1).clamp(min=1e-30).log() for v in (x, y))
    spread = float(a.var(unbiased=False))
    slope = float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread > 1e-8 else 0.0
    return slope, float(b.mean()) - slope * float(a.mean())
