"""Translation into words, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ..data.annotations import annotated
from ..errors import ModalignError
from ..metrics.bleu import bleu_difference, corpus_bleu
from ..metrics.key import Key
from ..metrics.score import Score
from ..metrics.text_scores import text_scores
from ..model.captioner import Captioner
from ..progress import Progress, silent
from ..views import Views
from .captions import Examples, Training, fit_captioner


class Writer(Protocol):
    """Points of one modality -> captions: a ``Captioner`` or ``Nearest``."""

    def caption(self, z: Tensor, modality: str = "image") -> list[str]: ...


def translate(
    captioner: Captioner | str | Path, z: Tensor, modality: str = "image", beam: int = 4, power: float = 0.7
) -> list[str]:
    """Captions of points of the shared space.

    Args:
        captioner: a captioner, or the folder of a saved one.
        z: (n, dim) points of one modality.
        modality: whose points these are.
        beam: width of the search; 1: greedy.
        power: of the length by which log-probabilities are divided.

    Raises:
        ModalignError: no captioner in the folder, points of another width, a beam below 1.

    Example:
        >>> import torch
        >>> from .captions import Training, examples, fit_captioner
        >>> z = Views.from_arrays(text=torch.eye(2))
        >>> small = Training(steps=60, width=32, layers=1, least=1, dropout=0.0, lr=1e-2)
        >>> captioner = fit_captioner(examples(z, {0: ["a red fox"], 1: ["two dogs"]}), small)
        >>> translate(captioner, torch.tensor([[0.1, 1.0]]))
        ['two dogs']
    """
    reader = captioner if isinstance(captioner, Captioner) else Captioner.load(captioner)
    return reader.caption(z, modality, beam, power)


def choose_noise(
    data: Examples,
    dev: Views,
    references: Mapping[int, Sequence[str]],
    candidates: Sequence[float] = (0.0, 0.3, 0.6, 1.0),
    training: Training | None = None,
    source: str = "image",
    progress: Progress = silent,
) -> tuple[float, dict[float, float]]:
    """The noise whose captioner writes the best captions of dev items, by BLEU-4 of greedy captions.

    Args:
        data: what captioners learn from, see ``examples``.
        dev: dev views in the shared space. references: group -> captions of dev items.
        candidates: sigmas. Each costs one training.
        training: how; its own noise is not used.
        source: modality of the dev items that are captioned.
        progress: called after each candidate.

    Returns:
        The best sigma, the smaller one of equals, and BLEU-4 of each.

    Raises:
        ModalignError: no candidates, no dev item with references.
    """
    points, truth, _ = _told(dev, source, references)
    if not truth or not candidates:
        raise ModalignError(
            f"noise is chosen by captions of dev items: {len(truth)} items, {len(candidates)} candidates"
        )
    found: dict[float, float] = {}
    for done, sigma in enumerate(sorted(candidates), 1):
        captioner = fit_captioner(data, replace(training or Training(), noise=sigma))
        found[sigma] = corpus_bleu(captioner.caption(points, source, beam=1), truth, samples=0).value
        progress(done, len(candidates), "noise")
    return max(found, key=lambda sigma: found[sigma]), found


def evaluate_translation(
    z: Views,
    references: Mapping[int, Sequence[str]],
    writers: Mapping[str, Writer],
    source: str = "image",
    target: str = "text",
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Score]:
    """Scores of captions of one modality's items against their groups' references, intervals over groups.

    Args:
        z: test views in the shared space; only the source's points are read.
        references: group -> captions. Items whose group has none are left out and counted (``skipped``).
        writers: name -> captioner or baseline, for example ``{"decoder": captioner, "nearest": Nearest(data)}``.
            Of two or more, the difference in BLEU-4 of the first and each other one comes with a paired interval.
        source: whose points are read. target: how the captions are called in the names of scores.
        samples: bootstrap draws, 0 for none. level, seed: of the intervals.

    Returns:
        ``<metric>/<source>->text/<writer>`` with metrics bleu4 (COCO words), bleu4_13a, chrf (0 to 100), exact_match
        (0 to 1), cider (0 to 10), and ``bleu4_gain/<source>->text/<first>-<other>``.

    Raises:
        ModalignError: unknown modality, no writers, no item with references.

    Example:
        >>> import torch
        >>> from .captions import Nearest, examples
        >>> z = Views.from_arrays(image=torch.eye(3), text=torch.eye(3))
        >>> words = {0: ["a red fox runs"], 1: ["two dogs sleep here"], 2: ["a cat sits there"]}
        >>> scores = evaluate_translation(z, words, {"nearest": Nearest(examples(z, words))})
        >>> scores["bleu4/image->text/nearest"].value, scores["exact_match/image->text/nearest"].value
        (100.0, 1.0)
    """
    if not writers:
        raise ModalignError("there is nothing that writes captions: give at least one captioner or baseline")
    points, truth, group = _told(z, source, references)
    if not truth:
        raise ModalignError(f"no item of '{source}' has reference captions: are the group ids the same?")
    left = len(z[source]) - len(truth)
    interval: dict[str, Any] = {"samples": samples, "level": level, "seed": seed}
    written = {name: writer.caption(points, source) for name, writer in writers.items()}
    out: dict[str, Score] = {}
    for name, captions in written.items():
        for metric, score in text_scores(captions, truth, group, **interval).items():
            heading = f"{score.heading}, {name}"
            out[str(Key(metric, source, target, name))] = replace(score, heading=heading, skipped=left)
    first, *others = written
    for other in others:
        gain = bleu_difference(written[first], written[other], truth, "coco", group, **interval)
        heading = f"{gain.heading}, {first} over {other}"
        out[str(Key("bleu4_gain", source, target, f"{first}-{other}"))] = replace(gain, heading=heading, skipped=left)
    return out


def _told(z: Views, source: str, references: Mapping[int, Sequence[str]]) -> tuple[Tensor, list[Sequence[str]], Tensor]:
    """Points, reference captions and groups of the items of a modality whose group has captions."""
    points, group = z[source], z.group[source]
    rows = annotated(group, {g: c for g, c in references.items() if len(c)})
    return points[rows], [references[g] for g in group[rows].tolist()], group[rows]
