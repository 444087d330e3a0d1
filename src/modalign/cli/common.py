"""What the commands share: kinds of options, and how results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from ..runs import Run

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document on standard output.")]
Flag = Annotated[bool, Parameter(negative="")]
Set = Annotated[
    list[str] | None, Parameter(name="--set", negative="", help="Override: key=value, with dots for tables.")
]
Repeated = Annotated[list[str] | None, Parameter(negative="")]
"""``--x a --x b``."""
RepeatedFiles = Annotated[list[Path] | None, Parameter(negative="")]
Several = Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)]
"""``--x a b``."""
SeveralFiles = Annotated[list[Path] | None, Parameter(negative="", consume_multiple=True)]
SeveralNumbers = Annotated[list[int] | None, Parameter(negative="", consume_multiple=True)]


def finish(run: Run, as_json: bool, text: Callable[[Run], str]) -> None:
    """Write the report of a run that was just made, and print what it found."""
    from ..report import write

    write(run.folder)
    found = run.result.json() if run.result else {}
    emit({"run": str(run.folder), "report": str(run.report), **found}, as_json, lambda _: text(run))


def emit(result: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a command's result: one JSON document, or text for people."""
    print(json.dumps(result, ensure_ascii=False, allow_nan=False) if as_json else text(result))
