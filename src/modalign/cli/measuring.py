"""The commands evaluate, diagnose, check, bench, report and list: parse and call, no logic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ModalignError
from ..outputs import from_here
from ..parameters import Positive
from .common import (
    Address,
    DataSet,
    Flag,
    Ids,
    Json,
    MaybeWhole,
    Names,
    OneSplit,
    Root,
    Seeded,
    Set,
    Several,
    SeveralFiles,
    SeveralSeeds,
    Whole,
    emit,
    unused,
)


def evaluate(
    run: Path,
    *,
    metrics: Several = None,
    geometry: Flag = False,
    protocol: str | None = None,
    positives: str | None = None,
    query: Several = None,
    fusion: str = "mean",
    translation: Flag = False,
    transfer: Flag = False,
    labels: str | None = None,
    robustness: Several = None,
    against: SeveralFiles = None,
    gallery: str | None = None,
    json: Json = False,
) -> None:
    """Measure a run on its test items; with --robustness, what is left of it under ill-treatment.

    The run keeps the scores; its report shows them.

    Args:
        run: folder of the run.
        metrics: these instead of retrieval and quick geometry, for example retrieval,corrected_retrieval.
        geometry: also the slower metrics of geometry.
        protocol: coco-1k (five folds of 1,000) or coco-5k.
        positives: original, cxc or eccv: which captions of COCO's test photos are right.
        query: composed queries, for example text+audio.
        fusion: how they are composed: mean, max or volume.
        translation: train a decoder on the training texts and score its captions (minutes).
        transfer: carry classifiers from each modality to each.
        labels: of transfer: file (.csv, .json), or column of the data set.
        robustness: missing, noise, attack, corruptions, typos, and pixels or waveform: curves for the report.
        against: other runs on the same data, for the same pictures (with --robustness).
        gallery: modality that is searched while others are missing (with --robustness); default: image, else the last.
    """
    from ..progress import terminal
    from ..runs import Run
    from . import tables

    if robustness is not None:
        from ..runs.robustness import evaluate_robustness

        unused("beside --robustness, which is measured by itself", metrics=metrics, geometry=geometry,
               protocol=protocol, positives=positives, query=query, translation=translation, transfer=transfer,
               labels=labels, fusion=None if fusion == "mean" else fusion)  # fmt: skip
        with terminal() as progress:
            hurt = evaluate_robustness(run, robustness, against or [], gallery, progress=progress)
        emit({"run": str(run), **hurt.json()}, json, lambda _: tables.robustness(hurt, Run(run)))
        return
    from ..runs.evaluate import Request, evaluate_run

    request = Request(
        _names(metrics), geometry, protocol, positives, _names(query), fusion, translation, transfer, labels
    )
    unused("without --robustness", against=against, gallery=gallery)
    unused("without --transfer", labels=None if transfer else labels)
    unused("without --query", fusion=None if query or fusion == "mean" else fusion)
    with terminal() as progress:
        found = evaluate_run(run, request, progress)
    emit({"run": str(run), **found.json()}, json, lambda _: tables.evaluation(found, Run(run)))


def _names(entries: list[str] | None) -> tuple[str, ...]:
    """Names given one by one or with commas."""
    names = tuple(name for entry in entries or () for name in entry.split(",") if name)
    if entries is not None and not names:
        raise ModalignError("an option for names has none: give one, or leave the option out")
    return names


def diagnose(
    *arrays: Path,
    pairs: Path | None = None,
    ids: Ids = None,
    names: Names = None,
    rows: Whole = 2000,
    seed: Seeded = 0,
    json: Json = False,
) -> None:
    """Say, before any training, whether feature arrays are worth aligning.

    Args:
        arrays: Two or more .npy files, (rows, features), paired by position unless --pairs or --ids is given; or one
            store of ``modalign embed``, whose captions and files are also searched for doubles and for leaks between
            splits.
        pairs: CSV or .npy of row numbers, or of ids, one pair a line (two arrays only).
        rows: Pairs to look at, at most.
    """
    from ..diagnosis import diagnose_arrays
    from ..progress import terminal
    from .tables import diagnosis

    with terminal() as progress:
        result = diagnose_arrays(list(arrays), pairs, ids or (), names, rows, seed, progress)
    emit(result, json, diagnosis)


def check(
    dataset: DataSet,
    root: Root = None,
    *,
    set: Set = None,
    split: OneSplit = None,
    quick: Flag = False,
    against: str | None = None,
    json: Json = False,
) -> None:
    """Look at a data set before it is encoded: files that are missing or not what they say, items in two splits.

    Args:
        quick: Leave out pictures that look alike without being the same file, for which each is decoded once.
        against: NAME=ROOT of another data set, such as one that an encoder has learnt from: what lies in both is told.
    """
    from ..data.check import check_dataset

    found = check_dataset(dataset, root, set or [], split, not quick, against)
    emit(found, json, lambda table: "\n".join(table["lines"]))


def bench(
    suite: str,
    *,
    out: Path | None = None,
    method: Several = None,
    setting: Several = None,
    part: Several = None,
    seed: SeveralSeeds = None,
    workers: MaybeWhole = None,
    hours: Positive | None = None,
    engine: str = "local",
    address: Address = None,
    set: Set = None,
    redo: Flag = False,
    show: Flag = False,
    only_report: Flag = False,
    export: Path | None = None,
    json: Json = False,
) -> None:
    """Compare methods over pair budgets, missing rates and seeds; a second call goes on where the first stopped.

    Args:
        suite: TOML file, or the name of a suite that comes with modalign (quick, flickr8k, ...).
        out: Folder of the bench; default: runs/bench/ and the name of the suite's file.
        method: Only these methods, or groups of them (baselines, ours, ablations, ...).
        setting: Only these settings, by name.
        part: Only these parts of the suite.
        seed: Only these seeds.
        workers: Processes; default: one per core.
        hours: Start nothing new after so long.
        engine: Where cells are done: local, or ray (the extra 'scale').
        redo: Forget the chosen cells first.
        show: List settings and methods, and run nothing.
        only_report: Run nothing, and sum up what is there.
        export: Markdown page to write, for example docs/results.md.
    """
    from ..bench import command, moving
    from ..progress import terminal
    from . import tables

    if only_report:
        unused("with --only-report, which runs nothing", redo=redo, workers=workers, hours=hours)
    if show:
        emit(command.listing(suite, set or [], method or (), setting or (), part or (), seed or ()), json, tables.suite)
        return
    folder = out or Path("runs/bench") / Path(suite).stem
    if moving.is_moving(command.find(suite)):
        unused("in a suite of migration", setting=setting, part=part, workers=workers, address=address,
               engine=None if engine == "local" else engine)  # fmt: skip
        with terminal() as progress:
            moved = moving.bench_migration(
                command.find(suite), folder, method or (), seed or (), set or (), not only_report, redo, export, hours,
                progress,
            )  # fmt: skip
        emit(moved, json, moving.bench_text)
        return
    with terminal() as progress:
        result = command.bench(
            suite, folder, method or (), setting or (), part or (), seed or (), workers, hours, set or (), redo,
            not only_report, export, progress, engine, address,
        )  # fmt: skip
    emit(result, json, tables.bench)
    if result["failed"]:
        raise SystemExit(1)


def report(run: Path, *, json: Json = False) -> None:
    """Write the report of a run: one HTML file to look at.

    Args:
        run: Folder of the run.
    """
    from ..report import write

    path = from_here(write(run))
    emit({"report": str(path)}, json, lambda r: f"report: {path}")


def list_parts(family: str | None = None, *, licences: Flag = False, json: Json = False) -> None:
    """List what is registered, with one line each.

    Args:
        family: Dataset, encoder, objective, method or metric; default: all.
        licences: Of encoders: licence and attribution of their weights.
    """
    from ..registry import FAMILIES, describe

    if licences:
        from ..features.encoders.weights import licences as told

        if family not in (None, "encoder"):
            raise ModalignError(f"--licences are those of encoders: modalign list encoder --licences, not {family}")
        emit({"encoder": told()}, json, _parts_text)
        return

    found = {f: describe(f) for f in ([family] if family else FAMILIES)}
    emit(found, json, _parts_text)


def _parts_text(found: Mapping[str, Mapping[str, str]]) -> str:
    width = max((len(n) for parts in found.values() for n in parts), default=0)
    blocks = [
        "\n".join([family, *(f"  {name:<{width}}  {line}" for name, line in parts.items())])
        for family, parts in found.items()
    ]
    return "\n\n".join(blocks)
