"""The web application: a page, and a few addresses that answer it in JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import ModalignError, require
from ..files import from_json, to_json
from . import answers
from .state import State

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

require("starlette", "serve")  # said in one line, before modules that cannot do without it are imported

STATIC = Path(__file__).with_name("static")
BODY = 64 * 1024  # bytes of a JSON request
UPLOAD = {"image": 16 << 20, "audio": 32 << 20, "video": 64 << 20}  # bytes of a file
OTHER = 16 << 20  # of a modality with another name
TYPES = {"image": ("image/",), "audio": ("audio/", "video/"), "video": ("video/",)}
FILES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class TooLargeError(ModalignError):
    """A request body over its limit."""


def make_app(state: State, hosts: Iterable[str] = (), addresses: bool = False) -> Starlette:
    """The application for some spaces.

    Args:
        state: what is served. hosts: names the server goes by beside loopback. addresses: any literal address too.
    """
    from starlette.applications import Starlette
    from starlette.convertors import register_url_convertor
    from starlette.middleware import Middleware
    from starlette.routing import Route

    from .guard import Guard

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        yield
        state.decoders.close()

    register_url_convertor("row", _row_numbers())
    routes = [
        Route("/", _page),
        Route("/static/{name}", _static),
        Route("/api/info", _answer(state, lambda s, body: answers.info(s, UPLOAD, __version__)), methods=["GET"]),
        Route("/api/search", _answer(state, answers.search), methods=["POST"]),
        Route("/api/why", _answer(state, answers.why), methods=["POST"]),
        Route("/api/standing", _answer(state, answers.standings), methods=["POST"]),
        Route("/api/map/{space:row}", _map(state)),
        Route("/api/upload", _upload(state), methods=["POST"]),
        Route("/media/{space:row}/{modality}/{row:row}", _media(state)),
    ]
    guard = Middleware(Guard, names=list(hosts), addresses=addresses)
    return Starlette(routes=routes, middleware=[guard], lifespan=lifespan)


def _row_numbers() -> Any:
    """Whole numbers in addresses, no longer than rows can be: of thousands of digits Python makes no number."""
    from starlette.convertors import IntegerConvertor

    class RowConvertor(IntegerConvertor):
        regex = "[0-9]{1,18}"

    return RowConvertor()


async def _page(request: Request) -> Response:
    return _file("index.html")


async def _static(request: Request) -> Response:
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    from starlette.responses import PlainTextResponse, Response

    known = {p.name: p for p in STATIC.iterdir() if p.suffix in FILES}  # names, never paths
    if name not in known:
        return PlainTextResponse("not found\n", 404)
    headers = {"cache-control": "no-cache"}
    return Response(known[name].read_bytes(), media_type=FILES[known[name].suffix], headers=headers)


def _json(value: Any, status: int = 200) -> Response:
    from starlette.responses import Response

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


def _answer(state: State, work: Callable[[State, Any], Any]) -> Callable[[Request], Any]:
    """An address that answers JSON with JSON; a mistake is answered by its one line."""

    async def endpoint(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        try:
            body = None
            if request.method == "POST":
                if request.headers.get("content-type", "").partition(";")[0] != "application/json":
                    return _json({"error": "send JSON"}, 415)
                body = from_json(await _body(request, BODY))
            return _json(await run_in_threadpool(work, state, body))
        except json.JSONDecodeError:
            return _json({"error": "the request is not valid JSON"}, 400)
        except ModalignError as problem:
            return _mistake(problem)

    return endpoint


def _mistake(problem: ModalignError) -> Response:
    return _json({"error": str(problem)}, 413 if isinstance(problem, TooLargeError) else 422)


def _map(state: State) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        number = request.path_params["space"]
        return await _answer(state, lambda s, body: answers.atlas(s, number))(request)

    return endpoint


def _upload(state: State) -> Callable[[Request], Any]:
    """A file as the raw body: /api/upload?modality=image&name=cat.jpg"""

    async def endpoint(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

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
            token = await run_in_threadpool(state.upload, modality, name, data)
        except ModalignError as problem:
            return _mistake(problem)
        return _json({"token": token, "modality": modality, "name": name})

    return endpoint


def _media(state: State) -> Callable[[Request], Any]:
    """A picture, sound or video of an item, by its row in the index: never by a path."""

    async def endpoint(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse, PlainTextResponse, Response

        place = request.path_params
        as_what = request.query_params.get("as", "picture")
        large = request.query_params.get("size") == "large"
        try:
            found = await run_in_threadpool(
                answers.media, state, place["space"], place["modality"], place["row"], as_what, large
            )
        except ModalignError as problem:
            return PlainTextResponse(f"{problem}\n", 404)
        headers = {"cache-control": "private, max-age=300", "content-security-policy": "default-src 'none'; sandbox"}
        if isinstance(found, answers.Video):
            return FileResponse(found.path, media_type=found.type, headers=headers)
        return Response(found.data, media_type=found.header["type"], headers=headers)

    return endpoint
