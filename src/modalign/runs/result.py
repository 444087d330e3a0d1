"""What was measured: one type for a fit's scores, a later evaluation's and a robustness check's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModalignError
from ..metrics.score import Score
from ..metrics.shown import listing
from ..robustness.kinds import Kind

FORMAT = 2


@dataclass(frozen=True, repr=False)
class MethodResult:
    """Scores of one method.

    Args:
        label: what people call it. scores: by key, in the order they are shown.
        seconds: of its fit. pairs: linked groups that it learnt from. by_seed: mean recall of each seed.
    """

    label: str
    scores: Mapping[str, Score]
    seconds: float | None = None
    pairs: int | None = None
    by_seed: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([self.label, *listing(self.scores, "main")])


@dataclass(frozen=True)
class Budget:
    """A point of the curve of recall against linked pairs."""

    method: str
    pairs: int
    mean_recall: Score


@dataclass(frozen=True, repr=False)
class Result:
    """Scores of one or several methods on the same items, and what is needed to judge them.

    Args:
        title: what was run. task: what was asked of it.
        methods: name -> scores.
        data: what was learnt from: name, settings, linked pairs, sizes of the splits.
        split: whose items were measured. seeds: of the repetitions.
        settings: what was asked for beyond the defaults.
        groups: that were measured. bank: split that hubness corrections were fitted on.
        budgets: mean recall at other numbers of linked pairs. saving: what follows from them.
        focus: method to look at. kinds: curves under ill-treatment, by kind.
        skipped: what was left out -> why.
        attribution: credit that the data ask for. weights: whose weights the encoders used, a line each.
        record: what else a benchmark keeps of a fit.

    Example:
        >>> found = Result("cca on arrays", {"cca": MethodResult("cca", {"mean_recall": Score(0.5)})})
        >>> Result.from_json(found.json()) == found
        True
        >>> found
        cca on arrays, split 'test'
        cca
    """

    title: str
    methods: Mapping[str, MethodResult]
    task: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"
    seeds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    groups: int | None = None
    bank: str | None = None
    budgets: tuple[Budget, ...] = ()
    saving: Mapping[str, Any] = field(default_factory=dict)
    focus: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    attribution: str = ""
    weights: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "\n".join([f"{self.title}, split '{self.split}'", *map(repr, self.methods.values())])

    def json(self) -> dict[str, Any]:
        """Plain values; what is empty is left out."""
        out: dict[str, Any] = {"format": FORMAT, "title": self.title}
        out |= {k: v for k in _PLAIN if (v := _plain(getattr(self, k))) not in (None, "", [], {})}
        out["methods"] = {name: _method_json(m) for name, m in self.methods.items()}
        if self.budgets:
            out["budgets"] = [{**vars(b), "mean_recall": b.mean_recall.json()} for b in self.budgets]
        if self.kinds:
            out["kinds"] = {name: kind.json() for name, kind in self.kinds.items()}
        return out

    @classmethod
    def from_json(cls, table: Any, where: str = "scores") -> Result:
        """A result from what ``json`` wrote.

        Args:
            where: the file, for messages.

        Raises:
            ModalignError: not such a table, or one of another format; names the place.
        """
        if not isinstance(table, Mapping) or not isinstance(table.get("format"), int):
            raise ModalignError(f"{where} was written by an older version or is damaged: measure the run again")
        if table["format"] != FORMAT:
            raise ModalignError(f"{where} has format {table['format']}, this version reads {FORMAT}: update modalign")
        try:
            plain = {k: table[k] for k in _PLAIN if k in table}
            for name in ("data", "settings", "saving", "skipped", "record"):
                if not isinstance(plain.get(name, {}), Mapping):
                    raise TypeError(f"{name} must be a table")
            budgets = [_budget(b, f"{where}: budgets[{i}]") for i, b in enumerate(table.get("budgets", []))]
            return cls(
                title=str(table["title"]),
                methods={n: _method(m, f"{where}: methods.{n}") for n, m in table["methods"].items()},
                budgets=tuple(b for b in budgets if not math.isnan(b.mean_recall.value)),
                kinds={n: Kind.from_json(k, f"{where}: kinds.{n}") for n, k in table.get("kinds", {}).items()},
                **plain | {k: tuple(plain.get(k, ())) for k in ("seeds", "weights")},
            )
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise ModalignError(
                f"scores are damaged: {where} ({type(problem).__name__}: {problem}); measure the run again"
            ) from None


_PLAIN = (
    "task", "data", "split", "seeds", "settings", "groups", "bank", "saving", "focus", "skipped", "attribution",
    "weights", "record",
)  # fmt: skip


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value


def _method_json(m: MethodResult) -> dict[str, Any]:
    out: dict[str, Any] = {"label": m.label, "seconds": m.seconds, "pairs": m.pairs, "by_seed": list(m.by_seed)}
    return {k: v for k, v in out.items() if v not in (None, [])} | {
        "scores": {k: s.json() for k, s in m.scores.items()}
    }


def _method(table: Mapping[str, Any], where: str) -> MethodResult:
    scores = {name: Score.from_json(s, f"{where}.{name}") for name, s in table["scores"].items()}
    known = {name: s for name, s in scores.items() if not math.isnan(s.value)}  # undefined ones are written as null
    return MethodResult(
        str(table["label"]), known, table.get("seconds"), table.get("pairs"), tuple(table.get("by_seed", ()))
    )


def _budget(table: Mapping[str, Any], where: str) -> Budget:
    return Budget(str(table["method"]), int(table["pairs"]), Score.from_json(table["mean_recall"], where))
