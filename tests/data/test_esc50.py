"""ESC-50: folds, sources, titles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign.data.esc50 import esc50
from modalign.errors import ModalignError

META = "filename,fold,target,category,esc10,src_file,take\n" + "".join(
    f"{fold}-{100 + fold * 10 + n // 2}-{'AB'[n % 2]}-{n}.wav,{fold},{n},door_wood_creaks,False,{100 + n // 2},A\n"
    for fold in range(1, 6)
    for n in range(4)
)
PAIRS = "file,fold,target,category,freesound_title,author\n" + "".join(
    f"4-{s}-{t}-3.wav,4,3,cow,Big_Cow {s}.WAV,me\n" for s in range(100, 160) for t in "AB"
)


def test_folds(tree: Callable[..., Path]) -> None:
    root = tree({"meta/esc50.csv": META, "audio/1-110-A-0.wav": "x"})
    for fold in range(1, 6):
        made = esc50(root, fold=fold)
        parts = {r.split: {q.extra["fold"] for q in made if q.split == r.split} for r in made}
        assert parts["test"] == {fold}
        assert parts["val"] == {5 if fold == 1 else fold - 1}
        assert len(parts["train"]) == 3
    assert made.text[1] == "door wood creaks"
    assert made[0].extra == {"source": "110", "category": "door_wood_creaks", "target": 0, "fold": 1}
    assert made.uri[0] == str(root / "audio" / "1-110-A-0.wav")
    assert [(x.reason, x.count) for x in esc50(root, missing="drop").left_out] == [("not there", 19)]


def test_titled_part_is_split_by_source(tree: Callable[..., Path]) -> None:
    root = tree({"pairs.csv": PAIRS})
    made = esc50(root, text="both")
    homes = defaultdict(set)
    for r in made:
        homes[r.extra["source"]].add(r.split)
    assert all(len(h) == 1 for h in homes.values())
    shares = Counter(next(iter(h)) for h in homes.values())
    assert set(shares) == {"train", "val", "test"}
    assert 30 <= shares["train"] <= 54
    assert [made.text[1], made.text[2]] == ["cow", "Big Cow 100"]
    assert esc50(root).text[1] == "Big Cow 100"
    shorter = tree({"pairs.csv": "\n".join(PAIRS.split("\n")[:41]) + "\n"})
    assert {r.extra["source"]: r.split for r in esc50(shorter)} == {
        s: next(iter(homes[s])) for s in map(str, range(100, 120))
    }


@pytest.mark.parametrize(
    ("settings", "content", "said"),
    [
        ({"fold": 6}, META, "has no fold 6: it has 1, 2, 3, 4, 5"),
        ({"text": "title"}, META, "has no titles"),
        ({}, META.replace("1-110-A-0", "noise"), "'noise.wav' is not <fold>"),
        ({}, META.replace("2-120-A-0", "2-110-A-0"), "recording 110 in two splits"),
    ],
)
def test_damage_is_one_clear_line(
    tree: Callable[..., Path], settings: dict[str, object], content: str, said: str
) -> None:
    settings = {"fold": 1, **settings}
    with pytest.raises(ModalignError, match=said):
        esc50(tree({"esc50.csv": content}), **settings)


@pytest.mark.data
def test_real_part(external_data: Path) -> None:
    made = esc50(external_data / "esc50_cc0")
    assert (len(made.rows("audio")), len(made.rows("text"))) == (214, 214)
    assert all(Path(str(u)).is_file() for u in made.uri if u)
    homes = defaultdict(set)
    for r in made:
        homes[r.extra["source"]].add(r.split)
    assert len(homes) == 160
    assert all(len(h) == 1 for h in homes.values())
    assert Counter(r.split for r in made if r.uri) == {"train": 138, "val": 22, "test": 54}
