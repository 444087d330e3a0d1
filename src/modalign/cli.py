"""The program: parses and calls, no logic. Heavy imports happen inside the commands, so that --help is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from . import __version__, cli_evaluate, cli_finetune, cli_search
from .errors import ModalignError

app = App(
    name="modalign",
    version=__version__,
    help="Align what several encoders see in one shared space, by its geometry.",
    help_epilogue="Start with: modalign demo",
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document on standard output.")]
Set = Annotated[
    list[str] | None, Parameter(name="--set", negative="", help="Override: key=value, with dots for tables.")
]


@app.command
def demo(
    *,
    out: Path = Path("runs/demo"),
    pairs: int = 200,
    seeds: int = 1,
    language: str = "en",
    speech: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Run the main job on built-in data: encode, align, evaluate, report.

    Parameters
    ----------
    out
        Folder of the run; a second call reuses what is there.
    pairs
        How many pictograms keep the link to their name in training.
    seeds
        How many times to repeat, each with other links.
    language
        Language of the names (the text encoder is an English one).
    speech
        Add the names as sounds, spoken by a synthetic voice (the extra 'speech': eSpeak NG, GPL-3.0).
    """
    from .demo import run, summary
    from .progress import terminal

    with terminal() as progress:
        result = run(out, pairs, seeds, language, speech, progress, _demo_row(json))
    emit(result, json, summary)


def _demo_row(quiet: bool) -> Callable[[str], None]:
    return (lambda line: None) if quiet else (lambda line: print(line, flush=True))


@app.command
def align(
    *arrays: Path,
    out: Path,
    pairs: Path | None = None,
    names: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    method: str = "full",
    dim: int = 256,
    holdout: float = 0.2,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Fit heads on feature arrays: the shortest way to a shared space.

    Parameters
    ----------
    arrays
        Two or more .npy files, (rows, features). Rows are paired by position unless --pairs is given.
    out
        Folder of the run.
    pairs
        CSV or .npy of row numbers, one pair a line; all other rows are unpaired (two arrays only).
    names
        Modality names, one per array; default: the file names.
    method
        See: modalign list method.
    dim
        Width of the shared space.
    holdout
        Share of the pairs held out to measure the alignment; 0 measures nothing.
    seed
        Of every random number.
    """
    from .progress import terminal
    from .workflow import align_arrays, scores_table

    with terminal() as progress:
        result = align_arrays(
            list(arrays),
            out,
            pairs=pairs,
            names=names,
            method=method,
            dim=dim,
            holdout=holdout,
            seed=seed,
            progress=progress,
        )
    emit(result, json, scores_table)


@app.command
def transform(run: Path, array: Path, *, modality: str, out: Path, json: Json = False) -> None:
    """Map a feature array into the shared space of a run.

    Parameters
    ----------
    run
        Folder of the run.
    array
        .npy file, (rows, features), from the same encoder as in training.
    modality
        Which head to use.
    out
        .npy file to write, (rows, dim), unit rows.
    """
    from .workflow import transform_array

    result = transform_array(run, array, modality, out)
    emit(result, json, lambda r: f"{r['rows']} rows of '{modality}' in {r['dim']} dimensions -> {out}")


@app.command
def embed(
    dataset: str,
    root: Path | None = None,
    *,
    out: Path,
    encoder: Annotated[
        list[str] | None, Parameter(negative="", help="modality=NAME[,setting=value...], once per modality.")
    ] = None,
    set: Set = None,
    split: str | None = None,
    limit: int | None = None,
    half: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Encode a data set into a feature store.

    Parameters
    ----------
    dataset
        See: modalign list dataset.
    root
        Folder of the data set's files; not needed for built-in data.
    out
        Folder of the store; a second call does only what is missing.
    split
        Only this split.
    limit
        Only this many groups.
    half
        Keep features in half precision (float16): half the space.
    """
    from .progress import terminal
    from .workflow import embed_dataset, embedded

    with terminal() as progress:
        result = embed_dataset(dataset, root, out, encoder or [], set or [], split, limit, half, progress)
    emit(result, json, embedded)


@app.command
def train(config: Path, *, set: Set = None, json: Json = False) -> None:
    """Run one specification: encode, fit, evaluate, report.

    Parameters
    ----------
    config
        TOML file.
    """
    from .config import from_toml
    from .progress import terminal
    from .workflow import run_specification, scores_table

    spec = from_toml(config, set or [])
    with terminal() as progress:
        result = run_specification(spec, progress)
    emit(result, json, scores_table)


@app.command
def bench(
    suite: str,
    *,
    out: Path | None = None,
    method: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    setting: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    part: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    seed: Annotated[list[int] | None, Parameter(negative="", consume_multiple=True)] = None,
    workers: int | None = None,
    hours: float | None = None,
    set: Set = None,
    redo: Annotated[bool, Parameter(negative="")] = False,
    show: Annotated[bool, Parameter(negative="")] = False,
    only_report: Annotated[bool, Parameter(negative="")] = False,
    export: Path | None = None,
    json: Json = False,
) -> None:
    """Compare methods over pair budgets, missing rates and seeds; a second call goes on where the first stopped.

    Parameters
    ----------
    suite
        TOML file, or the name of one in benchmarks/suites.
    out
        Folder of the bench; default: runs/bench/ and the suite's name.
    method
        Only these methods, or groups of them (baselines, ours, ablations, ...).
    setting
        Only these settings, by name.
    part
        Only these parts of the suite.
    seed
        Only these seeds.
    workers
        Processes; default: one per core.
    hours
        Start nothing new after so long.
    redo
        Forget the chosen cells first.
    show
        List settings and methods, and run nothing.
    only_report
        Run nothing, and sum up what is there.
    export
        Markdown page to write, for example docs/results.md.
    """
    from .bench import command
    from .progress import terminal

    if show:
        emit(command.listing(suite, set or []), json, command.listing_text)
        return
    folder = out or Path("runs/bench") / Path(suite).stem
    with terminal() as progress:
        result = command.bench(
            suite, folder, method or (), setting or (), part or (), seed or (), workers, hours, set or (), redo,
            not only_report, export, progress,
        )  # fmt: skip
    emit(result, json, command.text)


@app.command
def diagnose(
    *arrays: Path,
    pairs: Path | None = None,
    names: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    rows: int = 2000,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Say, before any training, whether feature arrays are worth aligning.

    Parameters
    ----------
    arrays
        Two or more .npy files, (rows, features). Rows are paired by position unless --pairs is given.
    pairs
        CSV or .npy of row numbers, one pair a line (two arrays only).
    names
        Modality names, one per array; default: the file names.
    rows
        Pairs to look at, at most.
    seed
        Of every random number.
    """
    from .diagnose import diagnose_arrays, text
    from .progress import terminal

    with terminal() as progress:
        result = diagnose_arrays(list(arrays), pairs, names, rows, seed, progress)
    emit(result, json, text)


@app.command
def report(run: Path, *, json: Json = False) -> None:
    """Write the report of a run: one HTML file to look at.

    Parameters
    ----------
    run
        Folder of the run.
    """
    from .report import write

    path = write(run)
    emit({"report": str(path)}, json, lambda r: f"report: {path}")


for _command in (
    cli_finetune.finetune, cli_evaluate.evaluate, cli_search.index, cli_search.search, cli_search.serve,
):  # fmt: skip
    app.command(_command)


@app.command(name="list")
def list_parts(family: str | None = None, *, json: Json = False) -> None:
    """List what is registered, with one line each.

    Parameters
    ----------
    family
        Dataset, encoder, objective, method or metric; default: all.
    """
    from .registry import FAMILIES, describe

    found = {f: describe(f) for f in ([family] if family else FAMILIES)}
    emit(found, json, _parts_text)


def _parts_text(found: Mapping[str, Mapping[str, str]]) -> str:
    width = max((len(n) for parts in found.values() for n in parts), default=0)
    blocks = [
        "\n".join([family, *(f"  {name:<{width}}  {line}" for name, line in parts.items())])
        for family, parts in found.items()
    ]
    return "\n\n".join(blocks)


def emit(result: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a command's result: one JSON document, or text for people."""
    print(json.dumps(result, ensure_ascii=False, allow_nan=False) if as_json else text(result))


def fail(message: str, code: int = 2) -> NoReturn:
    """One line on standard error, then exit."""
    print(f"modalign: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def main(argv: list[str] | None = None) -> None:
    """Entry point: 0 on success, 2 on a user's mistake with one line and no traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that wait for each other asleep, not spinning: on a machine that is busy with other work, spinning makes
    # small matrix products many times slower. Read when torch is imported, so it has to be said here.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(argv, exit_on_error=False, print_error=False, result_action="return_none")
    except CycloptsError as problem:
        fail(f"{problem}  (see: modalign --help)")
    except ModalignError as problem:
        fail(str(problem))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: nothing to say
    except KeyboardInterrupt:
        fail("interrupted; run the same command again to go on", 130)
    except (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError) as problem:
        fail(f"{problem.strerror}: {problem.filename}" if problem.filename else str(problem))


if __name__ == "__main__":
    main()
