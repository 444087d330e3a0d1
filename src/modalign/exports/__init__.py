"""An aligned run elsewhere: a graph, an ONNX file, a repository of a model hub, an encoder of a benchmark."""

from __future__ import annotations

from typing import Any

from .. import public

_HOMES = {
    "HubModel": "hub",
    "MtebEncoder": "benchmark",
    "exported": "graphs",
    "Tracker": "trackers",
    "tracked": "trackers",
    "views_of": "columns",
    "with_points": "columns",
    "write_atlas": "atlas",
    "write_onnx": "graphs",
    "write_router": "router",
}


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return public.listed(__name__, _HOMES)
