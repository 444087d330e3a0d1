"""What an objective is, a module from a batch to one scalar loss, and the temperature of those that compare."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..errors import ModalignError, few
from ..parameters import check_readable
from ..views import Batch, Views

MAX_SCALE = 100.0


class Scale(nn.Module):
    """A logit scale s = 1 / temperature, learned through its logarithm and always within bounds.

    The value is clamped when it is used as well as after each step, so a parameter set to 1e3 or -1e3 (a bad
    checkpoint, a bad step) still gives finite losses and gradients.

    Args:
        start: s at the start.
        high: greatest s; CLIP uses 100. The least is 1.
        learn: False keeps it fixed (a buffer).

    Raises:
        ModalignError: the start is outside the bounds.

    Example:
        >>> round(Scale(1 / 0.07).log_scale.item(), 6)
        2.65926
    """

    log_scale: Tensor

    def __init__(self, start: float, high: float = MAX_SCALE, learn: bool = True) -> None:
        super().__init__()
        if not 1.0 <= start <= high:
            raise ModalignError(f"the scale (1 / temperature) is {start:g}: it must be within [1, {high:g}]")
        self.bounds = (0.0, math.log(high))
        value = torch.tensor(math.log(start))
        if learn:
            self.log_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_scale", value)

    def forward(self) -> Tensor:
        """s, a scalar within the bounds."""
        return self.log_scale.clamp(*self.bounds).exp()

    def clamp(self) -> None:
        """Bring the parameter back within its bounds; for ``after_step``."""
        with torch.no_grad():
            self.log_scale.nan_to_num_(nan=self.bounds[0]).clamp_(*self.bounds)

    def value(self) -> float:
        """s as used, for logs."""
        return float(self().detach())

    def extra_repr(self) -> str:
        fixed = "" if isinstance(self.log_scale, nn.Parameter) else ", fixed"
        return f"{self.value():.4g}, at most {math.exp(self.bounds[1]):.4g}{fixed}"


class Objective(nn.Module):
    """Batch -> scalar loss, lower is better.

    A module and not a function because temperatures, extra heads and teachers are trained, saved and resumed.
    Knows nothing of ranks or devices. Modalities that a batch lacks, or pairs of modalities without a positive,
    add nothing: the result is then a zero that still carries a gradient path (``nothing``), so training goes on.

    Called with plain tensors, ``Clip()(x, y)``, it takes their rows as points of row-aligned modalities.

    A new objective is one file in ``modalign/objectives`` with a subclass registered by
    ``@register("objective", "name")``; its constructor arguments are its settings.
    """

    least = 1  # modalities: fewer teach it nothing, whatever they hold
    features = False  # whether it compares points with what went into the heads
    modalities: Sequence[str] | None = None  # that it looks at; None: all

    def __call__(self, batch: Batch | Tensor, *more: Tensor, group: Tensor | Sequence[int] | None = None) -> Tensor:
        """The loss of a batch; or of plain tensors, for training loops of one's own.

        Args:
            batch: a Batch; or (n, d) rows of one modality, of any length.
            more: rows of the other modalities, (n, d) each: row i of all is the same thing. They are called "x", "y",
                "z", and so on.
            group: (n,) integers where rows may be the same thing too: equal numbers are positives.

        Returns:
            Scalar tensor, with gradients to every tensor given.

        Raises:
            ModalignError: arrays of other libraries, views, whole numbers, or a device that holds no numbers; fewer
                tensors than it can learn from, or none of what it compares points with.
        """
        if isinstance(batch, Batch):
            return super().__call__(batch)
        plain = _batch_of([batch, *more], group)
        check_modalities(self, plain.z.modalities)
        lost = [type(part).__name__ for part in self.modules() if isinstance(part, Objective) and part.features]
        if lost:
            raise ModalignError(f"{lost[0]} compares points with what went into the heads: give both, Batch(z, x)")
        return super().__call__(plain)

    def can_learn(self, names: Sequence[str]) -> None:
        """Refuse modalities that leave it without anything to learn from in any batch; see ``check_modalities``."""
        there = [m for m in names if self.modalities is None or m in self.modalities]
        if len(there) < self.least:
            of = "" if self.modalities is None else f", and it looks at {few(self.modalities)} alone"
            raise ModalignError(
                f"{type(self).__name__} learns from {self.least} modalities or more, got {few(names) or 'none'}{of}"
            )

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar tensor."""
        raise TypeError(f"{type(self).__name__} must define forward(batch)")

    def prepare(self, x: Views) -> None:
        """Called once before training, with all training features, by objectives that fit teachers or size layers."""

    def after_step(self) -> None:
        """Called after each optimiser step: brings temperatures back within their bounds."""
        for part in self.modules():
            if isinstance(part, Scale):
                part.clamp()

    def log(self) -> dict[str, float]:
        """Numbers of the last forward worth logging: the scale, or for example the parts of a sum."""
        scale = getattr(self, "scale", None)
        return {"scale": scale.value()} if isinstance(scale, Scale) else {}


def check_modalities(objective: nn.Module, names: Sequence[str]) -> None:
    """Refuse modalities that leave an objective, or a term of it, without anything to learn from.

    Raises:
        ModalignError: fewer than it needs of those that it looks at, or its anchor is not among them.
    """
    for part in objective.modules():
        if isinstance(part, Objective):
            part.can_learn(names)


NAMES = "xyzuvwabcdefgh"


def _batch_of(rows: Sequence[Tensor], group: Tensor | Sequence[int] | None) -> Batch:
    """A batch whose inputs are the tensors and whose points are their rows at length 1."""
    strange = [type(part).__name__ for part in rows if not isinstance(part, Tensor)]
    if strange:
        raise ModalignError(
            f"an objective takes a Batch or tensors of torch, got {', '.join(strange)}: "
            f"torch.as_tensor(x) makes a tensor of an array, Batch(z, z) a batch of views"
        )
    for part in rows:
        if not part.is_floating_point():
            raise ModalignError(f"an objective takes floating-point numbers, got {part.dtype}: convert with x.float()")
        check_readable(part, "what an objective takes")
    names = NAMES[: len(rows)]
    if len(names) < len(rows):
        raise ModalignError(f"an objective takes {len(NAMES)} tensors at most, got {len(rows)}: give a Batch")
    x = Views.from_arrays(**dict(zip(names, rows, strict=True)))
    if group is not None:
        x = Views(x.data, dict.fromkeys(names, torch.as_tensor(group)))
    return Batch(x.map(lambda m, part: normalize(part, dim=1)), x)


def nothing(batch: Batch) -> Tensor:
    """A zero connected to the batch, for batches without anything to learn from."""
    return torch.stack([x.float().sum() * 0.0 for x in batch.z.data.values()]).sum()


def key_of(modality: str) -> str:
    """A name for a module or buffer, which may not hold dots; a modality may have any name."""
    return modality.encode().hex()
