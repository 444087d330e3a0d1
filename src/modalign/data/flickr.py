"""Flickr8k and Flickr30k: five human captions of each photo."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import ModalignError, few
from ..files import from_json
from ..parameters import Place
from ..registry import register
from .lists import entries_of, read_json, read_list
from .manifest import Manifest
from .places import existing_folder, first_file, first_folder, inside
from .rows import Missing, Rows
from .tables import Record, parse_csv, read_csv

ABOUT_8K = {
    "source": "Hodosh, Young and Hockenmaier 2013",
    "licence": "non-commercial research and education only",
    "paper": "Framing Image Description as a Ranking Task, JAIR 47, 2013",
}
ABOUT_30K = {
    "source": "Young, Lai, Hodosh and Hockenmaier 2014",
    "licence": "non-commercial research and education only",
    "paper": "From image descriptions to visual denotations, TACL 2, 2014",
}
CAPTIONS_8K = (
    "captions.txt", "Flickr8k.token.txt", "Flickr8k_text/Flickr8k.token.txt", "Flickr8k.token",
    "dataset_flickr8k.json", "captions.csv",
)  # fmt: skip
CAPTIONS_30K = (
    "results_20130124.token", "flickr30k/results_20130124.token", "results.csv", "flickr30k_images/results.csv",
    "captions.txt", "flickr_annotations_30k.csv", "dataset_flickr30k.json", "captions.csv",
)  # fmt: skip
PHOTOS_8K = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "Flickr8k_Dataset")
PHOTOS_30K = (
    "images", "flickr30k-images", "flickr30k_images/flickr30k_images", "flickr30k_images", "Images", "flickr30k-images",
)  # fmt: skip
LISTS_8K = tuple(f"{folder}Flickr_8k.{{}}Images.txt" for folder in ("", "Flickr8k_text/"))
LISTS_30K = ("{}.txt", "splits/{}.txt", "flickr30k_{}.txt", "flickr30k_entities/{}.txt")


class Form(NamedTuple):
    """How a line gives a photo and a caption, and how a message says so."""

    pattern: re.Pattern[str]
    said: str


TOKEN = Form(re.compile(r"(.+)#\d+\t(.*)"), "name#number<tab>caption")  # a name may hold # only before the number
BARS = Form(re.compile(r"([^|]+)\|\s*\d+\s*(?:\||\s)\s*(.*)"), "name| number| caption")
"""The common copy lacks a bar in one row, between number and caption."""


class Captioned(NamedTuple):
    """Captions in the order of the file, and the splits where the same file has them."""

    captions: list[tuple[str, str]]
    splits: dict[str, str]


@register("dataset", "flickr8k")
def flickr8k(
    root: Place, split: str | None = None, *, captions: str | None = None, missing: Missing = "keep"
) -> Manifest:
    """Flickr8k: 8,091 photos with five captions each, official split 6,000 / 1,000 / 1,000.

    Layout: captions as ``captions.txt`` (comma-separated, ``image,caption``), ``Flickr8k.token.txt`` (the original:
    ``name#number`` tab ``caption``) or Karpathy's ``dataset_flickr8k.json``; photos in ``images``, ``Images`` or
    ``Flicker8k_Dataset`` (spelt so); the official lists ``Flickr_8k.{train,dev,test}Images.txt``, in ``Flickr8k_text``
    or beside the captions. 91 photos (92 in the original) are in no list: their split is "".

    Args:
        root: the folder. split: "train", "val" (the official "dev"), "test"; None for all.
        captions: name of the caption file, where it is none of these.
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of ``image`` and ``text``, one group per photo; extra: photo, and caption_row, the caption's number in the
        file, from 0.

    Raises:
        ModalignError: files missing or damaged, lists of other photos, or a path that leaves the folder.

    Reference: Hodosh, Young and Hockenmaier 2013, JAIR 47.

    Example:
        >>> Path("images").mkdir()
        >>> size = Path("captions.txt").write_text("image,caption\\n1.jpg,a dog runs\\n2.jpg,a cat sits\\n")
        >>> size = Path("Flickr_8k.testImages.txt").write_text("2.jpg\\n")
        >>> flickr8k(".", split="test").text
        (None, 'a cat sits')
    """
    base = existing_folder(root, "data set 'flickr8k'")
    path = inside(base, captions) if captions else first_file(base, CAPTIONS_8K, "captions of Flickr8k")
    rows = Rows("flickr8k", ABOUT_8K, missing)
    return _flickr(base, split, path, first_folder(base, PHOTOS_8K), LISTS_8K, rows)


@register("dataset", "flickr30k")
def flickr30k(
    root: Place, split: str | None = None, *, captions: str | None = None, missing: Missing = "keep"
) -> Manifest:
    """Flickr30k: 31,783 photos with five captions each; Karpathy's split 29,000 / 1,014 / 1,000.

    Layout: captions as ``results_20130124.token`` (``name#number`` tab ``caption``), ``results.csv`` (fields parted by
    bars), ``captions.txt`` (by commas), ``flickr_annotations_30k.csv`` or ``dataset_flickr30k.json`` (both with
    splits); photos in ``flickr30k-images`` or ``flickr30k_images``; lists ``{train,val,test}.txt`` of photos.

    Args, Returns, Raises: as ``flickr8k``.

    Reference: Young, Lai, Hodosh and Hockenmaier 2014, TACL 2; splits: Karpathy and Fei-Fei 2015, arXiv 1412.2306.

    Example:
        >>> Path("flickr30k-images").mkdir()
        >>> size = Path("results_20130124.token").write_text("1.jpg#0\\ta dog runs\\n1.jpg#1\\ta brown dog\\n")
        >>> flickr30k(".").text
        (None, 'a dog runs', 'a brown dog')
    """
    base = existing_folder(root, "data set 'flickr30k'")
    path = inside(base, captions) if captions else first_file(base, CAPTIONS_30K, "captions of Flickr30k")
    rows = Rows("flickr30k", ABOUT_30K, missing)
    return _flickr(base, split, path, first_folder(base, PHOTOS_30K), LISTS_30K, rows)


def _flickr(base: Path, split: str | None, path: Path, photos: Path, lists: Sequence[str], rows: Rows) -> Manifest:
    content = _captions(path, rows)
    names = dict.fromkeys(name for name, _ in content.captions)
    splits = {**content.splits, **_lists(base, lists, names, rows)}
    for name in names:
        place = inside(photos, name, f"caption list {path.name}")
        rows.file(rows.group(name), "image", place, splits.get(name, ""), photo=name)
    for number, (name, text) in enumerate(content.captions):
        rows.text(rows.group(name), text, splits.get(name, ""), photo=name, caption_row=number)
    return rows.manifest(split)


def _lists(base: Path, patterns: Sequence[str], names: Mapping[str, object], rows: Rows) -> dict[str, str]:
    """Photo -> split of the official lists; photos without captions are noted."""
    stems = {Path(name).stem: name for name in names}
    splits: dict[str, str] = {}
    strange: list[str] = []
    for split in ("train", "dev", "val", "test"):
        path = next((base / p.format(split) for p in patterns if (base / p.format(split)).is_file()), None)
        if path is None:
            continue
        for line in read_list(path, "list of photos")[0].split("\n"):
            name = line.strip()
            name = name if name in names else stems.get(name, name)
            if name in names:
                twice = splits.setdefault(name, split)
                if twice != split:
                    raise ModalignError(f"photo {name} is in two lists of {base}: {twice} and {split}")
            elif name:
                strange.append(name)
    if strange and not splits:
        raise ModalignError(
            f"the lists of photos in {base} name {len(strange)} photos, none of them in the captions ({few(strange)})"
        )
    for name in strange:
        rows.left_out("photos", "in a list of the split but without captions", name)
    return splits


def _captions(path: Path, rows: Rows) -> Captioned:
    if path.suffix == ".json":
        return _karpathy(path)
    text, _ = read_list(path, "caption list")
    first = text.partition("\n")[0]
    if re.match(r"[^\t,]+#\d+\t", first):
        return _matched(text.split("\n"), 1, TOKEN, path, rows)
    if "|" in first:
        return _matched(text.split("\n")[1:], 2, BARS, path, rows)
    if "raw" in first and "split" in first:
        return _annotations(path, rows)
    columns, _ = parse_csv(first, path)
    image = next((c for c in ("image", "image_name", "filename", "file_name") if c in columns), "image")
    caption = next((c for c in ("caption", "comment", "text", "sentence") if c in columns), "caption")
    table = read_csv(path, (image, caption), "caption list", tell=rows.left_out)
    return Captioned([(r.fields[image].strip(), r.fields[caption]) for r in table.rows], {})


def _matched(lines: Sequence[str], first: int, form: Form, path: Path, rows: Rows) -> Captioned:
    """Captions of a list with one form of line, without those of another form."""

    def read(record: Record) -> tuple[str, str]:
        if not (found := form.pattern.match(record.fields["row"])):
            raise ModalignError(f"{path}, line {record.line}: not '{form.said}'")
        return found[1].strip(), found[2]

    records = [Record(n, {"row": row.removesuffix("\r")}) for n, row in enumerate(lines, first) if row.strip()]
    return Captioned([caption for _, caption in rows.readable(records, read, path)], {})


def _karpathy(path: Path) -> Captioned:
    content = read_json(path, "Karpathy's list")
    captions: list[tuple[str, str]] = []
    splits: dict[str, str] = {}
    with entries_of(f"{path} is not Karpathy's list"):
        for image in content["images"]:
            splits[image["filename"]] = image["split"]
            captions += [(image["filename"], sentence["raw"]) for sentence in image["sentences"]]
    return Captioned(captions, splits)


def _annotations(path: Path, rows: Rows) -> Captioned:
    """``flickr_annotations_30k.csv``: the captions of a photo as one JSON list in the column ``raw``."""

    def read(record: Record) -> list[str]:
        try:
            return list(from_json(record.fields["raw"]))
        except (json.JSONDecodeError, TypeError):
            raise ModalignError(f"{path}, line {record.line}: the column raw is not a list of captions") from None

    table = read_csv(path, ("raw", "split", "filename"), "caption list", tell=rows.left_out)
    captions: list[tuple[str, str]] = []
    splits: dict[str, str] = {}
    for row, texts in rows.readable(table.rows, read, path):
        name = row.fields["filename"]
        splits[name] = row.fields["split"]
        captions += [(name, text) for text in texts]
    return Captioned(captions, splits)
