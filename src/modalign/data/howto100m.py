"""HowTo100M: instructional videos with the words spoken in them, and its instruction pages' categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ..errors import ModalignError, few
from ..parameters import Count, Place, Weight
from ..registry import register
from .lists import stream_json
from .manifest import Manifest
from .places import VIDEOS, Files, existing_folder, first_folder, hidden
from .rows import Missing, Rows
from .segments import Rolling, Segment, Short, clean, lengthen, positives, unroll
from .tables import read_csv

ABOUT = {
    "source": "https://www.di.ens.fr/willow/research/howto100m",
    "licence": "lists Apache-2.0; the videos belong to their makers, research only",
    "paper": "Miech et al. 2019, HowTo100M, arXiv 1906.03327",
}
LIST = "HowTo100M_v1*.csv"
COLUMNS = ("video_id", "category_1", "category_2", "rank", "task_id")
CSV_FOLDERS = ("howto100m_csv", "csv", "captions")


@register("dataset", "howto100m")
def howto100m(
    root: Place,
    split: str | None = None,
    *,
    captions: Literal["caption", "raw_caption", "csv"] | None = None,
    videos: Sequence[str] | None = None,
    limit: Count | None = None,
    rolling: Rolling = "trim",
    seconds: Weight = 0.0,
    short: Short = "widen",
    candidates: Count = 1,
    missing: Missing = "keep",
) -> Manifest:
    """HowTo100M: instructional videos cut into segments by the words spoken in them.

    Layout: ``caption.json`` or ``raw_caption.json`` ({video: {start, end, text}}, read one video at a time), or a
    folder ``howto100m_csv`` with one ``<video>.csv`` (start, end, text) per video; ``HowTo100M_v1.csv`` (video_id,
    category_1, category_2, rank, task_id) by choice; videos as .mp4, .mkv or .webm anywhere in ``videos``.

    Args:
        root: the folder. split: HowTo100M has none; anything but None is refused.
        captions: which of the three; None takes the first that is there.
        videos: only these ids; ids without captions are refused by name. limit: only the first so many videos.
        rolling: what becomes of overlapping caption windows, see ``segments.unroll``.
        seconds, short: least length of a segment, and whether short ones are widened or merged: ``segments.lengthen``.
        candidates: size of the set of captions that may describe a clip (MIL-NCE used 5). The extra column
            ``positives`` holds it, with all segments that overlap the clip in time; training and scores follow it
            (``links.links_of``), for which the objective "mil_nce" is made.
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of ``video`` (with start and end) and ``text``, one group per segment; extra: video, positives, and task_id
        and category where the list has the video. ``left_out`` counts empty texts and bad times.

    Raises:
        ModalignError: no captions, damaged ones, or a Git LFS pointer in place of the list.

    Reference: Miech et al. 2019, arXiv 1906.03327; Miech et al. 2020, arXiv 1912.06430 (candidates, least length).

    Example:
        >>> words = '{"v1": {"start": [0, 4], "end": [4, 9], "text": ["cut it", "fry it"]}}'
        >>> size = Path("caption.json").write_text(words)
        >>> rows = howto100m(".", seconds=5, candidates=2)
        >>> rows.text, rows.start.tolist()
        ((None, 'cut it', None, 'fry it'), [0.0, nan, 4.0, nan])
    """
    base = existing_folder(root, "data set 'howto100m'")
    rows = Rows("howto100m", ABOUT, missing)
    tasks = _tasks(rows, base)
    files = Files([first_folder(base, ["videos", "video"]), base], VIDEOS)
    wanted = set(videos) if videos is not None else None
    count = segments_so_far = 0
    for video, triples in _captions(rows, base, captions, wanted):
        if limit is not None and count >= limit:
            break
        count += 1
        dropped: Counter[str] = Counter()
        segments = lengthen(unroll(clean(triples, dropped), rolling), seconds, short)
        for why, n in dropped.items():
            rows.left_out("segments", why, f"video {video}", n)
        _add(rows, files.place(video), video, segments, candidates, segments_so_far, tasks.get(video, {}))
        segments_so_far += len(segments)
        if wanted is not None:
            wanted.discard(video)
    if wanted and (limit is None or count < limit):
        raise ModalignError(f"howto100m: {len(wanted)} videos have no captions in {base}: {few(sorted(wanted))}")
    return rows.manifest(split)


def _add(
    rows: Rows, place: Path, video: str, segments: list[Segment], candidates: int, first: int, about: dict[str, Any]
) -> None:
    """Rows of one video; segments are numbered from ``first`` over the whole data set."""
    for i, (segment, near) in enumerate(zip(segments, positives(segments, candidates), strict=True)):
        times = (segment.start, segment.end)
        clip = {**about, "video": video, "positives": [first + j for j in near]}
        words = {**about, "video": video, "positives": [first + i]}
        rows.file(first + i, "video", place, "", *times, **clip)
        rows.text(first + i, segment.text, "", "text", None, None, **words)


def _tasks(rows: Rows, base: Path) -> dict[str, dict[str, Any]]:
    """Video -> its task and categories, from ``HowTo100M_v1.csv``; nothing where there is no such list."""
    path = next(iter(sorted(base.glob(LIST))), None)
    if path is None:
        return {}
    table = read_csv(path, COLUMNS, "HowTo100M list", tell=rows.left_out)
    return {
        r.fields["video_id"]: {
            "task_id": r.fields["task_id"],
            "category": f"{r.fields['category_1']} / {r.fields['category_2']}",
        }
        for r in table.rows
    }


Timed = tuple[str, Iterable[tuple[object, object, object]]]


def _captions(rows: Rows, base: Path, which: str | None, wanted: set[str] | None) -> Iterator[Timed]:
    """Videos and their (start, end, text), one at a time."""
    folder = next((base / f for f in CSV_FOLDERS if (base / f).is_dir()), None)
    choices = {n: base / f"{n}.json" for n in ("caption", "raw_caption") if (base / f"{n}.json").is_file()}
    which = which or next(iter(choices), "csv" if folder else None)
    if which in choices:
        yield from _from_json(rows, choices[which], wanted)
    elif which == "csv" and folder:
        yield from _from_csv(rows, folder, wanted)
    else:
        looked = [f"{which}.json"] if which not in (None, "csv") else ["caption.json", "raw_caption.json", *CSV_FOLDERS]
        raise ModalignError(f"no HowTo100M captions in {base}: looked for {few(looked)}")


def _from_json(rows: Rows, path: Path, wanted: set[str] | None) -> Iterator[Timed]:
    left = None if wanted is None else set(wanted)
    for video, entry in stream_json(path, "HowTo100M captions"):
        if left is not None and video not in left:
            continue
        try:
            columns = [entry["start"], entry["end"], entry["text"]]
            triples = list(zip(*columns, strict=True))
        except (KeyError, TypeError, ValueError):
            rows.left_out("videos", "without lists start, end and text of one length", video)
            continue
        yield video, triples
        if left is not None:
            left.discard(video)
            if not left:
                return


def _from_csv(rows: Rows, folder: Path, wanted: set[str] | None) -> Iterator[Timed]:
    for path in sorted(p for p in folder.glob("*.csv") if not hidden(p.name)):
        if wanted is not None and path.stem not in wanted:
            continue
        table = read_csv(path, ("start", "end", "text"), "captions of a video", tell=rows.left_out)
        yield path.stem, [(r.fields["start"], r.fields["end"], r.fields["text"]) for r in table.rows]
