"""The text side of models of two modalities: words beside CLIP's pictures and CLAP's sounds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from ...errors import ModalignError, few
from ...registry import register
from .base import Item, Tokenised, loading, sentences
from .text import Precision, TextNet, Tokens, by_length, padded, token_rows
from .transformers_base import TransformersEncoder, projected
from .tuning import Tunable, Tuning, release

CLASSES = {"clip": "CLIPTextModelWithProjection", "clap": "ClapTextModelWithProjection"}
"""Kind of model -> the class of transformers that reads its text side; a checkpoint of both sides will do."""


@register("encoder", "hf-text")
class TransformersText(TransformersEncoder):
    """Sentences through the text side of CLIP or CLAP: the projected text, in one space with "hf-vision" or "hf-audio".

        f(s) = W h_end (CLIP: the state of the end token)        f(s) = MLP(h_1) (CLAP: the pooled first token)

    The features are not normalised, as those of the other side are not. A sentence with more tokens than the model
    takes loses its last words but keeps its end token, which CLIP reads its meaning from. Sentences are sorted by
    length and padded with a mask, so the company of a sentence changes nothing beyond rounding.

    Args:
        folder: local folder with the weights of both sides or of the text side, or the name of a model in the local
            cache; nothing is downloaded.
        precision, device: as in "transformer".

    Raises:
        ModalignError: no such model, another kind of model, or files of it are missing or damaged.
        MissingExtraError: transformers is not installed.

    Reference:
        A. Radford et al., 2021. CLIP. arXiv 2103.00020. Y. Wu et al., 2023. CLAP. arXiv 2211.06687.
    """

    modality = "text"
    kind = "hf-text"
    preprocessing = ("AutoTokenizer", {})
    shard_size = 8192

    def __init__(self, folder: str, precision: Precision = "float32", device: str = "cpu") -> None:
        super().__init__(folder, precision, device)
        self.family = str(self.config.model_type).removesuffix("_text_model")
        if self.family not in CLASSES:
            raise ModalignError(
                f"'{self.config.model_type}' has no text side that modalign knows ({few(CLASSES)}): {self.folder}"
            )
        # A folder of the text side alone states the width itself.
        self.text_config = getattr(self.config, "text_config", self.config)
        self.dim = int(self.config.projection_dim)
        # RoBERTa, inside CLAP, begins to count places after the number of its padding token.
        offset = int(self.text_config.pad_token_id) + 1 if self.family == "clap" else 0
        self.longest = int(self.text_config.max_position_embeddings) - offset

    def description(self) -> dict[str, Any]:
        """As above, with the tokenizer, whatever files it came from."""
        words = blake2b(self.processor.backend_tokenizer.to_str().encode(), digest_size=16).hexdigest()
        return {**super().description(), "tokenizer": words, "longest": self.longest}

    def plan(self, items: Sequence[Item]) -> list[list[int]]:
        """Batches of similar length, shortest first, at most ``TOKENS`` tokens each."""
        return by_length(self._ids(items))

    def collate(self, items: Sequence[Item]) -> Tokens:
        """Tokenise, cut, pad with the padding token."""
        return padded(self._ids(items), self._pad())

    def __call__(self, batch: Tokens) -> Tensor:
        """(n, dim) float32 features."""
        if not len(batch.ids):
            return torch.empty(0, self.dim)
        mask = torch.arange(batch.ids.shape[1]) < batch.length[:, None]
        return projected_text(self.run(self.model, input_ids=batch.ids, attention_mask=mask.long()), mask).float()

    def tunable(self, tuning: Tuning) -> Tunable:
        """Token ids, padded with -1, and a fresh text side, in float32."""
        model = self._load().to(self.device)
        release(model, tuning, "text_model", after=["text_projection"])
        return Tunable(token_rows, TextNet(model, projected_text, self._pad()))

    def model_class(self, transformers: Any) -> Any:
        """The text side alone."""
        return getattr(transformers, CLASSES[self.family])

    def model_config(self) -> Any:
        """That of the text side, with the width of the space that both sides share."""
        config = copy.deepcopy(self.text_config)
        config.projection_dim = self.dim
        return config

    def _pad(self) -> int:
        pad = self.processor.pad_token_id
        return int(pad if pad is not None else self.text_config.pad_token_id or 0)

    def tokenise(self, texts: Sequence[str]) -> Tokenised:
        """The tokens of texts, whatever their length."""
        with loading():
            found = self.processor(list(texts), padding=False, truncation=False, verbose=False)["input_ids"]
        ends = {self.processor.bos_token_id, self.processor.eos_token_id, self.processor.pad_token_id}
        special = frozenset(int(i) for i in {*self.processor.all_special_ids, *ends} if i is not None)
        unknown = self.processor.unk_token_id
        known = unknown is None or unknown in ends  # a tokenizer of bytes knows everything
        lost = frozenset() if known else frozenset({int(unknown)})
        return Tokenised([list(i) for i in found], self.longest, lost, special - {unknown})

    def _ids(self, items: Sequence[Item]) -> list[list[int]]:
        texts = sentences(items)
        if not texts:
            return []
        with loading():
            found = self.processor(texts, padding=False, truncation=True, max_length=self.longest)["input_ids"]
        return [list(ids) for ids in found]


def projected_text(output: Any, mask: Tensor) -> Tensor:
    """The projected text of a text side, which has seen the mask."""
    return projected(output.text_embeds)
