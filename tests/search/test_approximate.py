"""Approximate indexes where they are hardest: filters, deletions, repeated rows, odd widths, builds that are killed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("faiss", reason="faiss is not installed (pip install 'modalign[search]')")
pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'modalign[search]')")

import faiss

from modalign.files import to_json
from modalign.geometry.neighbours.flat import on_threads
from modalign.search import AnnSettings, Index, ann, search_run
from modalign.search.items import conditions
from modalign.search.part import Match
from modalign.search.recall import cross_modal_recall

APPROXIMATE = ("hnsw", "ivfpq")


def index_of(folder: Path, x: np.ndarray, kind: str, entries: list[dict[str, Any]] | None = None, **more: int) -> Index:
    items = {"text": entries or [{} for _ in x]}
    return Index.build(folder, {"text": x.astype(np.float32)}, items, settings=AnnSettings(kind, **more))


def answers(index: Index, query: np.ndarray, k: int = 10, where: str | None = None, exact: bool = False) -> list[Match]:
    unit = query / np.linalg.norm(query)
    return index.nearest(unit, ["text"], k, conditions([where] if where else None), exact=exact)


def crowd(near: int, far: int, d: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A query, items around it, and items elsewhere."""
    rng = np.random.default_rng(0)
    query = rng.normal(size=d)
    around = query + 0.02 * rng.normal(size=(near, d))
    elsewhere = rng.normal(size=(far, d)) - 0.3 * query
    return query, np.concatenate([around, elsewhere])


@pytest.mark.parametrize("kind", APPROXIMATE)
@pytest.mark.parametrize("correction", [None, "csls"])
def test_a_filter_that_leaves_out_all_neighbours_gives_what_exact_search_gives(
    kind: str, correction: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 items around the query carry one label and 20 times as many elsewhere the other (hnswlib PR 344)."""
    monkeypatch.setattr("modalign.search.part.FEW", 100)
    monkeypatch.setattr("modalign.search.part.SCANNED", 0)
    query, x = crowd(250, 5100)
    index = index_of(tmp_path / "i", x, kind, [{"split": "train" if i < 250 else "test"} for i in range(len(x))])
    bias = index.correction(correction, ("text",), ("text",)) if correction else None
    where = conditions(["split=test"])
    unit = query / np.linalg.norm(query)
    found, right = (index.nearest(unit, ["text"], 10, where, bias, exact=e) for e in (False, True))
    assert len(found) == 10
    assert len({f.place for f in found} & {f.place for f in right}) >= 9
    assert all(index.entry(f.place)["split"] == "test" for f in found)


@pytest.mark.parametrize("few", [20_000, 600])
@pytest.mark.parametrize("correction", ["csls", "inverted_softmax"])
@pytest.mark.parametrize("kind", APPROXIMATE)
def test_corrections_lift_items_that_are_far_from_a_query(
    kind: str, correction: str, few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of items that are near everything the nearest ones are full, so that the right one may be the thousandth."""
    monkeypatch.setattr("modalign.search.part.FEW", few)
    monkeypatch.setattr("modalign.search.part.SCANNED", 0)
    monkeypatch.setattr("modalign.search.part.LIFTED", 30)
    rng = np.random.default_rng(0)
    direction = rng.normal(size=24)
    common = 3 * rng.random((4000, 1)) ** 2 * direction  # some lie much nearer to all queries than others do
    x = rng.normal(size=(4000, 24)) + common
    more = {"links": 48, "effort": 200, "beam": 400} if kind == "hnsw" else {"lists": 16, "probes": 16, "refine": 40}
    index = index_of(tmp_path / "i", x, kind, [{"half": i % 2} for i in range(len(x))], **more)
    bias = index.correction(correction, ("text",), ("text",))
    hits = total = moved = 0
    for query in rng.normal(size=(30, 24)) + direction:
        unit = query / np.linalg.norm(query)
        for k, where in ((1, None), (10, None), (10, conditions(["half=1"]))):
            plain, found, right = (
                {m.place for m in index.nearest(unit, ["text"], k, where or (), b, exact=e)}
                for b, e in ((None, True), (bias, False), (bias, True))
            )
            hits, total, moved = hits + len(found & right), total + k, moved + len(right - plain)
    assert moved > 0.3 * total  # there is something to lift
    assert hits > 0.995 * total


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_items_around_a_query_that_were_deleted_do_not_hide_the_others(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.search.part.FEW", 100)
    query, x = crowd(300, 4000)
    index = index_of(tmp_path / "i", x, kind).delete([f"text/{i}" for i in range(300)])
    found, right = (answers(index, query, exact=e) for e in (False, True))
    assert len(found) == 10
    assert len({f.place for f in found} & {f.place for f in right}) >= 9
    rows = index.nearest_many(x[:3].astype(np.float32), "text", 5)
    assert (rows >= 300).all()


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_filters_of_any_width_agree_with_exact_search(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.search.part.FEW", 50)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3000, 12))
    index = index_of(tmp_path / "i", x, kind, [{"rank": i % 100} for i in range(len(x))])
    for limit in (5, 20, 60, 99):
        hits = total = 0
        for query in rng.normal(size=(20, 12)):
            found, right = (answers(index, query, where=f"rank<{limit}", exact=e) for e in (False, True))
            hits += len({f.place for f in found} & {f.place for f in right})
            total += len(right)
        assert hits / total > 0.95, limit


def names_and_captions(d: int = 32) -> np.ndarray:
    """20 names that stand 150 times each, and 1,000 captions that stand once."""
    rng = np.random.default_rng(0)
    names, captions = rng.normal(size=(20, d)), rng.normal(size=(1000, d))
    return np.concatenate([np.repeat(names, 150, 0), captions])[rng.permutation(4000)]


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_every_single_row_is_found_by_its_own_vector_beside_rows_that_repeat(kind: str, tmp_path: Path) -> None:
    x = names_and_captions()
    index = index_of(tmp_path / "i", x, kind)
    _, entry, count = np.unique(x, axis=0, return_inverse=True, return_counts=True)
    single = np.flatnonzero(count[entry.ravel()] == 1)
    assert len(single) == 1000
    found = [answers(index, x[r], 1)[0].place.row for r in single]
    assert np.mean(np.array(found) == single) == 1.0
    copies = [f.place.row for f in answers(index, x[0] if count[entry.ravel()[0]] > 1 else x[1], 10)]
    assert len(set(copies)) == 10  # each copy is an item of its own


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_recall_counts_any_of_equally_good_rows(kind: str, tmp_path: Path) -> None:
    x = names_and_captions()
    index = index_of(tmp_path / "i", x, kind)
    table = index.current["recall"]["scores"]["index_recall/text->text/@10"]
    assert table["value"] > 0.99
    again = cross_modal_recall(Index(tmp_path / "i"), {"text": x[:200].astype(np.float32)})
    assert next(iter(again["scores"].values()))["value"] > 0.99


@pytest.mark.parametrize("d", [14, 50, 150, 61])
def test_codes_fit_any_width(d: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(800, d))
    index = index_of(tmp_path / "i", x, "ivfpq")
    assert answers(index, x[7], 1)[0].place.row == 7


def test_codes_that_do_not_fit_are_refused_with_those_that_do(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1100, 50))
    with pytest.raises(Exception, match=r"codes must divide the 50 dimensions, got 12: choose one of 5, 10, 25, 50"):
        index_of(tmp_path / "i", x, "ivfpq", codes=12)


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_a_build_that_was_interrupted_goes_on_and_ends_with_the_same_bytes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.nn.functional.normalize(torch.randn(2500, 8, generator=torch.Generator().manual_seed(0)), dim=1).numpy()
    settings = AnnSettings(kind, links=8, effort=20)
    whole = faiss.serialize_index(ann.build(x, settings)).tobytes()
    monkeypatch.setattr("modalign.progress.Pause.over", lambda self: True)
    kept, keep, written = tmp_path / "kept", ann.keep, []

    def stop(index: Any, path: Path | None) -> None:
        keep(index, path)
        written.append(index.ntotal)
        raise KeyboardInterrupt

    monkeypatch.setattr(ann, "keep", stop)
    with pytest.raises(KeyboardInterrupt):
        ann.build(x, settings, kept)
    monkeypatch.setattr(ann, "keep", keep)
    assert kept.exists()
    assert written == [1024 if kind == "hnsw" else 0]
    assert faiss.serialize_index(ann.build(x, settings, kept)).tobytes() == whole


def test_a_graph_does_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.nn.functional.normalize(torch.randn(3000, 8, generator=torch.Generator().manual_seed(0)), dim=1).numpy()
    built, add = [], faiss.IndexHNSWFlat.add
    used: list[int] = []

    def counted(index: Any, rows: np.ndarray) -> None:
        used.append(faiss.omp_get_max_threads())
        add(index, rows)

    monkeypatch.setattr(faiss.IndexHNSWFlat, "add", counted)
    for count in (1, 2, 3):
        with on_threads(count):
            built.append(faiss.serialize_index(ann.build(x, AnnSettings("hnsw", links=8, effort=20))).tobytes())
    assert built[0] == built[1] == built[2]
    assert set(used) == ({1, 2, 3} if ann._ordered(faiss) else {1})


def test_an_interrupted_index_keeps_its_finished_modalities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = {m: np.random.default_rng(i).normal(size=(200, 8)).astype(np.float32) for i, m in enumerate(("a", "b"))}
    items = {m: [{} for _ in rows] for m, rows in x.items()}
    build, seen = ann.build, []

    def second(vectors: np.ndarray, *rest: Any) -> Any:
        seen.append(len(vectors))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return build(vectors, *rest)

    monkeypatch.setattr(ann, "build", second)
    with pytest.raises(KeyboardInterrupt) as stop:
        Index.build(tmp_path / "i", x, items, settings=AnnSettings("hnsw"))
    assert stop.value.__notes__ == ["what is indexed is kept"]
    assert Index.build(tmp_path / "i", x, items, settings=AnnSettings("hnsw")).count("b") == 200
    assert len(seen) == 3  # the first modality was not indexed again
    assert not list((tmp_path / "i").rglob("*.tmp"))
    assert not list((tmp_path / "i").rglob("*.unfinished"))


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_metadata_that_is_not_finite_is_null_in_an_index_and_in_answers(kind: str, tmp_path: Path) -> None:
    """Python's own json writes NaN and Infinity; strict readers refuse them (prefect #6439)."""
    entries: list[dict[str, Any]] = [{"score": math.nan, "text": f"a\ud83d {i}"} for i in range(12)]
    entries[3] |= {"score": 2.5, "sizes": [1.0, math.inf], "number": 2**70}
    index_of(tmp_path / "i", np.eye(12), kind, entries)
    found = search_run(tmp_path / "i", items=["text/3"], to="any", k=5)
    answer = json.loads(to_json(found), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [h["extra"].get("score") for h in answer["hits"]] == [None] * 5
    assert answer["hits"][0]["name"].startswith("a\ufffd")
    assert search_run(tmp_path / "i", items=["text/0"], where=["score>2"])["hits"][0]["id"] == "text/3"
