"""Values and gradients of the authors' own public programs (numbers in tests/golden)."""

import math

import pytest
import torch

from modalign.geometry import contrast, matching, volume
from modalign.objectives.retrieval import Clip, CyClip
from modalign.objectives.transport import Klot
from modalign.objectives.volume import Gram, Pmrl, Triangle
from modalign.views import Batch, Views


def inputs(golden, *names):
    return {m: golden[f"in_{m}"].clone().requires_grad_() for m in names}


def check(golden, key, loss, rows, atol, grad_atol=None):
    torch.testing.assert_close(loss.double(), golden[f"{key}_value"].double(), atol=atol, rtol=0)
    loss.backward()
    compared = [m for m in rows if f"{key}_grad_{m}" in golden]
    assert compared
    for m in compared:
        torch.testing.assert_close(rows[m].grad, golden[f"{key}_grad_{m}"], atol=grad_atol or atol, rtol=0)


@pytest.mark.parametrize(("key", "names"), [("ti", 1), ("tia", 2), ("tiav", 3)])
def test_golden_gram_volume(golden, key, names):
    others = torch.stack([golden[f"in_{m}"] for m in ("image", "audio", "video")[:names]], 1)
    found = volume.gram_volume(golden["in_text"], others)
    torch.testing.assert_close(found, golden[f"gram_volume_{key}"].double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("key", "smoothing"), [("gram_loss_ls0", 0.0), ("gram_loss_ls01", 0.1)])
def test_golden_gram_loss(golden, key, smoothing):
    rows = inputs(golden, "text", "image", "audio")
    z = Views.from_arrays(**rows)
    objective = Gram(official=True, anchor="text", label_smoothing=smoothing).double()
    check(golden, key, objective(Batch(z, z)), rows, atol=1e-4)


def test_golden_triangle_area(golden):
    square = volume.triangle_area(*(golden[f"in_{m}"] for m in ("text", "image", "audio")))
    torch.testing.assert_close(2 * square, golden["triangle_area_tia"], atol=1e-10, rtol=0)


def test_golden_triangle_objective_scores_by_the_same_numbers(golden):
    rows = {m: golden[f"in_{m}"] for m in ("text", "image", "audio")}
    z = Views.from_arrays(**rows)
    loss = Triangle(official=True, label_smoothing=0.0).double()(Batch(z, z))
    score = -golden["triangle_area_tia"] / 0.07
    label = torch.arange(12)
    both = (torch.nn.functional.cross_entropy(s, label) for s in (score, score.T))
    torch.testing.assert_close(loss, 0.5 * sum(both), atol=1e-6, rtol=0)


def test_golden_clip_loss(golden):
    rows = inputs(golden, "image", "text")
    check(golden, "clip_loss", contrast.clip(rows["image"], rows["text"]), rows, atol=1e-8)


def test_golden_clip_objective(golden):
    rows = inputs(golden, "image", "text")
    objective = Clip().double()
    with torch.no_grad():
        objective.scale.log_scale.fill_(math.log(1 / 0.07))  # the parameter is born in float32
    z = Views.from_arrays(**rows)
    check(golden, "clip_loss", objective(Batch(z, z)), rows, atol=1e-8)


def test_golden_cyclip_objective(golden):
    rows = inputs(golden, "image", "text")
    objective = CyClip(in_modal=0.25, cross_modal=0.25).double()
    with torch.no_grad():
        objective.scale.log_scale.fill_(math.log(1 / 0.07))
    z = Views.from_arrays(**rows)
    check(golden, "cyclip_loss_025_025", objective(Batch(z, z)), rows, atol=1e-8)


def test_golden_klot_objective(golden):
    rows = inputs(golden, "text", "image")
    x = Views.from_arrays(text=golden["in_audio"], image=golden["in_video"])
    objective = Klot(teacher="features", official=True)
    loss = objective(Batch(Views.from_arrays(**rows), x))
    check(golden, "klot_loss_teacher_audio_video", loss, rows, atol=1e-4, grad_atol=1e-5)


def test_golden_klot_iterated_sinkhorn_plan(golden):
    plan = matching.iterated_plan(golden["in_text"] @ golden["in_image"].T, epsilon=0.05, iterations=100)
    torch.testing.assert_close(plan, golden["sinkhorn_plan_eps005_it100_symmetric"], atol=1e-8, rtol=0)


def test_golden_pmrl_intra_loss(golden):
    rows = inputs(golden, "text", "image", "audio")
    z = Views.from_arrays(**rows)
    check(golden, "pmrl_intra_tau005", Pmrl(official=True, temperature=0.05, inter=0.0)(Batch(z, z)), rows, atol=1e-8)


def test_golden_pmrl_singular_values(golden):
    tuples = torch.stack([golden[f"in_{m}"] for m in ("text", "image", "audio")], 1)
    torch.testing.assert_close(volume.singular_values(tuples)[0], golden["pmrl_singular_values"], atol=1e-8, rtol=0)
