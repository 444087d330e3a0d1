"""Safe decoding: a file becomes a picture, or one line says which file is broken and how.

Files come from anywhere: cameras that note a rotation, printers' colours, palettes, 16 bits, transparent or moving
pictures, halves of downloads, bombs. What is accepted is decoded to upright RGB on white, what is not raises
``ModalignError``; nothing is skipped, replaced or filled in.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import __version__ as pillow_version

from ...errors import MissingExtraError, ModalignError
from .source import installed, looks_like, named, read_bytes
from .svg import draw_svg, svg_text

VERSION = 2
"""Raised whenever decoding gives other pixels for the same file, so that cached features are made anew."""

MAX_PIXELS = 178_956_970
"""Largest picture that is decoded, in pixels (half a gibibyte as RGB); larger ones are refused as bombs."""

FOREIGN = {
    "EPS": "PostScript, which is a program",
    "WMF": "a Windows metafile, which Windows alone draws",
    "EMF": "a Windows metafile, which Windows alone draws",
}
"""Formats that Pillow knows and hands to programs of the system, where there are such."""

Source = str | os.PathLike[str] | bytes | Image.Image | np.ndarray


def load_image(source: Source, size: int | None = None) -> Image.Image:
    """Decode a picture: upright, RGB, transparency on white, first frame.

    Args:
        source: path or bytes of any format that Pillow or resvg reads, a Pillow picture, or a (h, w) or (h, w, 3)
            array of bytes.
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
    if isinstance(source, Image.Image | np.ndarray):
        with _clear("<picture>"):
            return _as_rgb(source if isinstance(source, Image.Image) else _from_array(source))
    data, name = read_bytes(source), named(source)
    if (drawing := svg_text(data, name)) is not None:
        return draw_svg(drawing, size, name, MAX_PIXELS)
    with _clear(name, data), Image.open(io.BytesIO(data)) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if picture.format in FOREIGN:
            raise ModalignError(f"picture is {FOREIGN[picture.format]}: {name} (save it as SVG or PNG)")
        if size is not None and picture.format == "JPEG":
            picture.draft(None, (2 * size, 2 * size))
        return _as_rgb(picture)


@contextmanager
def _clear(name: str, data: bytes = b"") -> Iterator[None]:
    """What goes wrong inside becomes one clear line."""
    try:
        yield
    except (MissingExtraError, ModalignError):
        raise
    except Image.DecompressionBombError:
        raise ModalignError(f"picture has more than {MAX_PIXELS:,} pixels, refused: {name}") from None
    except UnidentifiedImageError:
        guess = looks_like(data)
        if guess != "looks like a picture":
            raise ModalignError(f"not a picture: {name} ({guess})") from None
        raise ModalignError(
            f"picture is truncated or damaged: {name} (it ends within its header, or its header is wrong)"
        ) from None
    except Exception as problem:  # decoders raise many kinds for damaged files
        raise ModalignError(
            f"picture is truncated or damaged: {name} ({str(problem) or type(problem).__name__})"
        ) from None


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
    picture.save(out, "PNG")  # the smallest file (an eighth less) takes four times as long
    return out.getvalue()


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
        return on_white(upright)
    return upright.convert("RGB")


def on_white(picture: Image.Image) -> Image.Image:
    """A picture with transparency as RGB, white behind it."""
    layer = picture.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")


def _from_array(x: np.ndarray) -> Image.Image:
    """A picture of bytes. Floats are refused: nobody knows whether they end at 1 or at 255."""
    if x.dtype != np.uint8 or x.size == 0 or not (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (3, 4))):
        raise ModalignError(f"an array is a picture as (h, w) or (h, w, 3) of uint8, got {x.dtype} {x.shape}")
    return Image.fromarray(x)


def _from_deep(picture: Image.Image) -> Image.Image:
    """16-bit and wider grey levels to 8 bits. Pillow's own conversion would clip everything above 255 to white.

    Integers use the range of 16 bits (or, beyond it, their own largest value); floats in [0, 1] use that range,
    others their own.
    """
    x = np.asarray(picture).astype(np.float64)
    x = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
    low = min(float(x.min()), 0.0)
    high = max(float(x.max()), 1.0 if picture.mode == "F" else 65535.0)
    return Image.fromarray(np.round((x - low) * (255.0 / (high - low))).astype(np.uint8), "L")


def versions() -> dict[str, str]:
    """Versions of what decides the pixels of a decoded picture, for fingerprints of features."""
    return {"modalign": str(VERSION), "pillow": pillow_version, "resvg": installed("resvg-py")}
