"""COCO captions: five captions (some images have six or seven) of each photo."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .eccv import listed_positives
from .lists import entries_of, read_json
from .manifest import Manifest
from .places import existing_folder, first_file, hidden, inside
from .rows import Missing, Rows, split_name

ABOUT = {
    "source": "https://cocodataset.org",
    "licence": "captions CC BY 4.0; each photo has its own licence",
    "paper": "Chen et al. 2015, Microsoft COCO Captions, arXiv 1504.00325",
}
FOLDERS = ("train2017", "val2017", "train2014", "val2014", "test2014", "test2017")
KARPATHY = ("dataset_coco.json", "annotations/dataset_coco.json", "karpathy/dataset_coco.json")


class CaptionRow(NamedTuple):
    """A caption as a list gives it, None where an entry lacks it; number: COCO's annotation id, where there is one."""

    image: int
    text: object
    number: int | None


class Photo(NamedTuple):
    """A photo as a list gives it."""

    image: int
    folder: str
    file: str
    split: str


@register("dataset", "coco")
def coco(
    root: Place,
    split: str | None = None,
    *,
    year: Literal[2014, 2017] | None = None,
    annotations: str | None = None,
    positives: Literal["original", "cxc", "eccv"] | None = None,
    restval: bool = True,
    missing: Missing = "keep",
) -> Manifest:
    """COCO captions 2014 and 2017, official or Karpathy's splits, with the positives of ECCV Caption by choice.

    Layout: ``annotations/captions_{train,val}{2014,2017}.json`` beside the photo folders ``train2017``, ``val2017``,
    ``train2014``, ``val2014`` (or all of these in ``images``). Where ``dataset_coco.json`` lies in the folder, or in
    its ``annotations``, Karpathy's splits are used. A photo is found by its number, so lists of 2014 work with photos
    of 2017. The group id is COCO's image id.

    Args:
        root: the folder. split: "train", "val", "test" (Karpathy's only); None for all.
        year: of the official lists; asking for it leaves Karpathy's list alone. None takes what there is, 2017 first.
        annotations: one list by name, for example "annotations/captions_val2017.json", for other subsets.
        positives: which pairs count as right: adds the extra column ``positives``, which scores follow
            (``links.links_of``). "original" is COCO's own, "cxc" Crisscrossed Captions, "eccv" ECCV Caption (both
            directions together); needs the package eccv-caption. Its photos are those of Karpathy's test split; with
            Karpathy's list the captions' numbers come from ``captions_val2014.json``, which must then be there too.
        restval: Karpathy's train split includes ``restval``, as is usual (113,287 photos instead of 82,783).
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of ``image`` and ``text``; extra: image_id, caption_id.

    Raises:
        ModalignError: no list, a damaged one, captions of unknown images (ids and counts named), or a path that
            leaves the folder.

    Reference: Chen et al. 2015, arXiv 1504.00325; Karpathy and Fei-Fei 2015, arXiv 1412.2306 (splits); Parekh et al.
        2021, arXiv 2004.15020 (CxC); Chun et al. 2022, arXiv 2204.03359 (ECCV Caption).

    Example:
        >>> import json
        >>> Path("annotations").mkdir()
        >>> photos = [{"id": 9, "file_name": "000000000009.jpg"}]
        >>> captions = [{"id": 1, "image_id": 9, "caption": "a plate of food"}]
        >>> content = json.dumps({"images": photos, "annotations": captions})
        >>> size = Path("annotations/captions_val2017.json").write_text(content)
        >>> coco(".", split="val").text
        (None, 'a plate of food')
    """
    base = existing_folder(root, "data set 'coco'")
    karpathy = None if year or annotations else next((base / k for k in KARPATHY if (base / k).is_file()), None)
    if karpathy:
        photos, captions = _karpathy(karpathy, restval)
        if positives:
            captions = _numbered(base, captions)
    else:
        photos, captions = _official(base, split, year, annotations)
    _check(photos, captions)
    return _manifest(base, photos, captions, split, positives, missing)


def _manifest(
    base: Path,
    photos: Sequence[Photo],
    captions: Sequence[CaptionRow],
    split: str | None,
    which: str | None,
    missing: Missing,
) -> Manifest:
    rows = Rows("coco", ABOUT, missing)
    numbered = cache(_numbered_files)
    pairs = _positives(which) if which else None
    split_of = {p.image: p.split for p in photos}
    for p in photos:
        more: dict[str, Any] = {"image_id": p.image}
        if pairs is not None:
            more["positives"] = [p.image]
        rows.file(p.image, "image", _place(base, p, numbered), p.split, **more)
    for c in captions:
        extra: dict[str, Any] = {"image_id": c.image, "caption_id": c.number}
        if pairs is not None:
            extra["positives"] = sorted(pairs.get(c.number, ()))
        rows.text(c.image, c.text, split_of[c.image], **extra)
    return rows.manifest(split)


def _official(
    base: Path, split: str | None, year: int | None, annotations: str | None
) -> tuple[list[Photo], list[CaptionRow]]:
    photos: list[Photo] = []
    captions: list[CaptionRow] = []
    for path, name in _lists(base, split, year, annotations):
        content = read_json(path, "COCO caption list")
        folder = re.search(r"(train|val)(2014|2017)", path.name)
        with entries_of(f"{path} is not a COCO caption list"):
            photos += [
                Photo(int(i["id"]), folder.group() if folder else "images", str(i["file_name"]), name)
                for i in content["images"]
            ]
            captions += [CaptionRow(int(a["image_id"]), a.get("caption"), int(a["id"])) for a in content["annotations"]]
    return photos, captions


def _lists(base: Path, split: str | None, year: int | None, annotations: str | None) -> Iterable[tuple[Path, str]]:
    """The official lists to read, with the split that each holds."""
    if annotations:
        named = re.search(r"train|val|test", Path(annotations).name)
        return [(inside(base, annotations, "setting 'annotations'"), named.group() if named else "")]
    wanted = [split_name(split)] if split else ["train", "val"]
    for candidate in [year] if year else [2017, 2014]:
        found = [(base / "annotations" / f"captions_{name}{candidate}.json", name) for name in wanted]
        there = [(path, name) for path, name in found if path.is_file()]
        if there:
            return there
    names = [f"annotations/captions_{n}{y}.json" for y in ([year] if year else [2017, 2014]) for n in wanted]
    raise ModalignError(f"no COCO caption list in {base}: looked for {few([*names, KARPATHY[0]], 6)}")


def _karpathy(path: Path, restval: bool) -> tuple[list[Photo], list[CaptionRow]]:
    content = read_json(path, "Karpathy's list")
    photos: list[Photo] = []
    captions: list[CaptionRow] = []
    with entries_of(f"{path} is not Karpathy's list of COCO"):
        for i in content["images"]:
            name = i["split"]
            name = ("train" if restval else "restval") if name == "restval" else name
            photos.append(Photo(int(i["cocoid"]), str(i.get("filepath", "images")), str(i["filename"]), name))
            captions += [CaptionRow(int(i["cocoid"]), s.get("raw"), None) for s in i["sentences"]]
    return photos, captions


def _numbered(base: Path, captions: Sequence[CaptionRow]) -> list[CaptionRow]:
    """Captions of Karpathy's list with COCO's annotation ids, found by image and words."""
    path = first_file(base, ["annotations/captions_val2014.json"], "list of COCO's caption numbers")
    _, official = _official(base, None, None, str(path.relative_to(base)))
    numbers: dict[tuple[int, str], list[int]] = {}
    for c in official:
        numbers.setdefault((c.image, " ".join(str(c.text).split())), []).append(c.number or 0)
    found = []
    for c in captions:
        same = numbers.get((c.image, " ".join(str(c.text).split())), [])
        found.append(c._replace(number=same.pop(0)) if same else c)
    return found


def _check(photos: Sequence[Photo], captions: Sequence[CaptionRow]) -> None:
    known = {p.image for p in photos}
    strange = [c.image for c in captions if c.image not in known]
    if strange:
        raise ModalignError(
            f"COCO caption list is damaged: {len(strange)} captions are of {len(set(strange))} images that it does not "
            f"list (image ids {few(sorted(set(strange)))})"
        )


def _positives(which: str) -> Mapping[int | None, set[int]]:
    """Caption number -> ids of the images that it fits, in either direction of a list."""
    pairs: dict[int | None, set[int]] = {k: set(v) for k, v in listed_positives(which, "caption_to_image").items()}
    for image, captions in listed_positives(which, "image_to_caption").items():
        for caption in captions:
            pairs.setdefault(caption, set()).add(image)
    return pairs


def _numbered_files(folder: Path) -> dict[int, Path]:
    """The photos of a folder by their number."""
    files = [f for f in folder.iterdir() if not hidden(f.name)] if folder.is_dir() else []
    digits = ((re.search(r"(\d+)\.\w+$", f.name), f) for f in files)
    return {int(d.group(1)): f for d, f in digits if d}


def _place(base: Path, photo: Photo, numbered: Callable[[Path], dict[int, Path]]) -> Path:
    """Where a photo lies: in the folder that the list names, or in any other of COCO's."""
    named = inside(base, f"{photo.folder}/{photo.file}", "COCO list")
    parents = [base, base / "images"]
    folders = [*(p / photo.folder for p in parents), *(p / f for p in parents for f in FOLDERS), base / "images"]
    return next((found for f in folders if (found := numbered(f).get(photo.image))), named)
