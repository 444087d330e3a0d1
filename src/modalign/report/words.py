"""The words to robustness curves: titles, axes, notes and names, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..robustness.kinds import Kind, Panel
from ..robustness.noise import decibels

FILLS = {
    "mean": "what is present", "single": "best one alone", "fill:zero": "zero fill", "fill:mean": "mean fill",
    "fill:knn": "kNN fill", "fill:ppca": "PPCA fill",
}  # fmt: skip
TITLES = {
    "missing": "Missing modalities", "noise": "Noise on features", "attack": "Attacks", "pixels": "Attacks on pixels",
    "waveform": "Attacks on waveforms", "corruptions": "Damaged pictures", "typos": "Typing mistakes",
}  # fmt: skip
NOTES = {
    "missing": "Masks are nested: what is missing at a rate is missing at every higher one; each query keeps one "
    "modality. The heads were trained on what the training data had; modalities are missing at test time only.",
    "noise": "Gaussian noise, its standard deviation in units of that of the features; the same draws at each level. "
    "Signal-to-noise ratios: {ratios}.",
    "attack": "APGD of {steps} steps within an l2 ball. Dashed: the same radius in random directions. Embedding space "
    "attacks move the stored vectors themselves and so bound what any attack of that reach could do. Hub attacks "
    "change one gallery item; hits are counted on queries the attacker has not seen; more is worse.",
    "pixels": "APGD of {steps} steps through encoder and head on {items} items, bound on the largest change. Dashed: "
    "as large changes at random. Changes are whole 8-bit steps, so the attacked pictures can be saved as PNG.",
    "waveform": "APGD of {steps} steps through encoder and head on {items} items, bound on the largest change. "
    "Dashed: as large changes at random. A thousandth of full scale is 60 dB below it.",
    "corruptions": "Thirteen kinds of damage at five severities, after Hendrycks & Dietterich 2019, on pictures of "
    "224 pixels that are encoded again. {items} items of '{modality}'.",
    "typos": "Letters swapped, dropped, doubled or replaced by a key beside them: 3, 6, 10, 15 and 25 % of a text's "
    "letters, at least one. {items} items of '{modality}'.",
}
SPACES = {"features": "features, through the heads", "embedding": "embedding space"}
AXES = {"features": "radius over spread of the features", "embedding": "radius on unit rows"}


class Words(NamedTuple):
    """What stands around a panel. names: curve -> its label."""

    title: str
    axis: str
    names: Mapping[str, str]


def note(name: str, kind: Kind) -> str:
    """What a reader must know of a kind."""
    facts = dict(kind.facts)
    if name == "noise":
        levels = next(iter(kind.panels[0].curves.values())).levels
        facts["ratios"] = ", ".join(f"{v:g} is {decibels(v):.0f} dB" for v in levels if v > 0)
    return NOTES[name].format(**facts)


def words(name: str, kind: Kind, panel: Panel, labels: Mapping[str, str], focus: str) -> Words:
    """The words of a panel.

    Args:
        name: of the kind. labels: method -> what people call it. focus: method whose rules, fills or kinds are drawn.
    """
    title, axis = _WORDS[name](kind, panel, labels.get(focus, focus))
    known = FILLS if name == "missing" and panel.name == "fills" else labels
    return Words(title, axis, {k: known.get(k, k) for k in panel.curves})


def compared(panel: Panel) -> set[str]:
    """Curves that the others of a panel are compared with: drawn dashed."""
    return set(panel.curves) - {"mean"} if panel.name == "fills" else set()


def _missing(kind: Kind, panel: Panel, focus: str) -> tuple[str, str]:
    names = f"{' + '.join(kind.facts['query'])} and {kind.facts['gallery']}"
    axis = "share of the query's modalities that are missing"
    if panel.name == "refit":
        return f"{names}, missing in training too", "share missing, in training and of the query"
    titles = {"methods": f"{names}, by method", "rules": f"{focus}, by fusion rule"}
    return titles.get(panel.name, f"{focus}, beside what fills gaps"), axis


def _noise(kind: Kind, panel: Panel, focus: str) -> tuple[str, str]:
    where = "all modalities" if panel.name == "all" else f"{panel.name} alone"
    return f"noise on {where}", "noise over signal"


def _attack(kind: Kind, panel: Panel, focus: str) -> tuple[str, str]:
    space = str(panel.space)
    return f"{panel.name} {'attack' if panel.name == 'hub' else 'side'}, {SPACES[space]}", AXES[space]


def _raw(what: str, axis: str) -> _Titles:
    return lambda kind, panel, focus: (f"{panel.name} side, {what} of {kind.facts['modality']}", axis)


def _damage(kind: Kind, panel: Panel, focus: str) -> tuple[str, str]:
    by_method = f"{kind.facts['modality']}, mean over kinds, by method"
    return by_method if panel.name == "methods" else f"{focus}, by kind", "severity"


_Titles = Callable[[Kind, Panel, str], tuple[str, str]]
_WORDS: Mapping[str, _Titles] = {
    "missing": _missing, "noise": _noise, "attack": _attack, "corruptions": _damage, "typos": _damage,
    "pixels": _raw("pixels", "radius, of 255 levels"),
    "waveform": _raw("waveform", "radius, thousandths of full scale"),
}  # fmt: skip
