"""A run folder, read for the report: what is there is checked, what is not there is None."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import ModalignError
from ..files import read_json, read_jsonl, read_text
from ..metrics.found import Direction, Found
from ..metrics.ranking import find_all
from ..metrics.score import Score
from ..runs.items import load_items
from ..views import Views
from .thumbs import data_uri


@dataclass(frozen=True)
class Item:
    """A test item as a reader sees it.

    row: within its modality. name: its text, else its row number. text: its own, or the first of its group.
    """

    row: int
    name: str
    text: str | None = None
    picture: Path | None = None


@dataclass(frozen=True)
class MethodScores:
    """One row of the table of methods."""

    key: str
    label: str
    scores: Mapping[str, Score]
    seconds: float | None = None


class Budget(NamedTuple):
    """A point of the curve of recall against linked pairs."""

    method: str
    pairs: int
    recall: Score


@dataclass(frozen=True)
class Run:
    """What a run folder holds. Parts that the folder lacks are None or empty."""

    folder: Path
    scores: Mapping[str, Any] | None = None
    methods: list[MethodScores] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    config: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    model: Mapping[str, Any] | None = None
    steps: list[dict[str, Any]] | None = None
    z: Views | None = None
    items: Mapping[str, list[Item]] = field(default_factory=dict)
    split: str | None = None

    @cached_property
    def found(self) -> dict[Direction, Found]:
        """What queries find in every direction between two modalities that share groups."""
        if self.z is None:
            return {}
        return find_all(self.z, [(a, b) for a in self.z.modalities for b in self.z.modalities if a != b])

    @cached_property
    def _thumbnails(self) -> dict[Path, str]:
        return {}

    def thumbnail(self, item: Item) -> str | None:
        """The item's picture as a data: URI, made once; None where it has none."""
        if item.picture is None:
            return None
        if item.picture not in self._thumbnails:
            self._thumbnails[item.picture] = data_uri(item.picture)
        return self._thumbnails[item.picture]

    @property
    def attribution(self) -> str:
        """The credit that every shown picture carries."""
        return str((self.scores or {}).get("attribution") or "")

    @property
    def weights(self) -> list[str]:
        """Whose weights the encoders used, a line each."""
        return [str(line) for line in (self.scores or {}).get("weights") or ()]

    @property
    def title(self) -> str:
        """What the page is called."""
        return str((self.scores or {}).get("title") or f"Run {self.folder.resolve().name}")

    @property
    def saving(self) -> Mapping[str, Any]:
        """What was saved against a baseline; empty where nothing was measured."""
        saving = (self.scores or {}).get("saving")
        return saving if isinstance(saving, Mapping) else {}

    @property
    def focus(self) -> str | None:
        """The method to look at: "full" where it was run, else the last one."""
        keys = [m.key for m in self.methods]
        return "full" if "full" in keys else keys[-1] if keys else None

    def has_pictures(self) -> bool:
        """Whether any item has a picture that is there."""
        return any(item.picture for items in self.items.values() for item in items)


def load(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        ModalignError: no such folder, nothing of a run in it, or a damaged file (named, with what is wrong).
    """
    if not folder.is_dir():
        raise ModalignError(f"run folder not found: {folder}")
    scores = _table(folder / "scores.json", "scores")
    config = _toml(folder / "config.toml")
    has_items = (folder / "items.safetensors").exists()
    if scores is None and config is None and not has_items:
        raise ModalignError(
            f"{folder} holds no run (none of scores.json, config.toml, items.safetensors): "
            "give a folder written by 'modalign demo', 'align' or 'train'"
        )
    split = str(scores["split"]) if scores and isinstance(scores.get("split"), str) else "test"
    model = _table(folder / "model.json", "model description")
    z, items, split_read = _items(folder, split) if has_items else (None, {}, None)
    heads = (model or {}).get("heads")
    if z is not None and isinstance(heads, dict) and set(heads) == set(z.modalities):
        z = z.only(*heads)  # one order, so one colour per modality, on the whole page
    return Run(
        folder=folder,
        scores=scores,
        methods=read_methods(scores or {}, folder / "scores.json"),
        budgets=read_budgets(scores or {}, folder / "scores.json"),
        config=config,
        environment=_table(folder / "environment.json", "environment"),
        model=model,
        steps=_steps(folder / "metrics.jsonl"),
        z=z,
        items=items,
        split=split_read,
    )


def first_sentence(text: str) -> tuple[str, str]:
    """A headline, capitalised, and the rest of what is said.

    Example:
        >>> first_sentence("full needs 2.9 times fewer (13.7 %). It is fast. Try it.")
        ('Full needs 2.9 times fewer (13.7 %).', 'It is fast. Try it.')
    """
    head, *rest = re.split(r"(?<=[.!?]) (?=[A-Z])", " ".join(text.split()), maxsplit=1)
    return head[:1].upper() + head[1:], " ".join(rest)


def _scores(table: Mapping[str, Any], where: str) -> dict[str, Score]:
    """The measured scores of a table; undefined ones are written as null, and are left out."""
    found = {k: Score.from_json(v, f"{where}.{k}") for k, v in table.items() if isinstance(v, Mapping)}
    return {k: s for k, s in found.items() if not math.isnan(s.value)}


def _table(path: Path, what: str) -> dict[str, Any] | None:
    if not path.exists():
        return None
    value = read_json(path, what)
    if not isinstance(value, dict):
        raise ModalignError(f"{what} is damaged: {path} must hold a JSON object, got a {type(value).__name__}")
    return value


def _toml(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return tomllib.loads(read_text(path, "specification"))
    except tomllib.TOMLDecodeError as problem:
        raise ModalignError(f"specification is damaged: {path}: {problem}") from None


def _steps(path: Path) -> list[dict[str, Any]] | None:
    """Logged steps; None where nothing was logged."""
    if not path.exists():
        return None
    rows = read_jsonl(path, "training log")
    for n, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ModalignError(f"training log is damaged: {path}, line {n} must hold a JSON object")
    return rows or None


def read_methods(scores: Mapping[str, Any], path: Path) -> list[MethodScores]:
    table = scores.get("methods", {})
    if not isinstance(table, Mapping):
        raise ModalignError(f"scores are damaged: {path}: methods must be an object")
    out = []
    for key, entry in table.items():
        if not isinstance(entry, Mapping):
            raise ModalignError(f"scores are damaged: {path}: methods.{key} must be an object")
        where = f"{path}: methods.{key}"
        took = entry.get("seconds")
        seconds = float(took) if isinstance(took, int | float) else None
        out.append(MethodScores(key, str(entry.get("label") or key), _scores(entry, where), seconds))
    return out


def read_budgets(scores: Mapping[str, Any], path: Path) -> list[Budget]:
    rows = scores.get("budgets", [])
    if not isinstance(rows, list):
        raise ModalignError(f"scores are damaged: {path}: budgets must be a list")
    out = []
    for i, row in enumerate(rows):
        where = f"{path}: budgets[{i}]"
        if not isinstance(row, Mapping) or not isinstance(row.get("pairs"), int) or "mean_recall" not in row:
            raise ModalignError(f"scores are damaged: {where} needs method, pairs (a whole number) and mean_recall")
        out += [Budget(str(row.get("method", "")), row["pairs"], s) for s in _scores(row, where).values()]
    return out


def _items(folder: Path, split: str) -> tuple[Views, dict[str, list[Item]], str | None]:
    """The items of a split with unit embeddings; of all splits where none is so named."""
    path = folder / "items.jsonl"
    try:
        z, entries = load_items(folder, split)
        chosen: str | None = split
        if not any(entries.values()):
            z, entries = load_items(folder)
            chosen = None
    except (KeyError, TypeError, AttributeError) as problem:
        raise ModalignError(f"item list is damaged: {path} ({type(problem).__name__}: {problem})") from None
    z.validate(zero_rows=True)
    widths = {m: x.shape[1] for m, x in z.data.items()}
    if len(set(widths.values())) > 1:
        raise ModalignError(f"embeddings are damaged: {folder / 'items.safetensors'} has unequal widths {widths}")
    unit = z.map(lambda _, x: torch.nn.functional.normalize(x.float(), dim=1))
    names: dict[int, str] = {}  # a picture without words of its own goes by the first words of its group
    for m in z.modalities:
        for g, entry in zip(z.group[m].tolist(), entries[m], strict=True):
            if entry.get("text") is not None:
                names.setdefault(g, _words(entry["text"]))
    items = {
        m: [
            _item(folder, m, i, e, names.get(g))
            for i, (g, e) in enumerate(zip(z.group[m].tolist(), entries[m], strict=True))
        ]
        for m in z.modalities
    }
    return unit, items, chosen


def _words(text: object) -> str:
    """A text on one line."""
    return " ".join(str(text).split())


def _item(folder: Path, modality: str, row: int, entry: Mapping[str, Any], named: str | None) -> Item:
    text = _words(entry["text"]) if entry.get("text") is not None else named
    picture = None
    if entry.get("picture"):
        picture = (folder / str(entry["picture"])).resolve()
        if not picture.is_relative_to(folder.resolve()):
            raise ModalignError(
                f"item list is damaged: {folder / 'items.jsonl'} names the picture {entry['picture']!r}, "
                "which lies outside the run folder"
            )
        picture = picture if picture.is_file() else None
    return Item(row, text or f"{modality}, row {entry.get('row', row)}", text, picture)
