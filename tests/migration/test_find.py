"""Search across a change of model: by either model, in the old index, in a mapped one, and in one of both origins."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import modalign as ma
from modalign import cli
from modalign.errors import ModalignError
from modalign.migration import Calibration, calibrate, load_migration, migrate, mixed_query, mixed_rows, open_vectors
from modalign.migration.gradual import SCALE, shown
from modalign.migration.remap import remap
from modalign.registry import make, register
from modalign.search import Index, Query
from modalign.search.space import space_of

from .conftest import Models

WORDS = {"old": "abcdefghijklmnopqrstuvwxyz", "new": "zyxwvutsrqponmlkjihgfedcba"}


class Letters:
    """Counts letters and pairs of them, in an order of its own: two such encoders are two models of the same texts."""

    modality = "text"

    def __init__(self, which: str, dim: int) -> None:
        self.dim = dim
        draw = torch.Generator().manual_seed(len(which) * 7 + ord(which[0]))
        self.table = torch.randn(26, dim, generator=draw)

    def fingerprint(self) -> str:
        return "letters"

    def collate(self, items: Any) -> list[str]:
        return [str(i) for i in items]

    def __call__(self, batch: list[str]) -> torch.Tensor:
        rows = [self.table[[ord(c) - 97 for c in text.lower() if c.isalpha()]].mean(0) for text in batch]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@register("encoder", "letters-old")
class LettersOld(Letters):
    """A toy model of 20 numbers."""

    def __init__(self) -> None:
        super().__init__("old", 20)


@register("encoder", "letters-new")
class LettersNew(Letters):
    """A toy model of 18 numbers."""

    def __init__(self) -> None:
        super().__init__("new", 18)


def texts(n: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    stems = ["".join(draw.choice(list(WORDS["old"]), 6)) for _ in range(60)]
    return ["".join(draw.choice(stems, 2)) + str(draw.choice(list("aeiou"))) for _ in range(n)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old index of 600 texts, new vectors of 200 of them and 400 others; migrated, mapped and mixed."""
    folder = tmp_path_factory.mktemp("find")
    old, more = texts(600, 0), texts(400, 1)
    encoders = {m: make("encoder", f"letters-{m}") for m in ("old", "new")}
    vectors = encoders["old"](old)
    Index.build(folder / "old", {"text": vectors}, {"text": [{"id": f"old/{i}", "text": t} for i, t in enumerate(old)]})
    new = encoders["new"]([*old[:200], *more])
    np.save(folder / "new.npy", new.numpy())
    np.save(folder / "pairs.npy", np.repeat(np.arange(200)[:, None], 2, 1))
    fresh = [{"id": f"fresh/{i}", "text": t} for i, t in enumerate(more)]
    Index.build(folder / "fresh", {"text": new[200:]}, {"text": fresh})
    argv = [folder / "old", folder / "new.npy", "--pairs", folder / "pairs.npy", "--out", folder / "moved"]
    options = ["--method", "ridge", "orthogonal", "--old-encoder", "letters-old", "--new-encoder", "letters-new"]
    cli.main([str(a) for a in ["migrate", *argv, *options]])
    cli.main([str(a) for a in ["remap", folder / "moved", folder / "old", "--out", folder / "mapped"]])
    more_options = ["--new-items", folder / "fresh", "--out", folder / "mixed"]
    cli.main([str(a) for a in ["remap", folder / "moved", folder / "old", *more_options]])
    return folder


def search(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, Any]:
    capsys.readouterr()
    cli.main([str(a) for a in ("search", *argv, "--json")])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("folder", ["moved", "mapped", "mixed"])
@pytest.mark.parametrize("by", ["old", "new"])
def test_an_item_is_found_by_either_model(folder: str, by: str, place: Path, capsys: Any) -> None:
    old = texts(600, 0)
    hits = 0
    for i in (300, 350, 400, 450, 500):  # texts without a link
        found = search(capsys, place / folder, old[i], "--by", by, "-k", 5)
        hits += old[i] in [h["name"] for h in found["hits"]]
        assert found["query"][0].get("by", by) == by
    assert hits >= 3


def test_one_list_holds_items_of_both_origins(place: Path, capsys: Any) -> None:
    found = search(capsys, place / "mixed", texts(400, 1)[5], "-k", 20)
    assert found["hits"][0]["id"] == "fresh/5"
    assert found["hits"][0]["score"] == pytest.approx(1.0, abs=1e-4)  # an item as the new model makes it, and itself
    assert {h["extra"]["origin"] for h in found["hits"]} == {"old", "new"}


@pytest.mark.parametrize("folder", ["mapped", "mixed"])
def test_a_compacted_index_is_searched_as_before_from_any_working_folder(
    folder: str, place: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The migration was named by a relative path when the index was made; what is deleted is far from the query."""
    monkeypatch.chdir(place)
    more = ["--new-items", "fresh"] if folder == "mixed" else []
    cli.main(["remap", "moved", "old", *more, "--out", str(tmp_path / "index")])
    monkeypatch.chdir(tmp_path)
    want = search(capsys, "index", texts(600, 0)[300], "-k", 5)
    Index("index").delete(["old/0"]).compact()
    assert search(capsys, "index", texts(600, 0)[300], "-k", 5)["hits"] == want["hits"]


def test_a_migration_of_relative_paths_is_searched_from_any_working_folder(
    place: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place / "old", tmp_path / "old")
    monkeypatch.chdir(tmp_path)
    files = [str(place / "new.npy"), "--pairs", str(place / "pairs.npy")]
    encoders = ["--old-encoder", "letters-old", "--new-encoder", "letters-new"]
    cli.main(["migrate", "old", *files, "--out", "moved", "--method", "ridge", "--direction", "queries", *encoders])
    want = search(capsys, "moved", texts(600, 0)[300], "-k", 5)["hits"]
    monkeypatch.chdir(place)
    assert search(capsys, tmp_path / "moved", texts(600, 0)[300], "-k", 5)["hits"] == want
    shutil.rmtree(tmp_path / "old")
    with pytest.raises(SystemExit):
        cli.main(["search", str(tmp_path / "moved"), texts(600, 0)[300]])
    assert f"{tmp_path / 'old'}, which is not there any more: put it back" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["moved", "mapped"])
def test_a_search_by_item_asks_the_index(folder: str, place: Path, capsys: Any) -> None:
    vectors = Index(place / {"moved": "old"}.get(folder, folder)).vectors("text", np.arange(600))
    cosines = vectors @ vectors[300]
    cosines[300] = -2.0
    found = search(capsys, place / folder, "--item", "old/300", "--to", "text", "-k", 3)
    assert [h["id"] for h in found["hits"]] == [f"old/{i}" for i in np.argsort(-cosines, kind="stable")[:3]]


def test_a_mapped_index_whose_migration_is_gone_is_asked_by_its_items(place: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("moved", "old"):
        shutil.copytree(place / name, tmp_path / name)
    cli.main(["remap", str(tmp_path / "moved"), str(tmp_path / "old"), "--out", str(tmp_path / "index")])
    capsys.readouterr()
    want = search(capsys, tmp_path / "index", "--item", "old/300", "-k", 3)["hits"]
    shutil.rmtree(tmp_path / "moved")
    assert search(capsys, tmp_path / "index", "--item", "old/300", "-k", 3)["hits"] == want
    with pytest.raises(SystemExit):
        cli.main(["search", str(tmp_path / "index"), texts(600, 0)[300]])
    assert "moved, which is not there any more: put its folder back" in capsys.readouterr().err


def test_an_index_is_mapped_once_by_a_migration(place: Path, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        cli.main(["remap", str(place / "moved"), str(place / "mapped"), "--out", str(tmp_path / "again")])
    assert "was mapped by this migration already" in capsys.readouterr().err


def test_a_list_of_old_and_new_items_is_added_to_compacted_and_migrated_again(
    place: Path, tmp_path: Path, capsys: Any
) -> None:
    """Its rows carry a calibration: the models' own vectors come out of them, and new ones go in by ``mixed_rows``."""
    words = [*texts(600, 0), *texts(400, 1)]
    shutil.copytree(place / "mixed", tmp_path / "mixed")
    mixed, own = Index(tmp_path / "mixed"), make("encoder", "letters-new")
    with pytest.raises(ModalignError, match="18 dimensions, the index 20; it holds old and new items in one list"):
        mixed.add({"text": own(["zebra"])}, {"text": [{"id": "z", "text": "zebra"}]})
    mixed = mixed.add({"text": mixed_rows(own(["zebra"]))}, {"text": [{"id": "z", "text": "zebra"}]})
    mixed.delete(["old/0", "fresh/0"]).compact()
    rows = open_vectors(tmp_path / "mixed")
    moved = load_migration(place / "moved")
    want = torch.cat([moved.rows(make("encoder", "letters-old")(words[1:600])), own([*words[601:], "zebra"])])
    assert (rows.rows, rows.width) == (999, 18)
    assert np.allclose(rows.read(0, 999), torch.nn.functional.normalize(want, dim=1).numpy(), atol=1e-5)
    found = search(capsys, tmp_path / "mixed", "zebra", "-k", 1)["hits"]
    assert [(h["id"], round(h["score"], 4)) for h in found] == [("z", 1.0)]

    pairs = np.repeat(np.arange(100, 300)[:, None], 2, 1)
    third = make("encoder", "letters-old")(words[1:400])
    encoders = {"old": "letters-new", "new": "letters-old"}
    ma.migrate(tmp_path / "mixed", third, pairs, tmp_path / "again", methods=["ridge"], encoders=encoders)
    cli.main(["remap", *(str(tmp_path / name) for name in ("again", "mixed")), "--out", str(tmp_path / "last")])
    for folder in ("again", "last"):
        for by in ("old", "new"):
            hits = search(capsys, tmp_path / folder, words[500], "--by", by, "-k", 5)["hits"]
            assert words[500] in [h["name"] for h in hits]
    by_old = search(capsys, tmp_path / "again", "zebra", "--by", "old", "-k", 1)["hits"]
    assert [(h["id"], round(h["score"], 4)) for h in by_old] == [("z", 1.0)]
    with pytest.raises(SystemExit):
        cli.main(["search", str(tmp_path / "again"), "--item", "z"])
    assert "searched by words or files" in capsys.readouterr().err


def test_new_items_are_of_the_new_model_and_keep_their_names_apart(place: Path, tmp_path: Path, capsys: Any) -> None:
    own = make("encoder", "letters-new")
    entries = [{"id": i, "text": t} for i, t in (("old/1", "lion"), ("new/old/1", "tiger"), ("c", "panther"))]
    Index.build(tmp_path / "fresh", {"text": own(["lion", "tiger", "panther"])}, {"text": entries})
    base = ["remap", str(place / "moved"), str(place / "old"), "--out"]
    cli.main([*base, str(tmp_path / "one"), "--new-items", str(tmp_path / "fresh")])
    names = {e["text"]: e["id"] for e in Index(tmp_path / "one").entries("text", np.arange(600, 603))}
    assert names == {"lion": "new/new/old/1", "tiger": "new/old/1", "panther": "c"}
    for items, told in (("mixed", "holds items that were mapped"), ("old", "vectors of 20 numbers, but those of the")):
        with pytest.raises(SystemExit):
            cli.main([*base, str(tmp_path / "two"), "--new-items", str(place / items)])
        assert told in capsys.readouterr().err
    assert not (tmp_path / "two").exists()


def test_a_mapped_index_keeps_pictures_facts_and_whose_groups_are_whose(models: Models, tmp_path: Path) -> None:
    """The folder of the pictures was lost, and with it every answer; so were title and attribution."""
    np.save(tmp_path / "new.npy", models.new.numpy())
    facts = {"title": "Cats", "attribution": "somebody"}
    half = len(models.old) // 2
    for name, own in (("a", models.old[:half]), ("b", models.old[half:])):
        table = [{"id": f"{name}{i}", "group": i, "picture": f"{i}.png"} for i in range(len(own))]
        words = [{"id": f"{name}-words", "group": 3, "text": f"words of {name}"}]
        parts: tuple[Any, Any] = ({"image": own, "text": own[:1]}, {"image": table, "text": words})
        if name == "a":
            Index.build(tmp_path / "old", *parts, root=tmp_path / name, facts=facts)
        else:
            Index(tmp_path / "old").add(*parts, root=tmp_path / name)
    pairs = [[i, i] for i in range(400)]
    migrate(tmp_path / "old", tmp_path / "new.npy", pairs, tmp_path / "moved", methods=["orthogonal"], old_part="image")
    fresh = [{"id": f"c{i}", "group": i, "picture": f"{i}.png"} for i in range(20)]
    Index.build(tmp_path / "fresh", {"image": models.new[:20]}, {"image": fresh}, root=tmp_path / "c")
    remap(tmp_path / "moved", tmp_path / "old", tmp_path / "mapped")
    remap(tmp_path / "moved", tmp_path / "old", tmp_path / "mixed", new_items=tmp_path / "fresh")
    for name in ("old", "mapped", "mixed"):
        index = Index(tmp_path / name)
        space = space_of(index)
        for id, words in (("a3", "words of a"), ("b3", "words of b")):
            at = index.find(id)
            assert (space.file(at), space.name(at)) == ((str(tmp_path / id[0] / "3.png"), None, None), words)
        hits = space.search(Query().item("b3"), "image", 3)["hits"]
        assert len(hits) == 3
        assert all(hit["file"].endswith(f"/{hit['id'][0]}/{hit['id'][1:]}.png") for hit in hits)
        assert space.facts == facts
    assert space.file(index.find("c3")) == (str(tmp_path / "c" / "3.png"), None, None)
    assert space.name(index.find("c3")) == "words of a"  # new items without any words: the first of their group


def test_the_old_index_is_as_it_was(place: Path) -> None:
    assert Index(place / "old").count("text") == 600
    assert Index(place / "old").dim == 20
    assert Index(place / "mapped").dim == 18


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("moved", "a", "--by", "newest"), "did you mean 'new'"),
        (("moved",), "one text or file at a time"),
        (("moved", "a", "--text", "b"), "got 2"),
        (("moved", "--image", "x.png"), "encodes text"),
        (("moved", "--item", "old/3", "--by", "new"), "--by would take no part"),
        (("mixed", "--item", "old/3"), "searched by words or files"),
        (("moved", "a", "--item", "old/3"), "--words would take no part"),
    ],
)
def test_mistakes_are_told(argv: tuple[str, ...], told: str, place: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        cli.main(["search", str(place / argv[0]), *argv[1:]])
    assert told in capsys.readouterr().err


def test_an_index_without_known_encoders_says_which_option_names_them(place: Path, tmp_path: Path, capsys: Any) -> None:
    ma.migrate(place / "old", place / "new.npy", place / "pairs.npy", tmp_path, methods=["ridge"])
    with pytest.raises(SystemExit):
        cli.main(["search", str(tmp_path), "word"])
    assert "--new-encoder" in capsys.readouterr().err


def test_calibration_gives_each_origin_its_share(models: Models) -> None:
    new = models.new[:800]
    noise = torch.randn(new.shape, generator=torch.Generator().manual_seed(3))
    blurred = torch.nn.functional.normalize(new + 0.12 * noise, dim=1)  # mapped rows that lost something
    told = shown(new, blurred, new)
    assert told["old_share_raw"] < told["old_share_calibrated"] <= 0.55
    assert told["calibrated"] >= told["raw"] - 0.01


def test_calibration_undoes_a_line_and_looks_at_the_first_ranks_only() -> None:
    """Mapped rows whose scores are .8 s + .1 c with one direction more that all share: the line is known."""
    true = torch.nn.functional.normalize(torch.randn(60, 12, generator=torch.Generator().manual_seed(2)), dim=1)
    one = torch.ones(60, 1)
    q, t = torch.cat([true, one], 1) / 2**0.5, torch.cat([true, -one], 1) / 2**0.5  # score (s - 1) / 2
    m = torch.cat([0.6 * true, 0.8 * one], 1)  # score (.6 s + .8) / sqrt 2
    line = calibrate(q, m, t, torch.arange(60))
    assert line.slope == pytest.approx(0.5 / (0.6 / 2**0.5), rel=1e-4)
    assert line.level == pytest.approx(-0.5 - line.slope * 0.8 / 2**0.5, abs=1e-4)
    far = calibrate(true, true, true.roll(1, 0), torch.arange(60))  # of other items: the query itself is among them
    assert far.level + far.slope > 1.0


def test_a_mixed_index_ranks_by_calibrated_scores() -> None:
    draw = torch.Generator().manual_seed(0)
    x, q = torch.randn(30, 8, generator=draw), torch.randn(4, 8, generator=draw)
    line = Calibration(1.2, -0.05)
    rows = torch.cat([mixed_rows(x[:15], line), mixed_rows(x[15:])])
    assert torch.allclose(rows.norm(dim=1), torch.ones(30))
    cosine = torch.nn.functional.normalize(q, dim=1) @ torch.nn.functional.normalize(x, dim=1).T
    want = torch.cat([1.2 * cosine[:, :15] - 0.05, cosine[:, 15:]], 1)
    assert torch.allclose(mixed_query(q) @ rows.T * SCALE, want, atol=1e-5)
    with pytest.raises(ModalignError, match="out of the range"):
        mixed_rows(x, Calibration(2.5, 0.0))
    assert calibrate(q, x, x).slope == pytest.approx(1.0)


def test_wordllama_is_there_or_told() -> None:
    if importlib.util.find_spec("wordllama") is None:
        with pytest.raises(ModalignError, match="modalign\\[wordllama\\]"):
            make("encoder", "wordllama")
