"""How surely a partner can be told among many rows, with the maps known.

    python -m benchmarks.sureness --rows 10000 100000 1000000

Data of `benchmarks.growth`. Each of 500 items of one modality is asked for its partner among n rows of the other, by
the likelihood ratio of a Gaussian with the known covariances: how often the partner is the most likely row, and how
often it is among the 8 most likely ones, between which `full` shares an item (`modalign.methods.meeting`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.growth import BLOCK, SPECTRUM, source

ASKED, NEAREST = 500, 8


def run(rows: Sequence[int] = (10_000, 100_000), seed: int = 0) -> list[dict[str, Any]]:
    """One line for each number of rows, rising."""
    _, maps, items = source(seed)
    variance = SPECTRUM.astype(np.float64) ** 2 * (8 / np.pi) ** 0.5  # (8 / pi)^1/2: E |g|^3 of a standard normal g
    a, b = (m.astype(np.float64) for m in maps)
    # Whitened rows x, y have the covariance U diag(rho) V^T.
    white = [np.linalg.inv(np.linalg.cholesky(m.T * variance @ m + np.eye(m.shape[1]))).T for m in (a, b)]
    left, rho, right = np.linalg.svd(white[0].T @ (a.T * variance @ b) @ white[1], full_matrices=False)
    rho = rho[: len(variance)]
    into = [white[0] @ left[:, : len(rho)], white[1] @ right[: len(rho)].T]
    product, square = rho / (1 - rho**2), rho**2 / (1 - rho**2) / 2

    x, y = ((z @ w).astype(np.float32) for z, w in zip(items(ASKED), into, strict=True))
    weighted = (x * product).astype(np.float32)
    own = (weighted * y).sum(1) - y**2 @ square  # what x alone says is the same for all y
    ahead, seen, lines = np.zeros(ASKED), 1, []
    for n in sorted(rows):
        while seen < n:
            others = (items(min(BLOCK, n - seen))[1] @ into[1]).astype(np.float32)
            ahead += (weighted @ others.T - others**2 @ square > own[:, None]).sum(1)
            seen += len(others)
        first, near = (100 * float((ahead < k).mean()) for k in (1, NEAREST))
        lines.append({"rows": n, "log rows": np.log(n), "information, nats": -np.log(1 - rho**2).sum() / 2,
                      "partner first, %": first, f"among {NEAREST}, %": near})  # fmt: skip
    return lines


def main() -> None:
    """Print the table."""
    from benchmarks.__main__ import table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--seed", type=int, default=0, help="of the data")
    asked = parser.parse_args()
    print(table(run(asked.rows, asked.seed)))


if __name__ == "__main__":
    main()
