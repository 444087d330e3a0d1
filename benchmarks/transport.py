"""Transport against POT and geomloss: seconds, ratios and peak memory, same threads, dtype and problems.

``python -m benchmarks.transport [--quick] [--cpu] [--large D ...]``. Each row is one problem. All numbers come from one
process, in float32, the three programs taking turns; each time is the least of a few repeats. ``--cpu`` runs in one
thread and counts its processor seconds instead of wall-clock seconds, for a machine that is busy with other work.

- ``passes`` and ``plain``: iterations until the L1 marginal error is 1e-4, ours and those of plain Sinkhorn.
- ``ours_s``: `solve` for a given cost. ``pot_x``: how many times longer ``ot.sinkhorn`` (``sinkhorn_log``)
  takes for its ``plain`` iterations, ``ot_solve_x`` the same for ``ot.solve``. Where that would take more than
  a few seconds, a stated number of iterations is timed and scaled up (``pot_timed``).
- ``geomloss_x``: geomloss (``SamplesLoss``, debias off, its default scaling) against `solve` from embeddings
  at the loosest tolerance that comes at least as near the float64 value as geomloss does (``geomloss_error``).
- ``grad_s``, ``grad_pot_x``, ``grad_geomloss_x``: the same with the gradient, from the embeddings.
- ``memory``, ``pot_memory``, ``geomloss_memory``: peak memory beside the embeddings of value and gradient, in
  cost matrices; ``solve_memory``: of `solve`, the given cost counted. From n = 1024 on, on Linux.

``--large 64 256`` measures these widths alone, at n = 100,000 (7 minutes for both): a pass that never holds more than
512 rows of the cost beside the bare product in blocks of as many, processor seconds of one thread, and the peak of
what is held, the points among it. ``--first 4096``: for so many of the rows alone, against all columns.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.__main__ import table
from modalign.geometry.cost import cosine
from modalign.geometry.transport import Problem, Solver, between, solve
from modalign.geometry.transport.kernel import log_step
from modalign.geometry.transport.problem import pose
from modalign.geometry.transport.sinkhorn import unabsorbed

Clock = Callable[[], float]
EPSILONS = (0.05, 0.01, 0.005)
POT_SECONDS = 2.0  # a peer that would need longer is timed for fewer iterations
TOLERANCES = (*(2.0**-k for k in range(14)), 1e-4)
LEAST_MEASURED = 1024  # smaller problems disappear in what the allocator keeps


def paired_gaussians(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Easy: y is x with eight times as much noise."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=draw)
    return x, x + 8 * torch.randn(n, d, generator=draw)


def decaying_clusters(n: int, d: int, clusters: int = 20) -> tuple[Tensor, Tensor]:
    """Hard: both sides draw from the same clusters, with directions that decay as 1 / k."""
    draw = torch.Generator().manual_seed(0)
    scale = torch.arange(1, d + 1) ** -1.0
    centre = torch.randn(clusters, d, generator=draw) * scale

    def side() -> Tensor:
        member = torch.randint(clusters, (n,), generator=draw)
        return centre[member] + scale * torch.randn(n, d, generator=draw)

    return side(), side()


PROBLEMS = {"gaussians": paired_gaussians, "clusters": decaying_clusters}


def run(quick: bool = False, cpu: bool = False, sizes: tuple[int, ...] | None = None) -> list[dict[str, Any]]:
    """One row per kind of problem, size and epsilon."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if cpu else threads)
    clock = time.process_time if cpu else time.perf_counter
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers warn when they are stopped early
        for n in sizes or ((256, 1024) if quick else (256, 1024, 4096)):
            for name, draw in PROBLEMS.items():
                x, y = draw(n, 256)
                rows += [{"problem": name, "n": n, "epsilon": e, **compare(x, y, e, clock)} for e in EPSILONS]
    torch.set_num_threads(threads)
    return rows


def compare(x: Tensor, y: Tensor, epsilon: float, clock: Clock) -> dict[str, Any]:
    """All numbers of one problem."""
    cost = cosine(x, y)
    problem, solver = Problem(cost), Solver(epsilon)
    plain = solve(problem, Solver(epsilon, accelerate=False, anneal=1.0, max_iterations=5000)).iterations
    found = solve(problem, solver)
    reference = float(solve(Problem(between(x.double(), y.double())), Solver(epsilon, 1e-7)).objective)
    truth = abs(reference)
    geomloss_error = abs(float(geomloss(x, y, epsilon, gradient=False)) - reference) / truth
    loose, loose_error = matching_tolerance(x, y, epsilon, reference, max(geomloss_error, 1e-6))
    timed = _timed_iterations(cost, epsilon, plain, clock)
    seconds = interleaved(
        {
            "ours": lambda: solve(problem, solver),
            "pot": lambda: pot_sinkhorn(cost, epsilon, timed),
            "ot_solve": lambda: pot_solve(cost, epsilon, timed),
            "ours_loose": lambda: ours_value(x, y, epsilon, loose),
            "geomloss": lambda: geomloss(x, y, epsilon, gradient=False),
            "grad": lambda: ours_gradient(x, y, epsilon, 1e-4),
            "grad_pot": lambda: pot_gradient(x, y, epsilon, timed),
            "grad_loose": lambda: ours_gradient(x, y, epsilon, loose),
            "grad_geomloss": lambda: geomloss(x, y, epsilon, gradient=True),
        },
        clock,
    )
    each = (seconds["pot"] + seconds["ot_solve"]) / 2 / timed
    grad_pot = seconds["grad_pot"] + each * (plain - timed)
    return {
        "passes": found.iterations,
        "plain": plain,
        "ours_s": seconds["ours"],
        "pot_x": seconds["pot"] * plain / timed / seconds["ours"],
        "ot_solve_x": seconds["ot_solve"] * plain / timed / seconds["ours"],
        "pot_timed": f"{timed}/{plain}",
        "geomloss_x": seconds["geomloss"] / seconds["ours_loose"],
        "geomloss_error": geomloss_error,
        "our_error": loose_error,
        "grad_s": seconds["grad"],
        "grad_pot_x": grad_pot / seconds["grad"],
        "grad_geomloss_x": seconds["grad_geomloss"] / seconds["grad_loose"],
        **memory(x, y, cost, epsilon),
    }


def memory(x: Tensor, y: Tensor, cost: Tensor, epsilon: float) -> dict[str, float]:
    """Peak memory in cost matrices."""
    if len(x) < LEAST_MEASURED or not Path("/proc/self/clear_refs").exists():
        return {}
    peaks = {
        "memory": peak_memory(lambda: ours_gradient(x, y, epsilon, 1e-4)),
        "solve_memory": cost.nbytes + peak_memory(lambda: solve(Problem(cost), Solver(epsilon))),
        "pot_memory": peak_memory(lambda: pot_gradient(x, y, epsilon, 3)),
        "geomloss_memory": peak_memory(lambda: geomloss(x, y, epsilon, gradient=True)),
    }
    return {name: peak / cost.nbytes for name, peak in peaks.items()}


def large(widths: list[int], first: int, n: int = 100_000) -> list[dict[str, Any]]:
    """One row per width: a pass over a cost that is never held, of the first rows and all columns."""
    torch.set_num_threads(1)
    rows = []
    for d in widths:
        made: list[Callable[[], Any]] = []
        held = peak_memory(lambda d=d, made=made: made.extend(pass_and_product(n, d, first)))
        one, bare = (timed_once(call, time.process_time) for call in made)
        seconds = {"pass_s": one, "product_s": bare, "ratio": one / bare}
        rows.append({"n": first, "m": n, "d": d, **seconds, "held_MB": held / 2**20})
    return rows


def pass_and_product(n: int, d: int, first: int, rows: int = 512) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A pass over a cost of which so many rows are held, after a first one, and the product in blocks of as many."""
    x, y = paired_gaussians(n, d)
    problem = pose(between(x[:first], y), None, None, 0.05)
    x, y = problem.source.inputs
    step = log_step(problem, unabsorbed(problem), rows)
    v = step(torch.zeros(n, dtype=torch.float64))[0]
    return partial(step, v), partial(product_by_rows, x, y, torch.empty(rows, n))


def product_by_rows(x: Tensor, y: Tensor, memory: Tensor) -> None:
    """Each block of rows of x y^T in the same memory."""
    for rows in x.split(len(memory)):
        torch.mm(rows, y.T, out=memory[: len(rows)])


def pot_sinkhorn(cost: Tensor, epsilon: float, iterations: int) -> Tensor:
    """POT's log-domain Sinkhorn for a number of iterations."""
    import ot

    a, b = (cost.new_full((k,), 1 / k) for k in cost.shape)
    return ot.sinkhorn(a, b, cost, epsilon, "sinkhorn_log", iterations, 0.0, warn=False)


def pot_solve(cost: Tensor, epsilon: float, iterations: int) -> Tensor:
    """POT's front door for a number of iterations."""
    import ot

    return ot.solve(cost, reg=epsilon, reg_type="KL", max_iter=iterations, tol=0.0, grad="envelope").plan


def pot_gradient(x: Tensor, y: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Value and gradient through POT's envelope gradient."""
    import ot

    x, y = (t.clone().requires_grad_() for t in (x, y))
    cost = 1 - normalize(x, dim=1) @ normalize(y, dim=1).T
    ot.solve(cost, reg=epsilon, reg_type="KL", max_iter=iterations, tol=0.0, grad="envelope").value.backward()
    return x.grad


def ours_gradient(x: Tensor, y: Tensor, epsilon: float, tolerance: float) -> Tensor:
    """Value and gradient from embeddings."""
    x, y = (t.clone().requires_grad_() for t in (x, y))
    ours_value(x, y, epsilon, tolerance).backward()
    return x.grad


def ours_value(x: Tensor, y: Tensor, epsilon: float, tolerance: float) -> Tensor:
    """The objective from embeddings."""
    return solve(Problem(between(x, y)), Solver(epsilon, tolerance)).objective


def geomloss(x: Tensor, y: Tensor, epsilon: float, gradient: bool) -> Tensor:
    """geomloss's value; on unit vectors its cost |x - y|^2 / 2 is the cosine cost, and epsilon = blur^2."""
    from geomloss import SamplesLoss

    loss = SamplesLoss("sinkhorn", p=2, blur=epsilon**0.5, debias=False, backend="tensorized")
    if not gradient:
        with torch.no_grad():
            return loss(normalize(x, dim=1), normalize(y, dim=1))
    x, y = (t.clone().requires_grad_() for t in (x, y))
    value = loss(normalize(x, dim=1), normalize(y, dim=1))
    value.backward()
    return value.detach()


def interleaved(tasks: dict[str, Callable[[], Any]], clock: Clock, repeats: int = 3) -> dict[str, float]:
    """Least seconds of each task, taken in turns so that a busy moment hits all."""
    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(repeats):
        for name, task in tasks.items():
            best[name] = min(best[name], timed_once(task, clock))
    return best


def timed_once(task: Callable[[], Any], clock: Clock) -> float:
    """Seconds of one call."""
    start = clock()
    task()
    return clock() - start


def peak_memory(task: Callable[[], Any]) -> int:
    """Most bytes that a call holds beside what was resident before it (Linux)."""
    status = Path("/proc/self/status")
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # give back what earlier calls left with the allocator
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    before = _status_bytes(status, "VmRSS")
    task()
    return max(0, _status_bytes(status, "VmHWM") - before)


def _status_bytes(status: Path, key: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def _timed_iterations(cost: Tensor, epsilon: float, plain: int, clock: Clock) -> int:
    """How many of a peer's iterations fit in a few seconds."""
    each = timed_once(lambda: pot_sinkhorn(cost, epsilon, 10), clock) / 10
    return max(1, min(plain, max(10, int(POT_SECONDS / each))))


def matching_tolerance(x: Tensor, y: Tensor, epsilon: float, reference: float, wanted: float) -> tuple[float, float]:
    """The loosest tolerance at which our relative value error is at most ``wanted``, and that error."""
    for tolerance in TOLERANCES:
        error = abs(float(ours_value(x, y, epsilon, tolerance)) - reference) / abs(reference)
        if error <= wanted:
            break
    return tolerance, error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="sizes 256 and 1024 only")
    parser.add_argument("--cpu", action="store_true", help="processor seconds of one thread")
    parser.add_argument(
        "--large", type=int, nargs="+", metavar="D", help="a pass at n = 100,000 of these widths, alone"
    )
    parser.add_argument("--first", type=int, default=100_000, help="of so many rows alone, and all columns")
    asked = parser.parse_args()
    print(table(large(asked.large, asked.first) if asked.large else run(asked.quick, asked.cpu)))
