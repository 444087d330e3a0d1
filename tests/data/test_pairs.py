"""Which rows are the same thing: pairs of row numbers and of ids, and rows that share an id."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign import cli
from modalign.data.pairs import joined, load_ids, load_pairs
from modalign.errors import ModalignError

X = {"photo": torch.eye(3), "caption": torch.eye(4)}
IDS = {"photo": ["p2.jpg", "p0.jpg", "p1.jpg"], "caption": ["17", "4", "99", "a, b"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", 'photo,caption\np2.jpg,99\np1.jpg,"a, b"\n'),
        ("p.csv", 'p2.jpg,99\np1.jpg,"a, b"\n'),
        ("p.csv", '"picture";"words"\r\n"p2.jpg";"99"\r\n"p1.jpg";"a, b"\r\n'),
        ("p.tsv", "photo\tcaption\np2.jpg\t99\n\np1.jpg\ta, b\n"),
    ],
)
def test_pairs_of_ids_become_row_numbers(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert load_pairs(tmp_path / name, ("photo", "caption"), IDS).tolist() == [[0, 2], [2, 3]]


def test_pairs_of_ids_in_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([["p0.jpg", "4"], ["p1.jpg", "17"]]))
    assert load_pairs(tmp_path / "p.npy", ("photo", "caption"), IDS).tolist() == [[1, 1], [2, 0]]
    np.save(tmp_path / "p.npy", np.array([[40, 7]]))
    assert load_pairs(tmp_path / "p.npy", ("a", "b"), {"a": ["30", "40"], "b": ["7"]}).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p2.jpg,5\n", "line 1: 'caption' has no id '5'$"),
        ("photo,caption\n99,p2.jpg\n", "line 2: 'photo' has no id '99': .* give the ids of 'photo' first"),
        ("caption,photo\np2.jpg,99\n", "the columns caption, photo: give the rows of photo first"),
        ("p2.jpg,99,4\n", "line 1: expected two ids, got 'p2.jpg', '99', '4'"),
        ("photo,caption\n", "has no pairs"),
    ],
)
def test_pairs_of_ids_that_are_wrong_are_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ModalignError, match=message):
        load_pairs(tmp_path / "p.csv", ("photo", "caption"), IDS)


def test_an_id_of_several_rows_makes_no_pair(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("a,b\n1,1\n")
    with pytest.raises(ModalignError, match="line 2: several rows of 'b' have the id '1'"):
        load_pairs(tmp_path / "p.csv", ("a", "b"), {"a": ["1", "2"], "b": ["1", "1"]})


@pytest.mark.parametrize(
    ("header", "sides", "turned"),
    [
        ("caption,photo", ("photo", "caption"), True),
        ("Caption_id,Photo_id", ("photo", "caption"), True),
        ("y,x", ("x", "y"), True),
        ("image2,image", ("image", "image2"), True),
        ("photo,caption", ("photo", "caption"), False),
        ("first,second", ("photo", "caption"), False),
        ("image,image2", ("image", "image2"), False),
        ("members,labels", ("a", "b"), False),
        ("photo,photo_caption", ("photo", "caption"), False),
    ],
)
def test_columns_in_the_other_order_are_refused(
    tmp_path: Path, header: str, sides: tuple[str, str], turned: bool
) -> None:
    (tmp_path / "p.csv").write_text(f"{header}\n3,5\n")
    if turned:
        with pytest.raises(ModalignError, match=f"give the rows of {sides[0]} first"):
            load_pairs(tmp_path / "p.csv", sides)
    else:
        assert load_pairs(tmp_path / "p.csv", sides).tolist() == [[3, 5]]


def test_pairs_of_ids_without_ids_say_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("photo,caption\np2.jpg,c99\n")
    with pytest.raises(ModalignError, match=r"line 2: expected two row numbers .* need the ids of all rows \(--ids\)"):
        load_pairs(tmp_path / "p.csv", ("photo", "caption"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("i.txt", "p 1.jpg\np,2.jpg\n\n3\n"),
        ("i.csv", '"p 1.jpg"\n"p,2.jpg"\n3\n'),
        ("i.csv", 'id\np 1.jpg\n"p,2.jpg"\n3\n'),
        ("i.tsv", "id\r\np 1.jpg\r\np,2.jpg\r\n3\r\n"),
    ],
)
def test_ids_of_any_usual_form(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert load_ids({"a": tmp_path / name}, {"a": 3}) == {"a": ["p 1.jpg", "p,2.jpg", "3"]}


def test_ids_in_an_array(tmp_path: Path) -> None:
    for ids in (np.array([7, 8, 7]), np.array(["7", "8", "7"])):
        np.save(tmp_path / "i.npy", ids)
        assert load_ids({"a": tmp_path / "i.npy"}, {"a": 3}) == {"a": ["7", "8", "7"]}
    np.save(tmp_path / "i.npy", np.eye(3))
    with pytest.raises(ModalignError, match="ids must be text or whole numbers"):
        load_ids({"a": tmp_path / "i.npy"}, {"a": 3})


def test_ids_are_a_column_of_a_store(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "store.parquet"

    def ids_of(columns: dict[str, object]) -> list[str]:
        parquet.write_table(arrow.table(columns), path)
        return load_ids({"a": path}, {"a": 2})["a"]

    assert ids_of({"vector": [[1.0], [2.0]], "id": ["p 1", "7"]}) == ["p 1", "7"]
    assert ids_of({"name": [3, 4]}) == ["3", "4"]
    assert ids_of({"name": ["a ", "b"], "__index_level_0__": [7, 8]}) == ["a", "b"]  # as pandas writes it
    assert ids_of({"id": arrow.array(["x", "y"]).dictionary_encode()}) == ["x", "y"]
    for columns, message in (
        ({"name": [3, 4], "key": ["a", "b"]}, "has the columns name, key: name that of the ids behind a #, .*#COLUMN"),
        ({}, "has the columns none"),
        ({"id": ["a", " "]}, "row 1: no id"),
        ({"id": ["a", None]}, "row 1: no id"),
        ({"id": [0.5, 1.0]}, "ids must be text or whole numbers, but 'id' of .* is double"),
        ({"id": ["a"]}, "has 1 ids, but 'a' has 2 rows"),
    ):
        with pytest.raises(ModalignError, match=message):
            ids_of(columns)
    twice = arrow.Table.from_arrays([arrow.array(["a"]), arrow.array(["b"])], names=["id", "id"])
    parquet.write_table(twice, path)
    with pytest.raises(ModalignError, match="has the columns id, id"):
        load_ids({"a": path}, {"a": 1})
    path.write_bytes(b"PAR1")
    with pytest.raises(ModalignError, match="file of ids is damaged"):
        load_ids({"a": path}, {"a": 2})
    with pytest.raises(ModalignError, match=r"a file of pairs ends in .csv, .tsv, .txt, .npy, got"):
        load_pairs(path)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_ids_are_any_column_that_is_named_behind_the_file(tmp_path: Path, ending: str) -> None:
    pandas = pytest.importorskip("pandas")
    captions = ["a dog,\nrunning", "a cat", "x"]
    table = pandas.DataFrame({"caption": captions, "id": [1, 2, 3], "key": ["c1", "c 2", "c3"]})
    path = tmp_path / f"a#b.{ending}"  # a # of its own
    if ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if ending == "tsv" else ",", index=False)
    assert load_ids({"a": Path(f"{path}#key")}, {"a": 3}) == {"a": ["c1", "c 2", "c3"]}
    with pytest.raises(ModalignError, match=r"unknown column of .* 'keys': did you mean 'key'"):
        load_ids({"a": Path(f"{path}#keys")}, {"a": 3})
    table.loc[1, "key"] = None
    table.to_parquet(path) if ending == "parquet" else table.to_csv(path, sep="\t" if ending == "tsv" else ",")
    with pytest.raises(ModalignError, match="row 1: no id"):
        load_ids({"a": Path(f"{path}#key")}, {"a": 3})


def test_a_list_of_several_columns_says_how_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("key,caption\nc1,a dog\n")
    with pytest.raises(ModalignError, match=r"line 1: expected one id, got 'key', 'caption': .* i.csv#key"):
        load_ids({"a": tmp_path / "i.csv"}, {"a": 1})
    (tmp_path / "i.csv").write_text("key;caption\nc1;a dog, brown\n")
    with pytest.raises(ModalignError, match=r"line 2: expected one id, .*: name their column, i.csv#COLUMN"):
        load_ids({"a": tmp_path / "i.csv"}, {"a": 1})
    (tmp_path / "i.txt").write_text("c1\n")
    with pytest.raises(ModalignError, match="has no columns: give the file of ids without '#key'"):
        load_ids({"a": tmp_path / "i.txt#key"}, {"a": 1})


def test_ids_are_a_column_of_a_table_of_lancedb(tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb")
    rows = [{"id": f"p{i}", "number": i, "vector": [float(i), 1.0]} for i in range(5)]
    table = lancedb.connect(tmp_path).create_table("items", rows[:3])
    table.add(rows[3:])
    place = tmp_path / "items.lance"
    assert load_ids({"a": place}, {"a": 5}) == {"a": ["p0", "p1", "p2", "p3", "p4"]}
    assert load_ids({"a": Path(f"{place}#number")}, {"a": 5}) == {"a": ["0", "1", "2", "3", "4"]}
    with pytest.raises(ModalignError, match=r"unknown column of ids of .* 'vector' .known: id, number"):
        load_ids({"a": Path(f"{place}#vector")}, {"a": 5})


def test_ids_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("a,b\nc,d\n")
    with pytest.raises(ModalignError, match="line 1: expected one id, got 'a', 'b'"):
        load_ids({"a": tmp_path / "i.csv"}, {"a": 3})
    (tmp_path / "i.txt").write_text("1\n2\n")
    with pytest.raises(ModalignError, match="has 2 ids, but 'a' has 3 rows"):
        load_ids({"a": tmp_path / "i.txt"}, {"a": 3})
    with pytest.raises(ModalignError, match="one file per array: there are arrays of a, b and ids of a"):
        load_ids({"a": tmp_path / "i.txt"}, {"a": 2, "b": 2})
    with pytest.raises(ModalignError, match=r"no two arrays share an id \('1' of 'a', '2' of 'b', ...\)"):
        joined({"a": torch.eye(1), "b": torch.eye(1)}, ids={"a": ["1"], "b": ["2"]})


def test_rows_that_share_an_id_are_one_thing() -> None:
    ids = {"a": ["x", "y"], "b": ["y", "z", "y"], "c": ["z"]}
    views = joined({"a": torch.eye(2), "b": torch.eye(3), "c": torch.eye(1)}, ids=ids)
    assert views.paired("a", "b").tolist() == [[1, 0], [1, 2]]
    assert views.paired("b", "c").tolist() == [[1, 0]]
    assert not len(views.paired("a", "c"))


@pytest.mark.parametrize("by", ["pairs of ids", "equal ids", "pairs of rows"])
def test_aligned_by_ids_the_run_knows_its_items_by_them(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same partners, so the same heads, however they are told; captions lie in another order than photos."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    meaning, order = draw.normal(size=(80, 8)), draw.permutation(80)
    np.save("photo.npy", meaning @ draw.normal(size=(8, 12)))
    np.save("caption.npy", meaning[order] @ draw.normal(size=(8, 10)))
    back = np.argsort(order)
    Path("rows.csv").write_text("".join(f"{i},{back[i]}\n" for i in range(80)))
    Path("pairs.csv").write_text("photo,caption\n" + "".join(f"p{i}.jpg,c{i}\n" for i in range(80)))
    Path("photo.txt").write_text("".join(f"p{i}.jpg\n" for i in range(80)))
    Path("caption.txt").write_text("".join(f"p{i}.jpg\n" if by == "equal ids" else f"c{i}\n" for i in order))
    told = {
        "pairs of ids": ["--pairs", "pairs.csv", "--ids", "photo.txt", "caption.txt"],
        "equal ids": ["--ids", "photo.txt", "caption.txt"],
        "pairs of rows": ["--pairs", "rows.csv"],
    }[by]
    cli.main(["diagnose", "photo.npy", "caption.npy", *told, "--json"])
    assert json.loads(capsys.readouterr().out)["advice"] == "strong"
    cli.main(["align", "photo.npy", "caption.npy", *told, "--method", "csa", "--out", "my run", "--json"])
    assert json.loads(capsys.readouterr().out)
    cli.main(["index", "my run"])
    called = "photo/p7.jpg" if "--ids" in told else "photo/7"
    assert "search it:  modalign search 'my run/index' --item caption/" in capsys.readouterr().out
    wanted = {"pairs of ids": "caption/c7", "equal ids": "caption/p7.jpg", "pairs of rows": f"caption/{back[7]}"}[by]
    for place in ("my run", "my run/index"):
        cli.main(["search", place, "--item", called, "--to", "caption", "-k", "1", "--json"])
        hit = json.loads(capsys.readouterr().out)["hits"][0]
        assert hit["id"] == wanted
        assert hit["name"] == (wanted.partition("/")[2] if "--ids" in told else f"caption {back[7]}")
    page = Path("my run/report.html").read_text()
    shown = re.findall(r"p\d+\.jpg" if "--ids" in told else r"photo, row \d+", page)
    assert len(set(shown)) > 5  # the report calls the held-out items so


def test_one_id_too_many_is_no_column_name(tmp_path: Path) -> None:
    """Every id was that of the row before it."""
    path = tmp_path / "ids.csv"
    for ids in (["10", "11", "12"], ["img_0", "img_1", "img_2"]):
        path.write_text("\n".join(ids))
        with pytest.raises(ModalignError, match="has 3 ids, but 'a' has 2 rows"):
            load_ids({"a": path}, {"a": 2})
        path.write_text("\n".join(["photo", *ids]))
        assert load_ids({"a": path}, {"a": 3}) == {"a": ids}


def test_a_first_pair_of_unknown_ids_is_no_header(tmp_path: Path) -> None:
    path, ids = tmp_path / "pairs.csv", {"a": ["img_1", "img_2"], "b": ["txt_1", "txt_2"]}
    path.write_text("img_9,txt_9\nimg_1,txt_2\n")
    with pytest.raises(ModalignError, match="line 1: 'a' has no id 'img_9'"):
        load_pairs(path, ("a", "b"), ids)
    path.write_text("photo,caption\nimg_1,txt_2\n")
    assert load_pairs(path, ("a", "b"), ids).tolist() == [[0, 1]]
