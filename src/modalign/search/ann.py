"""Faiss indexes: built the same way every time, read from disk without loading them, measured across modalities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModalignError, require, unknown

KINDS = ("exact", "hnsw", "ivfpq")
MIN_IVFPQ = 1024  # a codebook of 256 words needs a few rows per word
PER_LIST = 64  # rows per inverted list that k-means learns from; more cost much time and change little
RARE = 0.05  # share of allowed rows below which a filter is answered exactly


@dataclass(frozen=True)
class AnnSettings:
    """How vectors are indexed.

    Args:
        kind: "exact", "hnsw" or "ivfpq".
        links: neighbours per node of the HNSW graph (M).
        effort: candidates looked at while building HNSW (efConstruction).
        beam: candidates looked at while searching HNSW (efSearch).
        lists: inverted lists of IVF-PQ; 0: about 4 sqrt(n).
        codes: bytes per vector of IVF-PQ; 0: one for every four dimensions.
        probes: inverted lists looked at in a search; 0: a sixteenth of them, at least 32.
        refine: IVF-PQ candidates per result that are scored again with the full vectors.
    """

    kind: str = "exact"
    links: int = 32
    effort: int = 80
    beam: int = 128
    lists: int = 0
    codes: int = 0
    probes: int = 0
    refine: int = 10

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of index", self.kind, KINDS)
        for name, least in {
            "links": 2,
            "effort": 1,
            "beam": 1,
            "lists": 0,
            "codes": 0,
            "probes": 0,
            "refine": 1,
        }.items():
            if getattr(self, name) < least:
                raise ModalignError(f"{name} must be at least {least}, got {getattr(self, name)}")


class Opened(NamedTuple):
    """An index read from disk: the vectors, mapped, and the faiss index, which owns them."""

    faiss: Any
    vectors: np.ndarray


def build(vectors: np.ndarray, settings: AnnSettings) -> Any:
    """A faiss index of unit rows by inner product. The same rows and settings give the same bytes.

    Args:
        vectors: (n, d) float32.

    Raises:
        ModalignError: too few rows to learn the codes of IVF-PQ.
    """
    faiss = require("faiss", "search")
    n, d = vectors.shape
    if settings.kind == "exact":
        index = faiss.IndexFlatIP(d)
        index.add(vectors)
    elif settings.kind == "hnsw":
        index = faiss.IndexHNSWFlat(d, settings.links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = settings.effort
        index.hnsw.efSearch = settings.beam
        with threads(1):  # several threads link in the order in which they happen to finish
            index.add(vectors)
    else:
        index = _ivfpq(faiss, n, d, settings)
        index.train(_sample(vectors, max(PER_LIST * index.nlist, 65536)))
        index.add(vectors)
        index.nprobe = settings.probes or max(32, index.nlist // 16)
    return index


def _ivfpq(faiss: Any, n: int, d: int, settings: AnnSettings) -> Any:
    if n < MIN_IVFPQ:
        raise ModalignError(f"ivfpq needs at least {MIN_IVFPQ} items to learn its codes, got {n}: use exact or hnsw")
    lists = settings.lists or max(1, min(round(4 * math.sqrt(n)), n // 64))
    codes = settings.codes or max(1, d // 4)
    if d % codes:
        raise ModalignError(f"codes must divide the {d} dimensions, got {codes}")
    index = faiss.IndexIVFPQ(faiss.IndexFlatIP(d), d, lists, codes, 8, faiss.METRIC_INNER_PRODUCT)
    for clustering in (index.cp, index.pq.cp):
        clustering.min_points_per_centroid = 1  # small collections are accepted without words on standard output
        clustering.seed = 1234
    return index


def _sample(vectors: np.ndarray, limit: int) -> np.ndarray:
    """Evenly spaced rows."""
    return np.ascontiguousarray(vectors[:: max(1, -(-len(vectors) // limit))])


def write(index: Any, path: Path) -> None:
    """Write a faiss index file."""
    require("faiss", "search").write_index(index, str(path))


def read(path: Path, vectors: Path | None, kind: str, rows: int, dim: int) -> Opened:
    """Open a faiss index file by memory mapping.

    Args:
        path: the file. vectors: .npy file of the rows where the index does not hold them. rows, dim: what is expected.

    Raises:
        ModalignError: the file is missing, damaged, or of another size.
    """
    faiss = require("faiss", "search")
    if not path.exists():
        raise FileNotFoundError(2, "No such file", str(path))
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as problem:
        reason = str(problem).splitlines()[0][:120]
        raise ModalignError(f"index is damaged: {path} ({reason}); build it again") from None
    if (index.ntotal, index.d) != (rows, dim):
        raise ModalignError(
            f"index is damaged: {path} holds {index.ntotal} rows of {index.d} dimensions, expected {rows} of {dim}"
        )
    if vectors is not None:
        table = np.load(vectors, mmap_mode="c")  # never written to; torch asks for arrays that could be
    else:
        flat = index if kind == "exact" else faiss.downcast_index(index.storage)
        table = faiss.rev_swig_ptr(flat.get_xb(), rows * dim).reshape(rows, dim)
    return Opened(index, table)


def candidates(
    ann: Any, queries: np.ndarray, k: int, settings: AnnSettings, allowed: np.ndarray | None = None
) -> list[np.ndarray]:
    """Rows that may be among the k best of each query, from an approximate index; unordered.

    Args:
        queries: (n, d). allowed: (rows,) bool: rows that count; None: all.
    """
    faiss = require("faiss", "search")
    selector = None
    if allowed is not None:
        bits = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
    if settings.kind == "hnsw":
        want = min(ann.ntotal, k + 16)
        options = faiss.SearchParametersHNSW(efSearch=max(settings.beam, 2 * want), sel=selector)
    else:
        want = min(ann.ntotal, k * settings.refine)
        options = faiss.SearchParametersIVF(nprobe=ann.nprobe, sel=selector)
    found = ann.search(np.ascontiguousarray(queries, np.float32), want, params=options)[1]
    return [rows[rows >= 0] for rows in found]


def parse_settings(kind: str, entries: Sequence[str]) -> AnnSettings:
    """Settings from a kind and "name=number" texts.

    Raises:
        ModalignError: an unknown name, or a value that is no whole number.

    Example:
        >>> parse_settings("hnsw", ["links=16"]).links
        16
    """
    table: dict[str, int] = {}
    names = [f.name for f in fields(AnnSettings) if f.name != "kind"]
    for entry in entries:
        name, _, value = entry.partition("=")
        if name not in names:
            raise unknown("setting of an index", name, names)
        try:
            table[name] = int(value)
        except ValueError:
            raise ModalignError(f"{name} is a whole number, as in {name}=32, got '{entry}'") from None
    return AnnSettings(kind, **table)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Faiss on a number of threads, then as before."""
    faiss = require("faiss", "search")
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def settings_from(table: Mapping[str, Any], where: str) -> AnnSettings:
    """Settings as an index file holds them."""
    try:
        return AnnSettings(**table)
    except TypeError as problem:
        raise ModalignError(f"index is damaged: {where}: {problem}") from None
