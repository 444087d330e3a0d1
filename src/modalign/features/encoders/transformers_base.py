"""Common ground of encoders by transformers: a model in a local folder or the local cache, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from ...errors import ModalignError, explained, few, require
from .base import FrozenEncoder, file_hash, frozen, loaded
from .text import Precision, quiet

VERSION = 1
WEIGHTS = (".safetensors", ".bin")

TokenPooling = Literal["auto", "cls", "mean"]


class TransformersEncoder(FrozenEncoder):
    """Common ground: the folder, its fingerprint, the model and its processor, loaded at first use."""

    kind = ""
    preprocessing: tuple[str, Mapping[str, Any]]
    """The class of transformers that reads it from the folder, and its settings."""

    def __init__(self, folder: str, precision: Precision, device: str) -> None:
        self.folder = model_folder(folder)
        self.precision = precision
        self.device = device
        kinds = (OSError, ValueError, KeyError)
        with explained(f"not a model of transformers: {self.folder}", *kinds), quiet() as transformers:
            self.config = transformers.AutoConfig.from_pretrained(self.folder, local_files_only=True)

    def description(self) -> dict[str, Any]:
        """Weights, configuration, processor, precision, versions of this code and of transformers."""
        files = [p for p in sorted(self.folder.iterdir()) if p.suffix in WEIGHTS or p.name.endswith("config.json")]
        if not any(p.suffix in WEIGHTS for p in files):
            raise ModalignError(f"model has no weights ({' or '.join(WEIGHTS)}): {self.folder}")
        return {
            "encoder": self.kind,
            "version": VERSION,
            "transformers": str(require("transformers", "text").__version__),
            "files": {p.name: file_hash(p) for p in files},
            "precision": self.precision,
        }

    @loaded
    def model(self) -> Any:
        """The model, in evaluation mode. Weights that its file lacks are an error, never random numbers."""
        return self._load().to(self.device, getattr(torch, self.precision))

    def _load(self) -> Any:
        kinds = (OSError, ValueError, RuntimeError, SafetensorError)
        with explained(f"model cannot be loaded: {self.folder}", *kinds), quiet() as transformers:
            model, facts = self.model_class(transformers).from_pretrained(
                self.folder,
                config=self.model_config(),
                local_files_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        lacking = sorted(k for k in facts["missing_keys"] if "pooler" not in k)  # poolers are not used
        if lacking:
            raise ModalignError(f"model lacks {len(lacking)} of its weights: {self.folder} ({few(lacking, 3)})")
        return frozen(model)

    def model_class(self, transformers: Any) -> Any:
        """The class of transformers that reads the folder."""
        return transformers.AutoModel

    def model_config(self) -> Any:
        """The configuration of what is loaded."""
        return self.config

    @loaded
    def processor(self) -> Any:
        """What the folder says of preprocessing."""
        kind, settings = self.preprocessing
        lack = f"model has no preprocessing that can be loaded: {self.folder}"
        with explained(lack, OSError, ValueError, KeyError, ImportError), quiet() as transformers:
            return getattr(transformers, kind).from_pretrained(self.folder, local_files_only=True, **settings)

    def run(self, call: Callable[..., Any], **inputs: Tensor) -> Any:
        """Call the model without gradients, floats at its precision."""
        kind = getattr(torch, self.precision)
        given = {k: v.to(self.device, kind if v.is_floating_point() else v.dtype) for k, v in inputs.items()}
        with torch.inference_mode():
            return call(**given)


def model_folder(name: str) -> Path:
    """The folder of a model: a local one, or its place in the local cache.

    Raises:
        ModalignError: neither is there.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    hub = require("huggingface_hub", "text")
    try:
        return Path(hub.snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as problem:
        raise ModalignError(
            f"model '{name}' is neither a folder nor in the local cache, and nothing is downloaded "
            f"({type(problem).__name__})"
        ) from None


def pool_tokens(hidden: Tensor, model: Any, pooling: TokenPooling) -> Tensor:
    """Last hidden states -> features: (n, t, d) by class token or mean, (n, d, h, w) by the mean over places.

    Example:
        >>> pool_tokens(torch.tensor([[[1.0], [3.0]]]), torch.nn.Identity(), "auto")
        tensor([[2.]])
    """
    if hidden.ndim == 4:
        return hidden.mean((2, 3))
    if pooling == "auto":
        marks = ("cls_token", "class_embedding")
        pooling = "cls" if any(name.endswith(marks) for name, _ in model.named_parameters()) else "mean"
    return hidden[:, 0] if pooling == "cls" else hidden.mean(1)


def projected(output: Any) -> Tensor:
    """The embedding that a model of two modalities returns, in older and newer versions of transformers."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found


def width_of(config: Any, of_pair: bool, part: str) -> int:
    """Width of the features."""
    if of_pair and getattr(config, "projection_dim", None):
        return int(config.projection_dim)
    inner = getattr(config, part, config)
    sizes = getattr(inner, "hidden_sizes", None)
    width = sizes[-1] if sizes else getattr(inner, "hidden_size", None)
    if width is None:
        raise ModalignError(f"the configuration of '{config.model_type}' does not tell the width of its features")
    return int(width)
