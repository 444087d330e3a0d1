"""Geometry, metrics and heads on the device that MODALIGN_DEVICE names: values of the CPU, tensors that stay there.

Objectives, plans and trainings: tests/objectives/test_device.py. On a CPU a second check stands in for another device:
with "meta" as the place of new tensors, one that is made without saying where can be joined with no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalign import Aligner, registry
from modalign import geometry as g
from modalign.metrics.evaluate import evaluate
from modalign.model.heads import FeatureMap, Head, LocalScaling, Projection
from modalign.views import Views, aligned, composed, presence

N, DIM = 40, 6
T = g.transport


def rows(seed: int, count: int = N, width: int = DIM) -> Tensor:
    draw = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(draw, dim=1)


def solved(problem: Callable[..., Any], **solver: Any) -> Callable[[Tensor, Tensor, Tensor], Any]:
    def run(x: Tensor, y: Tensor, _: Tensor) -> Any:
        found = T.solve(problem(T.between(x, y)), T.Solver(tolerance=1e-6, **solver))
        return found.objective, found.apply(y) if hasattr(found, "apply") else found.plan

    return run


#: Of three sets of rows (N, DIM), (N, DIM), (N, DIM), unit, float64.
FUNCTIONS: Mapping[str, Callable[[Tensor, Tensor, Tensor], Any]] = {
    "cost.cosine": lambda x, y, _: g.cost.cosine(x, y),
    "cost.sqeuclidean": lambda x, y, _: g.cost.sqeuclidean(x, y),
    "contrast.infonce": lambda x, y, _: g.contrast.infonce(x @ y.T),
    "contrast.clip": lambda x, y, _: g.contrast.clip(x, y),
    "contrast.mil_nce": lambda x, y, _: g.contrast.mil_nce(x @ y.T),
    "contrast.cyclic": lambda x, y, _: g.contrast.cyclic(x, y),
    "dispersion.uniformity": lambda x, y, _: g.dispersion.uniformity(x),
    "dispersion.variance": lambda x, y, _: g.dispersion.variance(x),
    "dispersion.covariance": lambda x, y, _: g.dispersion.covariance(x),
    "bridge.bridge_mean": lambda x, y, _: g.bridge.bridge_mean(x, y),
    "bridge.orthogonality": lambda x, y, _: g.bridge.orthogonality(x, y),
    "bridge.geometric_consistency": lambda x, y, _: g.bridge.geometric_consistency(x, y),
    "multilinear.product": lambda x, y, z: g.multilinear.product([x, y, z]),
    "volume.gram_volume": lambda x, y, z: g.volume.gram_volume(x, torch.stack([y, z], 1)),
    "volume.gram_distance": lambda x, y, z: g.volume.gram_distance(x, torch.stack([y, z], 1)),
    "volume.triangle_area": lambda x, y, z: g.volume.triangle_area(x, y, z),
    "volume.singular_values": lambda x, y, z: g.volume.singular_values(torch.stack([x, y, z], 1)),
    "matching.iterated_plan": lambda x, y, _: g.matching.iterated_plan(x @ y.T, 0.1),
    "procrustes.rotation": lambda x, y, _: x @ g.procrustes.rotation(x, y)[0],
    "procrustes.distances": lambda x, y, _: tuple(g.procrustes.distances(x, y)),
    "procrustes.disparity": lambda x, y, _: g.procrustes.disparity(x, y),
    "correlation.principal_axes": lambda x, y, _: g.correlation.principal_axes(x).values,
    "correlation.cross_covariance": lambda x, y, _: g.correlation.cross_covariance(x, y),
    "correlation.cca": lambda x, y, _: g.correlation.cca([x, y]).correlations,
    "spread.gap": lambda x, y, _: g.spread.gap(x, y),
    "spread.alignment": lambda x, y, _: g.spread.alignment(x, y),
    "spread.uniformity": lambda x, y, _: g.spread.uniformity(x),
    "spread.intrinsic_dimension": lambda x, y, _: g.spread.intrinsic_dimension(x),
    "spread.occurrences": lambda x, y, _: g.spread.occurrences(x, y, 5),
    "similarity.cka": lambda x, y, _: g.similarity.cka(x, y),
    "similarity.svcca": lambda x, y, _: g.similarity.svcca(x, y),
    "similarity.pwcca": lambda x, y, _: g.similarity.pwcca(x, y),
    "similarity.rsa": lambda x, y, _: g.similarity.rsa(x, y),
    "similarity.mutual_knn": lambda x, y, _: g.similarity.mutual_knn(x, y, 5),
    "similarity.cycle_knn": lambda x, y, _: g.similarity.cycle_knn(x, y, 5),
    "similarity.lcs_knn": lambda x, y, _: g.similarity.lcs_knn(x, y, 5),
    "similarity.cknna": lambda x, y, _: g.similarity.cknna(x, y, 5),
    "similarity.trustworthiness": lambda x, y, _: g.similarity.trustworthiness(x, y, 5),
    "neighbours.knn": lambda x, y, _: g.neighbours.knn(x, y, 5),
    "neighbours.literal": lambda x, y, _: g.neighbours.literal(x, y, 5),
    "neighbours.structure": lambda x, y, _: g.neighbours.structure(x, y),
    "neighbours.geodesic": lambda x, y, _: g.neighbours.geodesic(x, y, 5),
    "neighbours.landmarks": lambda x, y, _: g.neighbours.landmarks(x, 4),
    "neighbours.collapse": lambda x, y, _: tuple(g.neighbours.collapse(x).values()),
    "information.principal": lambda x, y, _: g.information.principal(x).abs(),
    "views.composed": lambda x, y, z: composed(Views.from_arrays(a=x, b=y, c=z), "c")["query"],
    "views.presence": lambda x, y, z: presence(aligned(Views.from_arrays(a=x, b=y, c=z)).present, 0.5),
    "views.presence, blocks": lambda x, y, z: presence(x > 0, 0.5, "blocks"),
    "transport.exact": solved(T.Problem, epsilon=0),
    "transport.entropic": solved(T.Problem),
    "transport.by_rows": solved(T.Problem, rows=7),
    "transport.partial": solved(lambda cost: T.Partial(cost, mass=0.7)),
    "transport.unbalanced": solved(T.Unbalanced),
    "transport.divergence": lambda x, y, _: T.sinkhorn_divergence(x, y),
    "transport.gromov": lambda x, y, _: T.gromov(g.cost.sqeuclidean(x, x), g.cost.sqeuclidean(y, y)).objective,
}

#: Solved or drawn by programs on the host, whose results are carried over.
HOST = {"transport.exact", "transport.partial", "transport.gromov", "similarity.rsa"}


def parts(found: Any) -> list[Tensor]:
    """Tensors and numbers of a result, numbers as tensors on the CPU."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, tuple | list):
        return [t for part in found for t in parts(part)]
    return [torch.tensor(float(found), dtype=torch.float64, device="cpu")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_tensors_is_the_same_there(name: str, device: torch.device) -> None:
    x = [rows(seed) for seed in (1, 2, 3)]
    here, there = parts(FUNCTIONS[name](*x)), parts(FUNCTIONS[name](*(t.to(device) for t in x)))
    for a, b in zip(here, there, strict=True):
        assert a.ndim == 0 or b.device.type == device.type
        torch.testing.assert_close(b.cpu(), a, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in HOST])
def test_a_function_makes_its_tensors_where_its_arguments_are(name: str) -> None:
    x = [rows(seed) for seed in (1, 2, 3)]
    here = parts(FUNCTIONS[name](*x))
    with torch.device("meta"):
        for a, b in zip(here, parts(FUNCTIONS[name](*x)), strict=True):
            assert b.device.type == "cpu"
            torch.testing.assert_close(b, a, atol=0, rtol=0)


@pytest.mark.parametrize("name", registry.names("metric"))
def test_a_metric_is_the_same_there(name: str, device: torch.device) -> None:
    shared = rows(1)
    z = Views.from_arrays(a=normalize(shared + 0.3 * rows(2), dim=1), b=normalize(shared + 0.3 * rows(3), dim=1))
    here, there = (evaluate(views, [name], intervals=False) for views in (z, z.to(device)))
    assert here.keys() == there.keys()
    for key, score in here.items():
        assert there[key].value == pytest.approx(score.value, abs=1e-4, nan_ok=True), key


def test_a_head_with_all_its_stages_is_the_same_there(device: torch.device) -> None:
    x = rows(1).float()
    front = FeatureMap(DIM, rank=5, root=True, unit=True, bank=30, anchors=7, nearest=3)
    head = Head(front, Projection(front.out, 4, hidden=8), LocalScaling(4, bank=20, own=0, neighbours=5)).eval()
    with torch.no_grad():
        for tensor in head.state_dict().values():  # as a fit would fill them
            tensor.copy_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(tensor.numel())))
        here, there = head(x), head.to(device)(x.to(device)).cpu()
        assert torch.isfinite(here).all()
    torch.testing.assert_close(there, here, atol=1e-5, rtol=1e-4)


#: Settings with which methods take a second.
QUICK: Mapping[str, dict[str, Any]] = {
    "clip": {"trials": 1, "steps": 2},
    "full": {"trials": 2, "steps": 2},
    "gradient": {"steps": 2, "batch": 8, "precision": "float32"},
    "sotalign": {"steps": 2},
    "wasserstein_procrustes": {"restarts": 1},
}


@pytest.mark.parametrize("name", registry.names("method"))
def test_a_method_takes_views_from_there(name: str, device: torch.device) -> None:
    shared = rows(1).float()
    x = Views.from_arrays(a=shared + 0.3 * rows(2).float(), b=shared + 0.3 * rows(3).float())
    found = []
    for place in (torch.device("cpu"), device):
        heads = registry.make("method", name, **QUICK.get(name, {})).fit(x.to(place), x.to(place))
        found.append(heads.embed(x)["a"])
    torch.testing.assert_close(found[1], found[0], atol=1e-3, rtol=1e-2)


def test_links_on_the_host_serve_views_there(device: torch.device) -> None:
    z = Views.from_arrays(a=rows(1), b=rows(1).flip(0)).to(device)
    linked = Views(z.data, z.group, {("a", "b"): torch.stack([torch.arange(N), torch.arange(N).flip(0)])})
    assert evaluate(linked, ["retrieval"], intervals=False)["recall/a->b/any@1"].value == 1.0


def test_an_aligner_takes_views_from_there(device: torch.device) -> None:
    x = Views.from_arrays(a=rows(1).float(), b=rows(2).float())
    here, there = (Aligner("cca", dim=4).fit(v).transform(v)["a"] for v in (x, x.to(device)))
    torch.testing.assert_close(there, here, atol=1e-5, rtol=1e-4)
