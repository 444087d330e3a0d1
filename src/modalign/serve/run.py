"""Start the server of the page."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import ModalignError, require
from ..parameters import Port, checked
from .app import make_app
from .guard import LOOPBACK
from .state import State, names_of

WAITING = 200  # connections at once; more are told to come back
LOOK = 0.05  # seconds between two looks at whether the server has ended
GRACE = 1.0  # seconds that answers under way have at the end


@checked
def run_server(
    runs: Sequence[Path], host: str = "127.0.0.1", port: Port = 8765, allow: Sequence[str] = (), threads: int = 2
) -> None:
    """Serve the page until interrupted.

    Args:
        runs: run folders or indexes, one or several. host: address to listen on. port: 0 for any free one.
        allow: host names answered beside the address. threads: of the computation.

    Raises:
        ModalignError: no run, or the address cannot be had.
    """
    uvicorn = require("uvicorn", "serve")
    import torch

    torch.set_num_threads(max(1, threads))
    state = open_state(runs)
    listener = _listen(host, port)
    app = make_app(state, [host, *allow], addresses=host not in LOOPBACK)
    config = uvicorn.Config(app, log_level="warning", server_header=False, limit_concurrency=WAITING, lifespan="on")
    server = uvicorn.Server(config)
    ended, over = threading.Event(), threading.Event()

    def serving() -> None:
        try:
            server.run([listener])
        finally:
            over.set()

    try:
        with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
            _say(listener, host)
            threading.Thread(target=serving, daemon=True).start()  # who ends the server does not wait for its answers
            threading.Thread(target=state.warm, args=(ended,)).start()  # Python does: ended within torch, it aborts
            _wait(over)
        server.should_exit = True
        with contextlib.suppress(KeyboardInterrupt):  # asked twice
            _wait(over, GRACE)
    finally:
        ended.set()
        listener.close()
        state.decoders.close()


def _wait(over: threading.Event, seconds: float = float("inf")) -> None:
    """Until something is over, looking again and again: a signal that comes as ``over.wait`` begins leaves its lock
    taken, so that the next wait never ends, and one within ``join`` takes the thread for ended (Python 3.11)."""
    end = time.monotonic() + seconds
    while not over.is_set() and time.monotonic() < end:
        time.sleep(LOOK)


def _say(listener: socket.socket, host: str) -> None:
    name, number = listener.getsockname()[:2]
    shown = f"[{name}]" if ":" in name else name
    print(f"modalign: http://{shown}:{number}/  (stop with Ctrl-C)", file=sys.stderr, flush=True)
    if host not in LOOPBACK:
        print(
            "modalign: other machines may reach this page, and it asks nobody who they are", file=sys.stderr, flush=True
        )


def leave() -> None:
    """End the program behind ``run_server``, without waiting for models that are still loaded and answers to nobody.

    They hold nothing that has to be saved. Python itself would wait for their threads.
    """
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def open_state(runs: Sequence[Path]) -> State:
    """Open what is to be served.

    Raises:
        ModalignError: nothing given, a folder that is neither run nor index, or an index whose rows are no queries.
    """
    from ..search.index import Index
    from ..search.space import open_space

    if not runs:
        raise ModalignError("serve needs a run folder or an index, as in  modalign serve RUN")
    spaces = [open_space(r) for r in runs]
    for space in spaces:
        if isinstance(space.gallery, Index) and space.gallery.current.get("mixed"):
            raise ModalignError(
                f"{space.gallery} holds old and new items of a migration in one list: ask it by  modalign search"
            )
    return State(spaces, names_of(list(runs)))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()  # "::" is every address, those of IPv4 too
        return socket.create_server((host, port), family=family, backlog=128, dualstack_ipv6=both)
    except OSError as problem:
        why = str(problem.strerror).partition(" (while")[0]
        raise ModalignError(
            f"cannot listen on {host}:{port} ({why}): choose another with --port, or 0 for any"
        ) from None
