"""AudioSet: ten-second clips with labels of an ontology of sounds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import ModalignError, few
from ..files import from_json
from ..parameters import Place
from ..registry import register
from .entries import Entry
from .lists import read_list
from .manifest import Manifest
from .ontology import Ontology
from .places import SOUNDS, Files, clip_names, existing_folder, inside
from .rows import Missing, Rows
from .tables import Record, number, parse_csv, read_csv

ABOUT = {
    "source": "https://research.google.com/audioset",
    "licence": "lists CC BY 4.0, ontology CC BY-SA 4.0; the clips belong to their makers",
    "paper": "Gemmeke et al. 2017, Audio Set: an ontology and human-labeled dataset for audio events, ICASSP",
}
COLUMNS = ("YTID", "start_seconds", "end_seconds", "positive_labels")
FIELDS = ("youtube_id", "start_seconds", "end_seconds", "labels")
"""The same in JSON lines."""
VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")


class LabelledClip(NamedTuple):
    """A clip of a list; times in seconds of the video that it was cut from."""

    video: str
    start: float
    end: float
    labels: tuple[str, ...]


@register("dataset", "audioset")
def audioset(
    root: Place,
    split: str | None = None,
    *,
    train: Literal["balanced", "unbalanced"] = "balanced",
    segments: str | None = None,
    text: Literal["joined", "each"] = "joined",
    ancestors: bool = False,
    whole: bool = False,
    missing: Missing = "keep",
) -> Manifest:
    """AudioSet: clips with several labels each; the labels' names serve as captions.

    Layout: ``balanced_train_segments.csv``, ``unbalanced_train_segments.csv``, ``eval_segments.csv`` (three lines
    that start with ``# ``, the third being the header), ``class_labels_indices.csv``, ``ontology.json``; sound files
    anywhere below the folder, named ``<id>``, ``Y<id>``, ``<id>_<start>_<end>`` or so, of any usual type.

    Args:
        root: the folder. split: "train" or "test" (the list ``eval``); None for all.
        train: which list is "train".
        segments: one list by name instead, .csv in the same format or .jsonl with youtube_id, start_seconds,
            end_seconds and labels.
        text: "joined", one text with all names, comma between; "each", one text per label.
        ancestors: the targets also hold all classes above a label, by ``ontology.json``.
        whole: the files are whole videos or recordings, so that the rows need start and end; else files are the clips.
        missing: see ``data.rows.Missing``. About a tenth of AudioSet cannot be had any more.

    Returns:
        Rows of ``audio`` and ``text``, one group per clip; extra: video, labels (class indices of
        ``class_labels_indices.csv``: the multi-label target; with ``text="each"`` a text has its own label alone), and
        clip_start, clip_end. ``positive_links(manifest, "audio", "text", "labels")`` links clips and texts that share a
        label.

    Raises:
        ModalignError: files missing, ids lost to a spreadsheet (counted, with lines), or not one line that is right;
            lines that are wrong among right ones are counted.

    Reference: Gemmeke et al. 2017, ICASSP.

    Example:
        >>> labels = "index,mid,display_name\\n0,/m/09x0r,Speech\\n1,/m/0bt9lr,Dog\\n"
        >>> size = Path("class_labels_indices.csv").write_text(labels)
        >>> line = '--4gqARaEJE, 0.000, 10.000, "/m/09x0r,/m/0bt9lr"'
        >>> header = "# YTID, start_seconds, end_seconds, positive_labels"
        >>> size = Path("eval_segments.csv").write_text(f"{header}\\n{line}\\n")
        >>> audioset(".", split="test").text
        (None, 'Speech, Dog')
    """
    base = existing_folder(root, "data set 'audioset'")
    names = label_names(base / "class_labels_indices.csv")
    ontology = Ontology.load(base / "ontology.json") if ancestors else None
    index = {label: i for i, label in enumerate(names)}
    sounds = Files([base], SOUNDS)
    rows = Rows("audioset", ABOUT, missing)
    for path, which in _lists(base, split, train, segments):
        for clip in read_segments(path, rows, names):
            group = rows.group((clip.video, clip.start))
            above = {a for label in clip.labels for a in ontology.ancestors(label)} if ontology else set()
            targets = sorted(index[label] for label in {*clip.labels, *above} if label in index)
            extra: dict[str, Any] = {"video": clip.video, "clip_start": clip.start, "clip_end": clip.end}
            place = sounds.place(*clip_names(clip.video, clip.start, clip.end))
            times = (clip.start, clip.end) if whole else (None, None)
            rows.file(group, "audio", place, which, *times, labels=targets, **extra)
            if text == "joined":
                rows.text(group, ", ".join(names[label] for label in clip.labels), which, labels=targets, **extra)
            else:
                for label in clip.labels:
                    rows.text(group, names[label], which, labels=[index[label]], **extra)
    return rows.manifest(split)


def label_names(path: Path) -> dict[str, str]:
    """Label id -> display name, in the order of their class indices (``class_labels_indices.csv``).

    Raises:
        ModalignError: no such file, or indices that are not 0, 1, 2, ...
    """
    table = read_csv(path, ("index", "mid", "display_name"), "AudioSet's list of labels")
    wrong = [r.line for i, r in enumerate(table.rows) if r.fields["index"].strip() != str(i)]
    if wrong:
        raise ModalignError(f"{path}: the indices do not count from 0 (lines {few(wrong)})")
    return {r.fields["mid"]: r.fields["display_name"] for r in table.rows}


def _lists(base: Path, split: str | None, train: str, segments: str | None) -> list[tuple[Path, str]]:
    """The lists to read and their splits: all that there are, or the one of a split."""
    if segments:
        return [(inside(base, segments, "setting 'segments'"), split or "")]
    wanted = {"train": base / f"{train}_train_segments.csv", "test": base / "eval_segments.csv"}
    chosen = [(path, name) for name, path in wanted.items() if path.is_file()]
    if not chosen:
        raise ModalignError(f"no AudioSet list in {base}: looked for {few(p.name for p in wanted.values())}")
    return chosen


def read_segments(path: Path, rows: Rows, names: Mapping[str, str] | None = None) -> list[LabelledClip]:
    """Clips of a segment list (.csv or .jsonl); lines that are wrong are counted in ``rows`` and left out.

    Args:
        names: the labels there are; None: any.

    Raises:
        ModalignError: ids that a spreadsheet turned into ``#NAME?``, with count and lines; or not one line is right:
            an id that is not 11 characters, times that are no numbers or out of order, or a label that is unknown.
    """
    text, _ = read_list(path, "AudioSet segment list")
    lines = _json_lines(text) if path.suffix == ".jsonl" else _csv_lines(text, path, rows)
    return [clip for _, clip in rows.readable(lines, lambda line: _clip(line, names, path), path)]


def _csv_lines(text: str, path: Path, rows: Rows) -> list[Entry]:
    lines = text.split("\n")
    lost = [i for i, line in enumerate(lines, 1) if line.lstrip('"').startswith("#NAME?")]
    if lost:
        raise ModalignError(
            f"{path} was saved by a spreadsheet: {len(lost)} of its ids are '#NAME?' (lines {few(lost)}); "
            "fetch the original list"
        )
    head = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header = None if head < len(lines) and lines[head].startswith("YTID") else COLUMNS
    body = "\n".join(lines[head:])
    _, records = parse_csv(
        body, path, COLUMNS, "AudioSet segment list", header=header, first_line=head + 1, spaced=True,
        tell=rows.left_out,
    )  # fmt: skip
    return [Entry(r.line, {**r.fields, COLUMNS[3]: r.fields[COLUMNS[3]].split(",")}) for r in records]


def _json_lines(text: str) -> list[Entry]:
    """Lines under the names of the columns; one that is no object has no values."""
    found = []
    for i, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            e: Any = from_json(line)
            found.append(Entry(i, dict(zip(COLUMNS, (e.get(k) for k in FIELDS), strict=True))))
        except (json.JSONDecodeError, AttributeError):
            found.append(Entry(i, {}))
    return found


def _clip(line: Entry, names: Mapping[str, str] | None, path: Path) -> LabelledClip:
    """The clip of a line. Raises ModalignError where it says none."""
    where = f"{path}, line {line.line}"
    video, labels = line.values.get(COLUMNS[0]), line.values.get(COLUMNS[3])
    if not isinstance(video, str) or not VIDEO_ID.fullmatch(video.strip()):
        raise ModalignError(f"{where}: the id {video!r} is not the 11 characters of a video id")
    record = Record(line.line, {c: str(line.values.get(c)) for c in COLUMNS[1:3]})
    start, end = (number(record, column, path) for column in COLUMNS[1:3])
    if not 0 <= start < end:
        raise ModalignError(f"{where}: its times are not 0 <= start < end ({start:g}, {end:g})")
    if not isinstance(labels, list) or not all(isinstance(m, str) for m in labels):
        raise ModalignError(f"{where}: its labels are no list of names")
    found = tuple(m.strip() for m in labels if m.strip())
    strange = [m for m in found if names is not None and m not in names]
    if strange:
        raise ModalignError(f"{where}: labels that class_labels_indices.csv lacks: {few(strange)}")
    return LabelledClip(video.strip(), start, end, found)
