"""Features of the data that a run asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.arrays import load_features
from ..data.facts import Facts, read_facts
from ..data.left_out import LeftOut
from ..data.manifest import Manifest, with_soundtracks
from ..data.pairs import Ids, joined, load_ids
from ..diagnosis.scales import drowned
from ..errors import ModalignError, few
from ..features.choose import make_encoders
from ..features.embed import embed_cached
from ..features.origin import origin_of
from ..features.store import Store
from ..metrics.recall import KS
from ..progress import Progress, silent
from ..registry import check, make
from ..specification import READY, ArrayData, Specification, named
from ..views import Views, hide_links, hold_out, linked_groups
from .items import OWN

SPLITS = ("train", "dev", "test")
FEWEST = max(KS)
"""Linked groups that a test needs: with fewer, all of them are among the first results whatever was learnt."""
FEW_PAIRS = 20
"""Known pairs below which a fit fits almost any two sets."""


@dataclass(frozen=True)
class Data:
    """Features by split, and what the items are.

    Args:
        splits: "train", and where there are any "dev" and "test".
        encoders: modality -> name and settings; of plain arrays those that are said to have made them.
        fingerprints: modality -> fingerprint of the encoder.
        manifest: of the items that the views' ``row`` points into.
        credits: whose weights the encoders used, a line each.
        left_out: what the data set names and the views have not. notes: what the encoders did not read as it is.
        ids: of the rows of plain arrays, where they have any. facts: what the tables of these say of them.
    """

    splits: Mapping[str, Views]
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    manifest: Manifest | None = None
    credits: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    ids: Ids = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=dict)

    @property
    def attribution(self) -> str:
        """The credit that the data ask for; empty where they ask for none."""
        return str(self.manifest.meta.get("attribution") or "") if self.manifest else ""

    @property
    def measured(self) -> str | None:
        """The split to measure on: test, else dev; None where there is neither, or too little in it."""
        split = self.kept
        return split if split is not None and len(linked_groups(self.splits[split])) >= FEWEST else None

    @property
    def unmeasured(self) -> str:
        """Why there is nothing to measure on; empty where there is."""
        if self.measured is not None:
            return ""
        if self.kept is None:
            return (
                f"nothing is kept for it; {FEWEST} linked pairs are needed in a split 'test' or 'dev', or as a holdout"
            )
        return (
            f"the split '{self.kept}' has {_groups(self.splits[self.kept])}, fewer than the {FEWEST} that "
            f"recall@{FEWEST} looks at"
        )

    @property
    def warnings(self) -> list[str]:
        """What can not be concluded from data as few as these, or of such scales."""
        pairs = len(linked_groups(self["train"]))
        told = [f"not measured: {self.unmeasured}"] if self.unmeasured else []
        if pairs < FEW_PAIRS:
            told.append(f"{_groups(self['train'])} to learn from: as few can be aligned whatever they are")
        return [*told, *drowned(self["train"].data)]

    @property
    def kept(self) -> str | None:
        """The split that is kept for measuring: test, else dev; None where there is neither."""
        return next((s for s in ("test", "dev") if s in self.splits), None)

    def linked(self, spec: Specification) -> Tensor:
        """Ids of the training groups whose links are known within the budget of a specification."""
        return linked_groups(self["train"], spec.pairs, spec.seed)

    def training(self, spec: Specification) -> Views:
        """The training split, without the links beyond the budget."""
        return self["train"] if spec.pairs is None else hide_links(self["train"], self.linked(spec))

    def __getitem__(self, split: str) -> Views:
        if split not in self.splits:
            raise no_split(split, self.splits)
        return self.splits[split]


def no_split(split: str, there: Iterable[str]) -> ModalignError:
    """Data without a split that is needed, and what to do."""
    how = ": give its list too, or rows without any split" if split == "train" else ""
    return ModalignError(f"the data have no split '{split}' (they have: {few(sorted(there)) or 'none'}){how}")


def load_data(spec: Specification, progress: Progress = silent, needed: str | None = None) -> Data:
    """The features that a specification asks for, encoded into the cache where they are not there yet.

    Args:
        needed: a split that must be there, where the rows have any: told before anything is encoded.
    """
    if "store" in spec.data:
        return from_store(Store.open(Path(spec.data["store"])))
    if "arrays" in spec.data:
        return from_arrays(ArrayData(**check(ArrayData, spec.data, "[data]")), spec.seed, spec.encoders)
    manifest: Manifest = make("dataset", **spec.data)
    encoders = {m: named(entry) for m, entry in spec.encoders.items()}
    if needed is not None and not {needed, ""} & set(manifest.splits):
        raise no_split(needed, set(manifest.splits))
    check_budget(manifest, spec.pairs, list(encoders))
    return encode(manifest, encoders, progress)


def check_budget(manifest: Manifest, pairs: int | None, modalities: Sequence[str]) -> None:
    """Refuse more pairs than the training rows can have, before anything is encoded.

    Raises:
        ModalignError: naming both numbers.
    """
    split = "train" if set(manifest.splits) != {""} else ""
    rows = zip(manifest.group.tolist(), manifest.modality_names, manifest.splits, strict=True)
    own = {(g, m) for g, m, s in rows if m in modalities and s == split}
    known = sum(n > 1 for n in Counter(g for g, _ in own).values())
    if pairs is not None and pairs > known:
        raise ModalignError(f"{pairs} pairs were asked for, '{manifest.name}' has {known} linked groups to learn from")


def encode(manifest: Manifest, encoders: dict[str, dict[str, Any]], progress: Progress = silent) -> Data:
    """Features of a manifest, from the cache of this user."""
    if "audio" in encoders:
        manifest = with_soundtracks(manifest)
    made = make_encoders(manifest, encoders)
    store = embed_cached(manifest, made, progress=progress)
    return replace(from_store(store), encoders=encoders, fingerprints={m: e.fingerprint() for m, e in made.items()})


def from_arrays(given: ArrayData, seed: int, encoders: Mapping[str, str | dict[str, Any]] | None = None) -> Data:
    """Feature arrays: the pairs to learn from, and those held out to be measured where there are enough.

    Args:
        encoders: that made them, as far as it is said, see ``features.origin``.
    """
    arrays = load_features(given.arrays)
    ids = load_ids(given.ids, {m: len(rows) for m, rows in arrays.items()})
    x = joined(arrays, given.pairs, ids)
    x = replace(x, row={m: torch.arange(len(rows)) for m, rows in x.data.items()})
    told, facts = list(_tangled(x)) if given.pairs else [], {}
    for m, place in given.ids.items():
        facts[m], notes = read_facts(place, {"id", *OWN} - {"text"})
        told += notes
    origin = origin_of(encoders or {}, arrays, facts)
    splits = {"train": x}
    if round(given.holdout * len(linked_groups(x))) >= FEWEST:
        splits["train"], splits["test"] = hold_out(x, given.holdout, seed)
    known: dict[str, Any] = {k: getattr(origin, k) for k in ("encoders", "fingerprints", "credits")}
    return Data(splits, notes=(*told, *origin.notes), ids=ids, facts=facts, **known)


def _tangled(x: Views) -> Iterator[str]:
    """The remark on pairs that join several rows of either side: a slip in a list makes one thing of all of them."""
    a, b = x.modalities
    ids = x.group_ids()
    rows = torch.stack([torch.bincount(torch.searchsorted(ids, x.group[m]), minlength=len(ids)) for m in (a, b)])
    several = (rows > 1).all(0)
    if several.any():
        most = " and ".join(f"{n:,}" for n in rows[:, int((rows.prod(0) * several).argmax())].tolist())
        yield (
            f"{int(several.sum()):,} groups of pairs hold several rows of '{a}' and of '{b}' (the largest {most}): "
            "rows that are paired through other rows count as one thing"
        )


def _groups(x: Views) -> str:
    linked = len(linked_groups(x))
    return f"{linked} linked pair{'' if linked == 1 else 's'}"


def facts(data: Data, spec: Specification) -> dict[str, Any]:
    """What a run learnt from, for its result."""
    linked, settings = data.linked(spec), spec.data
    unlinked = {m: int((~torch.isin(torch.unique(g), linked)).sum()) for m, g in data["train"].group.items()}
    sizes = {split: len(x) for split, x in data.splits.items() if split != "train"}
    name = settings.get("name") or next((kind for kind in READY if kind in settings), "features")
    told: dict[str, Any] = {"failures": [x.json() for x in data.left_out]} if data.left_out else {}
    told |= {"notes": list(data.notes)} if data.notes else {}
    return {"name": name, "settings": dict(settings), "pairs": len(linked), "unlinked": unlinked, **sizes, **told}


def manifest_of(spec: Specification, **more: Any) -> Manifest | None:
    """What a data set lists, without encoding anything; None for plain arrays.

    Args:
        more: settings of the data set to add, where it is COCO.
    """
    if "arrays" in spec.data:
        return None
    if "store" in spec.data:
        return Store.open(Path(spec.data["store"])).manifest
    extra = more if spec.data["name"] == "coco" else {}
    manifest: Manifest = make("dataset", **{**spec.data, **extra})
    return manifest


def _unused(store: Store, splits: set[str]) -> list[LeftOut]:
    """Items of splits that no fit learns from and no measure looks at."""
    found = Counter(s for s in store.manifest.splits if s not in splits)
    return [
        LeftOut("items", f"in split '{s}', which is none of {', '.join(SPLITS)}" if s else "in no split", n)
        for s, n in found.items()
    ]


def from_store(store: Store) -> Data:
    """Train, dev (also called val) and test; all of it is "train" where the rows have no splits at all.

    With the encoders that the store remembers, so that new items can be encoded.
    """
    there = set(store.manifest.splits)
    entries = {m: e for m, e in store.entries.items() if e["name"] != "features"}  # those can encode nothing new
    known: dict[str, Any] = {
        "encoders": entries,
        "fingerprints": {m: store.encoders[m]["fingerprint"] for m in entries},
        "credits": store.credits,
        "left_out": store.left_out,
        "notes": store.notes,
    }
    if there == {""}:
        return Data({"train": store.views()}, manifest=store.manifest, **known)
    names = {"dev": "val" if "val" in there and "dev" not in there else "dev"}
    present = {s: names.get(s, s) for s in SPLITS if names.get(s, s) in there}
    known["left_out"] = (*store.left_out, *_unused(store, set(present.values())))
    return Data({s: store.views(split=own) for s, own in present.items()}, manifest=store.manifest, **known)
