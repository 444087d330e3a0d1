"""A pictogram board for somebody who points instead of speaking: pictograms for what they want to say.

    python examples/board.py [OUT]

200 of 752 pictograms keep the link to their name; the others and their names are there, unlinked. Sentences of everyday
language, none of them a pictogram's name, choose four pictograms each, and a page shows the board. A person checks it
before it is used: a wrong picture on a board is a wrong word in somebody's mouth.

Needs the extra "demo" (pictograms of OpenMoji, CC BY-SA 4.0, which the page names; weights of both encoders). The first
run encodes 1,352 pictograms, about 20 s; they are kept in the cache.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from modalign.cli import main as modalign
from modalign.data.openmoji import ATTRIBUTION
from modalign.files import write_text
from modalign.search import Query, open_space

SENTENCES = ("I am thirsty", "I want to sleep", "we go by train", "my tooth hurts", "it is raining", "I love you")
SETTINGS = """
out = "{out}"
pairs = 200
seed = 0
data = {{ name = "openmoji" }}
encoders = {{ image = "efficientnet-lite0", text = "minilm" }}
method = {{ name = "transport_cca" }}
"""


def main(out: Path = Path("runs/board")) -> dict[str, list[str]]:
    """The names of the pictograms for each sentence; OUT/board.html shows them."""
    out.mkdir(parents=True, exist_ok=True)
    settings = out / "board.toml"
    write_text(settings, SETTINGS.format(out=(out / "run").as_posix()))
    modalign(["train", str(settings)])
    space = open_space(out / "run")
    rows, chosen = [], {}
    for sentence in SENTENCES:
        hits = space.search(Query().text(sentence), to="image", k=4)["hits"]
        chosen[sentence] = [str(hit["name"]) for hit in hits]
        pictures = "".join(cell(hit) for hit in hits)
        rows.append(f"<tr><th scope=row>{escape(sentence)}</th>{pictures}</tr>")
    write_text(out / "board.html", PAGE.format(rows="\n".join(rows), credit=escape(ATTRIBUTION)))
    return chosen


def cell(hit: dict) -> str:
    """A pictogram with its name and how near it is."""
    name = escape(str(hit["name"]))
    return f'<td><img alt="{name}" src="run/{hit["picture"]}">{name}<br><small>cosine {hit["cosine"]:.2f}</small></td>'


PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>Pictogram board</title>
<style>
body {{ font: 18px/1.4 system-ui, sans-serif; margin: 1rem }} :root {{ color-scheme: light dark }}
main {{ overflow-x: auto }} th {{ text-align: left; padding: .5rem; min-width: 8rem }}
td {{ text-align: center; padding: .5rem; width: 9rem; vertical-align: top }}
img {{ background: #fff; border: 2px solid #888; border-radius: .7rem; width: 6rem; display: block; margin: auto }}
</style>
<h1>Pictogram board</h1><p>Chosen by likeness of meaning. Look it over before somebody relies on it.</p>
<main><table>{rows}</table></main><p><small>{credit}</small></p></html>
"""

if __name__ == "__main__":
    for sentence, names in main(*map(Path, sys.argv[1:2])).items():
        print(f"{sentence:18}", ", ".join(names))
