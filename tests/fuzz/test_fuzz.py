"""Damaged files of every kind that modalign reads: one line or an answer, never a traceback, a hang or gigabytes.

By default a few inputs of each kind; ``make fuzz`` tries 20,000 (MODALIGN_FUZZ). Inputs are drawn from a fixed seed.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modalign.bench.suite import build, read
from modalign.data.arrays import load_array
from modalign.data.manifest import Manifest
from modalign.data.media import load_image, load_sound
from modalign.data.named import read_named
from modalign.data.pairs import load_pairs
from modalign.errors import ModalignError
from modalign.features.store import Store
from modalign.metrics.key import Key
from modalign.runs import Result, Run
from modalign.search import Index
from modalign.search.items import conditions
from modalign.search.query import parse_query
from modalign.specification import from_toml, specification

from . import seeds

INPUTS = int(os.environ.get("MODALIGN_FUZZ", "0"))
SECONDS, MEMORY = 10, 1 << 30
FEW = 12  # damaged copies of each file in the default suite

PROFILE = {
    "max_examples": max(20, INPUTS // 20), "deadline": None, "derandomize": True, "database": None,
    "suppress_health_check": list(HealthCheck),
}  # fmt: skip


# ------------------------------------------------------------------ damage


def damaged(blob: bytes, draw: random.Random) -> bytes:
    """One to four small changes: bits, bytes, pieces cut, doubled, swapped or replaced by what often hurts."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(blob) + 1)
        size = min(draw.choice((1, 2, 4, 16, 64)), len(blob) - at)
        way = draw.randrange(7)
        if way == 0 and at < len(blob):
            blob = blob[:at] + bytes([blob[at] ^ (1 << draw.randrange(8))]) + blob[at + 1 :]
        elif way == 1:
            blob = blob[:at]
        elif way == 2:
            blob = blob[:at] + blob[at + size :]
        elif way == 3:
            blob = blob[: at + size] + blob[at:]
        elif way == 4:
            blob = blob[:at] + draw.choice(HURTS) + blob[at + size :]
        elif way == 5:
            blob = blob[:at] + draw.randbytes(size) + blob[at + size :]
        else:
            lines = blob.split(b"\n")
            i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            blob = b"\n".join(lines)
    return blob


HURTS = [
    b"", b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"-1", b"0", b"NaN", b"Infinity", b"1e999", b"9" * 25,
    b"null", b"[]", b"{}", b'"', b"'", b",", b"\n", b"\r\n", b"\t", b"../../etc/passwd", b"/dev/zero",
    b"/etc/passwd", b"\\ud83d", b"%s", b"{" * 2000, b"[" * 5000, "\u2028\U0001f600".encode(), b"true", b"a" * 5000,
    b"\0" * 4, b"\xff" * 7 + b"\x7f",
]  # fmt: skip


class HangError(Exception):
    """An input took too long."""


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Ends what takes longer than SECONDS, and tells what takes more than MEMORY."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise HangError(what)

    before = signal.signal(signal.SIGALRM, ring)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(SECONDS * (1 if INPUTS else 6))
    faulthandler.dump_traceback_later(120, exit=False)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
    assert grown < MEMORY, f"{what} took {grown >> 20} MiB"


def attack(place: Path, read: Callable[[Path], Any], copy: Path, share: float, seed: int) -> list[str]:
    """Damage the files of a place one at a time and read it. Returns what went wrong, a line each."""
    draw = random.Random(seed)
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    target = copy / place.name
    (shutil.copytree if place.is_dir() else shutil.copyfile)(place, target)
    victims = [p for p in (sorted(target.rglob("*")) if place.is_dir() else [target]) if p.is_file()]
    problems: list[str] = []
    for number in range(max(FEW, round(share * INPUTS))):
        path = draw.choice(victims)
        whole = path.read_bytes()
        if not whole:
            continue
        broken = damaged(whole, draw)
        path.unlink()  # files may be mapped
        path.write_bytes(broken)
        what = f"{place.name}: {path.relative_to(copy)}, seed {seed}, input {number}"
        try:
            with bounded(what), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(target)
        except ModalignError as problem:
            if "\n" in str(problem):
                problems.append(f"{what}: a message of several lines: {problem!r}")
        except Exception:
            problems.append(f"{what}: {broken[:60]!r}...\n{''.join(traceback.format_exc().splitlines(True)[-8:])}")
        path.unlink()
        path.write_bytes(whole)
    return problems


# ------------------------------------------------------------------ readers


def read_dataset(name: str) -> Callable[[Path], None]:
    def read(root: Path) -> None:
        rows = read_named(name, root / "list.csv" if name == "table" and root.is_dir() else root)
        top = (root if root.is_dir() else root.parent).resolve()
        for uri in rows.uri:
            if uri is not None and not uri.startswith(("http:", "https:")):
                inside = Path(uri.partition("::")[0]).resolve()
                assert inside.is_relative_to(top), f"{uri} lies outside of {top}"
        rows.fingerprint()

    return read


def read_run(folder: Path) -> None:
    run = Run.open(folder)
    _ = run.specification, run.environment, run.result, run.log
    if run.has_model:
        run.model.transform(torch_rows(5), run.model.heads.modalities[0])
    if run.has_items:
        run.items.split("test")


def torch_rows(width: int) -> Any:
    import torch

    return torch.ones(2, width)


def read_index(folder: Path) -> None:
    index = Index(folder)
    index.nearest(np.eye(index.dim)[0], list(index.modalities), 3, conditions(["year>3"]))


def read_store(folder: Path) -> None:
    store = Store.open(folder)
    store.views()


READERS: dict[str, Callable[[Path], Any]] = {
    "a.npy": load_array, "x.npz": load_array, "x.safetensors": load_array, "pairs.csv": load_pairs,
    "pairs.npy": load_pairs, "run": read_run, "store": read_store, "exact": read_index, "hnsw": read_index,
    "run.toml": from_toml, "suite.toml": read,
}  # fmt: skip
PICTURES = ("p.png", "p.jpeg", "p.gif", "p.bmp", "p.tiff", "p.webp", "p.svg", "s.wav")
SETS = (
    "coco", "flickr8k", "clotho", "esc50", "audiocaps", "audioset", "msrvtt", "youcook2", "howto100m", "folders",
    "clips", "films", "tuxpaint", "webdataset", "table.csv", "table.tsv", "table.jsonl", "table.parquet", "table.wide",
    "table.utf16",
)  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    for needed in ("faiss", "pyarrow", "soundfile", "soxr", "resvg_py"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    folders = [tmp_path_factory.mktemp(name) for name in ("sets", "products", "media")]
    return seeds.datasets(folders[0]) | seeds.products(folders[1]) | seeds.media(folders[2])


def judge(problems: list[str]) -> None:
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:5])


@pytest.mark.parametrize("name", SETS)
def test_data_sets(name: str, places: dict[str, Path], tmp_path: Path) -> None:
    judge(attack(places[name], read_dataset(name.partition(".")[0]), tmp_path / "copy", 0.022, 1))


@pytest.mark.parametrize("name", READERS)
def test_files_and_folders(name: str, places: dict[str, Path], tmp_path: Path) -> None:
    judge(attack(places[name], READERS[name], tmp_path / "copy", 0.022, 2))


@pytest.mark.parametrize("name", PICTURES)
def test_media(name: str, places: dict[str, Path], tmp_path: Path) -> None:
    """By the safe decoders alone."""
    read: Callable[[Path], Any] = load_sound if name.endswith("wav") else load_image
    judge(attack(places[name], lambda path: read(str(path)), tmp_path / "copy", 0.03, 3))


class Decoder:
    """``decode.py``, started again where a film has ended it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, path: Path) -> None:
        if self.process is None:
            program = [sys.executable, str(Path(__file__).with_name("decode.py"))]
            self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        try:
            pipe_in.write(f"{path}\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except BaseException:  # it takes too long
            self.end()
            raise
        if not line:
            code = self.end()
            raise AssertionError(f"the decoder was ended (code {code})")
        found = json.loads(line)
        assert not found["wrong"], found["wrong"]
        assert found["grown"] < MEMORY, f"{path} took {found['grown'] >> 20} MiB"

    def end(self) -> int:
        """Its exit code."""
        if self.process is None:
            return 0
        self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process = None
        return code


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.end()


@pytest.mark.parametrize("name", seeds.FILMS)
def test_films(name: str, decoder: Decoder, tmp_path: Path) -> None:
    """Pictures and sound of damaged films, in a process of their own."""
    pytest.importorskip("av", reason="av is not installed")
    place = seeds.film(tmp_path, name)
    decoder(place)
    judge(attack(place, decoder, tmp_path / "copy", 0.03, 4))


# ------------------------------------------------------------------ tables, requests and texts, by hypothesis

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def tables(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """Tables whose keys are often right and whose values are anything."""
    return st.dictionaries(st.sampled_from(keys) | st.text(max_size=6), PLAIN, max_size=6)


def answers_or_refuses(call: Callable[[], Any]) -> None:
    said = ""
    try:
        call()
    except ModalignError as problem:
        said = str(problem)
    assert "\n" not in said


@settings(**PROFILE)
@given(tables("data", "encoders", "method", "pairs", "seed", "metrics", "out"))
def test_specifications(table: dict[str, Any]) -> None:
    answers_or_refuses(lambda: specification(table))
    method = {"name": "full", **{k: v for k, v in table.items() if k != "name"}}
    answers_or_refuses(lambda: specification({"method": method, "data": table}))


@settings(**PROFILE)
@given(tables("name", "data", "methods", "settings", "seeds", "trials", "variants", "entries", "robustness"))
def test_suites(table: dict[str, Any]) -> None:
    answers_or_refuses(lambda: build(table))
    whole = {"name": "x", "data": {}, "methods": ["cca"], "settings": [table]}
    answers_or_refuses(lambda: build(whole))


@settings(**PROFILE)
@given(tables("format", "title", "methods", "budgets", "kinds", "scores", "label", "value"))
def test_results(table: dict[str, Any]) -> None:
    answers_or_refuses(lambda: Result.from_json(table))
    methods = {"a": {"label": "a", "scores": {"mean_recall": table}}}
    answers_or_refuses(lambda: Result.from_json({"format": 2, "title": "x", "methods": methods}))
    answers_or_refuses(lambda: Result.from_json({"format": 2, "title": "x", "methods": {"a": table}}))


@settings(**PROFILE)
@given(tables("group", "modality", "uri", "text", "start", "end", "split", "extra"))
def test_manifests(table: dict[str, Any]) -> None:
    answers_or_refuses(lambda: Manifest.from_rows([table]))
    answers_or_refuses(lambda: Manifest.from_rows([{"group": 0, "modality": "text", **table}]).fingerprint())


@settings(**PROFILE)
@given(st.text(max_size=20), st.text(max_size=20))
def test_names_queries_and_filters(text: str, other: str) -> None:
    answers_or_refuses(lambda: Key.parse(text))
    answers_or_refuses(lambda: conditions([text]))
    answers_or_refuses(lambda: parse_query({"text": [text]}, [other], [f"text={other}"]))


@pytest.fixture(scope="module")
def client(places: dict[str, Path]) -> Any:
    pytest.importorskip("starlette", reason="starlette is not installed")
    pytest.importorskip("httpx2", reason="httpx2 is not installed")
    from starlette.testclient import TestClient

    from modalign.search import open_space
    from modalign.serve.app import make_app
    from modalign.serve.state import State

    app = make_app(State([open_space(places["run"])], ["run"]))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=True)


MORE = dict.fromkeys(("k", "to", "where", "spaces", "correction"), PLAIN)
TERMS = st.lists(tables("kind", "value", "weight") | PLAIN, max_size=3)


@settings(**PROFILE)
@given(
    st.fixed_dictionaries({"terms": TERMS}, optional=dict.fromkeys(("k", "to", "where", "spaces", "correction"), PLAIN))
)
def test_requests(client: Any, body: dict[str, Any]) -> None:
    for address in ("/api/search", "/api/why", "/api/standing"):
        reply = client.post(address, content=json.dumps(body), headers={"content-type": "application/json"})
        assert reply.status_code in (200, 400, 404, 413, 415, 422), (address, body, reply.text)
        json.loads(reply.text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@settings(**PROFILE)
@given(st.text(alphabet="ab/.%\\-0123456789é ", max_size=30))
def test_addresses(client: Any, path: str) -> None:
    for start in ("/media/", "/api/map/", "/static/", "/"):
        reply = client.get("http://127.0.0.1" + start + path)  # "//a" alone would be a host
        assert reply.status_code in (200, 400, 404, 405, 422), (start + path, reply.status_code)
        assert "root:" not in reply.text
