"""The page: search, look at and compare aligned spaces in a browser."""

from .app import make_app
from .run import run_server

__all__ = ["make_app", "run_server"]
