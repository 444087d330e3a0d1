"""Modules of sentence-transformers that hold an encoder and a head of modalign.

A folder that uses them is opened with ``SentenceTransformer(folder, trust_remote_code=True)``: that package asks for it
wherever a folder names a class that is not its own. modalign has to be installed there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModalignError, require
from ..model import Heads
from ..registry import make

parts: Any = require("sentence_transformers.base.modules", "hub")
POINTS = "sentence_embedding"


class Encode(parts.InputModule):
    """Raw items of one modality -> features, by a registered encoder.

    Args:
        encoder: its name and settings, as in a specification.
    """

    config_keys = ["encoder"]  # noqa: RUF012 (as the package has it)
    save_in_root = False

    def __init__(self, encoder: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = encoder
        self.reads = make("encoder", **encoder)

    @property
    def modalities(self) -> list[str]:
        """The one it reads."""
        return [self.reads.modality]

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Decode items: words, paths, bytes, pictures, or sounds as {"array": ..., "sampling_rate": ...}."""
        items = [_item(i) for i in inputs]
        return {"batch": self.reads.collate([prompt + i for i in items] if prompt else items)}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Encode the batch."""
        return {**features, POINTS: self.reads(features["batch"]).float().clone()}

    def get_embedding_dimension(self) -> int:
        """Width of the features."""
        return int(self.reads.dim)

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the encoder's name and settings."""
        self.save_config(output_path)


class SharedHead(parts.Module):
    """Features -> unit rows in the shared space, by a head of any kind.

    Args:
        head: its specification, as ``Head.specification`` gives it.
    """

    config_keys = ["head"]  # noqa: RUF012

    def __init__(self, head: dict[str, Any]) -> None:
        super().__init__()
        self.head = head
        self.maps = Heads.from_specification({"x": head})["x"].eval()

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Map the features."""
        return {**features, POINTS: self.maps(features[POINTS])}

    def get_embedding_dimension(self) -> int:
        """Width of the shared space."""
        return self.maps.dim

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write specification and weights."""
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=True)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> SharedHead:
        """Read what ``save`` wrote."""
        keep = ("token", "cache_folder", "revision", "local_files_only")
        where = {k: v for k, v in kwargs.items() if k in keep} | {"subfolder": subfolder}
        model = cls(**cls.load_config(model_name_or_path, **where))
        loaded: SharedHead = cls.load_torch_weights(model_name_or_path, model=model, **where)
        return loaded


def _item(given: Any) -> Any:
    """What encoders of modalign read, of what sentence-transformers is given."""
    if isinstance(given, Mapping) and "array" not in given:
        if len(given) != 1:
            raise ModalignError(f"an item of several modalities, {', '.join(map(str, given))}: encode them one by one")
        return _item(next(iter(given.values())))
    return given
