"""Views: items of several modalities and the groups they belong to. The one data type that travels everywhere.

Items of the same group are the same thing (positives). Modalities may differ in length, a group may have several
items of a modality (five captions of one photo) or none (a missing modality is absent, never a zero row).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..equality import ByContent
from ..errors import ModalignError, check_known
from ..parameters import checked
from .checks import check_link, check_values, chosen_rows, wanted_ids
from .groups import groups_of_pairs, join, relink
from .tables import numbers, require_one_order, require_order

Pair = tuple[str, str]
BY_GROUPS = "ids of the things, equal for rows that belong together, as ma.Views({name: tensor}, {name: ids})"


@dataclass(frozen=True, eq=False)
class Views(ByContent):
    """Items by modality, with group ids.

    Args:
        data: modality -> (n_m, ...) tensor: a raw batch, features or embeddings. n_m >= 0, free per modality.
        group: modality -> (n_m,) integer tensor. Equal ids across modalities mark the same thing.
        links: (a, b) -> (2, p) row indices into a and b. For that pair of modalities it replaces group
            equality, for positives that are not an equivalence (ECCV/CxC, multi-label, candidate sets). With (b, a)
            beside it, each is for queries of its first modality.
        row: modality -> (n_m,) row of each item in its manifest.

    Raises:
        ModalignError: modalities of data and group differ, or lengths do not match, or ids are not integers.

    Example:
        >>> v = Views({"text": torch.eye(3), "image": torch.eye(2)},
        ...           {"text": torch.tensor([7, 7, 8]), "image": torch.tensor([7, 9])})
        >>> v.positives("text", "image").int().tolist()
        [[1, 0], [1, 0], [0, 0]]
    """

    HOW: ClassVar[str] = "Views.from_arrays(text=X, image=Y) makes some"

    data: Mapping[str, Tensor]
    group: Mapping[str, Tensor]
    links: Mapping[Pair, Tensor] | None = None
    row: Mapping[str, Tensor] | None = field(default=None, repr=False)
    side_by_side: bool = field(default=False, init=False, repr=False, compare=False)
    """Row i of every modality is the same thing and no other row is. Known where views are made of such arrays, and
    kept by ``map`` alone: nothing needs to be compared then, and a compiled graph depends on no value."""

    def __post_init__(self) -> None:
        for name in ("data", "group"):
            if not isinstance(getattr(self, name), Mapping):
                kind = type(getattr(self, name)).__name__
                raise ModalignError(f"{name} must be a table, modality -> tensor, got {kind}: {self.HOW}")
        if set(self.data) != set(self.group):
            raise ModalignError(
                f"data has the modalities {sorted(self.data)} but group has {sorted(self.group)}: they must match"
            )
        for m, x in self.data.items():
            ids = self.group[m]
            if not isinstance(x, Tensor) or not isinstance(ids, Tensor):
                kinds = f"{type(x).__name__} and {type(ids).__name__}"
                raise ModalignError(f"modality '{m}': data and groups are tensors, got {kinds} (arrays: from_arrays)")
            if x.ndim < 1 or ids.ndim != 1 or len(x) != len(ids):
                raise ModalignError(
                    f"modality '{m}': data of shape {tuple(x.shape)} needs one group id per row, "
                    f"got ids of shape {tuple(ids.shape)}"
                )
            if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
                raise ModalignError(f"modality '{m}': group ids must be integers, got {ids.dtype}")
        for (a, b), link in (self.links or {}).items():
            check_link(link, (a, b), (len(self[a]), len(self[b])))

    # ------------------------------------------------------------------ construction

    @classmethod
    def from_arrays(cls, pairs: Any = None, **arrays: Any) -> Views:
        """Views of named arrays: row-aligned, or two arrays with known pairs and all other rows unpaired.

        Args:
            pairs: (p, 2) row indices into the first and second array, as array, data frame or list; None: row i of
                every array is group i, so every array must have the same length.
            **arrays: modality -> (n_m, d_m) array, tensor, data frame or nested lists.

        Pairs that share a row (one picture, five captions) join one group.

        Raises:
            ModalignError: unequal lengths without pairs, pairs outside the arrays, pairs with other than two arrays.

        Example:
            >>> v = Views.from_arrays(torch.tensor([[0, 1]]), x=torch.eye(2), y=torch.eye(3))
            >>> {m: g.tolist() for m, g in v.group.items()}
            {'x': [0, 1], 'y': [2, 0, 3]}
        """
        if pairs is None:
            require_one_order(arrays)
        data = {m: numbers(x, m) for m, x in arrays.items()}
        for m, x in data.items():
            if x.ndim != 2:
                raise ModalignError(f"'{m}' must be a 2-D array (rows, features), got shape {tuple(x.shape)}")
        if pairs is None:
            lengths = {m: len(x) for m, x in data.items()}
            if len(set(lengths.values())) > 1:
                what = "the known pairs as a (p, 2) array of row indices" if len(data) == 2 else BY_GROUPS
                raise ModalignError(
                    f"arrays have different numbers of rows {lengths}: without pairs, row i of each array must be "
                    f"the same item; give {what}"
                )
            ids = [torch.arange(len(x), device=x.device) for x in list(data.values())[:1]]  # all of a device share it
            return cls(data, {m: ids[0].to(x.device) for m, x in data.items()})._side_by_side()
        if len(data) != 2:
            names = ", ".join(data)
            raise ModalignError(f"pairs join exactly two arrays, got {len(data)} ({names}): give {BY_GROUPS}")
        (a, x), (b, y) = data.items()
        require_order(pairs, a, b)
        ga, gb = groups_of_pairs(pairs, len(x), len(y), a, b)
        return cls(data, {a: ga, b: gb})

    # ------------------------------------------------------------------ looking

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.data)

    def __getitem__(self, modality: str) -> Tensor:
        """The data of one modality. Raises ModalignError for an unknown one."""
        if not isinstance(modality, str) and modality not in self.data:
            raise ModalignError(
                f"views are asked for a modality by its name, got {type(modality).__name__}: x.groups(ids) and "
                "x.select(rows) cut them (docs/scikit-learn.md has the folds of scikit-learn)"
            )
        check_known("modality", modality, self.data)
        return self.data[modality]

    def __contains__(self, modality: object) -> bool:
        return modality in self.data

    def __len__(self) -> int:
        """Number of distinct groups."""
        return len(self.group_ids())

    def __repr__(self) -> str:
        shapes = ", ".join(f"{m} {tuple(x.shape)}" for m, x in self.data.items())
        return f"Views({shapes}; {len(self)} groups)"

    def group_ids(self) -> Tensor:
        """Sorted distinct group ids of all modalities, (g,) int64."""
        ids = [g.long() for g in self.group.values()]
        return torch.unique(torch.cat(ids)) if ids else torch.empty(0, dtype=torch.long)

    def pairs(self) -> list[Pair]:
        """All unordered pairs of modalities, in the order of ``modalities``."""
        return list(combinations(self.data, 2))

    def positives(self, a: str, b: str) -> Tensor:
        """(n_a, n_b) bool: which items of a and b are the same thing.

        Example:
            >>> Views.from_arrays(a=torch.eye(2), b=torch.eye(2)).positives("a", "b").tolist()
            [[True, False], [False, True]]
        """
        link = self._link(a, b)
        if link is None:
            self[a], self[b]
            return self.group[a][:, None] == self.group[b][None, :]
        mask = torch.zeros(len(self[a]), len(self[b]), dtype=torch.bool, device=self[a].device)
        mask[link[0], link[1]] = True
        return mask

    def paired(self, a: str, b: str) -> Tensor:
        """(p, 2) int64 row indices of all positive pairs of a and b, without an n_a x n_b matrix.

        Example:
            >>> Views.from_arrays(a=torch.eye(2), b=torch.eye(2)).paired("b", "a").tolist()
            [[0, 0], [1, 1]]
        """
        link = self._link(a, b)
        if link is not None:
            return link.T.long()
        self[a], self[b]
        if self.side_by_side:
            return torch.arange(len(self[a]), device=self[a].device)[:, None].expand(-1, 2)
        return join(self.group[a].long(), self.group[b].long())

    def unpaired(self, a: str, b: str) -> Tensor:
        """(u,) row indices of the items of a that have no positive in b.

        Example:
            >>> Views.from_arrays(torch.tensor([[0, 1]]), a=torch.eye(2), b=torch.eye(2)).unpaired("a", "b").tolist()
            [1]
        """
        alone = torch.ones(len(self[a]), dtype=torch.bool, device=self[a].device)
        alone[self.paired(a, b)[:, 0]] = False
        return alone.nonzero().flatten()

    def _link(self, a: str, b: str) -> Tensor | None:
        links = self.links or {}
        if (a, b) in links:
            return links[a, b]
        return links[b, a].flip(0) if (b, a) in links else None

    # ------------------------------------------------------------------ making new ones

    def only(self, *modalities: str) -> Views:
        """Some modalities, in the given order.

        Example:
            >>> Views.from_arrays(a=torch.eye(2), b=torch.eye(2)).only("b")
            Views(b (2, 2); 2 groups)
        """
        for m in modalities:
            self[m]
        return Views(
            {m: self.data[m] for m in modalities},
            {m: self.group[m] for m in modalities},
            {p: v for p, v in self.links.items() if set(p) <= set(modalities)} if self.links else None,
            {m: v for m, v in self.row.items() if m in modalities} if self.row else None,
        )

    @checked
    def select(self, rows: Mapping[str, Tensor]) -> Views:
        """Rows of each modality, by index or boolean mask; modalities that are not named keep all rows.

        Links stay where both of their ends stay.

        Raises:
            ModalignError: a modality that there is not, or rows that there are not.

        Example:
            >>> Views.from_arrays(a=torch.eye(2), b=torch.eye(2)).select({"a": torch.tensor([1])}).positives("a", "b")
            tensor([[False,  True]])
        """
        for m in rows:
            self[m]
        index = {m: chosen_rows(m, rows.get(m), x) for m, x in self.data.items()}
        return Views(
            {m: x.index_select(0, index[m]) for m, x in self.data.items()},  # twice as fast as x[rows]
            {m: g[index[m].to(g.device)] for m, g in self.group.items()},
            {p: relink(v, index[p[0]], index[p[1]]) for p, v in self.links.items()} if self.links else None,
            {m: r[index[m].to(r.device)] for m, r in self.row.items()} if self.row else None,
        )

    @checked
    def groups(self, ids: Tensor | Iterable[int]) -> Views:
        """The items whose group is among ``ids``.

        Raises:
            ModalignError: ids that are no whole numbers.

        Example:
            >>> Views.from_arrays(a=torch.eye(3), b=torch.eye(3)).groups([0, 2])
            Views(a (2, 3), b (2, 3); 2 groups)
        """
        want = wanted_ids(ids if isinstance(ids, Tensor) else torch.as_tensor(list(ids)))
        return self.select({m: torch.isin(g.long(), want.to(g.device)) for m, g in self.group.items()})

    @checked
    def map(self, f: Callable[[str, Tensor], Tensor]) -> Views:
        """New data ``f(modality, data)``, same groups.

        Example:
            >>> Views.from_arrays(a=torch.eye(2)).map(lambda m, x: 2 * x)["a"].tolist()
            [[2.0, 0.0], [0.0, 2.0]]
        """
        new = replace(self, data={m: f(m, x) for m, x in self.data.items()})
        return new._side_by_side() if self.side_by_side else new

    def _side_by_side(self) -> Views:
        object.__setattr__(self, "side_by_side", True)
        return self

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Views:
        """Move to a device and, for floating data, to a dtype.

        Example:
            >>> Views.from_arrays(a=torch.eye(2)).to(dtype=torch.float64)["a"].dtype
            torch.float64
        """
        return Views(
            {m: x.to(device=device, dtype=dtype if x.is_floating_point() else None) for m, x in self.data.items()},
            {m: g.to(device=device) for m, g in self.group.items()},
            {p: v.to(device=device) for p, v in self.links.items()} if self.links else None,
            {m: r.to(device=device) for m, r in self.row.items()} if self.row else None,
        )

    def validate(self, zero_rows: bool = False) -> Views:
        """Check the values of features or embeddings and return self.

        Args:
            zero_rows: accept all-zero rows. By default they are refused: a zero row is how other programs
                write "missing", and it has no direction to align. In a single column 0 is a number like any other.

        Raises:
            ModalignError: data that are not (n, d), rows with NaN or infinite values, zero rows; all with row numbers.

        Example:
            >>> Views.from_arrays(a=torch.eye(2)).validate()
            Views(a (2, 2); 2 groups)
        """
        for m, x in self.data.items():
            check_values(x, m, zero_rows)
        return self


@checked
def concat(parts: Sequence[Views]) -> Views:
    """Views one after another; group ids keep their meaning, so equal ids in two parts are the same thing.

    Where one part has links of two modalities, those of the others are taken from their groups, and no item of one part
    has a positive in another.

    Raises:
        ModalignError: nothing to join.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(2), b=torch.eye(2))
        >>> concat([x.only("a"), x.only("b")]).paired("a", "b").tolist()
        [[0, 0], [1, 1]]
    """
    if not parts:
        raise ModalignError("nothing to concatenate: the list of views is empty")
    names = list(dict.fromkeys(m for p in parts for m in p.data))
    rows = all(p.row is not None for p in parts)
    linked = dict.fromkeys(pair for p in parts for pair in p.links or ())
    return Views(
        {m: torch.cat([p.data[m] for p in parts if m in p]) for m in names},
        {m: torch.cat([p.group[m] for p in parts if m in p]) for m in names},
        {pair: _shifted(parts, *pair) for pair in linked} or None,
        {m: torch.cat([p.row[m] for p in parts if p.row and m in p]) for m in names} if rows else None,
    )


def _shifted(parts: Sequence[Views], a: str, b: str) -> Tensor:
    """(2, p) the positive pairs of each part, by their rows in all parts together."""
    start, found = torch.zeros(2, 1, dtype=torch.long), []
    for p in parts:
        if a in p and b in p:
            link = (p.links or {}).get((a, b), p.paired(a, b).T)
            found.append(link.long() + start.to(link.device))
        start = start + torch.tensor([[len(p[m]) if m in p else 0] for m in (a, b)])
    return torch.cat(found, 1)
