"""Measure a run: retrieval, geometry, translation and transfer of its embedded items."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..data.eccv import caption_links
from ..errors import ModalignError, unknown
from ..metrics.corrected import WAYS, CorrectedRetrieval
from ..metrics.evaluate import evaluate
from ..metrics.intervals import bootstrap_all
from ..metrics.mean_recall import with_mean_recall
from ..metrics.preservation import Geodesic, Trustworthiness
from ..metrics.protocol import PROTOCOLS, folds, in_folds
from ..metrics.score import Metric, Score
from ..outputs import claim
from ..parameters import Count, Seed, checked
from ..progress import Progress, silent
from ..registry import get, make
from ..robustness.fusion import RULES
from ..views import Views, linked_groups
from .fused import FusedRetrieval
from .items import Items
from .result import MethodResult, Result
from .run import Run
from .uses import STEPS, labels_of, transfer, translation

QUICK = ("retrieval", "procrustes", "mutual_knn", "cka", "gap", "alignment", "dimension", "hubness")
"""What is measured without being asked for."""
GEOMETRY = (
    "connectivity", "cknna", "svcca", "rsa", "cycle_knn", "lcs_knn", "trustworthiness", "geodesic", "gromov",
    "calibrated",
)  # fmt: skip
"""What ``geometry`` adds."""
PRESERVATION = "What the heads keep of their features"
CORRECTED = "corrected_retrieval"
POSITIVES = ("original", "cxc", "eccv")
FEW = 25
"""Subsamples behind the intervals of set metrics when all of geometry is measured."""


@checked
@dataclass(frozen=True)
class Request:
    """What to measure.

    Args:
        metrics: registered metrics instead of the quick ones; "corrected_retrieval" stands for all four corrections.
        geometry: also all metrics of geometry, and how each head keeps its features' neighbourhoods.
        protocol: "coco-1k" or "coco-5k". positives: "original", "cxc" or "eccv", of COCO's test captions.
        query: composed queries such as "text+audio". fusion: how they are composed.
        translation, transfer: measure these uses. labels: of transfer, see ``uses.labels_of``.
        steps: of the captioner's training. seed: of intervals and of the captioner.
    """

    metrics: tuple[str, ...] = ()
    geometry: bool = False
    protocol: str | None = None
    positives: str | None = None
    query: tuple[str, ...] = ()
    fusion: str = "mean"
    translation: bool = False
    transfer: bool = False
    labels: str | None = None
    steps: Count = STEPS
    seed: Seed = 0

    def __post_init__(self) -> None:
        for name in self.metrics:
            get("metric", name)
        choices = (
            (self.protocol, PROTOCOLS, "protocol"),
            (self.positives, POSITIVES, "list of positives"),
            (self.fusion, RULES, "fusion rule"),
        )
        for asked, known, what in choices:
            if asked is not None and asked not in known:
                raise unknown(what, asked, known)
        for query in self.query:
            if len({part.strip() for part in query.split("+")} - {""}) < 2:
                raise ModalignError(f"a composed query is written  text+audio, got '{query}'")
        listed = self.labels is not None and Path(self.labels).suffix.lower() in (".csv", ".json")
        if listed and not Path(str(self.labels)).is_file():
            raise ModalignError(f"file of labels not found: {os.path.abspath(str(self.labels))}")


def evaluate_run(folder: Path, request: Request | None = None, progress: Progress = silent) -> Result:
    """Measure the embedded test items of a run; the run keeps the result, which the report shows.

    Raises:
        ModalignError: a folder that is no run or is written to by another program, no test items, or something asked
            for that the run does not allow.
    """
    wish = request or Request()
    run = Run.open(folder)
    with claim(run.folder, "run"):
        result = _measured(run, wish, progress)
        run.keep(result, "evaluation")
    return result


def _measured(run: Run, wish: Request, progress: Progress) -> Result:
    """What was asked for, of the test items of a run."""
    train, test, dev = (in_order(run, split) for split in ("train", "test", "dev"))
    split, test = ("test", test) if len(test.z) else ("dev", dev)
    if not len(test.z):
        raise ModalignError(
            f"{run} has no items to measure: it was fitted without a split 'test' or 'dev' (--holdout 0)"
        )
    check_size(run, test.z, wish.metrics or QUICK)
    z = _linked(run, test, wish.positives) if wish.positives else test.z
    bank = train.z if len(train.z) else None
    scores = with_mean_recall(_scores(z, _metrics(wish, bank), wish), z.modalities)
    if wish.transfer:
        labels = labels_of(wish.labels, run.manifest)
        scores |= transfer(train.z, test.z, labels, run.model, wish.seed)
    jobs: dict[str, Callable[[], dict[str, Score]]] = {}
    if wish.geometry:
        jobs["preservation"] = lambda: preservation(run, wish.seed)
    if wish.translation:
        jobs["translation"] = lambda: translation(train, test, wish.steps, wish.seed, progress)
    skipped: dict[str, str] = {}
    for job, measure in jobs.items():
        try:
            scores |= measure()
        except ModalignError as problem:
            skipped[job] = str(problem)
    name = run.model.method_name
    return Result(
        title=f"evaluation of {name}",
        methods={name: MethodResult(name, scores)},
        settings={k: v for k, v in asdict(wish).items() if v != getattr(Request, k)},
        groups=len(z),
        split=split,
        bank="train" if bank is not None else split,
        skipped=skipped,
    )


def check_size(run: Run, z: Views, metrics: Sequence[str]) -> None:
    """Refuse metrics that look at more items than there are: they would be perfect whatever was learnt.

    Raises:
        ModalignError: naming the metric, its k, and what there is.
    """
    groups = len(linked_groups(z))
    for name in metrics:
        metric = make("metric", name)
        k = max([*getattr(metric, "ks", ()), getattr(metric, "k", 0) or 0])
        if groups < k:
            raise ModalignError(
                f"the test split of {run} has {groups} linked pair{'' if groups == 1 else 's'}, and '{name}' looks "
                f"at {k}: nothing can be concluded from so few; keep more items for measuring"
            )


def in_order(run: Run, split: str) -> Items:
    """Items of a split; modalities in the model's order, as in the run's own result."""
    z, entries = run.items.split(split)
    names = [m for m in run.model.heads.modalities if m in z]
    return Items(z.only(*names) if len(names) == len(z.modalities) else z, entries)


def _metrics(wish: Request, bank: Views | None) -> list[str | Metric]:
    """What to call: names where the registered defaults will do."""
    names = wish.metrics or QUICK
    if wish.geometry:
        names = tuple(dict.fromkeys((*names, *GEOMETRY)))
    out: list[str | Metric] = [name for name in names if name != CORRECTED]
    if CORRECTED in names:
        out += [CorrectedRetrieval(way, bank=bank) for way in WAYS]
    for query in wish.query:
        parts = tuple(part.strip() for part in query.split("+"))
        out.append(FusedRetrieval(parts, rule=wish.fusion))
    return out


def _scores(z: Views, metrics: Sequence[str | Metric], wish: Request) -> dict[str, Score]:
    """Scores with intervals, of the whole or over the folds of a protocol."""
    draws = FEW if wish.geometry else 50
    if wish.protocol is None:
        return evaluate(z, metrics, seed=wish.seed, draws=draws)
    parts = folds(z, PROTOCOLS[wish.protocol], wish.protocol)
    if len(parts) == 1:
        return evaluate(parts[0], metrics, seed=wish.seed, draws=draws)
    out: dict[str, Score] = {}
    for metric in metrics:
        out |= in_folds(make("metric", metric) if isinstance(metric, str) else metric, parts)
    return bootstrap_all(out, seed=wish.seed)


def preservation(run: Run, seed: int = 0) -> dict[str, Score]:
    """How each head keeps the neighbourhoods and geodesics of its features, on the test features of a run.

    Names: ``trustworthiness/text.features~text.space/@10`` and so on.

    Raises:
        ModalignError: the features are not at hand any more.
    """
    data = run.data()
    out: dict[str, Score] = {}
    for m, x in data[data.kept or "test"].data.items():
        before, after = f"{m}.features", f"{m}.space"
        both = Views.from_arrays(**{before: x.float(), after: run.model.transform(x, m)})
        if len(x) < 20:
            continue
        scores = evaluate(both, [Trustworthiness(), Geodesic(directions=((before, after),))], seed=seed)
        out |= {name: replace(s, topic=PRESERVATION) for name, s in scores.items()}
    return out


def _linked(run: Run, test: Items, which: str) -> Views:
    """The test items with the positives of a list of COCO captions.

    Raises:
        ModalignError: the run's data are not COCO, or its captions have no numbers.
    """
    if not {"image", "text"} <= set(test.z.modalities):
        raise ModalignError(f"positives '{which}' join COCO's photos and captions: {run} has no 'image' and 'text'")
    manifest = run.manifest(positives=which)
    if manifest is None or not {"image_id", "caption_id"} <= set(manifest.extra):
        raise ModalignError(f"positives '{which}' are of COCO's test photos: {run} was fitted on other data")
    images, captions = (
        [manifest.extra[column][int(entry["row"])] for entry in test.entries[m]]
        for m, column in (("image", "image_id"), ("text", "caption_id"))
    )
    if any(number is None for number in captions):
        raise ModalignError(
            f'the captions of {run} have no COCO numbers: put  positives = "{which}"  into its [data] table'
        )
    links = caption_links([int(i) for i in images], [int(c) for c in captions], which)
    return replace(test.z, links=links)
