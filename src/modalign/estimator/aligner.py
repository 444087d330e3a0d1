"""The scikit-learn estimator: arrays in, arrays out, and what pipelines and searches ask for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data
from torch import Tensor

from ..errors import ModalignError, check_known, few
from ..methods.base import on_cpu
from ..model import Model
from ..parameters import Dim, Seed, check_value, is_sparse
from ..registry import check, get, names
from ..training.loop import dev_recall
from ..views import Views
from ..views.groups import pair_table
from ..views.tables import matrix, names_of, require_one_order, require_order

Table = Any
"""(n, d): array, tensor, pandas or polars data frame, or what speaks DLPack."""


class NotFitted(ModalignError, NotFittedError):
    """An aligner is asked for what only a fit gives."""


class Aligner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Align feature arrays in one shared space, as an estimator of scikit-learn.

    Args:
        method: name of a registered method (``modalign list method``).
        dim: of the shared space, at most.
        seed: of every random number.
        **settings: further settings of the method, by the names of its constructor.

    What is wrong with these is told by ``fit``, as scikit-learn has it.

    Attributes:
        model_: heads and what they belong to.
        record_: what the method tried and chose.
        modalities_: names of the sides.
        n_features_in_: columns of the first side.
        feature_names_in_: their names, where it was a data frame.
        feature_names_: side -> names of its columns, of those that were data frames.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> s = rng.normal(size=(200, 4))
        >>> X, Y = s @ rng.normal(size=(4, 10)), s @ rng.normal(size=(4, 6))
        >>> aligner = Aligner(method="cca", dim=4, ridge=0.1).fit(X, Y)
        >>> cosine = (aligner.transform(X) * aligner.transform(Y)).sum(1)
        >>> bool(cosine.min() > 0.9), aligner.score(X, Y) > 0.9
        (True, True)
    """

    def __init__(self, method: str = "full", dim: int = 256, seed: int = 0, **settings: Any) -> None:
        self.method = method
        self.dim = dim
        self.seed = seed
        self.__dict__.update(settings)

    # ------------------------------------------------------------------ parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name, those of the method included."""
        return {k: v for k, v in vars(self).items() if not (k.startswith("_") or k.endswith("_"))}

    def set_params(self, **params: Any) -> Aligner:
        """Change constructor arguments. Names are checked at once, values by ``fit``.

        Raises:
            ModalignError: a name that neither this class nor the method has; it names the nearest one.
        """
        _check_names(params.get("method", self.method), params)
        self.__dict__.update(params)
        return self

    # ------------------------------------------------------------------ fit and use

    def fit(
        self, X: Table | Mapping[str, Table] | Views, y: Table | None = None, pairs: Table | None = None
    ) -> Aligner:
        """Learn the shared space.

        Args:
            X: (n, d1), the side "x"; or {name: array}; or Views of any number of named arrays. Then no y.
            y: (m, d2), or (m,) for a single column, the side "y".
            pairs: which rows of the two arrays belong together. (p, 2) row numbers; or (n,) booleans, for row i of
                both, which scikit-learn cuts into folds as it cuts rows; None: all rows i.
                All other rows are unpaired, and learnt from too.

        Raises:
            ModalignError: NaN or zero rows (with their numbers), unequal lengths without pairs, too few pairs,
                an unknown method or setting, or a value of another type or out of range.
        """
        for name, kind in _OWN.items():
            check_value(kind, getattr(self, name), name)
        _check_names(self.method, self.get_params())
        part = get("method", self.method)
        method = part(**check(part, self._method_settings(part), f"method '{self.method}'"))
        views = self._views(X, y, pairs).validate()
        most = max(len(rows) for rows in views.data.values())
        if most < 2:
            raise ModalignError(f"a shared space cannot be learnt from {most} sample(s): give 2 or more, better 100")
        heads = method.fit(views)
        tables = _by_side(X, y)
        self.feature_names_ = {m: found for m, table in tables.items() if (found := names_of(table))}
        self.record_ = method.record
        record = {**method.record, "columns": self.feature_names_} if self.feature_names_ else method.record
        self._keep(Model(heads, method={"name": self.method, **self._method_settings(part)}, record=record))
        first = self.modalities_[0]
        seen = tables[first] if first in self.feature_names_ else views[first].numpy()
        validate_data(self, seen, reset=True, skip_check_array=True)
        return self

    def fit_transform(self, X: Table, y: Table | None = None, pairs: Table | None = None) -> np.ndarray:
        """``fit``, then X itself in the shared space."""
        return self.fit(X, y, pairs)._rows(X, "x")

    def transform(self, X: Table, side: str | None = None) -> np.ndarray:
        """(n, d) rows of one side as (n, dim) float32 unit rows in the shared space.

        Args:
            X: an array; or {name: array}, which gives {name: array}; or Views, which give Views.
            side: whose rows they are; None: told by their columns, where no two sides could have them.

        Raises:
            ModalignError: not fitted, a side that is unknown or cannot be told, wrong width, NaN or zero rows.
        """
        return self._rows(X, side)

    def score(
        self, X: Table | Mapping[str, Table] | Views, y: Table | None = None, pairs: Table | None = None
    ) -> float:
        """Mean recall: of Recall@1, @5 and @10 between all sides in both directions, in [0, 1]. Higher is better.

        Args:
            X, y, pairs: as for ``fit``. Items without a partner are candidates for the others.

        Raises:
            ModalignError: as ``transform`` does; or no row has its partner.
        """
        self._check_fitted()
        views = self._views(X, y, pairs)
        if not any(len(views.paired(a, b)) for a, b in views.pairs()):
            raise ModalignError("score needs rows that belong together: two arrays of equal length, or pairs")
        named = {m: table for m, table in _by_side(X, y).items() if names_of(table)}
        return dev_recall(views.map(lambda m, rows: torch.from_numpy(self._rows(named.get(m, rows), m))))

    # ------------------------------------------------------------------ files

    def save(self, folder: Path | str) -> None:
        """Write the fitted model to a folder."""
        self._check_fitted()
        self.model_.save(folder)

    @classmethod
    def load(cls, folder: Path | str) -> Aligner:
        """A fitted Aligner from what ``save``, or any fit, wrote."""
        model = Model.load(folder)
        settings = dict(model.method)
        aligner = cls(settings.pop("name", "full"), **settings)
        aligner.record_ = {k: v for k, v in model.record.items() if k != "columns"}
        aligner.feature_names_ = {m: list(names) for m, names in model.record.get("columns", {}).items()}
        aligner._keep(model)
        first = model.heads.modalities[0]
        aligner.n_features_in_ = model.heads[first].features.width
        if first in aligner.feature_names_:
            aligner.feature_names_in_ = np.array(aligner.feature_names_[first], dtype=object)
        return aligner

    # ------------------------------------------------------------------ inside

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output, tags.target_tags.single_output = True, False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _keep(self, model: Model) -> None:
        self.model_, self.modalities_, self._n_features_out = model, model.heads.modalities, model.heads.dim

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFitted("this Aligner is not fitted: call fit(X, Y) first")

    def _method_settings(self, part: Any) -> dict[str, Any]:
        """All parameters but the method's name; size and seed only where it has them."""
        accepted = inspect.signature(part).parameters
        return {k: v for k, v in self.get_params().items() if k not in _OWN or k in accepted}

    def _views(self, X: Any, y: Table | None, pairs: Table | None) -> Views:
        if isinstance(X, Views):
            if y is not None or pairs is not None:
                raise ModalignError("views carry their own pairs: give fit(views) alone")
            return on_cpu(X)
        if _is_named(X):
            if y is not None:
                raise ModalignError("a mapping names every array: give fit({name: array, ...}) without a second one")
            if len(X) < 2 or "pairs" in X or not all(isinstance(m, str) for m in X):
                raise ModalignError(f"a mapping needs two arrays or more, under words as names, got {list(X)}")
            tables = dict(X)
        elif y is None:
            raise ModalignError(
                "an aligner requires y to be passed, but the target y is None: fit needs two arrays, fit(X, y), "
                "or a mapping or Views of named arrays"
            )
        else:
            tables = {"x": X, "y": y}
        if pairs is None:
            require_one_order(tables)
        elif len(tables) == 2:
            require_order(pairs, *tables)
        arrays = {m: matrix(t, m, column=m == "y" and t is y) for m, t in tables.items()}
        return Views.from_arrays(_row_numbers(pairs, arrays), **arrays)

    def _rows(self, X: Table, side: str | None) -> np.ndarray:
        self._check_fitted()
        if not isinstance(side, str | None):
            raise ModalignError(
                f"side is a name ({few(self.modalities_)}), got {type(side).__name__}: "
                "give one array at a time, or {name: array}"
            )
        rows = matrix(X, side or "X")
        side = side or self._side_of(X, rows)
        self._check_columns(X, rows, side)
        return self.model_.transform(rows, side).numpy()

    def _side_of(self, X: Table, rows: Tensor) -> str:
        """The side that a table's columns tell, by their names or else by their number."""
        if (found := names_of(X)) is not None:
            named = [m for m, own in self.feature_names_.items() if own == found]
            if len(named) == 1:
                return named[0]
        widths = {m: self.model_.heads[m].features.width for m in self.modalities_}
        fitting = [m for m, width in widths.items() if width == rows.shape[1]]
        if len(fitting) > 1:
            sides = " or ".join(f"side='{m}'" for m in fitting)
            raise ModalignError(f"{rows.shape[1]} columns do not tell whose rows these are: say {sides}")
        if not fitting:
            told = ", ".join(f"{m} {width}" for m, width in widths.items())
            first = widths[self.modalities_[0]]
            raise ModalignError(
                f"X has {rows.shape[1]} features, but Aligner is expecting {first} features as input (sides: {told})"
            )
        return fitting[0]

    def _check_columns(self, X: Table, rows: Tensor, side: str) -> None:
        """Raise, or warn as scikit-learn does, where a data frame has not the columns of the fit."""
        found, own = names_of(X), self.feature_names_.get(side)
        if side == self.modalities_[0] and rows.shape[1] == self.n_features_in_:
            validate_data(self, X if found else rows.numpy(), reset=False, skip_check_array=True)
        if found is not None and own is not None and found != own:
            raise ModalignError(f"the columns of '{side}' are not those of the fit, in their order: {own}")


_OWN = {"method": str, "dim": Dim, "seed": Seed}


def _check_names(method: Any, settings: Iterable[str]) -> None:
    """Refuse settings that neither the class nor the method has; an unknown method is refused elsewhere."""
    if isinstance(method, str) and method in names("method"):
        known = {*_OWN, *inspect.signature(get("method", method)).parameters}
        for name in settings:
            check_known(f"setting of method '{method}'", name, known)


def _is_named(x: Any) -> bool:
    """Whether it is tables by name; some sparse arrays are mappings too."""
    return isinstance(x, Mapping) and not is_sparse(x)


def _by_side(X: Any, y: Table | None) -> dict[str, Any]:
    """Side -> the table that was given for it; none for Views."""
    return dict(X) if _is_named(X) else {} if isinstance(X, Views) else {"x": X, "y": y}


def _row_numbers(pairs: Table | None, arrays: Mapping[str, Tensor]) -> Tensor | None:
    """(p, 2) row numbers of pairs that are given so, or as booleans for the rows of both."""
    if pairs is None:
        return None
    given = pair_table(pairs)
    if given.dtype != torch.bool or given.ndim != 1:
        return given
    rows = {m: len(x) for m, x in arrays.items()}
    if len(given) != min(rows.values()):
        raise ModalignError(
            f"pairs has {len(given)} booleans for arrays with rows {rows}: give one for each row that both have"
        )
    return given.nonzero().expand(-1, 2)


def _by_name(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    """A method that scikit-learn wraps for one table, for mappings and Views of several too."""

    @functools.wraps(wrapped)
    def method(self: Aligner, X: Any, *rest: Any, **named: Any) -> Any:
        if not (isinstance(X, Views) or _is_named(X)):
            return wrapped(self, X, *rest, **named)
        if wrapped.__name__ == "fit_transform":
            self.fit(X, *rest, **named)
        self._check_fitted()
        if isinstance(X, Views):
            return self.model_.heads.embed(on_cpu(X))
        return {m: self.transform(table, m) for m, table in X.items()}

    return method


Aligner.transform = _by_name(Aligner.transform)  # type: ignore[method-assign]
Aligner.fit_transform = _by_name(Aligner.fit_transform)  # type: ignore[method-assign]
