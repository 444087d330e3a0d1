"""Safe decoding: a file becomes a picture, or one line says which file is broken and how.

Files come from anywhere: cameras that note a rotation, printers' colours, palettes, 16 bits, transparent or moving
pictures, halves of downloads, bombs. What is accepted is decoded to upright RGB on white, what is not raises
``ModalignError``; nothing is skipped, replaced or filled in.
"""

from __future__ import annotations

import io
import os
import re
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import __version__ as pillow_version

from ...errors import MissingExtraError, ModalignError, require
from .source import looks_like, named, read_bytes

VERSION = 2
"""Raised whenever decoding gives other pixels for the same file, so that cached features are made anew."""

MAX_PIXELS = 178_956_970
"""Largest picture that is decoded, in pixels (half a gibibyte as RGB); larger ones are refused as bombs."""

SVG_PIXELS = 512
"""Longer side at which an SVG is drawn where no size is asked for."""

DPI = 96
"""Pixels of an inch in SVG (CSS 2.1, section 4.3.2)."""

UNITS = {"": 1.0, "px": 1.0, "in": DPI, "cm": DPI / 2.54, "mm": DPI / 25.4, "q": DPI / 101.6, "pt": DPI / 72,
         "pc": DPI / 6, "em": 16.0, "ex": 8.0}  # fmt: skip
"""Pixels of a unit of length."""

Source = str | os.PathLike[str] | bytes | Image.Image


def load_image(source: Source, size: int | None = None) -> Image.Image:
    """Decode a picture: upright, RGB, transparency on white, first frame.

    Args:
        source: path or bytes of any format that Pillow or resvg reads, or a Pillow picture.
        size: pixels you will resize to. An SVG is drawn with this longer side; a JPEG may be decoded at a reduced
            scale, but not below twice this size. Other formats come in full: resize the result yourself.
            None: full size.

    Returns:
        A fully loaded Pillow picture of mode "RGB".

    Raises:
        ModalignError: missing, empty, truncated, not a picture, or more than ``MAX_PIXELS``; names the file.
        MissingExtraError: an SVG, and resvg is not installed.

    Example:
        >>> load_image(Image.new("LA", (2, 1), (0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if isinstance(source, Image.Image):
        return _as_rgb(source)
    data = read_bytes(source)
    if is_svg(data):
        return _draw_svg(data, size, named(source))
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if size is not None and picture.format == "JPEG":
                picture.draft(None, (2 * size, 2 * size))
            return _as_rgb(picture)
    except UnidentifiedImageError:
        raise ModalignError(f"not a picture: {named(source)} ({looks_like(data)})") from None
    except Image.DecompressionBombError:
        raise ModalignError(f"picture has more than {MAX_PIXELS:,} pixels, refused: {named(source)}") from None
    except MissingExtraError:
        raise
    except Exception as problem:  # decoders raise many kinds for damaged files
        raise ModalignError(f"picture is truncated or damaged: {named(source)} ({problem})") from None


def thumbnail(source: Source, px: int) -> bytes:
    """A small PNG: the whole picture within px x px pixels, its proportions kept.

    Raises:
        ModalignError: as ``load_image``; or px < 1.

    Example:
        >>> thumbnail(Image.new("RGB", (40, 20)), 10)[:8]
        b'\\x89PNG\\r\\n\\x1a\\n'
    """
    if px < 1:
        raise ModalignError(f"a thumbnail needs at least 1 pixel, got {px}")
    picture = load_image(source, px)
    picture.thumbnail((px, px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def is_svg(data: bytes) -> bool:
    """Whether bytes are an SVG document: its root element comes first, after declarations and comments."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return re.match(rb"(<\?xml.*?\?>|<!--.*?-->|<!DOCTYPE.*?>|\s)*<(svg:)?svg[\s>]", head, re.DOTALL | re.I) is not None


def _as_rgb(picture: Image.Image) -> Image.Image:
    """First frame, upright, on white, RGB."""
    if getattr(picture, "n_frames", 1) > 1:
        picture.seek(0)
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        return _from_deep(upright).convert("RGB")
    if upright.mode == "CMYK":
        return upright.convert("RGB")
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return upright.convert("RGB")


def _from_deep(picture: Image.Image) -> Image.Image:
    """16-bit and wider grey levels to 8 bits. Pillow's own conversion would clip everything above 255 to white.

    Integers use the range of 16 bits (or, beyond it, their own largest value); floats in [0, 1] use that range,
    others their own.
    """
    x = np.asarray(picture).astype(np.float64)
    x = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
    low = min(float(x.min()), 0.0)
    high = float(x.max())
    if picture.mode == "F":
        high = max(high, 1.0)
    else:
        high = max(high, 65535.0)
    return Image.fromarray(np.round((x - low) * (255.0 / (high - low))).astype(np.uint8), "L")


def _draw_svg(data: bytes, size: int | None, name: str) -> Image.Image:
    """Draw an SVG on white, its longer side ``size`` pixels.

    Fonts of the system are left out: the same file must give the same pixels on any machine.
    """
    resvg = require("resvg_py", "image")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ModalignError(f"SVG is not UTF-8 text: {name}") from None
    pixels = size or SVG_PIXELS
    wide, high = _svg_size(text)
    side = {"width": pixels} if wide >= high else {"height": pixels}
    if pixels * max(1.0, pixels * min(wide, high) / max(wide, high)) > MAX_PIXELS:
        raise ModalignError(f"picture would have more than {MAX_PIXELS:,} pixels, refused: {name}")
    try:
        png = bytes(resvg.svg_to_bytes(svg_string=text, background="white", skip_system_fonts=True, dpi=DPI, **side))
    except ValueError as problem:
        raise ModalignError(f"SVG cannot be drawn: {name} ({problem})") from None
    return Image.open(io.BytesIO(png)).convert("RGB")


def _svg_size(text: str) -> tuple[float, float]:
    """Width and height in pixels, from the attributes or else viewBox; (1, 1) where neither can be read."""
    root = re.search(r"<(?:svg:)?svg\b[^>]*>", text, re.I)
    tag = root.group() if root else ""
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


def versions() -> dict[str, str]:
    """Versions of what decides the pixels of a decoded picture, for fingerprints of features."""
    found = {"modalign": str(VERSION), "pillow": pillow_version}
    try:
        found["resvg"] = version("resvg-py")
    except PackageNotFoundError:
        found["resvg"] = "none"
    return found
