"""An aligned run elsewhere: a graph, an ONNX file, a repository of a model hub, an encoder of a benchmark."""

from __future__ import annotations

from .. import public

_HOMES = {
    "atlas": "write_atlas",
    "benchmark": "MtebEncoder",
    "columns": "views_of with_points",
    "graphs": "exported write_onnx",
    "hub": "HubModel",
    "router": "write_router",
    "trackers": "Tracker tracked",
}

__getattr__, __dir__ = public.lazily(__name__, _HOMES)
