"""The demo: the main job on built-in data, as a newcomer runs it.

Pictogram boards help people who cannot speak to point at what they mean. Somebody has drawn the pictograms, somebody
has listed the words, and only a few hundred are linked by hand. How well do the links to the rest come by themselves?
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import ModalignError
from ..metrics.evaluate import to_json
from ..metrics.mean_recall import mean_recall
from ..metrics.score import Score
from ..model import Model
from ..progress import Progress, silent
from ..runs import Data, attribution, facts, fit, leave, load_data, measure, settings_of
from ..specification import Specification, specification
from ..views import hide_links, linked_groups

METHODS = {"clip": "CLIP", "cca": "CCA", "full": "full"}
#: Smaller budgets, as shares of the demo's, at which ``full`` is measured too.
SHARES = (0.25, 0.5)
#: Settings that each tuned method may try on dev; the same number for all of them.
TRIALS = 8
#: Processes at most; each needs some 600 MB.
WORKERS = 4
ROW = "{:<6} {:>5}  {:>16}  {:>16}  {:>20}  {:>16}  {:>12}  {:>7}"
HEADER = (
    ROW.format("", "", "word -> picture", "picture -> word", "mean recall", "Procrustes", "mutual kNN", "")
    + "\n"
    + ROW.format("method", "pairs", "R@1   5   10", "R@1   5   10", "% [95 %]", "disparity", "k = 10", "seconds")
)


def run(
    out: Path,
    pairs: int = 200,
    seeds: int = 1,
    language: str = "en",
    speech: bool = False,
    progress: Progress = silent,
    row: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Encode, align by three methods, evaluate, report.

    Args:
        out: run folder; it becomes the run folder of ``full`` with the first seed, the other fits lie in ``fits/``.
        pairs: training pictograms whose name is known, at least 8; all other pictograms and names are unlinked.
        seeds: repetitions with other linked pictograms, at least 1.
        language: of the names.
        speech: the names spoken by a synthetic voice, as a third modality.
        row: called with each line of the table as soon as it is known.

    Returns: the content of scores.json, and where the run and its report are.
    """
    if seeds < 1:
        raise ModalignError(f"seeds must be at least 1, got {seeds}")
    if pairs < 8:
        raise ModalignError(f"the demo needs at least 8 pairs, got {pairs}")
    spec = specification(
        {
            "data": {"name": "openmoji", "language": language, **({"speech": True} if speech else {})},
            "encoders": {"image": "efficientnet-lite0", "text": "minilm", **({"audio": "logmel"} if speech else {})},
            "method": {"name": "full"},
            "pairs": pairs,
            "out": str(out),
        },
        "the demo",
    )
    data = load_data(spec, progress)
    row(HEADER)
    budgets = [*dict.fromkeys(max(4, round(pairs * s)) for s in SHARES), pairs]
    settings = [(name, pairs) for name in METHODS] + [("full", b) for b in budgets[:-1]]
    jobs = [Job(name, b, seed) for name, b in settings for seed in range(seeds)]
    results = {}
    with fits(spec, jobs, data, progress) as ready:
        for name, b in settings:
            results[name, b] = summarise([ready(job) for job in jobs if job[:2] == (name, b)], data)
            if b == pairs:
                row(line(METHODS[name], b, results[name, b]))
                if speech:
                    row(spoken_line(results[name, b]))
    table = document(results, budgets, data, spec, seeds)
    leave(out, spec.to_toml(), Model.load(out), data, table, progress)
    return {**table, "run": str(out), "report": str(out / "report.html")}


class Job(NamedTuple):
    """One fit: a method at a budget, with the links that a seed draws."""

    method: str
    pairs: int
    seed: int


class Fit(NamedTuple):
    """A fit, done."""

    job: Job
    model: Model
    seconds: float


def fit_job(spec: Specification, job: Job, data: Data) -> Fit:
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


def folder_of(spec: Specification, job: Job) -> Path:
    """The run folder itself for the main fit, a folder inside it for the others."""
    out = Path(spec.out)
    return out if job == ("full", spec.pairs, 0) else out / "fits" / "-".join(map(str, job))


@contextmanager
def fits(spec: Specification, jobs: Sequence[Job], data: Data, progress: Progress) -> Iterator[Callable[[Job], Fit]]:
    """Start all fits, several at a time in processes of their own; gives what waits for one of them.

    A process leaves its fit in the folder, where this one reads it. On one core, or where nothing is left to fit, no
    process is started.
    """
    todo = [job for job in jobs if not (folder_of(spec, job) / "fit.json").exists()]
    workers = min(os.cpu_count() or 1, len(todo), WORKERS)
    if workers < 2:
        yield lambda job: fit_job(spec, job, data)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        futures = {job: pool.submit(_fit_elsewhere, spec, job) for job in todo}
        done = iter(range(1, len(futures) + 1))

        def ready(job: Job) -> Fit:
            if job in futures:
                futures[job].result()
                progress(next(done), len(futures), "fits")
            return fit_job(spec, job, data)

        progress(0, len(futures), "fits")
        yield ready
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _fit_elsewhere(spec: Specification, job: Job) -> None:
    if spec.out not in _loaded:  # once in the life of a process
        _loaded[spec.out] = load_data(spec)
    fit_job(spec, job, _loaded[spec.out])


_loaded: dict[str, Data] = {}


def summarise(done: Sequence[Fit], data: Data) -> dict[str, Any]:
    """Scores of one method at one budget, over seeds: each score's mean, and mean recall with a joint interval."""
    job = done[0].job
    runs = [measure(d.model.heads, data["test"], seed=d.job.seed) for d in done]
    scores = to_json({k: average([r[k] for r in runs]) for k in runs[0] if k != "mean_recall"})
    return {
        "label": METHODS[job.method],
        "pairs": job.pairs,
        "seconds": round(sum(d.seconds for d in done) / len(done), 1),
        "mean_recall": mean_recall(runs, "text", "image").json(),
        "by_seed": [mean_recall(r, "text", "image").value for r in runs],
        **scores,
    }


def average(scores: Sequence[Score]) -> Score:
    """Mean of one score over seeds; its interval is the mean of the seeds' intervals, which leaves out their spread."""
    n = len(scores)
    first = scores[0]
    if n == 1:
        return first
    low = None if first.low is None else sum(s.low or 0.0 for s in scores) / n
    high = None if first.high is None else sum(s.high or 0.0 for s in scores) / n
    value = sum(s.value for s in scores) / n
    return replace(first, value=value, per_item=None, group=None, low=low, high=high)


def document(
    results: Mapping[tuple[str, int], dict[str, Any]],
    budgets: Sequence[int],
    data: Data,
    spec: Specification,
    seeds: int,
) -> dict[str, Any]:
    """The content of scores.json."""
    pairs = budgets[-1]
    curve = [
        {"method": name, "pairs": b, "mean_recall": results[name, b]["mean_recall"]}
        for name in METHODS
        for b in budgets
        if (name, b) in results
    ]
    return {
        "title": "Pictogram boards: words and pictures from few links",
        "task": "find the picture for a word, and the word for a picture, that were never linked",
        "data": facts(data, pairs, spec.data),
        "seeds": list(range(seeds)),
        "split": "test",
        "methods": {name: results[name, pairs] for name in METHODS},
        "budgets": curve,
        "saving": saving(results, budgets),
        **attribution(data),
    }


def saving(results: Mapping[tuple[str, int], dict[str, Any]], budgets: Sequence[int]) -> dict[str, Any]:
    """How many times fewer pairs ``full`` needs for the recall that CLIP has at the largest budget.

    Between measured budgets recall is interpolated linearly in the logarithm of the number of pairs.
    """
    pairs = budgets[-1]
    target = results["clip", pairs]["mean_recall"]["value"]
    needed, bound = crossing(budgets, [results["full", b]["mean_recall"]["value"] for b in budgets], target)
    gain = results["full", pairs]["mean_recall"]["value"] / target if target > 0 else math.inf
    what = f"{100 * target:.1f} %, CLIP's mean recall with {pairs} pairs"
    if needed is None:
        text = f"full does not reach {what}, at any number of pairs up to {pairs}."
        return {"text": text, "target": target, "factor": None, "pairs": None, "gain": gain}
    factor = pairs / needed
    times = f"at least {factor:.1f}" if bound else f"{factor:.1f}"
    text = (
        f"full needs {times} times fewer pairs than CLIP for the same recall. "
        f"It reaches {what}, with {'at most ' if bound else 'about '}{needed:.0f}. "
        f"With the same {pairs} pairs its recall is {gain:.2f} times CLIP's."
    )
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


def line(label: str, pairs: int, scores: Mapping[str, Any]) -> str:
    """One row of the table."""

    def recalls(query: str, gallery: str) -> str:
        found = [100 * scores[f"recall/{query}->{gallery}/any@{k}"]["value"] for k in (1, 5, 10)]
        return "{:4.1f} {:4.1f} {:4.1f}".format(*found)

    mean = scores["mean_recall"]
    shown = {k: v for k, v in scores.items() if "audio" not in k}
    disparity = next(v for k, v in shown.items() if k.startswith("procrustes"))
    mutual = next(v for k, v in shown.items() if k.startswith("mutual_knn"))
    return ROW.format(
        label,
        pairs,
        recalls("text", "image"),
        recalls("image", "text"),
        f"{100 * mean['value']:.1f} [{100 * mean['low']:.1f}, {100 * mean['high']:.1f}]",
        f"{disparity['value']:.3f} [{disparity['low']:.3f}, {disparity['high']:.3f}]",
        f"{mutual['value']:.3f}",
        f"{scores['seconds']:.1f}",
    )


def spoken_line(scores: Mapping[str, Any]) -> str:
    """What the spoken names find."""
    found = {
        b: "{:.1f} {:.1f} {:.1f}".format(*(100 * scores[f"recall/audio->{b}/any@{k}"]["value"] for k in (1, 5, 10)))
        for b in ("image", "text")
    }
    return f"{'':<14}spoken name -> picture {found['image']}, -> word {found['text']}  (R@1 5 10; synthetic voice)"


def summary(result: Mapping[str, Any]) -> str:
    """What the demo says at its end."""
    data = result["data"]
    chance = 100 * result["methods"]["full"]["mean_recall"]["chance"]
    unlinked = min(data["unlinked"].values())
    return "\n".join(
        [
            "",
            result["saving"]["text"],
            f"(test: {data['test']} pictograms and names that no method saw; chance {chance:.1f} %; "
            f"{data['pairs']} links known in training, {unlinked} pictograms and names unlinked; "
            f"settings chosen on {data['dev']} others)",
            "",
            f"Look at it:     {result['report']}",
            f'Search it:      modalign search {result["run"]} "a sad face"',
            f"Browse it:      modalign serve {result['run']}",
            "Your own data:  modalign align A.npy B.npy --out runs/mine",
            "Repeat it:      modalign demo --seeds 3",
            "",
            result.get("attribution", ""),
        ]
    ).rstrip()
