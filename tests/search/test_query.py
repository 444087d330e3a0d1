"""Queries: sums of terms, weights, options of the command, and the command that a query is."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from modalign.errors import ModalignError
from modalign.search import Query, parse_query
from modalign.search.commands import command_line
from modalign.search.query import Term


def test_composed_query_is_the_unit_weighted_sum() -> None:
    rows = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    query = Query().text("a", 2.0).text("b").minus("c", weight=0.5)
    right = np.array([2.0, 1.0, -0.5])
    np.testing.assert_allclose(query.compose(rows), right / np.linalg.norm(right))
    assert np.linalg.norm(query.compose(rows)) == pytest.approx(1.0)


def test_vectors_are_scaled_before_they_are_weighed() -> None:
    query = Query().vector([10.0, 0.0]).vector([0.0, 0.1])
    rows = query.vectors(lambda term: term.value)
    np.testing.assert_allclose(rows, np.eye(2))


def test_a_query_that_cancels_itself_says_so() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ModalignError, match="cancel each other"):
        Query().text("a").minus("a").compose(rows)
    with pytest.raises(ModalignError, match="needs a query"):
        Query().vectors(lambda term: np.ones(2))
    with pytest.raises(ModalignError, match="no direction"):
        Query().text("a").vectors(lambda term: np.zeros(2))


def test_terms_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="words to search for are empty"):
        Query().text("  ")
    with pytest.raises(ModalignError, match="longer than"):
        Query().text("a" * 20_000)
    with pytest.raises(ModalignError, match="picture not found"):
        Query().image(tmp_path / "none.png")
    with pytest.raises(ModalignError, match="finite"):
        Query().text("a", float("nan"))


def test_options_become_a_query(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    query = parse_query(
        {"text": ["dog", "snow"], "image": [tmp_path / "a.png"], "item": ["image/3"]},
        ["people", f"image={tmp_path / 'a.png'}", "red=blue"],
        ["text.2=0.5", "item=2", "minus.1=0.25", "text=3"],
    )
    assert [(t.kind, str(t.value), t.weight) for t in query.terms] == [
        ("text", "dog", 3.0),
        ("text", "snow", 0.5),
        ("image", str(tmp_path / "a.png"), 1.0),
        ("item", "image/3", 2.0),
        ("text", "people", -0.25),
        ("image", str(tmp_path / "a.png"), -1.0),
        ("text", "red=blue", -1.0),
    ]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["text.3=1"], "unknown part of the query to weigh 'text.3'"),
        (["image=1"], "unknown part of the query to weigh 'image'"),
        (["text=heavy"], "a weight is written"),
        (["0.5"], "a weight is written"),
        (["text=inf"], "finite"),
    ],
)
def test_weights_that_say_nothing_are_refused(weights: list[str], message: str) -> None:
    with pytest.raises(ModalignError, match=message):
        parse_query({"text": ["a", "b"]}, [], weights)


def test_the_command_of_a_query_gives_the_query_back() -> None:
    query = (
        Query()
        .item("image/4", 0.5)
        .text("-5 degrees; rm -rf 'x'")
        .text("image=this", 2.0)
        .minus("text=odd")
        .minus("b c")
    )
    words = shlex.split(command_line(Path("my runs/demo"), query, ["image"], 7, ["split=test"], "csls"))
    assert words[:3] == ["modalign", "search", "my runs/demo"]
    given: dict[str, list[str]] = {}
    for word in words[3:]:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            given.setdefault(name, []).append(value)
    assert (given["to"], given["where"], given["correction"]) == (["image"], ["split=test"], ["csls"])
    assert words[words.index("-k") + 1] == "7"
    again = parse_query({"text": given["text"], "item": given["item"]}, given["minus"], given["weight"])
    assert {(t.kind, t.value, t.weight) for t in again.terms} == {(t.kind, t.value, t.weight) for t in query.terms}


def test_terms_show_what_they_are() -> None:
    assert Term("image", b"abc").json() == {"image": "<3 bytes>", "weight": 1.0}
    assert Term("image", b"abc", -1.0, "cat.png").json() == {"image": "cat.png", "weight": -1.0}
