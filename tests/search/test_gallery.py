"""Exact search against brute force, order of ties, layouts and types of input, corrections, approximate parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modalign.errors import ModalignError
from modalign.search.ann import build, candidates
from modalign.search.exact import best, top
from modalign.search.gallery import Gallery, in_memory, unit_rows
from modalign.search.items import ListItems, conditions, mask
from modalign.search.part import Part, Place
from modalign.search.recall import cross_modal_recall, overlap, recall_text
from modalign.search.settings import KINDS, AnnSettings, parse_settings

from .conftest import cloud, entries


def gallery(n: int = 40) -> Gallery:
    z = cloud(n)
    return in_memory(z, entries(z))


def brute(vectors: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    value = vectors.astype(np.float64) @ query.astype(np.float64)
    return sorted(range(len(value)), key=lambda i: (-value[i], i))[:k]


def test_exact_is_brute_force() -> None:
    x = unit_rows(torch.randn(500, 24), "x")
    for query in unit_rows(torch.randn(20, 24), "q").astype(np.float64):
        value, rows = top(x, query, 7)
        assert rows.tolist() == brute(x, query, 7)
        assert (np.diff(value) <= 0).all()


def test_ties_come_in_the_order_of_rows_and_chance_decides_nothing() -> None:
    x = unit_rows(torch.randn(9, 8), "x")
    x = np.concatenate([x, x, x])  # every row three times
    query = x[4].astype(np.float64)
    assert top(x, query, 3)[1].tolist() == [4, 13, 22]
    assert top(x[::-1].copy(), query, 3)[1].tolist() == [4, 13, 22]
    same = np.ones((50, 8), np.float32) / np.sqrt(8, dtype=np.float32)  # a collapsed space
    assert top(same, query, 5)[1].tolist() == [0, 1, 2, 3, 4]


def test_a_mask_and_a_bias_change_what_is_best() -> None:
    x = np.eye(4, dtype=np.float32)
    query = np.array([0.9, 0.3, 0.2, 0.1])
    assert top(x, query, 2, allowed=np.array([False, True, False, True]))[1].tolist() == [1, 3]
    assert top(x, query, 2, bias=np.array([-1.0, 0.0, 0.5, 0.0]))[1].tolist() == [2, 1]
    assert top(x, query, 9, allowed=np.zeros(4, bool))[1].tolist() == []
    assert best(x, query, np.array([3, 2, 1]), 2)[1].tolist() == [1, 2]


def test_more_results_than_items_gives_all_items() -> None:
    g = gallery(5)
    assert len(g.nearest(np.ones(16), ["image"], 99)) == 5
    with pytest.raises(ModalignError, match="k must be at least 1"):
        g.nearest(np.ones(16), ["image"], 0)


@pytest.mark.parametrize("name", ["fortran", "strided", "float16", "float64", "big-endian", "tensor"])
def test_layout_and_type_of_input_change_nothing(name: str) -> None:
    wide = np.random.default_rng(0).standard_normal((60, 32)).astype(np.float16)  # exact in every type
    plain = np.ascontiguousarray(wide[:, ::2]).astype(np.float32)
    given = {
        "fortran": np.asfortranarray(plain),
        "strided": wide.astype(np.float32)[:, ::2],
        "float16": wide[:, ::2],
        "float64": plain.astype(np.float64),
        "big-endian": plain.astype(">f4"),
        "tensor": torch.from_numpy(plain),
    }[name]
    right, found = unit_rows(plain, "x"), unit_rows(given, "x")
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    for query in right[:10]:
        assert top(found, query, 10)[1].tolist() == top(right, query, 10)[1].tolist()


def test_rows_that_have_no_direction_are_refused() -> None:
    x = torch.randn(5, 4)
    x[3] = 0
    with pytest.raises(ModalignError, match="row 3"):
        unit_rows(x, "image")
    x[3, 0] = torch.nan
    with pytest.raises(ModalignError, match="1 of 5"):
        unit_rows(x, "image")
    with pytest.raises(ModalignError, match="shape"):
        unit_rows(x[0], "image")


def test_wrong_dimension_names_both() -> None:
    with pytest.raises(ModalignError, match="5 dimensions, the index 16"):
        gallery().nearest(np.ones(5), ["image"], 3)
    with pytest.raises(ModalignError, match="NaN"):
        gallery().nearest(np.full(16, np.nan), ["image"], 3)


def test_several_modalities_are_merged_by_score() -> None:
    g = gallery()
    query = g.vectors("text", [3])[0].astype(np.float64)
    found = g.nearest(query, ["image", "text"], 10)
    assert found[0].place == Place("text", 3)
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
    assert {f.place.modality for f in g.nearest(query, ["image"], 10)} == {"image"}


def test_a_modality_that_is_named_twice_is_searched_once() -> None:
    g = gallery()
    query = g.vectors("text", [3])[0].astype(np.float64)
    assert g.nearest(query, ["text", "text", "image"], 10) == g.nearest(query, ["text", "image"], 10)


def test_filters_narrow_before_the_best_are_taken() -> None:
    g = gallery()
    query = g.vectors("text", [0])[0].astype(np.float64)
    found = g.nearest(query, ["image"], 5, conditions(["split=dev"]))
    assert len(found) == 5
    assert all(g.entry(f.place)["split"] == "dev" for f in found)
    with pytest.raises(ModalignError, match="unknown metadata key"):
        g.nearest(query, ["image"], 5, conditions(["colour=red"]))
    assert g.nearest(query, ["image"], 5, conditions(["text=thing 3"])) == []  # a key of another modality only


def test_filters_on_keys_that_some_parts_or_modalities_lack() -> None:
    """Whether an item was added later, to a part without the key, changes nothing; nor does its modality."""
    rows = torch.eye(4)
    parts = {
        "image": [
            Part(rows[:2].numpy(), ListItems([{"id": "a", "year": 1990}, {"id": "b"}])),
            Part(rows[2:3].numpy(), ListItems([{"id": "c"}])),
        ],
        "text": [Part(rows[3:].numpy(), ListItems([{"id": "d"}]))],
    }
    gallery = Gallery(parts, 4)
    for where, image, text in (
        ("year>=1990", [True, False, False], [False]),
        ("year=1990", [True, False, False], [False]),
        ("year!=1990", [False, True, True], [True]),
    ):
        for m, right in (("image", image), ("text", text)):
            allowed = gallery.allowed(m, conditions([where]))
            assert (np.ones(len(right), bool) if allowed is None else allowed).tolist() == right
    with pytest.raises(ModalignError, match="unknown metadata key 'yaer': did you mean 'year'"):
        gallery.allowed("image", conditions(["yaer=1990"]))


@pytest.mark.parametrize("way", ["csls", "inverted_softmax"])
def test_corrections_hold_hubs_down(way: str) -> None:
    draw = torch.Generator().manual_seed(0)
    queries = torch.nn.functional.normalize(torch.randn(80, 12, generator=draw) + 1.0, dim=1)
    images = torch.nn.functional.normalize(queries + 0.9 * torch.randn(80, 12, generator=draw), dim=1)
    hub = torch.nn.functional.normalize(queries.mean(0), dim=0)
    z = {"image": torch.cat([images, hub[None]]), "text": queries}
    g = in_memory(z, {m: [{"group": i} for i in range(len(x))] for m, x in z.items()})

    def times(bias: dict[str, np.ndarray] | None) -> int:
        asked = g.vectors("text", np.arange(80)).astype(np.float64)
        return sum(Place("image", 80) in [f.place for f in g.nearest(q, ["image"], 5, bias=bias)] for q in asked)

    bias = g.correction(way, ["text"], ["image"])
    assert times(None) > 30  # nearest to a great part of the queries
    assert times(bias) < 0.75 * times(None)
    r = g.vectors("image", np.arange(81)).astype(np.float64) @ g.vectors("text", np.arange(80)).astype(np.float64).T
    right = -0.5 * np.sort(r, 1)[:, -10:].mean(1) if way == "csls" else -0.05 * np.log(np.exp(r / 0.05).mean(1))
    np.testing.assert_allclose(bias["image"], right, atol=1e-5)
    with pytest.raises(ModalignError, match="did you mean 'csls'"):
        g.correction("cls", ["text"], ["image"])


@pytest.mark.parametrize("way", ["csls", "inverted_softmax"])
def test_items_of_one_modality_are_corrected_without_themselves(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that stood for queries were their own nearest one: they were hardly ever found."""
    monkeypatch.setattr("modalign.search.gallery.BANK", 40)
    x = torch.randn(121, 12, generator=torch.Generator().manual_seed(0)) + 1.0
    g = in_memory({"image": x}, {"image": [{} for _ in x]})
    bank = g.sample("image", 40)
    rows = g.vectors("image", np.arange(121)).astype(np.float64)
    cosine = rows @ rows[bank].T
    cosine[bank, np.arange(40)] = np.nan
    if way == "csls":
        right = [-0.5 * np.sort(r[~np.isnan(r)])[-10:].mean() for r in cosine]
    else:
        right = -0.05 * np.log(np.nanmean(np.exp(cosine / 0.05), 1))
    np.testing.assert_allclose(g.correction(way, ["image"], ["image"])["image"], right, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_indexes_are_built_alike_and_find_most(kind: str) -> None:
    faiss = pytest.importorskip("faiss")
    x = unit_rows(cloud(2000, 32)["image"], "x")
    settings = AnnSettings(kind)
    blobs = [faiss.serialize_index(build(x, settings)).tobytes() for _ in range(2)]
    assert blobs[0] == blobs[1]
    if kind == "exact":
        return
    index = build(x, settings)
    rows = candidates(index, x[5:6], 10, settings)[0]
    assert 5 in rows
    allowed = np.arange(2000) % 2 == 0
    assert (candidates(index, x[5:6], 10, settings, allowed)[0] % 2 == 0).all()


def test_settings_are_checked() -> None:
    with pytest.raises(ModalignError, match="did you mean 'hnsw'"):
        AnnSettings("hnws")
    with pytest.raises(ModalignError, match="beam must be at least 1"):
        AnnSettings("hnsw", beam=0)
    assert parse_settings("ivfpq", ["probes=64", "refine=5"]) == AnnSettings("ivfpq", probes=64, refine=5)
    for entry, message in (
        ("probe=1", "did you mean 'probes'"),
        ("beam=x", "whole number"),
        ("probes=8", "probes is a setting of ivfpq"),
        ("links=1", "at least 2"),
    ):
        with pytest.raises(ModalignError, match=message):
            parse_settings("hnsw", [entry])
    pytest.importorskip("faiss")
    with pytest.raises(ModalignError, match="at least 768 different items"):
        build(np.eye(8, dtype=np.float32), AnnSettings("ivfpq"))
    with pytest.raises(ModalignError, match="codes must divide"):
        build(np.tile(np.eye(8, dtype=np.float32), (200, 1)), AnnSettings("ivfpq", codes=3))


def test_overlap() -> None:
    none = -np.inf
    assert overlap(np.array([[0.9, 0.8, 0.1]]), np.array([[0.9, 0.8, 0.7]])) == pytest.approx(2 / 3)
    assert overlap(np.array([[0.9, 0.9]]), np.array([[0.9, 0.9]])) == 1.0
    assert overlap(np.array([[0.9, none]]), np.array([[0.9, none]])) == 1.0
    assert overlap(np.array([[0.5, none]]), np.array([[0.9, none]])) == 0.0


def shared(found: np.ndarray, right: np.ndarray) -> float:
    """Mean share of right rows that were found."""
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), right.tolist(), strict=True)]))


def test_recall_is_that_of_the_queries_people_ask() -> None:
    """A coarse index serves queries of its own modality, which are in it, better than those from across the gap."""
    pytest.importorskip("faiss")
    z = cloud(3000, 32, noise=1.2, gap=1.5)
    rows = {m: unit_rows(x, m) for m, x in z.items()}
    settings = AnnSettings("ivfpq", lists=64, probes=1, codes=4, refine=2)
    part = Part(rows["image"], ListItems(entries(z)["image"]), None, build(rows["image"], settings), settings)
    table = cross_modal_recall(Gallery({"image": [part]}, 32), rows)
    across, within = (table["scores"][f"index_recall/{m}->image/@10"] for m in ("text", "image"))
    assert across["value"] < 0.6 * within["value"]
    assert (across["unit"], across["chance"]) == ("share", 10 / 3000)
    assert "image -> image" in recall_text(table)[2]
    found = Gallery({"image": [part]}, 32).nearest_many(rows["text"][:256], "image", 10)
    exact = np.argsort(-(rows["text"][:256] @ rows["image"].T), axis=1)[:, :10]
    sample = np.arange(256) * 3000 // 256
    again = Gallery({"image": [part]}, 32).nearest_many(rows["text"][sample], "image", 10)
    right = np.argsort(-(rows["text"][sample] @ rows["image"].T), axis=1)[:, :10]
    assert across["value"] == pytest.approx(shared(again, right), abs=2e-3)  # counted by hand
    assert shared(found, exact) == pytest.approx(across["value"], abs=0.1)


@pytest.mark.parametrize("asked", ["dev", "val"])
def test_a_filter_on_the_split_takes_val_and_dev_for_one(asked: str) -> None:
    items = ListItems([{"split": "dev"}, {"split": "val"}, {"split": "test"}, {}])
    assert mask(items, conditions([f"split={asked}"])).tolist() == [True, True, False, False]
    assert mask(items, conditions([f"split!={asked}"])).tolist() == [False, False, True, True]


def test_an_order_that_no_value_has_is_refused() -> None:
    """Years as words found nothing against a number, and numbers all of what words come after."""
    z = {"text": torch.eye(2), "image": torch.eye(2)}
    gallery = in_memory(
        z,
        {
            "text": [{"date": "1999-12-31", "year": 1999}, {"date": "2001-01-01", "year": "2001"}],
            "image": [{"date": None, "year": 7}, {"date": "2002-01-01"}],
        },
    )
    assert gallery.allowed("text", conditions(["date<2000-01-01", "year<2000"])).tolist() == [True, False]
    assert gallery.allowed("image", conditions(["date>2001-12-31"])).tolist() == [False, True]
    with pytest.raises(ModalignError, match=r"'date<2000' compares numbers, but no value of 'date' .*'1999-12-31'"):
        gallery.allowed("image", conditions(["date<2000"]))
    with pytest.raises(
        ModalignError, match=r"'year>l990' compares words, but every value of 'year' is a number .*'1999'"
    ):
        gallery.allowed("text", conditions(["year>l990"]))
