"""Gradient methods and the presets: never worse than their start, equal trials, honest records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from modalign.errors import ModalignError
from modalign.methods import descents
from modalign.methods.cases import CASES, CLOSED
from modalign.methods.clip import ClipPreset
from modalign.methods.descents import DESCENTS
from modalign.methods.gradient import Gradient
from modalign.methods.tuning import TRIALS, score_heads
from modalign.model import Model
from modalign.registry import make
from modalign.views import Views, hide_links

MakeViews = Callable[..., Views]


def test_random_start_learns(latent: MakeViews) -> None:
    x, dev = latent(150, 0), latent(60, 1)
    untrained = make("method", "gradient", start="random", steps=1, dim=8, lr=1e-9).fit(x)
    trained = make("method", "gradient", start="random", steps=100, dim=8, lr=1e-2).fit(x)
    assert score_heads(trained, dev) > score_heads(untrained, dev) + 0.3


@pytest.mark.parametrize("method", [make("method", "gradient", start="random", steps=1), ClipPreset(steps=1)])
def test_features_that_do_not_vary_are_refused_by_random_starts_too(latent: MakeViews, method: object) -> None:
    x = latent(40, 0)
    flat = x.map(lambda m, rows: rows if m == x.modalities[0] else torch.full_like(rows, 0.1))
    with pytest.raises(ModalignError, match=rf"'{x.modalities[1]}' with .* no variance to align"):
        method.fit(flat)  # type: ignore[attr-defined]


@pytest.mark.parametrize("start", ["cca", {"name": "transport_cca", "share": 1.0}])
@pytest.mark.parametrize("hidden", [0, 16])
def test_training_never_ends_below_its_start_on_dev(latent: MakeViews, start: object, hidden: int) -> None:
    x, dev = hide_links(latent(80, 0, noise=0.4), torch.arange(25)), latent(60, 1, noise=0.4)
    method = make("method", "gradient", start=start, hidden=hidden, steps=30, lr=0.5, unpaired=0.3, every=5)
    heads = method.fit(x, dev)
    name, settings = ("cca", {}) if start == "cca" else ("transport_cca", {"share": 1.0})
    begun = score_heads(make("method", name, **settings).fit(x, dev), dev)
    assert score_heads(heads, dev) >= begun - 1e-6


def test_any_objective_and_its_augmented_views(latent: MakeViews) -> None:
    x = latent(60, 0)
    for objective in ({"name": "siglip"}, {"name": "bridge"}, {"name": "total", "transport": {"name": "transport"}}):
        heads = make("method", "gradient", objective=objective, steps=4, noise=0.1, batch=32).fit(x)
        assert torch.isfinite(heads.embed(x)["text"]).all()


def test_a_run_folder_resumes_to_the_same_bits(latent: MakeViews, tmp_path: Path) -> None:
    x, dev = latent(60, 0), latent(30, 1)
    settings = {"steps": 20, "every": 5, "start": "random", "hidden": 8, "dropout": 0.2, "patience": 0}
    whole = make("method", "gradient", **settings).fit(x, dev, tmp_path / "a")
    again = make("method", "gradient", **settings).fit(x, dev, tmp_path / "a")
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_objectives_need_a_name(latent: MakeViews) -> None:
    with pytest.raises(ModalignError, match="objective needs a name"):
        make("method", "gradient", objective={"scale": 1.0}, steps=1).fit(latent(20, 0))
    with pytest.raises(ModalignError, match=r"'hidden' must lie in \[0, 65,536\], got 1000000000000"):
        make("method", "gradient", hidden=10**12)
    with pytest.raises(ModalignError, match="did you mean 'clip'"):
        make("method", "gradient", objective="clipp", steps=1).fit(latent(20, 0))


def test_presets_get_equal_trials(latent: MakeViews) -> None:
    assert len(ClipPreset.CANDIDATES) == TRIALS <= len(CLOSED) + len(DESCENTS) + len(CASES["few"].strengths) + 1
    x, dev = hide_links(latent(80, 0, noise=0.4), torch.arange(30)), latent(40, 1, noise=0.4)
    records = {}
    for name in ("clip", "full"):
        method = make("method", name, trials=5, steps=10)
        method.fit(x, dev)
        records[name] = method.record
    assert len(records["clip"]["trials"]) == len(records["full"]["trials"]) == 5
    closed = [t["score"] for t in records["full"]["trials"] if "ridge" in t["settings"]]
    assert records["full"]["chosen"]["hubs"] or records["full"]["dev"] >= closed[0]


@pytest.mark.slow
def test_full_beats_clip_when_pairs_are_few_and_logs_its_training(
    latent: MakeViews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descents, "FEWEST_TO_DESCEND", 10)
    sets = [latent(n, seed, (60, 40), noise=0.4) for n, seed in ((300, 0), (60, 1), (150, 2))]
    x, dev, test = hide_links(sets[0], torch.arange(20)), sets[1], sets[2]
    clip = make("method", "clip", trials=3, steps=60).fit(x, dev)
    method = make("method", "full", trials=5)
    full = method.fit(x, dev, tmp_path)
    assert score_heads(full, test) > score_heads(clip, test) + 0.05
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {"transport", "neighbourhood", "retrieval"} <= lines[-1].keys()
    json.dumps(method.record)
    Model(full, method={"name": "full"}, record=method.record).save(tmp_path)
    again = Model.load(tmp_path).heads
    assert torch.equal(again.embed(test)["text"], full.embed(test)["text"])


@pytest.mark.parametrize(("pairs", "folds"), [(4, 0), (40, 3), (310, 1)])
def test_full_without_dev_holds_pairs_out(latent: MakeViews, pairs: int, folds: int) -> None:
    x = hide_links(latent(320, 0), torch.arange(pairs))
    method = make("method", "full", trials=2)
    heads = method.fit(x)
    assert method.record.get("dev_is", "0 x").startswith(f"{folds} x")
    assert score_heads(heads, latent(60, 1)) > 0.3


def test_full_of_three_modalities_and_of_no_pairs(latent: MakeViews) -> None:
    x = latent(120, 0, (12, 8, 10))
    heads = make("method", "full", trials=3, steps=10).fit(x, latent(40, 1, (12, 8, 10)))
    assert heads.modalities == ("image", "text", "sound")
    twins = latent(150, 0, noise=0.01)
    assert score_heads(make("method", "full").fit(hide_links(twins, torch.arange(0))), twins) > 0.9


def test_a_run_folder_of_another_fit_is_refused(latent: MakeViews, tmp_path: Path) -> None:
    """What lay there was taken for the result, whatever objective, start or data it was of."""
    x, other = latent(40, 0), latent(40, 1)
    how = {"start": "random", "dim": 4, "steps": 6, "batch": 16}
    first = Gradient("clip", **how).fit(x, run=tmp_path)
    assert torch.equal(Gradient("clip", **how).fit(x, run=tmp_path).embed(x)["text"], first.embed(x)["text"])
    for objective, start, data, dev in (
        ("mil_nce", "random", x, None),
        ({"name": "clip", "label_smoothing": 0.1}, "random", x, None),
        ("clip", {"name": "cca", "dim": 4}, x, None),
        ("clip", "random", other, None),
        ("clip", "random", x, other),
    ):
        with pytest.raises(ModalignError, match="a training of other data or settings"):
            Gradient(objective, **{**how, "start": start}).fit(data, dev, run=tmp_path)
