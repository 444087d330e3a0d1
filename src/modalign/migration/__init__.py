"""Old vectors, a new embedding model: adapters between them, what they keep, and how a store is moved.

``migrate`` fits and measures; ``map_file``, ``map_lance`` and ``map_faiss`` rewrite a store. Guide: docs/migrate.md.
"""

from .adapter import Adapter, load_adapter
from .apply import Mapped, map_file
from .curve import choose_rows
from .gradual import Calibration, calibrate, mixed_query, mixed_rows
from .in_faiss import map_faiss, queries_in_faiss
from .in_lance import map_lance
from .migrating import Migration, load_migration, migrate
from .stores import open_vectors
from .vectors import Vectors, in_memory

__all__ = [
    "Adapter", "Calibration", "Mapped", "Migration", "Vectors", "calibrate", "choose_rows", "in_memory", "load_adapter",
    "load_migration", "map_faiss", "map_file", "map_lance", "migrate", "mixed_query", "mixed_rows", "open_vectors",
    "queries_in_faiss",
]  # fmt: skip
