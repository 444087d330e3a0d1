"""Scans and their findings: which finding fits a scan, and which scans fit a finding.

    python examples/scans.py [OUT]

GENERATED: the scans are drawn (an outline with bright or dark spots, and noise), the findings come from templates. No
patient is behind them, and nothing here has been tried on any. It shows how such data are laid out, that templated
sentences make several scans right for one finding (a column `case` groups them: they are no wrong answers), and what a
result is worth: a candidate for somebody who looks.

Needs the extra "demo" (weights of both encoders).
"""

from __future__ import annotations

import csv
import itertools
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from modalign.cli import main as modalign
from modalign.files import read_json, write_text

SIZES = {"small": 9, "large": 22}
KINDS = {"bright": 235, "dark": 15}
SIDES = {"left": 62, "right": 138}
HEIGHTS = {"upper": 66, "lower": 134}
TEMPLATES = (
    "A {size} {kind} lesion in the {height} {side} field.",
    "{height} {side}: {kind} spot, {size}.",
    "There is a {size} {kind} focus, {side} side, {height} third.",
)
SETTINGS = """
out = "{out}"
seed = 0
data = {{ name = "table", root = "{list}", columns = {{ image = "scan", text = "finding" }}, group = "case" }}
encoders = {{ image = "efficientnet-lite0", text = "minilm" }}
method = {{ name = "cca", dim = 8 }}
"""


def main(out: Path = Path("runs/scans")) -> dict[str, tuple[float, float]]:
    """Share of queries whose first result is right, and chance, both ways, on scans that no method saw."""
    out.mkdir(parents=True, exist_ok=True)
    settings = out / "scans.toml"
    write_text(settings, SETTINGS.format(out=(out / "run").as_posix(), list=drawn(out).as_posix()))
    modalign(["train", str(settings)])
    (method,) = read_json(out / "run" / "scores.json")["methods"].values()
    ways = {"scan -> finding": "recall/image->text/any@1", "finding -> scan": "recall/text->image/any@1"}
    return {way: (method["scores"][name]["value"], method["scores"][name]["chance"]) for way, name in ways.items()}


def drawn(out: Path) -> Path:
    """256 scans and three findings for each kind: those of one kind are one case, and right answers to each other."""
    draw = np.random.default_rng(0)
    (out / "drawn").mkdir(exist_ok=True)
    rows = []
    for number, (size, kind, side, height) in enumerate(itertools.product(SIZES, KINDS, SIDES, HEIGHTS)):
        for copy in range(16):
            split = "train" if copy < 12 else "test"
            name = f"drawn/{number:02}-{copy:02}.png"
            scan(draw, SIZES[size], KINDS[kind], SIDES[side], HEIGHTS[height]).save(out / name)
            words = TEMPLATES[copy % 3].format(size=size, kind=kind, side=side, height=height)
            rows.append((f"{split}-{number}", name, words, split))
    with (out / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("case", "scan", "finding", "split"), *rows])
    return out / "list.csv"


def scan(draw: np.random.Generator, size: int, grey: int, x: int, y: int) -> Image.Image:
    """An outline, two fields, one spot, blur and noise; never the same twice."""
    picture = Image.new("L", (200, 200), 0)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((8, 8, 192, 192), fill=90)
    for left in (28, 108):
        pen.ellipse((left, 36, left + 64, 166), fill=130)
    x, y, size = (int(v + draw.integers(-6, 7) * scale) for v, scale in ((x, 1), (y, 1), (size, 0.4)))
    pen.ellipse((x - size, y - size, x + size, y + size), fill=grey)
    smooth = np.asarray(picture.filter(ImageFilter.GaussianBlur(2)), dtype=float)
    return Image.fromarray((smooth + 8 * draw.normal(size=smooth.shape)).clip(0, 255).astype("uint8"))


if __name__ == "__main__":
    for way, (value, chance) in main(*map(Path, sys.argv[1:2])).items():
        print(f"{way}: first result right {value:.2f}, chance {chance:.2f}")
