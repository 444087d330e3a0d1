"""A faiss index across a change of model: its rows mapped into a new one, or the adapter before it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModalignError, explained, require
from ..files import atomic
from ..progress import Progress, silent
from ..search.ann import graph, keep, link, read_kept, write
from .adapter import Adapter
from .apply import Mapped, bare, check, fingerprint, fits, map_file, refuse_mapped, source_of
from .vectors import BLOCK, Vectors


class FaissStore(NamedTuple):
    """A faiss index that holds its vectors as they are.

    Args:
        index: as it was read. inner: what holds the vectors, behind an IDMap.
        keys: (n,) int64 name of each row in ``inner``, rising. vectors: the rows in the order of ``keys``.
    """

    index: Any
    inner: Any
    keys: np.ndarray
    vectors: Vectors


def open_faiss(source: Path) -> FaissStore:
    """Read a faiss index: flat, HNSW or IVF-flat, with an IDMap or without, whatever its ids.

    Raises:
        ModalignError: no such file, a damaged one, an empty index, one that does not hold its vectors as they are (PQ,
            scalar quantiser), or ids that stand for several rows.
    """
    faiss = require("faiss", "search")
    index = _read(faiss, source)
    inner = index
    if hasattr(index, "id_map"):
        inner = faiss.downcast_index(index.index)
        inner.referenced_objects = [index]  # which frees it when it is no longer known
    if not isinstance(inner, faiss.IndexFlat | faiss.IndexHNSWFlat | faiss.IndexIVFFlat):
        raise ModalignError(f"{source} is a {type(inner).__name__}, which does not hold its vectors as they are")
    if inner.ntotal == 0:
        raise ModalignError(f"the faiss index is empty: {source}")
    keys = np.arange(inner.ntotal)
    if isinstance(inner, faiss.IndexIVFFlat):
        keys = _listed(faiss, inner)
        if len(np.unique(keys)) != inner.ntotal:
            raise ModalignError(f"{source} has ids that stand for several rows: give each row an id of its own")
        inner.set_direct_map_type(faiss.DirectMap.Hashtable)

    def take(rows: np.ndarray) -> np.ndarray:
        return np.asarray(inner.reconstruct_batch(keys[rows]), np.float32)

    vectors = Vectors(str(source), len(keys), inner.d, take, lambda a, b: take(np.arange(a, b)))
    return FaissStore(index, inner, keys, vectors)


def _listed(faiss: Any, inner: Any) -> np.ndarray:
    """All ids of inverted lists, rising."""
    lists = inner.invlists
    sizes = [lists.list_size(i) for i in range(inner.nlist)]
    parts = [faiss.rev_swig_ptr(lists.get_ids(i), n).copy() for i, n in enumerate(sizes) if n]
    return np.sort(np.concatenate(parts))


def _read(faiss: Any, source: Path) -> Any:
    if not source.is_file():
        raise ModalignError(f"no faiss index at {source}")
    with explained(f"{source} cannot be read as a faiss index", RuntimeError):
        return faiss.read_index(str(source))


def map_faiss(
    adapter: Adapter, source: Path, out: Path, progress: Progress = silent, known: Mapping[str, Any] | None = None
) -> Mapped:
    """A faiss index of the same kind and ids whose vectors are mapped. The source is only read.

    The mapped rows, and the graph or the trained lists as far as they came, lie beside ``out`` in files named after the
    source and the adapter. Killed at any time, the next call goes on from them and ends with the bytes that it would
    have had. ``out`` appears in one step, after it was read back, counted and a sample of its rows was compared.

    Args:
        known: what ``apply.marks`` gave, by which rows are known that were mapped before.

    Raises:
        ModalignError: as ``open_faiss``; another width; rows that were mapped before; a result that is not what the
            adapter gives.
    """
    old = open_faiss(source)
    fits(adapter, old.vectors)
    refuse_mapped(known, old.vectors)
    flat, kept = _work(adapter, old.vectors, out)
    if not flat.exists():
        map_file(adapter, old.vectors, flat, progress)
    rows = np.load(flat, mmap_mode="r")
    with atomic(out) as partial:
        write(_built(old, rows, kept, progress), partial)
        found = open_faiss(partial)
        if not np.array_equal(found.keys, old.keys):
            raise ModalignError(f"the mapped rows of {source} lost their ids: map them again")
        check(adapter, old.vectors, found.vectors.at)
    lost = sum(bare(rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK))
    for left in (flat, kept):
        left.unlink(missing_ok=True)
    return Mapped(len(rows), lost)


def _work(adapter: Adapter, store: Vectors, out: Path) -> tuple[Path, Path]:
    """Files of unfinished work: the mapped rows, and what was built of them. Those of another job are removed."""
    job = hashlib.blake2b(f"{fingerprint(adapter)} {source_of(store)}".encode(), digest_size=4).hexdigest()
    other = re.compile(rf"\.?{re.escape(out.name)}\.(?!{job})[0-9a-f]{{8}}\.(rows\.npy(\.part|\.note)?|built)")
    for path in out.parent.iterdir():
        if other.fullmatch(path.name):
            path.unlink()
    return out.with_name(f"{out.name}.{job}.rows.npy"), out.with_name(f"{out.name}.{job}.built")


def _built(old: FaissStore, rows: np.ndarray, kept: Path, progress: Progress) -> Any:
    """An index of the kind of an old one over rows of another width."""
    faiss = require("faiss", "search")
    d, inner = rows.shape[1], old.inner
    measure = inner.metric_type
    if isinstance(inner, faiss.IndexHNSWFlat):
        hnsw = inner.hnsw
        empty = partial(graph, d, hnsw.nb_neighbors(1), hnsw.efConstruction, hnsw.efSearch, measure)
        made = link(empty, rows, kept, progress)
    elif isinstance(inner, faiss.IndexIVFFlat):
        made = read_kept(kept, d)
        if made is None:
            made = _trained(faiss, inner, rows)
            keep(made, kept)
        for start, block in _blocks(rows, progress):
            made.add_with_ids(block, old.keys[start : start + len(block)])
    else:
        made = faiss.IndexFlat(d, measure)
        for _, block in _blocks(rows, progress):
            made.add(block)
    return made if inner is old.index else _named(faiss, old.index, made)


def _blocks(rows: np.ndarray, progress: Progress) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(rows), BLOCK):
        progress(start, len(rows), "filling the index")
        yield start, np.ascontiguousarray(rows[start : start + BLOCK])
    progress(len(rows), len(rows), "filling the index")


def _trained(faiss: Any, inner: Any, rows: np.ndarray) -> Any:
    """Empty inverted lists, as many as an old index has, learned from the mapped rows."""
    d, measure = rows.shape[1], inner.metric_type
    made = faiss.IndexIVFFlat(faiss.IndexFlat(d, measure), d, inner.nlist, measure)
    drawn = np.random.default_rng(0).permutation(len(rows))[: 256 * inner.nlist]
    made.train(np.ascontiguousarray(rows[np.sort(drawn)]))
    made.nprobe = inner.nprobe
    return made


def _named(faiss: Any, old: Any, made: Any) -> Any:
    """The ids of an IDMap on another index."""
    wrapped = type(old)(faiss.IndexFlat(made.d, made.metric_type))  # which takes an empty index only
    wrapped.index, wrapped.ntotal, wrapped.referenced_objects = made, made.ntotal, [made]
    faiss.copy_array_to_vector(faiss.vector_to_array(old.id_map), wrapped.id_map)
    if hasattr(wrapped, "construct_rev_map"):
        wrapped.construct_rev_map()
    return wrapped


def queries_in_faiss(adapter: Adapter, source: Path, out: Path) -> int:
    """The index as it is behind the adapter: it then takes vectors of the new model, and no row is rewritten.

    Queries are scaled to length 1, turned by a linear transform, and scaled to length 1 again. Returns its rows.

    Raises:
        ModalignError: an adapter that is not linear, of another width, or of a store that compares by distance and
            keeps lengths, which no transform of faiss gives; an index that it stands before already.
    """
    faiss = require("faiss", "search")
    index = _read(faiss, source)
    if adapter.bend:
        raise ModalignError(
            f"faiss has linear transforms only, but the adapter has a part '{adapter.bend}': map the queries yourself, "
            "or fit with  --method ridge orthogonal"
        )
    if adapter.dim != index.d:
        raise ModalignError(f"the adapter gives rows of {adapter.dim} numbers, but {source} has {index.d}")
    if adapter.norm is not None and index.metric_type == faiss.METRIC_L2:
        raise ModalignError(f"{source} compares by distance and needs the lengths of queries: map them yourself")
    weight = adapter.weight.T.contiguous().numpy().ravel()
    if any(np.array_equal(weight, before) for before in _turns(faiss, index)):
        raise ModalignError(f"{source} takes queries of the new model already: there is nothing to do")
    turn = faiss.LinearTransform(adapter.width, adapter.dim, True)
    faiss.copy_array_to_vector(weight, turn.A)
    faiss.copy_array_to_vector(adapter.bias.numpy(), turn.b)
    turn.is_trained = True
    chain = faiss.IndexPreTransform(faiss.NormalizationTransform(adapter.dim, 2.0), index)
    chain.prepend_transform(turn)
    chain.prepend_transform(faiss.NormalizationTransform(adapter.width, 2.0))
    with atomic(out) as partial:
        write(chain, partial)
    return int(index.ntotal)


def _turns(faiss: Any, index: Any) -> list[np.ndarray]:
    """The matrices of the linear transforms that stand before an index."""
    if not isinstance(index, faiss.IndexPreTransform):
        return []
    chain = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
    return [faiss.vector_to_array(t.A) for t in chain if isinstance(t, faiss.LinearTransform)]
