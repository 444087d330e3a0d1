"""The commands migrate, remap and export: parse and call, no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..parameters import Count
from .common import Flag, Ids, Json, MaybeWhole, Seeded, Several, emit, unused, whole


def migrate(
    old: Path,
    new: Path | None = None,
    *,
    pairs: Path | None = None,
    ids: Ids = None,
    out: Path,
    measure: str = "cosine",
    method: Several = None,
    direction: Several = None,
    k: Annotated[Count, Parameter(alias="-k", converter=whole)] = 10,
    old_part: str | None = None,
    new_part: str | None = None,
    old_encoder: str | None = None,
    new_encoder: str | None = None,
    choose: MaybeWhole = None,
    how: str = "spread",
    seed: Seeded = 0,
    json: Json = False,
) -> None:
    """Change the embedding model of a store and keep its index: adapters, what they keep, a report.

    Args:
        old: Vectors of the old model: .npy, .safetensors, .parquet, .arrow, .faiss, a Lance table or a search index.
        new: Vectors of the new model, for some of the same items and any others.
        pairs: CSV or .npy of row numbers, or of ids, OLD,NEW, one pair a line.
        out: Folder of the migration; with --choose, the CSV of rows to embed.
        measure: How the store compares: cosine, dot or l2.
        method: Only these: identity, orthogonal, low_rank, ridge, cca, perceptron, local, full.
        direction: queries (new queries into the old space), rows (old vectors into the new space); default: both.
        k: Length of the lists that are compared.
        old_part: Which tensor, column or modality of OLD.
        new_part: Which tensor, column or modality of NEW.
        old_encoder: Registered encoder that made OLD, for modalign search.
        new_encoder: Registered encoder that made NEW, for modalign search.
        choose: Fit nothing: choose so many rows of OLD to embed with the new model.
        how: Of --choose: spread (k-means++), farthest or random.
    """
    from ..migration.command import choose_file, migrate_files, summary
    from ..progress import terminal

    unused("without --choose", how=None if choose is not None or how == "spread" else how)
    with terminal() as progress:
        if choose is not None:
            unused("beside --choose, which fits nothing", pairs=pairs, ids=ids, method=method, direction=direction,
                   new_part=new_part, old_encoder=old_encoder, new_encoder=new_encoder)  # fmt: skip
            chosen = choose_file(old, out, choose, how, old_part, seed, progress)
            emit(chosen, json, lambda r: f"{r['rows']:,} rows of {old} to embed with the new model -> {out}")
            return
        result = migrate_files(old, new, pairs, out, ids=ids or (), measure=measure, methods=method, k=k,
                               directions=direction, old_part=old_part, new_part=new_part, seed=seed, progress=progress,
                               encoders={"old": old_encoder, "new": new_encoder})  # fmt: skip
    emit(result, json, summary)


def remap(
    migration: Path,
    store: Path,
    *,
    out: Path | None = None,
    new_items: Path | None = None,
    queries: Flag = False,
    replace: Flag = False,
    part: str | None = None,
    json: Json = False,
) -> None:
    """Map a store with the adapter of a migration: streamed, resumable, the old store stays.

    Args:
        migration: Folder of modalign migrate.
        store: What to map: a file of vectors, a Lance table, a faiss index or a search index.
        out: .npy, .parquet (of a Parquet table), .faiss or a folder for a search index; a Lance table is mapped beside
            itself.
        new_items: Search index of items with vectors of the new model: one list for both (search indexes only).
        queries: New-model vectors into the old space; for a faiss index: the adapter before it.
        replace: Put a mapped Lance table in the place of the old one, which stays as a version.
        part: Which tensor, column or modality.
    """
    from ..migration.remap import remap as run
    from ..migration.remap import remapped
    from ..progress import terminal

    with terminal() as progress:
        result = run(migration, store, out, new_items=new_items, queries=queries, replace=replace, part=part,
                     progress=progress)  # fmt: skip
    emit(result, json, remapped)


def export(run: Path, *, to: str, out: Path, json: Json = False) -> None:
    """Write a run in the files of other programs.

    Args:
        run: Folder of a run.
        to: onnx: a network for each head; hub: a repository of the Hugging Face hub; router: a model of
            sentence-transformers; atlas: a Parquet file for Embedding Atlas.
        out: Folder for the files.
    """
    from ..exports.command import export_run

    found = export_run(run, to, out)
    emit(
        found,
        json,
        lambda f: "\n".join([f"wrote to {f['out']}:", *map("  {}".format, f["files"])]),
    )
