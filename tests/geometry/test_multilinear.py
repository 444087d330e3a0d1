"""Multilinear products: definition, the two-modality limit, wrong tuples that are none."""

import pytest
import torch

from modalign.errors import ModalignError
from modalign.geometry import contrast, multilinear


def rows(n, d, seed=0):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(x, dim=1)


def test_product_equals_its_definition():
    x, y, z = (rows(3, 4, s) for s in range(3))
    torch.testing.assert_close(multilinear.product([x, y, z]), torch.einsum("nd,nd,nd->n", x, y, z))


def test_two_modalities_with_all_combinations_are_clip():
    x, y = rows(5, 4), rows(5, 4, 1)
    torch.testing.assert_close(multilinear.symile([x, y], 7.0, "all"), contrast.clip(x, y, scale=7.0))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_all_combinations_equal_a_slow_reference(count):
    vectors = [rows(3, 4, s) for s in range(count)]
    losses = []
    for i, anchor in enumerate(vectors):
        others = vectors[:i] + vectors[i + 1 :]
        letters = "abcde"[: len(others)]
        terms = ",".join(f"{c}z" for c in letters)
        scores = torch.einsum(f"nz,{terms}->n{letters}", anchor, *others).flatten(1)
        own = multilinear.product([anchor, *others])
        losses.append((torch.logsumexp(5 * scores, 1) - 5 * own).mean())
    torch.testing.assert_close(multilinear.symile(vectors, 5.0, "all"), torch.stack(losses).mean())


def test_a_permutation_that_rebuilds_the_own_tuple_is_no_negative(monkeypatch):
    """Identity permutations: every wrong tuple k of anchor i is tuple k, and k = i never competes with itself."""
    monkeypatch.setattr(torch, "randperm", lambda n, **_: torch.tensor([1, 0, 2])[:n])
    x, y, z = (rows(3, 4, s) for s in range(3))
    losses = []
    for anchor, others in ((x, (y, z)), (y, (x, z)), (z, (x, y))):
        product = others[0] * others[1]
        wrong = {0: [2], 1: [2], 2: [1, 0]}  # column k holds tuple [1, 0, 2][k]; column i gives way to the own tuple
        for i, columns in wrong.items():
            scores = torch.stack([anchor[i] @ product[i], *(anchor[i] @ product[[1, 0, 2][k]] for k in columns)])
            losses.append(torch.logsumexp(scores, 0) - scores[0])
    torch.testing.assert_close(multilinear.symile([x, y, z], 1.0, "n"), torch.stack(losses).mean())


@pytest.mark.parametrize("negatives", ["n", "all"])
def test_one_item_and_no_item_are_zero(negatives):
    for n in (0, 1):
        assert multilinear.symile([rows(2, 4, s)[:n] for s in range(3)], 5.0, negatives).item() == 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: multilinear.symile([rows(2, 3)], 1.0), "two modalities"),
        (lambda: multilinear.symile([rows(2, 3), rows(3, 3)], 1.0), "one shape"),
        (lambda: multilinear.symile([rows(2, 3), rows(2, 3)], 1.0, "some"), "negatives"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ModalignError, match=words):
        call()
