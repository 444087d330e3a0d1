"""What every request passes: names the server answers to, other sites kept out, headers that bind the page."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Guard:
    """Middleware: refuses unknown Host headers (a foreign name that resolves to this machine) and other sites' pages.

    Args:
        app: what it guards. names: host names that are answered. addresses: whether any literal address is answered
            too, for a server that listens beyond loopback.
    """

    def __init__(self, app: Any, names: Iterable[str] = (), addresses: bool = False) -> None:
        self.app = app
        self.names = {n.lower() for n in (*LOOPBACK, *names)}
        self.addresses = addresses

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        if refusal:
            await PlainTextResponse(refusal, 403 if "site" in refusal else 421, HEADERS)(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    own.setdefault(name, value)  # an answer may bind itself more tightly
            await send(message)

        await self.app(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if not self.known(host):
            return "this server does not go by that name (start it with --allow-host NAME)\n"
        foreign = not _from(headers.get("origin"), host)
        if method != "GET" and (foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")):
            return "requests from other sites are refused\n"
        return ""

    def known(self, host: str) -> bool:
        """Whether a Host header names this server.

        Example:
            >>> guard = Guard(None)
            >>> guard.known("localhost:8765"), guard.known("[::1]:8765"), guard.known("evil.example")
            (True, True, False)
        """
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            return name in self.names or (self.addresses and ipaddress.ip_address(name) is not None)
        except ValueError:  # neither a name nor an address
            return False


def _from(origin: str | None, host: str) -> bool:
    """Whether a request comes from a page of this very server, or from no page."""
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # no address at all
        return False
