"""Run every benchmark and print its table: ``python -m benchmarks [NAME ...]``.

Each script in this folder exposes one ``run()`` that returns rows, a list of dictionaries with the same keys.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Any

import benchmarks


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a text table."""
    if not rows:
        return "(no rows)"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns] + [[_text(row.get(c, "")) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all of them."""
    every = [m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_")]
    for name in names or every:
        print(f"\n{name}\n{table(importlib.import_module(f'benchmarks.{name}').run())}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
