"""AudioCaps: human captions of AudioSet clips, one in training, five in validation and test."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .manifest import Manifest
from .places import SOUNDS, Files, clip_names, existing_folder, inside
from .rows import Missing, Rows, split_name
from .tables import number, read_csv

ABOUT = {
    "source": "https://github.com/cdjkim/audiocaps",
    "licence": "captions MIT; the clips belong to their makers",
    "paper": "Kim et al. 2019, AudioCaps: generating captions for audios in the wild, NAACL",
}
COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
SECONDS = 10.0
NAMES = {
    "v1": ("{}.csv", "dataset/{}.csv", "dataset/v1.0/{}.csv", "v1/{}.csv", "{}_v1.csv", "{}_v1_original.csv"),
    "v2": ("{}_v2.csv", "dataset/v2.0/{}.csv", "v2/{}.csv", "v2.0/{}.csv", "dataset_v2/{}.csv"),
}


@register("dataset", "audiocaps")
def audiocaps(
    root: Place,
    split: str | None = None,
    *,
    version: Literal["v1", "v2"] = "v1",
    captions: str | None = None,
    whole: bool = False,
    missing: Missing = "keep",
) -> Manifest:
    """AudioCaps: sounds with human captions; five rows of a list are one clip in validation and test.

    Layout: ``train.csv``, ``val.csv``, ``test.csv`` (in the folder or ``dataset``; version 2 as ``<split>_v2.csv``
    or in ``v2``), line ends LF or CRLF; sound files anywhere below the folder, named by the video id with or without
    ``Y`` and times, or by ``audiocap_id``.

    Args:
        root: the folder. split: "train", "val", "test"; None for all that there are.
        version: of the lists. captions: one list by name instead; ``split`` then just names it.
        whole: the files are whole recordings, so that the rows need start and end (10 s); else files are the clips.
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of ``audio`` and ``text``, one group per clip; extra: video, clip_start; texts also audiocap_id.

    Raises:
        ModalignError: no list, a damaged one, or clips that are in two splits. Rows without a start time are counted.

    Reference: Kim et al. 2019, NAACL.

    Example:
        >>> line = "97151,vfY_TJq7n_U,130,Rustling occurs and ducks quack"
        >>> size = Path("test.csv").write_text(f"audiocap_id,youtube_id,start_time,caption\\n{line}\\n")
        >>> audiocaps(".", split="test").text
        (None, 'Rustling occurs and ducks quack')
    """
    base = existing_folder(root, "data set 'audiocaps'")
    sounds = Files([base], SOUNDS)
    rows = Rows("audiocaps", ABOUT, missing)
    home: dict[int, str] = {}
    torn: list[str] = []
    for path, which in _lists(base, version, captions, split):
        records = read_csv(path, COLUMNS, "AudioCaps list", tell=rows.left_out).rows
        for record, start in rows.readable(records, partial(number, column="start_time", path=path), path):
            video = record.fields["youtube_id"].strip()
            group = rows.group((video, start))
            extra: dict[str, Any] = {"video": video, "clip_start": start}
            if group not in home:
                home[group] = which
                names = [*clip_names(video, start, start + SECONDS), record.fields["audiocap_id"].strip()]
                times = (start, start + SECONDS) if whole else (None, None)
                rows.file(group, "audio", sounds.place(*names), which, *times, **extra)
            elif home[group] != which:
                torn.append(video)
            rows.text(group, record.fields["caption"], which, audiocap_id=record.fields["audiocap_id"], **extra)
    if torn:
        raise ModalignError(f"{len(torn)} captions of AudioCaps in {base} are of clips in two splits ({few(torn)})")
    return rows.manifest(split)


def _lists(base: Path, version: str, captions: str | None, split: str | None) -> Iterable[tuple[Path, str]]:
    if captions:
        return [(inside(base, captions, "setting 'captions'"), split_name(split or ""))]
    found = []
    for name in ("train", "val", "test"):
        path = next((base / p.format(name) for p in NAMES[version] if (base / p.format(name)).is_file()), None)
        if path:
            found.append((path, name))
    if not found:
        raise ModalignError(
            f"no AudioCaps list in {base}: looked for {few(p.format('test') for p in NAMES[version])} and the like"
        )
    return found
