"""Precomputed features as an encoder."""

import numpy as np
import pytest
import torch

from modalign.data.arrays import arrays
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.features.encoders.base import Encoder
from modalign.features.encoders.features import Features

X = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return str(tmp_path / "x.npy")


def test_rows_by_number(path):
    encoder = Features(path, "sensor")
    assert isinstance(encoder, Encoder)
    assert (encoder.modality, encoder.dim) == ("sensor", 3)
    assert encoder.encode([3, 0]).tolist() == X[[3, 0]].tolist()


@pytest.mark.parametrize("number", [-1, 4, 1.5, None, "1"])
def test_rows_that_are_not_there(path, number):
    with pytest.raises(ModalignError, match=r"rows 0 to 3, but row"):
        Features(path).encode([number])


def test_changed_content_changes_the_fingerprint(path):
    before = Features(path).fingerprint()
    np.save(path, X + 1)
    assert Features(path).fingerprint() != before


def test_arrays_go_through_the_store(path, tmp_path):
    store = embed(arrays({"sensor": path}), {"sensor": Features(path, "sensor")}, tmp_path / "store")
    assert torch.equal(store.views().data["sensor"], torch.from_numpy(X))


def test_rows_of_zeros_are_absent_and_counted(path, tmp_path):
    np.save(path, np.stack([X[1], np.zeros(3, np.float32), X[2], np.zeros(3, np.float32)]))
    with pytest.raises(ModalignError, match="row 1 holds zeros alone"):
        Features(path).encode([0, 1])
    store = embed(arrays({"sensor": path}), {"sensor": Features(path, "sensor")}, tmp_path / "store")
    assert store.views()["sensor"].tolist() == X[[1, 2]].tolist()
    assert [f.row for f in store.failures] == [1, 3]
    assert [(lost.what, lost.count) for lost in store.left_out] == 2 * [("items of 'sensor'", 1)]
