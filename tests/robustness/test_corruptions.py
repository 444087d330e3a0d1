"""Corruptions: five severities that grow, same size, same bits; typing mistakes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from modalign.errors import ModalignError
from modalign.robustness.corruptions import NEAR, PICTURES, SEVERITIES, TYPOS, corrupt, misspell

CAPTION = "A brown dog runs across the green grass with a ball in its mouth"


def photo(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Waves of many lengths in many directions, as photos have them."""
    w, h = size
    y, x = np.mgrid[0:h, 0:w]
    g = np.random.default_rng(0)
    waves = np.zeros((h, w, 3))
    for length in (3, 5, 9, 17, 33, 65):
        for _ in range(3):
            angle, phase, tint = g.uniform(0, 6), g.uniform(0, 6), g.uniform(0, 1, 3)
            wave = np.sin(6.28 * (x * np.cos(angle) + y * np.sin(angle)) / length + phase)
            waves += length**0.5 * wave[..., None] * tint
    return Image.fromarray(np.clip(128 + 10 * waves, 0, 255).astype(np.uint8), "RGB")


def away(kind: str, severity: int) -> float:
    a, b = (np.asarray(p, dtype=float) for p in (photo(), corrupt(photo(), kind, severity)))
    return float(np.abs(a - b).mean())


@pytest.mark.parametrize("kind", PICTURES)
def test_damage_grows_with_severity_and_keeps_the_size(kind: str) -> None:
    damage = [away(kind, s) for s in SEVERITIES]
    assert damage[0] > 0
    assert damage[-1] > 1.5 * damage[0]
    assert all(b > 0.9 * a for a, b in itertools.pairwise(damage))
    for size in ((1, 1), (7, 200)):
        assert corrupt(photo(size), kind, 5).size == size


@pytest.mark.parametrize("kind", PICTURES)
def test_same_picture_same_bits_wherever_it_stands(kind: str) -> None:
    assert corrupt(photo(), kind, 3).tobytes() == corrupt(photo(), kind, 3).tobytes()
    if kind in ("gaussian_noise", "shot_noise", "impulse_noise", "fog"):
        assert corrupt(photo(), kind, 3, seed=1).tobytes() != corrupt(photo(), kind, 3).tobytes()


def test_noise_has_its_standard_deviation() -> None:
    grey = Image.new("RGB", (128, 128), (128, 128, 128))
    spread = (np.asarray(corrupt(grey, "gaussian_noise", 2), dtype=float) - 128).std() / 255
    assert spread == pytest.approx(0.08, rel=0.03)
    black = np.asarray(corrupt(grey, "impulse_noise", 5))
    assert float(((black == 0) | (black == 255)).mean()) == pytest.approx(0.22, abs=0.01)


def test_other_modes_become_rgb_and_the_original_stays() -> None:
    original = photo().convert("L")
    before = original.tobytes()
    assert corrupt(original, "jpeg", 2).mode == "RGB"
    assert original.tobytes() == before


@pytest.mark.parametrize("kind", [*TYPOS, "mixed"])
def test_mistakes_grow_in_number(kind: str) -> None:
    def wrong(severity: int) -> int:
        text = misspell(CAPTION, severity, kind=kind)
        return sum(a != b for a, b in zip(text, CAPTION, strict=False)) + abs(len(text) - len(CAPTION))

    assert wrong(1) >= 1
    if kind in ("swap", "neighbour"):
        assert wrong(5) > wrong(1)
    assert misspell(CAPTION, 3, kind=kind) == misspell(CAPTION, 3, kind=kind)
    assert misspell(CAPTION, 3, kind=kind) != misspell(CAPTION, 3, seed=1, kind=kind)


def test_each_mistake_is_what_it_says() -> None:
    letters = sum(c.isalpha() for c in CAPTION)
    for severity, share in zip(SEVERITIES, (0.03, 0.06, 0.10, 0.15, 0.25), strict=True):
        assert len(misspell(CAPTION, severity, kind="drop")) == len(CAPTION) - max(1, round(share * letters))
        assert len(misspell(CAPTION, severity, kind="double")) == len(CAPTION) + max(1, round(share * letters))
        assert sorted(misspell(CAPTION, severity, kind="swap")) == sorted(CAPTION)
        typed = misspell(CAPTION, severity, kind="neighbour")
        assert all(b.lower() in NEAR[a.lower()] for a, b in zip(CAPTION, typed, strict=True) if a != b)
    assert set(NEAR["g"]) == set("fhtyvb")
    assert misspell("42 !", 5) == "42 !"
    assert misspell("", 5) == ""


@pytest.mark.parametrize("kind", [*TYPOS, "mixed"])
@pytest.mark.parametrize("caption", ["tree", "all", "a", "кошка на столе", "Ein süßer Hund", "猫"])
def test_a_mistake_is_one_in_any_language_and_at_the_end(caption: str, kind: str) -> None:
    """Equal letters were swapped, nothing followed the last one, and no key lies beside one that the table lacks."""
    assert all(misspell(caption, 1, seed, kind) != caption for seed in range(30))


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ModalignError, match="did you mean 'pixelate'"):
        corrupt(photo(), "pixelat")
    for severity in (0, 6):
        with pytest.raises(ModalignError, match="1 to 5"):
            corrupt(photo(), "fog", severity)
    with pytest.raises(ModalignError, match="typing mistake"):
        misspell(CAPTION, 1, kind="smudge")
