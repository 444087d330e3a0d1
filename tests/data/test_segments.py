"""Timed speech: cleaning, rolling captions, least length, candidate sets."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from modalign.data.segments import Segment, clean, lengthen, positives, unroll
from modalign.errors import ModalignError


def test_nothing_that_means_nothing_is_kept() -> None:
    rows = [
        (0, 2, "fine"), (1, 2, ""), (1, 2, "  "), (1, 2, math.nan), (1, 2, None), (2, 1, "back"), (3, 3, "point"),
        ("4.5", "6", "text times"), ("x", 6, "no time"), (-1, 2, "before"), (0, math.inf, "endless"), (2, 3, "nan"),
    ]  # fmt: skip
    dropped: Counter[str] = Counter()
    kept = clean(rows, dropped)
    assert [s.text for s in kept] == ["fine", "nan", "text times"]  # a spoken "nan" is a word, an empty cell is not
    assert dropped == {"no text": 4, "end before start": 2, "no time": 3}


def test_segments_are_put_in_order() -> None:
    assert [s.start for s in clean([(3, 4, "b"), (1, 9, "a"), (1, 2, "c")])] == [1, 1, 3]


ROLLING = [
    Segment(0, 4, "first we peel"), Segment(2, 6, "first we peel the potatoes"), Segment(4, 8, "the potatoes"),
    Segment(7, 9, "then wash"), Segment(12, 14, "then wash again"),
]  # fmt: skip


def test_trimmed_segments_share_no_moment_and_no_words() -> None:
    out = unroll(ROLLING)
    assert out == [
        Segment(0, 2, "first we peel"), Segment(2, 7, "the potatoes"), Segment(7, 9, "then wash"),
        Segment(12, 14, "then wash again"),
    ]  # fmt: skip
    assert all(a.end <= b.start for a, b in pairwise(out))


def test_merged_chains() -> None:
    assert unroll(ROLLING, "merge") == [
        Segment(0, 9, "first we peel the potatoes then wash"), Segment(12, 14, "then wash again")
    ]  # fmt: skip
    assert unroll(ROLLING, "keep") == ROLLING
    with pytest.raises(ModalignError, match="did you mean 'merge'"):
        unroll(ROLLING, "merged")  # type: ignore[arg-type]


def test_one_common_word_is_no_repetition_and_equal_starts_join() -> None:
    assert [s.text for s in unroll([Segment(0, 3, "salt and"), Segment(2, 5, "and pepper")])] == [
        "salt and", "and pepper"
    ]  # fmt: skip
    assert unroll([Segment(0, 3, "a b"), Segment(0, 2, "c d")]) == [Segment(0, 3, "a b c d")]


def test_overlap_of_random_windows_is_gone_and_no_time_is_lost() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        starts = np.sort(rng.uniform(0, 50, 20))
        before = [Segment(float(s), float(s + rng.uniform(0.1, 9)), f"w{i} x{i}") for i, s in enumerate(starts)]
        for how in ("trim", "merge"):
            after = unroll(before, how)  # type: ignore[arg-type]
            assert all(a.end <= b.start for a, b in pairwise(after))
            assert all(s.end > s.start for s in after)
            assert " ".join(s.text for s in after) == " ".join(s.text for s in before)
            grid = np.linspace(0, 60, 4001)
            covered = [np.any([(s.start <= grid) & (grid < s.end) for s in some], axis=0) for some in (before, after)]
            assert (covered[0] == covered[1]).all()


def test_least_length() -> None:
    some = [Segment(0.5, 1.5, "a"), Segment(10, 20, "b"), Segment(20, 21, "c")]
    assert lengthen(some, 5) == [Segment(0, 5, "a"), Segment(10, 20, "b"), Segment(18, 23, "c")]
    assert lengthen(some, 5, "merge") == [Segment(0.5, 21, "a b c")]
    assert lengthen(some, 0) == lengthen(some, 0, "merge") == some
    assert lengthen([Segment(0, 1, "a")], 5, "merge") == [Segment(0, 1, "a")]
    assert lengthen([], 5) == []
    with pytest.raises(ModalignError, match="way to lengthen"):
        lengthen(some, 5, "stretch")  # type: ignore[arg-type]


def _slow_candidates(segments: list[Segment], i: int, k: int) -> list[int]:
    """The run of k segments around i that a greedy growth finds, written out."""
    run = [i]
    while len(run) < min(k, len(segments)):
        options = [[run[0] - 1, *run], [*run, run[-1] + 1]]
        inside = [o for o in options if o[0] >= 0 and o[-1] < len(segments)]
        run = min(inside, key=lambda o: (segments[o[-1]].end - segments[o[0]].start, -o[-1]))
    return run


def test_candidates_are_the_nearest_run() -> None:
    rng = np.random.default_rng(1)
    edges = np.cumsum(rng.uniform(0.1, 5, 40))
    some = [Segment(float(a), float(b), "x") for a, b in edges.reshape(-1, 2)]
    for k in (1, 3, 5, 50):
        assert positives(some, k) == [_slow_candidates(some, i, k) for i in range(len(some))]


def test_overlapping_windows_are_positives_of_each_other() -> None:
    some = [Segment(0, 100, "a"), Segment(1, 2, "b"), Segment(50, 60, "c"), Segment(100, 101, "d")]
    assert positives(some) == [[0, 1, 2], [0, 1], [0, 2], [3]]
