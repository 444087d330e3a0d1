"""What the tables of ids say of the rows of plain arrays, and where it is seen."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modalign import cli
from modalign.data.facts import read_facts

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

TABLE = {
    "key": ["a", "b"],
    "Caption": ["a dog", None],
    "title": ["one", "two"],
    "width": [640, 800],
    "day": [datetime.date(2026, 11, 5), None],
    "tags": [["red", "old"], []],
    "row": [7, 8],
    "blob": [b"x", b"y"],
    "vector": [[0.5, 1.0], [0.25, 2.0]],
}


def test_a_table_says_words_numbers_and_dates_of_its_rows(tmp_path: Path) -> None:
    pandas.DataFrame(TABLE).to_parquet(tmp_path / "t.parquet")
    facts, notes = read_facts(f"{tmp_path}/t.parquet#key", ["row"])
    assert facts == [
        {"text": "a dog", "title": "one", "width": 640, "day": datetime.date(2026, 11, 5), "tags": ["red", "old"]},
        {"title": "two", "width": 800, "tags": []},
    ]
    assert notes == [  # the vectors are the array itself
        "t.parquet: items do not get blob (no words, numbers or dates)",
        "t.parquet: items do not get row (items have such a name)",
    ]
    pandas.DataFrame(TABLE).drop(columns=["blob", "vector", "tags"]).to_csv(tmp_path / "t.tsv", sep="\t")
    facts, notes = read_facts(f"{tmp_path}/t.tsv#key", ["row"])
    assert facts[0] == {"text": "a dog", "title": "one", "width": "640", "day": "2026-11-05"}
    assert facts[1] == {"title": "two", "width": "800"}
    assert notes == ["t.tsv: items do not get row (items have such a name)"]


def test_a_cell_of_words_is_one_text_whatever_its_type(tmp_path: Path) -> None:
    captions = [["a dog", " it runs"], [], [None], None]
    pandas.DataFrame({"id": range(4), "captions": captions}).to_parquet(tmp_path / "t.parquet")
    assert read_facts(tmp_path / "t.parquet") == ([{"text": "a dog; it runs"}, {}, {}, {}], [])
    pandas.DataFrame({"id": range(2), "title": [1984, 2001]}).to_parquet(tmp_path / "t.parquet")
    assert read_facts(tmp_path / "t.parquet") == ([{"text": "1984"}, {"text": "2001"}], [])


def test_places_of_pictures_that_items_cannot_have_are_told(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    places = ["a.png", "https://x.org/photo?id=3", None]
    pandas.DataFrame({"id": range(3), "uri": places}).to_parquet(tmp_path / "t.parquet")
    facts, notes = read_facts(tmp_path / "t.parquet", ["uri"])
    assert facts == [{"uri": str(tmp_path / "a.png")}, {}, {}]
    assert notes == [
        "t.parquet: items do not get https://x.org/photo?id=3 (files of uri that are not in its folder)",
    ]


def test_a_table_of_lancedb_says_as_much_as_one_of_parquet(tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb")
    arrow = pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(TABLE).drop(columns="vector")
    frame.to_parquet(tmp_path / "t.parquet")
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array([0.5, 1.0, 0.25, 2.0], arrow.float32()), 2)
    table = arrow.Table.from_pandas(frame, preserve_index=False).append_column("vector", vectors)
    lancedb.connect(tmp_path).create_table("t", table)
    facts, notes = read_facts(f"{tmp_path}/t.lance#key", ["row"])
    assert facts[0]["text"] == "a dog"
    known, told = read_facts(f"{tmp_path}/t.parquet#key", ["row"])
    assert (facts, notes) == (known, [line.replace("t.parquet", "t.lance") for line in told])


def test_a_column_that_is_there_twice_is_told(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    columns = [arrow.array(["a", "b"])] * 3
    pytest.importorskip("pyarrow.parquet").write_table(
        arrow.table(columns, names=["id", "t", "t"]), tmp_path / "t.parquet"
    )
    assert read_facts(tmp_path / "t.parquet") == (
        [{}, {}],
        ["t.parquet: items do not get t (a name of several columns)"],
    )


@pytest.mark.parametrize("name", ["t.parquet", "t.txt", "t.csv"])
def test_ids_alone_say_nothing_else(tmp_path: Path, name: str) -> None:
    if name == "t.parquet":
        pandas.DataFrame({"key": ["a", "b"]}).to_parquet(tmp_path / name)
    else:
        (tmp_path / name).write_text("a\nb\n")
    assert read_facts(tmp_path / name) in (([], []), ([{}, {}], []))


def test_items_of_arrays_are_called_and_found_by_what_their_table_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng, order = np.random.default_rng(0), np.random.default_rng(1).permutation(60)
    shared = rng.normal(size=(60, 4))
    photo, words = (shared @ rng.normal(size=(4, d)) + 0.05 * rng.normal(size=(60, d)) for d in (12, 8))
    columns = {"id": [f"p{i}" for i in range(60)], "width": list(range(60)), "vector": list(photo), "row": [0] * 60}
    pandas.DataFrame(columns).to_parquet("photo.parquet")
    pandas.DataFrame({"key": [f"c{i}" for i in order], "caption": [f"thing {i}" for i in order]}).to_csv("c.csv")
    np.save("caption.npy", words[order])
    Path("pairs.csv").write_text("photo,caption\n" + "".join(f"p{i},c{i}\n" for i in range(40)))
    cli.main(
        ["align", "photo.parquet#vector", "caption.npy", "--names", "photo", "caption", "--ids", "photo.parquet",
         "c.csv#key", "--pairs", "pairs.csv", "--method", "cca", "--out", "run"]
    )  # fmt: skip
    assert "photo.parquet: items do not get row (items have such a name)" in capsys.readouterr().err
    cli.main(["search", "run", "--item", "photo/p50", "--to", "caption", "--json"])
    first = json.loads(capsys.readouterr().out)["hits"][0]
    assert (first["name"], first["id"]) == ("thing 50", "caption/c50")
    cli.main(["search", "run", "--item", "caption/c50", "--to", "photo", "--where", "width>=50", "-k", "10", "--json"])
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert sorted(h["extra"]["width"] for h in hits) == list(range(50, 60))
    assert (hits[0]["name"], hits[0]["id"]) == ("p50", "photo/p50")
    assert "thing 3" in Path("run/report.html").read_text()


def test_pictures_beside_a_table_are_shown_and_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in/photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "in")
    for i in range(40):
        Image.new("RGB", (40, 20), (6 * i, 0, 0)).save(f"photos/{i}.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    Path("photos/7.png").write_bytes(b"no picture")
    files = [f"photos/{i}.png" for i in range(40)]
    files[3:6] = ["../secret.png", "gone.png", str(tmp_path / "in/photos/5.png")]
    x = np.random.default_rng(0).normal(size=(40, 6))
    ids = [f"p{i}" for i in range(40)]
    pandas.DataFrame({"id": ids, "file_name": files, "vector": list(x), "text": ids}).to_parquet("p.parquet")
    np.save("q.npy", x @ np.random.default_rng(1).normal(size=(6, 5)))
    Path("q.txt").write_text("\n".join(ids))
    cli.main(
        ["align", "p.parquet#vector", "q.npy", "--names", "photo", "q", "--ids", "p.parquet", "q.txt", "--method",
         "cca", "--out", "run"]
    )  # fmt: skip
    told = capsys.readouterr().err
    assert "items do not get ../secret.png, gone.png (files of file_name that are not in its folder)" in told
    assert "note: pictures that cannot be drawn are not shown: " in told
    assert "7.png" in told.rpartition("not shown")[2]
    cli.main(["search", "run", "--item", "q/p5", "--to", "photo", "-k", "40", "--json"])
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert (hits[0]["id"], hits[0]["name"]) == ("photo/p5", "p5")
    assert sorted(h["id"] for h in hits if not h["picture"]) == ["photo/p3", "photo/p4", "photo/p7"]
    with Image.open(Path("run") / hits[0]["picture"]) as small:
        assert small.getpixel((0, 0)) == (30, 0, 0)
