"""One column of a bench's grid, and the columns that a [[settings]] table of a suite file asks for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..errors import ModalignError, check_known
from ..parameters import Count, Number, Portion, Share, checked
from ..registry import check
from .entries import MethodEntry, names_of

REGIMES = ("complete", "hidden", "disjoint")


@checked
@dataclass(frozen=True)
class Setting:
    """One column of the grid: what of the training data is linked, lost or left.

    Args:
        regime: "complete": every item whole; "hidden": both sides of an item exist, but only some links are known;
            "disjoint": items lose modalities, and what is lost exists nowhere.
        items: training groups used, nested over numbers for one seed; None: all.
        pairs: groups that stay linked ("hidden"); None: those that ``missing`` leaves.
        missing: share of the links hidden ("hidden"), or of items ("disjoint", two modalities) or of each modality's
            items ("disjoint", three and more) that lose a modality, in [0, 1).
        test_missing: share of each query modality lost at test time; needs a composed task.
        dev: dev groups as a share of the training pairs; None: the whole dev split.
        trials: settings that every method may try on dev; None: the suite's number.
        refit: fit what was chosen on dev to training items and four fifths of dev; the last fifth tells when to stop.
        variant: of the data, a name among the suite's [variants]; None: the data as they are.
        part: a name for a piece of a long suite.
        methods: entries of the catalogue, or groups of them.
    """

    regime: str = "complete"
    items: Count | None = None
    pairs: Number | None = None
    missing: Share = 0.0
    test_missing: Share = 0.0
    dev: Portion | None = None
    trials: Count | None = None
    refit: bool = False
    variant: str | None = None
    part: str = "all"
    methods: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_known("regime", self.regime, REGIMES)
        if self.pairs is not None and self.regime != "hidden":
            raise ModalignError(f"pairs is a budget of the regime 'hidden', not of '{self.regime}'")
        if self.missing and self.regime == "complete":
            raise ModalignError("a missing rate needs the regime 'hidden' or 'disjoint'")
        if self.missing and self.pairs is not None:
            raise ModalignError("give either pairs or missing for the regime 'hidden', not both")

    @property
    def name(self) -> str:
        """A short name, fit for a folder; shares in percent.

        Example:
            >>> Setting("hidden", pairs=100).name, Setting("disjoint", items=1000, missing=0.3, dev=0.2).name
            ('hidden-100', 'disjoint-1000-lose30-dev20')
        """
        parts = [self.regime] if self.variant is None else [self.variant, self.regime]
        if self.pairs is not None:
            parts.append(str(self.pairs))
        if self.items is not None:
            parts.append(f"of{self.items}" if self.pairs is not None else str(self.items))
        if self.missing:
            parts.append(f"lose{100 * self.missing:g}")
        if self.test_missing:
            parts.append(f"test{100 * self.test_missing:g}")
        if self.dev is not None:
            parts.append(f"dev{100 * self.dev:g}")
        if self.trials is not None:
            parts.append(f"trials{self.trials}")
        if self.refit:
            parts.append("refit")
        return "-".join(parts)

    def facts(self) -> dict[str, Any]:
        """What decides the data of the setting and the choice: everything but part and methods."""
        usual = {"variant": None, "trials": None, "refit": False}
        every = {k: v for k, v in asdict(self).items() if k not in ("part", "methods")}
        return {k: v for k, v in every.items() if k not in usual or v != usual[k]}

    @property
    def tuned(self) -> Setting:
        """The setting on which settings are chosen: the same without dev items among the training items."""
        return replace(self, refit=False)


def expand(
    block: Mapping[str, Any], methods: Sequence[str], entries: Mapping[str, MethodEntry], where: str
) -> list[Setting]:
    """The settings of one [[settings]] table: every list of numbers is an axis of the grid.

    ``methods`` replaces the suite's; ``also`` adds to them.
    """
    known = {f.name for f in fields(Setting)} | {"also"}
    for key in block:
        check_known(f"key of [[settings]] in {where}", key, known)
    own = list(methods)
    if "methods" in block:
        own = names_of(block["methods"], entries, where)
    own += [m for m in names_of(block.get("also", []), entries, where) if m not in own]
    axes = {k: v if isinstance(v, list) else [v] for k, v in block.items() if k not in ("methods", "also", "part")}
    found = []
    for values in itertools.product(*axes.values()):
        given = {**dict(zip(axes, values, strict=True)), "part": block.get("part", "all")}
        setting = Setting(**check(Setting, given, f"[[settings]] of {where}"))
        fit = tuple(m for m in own if setting.pairs is None or entries[m].least_pairs <= setting.pairs)
        found.append(replace(setting, methods=fit))
    return found
