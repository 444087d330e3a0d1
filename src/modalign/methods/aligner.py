"""The scikit-learn face: arrays in, arrays out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ModalignError
from ..model import Model
from ..registry import check, get
from ..views import Views

Array = np.ndarray | Tensor


class Aligner:
    """Align feature arrays in one shared space.

    Args:
        method: name of a registered method (``modalign list method``).
        dim: of the shared space, at most.
        seed: of every random number.
        **settings: further settings of the method.

    Attributes after ``fit``: ``model_`` (heads), ``record_`` (what was tried and chosen), ``modalities_``.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> s = rng.normal(size=(200, 4))
        >>> X, Y = s @ rng.normal(size=(4, 10)), s @ rng.normal(size=(4, 6))
        >>> aligner = Aligner(method="cca", dim=4, ridge=0.1).fit(X, Y)
        >>> cosine = (aligner.transform(X, side="x") * aligner.transform(Y, side="y")).sum(1)
        >>> bool(cosine.min() > 0.9)
        True
    """

    def __init__(self, method: str = "full", dim: int = 256, seed: int = 0, **settings: Any) -> None:
        self.method = method
        self.dim = dim
        self.seed = seed
        self.settings = settings

    # ------------------------------------------------------------------ scikit-learn habits

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {"method": self.method, "dim": self.dim, "seed": self.seed, **self.settings}

    def set_params(self, **params: Any) -> Aligner:
        """Change constructor arguments; settings are checked by ``fit``."""
        for name, value in params.items():
            if name in ("method", "dim", "seed"):
                setattr(self, name, value)
            else:
                self.settings[name] = value
        return self

    def __repr__(self) -> str:
        return f"Aligner({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"

    # ------------------------------------------------------------------ fit and use

    def fit(self, X: Array | Views, Y: Array | None = None, pairs: Array | None = None) -> Aligner:
        """Learn the shared space.

        Args:
            X: (n, d1) array, the side "x"; or Views of any number of named arrays, and then no Y.
            Y: (m, d2) array, the side "y".
            pairs: (p, 2) row numbers of X and Y that belong together; None: row i of X and Y.
                All other rows are unpaired, and learnt from too.

        Raises:
            ModalignError: NaN or zero rows (with their numbers), unequal lengths without pairs, too few pairs,
                an unknown method or setting.
        """
        views = self._views(X, Y, pairs)
        part = get("method", self.method)
        method = part(**check(part, self._method_settings(part), f"method '{self.method}'"))
        heads = method.fit(views.validate())
        self.model_ = Model(heads, method={"name": self.method, **self._method_settings(part)}, record=method.record)
        self.record_ = method.record
        self.modalities_ = heads.modalities
        return self

    def transform(self, X: Array, side: str = "x") -> np.ndarray:
        """(n, d) rows of one side as (n, dim) float32 unit rows in the shared space.

        Raises:
            ModalignError: not fitted, unknown side, wrong width, NaN or zero rows.
        """
        if not hasattr(self, "model_"):
            raise ModalignError("this Aligner is not fitted: call fit(X, Y) first")
        rows = _tensor(X, side)
        Views({side: rows}, {side: torch.arange(len(rows))}).validate()
        return self.model_.transform(rows, side).numpy()

    def save(self, folder: Path | str) -> None:
        """Write the fitted model to a folder."""
        if not hasattr(self, "model_"):
            raise ModalignError("this Aligner is not fitted: call fit(X, Y) first")
        self.model_.save(folder)

    @classmethod
    def load(cls, folder: Path | str) -> Aligner:
        """A fitted Aligner from what ``save`` wrote."""
        model = Model.load(folder)
        settings = dict(model.method)
        aligner = cls(settings.pop("name", "full"), **settings)
        aligner.model_, aligner.record_, aligner.modalities_ = model, model.record, model.heads.modalities
        return aligner

    def _method_settings(self, part: Any) -> dict[str, Any]:
        common = {"dim": self.dim, "seed": self.seed}
        accepted = inspect.signature(part).parameters
        return {**{k: v for k, v in common.items() if k in accepted}, **self.settings}

    def _views(self, X: Array | Views, Y: Array | None, pairs: Array | None) -> Views:
        if isinstance(X, Views):
            if Y is not None or pairs is not None:
                raise ModalignError("views carry their own pairs: give fit(views) alone")
            return X
        if Y is None:
            raise ModalignError("fit needs two arrays, fit(X, Y), or Views of any number of named arrays")
        known = None if pairs is None else torch.as_tensor(np.asarray(pairs))
        return Views.from_arrays(known, x=_tensor(X, "x"), y=_tensor(Y, "y"))


def _tensor(x: Array | Mapping[str, Any], side: str) -> Tensor:
    """A float32 tensor of an array, of any numeric dtype, byte order and layout."""
    if isinstance(x, Tensor):
        rows = x.detach().cpu()
    else:
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise ModalignError(f"'{side}' must hold numbers, got an array of {array.dtype}")
        rows = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    if rows.ndim != 2:
        raise ModalignError(f"'{side}' must be a 2-D array (rows, features), got shape {tuple(rows.shape)}")
    return rows.float()
