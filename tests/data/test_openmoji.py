"""Built-in data: splits by base emoji, names, attribution, the same rows everywhere."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from modalign.data.openmoji import ATTRIBUTION, assign, base, neutral, openmoji, plain_name
from modalign.errors import ModalignError


@pytest.fixture(scope="module")
def english():
    return openmoji()


@pytest.fixture(scope="module")
def everything():
    return openmoji(variants=True)


@pytest.mark.parametrize(
    "same",
    [
        ["👍", "👍🏻", "👍🏽", "👍🏿"],
        ["🧑‍🚒", "👨‍🚒", "👩‍🚒", "👩🏾‍🚒", "🧑🏻‍🚒"],
        ["🏃", "🏃‍♀️", "🏃🏽‍♂️", "🏃‍➡️", "🏃🏿‍♀️‍➡️"],
        ["🧑‍🦽", "👩‍🦽", "👨🏽‍🦽‍➡️"],
        ["🧑", "👨", "👩", "👩🏽", "🧑‍🦰", "👨🏿‍🦲", "👱", "👱‍♀️", "🧔", "🧔🏻‍♂️"],
        ["🧒", "👦", "👧🏽"],
        ["🧓", "👴", "👵🏿"],
        ["👪", "👨‍👩‍👧", "👩‍👩‍👧‍👦", "👨‍👦", "🧑‍🧑‍🧒‍🧒"],
        ["💏", "👩‍❤️‍💋‍👨", "🧑🏻‍❤️‍💋‍🧑🏿"],
        ["💑", "👨‍❤️‍👨", "👩🏽‍❤️‍👩🏻"],
        ["🧑‍🤝‍🧑", "👫", "👬🏽", "👩🏻‍🤝‍👩🏿"],
        ["🧑‍🎄", "🎅", "🤶🏽"],
        ["🇸🇪", "🇯🇵", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"],
        ["#️⃣", "0️⃣", "9️⃣"],
        ["➡️", "⬅️", "↗️"],
        ["👉", "👈🏽", "👇"],
        ["🤝", "🫱🏻‍🫲🏿"],
        ["🕐", "🕧"],
        ["⬛", "▪️"],
    ],
    ids=lambda same: same[0],
)
def test_variants_share_a_base(same):
    assert len({base(e) for e in same}) == 1


@pytest.mark.parametrize(
    "different",
    [
        ["👍", "👎"],
        ["🧑", "🧒", "🧓", "👶"],
        ["🧑‍🚒", "🧑‍🚀", "🧑‍🍳"],
        ["🐻", "🐻‍❄️"],
        ["🐈", "🐈‍⬛"],
        ["❤️", "💙", "❤️‍🔥"],
        ["🏳️", "🏳️‍🌈", "🏳️‍⚧️", "🏴", "🏴‍☠️", "🏁", "🇸🇪"],
        ["🦊", "🐺"],
        ["🤰", "🧑"],
        ["➡️", "↔️", "🔙"],
    ],
    ids=lambda different: different[0],
)
def test_other_things_have_other_bases(different):
    assert len({base(e) for e in different}) == len(different)


def test_no_base_straddles_the_splits(english, everything):
    for manifest in (english, everything):
        splits = defaultdict(set)
        for row in manifest:
            splits[row.extra["base"]].add(row.split)
            assert base(row.extra["emoji"]) == row.extra["base"]
        assert {len(s) for s in splits.values()} == {1}


def test_sizes_and_one_item_of_each_modality_per_group(english):
    counts = {s: len(english.rows("image", s)) for s in ("train", "dev", "test")}
    assert counts["test"] == 400
    assert counts["dev"] == 200
    assert counts["train"] > 700
    for modality in ("image", "text"):
        groups = english.modality(modality).group
        assert len(set(groups.tolist())) == len(groups) == len(english) // 2
    assert len({r.extra["base"] for r in english}) == len(english) // 2


def test_all_variants_are_many_more(everything):
    assert len(everything.groups()) > 3900
    assert sum(r.extra["base"] == "flag" for r in everything.modality("image")) > 250


def test_names_are_words_and_unique(english):
    names = english.modality("text").text
    assert len({n.casefold() for n in names}) == len(names)
    assert not any(":" in n or "_" in n for n in names)
    assert {"fox", "grinning face", "fire engine", "person", "thumbs down"} <= set(names)
    assert plain_name(":fire_engine:") == "fire engine"


def test_files_exist_and_are_vector_drawings(english):
    paths = [Path(u) for u in english.modality("image").uri]
    assert all(p.suffix == ".svg" and p.exists() for p in paths)
    assert len(set(paths)) == len(paths)


def test_attribution_travels_with_the_rows(english):
    assert english.meta["attribution"] == ATTRIBUTION
    assert "OpenMoji" in ATTRIBUTION
    assert "CC BY-SA 4.0" in ATTRIBUTION
    assert english.split("test").meta["attribution"] == ATTRIBUTION


def test_every_language_has_the_same_pictures_and_splits(english):
    import emoji

    pictures = english.modality("image")
    for language in emoji.LANGUAGES:
        other = openmoji(language)
        assert other.modality("image").uri == pictures.uri
        assert other.splits == english.splits
        assert len(other.modality("text")) == len(english.modality("text"))
    assert "Fuchs" in {t.capitalize() for t in openmoji("de").modality("text").text}
    with pytest.raises(ModalignError, match="unknown language 'xx'"):
        openmoji("xx")


def test_the_seed_draws_the_splits_and_nothing_else(english):
    other = openmoji(seed=1)
    assert other.splits != english.splits
    assert other.text == english.text
    assert len(other.rows("image", "test")) == 400
    assert len(openmoji(test=10, dev=0).rows("image", "test")) == 10


@pytest.mark.parametrize(("test", "dev"), [(-1, 0), (0, -1), (10**6, 0), (1000, 352)])
def test_splits_must_leave_training_data(test, dev):
    with pytest.raises(ModalignError, match="must leave training data"):
        openmoji(test=test, dev=dev)


def test_rows_do_not_depend_on_hash_randomisation(english):
    code = "from modalign.data.openmoji import openmoji; print(openmoji().fingerprint())"
    marks = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert marks == {english.fingerprint()}


def test_assign_is_stable_when_bases_are_added():
    before = assign([f"b{i}" for i in range(50)], 0, 10, 10)
    after = assign([f"b{i}" for i in range(51)], 0, 10, 10)
    assert sum(after[b] != before[b] for b in before) <= 2


def test_the_plainest_member_stands_for_a_base():
    assert neutral("🫄", ["🤰", "🫃", "🫄", "🫄🏽"]) == "🫄"
    assert neutral("➡", ["⬅️", "➡️"]) == "➡️"
    assert neutral("family", ["👨‍👩‍👧", "👪"]) == "👪"
