"""Tables of LanceDB as a source of features, in a folder and in an object store, and what was written there by us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign import cli
from modalign.data.arrays import load_array
from modalign.errors import ModalignError
from modalign.search import Index
from modalign.search.sinks import LanceSink

from .object_store import serving

lancedb = pytest.importorskip("lancedb", reason="LanceDB is not installed (pip install 'modalign[lance]')")
arrow = pytest.importorskip("pyarrow")


@pytest.fixture(params=["folder", "object store"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a database may be: both ways in."""
    if request.param == "folder":
        yield str(tmp_path / "db")
        return
    with serving() as (address, objects):
        known = {"ENDPOINT": address, "ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
        for name, value in {**known, "REGION": "us-east-1"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        yield "s3://bucket/db"
        assert any(name.startswith("bucket/db/") for name in objects)


def write(database: str, n: int = 300) -> dict[str, np.ndarray]:
    """A table with two columns of vectors that have something to do with each other."""
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(n, 6))
    widths = {"image": 24, "text": 16}
    made = {m: shared @ draw.normal(size=(6, w)) + 0.3 * draw.normal(size=(n, w)) for m, w in widths.items()}
    columns = {"id": arrow.array([str(i) for i in range(n)])}
    for m, x in made.items():
        flat = arrow.array(x.astype("f4").ravel())
        columns[m] = arrow.FixedSizeListArray.from_arrays(flat, x.shape[1])
    lancedb.connect(database).create_table("items", data=arrow.table(columns))
    return made


def test_a_table_is_read_as_arrays_are(database: str) -> None:
    made = write(database)
    for m, x in made.items():
        assert np.array_equal(load_array(f"{database}/items.lance#{m}").numpy(), x.astype("f4"))
    with pytest.raises(ModalignError, match=r"2 columns of vectors \(image, text\): name one behind a #"):
        load_array(f"{database}/items.lance")
    with pytest.raises(ModalignError, match="'sound'"):
        load_array(f"{database}/items.lance#sound")
    with pytest.raises(ModalignError, match="LanceDB"):
        load_array(f"{database}/others.lance")


def scores(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, object]:
    """What a command that fits CCA measured."""
    cli.main([*command, "--json"])
    return json.loads(capsys.readouterr().out)["methods"]["cca"]["scores"]


def test_arrays_of_a_table_are_aligned_by_the_program(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write(database)
    for m, x in made.items():
        np.save(tmp_path / f"{m}.npy", x.astype("f4"))
    settings = ["--method", "cca", "--dim", "6", "--out"]
    files = scores(capsys, "align", *(str(tmp_path / f"{m}.npy") for m in made), *settings, str(tmp_path / "files"))
    table = scores(capsys, "align", *(f"{database}/items.lance#{m}" for m in made), *settings, str(tmp_path / "table"))
    assert files == table
    monkeypatch.chdir(tmp_path)  # the run says where its features lie, wherever it is read
    words = (tmp_path / "table" / "config.toml").read_text()
    (tmp_path / "again.toml").write_text(words.replace(str(tmp_path / "table"), str(tmp_path / "again")))
    assert scores(capsys, "train", "again.toml") == table


def test_what_an_index_wrote_comes_back_by_modality(database: str, tmp_path: Path) -> None:
    z = {m: torch.nn.functional.normalize(torch.randn(n, 8), dim=1) for m, n in (("image", 40), ("text", 25))}
    items = {m: [{"group": i} for i in range(len(x))] for m, x in z.items()}
    sink = LanceSink(database)
    assert sink.write(Index.build(tmp_path / "index", z, items)) == 65
    for m, x in z.items():
        assert torch.allclose(load_array(f"{database}/items.lance#{m}"), x, atol=1e-6)
    assert sink.search(z["text"][3].numpy(), "text", 1)[0]["id"] == "text/3"
    with pytest.raises(ModalignError, match="'sound'"):
        load_array(f"{database}/items.lance#sound")
