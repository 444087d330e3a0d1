"""Features on other scales than their neighbours: what can be aligned is, and what drowns the others is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modalign.cli import main
from modalign.diagnosis.scales import drowned
from modalign.errors import ModalignError
from modalign.migration import migrate
from modalign.views import Views


def two(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    common = draw.normal(size=(n, 6))
    a, b = (common @ draw.normal(size=(6, d)) + 0.1 * draw.normal(size=(n, d)) for d in (16, 12))
    return a.astype(np.float32), b.astype(np.float32)


def aligned(a: np.ndarray, b: np.ndarray, method: str, place: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Mean recall on held-out pairs, and what was noted."""
    np.save(place / "a.npy", a)
    np.save(place / "b.npy", b)
    argv = ["align", str(place / "a.npy"), str(place / "b.npy"), "--out", str(place / method), "--method", method]
    main([*argv, "--dim", "4"])
    found = json.loads((place / method / "scores.json").read_text())["methods"]
    shutil.rmtree(place / method)
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note")]
    return found[method]["scores"]["mean_recall"]["value"], notes


@pytest.mark.parametrize("method", ["full", "cca"])
def test_a_feature_far_from_zero_does_not_hide_that_the_others_vary(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One at 1e8 beside ordinary ones was refused, "all rows are equal": to the digits of their lengths they are."""
    a, b = two()
    plain, _ = aligned(a, b, method, tmp_path, capsys)
    a[:, 3] = 1e8
    assert aligned(a, b, method, tmp_path, capsys) == (pytest.approx(plain, abs=0.03), [])
    a[:, 3] += np.arange(len(a)) * 1e6  # a number of the row, say
    found, notes = aligned(a, b, method, tmp_path, capsys)
    assert len(notes) == 1
    assert "feature 3 of 'a' (counted from 0) has 99.99 % of all variance" in notes[0]
    assert "divide each feature by its standard deviation" in notes[0]
    assert (found > 0.9) == (method != "cca")  # rows scaled to length 1 are looked at there


def test_what_drowns_the_others_is_named_by_diagnose_and_migrate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = two()
    x = Views.from_arrays(a=a, b=b)
    assert drowned(x.data) == []
    assert drowned(Views.from_arrays(a=a[:, :1] * 1e6, b=np.ones_like(b)).data) == []  # alone, and none at all
    a[:, 3] *= 1e8
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    main(["diagnose", str(tmp_path / "a.npy"), str(tmp_path / "b.npy")])
    assert "note: feature 3 of 'a' (counted from 0) has 99.99 % of all variance" in capsys.readouterr().out
    pairs = [[i, i] for i in range(300)]
    with pytest.raises(ModalignError, match=r"pairs look wrong, .* Also, feature 3 of 'OLD' \(counted from 0\) has"):
        migrate(tmp_path / "a.npy", tmp_path / "b.npy", pairs, tmp_path / "moved")
    np.save(tmp_path / "a.npy", b * np.float32(1e20))
    with pytest.raises(ModalignError, match=r"OLD has numbers up to .*e\+21, whose lengths are lost in float32: scale"):
        migrate(tmp_path / "a.npy", tmp_path / "b.npy", pairs, tmp_path / "moved")
