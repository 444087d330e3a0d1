"""A teacher: what the similarity of two items should be, seen from the heads' inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..errors import ModalignError
from ..geometry.correlation import cca
from ..geometry.cost import inner, working
from ..views import Views
from .base import key_of


class Teacher(nn.Module):
    """Fixed maps from features to a space in which cosines are trusted. Kept as buffers, so saved and resumed.

    Args:
        source: "cca": canonical correlation of the known pairs, fitted by ``prepare``; "features": the features
            themselves, which then must have one width; anything else: the folder of a saved model, whose heads
            are the teacher.
        dim: directions of the "cca" teacher.
        ridge: of the "cca" teacher, in units of the mean variance.

    Raises:
        ModalignError: the folder holds no model.
    """

    def __init__(self, source: str = "cca", dim: int = 256, ridge: float = 1.0) -> None:
        super().__init__()
        self.source, self.dim, self.ridge = source, dim, ridge
        self.heads: nn.Module | None = None
        if source not in ("cca", "features"):
            from ..model import Model

            self.heads = Model.load(Path(source)).heads.requires_grad_(False).eval()

    def prepare(self, x: Views) -> None:
        """Fit the "cca" teacher to the pairs among training features; the others need nothing.

        Raises:
            ModalignError: fewer than two modalities, or none of them has pairs.
        """
        if self.source != "cca":
            return
        names = list(x.modalities)
        links = {
            (i, j): (x.paired(a, b), None)
            for i, a in enumerate(names)
            for j, b in enumerate(names)
            if i < j and len(x.paired(a, b))
        }
        if not links:
            raise ModalignError("a 'cca' teacher needs known pairs of two modalities, the training data have none")
        fit = cca([x[m].detach() for m in names], links, self.dim, self.ridge)
        for m, mean, weight in zip(names, fit.means, fit.weights, strict=True):
            self._keep(m, mean.float(), weight.float())

    @torch.no_grad()
    def similarity(self, x: Views, a: str, b: str) -> Tensor:
        """(n_a, n_b) cosines of the items of two modalities, without gradient.

        Raises:
            ModalignError: the teacher was not prepared, or does not know a modality.
        """
        return inner(*working(self.embed(x, a), self.embed(x, b))).clamp(-1.0, 1.0)

    def embed(self, x: Views, modality: str) -> Tensor:
        """(n, d) unit rows."""
        rows = working(x[modality])[0]
        if self.heads is not None:
            return self.heads.transform(rows, modality)  # type: ignore[operator]
        if self.source == "features":
            return normalize(rows, dim=1)
        key = key_of(modality)
        if not hasattr(self, f"mean_{key}"):
            raise ModalignError(
                f"the teacher has not seen '{modality}': call prepare(views of the training features) before training"
            )
        return normalize(
            (rows - getattr(self, f"mean_{key}").to(rows)) @ getattr(self, f"weight_{key}").to(rows), dim=1
        )

    def train(self, mode: bool = True) -> Teacher:
        """A teacher does not train: its heads stay in evaluation mode."""
        return super().train(False)

    def _keep(self, modality: str, mean: Tensor, weight: Tensor) -> None:
        self.register_buffer(f"mean_{key_of(modality)}", mean)
        self.register_buffer(f"weight_{key_of(modality)}", weight)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Make room for the buffers of a saved teacher, so that a resumed run need not fit it again."""
        for name, value in state.items():
            short = name.removeprefix(prefix)
            if name.startswith(prefix) and short.startswith(("mean_", "weight_")):
                self.register_buffer(short, torch.empty_like(value))
        super()._load_from_state_dict(state, prefix, *rest)
