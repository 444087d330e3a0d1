"""Faiss indexes: built the same way every time, read from disk without loading them, measured across modalities."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModalignError, explained, require
from ..files import atomic
from ..geometry.neighbours.flat import on_threads
from ..progress import Pause, Progress, silent
from .settings import AnnSettings

MIN_IVFPQ = 768  # a codebook of 256 words needs a few rows per word
PER_LIST = 64  # rows per inverted list that k-means learns from; more cost much time and change little
LINKED = 1024  # rows that are linked into a graph at a time
WIDEST = 1000  # entries up to which a filtered walk through a graph may widen, or RARE of all
RARE = 0.05  # share of allowed rows below which a filter is answered exactly


class Opened(NamedTuple):
    """An index read from disk: the vectors, mapped, and the faiss index, which owns them; None for plain vectors."""

    faiss: Any
    vectors: np.ndarray


def build(vectors: np.ndarray, settings: AnnSettings, kept: Path | None = None, progress: Progress = silent) -> Any:
    """A faiss index of unit rows by inner product. The same rows and settings give the same bytes.

    Args:
        vectors: (n, d) float32.
        kept: file for what takes long, written every few seconds; a second call goes on from it and ends with the same
            bytes. None: nothing is kept.

    Raises:
        ModalignError: too few rows to learn the codes of IVF-PQ.
    """
    faiss = require("faiss", "search")
    n, d = vectors.shape
    if settings.kind == "exact":
        index = faiss.IndexFlatIP(d)
        index.add(vectors)
    elif settings.kind == "hnsw":
        empty = partial(graph, d, settings.links, settings.effort, settings.beam, faiss.METRIC_INNER_PRODUCT)
        index = link(empty, vectors, kept, progress)
    else:
        index = read_kept(kept, d)
        if index is None:
            index = _ivfpq(faiss, n, d, settings)
            index.train(_sample(vectors, max(PER_LIST * index.nlist, 65536)))
            keep(index, kept)
        index.add(vectors)
        index.nprobe = settings.probes or max(32, index.nlist // 16)
    return index


def graph(d: int, links: int, effort: int, beam: int, measure: int) -> Any:
    """An empty ``IndexHNSWFlat``."""
    index = require("faiss", "search").IndexHNSWFlat(d, links, measure)
    index.hnsw.efConstruction, index.hnsw.efSearch = effort, beam
    return index


def link(empty: Callable[[], Any], vectors: np.ndarray, kept: Path | None = None, progress: Progress = silent) -> Any:
    """A graph, linked block by block. What was kept goes on with the random numbers that it would have drawn.

    Args:
        empty: makes the `graph` to fill. vectors, kept: as in ``build``.
    """
    faiss = require("faiss", "search")
    index = read_kept(kept, vectors.shape[1])
    if index is None:
        index = empty()
    else:
        for _ in range(index.ntotal):
            index.hnsw.random_level()
    pause = Pause()
    with on_threads(faiss.omp_get_max_threads() if _ordered(faiss) else 1):
        for start in range(index.ntotal, len(vectors), LINKED):
            index.add(vectors[start : start + LINKED])
            if index.ntotal < len(vectors) and pause.over():
                progress(index.ntotal, len(vectors), "linking the graph")
                keep(index, kept)
                pause = Pause(pause.spent())
    return index


def _ordered(faiss: Any) -> bool:
    """Whether this faiss links the same graph on any number of threads, which it does from 1.15 on.

    Before, several threads link in the order in which they happen to finish.
    """
    if hasattr(faiss.cvar, "hnsw_deterministic_build"):  # while the new way was a choice
        faiss.cvar.hnsw_deterministic_build = True
    return hasattr(faiss.HNSW, "compute_forward_links_deterministic")


def read_kept(path: Path | None, d: int) -> Any:
    """The index that an interrupted build left behind; None where there is none that can be read."""
    if path is None or not path.exists():
        return None
    faiss = require("faiss", "search")
    with suppress(RuntimeError):
        index = faiss.read_index(str(path))
        return index if index.d == d else None
    return None


def keep(index: Any, path: Path | None) -> None:
    """Write what a build has so far, for ``read_kept``; None: nowhere."""
    if path is not None:
        with atomic(path) as partial:
            write(index, partial)


def _codes(d: int) -> int:
    """Bytes per vector: the divisor of the width that is nearest to one for every four dimensions.

    Example:
        >>> [_codes(d) for d in (256, 50, 14, 150, 257)]
        [64, 10, 2, 30, 257]
    """
    return min((c for c in range(1, d + 1) if d % c == 0), key=lambda c: (abs(math.log(4 * c / d)), c))


def _ivfpq(faiss: Any, n: int, d: int, settings: AnnSettings) -> Any:
    if n < MIN_IVFPQ:
        raise ModalignError(
            f"ivfpq needs at least {MIN_IVFPQ} different items to learn its codes, got {n}: use exact or hnsw"
        )
    lists = settings.lists or max(1, min(round(4 * math.sqrt(n)), n // 64))
    codes = settings.codes or _codes(d)
    if d % codes:
        near = ", ".join(str(c) for c in range(1, d + 1) if d % c == 0 and d / 16 <= c <= d)
        raise ModalignError(f"codes must divide the {d} dimensions, got {codes}: choose one of {near}")
    index = faiss.IndexIVFPQ(faiss.IndexFlatIP(d), d, lists, codes, 8, faiss.METRIC_INNER_PRODUCT)
    for clustering in (index.cp, index.pq.cp):
        clustering.min_points_per_centroid = 1  # small collections are accepted without words on standard output
        clustering.seed = 1234
    return index


def _sample(vectors: np.ndarray, limit: int) -> np.ndarray:
    """Evenly spaced rows."""
    return np.ascontiguousarray(vectors[:: max(1, -(-len(vectors) // limit))])


def write(index: Any, path: Path) -> None:
    """Write a faiss index file, through Python's own file: one of C loses what goes wrong when it is closed."""
    faiss = require("faiss", "search")
    with path.open("wb") as handle:
        faiss.write_index(index, faiss.PyCallbackIOWriter(handle.write, 1 << 20))


def read(path: Path, vectors: Path | None, kind: str, rows: int, dim: int) -> Opened:
    """Open a faiss index file by memory mapping.

    Args:
        path: the file. vectors: .npy file of the rows where the index does not hold them. rows, dim: what is expected.

    Raises:
        ModalignError: the file is missing, damaged, or of another size.
    """
    if not path.exists():
        raise FileNotFoundError(2, "No such file", str(path))
    if kind == "exact":
        return Opened(None, _flat(path, rows, dim))
    faiss = require("faiss", "search")
    with explained(f"index is damaged: {path}", RuntimeError, then="; build it again"):
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    if (index.ntotal, index.d) != (rows, dim):
        raise ModalignError(
            f"index is damaged: {path} holds {index.ntotal} rows of {index.d} dimensions, expected {rows} of {dim}"
        )
    if vectors is not None:
        table = np.load(vectors, mmap_mode="c")  # never written to; torch asks for arrays that could be
    else:
        flat = faiss.downcast_index(index.storage)
        table = faiss.rev_swig_ptr(flat.get_xb(), rows * dim).reshape(rows, dim)
    return Opened(index, table)


def _flat(path: Path, rows: int, dim: int) -> np.ndarray:
    """The vectors of a plain index, mapped where they lie; its head is read here, so that no damage can hurt.

    The head: "IxFI", width (int32), rows (int64), two unused int64, one byte, the measure (int32), the count (uint64).
    """
    size = struct.calcsize("<4siqqq?iQ")
    with path.open("rb") as handle:
        head = handle.read(size)
    found = struct.unpack("<4siqqq?iQ", head) if len(head) == size else (b"",) * 8
    right = (found[0], found[1], found[2], found[7]) == (b"IxFI", dim, rows, rows * dim)
    if not right or path.stat().st_size != size + 4 * rows * dim:
        raise ModalignError(f"index is damaged: {path} does not hold {rows} rows of {dim} dimensions; build it again")
    return np.memmap(path, "<f4", "c", size, (rows, dim)) if rows else np.empty((0, dim), np.float32)


def mark(path: Path, kind: str) -> str:
    """What the file of an index must be like: a hash of it, of samples where it is large.

    Samples of an approximate one are long, as faiss trusts what it reads. An exact one is opened without faiss, and
    short ones tell it from a file that was written anew.
    """
    size, piece = path.stat().st_size, 1 << 12 if kind == "exact" else 1 << 20
    few = size > SAMPLES * piece
    starts = [round(i * (size - piece) / (SAMPLES - 1)) for i in range(SAMPLES)] if few else range(0, size, piece)
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as handle:
        for start in starts:
            handle.seek(start)
            digest.update(handle.read(piece))
    return digest.hexdigest()


SAMPLES = 64


def candidates(
    ann: Any, queries: np.ndarray, k: int, settings: AnnSettings, allowed: np.ndarray | None = None
) -> list[np.ndarray]:
    """Entries that may be among the k best of each query, from an approximate index; unordered.

    Args:
        queries: (n, d). allowed: (entries,) bool: those that count; None: all. Where the neighbours of a query are not
            among them, the search widens, at last to all that are allowed.
    """
    if allowed is not None:
        return [_among(ann, query[None], k, settings, allowed) for query in queries]
    want = min(ann.ntotal, k + 16 if settings.kind == "hnsw" else k * settings.refine)
    found = _search(ann, queries, want, settings, ann.nprobe if settings.kind == "ivfpq" else 0)
    return [rows[rows >= 0] for rows in found]


def _among(ann: Any, query: np.ndarray, k: int, settings: AnnSettings, allowed: np.ndarray) -> np.ndarray:
    """Candidates of one query among allowed entries.

    A graph is walked without the filter, as far as it takes to meet k that are allowed: a walk that keeps only allowed
    entries ends where it meets none. Inverted lists are searched with it, in as many lists as hold enough of them.
    """
    count = int(allowed.sum())
    if settings.kind == "ivfpq":
        want, probes = min(count, k * settings.refine), ann.nprobe
        while True:
            rows = _search(ann, query, want, settings, probes, allowed)[0]
            rows = rows[rows >= 0]
            if len(rows) >= want or probes >= ann.nlist:
                return rows
            probes = min(ann.nlist, 4 * probes)
    want = math.ceil(1.5 * k * len(allowed) / max(1, count)) + 16
    while want < max(WIDEST, RARE * len(allowed)) and want <= ann.ntotal:
        rows = _search(ann, query, want, settings)[0]
        rows = rows[rows >= 0]
        if int(allowed[rows].sum()) >= min(k, count):
            return rows[allowed[rows]]
        want *= 4
    return np.flatnonzero(allowed)


def _search(
    ann: Any, queries: np.ndarray, want: int, settings: AnnSettings, probes: int = 0, allowed: np.ndarray | None = None
) -> np.ndarray:
    """(n, want) entries of an approximate index; -1 where there are fewer."""
    faiss = require("faiss", "search")
    if settings.kind == "hnsw":
        options = faiss.SearchParametersHNSW(efSearch=max(settings.beam, 2 * want))
    else:
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        options = faiss.SearchParametersIVF(nprobe=probes, sel=None if bits is None else faiss.IDSelectorBitmap(bits))
    return np.asarray(ann.search(np.ascontiguousarray(queries, np.float32), want, params=options)[1])
