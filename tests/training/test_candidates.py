"""Candidate positives on their whole way: a data set's column, the store, batches, MIL-NCE."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from modalign.data.manifest import Manifest
from modalign.features.embed import embed
from modalign.features.encoders.features import Features
from modalign.features.store import Store
from modalign.model import Heads
from modalign.objectives.retrieval import MilNce
from modalign.registry import make
from modalign.runs.fit import fit
from modalign.training.loop import dev_recall
from modalign.training.sampling import Sampler
from modalign.views import Batch, Views, concat, hide_links, linked_groups

FILMS, LENGTH = 30, 8


def films(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of clips and of words, and the clip that each text is really of: often the one before or after."""
    draw, maps = np.random.default_rng(seed), np.random.default_rng(99)
    n = FILMS * LENGTH
    latent = draw.normal(size=(n, 6))
    place = np.arange(n) % LENGTH
    truth = np.arange(n) - place + np.clip(place + draw.integers(-1, 2, n), 0, LENGTH - 1)
    clip = latent @ maps.normal(size=(6, 12)) + 0.3 * draw.normal(size=(n, 12))
    words = latent[truth] @ maps.normal(size=(6, 9)) + 0.3 * draw.normal(size=(n, 9))
    return clip.astype(np.float32), words.astype(np.float32), truth


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Clips whose column ``positives`` names their own words and those on either side, as HowTo100M's does."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for m, x in zip(("video", "text"), films(0)[:2], strict=True):
        np.save(folder / f"{m}.npy", x)
        for i in range(len(x)):
            near = [j for j in (i - 1, i, i + 1) if j // LENGTH == i // LENGTH and 0 <= j < len(x)]
            extra = {"index": i, "positives": near if m == "video" else [i], "film": i // LENGTH}
            uri, split = str(folder / f"{m}.npy"), "train" if i // LENGTH < FILMS - 2 else "test"
            rows.append({"group": i, "modality": m, "uri": uri, "split": split, "extra": extra})
    encoders = {m: Features(str(folder / f"{m}.npy"), m) for m in ("video", "text")}
    return embed(Manifest.from_rows(rows, name="films"), encoders, folder / "store")


def true_pairs(seed: int) -> Views:
    """New clips and words, by what really belongs together."""
    clip, words, truth = films(seed)
    return Views(
        {"video": torch.from_numpy(clip), "text": torch.from_numpy(words)},
        {"video": torch.arange(len(clip)), "text": torch.from_numpy(truth)},
    )


def test_the_column_becomes_links_of_the_views(store: Store) -> None:
    x = store.views("train")
    n = (FILMS - 2) * LENGTH
    assert len(x.paired("video", "text")) == 3 * n - 2 * (FILMS - 2)
    assert x.paired("video", "text")[:5].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]]
    again = Store.open(store.folder).views("test", ["text", "video"])  # numbered within the split, either way round
    assert sorted(again.paired("video", "text").tolist())[:2] == [[0, 0], [0, 1]]
    assert len(again.paired("text", "video")) == 2 * (3 * LENGTH - 2)
    whole = concat([x, store.views("test")])
    assert torch.equal(whole.paired("video", "text"), store.views().paired("video", "text"))


def test_a_batch_holds_the_whole_set_of_an_item(store: Store) -> None:
    x = store.views("train")
    batch = x.select(Sampler(x, batch=4)(0))
    assert len(batch["video"]) == 4
    for clip, group in enumerate(batch.group["video"].tolist()):
        own = {j for j in (group - 1, group, group + 1) if j // LENGTH == group // LENGTH}
        found = batch.group["text"][batch.positives("video", "text")[clip]].tolist()
        assert set(found) == own


def test_the_loss_sees_candidates(store: Store) -> None:
    x = store.views("train").map(lambda _, rows: torch.nn.functional.normalize(rows[:, :6], dim=1))
    few = x.select({m: torch.arange(5) for m in x.modalities})
    loss = MilNce(scale=2.0)(Batch(few, few))
    s = (2.0 * few["video"] @ few["text"].T).exp().double()
    mask = few.positives("video", "text")
    halves = []
    for e, p in ((s, mask), (s.T, mask.T)):
        rows = []
        for i in range(5):
            good = e[i][p[i]].sum()
            other_rows = sum(float(e[k, j]) for j in range(5) if p[i, j] for k in range(5) if not p[k, j])
            rows.append(-torch.log(good / (e[i].sum() + other_rows)))
        halves.append(torch.stack(rows).mean())
    assert loss.item() == pytest.approx(float(sum(halves) / 2), rel=1e-5)
    assert MilNce(scale=2.0)(Batch(replace(few, links=None), few)).item() != pytest.approx(loss.item(), rel=0.05)


def trained(x: Views, objective: str) -> float:
    """Recall of what really belongs together, among new clips and words."""
    settings = {"objective": objective, "start": "random", "dim": 6, "steps": 200, "batch": 64, "lr": 0.01}
    return dev_recall(make("method", "gradient", **settings).fit(x).embed(true_pairs(1)))


@pytest.mark.slow
def test_candidates_teach_more_than_the_nearest_words_alone(store: Store) -> None:
    x = store.views("train")
    candidates = trained(x, "mil_nce")
    assert candidates > trained(replace(x, links=None), "mil_nce") + 0.03
    assert candidates > trained(x, "clip") + 0.03  # which asks that all of them be right
    budget = hide_links(x, linked_groups(x, 100, seed=0))
    assert trained(budget, "mil_nce") > trained(replace(budget, links=None), "mil_nce")


def test_every_method_takes_links(store: Store) -> None:
    x = store.views("train")
    few = {"cca": {}, "csa": {}, "asif": {}, "transport_cca": {"rounds": 1}, "full": {"steps": 10, "trials": 2}}
    for name, settings in few.items():
        heads: Heads = make("method", name, **settings).fit(x)
        assert dev_recall(heads.embed(store.views("test"))) > 0.4


def test_a_fit_with_other_links_is_another_fit(store: Store, tmp_path: Path) -> None:
    x = store.views("train")
    method = {"name": "cca", "dim": 4}
    first = fit(method, x, None, tmp_path)[0].heads.transform(x["text"], "text")
    same = fit(method, x, None, tmp_path)[0].heads.transform(x["text"], "text")
    other = fit(method, replace(x, links=None), None, tmp_path)[0].heads.transform(x["text"], "text")
    assert torch.equal(first, same)
    assert not torch.allclose(first, other, atol=1e-3)
