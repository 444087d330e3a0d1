"""GRAM, TRIANGLE, PMRL as objectives: anchors, absent modalities, matching loss, settings."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from modalign.errors import ModalignError
from modalign.geometry import volume
from modalign.objectives.volume import Gram, Pmrl, Triangle, hard_negatives
from modalign.registry import make
from modalign.views import Batch, Views, aligned

NAMES = ("text", "image", "audio", "video", "depth", "thermal")


def as_batch(z, step=0):
    return Batch(z, z, step=step)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("official", [True, False])
def test_two_to_six_modalities(make_batch, count, official):
    batch = make_batch(n=5, d=8, names=NAMES[:count])
    others = torch.stack([batch.z[m] for m in NAMES[1:count]], 1)
    score = volume.gram_volume if official else volume.gram_distance
    logits = -score(batch.z["text"], others) / 0.07
    label = torch.arange(5)
    expected = 0.5 * (
        cross_entropy(logits, label, label_smoothing=0.1) + cross_entropy(logits.T, label, label_smoothing=0.1)
    )
    torch.testing.assert_close(Gram(official=official).double()(batch), expected, atol=1e-6, rtol=1e-6)


def test_any_modality_may_be_the_anchor_and_all_is_their_mean(make_batch):
    batch = make_batch()
    single = [Gram(anchor=m)(batch) for m in ("text", "image", "audio")]
    assert len({round(v.item(), 6) for v in single}) == 3
    torch.testing.assert_close(Gram(anchor="all")(batch), torch.stack(single).mean())
    nameless = Views.from_arrays(x=batch.z["text"], y=batch.z["image"])
    torch.testing.assert_close(Gram()(as_batch(nameless)), Gram(anchor="x")(as_batch(nameless)))
    assert Gram(anchor="text")(as_batch(nameless)).item() == 0.0


def test_items_without_some_modalities_take_part_with_what_they_have(make_batch):
    z = make_batch().z.select({"audio": torch.tensor([0, 1, 2]), "image": torch.tensor([1, 2, 3, 4])})
    objective = Gram().double()
    tuples = next(objective.anchored(as_batch(z)))
    assert tuples.anchor.shape == (6, 4)
    assert tuples.present.tolist() == [[False, True], [True, True], [True, True], [True, False], [True, False]]
    rows, columns = tuples.own()
    assert rows.tolist() == [0, 1, 2, 3, 4]  # text 5 has no tuple and is no row of the loss
    assert columns.tolist() == [0, 1, 2, 3, 4]
    rows_used = [v.requires_grad_() for v in z.data.values()]
    objective(as_batch(z)).backward()
    assert all(v.grad.abs().sum() > 0 for v in rows_used)


def test_loss_compares_across_which_modalities_are_present(make_batch):
    """Random directions cost about the same in pairs and in triples, which official volumes do not."""
    z = make_batch(n=200, d=64).z
    part = z.select({"audio": torch.arange(0, 200, 2)})
    spread = {}
    for official in (False, True):
        objective = Gram(official=official)
        tuples = next(objective.anchored(as_batch(part)))
        value = objective.distance(tuples)
        pairs, triples = value[:, ~tuples.present.all(1)].mean(), value[:, tuples.present.all(1)].mean()
        spread[official] = (pairs - triples).abs().item()
    assert spread[False] < 0.02
    # with correlated items the official volume of a triple is smaller than that of a pair
    base = z["text"]
    near = {m: torch.nn.functional.normalize(base + 0.1 * z[m], dim=1) for m in z.data}
    close = Views(near, z.group).select({"audio": torch.arange(0, 200, 2)})
    tuples = next(Gram().anchored(as_batch(close)))
    own = tuples.own()
    values = {o: Gram(official=o).distance(tuples)[own] for o in (True, False)}
    whole = tuples.present.all(1)[own[1]]
    ratio = {o: (v[whole].mean() / v[~whole].mean()).item() for o, v in values.items()}
    assert abs(math.log(ratio[False])) < 0.5 * abs(math.log(ratio[True]))


def test_hard_negatives_follow_the_odds_and_never_hit_positives():
    logits = torch.tensor([[9.0, 9.0, 0.0], [0.0, 5.0, 5.0]])
    positives = torch.tensor([[True, False, False], [False, True, False]])
    drawn = torch.stack([hard_negatives(logits, positives, torch.Generator().manual_seed(s)) for s in range(50)])
    assert (drawn[:, 0] == 1).float().mean() > 0.9
    assert (drawn[:, 1] == 2).float().mean() > 0.9
    assert hard_negatives(logits, torch.ones(2, 3, dtype=torch.bool), torch.Generator()).tolist() == [-1, -1]


def test_matching_loss_learns_to_tell_own_tuples_from_hard_ones(make_batch):
    batch = make_batch(n=12, d=8)
    base = batch.z["text"]
    near = {m: torch.nn.functional.normalize(base + 0.2 * v, dim=1).float() for m, v in batch.z.data.items()}
    z = Views(near, batch.z.group)
    objective = Gram(matching=1.0, dim=8)
    tuples = next(objective.anchored(as_batch(z)))
    logits = -objective.distance(tuples) / 0.07
    optimiser = torch.optim.Adam(objective.classifier.parameters(), lr=0.02)
    losses = []
    for step in range(60):
        loss = objective.classifier(tuples, logits, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(2), abs=0.15)
    assert losses[-1] < 0.3
    with pytest.raises(ModalignError, match="dim"):
        Gram(matching=0.1)
    with pytest.raises(ModalignError, match="has dim=16, the shared space 8: set dim=8"):
        Gram(matching=0.1, dim=16)(as_batch(z))


def test_the_same_step_draws_the_same_items(make_batch):
    z = make_batch().z
    several = Views(z.data, {m: g // 2 for m, g in z.group.items()})
    first = [Gram()(as_batch(several, step=s)).item() for s in (0, 0, 1)]
    assert first[0] == first[1] != first[2]


def test_triangle_cosine_term_tells_what_a_degenerate_area_does_not(rows):
    """Two equal corners: no area, wherever the anchor is."""
    a = rows(1, 4, 0)
    anchors = torch.cat([torch.nn.functional.normalize(a + 0.2 * rows(1, 4, 1), dim=1), rows(1, 4, 2)])
    others = torch.stack([a, a], 1)
    assert Triangle(official=True).distance(anchors, others).abs().max() < 1e-12
    near, far = Triangle().distance(anchors, others)[:, 0]
    assert near + 0.1 < far


def test_triangle_needs_three_modalities(make_batch):
    four = make_batch(names=NAMES[:4])
    with pytest.raises(ModalignError, match="three"):
        Triangle()(four)
    chosen = Triangle(modalities=["text", "image", "audio"])
    torch.testing.assert_close(chosen(four), Triangle()(make_batch()))
    part = make_batch().z.select({"audio": torch.tensor([0, 1])})
    whole_only = make_batch().z.select({"image": torch.tensor([0, 1]), "audio": torch.tensor([0, 1])})
    torch.testing.assert_close(Triangle()(as_batch(part)), Triangle()(as_batch(whole_only)))


def test_pmrl_intra_is_the_same_for_orthogonal_pairs_and_triples():
    e = torch.eye(6)
    z = Views.from_arrays(text=e[[0, 1]], image=e[[2, 3]], audio=e[[4, 5]])
    part = z.select({"audio": torch.tensor([0])})
    objective = Pmrl(inter=0.0)
    assert objective(as_batch(z)).item() == pytest.approx(math.log(3), abs=1e-5)
    assert objective(as_batch(part)).item() == pytest.approx(math.log(3), abs=1e-5)


def test_pmrl_inter_does_not_depend_on_the_sign_of_a_singular_vector(make_batch):
    """Every sign the decomposition could have returned gives the loss that the sign-free form gives."""
    batch = make_batch()
    stack = aligned(batch.z, ["text", "image", "audio"], "first").stack()
    direction = volume.singular_values(stack.data)[1]
    expected = cross_entropy(direction @ direction.T / 0.1, torch.arange(6))
    whole, intra = Pmrl(official=True)(batch), Pmrl(official=True, inter=0.0)(batch)
    torch.testing.assert_close(whole - intra, expected)
    flipped = direction * torch.tensor([1, -1, 1, -1, 1, -1.0]).double()[:, None]
    assert not torch.isclose(cross_entropy(flipped @ flipped.T / 0.1, torch.arange(6)), expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Gram(pick="last"), "pick"),
        (lambda: Gram(modalities=["text"]), "at least 2"),
        (lambda: Gram(modalities="text"), "must be a list"),
        (lambda: Gram(temperature=5.0), "within"),
        (lambda: Pmrl(temperature=0.0), "positive"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ModalignError, match=words):
        call()


def pairs_on_one_side(modalities):
    g = torch.Generator().manual_seed(0)
    base = torch.randn(6, 1, 5, generator=g, dtype=torch.float64)
    near = base + 0.4 * torch.randn(6, modalities, 5, generator=g, dtype=torch.float64)
    return torch.nn.functional.normalize(near, dim=-1)


def test_the_spectrum_about_the_mean_keeps_all_energy_and_is_the_plain_one_for_a_pair_on_one_side():
    pair = pairs_on_one_side(2)
    for mine, plain in zip(volume.mean_singular_values(pair), volume.singular_values(pair), strict=True):
        torch.testing.assert_close(mine, plain)
    present = torch.tensor([[True, True, True], [True, False, True], [True, False, False]] * 2)
    values = volume.mean_singular_values(pairs_on_one_side(3), present)[0]
    torch.testing.assert_close(values.square().sum(1), present.sum(1).double())
    assert bool((values[2::3, 1:] == 0).all())


@pytest.mark.parametrize("modalities", [2, 3])
def test_pmrl_pulls_opposite_items_together_and_the_published_form_does_not(modalities):
    near = pairs_on_one_side(modalities)
    names = NAMES[:modalities]
    others = near[:, 1:].mean(1)
    for official, pulled in ((False, True), (True, False)):
        z = {m: (near[:, k] * (-1 if k == 0 else 1)).requires_grad_() for k, m in enumerate(names)}
        views = Views.from_arrays(**z)
        Pmrl(official=official, inter=0.0)(Batch(views, views)).backward()
        own = z["text"].detach()
        before = torch.nn.functional.cosine_similarity(own, others)
        after = torch.nn.functional.cosine_similarity(own - 1e-3 * z["text"].grad, others)
        assert bool((after > before).all()) is pulled


@pytest.mark.parametrize("name", ["gram", "triangle", "pmrl", "symile"])
def test_views_whose_links_alone_tell_pairs_are_refused(name):
    """There was no tuple in any batch, and a training that learnt nothing ended without a word."""
    x = Views.from_arrays(**{m: torch.eye(6) for m in "abc"})
    links = {pair: torch.arange(6).repeat(2, 1) for pair in x.pairs()}
    alone = {m: torch.arange(6) + 10 * k for k, m in enumerate("abc")}
    make("objective", name).prepare(Views(x.data, x.group, links))
    total = make("objective", "total", retrieval=None, terms={"volume": {"name": name}})
    with pytest.raises(ModalignError, match="takes tuples by group ids, and no group has two of a, b, c: links alone"):
        total.prepare(Views(x.data, alone, links))
