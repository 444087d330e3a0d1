"""Transfer: a classifier learnt on one modality's points, used on another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.annotations import Annotations, annotated, read_annotations
from ..errors import ModalignError, few
from ..model.captioner.captioner import centred, unit_means
from ..parameters import Count, checked
from ..views import Views

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear classifier of points of the shared space, whatever their modality.

    Args:
        weight: (c, d). bias: (c,). classes: names.
        several: labels do not exclude each other.
        means: modality -> mean of its unit rows, taken away before; empty: points are used as they are.
    """

    weight: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    several: bool = False
    means: Mapping[str, Tensor] = field(default_factory=dict)

    def scores(self, z: Tensor, modality: str) -> Tensor:
        """(n, c) logits of points of one modality."""
        return centred(z, modality, self.means) @ self.weight.T + self.bias

    def predict(self, z: Tensor, modality: str) -> list[str]:
        """The likeliest class of each point."""
        return [self.classes[i] for i in self.scores(z, modality).argmax(1).tolist()]


def fit_linear(z: Tensor, truth: Tensor, ridge: float = 1e-3, several: bool = False) -> tuple[Tensor, Tensor]:
    """Logistic regression by L-BFGS in float64: softmax, or one sigmoid per class.

    min_{W, b} mean_i loss(W z_i + b, y_i) + ridge / 2 |W|^2, loss the cross-entropy, or the sum over classes of binary
    cross-entropies. scikit-learn's C is 1 / (n ridge).

    Args:
        z: (n, d). truth: (n, c) 0 or 1; rows of one 1 unless ``several``.
        ridge: > 0, which makes the minimum unique (but for a common shift of the softmax's biases, taken out).

    Returns:
        (c, d) weight and (c,) bias, float32.

    Raises:
        ModalignError: no rows, or a ridge that is not positive.

    Example:
        >>> w, b = fit_linear(torch.tensor([[-1.0], [1.0]]), torch.eye(2))
        >>> bool(w[1, 0] > 1), bool(w[0, 0] < -1)
        (True, True)
    """
    if not len(z) or ridge <= 0:
        raise ModalignError(f"a classifier needs rows and a positive ridge, got {len(z)} rows and ridge {ridge}")
    x, y = z.double(), truth.double()
    w = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [w, b],
        max_iter=500,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        scores = x @ w.T + b
        if several:
            loss = F.binary_cross_entropy_with_logits(scores, y, reduction="sum") / len(x)
        else:
            loss = F.cross_entropy(scores, y)
        loss = loss + 0.5 * ridge * w.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    bias = b.detach() if several else b.detach() - b.detach().mean()
    return w.detach().float(), bias.float()


@dataclass(frozen=True)
class Labels:
    """Classes of groups: names in alphabetical order, and 0 or 1 for each group."""

    classes: tuple[str, ...]
    known: Mapping[int, Sequence[str]]
    several: bool

    @classmethod
    def of(cls, source: Annotations, groups: Tensor, several: bool | None = None) -> Labels:
        """Labels of the groups among ``groups`` (training groups decide which classes there are).

        Raises:
            ModalignError: fewer than two classes, or a group with several labels where ``several`` is False.
        """
        every = read_annotations(source, "labels")
        if several is False and (double := [g for g, labels in every.items() if len(labels) > 1]):
            raise ModalignError(f"{len(double)} groups have several labels ({few(double)}), where one each is needed")
        inside = set(groups.tolist())
        classes = sorted({c for g, labels in every.items() if g in inside for c in labels})
        if len(classes) < 2:
            raise ModalignError(f"the training groups have {len(classes)} classes ({few(classes)}): two are needed")
        return cls(tuple(classes), every, max(map(len, every.values())) > 1 if several is None else several)

    def rows(self, z: Views, m: str) -> tuple[Tensor, Tensor]:
        """Rows of a modality whose group has a known class, and their (k, c) truth."""
        number = {c: i for i, c in enumerate(self.classes)}
        rows = annotated(z.group[m], self.known)
        truth = torch.zeros(len(rows), len(number))
        for i, g in enumerate(z.group[m][rows].tolist()):
            truth[i, [number[c] for c in self.known[g] if c in number]] = 1.0
        keep = truth.any(1)
        return rows[keep], truth[keep]


def transfer(
    z: Views,
    labels: Annotations | Labels,
    source: str = "text",
    centre: bool = True,
    ridges: Sequence[float] = RIDGES,
    seed: int = 0,
) -> Linear:
    """A linear classifier fitted to one modality's training points, ready for every other modality.

    The ridge is chosen on a fifth of the source's groups, so no point and no label of the other modality is used but
    the mean of its training points.

    Args:
        z: training views in the shared space.
        labels: group -> label or labels, or a file of them.
        source: modality to learn from.
        centre: take each modality's mean away, which closes the modality gap between source and target.
        ridges: candidates; one alone is taken as it is.
        seed: of the held-out groups.

    Raises:
        ModalignError: unknown modality, fewer than two classes, no labelled item of the source.

    Reference: linear classifiers across modalities: Zhang et al. 2023 (DrML), arXiv 2302.04269.

    Example:
        >>> z = Views.from_arrays(text=torch.eye(4).repeat(3, 1), image=torch.eye(4).repeat(3, 1))
        >>> labels = {g: "animal" if g % 4 < 2 else "food" for g in range(12)}
        >>> transfer(z, labels, source="text").predict(torch.eye(4), "image")
        ['animal', 'animal', 'food', 'food']
    """
    known, rows, truth = _labelled(z, labels, source)
    means = unit_means(z) if centre else {}
    points = centred(z[source][rows], source, means)
    ridge = ridges[0]
    if len(ridges) > 1:
        ridge = _choose(points, truth, z.group[source][rows], known.several, ridges, seed)
    weight, bias = fit_linear(points, truth, ridge, known.several)
    return Linear(weight, bias, known.classes, known.several, means)


def _labelled(z: Views, labels: Annotations | Labels, source: str) -> tuple[Labels, Tensor, Tensor]:
    """The labels, rows of a modality that have one, and their truth."""
    known = labels if isinstance(labels, Labels) else Labels.of(labels, z.group_ids())
    rows, truth = known.rows(z, source)
    if not len(rows):
        raise ModalignError(f"no item of '{source}' has a label: are the group ids the same?")
    return known, rows, truth


def _choose(points: Tensor, truth: Tensor, group: Tensor, several: bool, ridges: Sequence[float], seed: int) -> float:
    """The ridge of least loss on a held-out fifth of the groups."""
    ids = torch.unique(group)
    order = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))]
    held = torch.isin(group, order[: max(1, len(ids) // 5)])
    if held.all():
        return ridges[0]
    losses = {}
    for ridge in ridges:
        w, b = fit_linear(points[~held], truth[~held], ridge, several)
        scores = points[held] @ w.T + b
        loss = F.binary_cross_entropy_with_logits if several else F.cross_entropy
        losses[ridge] = float(loss(scores, truth[held]))
    return min(losses, key=lambda r: losses[r])


def zero_shot(names: Mapping[str, Tensor], modality: str = "text", means: Mapping[str, Tensor] | None = None) -> Linear:
    """A classifier of class names: the class whose names' mean point is nearest by cosine.

    Args:
        names: class -> (k, d) points of its names or sentences about it.
        modality: whose points these are. means: as in ``Linear``.

    Raises:
        ModalignError: no classes, or one without names.

    Reference: Radford et al. 2021, arXiv 2103.00020, section 3.1.

    Example:
        >>> zero_shot({"cat": torch.eye(2)[:1], "dog": torch.eye(2)[1:]}).predict(torch.eye(2), "image")
        ['cat', 'dog']
    """
    bare = [c for c, points in names.items() if not len(points)]
    if not names or bare:
        raise ModalignError(f"every class needs at least one name, none for: {few(bare) or 'all'}")
    rows = [centred(points, modality, means or {}).mean(0) for points in names.values()]
    return Linear(F.normalize(torch.stack(rows), dim=1), torch.zeros(len(rows)), tuple(names), means=means or {})


@checked
def few_shot(
    z: Views, labels: Annotations | Labels, source: str, shots: Count, centre: bool = True, seed: int = 0
) -> Linear:
    """A classifier of a few labelled items: the class whose items' mean point is nearest by cosine.

    Args:
        z: training views. labels, source, centre: as ``transfer``.
        shots: items of each class, drawn by ``seed``; classes with fewer give all they have.

    Raises:
        ModalignError: shots below 1, or as ``transfer``.

    Reference: Snell et al. 2017, arXiv 1703.05175, eq. 1.

    Example:
        >>> z = Views.from_arrays(image=torch.eye(2).repeat(3, 1), text=torch.eye(2).repeat(3, 1))
        >>> few_shot(z, {g: "ab"[g % 2] for g in range(6)}, "image", shots=1).predict(torch.eye(2), "image")
        ['a', 'b']
    """
    known, rows, truth = _labelled(z, labels, source)
    means = unit_means(z) if centre else {}
    generator = torch.Generator().manual_seed(seed)
    prototypes, classes = [], []
    for k, name in enumerate(known.classes):
        own = rows[truth[:, k] > 0]
        own = own[torch.randperm(len(own), generator=generator)[:shots]]
        if len(own):
            prototypes.append(centred(z[source][own], source, means).mean(0))
            classes.append(name)
    weight = F.normalize(torch.stack(prototypes), dim=1)
    return Linear(weight, torch.zeros(len(weight)), tuple(classes), known.several, means)
