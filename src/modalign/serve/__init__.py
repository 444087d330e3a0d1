"""The page: search, look at and compare aligned spaces in a browser."""

from ..errors import require

require("starlette", "serve")  # said in one line, before modules that cannot do without it are imported

from .app import make_app  # noqa: E402
from .run import run_server  # noqa: E402

__all__ = ["make_app", "run_server"]
