"""The command export: parse and call, no logic."""

from __future__ import annotations

from pathlib import Path

from .common import Json, emit


def export(run: Path, *, to: str, out: Path, json: Json = False) -> None:
    """Write a run in the files of other programs.

    Parameters
    ----------
    run
        Folder of a run.
    to
        onnx: a network for each head; hub: a repository of the Hugging Face hub; router: a model of
        sentence-transformers; atlas: a Parquet file for Embedding Atlas.
    out
        Folder for the files.
    """
    from ..exports.command import export_run

    found = export_run(run, to, out)
    emit(
        found,
        json,
        lambda f: "\n".join([f"wrote {len(f['files'])} files to {f['out']}:", *map("  {}".format, f["files"])]),
    )
