"""What the commands do: load features, fit a method, measure it, leave a run folder behind."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import __version__, report
from .budget import hide_links, linked_groups
from .config import Specification, dump_toml, named
from .datasets.arrays import load_array, load_pairs
from .datasets.manifest import Manifest
from .embed.local import embed, embed_cached
from .errors import ModalignError, few, unknown
from .evaluate import DEFAULT, evaluate, to_json
from .files import atomic, read_json, write_json, write_text
from .media import thumbnail
from .methods.tuning import hold_out, linked_ids
from .metrics.recall import mean_recall
from .metrics.score import Score
from .model import Heads, Model
from .progress import Progress, silent
from .registry import get, make
from .run import environment, load_items, save_items
from .store import Store
from .views import Views, concat

SPLITS = ("train", "dev", "test")
ENCODERS = {"text": "minilm", "image": "efficientnet-lite0"}
THUMBNAIL = 96


@dataclass(frozen=True)
class Data:
    """Features by split, and what the items are.

    Args:
        splits: "train", and where there are any "dev" and "test".
        encoders: modality -> name and settings; empty for plain arrays.
        fingerprints: modality -> fingerprint of the encoder.
        manifest: of the items that the views' ``row`` points into.
    """

    splits: Mapping[str, Views]
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    manifest: Manifest | None = None

    def __getitem__(self, split: str) -> Views:
        if split not in self.splits:
            raise ModalignError(f"the data have no split '{split}' (they have: {', '.join(self.splits) or 'none'})")
        return self.splits[split]


# ---------------------------------------------------------------------- load


def load_data(spec: Specification, progress: Progress = silent) -> Data:
    """The features that a specification asks for, encoded into the cache where they are not there yet."""
    if "store" in spec.data:
        return _from_store(Store.open(Path(spec.data["store"])))
    manifest: Manifest = make("dataset", **spec.data)
    encoders = {m: named(entry) for m, entry in spec.encoders.items()}
    return encode(manifest, encoders, progress)


def encode(manifest: Manifest, encoders: dict[str, dict[str, Any]], progress: Progress = silent) -> Data:
    """Features of a manifest, from the cache of this user."""
    made = {m: make("encoder", **entry) for m, entry in encoders.items()}
    store = embed_cached(manifest, made, progress=progress)
    return replace(_from_store(store), encoders=encoders, fingerprints={m: e.fingerprint() for m, e in made.items()})


def _from_store(store: Store) -> Data:
    present = [s for s in SPLITS if s in set(store.manifest.splits)]
    return Data({s: store.views(split=s) for s in present}, manifest=store.manifest)


# ---------------------------------------------------------------------- fit and measure


def fit(
    method: Mapping[str, Any],
    train: Views,
    dev: Views | None,
    folder: Path,
    data: Data | None = None,
    progress: Progress = silent,
) -> tuple[Model, float]:
    """Fit a method, or load the same fit from the folder where it is there already.

    Returns: the model and the seconds that its fit took.
    """
    key = _fingerprint(dict(method), train, dev)
    done = folder / "fit.json"
    if done.exists() and (past := read_json(done, "record of the fit")).get("key") == key:
        return Model.load(folder), float(past["seconds"])
    done.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    part = make("method", **method)
    heads = part.fit(train, dev, run=folder, progress=progress)
    seconds = time.perf_counter() - start
    source = data or Data({})
    model = Model(heads, source.encoders, source.fingerprints, dict(method), part.record)
    model.save(folder)
    write_json(done, {"key": key, "seconds": round(seconds, 3)})
    return model, seconds


def _fingerprint(method: dict[str, Any], *views: Views | None) -> str:
    """Identity of a fit: the program's version, the method's settings and every number it learns from."""
    digest = hashlib.blake2b(json.dumps([__version__, method], sort_keys=True).encode(), digest_size=16)
    for x in views:
        for m, rows in (x.data if x is not None else {}).items():
            digest.update(f"{m}{tuple(rows.shape)}{rows.dtype}".encode())
            for tensor in (rows, x.group[m]):  # type: ignore[union-attr]
                digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def measure(heads: Heads, test: Views, metrics: Sequence[str] = (), seed: int = 0) -> dict[str, Score]:
    """Scores of the embedded test views; with mean recall over both directions for every pair of modalities."""
    return with_mean_recall(evaluate(heads.embed(test), metrics or DEFAULT, seed=seed), test)


def with_mean_recall(scores: dict[str, Score], z: Views) -> dict[str, Score]:
    """The scores, led by "mean_recall" (of two modalities) or "mean_recall/a-b" (of each pair)."""
    means = {}
    for a, b in z.pairs():
        if f"recall/{a}->{b}/any@1" in scores and f"recall/{b}->{a}/any@1" in scores:
            means["mean_recall" if len(z.modalities) == 2 else f"mean_recall/{a}-{b}"] = mean_recall(scores, a, b)
    return means | scores


# ---------------------------------------------------------------------- leave a run folder


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
    """One entry per row of a modality: its split, its row, and its text or file."""
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
            entry["uri"] = manifest.uri[r]
        entries.append(entry)
    return entries


def draw_thumbnails(folder: Path, items: Mapping[str, list[dict[str, Any]]], progress: Progress = silent) -> None:
    """Small pictures of the image items in media/, drawn once; each entry's "uri" becomes its "picture"."""
    for m, entries in items.items():
        todo = [e for e in entries if "uri" in e]
        for done, entry in enumerate(todo, 1):
            uri = entry.pop("uri")
            if m != "image":
                entry["text"] = Path(uri).stem
                continue
            name = hashlib.blake2b(uri.encode(), digest_size=8).hexdigest()
            entry["picture"] = f"media/{name}.png"
            place = folder / entry["picture"]
            if not place.exists():
                with atomic(place) as partial:
                    partial.write_bytes(thumbnail(uri, THUMBNAIL))
            progress(done, len(todo), "thumbnails")


# ---------------------------------------------------------------------- the commands


def run_specification(spec: Specification, progress: Progress = silent) -> dict[str, Any]:
    """Encode, hide links beyond the budget, fit, measure on test, report."""
    data = load_data(spec, progress)
    keep = linked_groups(data["train"], spec.pairs, spec.seed)
    method = {**spec.method}
    if "seed" not in method and "seed" in _settings(method["name"]):
        method["seed"] = spec.seed
    out = Path(spec.out)
    model, seconds = fit(method, hide_links(data["train"], keep), data.splits.get("dev"), out, data, progress)
    split = "test" if "test" in data.splits else "dev"
    scores = to_json(measure(model.heads, data[split], spec.metrics, spec.seed))
    name = str(method["name"])
    table = {
        "title": f"{name} on {spec.data.get('name', 'features')}",
        "task": "retrieval between modalities",
        "data": facts(data, len(keep), spec.data),
        "seeds": [spec.seed],
        "split": split,
        "methods": {name: {"label": name, "seconds": seconds, **scores}},
        **attribution(data),
    }
    leave(out, spec.to_toml(), model, data, table, progress)
    return {"run": str(out), **table}


def facts(data: Data, pairs: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run learnt from, for its scores.json."""
    train = data["train"]
    unlinked = {m: len(torch.unique(g)) - pairs for m, g in train.group.items()}
    sizes = {split: len(x) for split, x in data.splits.items() if split != "train"}
    return {
        "name": settings.get("name", "arrays"),
        "settings": dict(settings),
        "pairs": pairs,
        "unlinked": unlinked,
        **sizes,
    }


def attribution(data: Data) -> dict[str, str]:
    """The credit that the data ask for, where they do."""
    note = data.manifest.meta.get("attribution") if data.manifest else None
    return {"attribution": note} if note else {}


def _settings(method: str) -> set[str]:
    import inspect

    return set(inspect.signature(get("method", method)).parameters)


def align_arrays(
    arrays: Sequence[Path],
    out: Path,
    pairs: Path | None = None,
    names: Sequence[str] | None = None,
    method: str = "full",
    dim: int = 256,
    holdout: float = 0.2,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Fit a method on feature arrays and measure it on pairs that it did not see.

    Args:
        arrays: two or more files, see ``load_array``. Rows are paired by position unless ``pairs`` names them.
        out: the run folder. names: one per array; default: the file names.
        holdout: share of the linked groups kept for measuring, in [0, 1); 0: fit on everything, measure nothing.
    """
    if len(arrays) < 2:
        raise ModalignError("align needs two or more arrays, for example  modalign align text.npy image.npy --out RUN")
    if not 0.0 <= holdout < 1.0:
        raise ModalignError(f"holdout must lie in [0, 1), got {holdout}")
    settings = {"name": method, **{k: v for k, v in {"dim": dim, "seed": seed}.items() if k in _settings(method)}}
    labels = list(names or (p.stem for p in arrays))
    if len(labels) != len(arrays) or len(set(labels)) != len(labels):
        raise ModalignError(f"{len(arrays)} arrays need as many different names, got {few(labels, 10)}: give --names")
    known = load_pairs(pairs) if pairs else None
    x = Views.from_arrays(known, **{n: load_array(p) for n, p in zip(labels, arrays, strict=True)}).validate()
    x = replace(x, row={m: torch.arange(len(rows)) for m, rows in x.data.items()})
    train, test = hold_out(x, holdout, seed) if holdout and len(linked_ids(x)) >= 20 else (x, None)
    data = Data({"train": train} | ({"test": test} if test is not None else {}))
    model, seconds = fit(settings, train, None, out, data, progress)
    scores = to_json(measure(model.heads, test, seed=seed)) if test is not None else {}
    table = {
        "title": f"{method} on {', '.join(labels)}",
        "task": "one shared space for feature arrays",
        "data": {"name": "arrays", "pairs": len(linked_ids(train)), "test": len(test) if test is not None else 0},
        "seeds": [seed],
        "split": "test",
        "methods": {method: {"label": method, "seconds": seconds, **scores}},
    }
    files = {n: str(p) for n, p in zip(labels, arrays, strict=True)}
    toml = dump_toml({"seed": seed, "holdout": holdout, "arrays": files, "method": settings})
    leave(out, toml, model, data, table, progress)
    return {"run": str(out), **table}


def transform_array(run: Path, array: Path, modality: str, out: Path) -> dict[str, Any]:
    """Map a feature array into the shared space of a run and write it as .npy."""
    model = Model.load(run)
    x = load_array(array)
    Views({modality: x}, {modality: torch.arange(len(x))}).validate()
    z = model.transform(x, modality).numpy()
    if out.suffix != ".npy":
        raise ModalignError(f"the output is written as .npy, so give it that ending: {out.with_suffix('.npy')}")
    with atomic(out) as partial, partial.open("wb") as handle:
        np.save(handle, z)
    return {"rows": len(z), "dim": z.shape[1], "modality": modality, "out": str(out)}


def embed_dataset(
    name: str,
    root: Path | None,
    out: Path,
    encoders: Sequence[str],
    split: str | None = None,
    limit: int | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Encode a data set into a feature store.

    Args:
        encoders: "modality=NAME" entries; text and image have defaults.
        limit: only this many groups, the first ones.
    """
    manifest: Manifest = make("dataset", name, **({"root": str(root)} if root else {}))
    if split is not None:
        manifest = manifest.split(split)
    if limit is not None:
        kept = set(manifest.groups()[:limit].tolist())
        manifest = manifest.where(lambda row: row.group in kept)
    chosen = dict(ENCODERS)
    for entry in encoders:
        modality, equals, encoder = entry.partition("=")
        if not equals:
            raise ModalignError(f"--encoder takes modality=NAME, got '{entry}'")
        if modality not in manifest.modalities:
            raise unknown(f"modality of '{name}'", modality, manifest.modalities)
        chosen[modality] = encoder
    lacking = [m for m in manifest.modalities if m not in chosen]
    if lacking:
        raise ModalignError(
            f"no encoder for {few(lacking)}: give --encoder {lacking[0]}=NAME  (see: modalign list encoder)"
        )
    made = {m: make("encoder", chosen[m]) for m in manifest.modalities}
    store = embed(manifest, made, out, progress=progress)
    items = {m: len(x) for m, x in store.views().data.items()}
    return {"store": str(out), "items": items, "failures": [str(f) for f in store.failures]}


def evaluate_run(run: Path) -> dict[str, Any]:
    """Measure the embedded test items of a run again; writes evaluation.json."""
    z, _ = load_items(run, "test")
    if not len(z):
        raise ModalignError(f"{run} has no test items: it was fitted without any (--holdout 0)")
    name = str(Model.load(run).method.get("name", "method"))
    scores = to_json(with_mean_recall(evaluate(z), z))
    table = {"split": "test", "methods": {name: {"label": name, **scores}}}
    write_json(run / "evaluation.json", table)
    return {"run": str(run), **table}


#: What the terminal shows of the scores; scores.json and the report hold all of them.
SHOWN = ("mean_recall", "/any@1", "/any@5", "/any@10", "/median", "procrustes/", "mutual_knn/")
HIDDEN = ("/size_and_shape", "/angle", "/pairs@", "/fraction@")


def scores_table(result: Mapping[str, Any]) -> str:
    """The main scores as text: one line per score, with interval and chance value."""
    lines = []
    for entry in result["methods"].values():
        rows = {k: v for k, v in entry.items() if any(s in k for s in SHOWN) and not any(h in k for h in HIDDEN)}
        lines.append(
            f"{entry['label']}" + ("" if rows else ": not measured (fewer than 20 linked groups, or no holdout)")
        )
        width = max((len(k) for k in rows), default=0)
        lines += [f"  {k:<{width}}  {number(v)}" for k, v in rows.items()]
    return "\n".join(
        [*lines, f"all scores: {Path(result['run']) / 'scores.json'}", f"report: {Path(result['run']) / 'report.html'}"]
    )


def number(score: Mapping[str, Any]) -> str:
    """A score as text: value [low, high] (chance).

    Example:
        >>> number({"value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.1})
        '0.5000  [0.4000, 0.6000]  chance 0.1000'
    """
    text = f"{score['value']:.4f}"
    if score.get("low") is not None:
        text += f"  [{score['low']:.4f}, {score['high']:.4f}]"
    if score.get("chance") is not None:
        text += f"  chance {score['chance']:.4f}"
    return text
