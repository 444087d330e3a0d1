"""torch.compile of losses and heads against plain torch: milliseconds of value and gradient, and what compiling costs.

    python -m benchmarks compiled

Processor time of one thread, the least of several rounds in which both take turns. ``first_s``: processor seconds of
the first call, which compiles (C++ compiler processes are counted too). ``pays after``: calls until that is won back.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalign.model.heads import FeatureMap, Head, Projection
from modalign.registry import make
from modalign.views import Batch, Views

LOSSES = (
    "clip",
    "siglip",
    "mil_nce",
    "cyclip",
    "consistency",
    "rma",
    "structure",
    "uniformity",
    "vicreg",
    "gram",
    "pmrl",
)
SIZES = (256, 1024)
ROUNDS = 15


def spent() -> float:
    """Processor seconds of this process and of those it waited for."""
    return sum(
        r.ru_utime + r.ru_stime for r in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def compared(name: str, plain: Callable[[], Tensor], compiled: Callable[[], Tensor]) -> dict[str, Any]:
    """One row. Both give a loss of the same leaves."""
    start = spent()
    found = compiled()
    found.backward()
    first = spent() - start
    value = plain()
    torch.testing.assert_close(found, value, atol=1e-4, rtol=1e-4)
    best = {"plain": float("inf"), "compiled": float("inf")}
    for _ in range(ROUNDS):
        for way, work in (("plain", plain), ("compiled", compiled)):
            start = time.process_time()
            work().backward()
            best[way] = min(best[way], time.process_time() - start)
    gain = best["plain"] - best["compiled"]
    after = f"{first / gain:,.0f} calls" if gain > 0 else "never"
    return {"what": name, "plain, ms": 1e3 * best["plain"], "compiled, ms": 1e3 * best["compiled"],
            "times": best["plain"] / best["compiled"], "first_s": first, "pays after": after}  # fmt: skip


def loss(name: str, n: int) -> dict[str, Any]:
    """A loss of n items a modality, three modalities for those of tuples."""
    torch._dynamo.reset()
    draw = torch.Generator().manual_seed(0)
    base = torch.randn(n, 128, generator=draw)
    points = [
        normalize(base + torch.randn(n, 128, generator=draw), dim=1).requires_grad_()
        for _ in range(3 if name in ("gram", "pmrl") else 2)
    ]
    objective = make("objective", name)
    compiled = torch.compile(objective, fullgraph=True)
    x = Views.from_arrays(**{f"m{i}": part.detach() for i, part in enumerate(points)})
    given = points if name != "structure" else [Batch(Views(dict(zip(x.data, points, strict=True)), x.group), x)]
    return compared(f"{name}, {n}", lambda: objective(*given), lambda: compiled(*given))


def step(n: int) -> dict[str, Any]:
    """Heads and ``clip`` together: what a step of training computes."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    features = [torch.randn(n, 512), torch.randn(n, 384)]
    heads = nn.ModuleList(Head(FeatureMap(x.shape[1]), Projection(x.shape[1], 128, hidden=512)) for x in features)
    objective = make("objective", "clip")

    def whole() -> Tensor:
        return objective(*(head(x) for head, x in zip(heads, features, strict=True)))

    return compared(f"perceptron heads and clip, {n}", whole, torch.compile(whole))


def run() -> list[dict[str, Any]]:
    """All rows."""
    torch.set_num_threads(1)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    names = os.environ.get("COMPILED", " ".join(LOSSES)).split()
    return [step(256), *(loss(name, n) for name in names for n in SIZES)]


if __name__ == "__main__":
    for row in run():
        print(row)
