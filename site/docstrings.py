"""An extension of griffe, the reader of docstrings behind the API pages: headings of this code as griffe knows them."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Headings(griffe.Extension):
    """``Example:`` becomes ``Examples:``, whose lines are code; ``>>>`` is no quotation."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
