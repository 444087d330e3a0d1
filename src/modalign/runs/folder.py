"""What a run leaves behind in its folder."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import report
from ..data.manifest import Manifest
from ..files import atomic, write_json, write_text
from ..data.media import thumbnail
from ..model import Model
from ..progress import Progress, silent
from .items import environment, save_items
from ..views import Views, concat
from .data import Data

THUMBNAIL = 96


def leave(
    folder: Path,
    toml: str,
    model: Model,
    data: Data,
    scores: Mapping[str, Any],
    progress: Progress = silent,
) -> None:
    """Write everything a run folder holds but the model, and the report last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.toml", toml)
    write_json(folder / "environment.json", environment(["modalign", *sys.argv[1:]]))
    parts = {split: model.heads.embed(x) for split, x in data.splits.items()}
    items = {
        m: [entry for split, x in data.splits.items() if m in x for entry in describe(x, m, split, data.manifest)]
        for m in model.heads.modalities
    }
    draw_thumbnails(folder, items, progress)
    save_items(folder, concat(list(parts.values())), items)
    write_json(folder / "scores.json", dict(scores))
    report.write(folder)


def describe(x: Views, modality: str, split: str, manifest: Manifest | None) -> list[dict[str, Any]]:
    """One entry per row of a modality: its split, its row, and its text, or its file by absolute path and its times."""
    rows = (x.row or {}).get(modality)
    numbers = rows.tolist() if rows is not None else list(range(len(x[modality])))
    if manifest is None:
        return [{"split": split, "row": r} for r in numbers]
    entries = []
    for r in numbers:
        entry: dict[str, Any] = {"split": split, "row": r}
        if manifest.text[r] is not None:
            entry["text"] = manifest.text[r]
        else:
            row = manifest[r]
            entry["uri"] = os.path.abspath(str(row.uri))
            entry |= {k: t for k, t in (("start", row.start), ("end", row.end)) if t is not None}
        entries.append(entry)
    return entries


def draw_thumbnails(folder: Path, items: Mapping[str, list[dict[str, Any]]], progress: Progress = silent) -> None:
    """Small pictures of the image items in media/, drawn once: an image's "uri" becomes its "picture".

    Sounds and videos keep theirs, for players; their words are the file's name.
    """
    for m, entries in items.items():
        todo = [e for e in entries if "uri" in e]
        for done, entry in enumerate(todo, 1):
            if m != "image":
                entry["text"] = Path(entry["uri"]).stem
                continue
            uri = entry.pop("uri")
            name = hashlib.blake2b(uri.encode(), digest_size=8).hexdigest()
            entry["picture"] = f"media/{name}.png"
            place = folder / entry["picture"]
            if not place.exists():
                with atomic(place) as partial:
                    partial.write_bytes(thumbnail(uri, THUMBNAIL))
            progress(done, len(todo), "thumbnails")
