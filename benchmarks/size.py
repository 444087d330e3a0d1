"""What an installation weighs: files on disk of each package that a part of modalign needs, the heaviest first.

    python -m benchmarks.size                the demo's part
    python -m benchmarks.size --extra search --most 0

Looks at the Python that runs it; imports none of the packages. `make demo` prints it after it has installed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from benchmarks.__main__ import table

MEGABYTE = 1e6


def needed(name: str, extras: frozenset[str] = frozenset(), seen: set[str] | None = None) -> Iterator[str]:
    """Normalised names of a package and of all that it needs, with these extras, where installed; each once."""
    from packaging.requirements import Requirement

    seen = set() if seen is None else seen
    key = re.sub(r"[-_.]+", "-", name).lower()
    state = f"{key}[{','.join(sorted(extras))}]"
    if state in seen:
        return
    seen.add(state)
    try:
        wanted = [Requirement(text) for text in metadata.requires(key) or ()]
    except metadata.PackageNotFoundError:
        return
    if key not in seen:
        seen.add(key)
        yield key
    for one in wanted:
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            yield from needed(one.name, frozenset(one.extras), seen)


def weight(name: str) -> tuple[float, float]:
    """Megabytes on disk of an installed package, and how many of them are compiled bytecode."""
    total = compiled = 0
    for file in metadata.files(name) or ():
        path = file.locate()
        if path.is_file():  # type: ignore[attr-defined]
            size = path.stat().st_size  # type: ignore[attr-defined]
            total, compiled = total + size, compiled + size * (file.suffix == ".pyc")
    return total / MEGABYTE, compiled / MEGABYTE


def run(extra: str = "demo", most: int = 12) -> list[dict[str, Any]]:
    """One row per package, the lightest beyond ``most`` in one row (0: none is), and their sum."""
    found = sorted(((*weight(name), name) for name in needed("modalign", frozenset({extra}))), reverse=True)
    rows = [{"package": name, "MB": total, "of it bytecode": compiled} for total, compiled, name in found]
    if most and len(rows) > most:
        rows[most:] = [_sum(f"{len(rows) - most} others", rows[most:])]
    return [*rows, _sum("all", rows)]


def _sum(what: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"package": what, **{key: sum(row[key] for row in rows) for key in ("MB", "of it bytecode")}}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", default="demo")
    parser.add_argument("--most", type=int, default=12, help="packages in a row of their own; 0: all")
    asked = parser.parse_args()
    print(table(run(asked.extra, asked.most)))


if __name__ == "__main__":
    main()
