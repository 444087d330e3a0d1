"""An extension of griffe, the reader of docstrings behind the API pages: what this code writes, as Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

WAYS = (
    (r"^Example:$", "Examples:"),  # whose lines are code: >>> is no quotation
    (r"<([^<>\n]{1,40}, ?[^<>\n]{1,40})>", r"⟨\1⟩"),  # an inner product, not a tag
    (r"^(Use when|Related|Reference|Warns): (?=\S)", r"\n**\1:** "),  # a paragraph each
)


class Docstrings(griffe.Extension):
    """Changes the text of docstrings before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            for pattern, by in WAYS:
                obj.docstring.value = re.sub(pattern, by, obj.docstring.value, flags=re.MULTILINE)
