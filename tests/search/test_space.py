"""Runs and indexes answer alike, from Python and from the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign import cli
from modalign.errors import ModalignError
from modalign.search import Index, Query, open_space
from modalign.search.analysis import Analysis, neighbourhood
from modalign.search.gallery import in_memory
from modalign.search.layout import _groups, spot, standing
from modalign.search.part import Place

from .conftest import cloud, entries, write_run


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_run_and_its_index_give_the_same_answers(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    pytest.importorskip("pyarrow")
    code, out, err = call(capsys, "index", run, "--json")
    assert code == 0, err
    assert json.loads(out)["items"] == {"image": 60, "text": 60}
    for options in (
        ["--item", "text/7"],
        ["--item", "text/7", "--item", "image/9", "--weight", "item.2=0.3", "--to", "any"],
        ["--item", "text/7", "--minus", "item=text/8", "--where", "split=dev"],
        ["--item", "image/7", "--to", "text", "--correction", "csls", "-k", "3"],
    ):
        answers = []
        for place in (run, run / "index"):
            code, out, err = call(capsys, "search", place, *options, "--json")
            assert code == 0, err
            answers.append({k: v for k, v in json.loads(out).items() if k != "run"})
        assert answers[0] == answers[1], options


def test_what_a_hit_is(run: Path) -> None:
    space = open_space(run)
    result = space.search(Query().item("text/7"), k=3)
    assert result["to"] == ["image"]
    first = result["hits"][0]
    value = space.gallery.vectors("image", range(60)).astype(np.float64) @ space.gallery.vectors("text", [7])[0]
    row = int(value.argmax())
    assert first["id"] == f"image/{row}"
    assert first["cosine"] == first["score"] == pytest.approx(float(value.max()), abs=1e-6)
    assert first["name"] == f"thing {row}"  # a picture goes by the words of its group
    assert Path(first["file"]) == run / "media" / f"{row}.png"
    assert first["extra"] == {"year": 2000 + row % 30, "fresh": row % 2 == 0}
    chance = result["chance"]["image"]
    assert chance["mean"] == pytest.approx(float(value.mean()), abs=1e-4)
    assert chance["high"] == pytest.approx(float(np.quantile(value, 0.95)), abs=1e-3)


def test_an_item_is_no_result_of_itself(run: Path) -> None:
    space = open_space(run)
    hits = space.search(Query().item("text/7"), to="text", k=5)["hits"]
    assert len(hits) == 5
    assert "text/7" not in [h["id"] for h in hits]


def test_where_to_search_by_itself(run: Path) -> None:
    space = open_space(run)
    assert space.targets(Query().item("image/3"), None) == ["text"]
    assert space.targets(Query().item("text/3"), None) == ["image"]
    assert space.targets(Query().item("text/3").item("image/1"), None) == ["image"]
    assert space.targets(Query().item("text/3"), ["any"]) == ["image", "text"]
    with pytest.raises(ModalignError, match="did you mean 'image'"):
        space.targets(Query().item("text/3"), "imge")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "search needs a query"),
        (["a word"], "no encoder for 'text'"),
        (["--item", "text/99"], "no item 'text/99'"),
        (["--item", "text/1", "-k", "0"], "k must be at least 1"),
        (["--item", "text/1", "--where", "splt=dev"], "did you mean 'split'"),
        (["--item", "text/1", "--correction", "cls"], "did you mean 'csls'"),
        (["--item", "text/1", "--weight", "text=2"], "unknown part of the query"),
        (["--item", "text/1", "--minus", "item=text/1"], "cancel each other"),
        (["--image", "none.png"], "picture not found: none.png"),
    ],
)
def test_mistakes(options: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "search", run, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_other_folders_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "places.safetensors").write_bytes(b"")
    code, _, err = call(capsys, "search", tmp_path, "--item", "a")
    assert (code, "is a feature store" in err) == (2, True)
    code, _, err = call(capsys, "index", run, "--kind", "fast")
    assert (code, "unknown kind of index 'fast'" in err) == (2, True)
    code, _, err = call(capsys, "serve")
    assert (code, "needs a run folder" in err) == (2, True)


def test_pictures_outside_the_run_are_not_touched(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cloud(5))
    lines = (run / "items.jsonl").read_text().replace("media/2.png", "../../secret.png")
    (run / "items.jsonl").write_text(lines)
    space = open_space(run)
    with pytest.raises(ModalignError, match="lies outside"):
        space.file(Place("image", 2))
    assert space.file(Place("image", 1)) == (str(run / "media" / "1.png"), None, None)


@pytest.mark.parametrize(
    ("command", "words"), [("index", "recall"), ("search", "what to take away"), ("serve", "side by side")]
)
def test_help_tells_what_the_options_do(command: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, command, "--help")
    assert words in " ".join(out.replace("│", " ").split())


# ------------------------------------------------------------------ analysis


def test_standing_is_rank_and_cosine_among_all() -> None:
    z = cloud(50)
    g = in_memory(z, entries(z))
    query = g.vectors("text", [4])[0].astype(np.float64)
    found = standing(g, query, {"image": [0, 4, 9]})["image"]
    value = g.vectors("image", range(50)).astype(np.float64) @ query
    assert found["rank"] == [int(1 + (value > value[i]).sum()) for i in (0, 4, 9)]
    assert found["expected"] == 25.5  # of a random item: (n + 1) / 2
    assert found["mean"] == pytest.approx(value.mean(), abs=1e-4)


def test_a_path_is_the_shortest_one_through_neighbours() -> None:
    """Points on a circle: the way from one side to the other leads along it, and its length is that of the arc."""
    angle = torch.linspace(0, math.pi, 120)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    g = in_memory({"text": x}, {"text": [{"group": i} for i in range(120)]})
    path = Analysis(g).path(x[0].double().numpy(), Place("text", 119))
    assert path is not None
    rows = [s.place.row for s in path.steps if s.place is not None]
    assert rows == sorted(rows)
    assert rows[-1] == 119
    assert path.length == pytest.approx(math.pi, abs=0.02)
    assert path.direct == pytest.approx(2.0, abs=1e-6)
    assert path.chance == pytest.approx(math.pi / 2, abs=0.1)
    cosine = [s.cosine for s in path.steps[1:]]
    assert sum(math.sqrt(2 - 2 * min(1.0, c or 0.0)) for c in cosine) == pytest.approx(path.length, abs=1e-3)


def test_a_path_to_an_item_outside_the_graph() -> None:
    z = cloud(300)
    g = in_memory(z, entries(z))
    graph = neighbourhood(g, limit=50)
    goal = Place("image", 7)
    assert graph.number(goal) is None
    query = g.vectors("text", [100])[0].astype(np.float64)
    path = graph.path(g, query, goal)
    assert path is not None
    assert path.steps[0].place is None
    assert path.steps[-1].place == goal
    assert path.length >= path.direct - 1e-6  # the triangle inequality
    near = g.vectors("image", [7])[0].astype(np.float64)
    direct = graph.path(g, near, goal)
    assert direct is not None
    assert len(direct.steps) == 2


def test_hubs_are_warned_of() -> None:
    draw = torch.Generator().manual_seed(0)
    queries = torch.nn.functional.normalize(torch.randn(200, 12, generator=draw) + 0.7, dim=1)
    images = torch.nn.functional.normalize(queries + 0.9 * torch.randn(200, 12, generator=draw), dim=1)
    z = {"image": torch.cat([images, torch.nn.functional.normalize(queries.mean(0), dim=0)[None]]), "text": queries}
    about = Analysis(in_memory(z, {m: [{"group": i} for i in range(len(x))] for m, x in z.items()}))
    warning = about.hub(Place("image", 200))
    assert warning is not None
    assert warning["count"] > 3 * warning["expected"]
    assert warning["expected"] == pytest.approx(200 * 10 / 201, abs=0.01)
    assert sum(about.hub(Place("image", i)) is not None for i in range(200)) < 20


def test_the_map_places_a_query_among_its_neighbours() -> None:
    z = cloud(60, noise=0.2)
    g = in_memory(z, entries(z))
    flat = Analysis(g).layout()
    assert {m: len(p["rows"]) for m, p in flat["points"].items()} == {"image": 60, "text": 60}
    assert flat["of"] == {"image": 60, "text": 60}
    query = g.vectors("text", [5])[0].astype(np.float64)
    place = spot(flat, standing(g, query, {m: p["rows"] for m, p in flat["points"].items()}))
    assert place is not None
    own = [flat["points"]["text"][axis][5] for axis in ("x", "y")]
    assert math.dist(place, own) < 0.15


def test_the_map_takes_groups_of_any_name_and_none() -> None:
    """Items of two modalities in rows of one number were one thing where they had no group."""
    z = cloud(40, noise=0.2)
    named = in_memory(z, {m: [{"group": f"thing {i}"} for i in range(40)] for m in z})
    numbered = in_memory(z, {m: [{"group": i} for i in range(40)] for m in z})
    assert Analysis(named).layout() == Analysis(numbered).layout()
    alone = in_memory(z, {m: [{} for _ in range(40)] for m in z})
    ids = _groups(alone, ["image", "text"])
    assert len({*ids["image"].tolist(), *ids["text"].tolist()}) == 80


def test_a_run_is_searched_without_faiss_and_arrow(run: Path) -> None:
    """The demo installs neither: only indexes on disk need them, and say so."""
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['faiss'] = sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from modalign.search import Query, open_space, index_run\n"
        "from modalign.search.analysis import Analysis\n"
        "from modalign.errors import MissingExtraError\n"
        "space = open_space(sys.argv[1])\n"
        "print(len(space.search(Query().item('text/3'), correction='csls')['hits']))\n"
        "about = Analysis(space.gallery); about.hubs('image'); print(len(about.layout()['points']))\n"
        "try: index_run(Path(sys.argv[1]))\n"
        "except MissingExtraError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["10", "2"]
    assert "pip install 'modalign[search]'" in lines[2]
    assert not (run / "index" / "current.json").exists()


def test_long_texts_and_line_breaks_keep_to_the_lines_of_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("faiss")
    long, z = "a\nlong  story " * 5000, torch.eye(2)
    Index.build(tmp_path / "i", {"text": z}, {"text": [{"id": 'x,"\n1', "text": "one"}, {"id": "2", "text": long}]})
    code, out, _ = call(capsys, "search", tmp_path / "i", "--item", 'x,"\n1')
    line = out.splitlines()[1]
    assert (code, len(out.splitlines())) == (0, 3)
    assert line.startswith("  1   0.000  a long story a long")
    assert len(line) < 230
    code, out, _ = call(capsys, "search", tmp_path / "i", "--item", "2", "--json")
    assert json.loads(out)["hits"][0]["id"] == 'x,"\n1'
    _, out, _ = call(capsys, "search", tmp_path / "i", "--item", 'x,"\n1', "--json")
    assert json.loads(out)["hits"][0]["name"] == long
