"""WordLlama from its wheel: the mean of word-piece vectors, whatever else is in the batch."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from modalign.errors import ModalignError
from modalign.features.reading import remarks
from modalign.registry import make

pytestmark = pytest.mark.skipif(importlib.util.find_spec("wordllama") is None, reason="wordllama is not installed")
WORDS = ["A dog runs.", "Two children play in the snow by a frozen lake", "é"]


@pytest.fixture(scope="module")
def encoder() -> Any:
    return make("encoder", "wordllama", unit=False)


def test_a_sentence_is_the_mean_of_its_pieces(encoder: Any) -> None:
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    table = next(iter(load_file(encoder.weights).values())).float()
    pieces = Tokenizer.from_file(str(encoder.words)).encode(WORDS[1], add_special_tokens=False).ids
    assert torch.allclose(encoder.encode(WORDS)[1], table[pieces].mean(0), atol=1e-6)


def test_company_makes_no_difference_and_rows_have_length_one() -> None:
    encoder = make("encoder", "wordllama")
    together = encoder.encode(WORDS)
    assert together.shape == (3, 256)
    assert torch.allclose(together, torch.cat([encoder.encode([w]) for w in WORDS]), atol=1e-6)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    assert encoder.fingerprint() != make("encoder", "wordllama", unit=False).fingerprint()


def test_what_is_no_sentence_is_refused(encoder: Any) -> None:
    for bad, why in (("", "empty texts"), ("  ", "empty texts"), (3, "got int")):
        with pytest.raises(ModalignError, match=why):
            encoder.collate([bad])


def test_what_is_not_read_of_texts_is_told() -> None:
    """Letters of other scripts are read as bytes, and the order of words is not read: both are told."""
    told = remarks(
        ["狗", "a dog", "naïve man bites naïve dog", "naïve dog bites naïve man"], make("encoder", "wordllama")
    )
    assert told[0] == '1 text holds no word that the encoder knows: "狗"'
    assert told[1].startswith("2 different texts are read alike, as 1")
