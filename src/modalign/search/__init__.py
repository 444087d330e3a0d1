"""Search in the shared space: from any modality to any modality, in memory or in a persistent index."""

from .. import renamed
from .commands import index_run, search_run
from .gallery import Gallery, in_memory
from .index import Index
from .part import Hit
from .query import Query, Term, parse_query
from .settings import AnnSettings, parse_settings
from .space import Space, open_space

__all__ = [
    "Gallery", "Hit", "Index", "Query", "AnnSettings", "Space", "Term", "in_memory", "index_run", "open_space",
    "parse_query", "parse_settings", "search_run",
]  # fmt: skip

__getattr__ = renamed.names_of(__name__)
