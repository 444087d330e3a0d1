"""Time of value and gradient of every objective, and of the public programs that compute the same.

    python -m benchmarks.objectives [--items 256] [--dim 256] [--repeats 5]

One thread, float32, processor time, best of the repeats. Three modalities unless a name says two. The peers
are installed with:  pip install symile pytorch-metric-learning
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from benchmarks.__main__ import table
from modalign.objectives import Objective
from modalign.registry import make
from modalign.views import Batch, Views

NAMES = ("text", "image", "audio")


def objectives(dim: int) -> dict[str, Objective]:
    """Everything that is registered, at its defaults where those can stand alone."""
    widths = dict.fromkeys(NAMES, dim)
    settings: dict[str, tuple[str, dict]] = {
        "clip": ("clip", {}),
        "siglip": ("siglip", {}),
        "cyclip": ("cyclip", {}),
        "symile": ("symile", {}),
        "symile (official)": ("symile", {"official": True}),
        "gram": ("gram", {}),
        "gram (official)": ("gram", {"official": True}),
        "triangle": ("triangle", {}),
        "pmrl": ("pmrl", {}),
        "transport": ("transport", {}),
        "transport (debiased)": ("transport", {"debias": True}),
        "klot": ("klot", {"teacher": "features"}),
        "rma (literal)": ("rma", {"form": "literal"}),
        "rma (carried)": ("rma", {"form": "carried"}),
        "rma (geodesic)": ("rma", {"form": "geodesic"}),
        "structure": ("structure", {"warm_up": 0}),
        "bridge": ("bridge", {}),
        "consistency": ("consistency", {}),
        "separation": ("separation", {"widths": widths, "dim": dim}),
        "jiang": ("jiang", {"widths": widths, "dim": dim}),
        "uniformity": ("uniformity", {}),
        "vicreg": ("vicreg", {}),
    }
    return {label: make("objective", name, **kw) for label, (name, kw) in settings.items()}


def gram_by_determinants(z: dict[str, Tensor]) -> Tensor:
    """GRAM as its definition says: one determinant for each anchor and tuple."""
    anchor, *others = z.values()
    n, k = len(anchor), len(others) + 1
    gram = anchor.new_empty(n, n, k, k)
    rows = [anchor, *others]
    for i in range(k):
        for j in range(k):
            if i and j:
                gram[:, :, i, j] = (rows[i] * rows[j]).sum(1)
            elif i or j:
                gram[:, :, i, j] = anchor @ rows[i or j].T
            else:
                gram[:, :, 0, 0] = (anchor * anchor).sum(1, keepdim=True)
    logits = -torch.linalg.det(gram).abs().sqrt() / 0.07
    label = torch.arange(n)
    return 0.5 * (
        cross_entropy(logits, label, label_smoothing=0.1) + cross_entropy(logits.T, label, label_smoothing=0.1)
    )


class Peer(NamedTuple):
    """A public program beside the objective of ours that computes the same.

    tolerance: how far the values may differ, relative; programs that draw their negatives at random agree less well.
    """

    loss: Callable[[], Tensor]
    ours: str
    tolerance: float = 1e-4


def peers(z: dict[str, Tensor]) -> dict[str, Peer]:
    """Public programs, where they are installed."""
    found = {"gram by n^2 determinants": Peer(lambda: gram_by_determinants(z), "gram (official)")}
    try:
        from symile import Symile

        official = Symile("n")
        scale = torch.tensor(1 / 0.07)
        found["symile (package)"] = Peer(lambda: official(list(z.values()), scale), "symile (official)", 0.02)
    except ImportError:
        pass
    try:
        from pytorch_metric_learning.losses import SupConLoss

        # One label object for both sides would be taken for one set of items compared with itself: loss 0.
        supcon, label = SupConLoss(temperature=0.07), torch.arange(len(z["text"]))
        found["clip, two modalities (pytorch-metric-learning)"] = Peer(
            lambda: (
                0.5
                * (
                    supcon(z["text"], label, ref_emb=z["image"], ref_labels=label.clone())
                    + supcon(z["image"], label, ref_emb=z["text"], ref_labels=label.clone())
                )
            ),
            "clip, two modalities",
        )
    except ImportError:
        pass
    return found


def agree(label: str, peer: Peer, ours: Callable[[], Tensor]) -> None:
    """A peer that computes something else is not compared: raises where the values differ."""
    theirs, own = peer.loss().item(), ours().item()
    if not math.isclose(theirs, own, rel_tol=peer.tolerance):
        raise AssertionError(f"{label} gives {theirs}, {peer.ours} gives {own}: they do not compute the same")


def milliseconds(loss: Callable[[], Tensor], leaves: list[Tensor], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        for leaf in leaves:
            leaf.grad = None
        start = time.process_time()
        loss().backward()
        best = min(best, time.process_time() - start)
    return 1e3 * best


def run(items: int = 256, dim: int = 256, repeats: int = 5) -> list[dict[str, Any]]:
    """One row per objective and peer: milliseconds of value and gradient, one thread, float32."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    common = torch.randn(items, dim)
    z = {m: normalize(common + 2 * torch.randn(items, dim), dim=1).requires_grad_() for m in NAMES}
    still = Views.from_arrays(**{m: v.detach() for m, v in z.items()})
    batch = Batch(Views.from_arrays(**z), still, still, step=10_000)
    two = Batch(batch.z.only("text", "image"), still)
    calls: dict[str, Callable[[], Tensor]] = {}
    for label, objective in objectives(dim).items():
        calls[label] = lambda objective=objective: objective(batch)
    pair = make("objective", "clip")
    calls["clip, two modalities"] = lambda: pair(two)
    for label, peer in peers(z).items():
        agree(label, peer, calls[peer.ours])
        calls[label] = peer.loss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a solver's tolerance on random data is not the point here
        rows = [
            {"objective": label, "items": items, "dim": dim, "ms": milliseconds(call, list(z.values()), repeats)}
            for label, call in calls.items()
        ]
    torch.set_num_threads(before)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=256)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    print(table(run(given.items, given.dim, given.repeats)))


if __name__ == "__main__":
    main()
