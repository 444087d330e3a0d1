"""Choosing settings on dev: one seed, the same number of trials for every method, every trial recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DiskError, ModalignError
from ..files import read_table, write_json
from ..runs.fit import settings_of
from ..runs.once import work_folder
from ..views import linked_groups
from .cell import CellData, check_kept, prepared, train_of
from .scoring import dev_score
from .setting import Setting
from .suite import Suite


def path_of(out: Path, setting: Setting, method: str) -> Path:
    """Where the tuning of a method on a setting lies."""
    return out / "tuning" / setting.name / f"{method}.json"


def work_of(path: Path) -> Path:
    """Where an unfinished fit of a tuning keeps what it needs to go on."""
    return path.with_suffix(".work")


def record_of(path: Path) -> dict[str, Any]:
    """What a file holds of a tuning, whole or not; nothing where there is none.

    Raises:
        ModalignError: somebody changed the file, so that it cannot be gone on with.
    """
    if not path.exists():
        return {}
    record = read_table(path, "record of a tuning")
    settled = {"settings": dict[str, Any]} if record.get("done") else {}
    check_kept(record, {"trials": list[dict[str, Any]], **settled}, path)
    for trial in record["trials"]:
        check_kept(trial, {"settings": dict[str, Any], "score": float | None}, path)
    return record


def finished(path: Path, key: str) -> dict[str, Any] | None:
    """The tuning that a file holds, if it is the same one and whole."""
    record = record_of(path)
    return record if record.get("key") == key and record.get("done") else None


def tune(suite: Suite, setting: Setting, method: str, data: CellData, path: Path, key: str) -> dict[str, Any]:
    """Try the candidates of an entry on dev and write down every trial; a second call goes on where it stopped.

    Returns: the record: ``settings`` of the method that every seed is fitted with, ``dev`` score, ``trials``.
    """
    entry = suite.entries[method]
    record: dict[str, Any] = {"key": key, "method": method, "setting": setting.name, "seed": suite.tune_seed}
    if entry.tunes_itself:
        record |= by_itself(suite, setting, method, data, path, key)
    elif not entry.candidates:
        record |= {"settings": dict(entry.settings), "trials": [], "note": "nothing to choose"}
    else:
        record |= by_trials(suite, setting, method, data, path, record)
    write_json(path, {**record, "done": True})
    return {**record, "done": True}


def by_trials(
    suite: Suite, setting: Setting, method: str, data: CellData, path: Path, record: Mapping[str, Any]
) -> dict[str, Any]:
    """The candidates in turn; of equals the first. Trials of a killed run are kept."""
    entry = suite.entries[method]
    past = record_of(path)
    trials: list[dict[str, Any]] = past.get("trials", []) if past.get("key") == record["key"] else []
    candidates = [dict(c) for c in entry.tried(suite.trials_of(setting))]
    train = train_of(data, entry.paired_only)
    for candidate in candidates[len(trials) :]:
        start = time.perf_counter()
        trial: dict[str, Any] = {"settings": candidate, "score": None}
        try:
            changed = entry.with_candidate(candidate)
            part = prepared(changed, entry.method, suite.tune_seed, suite, setting)
            with work_folder(work_of(path), f"{record['key']} {len(trials)}") as work:
                heads = part.fit(train, data.dev, run=work)
            trial["score"] = dev_score(heads, data.dev, suite.target, setting.test_missing, suite.tune_seed)
        except DiskError:
            raise
        except ModalignError as problem:
            trial["error"] = str(problem)
        trials.append({**trial, "seconds": round(time.perf_counter() - start, 2)})
        write_json(path, {**record, "trials": trials, "done": False})
    done = [t for t in trials if t["score"] is not None]
    best = max(done, key=lambda t: t["score"]) if done else trials[0]
    return {"settings": entry.with_candidate(best["settings"]), "dev": best["score"], "trials": trials}


def by_itself(suite: Suite, setting: Setting, method: str, data: CellData, path: Path, key: str) -> dict[str, Any]:
    """A method that tries settings itself, once; later seeds are told what it chose, where it can be told."""
    entry = suite.entries[method]
    accepted = settings_of(entry.method)
    settings = dict(entry.settings)
    train = train_of(data, entry.paired_only)
    blind = not len(linked_groups(train))  # without any pair its trials all score alike, and each takes long
    if "trials" in accepted:
        settings["trials"] = 1 if blind else suite.trials_of(setting)
    try:
        part = prepared(settings, entry.method, suite.tune_seed, suite, setting)
        with work_folder(work_of(path), key) as work:
            heads = part.fit(train, data.dev, run=work)
    except DiskError:
        raise
    except ModalignError as problem:
        return {"settings": settings, "trials": [], "dev": None, "error": str(problem)}
    chosen = part.record.get("chosen")
    told = isinstance(chosen, Mapping) and "chosen" in accepted
    found = {
        "settings": {**settings, "chosen": dict(chosen)} if told else settings,
        "dev": dev_score(heads, data.dev, suite.target, setting.test_missing, suite.tune_seed),
        "trials": part.record.get("trials", []),
    }
    if blind:
        found["note"] = "no known pair: one trial, its own default"
    elif not told:
        found["note"] = "it cannot be told what to use, and chooses on dev again for each seed"
    return found
