"""Tux Paint's stamps: a picture, its name in 77 languages, and human speech in some of them."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModalignError, few
from ..parameters import Place
from ..registry import register
from .manifest import Manifest
from .places import existing_folder, hidden
from .rows import Missing, Rows, drawn

ABOUT = {
    "source": "https://tuxpaint.org/stamps (Debian package tuxpaint-stamps-default)",
    "licence": "GPL-2",
    "paper": "",
}
PLACE = "/usr/share/tuxpaint/stamps"
PICTURES = (".png", ".svg")
SHARES = {"train": 0.6, "dev": 0.15, "test": 0.25}


@register("dataset", "tuxpaint")
def tuxpaint(
    root: Place = PLACE, split: str | None = None, *, language: str = "fr", text: str = "en", missing: Missing = "keep"
) -> Manifest:
    """Tux Paint stamps: pictures, names and spoken names.

    Layout: folders by subject with ``lion.png`` or ``lion.svg``, ``lion.txt`` (the English name in the first line, then
    lines such as ``fr.utf8=Un lion.``), ``lion_desc.ogg`` (the name spoken in English) and ``lion_desc_fr.ogg``.

    Args:
        root: the folder of the stamps. split: "train", "dev", "test"; None for all.
        language: of the speech, such as "fr", "ru", "ro", "bg", "ca", "es", about 900 clips each; "en" has fewer.
        text: language of the written names.
        missing: see ``data.rows.Missing``.

    Returns:
        One group per stamp: rows of ``image``, ``text`` and, where the stamp has them, ``speech``; extra: name, subject
        (the first folder). About 60 / 15 / 25 % of the stamps, drawn by a hash of their names.

    Raises:
        ModalignError: no stamps in the folder, or no name or speech in that language; says which there are.

    Example:
        >>> Path("animals").mkdir()
        >>> files = {"lion.png": "...", "lion.txt": "A lion.\\nfr.utf8=Un lion.", "lion_desc_fr.ogg": "..."}
        >>> for name, content in files.items():
        ...     size = Path("animals", name).write_text(content)
        >>> tuxpaint(".", language="fr", text="fr").modalities
        ('image', 'text', 'speech')
    """
    base = existing_folder(root, "data set 'tuxpaint'")
    rows = Rows("tuxpaint", ABOUT, missing)
    speech, written, known = 0, 0, set()
    for name in sorted(p for p in base.rglob("*.txt") if not hidden(p.relative_to(base))):
        picture = next((p for p in (name.with_suffix(s) for s in PICTURES) if p.is_file()), None)
        key = name.relative_to(base).with_suffix("").as_posix()
        if picture is None:
            rows.left_out("stamps", "a name without a picture", key)
            continue
        extra = {"name": name.stem, "subject": key.split("/")[0]}
        group, part = rows.group(key), drawn(key, SHARES)
        rows.file(group, "image", picture, part, None, None, **extra)
        if picture.suffix == ".png" and name.with_suffix(".svg").is_file():
            rows.left_out("pictures", "an SVG of a stamp that has a PNG, which is taken", f"{key}.svg")
        names = _names(name)
        known |= set(names)
        if text in names:
            written += rows.text(group, names[text], part, "text", None, None, **extra)
        else:
            rows.left_out("names", f"not given in '{text}'", key)
        sound = name.with_name(f"{name.stem}_desc.ogg" if language == "en" else f"{name.stem}_desc_{language}.ogg")
        if sound.is_file():
            speech += 1
            rows.file(group, "speech", sound, part, None, None, **extra)
    if known and not written:
        raise ModalignError(f"{base} has no names in '{text}' (known: {few(sorted(known), 12)})")
    if known and not speech:
        spoken = sorted({p.stem.rpartition("_desc_")[2] for p in base.rglob("*_desc_*.ogg")})
        raise ModalignError(f"{base} has no speech in '{language}' (known: {few(spoken, 12) or 'none'})")
    return rows.manifest(split)


def _names(path: Path) -> dict[str, str]:
    """Language -> name, of one stamp; bytes that are no UTF-8 are replaced."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    found = {"en": lines[0].strip()} if lines and lines[0].strip() else {}
    for line in lines[1:]:
        language, equals, words = line.partition(".utf8=")
        if equals and words.strip():
            found[language.strip()] = words.strip()
    return found
