"""Advice follows the truth: on synthetic modalities of known redundancy, on real pairs, and on shuffled ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from modalign.cli import main
from modalign.cli.tables import diagnosis as text
from modalign.data.synthetic import generate
from modalign.diagnosis import diagnose
from modalign.diagnosis.advice import LEVELS, judge, overall
from modalign.diagnosis.gain import Gain
from modalign.errors import ModalignError
from modalign.metrics.score import Score
from modalign.views import Views

#: Shared bits of 12 -> advice, where nothing but rotations separates the modalities.
TRUTH = {0: "none", 1: "weak", 3: "partial", 4: "partial", 8: "strong", 12: "strong"}


@pytest.mark.parametrize("shared", TRUTH)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_advice_follows_the_shared_information(shared: int, seed: int) -> None:
    found = diagnose(generate(800, shared, 12 - shared, seed=seed).views, seed=seed)
    pair = found.pairs[0]
    assert found.advice == TRUTH[shared]
    assert pair.share == pytest.approx(shared / 12, abs=0.03)
    assert pair.explained["a->b"] + pair.unique["b"] == pytest.approx(1.0)
    if shared <= 4:  # the shared bits are as many bits about the partner
        assert pair.gain.bits == pytest.approx(shared, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 5])
def test_advice_rises_with_redundancy_behind_random_networks_too(depth: int) -> None:
    levels = [LEVELS.index(diagnose(generate(500, s, 12 - s, heterogeneity=depth).views).advice) for s in (0, 4, 8, 12)]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert levels[1] == 2
    assert levels[-1] == 3


@pytest.mark.slow
def test_heterogeneity_never_makes_something_of_nothing() -> None:
    for depth in (0, 5):
        assert diagnose(generate(400, 0, 10, heterogeneity=depth, seed=depth).views).advice == "none"


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(k, marks=pytest.mark.slow) for k in range(3, 8))])
def test_shuffled_pairs_are_not_worth_aligning(seed: int) -> None:
    x = generate(150, 6, 6, seed=seed).views
    order = torch.randperm(150, generator=torch.Generator().manual_seed(seed))
    shuffled = Views.from_arrays(a=x["a"], b=x["b"][order])
    assert diagnose(x).advice in ("partial", "strong")
    assert diagnose(shuffled, seed=seed).advice == "none"


def test_wide_noise_does_not_look_like_information() -> None:
    g = torch.Generator().manual_seed(0)
    noise = Views.from_arrays(a=torch.randn(100, 500, generator=g), b=torch.randn(100, 400, generator=g))
    found = diagnose(noise)
    assert found.advice == "none"
    assert found.pairs[0].similarity["cka"].calibrated < 0.05


def test_a_modality_that_contains_the_other_keeps_its_own_part() -> None:
    problem = generate(600, shared=5, unique=5)
    found = diagnose(Views.from_arrays(whole=problem.views["a"], part=problem.latent["a"][:, :5].float()))
    pair = found.pairs[0]
    assert pair.explained["whole->part"] > 0.95
    assert pair.unique["whole"] == pytest.approx(0.5, abs=0.05)
    assert "32 different rows only" in found.notes[0]


@pytest.mark.slow
def test_three_modalities_of_which_one_is_a_stranger() -> None:
    x = generate(400, shared=8, unique=2).views
    g = torch.Generator().manual_seed(1)
    found = diagnose(Views.from_arrays(a=x["a"], b=x["b"], c=torch.randn(400, 10, generator=g)))
    assert {(p.a, p.b): p.advice for p in found.pairs} == {("a", "b"): "strong", ("a", "c"): "none", ("b", "c"): "none"}
    assert found.advice == "none"
    assert "Leave out 'c'" in found.sentence
    assert "strong" in text(found.json())


def test_overall_advice_names_who_fits_in_least() -> None:
    advice = {("a", "b"): "strong", ("a", "c"): "weak", ("b", "c"): "none"}
    assert overall(advice, "abc") == ("weak", "'c' fits in least (weak); 'a', 'b' share more, see the pairs.")
    assert overall(dict.fromkeys(advice, "strong"), "abc")[0] == "strong"


def test_a_share_that_is_next_to_nothing_is_not_helped_by_bits_that_are_not_sure() -> None:
    """Forty shuffled photos and captions: a share of .0015 beyond all shuffles, .25 bits give or take .24."""

    def quick(bits: float, error: float) -> Gain:
        return Gain(30, 10, Score(0.5, chance=0.5), 1.0, bits, error, 1.0, [])

    assert judge(0.0015, True, quick(0.25, 0.24)) == "none"
    assert judge(0.0015, True, quick(0.25, 0.06)) == "weak"  # the bits are sure
    assert judge(0.01, True, quick(0.25, 0.24)) == "weak"  # the share is
    assert judge(0.01, False, quick(0.09, 0.01)) == "none"


def test_copies_do_not_leak_from_fold_to_fold() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 8, generator=g), torch.randn(60, 8, generator=g)
    copied = Views.from_arrays(a=x.repeat(5, 1), b=y.repeat(5, 1))  # unrelated, but every row five times
    found = diagnose(copied)
    assert found.advice == "none"
    assert found.pairs[0].rows == 60
    assert "240 of 300" in found.notes[0]


def test_groups_count_once_and_unpaired_items_tell_nothing() -> None:
    x = generate(200, 8, 0).views
    five = Views(
        {"a": x["a"], "b": x["b"].repeat_interleave(5, 0) + 0.01},
        {"a": torch.arange(200), "b": torch.arange(200).repeat_interleave(5)},
    )
    assert diagnose(five).pairs[0].rows == 200
    half = x.select({"b": torch.arange(100)})
    assert diagnose(half).pairs[0].rows == 100


def test_same_seed_same_document() -> None:
    x = generate(100, 4, 4).views
    assert json.dumps(diagnose(x, seed=2).json()) == json.dumps(diagnose(x, seed=2).json())


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (Views.from_arrays(a=torch.eye(40)), "two or more modalities"),
        (Views.from_arrays(a=torch.eye(40)[:20], b=torch.eye(40)[:20]), "at least 30"),
        (Views.from_arrays(a=torch.randn(40, 3), b=torch.full((40, 3), torch.nan)), "NaN"),
    ],
)
def test_what_cannot_be_judged_is_refused(views: Views, message: str) -> None:
    with pytest.raises(ModalignError, match=message):
        diagnose(views)


def test_two_arrays_in_place_of_views_are_told_how_to_become_some() -> None:
    x = generate(40, 4, 2).views
    with pytest.raises(ModalignError, match="x must be Views, got Tensor"):
        diagnose(x["a"], x["b"])  # type: ignore[arg-type]
    with pytest.raises(ModalignError, match="rows must be at least 1"):
        diagnose(x, 0)


def save(folder: Path, **arrays: Tensor) -> list[str]:
    for name, x in arrays.items():
        np.save(folder / f"{name}.npy", x.numpy())
    return [str(folder / f"{name}.npy") for name in arrays]


def test_the_command_prints_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = generate(200, 8, 2).views
    files = save(tmp_path, left=x["a"], right=x["b"].flip(0))
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("".join(f"{i},{199 - i}\n" for i in range(200)))
    main(["diagnose", *files, "--pairs", str(pairs), "--json"])
    table = json.loads(capsys.readouterr().out)
    assert table["advice"] == "strong"
    assert table["pairs"][0]["advice"] == "strong"
    assert set(table["modalities"]) == {"left", "right"}
    main(["diagnose", *files, "--json"])  # paired by position, which is wrong here
    assert json.loads(capsys.readouterr().out)["advice"] == "none"
    main(["diagnose", *files])
    assert "advice: none" in capsys.readouterr().out


def test_a_mistake_of_the_user_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = save(tmp_path, a=torch.randn(50, 3), b=torch.randn(60, 3))
    with pytest.raises(SystemExit) as end:
        main(["diagnose", *files])
    assert end.value.code == 2
    assert "different numbers of rows" in capsys.readouterr().err


def flickr(folder: Path, n: int = 250) -> tuple[Tensor, Tensor]:
    features = folder / "flickr8k/features"
    image = np.load(features / "image_efficientnet_lite0.npy", mmap_mode="r")[:n]
    text = np.load(features / "text_minilm_l6.npy", mmap_mode="r")[: 5 * n : 5]
    return torch.from_numpy(image.astype(np.float32)), torch.from_numpy(text.astype(np.float32))


@pytest.mark.data
def test_photos_and_their_captions_are_worth_it_and_shuffled_ones_are_not(external_data: Path) -> None:
    image, caption = flickr(external_data)
    found = diagnose(Views.from_arrays(image=image, text=caption))
    assert found.advice in ("partial", "strong")
    order = torch.randperm(len(caption), generator=torch.Generator().manual_seed(1))
    assert diagnose(Views.from_arrays(image=image, text=caption[order])).advice == "none"


@pytest.mark.slow
def test_two_thousand_wide_rows_take_bounded_work() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 1280, generator=g)
    y = x[:, :384] + torch.randn(2000, 384, generator=g)
    with FlopCounterMode(display=False) as counter:
        diagnose(Views.from_arrays(a=x, b=y))
    assert counter.get_total_flops() < 4e11  # 2.9e11 when this was written: 13 s of one core


def test_two_modalities_without_pairs_do_not_stop_the_others() -> None:
    x = generate(300, 8, 2, modalities=3).views
    part = x.select({"a": torch.arange(150), "c": torch.arange(150, 300)})
    found = diagnose(part)
    assert [(p.a, p.b) for p in found.pairs] == [("a", "b"), ("b", "c")]
    assert found.advice in ("partial", "strong")
    assert any(n.startswith("a ~ c: left out") and "0 pairs" in n for n in found.notes)
    assert repr(found) == f"<Diagnosis: {found.advice}. {found.sentence}>"
    assert repr(found.pairs[0]).startswith(f"<a ~ b: {found.pairs[0].advice}. a and b: ")
    with pytest.raises(ModalignError, match="needs at least"):
        diagnose(part.only("a", "c"))
