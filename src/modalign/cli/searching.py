"""The commands index, search and serve: parse and call, no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import ModalignError
from ..parameters import Count, Port
from .common import WHOLE, Flag, Json, Repeated, RepeatedFiles, Whole, emit, unused, whole


def index(
    run: Path,
    store: Path | None = None,
    *,
    out: Path | None = None,
    kind: str = "exact",
    set: Repeated = None,
    only: Repeated = None,
    split: str | None = None,
    add: Flag = False,
    update: Flag = False,
    delete: Repeated = None,
    compact: Flag = False,
    lance: str | None = None,
    shards: Whole = 1,
    prefix: str = "",
    join: RepeatedFiles = None,
    json: Json = False,
) -> None:
    """Build a persistent search index of embedded items, or change one.

    Args:
        run: run folder to build from; or an index, to delete from it or to compact it.
        store: feature store of 'modalign embed', whose items are mapped by the run's model; default: the run's own
            items.
        out: folder of the index; default: "index" in the run folder.
        kind: exact, hnsw or ivfpq; the last two print their recall against exact search, across modalities.
        set: name=number, of the kind: links, effort, beam (hnsw); lists, codes, probes, refine (ivfpq); may be
            repeated.
        only: modality to index; repeat for several.
        split: only the items of this split.
        add: put the items into the index that is there.
        update: like --add; items whose id is there are replaced.
        delete: id of an item to delete; repeat for several.
        compact: rewrite the index without deleted items.
        lance: also write the items to this LanceDB, a folder or the URL of an object store.
        shards: parts that are built side by side, on all cores, and searched together; for hnsw and ivfpq.
        prefix: put before the id of every item, so that indexes can be joined.
        join: another index, which becomes one with RUN, an index too, in the folder --out; repeat for several.
    """
    from ..progress import terminal
    from ..search import index_run, parse_settings
    from ..search.segments import is_index
    from . import tables

    if is_index(run):
        unused("for an index that is there", kind=None if kind == "exact" else kind, set=set)
    with terminal() as progress:
        result = index_run(run, store, out, settings=parse_settings(kind, set or []), only=only or [], split=split,
                           add=add, update=update, delete=delete or [], compact=compact, lance=lance,
                           shards=shards, prefix=prefix, join=join or [], progress=progress)  # fmt: skip
    emit(result, json, tables.index)


def search(
    run: Path,
    words: str | None = None,
    *,
    text: Repeated = None,
    image: RepeatedFiles = None,
    audio: RepeatedFiles = None,
    video: RepeatedFiles = None,
    item: Repeated = None,
    minus: Repeated = None,
    weight: Repeated = None,
    to: Repeated = None,
    k: Annotated[Count, Parameter(alias="-k", converter=whole)] = 10,
    where: Repeated = None,
    correction: str | None = None,
    exact: Flag = False,
    model: Path | None = None,
    by: str | None = None,
    json: Json = False,
) -> None:
    """Find the items nearest to words, pictures, sounds, videos or items, or to a sum of them.

    Args:
        run: run folder or index.
        words: text to search with.
        text: text to search with; this and the following options may be repeated and mixed.
        image: picture to search with.
        audio: sound to search with.
        video: video to search with.
        item: id of an item to search with.
        minus: what to take away: words, or KIND=VALUE with image, audio, video or item.
        weight: KIND=NUMBER or KIND.N=NUMBER for the Nth of a kind (text, image, audio, video, item, minus); default 1.
        to: modality to search in, or any; repeat for several; default: pictures, or words for pictures.
        k: how many results.
        where: filter on metadata, key=value (or !=, <, <=, >, >=); repeat to narrow.
        correction: against hubs: csls or inverted_softmax.
        exact: compare with every item, whatever the index.
        model: run that the index must belong to.
        by: for the folder of a migration or an index that was remapped: the model that encodes the query, new or old.
    """
    from ..migration.find import is_moved, items_of, search_moved
    from ..search import search_run
    from . import tables

    if is_moved(run) and item:
        unused(
            "in the search of a migration by item", words=words, text=text, image=image, audio=audio, video=video, by=by
        )
        run = items_of(run)
    elif is_moved(run):
        unused("in the search of a migration", minus=minus, weight=weight, correction=correction,
               exact=exact, model=model)  # fmt: skip
        texts = [*([words] if words else []), *(text or [])]
        given: dict[str, list[Any]] = {"text": texts, "image": image or [], "audio": audio or [], "video": video or []}
        emit(search_moved(run, given, by, to or [], k, where or []), json, tables.hits)
        return

    if by is not None:
        raise ModalignError(f"--by chooses between the models of a migration, and {run} is none: leave it out")
    result = search_run(run, words, to=to, k=k, texts=text or [], images=image or [], audios=audio or [],
                        videos=video or [], items=item or [], minus=minus or [], weights=weight or [],
                        where=where or [], correction=correction, exact=exact, model=model)  # fmt: skip
    emit(result, json, tables.hits)


def serve(
    *runs: Path,
    host: str = "127.0.0.1",
    port: Annotated[Port, WHOLE] = 8765,
    allow_host: Repeated = None,
    threads: Whole = 2,
) -> None:
    """Open a page to search, look at and compare runs or indexes.

    Args:
        runs: run folders or indexes; a query is answered by all of them, side by side.
        host: address to listen on; other machines cannot reach the default.
        port: where to listen; 0: any free one.
        allow_host: name that browsers may call this server by, beside its address; repeat for several.
        threads: of the computation.
    """
    from ..serve import leave, run_server

    run_server(list(runs), host, port, allow_host or [], threads)
    leave()
