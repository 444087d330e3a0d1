"""Damage as it happens: corruptions of pictures and typing mistakes in captions, at five severities.

Everything random comes from the seed, the kind and the item itself: the same picture is damaged alike wherever it
stands, and each severity goes on where the one before it stopped.

Reference: Hendrycks & Dietterich 2019, arXiv 1903.12261 (kinds and severities; own constants).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageFilter

from ..errors import ModalignError, check_known

SEVERITIES = (1, 2, 3, 4, 5)
Pixels = np.ndarray  # (h, w, 3) float64 in [0, 1]
Damage = Callable[[Pixels, int, np.random.Generator], Pixels]


def corrupt(picture: Image.Image, kind: str, severity: int = 3, seed: int = 0) -> Image.Image:
    """A damaged copy of a picture, of the same size.

    Args:
        picture: converted to RGB. kind: one of ``PICTURES``. severity: 1 to 5. seed: of everything random.

    Raises:
        ModalignError: unknown kind or severity.

    Example:
        >>> grey = Image.new("RGB", (32, 32), (128, 128, 128))
        >>> corrupt(grey, "brightness", 1).getpixel((0, 0))
        (154, 154, 154)
    """
    check_known("corruption", kind, PICTURES)
    level = _severity(severity)
    rgb = picture.convert("RGB")
    pixels = np.asarray(rgb, dtype=np.float64) / 255.0
    g = _generator(seed, kind, rgb.tobytes())
    out = np.clip(PICTURES[kind](pixels, level, g), 0.0, 1.0)
    return Image.fromarray(np.round(255.0 * out).astype(np.uint8), "RGB")


def misspell(caption: str, severity: int = 3, seed: int = 0, kind: str = "mixed") -> str:
    """A caption with typing mistakes in 3, 6, 10, 15 or 25 % of its letters, at least one.

    Args:
        caption: any text. severity: 1 to 5; the mistakes of one are also made at the next. seed: of the draws.
        kind: "swap" (with what follows), "drop", "double", "neighbour" (a key beside it on an English keyboard) or
            "mixed". A letter that nothing else follows, or that has no such key, is doubled.

    Returns:
        The text; unchanged where it has no letter.

    Raises:
        ModalignError: unknown kind or severity.

    Example:
        >>> misspell("a dog runs", 1, kind="drop") in ("a og runs", "a dg runs", "a do runs", "a dog uns", "a dog rns",
        ...                                           "a dog rus", "a dog run", " dog runs")
        True
    """
    check_known("kind of typing mistake", kind, (*TYPOS, "mixed"))
    share = (0.03, 0.06, 0.10, 0.15, 0.25)[_severity(severity)]
    g = _generator(seed, kind, caption.encode())
    letters = [i for i, c in enumerate(caption) if c.isalpha()]
    if not letters:
        return caption
    count = max(1, round(share * len(letters)))
    ways = g.choice(list(TYPOS), len(letters)) if kind == "mixed" else [kind] * len(letters)
    keys = g.random(len(letters))
    out = list(caption)
    for i in sorted(g.permutation(len(letters))[:count].tolist()):
        TYPOS[str(ways[i])](out, letters[i], float(keys[i]))
    return "".join(out)


def _severity(severity: int) -> int:
    if severity not in SEVERITIES:
        raise ModalignError(f"a severity is 1 to 5, got {severity}")
    return severity - 1


def _generator(seed: int, kind: str, content: bytes) -> np.random.Generator:
    digest = hashlib.blake2b(f"{seed} {kind} ".encode() + content, digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


# ---------------------------------------------------------------- pictures


def _gaussian(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    return x + g.normal(0.0, (0.04, 0.08, 0.13, 0.2, 0.3)[s], x.shape)


def _shot(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    photons = (200.0, 80.0, 30.0, 12.0, 5.0)[s]
    return g.poisson(x * photons) / photons


def _impulse(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    share = (0.01, 0.03, 0.07, 0.13, 0.22)[s]
    draw = g.random(x.shape)
    return np.where(draw < share / 2, 0.0, np.where(draw > 1 - share / 2, 1.0, x))


def _blurred(x: Pixels, blur: ImageFilter.Filter) -> Pixels:
    picture = Image.fromarray(np.round(255.0 * x).astype(np.uint8), "RGB")
    return np.asarray(picture.filter(blur), dtype=np.float64) / 255.0


def _scale(x: Pixels) -> float:
    """Sizes below are meant for 224 pixels."""
    return min(x.shape[:2]) / 224.0


def _gaussian_blur(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    return _blurred(x, ImageFilter.GaussianBlur((1.0, 2.0, 3.0, 4.5, 6.0)[s] * _scale(x)))


def _defocus(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    """Mean over a disc."""
    radius = max(1, round((2, 3, 4, 6, 8)[s] * _scale(x)))
    steps = range(-radius, radius + 1)
    inside = [(dy, dx) for dy in steps for dx in steps if dy * dy + dx * dx <= radius * radius]
    return _mean_of_shifts(x, inside)


def _motion(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    """Mean along a line in a random direction."""
    length = max(2, round((5, 9, 14, 20, 28)[s] * _scale(x)))
    angle = g.uniform(0.0, np.pi)
    along = np.linspace(-length / 2, length / 2, length + 1)
    line = {(round(t * np.sin(angle)), round(t * np.cos(angle))) for t in along.tolist()}
    return _mean_of_shifts(x, sorted(line))


def _mean_of_shifts(x: Pixels, shifts: list[tuple[int, int]]) -> Pixels:
    margin = max(max(abs(dy), abs(dx)) for dy, dx in shifts)
    padded = np.pad(x, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    h, w = x.shape[:2]
    total = np.zeros_like(x)
    for dy, dx in shifts:
        total += padded[margin + dy : margin + dy + h, margin + dx : margin + dx + w]
    return total / len(shifts)


def _fog(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    """Whitened by clouds: noise at growing scales."""
    h, w = x.shape[:2]
    clouds = np.zeros((h, w))
    for octave in range(2, 6):
        rough = (255 * g.random((2**octave, 2**octave))).astype(np.uint8)
        layer = Image.fromarray(rough, "L").resize((w, h), Image.Resampling.BICUBIC)
        clouds += np.asarray(layer, dtype=np.float64) / 255.0 / 2**octave
    clouds = (clouds - clouds.min()) / max(np.ptp(clouds), 1e-9)
    weight = (0.25, 0.4, 0.55, 0.7, 0.85)[s] * (0.5 + 0.5 * clouds)[..., None]
    return x * (1 - weight) + weight


def _brightness(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    return x + (0.1, 0.2, 0.3, 0.4, 0.5)[s]


def _darkness(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    return x * (0.7, 0.5, 0.35, 0.22, 0.12)[s]


def _contrast(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    mean = x.mean((0, 1), keepdims=True)
    return mean + (x - mean) * (0.6, 0.45, 0.3, 0.18, 0.1)[s]


def _pixelate(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    h, w = x.shape[:2]
    share = (0.5, 0.35, 0.25, 0.16, 0.1)[s]
    picture = Image.fromarray(np.round(255.0 * x).astype(np.uint8), "RGB")
    small = picture.resize((max(1, round(w * share)), max(1, round(h * share))), Image.Resampling.BOX)
    return np.asarray(small.resize((w, h), Image.Resampling.NEAREST), dtype=np.float64) / 255.0


def _jpeg(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(np.round(255.0 * x).astype(np.uint8), "RGB").save(buffer, "JPEG", quality=(40, 25, 15, 9, 5)[s])
    return np.asarray(Image.open(buffer), dtype=np.float64) / 255.0


def _occlusion(x: Pixels, s: int, g: np.random.Generator) -> Pixels:
    """A grey square over part of the picture."""
    h, w = x.shape[:2]
    side = round((0.05, 0.1, 0.2, 0.3, 0.45)[s] ** 0.5 * min(h, w))
    top, left = int(g.integers(0, h - side + 1)), int(g.integers(0, w - side + 1))
    out = x.copy()
    out[top : top + side, left : left + side] = 0.5
    return out


PICTURES: Mapping[str, Damage] = {
    "gaussian_noise": _gaussian,
    "shot_noise": _shot,
    "impulse_noise": _impulse,
    "gaussian_blur": _gaussian_blur,
    "defocus_blur": _defocus,
    "motion_blur": _motion,
    "fog": _fog,
    "brightness": _brightness,
    "darkness": _darkness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
    "occlusion": _occlusion,
}

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("gaussian_blur", "defocus_blur", "motion_blur"),
    "light": ("fog", "brightness", "darkness", "contrast"),
    "loss": ("pixelate", "jpeg", "occlusion"),
}


# ---------------------------------------------------------------- captions

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEAR = {
    c: "".join(
        KEYS[r][k]
        for r, k in ((row, i - 1), (row, i + 1), (row - 1, i), (row - 1, i + 1), (row + 1, i - 1), (row + 1, i))
        if 0 <= r < len(KEYS) and 0 <= k < len(KEYS[r])
    )
    for row, keys in enumerate(KEYS)
    for i, c in enumerate(keys)
}


def _swap(out: list[str], place: int, draw: float) -> None:
    if place + 1 == len(out) or out[place] == out[place + 1]:
        return _double(out, place, draw)
    out[place], out[place + 1] = out[place + 1], out[place]


def _drop(out: list[str], place: int, draw: float) -> None:
    out[place] = ""


def _double(out: list[str], place: int, draw: float) -> None:
    out[place] *= 2


def _neighbour(out: list[str], place: int, draw: float) -> None:
    near = NEAR.get(out[place].lower())
    if near is None:
        return _double(out, place, draw)
    key = near[int(draw * len(near))]
    out[place] = key.upper() if out[place].isupper() else key


TYPOS: Mapping[str, Callable[[list[str], int, float], None]] = {
    "swap": _swap,
    "drop": _drop,
    "double": _double,
    "neighbour": _neighbour,
}
