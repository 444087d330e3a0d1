"""Encoders by transformers for sounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import media
from ...errors import ModalignError
from ...parameters import Count, Weight
from ...registry import register
from .audio import hear
from .base import Item
from .framing import part_means
from .melbands import windows
from .text import Precision
from .transformers_base import TransformersEncoder, projected, width_of

PART = 16
"""Windows of sounds that go through a model at a time."""


@register("encoder", "hf-audio")
class TransformersAudio(TransformersEncoder):
    """Sounds through a model of transformers: CLAP, AST, or one on the waveform (wav2vec 2.0, HuBERT, WavLM, ...).

    Sounds longer than a model takes are covered by windows of its length, evenly spaced, whose features are averaged:
    nothing is cropped at random. Features: CLAP's projected sound; of AST the mean of its two class tokens; else the
    mean over the frames that are not padding. Models on the waveform whose norms would see padding (``feat_extract_norm
    = "group"``) get sounds of one length at a time instead, so that company changes nothing.

    Args:
        folder: local folder, or the name of a model in the local cache; nothing is downloaded.
        seconds: longest window of models on the waveform.
        parts: means over that many equal parts of time, one after the other, in place of the mean: of frames in
            models on the waveform, of windows in the others.

    Raises:
        ModalignError: no such model, files of it are missing or damaged, or another kind of model.
        MissingExtraError: transformers, soundfile or soxr is not installed.
    """

    modality = "audio"
    batch_size = 4
    kind = "hf-audio"
    preprocessing = ("AutoFeatureExtractor", {})

    def __init__(
        self,
        folder: str,
        seconds: Weight = 30.0,
        precision: Precision = "float32",
        device: str = "cpu",
        parts: Count = 1,
    ) -> None:
        super().__init__(folder, precision, device)
        self.family = _family(self.config, self.folder)
        self.seconds = seconds
        self.parts = parts
        self.width = width_of(self.config, self.family == "clap", "audio_config")
        self.dim = parts * self.width

    def description(self) -> dict[str, Any]:
        """As above, with the longest window and the decoder."""
        facts = {"seconds": self.seconds if self.family == "wave" else None, "decoding": media.sound_versions()}
        facts |= {"parts": self.parts} if self.parts > 1 else {}
        return {**super().description(), **facts}

    def collate(self, items: Sequence[Item]) -> list[list[Tensor]]:
        """Decode, cut into windows, preprocess. The windows of each sound, each ready for the model but for padding."""
        extract = self.processor
        rate = int(extract.sampling_rate)
        longest = round(self._longest(extract) * rate)
        out = []
        for item in items:
            sound = hear(item, rate)
            sound = F.pad(sound, (0, max(0, self._shortest(rate) - len(sound))))
            parts = [sound[a:b].numpy() for a, b in windows(len(sound), longest)]
            given = (extract(part, sampling_rate=rate, return_tensors="pt") for part in parts)
            out.append([g["input_features" if self.family == "clap" else "input_values"][0] for g in given])
        return out

    def __call__(self, batch: Sequence[Sequence[Tensor]]) -> Tensor:
        """(n, dim) float32 features."""
        flat = [part for parts in batch for part in parts]
        if not batch:
            return torch.empty(0, self.dim)
        steps = self.parts if self.family == "wave" else 1
        out = torch.empty(len(flat), steps, self.width)
        for places in self._together(flat):
            out[places] = self._encode([flat[i] for i in places]).cpu().view(len(places), steps, self.width)
        return torch.stack([part_means(v.flatten(0, 1), self.parts) for v in out.split([len(p) for p in batch])])

    def _longest(self, extract: Any) -> float:
        """Seconds that fit into the model."""
        if self.family == "clap":
            return float(extract.max_length_s)
        if self.family == "ast":  # frames of 25 ms every 10 ms
            return (extract.max_length - 1) * 0.010 + 0.025
        return self.seconds

    def _shortest(self, rate: int) -> int:
        """Samples below which a sound gets zeros at its end: one frame of 25 ms, or one output of the convolutions."""
        if self.family != "wave":
            return round(0.025 * rate)
        need = 1
        for kernel, stride in zip(reversed(self.config.conv_kernel), reversed(self.config.conv_stride), strict=True):
            need = (need - 1) * stride + kernel
        return need

    def _together(self, flat: Sequence[Tensor]) -> list[list[int]]:
        """Which windows may go through the model at once."""
        masked = self.family == "wave" and self.config.feat_extract_norm == "layer"
        lots: dict[Any, list[int]] = {}
        for i, part in enumerate(flat):
            lots.setdefault(None if masked else tuple(part.shape), []).append(i)
        return [lot[i : i + PART] for lot in lots.values() for i in range(0, len(lot), PART)]

    def _encode(self, parts: Sequence[Tensor]) -> Tensor:
        if self.family == "clap":
            # Whether a sound was too long is stated here: left to itself, the extractor says so of one drawn at random.
            short = torch.zeros(len(parts), 1, dtype=torch.bool)
            call = self.model.get_audio_features
            return projected(self.run(call, input_features=torch.stack(list(parts)), is_longer=short)).float()
        if self.family == "ast":
            return self.run(self.model, input_values=torch.stack(list(parts))).last_hidden_state[:, :2].float().mean(1)
        length = torch.tensor([len(p) for p in parts])
        inputs = {"input_values": torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)}
        if int(length.min()) < int(length.max()):
            inputs["attention_mask"] = (torch.arange(int(length.max())) < length[:, None]).long()
        hidden = self.run(self.model, **inputs).last_hidden_state.float()
        frames = self.model._get_feat_extract_output_lengths(length).tolist()
        return torch.stack([part_means(h[:n], self.parts) for h, n in zip(hidden, frames, strict=True)])


def _family(config: Any, folder: Path) -> str:
    kind = str(config.model_type)
    if kind in ("clap", "audio-spectrogram-transformer"):
        return "clap" if kind == "clap" else "ast"
    if hasattr(config, "conv_kernel") and hasattr(config, "feat_extract_norm"):
        return "wave"
    raise ModalignError(
        f"'{kind}' is no audio model that modalign knows (CLAP, AST, wav2vec 2.0 and its kin): {folder}"
    )
