"""Clotho: five captions in five columns, in whatever encoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.clotho import clotho
from modalign.errors import ModalignError

HEAD = "file_name," + ",".join(f"caption_{i}" for i in range(1, 6)) + "\n"
DEV = HEAD + 'A "b" (c).wav,"One, two",two,three,four,five\n'.replace('A "b" (c).wav', '"A ""b"" (c).wav"')
BOTH = "file_name,caption_1,kor_1\nsanta motor.wav,A machine whines.,기계는 리듬감 있게 낑낑거린다.\n"


def test_parts_and_file_names(tree: Callable[..., Path]) -> None:
    files = {
        "clotho_captions_development.csv": DEV,
        "clotho_captions_validation.csv": HEAD + "same.wav,a,b,c,d,e\n",
        "clotho_captions_evaluation.csv": HEAD + "same.wav,f,g,h,i,\n",
        'development/A "b" (c).wav': "x",
        "validation/same.wav": "x",
        "evaluation/same.wav": "x",
    }
    root = tree(files)
    made = clotho(root)
    assert [r.split for r in made if r.uri] == ["train", "val", "test"]
    assert [str(Path(u).relative_to(root)) for u in made.uri if u] == [
        'development/A "b" (c).wav', "validation/same.wav", "evaluation/same.wav"
    ]  # fmt: skip
    assert len(made.groups()) == 3  # the two sounds of one name are two things
    assert [t for t in made.text if t][:2] == ["One, two", "two"]
    assert [x.line.partition(":")[0] for x in made.left_out] == ["1 text left out, empty"]
    assert len(clotho(root, split="evaluation")) == 5


def test_korean_and_western_encodings(tree: Callable[..., Path]) -> None:
    root = tree({"clotho_captions_evaluation.cp949.csv": BOTH.encode("cp949")})
    made = clotho(root)
    assert (made.meta["encoding"], made.text[1]) == ("cp949", "A machine whines.")
    assert clotho(root, prefix="kor_").text[1] == "기계는 리듬감 있게 낑낑거린다."
    western = BOTH.replace("기계는 리듬감 있게 낑낑거린다.", "x").replace("machine", "dog’s café machine")
    tree({"clotho_captions_evaluation.cp949.csv": western.encode("cp1252")})
    assert clotho(root).text[1] == "A dog’s café machine whines."
    assert clotho(root).meta["encoding"] == "cp1252"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"clotho_captions_development.csv": HEAD + "x.wav,a,b\n"}, r"1 row without the 6 fields"),
        ({"clotho_captions_development.csv": HEAD + "../x.wav,a,b,c,d,e\n"}, "refused"),
        ({"clotho_captions_development.csv": "file_name,text\n"}, "starts with 'caption_'"),
        ({}, "no Clotho list"),
    ],
)
def test_damage_is_one_clear_line(tree: Callable[..., Path], files: dict[str, str], said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        clotho(tree(files))


@pytest.mark.data
def test_real_lists(external_data: Path) -> None:
    made = clotho(external_data / "clotho")
    assert (len(made.rows("audio", "train")), len(made.rows("text", "train"))) == (2893, 5 * 2893)
    assert (len(made.rows("audio", "test")), len(made.rows("text", "test"))) == (1045, 5 * 1045)
    assert made.meta["encoding"] == "utf-8, cp949"
    there = clotho(external_data / "clotho", missing="drop")
    assert sorted(Path(str(u)).name for u in there.uri if u) == ["Flipping Pages.wav", "Tenerife_bazaar_2.wav"]
    korean = clotho(external_data / "clotho", prefix="kor_")
    assert (len(korean.rows("text")), korean.text[1]) == (
        5225,
        "기계는 리듬감 있게 펀치를 날리거나 발을 구르며 낑낑거린다.",
    )
