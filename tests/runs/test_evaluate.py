"""What ``modalign evaluate`` measures of a run: parts, protocols, positives, cheats, mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modalign.cli import tables
from modalign.errors import ModalignError
from modalign.metrics import protocol
from modalign.metrics.recall import Retrieval
from modalign.metrics.score import Score
from modalign.runs import Result, Run
from modalign.runs.evaluate import Request, evaluate_run
from modalign.runs.fused import FusedRetrieval
from modalign.runs.items import Items
from modalign.runs.robustness import evaluate_robustness
from modalign.runs.train import align_arrays, train_run
from modalign.specification import Specification
from modalign.views import Views

N = 150


def rows(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three arrays that share four factors."""
    folder = tmp_path_factory.mktemp("arrays")
    shared = rows(N, 4)
    paths = []
    for seed, (name, width) in enumerate((("text", 12), ("image", 20), ("audio", 8)), 1):
        x = shared @ rows(4, width, seed) + 0.5 * rows(N, width, 10 + seed)
        paths.append(folder / f"{name}.npy")
        np.save(paths[-1], x.numpy())
    align_arrays(paths, folder / "run", method="cca", dim=8, holdout=0.4)
    return folder / "run"


@pytest.fixture
def run(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "run"))


def change(run: Path, make: Any) -> None:
    """Replace the embeddings of a run's items: ``make(modality, rows)``; the descriptions stay."""
    z, items = Items.read(run)
    Items(z.map(make), {m: [_without(e) for e in entries] for m, entries in items.items()}).write(run)


def describe(run: Path, **more: Any) -> None:
    """Add entries to a run's items: modality -> function of (group, entry)."""
    z, items = Items.read(run)
    for m, f in more.items():
        for g, entry in zip(z.group[m].tolist(), items[m], strict=True):
            entry |= f(g, entry)
    Items(z, {m: [_without(e) for e in entries] for m, entries in items.items()}).write(run)


def _without(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k not in ("modality", "group")}


def scores_of(result: Result) -> dict[str, Score]:
    return dict(result.methods["cca"].scores)


def test_retrieval_and_quick_geometry_by_default(run: Path) -> None:
    result = evaluate_run(run)
    scores = scores_of(result)
    assert {name.split("/")[0] for name in scores} >= {"recall", "map", "foscttm", "procrustes", "mutual_knn", "cka",
                                                       "gap", "alignment", "effective_rank", "hubness"}  # fmt: skip
    z, _ = Items.read(run).split("test")
    assert scores["recall/text->image/any@1"].value == Retrieval()(z)["recall/text->image/any@1"].value
    saved = Run.open(run).evaluation
    assert saved is not None
    assert saved.json() == result.json()
    assert saved.groups == len(z)
    assert "any@1" in tables.evaluation(result, Run(run))


def test_all_of_geometry_and_what_the_heads_keep(run: Path) -> None:
    scores = scores_of(evaluate_run(run, Request(metrics=("retrieval",), geometry=True)))
    for name in ("connectivity/*/components", "calibrated/image~text/cka", "gromov/image~text/paired",
                 "trustworthiness/text.features~text.space/@10", "geodesic/text.features->text.space"):  # fmt: skip
        assert name in scores, name
    assert "geodesic/text.space->text.features" not in scores
    kept = scores["trustworthiness/text.features~text.space/@10"]
    assert kept.value > kept.chance


def test_features_that_are_gone_are_said_and_the_rest_is_measured(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modalign.runs.evaluate.GEOMETRY", ("connectivity",))
    config = run / "config.toml"
    config.write_text(config.read_text().replace("text.npy", "lost.npy"))
    result = evaluate_run(run, Request(metrics=("retrieval",), geometry=True))
    assert "lost.npy" in result.skipped["preservation"]
    assert "connectivity/*/components" in scores_of(result)


# ------------------------------------------------------------------ cheats


def test_a_constant_aligner_ends_at_chance_corrected_and_composed_too(run: Path) -> None:
    change(run, lambda m, x: torch.ones_like(x))
    wish = Request(metrics=("retrieval", "corrected_retrieval"), query=("text+audio",))
    scores = scores_of(evaluate_run(run, wish))
    assert "recall/text+audio->image/any@1" in scores
    assert "qb_norm_recall/text->image/any@1" in scores
    for name, s in scores.items():
        if s.chance is not None and not name.startswith("fidelity"):
            assert s.value == pytest.approx(s.chance, abs=1e-9), name


def test_an_aligner_that_copies_the_order_of_rows_ends_at_chance(run: Path) -> None:
    z, items = Items.read(run)
    order = {m: torch.randperm(len(x), generator=torch.Generator().manual_seed(i)) for i, (m, x) in
             enumerate(z.data.items())}  # fmt: skip
    mixed = z.select(order)  # each side shuffled by itself: the k-th rows of two modalities are not the same thing
    entries = {m: [_without(items[m][int(i)]) for i in order[m]] for m in items}
    Items(mixed.map(lambda m, x: rows(len(x), 30)), entries).write(run)
    scores = scores_of(evaluate_run(run, Request(metrics=("retrieval", "calibrated"))))
    s = scores["recall/text->image/any@10"]
    assert s.value < s.chance + 0.15
    assert scores["foscttm/text->image"].value == pytest.approx(0.5, abs=0.06)
    assert scores["calibrated/image~text/mutual_knn"].value < 0.1


# ------------------------------------------------------------------ composed queries


def test_composed_queries_equal_the_sum_of_their_parts() -> None:
    base = rows(40, 6)
    z = Views.from_arrays(**{m: base + 1.2 * rows(40, 6, i) for i, m in enumerate(("a", "b", "c"), 1)})
    found = FusedRetrieval(("a", "b"))(z)
    unit = torch.nn.functional.normalize
    s = unit(unit(z["a"]) + unit(z["b"])) @ unit(z["c"]).T
    rank = (s >= s.diagonal()[:, None]).sum(1).double()
    assert found["rank/a+b->c/mean"].value == pytest.approx(float(rank.mean()))
    assert found["recall/a+b->c/any@5"].value > Retrieval()(z)["recall/a->c/any@5"].value
    assert found["recall/a+b->c/any@5"].chance == pytest.approx(5 / 40)
    for rule in ("max", "volume"):
        assert FusedRetrieval(("a", "b"), rule=rule)(z)["recall/a+b->c/any@5"].value > 0.3


def test_composed_queries_take_what_is_there_and_refuse_mistakes() -> None:
    ids = torch.arange(5)
    z = Views({m: torch.eye(5) for m in "abc"}, {"a": ids, "b": ids + 3, "c": ids})
    s = FusedRetrieval(("a", "b"))(z)["recall/a+b->c/any@1"]
    assert len(s.per_item) == 5  # three of a alone, two of both
    assert s.skipped == 3
    for query, says in ((("a",), "two modalities"), (("a", "d"), "modality 'd'"), (("a", "b", "c"), "leaves no other")):
        with pytest.raises(ModalignError, match=says):
            FusedRetrieval(query)(z)
    with pytest.raises(ModalignError, match="two modalities"):
        FusedRetrieval(("a", "b"), ("b",))(z)
    with pytest.raises(ModalignError, match="did you mean 'mean'"):
        FusedRetrieval(("a", "b"), rule="meen")(z)


def test_composed_queries_follow_links() -> None:
    ids = torch.arange(5)
    links = {("a", "c"): torch.tensor([[0, 1], [4, 3]]), ("b", "c"): torch.tensor([[0], [2]])}
    z = Views({m: torch.eye(5) for m in "abc"}, dict.fromkeys("abc", ids), links)
    s = FusedRetrieval(("a", "b"))(z)["recall/a+b->c/pairs@5"]
    assert len(s.per_item) == 3  # two positives of the first query, one of the second
    assert s.skipped == 3
    assert s.value == 1.0


# ------------------------------------------------------------------ protocols and positives


def test_protocols_cut_the_test_items(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(protocol.PROTOCOLS, "coco-1k", protocol.Protocol(20, 3, 1))
    scores = scores_of(evaluate_run(run, Request(protocol="coco-1k")))
    assert scores["recall/text->image/any@1"].chance == pytest.approx(1 / 20)
    assert scores["procrustes/image~text"].low <= scores["procrustes/image~text"].value
    assert scores["mean_recall/image~text"].chance == pytest.approx((1 + 5 + 10) / 60)
    with pytest.raises(ModalignError, match="coco-5k needs 5000 groups"):
        evaluate_run(run, Request(protocol="coco-5k"))
    with pytest.raises(ModalignError, match="did you mean 'coco-1k'"):
        evaluate_run(run, Request(protocol="coco1k"))


def test_positives_of_coco_come_by_number(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("eccv_caption")
    monkeypatch.setattr("modalign.runs.evaluate.check_size", lambda *given: None)  # three photos are few, but telling
    with pytest.raises(ModalignError, match="other data"):
        evaluate_run(run, Request(positives="eccv"))
    # Caption 38 is of photo 179765; to photo 205636, CxC adds caption 732091, of photo 219135.
    lists = {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg"} for i in (179765, 205636, 219135)],
        "annotations": [
            {"id": 38, "image_id": 179765, "caption": "one"},
            {"id": 633028, "image_id": 205636, "caption": "two"},
            {"id": 732091, "image_id": 219135, "caption": "three"},
        ],
    }
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "captions_val2014.json").write_text(json.dumps(lists))
    (run / "config.toml").write_text(
        f'[data]\nname = "coco"\nroot = "{root}"\nyear = 2014\n[encoders]\nimage = "efficientnet-lite0"\n'
        'text = "minilm"\n[method]\nname = "cca"\n'
    )
    x = torch.eye(3)
    z = Views({"image": x, "text": x}, {m: torch.tensor([179765, 205636, 219135]) for m in ("image", "text")})
    entries = {m: [{"split": "test", "row": first + i} for i in range(3)] for m, first in (("image", 0), ("text", 3))}
    Items(z, entries).write(run)
    plain = scores_of(evaluate_run(run, Request(metrics=("retrieval",))))
    cxc = scores_of(evaluate_run(run, Request(metrics=("retrieval",), positives="cxc")))
    assert plain["recall/image->text/fraction@1"].value == 1.0
    assert cxc["recall/image->text/any@1"].value == 1.0
    assert cxc["recall/image->text/fraction@1"].value < 1.0  # a photo with two right captions finds one first


# ------------------------------------------------------------------ translation and transfer


def words(group: int, _: Any) -> dict[str, str]:
    return {"text": f"a {('red', 'blue', 'green')[group % 3]} {('cat', 'dog')[group % 2]} sits on the mat"}


def test_translation_of_every_other_modality(run: Path) -> None:
    describe(run, text=words)
    scores = scores_of(evaluate_run(run, Request(metrics=("retrieval",), translation=True, steps=2)))
    for source in ("image", "audio"):
        for writer in ("decoder", "nearest"):
            assert "signature" in scores[f"bleu4/{source}->text/{writer}"].json()
        assert f"bleu4_gain/{source}->text/decoder-nearest" in scores
    assert scores["bleu4/image->text/nearest"].value > 0


def test_runs_without_words_say_so(run: Path) -> None:
    result = evaluate_run(run, Request(metrics=("retrieval",), translation=True))
    assert "with their words" in result.skipped["translation"]
    assert "translation left out" in tables.evaluation(result, Run(run))


def test_transfer_by_a_file_of_labels(run: Path, tmp_path: Path) -> None:
    z, _ = Items.read(run)
    first = dict(zip(z.group["text"].tolist(), (z["text"][:, 0] > 0).tolist(), strict=True))
    labels = tmp_path / "labels.csv"
    labels.write_text("group,label\n" + "".join(f"{g},{'high' if up else 'low'}\n" for g, up in first.items()))
    wish = Request(metrics=("retrieval",), transfer=True, labels=str(labels))
    scores = scores_of(evaluate_run(run, wish))
    s = scores["accuracy/text->image/transfer"]
    assert s.value > s.chance + 0.1
    with pytest.raises(ModalignError, match="labels: give a file"):
        evaluate_run(run, Request(metrics=("retrieval",), transfer=True))


def test_a_run_without_test_items_is_refused(run: Path) -> None:
    describe(run, **{m: lambda g, e: {"split": "train"} for m in ("text", "image", "audio")})
    with pytest.raises(ModalignError, match="no items to measure: it was fitted without a split 'test' or 'dev'"):
        evaluate_run(run)


def table(folder: Path, *splits: str) -> Specification:
    """Things with two names, in splits of a list of ones own."""
    kinds = ("red", "blue", "green", "old", "small", "wet", "round", "cold", "loud", "soft", "dark", "new")
    things = zip(splits, ("cat", "chair", "river"), strict=False)
    names = [(f"{kind} {thing}", f"the {thing} is {kind}", split) for split, thing in things for kind in kinds]
    (folder / "list.csv").write_text("caption,narration,split\n" + "".join(",".join(row) + "\n" for row in names))
    data = {"name": "table", "root": str(folder / "list.csv"), "columns": {"text": "caption", "narration": "narration"}}
    encoders = dict.fromkeys(("text", "narration"), "minilm")
    method = {"name": "cca", "dim": 4}
    return Specification(method, data, encoders, out=str(folder / "run"))


def test_without_a_test_split_all_is_measured_on_dev(tmp_path: Path) -> None:
    """As COCO 2017 is published: its lists are train and val."""
    run = train_run(table(tmp_path, "train", "val"))
    assert run.result is not None
    assert run.result.split == "dev"
    result = evaluate_run(tmp_path / "run", Request(geometry=True))
    assert (result.split, result.groups) == ("dev", 12)
    want = run.result.methods["cca"].scores["recall/text->narration/any@1"].value
    assert scores_of(result)["recall/text->narration/any@1"].value == want
    assert not result.skipped
    robust = evaluate_robustness(tmp_path / "run", ["noise"])
    assert (robust.split, robust.groups) == ("dev", 12)
    assert robust.kinds


def test_a_split_to_learn_from_is_missed_before_anything_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modalign.runs.data.encode", lambda *given: pytest.fail("encoded"))
    with pytest.raises(ModalignError, match=r"no split 'train' \(they have: test, val\): give its list too"):
        train_run(table(tmp_path, "val", "test"))
