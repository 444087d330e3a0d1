"""A process of its own that decodes damaged films: what a decoder of C does to it ends here, and is told."""

from __future__ import annotations

import json
import resource
import sys
import traceback

from modalign.data.media import film_length, load_frames, load_sound
from modalign.errors import ModalignError


def main() -> None:
    """Answer paths on standard input until it ends."""
    for line in sys.stdin:
        path, before = line.rstrip("\n"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wrong = ""
        for read in (film_length, lambda p: load_frames(p, 3), load_sound):
            try:
                read(path)
            except ModalignError as problem:
                wrong += "a message of several lines" if "\n" in str(problem) else ""
            except Exception:
                wrong += "".join(traceback.format_exc().splitlines(True)[-8:])
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps({"wrong": wrong, "grown": grown << 10}), flush=True)


if __name__ == "__main__":
    main()
