"""Clotho: sounds of 15 to 30 s with five human captions each."""

from __future__ import annotations

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .manifest import Manifest
from .places import SOUNDS, Files, existing_folder, inside
from .rows import Missing, Rows, split_name
from .tables import read_csv

ABOUT = {
    "source": "https://zenodo.org/records/4783391",
    "licence": "captions: Tampere University licence, non-commercial; each sound has its own Creative Commons licence",
    "paper": "Drossos, Lipping and Virtanen 2020, Clotho: an audio captioning dataset, arXiv 1910.09387",
}
PARTS = ("development", "validation", "evaluation")


@register("dataset", "clotho")
def clotho(root: Place, split: str | None = None, *, prefix: str = "caption_", missing: Missing = "keep") -> Manifest:
    """Clotho: 15 to 30 s sounds with five captions each.

    Layout: ``clotho_captions_{development,validation,evaluation}.csv`` (anything may stand before ``.csv``; UTF-8,
    cp949 or cp1252, found out by itself); sound files in ``development``, ``validation``, ``evaluation``, ``audio`` or
    anywhere below the folder.

    Args:
        root: the folder. split: "train" (development), "val" (validation), "test" (evaluation); None for all.
        prefix: of the caption columns: "caption_" for English; "kor_" for the Korean ones that some copies have.
        missing: see ``data.rows.Missing``.

    Returns:
        Rows of ``audio`` and ``text``, one group per sound; extra: file.

    Raises:
        ModalignError: no list, a damaged one, no columns of that prefix, or a path that leaves the folder.

    Reference: Drossos, Lipping and Virtanen 2020, arXiv 1910.09387.

    Example:
        >>> from pathlib import Path
        >>> header = "file_name," + ",".join(f"caption_{i}" for i in range(1, 6))
        >>> line = "rain.wav,it rains,it pours,rain falls,a storm,drops fall"
        >>> size = Path("clotho_captions_evaluation.csv").write_text(f"{header}\\n{line}\\n")
        >>> clotho(".", split="test").text[1:]
        ('it rains', 'it pours', 'rain falls', 'a storm', 'drops fall')
    """
    base = existing_folder(root, "data set 'clotho'")
    lists = [(path, part) for part in PARTS for path in sorted(base.glob(f"**/clotho_captions_{part}*.csv"))[:1]]
    if not lists:
        raise ModalignError(f"no Clotho list in {base}: looked for {few(f'clotho_captions_{p}.csv' for p in PARTS)}")
    rows = Rows("clotho", ABOUT, missing)
    encodings: list[str] = []
    without: list[str] = []
    for path, part in lists:
        # The same name may stand for different sounds in two parts: a part's own folder comes first.
        own = Files([base / part, base / "clotho_audio" / part], SOUNDS)
        everywhere = Files([base / "audio", base], SOUNDS)
        table = read_csv(path, ("file_name",), "Clotho list", tell=rows.left_out)
        columns = [c for c in table.columns if c.startswith(prefix)]
        if not columns:
            without.append(f"{path.name} (it has {', '.join(table.columns[:3])}, ...)")
            rows.left_out("lists", f"no column starts with '{prefix}'", path.name)
            continue
        encodings.append(table.encoding)
        for record in table.rows:
            name = record.fields["file_name"].strip()
            stem = inside(base, name, f"Clotho list {path.name}").stem
            group = rows.group((part, name))
            rows.file(group, "audio", own.find(stem) or everywhere.place(stem), split_name(part), file=name)
            for column in columns:
                rows.text(group, record.fields[column], split_name(part), file=name)
    if not encodings:
        raise ModalignError(f"no column of the Clotho lists starts with '{prefix}': {few(without)}")
    rows.meta["encoding"] = ", ".join(encodings)
    return rows.manifest(split)
