"""A model as a repository of the Hugging Face hub: safetensors, JSON, a model card. Nothing is pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import check_known, explained, require
from ..files import as_path, write_json, write_text
from ..model import Heads, Model
from ..model.model import FILES
from ..runs.run import Run
from .card import card, write_figures

hub: Any = require("huggingface_hub", "hub")
CONFIG = "config.json"  # by its downloads the hub counts those of a model
DOWNLOAD = ("revision", "cache_dir", "force_download", "local_files_only", "token")


class Card(hub.ModelCard):
    """A card that is written whole or not at all: one that is there already is kept."""

    def save(self, filepath: Path | str) -> None:
        write_text(Path(filepath), str(self))


class HubModel(Model, hub.ModelHubMixin):
    """A `Model` that is saved to, loaded from and pushed to the hub by huggingface_hub's own mixin.

    ``save_pretrained(folder)`` writes ``model.safetensors``, ``model.json``, ``config.json``, figures and a README.md,
    whose metadata ``model_card_kwargs={"license": "apache-2.0"}`` extends. ``push_to_hub(name)`` writes and uploads.
    A README.md that is there already is kept. The card is headed by ``name``, or else by that of the folder.

    Example:
        >>> from modalign.model import FeatureMap, Head, Projection
        >>> model = HubModel(Heads({"text": Head(FeatureMap(3), Projection(3, 2))}))
        >>> _ = model.save_pretrained("mine")
        >>> sorted(p.name for p in Path("mine").iterdir())
        ['README.md', 'config.json', 'model.json', 'model.safetensors']
        >>> HubModel.from_pretrained("mine").heads.dim
        2
    """

    def __init__(self, heads: Heads, *args: Any, **kwargs: Any) -> None:
        super().__init__(heads, *args, **kwargs)
        self.source: Run | None = None
        self.title = "modalign"
        self.name: str | None = None
        self.figures: list[str] = []

    @classmethod
    def from_run(cls, folder: Path | str) -> HubModel:
        """The model of a run folder, with its scores, data and figures for the card.

        Raises:
            ModalignError: no run, or one without a model.
        """
        model: HubModel = cls.load(folder)  # type: ignore[assignment]
        model.source = Run.open(folder)
        return model

    def _save_pretrained(self, save_directory: Path) -> None:
        self.save(save_directory)
        self.title = self.name or save_directory.resolve().name
        if self.source is not None:
            self.figures = write_figures(self.source, save_directory)
        shape = {m: self.heads[m].features.width for m in self.heads.modalities}
        write_json(save_directory / CONFIG, {"library": "modalign", "features": shape, "dim": self.heads.dim})

    @classmethod
    def from_pretrained(cls, name: Path | str, **wish: Any) -> HubModel:
        """The model of a folder or a repository; nothing is taken from ``config.json``, which is for others.

        Args:
            name: of either. wish: ``revision``, ``cache_dir``, ``local_files_only``, ... as huggingface_hub has them.

        Raises:
            ModalignError: neither can be reached, or its files are damaged.
        """
        folder = as_path(name, "model")
        if not folder.is_dir():
            for setting in wish:
                check_known("setting of a download", setting, DOWNLOAD)
            with explained(f"neither a folder nor a repository that can be reached: {name}", OSError, ValueError):
                folder = Path(hub.snapshot_download(str(name), allow_patterns=[*FILES, CONFIG], **wish))
        model: HubModel = cls.load(folder)  # type: ignore[assignment]
        return model

    def generate_model_card(self, *args: Any, **more: Any) -> Any:
        """The card; keywords are further metadata, as ``license`` or ``datasets``."""
        return Card(card(self, self.source, self.title, self.figures, more))
