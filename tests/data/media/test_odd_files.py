"""Files that people really have: clip art of old programs, recordings with a fault, values in place of files."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modalign.data.folders import folders
from modalign.data.media import load_image, load_sound
from modalign.errors import ModalignError

RECT = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><rect width="10" height="10" fill="#f00"/></svg>'


def head(encoding: str) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?><!-- Größe -->'


@pytest.mark.parametrize(
    "data",
    [
        RECT.encode(),
        gzip.compress(RECT.encode()),
        (head("UTF-16") + RECT).encode("utf-16"),
        (head("iso-8859-1") + RECT).encode("latin-1"),
        gzip.compress((head("windows-1252") + RECT).encode("cp1252")),
    ],
    ids=["utf-8", "svgz", "utf-16", "latin-1", "svgz of cp1252"],
)
def test_drawings_of_any_encoding_are_drawn(data: bytes) -> None:
    pytest.importorskip("resvg_py")
    assert load_image(data, 4).getpixel((1, 1)) == (255, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        re.sub(r"<(/?)(svg|rect)", r"<\1ns0:\2", RECT).replace("xmlns=", "xmlns:ns0="),
        f"<!-- {'licence ' * 2000} -->{RECT}",
        f"<!DOCTYPE svg [\n<!ENTITY a 'b'>\n<!ENTITY c 'd'>\n]>\n<?xml-stylesheet href='x'?>{RECT}",
        f"{'<!-- a -->' * 200}{RECT}",
    ],
    ids=["a prefix of its own", "a long comment", "declarations", "many comments"],
)  # fmt: skip
def test_drawings_are_known_whatever_stands_before_them(text: str) -> None:
    pytest.importorskip("resvg_py")
    assert load_image(text.encode(), 4).getpixel((1, 1)) == (255, 0, 0)


@pytest.mark.parametrize(
    "text", ["<!-- a -->" * 200 + "<html><svg></svg></html>", "<!--" * 500, "<?a" * 500, "<!DOCTYPE [" * 500]
)
def test_what_is_no_drawing_is_known_at_once(text: str) -> None:
    """Forty comments before another root once took hours."""
    with pytest.raises(ModalignError, match="not a picture"):
        load_image(text.encode())


def test_compressed_drawings_are_known_by_their_ending(tree: Callable[..., Path]) -> None:
    assert folders(tree({"a.svgz": gzip.compress(RECT.encode())})).modalities == ("image",)


@pytest.mark.parametrize("inner", ['<text y="9">Hi</text>', '<image width="9" height="9" href="secret.png"/>'])
def test_a_drawing_of_which_nothing_is_left_is_refused(inner: str) -> None:
    pytest.importorskip("resvg_py")
    svg = RECT.replace('<rect width="10" height="10" fill="#f00"/>', inner)
    with pytest.raises(ModalignError, match="shows only letters or linked files, which are not drawn"):
        load_image(svg.encode())
    with pytest.raises(ModalignError, match="SVG is not klingon text"):
        load_image((head("klingon") + RECT).encode())


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
WMF = b"\xd7\xcd\xc6\x9a\0\0\0\0\0\0\x0a\0\x0a\0\x48\0" + bytes(6) + b"\x01\0\x09\0" + bytes(60)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (EPS, r"PostScript.*save it as SVG or PNG"),
        (WMF, r"Windows metafile.*save it as SVG or PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90), "looks like HEIC: save it as JPEG"),
        (b"\0\0\0\x18ftypisom" + bytes(90), r"looks like a video \(MP4\)"),
        (b"\xff\x0a" + bytes(90), "looks like JPEG XL: save it as JPEG or PNG"),
        (b"%PDF-1.7", "looks like a PDF"),
    ],
)
def test_pictures_that_are_not_read_are_called_by_their_name(data: bytes, said: str) -> None:
    with pytest.raises(ModalignError, match=said):
        load_image(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_pictures_that_end_early_are_damaged_pictures(form: str) -> None:
    """Also within their header, and also where they come opened."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(out, form)
    for size in (16, len(out.getvalue()) // 2):
        with pytest.raises(ModalignError, match="picture is truncated or damaged: <"):
            load_image(out.getvalue()[:size])
    if form not in ("TIFF", "WEBP"):  # which Pillow does not open so
        with pytest.raises(ModalignError, match="picture is truncated or damaged: <picture>"):
            load_image(Image.open(io.BytesIO(out.getvalue()[: len(out.getvalue()) // 2])))


def test_arrays_are_pictures_where_nobody_must_guess() -> None:
    x = np.zeros((2, 5, 3), np.uint8)
    x[..., 1] = 9
    assert (load_image(x).size, load_image(x).getpixel((0, 0))) == ((5, 2), (0, 9, 0))
    assert load_image(x[..., 1]).getpixel((0, 0)) == (9, 9, 9)
    for wrong in (x / 255, x.transpose(2, 0, 1), x[:0], x.astype(int)):
        with pytest.raises(ModalignError, match=r"as \(h, w\) or \(h, w, 3\) of uint8"):
            load_image(wrong)


@pytest.mark.parametrize("value", [None, 3, ["a.png"], {"bytes": b"x"}])
def test_what_is_no_file_is_told(value: Any) -> None:
    for read in (load_image, load_sound):
        with pytest.raises(ModalignError, match=f"its path or its bytes, got {type(value).__name__}"):
            read(value)


def test_samples_as_other_libraries_give_them() -> None:
    pytest.importorskip("soxr")
    wave = np.sin(np.arange(800) / 9)
    same = load_sound({"array": wave, "sampling_rate": 16000, "path": None})[0]
    assert (same == load_sound((wave, 16000))[0]).all()
    for wrong in ((16000, wave), (wave, None), (wave,), (wave, True)):
        with pytest.raises(ModalignError, match=r"as \(samples, rate\)"):
            load_sound(wrong)  # type: ignore[arg-type]
    with pytest.raises(ModalignError, match="rate must lie between"):
        load_sound((wave, 16000), rate="16000")  # type: ignore[arg-type]


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_channels_that_cancel_each_other_are_told(form: str, subtype: str) -> None:
    """A cable that was wired the wrong way round: the mean of the channels is silence."""
    soundfile = pytest.importorskip("soundfile")
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    out = io.BytesIO()
    soundfile.write(out, np.stack([wave, -wave], 1), 16000, format=form, subtype=subtype)
    with pytest.raises(ModalignError, match="the channels cancel each other"):
        load_sound(out.getvalue())
    with pytest.raises(ModalignError, match="the channels cancel each other"):
        load_sound((np.stack([wave, -wave], 1), 16000))
    assert abs(load_sound((np.stack([wave, 0.9 * wave], 1), 16000))[0]).max() > 0.4
    assert not load_sound((np.zeros((800, 2)), 16000))[0].any()  # silence stays silence


def test_one_picture_as_bytes_array_and_picture_is_the_same() -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(x).save(out, "PNG")
    assert load_image(out.getvalue()).tobytes() == load_image(x).tobytes() == x.tobytes()
