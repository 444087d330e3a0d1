"""Pictures: every odd but valid form comes out as upright RGB, every broken one as one line that names the file."""

import io

import numpy as np
import pytest
from PIL import Image

from modalign.data import media
from modalign.errors import ModalignError

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="10" height="10" fill="#f00"/></svg>'


def encoded(picture, kind="PNG", **settings):
    out = io.BytesIO()
    picture.save(out, kind, **settings)
    return out.getvalue()


def noise(mode="RGB", size=(64, 48)):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_cmyk_cyan_becomes_rgb_cyan(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(path, quality=100)
    assert np.allclose(media.load_image(path).getpixel((4, 4)), (0, 255, 255), atol=3)
    assert media.load_image(Image.new("CMYK", (1, 1), (255, 0, 0, 0))).getpixel((0, 0)) == (0, 255, 255)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (19, 9)), (6, (9, 0)), (8, (0, 19))])
def test_exif_rotation_is_applied(orientation, corner):
    picture = Image.new("RGB", (20, 10), "white")
    picture.putpixel((0, 0), (0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = media.load_image(encoded(picture, exif=exif))
    assert upright.size == ((10, 20) if orientation in (6, 8) else (20, 10))
    assert upright.getpixel(corner) == (0, 0, 0)


def test_transparency_lies_on_white():
    half = Image.new("RGBA", (2, 2), (255, 0, 0, 128))
    assert np.allclose(media.load_image(encoded(half)).getpixel((0, 0)), (255, 127, 127), atol=1)
    assert media.load_image(encoded(Image.new("LA", (2, 2), (0, 0)))).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([10, 20, 30])
    assert media.load_image(encoded(palette)).getpixel((0, 0)) == (10, 20, 30)
    assert media.load_image(encoded(palette, transparency=0)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (10000, 1), (3, 7)])
def test_odd_modes_and_shapes_become_rgb_of_the_same_size(mode, size):
    picture = media.load_image(encoded(Image.new(mode, size)))
    assert (picture.mode, picture.size) == ("RGB", size)


def test_sixteen_bits_keep_their_grey_levels():
    levels = np.array([[0, 128 * 257, 65535]], dtype=np.uint16)
    picture = media.load_image(encoded(Image.fromarray(levels)))
    assert [picture.getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def test_float_pictures_use_the_unit_range_and_survive_nan():
    levels = np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)
    picture = media.load_image(encoded(Image.fromarray(levels), "TIFF"))
    assert [picture.getpixel((x, 0))[0] for x in range(4)] == [0, 128, 255, 0]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_moving_pictures_give_their_first_frame(kind):
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.allclose(media.load_image(data).getpixel((0, 0)), (255, 0, 0), atol=3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_truncated_files_are_refused_by_name(tmp_path, kind):
    whole = encoded(noise(), kind)
    path = tmp_path / "half.img"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModalignError, match=r"truncated or damaged|not a picture") as error:
        media.load_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file is empty"),
        (b"hello, I am no picture\n", "looks like text"),
        (b"<!DOCTYPE html><html></html>", "looks like a web page"),
        (b"PK\x03\x04rest", "looks like a zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\xff\xd8\xff\xe0 nothing after the header", "not a picture|truncated or damaged"),
        (b"\x89PNG\r\n\x1a\nnothing after the header", "not a picture|truncated or damaged"),
        (b"<svg", "not a picture|SVG cannot be drawn"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><unclosed></svg>", "SVG cannot be drawn"),
        (b"<svg \xff\xfe>", "SVG is not UTF-8"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(tmp_path, content, message):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ModalignError, match=message) as error:
        media.load_image(path)
    assert str(path) in str(error.value)


def test_missing_files_folders_and_bad_names_are_refused(tmp_path):
    with pytest.raises(ModalignError, match="file not found"):
        media.load_image(tmp_path / "absent.png")
    with pytest.raises(ModalignError, match="cannot be read"):
        media.load_image(tmp_path)
    with pytest.raises(ModalignError, match="cannot be read"):
        media.load_image("a\0b.png")


def test_bombs_are_refused(monkeypatch):
    monkeypatch.setattr("modalign.data.media.pictures.MAX_PIXELS", 99)
    with pytest.raises(ModalignError, match="more than 99 pixels"):
        media.load_image(encoded(Image.new("1", (10, 10))))
    monkeypatch.setattr("modalign.data.media.source.MAX_BYTES", 10)
    with pytest.raises(ModalignError, match="not a picture"):
        media.load_image(b"x" * 11)  # bytes are in memory already: no limit on them


def test_large_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("modalign.data.media.source.MAX_BYTES", 10)
    path = tmp_path / "large.png"
    path.write_bytes(b"x" * 11)
    with pytest.raises(ModalignError, match="larger than"):
        media.load_image(path)


def test_svg_is_drawn_on_white_at_the_size_asked_for():
    picture = media.load_image(SVG.encode(), 40)
    assert picture.size == (40, 20)
    assert picture.getpixel((5, 10)) == (255, 0, 0)
    assert picture.getpixel((35, 10)) == (255, 255, 255)
    assert media.load_image(SVG.encode()).size == (media.SVG_PIXELS, media.SVG_PIXELS // 2)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ('width="10" height="40"', (10, 40)),
        ('width="10px" height="40px" viewBox="0 0 5 5"', (10, 40)),
        ('width="100%" height="100%" viewBox="0 0 80 20"', (40, 10)),
        ('viewBox="0,0,20,40"', (20, 40)),
    ],
)
def test_svg_keeps_its_proportions(head, size):
    svg = f'<?xml version="1.0"?>\n<!-- by hand -->\n<svg xmlns="http://www.w3.org/2000/svg" {head}></svg>'
    assert media.load_image(svg.encode(), 40).size == size


def test_svg_is_known_by_content_not_by_name(tmp_path):
    path = tmp_path / "really.svg"
    path.write_bytes(encoded(noise()))
    assert media.load_image(path).size == (64, 48)
    assert media.is_svg(b"\xef\xbb\xbf" + SVG.encode())
    assert not media.is_svg(b"<html><svg></svg></html>")


def test_jpeg_at_reduced_scale_stays_large_enough():
    data = encoded(noise(size=(1600, 800)), "JPEG")
    reduced = media.load_image(data, 100)
    assert min(reduced.size) >= 200
    assert media.load_image(data).size == (1600, 800)


def test_thumbnail_is_a_small_png_with_the_proportions_kept(tmp_path):
    path = tmp_path / "a.jpg"
    noise(size=(200, 100)).save(path)
    small = Image.open(io.BytesIO(media.thumbnail(path, 32)))
    assert (small.format, small.size) == ("PNG", (32, 16))
    assert Image.open(io.BytesIO(media.thumbnail(SVG.encode(), 30))).size == (30, 15)
    with pytest.raises(ModalignError, match="at least 1 pixel"):
        media.thumbnail(path, 0)


def test_signature_of_small_files_follows_content(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"same")
    b.write_bytes(b"same")
    assert media.signature(a) == media.signature(b)
    b.write_bytes(b"othr")
    assert media.signature(a) != media.signature(b)
    with pytest.raises(ModalignError, match="not found"):
        media.signature(tmp_path / "absent")


def test_signature_of_large_files_changes_with_content_even_if_the_time_is_put_back(tmp_path):
    import os

    path = tmp_path / "large"
    path.write_bytes(b"0" * (media.HASHED_BYTES + 1))
    before, facts = media.signature(path), path.stat()
    assert media.signature(path) == before
    path.write_bytes(b"1" * (media.HASHED_BYTES + 1))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert media.signature(path) != before
