"""Which adapter to take: all are fitted without some links, and the recall kept on those decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError, check_known
from ..progress import Progress, silent
from . import curved, linear, transport
from .adapter import Adapter, fit_norm
from .linear import Sample
from .lists import K, Measure, as_one, first_equal, ndcg, nearest, overlap, own_length

FEW, SOME = 300, 1000  # links: below, five folds; below, three; from there on one
MOST_HELD = 2000
LAST = "all"  # tag of the sample of all links, on which the chosen adapter is fitted

Fit = Callable[[Sample], Adapter]
Direction = Literal["queries", "rows"]


class Candidate(NamedTuple):
    """A method with settings: its name, what to call the settings, the fit on unit rows."""

    method: str
    label: str
    fit: Fit


def plain() -> list[Candidate]:
    """Adapters that use the links alone, and canonical correlation, which also uses the shape of both clouds."""
    return [
        Candidate("identity", "", linear.identity),
        Candidate("orthogonal", "", linear.orthogonal),
        Candidate("ridge", "leave-one-out", linear.ridge),
        Candidate("orthogonal", "scaled", partial(linear.orthogonal, scaled=True)),
        *(Candidate("low_rank", f"rank {r}", partial(linear.low_rank, rank=r)) for r in (32, 64)),
        Candidate("low_rank", "rank 64, scaled", partial(linear.low_rank, rank=64, scaled=True)),
        *(Candidate("cca", f"ridge {r:g}", partial(linear.canonical, strength=r)) for r in (0.3, 3.0)),
        Candidate("perceptron", "256 hidden", curved.perceptron),
        Candidate("perceptron", "256 hidden, scaled", partial(curved.perceptron, scaled=True)),
        Candidate("local", "8 places", curved.local),
    ]


class FullAdapter:
    """The rotation laid by links and clouds, with corrections; a rotation is found once and serves many candidates.

    Args:
        seed: draws rows. rows: of either model in a plan; trials make do with half of them, a quarter of the work, so
            that what they keep is a little less than what the last fit does.
    """

    #: Strengths of the kernel on the rotation, and on the rotation with a ridge correction; places with a map and their
    #: ridge.
    bent, straightened, placed = (1.0, 0.2, 0.05), 0.1, (16, 1.0)

    def __init__(self, seed: int = 0, rows: int = transport.MOST_ROWS, progress: Progress = silent) -> None:
        self.seed, self.rows, self.progress = seed, rows, progress
        self.known: dict[str, transport.Turn] = {}
        self.marked: tuple[tuple[str, bool], transport.Landmarks] | None = None

    def turn(self, s: Sample) -> transport.Turn:
        """The rotation of a sample, kept by the sample's tag; seen from the other side it is the same one."""
        if not s.tag:
            return transport.turn(s, self.seed, self.rows, self.progress)
        if s.tag not in self.known:
            rows = self.rows if s.tag == LAST else self.rows // 2
            self.known[s.tag] = transport.turn(s.flipped() if s.swapped else s, self.seed, rows, self.progress)
        return self.known[s.tag].flipped() if s.swapped else self.known[s.tag]

    def fit(self, s: Sample, strength: float | None = None, first: bool = False, placed: bool = False) -> Adapter:
        """One candidate: the rotation, ``first`` a ridge correction of it, then a kernel of so much strength.

        placed: maps of places in place of the kernel.
        """
        base = self.turn(s).adapter()
        if first:
            base = linear.corrected(base, s)
        if placed:
            return curved.with_places(base, s, *self.placed, seed=self.seed)
        return base if strength is None else transport.with_kernel(base, s, strength, self.marks(s))

    def marks(self, s: Sample) -> transport.Landmarks:
        """The landmarks of a sample; those of the last one are kept, as strengths are tried in turn."""
        key = (s.tag, s.swapped)
        if not s.tag or self.marked is None or self.marked[0] != key:
            self.marked = key, transport.landmarks(s, seed=self.seed)
        return self.marked[1]

    def candidates(self) -> list[Candidate]:
        """The rotation alone, and with corrections; which of them pays depends on the models and on the pairs."""
        straight, (places, _) = self.straightened, self.placed
        return [
            Candidate("full", "rotation", self.fit),
            *(Candidate("full", f"kernel {s:g}", partial(self.fit, strength=s)) for s in self.bent),
            Candidate("full", f"ridge, kernel {straight:g}", partial(self.fit, strength=straight, first=True)),
            Candidate("full", f"ridge, {places} places", partial(self.fit, first=True, placed=True)),
        ]


METHODS = ("identity", "orthogonal", "low_rank", "ridge", "cca", "perceptron", "local", "full")


def candidates(methods: Sequence[str], full: FullAdapter, equal: bool) -> list[Candidate]:
    """All candidates of some methods; leaving rows as they are needs equal widths.

    Raises:
        ModalignError: an unknown method; the nearest is named. No method that fits.
    """
    for name in methods:
        check_known("adapter", name, METHODS)
    every = [*plain(), *full.candidates()]
    found = [c for c in every if c.method in methods and (equal or c.method != "identity")]
    if not found:
        why = "'identity' needs two models of one width" if methods else f"name some of {', '.join(METHODS)}"
        raise ModalignError(f"no adapter to try: {why}")
    return found


def folds(n: int, seed: int) -> list[Tensor]:
    """Rows held out in turn: five parts of few links, three of some, one fifth (at most 2,000) of many."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    if n < FEW:
        return list(order.chunk(min(5, n)))
    if n < SOME:
        return list(order.chunk(3))
    return [order[: min(n // 5, MOST_HELD)]]


def without(n: int, held: Tensor) -> Tensor:
    """The other rows."""
    keep = torch.ones(n, dtype=torch.bool)
    keep[held] = False
    return keep.nonzero().flatten()


@dataclass(frozen=True, eq=False)
class StoreSample:
    """What lists are taken from.

    Args:
        store: (n, d) rows of the old model, a sample of the store.
        own: (p,) the row of each link in it, or -1. measure: how the store compares.
        truth: (p, k) lists of the old model's queries. The links' own lists by the new model are made of the links
            that were held out.
    """

    store: Tensor
    own: Tensor
    measure: Measure
    truth: Tensor

    @classmethod
    def of(cls, store: Tensor, own: Tensor, old: Tensor, measure: Measure, k: int = K) -> StoreSample:
        """With the lists of the old model, which are what is to be kept."""
        return cls(store, own, measure, nearest(old, store, k, measure, own))

    @cached_property
    def first(self) -> Tensor:
        """(n,) the first row of the store that equals each."""
        return first_equal(self.store)


class Kept(NamedTuple):
    """Recall kept per held-out link: against the old lists and the new model's own; overlap and nDCG of each."""

    old: Tensor
    old_ndcg: Tensor
    new: Tensor
    new_ndcg: Tensor

    def criterion(self) -> Tensor:
        """(q,) what decides: the mean of both overlaps."""
        return (self.old + self.new) / 2


class Trial(NamedTuple):
    """A candidate with what it kept, and the held-out rows as it mapped them."""

    candidate: Candidate
    kept: Kept
    mapped: Tensor


class Trials:
    """Fits without some links, in turn, and what they keep of those.

    Args:
        raw: from the new model to the old. gallery: what lists are taken from. seed: draws the parts.
    """

    def __init__(self, raw: Sample, gallery: StoreSample, seed: int = 0) -> None:
        self.raw, self.gallery = raw, gallery
        self.parts = folds(len(raw.x), seed)
        self.rows = torch.cat(self.parts).sort().values
        self.rests = [without(len(raw.x), held) for held in self.parts]
        units = raw.units()
        self.samples = [units.linked(rest, f"part {i}") for i, rest in enumerate(self.rests)]

    def run(self, candidate: Candidate, direction: Direction) -> Trial:
        """A candidate on the held-out links.

        Args:
            direction: "queries": new to old, the store stays; "rows": old to new, the store is rewritten.
        """
        queries, g = direction == "queries", self.gallery
        raw = self.raw if queries else self.raw.flipped()
        mapped = torch.empty(len(raw.x), raw.y.shape[1])
        found = torch.empty(len(raw.x), g.truth.shape[1], dtype=torch.long)
        for held, rest, sample in zip(self.parts, self.rests, self.samples, strict=True):
            adapter = candidate.fit(sample if queries else sample.flipped())
            adapter = with_norm(adapter, raw.x[rest], raw.y[rest], g.measure)
            mapped[held] = adapter(raw.x[held])
            asked, store = (mapped[held], g.store) if queries else (raw.y[held], adapter(g.store))
            found[held] = nearest(asked, store, g.truth.shape[1], g.measure, g.own[held])
        kept = self.scored(raw, self.rows, mapped[self.rows], found[self.rows], queries)
        return Trial(candidate, kept, mapped[self.rows])

    def scored(self, raw: Sample, held: Tensor, mapped: Tensor, found: Tensor, queries: bool = True) -> Kept:
        """What is kept of some held-out links (q,), given as they were mapped, with what was found of the store."""
        g, own = self.gallery, torch.arange(len(held))
        new, old = (raw.x, raw.y) if queries else (raw.y, raw.x)
        new, old = new[held], old[held]
        k = own_length(g.truth.shape[1], len(held))
        want = nearest(new, new, k, g.measure, own)
        asked, store = (mapped, old) if queries else (new, mapped)
        lists = nearest(asked, store, k, g.measure, own)
        found, truth = as_one(found, g.first), as_one(g.truth[held], g.first)
        same = first_equal(new)
        lists, want = as_one(lists, same), as_one(want, same)
        return Kept(overlap(found, truth), ndcg(found, truth), overlap(lists, want), ndcg(lists, want))


def with_norm(adapter: Adapter, x: Tensor, y: Tensor, measure: Measure) -> Adapter:
    """The adapter, with the lengths of rows where the store keeps them."""
    return adapter if measure == "cosine" else replace(adapter, norm=fit_norm(x, y))


def best(trials: Sequence[Trial]) -> Trial:
    """The trial that keeps most."""
    return max(trials, key=lambda t: float(t.kept.criterion().mean()))


def honest(trials: Sequence[Trial]) -> Kept:
    """What the choice keeps where it was not made: each half of the links is scored by the best on the other half.

    Choosing among many and quoting the winner's own score would flatter it.
    """
    half = torch.arange(len(trials[0].kept.old)) % 2 == 0
    if len(half) < 2:
        return trials[0].kept
    scores = torch.stack([t.kept.criterion() for t in trials])
    other, one = (trials[int(scores[:, part].mean(1).argmax())].kept for part in (half, ~half))
    return Kept(*(torch.where(half, a, b) for a, b in zip(one, other, strict=True)))


def compare(
    trials: Trials, choices: Sequence[Candidate], direction: Direction, progress: Progress = silent
) -> list[Trial]:
    """Every candidate with what it keeps."""
    out = []
    for i, c in enumerate(choices):
        progress(i, len(choices), f"adapters for {direction}")
        out.append(trials.run(c, direction))
    progress(len(choices), len(choices), f"adapters for {direction}")
    return out
