"""Suites: the grid, names, refusals."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from modalign.bench.catalogue import SHARED, catalogue
from modalign.bench.command import SHIPPED, find
from modalign.bench.entries import groups
from modalign.bench.moving import is_moving
from modalign.bench.setting import Setting
from modalign.bench.suite import build, choose, read
from modalign.errors import ModalignError
from modalign.methods.cases import CASES
from modalign.methods.full import Full
from modalign.registry import check, get

SUITES = [p for p in sorted(SHIPPED.glob("*.toml")) if not is_moving(p)]
TABLE: dict[str, Any] = {
    "name": "x", "data": {"store": "x"}, "methods": ["cca"], "settings": [{"regime": "hidden", "pairs": [10, 20]}],
}  # fmt: skip


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.stem)
def test_shipped_suites_are_whole(path: Path) -> None:
    suite = read(path)
    assert suite.name == path.stem
    assert suite.focus in suite.entries
    assert suite.baseline in suite.entries
    assert len(suite.seeds) >= 3
    names = {s.name for s in suite.settings}
    assert set(suite.targets) <= names
    assert set(suite.robustness.get("settings", ())) <= names
    assert all(s.methods for s in suite.settings)


def test_the_suite_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    suite = build(tomllib.loads(page.partition("```toml\n")[2].partition("```")[0]))
    assert {"full", "wider", "mine"} <= set(suite.entries)
    assert suite.focus == "full"


def test_all_promised_suites_are_there() -> None:
    assert {p.stem for p in SUITES} == {
        "quick", "flickr8k", "flickr8k3", "youcook2", "tuxpaint", "esc50", "synthetic", "coco", "audioset", "howto100m",
    }  # fmt: skip


def test_a_bare_name_is_a_suite_of_the_package_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(find("quick")).name == "quick"
    assert find("mine.toml") == Path("mine.toml")
    with pytest.raises(ModalignError, match="unknown suite 'quik': did you mean 'quick'"):
        find("quik")


def test_every_list_is_an_axis_of_the_grid() -> None:
    block = {"regime": "disjoint", "items": [10, 20], "missing": [0.1, 0.3]}
    names = [s.name for s in build({**TABLE, "settings": [block]}).settings]
    assert names == ["disjoint-10-lose10", "disjoint-10-lose30", "disjoint-20-lose10", "disjoint-20-lose30"]


def test_a_setting_has_seeds_of_its_own_in_every_part() -> None:
    settings = [{"regime": "complete"}, {"regime": "hidden", "pairs": [10, 20]}]
    suite = build({**TABLE, "seeds": [0, 1], "own_seeds": {"hidden-10": [0, 4]}, "settings": settings})
    assert [(s.name, seed) for s, _, seed in suite.cells()] == [
        ("complete", 0), ("complete", 1), ("hidden-10", 0), ("hidden-10", 4), ("hidden-20", 0), ("hidden-20", 1),
    ]  # fmt: skip
    assert [s.name for s, _, _ in choose(suite, seeds=[4])] == ["hidden-10"]


def test_methods_that_need_pairs_stay_out_where_there_are_none() -> None:
    suite = build(
        {**TABLE, "methods": ["clip", "cca", "wasserstein", "full"], "settings": [{"regime": "hidden", "pairs": 0}]}
    )
    assert suite.settings[0].methods == ("wasserstein", "full")


def test_methods_of_three_modalities_stay_out_of_two() -> None:
    assert "triangle" not in build({**TABLE, "methods": ["baselines"]}).entries
    assert "triangle" in build({**TABLE, "methods": ["baselines"], "modalities": 3}).entries


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sedes": [0]}, "did you mean 'seeds'"),
        ({"methods": ["clp"]}, "did you mean 'clip'"),
        ({"methods": ["basline"]}, "did you mean 'baselines'"),
        ({"methods": ["transport_cca"]}, r"add  \[entries.transport_cca\] method = \"transport_cca\""),
        ({"settings": [{"regime": "hiden"}]}, "did you mean 'hidden'"),
        ({"settings": [{"regime": "hidden", "pair": 3}]}, "did you mean 'pairs'"),
        ({"settings": [{"regime": "complete", "pairs": 3}]}, "budget of the regime 'hidden'"),
        ({"settings": [{"regime": "disjoint", "missing": 1.0}]}, r"must lie in \[0, 1\)"),
        ({"settings": [{"regime": "complete", "variant": "no"}]}, "unknown variant"),
        ({"settings": []}, "no settings"),
        ({"seeds": [1, 1]}, "twice"),
        ({"own_seeds": {"hidden-10": [3, 3]}}, "twice"),
        ({"own_seeds": {"hiden-10": [3]}}, "did you mean 'hidden-10'"),
        ({"entries": {"mine": {"base": "ful"}}}, "did you mean 'full'"),
        ({"entries": {"mine": {"base": "cca", "settings": {"rigde": 1.0}}}}, "did you mean 'ridge'"),
        ({"entries": {"cca": {"base": "cca"}}}, "has that name already"),
        ({"entries": {"mine": {}}}, "either base"),
    ],
)
def test_mistakes_are_one_clear_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ModalignError, match=words) as caught:
        build({**TABLE, **change})
    assert "\n" not in str(caught.value)


def test_cells_are_chosen_by_name_part_and_seed() -> None:
    blocks = [
        {"regime": "hidden", "pairs": [10, 20], "part": "few"},
        {"regime": "hidden", "pairs": 20, "part": "more", "methods": ["cca", "asif"]},
    ]
    suite = build({**TABLE, "settings": blocks})
    assert len(choose(suite)) == 3 * (2 + 1)  # cca at 20 pairs stands in both parts
    assert [(s.name, m) for s, m, _ in choose(suite, parts=["more"], seeds=[1])] == [
        ("hidden-20", "cca"),
        ("hidden-20", "asif"),
    ]
    assert [m for _, m, _ in choose(suite, methods=["asif"])] == ["asif"] * 3
    assert {s.name: s.methods for s in suite.distinct()}["hidden-20"] == ("cca", "asif")
    with pytest.raises(ModalignError, match="did you mean 'few'"):
        choose(suite, parts=["fwe"])


def test_own_entries_start_from_others() -> None:
    table = {"mine": {"base": "clip", "label": "Mine", "settings": {"objective.label_smoothing": 0.1}}}
    entry = build({**TABLE, "methods": ["mine"], "entries": table}).entries["mine"]
    assert entry.settings["objective"] == {"name": "clip", "label_smoothing": 0.1}
    assert entry.label == "Mine"
    assert len(entry.candidates) == 8


def test_the_catalogue_holds_the_promised_methods_with_equal_trials() -> None:
    entries = catalogue()
    promised = (
        "clip siglip cyclip gram triangle pmrl symile bridge separation consistency jiang structure sotalign fusemix "
        "procrustes cca csa asif linear wasserstein full closed descended full-no-ot full-no-rma full-neither "
        "full-literal-rma full-no-start full-no-unpaired full-alpha-1 full-beta-1 full-gamma-10"
    )
    assert set(promised.split()) <= set(entries)
    for name, entry in entries.items():
        assert entry.tunes_itself or len(entry.candidates) == 8, name
        for candidate in entry.candidates or ({},):
            check(get("method", entry.method), entry.with_candidate(candidate), name)
    shared = {tuple(sorted(c.items())) for c in SHARED}
    for name in groups(entries)["contrastive"]:
        own = [{k: v for k, v in c.items() if "." not in k} for c in entries[name].candidates]
        if name not in ("fusemix", "sotalign"):
            assert {tuple(sorted(c.items())) for c in own} == shared, name


def test_with_twenty_trials_the_strongest_methods_try_twenty_settings() -> None:
    entries = catalogue()
    for name in ("cca-root-hubs", "clip-from-cca-hubs"):
        entry = entries[name]
        settings = [entry.with_candidate(c) for c in entry.tried(20)]
        assert len(settings) == 20
        assert all(a != b for k, a in enumerate(settings) for b in settings[:k])
        assert entry.tried(8) == entry.candidates
        for one in settings:
            check(get("method", entry.method), one, name)
    for name, case in CASES.items():
        met = 50_000 if name == "beyond" else 0
        wide, usual = (Full(trials=n).candidates(case, 700, met) for n in (20, 8))
        assert len(wide) >= 20
        assert wide[: len(usual)] == usual == Full().candidates(case, 700, met)
        for one in wide:
            check(get("method", "transport_cca"), one, name)


def test_trials_and_refits_of_a_setting_leave_the_fingerprints_of_others_alone() -> None:
    block = {"regime": "hidden", "pairs": 20}
    suite = build({**TABLE, "settings": [block, {**block, "trials": [8, 20]}, {**block, "refit": True}]})
    plain, _, more, refit = suite.settings
    assert [s.name for s in suite.settings] == [
        "hidden-20",
        "hidden-20-trials8",
        "hidden-20-trials20",
        "hidden-20-refit",
    ]
    assert [suite.trials_of(s) for s in suite.settings] == [8, 8, 20, 8]
    assert not {"trials", "refit"} & set(plain.facts())
    assert refit.tuned == plain
    assert more.tuned == more
    assert len({suite.identity(s, "cca", "data") for s in suite.settings}) == 4


def test_names_of_settings_differ() -> None:
    settings = [
        Setting(), Setting(items=10), Setting("hidden", pairs=10), Setting("hidden", pairs=10, items=10),
        Setting("hidden", missing=0.1), Setting("disjoint", missing=0.1), Setting(dev=0.2), Setting(test_missing=0.2),
        Setting(variant="a"), Setting(trials=20), Setting(refit=True),
    ]  # fmt: skip
    assert len({s.name for s in settings}) == len(settings)
