"""Ours: closed form, then descent, then hub removal, each chosen on dev by equal numbers of trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from ..files import RunFile
from ..model import Heads
from ..parameters import Count, Dim, Number, Seed, Share, Weight
from ..progress import Progress, silent
from ..registry import register
from ..training.checkpoint import mark
from ..views import Views, linked_groups
from .base import on_cpu
from .canonical_space import CanonicalSpace
from .cases import CASES, CLOSED, FURTHER, RIDGE, Case, rounds_among
from .descents import DESCENTS, joins, ways
from .folds import TRIAL_ROWS, Fold, folds_of, within
from .joined import joined
from .local_scaling import of_strength, without_hubs
from .prepared import prepare
from .transport_cca import TransportCCA
from .tuning import TRIALS, keep_log, steady, trial_folder, tune

HELD_ROWS = 1024  # unlinked rows of a side with which few settings are tried on groups that are held out
FEWEST_TO_HALVE = 4  # settings: fewer are all tried in full
NO_PART = ("record", "trials", "steps")  # in how one of them does


@register("method", "full")
class Full:
    """Ours: transport-CCA with neighbours and anchors, then gradient descent on the total objective; chosen on dev.

    1. Transport-CCA with each of a list of settings. Which comes first follows from the numbers of links and of
       unlinked items; another takes its place where it is better on dev by more than noise (`tuning.steady`). With many
       links and small plans, only the half that does best on dev before any plan goes through its rounds.
    2. From 500 linked groups on, gradient descent from there on L = alpha L_OT + beta L_RMA + gamma L_retrieve, of
       linear maps, of maps with a perceptron beside them, and both joined in one head; the best on dev goes on, or,
       where plans are large, the joined head. From 2,500 on it is of linear maps, slower and longer on pairs alone,
       from there and from a closed form with a high ridge.
       Of more unlinked rows than a plan holds, some are matched among all of the other side instead (`meeting`).
    3. `LocalScaling` behind the heads, with few items of half or full strength, where that raises the dev score among
       training items.

    Without dev views a fifth of the linked groups is held out to choose by, three times below 300 groups; then the
    closed form is fitted again to all pairs with what was chosen, and there is no gradient descent. From 500 linked
    groups of two modalities on, with small plans, three settings are tried then, by the round that a refit ends in,
    and hubs go untried. Below 10 linked groups nothing is chosen: the defaults of "transport_cca" hold.

    Args:
        dim: of the shared space, at most.
        alpha, beta, gamma: weights of transport, neighbourhoods carried over by pairs, and retrieval.
        trials: settings to try, those of all three steps together, joined heads included.
        steps: optimiser steps at most, half as many again from 2,500 linked groups on; 0: closed form alone.
        seed: of everything random.
        target: of three modalities and more, the one that queries composed of the others search: settings are chosen
            by such queries and hubs removed for them; None: every modality searches every other one.
        lost: rate at which the parts of such queries are missing in use.
        closed: settings of "transport_cca" that hold in every trial, for ablations.
        transport, neighbourhood: other settings of these two terms of the objective, for ablations.
        chosen: settings that an earlier fit chose (its ``record["chosen"]``); then nothing is tried.

    Use when: recall counts more than time, above all where pairs are few beside items without a known partner.
    Related: "transport_cca", its first step alone; "cca" and "clip", the baselines.
    """

    def __init__(
        self,
        dim: Dim = 256,
        alpha: Weight = 0.1,
        beta: Weight = 0.1,
        gamma: Weight = 1.0,
        trials: Count = TRIALS,
        steps: Number = 200,
        hubs: bool = True,
        seed: Seed = 0,
        target: str | None = None,
        lost: Share = 0.0,
        closed: dict[str, Any] | None = None,
        transport: dict[str, Any] | None = None,
        neighbourhood: dict[str, Any] | None = None,
        chosen: dict[str, Any] | None = None,
    ) -> None:
        self.dim, self.alpha, self.beta, self.gamma = dim, alpha, beta, gamma
        self.trials, self.steps, self.hubs, self.seed = trials, steps, hubs, seed
        self.closed, self.transport, self.neighbourhood = closed or {}, transport or {}, neighbourhood or {}
        self.chosen, self.target, self.lost = chosen, target, lost
        self.record: dict[str, Any] = {}

    def fit(self, x: Views, dev: Views | None = None, run: Path | None = None, progress: Progress = silent) -> Heads:
        """The best heads on dev, or those refitted to all pairs."""
        x, dev = on_cpu(x), on_cpu(dev)
        p = prepare(x, root=True, unit=True, seed=self.seed, meet=True)
        if self.target is not None:
            x[self.target]  # refuses a name that is no modality
        target = self.target if len(x.modalities) > 2 else None
        folds = folds_of(x, p, dev, self.seed, target, self.lost)
        if not folds:
            self.record["chosen"] = "the defaults of transport_cca: too few pairs to choose anything by"
            self.record["took_part"] = {"name": "transport_cca", **self.closed}
            return TransportCCA(self.dim, seed=self.seed, **self.closed).fit(x, progress=progress)
        linked, planned = len(linked_groups(x)), max((min(n) for n in p.free.values()), default=0) >= TRIAL_ROWS
        links = "several" if len(x.modalities) > 2 else "links" if dev is not None else "held"
        case = CASES[("beyond" if p.everyone else "plan") if planned else links if ways(linked) else "few"]
        closed = self.candidates(case, linked, max(map(max, p.free.values())) if p.everyone else 0)
        descents = self.descents(linked) if dev is not None else []
        left = self.trials - 1 - len(descents) - joins(descents)
        strengths = case.strengths[: max(0, left)] if self.hubs else ()
        if planned and dev is not None:
            folds = [f._replace(trial=f.p) for f in folds]  # few rows make a poor plan, and mislead
        if case.last:
            folds = [f._replace(trial=f.p.thinned(HELD_ROWS, self.seed)) for f in folds]
        kept = None if run is None else run / RunFile.TRIALS
        of = "" if run is None else mark({k: v for k, v in vars(self).items() if k not in NO_PART}, x, dev)
        settings, spaces = self.choose(closed[: max(1, left + 1 - len(strengths))], folds, kept, progress, case, of)
        if dev is None:  # these only serve to judge: all pairs are fitted anew
            best = [] if case.last else [space.heads(self.dim, rough=True) for space in spaces]
        else:
            if folds[0].trial is not folds[0].p:
                spaces = [self.solved(settings, folds[0]._replace(trial=p), case)[0]]
            start = spaces[0].heads(self.dim)
            self.record["dev"] = folds[0].score(start)
            best = [self.descend(start, within(x, p), folds[0], descents, run, planned)]
        learnt = {k: v for k, v in self.record["chosen"].items() if k != "descent"}
        descended = {"objective": self.objective()} if "descent" in self.record["chosen"] else {}
        self.record["took_part"] = {"name": "transport_cca", **learnt, **descended}
        strength = self.strength(best, folds, strengths)
        if dev is None:
            self.record["dev_is"] = f"{len(folds)} x {len(folds[0].dev)} linked groups held out, then refitted"
            best = [TransportCCA(self.dim, seed=self.seed, **settings).solve(p).space.heads(self.dim)]
        progress(self.trials, self.trials, "trials of full")
        return without_hubs(best[0], x, strength=strength, seed=self.seed, target=target) if strength else best[0]

    def choose(
        self,
        closed: Sequence[dict[str, Any]],
        folds: Sequence[Fold],
        kept: Path | None,
        progress: Progress,
        case: Case,
        made_of: str = "",
    ) -> tuple[dict[str, Any], list[CanonicalSpace]]:
        """The closed form to go on with, and its spaces, one of each fold.

        Args:
            closed: settings to try, the most plausible first. kept: file with the trials of a call that was killed.
            made_of: of what, see ``tune``.
        """
        made: dict[str, list[CanonicalSpace]] = {}

        def score(s: dict[str, Any]) -> Tensor:
            progress(len(made), self.trials, "trials of full")
            solved = [self.solved(s, f, case) for f in folds]
            made[str(s)] = [space for space, _ in solved]
            return torch.cat([items for _, items in solved])

        halved = case.halved and self.trials <= TRIALS  # who allows many trials wants them whole
        tuned = tune(self.promising(closed, folds) if halved else closed, score, None, kept, made_of)
        tried = [(t, items) for t, items in zip(tuned.record, tuned.items, strict=True) if items is not None]
        best = tried[steady([items for _, items in tried])][0]
        if str(best["settings"]) not in made:  # tried by a call that was killed
            score(best["settings"])
        self.record |= {"chosen": best["settings"], "dev": best["score"], "trials": tuned.record}
        return best["settings"], made[str(best["settings"])]

    def solved(self, settings: dict[str, Any], fold: Fold, case: Case) -> tuple[CanonicalSpace, Tensor]:
        """The closed form of a fold's trial rows, and what each dev group adds to its score.

        Its rounds, and whether late anchors stay, are judged as settings are: a round that is the better one with hubs
        often is the worse one without their removal.
        """

        def judge(space: CanonicalSpace) -> Tensor:
            if case.crowded:
                return fold.recalls_in(space, self.dim, self.hubs, self.seed)
            return fold.recalls_of(space.embed_new(fold.dev))

        method = TransportCCA(self.dim, seed=self.seed, **settings)
        best = method.solve(fold.trial).judged(judge) if case.last else method.solve(fold.trial, judge=judge)
        assert best.items is not None
        return best.space, best.items

    def promising(self, closed: Sequence[dict[str, Any]], folds: Sequence[Fold]) -> list[dict[str, Any]]:
        """The half of the settings that does best on dev before any plan, in their order; the others cost a glance."""
        if len(closed) < FEWEST_TO_HALVE:
            return list(closed)
        methods = [TransportCCA(self.dim, seed=self.seed, **s) for s in closed]
        scores = [mean(float(f.recalls_of(m.glance(f.trial, f.dev)).mean()) for f in folds) for m in methods]
        order = sorted(range(len(closed)), key=lambda k: -scores[k])
        kept = set(order[: -(-len(closed) // 2)])
        self.record["passed_over"] = [
            {"settings": s, "score": score}
            for k, (s, score) in enumerate(zip(closed, scores, strict=True))
            if k not in kept
        ]
        return [s for k, s in enumerate(closed) if k in kept]

    def judged(self, heads: Heads, fold: Fold) -> Heads:
        """The heads with hubs removed, where that follows: some settings gain more by it than others."""
        return fold.without_hubs(heads, self.seed) if self.hubs else heads

    def form(self, number: int, linked: int, met: int = 0) -> dict[str, Any]:
        """One of `cases.CLOSED` with all that was asked for or follows from the number of linked items.

        Args:
            met: rows among which others are matched (`meeting`), from which the number of rounds follows.
        """
        rounds = {"rounds": rounds_among(met)} if met else {}
        return {"ridge": RIDGE / max(1, linked) ** 0.5, **rounds, **CLOSED[number], **self.closed}

    def candidates(self, case: Case, linked: int, met: int = 0) -> list[dict[str, Any]]:
        """What to try: settings of the closed form, each once, the most plausible first; ``met`` as in `form`."""
        if self.chosen is not None:
            return [{k: v for k, v in self.chosen.items() if k not in ("descent", "hubs")}]
        settings = [self.form(k, linked, met) for k in case.tried]
        if self.trials > TRIALS:
            settings += [{**self.form(k, linked, met), **new, **self.closed} for k, new in FURTHER]
        return [s for place, s in enumerate(settings) if s not in settings[:place]]

    def descents(self, linked: int) -> list[str]:
        """Ways of descent that follow, by the number of linked groups; or that of an earlier fit."""
        if not self.steps or not ways(linked):
            return []
        if self.chosen is not None:
            return list(self.chosen.get("descent", ()))
        return ways(linked)[: max(0, self.trials - 1)]

    def strength(self, heads: Sequence[Heads], folds: Sequence[Fold], strengths: Sequence[float]) -> float:
        """Of the third step, 0 without it: the best on dev, over all folds together, or that of an earlier fit.

        Where one alone is tried, it stays unless doing without is better beyond noise; untried, without heads to judge.
        """
        if self.chosen is not None and "hubs" in self.chosen:
            return float(self.chosen["hubs"])
        if not strengths:
            return 0.0
        if not heads:
            self.record["chosen"] = {**self.record["chosen"], "hubs": strengths[-1]}
            return strengths[-1]
        fewer = [f.without_hubs(h, self.seed) for h, f in zip(heads, folds, strict=True)]
        ends = {0.0: list(heads), **{s: [of_strength(h, s) for h in fewer] for s in strengths}}
        found = [f.crowded_recalls(list(end)) for f, end in zip(folds, zip(*ends.values(), strict=True), strict=True)]
        items = dict(zip(ends, map(torch.cat, zip(*found, strict=True)), strict=True))
        scores = {s: float(each.mean()) for s, each in items.items()}
        best = max(scores, key=lambda s: scores[s])
        if len(strengths) == 1:  # many items have hubs: the few of a small dev set say otherwise by chance only
            order = (*strengths, 0.0)
            best = order[steady([items[s] for s in order])]
        self.record["trials"] += [{"settings": {"hubs": s}, "score": scores[s]} for s in strengths]
        score = mean(f.score(h) for h, f in zip(ends[best], folds, strict=True))
        self.record |= {"chosen": {**self.record["chosen"], "hubs": best}, "dev": score}
        return best

    def descend(
        self, start: Heads, x: Views, fold: Fold, names: Sequence[str], run: Path | None, planned: bool
    ) -> Heads:
        """Gradient descent from the start in each of these ways, and joined in one head; the best on dev.

        Where a plan of many items counts (``planned``), which way is best alone on one draw seldom is on others: there
        the joined head is taken, and the start stays where it is better beyond noise.
        """
        if not names:
            return start
        ends: dict[str, Heads] = {}
        logs: dict[str, float] = {}
        for name in names:
            how = DESCENTS[name]
            begun = start if how.closed is None else self.begun(self.form(how.closed, len(linked_groups(x))), fold)
            objective, folder = self.objective(how.retrieval), trial_folder(run, name)
            ends[name], logs[name] = how.end(begun, objective, x, fold.dev, self.steps, self.seed, folder)
        keep_log(trial_folder(run, max(logs, key=lambda n: logs[n])), run)
        ways: dict[tuple[str, ...], Heads] = {(name,): end for name, end in ends.items()}
        if joins(names):
            both: dict[tuple[str, ...], Heads] = {tuple(ends): joined(list(ends.values()), x, start.dim, self.seed)}
            ways = both if planned else {**ways, **both}
        every = {**ways, (): start} if planned else {(): start, **ways}  # of equals the first
        found = {way: fold.recalls(self.judged(heads, fold)) for way, heads in every.items()}
        scores = {way: float(items.mean()) for way, items in found.items()}
        self.record["trials"] += [{"settings": {"descent": list(way)}, "score": scores[way]} for way in ways]
        best = list(found)[steady(list(found.values()))] if planned else max(scores, key=lambda way: scores[way])
        if best:
            self.record |= {"chosen": {**self.record["chosen"], "descent": list(best)}, "dev": scores[best]}
        return every[best]

    def begun(self, settings: dict[str, Any], fold: Fold) -> Heads:
        """Heads of a closed form, whatever was chosen."""
        return self.solved(settings, fold._replace(trial=fold.p), CASES["links"])[0].heads(self.dim)

    def objective(self, retrieval: str = "clip") -> dict[str, Any]:
        """The total objective as a table, with one of the retrieval terms."""
        return {
            "name": "total",
            "alpha": self.alpha,
            "beta": self.beta,
            "gamma": self.gamma,
            "transport": {"name": "transport", "epsilon": 0.05, **self.transport},
            "neighbourhood": {"name": "rma", "form": "carried", **self.neighbourhood},
            "retrieval": {"name": retrieval},
        }
