"""The commands demo, align, transform, embed, train and finetune: parse and call, no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..parameters import Dim, Portion, Share
from .common import (
    WHOLE,
    Address,
    DataSet,
    Flag,
    Ids,
    Json,
    MaybeWhole,
    Names,
    OneSplit,
    Repeated,
    Root,
    Seeded,
    Set,
    Several,
    Whole,
    emit,
    finish,
    on_ranks,
)


def demo(
    *,
    out: Path = Path("runs/demo"),
    pairs: Whole = 200,
    seeds: Whole = 1,
    language: str = "en",
    speech: Flag = False,
    json: Json = False,
) -> None:
    """Run the main job on built-in data: encode, align, evaluate, report.

    Args:
        out: Folder of the run; a second call reuses what is there.
        pairs: How many pictograms keep the link to their name in training.
        seeds: How many times to repeat, each with other links.
        language: Language of the names (the text encoder is an English one).
        speech: Add the names as sounds, spoken by a synthetic voice (the extra 'speech': eSpeak NG, GPL-3.0).
    """
    from ..bench.demo import run_demo
    from ..progress import terminal
    from .demo import LiveTable, summary

    with terminal() as progress:
        made = run_demo(out, pairs, seeds, language, speech, progress, LiveTable(quiet=json))
    finish(made, json, summary)


def align(
    *arrays: Path,
    out: Path,
    pairs: Path | None = None,
    ids: Ids = None,
    names: Names = None,
    encoder: Several = None,
    method: str = "full",
    dim: Annotated[Dim, WHOLE] = 256,
    holdout: Share = 0.2,
    seed: Seeded = 0,
    json: Json = False,
) -> None:
    """Fit heads on feature arrays: the shortest way to a shared space.

    Args:
        arrays: Two or more .npy files, (rows, features), or FILE.parquet#COLUMN. Rows are paired by position unless
            --pairs or --ids is given.
        out: Folder of the run.
        pairs: CSV or .npy of row numbers, or of ids, one pair a line; all other rows are unpaired (two arrays only).
        encoder: modality=NAME[,setting=value...] of arrays whose encoder is known, so that new words or files are read.
        method: See: modalign list method.
        dim: Width of the shared space.
        holdout: Share of the pairs held out to measure the alignment; 0 measures nothing.
    """
    from ..progress import terminal
    from ..runs.train import align_arrays
    from .tables import fitted

    with terminal() as progress:
        made = align_arrays(
            list(arrays),
            out,
            pairs=pairs,
            ids=ids or (),
            names=names,
            method=method,
            dim=dim,
            holdout=holdout,
            seed=seed,
            progress=progress,
            encoders=encoder or (),
        )
    finish(made, json, fitted)


def transform(run: Path, array: Path, *, modality: str, out: Path, json: Json = False) -> None:
    """Map a feature array into the shared space of a run.

    Args:
        run: Folder of the run.
        array: .npy file, (rows, features), or FILE.parquet#COLUMN, from the same encoder as in training.
        modality: Which head to use.
        out: .npy file to write, (rows, dim), unit rows.
    """
    from ..runs.train import transform_array

    result = transform_array(run, array, modality, out)
    emit(result, json, lambda r: f"{r['rows']} rows of '{modality}' in {r['dim']} dimensions -> {out}")


def embed(
    dataset: DataSet,
    root: Root = None,
    *,
    out: Path,
    encoder: Repeated = None,
    set: Set = None,
    split: OneSplit = None,
    limit: MaybeWhole = None,
    half: Flag = False,
    engine: str = "local",
    address: Address = None,
    workers: MaybeWhole = None,
    json: Json = False,
) -> None:
    """Encode a data set into a feature store.

    Args:
        out: Folder of the store; a second call does only what is missing.
        encoder: modality=NAME[,setting=value...], once per modality.
        limit: Only this many groups.
        half: Keep features in half precision (float16): half the space.
        engine: Where to encode: local, or ray (the extra 'scale'): actors that hold the encoder.
        workers: Actors at most; default: as many as there are processors for.
    """
    from ..features.embed import embed_dataset
    from ..progress import terminal
    from .tables import embedded

    with terminal() as progress:
        result = embed_dataset(
            dataset, root, out, encoder or [], set or [], split, limit, half, progress, engine, address, workers
        )
    emit(result, json, embedded)


def train(config: Path, *, set: Set = None, track: str | None = None, json: Json = False) -> None:
    """Run one specification: encode, fit, evaluate, report. On several processes: torchrun -m modalign train ...

    Args:
        config: TOML file.
        track: Send the log and the scores to wandb, trackio or tensorboard (in the folder tensorboard beside the
            run's).
    """
    from ..exports.trackers import followed
    from ..runs.train import train_run
    from ..specification import from_toml
    from .tables import fitted

    with on_ranks() as progress:  # where a mistake in the specification is said once, too
        spec = from_toml(config, set or [])
        with followed(track, spec) as follow:
            finish(follow(train_run(spec, progress)), json, fitted)


def finetune(
    run: Path,
    *tune: str,
    out: Path,
    objective: str = "clip",
    share: Portion = 0.1,
    new_heads: Flag = False,
    stream: Flag = False,
    set: Repeated = None,
    json: Json = False,
) -> None:
    """Train encoders of a run together with its heads; leaves a run with the tuned weights. Also under torchrun.

    Args:
        run: Folder of a run by cca, clip or gradient.
        tune: MODALITY=last[,blocks=1], MODALITY=lora[,rank=8] or MODALITY=all; none: the heads alone.
        out: Folder of the new run.
        objective: See: modalign list objective.
        share: Of the learning rate, for the encoders.
        new_heads: Start from heads that have learnt nothing, so that the encoders learn from the first step.
        stream: Decode files batch by batch, each shard by one process and one of its workers; else once, held in
            memory.
        set: Setting of the training: steps=150, batch=64, lr=1e-3, patience=5, ...
    """
    from ..runs.finetune import finetune_run
    from ..specification import overridden
    from .tables import fitted

    with on_ranks() as progress:
        made = finetune_run(run, out, tune, objective, overridden(set or []), share, new_heads, stream, progress)
        finish(made, json, fitted)
