"""One Parquet file of all items, in the columns that Embedding Atlas reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import modalign as ma
from modalign import cli
from modalign.runs.items import Items
from modalign.views import Views

parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet is written by pyarrow")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Items of two modalities, with words and one picture."""
    draw = torch.Generator().manual_seed(0)
    z = {
        m: torch.nn.functional.normalize(torch.randn(n, 8, generator=draw), dim=1)
        for m, n in (("image", 30), ("text", 25))
    }
    (tmp_path / "media").mkdir(parents=True)
    (tmp_path / "media" / "a.png").write_bytes(b"\x89PNG of a kind")
    entries = {
        "image": [{"split": "test", "row": i, **({"picture": "media/a.png"} if i == 0 else {})} for i in range(30)],
        "text": [{"split": "train", "row": i, "text": f"word {i}"} for i in range(25)],
    }
    Items(Views(z, {"image": torch.arange(30), "text": torch.arange(25)}), entries).write(tmp_path)
    return tmp_path


def test_every_item_is_a_row_with_its_place_neighbours_and_vector(run: Path) -> None:
    assert ma.exports.write_atlas(ma.Run.open(run), run / "items.parquet") == 55
    rows = parquet.read_table(run / "items.parquet").to_pylist()
    z = ma.Run.open(run).items.z
    points = torch.cat([z["image"], z["text"]])
    assert np.allclose([r["vector"] for r in rows], points, atol=1e-6)
    assert [r["row"] for r in rows] == list(range(55))
    assert rows[3]["text"] == "word 3"  # of its group
    assert rows[27]["text"] == ""
    assert rows[0]["image"]["bytes"] == b"\x89PNG of a kind"
    assert rows[1]["image"] is None
    assert {(r["modality"], r["split"]) for r in rows} == {("image", "test"), ("text", "train")}
    assert all(0 <= r[c] <= 1 for r in rows for c in "xy")
    cosine = points @ points.T - 9 * torch.eye(55)
    for i, r in enumerate(rows):
        assert r["neighbors"]["ids"] == cosine[i].argsort(descending=True)[:15].tolist()
        assert np.allclose(r["neighbors"]["distances"], 1 - cosine[i].sort(descending=True).values[:15], atol=1e-5)


def test_what_the_data_set_says_of_the_items_is_there_to_colour_them_by(run: Path) -> None:
    items = ma.Run.open(run).items
    for i, entry in enumerate(items.entries["text"]):
        entry |= {
            "kind": "odd" if i % 2 else "even",
            "x": i,
            "size": 3 if i else "small",
            "id": f"text/{i}",
            "long": 2**64 + i,
        }
    items.write(run)
    ma.exports.write_atlas(ma.Run.open(run), run / "items.parquet")
    rows = parquet.read_table(run / "items.parquet").to_pylist()
    assert [rows[i]["kind"] for i in (0, 30, 31)] == [None, "even", "odd"]
    assert [rows[i]["item_x"] for i in (0, 30, 31)] == [None, 0, 1]
    assert 0 <= rows[31]["x"] <= 1
    assert [rows[i]["size"] for i in (0, 30, 31)] == [None, "small", "3"]
    assert (rows[31]["id"], rows[31]["long"]) == ("text/1", "18446744073709551617")


def test_the_map_is_that_of_the_report_and_beyond_a_size_of_principal_components(run: Path) -> None:
    from modalign.report.projection import places, project

    z = ma.Run.open(run).items.z
    pairs = z.select({m: torch.arange(25) for m in z.modalities})  # the report shows groups that are whole
    layout, found = project(pairs, limit=3000), places(pairs)
    for m, start in (("image", 0), ("text", 25)):
        assert torch.allclose(found[start + layout.rows[m]], layout.xy[m], atol=1e-5)
    plain = places(z, limit=50)
    centred = torch.cat([torch.nn.functional.normalize(v - v.mean(0), dim=1) for v in z.data.values()])
    _, _, axes = torch.linalg.svd(centred - centred.mean(0))
    for k in (0, 1):
        line = (centred - centred.mean(0)) @ axes[k]
        best = max(abs(float(torch.corrcoef(torch.stack([plain[:, i], line]))[0, 1])) for i in (0, 1))
        assert best > 0.999


def test_by_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["export", str(run), "--to", "atlas", "--out", str(run / "out")])
    assert "items.parquet" in capsys.readouterr().out
    assert (run / "out" / "items.parquet").is_file()
