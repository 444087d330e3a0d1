"""Train a captioner on points of the shared space; and the baseline that answers with the nearest training caption."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError
from ..geometry.neighbours import knn
from ..model.captioner import Captioner, Decoder, Vocabulary
from ..model.captioner.captioner import centred, unit_means
from ..model.captioner.vocabulary import PAD
from ..objectives.caption import jitter
from ..parameters import Count, Positive, Seed, Share, Weight, checked
from ..progress import Progress, silent
from ..views import Views

Captions = Mapping[int, Sequence[str]]
PARTS = 4


@checked
@dataclass(frozen=True)
class Training:
    """How a captioner is trained.

    Args:
        steps: optimiser steps. batch: captions in each.
        lr: peak learning rate: linear warm-up over a tenth of the steps, then half a cosine to 0.
        weight_decay: AdamW, on matrices.
        noise: sigma of ``objectives.caption.jitter``: length of the noise against the unit rows.
        centre: take each modality's mean away before reading.
        smoothing: of the labels. clip: greatest gradient norm.
        least: occurrences of a word in training captions from which on it is in the vocabulary.
        width, layers, heads, prefix, longest, dropout: of the decoder.
        seed: of weights, batches, noise and dropout.
    """

    steps: Count = 1000
    batch: Count = 128
    lr: Positive = 2e-3
    weight_decay: Weight = 0.01
    noise: Weight = 0.0
    centre: bool = False
    smoothing: Share = 0.1
    clip: Positive = 1.0
    least: Count = 5
    width: int = 256
    layers: int = 2
    heads: int = 4
    prefix: int = 4
    longest: int = 24
    dropout: float = 0.1
    seed: Seed = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rising = max(1, self.steps // 10)
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising)))


@dataclass(frozen=True, eq=False)
class Examples:
    """What a captioner learns from.

    Args:
        z: (n, dim) points. modality: (n,) whose. text: (n,) what each should be read as.
        means: modality -> mean of its unit rows, whatever is read.
    """

    z: Tensor
    modality: tuple[str, ...]
    text: tuple[str, ...]
    means: Mapping[str, Tensor]


def examples(z: Views, captions: Captions, sources: Sequence[str] = ("text",), own: str | None = "text") -> Examples:
    """Points and the captions that should be read off them.

    Training on text alone reads captions' own points: ``sources=("text",)``; on pairs: ``("image",)`` or both.

    Args:
        z: training views in the shared space. Modalities that are not sources give their means only.
        captions: group -> captions. Groups without captions are left out.
        sources: modalities whose points are read.
        own: the modality whose k-th item of a group *is* the group's k-th caption; groups where the numbers differ,
            and items of every other modality, are read as each of the group's captions.

    Raises:
        ModalignError: unknown modality, or no item of the sources has captions.

    Example:
        >>> z = Views({"text": torch.eye(3), "image": torch.eye(3)[:1]},
        ...           {"text": torch.tensor([0, 0, 1]), "image": torch.tensor([0])})
        >>> examples(z, {0: ["a cat", "one cat"], 1: ["a dog"]}).text
        ('a cat', 'one cat', 'a dog')
        >>> examples(z, {0: ["a cat", "one cat"], 1: ["a dog"]}, ["image"]).text
        ('a cat', 'one cat')
    """
    rows: list[Tensor] = []
    modality: list[str] = []
    text: list[str] = []
    for m in sources:
        index, words = _targets(z, m, captions, m == own)
        rows.append(z[m][torch.tensor(index, dtype=torch.long)])
        modality += [m] * len(index)
        text += words
    if not text:
        raise ModalignError(f"no item of {', '.join(sources)} has captions: are the group ids the same?")
    return Examples(torch.cat(rows).float(), tuple(modality), tuple(text), unit_means(z))


def _targets(z: Views, m: str, captions: Captions, own: bool) -> tuple[list[int], list[str]]:
    """Rows of a modality, each with one caption."""
    members: dict[int, list[int]] = {}
    for row, g in enumerate(z.group[m].tolist() if len(z[m]) else []):
        members.setdefault(g, []).append(row)
    index: list[int] = []
    words: list[str] = []
    for g, found in members.items():
        known = list(captions.get(g, ()))
        if own and len(known) == len(found):
            pairs = list(zip(found, known, strict=True))
        else:
            pairs = [(row, caption) for row in found for caption in known]
        index += [row for row, _ in pairs]
        words += [caption for _, caption in pairs]
    return index, words


def fit_captioner(data: Examples, training: Training | None = None, progress: Progress = silent) -> Captioner:
    """Train a decoder to read captions off points of the shared space.

    Args:
        data: points and captions, see ``examples``.
        training: how.
        progress: called every few steps.

    Returns:
        The captioner after the last step; the same arguments give the same bits.

    Raises:
        ModalignError: a loss that is not finite.

    Example:
        >>> z = Views.from_arrays(text=torch.eye(2))
        >>> small = Training(steps=60, width=32, layers=1, least=1, dropout=0.0, lr=1e-2)
        >>> fit_captioner(examples(z, {0: ["a red fox"], 1: ["two dogs"]}), small).caption(torch.eye(2), "text")
        ['a red fox', 'two dogs']
    """
    s = training or Training()
    vocabulary = Vocabulary.of(data.text, s.least)
    with torch.random.fork_rng():
        torch.manual_seed(s.seed)
        shape = {"width": s.width, "layers": s.layers, "heads": s.heads, "prefix": s.prefix}
        decoder = Decoder(len(vocabulary), data.z.shape[1], **shape, longest=s.longest, dropout=s.dropout)
        captioner = Captioner(decoder, vocabulary, data.means if s.centre else None)
        points, tokens = _points(data, captioner.means), vocabulary.encode(data.text, s.longest)
        _descend(decoder, points, tokens, s, progress)
    decoder.eval()
    return captioner


def _points(data: Examples, means: Mapping[str, Tensor]) -> Tensor:
    """The examples' points as they are read."""
    out = torch.empty_like(data.z)
    for m in dict.fromkeys(data.modality):
        rows = torch.tensor([name == m for name in data.modality])
        out[rows] = centred(data.z[rows], m, means)
    return out


def _descend(decoder: Decoder, points: Tensor, tokens: Tensor, s: Training, progress: Progress) -> None:
    """The training loop."""
    matrices = [p for p in decoder.parameters() if p.ndim >= 2]
    others = [p for p in decoder.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": s.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=s.lr, betas=(0.9, 0.98))
    decoder.train()
    length = (tokens != PAD).sum(1)
    for step, rows in enumerate(islice(_batches(len(points), s.batch), s.steps)):
        rows = rows[length[rows].argsort(stable=True)]
        optimiser.zero_grad(set_to_none=True)
        for part in rows.chunk(PARTS):  # captions of like length together need little padding; the gradient is the same
            words = tokens[part, : int(length[part].max())]
            share = float(length[part].sub(1).sum() / length[rows].sub(1).sum())
            loss = share * decoder.loss(jitter(points[part], s.noise), words, s.smoothing)
            if not torch.isfinite(loss):
                raise ModalignError(
                    f"the caption loss is {loss.item()} at step {step}: lower the learning rate ({s.lr})"
                )
            loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), s.clip)
        for group in optimiser.param_groups:
            group["lr"] = s.rate(step)
        optimiser.step()
        if (step + 1) % 25 == 0 or step + 1 == s.steps:
            progress(step + 1, s.steps, "captioner")


def _batches(rows: int, batch: int) -> Iterator[Tensor]:
    """Rows of endless shuffled passes; the last batch of a pass may be smaller."""
    while True:
        yield from torch.randperm(rows, device="cpu").split(batch)


def pair_distance(z: Views, a: str = "image", b: str = "text", centre: bool = False) -> float:
    """Root mean squared distance of true pairs, unit rows: how far the other modality lies from the captions read.

    A natural size of the noise when a captioner is trained on text alone: the ball of noise then reaches the images.
    Measured on dev, it needs no test item.

    Raises:
        ModalignError: no pairs.

    Reference: Nukrai et al. 2022, arXiv 2211.00575, section 3.2 (they take the distance between captions of one image).

    Example:
        >>> pair_distance(Views.from_arrays(image=torch.eye(2), text=torch.eye(2).flip(0)))
        1.4142135381698608
    """
    pairs = z.paired(a, b)
    if not len(pairs):
        raise ModalignError(f"'{a}' and '{b}' have no pairs: their distance is not known")
    x, y = (normalize(z[m].float(), dim=1) for m in (a, b))
    if centre:
        x, y = (normalize(v - v.mean(0), dim=1) for v in (x, y))
    return float((x[pairs[:, 0]] - y[pairs[:, 1]]).square().sum(1).mean().sqrt())


class Nearest:
    """The baseline: answer with the training caption whose point is nearest by cosine; the first one of equals.

    Args:
        data: points and captions of training, see ``examples``.
        centre: take each modality's mean away first.

    Example:
        >>> z = Views.from_arrays(text=torch.eye(2))
        >>> Nearest(examples(z, {0: ["a fox"], 1: ["a dog"]})).caption(torch.tensor([[0.2, 1.0]]))
        ['a dog']
    """

    def __init__(self, data: Examples, centre: bool = False) -> None:
        self.means = dict(data.means) if centre else {}
        self.text = data.text
        self.points = _points(data, self.means)

    def caption(self, z: Tensor, modality: str = "image") -> list[str]:
        """The nearest training caption of each of (n, dim) points."""
        index = knn(centred(z, modality, self.means), self.points, 1, metric="cosine")[1][:, 0]
        return [self.text[i] for i in index.tolist()]
