"""YouCook2: cooking videos with a human instruction for each step; as videos, or as frames with instructions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .lists import entries_of, read_json
from .manifest import Manifest
from .places import VIDEOS, Files, existing_folder, first_folder, inside
from .rows import Missing, Rows
from .tables import Table, number, read_csv

ABOUT = {
    "source": "http://youcook2.eecs.umich.edu",
    "licence": "annotations MIT; the videos belong to their makers, research only",
    "paper": "Zhou, Xu and Corso 2018, Towards automatic learning of procedures from web instructional videos",
}
ANNOTATIONS = (
    "youcookii_annotations_trainval.json", "annotations/youcookii_annotations_trainval.json",
    "youcookii_annotations_test_segments_only.json",
)  # fmt: skip
LISTS = ("validation_youcook.csv", "youcook2_validation.csv", "youcook_val.csv")
Layout = Literal["annotations", "csv", "frames"]


class Instruction(NamedTuple):
    """A step of a recipe: an instruction and its time within the video."""

    video: str
    start: float
    end: float
    text: str
    split: str
    task: str


@register("dataset", "youcook2")
def youcook2(
    root: Place, split: str | None = None, *, layout: Layout | None = None, missing: Missing = "keep"
) -> Manifest:
    """YouCook2: steps of cooking videos with a human instruction each; or frames of them with speech as third modality.

    Layout: "annotations": ``youcookii_annotations_trainval.json`` with videos anywhere in ``raw_videos`` or ``videos``;
    "csv": ``validation_youcook.csv`` (end, start, task, text, video_id: the end comes first) with the same videos;
    "frames": ``pairs.csv`` (file, video_id, split, task, segment_index, start, end, text, asr) with ``frames``.

    Args:
        root: the folder. split: "train", "val"; None for all.
        layout: None takes what is there, in this order: frames, annotations, csv.
        missing: see ``data.rows.Missing``.

    Returns:
        One group per step. Rows of ``video`` (start and end in seconds) and ``text``; with frames, rows of ``image``,
        ``text`` and, where it is known, ``narration`` (the words spoken meanwhile). Extra: video, task; with frames
        also clip_start and clip_end where known. No video is in two splits.

    Raises:
        ModalignError: nothing found, a damaged list, times out of order, a video in two splits, or a path that leaves
            the folder.

    Reference: Zhou, Xu and Corso 2018, arXiv 1703.09788.

    Example:
        >>> header, line = "end,start,task,text,video_id", "41,20,101,chop the onion,v1"
        >>> size = Path("validation_youcook.csv").write_text(f"{header}\\n{line}\\n")
        >>> rows = youcook2(".", split="val")
        >>> rows.text, rows.start.tolist()
        ((None, 'chop the onion'), [20.0, nan])
    """
    base = existing_folder(root, "data set 'youcook2'")
    places: dict[str, Path | None] = {
        "frames": base / "pairs.csv" if (base / "pairs.csv").is_file() else None,
        "annotations": next((base / n for n in ANNOTATIONS if (base / n).is_file()), None),
        "csv": next((base / n for n in LISTS if (base / n).is_file()), None),
    }
    chosen = next((n for n, p in places.items() if p and layout in (None, n)), None)
    path = places[chosen] if chosen else None
    if path is None:
        raise ModalignError(f"no YouCook2 list in {base}: looked for pairs.csv, {few([ANNOTATIONS[0], *LISTS])}")
    rows = Rows("youcook2", ABOUT, missing)
    if chosen == "frames":
        columns = ("file", "video_id", "split", "task", "text")
        _frames(rows, read_csv(path, columns, "list of frames", tell=rows.left_out), base)
    else:
        _steps(rows, list(_annotations(rows, path) if chosen == "annotations" else _csv(rows, path)), base, path)
    return rows.manifest(split)


def _steps(rows: Rows, steps: list[Instruction], base: Path, path: Path) -> None:
    wrong = [f"{s.video} from {s.start:g} to {s.end:g}" for s in steps if not 0 <= s.start < s.end]
    for place in wrong if len(wrong) < len(steps) else ():
        rows.left_out("steps", "times are not 0 <= start < end", place)
    if wrong and len(wrong) == len(steps):
        raise ModalignError(f"{path} has {len(wrong)} steps whose times are not 0 <= start < end: {few(wrong)}")
    files = Files([first_folder(base, ["raw_videos", "videos"]), base], VIDEOS)
    home: dict[str, str] = {}
    for number_, step in enumerate(s for s in steps if 0 <= s.start < s.end):
        _one_split(home, step.video, step.split, path)
        extra: dict[str, Any] = {"video": step.video, "task": step.task}
        rows.file(number_, "video", files.place(step.video), step.split, step.start, step.end, **extra)
        rows.text(number_, step.text, step.split, **extra)


def _one_split(home: dict[str, str], video: str, split: str, path: Path) -> None:
    if home.setdefault(video, split) != split:
        raise ModalignError(f"{path} has the video {video} in two splits, {home[video]} and {split}")


def _annotations(rows: Rows, path: Path) -> Iterator[Instruction]:
    content = read_json(path, "YouCook2 annotations")
    with entries_of(f"{path} does not hold YouCook2 annotations"):
        for video, entry in content["database"].items():
            subset, task = entry["subset"], str(entry["recipe_type"])
            for part in entry["annotations"]:
                try:
                    start, end = map(float, part["segment"])
                except (KeyError, TypeError, ValueError):
                    rows.left_out("steps", "without a start and an end", video)
                    continue
                yield Instruction(video, start, end, part.get("sentence", ""), subset, task)


def _csv(rows: Rows, path: Path) -> Iterator[Instruction]:
    part = "train" if "train" in path.name else "val"
    records = read_csv(path, ("end", "start", "task", "text", "video_id"), "YouCook2 list", tell=rows.left_out).rows
    for r, times in rows.readable(records, lambda r: (number(r, "start", path), number(r, "end", path)), path):
        yield Instruction(r.fields["video_id"].strip(), *times, r.fields["text"], part, r.fields["task"])


def _frames(rows: Rows, table: Table, base: Path) -> None:
    folder = first_folder(base, ["frames", "images"])
    home: dict[str, str] = {}
    for i, r in enumerate(table.rows):
        video, part = r.fields["video_id"].strip(), r.fields["split"]
        _one_split(home, video, part, table.path)
        extra: dict[str, Any] = {"video": video, "task": r.fields["task"]}
        if r.fields.get("start", "").strip():
            extra |= {"clip_start": number(r, "start", table.path), "clip_end": number(r, "end", table.path)}
        rows.file(i, "image", inside(folder, r.fields["file"].strip(), "list of frames"), part, None, None, **extra)
        rows.text(i, r.fields["text"], part, **extra)
        if r.fields.get("asr", "").strip():
            rows.text(i, r.fields["asr"], part, "narration", None, None, **extra)
