"""A small site with pictures, words and sounds, served in a thread; and a headless Chromium where there is one."""

from __future__ import annotations

import os
import shutil
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from modalign.model import Heads, Model
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.search import Index, Space, in_memory, open_space
from modalign.serve.app import make_app
from modalign.serve.state import State

N = 40
NASTY = '<img src=x onerror="document.title=1"> & <b>bold</b>'
WIDTHS = {"image": 1280, "text": 384, "audio": 384}
ENCODERS = {"image": {"name": "efficientnet-lite0"}, "text": {"name": "minilm"}, "audio": {"name": "logmel"}}


def tone(path: Path, pitch: float, seconds: float = 0.5, rate: int = 16000) -> None:
    t = np.arange(int(seconds * rate)) / rate
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((8000 * np.sin(2 * np.pi * pitch * t)).astype("<i2").tobytes())


def build(folder: Path, media: Path, seed: int) -> Path:
    """An index of pictures, words and sounds; its model's heads are random, so that any query has an answer."""
    torch.manual_seed(seed)
    heads = Heads({m: Head(FeatureMap(w), Projection(w, 24)) for m, w in WIDTHS.items()})
    Model(heads, ENCODERS, {}, {"name": "test"}).save(folder / "run")
    draw = torch.Generator().manual_seed(1)
    centre = torch.randn(N, 24, generator=draw)
    other = torch.Generator().manual_seed(seed)
    z = {m: centre + 0.7 * torch.randn(N, 24, generator=other) for m in WIDTHS}
    items: dict[str, list[dict[str, Any]]] = {
        "image": [{"group": i, "split": "test", "uri": str(media / f"{i}.png")} for i in range(N)],
        "text": [{"group": i, "split": "dev", "text": NASTY if i == 0 else f"thing {i}"} for i in range(N)],
        "audio": [{"group": i, "split": "test", "uri": str(media / f"{i}.wav")} for i in range(N)],
    }
    items["image"][1]["uri"] = "/etc/passwd"  # an index that was tampered with
    facts = {"title": "Things", "attribution": "Pictures: nobody, CC0"}
    Index.build(folder / "index", z, items, model=folder / "run", facts=facts)
    return folder / "index"


class Site(NamedTuple):
    """What is served, from where, and its state."""

    address: str
    spaces: list[Space]
    state: State
    media: Path


def _serve(state: State) -> Iterator[str]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(make_app(state), port=0, log_level="error", server_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    for needed in ("starlette", "uvicorn", "faiss", "pyarrow", "soundfile", "soxr"):
        pytest.importorskip(needed, reason=f"{needed} is not installed (pip install 'modalign[serve,search,audio]')")
    media = tmp_path_factory.mktemp("media")
    for i in range(N):
        Image.new("RGB", (32, 24), (6 * i, 250 - 6 * i, 120)).save(media / f"{i}.png")
        tone(media / f"{i}.wav", 200 + 20 * i)
    return [build(tmp_path_factory.mktemp(name), media, seed) for name, seed in (("left", 1), ("right", 2))], media


@pytest.fixture(scope="session")
def site(folders: tuple[list[Path], Path]) -> Iterator[Site]:
    """One index."""
    spaces = [open_space(folders[0][0])]
    state = State(spaces, ["left"])
    for address in _serve(state):
        yield Site(address, spaces, state, folders[1])


@pytest.fixture(scope="session")
def pair(folders: tuple[list[Path], Path]) -> Iterator[Site]:
    """Two indexes of the same things."""
    spaces = [open_space(f) for f in folders[0]]
    state = State(spaces, ["left", "right"])
    for address in _serve(state):
        yield Site(address, spaces, state, folders[1])


@pytest.fixture(scope="session")
def three(folders: tuple[list[Path], Path]) -> Iterator[Site]:
    """Three runs of the same things."""
    spaces = [open_space(folders[0][i]) for i in (0, 1, 0)]
    state = State(spaces, ["left", "right", "again"])
    for address in _serve(state):
        yield Site(address, spaces, state, folders[1])


@pytest.fixture(scope="session")
def plain() -> Iterator[Site]:
    """Arrays that no encoder made: nothing can be asked in words."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (pip install 'modalign[serve]')")
    draw = torch.Generator().manual_seed(0)
    z = {m: torch.randn(50, 8, generator=draw) for m in ("left", "right")}
    spaces = [Space(Path("arrays"), in_memory(z, {m: [{"group": i, "row": i} for i in range(50)] for m in z}), None)]
    state = State(spaces, ["arrays"])
    for address in _serve(state):
        yield Site(address, spaces, state, Path())


@pytest.fixture(scope="session")
def _chromium() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium with its driver is installed (Debian: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--window-size=1360,1000",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=Service(driver))
    yield chromium
    chromium.quit()


@pytest.fixture
def chromium(_chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A browser; with MODALIGN_SCREENSHOTS a picture of each test's end is left in that folder."""
    _chromium.get("about:blank")
    _chromium.get_log("browser")
    _chromium.get_log("performance")
    yield _chromium
    place = os.environ.get("MODALIGN_SCREENSHOTS")
    if place:
        Path(place).mkdir(parents=True, exist_ok=True)
        _chromium.save_screenshot(str(Path(place) / f"{request.node.name}.png"))
    _chromium.get("about:blank")  # no page lives on behind the test: its threads for sound run before all others
