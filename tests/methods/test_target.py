"""Full and hub removal for queries composed of several modalities that search one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import normalize

from modalign.errors import ModalignError
from modalign.methods.folds import folds_of
from modalign.methods.full import Full
from modalign.methods.local_scaling import without_hubs
from modalign.methods.prepared import prepare
from modalign.methods.tuning import score_heads
from modalign.registry import make
from modalign.training.loop import dev_recall
from modalign.views import Views, composed, queries_present

MakeViews = Callable[..., Views]
DIMS = (12, 8, 7)


def test_the_targets_bank_holds_composed_queries_and_the_others_search_it_alone(latent: MakeViews) -> None:
    x = queries_present(latent(90, 0, dims=DIMS), "image", 0.3, seed=0)
    plain = make("method", "cca", dim=8).fit(x)
    heads = without_hubs(plain, x, target="image")
    z = plain.embed(x)
    moment = sum(v.double().T @ v.double() / len(v) for v in z.data.values())
    axes = torch.linalg.eigh(moment).eigenvectors.flip(1)[:, : plain.dim - 2].float()
    z = z.map(lambda _, rows: normalize(rows @ axes, dim=1))
    banks = {m: heads[m].hubs.bank for m in x.modalities}  # type: ignore[union-attr]
    torch.testing.assert_close(banks["image"].abs(), composed(z, "image")["query"].abs(), atol=1e-4, rtol=0)
    for m in ("text", "sound"):
        torch.testing.assert_close(banks[m].abs(), z["image"].abs(), atol=1e-4, rtol=0)


def test_queries_of_one_part_and_of_several_lie_alike_beside_what_they_search(latent: MakeViews) -> None:
    x = latent(90, 0, dims=DIMS)
    plain = make("method", "cca", dim=8).fit(x)
    heads = without_hubs(plain, x, strength=0.0, target="image")
    assert heads.dim == plain.dim
    roles = {m: (heads[m].hubs.own, heads[m].hubs.modalities) for m in x.modalities}  # type: ignore[union-attr]
    assert roles == {"image": (1, 2), "text": (0, 2), "sound": (0, 2)}
    z = heads.embed(x)
    query = composed(z, "image")["query"]
    for q in (query, z["text"], z["sound"]):  # no constant that sums would have more of
        torch.testing.assert_close(q[:, -2:] @ z["image"][:, -2:].T, torch.zeros(90, 90), atol=1e-6, rtol=0)
    alike = without_hubs(plain, x, strength=0.0).embed(x)
    assert float((composed(alike, "image")["query"][:, -3:] @ alike["image"][:, -3:].T).min()) > 0.05


@pytest.mark.parametrize("name", ["cca", "ridge", "gradient"])
def test_baselines_too_remove_hubs_for_composed_queries(latent: MakeViews, name: str) -> None:
    x = queries_present(latent(90, 0, dims=DIMS), "image", 0.3, seed=0)
    more = {"steps": 2} if name == "gradient" else {}
    heads = make("method", name, dim=6, hubs=True, target="image", **more).fit(x)
    assert heads["image"].hubs is not None
    assert heads["image"].hubs.modalities == 2
    with pytest.raises(ModalignError, match="imagine"):
        make("method", name, hubs=True, target="imagine", **more).fit(x)


def test_two_modalities_have_the_same_banks_with_a_target(latent: MakeViews) -> None:
    x = latent(60, 0)
    heads = make("method", "cca", dim=6).fit(x)
    one, other = (without_hubs(heads, x, target=t).embed(x) for t in (None, "image"))
    assert all(torch.equal(one[m], other[m]) for m in x.modalities)


def test_full_chooses_by_composed_queries_that_lack_parts(latent: MakeViews) -> None:
    x, dev = latent(120, 0, dims=DIMS, noise=0.8), latent(80, 1, dims=DIMS, noise=0.8)
    method = Full(dim=8, steps=0, trials=4, target="image", lost=0.4)
    heads = method.fit(x, dev)
    asked = queries_present(dev, "image", 0.4, seed=0)
    assert len(asked["text"]) < 80 == len(asked["image"])
    assert method.record["dev"] == pytest.approx(dev_recall(composed(heads.embed(asked), "image")), abs=1e-12)
    assert method.record["dev"] == pytest.approx(score_heads(heads, asked, "image"), abs=1e-12)


def test_folds_compose_what_crowds_around_dev_items(latent: MakeViews) -> None:
    x, dev = latent(80, 0, dims=DIMS), latent(40, 1, dims=DIMS)
    (fold,) = folds_of(x, prepare(x, True, True), dev, 0, "image", 0.3)
    heads = make("method", "cca", dim=8).fit(x)
    alone, among = fold.score(heads), float(fold.crowded_recalls([heads])[0].mean())
    query, around = (composed(heads.embed(v), "image") for v in (fold.dev, fold.crowd))
    found = []
    for a, b in (("query", "image"), ("image", "query")):
        others = torch.cat([query[b], around[b]])
        scores = query[a] @ others.T
        place = torch.searchsorted(query.group[b], query.group[a])
        rank = (scores > scores.gather(1, place[:, None])).sum(1)
        found += [(rank < k).double().mean() for k in (1, 5, 10)]
    assert among == pytest.approx(float(torch.stack(found).mean()), abs=1e-12)
    assert among < alone


def test_a_target_that_is_no_modality_is_refused(latent: MakeViews) -> None:
    with pytest.raises(ModalignError, match="smell"):
        Full(target="smell").fit(latent(40, 0, dims=DIMS))
