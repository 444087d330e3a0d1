"""What a run of the ratios keeps, and what has become slower since the last one that was kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SLOWER = 1.10  # a ratio that has grown by more than this is flagged
Row = Mapping[str, Any]


def last(folder: Path) -> dict[str, Any] | None:
    """The newest run in a folder, by name; None where there is none."""
    files = sorted(folder.glob("*.json"))
    return json.loads(files[-1].read_text()) if files else None


def keep(folder: Path, name: str, about: Mapping[str, Any], rows: Iterable[Row]) -> Path:
    """Write a run as ``name``.json, whole or not at all; a run of the same name is not replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    if path.exists():
        raise FileExistsError(f"{path} is kept already: wait a second or name another folder")
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps({**about, "rows": list(rows)}, indent=1) + "\n")
    partial.replace(path)
    return path


def compared(rows: Iterable[Row], before: Mapping[str, Any] | None, whole: bool = True) -> list[dict[str, Any]]:
    """The rows with the ratio that was kept, and a word on those that got slower, are new or (of a ``whole`` run) gone.

    Ratios are ours over the peer's, so that a larger one is slower whatever the machine. Rows of unlike sizes do not
    meet: a name says the size.
    """
    old = {} if before is None else {row["what"]: row["ratio"] for row in before["rows"]}
    out = []
    for row in rows:
        was = old.pop(row["what"], None)
        change = None if was is None else row["ratio"] / was
        word = "new" if was is None and before is not None else ""
        if change is not None and change > SLOWER:
            word = f"SLOWER by {100 * (change - 1):.0f} %"
        out.append({**row, "was": was, "since": word})
    gone = [{"what": what, "was": was, "since": "not measured"} for what, was in old.items()]
    return out + gone if whole else out


def slower(rows: Iterable[Row]) -> list[str]:
    """Names of the rows that were flagged."""
    return [row["what"] for row in rows if row["since"].startswith("SLOWER")]
