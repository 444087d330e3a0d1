"""Every row of `docs/conventions.md`: what modalign computes beside what other libraries returned (golden values)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from modalign import ModalignError, Views
from modalign.geometry import procrustes
from modalign.geometry.similarity import cka, trustworthiness
from modalign.geometry.similarity.common import calibrate, permuted
from modalign.geometry.transport import Partial, Problem, Solver, Unbalanced, distortion, sinkhorn_divergence, solve
from modalign.metrics import measures
from modalign.metrics.bleu import corpus_bleu
from modalign.metrics.cider import cider
from modalign.metrics.corrected import csls_bias
from modalign.metrics.found import Found
from modalign.metrics.ranking import rank, rank_scores

from .golden import conventions

GOLDEN = json.loads(conventions.PLACE.read_text())
PAGE = Path(__file__).parents[1] / "docs" / "conventions.md"
V = GOLDEN["values"]
GIVEN = {name: torch.tensor(value, dtype=torch.float64) for name, value in GOLDEN["inputs"].items()}
X, Y, A, B = (GIVEN[name] for name in "xyab")
COST = (X[:, None] - Y[None]).square().sum(-1)
TIGHT = Solver(epsilon=0.5, tolerance=1e-10, max_iterations=100_000)
HALF = Solver(epsilon=0.25, tolerance=1e-10, max_iterations=100_000)
P, Q = GIVEN["points"], GIVEN["other"]
ROWS: dict[str, Callable[[], None]] = {}


def row(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register the check of a row of the page."""

    def keep(check: Callable[[], None]) -> Callable[[], None]:
        ROWS[name] = check
        return check

    return keep


def near(value: Any, name: str, rel: float = 1e-6) -> None:
    assert float(value) == pytest.approx(V[name], rel=rel, abs=1e-9), name


def plan(solver: Solver = TIGHT, a: Tensor = A, b: Tensor = B, cost: Tensor = COST) -> Any:
    return solve(Problem(cost, a, b), solver)


@row("pot-exact")
def _() -> None:
    near(plan(Solver(epsilon=0)).value, "transport/pot.emd2")


@row("pot-sinkhorn")
def _() -> None:
    near(plan().value, "transport/pot.sinkhorn2")


@row("pot-solve")
def _() -> None:
    near(plan().objective, "transport/pot.solve.value")
    near(plan().value, "transport/pot.solve.value_linear")


@row("pot-entropy")
def _() -> None:
    p = plan().plan
    near(plan().value + 0.5 * (p * p.log()).sum(), "transport/pot.solve.entropy")


@row("pot-divergence")
def _() -> None:
    def cost_alone(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
        return plan(a=a, b=b, cost=(x[:, None] - y[None]).square().sum(-1)).value

    linear = cost_alone(X, A, Y, B) - 0.5 * (cost_alone(X, A, X, A) + cost_alone(Y, B, Y, B))
    near(linear, "transport/pot.divergence")
    ours = float(sinkhorn_divergence(X, Y, A, B, cost="sqeuclidean", solver=TIGHT))
    assert abs(ours - V["transport/pot.divergence"]) > 0.1


@row("pot-unbalanced")
def _() -> None:
    found = solve(Unbalanced(COST, A, B, rho=1.0), TIGHT)
    torch.testing.assert_close(found.plan, torch.tensor(V["transport/pot.unbalanced.plan"]).double())
    near(found.value, "transport/pot.unbalanced2")


@row("pot-unbalanced-total")
def _() -> None:
    found = solve(Unbalanced(COST, A, B, rho=1.0), TIGHT)
    near(found.value, "transport/pot.solve.unbalanced.value_linear")
    assert abs(V["transport/pot.solve.unbalanced.value"]) < 1e-9 < float(found.objective)


@row("pot-partial")
def _() -> None:
    near(solve(Partial(COST, A, B, mass=0.6), Solver(epsilon=0)).value, "transport/pot.partial")


@row("pot-gromov")
def _() -> None:
    inner = [(s[:, None] - s[None]).square().sum(-1).sqrt() for s in (X, Y)]
    held = torch.tensor(V["transport/pot.gromov.plan"], dtype=torch.float64)
    near(distortion(held, *inner), "transport/pot.gromov")


@row("pot-mass")
def _() -> None:
    heavy = plan(a=3 * A, b=3 * B)
    near(heavy.value, "transport/pot.mass3.sinkhorn2")
    near(heavy.objective - 0.5 * (3 * 3 - 3), "transport/pot.mass3.solve.value")


@row("masses-differ")
def _() -> None:
    with pytest.raises(ModalignError, match="different mass"):
        plan(a=2 * A)
    assert (V["transport/pot.masses.emd2"], V["transport/geomloss.solve.masses"]) == ("AssertionError", "ValueError")
    near(2 * float(plan().value), "transport/pot.masses.sinkhorn2")  # no plan has both marginals
    assert V["transport/geomloss.masses"] > 100
    assert V["transport/ott.masses.converged"] is False


@row("geomloss-cost")
def _() -> None:
    half = plan(HALF, cost=COST / 2)
    near(half.objective, "transport/geomloss.plain", rel=1e-3)
    quick = V["transport/geomloss.plain.quick"]
    assert abs(quick - float(half.objective)) > 3 * abs(V["transport/geomloss.plain"] - float(half.objective))


@row("geomloss-debiased")
def _() -> None:
    x, y = X / math.sqrt(2), Y / math.sqrt(2)
    ours = sinkhorn_divergence(x, y, A, B, cost="sqeuclidean", solver=HALF)
    near(ours, "transport/geomloss.debiased", rel=2e-3)


@row("geomloss-reach")
def _() -> None:
    near(solve(Unbalanced(COST / 2, A, B, rho=1.0), HALF).objective, "transport/geomloss.reach", rel=1e-3)


@row("geomloss-mass")
def _() -> None:
    heavy = plan(HALF, 3 * A, 3 * B, COST / 2)
    near(heavy.objective - 0.25 * (3 * 3 - 3), "transport/geomloss.mass3", rel=1e-3)


@row("geomloss-solve")
def _() -> None:
    near(plan().objective, "transport/geomloss.solve", rel=1e-4)
    assert V["transport/geomloss.solve.no_max_iter"] == "ValueError"


@row("ott-cost")
def _() -> None:
    near(plan().objective, "transport/ott.reg_ot_cost")
    near(plan().value, "transport/ott.primal_cost")
    p = plan().plan
    near(plan().value + 0.5 * (p * p.log()).sum(), "transport/ott.ent_reg_cost")


@row("ott-epsilon")
def _() -> None:
    near(0.05 * COST.std(unbiased=False), "transport/ott.epsilon")
    assert Solver().epsilon == 0.05


@row("ott-divergence")
def _() -> None:
    near(sinkhorn_divergence(X, Y, A, B, cost="sqeuclidean", solver=TIGHT), "transport/ott.divergence")


@row("ott-unbalanced")
def _() -> None:
    near(V["transport/pot.unbalanced.entropy"], "transport/ott.unbalanced.primal_cost")
    assert float(solve(Unbalanced(COST, A, B, rho=1.0), TIGHT).value) < V["transport/ott.unbalanced.primal_cost"] - 0.1


@row("ott-mass")
def _() -> None:
    near(plan(a=3 * A, b=3 * B).objective, "transport/ott.mass3.reg_ot_cost")


@row("transport-defaults")
def _() -> None:
    assert V["transport/pot.defaults"] == {"stopThr": 1e-9, "numItermax": 1000}
    assert V["transport/geomloss.defaults"] == {"p": 2, "blur": 0.05, "scaling": 0.5, "debias": True}
    assert V["transport/ott.defaults"] == {"threshold": 1e-3, "max_iterations": 2000}
    assert (Solver().tolerance, Solver().max_iterations) == (1e-4, 2000)


def bleu(tokenize: Any, hypotheses: Any = conventions.HYPOTHESES, references: Any = conventions.REFERENCES) -> float:
    return corpus_bleu(hypotheses, references, tokenize, samples=0).value


@row("bleu-sacrebleu")
def _() -> None:
    near(bleu("13a"), "words/sacrebleu")


@row("bleu-coco")
def _() -> None:
    near(bleu("coco") / 100, "words/coco.bleu4")


@row("bleu-nltk")
def _() -> None:
    near(bleu("none") / 100, "words/nltk")


@row("bleu-torchmetrics")
def _() -> None:
    near(bleu("none") / 100, "words/torchmetrics.bleu")


@row("bleu-equal-distance")
def _() -> None:
    far, references = conventions.EQUAL_DISTANCE
    assert bleu("none", [far], [references]) == pytest.approx(100.0)
    assert V["words/equal.sacrebleu"] == pytest.approx(100)
    assert V["words/equal.coco"] == pytest.approx(V["words/equal.nltk"]) == pytest.approx(1.0)
    assert V["words/equal.torchmetrics"] == pytest.approx(math.exp(1 - 8 / 6))  # the first listed, not the shorter


@row("bleu-short")
def _() -> None:
    assert bleu("13a", ["yes"], [["yes"]]) == 0.0
    assert V["words/sacrebleu.sentence.yes"] == pytest.approx(100)


@row("cider-coco")
def _() -> None:
    found = cider(conventions.HYPOTHESES, conventions.REFERENCES, samples=0)
    near(found.value, "words/coco.cider")
    assert found.per_item is not None
    assert found.per_item.tolist() == pytest.approx(V["words/coco.cider.each"])


def found(name: str) -> Found:
    return rank_scores(GIVEN[name], GIVEN["relevant"].bool())


def mean(measure: Callable[..., Tensor], name: str = "scores", **options: Any) -> float:
    return float(measure(found(name), **options).double().mean())


@row("ap-sklearn")
def _() -> None:
    near(mean(measures.average_precision), "ranking/scores.sklearn.ap")
    assert V["ranking/tied.sklearn.ap"] < mean(measures.average_precision, "tied") - 0.01


@row("ap-trec")
def _() -> None:
    near(mean(measures.average_precision), "ranking/scores.trec.map")
    assert abs(V["ranking/tied.trec.map"] - mean(measures.average_precision, "tied")) > 0.001


@row("ap-torchmetrics")
def _() -> None:
    near(mean(measures.average_precision), "ranking/scores.torchmetrics.ap")
    assert abs(V["ranking/tied.torchmetrics.ap"] - mean(measures.average_precision, "tied")) > 0.001


@row("negative-scores")
def _() -> None:
    first = rank_scores(-torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0, 0]]))
    assert float(measures.reciprocal_rank(first)) == float(measures.average_precision(first)) == 1.0
    assert V["ranking/negative.torchmetrics.mrr"] == V["ranking/negative.torchmetrics.ap"] == 0.0


@row("mrr-others")
def _() -> None:
    near(mean(measures.reciprocal_rank), "ranking/scores.trec.mrr")
    near(mean(measures.reciprocal_rank), "ranking/scores.torchmetrics.mrr")


@row("constant-scorer")
def _() -> None:
    constant = rank_scores(torch.zeros(1, 5), torch.tensor([[0, 0]]))
    assert float(measures.reciprocal_rank(constant)) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5)
    first, last = V["ranking/constant.torchmetrics.mrr"]
    assert first != last  # it depends on the order of the rows
    assert V["ranking/constant.trec.mrr"] == pytest.approx(0.2)  # by the names of the documents


@row("ndcg-sklearn")
def _() -> None:
    for name in ("scores", "tied"):
        near(mean(measures.ndcg, name), f"ranking/{name}.sklearn.ndcg")


@row("ndcg-torchmetrics")
def _() -> None:
    for name in ("scores", "tied"):
        near(mean(measures.ndcg, name), f"ranking/{name}.torchmetrics.ndcg")


@row("ndcg-trec")
def _() -> None:
    near(mean(measures.ndcg), "ranking/scores.trec.ndcg")
    assert abs(V["ranking/tied.trec.ndcg"] - mean(measures.ndcg, "tied")) > 0.01


@row("r-precision")
def _() -> None:
    near(mean(measures.r_precision), "ranking/scores.trec.rprec")


@row("learning")
def _() -> None:
    theirs = V["ranking/learning"]
    labels = torch.arange(len(P)) % 5
    pairs = (labels[:, None] == labels[None]).fill_diagonal_(False).nonzero()
    among = rank(P, P, pairs, exclude_self=True)
    assert float(measures.any_hit(among, k=1).mean()) == pytest.approx(theirs["precision_at_1"])
    assert float(measures.r_precision(among).mean()) == pytest.approx(theirs["r_precision"])
    precise = measures.average_precision(among, k="R").mean()
    assert float(precise) == pytest.approx(theirs["mean_average_precision_at_r"])
    assert theirs["mean_reciprocal_rank"] < float(measures.reciprocal_rank(among).mean())  # looks no further than R


@row("beyond-gallery")
def _() -> None:
    three = rank_scores(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[0, 0]]))
    assert float(measures.any_hit(three, k=10)) == V["ranking/beyond.torchmetrics.recall"] == 1.0


@row("no-positive")
def _() -> None:
    two = rank_scores(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([[0, 0]]))
    assert measures.reciprocal_rank(two).tolist() == [1.0]  # the second query is left out and counted
    assert two.queries - 1 == 1
    assert V["ranking/none.torchmetrics.mrr"] == V["ranking/none.sklearn.ap"] == 0.0


@row("cka-linear")
def _() -> None:
    near(cka(P, Q), "geometry/ckatorch.linear")


@row("cka-unbiased")
def _() -> None:
    near(cka(P, Q, unbiased=True), "geometry/ckatorch.unbiased")
    near(cka(P, Q), "geometry/ckatorch.unbiased.hsic")  # method="hsic" forgets unbiased


@row("cka-rbf")
def _() -> None:
    squared = (P[:, None] - P[None]).square().sum(-1)
    theirs, ours = squared.median(), torch.pdist(P).median().square()
    assert theirs < ours  # the distances of items to themselves are counted, and the lower middle is taken
    assert cka(P, Q, kernel="rbf") == pytest.approx(V["geometry/ckatorch.rbf"], abs=0.02)
    assert cka(P, Q, kernel="rbf") != pytest.approx(V["geometry/ckatorch.rbf"], abs=1e-6)


@row("constant-set")
def _() -> None:
    equal = torch.ones_like(P)
    for call in (cka, procrustes.disparity):
        with pytest.raises(ModalignError):
            call(equal, P)
    assert math.isnan(V["geometry/ckatorch.constant"])
    assert V["geometry/scipy.procrustes.constant"] == "ValueError"
    assert V["geometry/torchmetrics.procrustes.constant"] == 0.0  # the best value for a collapse


@row("calibrated")
def _() -> None:
    theirs, _, threshold = V["geometry/calibrated"]
    null = permuted(cka, P, Q, times=1000)
    assert float(null.quantile(0.95)) == pytest.approx(threshold, abs=0.02)
    assert calibrate(cka(P, Q), null) == pytest.approx(theirs, abs=0.02)


@row("csls-kiez")
def _() -> None:
    wide = torch.nn.functional.pad(Q, (0, 1))
    unit = [torch.nn.functional.normalize(s) for s in (wide, P)]
    own = (unit[0] @ unit[1].T).topk(10).values.mean(1, keepdim=True)
    ours = unit[0] @ unit[1].T + csls_bias(wide, P, k=10)
    for distances, order, scores, mine in zip(
        V["geometry/kiez.csls.distance"], V["geometry/kiez.csls.order"], ours, own, strict=True
    ):
        order = torch.tensor(order)
        assert (-torch.tensor(distances)).tolist() == pytest.approx((2 * scores[order] - mine).tolist(), abs=1e-5)
        assert scores[order].diff().max() < 1e-6  # the same order
    first = [order[0] for order in V["geometry/kiez.csls.order"]]
    assert first == ours.argmax(1).tolist()


@row("procrustes-scipy")
def _() -> None:
    near(procrustes.disparity(P, Q), "geometry/scipy.procrustes")


@row("procrustes-torchmetrics")
def _() -> None:
    near(procrustes.disparity(P, Q), "geometry/torchmetrics.procrustes")


@row("procrustes-orthogonal")
def _() -> None:
    wide = torch.nn.functional.pad(Q, (0, 1))
    theirs = torch.tensor(V["geometry/scipy.orthogonal"], dtype=torch.float64)
    torch.testing.assert_close(wide @ procrustes.rotation(wide, P).rotation, wide @ theirs)


@row("procrustes-qc")
def _() -> None:
    c = math.sqrt(1 - procrustes.disparity(P, Q))
    near(2 - 2 * c, "geometry/qc.orthogonal.error")


@row("trustworthiness")
def _() -> None:
    near(trustworthiness(P, Q, k=5).mean(), "geometry/sklearn.trustworthiness")
    assert float(trustworthiness(P, Q, k=5).mean()) != pytest.approx(V["geometry/sklearn.trustworthiness.plain"])


@row("zero-rows")
def _() -> None:
    found = rank(torch.zeros(1, 3), torch.ones(1, 3), torch.tensor([[0, 0]]))
    assert float(found.score) == V["geometry/zero.sklearn"] == V["geometry/zero.torch"] == 0.0
    assert math.isnan(V["geometry/zero.scipy"])
    with pytest.raises(ModalignError, match="zero"):
        Views.from_arrays(text=torch.zeros(2, 3), image=torch.ones(2, 3)).validate()


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str) -> None:
    ROWS[name]()


def test_the_page_has_these_rows_and_versions() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == list(ROWS)
    stated = SimpleNamespace(**dict(re.findall(r"^\| ([\w-]+) \| (\S+) \|$", text, re.MULTILINE))).__dict__
    for name, version in GOLDEN["versions"].items():
        assert stated.get(name) == version.split("+")[0], name
