"""What an attacker may do: a ball around the input, and the box that inputs live in. Kept to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import ModalignError, check_known

NORMS = ("l2", "linf")
SLACK = 1e-12  # of the radius, for the rounding of a length in float64


@dataclass(frozen=True)
class Threat:
    """|x - x0| <= epsilon per item, and low <= x <= high.

    Args:
        norm: "l2" (over all numbers of an item) or "linf" (largest change of any).
        epsilon: radius, >= 0, in the units of the input: pixels and waveforms before any normalisation.
        low, high: of every number; None: no bound.

    Raises:
        ModalignError: unknown norm, or a radius that is negative or not finite.

    Example:
        >>> t = Threat("linf", 0.5, low=0.0)
        >>> t.project(torch.zeros(1, 2), torch.tensor([[2.0, -2.0]]))
        tensor([[0.5000, 0.0000]])
    """

    norm: str
    epsilon: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        check_known("norm", self.norm, NORMS)
        if not 0 <= self.epsilon < float("inf"):
            raise ModalignError(f"the radius of an attack must be finite and at least 0, got {self.epsilon}")

    def project(self, x0: Tensor, x: Tensor) -> Tensor:
        """The point within both bounds: clamped into the box, then pulled towards x0, which lies in the box."""
        x = self._box(x)
        if self.norm == "linf":
            return self._box(torch.minimum(torch.maximum(x, x0 - self.epsilon), x0 + self.epsilon))
        delta = x - x0
        return x0 + delta * (self.epsilon / self.size(delta).clamp(min=1e-300)).clamp(max=1.0).to(delta)

    def exact(self, x0: Tensor, x: Tensor) -> Tensor:
        """``project``, and then no rounding of float32 is left outside either bound, as float64 measures it.

        Raises:
            ModalignError: x0 outside the box, or not finite.
        """
        if bool((outside := ~self.allows(x0, x0)).any()):
            low, high = (-torch.inf if self.low is None else self.low, torch.inf if self.high is None else self.high)
            raise ModalignError(
                f"{int(outside.sum())} of {len(x0)} inputs hold numbers that are not between {low:g} and {high:g}: "
                "scale them, or leave them out"
            )
        start = x0.double()
        delta = self.project(x0, x).detach().double() - start
        if self.norm == "linf":
            delta = delta.clamp(-self.epsilon, self.epsilon)
        else:
            size = self.size(delta)
            delta = delta * torch.where(size > self.epsilon, (1 - SLACK) * self.epsilon / size, 1.0)
        x = (start + delta).to(x0.dtype)
        moved = x.double() - start
        over = (moved.abs() if self.norm == "linf" else self.size(moved)) > self.epsilon
        outwards = moved.abs() > delta.abs()  # by half a step of x at most
        return torch.where(over & outwards, torch.nextafter(x, x0), x)

    def allows(self, x0: Tensor, x: Tensor, grid: int = 0) -> Tensor:
        """(n,) bool: whether each item keeps both bounds, measured in float64.

        grid: measure what a file with so many steps holds, in whole steps.
        """
        x0, x = x0.double(), x.double()
        if grid:
            x0, x = (x0 * grid).round() / grid, (x * grid).round() / grid
        delta = x - x0
        size = delta.flatten(1).abs().amax(1) if self.norm == "linf" else self.size(delta).flatten()
        inside = torch.ones(len(x), dtype=torch.bool)
        for value, sign in ((self.low, 1), (self.high, -1)):
            if value is not None:
                inside &= (sign * (x - value) >= 0).flatten(1).all(1)
        return (size <= self.epsilon + (1e-12 if grid else 0.0)) & inside

    def ascent(self, gradient: Tensor) -> Tensor:
        """The step of length 1 that gains most: the sign for linf, the direction for l2; 0 where there is no slope."""
        gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        if self.norm == "linf":
            return gradient.sign()
        return (gradient / self.size(gradient).clamp(min=1e-300)).to(gradient)

    def random(self, x0: Tensor, seed: int = 0, surface: bool = False) -> Tensor:
        """A random point of the ball within the box: the control of an attack (``surface``), or its start.

        surface: all of the radius is used: every number moves by epsilon (linf), or the whole item does (l2), as far as
            the box lets it.
        """
        g = torch.Generator().manual_seed(seed)
        e = torch.randn(x0.shape, generator=g).to(x0)
        if self.norm == "linf":
            e = e.sign() if surface else torch.rand(x0.shape, generator=g).to(x0) * 2 - 1
        else:
            e = (e / self.size(e).clamp(min=1e-300)).to(e)
            if not surface:
                count = x0[0].numel() if len(x0) else 1
                radius = torch.rand(len(x0), generator=g).to(x0) ** (1 / count)
                e = e * radius.view(-1, *[1] * (x0.dim() - 1))
        return self.exact(x0, x0 + self.epsilon * e)

    def size(self, delta: Tensor) -> Tensor:
        """Euclidean length of each item, (n, 1, ..., 1) float64, where no square is too large or too small."""
        return delta.flatten(1).norm(dim=1, dtype=torch.float64).view(-1, *[1] * (delta.dim() - 1))

    def _box(self, x: Tensor) -> Tensor:
        return x if self.low is None and self.high is None else x.clamp(self.low, self.high)


@contextmanager
def untouched(*modules: nn.Module) -> Iterator[None]:
    """Modules in evaluation mode without gradients of their own; afterwards all is as it was, also after an error."""
    parts = [part for m in modules for part in m.modules()]
    parameters = [p for m in modules for p in m.parameters()]
    modes = [part.training for part in parts]
    flags = [(p.requires_grad, p.grad) for p in parameters]
    buffers = [(b, b.clone()) for m in modules for b in m.buffers()]
    try:
        for m in modules:
            m.eval()
        for p in parameters:
            p.requires_grad_(False)
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode
        for p, (flag, grad) in zip(parameters, flags, strict=True):
            p.requires_grad_(flag)
            p.grad = grad
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
