"""Training captioners, the baseline, choosing the noise, and the scores of what is written."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from modalign.errors import ModalignError
from modalign.methods.gradient import Gradient
from modalign.metrics.bleu import corpus_bleu
from modalign.model.captioner import Captioner
from modalign.objectives.caption import Caption, jitter
from modalign.tasks import (
    Nearest,
    Training,
    choose_noise,
    evaluate_translation,
    examples,
    fit_captioner,
    pair_distance,
    translate,
)
from modalign.views import Views

COLOURS = ("red", "green", "blue", "white")
ANIMALS = ("fox", "dog", "cat", "bird", "cow")
PLACES = ("house", "tree", "lake")
SMALL = Training(steps=250, batch=30, width=48, layers=1, heads=2, least=1, dropout=0.0, lr=6e-3, noise=0.3)


def world(noise=0.35, gap=0.0, dim=24, seed=0):
    """Sixty scenes: a caption made of a colour, an animal and a place; text points carry these, image points too."""
    g = torch.Generator().manual_seed(seed)
    vectors = [torch.randn(len(kind), dim, generator=g) for kind in (COLOURS, ANIMALS, PLACES)]
    captions, text = {}, []
    for i, (c, a, p) in enumerate((c, a, p) for c in range(4) for a in range(5) for p in range(3)):
        captions[i] = [f"a {COLOURS[c]} {ANIMALS[a]} near the {PLACES[p]}"]
        text.append(vectors[0][c] + vectors[1][a] + vectors[2][p])
    x = normalize(torch.stack(text), dim=1)
    shift = gap * normalize(torch.randn(1, dim, generator=g), dim=1)
    image = normalize(x + noise * torch.randn(x.shape, generator=g) / dim**0.5 + shift, dim=1)
    return Views.from_arrays(text=x, image=image), captions


def parts(z, seed=0):
    """Training and test scenes."""
    order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
    return z.groups(order[:45]), z.groups(order[45:])


@pytest.fixture(scope="module")
def scene():
    z, captions = world()
    train, test = parts(z)
    return train, test, captions, fit_captioner(examples(train.only("text"), captions), SMALL)


# ------------------------------------------------------------------ what is learnt from


def test_own_captions_by_order_else_every_caption_of_the_group():
    z = Views(
        {"text": torch.arange(5.0)[:, None], "image": torch.arange(3.0)[:, None]},
        {"text": torch.tensor([1, 0, 1, 2, 7]), "image": torch.tensor([0, 1, 7])},
    )
    captions = {0: ["zero"], 1: ["one", "uno"], 2: ["two", "due"]}
    read = examples(z, captions)
    assert read.text == ("one", "uno", "zero", "two", "due")
    assert read.z[:, 0].tolist() == [0.0, 2.0, 1.0, 3.0, 3.0]
    both = examples(z, captions, ("image", "text"))
    assert both.text[:3] == ("zero", "one", "uno")
    assert both.modality == ("image",) * 3 + ("text",) * 5
    assert set(both.means) == {"text", "image"}


def test_no_captions_for_anything_is_refused():
    z, _ = world()
    with pytest.raises(ModalignError, match="has captions"):
        examples(z, {999: ["a"]})
    with pytest.raises(ModalignError, match="unknown modality"):
        examples(z, {0: ["a"]}, ("audio",))


def test_noise_has_the_length_it_says():
    z = normalize(torch.randn(4000, 32, generator=torch.Generator().manual_seed(0)), dim=1)
    moved = jitter(z, 0.5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(4000))
    # normalise(z + e), |e| = .5 and e almost at right angles to z: the cosine is 1 / sqrt(1 + .25)
    assert float((moved * z).sum(1).mean()) == pytest.approx(1 / math.sqrt(1.25), abs=0.01)
    assert jitter(z, 0.0) is z


# ------------------------------------------------------------------ translation


def test_a_decoder_of_text_alone_captions_images_it_never_saw_better_than_the_nearest_caption(scene):
    train, test, captions, captioner = scene
    scores = evaluate_translation(
        test, captions, {"decoder": captioner, "nearest": Nearest(examples(train, captions))}, samples=200
    )
    decoder, nearest = scores["bleu4/image->text/decoder"], scores["bleu4/image->text/nearest"]
    assert decoder.value > nearest.value
    assert decoder.value > 60
    assert scores["exact_match/image->text/nearest"].value == 0.0  # no test caption is among the training captions
    gain = scores["bleu4_gain/image->text/decoder-nearest"]
    assert gain.value == pytest.approx(decoder.value - nearest.value)
    assert gain.low <= gain.value <= gain.high
    assert {n.split("/")[0] for n in scores} == {"bleu4", "bleu4_13a", "chrf", "exact_match", "cider", "bleu4_gain"}
    assert all(s.low <= s.value <= s.high for s in scores.values())


def test_same_seed_same_bits(scene):
    train, _, captions, _ = scene
    short = Training(steps=5, width=16, layers=1, heads=2, least=1, noise=0.3)
    a, b = (fit_captioner(examples(train, captions), short) for _ in range(2))
    first, second = (m.decoder.state_dict() for m in (a, b))
    assert all(torch.equal(first[name], second[name]) for name in first)
    state = torch.get_rng_state()
    fit_captioner(examples(train, captions), short)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_taking_the_means_away_closes_a_gap():
    z, captions = world(gap=1.5)
    train, test = parts(z)
    truth = [captions[g] for g in test.group["image"].tolist()]
    found = {}
    for centre in (False, True):
        settings = Training(**{**SMALL.__dict__, "centre": centre})
        writer = fit_captioner(examples(train, captions), settings)
        found[centre] = corpus_bleu(writer.caption(test["image"]), truth, samples=0).value
        near = Nearest(examples(train, captions), centre)
        assert set(near.means) == ({"text", "image"} if centre else set())
    assert found[True] > found[False] + 10
    assert pair_distance(z, centre=True) < pair_distance(z) / 2


def test_noise_is_chosen_on_dev(scene):
    train, test, captions, _ = scene
    short = Training(**{**SMALL.__dict__, "steps": 60})
    best, found = choose_noise(examples(train, captions), test, captions, (0.5, 0.0), short)
    assert list(found) == [0.0, 0.5]
    assert found[best] == max(found.values())
    with pytest.raises(ModalignError, match="0 items, 1 candidates"):
        choose_noise(examples(train, captions), test, {}, (0.5,), short)


def test_translate_takes_a_folder(scene, tmp_path):
    _, test, _, captioner = scene
    captioner.save(tmp_path)
    assert translate(tmp_path, test["image"]) == translate(captioner, test["image"])
    assert translate(captioner, test["image"], beam=1) == captioner.caption(test["image"], beam=1)


def test_a_writer_that_ignores_the_image_scores_low(scene):
    _, test, captions, captioner = scene

    class Constant:
        def caption(self, z, modality="image"):
            return ["a red fox near the house"] * len(z)

    scores = evaluate_translation(test, captions, {"decoder": captioner, "constant": Constant()}, samples=50)
    assert scores["bleu4/image->text/constant"].value < scores["bleu4/image->text/decoder"].value / 2


def test_items_without_references_are_counted(scene):
    _, test, captions, captioner = scene
    some = dict(list(captions.items())[::2])
    scores = evaluate_translation(test, some, {"decoder": captioner}, samples=0)
    left = sum(g not in some for g in test.group["image"].tolist())
    assert scores["chrf/image->text/decoder"].skipped == left > 0
    assert not any("gain" in name for name in scores)


def test_mistakes_are_named(scene):
    train, test, captions, captioner = scene
    with pytest.raises(ModalignError, match="reference captions"):
        evaluate_translation(test, {}, {"decoder": captioner})
    with pytest.raises(ModalignError, match="at least one captioner"):
        evaluate_translation(test, captions, {})
    with pytest.raises(ModalignError, match="no pairs"):
        pair_distance(
            Views(
                {"image": torch.eye(2), "text": torch.eye(2)},
                {"image": torch.tensor([0, 1]), "text": torch.tensor([2, 3])},
            )
        )
    with pytest.raises(ModalignError, match="steps must be at least 1, got 0"):
        fit_captioner(examples(train, captions), Training(steps=0))
    with pytest.raises(ModalignError, match="lower the learning rate"):
        fit_captioner(examples(train, captions), Training(steps=40, lr=1e30, clip=1e30, least=1, width=16, layers=1))


# ------------------------------------------------------------------ joint training


def test_captions_trained_jointly_with_retrieval_through_the_total_objective():
    z, captions = world()
    train, test = parts(z)
    words = Caption(
        {g: captions[g] for g in train.group_ids().tolist()}, dim=24, width=48, layers=1, heads=2, dropout=0.0
    )
    total = {"name": "total", "retrieval": {"name": "clip"}, "terms": {"words": words}, "weights": {"words": 0.5}}
    heads = Gradient(total, start="random", dim=24, steps=250, batch=30, lr=5e-3).fit(train)
    truth = [captions[g] for g in test.group["image"].tolist()]
    captioner = words.captioner()
    assert isinstance(captioner, Captioner)
    written = captioner.caption(heads.embed(test)["image"])
    assert corpus_bleu(written, truth, samples=0).value > 30


# ------------------------------------------------------------------ sounds (small)


@pytest.mark.data
def test_sounds_get_titles():
    """A handful of recordings: it must work, not be good."""
    root = os.environ.get("MODALIGN_DATA")
    if root is None:
        pytest.skip("MODALIGN_DATA is not set")
    from modalign.data.annotations import from_manifest
    from modalign.data.esc50 import esc50
    from modalign.features.encoders.audio import LogMel
    from modalign.registry import make

    manifest = esc50(Path(root) / "esc50_cc0", split="test")
    captions = from_manifest(manifest)
    audio = list(manifest.modality("audio"))[:12]
    groups = torch.tensor([row.group for row in audio])
    sound = LogMel().encode(audio)
    words = torch.nn.functional.one_hot(torch.arange(12), 16).float()
    x = Views({"audio": sound, "text": words}, {"audio": groups, "text": groups})
    z = make("method", "cca", dim=8).fit(x).embed(x)
    captioner = fit_captioner(
        examples(z, captions), Training(steps=80, width=32, layers=1, least=1, lr=5e-3, dropout=0.0)
    )
    scores = evaluate_translation(z, captions, {"decoder": captioner}, source="audio", samples=20)
    assert scores["chrf/audio->text/decoder"].value > 20
