"""Tux Paint's stamps: picture, name, speech."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.tuxpaint import PLACE, tuxpaint
from modalign.errors import ModalignError

FILES = {
    "animals/cats/lion.png": "x",
    "animals/cats/lion.txt": "A lion.\nfr.utf8=Un lion.\nru.utf8=\n",
    "animals/cats/lion_desc_fr.ogg": "x",
    "animals/cats/lion_desc.ogg": "x",
    "animals/cats/lion.dat": "x",
    "food/plum.svg": "x",
    "food/plum.txt": "A plum.\nfr.utf8=Une prune.\n",
    "food/nothing.txt": "No picture.\n",
}


def test_a_stamp_is_a_group_of_picture_name_and_speech(tree: Callable[..., Path]) -> None:
    root = tree(FILES)
    made = tuxpaint(root)
    assert Counter(r.modality for r in made) == {"image": 2, "text": 2, "speech": 1}
    lion = [r for r in made if r.extra["name"] == "lion"]
    assert len({r.group for r in lion}) == 1
    assert {r.extra["subject"] for r in lion} == {"animals"}
    assert [r.text for r in made if r.modality == "text"] == ["A lion.", "A plum."]
    assert [r.uri for r in made if r.modality == "speech"] == [str(root / "animals/cats/lion_desc_fr.ogg")]


def test_languages_of_names_and_speech(tree: Callable[..., Path]) -> None:
    root = tree(FILES)
    made = tuxpaint(root, language="en", text="fr")
    assert [r.text for r in made if r.modality == "text"] == ["Un lion.", "Une prune."]
    assert [Path(str(r.uri)).name for r in made if r.modality == "speech"] == ["lion_desc.ogg"]
    with pytest.raises(ModalignError, match=r"no speech in 'ru' .known: fr"):
        tuxpaint(root, language="ru")
    with pytest.raises(ModalignError, match=r"no names in 'ru' .known: en, fr"):
        tuxpaint(root, text="ru")


def test_the_draw_of_a_split_depends_on_the_name_alone(tree: Callable[..., Path]) -> None:
    files = {f"food/{i}{end}": "A fruit.\n" for i in range(200) for end in (".png", ".txt", "_desc_fr.ogg")}
    counts = Counter(r.split for r in tuxpaint(tree(files)) if r.modality == "image")
    assert 100 <= counts["train"] <= 140
    assert 18 <= counts["val"] <= 45
    assert 35 <= counts["test"] <= 65


def test_an_empty_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="no rows"):
        tuxpaint(tmp_path)


def test_the_real_stamps() -> None:
    root = Path(os.environ.get("MODALIGN_TUXPAINT", PLACE))
    if not root.is_dir():
        pytest.skip("the Debian package tuxpaint-stamps-default is not installed")
    made = tuxpaint(root, language="fr")
    counts = Counter(r.modality for r in made)
    assert counts["image"] > 900
    assert counts["text"] > 900
    assert counts["speech"] > 850
