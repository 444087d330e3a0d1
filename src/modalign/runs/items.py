"""The run folder: what a fit leaves behind, in files that people and programs can read.

config.toml        the resolved specification
environment.json   versions, machine, command, time
metrics.jsonl      one line per logged training step
model.safetensors  weights, and model.json, what they belong to
scores.json        the evaluation
items.safetensors   embeddings of the test items in the shared space, with their groups
items.jsonl         what those items are: modality, group, text or picture
media/             thumbnails of the test items
report.html        all of it, to look at
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ..errors import ModalignError
from ..files import atomic, read_jsonl, write_text
from ..views import Views

PACKAGES = ("modalign", "torch", "numpy", "scipy", "scikit-learn", "POT", "transformers", "safetensors")


def environment(command: Iterable[str] = ()) -> dict[str, Any]:
    """Versions, machine and time, for ``environment.json``. No host or user names."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "command": list(command),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "versions": versions,
        "byteorder": sys.byteorder,
    }


def save_items(folder: Path, z: Views, items: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write the items: embeddings with groups, and what each item is.

    Args:
        folder: the run folder.
        z: embeddings in the shared space.
        items: modality -> one entry per row of z: "split", "text" and/or "picture" (a path inside the run folder).
    """
    tensors = {}
    for m, x in z.data.items():
        if len(items[m]) != len(x):
            raise ModalignError(f"'{m}' has {len(x)} embeddings but {len(items[m])} item descriptions")
        tensors[f"data.{m}"] = x.detach().cpu().clone(memory_format=torch.contiguous_format)
        tensors[f"group.{m}"] = z.group[m].cpu().clone()  # modalities may share one tensor, the file must not
    with atomic(folder / "items.safetensors") as partial:
        partial.write_bytes(save(tensors))  # save_file would make a file that nobody else may read
    lines = [
        {"modality": m, "group": int(g), **entry}
        for m in z.modalities
        for g, entry in zip(z.group[m].tolist(), items[m], strict=True)
    ]
    write_lines(folder / "items.jsonl", lines)


def load_items(folder: Path, split: str | None = None) -> tuple[Views, dict[str, list[dict[str, Any]]]]:
    """Read what ``save_items`` wrote: all items, or those of one split ("test").

    Raises:
        ModalignError: the folder is no run folder, or its files are damaged or do not fit together.
    """
    path = folder / "items.safetensors"
    if not path.exists():
        raise ModalignError(
            f"{folder} holds no embedded items (items.safetensors): is it a run folder of 'modalign demo'?"
        )
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as problem:
        raise ModalignError(f"embeddings are damaged: {path} ({problem})") from None
    names = [key.removeprefix("data.") for key in tensors if key.startswith("data.")]
    items: dict[str, list[dict[str, Any]]] = {m: [] for m in names}
    for number, line in enumerate(read_jsonl(folder / "items.jsonl", "item list"), 1):
        if not isinstance(line, dict) or not isinstance(line.get("modality"), str) or "group" not in line:
            raise ModalignError(
                f"item list is damaged: {folder / 'items.jsonl'}, line {number} names no modality or group"
            )
        items.setdefault(line["modality"], []).append(line)
    z = Views({m: tensors[f"data.{m}"] for m in names}, {m: tensors[f"group.{m}"] for m in names})
    for m in names:
        if len(items[m]) != len(z[m]):
            raise ModalignError(
                f"{folder}: items.jsonl lists {len(items[m])} items of '{m}', items.safetensors {len(z[m])}"
            )
    if split is None:
        return z, items
    rows = {m: [i for i, entry in enumerate(items[m]) if entry.get("split") == split] for m in names}
    kept = z.select({m: torch.tensor(index, dtype=torch.long) for m, index in rows.items()})
    return kept, {m: [items[m][i] for i in index] for m, index in rows.items()}


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
