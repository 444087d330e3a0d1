"""Which encoder for which modality: defaults, ``modality=NAME,setting=value`` entries, names of a user's own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor

from ..data.columns import modality_of
from ..data.manifest import Manifest
from ..errors import ModalignError, few, unknown
from ..registry import get, make
from ..specification import named, parse_value
from .encoders.base import Encoder

DEFAULTS = {"text": "minilm", "image": "efficientnet-lite0", "audio": "logmel", "video": "frames"}
"""Encoders that are taken where none is named. Words under any other name get that of "text"."""


class Renamed:
    """An encoder under the name of another modality: a text encoder for narrations or titles, say. All else is its own.

    Args:
        encoder: does the work; may serve several modalities. modality: the other name.
    """

    def __init__(self, encoder: Encoder, modality: str) -> None:
        self.encoder, self.modality = encoder, modality

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "encoder"), name)

    def __call__(self, batch: Any) -> Tensor:
        """The encoder's features."""
        return self.encoder(batch)


def parse_entry(entry: str) -> tuple[str, dict[str, Any]]:
    """``modality=NAME`` or ``modality=NAME,setting=value,...`` as modality and table; values as in TOML.

    Raises:
        ModalignError: another form.

    Example:
        >>> parse_entry("video=frames,frames=4,pooling=max")
        ('video', {'name': 'frames', 'frames': 4, 'pooling': 'max'})
    """
    modality, equals, rest = entry.partition("=")
    name, *settings = rest.split(",")
    table: dict[str, Any] = {"name": name.strip()}
    for setting in settings:
        key, given, value = setting.partition("=")
        if not given or not key.strip():
            raise ModalignError(f"an entry of a modality is written MODALITY=NAME,setting=value, got '{entry}'")
        table[key.strip()] = parse_value(value.strip())
    if not equals or not modality.strip() or not table["name"]:
        raise ModalignError(f"an entry of a modality is written MODALITY=NAME, got '{entry}'")
    return modality.strip(), table


def parse_entries(entries: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Modality -> table of several entries, see ``parse_entry``.

    Raises:
        ModalignError: another form, or a modality that is given twice.
    """
    found: dict[str, dict[str, Any]] = {}
    for modality, table in map(parse_entry, entries):
        if modality in found:
            raise ModalignError(f"'{modality}' is given twice, as {found[modality]['name']} and as {table['name']}")
        found[modality] = table
    return found


def no_modality(manifest: Manifest, name: str) -> ModalignError:
    """The error for a modality that a manifest lacks; where it is the name of a column, how that was read.

    Example:
        >>> table = Manifest.from_rows([{"group": 0, "modality": "text", "text": "a cat"}], "table")
        >>> print(no_modality(table, "caption"))
        unknown modality of 'table' 'caption' (known: text); a column of that name is read as 'text'
    """
    problem = unknown(f"modality of '{manifest.name}'", name, manifest.modalities)
    if (usual := modality_of(name)) in manifest.modalities:
        return ModalignError(f"{problem}; a column of that name is read as '{usual}'")
    if name in manifest.extra:
        return ModalignError(
            f"{problem}; the column '{name}' was read as metadata: say which column is which, all of them, "
            f'with columns = {{ {name} = "{name}", ... }}'
        )
    return problem


def entries_for(manifest: Manifest, entries: Mapping[str, str | dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The encoders that are named, and defaults for the other modalities of a manifest.

    Raises:
        ModalignError: a modality that the manifest lacks, or one that has no default.
    """
    for modality in entries:
        if modality not in manifest.modalities:
            raise no_modality(manifest, modality)
    chosen: dict[str, dict[str, Any]] = {}
    lacking = []
    for modality in manifest.modalities:
        default = DEFAULTS.get(modality) or (DEFAULTS["text"] if _words(manifest, modality) else None)
        entry = entries.get(modality, default)
        if entry is None:
            lacking.append(modality)
        else:
            chosen[modality] = named(entry)
    if lacking:
        raise ModalignError(
            f"no encoder for {few(lacking)}: give --encoder {lacking[0]}=NAME  (see: modalign list encoder)"
            f"{_hint(manifest, lacking)}"
        )
    return chosen


def make_encoders(manifest: Manifest, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Encoder]:
    """Encoders of a manifest's modalities. Equal entries share one encoder, so its weights are loaded once.

    "text", "image", "audio" and "video" take encoders of their own kind. Any other modality is a name that the data
    set chose: its words take a text encoder, its files the kind of encoder you name.

    Raises:
        ModalignError: an encoder of another kind, or one for words where there are files, or the reverse.
    """
    made: dict[str, Encoder] = {}
    shared: dict[str, Encoder] = {}
    for modality, entry in entries.items():
        settings = dict(entry)
        if "modality" in inspect.signature(get("encoder", settings["name"])).parameters:
            settings.setdefault("modality", modality)
        key = repr(sorted(settings.items()))
        if key not in shared:
            shared[key] = make("encoder", **settings)
        made[modality] = _renamed(shared[key], modality, manifest)
    return made


def _renamed(encoder: Encoder, modality: str, manifest: Manifest) -> Encoder:
    if encoder.modality == modality:
        return encoder
    if modality in DEFAULTS:
        raise ModalignError(f"the encoder given for '{modality}' is one for '{encoder.modality}'")
    if modality not in manifest.modalities:
        raise no_modality(manifest, modality)
    words = _words(manifest, modality)
    if words != (encoder.modality == "text"):
        what = "words" if words else "files"
        hint = "" if words else _hint(manifest, [modality])
        raise ModalignError(
            f"'{modality}' holds {what}, and the encoder given for it is one for '{encoder.modality}'{hint}"
        )
    return cast(Encoder, Renamed(encoder, modality))


def _hint(manifest: Manifest, modalities: Sequence[str]) -> str:
    """How to say that cells of a table are words, as those of a modality with a name of its own count as files."""
    said = json.dumps(list(modalities))
    return f"; if its cells are words, not files, say words = {said}" if manifest.name == "table" else ""


def _words(manifest: Manifest, modality: str) -> bool:
    """Whether the rows of a modality are words, not files (by the first of them)."""
    rows = manifest.rows(modality)
    return bool(len(rows)) and manifest[int(rows[0])].text is not None
