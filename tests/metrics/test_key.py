"""The names of scores: one grammar, whatever modalities are called."""

from __future__ import annotations

import pytest

from modalign.errors import ModalignError
from modalign.metrics.key import Key

TEXTS = (
    "mean_recall", "mean_recall/image~text", "recall/text->image/any@5", "map/text->image", "map/text->image/@R",
    "rank/text->image/median", "uniformity/image", "connectivity/*/cross_edges", "procrustes/image~text/size_and_shape",
    "trustworthiness/text.features~text.space/@10", "accuracy/names->image/zero_shot", "recall/text+audio->image/any@1",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_parsed_is_written_again(text: str) -> None:
    assert str(Key.parse(text)) == text


@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("names", [("a/b", "c~d"), ("x->y", "p@q*%2F"), ("-", ">"), ("中文", "a b"), ("%", "%25")])
def test_modalities_may_hold_any_character(names: tuple[str, str], mutual: bool) -> None:
    key = Key("recall", *names, "of 50 %/@", 3, mutual)
    again = Key.parse(str(key))
    assert again == key
    assert {again.source, again.target} == set(names)
    assert str(key).count("/") == 2


def test_a_pair_has_one_name_in_either_order() -> None:
    assert Key("gap", "b", "a", mutual=True) == Key("gap", "a", "b", mutual=True)
    assert Key("recall", "b", "a").back() == Key("recall", "a", "b")


def test_the_parts_of_a_key() -> None:
    key = Key.parse("recall/text->image/any@5")
    assert (key.measure, key.source, key.target, key.form, key.k) == ("recall", "text", "image", "any", 5)
    assert Key.parse("connectivity/*/cross_edges") == Key("connectivity", form="cross_edges")


@pytest.mark.parametrize("text", ["", "/a", "a/b/c/d", "a/->b", "a/b->c->d", "a/b/c@", "two words"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ModalignError, match="score"):
        Key.parse(text)
