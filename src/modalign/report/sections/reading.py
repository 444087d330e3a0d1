"""How to read the report, and what the run cannot say."""

from __future__ import annotations

from markupsafe import Markup

from ...metrics.shown import chosen
from ..page import render
from ..sheet import Sheet

WORDS = (
    (
        "95 % interval",
        "Range from resampling the test items: where the value would fall with other items of this kind.",
    ),
    ("Chance", "What a random order of the candidates would reach."),
    ("Linked pair", "A training item of which both sides are known to belong together. Unlinked items have lost that."),
    ("Transport plan", "A soft matching of items of two modalities that uses each item once and costs least."),
    ("Epsilon", "How soft that matching is: small values match one to one, large ones spread."),
    ("Shared space", "Vectors of length one in which cosine compares any modality with any other."),
)


def build(sheet: Sheet) -> Markup:
    """What the first measures mean, in their own words; glossary and limits."""
    measures = {s.heading: s.explanation for m in sheet.methods.values() for s in chosen(m.scores, "main").values()}
    words = [(name, said) for name, said in measures.items() if name and said]
    return render("reading.html.j2", words=[*words, *WORDS], limits=list(_limits(sheet)))


def _limits(sheet: Sheet) -> list[str]:
    """What this run, as it was made, cannot say."""
    data, seeds = sheet.result.data, sheet.result.seeds
    limits = []
    if len(seeds) == 1:
        limits.append("There is one seed: intervals cover the choice of test items, not of training pairs or starts.")
    elif len(seeds) > 1:
        limits.append(
            f"Intervals come from the test items and {len(seeds)} seeds; a few seeds show little of the spread."
        )
    if data.get("name"):
        limits.append(
            f"Everything was measured on {data['name']}: other data, languages or encoders may rank methods otherwise."
        )
    if isinstance(data.get("test"), int):
        limits.append(
            f"Recall depends on the number of candidates (here {data['test']:,}): compare only like with like."
        )
    if isinstance(data.get("dev"), int) and isinstance(data.get("pairs"), int) and data["dev"] > data["pairs"] / 2:
        limits.append(
            f"Settings were chosen on {data['dev']:,} paired dev items, generous beside {data['pairs']:,} linked."
        )
    if sheet.z is not None and sheet.split is None:
        limits.append(
            "Items are not split into training and test: the map and the gallery show items the heads were fitted on."
        )
    limits.append("A result counts as wrong unless it is the very match, even where it would serve a person as well.")
    limits.append("A tighter geometry (Procrustes, mutual kNN) need not mean better retrieval.")
    return limits
