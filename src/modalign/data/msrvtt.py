"""MSR-VTT: 10,000 video clips with twenty captions each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .lists import entries_of, read_json
from .manifest import Manifest
from .places import VIDEOS, Files, existing_folder, first_folder
from .rows import Missing, Rows
from .tables import read_csv

ABOUT = {
    "source": "Xu, Mei, Yao and Rui 2016",
    "licence": "research only; the videos belong to their makers",
    "paper": "MSR-VTT: a large video description dataset for bridging video and language, CVPR 2016",
}
TEST = ("MSRVTT_JSFUSION_test.csv", "msrvtt_test.csv")
SENTENCES = (
    "MSRVTT_data.json", "train_val_videodatainfo.json", "videodatainfo_2017.json", "annotation/MSR_VTT.json",
    "test_videodatainfo.json",
)  # fmt: skip
FOLDERS = ("videos", "videos/all", "TrainValVideo", "TestVideo", "video")


@register("dataset", "msrvtt")
def msrvtt(
    root: Place,
    split: str | None = None,
    *,
    protocol: Literal["1k-A", "full"] = "1k-A",
    train: Literal["9k", "7k"] = "9k",
    missing: Missing = "keep",
) -> Manifest:
    """MSR-VTT: clips with twenty captions each; the 1k-A protocol or the official split.

    Layout: ``MSRVTT_JSFUSION_test.csv`` (key, vid_key, video_id, sentence), ``MSRVTT_train.9k.csv`` or
    ``MSRVTT_train.7k.csv`` (video_id), sentences in ``MSRVTT_data.json`` (or ``train_val_videodatainfo.json``,
    ``test_videodatainfo.json``: videos and sentences); clips ``video<number>`` anywhere in ``videos`` or the folder.

    Args:
        root: the folder. split: "train", "val" (full only), "test"; None for all.
        protocol: "1k-A": 1,000 test clips with the one sentence of the test list, training by the list ``train``;
            "full": the official split with all captions.
        train: which training list. Without a file of sentences, training clips are rows without captions.
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of ``video`` and ``text``, one group per clip; extra: video.

    Raises:
        ModalignError: no list, a damaged one, a clip in two splits, or sentences of unknown clips.

    Reference: Xu et al. 2016, CVPR; Yu, Kim and Kim 2018, arXiv 1808.02559 (the 1k-A split).

    Example:
        >>> line = "ret0,msr9770,video9770,a person is connecting something to a system"
        >>> size = Path("MSRVTT_JSFUSION_test.csv").write_text(f"key,vid_key,video_id,sentence\\n{line}\\n")
        >>> msrvtt(".", split="test").text
        (None, 'a person is connecting something to a system')
    """
    base = existing_folder(root, "data set 'msrvtt'")
    rows = Rows("msrvtt", ABOUT, missing)
    sentences, official = _sentences(base, rows)
    if protocol == "full":
        if not official:
            raise ModalignError(f"msrvtt, protocol 'full', needs a file of sentences in {base}: {few(SENTENCES)}")
        captions, splits = sentences, official
    else:
        captions, splits = _one_thousand(base, train, sentences, rows)
    files = Files([first_folder(base, FOLDERS), base], VIDEOS)
    for video, part in splits.items():
        extra: dict[str, Any] = {"video": video}
        group = rows.group(video)
        rows.file(group, "video", files.place(video), part, None, None, **extra)
        for text in captions.get(video, ()):
            rows.text(group, text, part, **extra)
    return rows.manifest(split)


def _one_thousand(
    base: Path, train: str, sentences: dict[str, list[str]], rows: Rows
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Captions and splits of the 1k-A protocol: the test clips keep just the sentence of the test list."""
    test = next((base / n for n in TEST if (base / n).is_file()), None)
    if test is None:
        raise ModalignError(f"no MSR-VTT test list in {base}: looked for {few(TEST)}")
    captions = dict(sentences)
    splits: dict[str, str] = {}
    chosen: dict[str, list[str]] = {}
    for r in read_csv(test, ("video_id", "sentence"), "MSR-VTT test list", tell=rows.left_out).rows:
        chosen.setdefault(r.fields["video_id"].strip(), []).append(r.fields["sentence"])
    captions |= chosen
    path = base / f"MSRVTT_train.{train}.csv"
    if path.is_file():
        for r in read_csv(path, ("video_id",), "MSR-VTT training list", tell=rows.left_out).rows:
            splits[r.fields["video_id"].strip()] = "train"
        both = sorted(set(splits) & set(chosen))
        if both:
            raise ModalignError(f"{path} has {len(both)} clips of the test list {test.name}: {few(both)}")
    return captions, splits | dict.fromkeys(chosen, "test")


def _sentences(base: Path, rows: Rows) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Clip -> captions and clip -> official split, from all files of sentences that are there."""
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for path in (base / name for name in SENTENCES):
        if not path.is_file():
            continue
        content = read_json(path, "MSR-VTT sentences")
        with entries_of(f"{path} does not hold MSR-VTT sentences"):
            for entry in content["videos"]:
                splits[entry["video_id"]] = {"validate": "val"}.get(entry["split"], entry["split"])
            for number, entry in enumerate(content["sentences"], 1):
                if "video_id" in entry and "caption" in entry:
                    captions.setdefault(entry["video_id"], []).append(entry["caption"])
                else:
                    rows.left_out("sentences", "without video_id and caption", f"{path.name}, sentence {number}")
    strange = sorted(set(captions) - set(splits))
    if strange:
        raise ModalignError(f"MSR-VTT sentences in {base} are of {len(strange)} unknown clips: {few(strange)}")
    return captions, splits
