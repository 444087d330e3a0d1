"""Translation and transfer of a run: captioners and classifiers on its own embedded items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..data.annotations import Annotations, from_manifest
from ..data.manifest import Manifest
from ..errors import ModalignError
from ..metrics.coco_tokens import coco_tokens
from ..metrics.score import Score
from ..model import Model
from ..progress import Progress, note, silent
from ..registry import make
from ..tasks import Nearest, Training, evaluate_transfer, evaluate_translation, examples, fit_captioner
from ..tasks.topics import pictogram_topics
from ..tasks.translation import Writer
from ..views import Views
from .items import Items

WORDS = "text"
COLUMNS = ("category", "labels", "label")
NOISE, STEPS = 0.6, 400


def captions_of(items: Items) -> dict[int, list[str]]:
    """Group -> its different texts, of the text items of a run."""
    out: dict[int, list[str]] = {}
    if WORDS not in items.z:
        return out
    for g, entry in zip(items.z.group[WORDS].tolist(), items.entries[WORDS], strict=True):
        text = entry.get("text")
        if text and text not in out.setdefault(g, []):
            out[g].append(str(text))
    return {g: words for g, words in out.items() if words}


def translation(
    train: Items, test: Items, steps: int = STEPS, seed: int = 0, progress: Progress = silent
) -> dict[str, Score]:
    """Scores of a captioner trained on the training texts' points alone, and of the nearest training caption.

    Args:
        train, test: embedded items and what they are. steps: of the captioner's training.

    Raises:
        ModalignError: no texts to learn from or to compare with.
    """
    known, truth = captions_of(train), captions_of(test)
    if not known or not truth:
        raise ModalignError(
            f"translation needs '{WORDS}' items with their words among the training and the test items, "
            f"got {len(known)} and {len(truth)} groups with words"
        )
    data = examples(train.z, known)
    least = 5 if len(data.text) >= 5000 else 1  # a small vocabulary needs every word
    longest = Training().longest
    cut = sum(len(coco_tokens(t)) > longest for t in data.text)
    if cut and progress is not silent:
        note([f"the captioner learns from the first {longest} words of a text: {cut:,} are longer and were cut"])
    captioner = fit_captioner(data, Training(steps=steps, noise=NOISE, least=least, seed=seed), progress)
    writers: dict[str, Writer] = {"decoder": captioner, "nearest": Nearest(data)}
    out: dict[str, Score] = {}
    for source in test.z.modalities:
        if source != WORDS and any(g in truth for g in test.z.group[source].tolist()):
            out |= evaluate_translation(test.z, truth, writers, source, seed=seed)
    if not out:
        raise ModalignError(f"translation needs test items of another modality whose groups have '{WORDS}'")
    return out


def transfer(
    train: Views, test: Views, labels: Annotations, model: Model | None = None, seed: int = 0
) -> dict[str, Score]:
    """Scores of classifiers from each modality to each; zero-shot too where the run has a text encoder."""
    names = class_names(labels, train, model) if model is not None and WORDS in model.encoders else None
    return evaluate_transfer(train, test, labels, names, seed=seed)


def class_names(labels: Annotations, train: Views, model: Model) -> dict[str, Tensor]:
    """Class -> (1, d) point of its name as text."""
    from ..tasks.classify import Labels

    classes = Labels.of(labels, train.group_ids()).classes
    encoder = make("encoder", **model.encoders[WORDS])
    with torch.inference_mode():
        features = torch.cat([encoder(encoder.collate([c.replace("_", " ")])) for c in classes])
    return {c: x[None] for c, x in zip(classes, model.transform(features.float(), WORDS), strict=True)}


def labels_of(given: str | None, listed: Callable[[], Manifest | None]) -> Annotations:
    """Labels of groups: a file, a column of the data set, or what the data set is known to have.

    Args:
        given: file ending in .csv or .json, or name of an extra column; None: the first of category, labels and label,
            or the topics of the built-in pictograms.
        listed: gives the manifest of the run's data, None for plain arrays; a file of labels needs none.

    Raises:
        ModalignError: no labels, or data that have changed.
    """
    if given is not None and Path(given).suffix.lower() in (".csv", ".json"):
        return given
    manifest = listed()
    if manifest is None:
        raise ModalignError("transfer needs labels: give a file, --labels FILE.csv with the columns group and label")
    if given is not None:
        return from_manifest(manifest, given)
    column = next((c for c in COLUMNS if c in manifest.extra), None)
    if column is not None:
        return from_manifest(manifest, column)
    if "emoji" in manifest.extra:
        return pictogram_topics(manifest)
    raise ModalignError(
        f"'{manifest.name}' has no labels (none of the columns {', '.join(COLUMNS)}): give a file, --labels FILE.csv"
    )
