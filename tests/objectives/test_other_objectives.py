"""Transport, plan matching, neighbourhoods, spread, bridge: what is particular to each."""

import math
from dataclasses import replace

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import bridge, contrast, dispersion, matching
from modalign.geometry.cost import cosine
from modalign.geometry.transport import Problem, Solver, solve
from modalign.objectives.bridge import Bridge, Consistency, Separation
from modalign.objectives.jiang import Jiang
from modalign.objectives.neighbourhood import Rma, Structure
from modalign.objectives.spread import Uniformity, VicReg
from modalign.objectives.teacher import Teacher
from modalign.objectives.transport import Klot, Transport
from modalign.views import Batch, Views


def as_batch(z, x=None, step=0):
    return Batch(z, x or z, step=step)


# ---------------------------------------------------------------------------- transport


def test_transport_ignores_who_belongs_to_whom(make_batch):
    z = make_batch().z.only("text", "image")
    shuffled = Views({"text": z["text"], "image": z["image"].flip(0)}, z.group)
    objective = Transport(epsilon=0.1)
    torch.testing.assert_close(objective(as_batch(z)), objective(as_batch(shuffled)), atol=1e-5, rtol=1e-5)


def test_transport_learns_from_unpaired_items_alone(make_batch):
    z = make_batch().z.only("text", "image")
    apart = Views(
        {m: v.clone().requires_grad_() for m, v in z.data.items()},
        {"text": z.group["text"], "image": z.group["image"] + 50},
    )
    Transport()(as_batch(apart)).backward()
    assert all(v.grad.abs().sum() > 0 for v in apart.data.values())


def test_transport_of_unpaired_items_only(make_batch):
    z = make_batch().z.only("text", "image")
    group = {"text": torch.arange(6), "image": torch.tensor([0, 1, 12, 13, 14, 15])}
    rest = z.select({"text": torch.arange(2, 6), "image": torch.arange(2, 6)})
    expected = Transport()(as_batch(rest))
    torch.testing.assert_close(Transport(items="unpaired")(as_batch(Views(z.data, group))), expected)
    assert Transport(items="unpaired")(as_batch(z)).item() == 0.0
    with pytest.raises(ModalignError, match="items"):
        Transport(items="some")


def test_transport_starts_where_the_last_step_ended(make_batch):
    z = make_batch(n=40, d=8).z.only("text", "image")
    draw = torch.Generator().manual_seed(1)
    moved = Views({m: v + 0.005 * torch.randn(v.shape, generator=draw) for m, v in z.data.items()}, z.group)
    objective, cold = Transport(epsilon=0.05), Transport(epsilon=0.05)
    objective(as_batch(z))
    resumed = Transport(epsilon=0.05)
    resumed.load_state_dict(objective.state_dict())
    iterations = []
    for each in (objective, resumed, cold):
        start = each.starts.of(("text", "image"), torch.arange(40).repeat(2))
        found = solve(Problem(cosine(moved["text"], moved["image"])), start=start)
        iterations.append(found.iterations)
    assert iterations[0] == iterations[1] <= 0.6 * iterations[2]
    warm = objective(as_batch(moved))
    assert torch.equal(warm, resumed(as_batch(moved)))
    torch.testing.assert_close(warm, cold(as_batch(moved)), atol=1e-5, rtol=0)
    other = z.groups(z.group_ids()[:30])
    torch.testing.assert_close(objective(as_batch(other)), Transport(epsilon=0.05)(as_batch(other)))


def test_transport_to_the_barycentre_of_three(make_batch):
    z = make_batch(n=12, d=6).z
    assert len(z.modalities) == 3
    same = Views(dict.fromkeys(z.modalities, z["text"]), dict.fromkeys(z.modalities, z.group["text"]))
    objective = Transport(epsilon=0.01, between="barycentre", debias=True)
    assert objective(as_batch(same)).item() < 1e-3 < objective(as_batch(z)).item()
    apart = Views({m: v.clone().requires_grad_() for m, v in z.data.items()}, z.group)
    objective(as_batch(apart)).backward()
    assert all(v.grad.isfinite().all() and v.grad.abs().sum() > 0 for v in apart.data.values())
    two = z.only("text", "image")
    assert torch.equal(Transport(between="barycentre")(as_batch(two)), Transport()(as_batch(two)))
    with pytest.raises(ModalignError, match="barycentre needs"):
        Transport(between="barycentre", method="exact")


def test_semi_paired_transport_holds_the_known_pairs(make_batch):
    """Wrong partners are near, right ones far: only known pairs make the coupling pay for the right ones."""
    z = make_batch(n=4, d=4).z
    e = torch.eye(4, dtype=torch.float64)
    views = Views({"text": e, "image": e[[1, 0, 2, 3]]}, {"text": torch.arange(4), "image": torch.tensor([0, 1, 8, 9])})
    free = Transport(epsilon=0.01)(as_batch(views)).item()
    held = Transport(epsilon=0.01, method="semi_paired")(as_batch(views)).item()
    assert free == pytest.approx(0.01 * math.log(4), abs=1e-3)
    assert held - free == pytest.approx(0.5, abs=0.05)
    favoured = Transport(epsilon=0.01, method="semi_paired", strength=0.1)(as_batch(views)).item()
    assert favoured == pytest.approx(free, abs=1e-3)  # too weak to pay for the detour
    assert torch.isfinite(Transport(method="semi_paired", items="unpaired")(as_batch(views)))
    assert torch.isfinite(Transport(method="semi_paired")(as_batch(z)))


@pytest.mark.parametrize(
    "settings", [{"method": "exact"}, {"method": "unbalanced", "rho": 0.5}, {"method": "partial", "mass": 0.5}]
)
def test_other_kinds_of_transport(make_batch, settings):
    z = make_batch().z.only("text", "image")
    live = Views({m: v.clone().requires_grad_() for m, v in z.data.items()}, z.group)
    objective = Transport(**settings)
    objective(as_batch(live)).backward()
    assert all(v.grad.abs().sum() > 0 for v in live.data.values())
    assert 0.0 <= objective.log()["plan_entropy"] <= 1.0


def test_transport_plan_entropy_tells_a_collapse(make_batch):
    z = make_batch(n=8, d=16).z.only("text", "image")
    matched = Views({"text": z["text"], "image": z["text"]}, z.group)
    equal = z.map(lambda m, v: torch.ones_like(v) / 4)
    objective = Transport(epsilon=0.05)
    assert objective.log() == {}
    entropies = []
    for views in (matched, equal):
        objective(as_batch(views))
        entropies.append(objective.log()["plan_entropy"])
    assert entropies[0] < 0.2
    assert entropies[1] == pytest.approx(1.0, abs=1e-4)


# ---------------------------------------------------------------------------- plan matching


def test_plan_divergence_gradient_is_the_difference_over_the_students_epsilon():
    k = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = solve(Problem(-wanted), Solver(0.1, tolerance=1e-10)).plan

    def loss(student):
        plan = solve(Problem(-student.detach()), Solver(0.3, tolerance=1e-10)).plan
        return matching.plan_divergence(student, plan, target, 0.3)

    assert torch.autograd.gradcheck(loss, (k.requires_grad_(),), eps=1e-4, atol=1e-5, nondet_tol=1e-9)
    loss(k).backward()
    plan = solve(Problem(-k.detach()), Solver(0.3, tolerance=1e-10)).plan
    torch.testing.assert_close(k.grad, (plan - target) / 0.3)
    assert loss(k).item() == pytest.approx((target * (target / plan).log()).sum().item())


def test_plan_divergence_is_zero_only_at_equal_plans():
    k = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plan = matching.iterated_plan(k, 0.5, 500)
    assert matching.plan_divergence(k, plan, plan, 0.5).item() == pytest.approx(0.0, abs=1e-12)
    assert matching.plan_divergence(k, plan, matching.iterated_plan(-k, 0.5, 500), 0.5) > 0
    with pytest.raises(ModalignError, match=r"target must have the shape \(n, m\) with n = 4"):
        matching.plan_divergence(k, plan, plan[:2], 0.5)
    with pytest.raises(ModalignError, match="positive"):
        matching.plan_divergence(k, plan, plan, 0.0)


def test_iterated_plan_converges_to_the_solved_plan():
    k = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solved = solve(Problem(-k), Solver(0.5, tolerance=1e-10)).plan
    torch.testing.assert_close(matching.iterated_plan(k, 0.5, 2000), solved, atol=1e-8, rtol=0)


def latent_views(n=60, pairs=40):
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(n, 4, generator=generator)
    text = shared @ torch.randn(4, 7, generator=generator)
    image = shared @ torch.randn(4, 9, generator=generator)
    group = torch.arange(n)
    return Views(
        {"text": text, "image": image}, {"text": group, "image": torch.where(group < pairs, group, group + 500)}
    )


@pytest.mark.slow
def test_klot_with_a_cca_teacher_aligns_items_that_nobody_paired():
    x = latent_views()
    objective = Klot(teacher="cca", dim=4, teacher_epsilon=0.05)
    with pytest.raises(ModalignError, match="prepare"):
        objective(as_batch(x.map(lambda m, v: v[:, :4]), x))
    objective.prepare(x)
    heads = torch.nn.ModuleDict({"text": torch.nn.Linear(7, 4), "image": torch.nn.Linear(9, 4)})
    rest = x.select({m: torch.arange(40, 60) for m in x.data})
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.03)
    for _ in range(250):
        z = rest.map(lambda m, v: torch.nn.functional.normalize(heads[m](v), dim=1))
        optimiser.zero_grad()
        objective(Batch(z, rest)).backward()
        optimiser.step()
    hits = (z["text"] @ z["image"].T).argmax(1) == torch.arange(20)
    assert hits.float().mean() >= 0.9


def test_a_teacher_says_what_it_needs():
    x = latent_views(pairs=0)
    with pytest.raises(ModalignError, match="pairs"):
        Teacher("cca").prepare(x)
    with pytest.raises(ModalignError, match="model"):
        Teacher("no/such/run")


def test_a_teacher_may_be_a_saved_model(tmp_path):
    from modalign.model import FeatureMap, Head, Heads, Model, Projection

    heads = Heads({"text": Head(FeatureMap(7), Projection(7, 4)), "image": Head(FeatureMap(9), Projection(9, 4))})
    Model(heads).save(tmp_path)
    x = latent_views(n=5)
    teacher = Teacher(str(tmp_path)).train()
    expected = heads.transform(x["text"], "text") @ heads.transform(x["image"], "image").T
    torch.testing.assert_close(teacher.similarity(x, "text", "image"), expected)
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert any(key.startswith("heads.") for key in teacher.state_dict())


# ---------------------------------------------------------------------------- neighbourhoods


def test_literal_form_is_least_when_all_items_are_equal(make_batch):
    z = make_batch().z
    equal = z.map(lambda m, v: torch.ones_like(v) / 2)
    assert Rma("literal", k=3)(as_batch(equal)).item() == pytest.approx(0.0, abs=1e-12)
    assert Rma("literal", k=3)(as_batch(z)) > 0.1
    shared = Views(dict.fromkeys(z.data, z["text"]), z.group)
    for form, temperature in (("carried", 0.5), ("diffused", 0.5), ("structure", None), ("geodesic", None)):
        objective = Rma(form, k=2, temperature=temperature)
        assert objective(Batch(equal, shared)) > objective(Batch(shared, shared)) + 0.05, form


def test_k_larger_than_the_batch(make_batch):
    batch = make_batch()
    for form in ("literal", "carried", "diffused", "geodesic"):
        assert torch.isfinite(Rma(form, k=50)(batch))


def test_carried_reaches_unpaired_anchors(make_batch):
    whole = make_batch()
    group = {"text": torch.tensor([0, 1, 2, 3, 90, 91]), "image": torch.tensor([0, 1, 2, 3, 80, 81])}
    z = Views({m: whole.z[m].clone().requires_grad_() for m in group}, group)
    x = Views({m: whole.x[m] for m in group}, group)
    Rma("carried", k=2, symmetric=False)(Batch(z, x)).backward()
    assert (z["text"].grad.abs().sum(1) > 0).all()


def test_manifolds_say_whose_neighbours_count(make_batch):
    batch = make_batch()
    for form in ("carried", "diffused"):
        text, image = (Rma(form, k=2, manifolds=m)(batch) for m in (["text"], ["image"]))
        alone = replace(batch, z=batch.z.only("text", "image"), x=batch.x.only("text", "image"))
        two = [Rma(form, k=2, manifolds=m)(alone) for m in (["text"], ["image"], ["text", "image"])]
        assert (two[0] + two[1]).item() / 2 == pytest.approx(two[2].item(), abs=1e-6)
        assert text != image
        assert Rma(form, k=2, manifolds=["nothing"])(batch) == 0.0


def test_structure_warms_up_linearly(make_batch):
    losses = [Structure(warm_up=100)(make_batch(step=s)).item() for s in (0, 50, 100, 900)]
    assert losses[0] == 0.0
    assert losses[1] == pytest.approx(losses[2] / 2)
    assert losses[2] == losses[3]
    torch.testing.assert_close(
        Structure(warm_up=0, weight=1.0)(make_batch()), Rma("structure", temperature=0.05)(make_batch())
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Rma("carry"), "did you mean 'carried'"),
        (lambda: Rma(weights="unifrm"), "did you mean 'uniform'"),
        (lambda: Rma(k=0), "k must be at least 1, got 0|k is 0"),
        (lambda: Transport(method="entropc"), "did you mean 'entropic'"),
        (lambda: Bridge(t=2.0), "between 0 and 1"),
        (lambda: Separation(drop=1.0), "drop"),
        (lambda: Klot(epsilon=0.0), "positive"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ModalignError, match=words):
        call()


# ---------------------------------------------------------------------------- spread


def test_uniformity_does_not_push_captions_of_one_photo_apart(rows):
    caption = rows(4, 4, 0)
    one_photo = Views({"text": caption}, {"text": torch.tensor([0, 0, 0, 0])})
    assert Uniformity()(as_batch(one_photo)).item() == 0.0
    apart = Views({"text": caption}, {"text": torch.arange(4)})
    torch.testing.assert_close(Uniformity()(as_batch(apart)), dispersion.uniformity(caption))


def test_spread_terms_may_look_at_one_modality(make_batch):
    batch = make_batch()
    alone = Batch(batch.z.only("text"), batch.x.only("text"))
    for objective in (Uniformity, VicReg):
        torch.testing.assert_close(objective(modalities=["text"])(batch), objective()(alone))


def test_alignment_is_the_mean_squared_distance_of_pairs(make_batch):
    z = make_batch().z.only("text", "image")
    added = Uniformity(alignment=2.0)(as_batch(z)) - Uniformity()(as_batch(z))
    torch.testing.assert_close(added, 2 * (z["text"] - z["image"]).square().sum(1).mean())


def test_vicreg_equals_its_formula_official_and_rescaled(make_batch):
    z = make_batch(n=8).z.only("text", "image")

    def whole(scale):
        rows = [v * scale for v in z.data.values()]
        near = 25 * (rows[0] - rows[1]).square().mean()
        own = [25 * dispersion.variance(v) + dispersion.covariance(v) for v in rows]
        return near + 0.5 * (own[0] + own[1])

    torch.testing.assert_close(VicReg(official=True)(as_batch(z)), whole(1.0))
    torch.testing.assert_close(VicReg()(as_batch(z)), whole(2.0))  # sqrt(4)


def test_vicreg_target_can_be_met_on_the_sphere():
    axes = torch.cat([torch.eye(8), -torch.eye(8)])
    z = Views.from_arrays(text=axes, image=axes)
    assert VicReg()(as_batch(z)).item() < 0.5
    assert VicReg(official=True)(as_batch(z)).item() > 15


# ---------------------------------------------------------------------------- Jiang et al.


def test_bridge_uses_the_augmented_views_of_chosen_modalities(make_batch):
    batch = make_batch()
    two = Batch(batch.z.only("text", "image"), batch.x.only("text", "image"), batch.augmented.only("text", "image"))
    z, second = two.z, two.augmented
    of_image = bridge.brownian_bridge(second["image"], z["image"], z["text"])
    of_text = bridge.brownian_bridge(second["text"], z["text"], z["image"])
    torch.testing.assert_close(Bridge(of=["image"])(two), of_image)
    torch.testing.assert_close(Bridge()(two), 0.5 * (of_image + of_text))
    assert torch.isfinite(Bridge(sample=True)(two))


def test_augmentation_is_asked_for_in_training_and_not_in_validation(make_batch):
    bare = Batch(make_batch().z, make_batch().x)
    with pytest.raises(ModalignError, match="augmented views"):
        Bridge()(bare)
    assert Bridge().eval()(bare).item() == 0.0
    other = Batch(bare.z, bare.x, bare.z.select({"text": torch.arange(2)}))
    with pytest.raises(ModalignError, match="'text' differs"):
        Bridge()(other)


def test_consistency_adds_augmented_terms_where_it_can(make_batch):
    batch = make_batch()
    two = Batch(batch.z.only("text", "image"), batch.x, batch.augmented.only("text", "image"))
    z, second = two.z, two.augmented
    own = bridge.geometric_consistency(z["text"], z["image"])
    torch.testing.assert_close(Consistency(augmented=0.0)(two), own)
    more = bridge.augmented_consistency(z["text"], z["image"], second["text"], second["image"])
    torch.testing.assert_close(Consistency(augmented=0.5)(two), own + 0.5 * more)


def test_separation_drives_specific_features_away_from_shared_ones(make_batch):
    batch = make_batch(n=8)
    objective = Separation({"text": 6, "image": 6, "audio": 6}, dim=4, drop=0.0, uniformity=0.0, instance=0.0).double()
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.05)
    start = objective(batch).item()
    for _ in range(200):
        optimiser.zero_grad()
        loss = objective(batch)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05 * start


def test_separation_makes_its_heads_from_the_training_features(make_batch):
    objective = Separation(dim=4)
    with pytest.raises(ModalignError, match="prepare"):
        objective(make_batch())
    objective.prepare(make_batch().x)
    assert torch.isfinite(objective.double()(make_batch()))
    assert len(list(objective.heads)) == 3


def test_jiang_is_the_sum_of_its_parts(make_batch):
    widths = {"text": 6, "image": 6, "audio": 6}
    batch = make_batch()
    objective = Jiang(widths=widths, dim=4).double().eval()
    parts = objective.terms
    only = Jiang(separation=0.0, bridge=0.0, consistency=0.0).double()
    assert not only.terms
    whole = only(batch) + 0.1 * parts["separation"](batch)
    whole = whole + 0.25 * parts["bridge"](batch) + 0.25 * parts["consistency"](batch)
    torch.testing.assert_close(objective(batch), whole)
    scale = math.exp(only.scale.log_scale.item())
    losses = []
    for a, b in batch.z.pairs():
        x, y = batch.z[a], batch.z[b]
        within = [contrast.infonce(v @ batch.augmented[m].T, scale=scale) for v, m in ((x, a), (y, b))]
        across = [contrast.infonce(s, scale=scale) for s in (x @ y.T, y @ x.T)]
        losses.append(sum(within + across) / 4)
    torch.testing.assert_close(only(batch), torch.stack(losses).mean(), atol=1e-6, rtol=1e-6)
