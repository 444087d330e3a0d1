"""What the numbers of a migration mean: which direction to take, the answer in one sentence, cautions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DIRECTIONS = ("queries", "rows")
ACTS = {
    "queries": ("Keep the index and map each query", "with each query mapped"),
    "rows": ("Rewrite the old vectors once", "with the old vectors rewritten"),
}  # what to do; what it is that keeps too little


def take(facts: Mapping[str, Any]) -> str:
    """Which direction to take: the one that keeps more by both truths; the store stays where they are equal."""
    both = [d for d in DIRECTIONS if d in facts]
    if len(both) == 1:
        return both[0]
    levels = [(facts[d]["kept"]["value"] + facts[d]["kept_new"]["value"]) / 2 for d in DIRECTIONS]
    half = (facts["queries"]["kept"]["high"] - facts["queries"]["kept"]["low"]) / 2
    return "rows" if levels[1] > levels[0] + half else "queries"


def verdict(facts: Mapping[str, Any]) -> str:
    """One sentence: what to do, and what it keeps. Where it is less than half of what the models agree on: not this."""
    side = facts[facts["take"]]
    value, low, high = (100 * side["kept"][key] for key in ("value", "low", "high"))
    act, how = ACTS[facts["take"]]
    kept = f"{facts['pairs']['used']:,} pairs keep {value:.1f} % of the old top {facts['k']} ({low:.1f} to {high:.1f})"
    if facts["bare"] > 0:
        kept += f" where they lie, and leave out {100 * facts['bare']:.0f} % of the store"
    level = 100 * facts["agreement"]["value"]
    if value >= 95 and not facts["bare"]:
        return f"{act}: {kept}, so users will hardly notice."
    if value < level / 2:
        act, kept = "Embed again what you can", f"{how}, {kept}"
    lists = "lists" if facts["k_new"] == facts["k"] else f"top {facts['k_new']}"
    return f"{act}: {kept}; the two models' own {lists} have {level:.1f} % in common."


def warnings(facts: Mapping[str, Any]) -> list[str]:
    """What a reader must know before trusting the numbers."""
    out = []
    pairs = facts["pairs"]
    if "look wrong" in pairs["aside"]:
        out.append(
            f"{pairs['aside']['look wrong']:,} pairs look wrong (about {100 * pairs['wrong_share']:.0f} % of all are) "
            "and were put aside: see wrong_pairs.csv."
        )
    rest = {why: n for why, n in pairs["aside"].items() if why != "look wrong"}
    if rest:
        out.append("Put aside: " + ", ".join(f"{n:,} {why}" for why, n in rest.items()) + ".")
    if facts["bare"] > 0:
        out.append(
            f"The pairs leave out {100 * facts['bare']:.0f} % of the store: in those places hardly any row is "
            "linked, and the numbers below do not cover them. Embed rows from there (modalign migrate OLD --choose N)."
        )
    if pairs["tested"] < 100:
        out.append(f"Only {pairs['tested']} pairs were tested: the intervals are wide.")
    if (k := facts["k_new"]) < facts["k"]:
        chance = 100 * min(1.0, k / max(1, pairs["tested"] - 1))
        out.append(
            f"The new model's own lists are compared to the first {k} alone, as {pairs['tested']} pairs were tested; "
            f"chance keeps {chance:.0f} % of them."
        )
    return out


def not_tested(facts: Mapping[str, Any]) -> list[str]:
    """What the numbers do not say."""
    old = facts["old"]
    out = [
        f"Lists longer or shorter than {facts['k']}.",
        "Queries that differ from the linked rows: other languages, other lengths, other topics, nothing alike in the "
        "store. The tested ones are rows of it.",
        "The quality of the old model's lists themselves: what is kept is the old ranking, good or bad.",
        "An approximate index, filters and re-ranking: lists here are exact.",
        f"The new model's own lists are known among the {facts['pairs']['tested']:,} tested pairs only.",
    ]
    if facts.get("mixed"):
        out.append(
            "One list of old and new items over the whole store: in a denser one old items have less than the share "
            "shown."
        )
    if old["rows"] > facts["gallery"]:
        out.append(
            f"The whole store: lists were taken from {facts['gallery']:,} of {old['rows']:,} rows; in a denser "
            "store the nearest rows lie closer together and less of a list is kept."
        )
    return out
