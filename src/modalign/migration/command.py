"""What ``modalign migrate`` does with its options, and how the result reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModalignError
from ..files import write_text
from ..outputs import claim_file
from ..parameters import Count, Seed, checked
from ..progress import Progress, silent
from .choose import METHODS
from .curve import choose_rows
from .lists import as_tensor
from .migrating import migrate
from .page import needed
from .stores import open_vectors
from .verdict import DIRECTIONS

POOL = 100_000  # rows of a store that a choice looks at


def migrate_files(
    old: Path,
    new: Path | None,
    pairs: Path | None,
    out: Path,
    *,
    ids: Sequence[Path] = (),
    methods: Sequence[str] | None = None,
    directions: Sequence[str] | None = None,
    encoders: Mapping[str, str | None] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """``migrate`` with the defaults of the command. Returns the facts.

    Raises:
        ModalignError: no NEW, neither pairs nor ids, and what ``migrate`` refuses.
    """
    if new is None or (pairs is None and not ids):
        raise ModalignError(
            "a migration needs OLD, NEW and --pairs (or --ids of both); to choose rows to embed first: --choose 300"
        )
    known = {k: v for k, v in (encoders or {}).items() if v is not None}
    found = migrate(
        old,
        new,
        pairs,
        out,
        ids=ids,
        methods=methods or METHODS,
        directions=directions or DIRECTIONS,  # type: ignore[arg-type]
        encoders=known,
        **more,
    )
    return {**found.facts, "folder": str(out), "report": str(out / "report.html")}


@checked
def choose_file(
    old: Path, out: Path, count: Count, how: str, part: str | None, seed: Seed = 0, progress: Progress = silent
) -> dict[str, Any]:
    """Rows of the old store to embed with the new model, as a CSV file of row numbers. Returns {"rows", "how", "out"}.

    Of a large store 100,000 rows drawn at random are looked at.
    """
    with claim_file(out, (".csv", ".txt", ".tsv", ""), [old]):
        store = open_vectors(old, part)
        draw = np.random.default_rng(seed)
        pool = np.sort(draw.choice(store.rows, min(store.rows, max(POOL, count)), replace=False))
        progress(0, 1, "choosing rows")
        chosen = pool[choose_rows(as_tensor(store.at(pool)), count, how, seed).numpy()]
        progress(1, 1, "choosing rows")
        write_text(out, "old\n" + "".join(f"{r}\n" for r in chosen.tolist()))
    return {"rows": len(chosen), "how": how, "out": str(out)}


def summary(facts: Mapping[str, Any]) -> str:
    """The result for people."""
    lines = [facts["verdict"], ""]
    for d in DIRECTIONS:
        if d not in facts:
            continue
        side = facts[d]
        name = {"queries": "new queries into the old space", "rows": "old vectors into the new space"}[d]
        lines.append(f"{name}: {side['method']}{', ' + side['settings'] if side['settings'] else ''}")
        for key, what in (("kept", "old lists kept"), ("kept_new", "new lists kept")):
            s = side[key]
            lines.append(f"  {what:<16}{100 * s['value']:5.1f} %   ({100 * s['low']:.1f} to {100 * s['high']:.1f})")
    lines += ["", needed(facts)]
    lines += [f"note: {w}" for w in facts["warnings"]]
    return "\n".join([*lines, f"report: {facts['report']}"])
