"""Missing modalities at test time, and in training and at test time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...errors import ModalignError
from ...metrics.mean_recall import mean_of, recalls
from ...metrics.ranking import rank_scores
from ...metrics.score import Score
from ...model import Heads
from ...views import Aligned, Views, aligned, compose, lose, presence, side
from ..curves import Curve, curve
from ..fill import Fill, filler
from ..fusion import cosines, ranking

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
SINGLE = "single"


@dataclass(frozen=True)
class Task:
    """Who looks for whom: a query of some modalities in a gallery of others, and back."""

    query: tuple[str, ...]
    gallery: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.query or not self.gallery or set(self.query) & set(self.gallery):
            raise ModalignError(
                f"query and gallery need different modalities, got {list(self.query)} and {list(self.gallery)}"
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.query + self.gallery


def missing_curves(
    heads: Heads,
    test: Views,
    query: Sequence[str],
    gallery: Sequence[str],
    train: Views | None = None,
    rates: Sequence[float] = RATES,
    kind: str = "random",
    rules: Sequence[str] = ("mean", "weighted", "max", "volume"),
    fills: Sequence[str] = ("zero", "mean", "knn", "ppca"),
    dev: Views | None = None,
    seed: int = 0,
) -> dict[str, Curve]:
    """Mean recall both ways when queries and gallery lose modalities at test time.

    Masks are nested in the rate, and every group keeps one modality of the query and one of the gallery. Each rule
    composes what is present. Beside them, with rule "mean": "single", the one best query modality alone (by dev, else
    training data), chance where it is missing; and features filled in before the heads by each of ``fills``.

    Args:
        heads: trained. test: features; one item per group and modality is used, the mean of several.
        query, gallery: modalities of each side. train: features to fill from; without them only "zero" can be.
        rates: ascending, from 0. kind: "random", "blocks" or "sites". rules, fills: see ``fusion``, ``fill``.
        dev: features to choose the single modality and the weights by.
        seed: of the masks and intervals.

    Returns:
        rule, "single" or "fill:KIND" -> curve, over the same groups and draws.

    Example:
        >>> from modalign.data.synthetic import generate
        >>> from modalign.registry import make
        >>> x = generate(240, shared=10, unique=2, modalities=3).views
        >>> train, test = x.groups(range(160)), x.groups(range(160, 240))
        >>> found = missing_curves(make("method", "cca", ridge=0.1).fit(train), test, ["a", "b"], ["c"], train,
        ...                        rates=(0.0, 0.7), rules=["mean"], fills=["mean"])
        >>> list(found), found["mean"].retained.value > found["fill:mean"].retained.value
        (['mean', 'single', 'fill:mean'], True)
    """
    task = Task(tuple(query), tuple(gallery))
    x = both_sides(test, task)
    masks = [_mask(x, task, rate, kind, seed) for rate in rates]
    known = dev if dev is not None else train
    alone = _alone(heads, known if known is not None else test, task)
    weights = {"query": [alone[m] for m in task.query], "gallery": [alone[m] for m in task.gallery]}
    z = embed_present(heads, x)
    out = {r: curve(rates, [both_ways(z.kept(m), task, r, weights) for m in masks], seed) for r in rules}
    best = max(task.query, key=lambda m: alone[m])
    out[SINGLE] = curve(rates, [_single(z.kept(m), task, best) for m in masks], seed)
    source = None if train is None else aligned(train, task.modalities)
    for name in fills:
        if source is None and name != "zero":
            continue
        fill = _by_side(name, source if source is not None else x, task)
        found = [both_ways(embed_present(heads, fill(x.kept(m)), name == "zero"), task) for m in masks]
        out[f"fill:{name}"] = curve(rates, found, seed)
    return out


def refitted_curve(
    fit: Callable[[Views], Heads],
    train: Views,
    test: Views,
    query: Sequence[str],
    gallery: Sequence[str],
    rates: Sequence[float] = RATES,
    kind: str = "random",
    how: str = "disjoint",
    rule: str = "mean",
    seed: int = 0,
) -> Curve:
    """The same with the modalities missing from the training data as well, at the same rate: one fit per rate.

    Args:
        fit: training views -> heads. how: "disjoint" or "hidden", see ``views.lose``. Others: ``missing_curves``.
    """
    task = Task(tuple(query), tuple(gallery))
    x = both_sides(test, task)
    found = []
    for rate in rates:
        heads = fit(lose(train.only(*task.modalities), rate, kind, seed + 1, how))
        found.append(both_ways(embed_present(heads, x).kept(_mask(x, task, rate, kind, seed)), task, rule))
    return curve(rates, found, seed)


def subset_scores(
    heads: Heads, test: Views, query: Sequence[str], gallery: Sequence[str], rule: str = "mean", seed: int = 0
) -> dict[str, Score]:
    """Mean recall both ways for every subset of the query's modalities: "a", "b", "a+b"."""
    task = Task(tuple(query), tuple(gallery))
    z = embed_present(heads, both_sides(test, task))
    return {
        "+".join(names): mean_of([both_ways(z, Task(names, task.gallery), rule)], seed=seed)
        for names in subsets(task.query)
    }


def unbalanced_scores(
    heads: Heads,
    test: Views,
    query: Sequence[str],
    gallery: Sequence[str],
    rates: Sequence[float] = (0.3, 0.5, 0.7),
    rule: str = "mean",
    seed: int = 0,
) -> dict[str, Score]:
    """Mean recall both ways for every way of dealing unequal rates to the query's modalities: "a 0.3, b 0.7"."""
    task = Task(tuple(query), tuple(gallery))
    x = both_sides(test, task)
    z = embed_present(heads, x)
    out = {}
    for dealt in unbalanced(task.query, rates):
        mask = _mask(x, task, dealt, "random", seed)
        out[", ".join(f"{m} {r:g}" for m, r in dealt.items())] = mean_of(
            [both_ways(z.kept(mask), task, rule)], seed=seed
        )
    return out


def subsets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, the small ones first.

    Example:
        >>> subsets(["a", "b"])
        [('a',), ('b',), ('a', 'b')]
    """
    return [s for size in range(1, len(modalities) + 1) for s in combinations(modalities, size)]


def unbalanced(modalities: Sequence[str], rates: Sequence[float] = (0.3, 0.5, 0.7)) -> Iterator[dict[str, float]]:
    """Every way of dealing different rates to the modalities.

    Example:
        >>> list(unbalanced(["a", "b"], (0.3, 0.7)))
        [{'a': 0.3, 'b': 0.7}, {'a': 0.7, 'b': 0.3}]

    Raises:
        ModalignError: fewer rates than modalities.
    """
    if len(rates) < len(modalities):
        raise ModalignError(f"{len(modalities)} modalities need as many rates, got {list(rates)}")
    for order in permutations(rates, len(modalities)):
        yield dict(zip(modalities, order, strict=True))


def both_sides(x: Views, task: Task) -> Aligned:
    """One row per group and modality, of the groups that have something on both sides.

    Raises:
        ModalignError: there is none, or positives are links between single items.
    """
    if x.links:
        raise ModalignError("missing modalities are of groups: they cannot follow links between single items")
    rows = aligned(x, task.modalities)
    q, g = (rows.only(names).present.any(1) for names in (task.query, task.gallery))
    if not bool((q & g).any()):
        raise ModalignError(f"no test group has both {' or '.join(task.query)} and {' or '.join(task.gallery)}")
    return rows.take(q & g)


def embed_present(heads: Heads, x: Aligned, zero_rows: bool = False) -> Aligned:
    """Embeddings of what is present; zeros elsewhere. zero_rows: features may be filled in with zeros."""
    data = {}
    for k, (m, rows) in enumerate(x.data.items()):
        there = x.present[:, k]
        data[m] = torch.zeros(len(rows), heads.dim)
        data[m][there] = heads.transform(rows[there].float(), m, zero_rows=zero_rows)
    return Aligned(x.group, data, x.present)


def both_ways(
    z: Aligned, task: Task, rule: str = "mean", weights: Mapping[str, Sequence[float]] | None = None
) -> list[Score]:
    """Recall@k of queries in the gallery, and of the gallery's items among the queries."""
    q, g = side(z, task.query), side(z, task.gallery)
    back = None if weights is None else {"query": weights["gallery"], "gallery": weights["query"]}
    return recalls([ranking(q, g, rule, weights), ranking(g, q, rule, back)])


def _mask(x: Aligned, task: Task, rate: float | Mapping[str, float], kind: str, seed: int) -> Tensor:
    """(g, M) what is kept, drawn for the query's and the gallery's modalities apart: each side keeps one."""
    present = x.present.clone()
    for number, names in enumerate((task.query, task.gallery)):
        columns = [x.modalities.index(m) for m in names]
        rates = [rate.get(m, 0.0) for m in names] if isinstance(rate, Mapping) else rate
        present[:, columns] = presence(x.present[:, columns], rates, kind, seed + 1000 * number)
    return present


def _alone(heads: Heads, known: Views, task: Task, most: int = 1000) -> dict[str, float]:
    """Mean recall of each modality of one side with the whole other side."""
    some = known.only(*task.modalities)
    z = embed_present(heads, both_sides(some.groups(some.group_ids()[:most]), task))
    out = {m: mean_of([both_ways(z, Task((m,), task.gallery))], samples=0).value for m in task.query}
    return out | {m: mean_of([both_ways(z, Task(task.query, (m,)))], samples=0).value for m in task.gallery}


def _by_side(name: str, train: Aligned, task: Task) -> Fill:
    """A filler that completes queries from queries and galleries from galleries: the partner must not help."""
    fills = [filler(name, train.only(names)) for names in (task.query, task.gallery)]

    def fill(x: Aligned) -> Aligned:
        q, g = (f(x.only(names)) for f, names in zip(fills, (task.query, task.gallery), strict=True))
        return Aligned(x.group, {**q.data, **g.data}, torch.cat([q.present, g.present], 1))

    return fill


def _single(z: Aligned, task: Task, best: str) -> list[Score]:
    """One modality of the query alone. Without it a query says nothing: it finds at random, and is found last."""
    there = z.present[:, z.modalities.index(best)]
    q = normalize(z.data[best], dim=1) * there[:, None]
    g = side(z, task.gallery)
    scores = cosines(q, compose(g))
    pairs = (z.group[:, None] == g.group[None, :]).nonzero()
    found = scores.masked_fill(~there[:, None], -2.0)
    return recalls([rank_scores(scores, pairs, z.group), rank_scores(found.T, pairs.flip(1), g.group)])
