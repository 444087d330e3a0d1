"""AudioSet's lists: three lines of comment, blanks after commas, quoted labels, ids that start with - or _."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modalign.data.audioset import ABOUT, audioset, label_names, read_segments
from modalign.data.links import positive_links
from modalign.data.rows import Rows
from modalign.errors import ModalignError

HEAD = "# Segments csv created\n# num_ytids=3\n# YTID, start_seconds, end_seconds, positive_labels\n"
ROWS = (
    '--PJHxphWEs, 30.000, 40.000, "/m/a,/m/b"\n_0CamVQdP_Y, 0.000, 6.000, "/m/b"\nabcdefghijk, 5.000, 15.000, "/m/c"\n'
)
LABELS = 'index,mid,display_name\n0,/m/a,"Speech"\n1,/m/b,"Male speech, man speaking"\n2,/m/c,"Dog"\n3,/m/p,"Animal"\n'
ONTOLOGY = [
    {"id": "/m/a", "name": "Speech", "child_ids": ["/m/b"]},
    {"id": "/m/b", "name": "Male speech, man speaking", "child_ids": []},
    {"id": "/m/x", "name": "Abstract", "child_ids": ["/m/p"]},
    {"id": "/m/p", "name": "Animal", "child_ids": ["/m/c"]},
    {"id": "/m/c", "name": "Dog", "child_ids": []},
]
FILES = {"eval_segments.csv": HEAD + ROWS, "class_labels_indices.csv": LABELS, "ontology.json": ONTOLOGY}


def test_rows_labels_and_names(tree: Callable[..., Path]) -> None:
    root = tree({**FILES, "audio/Y--PJHxphWEs.wav": "x", "audio/_0CamVQdP_Y_0_6.flac": "x"})
    made = audioset(root)
    assert len(made) == 6
    assert set(made.splits) == {"test"}
    assert [made[r].uri for r in made.rows("audio")] == [
        str(root / "audio" / "Y--PJHxphWEs.wav"), str(root / "audio" / "_0CamVQdP_Y_0_6.flac"),
        str(root / "abcdefghijk.wav"),
    ]  # fmt: skip
    assert [made[r].text for r in made.rows("text")] == [
        "Speech, Male speech, man speaking", "Male speech, man speaking", "Dog"
    ]  # fmt: skip
    assert made.extra["labels"][0] == [0, 1]
    assert (made[0].start, made[0].extra["clip_start"], made[0].extra["clip_end"]) == (None, 30.0, 40.0)
    assert [x.line for x in audioset(root, missing="drop").left_out] == ["1 file left out, not there: abcdefghijk.wav"]


def test_one_text_per_label_and_links_by_label(tree: Callable[..., Path]) -> None:
    made = audioset(tree(FILES), split="test", text="each", whole=True)
    assert [made[r].text for r in made.rows("text")] == [
        "Speech", "Male speech, man speaking", "Male speech, man speaking", "Dog"
    ]  # fmt: skip
    # Clips 0 and 1 share the label b: both its texts fit both clips, though they are of two groups.
    assert positive_links(made, "audio", "text", "labels").tolist() == [[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 3]]
    assert (made[0].start, made[0].end) == (30.0, 40.0)


def test_targets_with_ancestors_that_are_classes(tree: Callable[..., Path]) -> None:
    made = audioset(tree(FILES), ancestors=True)
    assert [made.extra["labels"][r] for r in made.rows("audio")] == [[0, 1], [0, 1], [2, 3]]


@pytest.mark.parametrize(
    "body",
    [
        HEAD + ROWS,
        (HEAD + ROWS).replace("\n", "\r\n"),
        "YTID,start_seconds,end_seconds,positive_labels\n" + ROWS.replace(", ", ","),
        ROWS,
    ],
)
def test_copies_with_other_heads_read_the_same(tree: Callable[..., Path], body: str) -> None:
    clips = read_segments(tree({"a.csv": body}) / "a.csv", Rows("audioset", ABOUT))
    assert [(c.video, c.start, c.end, c.labels) for c in clips] == [
        ("--PJHxphWEs", 30.0, 40.0, ("/m/a", "/m/b")),
        ("_0CamVQdP_Y", 0.0, 6.0, ("/m/b",)),
        ("abcdefghijk", 5.0, 15.0, ("/m/c",)),
    ]


def test_json_lines(tree: Callable[..., Path]) -> None:
    row = {"youtube_id": "-1lgQov_rmA", "start_seconds": 310.0, "end_seconds": 320.0, "labels": ["/m/a"]}
    root = tree({**FILES, "small.jsonl": json.dumps(row) + "\n\n"})
    made = audioset(root, segments="small.jsonl", split="valid")
    assert [(r.split, r.extra["video"]) for r in made] == [("val", "-1lgQov_rmA")] * 2
    (root / "small.jsonl").write_text('{"youtube_id": "x"}')
    with pytest.raises(ModalignError, match="line 1: the id 'x' is not the 11"):
        audioset(root, segments="small.jsonl")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("# YTID,,\n#NAME?,30,40,  /m/a ,,\nabcdefghijk,1,2,/m/a,,\n#NAME?,1,2,x\n", r"2 of its ids .* \(lines 2, 4\)"),
        (HEAD + '1E+10, 0.0, 10.0, "/m/a"\n', r"line 4: the id '1E\+10' is not the 11 characters"),
        (HEAD + 'abcdefghijk, 9.0, 9.0, "/m/a"\n', "line 4: its times are not 0 <= start < end"),
        (HEAD + 'abcdefghijk, x, 9.0, "/m/a"\n', "line 4: start_seconds is 'x'"),
        (HEAD + 'abcdefghijk, 1.0, 9.0, "/m/a,/m/zz"\n', "line 4: labels that class_labels_indices.csv lacks: /m/zz"),
    ],
)
def test_damage_is_one_clear_line(tree: Callable[..., Path], body: str, said: str) -> None:
    with pytest.raises(ModalignError, match=said) as caught:
        audioset(tree({**FILES, "eval_segments.csv": body}))
    assert "\n" not in str(caught.value)


def test_wrong_lines_among_right_ones_are_counted(tree: Callable[..., Path]) -> None:
    """One bad time, id or label, or a line that is cut, does not refuse the list."""
    wrong = ['1E+10, 0.0, 10.0, "/m/a"', 'abcdefghij0, 9.0, 9.0, "/m/a"', 'abcdefghij1, x, 9.0, "/m/a"',
             'abcdefghij2, 1.0, 9.0, "/m/zz"', "abcdefghij"]  # fmt: skip
    made = audioset(tree({**FILES, "eval_segments.csv": HEAD + ROWS + "\n".join(wrong)}), split="test")
    assert len(made.rows("audio")) == 3
    assert [x.places for x in made.left_out] == [(f"eval_segments.csv, line {i}",) for i in (11, 7, 8, 9, 10)]


def test_missing_lists(tree: Callable[..., Path]) -> None:
    with pytest.raises(ModalignError, match="list of labels not found"):
        audioset(tree({"eval_segments.csv": HEAD + ROWS}))
    root = tree({"class_labels_indices.csv": LABELS})
    (root / "eval_segments.csv").unlink()
    with pytest.raises(ModalignError, match=r"no AudioSet list .*unbalanced_train_segments"):
        audioset(root, train="unbalanced")
    with pytest.raises(ModalignError, match="do not count from 0"):
        label_names(tree({"c.csv": "index,mid,display_name\n1,/m/a,A\n"}) / "c.csv")


@pytest.mark.data
@pytest.mark.slow
def test_real_lists(external_data: Path) -> None:
    root = external_data / "audioset_meta"
    names = label_names(root / "class_labels_indices.csv")
    assert (len(names), sum("," in n for n in names.values())) == (527, 75)
    made = audioset(root)
    audio = made.take(made.rows("audio"))
    assert Counter(audio.splits) == {"train": 22160, "test": 20371}
    assert len(audio.groups()) == 42531
    assert (
        sum(len(labels) for labels, s in zip(audio.extra["labels"], audio.splits, strict=True) if s == "test") == 51804
    )
    videos = audio.extra["video"]
    assert all(len(v) == 11 for v in videos)
    assert sum(v[0] in "-_" for v in videos) > 700
    seconds = np.asarray(audio.extra["clip_end"]) - np.asarray(audio.extra["clip_start"])
    assert 0.01 < (seconds != 10).mean() < 0.025
    plain = read_segments(
        root / "variants" / "balanced_train_segments.noheader_comments_lf.csv", Rows("audioset", ABOUT)
    )
    assert plain == read_segments(root / "balanced_train_segments.csv", Rows("audioset", ABOUT))
    with pytest.raises(ModalignError, match="371 of its ids are '#NAME\\?'"):
        audioset(root, segments="variants/balanced_train_segments.excel_corrupted.csv")
    small = audioset(root, segments="audioset_small_test.jsonl", split="test", ancestors=True)
    assert len(small.rows("audio")) == 2843


@pytest.mark.data
@pytest.mark.slow
def test_real_labels_that_lack_an_ancestor_get_it(external_data: Path) -> None:
    """13,592 of 20,371 evaluation clips lack a class above one of theirs that is among the 527."""
    plain, whole = (audioset(external_data / "audioset_meta", "test", ancestors=a) for a in (False, True))
    rows = plain.rows("audio")
    labels = [(set(plain.extra["labels"][r]), set(whole.extra["labels"][r])) for r in rows]
    assert len(labels) == 20371
    assert all(few <= more for few, more in labels)
    assert sum(few < more for few, more in labels) == 13592
