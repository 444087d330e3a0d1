"""Metadata: lists and Arrow files say the same; filters."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modalign.errors import ModalignError
from modalign.search.items import ArrowItems, ListItems, conditions, mask, write_arrow

ENTRIES: list[dict[str, Any]] = [
    {
        "id": "a",
        "text": 'He said "hi", then\nleft',
        "group": 1,
        "score": 0.5,
        "fresh": True,
        "tags": ["x", "y"],
        "when": "1990",
        "day": "2026-11-05",
    },
    {"id": "b", "text": None, "group": 2, "score": None, "fresh": False, "when": "unknown"},
    {"id": "c", "text": "naïve – 猫", "group": None, "score": 2.0, "year": 2021},
]


def both(tmp_path: Path) -> list[Any]:
    write_arrow(tmp_path / "items.arrow", ENTRIES)
    return [ListItems(ENTRIES), ArrowItems(tmp_path / "items.arrow")]


def test_arrow_gives_back_what_lists_hold(tmp_path: Path) -> None:
    plain, arrow = both(tmp_path)
    assert len(arrow) == len(plain) == 3
    for i in range(3):
        assert arrow.entry(i) == plain.entry(i)
    assert arrow.column("year") == plain.column("year") == [None, None, 2021]
    assert arrow.column("nothing") == [None, None, None]


def test_arrow_files_are_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_arrow(tmp_path / name, ENTRIES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


IDS = [2**53, 2**53 + 1, 2**62 + 1]


@pytest.mark.parametrize("more", [[], [None], [0.5], ["word"]])
def test_whole_numbers_are_told_apart_to_the_last_digit(more: list[Any], tmp_path: Path) -> None:
    """Compared as fractions, 256 ids of 64 bits in a row were one; beside a fraction they were an error of Arrow."""
    entries = [{"n": n} for n in [*IDS, *more]]
    write_arrow(tmp_path / "items.arrow", entries)
    for items in (ListItems(entries), ArrowItems(tmp_path / "items.arrow")):
        for i, n in enumerate(IDS):
            alone = [j == i for j in range(len(entries))]
            assert mask(items, conditions([f"n={n}"])).tolist() == alone
            assert mask(items, conditions({"n": n})).tolist() == alone
            assert mask(items, conditions([f"n!={n}"])).tolist() == [not a for a in alone]
            assert mask(items, conditions([f"n>{n}"])).tolist()[:3] == [m > n for m in IDS]


def test_a_number_is_found_whatever_else_came_to_stand_in_its_column(tmp_path: Path) -> None:
    """An index is compacted: 1 was 1.0 beside 2.5, and "1.0" beside a word, which n=1 did not find."""
    values = [True, "true", 1, 1.0, 2.5, 2**70, ["x", 1], {"y": None}, "[1]", "", "NaN", -0.0, None]
    write_arrow(tmp_path / "all", [{"n": v} for v in values])
    assert [repr(v) for v in ArrowItems(tmp_path / "all").column("n")] == [repr(v) for v in values]
    write_arrow(tmp_path / "first", [{"n": 1}, {"n": 2.5}])
    first = ArrowItems(tmp_path / "first").several(np.arange(2))
    write_arrow(tmp_path / "second", [*first, {"n": "word"}])
    assert mask(ArrowItems(tmp_path / "second"), conditions(["n=1"])).tolist() == [True, False, False]
    assert mask(ArrowItems(tmp_path / "second"), conditions(["n=2.5"])).tolist() == [False, True, False]


def test_damaged_arrow_is_named(tmp_path: Path) -> None:
    write_arrow(tmp_path / "items.arrow", ENTRIES)
    (tmp_path / "items.arrow").write_bytes((tmp_path / "items.arrow").read_bytes()[:-40])
    with pytest.raises(ModalignError, match=r"items\.arrow"):
        ArrowItems(tmp_path / "items.arrow")


@pytest.mark.parametrize(
    ("where", "right"),
    [
        (["id=a"], [True, False, False]),
        (["id=a", "id=c"], [True, False, True]),  # alternatives
        (["id=a", "group=2"], [False, False, False]),  # both must hold
        (["score=0.50"], [True, False, False]),  # numbers as numbers
        (["score>0.5"], [False, False, True]),
        (["score<=2"], [True, False, True]),
        (["score>=2"], [False, False, True]),
        (["score<2"], [True, False, False]),
        (["score!=2"], [True, True, False]),  # an item without the key is another one
        (["fresh=true"], [True, False, False]),
        (["fresh==True"], [True, False, False]),
        ({"fresh": [True, False]}, [True, True, False]),
        (["nobody=1"], [False, False, False]),  # nobody has it: whoever asks for many parts knows if another has
        (["nobody!=1"], [True, True, True]),
        (["fresh=false"], [False, True, False]),
        (["text=naïve – 猫"], [False, False, True]),
        (["year<2022"], [False, False, True]),
        (["when<2000"], [True, False, False]),  # words meet no order with a number
        (["when>1000"], [True, False, False]),
        (["when!=2000"], [True, True, True]),
        (["when<=unknown"], [True, True, False]),  # with words, all are words
        ("score>0.5", [False, False, True]),  # one text is one filter
        ({"group": np.array([2, 5])}, [False, True, False]),  # alternatives in whatever holds them
        ({"group": range(1, 3)}, [True, True, False]),
        ({"score": (v for v in (np.float32(0.5), 2))}, [True, False, True]),
        ({"day": date(2026, 11, 5)}, [True, False, False]),
        (["day<2026-12-01"], [True, False, False]),
        (['tags=["x", "y"]'], [True, False, False]),
        ({"tags": '["x", "y"]'}, [True, False, False]),
        ([], [True, True, True]),
    ],
)
def test_filters(where: list[str] | dict[str, object], right: list[bool], tmp_path: Path) -> None:
    wanted = conditions(where)
    for items in both(tmp_path):
        assert mask(items, wanted).tolist() == right


def test_filter_mistakes() -> None:
    with pytest.raises(ModalignError, match="key=value"):
        conditions(["split"])
    for nothing in (None, [], [2020, None]):
        with pytest.raises(ModalignError, match="a filter on 'year' needs a value or several, got"):
            conditions({"year": nothing})
    for bad in ([b"id=a"], [3]):
        with pytest.raises(ModalignError, match=r"a filter is a text as key=value, got (bytes|int)"):
            conditions(bad)  # type: ignore[arg-type]
    with pytest.raises(ModalignError, match="a filter on 'id': bytes cannot be written as JSON"):
        conditions({"id": b"a"})
