"""The diagnosis: every pair of modalities measured and judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError
from ..features.store import Store
from ..geometry.information import Explained, explained, kernel_features, principal
from ..geometry.neighbours import collapse, knn
from ..geometry.similarity import calibrate, cka, permuted
from ..geometry.spread import intrinsic_dimension
from ..parameters import Count, Number, Seed, checked
from ..progress import Progress, silent
from ..views import Views
from .advice import judge, overall, say
from .doubles import doubles
from .gain import Gain, gain
from .scales import drowned

LEAST = 30
"""Pairs needed for a diagnosis."""
SURE_SHARE = 4.0
"""Standard deviations above the shuffles at which a share counts as evidence."""
DISCRETE = 0.1
"""Share of different rows below which a modality is taken as classes."""


@dataclass(frozen=True)
class CalibratedSimilarity:
    """A similarity with what shuffled pairs reach.

    value: measured. null: mean of shuffled pairs. calibrated: 0 at the null's 95 % quantile, 1 for equal sets.
    """

    value: float
    null: float
    calibrated: float


@dataclass(frozen=True, repr=False)
class PairDiagnosis:
    """Two modalities.

    rows: pairs looked at. explained: "a->b", "b->a" -> share of the variance of the second that the first tells, at
    least 0. share: mean of both. significant: it lies above all shuffles, by far. kind: of prediction, "linear" or
    "rbf". unique: modality -> share that the other does not tell, noise included. similarity: "cka", "mutual_knn".
    gain: of a quick alignment, on held-out pairs.
    """

    a: str
    b: str
    advice: str
    sentence: str
    rows: int
    share: float
    significant: bool
    explained: dict[str, float]
    unique: dict[str, float]
    kind: str
    similarity: dict[str, CalibratedSimilarity]
    gain: Gain

    def __repr__(self) -> str:
        return f"<{self.a} ~ {self.b}: {self.advice}. {self.sentence}>"


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """All modalities.

    advice: "strong", "partial", "weak" or "none": of the modality that fits in least, with its best partner.
    modalities: name -> rows, width, intrinsic_dimension, effective_rank.
    """

    advice: str
    sentence: str
    modalities: dict[str, dict[str, float | int | None]]
    pairs: list[PairDiagnosis]
    notes: list[str]

    def __repr__(self) -> str:
        return f"<Diagnosis: {self.advice}. {self.sentence}>"

    def json(self) -> dict[str, Any]:
        """Plain values."""
        table = asdict(self)
        for entry, pair in zip(table["pairs"], self.pairs, strict=True):
            entry["gain"]["recall"] = pair.gain.recall.json()
        return table


@checked
def diagnose(
    x: Views, rows: Count = 2000, permutations: Number = 20, seed: Seed = 0, progress: Progress = silent
) -> Diagnosis:
    """Judge whether features of two or more modalities are worth aligning.

    Args:
        x: features with group ids; only groups seen in both modalities of a pair tell anything about it.
        rows: pairs to look at, at most; drawn at random.
        permutations: shuffles behind every null, at least 10.
        seed: of everything random.
        progress: called with (done, total, what).

    Raises:
        ModalignError: fewer than two modalities, NaN or zero rows, fewer than 30 pairs of any two modalities,
            constant features.

    Reference: Tjandrasuwita et al. 2025, arXiv 2502.16282: alignment helps where information is redundant, and may hurt
    where it is unique.

    Example:
        >>> from modalign.data.synthetic import generate
        >>> diagnose(generate(300, shared=8, unique=0).views).advice
        'strong'
        >>> diagnose(generate(300, shared=0, unique=8).views).advice
        'none'
    """
    x.validate()
    if len(x.modalities) < 2:
        raise ModalignError(f"a diagnosis needs two or more modalities, got {', '.join(x.modalities) or 'none'}")
    if permutations < 10:
        raise ModalignError(f"a null needs at least 10 permutations, got {permutations}")
    notes = drowned(x.data)
    found, failures = [], []
    couples = list(combinations(x.modalities, 2))
    for done, (a, b) in enumerate(couples):
        progress(done, len(couples), f"{a} ~ {b}")
        try:
            left, right = paired_rows(x, a, b, rows, seed, notes)
        except ModalignError as problem:
            failures.append(problem)
            notes.append(f"{a} ~ {b}: left out; {problem}")
            continue
        found.append(_couple(a, b, left, right, permutations, seed))
    progress(len(couples), len(couples), "diagnosis")
    if not found:
        raise failures[0]
    advice, sentence = overall({(p.a, p.b): p.advice for p in found}, x.modalities)
    if len(found) == 1:
        sentence = found[0].sentence
    return Diagnosis(advice, sentence, {m: _facts(x[m], rows, seed) for m in x.modalities}, found, notes)


def paired_rows(x: Views, a: str, b: str, most: int, seed: int, notes: list[str]) -> tuple[Tensor, Tensor]:
    """One pair of rows per group, copies left out: a copy in another fold would be recognised, not predicted.

    Where few rows are different (labels, for one) copies are the nature of the modality, and stay.
    """
    pairs = x.paired(a, b)
    g = torch.Generator().manual_seed(seed)
    pairs = pairs[torch.randperm(len(pairs), generator=g)]
    group = x.group[a][pairs[:, 0]] if not x.links else pairs[:, 0]
    pairs = pairs[_first(group)]
    kept = pairs
    for m, column in ((a, 0), (b, 1)):
        distinct = _first_of_rows(x[m][kept[:, column]])
        if len(distinct) >= DISCRETE * len(kept):
            kept = kept[distinct]
        else:
            notes.append(f"{a} ~ {b}: '{m}' has {len(distinct)} different rows only, taken as classes")
    if len(kept) < len(pairs):
        notes.append(f"{a} ~ {b}: {len(pairs) - len(kept)} of {len(pairs)} pairs left out, copies of other rows")
    if len(kept) < LEAST:
        raise ModalignError(
            f"'{a}' and '{b}' have {len(kept)} pairs of different rows: a diagnosis needs at least {LEAST}"
        )
    kept = kept[:most]
    return x[a][kept[:, 0]].float(), x[b][kept[:, 1]].float()


def _first(values: Tensor) -> Tensor:
    """Positions of the first occurrence of each value, in order."""
    distinct, where = torch.unique(values, return_inverse=True)
    first = torch.full((len(distinct),), len(values)).scatter_reduce(0, where, torch.arange(len(values)), "amin")
    return first.sort().values


def _first_of_rows(x: Tensor) -> Tensor:
    _, where = torch.unique(x, dim=0, return_inverse=True)
    return _first(where)


def _couple(a: str, b: str, left: Tensor, right: Tensor, permutations: int, seed: int) -> PairDiagnosis:
    x, y = principal(left), principal(right)
    told = {f"{a}->{b}": explained(x, y, permutations=permutations, seed=seed)}
    told[f"{b}->{a}"] = explained(y, x, permutations=permutations, seed=seed)
    kind = "rbf" if any(e.kind == "rbf" for e in told.values()) else "linear"
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:300]
    views = [torch.cat([v, kernel_features(v, chosen)], 1) if kind == "rbf" else v for v in (x, y)]
    quick = gain(views[0], views[1], seed=seed)
    values = {way: max(0.0, e.value) for way, e in told.items()}
    share = sum(values.values()) / 2
    significant = _significant(*told.values())
    advice = judge(share, significant, quick)
    unique = {a: 1 - values[f"{b}->{a}"], b: 1 - values[f"{a}->{b}"]}
    similarity = {"cka": _cka(x, y, permutations, seed), "mutual_knn": _mutual(left, right, permutations, seed)}
    sentence = say(a, b, advice, values, quick)
    return PairDiagnosis(a, b, advice, sentence, len(x), share, significant, values, unique, kind, similarity, quick)


def _significant(there: Explained, back: Explained) -> bool:
    """Whether what both tell together lies above all shuffles, and by more than four standard deviations."""
    both = Explained(there.value + back.value, there.null + back.null, there.kind)
    return both.value > float(both.null.max()) and both.z > SURE_SHARE


def _cka(x: Tensor, y: Tensor, permutations: int, seed: int) -> CalibratedSimilarity:
    def measure(a: Tensor, b: Tensor) -> float:
        return cka(a, b, unbiased=True)

    return _calibrated(measure(x, y), permuted(measure, x, y, permutations, seed))


def _mutual(x: Tensor, y: Tensor, permutations: int, seed: int) -> CalibratedSimilarity:
    """Mutual kNN; shuffling the pairs only renames neighbours, so they are searched once."""
    k = min(10, len(x) - 1)
    a, b = (knn(v, v, k, exclude_self=True)[1] for v in (x, y))

    def agree(one: Tensor, other: Tensor) -> float:
        return float((one[:, :, None] == other[:, None, :]).sum()) / one.numel()

    g = torch.Generator().manual_seed(seed)
    null = []
    for _ in range(permutations):
        order = torch.randperm(len(y), generator=g)
        null.append(agree(a, torch.argsort(order)[b[order]]))
    return _calibrated(agree(a, b), torch.tensor(null))


def _calibrated(value: float, null: Tensor) -> CalibratedSimilarity:
    return CalibratedSimilarity(value, float(null.mean()), calibrate(value, null))


def _facts(x: Tensor, most: int, seed: int) -> dict[str, float | int | None]:
    some = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:most]].float()
    dimension = intrinsic_dimension(some)
    return {
        "rows": len(x),
        "width": x.shape[1],
        "intrinsic_dimension": None if math.isnan(dimension) else dimension,
        "effective_rank": collapse(some)["effective_rank"],
    }


@checked
def diagnose_arrays(
    arrays: Sequence[Path],
    pairs: Path | None = None,
    ids: Sequence[Path] = (),
    names: Sequence[str] | None = None,
    rows: Count = 2000,
    seed: Seed = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """``diagnose`` of feature files, or of one store: what ``modalign diagnose`` prints as JSON.

    A store knows its items: captions and files that it holds more than once are told beside its features.

    Raises:
        ModalignError: files that cannot be read or joined; pairs, ids or names beside a store.
    """
    from ..data.arrays import load_features, modality_names
    from ..data.pairs import files_of, joined, load_ids
    from ..data.steady import steady

    if len(arrays) == 1 and arrays[0].is_dir():
        store = Store.open(arrays[0])
        if pairs or ids or names:
            raise ModalignError(f"{arrays[0]} is a store, which knows what belongs together: no pairs, ids or names")
        return {
            **diagnose(store.views(), rows, seed=seed, progress=progress).json(),
            "doubles": doubles(store.manifest),
        }
    labels = modality_names(arrays, names)
    with steady([*arrays, *ids, pairs]):
        x = load_features(dict(zip(labels, arrays, strict=True)))
        known = load_ids(files_of(ids, labels), {m: len(features) for m, features in x.items()})
        return diagnose(joined(x, pairs, known), rows, seed=seed, progress=progress).json()
