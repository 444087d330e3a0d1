"""Fine-tune the encoders of a run: a new run that can be searched, indexed and measured like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..data.left_out import lines
from ..errors import ModalignError, check_known
from ..features.choose import make_encoders, parse_entries
from ..features.embed import embed
from ..features.encoders.tuned import as_tunable
from ..features.encoders.tuning import Tunable, Tuning, trained
from ..features.store import Store
from ..model import Model, model_fingerprint
from ..outputs import claim
from ..progress import Progress, note, silent
from ..registry import check, make
from ..specification import Specification, check_part, named
from ..training import launch, ranks
from ..training.checkpoint import FREE
from ..training.finetune import finetune, fresh, raw_inputs
from ..training.settings import TrainingSettings
from ..training.stream import Stream, shards
from ..views import Views
from .data import Data, from_store
from .fit import result_of
from .once import identity, once
from .run import Run

SCHEDULE = {"steps": 150, "batch": 64, "lr": 1e-3, "every": 10, "patience": 5, "checkpoints": False}
"""Where the training differs from ``TrainingSettings``: short, as encoders are costly."""


def finetune_run(
    folder: Path,
    out: Path,
    entries: Sequence[str],
    objective: str | Mapping[str, Any] = "clip",
    schedule: Mapping[str, Any] | None = None,
    share: float = 0.1,
    new_heads: bool = False,
    streamed: bool = False,
    progress: Progress = silent,
) -> Run:
    """Train encoders and heads of a run on its own training data, and leave a run behind.

    Args:
        folder: of a run by a method whose heads keep no training items. out: folder of the new run.
        entries: "modality=last,blocks=2", "modality=lora,rank=8" or "modality=all"; none: the heads alone.
        objective: name, or table of name and settings. schedule: settings of ``train.TrainingSettings``.
        share: of the learning rate for the encoders. new_heads: start from heads that have learnt nothing.
        streamed: decode files when a batch asks for them, each shard by one process and, there, one of the threads that
            the schedule's ``workers`` names; else once, and held in memory.

    Raises:
        ModalignError: the run has no encoders or no train split, its data have changed, or one of the settings does
            not hold.
    """
    run = Run.open(folder)
    with claim(out, "run", "finetune", [folder]):
        return _finetune(run, out, entries, objective, schedule, share, new_heads, streamed, progress)


def _finetune(
    run: Run, out: Path, entries: Sequence[str], objective: str | Mapping[str, Any], schedule: Mapping[str, Any] | None,
    share: float, new_heads: bool, streamed: bool, progress: Progress,
) -> Run:  # fmt: skip
    spec, model = run.require_specification(), run.model
    tunings = {m: tuning_of(entry) for m, entry in parse_entries(entries).items()}
    for m in tunings:
        check_known(f"modality of {run} with an encoder", m, model.encoders)
    settings = TrainingSettings(
        **check(TrainingSettings, {**SCHEDULE, "seed": spec.seed, **(schedule or {})}, "schedule")
    )
    minimised = named(objective)
    check_part("objective", minimised, "objective")
    with launch.in_turn():
        data = run.data(progress)
    if progress is not silent:
        note([*lines(data.left_out), *data.notes])
    train = data.training(spec)
    encoders = {m: make("encoder", **model.encoders[m]) for m in tunings}
    made = {m: as_tunable(encoders[m]).tunable(t) for m, t in tunings.items()}
    if made and (data.manifest is None or train.row is None):
        raise ModalignError("encoders can only be trained where the items are at hand, not on plain feature arrays")
    apart = [m for m in made if streamed and m != "text"]  # texts are in memory already, with the manifest
    nets = {m: t.net for m, t in made.items()}
    method = {"name": "finetune", "objective": minimised, "start": model.method, "share": share}
    method |= {"new_heads": True} if new_heads else {}
    parts = {m: {"base": model.encoders[m], **t.table()} for m, t in tunings.items()}

    def trained_in(place: Path) -> Model:
        x = raw_views(train, data, encoders, {m: t for m, t in made.items() if m not in apart})
        x, stream = placed(x, apart, data, encoders, made, settings.workers)
        dev = raw_views(data["dev"], data, encoders, made) if "dev" in data.splits else None
        heads = fresh(model.heads, settings.seed) if new_heads else model.heads
        with stream or nullcontext():
            end = finetune(
                heads, nets, make("objective", **minimised), x, settings, dev, train, share, place, progress, stream
            )  # fmt: skip
        kept = {"steps": end.step, "best_step": end.best_step, **({"dev": end.best} if dev is not None else {})}
        return Model(
            heads.eval(),
            {m: {"name": "tuned", "run": ".", "modality": m} if m in tunings else e for m, e in model.encoders.items()},
            dict(model.fingerprints),
            method,
            {"start": model.record, "training": kept},
            parts,
            {m: trained(net) for m, net in nets.items()},
        )

    schedule = {k: v for k, v in asdict(settings).items() if k not in FREE}
    asked = [model_fingerprint(run.folder), method, parts, schedule]
    key = identity(asked, train, data.splits.get("dev"))
    tuned, seconds = once(out, key, trained_in, progress)
    return _leave(replace(spec, out=str(out)), data, tuned, seconds, progress) if ranks.leads() else Run(out)


def tuning_of(entry: Mapping[str, Any]) -> Tuning:
    """What to train, from a parsed "modality=PART,setting=value" entry.

    Example:
        >>> tuning_of({"name": "last", "blocks": 2}).blocks
        2
    """
    return Tuning(**check(Tuning, {"part": entry["name"], **{k: v for k, v in entry.items() if k != "name"}}, "tuning"))


def raw_views(x: Views, data: Data, encoders: Mapping[str, Any], made: Mapping[str, Tunable]) -> Views:
    """The same items, with raw rows where there is an encoder to train."""
    rows = dict(x.data)
    for m, tunable in made.items():
        assert data.manifest is not None
        assert x.row is not None
        rows[m] = raw_inputs(encoders[m], tunable, [data.manifest[int(r)] for r in x.row[m]])
    return replace(x, data=rows)


def placed(
    x: Views, names: Sequence[str], data: Data, encoders: Mapping[str, Any], made: Mapping[str, Tunable], workers: int
) -> tuple[Views, Stream | None]:
    """The same items, with places in the manifest for rows of some modalities, and what reads those."""
    if not names:
        return x, None
    manifest = data.manifest
    assert manifest is not None
    assert x.row is not None

    def reader(m: str) -> Callable[[Tensor], Tensor]:
        return lambda places: raw_inputs(encoders[m], made[m], [manifest[int(r)] for r in places])

    places = {m: x.row[m].long() for m in names}
    numbers = shards(manifest)
    stream = Stream({m: reader(m) for m in names}, dict.fromkeys(names, numbers), workers)
    return replace(x, data={**x.data, **places}), stream


def _leave(spec: Specification, data: Data, model: Model, seconds: float, progress: Progress) -> Run:
    """Encode everything with the tuned encoders, measure, and write the run folder."""
    run = Run(spec.out)
    if model.tuned:
        assert data.manifest is not None
        model = Model.load(run.folder)  # the encoders now name this run
        made = make_encoders(data.manifest, model.encoders)
        model.fingerprints |= {m: made[m].fingerprint() for m in model.tuned}
        model.save(run.folder)
        pool = Store.open(Path(spec.data["store"])).pool if "store" in spec.data else None
        data = from_store(embed(data.manifest, made, run.store, pool=pool, entries=model.encoders, progress=progress))
        spec = replace(spec, data={"store": str(run.store.resolve())}, encoders={})
    title = "fine-tuned " + (", ".join(f"{m} ({t['part']})" for m, t in model.tuned.items()) or "heads")
    result = result_of(title, "finetune", model.heads, data, spec, model.record["training"], seconds=seconds)
    return Run.write(spec, model, data, result, progress)
