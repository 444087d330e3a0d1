"""What is compared with what: our call, a peer's, and what is asked; measured by `ratios`."""

from __future__ import annotations

import importlib.util
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks import first_row, fit, retrieval, size, transport
from modalign.errors import require
from modalign.geometry.correlation import cca
from modalign.geometry.cost import cosine
from modalign.geometry.neighbours import knn
from modalign.geometry.neighbours.flat import on_threads
from modalign.geometry.transport import Problem, Solver, between, solve

FIRST = "2d95a68"  # the build whose fits are the measure of later ones


class Measured(float):
    """A number that a call has measured itself, in place of the processor seconds that it took."""


class Row(NamedTuple):
    """One comparison: two calls, how many times longer the peer would take than it was timed, what is asked.

    ``apart``: none is called beforehand, since each call is a process of its own or takes half a minute.
    """

    what: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    asked: float | None
    factor: float = 1.0
    apart: bool = False


def transports() -> Iterator[Row]:
    """Value, and value with gradient, from embeddings, against geomloss at equal error and against bare products."""
    for n, least in ((1024, 8), (4096, 12)):
        for name, draw in transport.PROBLEMS.items():
            x, y = draw(n, 256)
            for epsilon in (0.05, 0.005):
                at = f"{name}, n = {n}, epsilon {epsilon}"
                loose = loosest(x, y, epsilon)
                value, gradient = partial(transport.ours_value, x, y, epsilon, loose), gradient_of(x, y, epsilon, loose)
                peer = partial(transport.geomloss, x, y, epsilon)
                yield Row(f"transport value / geomloss, {at}", value, partial(peer, False), 1 / least)
                yield Row(f"transport gradient / geomloss, {at}", gradient, partial(peer, True), 1 / least)
            bare = partial(torch.mm, x, y.T, out=torch.empty(n, n))
            yield Row(f"transport value / one bare product, {at}", value, bare, None)
            yield Row(f"transport gradient / three bare products, {at}", gradient, bare, None, 3.0)


def gradient_of(x: Tensor, y: Tensor, epsilon: float, tolerance: float) -> Callable[[], Any]:
    return partial(transport.ours_gradient, x, y, epsilon, tolerance)


def loosest(x: Tensor, y: Tensor, epsilon: float) -> float:
    """The loosest tolerance at which our value is as near to the converged one as geomloss's."""
    exact = float(solve(Problem(between(x, y)), Solver(epsilon, 1e-6)).objective)
    theirs = abs(float(transport.geomloss(x, y, epsilon, gradient=False)) - exact) / abs(exact)
    return transport.matching_tolerance(x, y, epsilon, exact, max(theirs, 1e-6))[0]


def pots() -> Iterator[Row]:
    """POT: a plan to the same marginal error, its lazy solver over as many passes, its exact one from a start."""
    import ot

    version = f"POT {ot.__version__}"
    for name, draw in transport.PROBLEMS.items():
        cost = cosine(*draw(1024, 256))
        plain = solve(Problem(cost), Solver(0.01, accelerate=False, anneal=1.0, max_iterations=5000)).iterations
        timed = min(plain, 60)
        ours = partial(solve, Problem(cost), Solver(0.01))
        theirs = partial(transport.pot_sinkhorn, cost, 0.01, timed)
        what = f"transport plan / {version}, {name}, n = 1024, epsilon 0.01"
        yield Row(what, ours, theirs, 1 / 20, plain / timed)
    x, y = (normalize(z, dim=1) for z in transport.paired_gaussians(2048, 64))
    ours = partial(solve, Problem(between(x, y, "sqeuclidean")), Solver(0.1, 0.0, 5, accelerate=False, rows=256))
    theirs = partial(ot.solve_sample, x, y, reg=0.1, lazy=True, batch_size=256, max_iter=5, tol=0.0)
    yield Row(f"transport lazily, 5 passes / {version}, n = 2048", ours, theirs, None)
    cost = cosine(x[:1024], y[:1024]).double()
    near = cost + 0.01 * torch.rand(cost.shape, generator=torch.Generator().manual_seed(0), dtype=cost.dtype)
    start = solve(Problem(near), Solver(0.0)).potentials
    yield Row(f"exact plan / {version}, n = 1024", partial(solve, Problem(cost), Solver(0.0)), exact_pot(cost), None)
    if "potentials_init" in inspect.signature(ot.emd).parameters:
        warm = exact_pot(cost, start.f, start.g)
        yield Row(
            f"exact plan / {version} from a start, n = 1024",
            partial(solve, Problem(cost), Solver(0.0), start),
            warm,
            None,
        )


def exact_pot(cost: Tensor, *start: Tensor) -> Callable[[], Any]:
    """POT's network simplex, from potentials where these are given."""
    import ot

    given = {"potentials_init": tuple(v.double().numpy() for v in start)} if start else {}
    return partial(ot.emd, [], [], cost.numpy(), **given)


def lazies() -> Iterator[Row]:
    """One pass over a cost that is never held, against the product in blocks of as many rows."""
    for width in (64, 256):
        what = f"transport, a pass in 512 rows / bare product, n = 10000, d = {width}"
        yield Row(what, *transport.pass_and_product(10_000, width, 10_000), 1.5)


def neighbours() -> Iterator[Row]:
    """Exact neighbours against faiss, recall against the bare product."""
    for width in (64, 256):
        x, y, pairs = retrieval.problem(10_000, width)
        at = f"n = 10000, d = {width}"
        if importlib.util.find_spec("faiss"):
            yield Row(f"knn / faiss, {at}", partial(knn, x, y, 10), partial(retrieval.faiss_flat, x, y, 10), 1.1)
        for what, ours, bare in (
            ("recall", retrieval.recalls, retrieval.bare_product),
            ("recall one way", retrieval.recalls_one_way, retrieval.bare_product_one_way),
        ):
            yield Row(f"{what} / bare product, {at}", partial(ours, x, y, pairs), partial(bare, x, y), 1.25)


def indexes() -> Iterator[Row]:
    """Graphs, built and asked, against bare faiss at the effort by which its graph finds as much as ours."""
    faiss = require("faiss", "search")

    from modalign.search.ann import build, candidates, graph
    from modalign.search.settings import AnnSettings

    settings = AnnSettings("hnsw", links=16, effort=60)
    (queries, vectors), (others, many) = (retrieval.problem(n, 128)[:2] for n in (10_000, 50_000))

    def bare(effort: int, rows: Tensor) -> Any:
        index = graph(rows.shape[1], settings.links, effort, settings.beam, faiss.METRIC_INNER_PRODUCT)
        index.add(rows.numpy())
        return index

    def ours(rows: Tensor) -> Any:
        return build(rows.numpy(), settings)

    def clocked(call: Callable[[Tensor], Any]) -> Measured:
        with on_threads(2):
            start = time.perf_counter()
            call(many)
            return Measured(time.perf_counter() - start)

    with on_threads(2):
        few, lot = (partial(bare, equal_effort(ours, bare, *rows)) for rows in ((vectors, queries), (many, others)))
    faiss.omp_set_num_threads(1)
    index, asked = few(vectors), queries[:500].numpy()
    search = partial(index.search, asked, 26, params=faiss.SearchParametersHNSW(efSearch=settings.beam))
    yield Row("index, graph built / faiss, n = 10000", partial(ours, vectors), partial(few, vectors), 1.1)
    yield Row("index, candidates / faiss, n = 10000", partial(candidates, index, asked, 10, settings), search, 1.1)
    what = "index, graph built on two threads, by the clock / faiss, n = 50000"
    yield Row(what, partial(clocked, ours), partial(clocked, lot), 1.1)


def equal_effort(
    ours: Callable[[Tensor], Any], bare: Callable[[int, Tensor], Any], rows: Tensor, queries: Tensor
) -> int:
    """The least effort, in steps of 5, at which a graph of bare faiss has the recall@10 of ours, which is said."""
    queries = queries[:5000]
    right = knn(queries, rows, 10)[1].numpy()

    def recall(index: Any) -> float:
        found = index.search(queries.numpy(), 10)[1]
        return float(np.mean([np.isin(f, r).mean() for f, r in zip(found, right, strict=True)]))

    index = ours(rows)
    least, effort = recall(index), index.hnsw.efConstruction
    while (reached := recall(bare(effort, rows))) < least and effort < 2 * index.hnsw.efConstruction:
        effort += 5
    print(f"  recall@10, {len(rows)} rows: {least:.3f}; faiss at effort {effort}: {reached:.3f}", file=sys.stderr)
    return effort


def correlations() -> Iterator[Row]:
    """CCA, 64 and 48 wide, 8 directions, against scikit-learn's and cca-zoo's."""
    from sklearn.cross_decomposition import CCA

    for n in (10_000, 100_000):
        draw = torch.Generator().manual_seed(0)
        latent = torch.randn(n, 8, generator=draw)
        x, y = (latent @ torch.randn(8, d, generator=draw) + torch.randn(n, d, generator=draw) for d in (64, 48))
        a, b = x.numpy(), y.numpy()
        ours, theirs = partial(cca, [x, y], dim=8, ridge=0.0), partial(CCA(8, max_iter=500).fit, a, b)
        yield Row(f"CCA / scikit-learn, n = {n}", ours, theirs, None, apart=n > 10_000)
        if importlib.util.find_spec("cca_zoo"):
            from cca_zoo.linear import CCA as Zoo

            yield Row(f"CCA / cca-zoo, n = {n}", ours, partial(Zoo(8).fit, [a, b]), None)


def starts() -> Iterator[Row]:
    """Start-up: whole processes, beside an interpreter that does nothing and one that imports torch."""
    package, nothing = partial(child, "-c", "import modalign"), partial(child, "-c", "pass")
    yield Row("start, import modalign / bare interpreter", package, nothing, None)
    yield Row(
        "start, modalign --help / import torch",
        partial(child, "-m", "modalign", "--help"),
        partial(child, "-c", "import torch"),
        None,
    )
    what = "start, seconds by the clock to the demo's first row, nothing cached or compiled / 60"
    yield Row(what, lambda: Measured(first_row.seconds()), lambda: Measured(60), 1.0, apart=True)


def fits() -> Iterator[Row]:
    """`full` beside the first build that was measured, and its growth; each fit in a process of its own."""
    if not os.environ.get("MODALIGN_DATA") or not fit.known(FIRST):
        print(f"left out, they need MODALIGN_DATA and the revision {FIRST}: fits", file=sys.stderr)
        return

    def seconds_of(source: Path, problem: dict[str, Any], **settings: Any) -> Measured:
        return Measured(fit.fit(source, problem, "full", settings, 1)["cpu"])

    two, seven, twice = (fit.flickr(n, 500, 0) for n in (2000, 7000, 14_000))
    with fit.builds(FIRST) as sources:
        for what, problem, settings, asked in (
            ("2000 rows", two, {}, 1 / 5),
            ("pictograms of the demo", fit.demo(200, 0), {"trials": 8}, 1 / 3),
        ):
            ours, theirs = (partial(seconds_of, sources[k], problem, **settings) for k in ("new", "old"))
            yield Row(f"fit of full / build {FIRST}, {what}", ours, theirs, asked, apart=True)
        ours, theirs = (partial(seconds_of, sources["new"], problem) for problem in (twice, seven))
        yield Row("fit of full, 14000 rows / 2 times 7000 rows", ours, theirs, 1.0, 2.0, apart=True)


def sizes() -> Iterator[Row]:
    """What the demo's part installs, beside what is allowed."""
    total = size.run("demo")[-1]["MB"]
    yield Row(
        "size, MB of the demo's packages / 1200", lambda: Measured(total), lambda: Measured(1200), 1.0, apart=True
    )


def child(*arguments: str) -> None:
    """A process of this Python; `seconds` counts it."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


GROUPS: dict[str, tuple[str | None, Callable[[], Iterator[Row]]]] = {
    "size": (None, sizes),
    "start": (None, starts),
    "knn": (None, neighbours),
    "index": ("faiss", indexes),
    "cca": ("sklearn", correlations),
    "lazy": (None, lazies),
    "pot": ("ot", pots),
    "transport": ("geomloss", transports),
    "fit": (None, fits),
}
