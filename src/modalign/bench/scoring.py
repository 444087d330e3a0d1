"""What a cell measures: retrieval per query, and the geometry of the shared space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import ModalignError
from ..files import atomic
from ..metrics import measures
from ..metrics.connectivity import Connectivity
from ..metrics.kernels import Cka
from ..metrics.mutual_knn import MutualKnn
from ..metrics.paired import same_items
from ..metrics.procrustes import Procrustes
from ..metrics.ranking import rank
from ..metrics.recall import KS
from ..metrics.spread import Gap
from ..model import Heads
from ..views import Views
from .setting import composed, queries_present

GEOMETRY = ("procrustes", "mutual_knn", "cka", "connectivity", "gap")
DRAWS = 40  # subsamples of groups for paired intervals of the Procrustes distance


class Direction(NamedTuple):
    """Queries of one modality against another: what each of them found.

    group: (q,) ids. hits: (q, len(KS)) chance of a positive among the first k. foscttm, rank: (q,).
    """

    group: np.ndarray
    hits: np.ndarray
    foscttm: np.ndarray
    rank: np.ndarray


Queries = Mapping[str, Direction]


def task_views(z: Views, target: str | None) -> Views:
    """What is compared: all modalities, or composed queries beside the target."""
    return z if target is None else composed(z, target)


def retrieve(z: Views) -> dict[str, Direction]:
    """Every direction between modalities that have pairs: "a->b" -> what each query found."""
    found = {}
    for a, b in [d for pair in z.pairs() for d in (pair, pair[::-1])]:
        pairs = z.paired(a, b)
        if not len(pairs):
            continue
        r = rank(z[a], z[b], pairs)
        hits = torch.stack([measures.any_hit(r, k) for k in KS], 1)
        found[f"{a}->{b}"] = Direction(
            z.group[a][r.asked].long().numpy(),
            hits.to(torch.float32).numpy(),
            measures.closer_than_match(r).to(torch.float32).numpy(),
            measures.first_rank(r).to(torch.float32).numpy(),
        )
    if not found:
        raise ModalignError("nothing to score: no two modalities of the test views have pairs")
    return found


def mean_recall(queries: Queries) -> float:
    """Mean over directions and k of the any-hit Recall@k: the score of every table, in [0, 1]."""
    return float(np.mean([d.hits.mean(0, dtype=np.float64) for d in queries.values()]))


def scores(queries: Queries) -> dict[str, float]:
    """Means over queries, by name."""
    out = {"mean_recall": mean_recall(queries)}
    for name, d in queries.items():
        for i, k in enumerate(KS):
            out[f"recall/{name}@{k}"] = float(d.hits[:, i].mean(dtype=np.float64))
        out[f"rank/{name}"] = float(np.median(d.rank))
    out["foscttm"] = float(np.mean([d.foscttm.mean(dtype=np.float64) for d in queries.values()]))
    return out


def embedded(heads: Heads, x: Views) -> Views:
    """Views in the shared space, of the modalities that the heads know."""
    return heads.embed(x.only(*[m for m in x.modalities if m in heads.modalities]))


def dev_score(heads: Heads, dev: Views, target: str | None, test_missing: float, seed: int) -> float:
    """Mean recall of the suite's task on dev, with as much lost in the queries as at test time."""
    shown = dev if target is None else queries_present(dev, target, test_missing, seed)
    return mean_recall(retrieve(task_views(embedded(heads, shown), target)))


def geometry(z: Views, seed: int = 0) -> tuple[dict[str, float], list[float]]:
    """Geometry of the shared space, one item per group and modality; means over pairs of modalities.

    Returns: name -> value, and Procrustes distances on ``DRAWS`` halves of the groups, the same halves for every
        method, from which paired intervals follow.
    """
    first = first_items(z)
    found: dict[str, float] = {}
    for name, metric, key in (
        ("procrustes", Procrustes(null=0), "procrustes/"),
        ("mutual_knn", MutualKnn(k=10), "mutual_knn/"),
        ("cka", Cka(null=0), "cka/"),
        ("gap", Gap(), "gap/"),
        ("connectivity", Connectivity(whole=False), "connectivity/cross_edges"),
    ):
        values = [s.value for k, s in metric(first).items() if k.startswith(key) and wanted(k)]
        if values:
            found[name] = float(np.mean(values))
    ids = first.group_ids()
    generator = torch.Generator().manual_seed(seed)
    draws = []
    for _ in range(DRAWS if len(ids) >= 20 else 0):
        part = first.groups(ids[torch.randperm(len(ids), generator=generator)[: len(ids) // 2]])
        values = [s.value for k, s in Procrustes(null=0)(part).items() if wanted(k)]
        draws.append(float(np.mean(values)))
    return found, draws


def wanted(key: str) -> bool:
    """The plain Procrustes distance, the unbiased CKA; all of the others."""
    if key.startswith("procrustes/"):
        return key.count("/") == 1
    return key.endswith("/unbiased") if key.startswith("cka/") else True


def first_items(z: Views) -> Views:
    """The first item of each group in each modality."""
    data, group = {}, {}
    for m in z.modalities:
        items = same_items(z, m, m)
        data[m], group[m] = items.x, items.group
    return Views(data, group)


def save_queries(path: Path, queries: Queries) -> None:
    """Write what each query found, compressed; hits of 0 and 1 take next to nothing."""
    arrays: dict[str, Any] = {}
    for name, d in queries.items():
        small = np.int32 if len(d.group) and abs(d.group).max() < 2**31 else np.int64
        arrays |= {f"{name}|group": d.group.astype(small), f"{name}|hits": d.hits}
        arrays |= {f"{name}|foscttm": d.foscttm, f"{name}|rank": d.rank}
    with atomic(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def load_queries(path: Path) -> dict[str, Direction]:
    """Read what ``save_queries`` wrote.

    Raises:
        ModalignError: a file that is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            names = list(dict.fromkeys(key.split("|")[0] for key in held.files))
            return {
                n: Direction(*(held[f"{n}|{field}"].astype(kind) for field, kind in _FIELDS.items())) for n in names
            }
    except (OSError, ValueError, KeyError, EOFError) as problem:
        raise ModalignError(f"per-query scores cannot be read: {path} ({problem}); delete it, run again") from None


_FIELDS = {"group": np.int64, "hits": np.float32, "foscttm": np.float32, "rank": np.float32}
