"""Values of other libraries for `docs/conventions.md`, kept in conventions.json beside this file.

Run by `conventions.sh`, which makes an environment with the pinned versions; the tests compare with the stored values
and install nothing. The inputs are stored too, so that no random number generator stands between the two.
"""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

PLACE = Path(__file__).with_suffix(".json")
PACKAGES = (
    "POT", "geomloss", "ott-jax", "jax", "sacrebleu", "pycocoevalcap", "nltk", "torchmetrics", "scikit-learn",
    "pytrec_eval-terrier", "pytorch-metric-learning", "ckatorch", "calibrated-similarity", "kiez", "qc-procrustes",
    "scipy", "numpy", "torch",
)  # fmt: skip
TIGHT = {"stopThr": 1e-12, "numItermax": 100_000}

HYPOTHESES = ["a man is riding a brown horse", "two dogs play in the deep snow near a fence", "a cat sleeps on it"]
REFERENCES = [
    ["a man rides a brown horse", "a person is riding a horse in a field"],
    ["two dogs are playing in the snow", "dogs run in the deep snow near a wooden fence"],
    ["a cat is asleep on the bed", "the cat sleeps on the couch"],
]
EQUAL_DISTANCE = ("a b c d e f", ["a b c d e f g h", "a b c d"])  # both references are two words away


def inputs() -> dict[str, Any]:
    """Small arrays: two weighted sets, scores with relevant items, the same scores rounded so that some tie, points."""
    import numpy as np

    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 12))
    relevant = rng.random((6, 12)) < 0.3
    relevant[np.arange(6), np.arange(6)] = True
    points = rng.normal(size=(20, 5))
    other = points[:, :4] @ rng.normal(size=(4, 4)) + rng.normal(size=(20, 4))
    arrays = {
        "x": rng.normal(size=(5, 3)),
        "y": rng.normal(size=(4, 3)),
        "a": np.array([0.1, 0.2, 0.3, 0.25, 0.15]),
        "b": np.array([0.4, 0.3, 0.2, 0.1]),
        "scores": scores.round(3),
        "tied": scores.round(0),
        "relevant": relevant.astype(int),
        "points": points,
        "other": other,
    }
    return {name: array.tolist() for name, array in arrays.items()}


def attempt(call: Any) -> Any:
    """The value, or the name of what was raised."""
    try:
        return call()
    except Exception as e:
        return type(e).__name__


def transport(given: dict[str, Any]) -> dict[str, Any]:
    """POT, geomloss and OTT-JAX on one problem with epsilon .5 of the squared distance."""
    import geomloss
    import geomloss.ot
    import numpy as np
    import ot
    import torch

    x, y, a, b = (np.array(given[name]) for name in "xyab")
    cost = ((x[:, None] - y[None]) ** 2).sum(-1)
    tx, ty, ta, tb = map(torch.tensor, (x, y, a, b))

    def samples(
        ta: torch.Tensor = ta, debias: bool = False, scaling: float = 0.99, reach: float | None = None, tb: Any = tb
    ) -> float:
        loss = geomloss.SamplesLoss(
            "sinkhorn", p=2, blur=0.5, reach=reach, scaling=scaling, debias=debias, backend="tensorized"
        )
        return float(loss(ta, tx, tb, ty))

    entropic = ot.solve(cost, a, b, reg=0.5, tol=1e-12, max_iter=100_000)
    heavy = ot.solve(cost, 3 * a, 3 * b, reg=0.5, tol=1e-12, max_iter=100_000)
    loose = ot.solve(cost, a, b, reg=0.5, unbalanced=1.0, tol=1e-13, max_iter=100_000)
    within = [((s[:, None] - s[None]) ** 2).sum(-1) for s in (x, y)]
    tight = {"stopThr": 1e-13, "numItermax": 100_000}
    return {
        "pot.emd2": ot.emd2(a, b, cost),
        "pot.sinkhorn2": ot.sinkhorn2(a, b, cost, 0.5, **TIGHT),
        "pot.solve.value": entropic.value,
        "pot.solve.value_linear": entropic.value_linear,
        "pot.solve.entropy": ot.solve(cost, a, b, reg=0.5, reg_type="entropy", tol=1e-12, max_iter=100_000).value,
        "pot.divergence": ot.bregman.empirical_sinkhorn_divergence(
            x, y, 0.5, a=a, b=b, stopThr=1e-12, numIterMax=100_000
        ),
        "pot.unbalanced.plan": ot.unbalanced.sinkhorn_unbalanced(a, b, cost, 0.5, 1.0, **tight).tolist(),
        "pot.unbalanced2": ot.unbalanced.sinkhorn_unbalanced2(a, b, cost, 0.5, 1.0, **tight),
        "pot.unbalanced.entropy": ot.unbalanced.sinkhorn_unbalanced2(a, b, cost, 0.5, 1.0, reg_type="entropy", **tight),
        "pot.solve.unbalanced.value": loose.value,
        "pot.solve.unbalanced.value_linear": loose.value_linear,
        "pot.partial": ot.partial.partial_wasserstein2(a, b, cost, m=0.6),
        "pot.gromov": ot.gromov.gromov_wasserstein2(*(np.sqrt(c) for c in within), a, b),
        "pot.gromov.plan": ot.gromov.gromov_wasserstein(*(np.sqrt(c) for c in within), a, b).tolist(),
        "pot.mass3.sinkhorn2": ot.sinkhorn2(3 * a, 3 * b, cost, 0.5, **TIGHT),
        "pot.mass3.solve.value": heavy.value,
        "pot.masses.emd2": attempt(lambda: ot.emd2(2 * a, b, cost)),
        "pot.masses.sinkhorn2": attempt(lambda: ot.sinkhorn2(2 * a, b, cost, 0.5)),
        "pot.defaults": defaults(ot.bregman.sinkhorn_knopp, "stopThr", "numItermax"),
        "geomloss.plain": samples(),
        "geomloss.plain.quick": samples(scaling=0.5),
        "geomloss.debiased": samples(debias=True),
        "geomloss.reach": samples(reach=1.0),
        "geomloss.mass3": samples(3 * ta, tb=3 * tb),
        "geomloss.masses": attempt(lambda: samples(2 * ta)),
        "geomloss.defaults": defaults(geomloss.SamplesLoss.__init__, "p", "blur", "scaling", "debias"),
        "geomloss.solve": float(geomloss.ot.solve(torch.tensor(cost), reg=0.5, max_iter=2000, a=ta, b=tb).value),
        "geomloss.solve.no_max_iter": attempt(
            lambda: float(geomloss.ot.solve(torch.tensor(cost), reg=0.5, a=ta, b=tb).value)
        ),
        "geomloss.solve.masses": attempt(
            lambda: float(geomloss.ot.solve(torch.tensor(cost), reg=0.5, max_iter=200, a=2 * ta, b=tb).value)
        ),
    } | ott(x, y, a, b)


def ott(x: Any, y: Any, a: Any, b: Any) -> dict[str, Any]:
    """OTT-JAX on the same problem, in double precision."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from ott.geometry import pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn
    from ott.tools import sinkhorn_divergence

    cloud = pointcloud.PointCloud(x, y, epsilon=0.5)

    def solve(a: Any = a, b: Any = b, **tau: float) -> Any:
        solver = sinkhorn.Sinkhorn(threshold=1e-10, max_iterations=100_000)
        return solver(linear_problem.LinearProblem(cloud, a=a, b=b, **tau))

    found, heavy = solve(), solve(3 * a, 3 * b)
    loose = solve(tau_a=1 / 1.5, tau_b=1 / 1.5)  # rho / (rho + epsilon), rho = 1
    divergence = sinkhorn_divergence.sinkhorn_divergence(
        pointcloud.PointCloud, x, y, a=a, b=b, epsilon=0.5,
        solve_kwargs={"threshold": 1e-10, "max_iterations": 100_000},
    )  # fmt: skip
    apart = sinkhorn.Sinkhorn()(linear_problem.LinearProblem(cloud, a=2 * a, b=b))
    return {
        "ott.reg_ot_cost": float(found.reg_ot_cost),
        "ott.primal_cost": float(found.primal_cost),
        "ott.ent_reg_cost": float(found.ent_reg_cost),
        "ott.epsilon": float(pointcloud.PointCloud(x, y).epsilon),
        "ott.divergence": float(divergence[0]),
        "ott.unbalanced.primal_cost": float(loose.primal_cost),
        "ott.mass3.reg_ot_cost": float(heavy.reg_ot_cost),
        "ott.masses.converged": bool(apart.converged),
        "ott.defaults": defaults(sinkhorn.Sinkhorn.__init__, "threshold", "max_iterations"),
    }


def defaults(call: Any, *names: str) -> dict[str, Any]:
    """Default values of parameters."""
    known = inspect.signature(call).parameters
    return {name: known[name].default for name in names}


def words() -> dict[str, Any]:
    """BLEU and CIDEr, percent where the library says so."""
    import sacrebleu
    from nltk.translate.bleu_score import corpus_bleu
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from torchmetrics.functional.text import bleu_score

    def coco(scorer: Any, hypotheses: list[str], references: list[list[str]]) -> Any:
        keys = range(len(hypotheses))
        options = {"verbose": 0} if isinstance(scorer, Bleu) else {}
        score, each = scorer.compute_score(dict(enumerate(references)), {i: [hypotheses[i]] for i in keys}, **options)
        return (float(score), [float(v) for v in each]) if isinstance(scorer, Cider) else float(score[3])

    def cut(hypotheses: list[str], references: list[list[str]]) -> Any:
        return [[r.split() for r in several] for several in references], [h.split() for h in hypotheses]

    transposed = [list(column) for column in zip(*REFERENCES, strict=True)]
    far, near = EQUAL_DISTANCE
    cider, each = coco(Cider(), HYPOTHESES, REFERENCES)
    return {
        "sacrebleu": sacrebleu.corpus_bleu(HYPOTHESES, transposed).score,
        "sacrebleu.sentence.yes": sacrebleu.sentence_bleu("yes", ["yes"]).score,
        "coco.bleu4": coco(Bleu(4), HYPOTHESES, REFERENCES),
        "nltk": corpus_bleu(*cut(HYPOTHESES, REFERENCES)),
        "torchmetrics.bleu": float(bleu_score(HYPOTHESES, REFERENCES)),
        "equal.sacrebleu": sacrebleu.corpus_bleu([far], [[r] for r in near]).score,
        "equal.coco": coco(Bleu(4), [far], [near]),
        "equal.nltk": corpus_bleu(*cut([far], [near])),
        "equal.torchmetrics": float(bleu_score([far], [near])),
        "coco.cider": cider,
        "coco.cider.each": each,
    }


def ranking(given: dict[str, Any]) -> dict[str, Any]:
    """Average precision, reciprocal rank and nDCG, of distinct scores and of scores with ties."""
    import numpy as np
    import pytrec_eval
    import torch
    from sklearn.metrics import average_precision_score, ndcg_score
    from torchmetrics.functional.retrieval import (
        retrieval_average_precision,
        retrieval_normalized_dcg,
        retrieval_recall,
        retrieval_reciprocal_rank,
    )

    relevant = np.array(given["relevant"])
    truth = {f"q{i}": {f"d{j}": int(v) for j, v in enumerate(row)} for i, row in enumerate(relevant)}
    out: dict[str, Any] = {}
    for name in ("scores", "tied"):
        scores = np.array(given[name])
        run = {f"q{i}": {f"d{j}": float(v) for j, v in enumerate(row)} for i, row in enumerate(scores)}
        found = pytrec_eval.RelevanceEvaluator(truth, {"map", "recip_rank", "ndcg", "Rprec"}).evaluate(run)
        each = [found[f"q{i}"] for i in range(len(scores))]
        above_zero = torch.tensor(scores - scores.min() + 1)  # see negative.torchmetrics
        rows = list(zip(above_zero, torch.tensor(relevant), strict=True))
        out |= {
            f"{name}.sklearn.ap": float(average_precision_score(relevant.T, scores.T, average="macro")),
            f"{name}.sklearn.ndcg": float(ndcg_score(relevant, scores)),
            f"{name}.trec.map": float(np.mean([e["map"] for e in each])),
            f"{name}.trec.mrr": float(np.mean([e["recip_rank"] for e in each])),
            f"{name}.trec.ndcg": float(np.mean([e["ndcg"] for e in each])),
            f"{name}.trec.rprec": float(np.mean([e["Rprec"] for e in each])),
            f"{name}.torchmetrics.ap": float(np.mean([retrieval_average_precision(s, r) for s, r in rows])),
            f"{name}.torchmetrics.mrr": float(np.mean([retrieval_reciprocal_rank(s, r) for s, r in rows])),
            f"{name}.torchmetrics.ndcg": float(np.mean([retrieval_normalized_dcg(s, r) for s, r in rows])),
        }  # fmt: skip
    ones, first = torch.ones(5), torch.tensor([1, 0, 0, 0, 0])
    last = first.flip(0)
    constant = {"q": {f"d{j}": 0.0 for j in range(5)}}
    trec = pytrec_eval.RelevanceEvaluator({"q": {"d0": 1}}, {"recip_rank"})
    return out | {
        "constant.torchmetrics.mrr": [float(retrieval_reciprocal_rank(ones, target)) for target in (first, last)],
        "constant.trec.mrr": float(trec.evaluate(constant)["q"]["recip_rank"]),
        "negative.torchmetrics.mrr": float(retrieval_reciprocal_rank(-torch.tensor([1.0, 2, 3]), first[:3])),
        "negative.torchmetrics.ap": float(retrieval_average_precision(-torch.tensor([1.0, 2, 3]), first[:3])),
        "beyond.torchmetrics.recall": float(retrieval_recall(torch.tensor([0.1, 0.9, 0.5]), first[:3], top_k=10)),
        "none.torchmetrics.mrr": attempt(lambda: float(retrieval_reciprocal_rank(ones, torch.zeros(5).long()))),
        "none.sklearn.ap": attempt(lambda: float(average_precision_score(np.zeros(5), np.arange(5.0)))),
        "learning": learning(given),
    }


def learning(given: dict[str, Any]) -> dict[str, float]:
    """pytorch-metric-learning's accuracies of points with labels among themselves."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    points = torch.tensor(given["points"]).float()
    labels = torch.arange(len(points)) % 5
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_reciprocal_rank")
    calculator = AccuracyCalculator(include=names, k="max_bin_count", knn_func=nearest)
    found = calculator.get_accuracy(points, labels, points, labels, ref_includes_query=True)
    return {name: float(found[name]) for name in names}


def nearest(query: Any, k: int, reference: Any, ref_includes_query: bool) -> Any:
    """Neighbours by cosine, the query itself left out by its index."""
    import torch

    q, r = (torch.nn.functional.normalize(s) for s in (query, reference))
    scores = q @ r.T
    if ref_includes_query:
        scores.fill_diagonal_(-torch.inf)
    found = scores.topk(min(k, len(reference) - 1))
    return found.values, found.indices


def geometry(given: dict[str, Any]) -> dict[str, Any]:
    """CKA, CSLS, Procrustes, trustworthiness, zero and equal rows."""
    import kiez
    import kiez.hubness_reduction.base
    import kiez.hubness_reduction.csls
    import kiez.neighbors.neighbor_algorithm_base
    import numpy as np
    import scipy.linalg
    import scipy.spatial
    import torch
    from calibrated_similarity import calibrate
    from ckatorch.core import cka_base
    from procrustes import orthogonal
    from sklearn.manifold import trustworthiness
    from sklearn.metrics.pairwise import cosine_similarity
    from sklearn.preprocessing import normalize
    from torchmetrics.functional.shape import procrustes_disparity

    points, other = np.array(given["points"]), np.array(given["other"])
    p, o = torch.tensor(points), torch.tensor(other)
    padded = np.pad(other, ((0, 0), (0, 1)))
    for module in (kiez.neighbors.neighbor_algorithm_base, kiez.hubness_reduction.base, kiez.hubness_reduction.csls):
        module.check_is_fitted = lambda *_, **__: None  # kiez 0.5.0 lacks the tags that scikit-learn 1.9 asks for here
    search = {"n_candidates": 10, "metric": "cosine"}
    hubs = kiez.Kiez(n_candidates=10, algorithm="SklearnNN", algorithm_kwargs=search, hubness="CSLS")
    hubs.fit(padded, points)
    distances, order = hubs.kneighbors(k=10)
    constant = np.ones((20, 5))
    r, _ = scipy.linalg.orthogonal_procrustes(padded, points)
    zero, one = np.zeros((1, 3)), np.ones((1, 3))
    torch.manual_seed(0)
    calibrated = calibrate(p, o, cka_base, K=1000)
    return {
        "ckatorch.linear": float(cka_base(p, o)),
        "ckatorch.unbiased": float(cka_base(p, o, unbiased=True)),
        "ckatorch.unbiased.hsic": float(cka_base(p, o, unbiased=True, method="hsic")),
        "ckatorch.rbf": float(cka_base(p, o, kernel="rbf")),
        "ckatorch.constant": float(cka_base(torch.tensor(constant), o)),
        "calibrated": [float(value) for value in calibrated],
        "kiez.csls.distance": distances.tolist(),
        "kiez.csls.order": order.tolist(),
        "scipy.procrustes": float(scipy.spatial.procrustes(points, padded)[2]),
        "scipy.procrustes.constant": attempt(lambda: float(scipy.spatial.procrustes(points, constant)[2])),
        "torchmetrics.procrustes": float(procrustes_disparity(p[None], torch.tensor(padded)[None])[0]),
        "torchmetrics.procrustes.constant": float(procrustes_disparity(p[None], torch.tensor(constant)[None])[0]),
        "scipy.orthogonal": r.tolist(),
        "qc.orthogonal.error": float(orthogonal(padded, points, translate=True, scale=True).error),
        "sklearn.trustworthiness": float(trustworthiness(*map(normalize, (points, other)), n_neighbors=5)),
        "sklearn.trustworthiness.plain": float(trustworthiness(points, other, n_neighbors=5)),
        "zero.sklearn": float(cosine_similarity(zero, one)[0, 0]),
        "zero.torch": float(torch.cosine_similarity(torch.tensor(zero), torch.tensor(one))[0]),
        "zero.scipy": float(1 - scipy.spatial.distance.cosine(zero[0], one[0])),
    }


def main() -> None:
    """Run all of it and write the file."""
    warnings.simplefilter("ignore")
    given = inputs()
    found = {"transport": transport(given), "words": words(), "ranking": ranking(given), "geometry": geometry(given)}
    document = {
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "inputs": given,
        "values": {f"{family}/{name}": value for family, part in found.items() for name, value in part.items()},
    }
    PLACE.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
