"""The whole job on two small models: what is kept, what is written, what is told."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

import modalign as ma
from modalign import cli
from modalign.data.pairs import load_pairs
from modalign.errors import ModalignError
from modalign.migration import Migration, load_migration
from modalign.migration.charts import adapters, by_place, over_pairs
from modalign.migration.curve import forecast
from modalign.migration.lists import nearest, overlap
from modalign.migration.page import COLUMNS, needed, undecided
from modalign.migration.verdict import verdict

from .conftest import Models, two_models


@pytest.fixture(scope="module")
def moved(stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Migration:
    return ma.migrate(
        stores / "old.npy", stores / "new.npy", stores / "pairs.csv", tmp_path_factory.mktemp("moved") / "out"
    )


def kept(queries: torch.Tensor, models: Models) -> float:
    """Overlap@10 of mapped queries with the old model's lists, on items that no adapter saw."""
    store = models.old[:2000]
    truth = nearest(models.old[2000:], store, 10)
    return float(overlap(nearest(queries, store, 10), truth).mean())


def test_queries_of_the_new_model_find_what_the_old_one_found(moved: Migration, models: Models) -> None:
    found = kept(moved.queries(models.new[2000:]), models)
    told = moved.facts["queries"]["kept"]
    assert found > 0.5
    assert abs(found - told["value"]) < 0.1  # what the page promises on held-out pairs holds for new queries
    assert told["low"] < told["value"] < told["high"]


def test_mapped_rows_serve_queries_of_the_new_model(moved: Migration, models: Models) -> None:
    truth = nearest(models.new[2000:], models.new[:2000], 10)
    found = nearest(models.new[2000:], moved.rows(models.old[:2000]), 10)
    assert float(overlap(found, truth).mean()) > 0.45


def test_unlinked_rows_help_where_pairs_are_few(models: Models) -> None:
    pairs = torch.arange(10)[:, None].expand(10, 2)
    new = torch.cat([models.new[:10], models.new[2000:]])
    scores = {}
    for m in ("orthogonal", "ridge", "full"):
        moved = ma.migrate(models.old[:2000], new, pairs, methods=[m], directions=["queries"])
        scores[m] = kept(moved.queries(models.new[2000:]), models)
    assert scores["full"] > 1.1 * max(scores["orthogonal"], scores["ridge"])


def test_the_folder_is_whole_and_opens_again(moved: Migration, models: Models) -> None:
    assert moved.folder is not None
    names = {p.name for p in moved.folder.iterdir()}
    assert {"migration.json", "report.html", "queries", "rows"} <= names
    again = load_migration(moved.folder)
    assert torch.equal(again.queries(models.new[:5]), moved.queries(models.new[:5]))
    assert again.facts["verdict"] == moved.verdict
    page = (moved.folder / "report.html").read_text()
    for words in ("95 %", "Worst queries", "Not tested", "adapter.safetensors", "Old and new items in one list"):
        assert words in page
    assert "https:" not in page
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_migration_that_takes_the_place_of_another_leaves_nothing_of_it(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has wrong pairs, adapters for both directions, and linear ones; the second has none of these."""
    wrong = torch.arange(300)[:, None].repeat(1, 2)
    wrong[:90, 1] = wrong[:90, 1].roll(45)
    stores, out = (models.old[:600], models.new[:600]), tmp_path / "out"
    first = ma.migrate(*stores, wrong, out, methods=["ridge"])
    assert {"queries", "rows", "wrong_pairs.csv"} <= {p.name for p in out.iterdir()}

    def full(*given: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    again: dict[str, Any] = {"methods": ["perceptron"], "directions": ["rows"]}
    with monkeypatch.context() as patch:
        patch.setattr("modalign.migration.page.page", full)
        with pytest.raises(OSError, match="No space"):
            ma.migrate(*stores, wrong[100:], out, **again)
    assert torch.equal(load_migration(out).queries(models.new[:5]), first.queries(models.new[:5]))
    ma.migrate(*stores, wrong[100:], out, **again)
    ma.migrate(*stores, wrong[100:], tmp_path / "fresh", **again)
    names = [{str(p.relative_to(f)) for p in f.rglob("*")} for f in (out, tmp_path / "fresh")]
    assert names[0] == names[1]
    assert not any(name.startswith(("queries", "wrong", ".fresh")) or "dense" in name for name in names[0])


def test_one_model_under_two_names_keeps_everything(models: Models) -> None:
    pairs = torch.arange(60)[:, None].expand(60, 2)
    moved = ma.migrate(models.old[:1000], models.old[:400], pairs)
    for direction in ("queries", "rows"):
        assert moved.facts[direction]["kept"]["value"] == 1.0
        assert moved.facts[direction]["kept_new"]["value"] == 1.0
    assert moved.facts["agreement"]["value"] == 1.0


def test_few_pairs_say_no_more_than_they_know_of_the_new_lists() -> None:
    """Two models that share nothing: of the ten others of eleven pairs, lists of ten would agree entirely."""
    draw = torch.Generator().manual_seed(0)
    old, new = torch.randn(400, 16, generator=draw), torch.randn(400, 12, generator=draw)
    moved = ma.migrate(old, new, torch.arange(11)[:, None].expand(11, 2), methods=["ridge"])
    lists = [nearest(x[:11], x[:11], 2, own=torch.arange(11)) for x in (old, new)]
    common = sum(len(set(a) & set(b)) for a, b in zip(*(x.tolist() for x in lists), strict=True)) / 22
    assert moved.facts["agreement"]["value"] == pytest.approx(common, abs=1e-5)
    assert common < 0.5
    assert f"the two models' own top 2 have {100 * common:.1f} % in common" in moved.verdict
    assert (
        "compared to the first 2 alone, as 11 pairs were tested; chance keeps 20 % of them."
        in moved.facts["warnings"][-1]
    )
    many = ma.migrate(old, old[:, :12], torch.arange(50)[:, None].expand(50, 2), methods=["ridge"], k=100)
    assert (many.facts["k"], many.facts["k_new"]) == (100, 12)


def test_encoders_that_cannot_search_the_stores_are_refused(models: Models) -> None:
    pairs = torch.arange(30)[:, None].expand(30, 2)
    with pytest.raises(ModalignError, match="unknown encoder 'minlm': did you mean 'minilm'"):
        ma.migrate(models.old[:100], models.new[:100], pairs, encoders={"new": "minlm"})
    width = models.old.shape[1]
    with pytest.raises(ModalignError, match=f"old encoder 'minilm' gives 384 numbers, but OLD has {width}"):
        ma.migrate(models.old[:100], models.new[:100], pairs, encoders={"old": "minilm"})


def test_lengths_are_kept_where_the_store_uses_them(models: Models) -> None:
    draw = torch.Generator().manual_seed(1)
    length = torch.exp(0.3 * torch.randn(2000, 1, generator=draw))
    old, new = models.old[:2000] * length, models.new[:2000] * 3 * length.sqrt()
    pairs = torch.arange(300)[:, None].expand(300, 2)
    for measure in ("dot", "l2"):
        moved = ma.migrate(old, new, pairs, measure=measure, methods=["orthogonal", "ridge"])
        want = torch.linalg.vector_norm(old, dim=1)
        got = torch.linalg.vector_norm(moved.queries(new), dim=1)
        assert float((got / want - 1).abs().max()) < 0.05
        assert moved.facts["rows"]["kept"]["value"] > 0.4


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_wrong_pairs_are_found_counted_and_do_no_harm(share: float, models: Models, tmp_path: Path) -> None:
    n = 300
    pairs = torch.arange(n)[:, None].repeat(1, 2)
    bad = int(share * n)
    pairs[:bad, 1] = pairs[:bad, 1].roll(bad // 2)
    right = ma.migrate(
        models.old[:2000], models.new[:2000], pairs[bad:], methods=["ridge", "full"], directions=["queries"]
    )
    moved = ma.migrate(
        models.old[:2000], models.new[:2000], pairs, tmp_path, methods=["ridge", "full"], directions=["queries"]
    )
    told = moved.facts["pairs"]
    assert abs(told["wrong_share"] - share) < 0.1
    lines = (tmp_path / "wrong_pairs.csv").read_text().splitlines()[1:]
    found = {int(line.split(",")[0]) for line in lines}
    assert len(found & set(range(bad))) > 0.75 * bad
    assert len(found - set(range(bad))) < 0.15 * n
    assert kept(moved.queries(models.new[2000:]), models) > kept(right.queries(models.new[2000:]), models) - 0.05


def test_repeated_contradictory_zero_and_broken_rows_are_put_aside_and_told(models: Models) -> None:
    old, new = models.old[:500].clone(), models.new[:500].clone()
    old[5], new[6], old[7, 0] = 0.0, 0.0, float("nan")
    pairs = torch.arange(60)[:, None].repeat(1, 2)
    pairs = torch.cat([pairs, pairs[:10], torch.tensor([[20, 30]])])
    aside = ma.migrate(old, new, pairs, methods=["ridge"]).facts["pairs"]["aside"]
    assert aside == {"repeated": 10, "contradictory": 3, "zero or not finite": 3}


def test_a_sample_of_one_topic_is_told(models: Models) -> None:
    near = (models.old[:2000] @ models.old[0]).topk(200).indices
    pairs = torch.stack([near, near], 1)
    moved = ma.migrate(models.old[:2000], models.new[:2000], pairs, methods=["ridge"])
    assert moved.facts["bare"] > 0.3
    assert any("leave out" in w for w in moved.facts["warnings"])
    spread = torch.arange(200)[:, None].expand(200, 2)
    assert ma.migrate(models.old[:2000], models.new[:2000], spread, methods=["ridge"]).facts["bare"] == 0.0


def test_other_lengths_on_either_side_change_nothing_for_a_cosine_store(models: Models) -> None:
    pairs = torch.arange(100)[:, None].expand(100, 2)
    one = ma.migrate(models.old[:1000], models.new[:1000], pairs, methods=["orthogonal", "full"])
    two = ma.migrate(7 * models.old[:1000], models.new[:1000] / 100, pairs, methods=["orthogonal", "full"])
    assert one.facts["queries"]["kept"] == two.facts["queries"]["kept"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pairs": [[0, 5000]] * 20}, "NEW has not"),
        ({"pairs": [[i, i] for i in range(5)]}, "at least 10"),
        ({"measure": "cos"}, "cosine"),
        ({"methods": ["rigde"]}, "did you mean 'ridge'"),
        ({"directions": ["query"]}, "queries"),
        ({"k": 0}, r"k must lie in \[1, 1,000\]"),
        ({"old": np.zeros(4)}, "OLD"),
        ({"old": np.ones((100, 4))}, "all rows of OLD are equal"),
        ({"new": np.ones((100, 4))}, "all rows of NEW are equal"),
        ({"methods": []}, "no adapter to try: name some of identity"),
        ({"methods": ["identity"]}, "'identity' needs two models of one width"),
        ({"directions": []}, "name queries, rows or both"),
    ],
)
def test_mistakes_get_one_clear_line(change: dict[str, object], told: str, models: Models) -> None:
    given: dict[str, object] = {"old": models.old[:100], "new": models.new[:100], "pairs": [[i, i] for i in range(40)]}
    with pytest.raises(ModalignError, match=told) as problem:
        ma.migrate(**{**given, **change})  # type: ignore[arg-type]
    assert "\n" not in str(problem.value)


def test_a_list_of_pairs_that_is_wrong_as_a_whole_is_refused(models: Models) -> None:
    mixed = torch.stack([torch.arange(100), torch.arange(100).roll(37)], 1)
    with pytest.raises(ModalignError, match=r"pairs look wrong, too many to trust .* is each pair one item"):
        ma.migrate(models.old[:500], models.new[:500], mixed, methods=["ridge"])


@pytest.mark.parametrize("head", ["new,old", '"New row";"Old row"', "new_id\told_id"])
def test_columns_that_name_new_first_are_refused(head: str, tmp_path: Path) -> None:
    between = next(c for c in ",;\t" if c in head)
    path = tmp_path / "pairs.csv"
    path.write_text(head + "\n" + "".join(f"{i}{between}{i}\n" for i in range(20)))
    with pytest.raises(ModalignError, match="give the rows of OLD first"):
        load_pairs(path, ("OLD", "NEW"))
    path.write_text(f"old{between}new\n3{between}4\n")
    assert load_pairs(path, ("OLD", "NEW")).tolist() == [[3, 4]]


def facts_of(kept: float, agreement: float, take: str = "queries", bare: float = 0.0) -> dict[str, Any]:
    share = {"value": kept, "low": kept - 0.02, "high": kept + 0.02}
    more = {"agreement": {"value": agreement}, "k": 10, "k_new": 10, "pairs": {"used": 1000}, "bare": bare}
    return {"take": take, take: {"kept": share}, **more}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            facts_of(0.534, 0.543),
            "Keep the index and map each query: 1,000 pairs keep 53.4 % of the old top 10 (51.4 to 55.4); "
            "the two models' own lists have 54.3 % in common.",
        ),
        (
            facts_of(0.97, 0.9, "rows"),
            "Rewrite the old vectors once: 1,000 pairs keep 97.0 % of the old top 10 (95.0 to 99.0), "
            "so users will hardly notice.",
        ),
        (
            facts_of(0.688, 0.603, bare=0.58),
            "Keep the index and map each query: 1,000 pairs keep 68.8 % of the old top 10 (66.8 to 70.8) where they "
            "lie, and leave out 58 % of the store; the two models' own lists have 60.3 % in common.",
        ),
        (
            facts_of(0.098, 0.3, "rows"),
            "Embed again what you can: with the old vectors rewritten, 1,000 pairs keep 9.8 % of the old top 10 "
            "(7.8 to 11.8); the two models' own lists have 30.0 % in common.",
        ),
    ],
)
def test_the_verdict_is_one_sentence_and_says_so_where_little_is_kept(facts: dict[str, Any], said: str) -> None:
    assert verdict(facts) == said


def curve_of(pairs: list[int], level: Callable[[int], float], noise: float = 0.0) -> dict[str, Any]:
    """Facts with a forecast: 400 queries that keep ``level(n)`` in the mean with n pairs."""
    draw = torch.randn(400, generator=torch.Generator().manual_seed(0))
    kept = torch.stack([level(n) + noise * (draw - draw.mean()) for n in pairs])
    return {"forecast": forecast(pairs, kept), "curve": [{"pairs": n} for n in pairs]}


def test_a_forecast_beyond_the_pairs_at_hand_is_no_promise() -> None:
    """Curves r(p) = top - a p^-b: needed for 95 % of top is (a / (0.05 top))^(1/b)."""
    pairs = [50, 100, 200, 400]
    far = curve_of(pairs, lambda n: 0.9 - 1.2 * n**-0.2)
    assert far["forecast"]["reliable"] is False
    assert far["forecast"]["at_ten_times"] == pytest.approx(0.9 - 1.2 * 4000**-0.2, abs=0.01)
    assert "not in sight" in needed(far)
    assert "ten times as many pairs (4,000)" in needed(far)
    quick = curve_of(pairs, lambda n: 0.99 - 8 / n)
    assert quick["forecast"]["pairs_of_all"] == pytest.approx(8 / 0.04, rel=0.1)
    assert "about 200 (200 to 200) pairs are needed" in needed(quick)
    assert needed(curve_of(pairs, lambda n: 1.0)) == (
        "95 % of the old lists are kept with the fewest pairs that were tried (50)."
    )
    assert "too few pairs" in needed(curve_of(pairs[:2], lambda n: 1.0))


def test_a_forecast_has_the_range_of_its_queries() -> None:
    """Queries that differ by a constant move the whole curve: top +- 1.96 noise / sqrt(q), the pairs needed hardly."""
    f = curve_of([50, 100, 200, 400], lambda n: 0.6 - 3 / n, noise=0.2)["forecast"]
    low, high = f["range"]["top"]
    assert (low + high) / 2 == pytest.approx(f["top"], abs=0.005)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.2 / 20, rel=0.2)
    assert f["pairs_of_top"] == pytest.approx(3 / 0.03, rel=0.1)
    assert f["pairs_of_all"] is None


def test_charts_say_what_the_facts_say(moved: Migration) -> None:
    assert moved.folder is not None
    text, f = (moved.folder / "report.html").read_text(), moved.facts
    for d in ("queries", "rows"):
        tried = [t for t in f[d]["tried"] if t["method"] == "ridge"]
        best = max(tried, key=lambda t: t["kept"]["value"] + t["kept_new"]["value"])
        old, new = ("".join(x) for x in adapters(f, d))
        assert f"ridge {100 * best['kept']['value']:.1f} %" in old
        assert f"ridge {100 * best['kept_new']['value']:.1f} %" in new
        assert old in text
    overlap_chart, ndcg_chart = over_pairs(f)
    last = f["curve"][-1]
    assert f"{100 * last['kept']['value']:.1f} % at {last['pairs']}" in overlap_chart
    assert f"{100 * last['kept_new_ndcg']['value']:.1f} % at {last['pairs']}" in ndcg_chart
    known = [p for p in f["places"] if p["kept"]]
    assert len(known) > 1
    for p in known:
        assert f"place {p['place']}: {100 * p['share']:.1f} % of the store" in by_place(f)[0]


def test_the_last_point_of_the_curve_is_the_trial_of_the_chosen_adapter(models: Models) -> None:
    pairs = torch.arange(1000)[:, None].expand(1000, 2)  # from 1,000 pairs on there is one part that is held out
    f = ma.migrate(models.old[:1500], models.new[:1500], pairs, methods=["ridge"]).facts
    assert f["curve"][-1] == {"pairs": 800, **{key: f["queries"]["tried"][0][key] for key in COLUMNS}}


def test_the_command_fits_and_prints(stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["migrate", stores / "old.npy", stores / "new.npy", "--pairs", stores / "pairs.csv", "--out", tmp_path / "m",
            "--method", "ridge", "orthogonal", "--json"]  # fmt: skip
    cli.main([str(a) for a in argv])
    facts = json.loads(capsys.readouterr().out)
    assert {t["method"] for t in facts["queries"]["tried"]} == {"ridge", "orthogonal"}
    assert Path(facts["report"]).exists()


def test_rows_to_embed_are_spread_over_the_store(stores: Path, tmp_path: Path, models: Models) -> None:
    far = {}
    for how in ("spread", "farthest", "random"):
        cli.main(["migrate", str(stores / "old.npy"), "--choose", "60", "--how", how, "--out", str(tmp_path / how)])
        rows = np.loadtxt(tmp_path / how, skiprows=1, dtype=int)
        assert len(set(rows)) == 60
        far[how] = float((models.old[:2000] @ models.old[rows].T).amax(1).min())
    assert far["farthest"] > far["random"]


@pytest.mark.parametrize("how", ["spread", "farthest", "random"])
def test_rows_without_a_direction_are_never_chosen_and_none_twice(how: str) -> None:
    old = torch.zeros(12, 3)
    old[2:9] = torch.tensor([1.0, 2.0, 3.0])  # seven equal rows
    old[4, 1], old[11, 0] = torch.nan, torch.inf
    assert ma.migration.choose_rows(old, 6, how).tolist() == [2, 3, 5, 6, 7, 8]
    with pytest.raises(ModalignError, match=r"7 rows were asked for, but the store has 6 \(6 more are zero"):
        ma.migration.choose_rows(old, 7, how)


def test_a_seed_gives_the_same_bits(models: Models) -> None:
    pairs = torch.arange(50)[:, None].expand(50, 2)
    a, b = (ma.migrate(models.old[:600], models.new[:600], pairs, directions=["queries"]) for _ in range(2))
    assert torch.equal(a.queries(models.new[:50]), b.queries(models.new[:50]))


def test_two_models_are_what_the_tests_say() -> None:
    one = two_models(50)
    assert torch.allclose(one.old, normalize(one.old, dim=1))
    assert torch.equal(one.new, two_models(50).new)


def test_arrays_and_pairs_are_taken_as_people_hold_them(models: Models) -> None:
    frame = pd.DataFrame({"old": range(60), "new": range(60)}, index=range(5, 65))
    told = ma.migrate(models.old[:300], models.new[:300], frame, methods="ridge", directions=["queries"]).facts
    assert told["queries"]["method"] == "ridge"
    assert told["pairs"]["given"] == 60
    with pytest.raises(ModalignError, match="integer row numbers"):
        ma.migrate(models.old[:300], models.new[:300], [[i + 0.5, i] for i in range(60)])


def side_of(first: float, second: float, top: float) -> dict[str, Any]:
    """Two adapters that keep so much, the first of them marked, and what the top of the report says."""
    keeps = {"first": first, "second": second, "top": top}
    scores = {name: {c: {"value": v, "low": v - 0.01, "high": v + 0.01} for c in COLUMNS} for name, v in keeps.items()}
    tried = [{"method": "ridge", "settings": n, **scores[n]} for n in ("first", "second")]
    return {"method": "ridge", "settings": "first", **scores["top"], "tried": tried}


def test_figures_that_are_not_those_of_the_marked_adapter_are_explained() -> None:
    assert undecided(side_of(0.3, 0.2, 0.3)) == ""
    assert "the figures at the top (28.0 % and 28.0 %) are not those of its row" in undecided(side_of(0.3, 0.29, 0.28))


def test_items_are_joined_by_their_ids(models: Models, tmp_path: Path) -> None:
    """Equal ids, pairs of ids and pairs of rows give one adapter; new rows lie in another order than old ones."""
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0)) + 200
    pairs = torch.stack([order, torch.arange(150)], 1)
    stores = models.old[:500], models.new[order]
    (tmp_path / "old.txt").write_text("".join(f"item {i}\n" for i in range(500)))
    (tmp_path / "new.txt").write_text("".join(f"item {i}\n" for i in order.tolist()))
    (tmp_path / "other.txt").write_text("".join(f"{i}.jpg\n" for i in range(150)))
    (tmp_path / "pairs.csv").write_text(
        "old,new\n" + "".join(f"item {i},{r}.jpg\n" for r, i in enumerate(order.tolist()))
    )
    files = {name: tmp_path / f"{name}.txt" for name in ("old", "new", "other")}
    wanted = ma.migrate(*stores, pairs, methods=["ridge"]).queries(models.new[:5])
    by_ids = ma.migrate(*stores, ids=[files["old"], files["new"]], methods=["ridge"])
    named = ma.migrate(*stores, tmp_path / "pairs.csv", ids=[files["old"], files["other"]], methods=["ridge"])
    assert by_ids.facts["pairs"]["used"] == named.facts["pairs"]["used"] == 150
    for moved in (by_ids, named):
        assert torch.allclose(torch.as_tensor(moved.queries(models.new[:5])), torch.as_tensor(wanted), atol=1e-5)
    with pytest.raises(ModalignError, match="Give pairs of rows, or the ids of both"):
        ma.migrate(*stores)
    with pytest.raises(ModalignError, match="row numbers already: give either"):
        ma.migrate(*stores, pairs, ids=[files["old"], files["new"]])
    files["other"].write_text("".join(f"z{i}\n" for i in range(len(stores[1]))))
    with pytest.raises(ModalignError, match="NEW with z0, z1 and"):
        ma.migrate(*stores, ids=[files["old"], files["other"]])
    with pytest.raises(ModalignError, match="2 arrays need as many files of ids, in their order, got 1"):
        ma.migrate(*stores, ids=[files["old"]])
