"""`modalign export`: a run in the files of other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import check_known
from ..outputs import MARK, claim, together
from ..runs.run import Run
from .graphs import write_onnx

CARD = "README.md"


def onnx_files(run: Run, out: Path) -> list[str]:
    """An ONNX network for the head of each modality."""
    names = [f"{m}.onnx" for m in run.model.heads.modalities]
    with together(out) as place:
        for m, name in zip(run.model.heads.modalities, names, strict=True):
            write_onnx(run.model, m, place / name)
    return names


def hub_files(run: Run, out: Path) -> list[str]:
    """A repository of the Hugging Face hub, with its card and figures."""
    from .hub import HubModel

    model: Any = HubModel.from_run(run.folder)
    model.name = out.resolve().name
    with together(out) as place:
        model.save_pretrained(place)
        if (out / CARD).exists():
            (place / CARD).unlink()  # somebody may have written in it
    return _files(out)


def router_files(run: Run, out: Path) -> list[str]:
    """A model of sentence-transformers that routes items to their encoder and head."""
    from .router import write_router

    with together(out) as place:
        write_router(run.model, place)
    return _files(out)


def atlas_files(run: Run, out: Path) -> list[str]:
    """One Parquet file of all embedded items, for Embedding Atlas."""
    from .atlas import write_atlas

    write_atlas(run, out / "items.parquet")
    return ["items.parquet"]


def _files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != MARK)


TARGETS: Mapping[str, Callable[[Run, Path], list[str]]] = {
    "onnx": onnx_files, "hub": hub_files, "router": router_files, "atlas": atlas_files,
}  # fmt: skip


def export_run(folder: Path | str, to: str, out: Path | str) -> dict[str, Any]:
    """Write a run for another program.

    Args:
        folder: of the run. to: a name of ``TARGETS``. out: folder for the files, made where it is missing.

    Returns:
        Where, what for, and the names of the files.

    Raises:
        ModalignError: no run, an unknown target, a folder that holds something else, or a run that lacks what the
            target needs.
        MissingExtraError: the package that writes it is not installed.
    """
    check_known("target of an export", to, TARGETS)
    run, out = Run.open(folder), Path(out)
    with claim(out, "export", f"export --to {to}", [run.folder]):
        files = TARGETS[to](run, out)
    return {"run": str(run), "to": to, "out": str(out), "files": files}
