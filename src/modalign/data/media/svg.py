"""Drawings: SVG of any encoding, also compressed, on white, the same on any machine."""

from __future__ import annotations

import codecs
import io
import re
import zlib

from PIL import Image

from ...errors import ModalignError, explained, require

SVG_PIXELS = 512
"""Longer side at which an SVG is drawn where no size is asked for."""

SVG_BYTES = 1 << 26
"""Largest text of a compressed SVG."""

DPI = 96
"""Pixels of an inch in SVG (CSS 2.1, section 4.3.2)."""

UNITS = {"": 1.0, "px": 1.0, "in": DPI, "cm": DPI / 2.54, "mm": DPI / 25.4, "q": DPI / 101.6, "pt": DPI / 72,
         "pc": DPI / 6, "em": 16.0, "ex": 8.0}  # fmt: skip
"""Pixels of a unit of length."""

GZIP = b"\x1f\x8b"
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ROOT = re.compile(r"<(?:[\w.-]+:)?svg(?=[\s/>])[^>]*>", re.I)
"""The root element. Programs give its namespace prefixes of their own, such as ns0."""

NOT_DRAWN = re.compile(r"<(?:[\w.-]+:)?text[\s>]|<(?:[\w.-]+:)?image\b[^>]*href\s*=\s*[\"'](?!data:)", re.I)
"""Letters, which need fonts of the system, and pictures in files of their own."""


def is_svg(data: bytes) -> bool:
    """Whether bytes are an SVG document: its root element comes first, after declarations and comments."""
    if data.startswith(GZIP):
        data = _unpacked(data)
    wide = data.startswith(WIDE)
    if not wide and not data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return False
    return root_tag(data.decode("utf-16" if wide else "latin-1", "replace")) is not None


def root_tag(text: str) -> str | None:
    """The tag of the root element, if that is ``svg``, behind declarations, comments and a document type.

    Example:
        >>> root_tag('<?xml version="1.0"?><!-- drawn --><s:svg width="2">'), root_tag("<p><svg></p>")
        ('<s:svg width="2">', None)
    """
    at = re.match(r"[\ufeffï»¿\s]*", text).end()  # type: ignore[union-attr]
    while (end := _end_of_prolog(text, at)) is not None:
        at = end
    found = ROOT.match(text, at)
    return found and found.group()


def _end_of_prolog(text: str, at: int) -> int | None:
    """Where what stands here ends, if it may stand before the root element."""
    for opening, closing in (("<?", "?>"), ("<!--", "-->"), ("<!doctype", ">")):
        if text[at : at + len(opening)].lower() == opening:
            inner, end = text.find("[", at), text.find(closing, at)
            if opening == "<!doctype" and at < inner < end:  # declarations of its own, each with an end
                end = text.find(closing, text.find("]", inner))
            return re.compile(r"\s*").match(text, end + len(closing)).end() if end >= 0 else None  # type: ignore[union-attr]
    return None


def svg_text(data: bytes, name: str) -> str | None:
    """The text of an SVG, by its mark, by the encoding that it declares, or as UTF-8; None for anything else.

    Raises:
        ModalignError: an SVG that is not text of that encoding, or that is too large; names the file.
    """
    if not is_svg(data):
        return None
    if data.startswith(GZIP):
        data = _unpacked(data)
        if len(data) >= SVG_BYTES:
            raise ModalignError(f"SVG has more than {SVG_BYTES >> 20} MiB, refused: {name}")
    declared = re.match(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)", data)
    encoding = "utf-16" if data.startswith(WIDE) else declared.group(1).decode() if declared else "utf-8"
    try:
        plain = codecs.lookup(encoding).name
        return data.decode("utf-8-sig" if plain == "utf-8" else plain)
    except (UnicodeDecodeError, LookupError):
        shown = encoding.upper() if encoding.lower().startswith("utf") else encoding
        raise ModalignError(f"SVG is not {shown} text: {name}") from None


def _unpacked(data: bytes) -> bytes:
    """The beginning of compressed data, up to ``SVG_BYTES``; nothing where it is damaged."""
    try:
        return zlib.decompressobj(31).decompress(data, SVG_BYTES)
    except zlib.error:
        return b""


def draw_svg(text: str, size: int | None, name: str, most: int) -> Image.Image:
    """Draw an SVG on white, its longer side ``size`` pixels.

    Fonts of the system are left out and other files are not opened: the same file must give the same pixels on any
    machine. A drawing of which nothing is left without them is refused.

    Args:
        most: pixels. name: for messages.

    Raises:
        ModalignError: it cannot be drawn, or shows nothing.
    """
    resvg = require("resvg_py", "image")
    pixels = size or SVG_PIXELS
    wide, high = svg_size(text)
    side = {"width": pixels} if wide >= high else {"height": pixels}
    if pixels * max(1.0, pixels * min(wide, high) / max(wide, high)) > most:
        raise ModalignError(f"picture would have more than {most:,} pixels, refused: {name}")
    with explained(f"SVG cannot be drawn: {name}", ValueError):
        png = bytes(resvg.svg_to_bytes(svg_string=text, background="white", skip_system_fonts=True, dpi=DPI, **side))
    drawn = Image.open(io.BytesIO(png)).convert("RGB")
    if NOT_DRAWN.search(text) and drawn.getextrema() == ((255, 255),) * 3:
        raise ModalignError(
            f"SVG shows only letters or linked files, which are not drawn: {name} (turn them into paths)"
        )
    return drawn


def svg_size(text: str) -> tuple[float, float]:
    """Width and height in pixels, from the attributes or else viewBox; (1, 1) where neither can be read."""
    tag = root_tag(text) or ""
    wide, high = (_length(tag, side) for side in ("width", "height"))
    if wide > 0 and high > 0:
        return wide, high
    box = re.search(r"\bviewBox\s*=\s*[\"']([^\"']*)", tag)
    numbers = [float(v) for v in re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", box.group(1))] if box else []
    if len(numbers) == 4 and min(numbers[2:]) > 0:
        ratio = numbers[2] / numbers[3]
        return (wide or high * ratio or numbers[2]), (high or wide / ratio or numbers[3])
    return 1.0, 1.0


def _length(tag: str, side: str) -> float:
    """Pixels of an attribute such as width="21cm"; 0 where it is absent or relative."""
    found = re.search(rf"\s{side}\s*=\s*[\"']\s*(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*([a-zA-Z%]*)", tag)
    if not found:
        return 0.0
    return float(found.group(1) + (found.group(2) or "")) * UNITS.get(found.group(3).lower(), 0.0)
