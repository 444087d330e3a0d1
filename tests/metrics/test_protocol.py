"""COCO's folds and further positives, against the package that defines them; folds of small views."""

import importlib.util
import warnings

import numpy as np
import pytest
import torch

from modalign.data.eccv import caption_links
from modalign.errors import ModalignError
from modalign.metrics import protocol
from modalign.metrics.procrustes import Procrustes
from modalign.metrics.protocol import PROTOCOLS, Protocol, folds, in_folds
from modalign.metrics.recall import Retrieval
from modalign.views import Views


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def captions(groups, each=3, order=None):
    image, ids = rows(groups, 8), torch.arange(groups) * 7 if order is None else order
    text = image.repeat_interleave(each, 0) + 1.5 * rows(groups * each, 8, 1)
    return Views({"image": image, "text": text}, {"image": ids, "text": ids.repeat_interleave(each)})


# ------------------------------------------------------------------ small views


def test_folds_follow_the_order_of_the_data_and_keep_the_first_items():
    z = captions(6, 3, order=torch.tensor([50, 10, 40, 30, 20, 60]))
    parts = folds(z, Protocol(2, 3, 2))
    assert [p.group["image"].tolist() for p in parts] == [[50, 10], [40, 30], [20, 60]]
    assert parts[0].group["text"].tolist() == [50, 50, 10, 10]
    assert torch.equal(parts[0]["text"], z["text"][[0, 1, 3, 4]])


def test_scores_over_folds_are_means_over_folds():
    z = captions(20, 2)
    parts = folds(z, Protocol(5, 4, 2))
    together, alone = in_folds(Retrieval(), parts), [Retrieval()(p) for p in parts]
    for name in ("recall/text->image/any@1", "mrr/image->text", "foscttm/text->image", "recall/image->text/fraction@5"):
        assert together[name].value == pytest.approx(sum(s[name].value for s in alone) / 4)
    first = together["recall/text->image/any@1"]
    assert first.chance == pytest.approx(1 / 5)
    assert len(first.per_item) == len(first.group) == 40
    shape = in_folds(Procrustes(), parts)["procrustes/image~text"]
    each = torch.tensor([Procrustes()(p)["procrustes/image~text"].value for p in parts])
    assert shape.value == pytest.approx(float(each.mean()))
    assert shape.high - shape.value == pytest.approx(3.182446 * float(each.std()) / 2, rel=1e-4)


def test_an_interval_over_folds_ends_where_the_measure_does_and_one_fold_has_none():
    """The upper end was 1.08 of an index that ends at 1, and both were NaN of one fold."""
    z = captions(12, 1).map(lambda m, x: rows(len(x), 8, seed=len(m)))
    name = "procrustes/image~text"
    few = in_folds(Procrustes(), folds(z, Protocol(3, 4, 1)))[name]
    assert 0.0 <= few.low < few.value < few.high <= 1.0
    whole = in_folds(Procrustes(), folds(z, Protocol(12, 1, 1)))[name]
    assert whole == Procrustes()(folds(z, Protocol(12, 1, 1))[0])[name]


def test_a_constant_aligner_ends_at_chance_in_every_protocol():
    flat = captions(12, 2).map(lambda m, x: torch.ones_like(x))
    for cut in (Protocol(12, 1, 2), Protocol(4, 3, 2)):
        for name, s in in_folds(Retrieval(), folds(flat, cut)).items():
            assert s.value == pytest.approx(s.chance, abs=1e-9), name


def test_another_number_of_groups_is_refused():
    with pytest.raises(ModalignError, match=r"coco-1k needs 5000 groups .* got 20"):
        folds(captions(20), PROTOCOLS["coco-1k"], "coco-1k")
    assert protocol.PROTOCOLS["coco-5k"].groups == 5000


# ------------------------------------------------------------------ the package's own evaluation


@pytest.fixture(scope="module")
def coco():
    """Made-up embeddings of the captions and photos of COCO's test split, and what the package says about them."""
    if importlib.util.find_spec("eccv_caption") is None:
        pytest.skip("the package eccv-caption is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from eccv_caption import Metrics

        theirs = Metrics()
    numbers = theirs.coco_ids.tolist()
    photo = [theirs.coco_gts["t2i"][c][0] for c in numbers]
    images = list(dict.fromkeys(photo))
    base = rows(len(images), 12)
    place = {number: i for i, number in enumerate(images)}
    group = torch.tensor([place[i] for i in photo])
    text = base[group] + 1.2 * rows(len(photo), 12, 1)
    z = Views({"image": base, "text": text}, {"image": torch.tensor(images), "text": torch.tensor(photo)})
    x, y = (torch.nn.functional.normalize(v) for v in (base, text))
    captions_of = np.array(numbers)[torch.cat([(p @ y.T).topk(400).indices for p in x.split(500)]).numpy()]
    images_of = np.array(images)[torch.cat([(p @ x.T).topk(400).indices for p in y.split(2500)]).numpy()]
    found = {
        "i2t": dict(zip(images, captions_of.tolist(), strict=True)),
        "t2i": dict(zip(numbers, images_of.tolist(), strict=True)),
    }
    return z, images, numbers, theirs, found


def both(scores, measure, detail):
    return {
        "i2t": scores[f"{measure}/image->text/{detail}"].value,
        "t2i": scores[f"{measure}/text->image/{detail}"].value,
    }


@pytest.mark.slow
def test_coco_5k_and_1k_equal_the_package(coco):
    z, _, _, theirs, found = coco
    whole = in_folds(Retrieval(ks=(1, 5)), folds(z, PROTOCOLS["coco-5k"]))
    assert both(whole, "recall", "any@5") == pytest.approx(theirs.coco_5k_recalls(found, "all", K=5))
    small = in_folds(Retrieval(ks=(1,)), folds(z, PROTOCOLS["coco-1k"]))
    assert both(small, "recall", "any@1") == pytest.approx(theirs.coco_1k_recalls(found, "all", K=1))


def linked_by(which, z, images, numbers):
    return Retrieval(ks=(1, 5))(Views(z.data, z.group, links=caption_links(images, numbers, which)))


@pytest.mark.slow
def test_positives_of_eccv_equal_the_package(coco):
    z, images, numbers, theirs, found = coco
    scores = linked_by("eccv", z, images, numbers)
    assert both(scores, "recall", "any@1") == pytest.approx(theirs.eccv_recalls(found, "all", K=1))
    eccv = theirs.eccv_metrics(found, "all")
    # Two of its 22,550 positives are sixth captions of their photo, which are not among the 25,000 captions.
    assert both(scores, "map", "@R") == pytest.approx(eccv["eccv_map_at_r"], rel=1e-4)
    precision = {"i2t": scores["r_precision/image->text"].value, "t2i": scores["r_precision/text->image"].value}
    assert precision == pytest.approx(eccv["eccv_rprecision"], rel=1e-4)
    assert scores["recall/image->text/any@1"].skipped == 5000 - 1261
    assert scores["recall/text->image/any@1"].skipped == 25000 - 1332


@pytest.mark.slow  # all 30,000 items ask
def test_positives_of_cxc_equal_the_package(coco):
    z, images, numbers, theirs, found = coco
    scores = linked_by("cxc", z, images, numbers)
    assert both(scores, "recall", "any@1") == pytest.approx(theirs.cxc_recalls(found, "all", K=1))


def test_links_of_what_is_not_there():
    pytest.importorskip("eccv_caption")
    with pytest.raises(ModalignError, match="none of 1 images and 1 captions"):
        caption_links([1], [2], "eccv")
    with pytest.raises(ModalignError, match="did you mean 'eccv'"):
        caption_links([1], [2], "eccvs")
