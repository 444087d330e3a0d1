"""Which of several settings is kept: the most plausible one, unless another is better beyond noise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modalign.errors import DiskError
from modalign.methods.tuning import crowded, grid, steady, tune
from modalign.training.loop import dev_recall, dev_recalls
from modalign.views import Views


def test_noise_does_not_replace_the_first_and_a_clear_gain_does() -> None:
    draw = torch.Generator().manual_seed(0)
    first = torch.rand(200, generator=draw)
    noise = torch.randn(200, generator=draw)
    noise = (noise - noise.mean()) / noise.std()
    for gain, kept in ((0.4, 0), (0.6, 1), (-1.0, 0)):  # of the standard error of the mean
        assert steady([first, first + noise + gain / 200**0.5]) == kept
    assert steady([first, first]) == 0
    assert steady([first, first + 1.0, first + 1.0, first + 2.0]) == 3


def test_rounding_does_not_replace_the_first() -> None:
    scores = {"usual": 0.3, "other": 0.1 + 0.2, "worse": 0.2}
    assert tune(grid(kind=list(scores)), lambda s: scores[s["kind"]]).settings == {"kind": "usual"}


def test_a_disk_that_takes_no_file_is_no_failed_trial(tmp_path: Path) -> None:
    """A trial whose checkpoint found no room counted as a failed one, and a worse setting was taken without a word."""
    scores, room = {"a": 0.1, "b": 0.9, "c": 0.2}, {"b": False}

    def score(settings: dict[str, str]) -> float:
        if not room.get(settings["kind"], True):
            raise DiskError("no space")
        return scores[settings["kind"]]

    with pytest.raises(DiskError):
        tune(grid(kind=list(scores)), score, kept=tmp_path / "trials.jsonl")
    room["b"] = True
    assert tune(grid(kind=list(scores)), score, kept=tmp_path / "trials.jsonl").settings == {"kind": "b"}


def test_scores_of_items_are_the_same_numbers_after_an_interruption(tmp_path: Path) -> None:
    equal = torch.full((30,), 5 / 6, dtype=torch.float64)  # single precision has less than 5 / 6: no gain of the second
    tune(grid(x=[1]), lambda s: equal, kept=tmp_path / "trials.jsonl")
    again = tune(grid(x=[1, 2]), lambda s: equal, kept=tmp_path / "trials.jsonl")
    assert all(torch.equal(items, equal) for items in again.items)
    assert steady(again.items) == 0


def test_trials_of_another_fit_are_not_taken(tmp_path: Path) -> None:
    kept, ran = tmp_path / "trials.jsonl", []

    def score(s: dict[str, int]) -> float:
        ran.append(s["x"])
        return s["x"]

    for made_of in ("this", "this", "that"):
        tune(grid(x=[1, 2]), score, kept=kept, made_of=made_of)
    assert ran == [1, 2, 1, 2]


def test_one_item_tells_nothing() -> None:
    assert steady([torch.zeros(1), torch.ones(1)]) == 0


def test_what_groups_add_has_dev_recall_as_its_mean() -> None:
    draw = torch.Generator().manual_seed(0)
    z = Views(
        {"image": torch.randn(30, 5, generator=draw), "text": torch.randn(75, 5, generator=draw)},
        {"image": torch.arange(30), "text": torch.arange(75) % 30},
    )
    assert dev_recalls(z).shape == (30,)
    assert float(dev_recalls(z).mean()) == pytest.approx(dev_recall(z), abs=1e-12)


def test_items_that_stand_around_are_nobodys_partner_where_modalities_begin_at_other_groups_or_lack_all() -> None:
    eye = torch.eye(4)
    group = {"a": torch.tensor([1, 2]), "b": torch.tensor([0, 1, 2]), "c": torch.tensor([], dtype=torch.long)}
    dev = Views({m: eye[g] for m, g in group.items()}, group)
    found = crowded(dev, dict(dev.data), dict.fromkeys(group, eye))
    ids = {m: g.tolist() for m, g in found.group.items()}
    assert {m: x[: len(group[m])] for m, x in ids.items()} == {m: g.tolist() for m, g in group.items()}
    alone = [i for m, x in ids.items() for i in x[len(group[m]) :]]
    assert len(alone) == len(set(alone) - {0, 1, 2}) == 12
    assert len(dev_recalls(found)) == 2  # groups 1 and 2 alone have partners
