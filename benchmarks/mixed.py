"""Old and new items in one list, over a whole store: what is kept of the new model's lists, and the share of old items.

    MODALIGN_DATA=... python -m benchmarks mixed

Captions of Flickr8k, as in the suite migrate-text: a store of 20,225, half of them, drawn at random, as mapped MiniLM
vectors and the others as WordLlama's own; 1,000 pairs; 1,619 queries about other photos.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from modalign.bench.moving_data import captions, split
from modalign.migration import Calibration, migrate, mixed_query, mixed_rows
from modalign.migration.lists import nearest, overlap


def run() -> list[dict[str, Any]]:
    """A row for each adapter, with and without the calibration."""
    if "MODALIGN_DATA" not in os.environ:
        return []
    with tempfile.TemporaryDirectory() as cache:
        pool = captions(Path(os.environ["MODALIGN_DATA"]), Path(cache))
    parts = split(pool, 0.5, 0.3, 0)
    old, new, queries = pool.old[parts.store], pool.new[parts.store], pool.new[parts.test]
    draw = torch.Generator().manual_seed(0)
    linked = torch.randperm(len(old), generator=draw)[:1000]
    is_old = torch.rand(len(old), generator=draw) < 0.5
    truth = nearest(queries, new, 10)
    pairs = torch.stack([linked, torch.arange(1000)], 1)
    rows = []
    for method in ("ridge", "full"):
        fresh = torch.cat([new[linked], pool.new[parts.fresh]])
        moved = migrate(old, fresh, pairs, methods=[method], directions=["rows"])
        mapped, told = moved.rows(old), moved.facts["mixed"]
        line = Calibration(told["slope"], told["level"])
        for name, key, use in (("as they are", "raw", None), ("calibrated", "calibrated", line)):
            gallery = torch.where(is_old[:, None], mixed_rows(mapped, use), mixed_rows(new))
            found = nearest(mixed_query(queries), gallery, 10)
            rows.append({
                "adapter": method, "scores": name,
                "kept, %": 100 * float(overlap(found, truth).mean()),
                "old items, %": 100 * float(is_old[found].float().mean()),
                "fair, %": 100 * float(is_old[truth].float().mean()),
                "report: kept, %": 100 * told[key], "report: old items, %": 100 * told[f"old_share_{key}"],
            })  # fmt: skip
    return rows
