"""What a trained run learnt from: pairs that a rare modality lacks, and candidates in place of groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from modalign.data.manifest import Manifest
from modalign.features.embed import embed
from modalign.features.encoders.features import Features
from modalign.runs.evaluate import Request, evaluate_run
from modalign.runs.train import train_run
from modalign.specification import Specification

N = 60


def store(folder: Path, groups: Mapping[str, range], positives: Mapping[str, int] | None = None) -> Path:
    """Features of one latent; the first two thirds train; positives: how far around it an item's candidates reach."""
    draw = np.random.default_rng(0)
    latent = draw.normal(size=(N, 4))
    rows = []
    for m, ids in groups.items():
        np.save(folder / f"{m}.npy", (latent[ids] @ draw.normal(size=(4, 8))).astype(np.float32))
        for row, g in enumerate(ids):
            extra = {"index": row}
            if positives:
                near = range(g - positives[m], g + positives[m] + 1)
                extra["positives"] = [j for j in near if 0 <= j < N and j // 4 == g // 4]
            split = "train" if g < 2 * N // 3 else "test"
            rows.append({"group": g, "modality": m, "uri": str(folder / f"{m}.npy"), "split": split, "extra": extra})
    encoders = {m: Features(str(folder / f"{m}.npy"), m) for m in groups}
    embed(Manifest.from_rows(rows), encoders, folder / "store")
    return folder / "store"


def specification(where: Path, out: Path, pairs: int | None = None) -> Specification:
    return Specification(
        {"name": "cca", "dim": 4}, {"store": str(where)}, pairs=pairs, metrics=["retrieval"], out=str(out)
    )


@pytest.mark.parametrize(("pairs", "known"), [(None, 40), (30, 30)])
def test_a_rare_modality_takes_no_known_pair_away(tmp_path: Path, pairs: int | None, known: int) -> None:
    where = store(tmp_path, {"text": range(N), "image": range(N), "audio": range(12)})
    run = train_run(specification(where, tmp_path / "run", pairs))
    facts = run.result.data
    assert facts["pairs"] == known
    assert facts["unlinked"]["text"] == facts["unlinked"]["image"] == 40 - known
    assert 0 <= facts["unlinked"]["audio"] <= min(12, 40 - known)


def test_candidates_are_followed_by_training_and_evaluation_alike(tmp_path: Path) -> None:
    where = store(tmp_path, {"video": range(N), "text": range(N)}, {"video": 1, "text": 0})
    run = train_run(specification(where, tmp_path / "run"))
    z = run.items.split("test").z
    assert len(z.paired("video", "text")) == 50  # five films of four clips: 3 x 4 - 2 candidates each
    trained = run.result.methods["cca"].scores
    again = evaluate_run(tmp_path / "run", Request(metrics=("retrieval",))).methods["cca"].scores
    for k in ("recall/video->text/pairs@1", "recall/text->video/any@5"):
        assert again[k].value == pytest.approx(trained[k].value)
    assert trained["recall/video->text/pairs@1"].chance == pytest.approx(1 / 20)
