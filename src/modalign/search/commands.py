"""What the commands ``index`` and ``search`` do, and how their results read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..data.left_out import LeftOut
from ..errors import ModalignError, check_known, unknown
from ..features.reading import remarks
from ..features.store import Store
from ..model import model_fingerprint
from ..outputs import tell
from ..parameters import Count, check_value
from ..progress import Progress, silent
from ..runs import Run
from ..runs.items import told_apart
from .gallery import CORRECTIONS
from .index import Index
from .items import conditions, item_id
from .part import Place
from .query import NO_QUERY, Query, parse_query
from .segments import is_index
from .settings import AnnSettings
from .sources import embedded
from .space import Space, open_space, space_of

KINDS = ("text", "image", "audio", "video", "item")


def index_run(
    source: Path,
    store: Path | None = None,
    out: Path | None = None,
    *,
    settings: AnnSettings | None = None,
    only: Sequence[str] = (),
    split: str | None = None,
    add: bool = False,
    update: bool = False,
    delete: Sequence[str] = (),
    compact: bool = False,
    lance: str | None = None,
    shards: Count = 1,
    prefix: str = "",
    join: Sequence[Path] = (),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Build an index, or change one.

    Args:
        source: run folder to build from or add from; or an index to change (``delete``, ``compact``, ``lance``).
        store: feature store whose items are indexed; None: the items of the run itself.
        out: folder of the index; default: "index" in the run folder.
        only: modalities to index. split: only items of it.
        add, update: put the items into the index that is there; ``update`` replaces those with the same id.
        delete: ids to delete. compact: rewrite as one segment. lance: also write to this LanceDB (folder or URL).
        shards: parts of the index that are built side by side. prefix: of the ids.
        join: indexes that become one with ``source``, an index too, in the folder ``out``.

    Returns: {"index", "kind", "items": {modality: n}, "model", "recall", "failures": see ``data.left_out``,
        "query": one that it can answer}.
    """
    left_out: tuple[LeftOut, ...] = ()
    if join:
        if out is None:
            raise ModalignError("joined indexes need a folder of their own: say which with --out")
        index = Index.join(out, [source, *join])
    elif is_index(source):
        if store is not None or out is not None or add or update or only or split:
            several = f" ({store} was taken for a store: repeat --delete for each id)" if delete and store else ""
            raise ModalignError(
                f"{source} is an index: give a run folder to take items from, and the index as --out{several}"
            )
        if not (delete or compact or lance):
            raise ModalignError(f"{source} is an index: say what to do with it: --delete ID, --compact or --lance URI")
        index = Index(source)
    else:
        if delete:
            raise ModalignError(f"{source} is no index, and --delete takes items out of one: give the index instead")
        run = Run.open(source)
        index, left_out = _fill(
            run, store, out or run.index, settings, only, split, add or update, update, shards, prefix, progress
        )
    if delete:
        index = index.delete(delete)
    if compact:
        index = index.compact(progress)
    result = {
        "index": str(index),
        "kind": index.settings.kind,
        "dim": index.dim,
        "items": {m: index.count(m) for m in index.modalities},
        "model": (index.current["model"] or {}).get("fingerprint"),
        "recall": index.current.get("recall"),
        "failures": [x.json() for x in left_out],
        "query": '"a word"' if index.current.get("mixed") else _example(space_of(index)),
    }
    if lance:
        from .sinks import LanceSink

        result["lance"] = {"uri": lance, "rows": LanceSink(lance).write(index, progress=progress)}
    return result


def _example(space: Space) -> str:
    """A query that a space can answer: words where it reads them, else its first item."""
    if space.reader("text"):
        return '"a word"'
    places = (Place(m, int(row)) for m in space.gallery.modalities for row in space.gallery.sample(m, 1))
    return f"--item {shlex.quote(next(map(space.gallery.id, places), 'ID'))}"


def _fill(
    run: Run,
    store: Path | None,
    out: Path,
    settings: AnnSettings | None,
    only: Sequence[str],
    split: str | None,
    add: bool,
    update: bool,
    shards: int,
    prefix: str,
    progress: Progress,
) -> tuple[Index, tuple[LeftOut, ...]]:
    model = run.folder if run.has_model else None
    if add and model is not None:
        Index(out).check_model(model_fingerprint(model), str(model))  # before any work
    there = (Store.open(store).modalities if store else run.items.z.modalities) if store or run.has_items else ()
    for m in only if there else ():
        check_known("modality", m, there)
    parts = {s for s in _splits(run, store) if s}
    if split is not None and split not in parts:
        raise unknown(f"split of {store or run}", split, parts)
    found = embedded(run, store, split, progress)
    chosen = list(only) or list(found.items)
    items = told_apart({m: own for m, own in found.items.items() if m in chosen})
    for m, table in items.items() if prefix else ():
        for row, entry in enumerate(table):
            entry["id"] = prefix + item_id(entry.get("id"), m, entry.get("row", row))
    if not add:
        _tell_of_former(out, {m: len(found.z[m]) for m in chosen}, progress)
        built = Index.build(
            out, found.z.data, items, settings=settings, model=model, only=list(only), root=found.root,
            facts=found.facts, shards=shards, progress=progress,
        )  # fmt: skip
        return built, found.left_out
    vectors = {m: found.z[m] for m in chosen}
    added = Index(out).add(
        vectors, items, model=model, update=update, root=found.root, facts=found.facts, progress=progress
    )
    return added, found.left_out


def _tell_of_former(out: Path, counts: Mapping[str, int], progress: Progress) -> None:
    """Say that an index goes which held another number of items than the one that takes its place."""
    if not is_index(out):
        return
    with suppress(ModalignError):  # a damaged one holds nothing to keep
        there = Index(out)
        former = {m: n for m in there.modalities if (n := there.count(m))}
        if former != counts:
            held = ", ".join(f"{n:,} of '{m}'" for m, n in former.items()) or "none"
            tell(out, f"an index of other items ({held}; --add keeps them)", progress)


def _splits(run: Run, store: Path | None) -> set[str | None]:
    """The splits there are to index."""
    if store is not None:
        return set(Store.open(store).manifest.splits)
    owner = run if run.has_items or run.parent is None else run.parent
    return {e.get("split") for entries in owner.items.entries.values() for e in entries}


def search_run(
    run: Path,
    text: str | None = None,
    image: Path | None = None,
    to: Sequence[str] | str | None = None,
    k: int = 10,
    *,
    texts: Sequence[str] = (),
    images: Sequence[Path] = (),
    audios: Sequence[Path] = (),
    videos: Sequence[Path] = (),
    items: Sequence[str] = (),
    minus: Sequence[str] = (),
    weights: Sequence[str] = (),
    where: Sequence[str] = (),
    correction: str | None = None,
    exact: bool = False,
    model: Path | None = None,
) -> dict[str, Any]:
    """Search a run or an index by words, files and items, in any combination.

    Args:
        run: run folder or index.
        text, image: a first text and picture; the lists hold more of each.
        items: ids of items in the index. minus, weights: see ``parse_query``.
        to, k, where, correction, exact: see ``Space.search``. model: run that an index must belong to.

    Returns: see ``Space.search``.
    """
    given: dict[str, Sequence[Any]] = {
        "text": [*([text] if text is not None else []), *texts],
        "image": [*([image] if image is not None else []), *images],
        "audio": audios,
        "video": videos,
        "item": items,
    }
    check_value(Count, k, "k")
    if correction is not None and correction not in CORRECTIONS:
        raise unknown("correction", correction, CORRECTIONS)
    conditions(where)
    query = parse_query({m: v for m, v in given.items() if v}, minus, weights)
    if not query.terms:
        raise ModalignError(NO_QUERY)
    space = open_space(run, model)
    found = space.search(query, to, k, where, correction, exact)
    return {**found, "notes": notes(space, query)}


def notes(space: Space, query: Query) -> list[str]:
    """What the text encoder does not read of a query's words as they are, see ``features.reading.remarks``."""
    words = [str(term.value) for term in query.terms if term.kind == "text"]
    return remarks(words, space.encoder("text")) if words else []


def command_line(
    run: Path, query: Query, to: Sequence[str], k: int, where: Sequence[str] = (), correction: str | None = None
) -> str:
    """The command that gives the answer to a query, ready for a shell.

    Example:
        >>> from .query import Query
        >>> command_line(Path("runs/demo"), Query().text("a dog").minus("snow"), ["image"], 5)
        "modalign search runs/demo --text='a dog' --minus=snow --to=image -k 5"
    """
    options: list[tuple[str, str]] = []
    weights: list[str] = []
    count: dict[str, int] = {}
    plain = sorted((t for t in query.terms if t.weight >= 0), key=lambda t: KINDS.index(t.kind))
    for term in [*plain, *(t for t in query.terms if t.weight < 0)]:
        shown = str(term.label or term.value)
        kind = term.kind if term.weight >= 0 else "minus"
        if kind == "minus" and (term.kind != "text" or shown.partition("=")[0] in KINDS):
            shown = f"{term.kind}={shown}"
        count[kind] = count.get(kind, 0) + 1
        options.append((kind, shown))
        if abs(term.weight) != 1.0:
            weights.append(f"{kind}.{count[kind]}={abs(term.weight):g}")
    options += [("weight", w) for w in weights] + [("to", m) for m in to]
    words = [f"--{name}={shlex.quote(value)}" for name, value in options]
    words += ["-k", str(k), *(f"--where={shlex.quote(w)}" for w in where)]
    words += [f"--correction={correction}"] if correction else []
    return " ".join(["modalign search", shlex.quote(str(run)), *words])
