"""Closed-form methods on problems with known answers, with ragged, unpaired and several-per-group items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from modalign.errors import ModalignError
from modalign.methods.prepared import prepare
from modalign.methods.transport_cca import TransportCCA
from modalign.methods.tuning import grid, score_heads, tune
from modalign.methods.wasserstein import match
from modalign.registry import make
from modalign.training.loop import dev_recall
from modalign.views import Views, hide_links, linked_groups

MakeViews = Callable[..., Views]
METHODS = ("cca", "csa", "procrustes", "ridge", "asif", "transport_cca", "wasserstein_procrustes")


@pytest.mark.parametrize("name", METHODS)
def test_paired_latents_are_aligned(latent: MakeViews, name: str) -> None:
    heads = make("method", name).fit(latent(200, 0))
    assert score_heads(heads, latent(60, 1)) > 0.6


@pytest.mark.parametrize("name", METHODS)
def test_unpaired_items_and_several_items_per_group_are_welcome(latent: MakeViews, name: str) -> None:
    x = latent(150, 0)
    x = Views(
        {"image": x["image"], "text": torch.cat([x["text"], x["text"] + 0.01])},
        {"image": x.group["image"], "text": x.group["text"].repeat(2)},
    )
    heads = make("method", name).fit(hide_links(x, torch.arange(60)))
    z = heads.embed(latent(60, 1))
    assert torch.allclose(z["text"].norm(dim=1), torch.ones(60), atol=1e-5)
    assert dev_recall(z) > 0.5


@pytest.mark.parametrize("name", ["cca", "procrustes", "ridge", "transport_cca"])
def test_three_modalities_with_missing_ones(latent: MakeViews, name: str) -> None:
    x, generator = latent(200, 0, (12, 8, 10)), torch.Generator().manual_seed(3)
    keep = {m: torch.rand(200, generator=generator) > 0.3 for m in x.modalities}
    heads = make("method", name).fit(x.select(keep))
    assert score_heads(heads, latent(60, 1, (12, 8, 10))) > 0.5


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_bits_and_order_of_rows_does_not_matter(latent: MakeViews, name: str) -> None:
    x = latent(80, 0)
    first, again = (make("method", name).fit(x).embed(latent(20, 1)) for _ in range(2))
    assert torch.equal(first["image"], again["image"])
    if name in ("cca", "procrustes", "ridge", "csa"):
        order = torch.randperm(80)
        mixed = make("method", name).fit(x.select({"text": order})).embed(latent(20, 1))
        cosines = [z["image"] @ z["text"].T for z in (first, mixed)]
        assert torch.allclose(*cosines, atol=1e-4)


def test_transport_cca_learns_from_items_whose_partner_is_unknown(latent: MakeViews) -> None:
    x, dev = latent(300, 0, noise=0.4), latent(100, 1, noise=0.4)
    few = hide_links(x, torch.arange(12))
    alone = score_heads(make("method", "cca", ridge=1.0, power=0.5).fit(few), dev)
    plain = {"ridge": 1.0, "smoothing": 0.0, "share": 0.0, "root": False, "unit": False}
    helped = score_heads(make("method", "transport_cca", **plain).fit(few), dev)
    assert helped > alone + 0.05


@pytest.mark.parametrize("name", ["wasserstein_procrustes", "transport_cca"])
@pytest.mark.parametrize("pairs", [0, 2, 30])
def test_no_pair_is_needed_where_the_geometries_agree(latent: MakeViews, name: str, pairs: int) -> None:
    x = latent(250, 0, noise=0.01)
    heads = make("method", name).fit(hide_links(x, torch.arange(pairs)))
    assert dev_recall(heads.embed(x)) > 0.9


def test_match_finds_a_hidden_rotation_and_permutation() -> None:
    g = torch.Generator().manual_seed(0)
    x = normalize(torch.randn(120, 4, generator=g) ** 3 * torch.tensor([2.0, 1.5, 1.2, 1.0]), dim=1)
    q, _ = torch.linalg.qr(torch.randn(4, 4, generator=g))
    order = torch.randperm(120, generator=g)
    found = match(x, (x @ q)[order], torch.empty(0, 2, dtype=torch.long))
    assert torch.allclose(found.rotation, q, atol=0.02)
    assert float((found.plan.argmax(1) == torch.argsort(order)).float().mean()) > 0.9


def test_a_pair_among_too_few_items_for_clusters_is_matched() -> None:
    x = hide_links(Views.from_arrays(a=torch.eye(3), b=torch.eye(3)), torch.tensor([1]))
    z = make("method", "wasserstein_procrustes").fit(x).embed(x)
    assert float((z["a"][1] * z["b"][1]).sum()) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(ModalignError, match="without known pairs each side needs at least 4 items, got 3 and 3"):
        make("method", "wasserstein_procrustes").fit(hide_links(x, torch.empty(0).long()))


def test_procrustes_is_the_orthogonal_solution(latent: MakeViews) -> None:
    from scipy.linalg import orthogonal_procrustes

    x = latent(100, 0, (6, 6))
    heads = make("method", "procrustes", unit=False).fit(x)
    rows = {m: prepare(x).rows[m].numpy() for m in x.modalities}
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rows.values())
    expected = b @ orthogonal_procrustes(b, a)[0]
    assert np.allclose(heads.transform(x["text"], "text").numpy(), expected, atol=1e-4)


def test_ridge_equals_scikit_learn(latent: MakeViews) -> None:
    from sklearn.linear_model import Ridge

    x = latent(100, 0, (6, 5))
    heads = make("method", "ridge", ridge=2.0, unit=False, target="text").fit(x)
    a, b = (x[m].double().numpy() for m in ("image", "text"))
    centred = a - a.mean(0)
    alpha = 2.0 * np.trace(centred.T @ centred) / 6
    model = Ridge(alpha=alpha, fit_intercept=False).fit(centred, b - b.mean(0))
    cosine = (heads.transform(x["image"], "image") @ heads.transform(x["text"], "text").T).numpy()
    predicted, truth = model.predict(centred), b - b.mean(0)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (predicted, truth)]
    assert np.allclose(cosine, unit[0] @ unit[1].T, atol=1e-4)


def test_asif_is_the_likeness_to_the_pairs(latent: MakeViews) -> None:
    x = latent(30, 0)
    heads = make("method", "asif", nearest=5, power=3.0).fit(x)
    query = latent(4, 1)["image"]
    likeness = (normalize(query, dim=1) @ normalize(x["image"], dim=1).T).clamp(min=0) ** 3
    least = likeness.sort(1, descending=True).values[:, 4:5]
    expected = normalize(torch.where(likeness >= least, likeness, 0.0), dim=1)
    assert torch.allclose(heads.transform(query, "image"), expected, atol=1e-5)


def test_csa_weighs_directions_by_their_correlation(latent: MakeViews) -> None:
    x = latent(300, 0)
    z = make("method", "csa").fit(x)
    raw = z["image"].features(x["image"]) @ z["image"].map.weight
    variance = raw.var(0)
    assert (variance[:-1] >= variance[1:] - 1e-3).all()
    assert variance[0].item() > 0.9


def test_dimensions_are_an_upper_limit(latent: MakeViews) -> None:
    x = latent(100, 0)
    for name in ("cca", "procrustes", "ridge", "transport_cca"):
        assert make("method", name, dim=3).fit(x).dim == 3


@pytest.mark.parametrize("name", ["cca", "csa", "procrustes", "ridge", "asif"])
def test_too_few_pairs_are_refused(latent: MakeViews, name: str) -> None:
    with pytest.raises(ModalignError, match="known pairs"):
        make("method", name).fit(hide_links(latent(30, 0), torch.arange(0)))


@pytest.mark.parametrize("name", METHODS)
def test_broken_rows_are_refused_with_their_numbers(latent: MakeViews, name: str) -> None:
    x = latent(30, 0)
    x["text"][3] = float("nan")
    with pytest.raises(ModalignError, match=r"'text' has NaN or infinite values in 1 of 30 rows \(3\)"):
        make("method", name).fit(x)


def test_explicit_links_override_groups(latent: MakeViews) -> None:
    x = latent(80, 0)
    order = torch.randperm(80)
    shuffled = x.select({"text": order})
    links = {("image", "text"): torch.stack([order, torch.arange(80)])}
    linked = Views(shuffled.data, {"image": torch.arange(80), "text": 1000 + torch.arange(80)}, links)
    for name in ("cca", "asif", "ridge", "csa"):
        assert score_heads(make("method", name).fit(linked), latent(40, 1)) > 0.6


def test_a_linked_group_counts_once_however_many_links_it_has() -> None:
    """Row 0 is linked to three rows of the other side, row 1 to one: 1/3 each and 1."""
    links = {("image", "text"): torch.tensor([[0, 0, 0, 1, 2, 3], [0, 1, 2, 3, 4, 4]])}
    data = {"image": torch.randn(5, 3), "text": torch.randn(6, 3)}
    x = Views(data, {"image": torch.arange(5), "text": 10 + torch.arange(6)}, links)
    pairs, weight = prepare(x).links["image", "text"]
    found = {tuple(p): w for p, w in zip(pairs.tolist(), weight.tolist(), strict=True)}
    third = pytest.approx(1 / 3)
    assert found == {(0, 0): third, (0, 1): third, (0, 2): third, (1, 3): 1.0, (2, 4): 0.5, (3, 4): 0.5}


def test_neighbours_of_partners_speak_for_a_match(latent: MakeViews) -> None:
    p = prepare(hide_links(latent(60, 0), torch.arange(20)))
    method = TransportCCA(smoothing=0.0, plan_neighbours=3)
    space = next(iter(method.refits(p))).space
    rows = p.unlinked("image", "text")
    z = space.embed("image", p.rows["image"][rows])
    w = torch.nn.functional.normalize(space.whitened("image", p.rows["image"][rows]), dim=1)
    near = (w @ w.T - 2 * torch.eye(len(w))).topk(3, dim=1).indices
    got = method.vouched(space, z, "image", rows, ("image",))
    want = (z @ z.T + z[near].mean(1) @ z[near].mean(1).T) / 2
    torch.testing.assert_close(got @ got.T, want)
    one = method.vouched(space, z[:1], "image", rows[:1], ("one",))
    torch.testing.assert_close(one @ one.T, z[:1] @ z[:1].T)


def test_tuning_tries_in_order_and_records_failures() -> None:
    def score(s: dict[str, int]) -> float:
        if s["x"] == 1:
            raise ModalignError("one is not allowed")
        return float(s["x"])

    tuned = tune(grid(x=[1, 4, 2, 9]), score, trials=3)
    assert tuned.settings == {"x": 4}
    assert tuned.score == 4.0
    assert tune([{"x": 3, "y": 0}, {"x": 3, "y": 1}], score).settings["y"] == 0  # of equals the first
    assert len(tuned.record) == 3
    assert tuned.record[0]["error"] == "one is not allowed"
    with pytest.raises(ModalignError, match="one is not allowed"):
        tune(grid(x=[1]), score)
    with pytest.raises(ModalignError, match="nothing to tune"):
        tune([], score)


@pytest.mark.parametrize("name", ["cca", "csa", "procrustes", "asif", "transport_cca", "full"])
def test_a_chain_of_pairs_aligns_what_nobody_paired(latent: MakeViews, name: str) -> None:
    x = latent(60, 0, dims=(12, 8, 7)).select({"image": torch.arange(30), "sound": torch.arange(30, 60)})
    assert [len(x.paired(*p)) for p in x.pairs()] == [30, 0, 30]
    test = latent(40, 5, dims=(12, 8, 7))
    settings = {"steps": 0, "trials": 1} if name == "full" else {}
    heads = make("method", name, **settings).fit(hide_links(x, linked_groups(x, None)))
    for a, b in (("image", "text"), ("text", "sound")):
        assert score_heads(heads, test.only(a, b)) > 0.5
    if name != "asif":  # whose anchors are the pairs themselves
        assert score_heads(heads, test.only("image", "sound")) > 0.5


def test_pairs_that_a_third_modality_lacks_are_learnt_from(latent: MakeViews) -> None:
    x, test = (latent(n, seed, dims=(12, 8, 7), noise=0.8) for n, seed in ((200, 0), (100, 1)))
    kept = x.select({"sound": torch.arange(10)})
    few = x.groups(torch.arange(10))
    known = {pair: len(rows) for pair, (rows, _) in prepare(hide_links(kept, linked_groups(kept, None))).links.items()}
    assert known == {("image", "text"): 200, ("image", "sound"): 10, ("text", "sound"): 10}
    for name in ("cca", "transport_cca"):
        most, least = (
            score_heads(make("method", name).fit(hide_links(v, linked_groups(v, None))), test.only("image", "text"))
            for v in (kept, few)
        )
        assert most > least + 0.05


def test_anchors_are_things_that_two_modalities_have(latent: MakeViews) -> None:
    x = latent(40, 0, dims=(12, 8, 7))
    whole = prepare(x).anchors(100, 0)
    assert {m: r.tolist() for m, r in whole.items()} == {m: list(range(40)) for m in x.modalities}
    part = prepare(x.select({"sound": torch.arange(5), "image": torch.arange(30)})).anchors(100, 0)
    assert part["text"].tolist() == list(range(30))
    assert part["sound"].tolist() == [*range(5), *[-1] * 25]
