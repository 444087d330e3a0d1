"""Exact search among the embedded items of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalignError, unknown
from ..geometry.neighbours import knn
from ..model import Model
from ..registry import make
from ..run import load_items
from ..views import Views


@dataclass(frozen=True)
class Hit:
    """One result: its place, the cosine to the query, and what it is."""

    rank: int
    score: float
    modality: str
    group: int
    name: str
    picture: str | None
    split: str | None


class Index:
    """The items of a run in the shared space.

    Args:
        z: unit rows by modality.
        items: modality -> one entry per row, as in the run's items.jsonl.
    """

    def __init__(self, z: Views, items: dict[str, list[dict[str, Any]]]) -> None:
        self.z, self.items = z, items
        self._names: dict[int, str] = {}
        for entries in items.values():
            for entry in entries:
                if entry.get("text"):
                    self._names.setdefault(entry["group"], entry["text"])

    def query(self, vector: Tensor, to: str, k: int = 10) -> list[Hit]:
        """The k items of a modality with the largest cosine to a unit vector (d,); ties in the order of the items.

        Raises:
            ModalignError: unknown modality, k below 1, or a vector of another width.
        """
        gallery = self.z[to]
        if k < 1:
            raise ModalignError(f"k must be at least 1, got {k}")
        if vector.shape != gallery.shape[1:]:
            raise ModalignError(f"the query has {len(vector)} dimensions, the index {gallery.shape[1]}")
        values, index = knn(vector[None], gallery, min(k, len(gallery)))
        return [self._hit(r, float(v), to, int(i)) for r, (v, i) in enumerate(zip(values[0], index[0], strict=True), 1)]

    def _hit(self, rank: int, score: float, modality: str, row: int) -> Hit:
        entry = self.items[modality][row]
        group = entry["group"]
        name = entry.get("text") or self._names.get(group) or f"{modality} {row}"
        return Hit(rank, round(score, 6), modality, group, name, entry.get("picture"), entry.get("split"))


def encode_query(model: Model, modality: str, item: str) -> Tensor:
    """One raw item as a unit vector (d,) of the model's shared space.

    Raises:
        ModalignError: the model has no encoder for that modality, or the item cannot be decoded.
    """
    if modality not in model.encoders:
        known = ", ".join(model.encoders) or "none: it was fitted on plain arrays"
        raise ModalignError(f"this run has no encoder for '{modality}' (it has: {known})")
    encoder = make("encoder", **model.encoders[modality])
    with torch.inference_mode():
        features = encoder(encoder.collate([item]))
    return model.transform(features.float(), modality)[0]


def search_run(
    run: Path, text: str | None = None, image: Path | None = None, to: str | None = None, k: int = 10
) -> dict[str, Any]:
    """Search the items of a run by words or by a picture.

    Args:
        run: the run folder.
        text, image: the query, exactly one of them.
        to: modality to search in; default: pictures for words, words for pictures.
        k: how many results, at least 1.

    Returns: {"query", "to", "hits": [{"rank", "score", "modality", "group", "name", "picture", "split"}]}.
    """
    if (text is None) == (image is None):
        raise ModalignError('search needs one query: words, as in  modalign search RUN "a word"  or  --image FILE')
    if text is not None and not text.strip():
        raise ModalignError("the words to search for are empty")
    if image is not None and not image.is_file():
        raise ModalignError(f"picture not found: {image}")
    model = Model.load(run)
    index = Index(*load_items(run))
    source, item = ("text", text) if text is not None else ("image", str(image))
    target = to or ("image" if source == "text" else "text")
    if target not in index.z:
        raise unknown("modality of this run", target, index.z.modalities)
    hits = index.query(encode_query(model, source, str(item)), target, k)
    return {"query": {source: item}, "to": target, "run": str(run), "hits": [asdict(h) for h in hits]}


def table(result: dict[str, Any]) -> str:
    """The results as text: rank, cosine, name, picture."""
    lines = [f"{'':>3}  cosine  {result['to']}"]
    for hit in result["hits"]:
        place = f"   {Path(result['run']) / hit['picture']}" if hit["picture"] else ""
        lines.append(f"{hit['rank']:>3}   {hit['score']:.3f}  {hit['name']}{place}")
    return "\n".join(lines)
