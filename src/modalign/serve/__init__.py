"""The page: search, look at and compare aligned spaces in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import public

if TYPE_CHECKING:
    from .app import make_app
    from .run import leave, run_server

_HOMES = {
    "app": "make_app",
    "run": "leave run_server",
}

__all__ = ["leave", "make_app", "run_server"]

__getattr__, __dir__ = public.lazily(__name__, _HOMES)  # a process that decodes files needs no torch for it
