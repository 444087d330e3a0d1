"""``migrate``: from stores and pairs to a folder of adapters, numbers and a page."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from .. import __version__
from ..data.pairs import equal_ids, files_of, load_ids, load_pairs
from ..data.steady import steady
from ..errors import ModalignError, few
from ..files import absolute, read_json, write_json, write_text
from ..outputs import KINDS, claim, kind_of
from ..parameters import Range, Seed, checked
from ..progress import Progress, silent
from ..registry import make
from ..views.groups import row_pairs
from ..views.tables import matrix
from . import export, gradual
from .adapter import Adapter, load_adapter
from .apply import marks
from .choose import METHODS, Candidate, Direction, Kept
from .curve import forecast
from .inputs import DOUBT
from .lists import K, Measure, own_length
from .stores import open_vectors
from .study import Side, Study, by_place, score, study, worst
from .vectors import Vectors, in_memory
from .verdict import DIRECTIONS, not_tested, take, verdict, warnings

FORMAT = 1
FACTS, REPORT, WRONG = "migration.json", "report.html", "wrong_pairs.csv"
Length = Annotated[int, Range(least=1, most=1000)]
"""Of a list of neighbours."""


@dataclass(frozen=True, repr=False)
class Migration:
    """What a migration found.

    Args:
        adapters: "queries" (new model to the old space; the store stays) and "rows" (old vectors to the new space).
        facts: all numbers, as ``migration.json`` holds them. folder: where they were written; None: nowhere.
    """

    adapters: Mapping[str, Adapter]
    facts: Mapping[str, Any]
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"<Migration: {self.verdict}>"

    def queries(self, x: Any) -> Tensor:
        """New-model vectors (n, d_new) in the old space, (n, d_old)."""
        return self._of("queries")(matrix(x, "queries"))

    def rows(self, x: Any) -> Tensor:
        """Old vectors (n, d_old) in the new space, (n, d_new)."""
        return self._of("rows")(matrix(x, "rows"))

    def _of(self, direction: str) -> Adapter:
        if direction not in self.adapters:
            raise ModalignError(f"this migration has no adapter for {direction} (it has: {few(self.adapters)})")
        return self.adapters[direction]

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        return str(self.facts["verdict"])


@checked
def migrate(
    old: Any,
    new: Any,
    pairs: Any = None,
    out: Path | str | None = None,
    *,
    ids: Sequence[Path] = (),
    measure: Measure = "cosine",
    methods: str | Sequence[str] = METHODS,
    directions: Sequence[Direction] = DIRECTIONS,  # type: ignore[assignment]
    k: Length = K,
    old_part: str | None = None,
    new_part: str | None = None,
    encoders: Mapping[str, str] | None = None,
    seed: Seed = 0,
    progress: Progress = silent,
) -> Migration:
    """Change the embedding model of a store without embedding it again.

    Adapters of several kinds are fitted on the links, and "full" on the rows without a partner too; what each keeps of
    the lists of held-out links decides. Nothing of either store is changed.

    Args:
        old, new: (n, d_old) and (m, d_new) arrays, or what ``open_vectors`` opens. They need not have equal widths.
        pairs: (p, 2) row numbers of old and new, or a file of them; all other rows have no partner. None: equal ids.
        ids: files of the ids of old and of new, see ``data.pairs.load_ids``; a file of pairs then names these.
        out: folder for the adapters, ``migration.json`` and ``report.html``; None: nothing is written.
        measure: how the store compares: "cosine", "dot" or "l2". The lengths of rows are kept for the last two.
        methods: adapters to try. directions: "queries", "rows" or both. k: length of the lists.
        old_part, new_part: which tensor, column or modality. encoders: "old" and "new" -> registered text encoder, for
            ``modalign search`` on the folder.
        seed: of all that is drawn.

    Returns: a `Migration`.

    Raises:
        ModalignError: stores that cannot be read, encoders of another width, row numbers beyond the stores, fewer than
            10 usable pairs, pairs most of which look wrong, an unknown measure, method or direction.

    Reference: Vejendla 2025, "Drift-Adapter", arXiv 2509.23471 (the task; three of the adapters).

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> old = torch.nn.functional.normalize(torch.randn(300, 8, generator=draw), dim=1)
        >>> turn = torch.linalg.qr(torch.randn(8, 8, generator=draw)).Q
        >>> pairs = torch.stack([torch.arange(40)] * 2, 1)
        >>> moved = migrate(old, old @ turn, pairs, methods=["orthogonal"])
        >>> bool((moved.queries(old @ turn) - old).abs().max() < 1e-4), moved.facts["queries"]["kept"]["value"]
        (True, 1.0)
    """
    methods = [methods] if isinstance(methods, str) else methods
    folder = None if out is None else Path(out)
    inputs = [x for x in (old, new, pairs, *ids) if isinstance(x, str | Path)]
    with nullcontext() if folder is None else claim(folder, "migration", inputs=inputs):
        with steady(inputs):
            stores = _store(old, old_part, "OLD"), _store(new, new_part, "NEW")
            if not directions:
                raise ModalignError(f"no direction to map in: name {', '.join(DIRECTIONS)} or both")
            _check_encoders(encoders or {}, stores)
            links = _links(pairs, ids, {"OLD": stores[0].rows, "NEW": stores[1].rows})
            s = study(stores[0], stores[1], links, measure, methods, directions, k, seed, progress)
            facts = describe(s, stores, len(links), k, seed, encoders or {})
        moved = Migration({d: side.adapter for d, side in s.sides.items()}, facts, folder)
        if folder is not None:
            write(moved, s, folder)
        return moved


def _links(pairs: Any, ids: Sequence[Path], rows: Mapping[str, int]) -> Tensor:
    """(p, 2) rows of OLD and NEW that are one item."""
    if pairs is not None and not isinstance(pairs, str | Path):
        if ids:
            raise ModalignError("ids belong to a file of pairs, and these pairs are row numbers already: give either")
        return row_pairs(pairs)
    known = load_ids(files_of(ids, tuple(rows)), rows)
    if pairs is not None:
        return load_pairs(pairs, tuple(rows), known)
    if not known:
        raise ModalignError("which rows of OLD and NEW are one item? Give pairs of rows, or the ids of both")
    links = equal_ids(known["OLD"], known["NEW"])
    if not len(links):
        raise ModalignError(
            f"no id of OLD is an id of NEW: OLD begins with {few(known['OLD'], 2)}, NEW with {few(known['NEW'], 2)}"
        )
    return links


def _check_encoders(encoders: Mapping[str, str], stores: Sequence[Vectors]) -> None:
    """Refuse encoders that a search could not use. Raises ModalignError: an unknown one, or one of another width."""
    for which, store in zip(("old", "new"), stores, strict=True):
        if (name := encoders.get(which)) is not None and (width := make("encoder", name).dim) != store.width:
            raise ModalignError(f"{which} encoder '{name}' gives {width} numbers, but {store.path} has {store.width}")


def _store(x: Any, part: str | None, name: str) -> Vectors:
    if isinstance(x, Vectors):
        return x
    return open_vectors(absolute(x), part) if isinstance(x, str | Path) else in_memory(x, name)


def describe(
    s: Study, stores: Sequence[Vectors], pairs: int, k: int, seed: int, encoders: Mapping[str, str]
) -> dict[str, Any]:
    """All numbers of a study, as JSON holds them."""
    points = [{"pairs": p.pairs, **_scores(p.kept)} for p in s.points]
    ahead = forecast([p.pairs for p in s.points], torch.stack([p.kept.old for p in s.points]), seed=seed)
    facts: dict[str, Any] = {
        "format": FORMAT, "modalign": __version__, "seed": seed, "k": k, "k_new": own_length(k, len(s.held)),
        "measure": s.measure,
        "encoders": dict(encoders),
        "old": {"path": stores[0].path, "rows": stores[0].rows, "width": stores[0].width},
        "new": {"path": stores[1].path, "rows": stores[1].rows, "width": stores[1].width},
        "pairs": {
            "given": pairs, "used": len(s.rows.links) - len(s.wrong), "tested": len(s.held),
            "aside": {**s.rows.aside, **({"look wrong": len(s.wrong)} if len(s.wrong) else {})},
            "wrong_share": round(s.wrong_share, 4) if s.wrong_share > DOUBT else 0.0,
        },
        "gallery": len(s.rows.store),
        "agreement": score(s.agreement),
        **{d: _side(side, stores[d == "queries"]) for d, side in s.sides.items()},
        "curve": points,
        "forecast": ahead,
        "places": by_place(s), "bare": round(s.places.bare, 4), "worst": worst(s),
    }  # fmt: skip
    if "rows" in s.sides:
        rows = s.rows.raw
        mapped = s.sides["rows"].mapped
        facts["mixed"] = gradual.shown(rows.x[s.held], mapped, rows.x[s.held], k, seed) if len(s.held) >= 40 else None
    facts["take"] = take(facts)
    facts["verdict"] = verdict(facts)
    facts["warnings"] = warnings(facts)
    facts["not_tested"] = not_tested(facts)
    return facts


def _side(side: Side, store: Vectors) -> dict[str, Any]:
    return {
        **_named(side.chosen),
        "marks": marks(side.adapter, store),
        **_scores(side.kept),
        "tried": [{**_named(t.candidate), **_scores(t.kept)} for t in side.trials],
    }


def _named(c: Candidate) -> dict[str, Any]:
    return {"method": c.method, "settings": c.label}


def _scores(kept: Kept) -> dict[str, Any]:
    names = ("kept", "kept_ndcg", "kept_new", "kept_new_ndcg")
    return {name: score(values) for name, values in zip(names, kept, strict=True)}


def write(moved: Migration, s: Study, folder: Path) -> None:
    """The folder of a migration, in place of one that was there: whole beside it first, its facts last.

    Killed at any time, the folder holds the former migration, none, or this one; a full disk leaves the former.
    """
    from .page import page

    fresh = folder / ".fresh"
    shutil.rmtree(fresh, ignore_errors=True)  # of a call that was killed
    try:
        files = {d: export.write_files(a, fresh / d) for d, a in moved.adapters.items()}
        if len(s.wrong):
            rows = s.rows.links[s.wrong].tolist()
            write_text(fresh / WRONG, "old,new\n" + "".join(f"{a},{b}\n" for a, b in rows))
        facts = {**moved.facts, "files": files}
        lines = {d: export.numpy_lines(a) for d, a in moved.adapters.items()}
        write_text(fresh / REPORT, page(facts, lines))
        write_json(fresh / FACTS, facts)
        (folder / FACTS).unlink(missing_ok=True)
        for d in DIRECTIONS:
            shutil.rmtree(folder / d, ignore_errors=True)
        (folder / WRONG).unlink(missing_ok=True)
        for name in (*files, *([WRONG] if len(s.wrong) else []), REPORT, FACTS):
            (fresh / name).replace(folder / name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def load_migration(folder: Path | str) -> Migration:
    """Open the folder of a migration.

    Raises:
        ModalignError: no migration there, or one of another format.
    """
    folder = Path(folder)
    found = kind_of(folder)
    if found not in (None, "migration"):
        raise ModalignError(f"{folder} holds {KINDS.get(found, 'other files')}, and no migration of  modalign migrate")
    facts = read_json(folder / FACTS, "migration")
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ModalignError(f"{folder / FACTS} has another format than this version reads ({FORMAT})")
    return Migration({d: load_adapter(folder / d) for d in DIRECTIONS if d in facts}, facts, folder)
