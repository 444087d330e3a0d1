"""Fine-tune the encoders of a run: a new run that can be searched, indexed and measured like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..specification import Specification, from_toml, override
from ..features.choose import make_encoders, parse_entry
from ..features.embed import embed
from ..features.encoders.tuning import Tunable, Tuning, trained
from ..errors import ModalignError, unknown
from ..metrics.evaluate import to_json
from ..training.finetune import finetune, fresh, raw, tunables
from ..methods.gradient import part
from ..model import Model
from ..progress import Progress, silent
from ..registry import check, make
from ..features.store import Store
from ..training.loop import TrainingSettings
from ..views import Views, hide_links, linked_groups
from .commands import attribution, facts
from .data import Data, from_store, load_data
from .fitting import measure
from .folder import leave

SCHEDULE = {"steps": 150, "batch": 64, "lr": 1e-3, "every": 10, "patience": 5, "checkpoints": False}
"""Where the training differs from ``TrainingSettings``: short, as encoders are costly."""


def finetune_run(
    run: Path,
    out: Path,
    entries: Sequence[str],
    objective: str | Mapping[str, Any] = "clip",
    schedule: Mapping[str, Any] | None = None,
    share: float = 0.1,
    new_heads: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train encoders and heads of a run on its own training data, and leave a run behind.

    Args:
        run: folder of a run by a method whose heads keep no training items. out: folder of the new run.
        entries: "modality=last,blocks=2", "modality=lora,rank=8" or "modality=all"; none: the heads alone.
        objective: name, or table of name and settings. schedule: settings of ``train.TrainingSettings``.
        share: of the learning rate for the encoders. new_heads: start from heads that have learnt nothing.

    Raises:
        ModalignError: the run has no encoders or no train split, or one of the settings does not hold.
    """
    if run.resolve() == out.resolve():
        raise ModalignError(f"the fine-tuned run needs a folder of its own, not {run}: give --out")
    spec, model = from_toml(run / "config.toml"), Model.load(run)
    tunings = {m: tuning_of(entry) for m, entry in map(parse_entry, entries)}
    for m in tunings:
        if m not in model.encoders:
            raise unknown(f"modality of {run} with an encoder", m, model.encoders)
    settings = TrainingSettings(**check(TrainingSettings, {**SCHEDULE, "seed": spec.seed, **(schedule or {})}, "schedule"))
    data = load_data(spec, progress)
    train = hide_links(data["train"], linked_groups(data["train"], spec.pairs, spec.seed))
    encoders = {m: make("encoder", **model.encoders[m]) for m in tunings}
    made = tunables(encoders, tunings)
    x = raw_views(train, data, encoders, made)
    dev = raw_views(data["dev"], data, encoders, made) if "dev" in data.splits else None
    name, given = part(objective, "objective")
    nets = {m: t.net for m, t in made.items()}
    heads = fresh(model.heads, settings.seed) if new_heads else model.heads
    end = finetune(
        heads, nets, make("objective", name, **given), x, settings, dev, train, share, out, progress
    )  # fmt: skip
    kept = {"steps": end.step, "best_step": end.best_step, **({"dev": end.best} if dev is not None else {})}
    tuned = Model(
        heads.eval(),
        {m: {"name": "tuned", "run": ".", "modality": m} if m in tunings else e for m, e in model.encoders.items()},
        dict(model.fingerprints),
        {"name": "finetune", "objective": {"name": name, **given}, "start": model.method, "share": share}
        | ({"new_heads": True} if new_heads else {}),
        {"start": model.record, "training": kept},
        {m: {"base": model.encoders[m], **t.table()} for m, t in tunings.items()},
        {m: trained(net) for m, net in nets.items()},
    )
    return _leave(out, spec, data, tuned, progress)


def tuning_of(entry: Mapping[str, Any]) -> Tuning:
    """What to train, from a parsed "modality=PART,setting=value" entry.

    Example:
        >>> tuning_of({"name": "last", "blocks": 2}).blocks
        2
    """
    return Tuning(**check(Tuning, {"part": entry["name"], **{k: v for k, v in entry.items() if k != "name"}}, "tuning"))


def overrides(entries: Sequence[str]) -> dict[str, Any]:
    """Settings from "key=value" entries, as in TOML."""
    table: dict[str, Any] = {}
    for entry in entries:
        override(table, entry)
    return table


def raw_views(x: Views, data: Data, encoders: Mapping[str, Any], made: Mapping[str, Tunable]) -> Views:
    """The same items, with raw rows where there is an encoder to train."""
    if made and (data.manifest is None or x.row is None):
        raise ModalignError("encoders can only be trained where the items are at hand, not on plain feature arrays")
    rows = dict(x.data)
    for m, tunable in made.items():
        assert data.manifest is not None
        assert x.row is not None
        rows[m] = raw(encoders[m], tunable, [data.manifest[int(r)] for r in x.row[m]])
    return replace(x, data=rows)


def _leave(out: Path, spec: Specification, data: Data, model: Model, progress: Progress) -> dict[str, Any]:
    """Encode everything with the tuned encoders, measure, and write the run folder."""
    model.save(out)
    model = Model.load(out)  # the encoders now name this run
    assert data.manifest is not None
    made = make_encoders(data.manifest, model.encoders)
    model.fingerprints |= {m: made[m].fingerprint() for m in model.tuned}
    model.save(out)
    if model.tuned:
        pool = Store.open(Path(spec.data["store"])).pool if "store" in spec.data else None
        store = embed(data.manifest, made, out / "store", pool=pool, entries=model.encoders, progress=progress)
        data = from_store(store)
        spec = replace(spec, data={"store": str((out / "store").resolve())}, encoders={})
    spec = replace(spec, out=str(out))
    split = next((s for s in ("test", "dev") if s in data.splits), "test")
    scores = to_json(measure(model.heads, data[split], spec.metrics, spec.seed)) if split in data.splits else {}
    table = {
        "title": "fine-tuned " + (", ".join(f"{m} ({t['part']})" for m, t in model.tuned.items()) or "heads"),
        "task": "retrieval between modalities",
        "data": facts(data, len(linked_groups(data["train"], spec.pairs, spec.seed)), spec.data),
        "seeds": [spec.seed],
        "split": split,
        "methods": {"finetune": {"label": "finetune", **scores}},
        **attribution(data),
    }
    leave(out, spec.to_toml(), model, data, table, progress)
    return {"run": str(out), **model.record["training"], **table}
