"""The functional core: tensors in, tensors out. Each module is loaded on first use: ``geometry.transport``, ..."""

from __future__ import annotations

from typing import Any

from .. import public


def __getattr__(name: str) -> Any:
    return public.load(__name__, name, {})


def __dir__() -> list[str]:
    return public.listed(__name__, {})
