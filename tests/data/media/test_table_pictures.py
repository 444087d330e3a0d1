"""Pictures, row by row of the table in docs/media.md: quadrants of known colours, whatever the file."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageCms

from modalign.data import media
from modalign.data.places import IMAGES

DOCS = Path(__file__).parents[3] / "docs" / "media.md"
RED, GREEN, BLUE, WHITE = (250, 10, 10), (10, 200, 10), (10, 10, 250), (255, 255, 255)
SIZE = (48, 32)


def quadrants() -> Image.Image:
    """Red and green above, blue and white below."""
    picture = Image.new("RGB", SIZE, WHITE)
    for box, colour in (((0, 0), RED), ((24, 0), GREEN), ((0, 16), BLUE)):
        picture.paste(colour, (*box, box[0] + 24, box[1] + 16))
    return picture


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def turned(orientation: int, form: str = "JPEG", **options: Any) -> bytes:
    """Stored so that it is upright once turned as its EXIF tag says."""
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}[orientation]  # fmt: skip
    stored = quadrants().transpose(Image.Transpose[undo])
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(stored, form, exif=exif, **({"quality": 95} if form == "JPEG" else options))


def hidden(form: str) -> bytes:
    """White below is transparent, over a colour that nobody is to see."""
    pixels = np.asarray(quadrants().convert("RGBA")).copy()
    pixels[16:, 24:] = [255, 0, 255, 0]
    return saved(Image.fromarray(pixels), form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))


def palette() -> bytes:
    """A palette whose white is transparent."""
    picture = quadrants().quantize(4)
    return saved(picture, "PNG", transparency=picture.getpixel((40, 28)))


def moving(form: str, **options: Any) -> bytes:
    return saved(quadrants(), form, save_all=True, append_images=[Image.new("RGB", SIZE, (0, 0, 0))] * 2, **options)


def deep() -> bytes:
    """16 bits of grey: the levels of the quadrants' lightness."""
    return saved(Image.fromarray(np.asarray(quadrants().convert("L")).astype(np.uint16) * 257), "PNG")


def svg(head: str, unit: str = "", scale: float = 1.0) -> bytes:
    def box(x: int, y: int, colour: tuple[int, int, int]) -> str:
        x_, y_, w, h = (f"{v * scale:.6g}{unit}" for v in (x, y, 24, 16))
        return f'<rect x="{x_}" y="{y_}" width="{w}" height="{h}" fill="rgb{colour}"/>'

    boxes = box(0, 0, RED) + box(24, 0, GREEN) + box(0, 16, BLUE)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{boxes}</svg>'.encode()


def swapped() -> bytes:
    """A profile that calls red what is green: who applied it would see it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = {tag: profile.index(tag, 128) for tag in (b"rXYZ", b"gXYZ")}
    for tag, place in at.items():
        profile[place : place + 4] = b"gXYZ" if tag == b"rXYZ" else b"rXYZ"
    return bytes(profile)


class Case(NamedTuple):
    """make: the file. loss: largest mean difference of a quadrant. grey: only the lightness is kept."""

    make: Callable[[], bytes]
    loss: float = 3.0
    grey: bool = False


MM, CM, PT = 25.4 / 96, 2.54 / 96, 72 / 96
CASES = {
    "jpeg": Case(lambda: saved(quadrants(), "JPEG", quality=95), 8),
    "jpeg-exif": Case(lambda: turned(6), 8),
    "jpeg-cmyk": Case(lambda: saved(quadrants().convert("CMYK"), "JPEG", quality=95), 10),
    "jpeg-grey": Case(lambda: saved(quadrants().convert("L"), "JPEG", quality=95), 8, True),
    "jpeg-progressive": Case(lambda: saved(quadrants(), "JPEG", quality=95, progressive=True), 8),
    "jpeg-profile": Case(lambda: saved(quadrants(), "JPEG", quality=95, icc_profile=swapped()), 8),
    "mpo": Case(lambda: moving("MPO"), 10),
    "png": Case(lambda: saved(quadrants(), "PNG"), 0),
    "png-exif": Case(lambda: turned(6, "PNG"), 0),
    "png-hidden": Case(lambda: hidden("PNG"), 0),
    "png-palette": Case(palette, 0),
    "png-grey-alpha": Case(lambda: saved(quadrants().convert("LA"), "PNG"), 1, True),
    "png-16": Case(deep, 1, True),
    "apng": Case(lambda: moving("PNG"), 0),
    "gif": Case(lambda: moving("GIF"), 0),
    "webp": Case(lambda: saved(quadrants(), "WEBP", lossless=True), 0),
    "webp-exif": Case(lambda: turned(8, "WEBP", lossless=True), 0),
    "webp-hidden": Case(lambda: hidden("WEBP"), 0),
    "webp-moving": Case(lambda: moving("WEBP", lossless=True), 0),
    "avif": Case(lambda: saved(quadrants(), "AVIF", quality=90), 12),
    "avif-turned": Case(lambda: turned(6, "AVIF", quality=90), 12),
    "jpeg2000": Case(lambda: saved(quadrants(), "JPEG2000"), 1),
    "tiff-pages": Case(lambda: moving("TIFF"), 0),
    "tiff-exif": Case(lambda: turned(5, "TIFF"), 0),
    "tiff-jpeg": Case(lambda: saved(quadrants(), "TIFF", compression="jpeg", quality=95), 12),
    "tiff-cmyk": Case(lambda: saved(quadrants().convert("CMYK"), "TIFF"), 1),
    "bmp": Case(lambda: saved(quadrants(), "BMP"), 0),
    "ico": Case(lambda: saved(quadrants(), "ICO", sizes=[SIZE]), 0),
    "tga": Case(lambda: saved(quadrants(), "TGA"), 0),
    "pcx": Case(lambda: saved(quadrants(), "PCX"), 0),
    "sgi": Case(lambda: saved(quadrants(), "SGI"), 0),
    "pnm": Case(lambda: saved(quadrants(), "PPM"), 0),
    "qoi": Case(lambda: saved(quadrants(), "QOI"), 0),
    "svg-px": Case(lambda: svg('width="48" height="32"')),
    "svg-mm": Case(lambda: svg(f'width="{48 * MM}mm" height="{32 * MM}mm" viewBox="0 0 48 32"')),
    "svg-mixed": Case(lambda: svg(f'width="{48 * CM}cm" height="{32 * PT}pt" viewBox="0 0 48 32"')),
    "svg-inside": Case(lambda: svg(f'width="{48 * MM}mm" height="{32 * MM}mm"', "mm", MM)),
    "svg-box": Case(lambda: svg('viewBox="0 0 48 32"')),
    "svg-one-side": Case(lambda: svg('width="4in" viewBox="0 0 48 32"')),
}


@pytest.mark.parametrize("name", CASES)
def test_the_quadrants_are_where_and_what_they_were(name: str) -> None:
    case = CASES[name]
    if name.startswith("svg"):
        pytest.importorskip("resvg_py")
    shown = media.load_image(case.make(), 48 if name.startswith("svg") else None)
    assert shown.mode == "RGB"
    assert shown.size == SIZE
    wanted = np.asarray(quadrants().convert("L").convert("RGB") if case.grey else quadrants(), float)
    seen = np.asarray(shown, float)
    for x, y in ((4, 4), (28, 4), (4, 20), (28, 20)):
        part = (slice(y, y + 8), slice(x, x + 16))
        assert np.abs(seen[part] - wanted[part]).mean() <= case.loss, (x, y)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_exif_turn_is_undone(orientation: int) -> None:
    seen = np.asarray(media.load_image(turned(orientation)), float)
    assert np.abs(seen[2:14, 2:22] - RED).mean() < 8
    assert np.abs(seen[2:14, 26:46] - GREEN).mean() < 8
    assert np.abs(seen[18:30, 2:22] - BLUE).mean() < 8


def test_every_ending_is_one_that_the_decoder_reads() -> None:
    known = {*Image.registered_extensions(), ".svg", ".svgz", ".jpx", ".pnm"}
    assert set(IMAGES) <= known


def test_every_row_of_the_table_has_a_test() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Pictures", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)) == set(CASES)
