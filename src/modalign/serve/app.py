"""The web application: a page, and a few addresses that answer it in JSON."""

# ruff: noqa: E402  (what needs starlette is imported once it is known to be there)
from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ModalignError, require
from ..files import from_json, to_json

require("starlette", "serve")

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import answers
from .guard import Guard
from .state import State

STATIC = Path(__file__).with_name("static")
BODY = 64 * 1024  # bytes of a JSON request
UPLOAD = {"image": 16 << 20, "audio": 32 << 20, "video": 64 << 20}  # bytes of a file
OTHER = 16 << 20  # of a modality with another name
TYPES = {"image": ("image/",), "audio": ("audio/", "video/"), "video": ("video/",)}
FILES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class TooLargeError(ModalignError):
    """A request body over its limit."""


class RowConvertor(IntegerConvertor):
    """Whole numbers in addresses, no longer than rows can be: of thousands of digits Python makes no number."""

    regex = "[0-9]{1,18}"


register_url_convertor("row", RowConvertor())


def make_app(state: State, hosts: Iterable[str] = (), addresses: bool = False) -> Starlette:
    """The application for some spaces.

    Args:
        state: what is served. hosts: names the server goes by beside loopback. addresses: any literal address too.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        state.decoders.close()

    def asked(address: str, work: Callable[..., Any], method: str = "POST") -> Route:
        return Route(address, partial(_answer, work), methods=[method])

    routes = [
        Route("/", _file),
        Route("/static/{name}", _file),
        asked("/api/info", lambda state, body: answers.info(state, UPLOAD, __version__), "GET"),
        asked("/api/search", answers.search),
        asked("/api/why", answers.why),
        asked("/api/standing", answers.standings),
        asked("/api/map/{space:row}", lambda state, body, space: answers.atlas(state, space), "GET"),
        Route("/api/upload", _upload, methods=["POST"]),
        Route("/media/{space:row}/{modality}/{row:row}", _media),
    ]
    guard = Middleware(Guard, names=list(hosts), addresses=addresses)
    app = Starlette(routes=routes, middleware=[guard], lifespan=lifespan)
    app.state.served = state
    return app


async def _file(request: Request) -> Response:
    """A file of the page; names are looked up, and never joined to a path."""
    known = {p.name: p for p in STATIC.iterdir() if p.suffix in FILES}
    path = known.get(request.path_params.get("name", "index.html"))
    if path is None:
        return PlainTextResponse("not found\n", 404)
    return FileResponse(path, media_type=FILES[path.suffix], headers={"cache-control": "no-cache"})


def _json(value: Any, status: int = 200) -> Response:
    text = to_json(value, separators=(",", ":"))
    return Response(text.encode(), status, {"cache-control": "no-store"}, "application/json")


async def _body(request: Request, limit: int) -> bytes:
    """The body, read no further than its limit."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLargeError(
                f"the file is larger than {limit >> 20} MiB" if limit > BODY else "the request is too large"
            )
        parts.append(part)
    return b"".join(parts)


async def _answer(work: Callable[..., Any], request: Request) -> Response:
    """JSON for JSON; a mistake is answered by its one line."""
    try:
        body = None
        if request.method == "POST":
            if request.headers.get("content-type", "").partition(";")[0] != "application/json":
                return _json({"error": "send JSON"}, 415)
            body = from_json(await _body(request, BODY))
        return _json(await run_in_threadpool(work, request.app.state.served, body, **request.path_params))
    except json.JSONDecodeError:
        return _json({"error": "the request is not valid JSON"}, 400)
    except ModalignError as problem:
        return _mistake(problem)


def _mistake(problem: ModalignError) -> Response:
    return _json({"error": str(problem)}, 413 if isinstance(problem, TooLargeError) else 422)


async def _upload(request: Request) -> Response:
    """A file as the raw body: /api/upload?modality=image&name=cat.jpg"""
    modality = request.query_params.get("modality", "")
    name = " ".join(request.query_params.get("name", "").split())[:120] or "upload"
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if modality == "text" or not kind.startswith(TYPES.get(modality, ("image/", "audio/", "video/"))):
        refused = ModalignError(f"a file of type '{kind or 'unknown'}' is no query of '{modality}'")
        return _json({"error": str(refused)}, 415)
    try:
        data = await _body(request, UPLOAD.get(modality, OTHER))
        if not data:
            return _json({"error": "the file is empty"}, 422)
        token = await run_in_threadpool(request.app.state.served.upload, modality, name, data)
    except ModalignError as problem:
        return _mistake(problem)
    return _json({"token": token, "modality": modality, "name": name})


async def _media(request: Request) -> Response:
    """A picture, sound or video of an item, by its row in the index: never by a path."""
    place = request.path_params
    as_what = request.query_params.get("as", "picture")
    large = request.query_params.get("size") == "large"
    try:
        found = await run_in_threadpool(
            answers.media, request.app.state.served, place["space"], place["modality"], place["row"], as_what, large
        )
    except ModalignError as problem:
        return PlainTextResponse(f"{problem}\n", 404)
    headers = {"cache-control": "private, max-age=300", "content-security-policy": "default-src 'none'; sandbox"}
    if isinstance(found, answers.Video):
        return FileResponse(found.path, media_type=found.type, headers=headers)
    return Response(found.data, media_type=found.header["type"], headers=headers)
