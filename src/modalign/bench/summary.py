"""From the cells of a bench to what its tables, figures and pages show: plain values, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..files import write_json
from ..metrics.score import Score
from ..metrics.shown import heading, number
from ..progress import Progress, silent
from . import correlation, rankings, statistics
from .results import BenchFolder, Cell, matrices
from .robust import stored
from .setting import Setting
from .suite import Suite

SUMMARY = "summary.json"
BESIDE = ("foscttm", "procrustes")
VARIANTS = ("ablations", "sweeps")
RATIOS = [1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0]


def summarise(bench: BenchFolder, command: str, progress: Progress = silent) -> dict[str, Any]:
    """Everything that is said of a bench; also written to ``summary.json``."""
    suite = bench.suite
    settings, tests = [], []
    there = list(bench.settings())
    for done, setting in enumerate(there, 1):
        results = bench.at(setting)
        own = {m: matrices(r) for m, r in results.items()}
        most = max(each.shape[1] for each, _ in own.values())
        each, evened = ({m: pair[k] for m, pair in own.items() if pair[0].shape[1] == most} for k in (0, 1))
        settings.append(one_setting(bench, setting, results, each, evened))
        tests += ablations(suite, settings[-1], each, evened)
        progress(done, len(there), "statistics")
    table = {
        "suite": suite.name, "title": suite.title, "about": suite.about, "command": command,
        "seeds": list(suite.seeds), "trials": suite.trials, "tune_seed": suite.tune_seed, "focus": suite.focus,
        "baseline": suite.baseline, "labels": {m: e.label for m, e in suite.entries.items()},
        "groups": {m: e.group for m, e in suite.entries.items()}, "settings": settings,
        "ranking": ranking(settings), "ablations": together(tests), "geometry": geometry(bench),
        "correlation": correlation.correlate(rows(bench)), "points": points(bench), "cost": cost(bench),
        "robustness": robustness(bench), "measures": measures(bench),
        "code": sorted({str(r.record.get("code")) for r in bench.results}),
        "failed": bench.failed,
    }  # fmt: skip
    write_json(bench.out / SUMMARY, table)
    return table


def one_setting(
    bench: BenchFolder, setting: Setting, results: Mapping[str, list[Cell]], each: Mapping[str, np.ndarray],
    evened: Mapping[str, np.ndarray],
) -> dict[str, Any]:  # fmt: skip
    """The leaderboard of a setting, our method against every other one, and how firm the ranking is.

    each, evened: method -> `results.matrices`.
    """
    names = list(each)
    methods = {}
    for m in names:
        ends = statistics.mean_interval(evened[m])
        inside = {"low": max(0.0, ends.low), "high": min(1.0, ends.high)}  # where a share can lie
        methods[m] = {**one_method(bench, setting, m, results[m]), **ends._asdict(), **inside}
    best = max(names, key=lambda m: each[m].mean())
    focus = bench.suite.focus if bench.suite.focus in names else best
    others = [(focus, m) for m in names if m != focus]
    seeds = {m: methods[m]["seeds"] for m in names}
    tests = statistics.compare(each, others, seeds=seeds, evened=evened)
    return {
        **setting.facts(), "name": setting.name, "part": setting.part, "methods": methods, "focus": focus, "best": best,
        "own_seeds": list(bench.suite.own_seeds.get(setting.name, ())),
        "pairs_known": int(np.mean([r.pairs for r in results[names[0]]])),
        "comparisons": [c.json() for c in tests], "stability": rankings.stability(evened, seeds)._asdict(),
        "target": bench.suite.targets.get(setting.name),
        "outside": [m for m in results if m not in each],
    }  # fmt: skip


def one_method(bench: BenchFolder, setting: Setting, method: str, results: Sequence[Cell]) -> dict[str, Any]:
    """Means over seeds of a method on a setting, how it was tuned, and where its cells lie."""
    tuning = bench.tuning(setting, method)
    records = [r.record for r in results]
    by_seed, dev = [r.recall for r in results], [t.get("dev") for t in records]
    return {
        "by_seed": by_seed, "seeds": [r.seed for r in results],
        "sd": float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None,
        "scores": mean_of([values_of(r.scores) for r in results]),
        "geometry": mean_of([values_of(r.geometry) for r in results]), "beside": beside(results),
        "cost": mean_of([t["cost"] for t in records]),
        "dev": None if None in dev else float(np.mean(np.array(dev, float))),
        "tuned": {
            "trials": len(tuning.get("trials", [])), "seed": tuning.get("seed"), "note": tuning.get("note"),
            "chosen": chosen(tuning), "failed": sum(t.get("score") is None for t in tuning.get("trials", [])),
        },
        "folders": [str(r.folder.relative_to(bench.out)) for r in results],
    }  # fmt: skip


def chosen(tuning: Mapping[str, Any]) -> Any:
    """What a tuning settled on: the winning candidate, or what the method itself says."""
    settings = tuning.get("settings") or {}
    if "chosen" in settings:
        return settings["chosen"]
    done = [t for t in tuning.get("trials", []) if t.get("score") is not None]
    return max(done, key=lambda t: t["score"])["settings"] if done else {}


def beside(results: Sequence[Cell]) -> dict[str, str]:
    """Heading -> mean over seeds of the measures that tables for people show beside mean recall, in their units."""
    found = {}
    for name in BESIDE:
        scores = [s for r in results if (s := {**r.scores, **r.geometry}.get(name)) is not None]
        if scores:
            mean = float(np.mean([s.value for s in scores]))
            found[heading(name, scores[0])] = number(mean, scores[0].unit, sign=False)
    return found


def values_of(scores: Mapping[str, Score]) -> dict[str, float]:
    """The values alone."""
    return {name: s.value for name, s in scores.items()}


def measures(bench: BenchFolder) -> dict[str, dict[str, Any]]:
    """Score or measure of geometry -> what tables say of it: heading, unit, direction, importance."""
    found: dict[str, dict[str, Any]] = {}
    for r in bench.results:
        for name, s in {**r.scores, **r.geometry}.items():
            facts = {k: getattr(s, k) for k in ("heading", "unit", "higher_is_better", "importance")}
            found.setdefault(name, facts)
    return found


def mean_of(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of the entries that all tables have."""
    shared = [k for k in tables[0] if all(k in t for t in tables)]
    return {k: float(np.mean([t[k] for t in tables])) for k in shared}


def ranking(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Ranks over settings of the methods that ran on most of them: mean ranks, critical difference, profiles."""
    counts: dict[str, int] = {}
    for s in settings:
        for m in s["methods"]:
            counts[m] = counts.get(m, 0) + 1
    if len(settings) < 2:
        return None
    names = [m for m, n in counts.items() if n >= max(2, 0.6 * len(settings))]
    full = [s for s in settings if all(m in s["methods"] for m in names)]
    if len(names) < 2 or len(full) < 2:
        return None
    values = np.array([[s["methods"][m]["value"] for m in names] for s in full])
    mean = rankings.ranks(values).mean(0)
    return {
        "methods": names, "settings": [s["name"] for s in full], "mean_rank": mean.tolist(),
        "critical_difference": rankings.critical_difference(len(names), len(full)),
        "friedman": rankings.friedman(values), "concordance": rankings.kendall_w(rankings.ranks(values)),
        "ratios": RATIOS, "profiles": rankings.profile(values, RATIOS).T.tolist(),
    }  # fmt: skip


def ablations(
    suite: Suite, setting: Mapping[str, Any], each: Mapping[str, np.ndarray], evened: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Our method against each of its ablations and sweeps on one setting; `one_setting` says what the arguments are."""
    found = []
    seeds = {m: row["seeds"] for m, row in setting["methods"].items()}
    for m in each:
        if suite.entries[m].group in VARIANTS and suite.focus in each:
            c = statistics.compare(each, [(suite.focus, m)], seeds=seeds, evened=evened)[0]
            found.append({"setting": setting["name"], "kind": suite.entries[m].group, **c.json()})
    return found


def together(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ablations and sweeps of all settings, p of each kind corrected over all of its own."""
    for kind in VARIANTS:
        here = [f for f in found if f["kind"] == kind]
        for f, p in zip(here, statistics.holm([f["p"] for f in here]), strict=True):
            f["corrected"] = p
    return found


def geometry(bench: BenchFolder) -> list[dict[str, Any]]:
    """Change of the Procrustes distance against the baseline, per setting, for our methods."""
    found = []
    for setting in bench.settings():
        results = bench.at(setting)
        base = {r.seed: r for r in results.get(bench.suite.baseline, [])}
        for m, own in results.items():
            both = [(r, base[r.seed]) for r in own if r.seed in base and r.record.get("procrustes_draws")]
            if m == bench.suite.baseline or not both or bench.suite.entries[m].group not in ("ours", "own"):
                continue
            ours, theirs = ([pair[k] for pair in both] for k in (0, 1))
            values = [float(np.mean([c.geometry["procrustes"].value for c in side])) for side in (ours, theirs)]
            draws = [[c.record["procrustes_draws"] for c in side] for side in (ours, theirs)]
            ends = correlation.procrustes_change(draws[0], draws[1], values[0] - values[1])
            found.append({"setting": setting.name, "method": m, "distance": float(values[0]), **ends._asdict()})
    return found


def rows(bench: BenchFolder) -> list[correlation.CellFacts]:
    """Every cell with its geometry, gaps and distances turned so that larger is tighter left to the reader."""
    return [
        correlation.CellFacts(r.method, r.setting.name, r.pairs, values_of(r.geometry), r.recall)
        for r in bench.results
        if bench.suite.entries[r.method].group != "sweeps"
    ]


def points(bench: BenchFolder) -> list[dict[str, Any]]:
    """Cells as points of the correlation picture."""
    return [
        {"method": r.method, "setting": r.setting, "pairs": r.pairs, "score": r.score, **r.geometry}
        for r in rows(bench)
    ]


def cost(bench: BenchFolder) -> dict[str, dict[str, float]]:
    """Method -> mean processor seconds and memory of a fit over all cells, and the longest fit."""
    found: dict[str, dict[str, float]] = {}
    for m in bench.suite.entries:
        own = [r.record["cost"] for r in bench.results if r.method == m]
        if own:
            found[m] = {**mean_of(own), "longest": max(c["cpu_seconds"] for c in own), "cells": float(len(own))}
    return found


def robustness(bench: BenchFolder) -> list[dict[str, Any]]:
    """Curves of the kept heads, where they were measured."""
    return [
        {"setting": r.setting.name, "method": r.method, "seed": r.seed, "curves": curves}
        for r in bench.results
        if (curves := stored(r.folder)) is not None
    ]
