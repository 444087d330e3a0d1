"""What pages share: rendering with escaping on, pieces of HTML, and how a section says that it has nothing to show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup, escape

from .sheet import Sheet
from .svg import percent, printable, short_number, tag

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")


class Absent(NamedTuple):
    """A section that a run cannot fill, and why, in one line."""

    why: str


class Section(NamedTuple):
    """A part of the page: anchor, heading, and the function that fills it. None: it does not concern such a run."""

    id: str
    title: str
    build: Callable[[Sheet], Markup | Absent | None]


def page(parts: Iterable[tuple[str, str, Markup | Absent | None]], **about: object) -> str:
    """The HTML text of a report.

    Args:
        parts: anchor, heading and content of its sections; where that is ``Absent``, the page says why.
        about: ``title``, ``headline``, ``kicker``, ``lead``, ``version``, and where there are any ``attribution`` and
            ``weights``.
    """
    known = list(parts)
    text = render(
        "report.html.j2",
        shown=[part for part in known if isinstance(part[2], Markup)],
        absent=[(heading, content.why) for _, heading, content in known if isinstance(content, Absent)],
        style=_source("style.css"),
        script=_source("report.js"),
        **{"attribution": "", **about},
    )
    return printable(str(text))


def _source(name: str) -> Markup:
    """A file of ours to be put into the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def render(template: str, **values: Any) -> Markup:
    """A template with every value escaped that is not markup already."""
    return Markup(_templates().get_template(template).render(**values))


def flat(table: Mapping[str, Any], prefix: str = "", whole: str = "") -> dict[str, Any]:
    """Nested tables under dotted keys; a table that has the key ``whole`` counts as a value.

    Example:
        >>> flat({"seed": 1, "method": {"name": "full"}})
        {'seed': 1, 'method.name': 'full'}
    """
    out: dict[str, Any] = {}
    for key, value in table.items():
        nested = isinstance(value, Mapping) and whole not in value
        out |= flat(value, f"{prefix}{key}.", whole) if nested else {f"{prefix}{key}": value}
    return out


def linked(words: str) -> Markup:
    """A text with its web addresses as links; everything escaped.

    Example:
        >>> print(linked("<b> see https://openmoji.org."))
        &lt;b&gt; see <a href="https://openmoji.org">https://openmoji.org</a>.
    """
    parts = re.split(r"(https?://[\w\-./~%?=&#:+]*[\w/])", words)
    return Markup("").join(
        Markup('<a href="{0}">{0}</a>').format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "pair"), counted(1200, "query")
        ('1 pair', '1,200 queries')
    """
    if n != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith(("ch", "s")) else f"{noun}s"
    return f"{n:,} {noun}"


@lru_cache(maxsize=1)
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"percent": percent, "short": short_number, "linked": linked}
    return environment


Summary = Mapping[str, Any]
Content = Markup | Absent


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
