"""Decoder, vocabulary and what is done to points before they are read; saved without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.functional import normalize

from ...errors import ModalignError, check_known
from ...files import as_path, read_tied, write_tied
from ...registry import check
from ...views import Views
from .decoder import Decoder, beam_search
from .vocabulary import Vocabulary

FORMAT = 1
WEIGHTS, TABLE = "captioner.safetensors", "captioner.json"


def centred(z: Tensor, modality: str, means: Mapping[str, Tensor]) -> Tensor:
    """Unit rows, and where there are means, their modality's taken away: normalise(normalise(z) - mean_m).

    Raises:
        ModalignError: there are means, but none of this modality.

    Reference: Zhang et al. 2024, "Connect, Collapse, Corrupt", arXiv 2401.08567, section 4.

    Example:
        >>> centred(torch.tensor([[2.0, 0.0]]), "image", {"image": torch.tensor([0.0, -1.0])})
        tensor([[0.7071, 0.7071]])
    """
    z = normalize(z.float(), dim=1)
    if not means:
        return z
    check_known("modality with a mean", modality, means)
    return normalize(z - means[modality].to(z.device), dim=1)


def unit_means(z: Views) -> dict[str, Tensor]:
    """Mean of the unit rows of each modality."""
    return {m: normalize(x.float(), dim=1).mean(0) for m, x in z.data.items() if len(x)}


class Captioner:
    """Points of the shared space -> captions.

    Args:
        decoder: the transformer.
        vocabulary: its words.
        means: modality -> (dim,) mean of its training points, taken away before reading so that modalities that lie
            apart are read alike; empty: points are read as they are.

    Raises:
        ModalignError: the vocabulary is not the decoder's.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary, means: Mapping[str, Tensor] | None = None) -> None:
        if decoder.settings["words"] != len(vocabulary):
            raise ModalignError(f"a decoder of {decoder.settings['words']} words got a vocabulary of {len(vocabulary)}")
        self.decoder, self.vocabulary, self.means = decoder, vocabulary, dict(means or {})

    def caption(
        self, z: Tensor, modality: str = "image", beam: int = 4, power: float = 0.7, chunk: int = 256
    ) -> list[str]:
        """Captions of (n, dim) points of one modality by beam search; beam 1 is greedy.

        Raises:
            ModalignError: points of another width, or with NaN or infinite values; means are kept, but not for this
                modality.
        """
        if z.ndim != 2 or not torch.isfinite(z).all():
            raise ModalignError(f"points to caption must be finite rows (n, dim), got shape {tuple(z.shape)}")
        training = self.decoder.training
        self.decoder.eval()
        points = centred(z, modality, self.means)
        rows = [beam_search(self.decoder, part, beam, power)[0] for part in points.split(chunk)]
        self.decoder.train(training)
        return [self.vocabulary.decode(row) for part in rows for row in part.tolist()]

    def save(self, folder: Path | str) -> None:
        """Write captioner.safetensors and captioner.json, each atomically."""
        folder = as_path(folder)
        tensors = {f"decoder.{k}": v.detach().cpu().contiguous() for k, v in self.decoder.state_dict().items()}
        blob = save(tensors | {f"mean.{m}": mean.detach().cpu().contiguous() for m, mean in self.means.items()})
        table = {"format": FORMAT, "decoder": self.decoder.settings, "words": list(self.vocabulary.words)}
        write_tied(folder / WEIGHTS, folder / TABLE, blob, table)

    @classmethod
    def load(cls, folder: Path | str) -> Captioner:
        """Read what ``save`` wrote. Nothing is unpickled.

        Raises:
            ModalignError: files missing, damaged, of a newer format, or not of one save.
        """
        path = as_path(folder) / TABLE
        blob, table = read_tied(path.with_name(WEIGHTS), path, "captioner", FORMAT)
        try:
            tensors = load(blob)
            decoder = Decoder(**check(Decoder, table["decoder"], "captioner"))
            decoder.load_state_dict(_part(tensors, "decoder."))
            return cls(decoder.eval(), Vocabulary(table["words"]), _part(tensors, "mean."))
        except (SafetensorError, RuntimeError, KeyError, TypeError) as problem:
            raise ModalignError(f"captioner is damaged: {path} ({' '.join(str(problem).split())[:200]})") from None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
