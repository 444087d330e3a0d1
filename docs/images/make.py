"""Draw the README's picture from a demo run: python docs/images/make.py runs/demo"""

from __future__ import annotations

import sys
from pathlib import Path

from modalign.errors import ModalignError, require
from modalign.report.figures import recall_picture
from modalign.runs import Run


def main(run: Path) -> None:
    svg = recall_picture(Run.open(run).result)
    png = require("resvg_py", "demo").svg_to_bytes(
        svg_string=svg,
        width=1200,
        sans_serif_family="DejaVu Sans",  # without its default, Arial, no letter is drawn
    )
    (Path(__file__).parent / "recall.png").write_bytes(bytes(png))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    try:
        main(Path(sys.argv[1]))
    except ModalignError as problem:
        raise SystemExit(str(problem)) from None
