"""Retrieval scores against a bare matrix product and against what people use today, in one run.

Each row times modalign and a peer in turn and gives the ratio of the best times, peer / modalign; "limit" says what is
asked of it. Against the bare product the ratio is modalign / product: at most 1.6.

    python -m benchmarks retrieval
    RETRIEVAL_ROWS=100000 python -m benchmarks retrieval    also the large case (minutes)

Peers: the bare product in blocks of the same size; recall as CLIP benchmark programs compute it (top-k indices made
one-hot and multiplied with the matrix of positives); torchmetrics' retrieval metrics on flattened scores; faiss'
exact inner-product index. A peer that is not installed is left out.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from modalign.geometry.neighbours import knn
from modalign.metrics import measures
from modalign.metrics.ranking import rank, rank_both

KS = (1, 5, 10)
BLOCK = 1024  # rows of a bare product, the quickest of 256 to 2048


def problem(n: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit rows of two aligned modalities and their pairs."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=g)
    y = 0.4 * x + torch.randn(n, d, generator=g)
    return (
        torch.nn.functional.normalize(x),
        torch.nn.functional.normalize(y),
        torch.arange(n)[:, None].expand(-1, 2),
    )


def interleaved(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Best times of two functions called in turn, seconds."""
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        for which, f in enumerate((ours, theirs)):
            start = time.perf_counter()
            f()
            best[which] = min(best[which], time.perf_counter() - start)
    return best[0], best[1]


def recalls(x: Tensor, y: Tensor, pairs: Tensor) -> list[float]:
    """Recall@k in both directions through modalign's ranking, with exact ties."""
    return [float(measures.any_hit(r, k).mean()) for r in rank_both(x, y, pairs) for k in KS]


def recalls_one_way(x: Tensor, y: Tensor, pairs: Tensor) -> list[float]:
    """Recall@k in one direction."""
    r = rank(x, y, pairs)
    return [float(measures.any_hit(r, k).mean()) for k in KS]


def bare_product(x: Tensor, y: Tensor) -> None:
    """The product in blocks for both directions, nothing else."""
    for a, b in ((x, y), (y, x)):
        bare_product_one_way(a, b)


def bare_product_one_way(x: Tensor, y: Tensor) -> None:
    """The product in blocks, nothing else."""
    memory = torch.empty(BLOCK * BLOCK)
    for p in x.split(BLOCK):
        for q in y.split(BLOCK):
            torch.mm(p, q.T, out=memory[: len(p) * len(q)].view(len(p), len(q)))


def one_hot_recalls(x: Tensor, y: Tensor, positives: Tensor, batch: int = 64) -> list[float]:
    """Recall@k from one-hot top-k indices against the matrix of positives, in batches of queries."""
    out = []
    scores = x @ y.T
    for s, p in ((scores, positives), (scores.T, positives.T)):
        for k in KS:
            found = []
            for rows, truth in zip(s.split(batch), p.split(batch), strict=True):
                top = torch.nn.functional.one_hot(rows.topk(k, 1).indices, s.shape[1])
                found.append((top * truth[:, None, :]).sum((1, 2)) > 0)
            out.append(float(torch.cat(found).float().mean()))
    return out


def torchmetrics_recalls(x: Tensor, y: Tensor, positives: Tensor, queries: Tensor) -> list[float]:
    """torchmetrics' hit rates on the flattened scores, one direction."""
    from torchmetrics.retrieval import RetrievalHitRate

    scores = (x @ y.T).flatten()
    out = []
    for k in KS:
        metric = RetrievalHitRate(top_k=k)
        metric.update(scores, positives.flatten(), indexes=queries)
        out.append(float(metric.compute()))
    return out


def row(task: str, n: int, d: int, ours: float, peer: str, theirs: float, limit: str, slower: bool = False) -> dict:
    """One line of the table."""
    ratio = ours / theirs if slower else theirs / ours
    return {"task": task, "n": n, "d": d, "modalign_s": ours, "peer": peer, "peer_s": theirs, "ratio": ratio} | {
        "limit": limit
    }


def against_product(n: int, d: int, repeats: int) -> dict[str, Any]:
    """Recall against the bare product."""
    x, y, pairs = problem(n, d)
    ours, theirs = interleaved(lambda: recalls(x, y, pairs), lambda: bare_product(x, y), repeats)
    return row("recall / product", n, d, ours, "product in blocks", theirs, "<= 1.6", slower=True)


def against_one_hot(n: int, d: int) -> dict[str, Any]:
    """Recall against one-hot matrices."""
    x, y, pairs = problem(n, d)
    positives = torch.eye(n, dtype=torch.bool)
    assert torch.allclose(torch.tensor(recalls(x, y, pairs)), torch.tensor(one_hot_recalls(x, y, positives)), atol=1e-3)
    ours, theirs = interleaved(lambda: recalls(x, y, pairs), lambda: one_hot_recalls(x, y, positives), 2)
    return row("recall", n, d, ours, "one-hot top-k", theirs, ">= 10")


def against_torchmetrics(n: int, d: int) -> dict[str, Any]:
    """Recall of one direction against torchmetrics."""
    x, y, pairs = problem(n, d)
    positives = torch.eye(n, dtype=torch.bool)
    queries = torch.arange(n).repeat_interleave(n)

    ours = partial(recalls_one_way, x, y, pairs)
    fast = min(interleaved(ours, ours, 2))
    start = time.perf_counter()
    found = torchmetrics_recalls(x, y, positives, queries)
    slow = time.perf_counter() - start
    assert torch.allclose(torch.tensor(found), torch.tensor(ours()), atol=1e-3)
    return row("recall, one direction", n, d, fast, "torchmetrics", slow, ">= 100")


def faiss_flat(x: Tensor, y: Tensor, k: int) -> None:
    """The k nearest through faiss' flat index, which is made first, on as many threads as torch has."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(y.shape[1])
    index.add(y.numpy())
    index.search(x.numpy(), k)


def against_faiss(n: int, d: int, k: int = 10) -> dict[str, Any]:
    """Exact nearest neighbours against faiss' flat index."""
    x, y, _ = problem(n, d)
    ours_s, theirs_s = interleaved(lambda: knn(x, y, k), lambda: faiss_flat(x, y, k), 3)
    return row(f"{k} nearest", n, d, ours_s, "faiss flat", theirs_s, ">= 0.8")


# VmHWM, since a child's ru_maxrss starts from its parent's.
MEMORY = """
from benchmarks.retrieval import problem, recalls
recalls(*problem({n}, 64))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 2**20)
"""


def peak_memory(n: int) -> dict[str, Any]:
    """Peak memory of a whole process that scores n x n in both directions (Linux)."""
    start = time.perf_counter()
    child = subprocess.run([sys.executable, "-c", MEMORY.format(n=n)], check=True, capture_output=True, text=True)
    took = time.perf_counter() - start
    peak = float(child.stdout)
    full = n * n * 4 / 2**30
    line = row("peak memory, GB", n, 64, took, "the full matrix", full, "<= 1.5 GB")
    return line | {"peer_s": full, "ratio": peak}


def run() -> list[dict[str, Any]]:
    """All comparisons; seconds, and the ratios that the limits are about."""
    out = [against_product(20_000, d, 3) for d in (64, 256)]
    out += [against_one_hot(5_000, 256)]
    if importlib.util.find_spec("torchmetrics"):
        out.append(against_torchmetrics(5_000, 256))
    if importlib.util.find_spec("faiss"):
        out += [against_faiss(20_000, d) for d in (64, 256)]
    large = int(os.environ.get("RETRIEVAL_ROWS", "0"))
    if large:
        out += [against_product(large, 64, 1), peak_memory(large)]
    return out
