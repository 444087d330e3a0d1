"""The classification loss: classes must be linearly readable off the shared space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.annotations import Annotations, annotated, read_annotations
from ..errors import ModalignError
from ..parameters import Dim, Positive, Seed
from ..registry import register
from ..views import Batch, Views
from .base import Objective, nothing


@register("objective", "classify")
class Classify(Objective):
    """Cross-entropy of classes by one linear layer that all modalities share.

    One label: L = mean over modalities m of -mean_i log softmax(s W z_i + b)[y_i]; several labels: the mean binary
    cross-entropy over items and classes. Groups without labels add nothing.

    The classes are those of the labels given, in alphabetical order: ``classes``.

    Args:
        labels: group -> label or labels, or a file of them, see ``data.annotations.read_annotations``.
        dim: of the shared space.
        modalities: whose points are classified; None: all that the batch has.
        several: labels do not exclude each other; None: as soon as some group has more than one.
        scale: s, factor on unit rows, > 0.
        seed: of the layer's first weights.

    Raises:
        ModalignError: no labels, one class only, none of the training groups has a label (``prepare``), or points of
            another width (``forward``).

    Use when: labels are known and must be readable from the space by a linear layer.
    Related: `Caption`, for words; both are terms of `Total`.

    Reference: Bishop 2006, "Pattern Recognition and Machine Learning", section 4.3.4.

    Example:
        >>> z = Views.from_arrays(image=torch.eye(2), text=torch.eye(2))
        >>> loss = Classify({0: "animal", 1: "food"}, dim=2)
        >>> loss.classes, float(loss(Batch(z, z)).detach()) > 0
        (('animal', 'food'), True)
    """

    def __init__(
        self,
        labels: Annotations,
        dim: Dim = 256,
        modalities: Sequence[str] | None = None,
        several: bool | None = None,
        scale: Positive = 10.0,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.labels = read_annotations(labels, "labels")
        self.dim, self.modalities, self.scale = dim, modalities, scale
        most = max(map(len, self.labels.values()))
        self.several = most > 1 if several is None else several
        if most > 1 and not self.several:
            raise ModalignError(f"a group has {most} labels, but several=False allows one")
        self.classes = tuple(sorted({label for several in self.labels.values() for label in several}))
        if len(self.classes) < 2:
            raise ModalignError(f"the labels have one class, '{self.classes[0]}': two are needed")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layer = nn.Linear(dim, len(self.classes))

    def prepare(self, x: Views) -> None:
        """Refuse training views of which no group has a label: the ids would be those of something else."""
        if not set(self.labels) & set(x.group_ids().tolist()):
            raise ModalignError("none of the labels belongs to a group of the training views: are the ids the same?")

    def forward(self, batch: Batch) -> Tensor:
        losses = []
        for m in self.modalities or batch.z.modalities:
            rows = annotated(batch.z.group[m], self.labels) if m in batch.z else torch.empty(0)
            if not len(rows):
                continue
            if batch.z[m].shape[1] != self.dim:
                raise ModalignError(f"the classifier takes points of {self.dim} dimensions, got {batch.z[m].shape[1]}")
            scores = self.layer(self.scale * batch.z[m][rows].to(self.layer.weight.dtype))
            truth = self.targets(batch.z.group[m][rows].tolist(), scores)
            if self.several:
                losses.append(F.binary_cross_entropy_with_logits(scores, truth))
            else:
                losses.append(F.cross_entropy(scores, truth))
        return torch.stack(losses).mean() if losses else nothing(batch)

    def targets(self, groups: Sequence[int], like: Tensor) -> Tensor:
        """(n, classes) 0 or 1, of the kind and in the place of ``like``."""
        number = {name: i for i, name in enumerate(self.classes)}
        out = like.new_zeros(len(groups), len(self.classes))
        for row, g in enumerate(groups):
            out[row, [number[label] for label in self.labels[g]]] = 1.0
        return out
