"""Films cut into windows of time: what is seen and what is heard in the same seconds belong together."""

from __future__ import annotations

from ..errors import ModalignError
from ..parameters import Place, Positive
from ..registry import register
from . import media
from .manifest import Manifest
from .places import VIDEOS, existing_folder, hidden
from .rows import Rows, drawn, split_name

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
PARTS = ("train", "val", "test", "dev", "validation")
EPSILON = 1e-6


@register("dataset", "films")
def films(root: Place, split: str | None = None, *, seconds: Positive = 4.0, step: Positive | None = None) -> Manifest:
    """Films, each window of time one group: its pictures and its sound as two modalities of one file.

    Layout: videos anywhere below the folder, or below ``train``, ``val``, ``test`` in it. Windows lie at 0, step,
    2 step, ... and all have the same length; what is left at the end is shorter than a window and left out, unless it
    is all there is.

    Args:
        root: the folder. split: "train", "val", "test"; None for all. Without such folders about 70 / 10 / 20 % of the
            films, drawn by a hash of their names: windows of one film never part.
        seconds: length of a window. step: between the beginnings of windows; None: ``seconds``.

    Returns:
        Rows of ``video`` and, where a film has a sound track, ``audio`` with the same file and times; extra: film.

    Raises:
        ModalignError: no films, or none that can be opened (a broken one is counted and named).

    Reference: layout of the windows as in Miech et al. 2019, HowTo100M, arXiv 1906.03327.
    """
    step = seconds if step is None else step
    base = existing_folder(root, "data set 'films'")
    rows = Rows("films", {"source": str(base)})
    films = (p for p in base.rglob("*") if p.suffix.lower() in VIDEOS and not hidden(p.relative_to(base)))
    paths = sorted(p for p in films if p.is_file())
    for path in paths:
        name = path.relative_to(base).as_posix()
        try:
            length, heard = media.film_length(path)
        except ModalignError as problem:
            rows.left_out("films", str(problem), name)
            continue
        top = name.split("/")[0]
        part = split_name(top) if top.lower() in PARTS and "/" in name else drawn(name, SHARES)
        for start, end in cut(length, seconds, step):
            group = rows.group((name, start))
            rows.file(group, "video", path, part, start, end, film=name)
            if heard:
                rows.file(group, "audio", path, part, start, end, film=name)
    return rows.manifest(split)


def cut(length: float, seconds: float, step: float) -> list[tuple[float, float]]:
    """Windows of a length: (start, end) in seconds.

    Example:
        >>> cut(9.5, 4.0, 4.0), cut(3.0, 4.0, 2.0)
        ([(0.0, 4.0), (4.0, 8.0)], [(0.0, 3.0)])
    """
    if length <= seconds:
        return [(0.0, length)]
    count = int((length - seconds + EPSILON) // step) + 1
    return [(round(i * step, 6), round(i * step + seconds, 6)) for i in range(count)]
