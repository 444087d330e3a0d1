"""One's own sounds, found by words: a page with players.

    python examples/sounds.py [OUT] [LIST.csv | FOLDER] [WORDS ...]

LIST.csv has the columns sound and caption: files beside the list, and words for those that have some; leave the caption
empty where nobody wrote one. FOLDER is one of ESC-50 or of its CC0 part, which has titles. Without either 60 sounds are
generated, of which 36 have words. The sounds without words are searched as well: that is what it is for.

Needs the extras "audio" and "demo" and the package aisfx (weights CC BY 4.0, by Alison B. Ma and Alexander Lerch).
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from modalign.cli import main as modalign
from modalign.files import write_text
from modalign.search import Query, open_space

RATE = 44100
Found = dict[str, list[str]]
QUERIES = ("a low hum", "a high whistle", "something that hisses", "clicking")
SETTINGS = """
out = "{out}"
seed = 0
data = {{ name = "{kind}", root = "{place}" }}
encoders = {{ audio = "aisfx", text = "minilm" }}
method = {{ name = "cca", dim = 16 }}
"""


def main(out: Path = Path("runs/sounds"), own: Path | None = None, queries: Sequence[str] = ()) -> Found:
    """The files found for each query; OUT/sounds.html plays them."""
    out.mkdir(parents=True, exist_ok=True)
    settings, place = out / "sounds.toml", own or generated(out)
    kind = "esc50" if place.is_dir() else "table"
    write_text(settings, SETTINGS.format(out=(out / "run").as_posix(), kind=kind, place=place.as_posix()))
    modalign(["train", str(settings)])
    space = open_space(out / "run")
    sections, found = [], {}
    for words in queries or QUERIES:
        hits = space.search(Query().text(words), to="audio", k=5)["hits"]
        found[words] = [Path(hit["file"]).name for hit in hits]
        players = "".join(player(hit, out) for hit in hits)
        sections.append(f"<section><h2>{escape(words)}</h2><ol>{players}</ol></section>")
    write_text(out / "sounds.html", PAGE.format(sections="\n".join(sections)))
    return found


def player(hit: dict, out: Path) -> str:
    """A sound that can be played, with its file and how near it is to the words."""
    place = Path(os.path.relpath(hit["file"], out)).as_posix()
    told = f"{escape(place)}, cosine {hit['cosine']:.2f}"
    return f"<li><audio controls preload=none src='{quote(place)}'></audio><br>{told}</li>"


def generated(out: Path) -> Path:
    """Sixty sounds of one and a half seconds: hums, whistles, hisses, clicks; every fifth three have no words."""
    import soundfile

    draw = np.random.default_rng(0)
    time = np.arange(int(1.5 * RATE)) / RATE

    def hum() -> np.ndarray:
        pitch = draw.uniform(60, 140)
        return sum(np.sin(2 * np.pi * k * pitch * time) / k for k in (1, 2, 3))

    def whistle() -> np.ndarray:
        return np.sin(2 * np.pi * draw.uniform(1500, 4000) * time + draw.uniform(2, 6) * np.sin(12 * time))

    def hiss() -> np.ndarray:
        return draw.normal(size=len(time)) * np.exp(-draw.uniform(0, 2) * time)

    def clicks() -> np.ndarray:
        sound = np.zeros(len(time))
        sound[:: int(RATE / draw.uniform(4, 12))] = 1.0
        return np.convolve(sound, np.exp(-np.arange(300) / 40), "same")

    kinds = {
        hum: ("a low hum", "a deep drone", "an engine idles"),
        whistle: ("a high whistle", "a shrill tone", "somebody whistles"),
        hiss: ("steam hisses", "a hiss of air", "white noise"),
        clicks: ("clicking", "a clock ticks", "rapid clicks"),
    }
    (out / "heard").mkdir(exist_ok=True)
    rows = []
    for number in range(60):
        make, words = list(kinds.items())[number % 4]
        sound = make()
        name = f"heard/{make.__name__}-{number:02}.wav"
        soundfile.write(out / name, 0.5 * sound / np.abs(sound).max(), RATE)
        rows.append((name, words[number // 4 % 3] if number // 4 % 5 < 3 else ""))
    with (out / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("sound", "caption"), *rows])
    return out / "list.csv"


PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>Sounds found by words</title>
<style>
body {{ font: 17px/1.5 system-ui, sans-serif; margin: 1rem auto; padding: 0 1rem; max-width: 60rem }}
:root {{ color-scheme: light dark }}
main {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)) }}
audio {{ width: 100% }} li {{ margin-bottom: .7rem; overflow-wrap: anywhere }}
</style>
<h1>Sounds found by words</h1><main>{sections}</main></html>
"""

if __name__ == "__main__":
    for words, names in main(*map(Path, sys.argv[1:3]), queries=sys.argv[3:]).items():
        print(f"{words:24}", ", ".join(names))
