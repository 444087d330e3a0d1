"""What the commands share: kinds of options, and how results are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from cyclopts import CoercionError, Parameter, Token

from ..errors import ModalignError, few
from ..files import to_json
from ..outputs import from_here
from ..parameters import Count, Seed

if TYPE_CHECKING:
    from ..progress import Progress
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


def whole(kind: Any, tokens: Sequence[Token]) -> Any:
    """Whole numbers as they are written: 1.5 is none, and nothing is rounded."""
    values = []
    for token in tokens:
        try:
            values.append(int(token.value))
        except ValueError:
            said = f"{token.keyword or 'the argument'} takes a whole number, got '{token.value}'"
            raise CoercionError(said, token=token) from None
    return values if get_origin(kind) is list else values[0]


WHOLE = Parameter(converter=whole)
"""Beside the kind of a whole number: ``Annotated[Dim, WHOLE]``."""
Whole = Annotated[Count, WHOLE]
MaybeWhole = Annotated[Count | None, WHOLE]
Seeded = Annotated[Seed, Parameter(converter=whole, help="Of every random number.")]
SeveralSeeds = Annotated[list[Seed] | None, Parameter(negative="", consume_multiple=True, converter=whole)]

DataSet = Annotated[str, Parameter(help="See: modalign list dataset.")]
Root = Annotated[Path | None, Parameter(help="Folder of the data set's files; not needed for built-in data.")]
OneSplit = Annotated[str | None, Parameter(help="Only this split.")]
Names = Annotated[Several, Parameter(help="Modality names, one per array; default: the file names.")]
Ids = Annotated[
    SeveralFiles,
    Parameter(
        help="Files of the arrays' ids, one per array: an id a line, or FILE#COLUMN of a Parquet, CSV or LanceDB table "
        "(default 'id'), whose words, numbers and files go with the items; without --pairs, equal ids are one thing."
    ),
]
Address = Annotated[
    str | None, Parameter(help="Of a Ray cluster: auto, ray://HOST:10001; default: processes of this machine.")
]


@contextmanager
def on_ranks() -> Iterator[Progress]:
    """Progress of work that torchrun may have started on several processes; the first of them shows it."""
    from ..progress import silent, terminal
    from ..training import launch, ranks

    with launch.together(), terminal() as progress:
        yield progress if ranks.leads() else silent


def finish(run: Run, as_json: bool, text: Callable[[Run], str]) -> None:
    """Write the report of a run that was just made, and print what it found; of several processes the first does."""
    from ..report import write
    from ..training import ranks

    if not ranks.leads():
        return
    write(run.folder)
    found = run.result.json() if run.result else {}
    places = {"run": str(run), "report": str(from_here(run.report))}
    emit({**places, **found}, as_json, lambda _: text(run))


def emit(result: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a command's result: one JSON document, or text for people."""
    print(to_json(result) if as_json else text(result))


def unused(why: str, **options: Any) -> None:
    """Refuse options that would take no part in what was asked for.

    Args:
        why: completes "--x takes no part ...". options: by name, with the value that was given; None, False and empty
            mean that an option was not.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value not in (None, False, [], "")]
    if given:
        raise ModalignError(f"{few(given)} would take no part {why}: leave {'it' if len(given) == 1 else 'them'} out")
