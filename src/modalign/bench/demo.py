"""The demo: the main job on built-in data, as a newcomer runs it.

Pictogram boards help people who cannot speak to point at what they mean. Somebody has drawn the pictograms, somebody
has listed the words, and only a few hundred are linked by hand. How well do the links to the rest come by themselves?
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import MissingExtraError, ModalignError
from ..metrics.mean_recall import mean_recall, over_runs
from ..metrics.score import Score
from ..model import Model
from ..outputs import claim
from ..parameters import Count, checked
from ..progress import Progress, kept, note, silent
from ..registry import make
from ..runs import Budget, MethodResult, Result, Run
from ..runs.data import Data, facts, load_data, manifest_of
from ..runs.fit import fit, scores_of, settings_of
from ..runs.once import is_fitted, tried
from ..specification import Specification, specification
from ..views import hide_links, linked_groups
from .workers import Workers

#: In the order of their rows: the one that is fitted in a second comes first.
METHODS = {"cca": "CCA", "clip": "CLIP", "full": "full"}
#: Smaller budgets, as shares of the demo's, at which ``full`` is measured too.
SHARES = (0.25, 0.5)
#: Settings that each tuned method may try on dev; the same number for all of them.
TRIALS = 8
#: Processes at most; each needs some 600 MB.
WORKERS = 4


@checked
def run_demo(
    out: Path,
    pairs: Count = 200,
    seeds: Count = 1,
    language: str = "en",
    speech: bool = False,
    progress: Progress = silent,
    row: Callable[[str, MethodResult], None] = lambda name, measured: None,
) -> Run:
    """Encode, align by three methods, evaluate.

    Args:
        out: run folder; it becomes the run folder of ``full`` with the first seed, the other fits lie beside it.
        pairs: training pictograms whose name is known, at least 8; all other pictograms and names are unlinked.
        seeds: repetitions with other linked pictograms, at least 1.
        language: of the names.
        speech: the names spoken by a synthetic voice, as a third modality.
        row: called with each method's scores as soon as they are known.
    """
    if pairs < 8:
        raise ModalignError(f"the demo needs at least 8 pairs, got {pairs}")
    spec = specification(
        {
            "data": {"name": "openmoji", "language": language, **({"speech": True} if speech else {})},
            "encoders": {"image": "efficientnet-lite0", "text": "minilm", **({"audio": ears()[0]} if speech else {})},
            "method": {"name": "full"},
            "pairs": pairs,
            "out": str(out),
        },
        "the demo",
    )
    check_pairs(spec, pairs)
    with claim(out, "run", "demo"):
        return _fitted(spec, pairs, seeds, progress, row)


def _fitted(
    spec: Specification, pairs: int, seeds: int, progress: Progress, row: Callable[[str, MethodResult], None]
) -> Run:
    data = load_data(spec, progress)
    if "audio" in spec.encoders and (lacking := ears()[1]):
        note([f"spoken names are heard by log-mel bands alone: {lacking}"])
    budgets = [*dict.fromkeys(max(4, round(pairs * s)) for s in SHARES), pairs]
    settings = [(name, pairs) for name in METHODS] + [("full", b) for b in budgets[:-1]]
    jobs = [FitJob(name, b, seed) for name, b in settings for seed in range(seeds)]
    results: Results = {}
    with fits(spec, jobs, data, progress) as ready:
        for name, b in settings:
            results[name, b] = summarise([ready(job) for job in jobs if job[:2] == (name, b)], data)
            if b == pairs:
                row(name, results[name, b])
    return Run.write(spec, Model.load(Path(spec.out)), data, result_of(results, budgets, data, spec, seeds), progress)


def ears() -> tuple[dict[str, Any], str]:
    """The encoder of spoken names, and what it lacks: log-mel bands of four parts of time, and a speech network."""
    bands = {"name": "logmel", "parts": 4}
    try:
        make("encoder", "speech")
    except MissingExtraError as missing:
        return bands, str(missing)
    return {"name": "joined", "encoders": [bands, {"name": "speech"}]}, ""


Results = dict[tuple[str, int], MethodResult]


def check_pairs(spec: Specification, pairs: int) -> None:
    """Refuse more pairs than there are, before anything is drawn or encoded."""
    manifest = manifest_of(spec)
    assert manifest is not None
    train = manifest.split("train")
    known = len(set.intersection(*(set(train.modality(m).group.tolist()) for m in train.modalities)))
    if pairs > known:
        raise ModalignError(f"the demo has {known} pictograms with a name to learn from, got {pairs} pairs")


class FitJob(NamedTuple):
    """One fit: a method at a budget, with the links that a seed draws."""

    method: str
    pairs: int
    seed: int


class Fit(NamedTuple):
    """A fit, done."""

    job: FitJob
    model: Model
    seconds: float


def fit_one(spec: Specification, job: FitJob, data: Data) -> Fit:
    """Do a fit, or read it where its folder has it already."""
    wanted = {"seed": job.seed, "trials": TRIALS}
    settings = {"name": job.method, **{k: v for k, v in wanted.items() if k in settings_of(job.method)}}
    train = hide_links(data["train"], linked_groups(data["train"], job.pairs, job.seed))
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the same bits in this process and in another, on any number of cores
    try:
        return Fit(job, *fit(settings, train, data["dev"], folder_of(spec, job), data))
    finally:
        torch.set_num_threads(before)


def folder_of(spec: Specification, job: FitJob) -> Path:
    """The run folder itself for the main fit, a folder inside it for the others."""
    run = Run(spec.out)
    return run.folder if job == ("full", spec.pairs, 0) else run.fit_beside("-".join(map(str, job)))


@contextmanager
def fits(
    spec: Specification, jobs: Sequence[FitJob], data: Data, progress: Progress
) -> Iterator[Callable[[FitJob], Fit]]:
    """Start all fits, several at a time in processes of their own; gives what waits for one of them.

    A process leaves its fit in the folder, where this one reads it. On one core, or where nothing is left to fit, no
    process is started.
    """
    todo = [job for job in jobs if not is_fitted(folder_of(spec, job))]
    workers = min(os.cpu_count() or 1, len(todo), WORKERS)
    if workers < 2:
        yield lambda job: fit_one(spec, job, data)
        return
    with Workers(workers) as pool:
        futures = {job: pool.submit(_fit_elsewhere, spec, job) for job in todo}

        def ready(job: FitJob) -> Fit:
            while job in futures and not wait([futures[job]], timeout=1).done:
                show_trials(spec, futures, progress)
            if job in futures:
                futures[job].result()
                show_trials(spec, futures, progress)
            return fit_one(spec, job, data)

        def done() -> str:
            return f"{sum(f.done() for f in futures.values())} of {len(todo)} fits and the trials of others are kept"

        with kept(done):
            yield ready


def show_trials(spec: Specification, futures: Mapping[FitJob, Future[None]], progress: Progress) -> None:
    """Progress by trials, of which fits have very different numbers, over all fits together."""
    trials = {job: TRIALS if "trials" in settings_of(job.method) else 1 for job in futures}
    done = {job: trials[job] if f.done() else tried(folder_of(spec, job), trials[job]) for job, f in futures.items()}
    for job in done:  # asked last: what was tried goes when the fit is whole, before its process says so
        done[job] = trials[job] if is_fitted(folder_of(spec, job)) else done[job]
    progress(sum(done.values()), sum(trials.values()), f"trials of {len(futures)} fits")


def _fit_elsewhere(spec: Specification, job: FitJob) -> None:
    if spec.out not in _loaded:  # once in the life of a process
        _loaded[spec.out] = load_data(spec)
    fit_one(spec, job, _loaded[spec.out])


_loaded: dict[str, Data] = {}


def summarise(done: Sequence[Fit], data: Data) -> MethodResult:
    """Scores of one method at one budget, over seeds: each score's mean, and mean recall with a joint interval."""
    job = done[0].job
    runs = [scores_of(d.model.heads, data["test"], seed=d.job.seed) for d in done]
    scores = {"mean_recall": mean_recall(runs, "text", "image")}
    scores |= {k: over_runs([r[k] for r in runs]) for k in runs[0] if k != "mean_recall"}
    return MethodResult(
        METHODS[job.method],
        scores,
        seconds=round(sum(d.seconds for d in done) / len(done), 1),
        pairs=job.pairs,
        by_seed=tuple(mean_recall(r, "text", "image").value for r in runs),
    )


def result_of(results: Results, budgets: Sequence[int], data: Data, spec: Specification, seeds: int) -> Result:
    """The result of the whole demo."""
    pairs = budgets[-1]
    return Result(
        title="Pictogram boards: words and pictures from few links",
        methods={name: results[name, pairs] for name in METHODS},
        task="find the picture for a word, and the word for a picture, that were never linked",
        data=facts(data, spec),
        seeds=tuple(range(seeds)),
        budgets=tuple(
            Budget(name, b, recall_of(results, name, b)) for name in METHODS for b in budgets if (name, b) in results
        ),
        saving=saving(results, budgets),
        attribution=data.attribution,
        weights=data.credits,
    )


def recall_of(results: Results, name: str, pairs: int) -> Score:
    """Mean recall of a method at a budget."""
    return results[name, pairs].scores["mean_recall"]


def saving(results: Results, budgets: Sequence[int]) -> dict[str, Any]:
    """How many times fewer pairs ``full`` needs for the recall that CLIP has at the largest budget.

    Between measured budgets recall is interpolated linearly in the logarithm of the number of pairs.
    """
    pairs = budgets[-1]
    target = recall_of(results, "clip", pairs).value
    needed, bound = crossing(budgets, [recall_of(results, "full", b).value for b in budgets], target)
    gain = recall_of(results, "full", pairs).value / target if target > 0 else None
    what = f"{100 * target:.1f} %, CLIP's mean recall with {pairs} pairs"
    if needed is None:
        text = f"full does not reach {what}, at any number of pairs up to {pairs}."
        return {"text": text, "target": target, "factor": None, "pairs": None, "gain": gain}
    factor = pairs / needed
    times = f"at least {factor:.1f}" if bound else f"{factor:.1f}"
    text = (
        f"full needs {times} times fewer pairs than CLIP for the same recall. "
        f"It reaches {what}, with {'at most ' if bound else 'about '}{needed:.0f}."
    )
    if gain is not None:
        text += f" With the same {pairs} pairs its recall is {gain:.2f} times CLIP's."
    return {"text": text, "target": target, "factor": factor, "pairs": needed, "gain": gain}


def crossing(budgets: Sequence[int], values: Sequence[float], target: float) -> tuple[float | None, bool]:
    """Where values over budgets first reach a target.

    Returns: (budget, bound): bound is true where even the smallest budget reaches it, so that the true place may be
    lower still; (None, False) where no budget does.

    Example:
        >>> crossing([50, 100, 200], [0.1, 0.2, 0.3], 0.15)
        (70.7107, False)
    """
    if values[0] >= target:
        return float(budgets[0]), True
    for (b0, v0), (b1, v1) in zip(
        zip(budgets, values, strict=True), zip(budgets[1:], values[1:], strict=True), strict=False
    ):
        if v1 >= target:
            share = (target - v0) / (v1 - v0)
            return math.exp(math.log(b0) + share * math.log(b1 / b0)), False
    return None, False
