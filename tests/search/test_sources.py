"""Items from a feature store and from fits beside a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from modalign import cli
from modalign.data.manifest import Manifest, Row
from modalign.features.embed import embed
from modalign.features.store import Store
from modalign.model import Heads, Model
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.runs.items import Items
from modalign.search import Query, open_space
from modalign.serve.answers import info
from modalign.serve.state import SearchRequest, State

from .conftest import cloud, write_run


class Letters:
    """An encoder of words: counts of letters, so that a text's features are known."""

    def __init__(self, modality: str, dim: int, mark: str = "letters") -> None:
        self.modality, self.dim, self.mark = modality, dim, mark

    def fingerprint(self) -> str:
        return f"{self.mark}-{self.modality}-{self.dim}"

    def collate(self, items: Sequence[Any]) -> list[str]:
        return [str(i.text if isinstance(i, Row) else i) for i in items]

    def __call__(self, batch: list[str]) -> torch.Tensor:
        rows = torch.ones(len(batch), self.dim) / 10
        for r, words in enumerate(batch):
            for letter in words:
                rows[r, ord(letter) % self.dim] += 1
        return rows


WORDS = ["dog", "cat", "house", "tree", "river", "stone", "cloud", "bread"]


def make_store(folder: Path, dim: int = 12, mark: str = "letters") -> Store:
    rows = [
        {"group": i, "modality": m, "text": w if m == "text" else f"tag {w}", "split": "test" if i % 2 else "train",
         "extra": {"colour": "red" if i < 4 else "blue"}}
        for i, w in enumerate(WORDS)
        for m in ("text", "tags")
    ]  # fmt: skip
    manifest = Manifest.from_rows(rows, "words", {"attribution": "Words: everybody"})
    return embed(manifest, {m: Letters(m, dim, mark) for m in ("text", "tags")}, folder)


def make_model(folder: Path, store: Store) -> Path:
    torch.manual_seed(0)
    heads = Heads({m: Head(FeatureMap(e["dim"]), Projection(e["dim"], 8)) for m, e in store.encoders.items()})
    Model(heads, {}, {m: e["fingerprint"] for m, e in store.encoders.items()}, {"name": "test"}).save(folder)
    return folder


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_store_whose_rows_have_an_id_for_both_modalities_is_indexed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("faiss")
    rows = [
        {"group": i, "modality": m, "text": w, "split": "train", "extra": {"id": f"w{i}"}}
        for i, w in enumerate(WORDS)
        for m in ("text", "tags")
    ]
    manifest = Manifest.from_rows(rows, "words")
    store = embed(manifest, {m: Letters(m, 12) for m in ("text", "tags")}, tmp_path / "store")
    run = make_model(tmp_path / "run", store)
    for only, first in (((), "tags/w2"), (("--only", "tags"), "w2")):
        index = tmp_path / f"index{len(only)}"
        assert call(capsys, "index", run, tmp_path / "store", "--out", index, *only)[0] == 0
        found = call(capsys, "search", index, "--item", first, "--to", "tags", "--json")
        assert found[0] == 0, found[2]
        assert len(json.loads(found[1])["hits"]) == 7


def test_a_store_is_indexed_and_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    pytest.importorskip("pyarrow")
    store = make_store(tmp_path / "store")
    run = make_model(tmp_path / "run", store)
    code, out, err = call(capsys, "index", run, store.folder, "--out", tmp_path / "index", "--json")
    assert code == 0, err
    assert json.loads(out)["items"] == {"text": 8, "tags": 8}
    space = open_space(tmp_path / "index")
    right = Model.load(run).transform(store.views()["text"], "text")
    assert torch.allclose(torch.from_numpy(space.gallery.vectors("text", range(8))), right, atol=1e-6)
    entry = space.gallery.entry(space.gallery.find("text/0"))
    assert (entry["text"], entry["split"], entry["colour"]) == ("dog", "train", "red")
    assert space.facts["attribution"] == "Words: everybody"
    hits = space.search(Query().item("text/0"), "tags", 3, ["colour=blue"])["hits"]
    assert {h["extra"]["colour"] for h in hits} == {"blue"}
    code, out, err = call(capsys, "index", run, store.folder, "--out", tmp_path / "index", "--split", "test", "--add")
    assert (code, "are in the index already" in err) == (2, True)
    code, _, err = call(capsys, "index", run, store.folder, "--out", tmp_path / "index", "--split", "test", "--update")
    assert code == 0, err
    code, out, err = call(capsys, "index", tmp_path / "index", "--delete", "text/2", "--delete", "tags/1", "--json")
    assert json.loads(out)["items"] == {"text": 7, "tags": 7}
    code, out, err = call(capsys, "index", tmp_path / "index", "--compact", "--json")
    assert json.loads(out)["items"] == {"text": 7, "tags": 7}
    code, _, err = call(capsys, "index", tmp_path / "index", "--delete", "text/2")
    assert (code, "no item 'text/2'" in err) == (2, True)
    code, _, err = call(capsys, "index", tmp_path / "index", store.folder)
    assert (code, "is an index" in err) == (2, True)
    code, _, err = call(capsys, "index", tmp_path / "index")
    assert (code, "say what to do with it" in err) == (2, True)


def test_features_of_another_encoder_or_width_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_model(tmp_path / "run", make_store(tmp_path / "store"))
    wide = make_store(tmp_path / "wide", 14)
    code, _, err = call(capsys, "index", run, wide.folder, "--out", tmp_path / "index")
    assert (code, "14 dimensions" in err and "takes 12" in err) == (2, True)
    other = make_store(tmp_path / "other", 12, "runes")
    code, _, err = call(capsys, "index", run, other.folder, "--out", tmp_path / "index")
    assert (code, "runes-text-12" in err and "letters-text-12" in err) == (2, True)
    code, _, err = call(capsys, "index", run, "--out", tmp_path / "index")
    assert (code, "no embedded items" in err) == (2, True)
    assert not (tmp_path / "index").exists()


def test_a_fit_beside_a_run_embeds_the_runs_items(tmp_path: Path) -> None:
    """A folder with a model alone, inside a run: the run's specification says which features to embed."""
    store = make_store(tmp_path / "store")
    run = tmp_path / "run"
    (tmp_path / "mine.toml").write_text(
        f'out = "{run}"\n[data]\nstore = "{store.folder}"\n[method]\nname = "cca"\ndim = 4\n'
    )
    cli.main(["train", str(tmp_path / "mine.toml"), "--json"])
    fit = make_model(run / "fits" / "other", store)
    own, other = open_space(run), open_space(fit)
    assert own.gallery.modalities == other.gallery.modalities
    assert (
        [own.gallery.count(m) for m in ("text", "tags")] == [other.gallery.count(m) for m in ("text", "tags")] == [8, 8]
    )
    entries = Items.read(run)[1]
    for row, entry in enumerate(entries["text"]):
        features = Letters("text", 12)([entry["text"]])
        right = Model.load(fit).transform(features, "text")[0]
        assert torch.allclose(torch.from_numpy(other.gallery.vectors("text", [row])[0]), right, atol=1e-5)
    assert (
        other.search(Query().item("text/0"), "tags", 3)["hits"] != own.search(Query().item("text/0"), "tags", 3)["hits"]
    )


def test_a_run_without_a_model_is_searched_by_items(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cloud(20))
    (run / "model.json").unlink()
    space = open_space(run)
    assert len(space.search(Query().item("text/3"))["hits"]) == 10
    assert space.encoders == {}


def test_words_are_read_as_a_modality_of_words_of_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"where is the {w}?,it is behind the {w},{'small' if len(w) < 5 else 'large'}" for w in WORDS]
    (tmp_path / "asked.csv").write_text("\n".join(["asked,said,size", *lines]))
    (tmp_path / "run.toml").write_text(
        f"""
        out = "{tmp_path}/run"
        [data]
        name = "table"
        root = "{tmp_path}/asked.csv"
        columns = {{ question = "asked", answer = "said" }}
        words = ["question", "answer"]
        [encoders]
        question = "minilm"
        answer = "minilm"
        [method]
        name = "procrustes"
        """
    )
    code, _, err = call(capsys, "train", tmp_path / "run.toml")
    assert code == 0, err
    code, out, err = call(capsys, "search", tmp_path / "run", "where is the river?", "--where", "size=large", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["to"] == ["answer"]
    assert found["hits"][0]["name"] == "it is behind the river"
    assert {hit["extra"]["size"] for hit in found["hits"]} == {"large"}
    space = open_space(tmp_path / "run")
    assert (space.reader("text"), space.reader("answer"), space.reader("image")) == ("question", "answer", None)
    state = State([space], ["mine"])
    assert info(state, {}, "")["spaces"][0]["encoders"] == ["text"]
    terms = [{"kind": "text", "value": "where is the dog?", "weight": 1.0}]
    asked = SearchRequest(terms, to=[], k=3, where=[], correction=None, spaces=[0])
    assert state.query(asked, 0)[1].shape == (1, space.gallery.dim)
