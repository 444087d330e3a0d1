"""Files are whole or not there, and damage is named."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.errors import DiskError, ModalignError
from modalign.files import DAY, RunFile, atomic, cache_folder, read_json, read_jsonl, sweep_old, write_json
from modalign.runs.items import Items
from modalign.training import TrainingSettings
from modalign.training.checkpoint import Keeper, Position
from modalign.views import Views


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.json"
    write_json(target, {"old": 1})
    with pytest.raises(RuntimeError), atomic(target) as partial:  # noqa: PT012  the failure must come mid-way
        partial.write_text("half")
        raise RuntimeError
    assert read_json(target) == {"old": 1}
    assert [p.name for p in target.parent.iterdir()] == ["a.json"]


def test_what_json_cannot_hold_is_null_or_the_replacement_character(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": float("nan"), "y": [np.float32("inf"), np.int64(3)], "z": "a\ud83d", "p": tmp_path})
    written = path.read_text(encoding="utf-8")
    strict = json.loads(written, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert strict == {"x": None, "y": [None, 3], "z": "a\ufffd", "p": str(tmp_path)}


def test_json_that_would_end_the_program_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("[" * 100_000, "9" * 10_000, '{"a": '):
        path.write_text(text)
        with pytest.raises(ModalignError, match="damaged"):
            read_json(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(ModalignError, match=r"cannot write .*a\.bin: No space left"), atomic(target):
        Path("/dev/full").write_bytes(b"x" * 100_000)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_half_written_files_go_when_nobody_has_touched_them_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [".a.safetensors.0123abcd.tmp", "a.safetensors", ".a.lock", "other.tmp"]
    for name in names:
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / names[0], (0, 0))  # as one that is linked to an old file has it
    sweep_old(tmp_path)
    sweep_old(tmp_path / "absent")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + DAY + 60)
    sweep_old(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[1:])


LIMITED = """
import resource, signal, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from modalign.files import atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic(Path(sys.argv[1])) as partial:
        save_file({"x": torch.zeros(1000)}, str(partial))
except Exception as problem:
    print(type(problem).__name__, problem)
"""


def test_a_limit_that_a_library_tells_in_words_of_its_own_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    target = tmp_path / "a.safetensors"
    said = subprocess.run([sys.executable, "-c", LIMITED, str(target)], capture_output=True, text=True, check=True)
    why = f"{os.strerror(errno.EFBIG)}; nothing of it was left: make room, then run this again"
    assert said.stdout == f"DiskError cannot write {target}: {why}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_place_that_takes_no_files_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("x")
    for place in (tmp_path / "taken" / "a.json", tmp_path / "taken" / "deeper" / "a.json"):
        with pytest.raises(ModalignError, match=r"cannot write .*a.json: .*: choose another place"):
            write_json(place, {})

    def closed(self: Path, *args: object, **named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_text", closed)
    with pytest.raises(ModalignError, match=r"cannot write .*a.json: Permission denied; .*: choose another place"):
        write_json(tmp_path / "a.json", {})
    with pytest.raises(DiskError, match=r"cannot write .*a.json: No such file or directory; .*: choose another place"):
        write_json(Path("/proc/absent/a.json"), {})
    with pytest.raises(PermissionError), atomic(tmp_path / "out.npy"):  # what is read is not what is written
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "in.npy"))


def test_a_cache_that_takes_no_files_says_how_to_choose_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "features").write_text("x")
    with pytest.raises(ModalignError, match=r"choose another place by MODALIGN_CACHE=FOLDER$"):
        write_json(tmp_path / "cache" / "features" / "a.json", {})

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("MODALIGN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(ModalignError, match="no home folder is known"):
        cache_folder()
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ModalignError, match=r"choose another place$"):
        write_json(tmp_path / "taken" / "a.json", {})


def test_a_training_log_that_the_disk_does_not_take_is_named(tmp_path: Path) -> None:
    (tmp_path / RunFile.LOG).symlink_to("/dev/full")
    part = torch.nn.Linear(2, 2)
    keeper = Keeper(tmp_path, TrainingSettings(), part, part, torch.optim.SGD(part.parameters()), {}, Position())
    with pytest.raises(ModalignError, match=r"cannot write .*metrics\.jsonl: No space left .* earlier lines are kept"):
        keeper.log({"step": 1})


def test_damage_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1,\n "b" 2}')
    with pytest.raises(ModalignError, match=r"a\.json, line 2"):
        read_json(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModalignError, match="cannot be read"):
        read_json(path)
    with pytest.raises(ModalignError, match="model not found"):
        read_json(tmp_path / "none.json", "model")


def test_a_last_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"st')
    assert read_jsonl(path) == [{"step": 0}, {"step": 1}]
    path.write_text('{"st\n{"step": 1}\n')
    with pytest.raises(ModalignError, match="line 1"):
        read_jsonl(path)


def items() -> tuple[Views, dict]:
    z = Views(
        {"text": torch.eye(3), "image": torch.eye(3)[:2]},
        {"text": torch.tensor([4, 4, 6]), "image": torch.tensor([6, 8])},
    )
    entries = {
        "text": [{"split": "train", "text": "a"}, {"split": "test", "text": 'b "\n'}, {"split": "test", "text": "ü"}],
        "image": [{"split": "test", "picture": "media/6.png"}, {"split": "train"}],
    }
    return z, entries


def test_items_come_back_as_saved(tmp_path: Path) -> None:
    z, entries = items()
    Items(z, entries).write(tmp_path)
    back, found = Items.read(tmp_path)
    assert torch.equal(back["text"], z["text"])
    assert back.group["image"].tolist() == [6, 8]
    assert [e["text"] for e in found["text"]] == ["a", 'b "\n', "ü"]
    test, kept = Items.read(tmp_path).split("test")
    assert test.group["text"].tolist() == [4, 6]
    assert kept["image"] == [{"modality": "image", "group": 6, "split": "test", "picture": "media/6.png"}]


def test_modalities_may_share_one_group_tensor(tmp_path: Path) -> None:
    g = torch.arange(3)
    z = Views({"a": torch.eye(3), "b": torch.eye(3)}, {"a": g, "b": g})
    Items(z, {"a": [{}] * 3, "b": [{}] * 3}).write(tmp_path)
    assert Items.read(tmp_path)[0].group["b"].tolist() == [0, 1, 2]
    (tmp_path / "items.jsonl").write_text('["a"]\n')
    with pytest.raises(ModalignError, match="line 1 names no modality"):
        Items.read(tmp_path)


def test_items_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    z, entries = items()
    with pytest.raises(ModalignError, match="2 embeddings but 1 item"):
        Items(z, {**entries, "image": entries["image"][:1]}).write(tmp_path)
    with pytest.raises(ModalignError, match="holds no embedded items"):
        Items.read(tmp_path)
    Items(z, entries).write(tmp_path)
    lines = (tmp_path / "items.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "items.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(ModalignError, match="lists 1 items of 'image'"):
        Items.read(tmp_path)
    (tmp_path / "items.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModalignError, match="damaged"):
        Items.read(tmp_path)
