"""A run folder and the one owner of its files; ``files.RunFile`` names them."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch

from .. import __version__
from ..data.manifest import Manifest
from ..errors import ModalignError, few
from ..features.store import Store
from ..files import RunFile, as_path, read_jsonl, read_table, write_json, write_text
from ..model import Model
from ..outputs import from_here
from ..progress import Progress, note, silent
from ..specification import Specification, from_toml
from ..views import concat
from .data import Data, load_data, manifest_of
from .items import Items, describe, draw_thumbnails, told_apart
from .result import Result

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "POT", "transformers", "safetensors")

Of = Literal["result", "evaluation", "robustness"]


def environment(command: Iterable[str] = ()) -> dict[str, Any]:
    """Versions, machine and time. No host or user names."""
    versions = {"modalign": __version__}  # of the code that runs, whatever an old installation left written
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


class Run:
    """What a fit leaves behind. Parts are read when they are first asked for; those that a folder lacks are None.

    Args:
        folder: of the run; ``Run.open`` checks that it is one.

    Example:
        >>> Run(Path("runs/nothing-here")).result is None
        True
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = as_path(folder).absolute()  # parts are read later, maybe from another working folder

    def __str__(self) -> str:
        return str(from_here(self.folder))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """A run that is there.

        Raises:
            ModalignError: no such folder, or nothing of a run in it.
        """
        run = cls(folder)
        if not run.folder.is_dir():
            raise ModalignError(f"run folder not found: {run}")
        telling = (RunFile.RESULT, RunFile.SPECIFICATION, RunFile.VECTORS, RunFile.MODEL)
        if not any(run._has(name) for name in telling):
            raise ModalignError(
                f"{run} holds no run (none of {', '.join(telling)}): "
                "give a folder written by 'modalign demo', 'align' or 'train'"
            )
        return run

    @classmethod
    def write(cls, spec: Specification, model: Model, data: Data, result: Result, progress: Progress = silent) -> Run:
        """Leave a run in the folder that its specification names: everything but the model's files and the report.

        The model lies there already: fits save it as soon as it is made.
        """
        run = cls(spec.out)
        lasting = replace(spec, out=os.path.abspath(spec.out))  # it holds whatever folder it is read from
        write_text(run.folder / RunFile.SPECIFICATION, lasting.to_toml())
        write_json(run.folder / RunFile.ENVIRONMENT, environment(["modalign", *sys.argv[1:]]))
        parts = {split: model.heads.embed(x) for split, x in data.splits.items()}
        entries = {
            m: [
                entry
                for split, x in data.splits.items()
                if m in x
                for entry in describe(x, m, split, data.manifest, data.ids.get(m, ()), data.facts.get(m, ()))
            ]
            for m in model.heads.modalities
        }
        if lost := draw_thumbnails(run.folder, entries, progress):
            note([f"pictures that cannot be drawn are not shown: {few(lost, 1)}"])
        Items(concat(list(parts.values())), told_apart(entries)).write(run.folder)
        run.keep(result)
        return run

    def void(self) -> None:
        """Remove what was made of a model that goes: checkpoint, log, scores, items and report.

        An index stays, as it holds its own model, and so do pictures and features, which belong to their files.
        """
        for name in (
            RunFile.CHECKPOINT, RunFile.LOG, RunFile.TRIALS, RunFile.RESULT, RunFile.EVALUATION, RunFile.ROBUSTNESS,
            RunFile.VECTORS, RunFile.ITEMS, RunFile.REPORT,
        ):  # fmt: skip
            (self.folder / name).unlink(missing_ok=True)

    def keep(self, result: Result, of: Of = "result") -> None:
        """Write a result: that of the fit, of an evaluation, or of a robustness check."""
        write_json(self.file(of), result.json())

    # ------------------------------------------------------------------ what was asked for, and by what means

    @cached_property
    def specification(self) -> Specification | None:
        """What was asked for; a run that was moved has its own features where it is."""
        if not self._has(RunFile.SPECIFICATION):
            return None
        spec = from_toml(self.folder / RunFile.SPECIFICATION)
        own, store = os.path.join(spec.out, RunFile.STORE), str(spec.data.get("store", ""))
        moved = os.path.realpath(store) == os.path.realpath(own) and not Store.is_store(Path(own))
        if moved and Store.is_store(self.store):
            return replace(spec, data={**spec.data, "store": str(self.store)})
        return spec

    def require_specification(self) -> Specification:
        """What was asked for. Raises ModalignError where the folder does not say."""
        if self.specification is None:
            raise ModalignError(f"{self.folder} does not say what its data are ({RunFile.SPECIFICATION} is missing)")
        return self.specification

    @cached_property
    def environment(self) -> Mapping[str, Any] | None:
        """Versions, machine, command, time."""
        return self._table(RunFile.ENVIRONMENT, "environment")

    @property
    def has_model(self) -> bool:
        """Whether heads were kept."""
        return self._has(RunFile.MODEL)

    @cached_property
    def model(self) -> Model:
        """Heads and what they belong to. Raises ModalignError where they are missing or damaged."""
        return Model.load(self.folder)

    @cached_property
    def log(self) -> list[dict[str, Any]] | None:
        """Logged training steps; None where nothing was logged.

        Raises:
            ModalignError: a line that is no table.
        """
        if not self._has(RunFile.LOG):
            return None
        rows = read_jsonl(self.folder / RunFile.LOG, "training log")
        for n, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise ModalignError(
                    f"training log is damaged: {self.folder / RunFile.LOG}, line {n} must hold a JSON object"
                )
        return rows or None

    # ------------------------------------------------------------------ what was learnt from, and what came out

    def data(self, progress: Progress = silent) -> Data:
        """The features that the run was fitted and tested on.

        Raises:
            ModalignError: they are gone, or are not those that the run was made of.
        """
        data = load_data(self.require_specification(), progress)
        if self.has_model and self.has_items:
            self._refuse_changed(self.items.stranger(self.model.heads, data.splits))
        return data

    def manifest(self, **more: Any) -> Manifest | None:
        """What the data set of the run lists, without encoding anything; None for plain arrays.

        Args:
            more: settings of the data set to add, where it is COCO.

        Raises:
            ModalignError: its files are gone, or list other items than the run was made of.
        """
        found = manifest_of(self.require_specification(), **more)
        if found is not None and self.has_items:
            self._refuse_changed(self.items.unlisted(found))
        return found

    def _refuse_changed(self, which: str) -> None:
        if which:
            raise ModalignError(
                f"the data of {self} have changed since it was made ({which}): put them back, or run it again"
            )

    @property
    def has_items(self) -> bool:
        """Whether embedded items were kept."""
        return self._has(RunFile.VECTORS)

    @cached_property
    def items(self) -> Items:
        """Embedded items of all splits. Raises ModalignError where they are missing or damaged."""
        return Items.read(self.folder)

    @cached_property
    def result(self) -> Result | None:
        """What was measured when the run was made."""
        return self._result("result")

    @cached_property
    def evaluation(self) -> Result | None:
        """What a later evaluation measured."""
        return self._result("evaluation")

    @cached_property
    def robustness(self) -> Result | None:
        """Curves under ill-treatment."""
        return self._result("robustness")

    # ------------------------------------------------------------------ places

    def file(self, of: Of) -> Path:
        """Where a reader finds every score of the fit, of an evaluation, or of a robustness check."""
        return self.folder / RunFile[of.upper()]

    @property
    def report(self) -> Path:
        """Where the report of the run lies, or will lie."""
        return self.folder / RunFile.REPORT

    @property
    def index(self) -> Path:
        """Where its search index lies, if no other place is given."""
        return self.folder / RunFile.INDEX

    @property
    def store(self) -> Path:
        """Where features of encoders of its own lie."""
        return self.folder / RunFile.STORE

    @property
    def fits(self) -> list[Run]:
        """Fits of other methods and budgets that were made beside it."""
        return [Run(p.parent) for p in sorted(self.folder.glob(f"{RunFile.FITS}/*/{RunFile.MODEL}"))]

    def fit_beside(self, name: str) -> Path:
        """Folder of such a fit."""
        return self.folder / RunFile.FITS / name

    @property
    def parent(self) -> Run | None:
        """The run that this fit was made beside; None for a run of its own."""
        return next((Run(p) for p in self.folder.resolve().parents[:3] if (p / RunFile.VECTORS).exists()), None)

    # ------------------------------------------------------------------ reading

    def _has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def _table(self, name: RunFile, what: str) -> dict[str, Any] | None:
        return read_table(self.folder / name, what) if self._has(name) else None

    def _result(self, of: Of) -> Result | None:
        table = self._table(RunFile[of.upper()], "scores")
        return None if table is None else Result.from_json(table, str(self.file(of)))
