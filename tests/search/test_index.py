"""The index on disk: equal builds, changes, kills at any moment, wrong models, damage."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("faiss", reason="faiss is not installed (pip install 'modalign[search]')")
pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'modalign[search]')")

from modalign.errors import ModalignError
from modalign.model import model_fingerprint
from modalign.outputs import claim
from modalign.search import AnnSettings, Index, Query, ann, open_space, segments
from modalign.search import index as index_module
from modalign.search.gallery import in_memory
from modalign.search.items import ArrowItems, conditions
from modalign.search.part import Place
from modalign.search.settings import KINDS
from modalign.search.space import space_of

from .conftest import cloud, entries, write_run


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def make(folder: Path, n: int = 60, kind: str = "exact", d: int = 16) -> Index:
    z = cloud(n, d)
    return Index.build(folder, z, entries(z), settings=AnnSettings(kind))


def nearest(index: Index, query: np.ndarray, k: int = 5, to: str = "image") -> list[str]:
    return [index.id(f.place) for f in index.nearest(query, [to], k)]


def test_an_index_that_is_rewritten_while_it_is_opened_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment of which some files were gone already was called damaged."""
    make(tmp_path / "i").delete(["image/0"])
    read, told = segments._parts, []

    def late(folder: Path, place: Path, *more: Any) -> Any:
        if not told:
            told.append(place)
            Index(folder).compact()
            assert not place.exists()
        return read(folder, place, *more)

    monkeypatch.setattr(segments, "_parts", late)
    assert Index(tmp_path / "i").count("image") == 59
    (tmp_path / "i" / "segments" / Index(tmp_path / "i").current["segments"][0] / "0.arrow").unlink()
    with pytest.raises(ModalignError, match=r"index is damaged: .*0\.arrow"):
        Index(tmp_path / "i")


def test_what_is_known_of_items_is_told_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    z = {"text": torch.eye(3)}
    table = [{"id": "a", "year": 1}, {"id": "b", "place": None, "odd": "x"}, {"id": "c", "odd": 2}]
    index = Index.build(tmp_path / "i", z, {"text": table})
    kept, less = index.keys, index.delete(["a"])
    monkeypatch.setattr(ArrowItems, "column", pytest.fail)
    assert kept == ["id", "odd", "year"]
    assert Index(less.folder).keys == ["id", "odd"]
    assert in_memory(z, {"text": table}).keys == kept


def test_ids_are_read_once_to_add_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, column, read = make(tmp_path / "i"), ArrowItems.column, []
    monkeypatch.setattr(ArrowItems, "column", lambda self, key: read.append(key) or column(self, key))
    assert index.add({"text": torch.eye(16)}, {"text": [{"id": f"new {i}"} for i in range(16)]}).count("text") == 76
    assert read == ["id"] * len(index.modalities)


@pytest.mark.parametrize("kind", KINDS)
def test_two_builds_are_equal_byte_for_byte(kind: str, tmp_path: Path) -> None:
    n = 1200 if kind == "ivfpq" else 200
    make(tmp_path / "a", n, kind)
    make(tmp_path / "b", n, kind)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert len(files(tmp_path / "a")) >= 6
    before = files(tmp_path / "a")
    make(tmp_path / "a", n, kind)  # again in the same place
    assert files(tmp_path / "a") == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_was_written(kind: str, tmp_path: Path) -> None:
    n = 1200 if kind == "ivfpq" else 80
    z = cloud(n)
    index = Index.build(tmp_path / "index", z, entries(z), settings=AnnSettings(kind))
    np.testing.assert_allclose(index.vectors("text", range(n)), z["text"].numpy(), atol=1e-6)
    entry = index.entry(Place("text", 4))
    assert (entry["text"], entry["group"], entry["split"], entry["id"]) == ("thing 4", 4, "dev", "text/4")
    for i in range(0, n, 37):
        query = z["text"][i].double().numpy()
        value = z["image"].double().numpy() @ query
        right = [f"image/{j}" for j in sorted(range(n), key=lambda j: (-value[j], j))[:5]]
        assert [index.id(f.place) for f in index.nearest(query, ["image"], 5, exact=True)] == right
        assert len(set(nearest(index, query)) & set(right)) >= 4
    some = z["text"][:9].numpy()
    one_by_one = [[f.place.row for f in index.nearest(q, ["image"], 5)] for q in some]
    assert index.nearest_many(some, "image", 5).tolist() == one_by_one
    if kind == "exact":
        assert index.current["recall"] is None
    else:
        assert index.current["recall"]["scores"]["index_recall/text->image/@10"]["value"] > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_shards_are_built_side_by_side_and_searched_together(kind: str, tmp_path: Path) -> None:
    n = 3000 if kind == "ivfpq" else 203
    z = cloud(n)
    one, several, again = (
        Index.build(tmp_path / name, z, entries(z), settings=AnnSettings(kind), shards=shards)
        for name, shards in (("one", 1), ("several", 3), ("again", 3))
    )
    assert files(several.folder) == files(again.folder)
    assert [len(p.vectors) for p in several.parts["image"]] == [n // 3, n // 3, n - 2 * (n // 3)] or kind != "ivfpq"
    assert len(several.current["segments"]) == 3
    for i in range(0, n, n // 7):
        query = z["text"][i].double().numpy()
        right = nearest(one, query) if kind == "exact" else [
            one.id(f.place) for f in one.nearest(query, ["image"], 5, exact=True)
        ]  # fmt: skip
        assert len(set(nearest(several, query)) & set(right)) >= (5 if kind == "exact" else 4)
        found = several.nearest(query, ["image"], 5)
        assert several.nearest_many(z["text"][i : i + 1].numpy(), "image", 5)[0].tolist() == [
            f.place.row for f in found
        ]
    assert several.delete(["image/1", f"image/{n - 1}"]).count("image") == n - 2
    if kind != "exact":
        assert several.current["recall"]["scores"].keys() == one.current["recall"]["scores"].keys()


def test_indexes_of_several_machines_become_one(tmp_path: Path) -> None:
    z = cloud(120)
    table = entries(z)
    for m in table:
        for i, entry in enumerate(table[m]):
            entry["id"] = f"{m}/{i}"
    whole = Index.build(tmp_path / "whole", z, table, settings=AnnSettings("hnsw")).delete(["image/7", "text/90"])
    halves = []
    for name, part in (("a", slice(0, 50)), ("b", slice(50, 120))):
        own = {m: table[m][part] for m in table}
        halves.append(Index.build(tmp_path / name, {m: z[m][part] for m in z}, own, settings=AnnSettings("hnsw")))
    halves[0].delete(["image/7"])
    halves[1].delete(["text/90"])
    Index.join(tmp_path / "all", [tmp_path / "a", tmp_path / "b"])
    both = Index(tmp_path / "all")
    assert both.count("image") == both.count("text") == 119
    for i in range(0, 120, 11):
        query = z["text"][i].double().numpy()
        exact = [[ix.id(f.place) for f in ix.nearest(query, ["image"], 5, exact=True)] for ix in (whole, both)]
        assert exact[0] == exact[1]
    shutil.rmtree(tmp_path / "a")  # the joined index stands by itself
    assert Index(tmp_path / "all").find("image/3").row == 3
    with pytest.raises(ModalignError, match="has 139 ids that another has too"):
        Index.join(tmp_path / "twice", [tmp_path / "b", tmp_path / "b"])
    narrow = cloud(10, 8)
    Index.build(tmp_path / "narrow", narrow, entries(narrow))
    with pytest.raises(ModalignError, match="differ in their dim"):
        Index.join(tmp_path / "none", [tmp_path / "b", tmp_path / "narrow"])


def test_vectors_are_mapped_not_read(tmp_path: Path) -> None:
    make(tmp_path / "index", 5_000, d=512)  # 20 MB
    code = (
        "import sys, resource\nfrom modalign.search import Index\n"
        "import faiss, pyarrow, torch\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"Index({str(tmp_path / 'index')!r} and __import__('pathlib').Path({str(tmp_path / 'index')!r}))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    grown = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert grown < 10_000  # KiB, of 20 MB of vectors


def test_add_update_delete_compact(tmp_path: Path) -> None:
    z = cloud(60)
    first = Index.build(tmp_path / "index", z, entries(z))
    query = z["text"][7].double().numpy()
    new = torch.from_numpy(query).float()[None]
    second = first.add({"image": new}, {"image": [{"id": "fresh", "text": "new one"}]})
    assert nearest(second, query)[0] == "fresh"
    assert (first.count("image"), second.count("image")) == (60, 61)
    assert "fresh" not in nearest(first, query)  # what was opened before stays as it was
    with pytest.raises(ModalignError, match="1 ids are in the index already \\(fresh\\)"):
        second.add({"image": new}, {"image": [{"id": "fresh"}]})
    third = second.add({"image": -new}, {"image": [{"id": "fresh", "text": "turned around"}]}, update=True)
    assert third.count("image") == 61
    assert "fresh" not in nearest(third, query)
    assert third.entry(third.find("fresh"))["text"] == "turned around"
    fourth = third.delete(["image/7", "fresh"])
    assert fourth.count("image") == 59
    assert not fourth.has("image/7")
    with pytest.raises(ModalignError, match="no item 'image/7'"):
        fourth.delete(["image/3", "image/7"])
    assert Index(tmp_path / "index").has("image/3")  # nothing was deleted
    again = fourth.add({"image": new}, {"image": [{"id": "fresh"}]})
    assert nearest(again, query)[0] == "fresh"
    before = [nearest(again, q.double().numpy()) for q in z["text"][:10]]
    small = again.compact()
    assert (small.rows("image"), small.count("image")) == (60, 60)
    assert [nearest(small, q.double().numpy()) for q in z["text"][:10]] == before
    assert len(list((tmp_path / "index" / "segments").iterdir())) == 1
    assert not (tmp_path / "index" / "deleted").exists()


def test_an_index_of_several_origins_names_whom_all_of_them_ask_to(tmp_path: Path) -> None:
    z = cloud(20)

    def built(name: str, note: str) -> Index:
        own = {m: [{"id": f"{name} {m} {i}"} for i in range(20)] for m in z}
        facts = {"title": name, "attribution": note} if note else {}
        return Index.build(tmp_path / name, z, own, facts=facts)

    parts = [built(*of).folder for of in (("a", "A, CC BY"), ("b", ""), ("c", "C"), ("d", "A, CC BY"))]
    joined = Index.join(tmp_path / "all", parts)
    assert joined.facts == {"title": "a", "attribution": "A, CC BY; C"}
    more = {"text": [{"id": f"new {i}"} for i in range(20)]}
    for note in ("D", "C"):
        joined = joined.add({"text": z["text"]}, more, facts={"title": "d", "attribution": note}, update=True)
    assert joined.compact().facts == {"title": "a", "attribution": "A, CC BY; C; D"}


def test_compacting_keeps_what_another_program_added_since_the_index_was_opened(tmp_path: Path) -> None:
    first = make(tmp_path / "index")
    Index(tmp_path / "index").add({"image": cloud(1)["image"]}, {"image": [{"id": "fresh"}]})
    small = first.compact()
    assert small.has("fresh")
    assert small.count("image") == 61


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_without_items_is_compacted_and_filled_again(kind: str, tmp_path: Path) -> None:
    full = make(tmp_path / "index", 800, kind)
    empty = full.delete(list(full._ids)).compact()
    assert empty.modalities == ()
    assert not (tmp_path / "index" / "segments").exists()
    assert empty.settings.kind == kind
    assert empty.compact().modalities == ()
    with pytest.raises(
        ModalignError, match=r"index has no items: add some with  modalign index RUN --out .*index --add"
    ):
        open_space(tmp_path / "index").search(Query().vector(np.eye(16)[0]))
    z = cloud(2)
    assert empty.add(z, entries(z)).count("image") == 2


def test_an_index_opened_by_a_relative_path_is_changed_from_any_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "index")
    monkeypatch.chdir(tmp_path)
    index = Index("index")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ModalignError, match="'image' has 2 vectors but 0 item descriptions"):
        index.add({"image": torch.eye(16)[:2]}, {})
    assert index.delete(["image/7"]).count("image") == Index(tmp_path / "index").count("image") == 59
    assert not any(Path.cwd().iterdir())


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_deleted_items_are_not_found_in_approximate_indexes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.search.part.FEW", 0)  # so that even so few are looked for approximately
    index = make(tmp_path / "index", 1500, kind, 8)
    query = index.vectors("image", [5])[0].astype(np.float64)
    assert nearest(index, query, 1) == ["image/5"]
    gone = nearest(index, query, 3)
    assert not set(gone) & set(nearest(index.delete(gone), query, 10))
    some = index.nearest(query, ["image"], 10, conditions(["fresh=true"]))
    assert len(some) == 10
    assert all(index.entry(f.place)["fresh"] for f in some)


def test_only_some_modalities_with_recall_for_the_others(tmp_path: Path) -> None:
    z = cloud(300)
    index = Index.build(tmp_path / "index", z, entries(z), settings=AnnSettings("hnsw"), only=["image"])
    assert index.modalities == ("image",)
    assert "index_recall/text->image/@10" in index.current["recall"]["scores"]
    with pytest.raises(ModalignError, match="did you mean 'image'"):
        Index.build(tmp_path / "index", z, entries(z), only=["images"])


def test_an_id_is_what_was_given(tmp_path: Path) -> None:
    """0 is an id, a text that looks like a number stays a text, and what is no id becomes modality/row."""
    given = [0, 7, "007", "1e5", None, ""]
    index = Index.build(tmp_path / "i", {"image": torch.eye(6)}, {"image": [{"id": i} for i in given]})
    assert nearest(index, np.eye(6)[0], 1) == ["0"]
    assert [index.id(Place("image", r)) for r in range(6)] == ["0", "7", "007", "1e5", "image/4", "image/5"]
    assert index.find("0") == Place("image", 0)
    assert open_space(tmp_path / "i").search(Query().vector(np.eye(6)[2]), k=1)["hits"][0]["id"] == "007"
    with pytest.raises(ModalignError, match=r"query must be Query, got ndarray .*Query\(\).vector"):
        open_space(tmp_path / "i").search(np.eye(6)[2])  # type: ignore[arg-type]
    fewer = index.delete(["0", "1e5"]).compact()
    assert [fewer.id(Place("image", r)) for r in range(4)] == ["7", "007", "image/4", "image/5"]


def test_one_id_is_deleted_and_none_that_its_letters_name(tmp_path: Path) -> None:
    built = Index.build(tmp_path / "i", {"image": torch.eye(4)}, {"image": [{"id": i} for i in ("12", "1", "2", 3)]})
    fewer = built.delete("12")
    assert [fewer.has(i) for i in ("12", "1", "2", "3")] == [False, True, True, True]
    assert fewer.delete(i for i in (np.int64(3), 2)).count("image") == 1


def test_metadata_may_hold_dates_and_numbers_of_any_kind(tmp_path: Path) -> None:
    told = {
        "day": date(2026, 11, 5), "at": np.datetime64("2026-11-05T10:00", "ns"), "span": timedelta(minutes=2),
        "price": Decimal("1.50"), "wide": np.longdouble(0.25), "file": Path("a/b.png"), "kinds": {"b", "a"},
    }  # fmt: skip
    index = Index.build(tmp_path / "i", {"image": torch.eye(2)}, {"image": [told, {"day": date(2027, 1, 1)}]})
    assert {k: v for k, v in index.entry(Place("image", 0)).items() if k in told} == {
        "day": "2026-11-05", "at": "2026-11-05T10:00:00.000000000", "span": 120.0, "price": 1.5, "wide": 0.25,
        "file": "a/b.png", "kinds": ["a", "b"],
    }  # fmt: skip
    assert index.allowed("image", conditions(["day<2026-12-01"])).tolist() == [True, False]
    with pytest.raises(ModalignError, match="item 1 of 'image': bytes cannot be written as JSON: give text"):
        Index.build(tmp_path / "j", {"image": torch.eye(2)}, {"image": [{}, {"raw": b"x"}]})


@pytest.mark.parametrize("length", [1e-30, 1e-13, 1e20, 1e37])
def test_vectors_of_any_length_are_scaled_to_length_1(length: float, tmp_path: Path) -> None:
    """Float32 has no squares of them: they were kept shorter, or as rows of zeros."""
    z = cloud(20, 8)
    plain = Index.build(tmp_path / "plain", z, entries(z))
    scaled = Index.build(tmp_path / "scaled", {m: length * x.float() for m, x in z.items()}, entries(z))
    for m in z:
        rows = np.arange(plain.rows(m))
        assert np.allclose(scaled.vectors(m, rows), plain.vectors(m, rows), atol=1e-6)


def test_entries_come_at_once_as_one_by_one(tmp_path: Path) -> None:
    index = make(tmp_path / "i")
    index = index.add({"image": torch.eye(16)[:2]}, {"image": [{"id": "new", "more": 1.5}, {"id": "newer"}]})
    rows = np.array([0, 3, 59, 60, 61])
    assert index.entries("image", rows) == [index.entry(Place("image", int(r))) for r in rows]


def test_wrong_widths_name_both(tmp_path: Path) -> None:
    index = make(tmp_path / "index")
    with pytest.raises(ModalignError, match="5 dimensions, the index 16"):
        index.add({"image": torch.ones(1, 5)}, {"image": [{"id": "new"}]})
    with pytest.raises(ModalignError, match="unequal widths"):
        Index.build(tmp_path / "other", {"a": torch.ones(1, 5), "b": torch.ones(1, 6)}, {"a": [{}], "b": [{}]})
    with pytest.raises(ModalignError, match="2 vectors but 1 item"):
        Index.build(tmp_path / "other", {"a": torch.ones(2, 5)}, {"a": [{}]})
    with pytest.raises(ModalignError, match="nothing to index"):
        Index.build(tmp_path / "other", {"a": torch.ones(0, 5)}, {"a": []})
    with pytest.raises(ModalignError, match="two items have the id 'x'"):
        Index.build(tmp_path / "other", {"a": torch.ones(2, 5)}, {"a": [{"id": "x"}, {"id": "x"}]})
    assert not (tmp_path / "other" / "current.json").exists()


def test_another_model_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    z = cloud(30)
    own, other = write_run(tmp_path / "own", z), write_run(tmp_path / "other", z)
    torch.manual_seed(5)
    from modalign.model import Model

    model = Model.load(other)
    with torch.no_grad():
        for weight in model.heads.parameters():
            weight.add_(0.1)
    model.save(other)
    a, b = model_fingerprint(own), model_fingerprint(other)
    assert a != b
    index = Index.build(tmp_path / "index", z, entries(z), model=own)
    with pytest.raises(ModalignError, match=f"belongs to model {a}.*has model {b}"):
        index.add(z, entries(z), model=other, update=True)
    with pytest.raises(ModalignError, match=f"{a}.*{b}"):
        open_space(tmp_path / "index", other)
    shutil.rmtree(own)  # the index answers by itself
    assert open_space(tmp_path / "index").model.heads.modalities == ("image", "text")


def test_no_index_and_damaged_ones(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="no search index in"):
        Index(tmp_path)
    make(tmp_path / "index")
    place = tmp_path / "index"
    segment = next((place / "segments").iterdir())
    whole = (segment / "0.faiss").read_bytes()
    (segment / "0.faiss").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModalignError, match=r"index is damaged: .*0\.faiss"):
        Index(place)
    (segment / "0.faiss").unlink()
    with pytest.raises(ModalignError, match="is gone"):
        Index(place)
    (segment / "0.faiss").write_bytes(whole[:-4] + b"\0\0\0\0")  # as long, and other numbers
    with pytest.raises(ModalignError, match=r"0\.faiss is not what was written; build it again"):
        Index(place)
    (segment / "0.faiss").write_bytes(whole)
    current = json.loads((place / "current.json").read_text())
    (place / "current.json").write_text(json.dumps({**current, "format": 99}))
    with pytest.raises(ModalignError, match="format 99, this version reads 1"):
        Index(place)
    (place / "current.json").write_text("{")
    with pytest.raises(ModalignError, match=r"damaged: .*current\.json"):
        Index(place)
    (place / "current.json").write_text('{"format": 1}')
    with pytest.raises(ModalignError, match="lacks deleted"):
        Index(place)


def test_marks_tell_large_files_apart_by_samples(tmp_path: Path) -> None:
    file, draw = tmp_path / "0.faiss", np.random.default_rng(0)
    file.write_bytes(draw.bytes(1 << 20))
    mark = ann.mark(file, "exact")
    assert ann.mark(file, "exact") == mark
    file.write_bytes(draw.bytes(1 << 20))
    assert ann.mark(file, "exact") != mark


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


#: Moment at which a write is killed -> what is called then.
MOMENTS = {
    "vectors": (segments, "write_arrow"), "segment": (segments.os, "replace"), "pointer": (index_module, "write_json"),
    "tidy": (segments, "tidy"),
}  # fmt: skip


def doomed(place: Path, moment: str, action: str) -> None:
    """A write that is killed at its moment, in a process of its own."""
    setattr(*MOMENTS[moment], die)
    z = {"image": torch.eye(16), "text": torch.eye(16).flip(0)}
    items = {m: [{"id": f"{m}-new-{j}"} for j in range(16)] for m in z}
    Index(place).add(z, items) if action == "add" else Index.build(place, z, items)


def test_killed_at_any_moment_an_index_is_there(tmp_path: Path, children: ModuleType) -> None:
    make(tmp_path / "before")
    before = files(tmp_path / "before")
    for name in (f"{moment}-{action}" for moment in MOMENTS for action in ("add", "build")):
        place = Path(shutil.copytree(tmp_path / "before", tmp_path / name))
        assert children.ran(partial(doomed, place, *name.split("-")))[0] == -signal.SIGKILL
        index = Index(place)
        if name.startswith("tidy"):  # the new one is in place, the old one's files still lie about
            assert index.count("image") == (76 if name == "tidy-add" else 16)
        else:
            assert index.count("image") == 60, name
            assert all(files(place)[part] == blob for part, blob in before.items())
        query = index.vectors("image", [3])[0].astype(np.float64)
        assert nearest(index, query, 1) == [index.id(Place("image", 3))]
        make(place)  # the next write clears what was left
        assert set(files(place)) <= {*before, ".lock"}


def hold(place: Path) -> None:
    with claim(place, "index"):
        print("ready")
        time.sleep(600)


def test_one_writer_at_a_time(tmp_path: Path, children: ModuleType) -> None:
    index = make(tmp_path / "index")
    holder = children.forked(lambda: hold(tmp_path / "index"))
    try:
        assert next(holder.lines()) == "ready"
        with pytest.raises(ModalignError, match="another program is writing"):
            index.delete(["image/1"])
        assert Index(tmp_path / "index").count("image") == 60  # readers are not kept out
    finally:
        holder.kill()
        holder.end()
    assert index.delete(["image/1"]).count("image") == 59  # a dead writer holds nothing


def test_items_are_called_by_words_that_were_indexed_with_them(tmp_path: Path) -> None:
    """Groups of two data sets are both numbered from 0: pictures of the second had the words of the first."""
    x = torch.eye(2)

    def entries(name: str) -> dict[str, list[dict[str, Any]]]:
        return {
            "image": [{"id": f"{name}-picture {i}", "group": i} for i in range(2)],
            "text": [{"id": f"{name}-words {i}", "group": i, "text": f"{name} {i}"} for i in range(2)],
        }

    index = Index.build(tmp_path / "index", {"image": x, "text": x}, entries("dog"))
    index = index.add({"image": x, "text": x}, entries("cat"))
    index = index.add({"image": x[:1]}, {"image": [{"id": "one more", "group": 1}]})
    called = {i: index.words(place, index.entry(place)) for i, place in index._ids.items() if place.modality == "image"}
    assert called == {
        "dog-picture 0": "dog 0", "dog-picture 1": "dog 1", "cat-picture 0": "cat 0", "cat-picture 1": "cat 1",
        "one more": "dog 1",
    }  # fmt: skip


ASKED = [
    "k=1", "k!=1", "k=true", "k<2", "k>=a", "k=word", "j=1.0", 'j=["a", 1]', "j<2", "none=1", "group=1", "text=x",
]  # fmt: skip


def told(index: Index) -> dict[str, Any]:
    """Of each item what is known, what it is called, and its file."""
    space, out = space_of(index), {}
    for id, place in index._ids.items():
        entry = {k: v for k, v in index.entry(place).items() if k != "picture"}  # the path depends on the folder
        out[id] = (entry, space.name(place), space.file(place))
    return out


def answers(index: Index) -> dict[Any, Any]:
    """What is found by filters and corrections, and the messages of what is refused."""
    space, out = space_of(index), {}
    for id in list(index._ids)[:3]:
        for where, correction in itertools.product([[], *([a] for a in ASKED)], (None, "csls")):
            try:
                found = space.search(Query().item(id), "any", 4, where, correction)
                out[id, *where, correction] = [{**h, "picture": None} for h in found["hits"]], found["chance"]
            except ModalignError as refused:
                out[id, *where, correction] = str(refused)
    return out


VALUES = {"first": [1, 2, None, 1], "second": ["word", "1", "2000", None], "third": [True, ["a", 1], 2**63, 1.0]}
Known = dict[str, tuple[torch.Tensor, dict[str, Any]]]


def lived(place: Path, seed: int, apart: int = 0) -> tuple[Index, Known]:
    """An index of three data sets whose metadata have other types, with deletions, an item that came back, one that
    was replaced, and a key that no item has any more; and what is in it. apart: groups between two data sets."""
    draw, numbers = random.Random(seed), torch.Generator().manual_seed(seed)
    known: Known = {}
    index = None

    def add(ids: list[str], **more: Any) -> Index:
        assert index is not None
        m = ids[0].split("-")[1]
        rows = torch.stack([known[id][0] for id in ids])
        return index.add({m: rows}, {m: [known[id][1] for id in ids]}, root=place / ids[0].split("-")[0], **more)

    for d, (name, values) in enumerate(VALUES.items()):
        z = {m: torch.randn(4, 8, generator=numbers) for m in ("image", "text")}
        table: dict[str, list[dict[str, Any]]] = {m: [{"id": f"{name}-{m}-{i}"} for i in range(4)] for m in z}
        for i, (picture, words) in enumerate(zip(table["image"], table["text"], strict=True)):
            picture |= {"group": d * apart + i, "k": values[i], "j": draw.choice(values), "picture": f"{i}.png"}
            words |= {"group": d * apart + i, "k": values[i], "text": f"{name} words {i}"}
        table["image"][3]["none"] = 1
        known |= {entry["id"]: (z[m][i], entry) for m in z for i, entry in enumerate(table[m])}
        to, more = (place / "i", {"root": place / name})
        index = Index.build(to, z, table, **more) if index is None else index.add(z, table, **more)  # type: ignore[arg-type]
    assert index is not None
    gone = [f"{name}-image-3" for name in VALUES]
    gone += draw.sample(sorted(known.keys() - gone), 4)
    index = index.delete(gone)
    known = {id: item for id, item in known.items() if id not in gone}
    back, changed = draw.sample(sorted(known), 2)
    index = index.delete([back])
    index = add([back])
    known[changed] = (-known[changed][0], {**known[changed][1], "k": "new"})
    index = add([changed], update=True)
    assert (len(index.current["segments"]), index._ids.keys()) == (5, known.keys())
    return index, known


@pytest.mark.parametrize("seed", range(3))
def test_a_compacted_index_answers_as_before(seed: int, tmp_path: Path) -> None:
    """Groups of all data sets are numbered from 0: after compaction all were called by the words of the first; types
    of metadata became words; pictures in several folders were refused."""
    index, known = lived(tmp_path, seed)
    before = told(index), answers(index)
    for id, (entry, name, file) in before[0].items():
        data_set, modality, row = id.split("-")
        words = f"{data_set} words {row}"
        assert name == (words if words in {e.get("text") for _, e in known.values()} else id)
        assert entry == {k: v for k, v in known[id][1].items() if v is not None and k != "picture"}
        assert file == ((str(tmp_path / data_set / f"{row}.png"), None, None) if modality == "image" else None)
    compacted = index.compact()
    assert len(compacted.current["segments"]) == 1
    assert (told(compacted), answers(compacted)) == before
    joined = Index.join(tmp_path / "joined", [compacted.folder])
    assert (told(joined), answers(joined)) == before


@pytest.mark.parametrize("seed", range(3))
def test_a_compacted_index_answers_as_one_built_anew(seed: int, tmp_path: Path) -> None:
    index, known = lived(tmp_path, seed, apart=4)
    compacted, ids = index.compact(), list(index._ids)
    z = {m: torch.stack([known[id][0] for id in ids if m in id]) for m in index.modalities}
    table = {m: [{**known[id][1]} for id in ids if m in id] for m in index.modalities}
    for entry in table["image"]:
        entry["picture"] = f"{entry['id'].split('-')[0]}/{entry['picture']}"
    anew = Index.build(tmp_path / "anew", z, table, root=tmp_path)
    assert (told(compacted), answers(compacted)) == (told(anew), answers(anew))


def test_an_index_of_deleted_items_answers_as_an_empty_one(tmp_path: Path) -> None:
    pictures = [{"group": i, "year": 1990 + i} for i in range(3)]
    table = {"image": pictures, "text": [{"group": i, "text": "x"} for i in range(3)]}
    index = Index.build(tmp_path / "i", {"image": torch.eye(3), "text": torch.eye(3)}, table)
    index = index.delete([f"text/{i}" for i in range(3)])
    assert [h["name"] for h in space_of(index).search(Query().item("image/0"))["hits"]] == ["image/1", "image/2"]
    with pytest.raises(ModalignError, match=r"unknown modality of this run 'text'.*\(known: any, image\)"):
        space_of(index).search(Query().item("image/0"), "text")
    with pytest.raises(ModalignError, match=r"unknown metadata key 'text' \(known: group, id, year\)"):
        space_of(index).search(Query().item("image/0"), where=["text=x"])
    empty = index.delete([f"image/{i}" for i in range(3)])
    for one in (empty, empty.compact()):
        with pytest.raises(ModalignError, match="has no items: add some"):
            space_of(one).search(Query().vector(np.eye(3)[0]))
    again = empty.add({"image": torch.eye(3)}, {"image": [{"year": "late"} for _ in range(3)]})
    hits = space_of(again).search(Query().vector(np.eye(3)[2]), where=["year>early"])["hits"]
    assert (hits[0]["id"], hits[0]["cosine"], len(hits)) == ("image/2", 1.0, 3)
