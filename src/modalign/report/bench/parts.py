"""Pieces of HTML that the sections of a bench's page share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ..page import Absent
from ..svg import tag

Summary = Mapping[str, Any]
Content = Markup | Absent


def p_text(p: float) -> str:
    """A p value for people."""
    return "< .001" if p < 0.001 else "1" if p >= 1 else f"{p:.3f}".lstrip("0")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", focus: Sequence[bool] = ()) -> Markup:
    """An HTML table; entries are escaped unless they are markup."""
    top = tag("thead", tag("tr", *(tag("th", h, scope="col") for h in head)))
    body = [
        tag("tr", *(tag("td", c) for c in row), class_="focus" if i < len(focus) and focus[i] else None)
        for i, row in enumerate(rows)
    ]
    inside = [tag("caption", caption)] if caption else []
    return tag("div", tag("table", *inside, top, tag("tbody", *body)), class_="scroll")


def paragraph(words: object) -> Markup:
    """A note."""
    return tag("p", words, class_="note")


def card(figure: Markup, caption: str = "", width: int = 46) -> Markup:
    """A figure on a card, at most so many times the size of letters wide."""
    words = [tag("figcaption", caption)] if caption else []
    return tag("figure", figure, *words, class_="card", style=f"max-width: {width}rem")


def cards(parts: Sequence[Markup]) -> Markup:
    """Figures side by side."""
    return tag("div", *parts, class_="grid", style="margin: 1rem 0")
