"""What queries found: kept in a file, and the mean recall that follows from it everywhere."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.bench.scoring import mean_recall as of_cells
from modalign.errors import ModalignError
from modalign.metrics import measures
from modalign.metrics.found import load, save
from modalign.metrics.mean_recall import mean_of, mean_recall, recalls, sums_of, with_mean_recall
from modalign.metrics.ranking import find_all
from modalign.metrics.recall import Retrieval
from modalign.metrics.score import Score
from modalign.training.loop import dev_recall
from modalign.views import Views


def captions(groups: int = 30, each: int = 5, noise: float = 0.8) -> Views:
    """One photo and several captions a group; some captions of no photo, ids beyond 32 bits, names with signs."""
    g = torch.Generator().manual_seed(3)
    photo = torch.randn(groups, 8, generator=g)
    text = photo.repeat_interleave(each, 0) + noise * torch.randn(groups * each, 8, generator=g)
    ids = torch.arange(groups) + 2**40
    alone = torch.tensor([7, 9])
    return Views(
        {"a->b|photo": photo, "text": torch.cat([text, text[:2]])},
        {"a->b|photo": ids, "text": torch.cat([ids.repeat_interleave(each), alone])},
    )


def test_what_was_found_is_read_back(tmp_path: Path) -> None:
    found = find_all(captions())
    save(tmp_path / "found.npz", found)
    again = load(tmp_path / "found.npz")
    assert list(again) == list(found)
    for way, one in found.items():
        for field in fields(one):
            ours, theirs = (torch.as_tensor(getattr(of, field.name)).cpu() for of in (one, again[way]))
            if field.name == "score":
                assert torch.allclose(ours, theirs, atol=1e-6)
            else:
                assert torch.equal(ours, theirs), field.name
        assert torch.equal(measures.any_hit(one, 5).cpu(), measures.any_hit(again[way], 5).cpu())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "found.npz"
    with pytest.raises(ModalignError, match="cannot be read"):
        load(path)
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ModalignError, match="delete it"):
        load(path)
    with path.open("wb") as handle:
        np.savez(handle, **{"text->image|hits": np.ones((3, 3))})  # of an older version
    with pytest.raises(ModalignError, match="run again"):
        load(path)


def test_mean_recall_is_one_number_wherever_it_is_asked_for() -> None:
    z = captions()
    names = z.modalities
    by_hand = np.mean(
        [
            [float((one.last_rank <= k).double().mean()) for k in (1, 5, 10)]  # nothing ties here
            for one in find_all(z).values()
        ]
    )
    scores = Retrieval()(z)
    everywhere = {
        "scores": mean_recall(scores, *names).value,
        "led": with_mean_recall(scores, names)["mean_recall"].value,
        "training": dev_recall(z),
        "bench": of_cells(find_all(z)).value,
        "groups": float(sums_of(recalls(find_all(z).values())).of_each_group().mean()),
        "curves": mean_of([recalls(find_all(z).values())]).value,
    }
    assert everywhere == {name: pytest.approx(by_hand, abs=1e-12) for name in everywhere}


def test_three_modalities_have_a_mean_for_each_pair() -> None:
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    z = Views.from_arrays(text=x, image=x, audio=x)
    led = with_mean_recall(Retrieval()(z), z.modalities)
    assert list(led)[:3] == ["mean_recall/image~text", "mean_recall/audio~text", "mean_recall/audio~image"]
    assert "mean_recall" not in led


def test_an_interval_stays_where_a_share_can_lie() -> None:
    runs = []
    for value in (0.98, 0.9):  # two runs that differ: Student's interval alone would end far above 1
        hit = torch.full((40,), value, dtype=torch.float64)
        runs.append([Score(value, per_item=hit, group=torch.arange(40), unit="share")])
    score = mean_of(runs)
    assert score.high == 1.0
    assert score.low is not None
    assert 0.0 <= score.low < 0.9
