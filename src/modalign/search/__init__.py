"""Search in the shared space."""

from .index import Hit, Index, encode_query, search_run, table

__all__ = ["Hit", "Index", "encode_query", "search_run", "table"]
