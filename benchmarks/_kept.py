"""What a run of the ratios keeps, and what has become slower since they were kept last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modalign.files import write_json

SLOWER = 1.10  # a ratio that has grown by more than this is flagged
Row = Mapping[str, Any]


def last(folder: Path) -> dict[str, float]:
    """The newest ratio of each row, over all runs in a folder by name: one that was stopped hides none."""
    runs = (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    return {row["what"]: row["ratio"] for run in runs for row in run["rows"]}


class Keeper:
    """A run's file ``name``.json, written anew after each row, so that a run that is stopped keeps what it measured."""

    def __init__(self, folder: Path, name: str, about: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.json"
        if self.path.exists():
            raise FileExistsError(f"{self.path} is kept already: wait a second or name another folder")
        self.about = dict(about)
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        """Write all rows so far, whole or not at all."""
        self.rows.append(row)
        write_json(self.path, {**self.about, "rows": self.rows})


def compared(rows: Iterable[Row], before: Mapping[str, float], whole: bool = True) -> list[dict[str, Any]]:
    """The rows with the ratio that was kept, and a word on those that got slower, are new or (of a ``whole`` run) gone.

    Slower: the median is, by more than a tenth, and the lower quartile ``low``, if there is one, lies above the old
    ratio too. Ratios are ours over the peer's, so that a larger one is slower whatever the machine. Rows of unlike
    sizes do not meet: a name says the size.
    """
    old = dict(before)
    out = []
    for row in rows:
        was = old.pop(row["what"], None)
        word = "new" if was is None and before else ""
        if was is not None and row["ratio"] > SLOWER * was and row.get("low", row["ratio"]) > was:
            word = f"SLOWER by {100 * (row['ratio'] / was - 1):.0f} %"
        out.append({**row, "was": was, "since": word})
    gone = [{"what": what, "was": was, "since": "not measured"} for what, was in old.items()]
    return out + gone if whole else out


def slower(rows: Iterable[Row]) -> list[str]:
    """Names of the rows that were flagged."""
    return [row["what"] for row in rows if row["since"].startswith("SLOWER")]
