"""WordLlama: sentences -> the mean of static word-piece vectors, read from its installed wheel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from ...errors import ModalignError, explained, few, require
from ...registry import register
from .base import FrozenEncoder, Item, Tokenised, file_hash, loaded, sentences
from .text import Tokens, package_folder, padded
from .weights import Credit

VERSION = 1


@register("encoder", "wordllama")
class WordLlama(FrozenEncoder):
    """English sentences -> 256 features (WordLlama 2 supercat, static vectors from its wheel; nothing is downloaded).

        f(s) = mean_t E[token_t], divided by its length where ``unit``

    No network is run: a sentence costs a look-up, about a thousandth of a transformer's time.

    Args:
        unit: rows of length 1. A sentence of unknown characters only still has tokens, so none is zero.

    Raises:
        MissingExtraError: the package wordllama is not installed.

    Reference:
        D. L. Miller, 2024. WordLlama: recycled token embeddings from large language models (the package's page).
    """

    credit = Credit(
        "WordLlama l2_supercat, 256 of its numbers",
        "MIT",
        "Lee Miller, trained from token vectors of LLaMA 2 70B, Phi 3 medium and others, whose licences are their own",
        "package wordllama 0.4",
    )
    modality = "text"
    dim = 256
    batch_size = 256
    shard_size = 8192
    parallel = True

    def __init__(self, unit: bool = True) -> None:
        self.unit = unit
        folder = package_folder("wordllama", "wordllama")
        self.weights = folder / "weights" / "l2_supercat_256.safetensors"
        self.words = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"

    def description(self) -> dict[str, Any]:
        """Weights, tokenizer, normalisation, version of this code."""
        files = {p.name: file_hash(p) for p in (self.weights, self.words)}
        return {"encoder": "wordllama", "version": VERSION, "files": files, "unit": self.unit}

    def collate(self, items: Sequence[Item]) -> Tokens:
        """Sentences to token ids, padded on the right."""
        texts = sentences(items)
        if empty := [i for i, text in enumerate(texts) if not text.strip()]:
            raise ModalignError(f"text encoder got empty texts at positions {few(empty)}")
        return padded(self._ids(texts), 0)

    def tokenise(self, texts: Sequence[str]) -> Tokenised:
        """The tokens of texts, in rising order, as their own order is not read; none is cut.

        A letter that is no part of a word piece becomes its bytes, whose vectors tell nothing of it.
        """
        ids = [sorted(i) for i in self._ids(texts)]
        own = (self.tokenizer.token_to_id(piece) for piece in ("<unk>", *(f"<0x{b:02X}>" for b in range(256))))
        blank = self.tokenizer.token_to_id("\N{LOWER ONE EIGHTH BLOCK}")
        return Tokenised(ids, None, frozenset(i for i in own if i is not None), frozenset({blank} - {None}))

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    @loaded
    def tokenizer(self) -> Any:
        """The tokenizer; it cuts nothing."""
        tokenizer = require("tokenizers", "text").Tokenizer.from_file(str(self.words))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @loaded
    def table(self) -> Tensor:
        """(tokens, 256) vectors."""
        broken = f"weights cannot be read: {self.weights}"
        with explained(broken, SafetensorError, OSError, then="; reinstall wordllama"):
            tables = load_file(self.weights)
        return next(iter(tables.values())).float()

    def __call__(self, batch: Tokens) -> Tensor:
        """(n, 256) features."""
        if not len(batch.ids):
            return torch.empty(0, self.dim)
        real = torch.arange(batch.ids.shape[1]) < batch.length[:, None]
        start = torch.cat([torch.zeros(1, dtype=torch.long), batch.length.cumsum(0)[:-1]])
        vectors = embedding_bag(batch.ids[real], self.table, start, mode="mean")
        return normalize(vectors, dim=1) if self.unit else vectors
