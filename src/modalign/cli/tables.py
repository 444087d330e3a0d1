"""What commands print for people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ..data.left_out import LeftOut
from ..data.left_out import lines as told
from ..metrics.score import Score
from ..metrics.shown import line, listing, number, shown
from ..outputs import from_here
from ..report.bench.rows import failure
from ..report.words import TITLES, words
from ..robustness.curves import worst
from ..runs import Result, Run


def fitted(run: Run) -> str:
    """The main scores of a run: one line per score, with interval and chance value."""
    assert run.result is not None
    lines = []
    for m in run.result.methods.values():
        rows = listing(m.scores, "main")
        why = run.result.skipped.get("scores", "there are no scores")
        lines += [m.label + ("" if rows else f": not measured ({why})"), *rows]
    if (record := run.result.record).get("best_step") == 0 and "dev" in record:
        lines.append(f"none of {record.get('steps')} steps raised dev recall: the weights are those of the start")
    return "\n".join([*lines, f"all scores: {from_here(run.file('result'))}", f"report: {from_here(run.report)}"])


def evaluation(result: Result, run: Run) -> str:
    """Every score of an evaluation, retrieval without its less usual forms, and what was left out."""
    lines = []
    for m in result.methods.values():
        lines += [m.label, *listing(m.scores, "usual")]
    lines += [f"{name} left out: {why}" for name, why in result.skipped.items()]
    page = shlex.join(["modalign", "report", str(run)])
    return "\n".join([*lines, f"all scores: {from_here(run.file('evaluation'))}", f"page: {page}"])


def robustness(result: Result, run: Run) -> str:
    """Heights and areas of all curves."""
    labels = {name: m.label for name, m in result.methods.items()}
    lines = []
    for name, kind in result.kinds.items():
        lines.append(TITLES[name])
        for panel in kind.panels:
            lines.append(f"  {words(name, kind, panel, labels, str(result.focus)).title}")
            width = max(len(k) + (11 if panel.controls else 0) for k in panel.curves)
            for key, c in {**panel.curves, **{f"{k}, at random": c for k, c in panel.controls.items()}}.items():
                heights = " ".join(f"{shown(s, sign=False):>5}" for s in c.scores)
                lines.append(f"    {key:<{width}}  {heights}   area {line(c.area)}")
        for method, table in kind.tables.items():
            subset, score = worst(table.subsets)
            lines.append(f"  {method}: worst subset {subset} ({shown(score)})")
    lines += [f"{kind} left out: {why}" for kind, why in result.skipped.items()]
    return "\n".join([*lines, f"all numbers: {from_here(run.file('robustness'))}"])


def embedded(result: Mapping[str, Any]) -> str:
    """What a store holds and what is left out of it."""
    lines = [f"{m}: {n} items" for m, n in result["items"].items()]
    return "\n".join([*lines, *told(map(LeftOut.of, result["failures"])), *_notes(result), f"store: {result['store']}"])


def _notes(result: Mapping[str, Any]) -> list[str]:
    return [f"note: {line}" for line in result.get("notes", ())]


def diagnosis(found: Mapping[str, Any]) -> str:
    """A diagnosis.

    Args:
        found: ``Diagnosis.json()``.
    """
    lines = [f"advice: {found['advice']}", *([found["sentence"]] if len(found["pairs"]) > 1 else []), ""]
    for m, facts in found["modalities"].items():
        dimension = facts["intrinsic_dimension"]
        shown = "undefined" if dimension is None else f"{dimension:.1f}"
        lines.append(
            f"{m}: {facts['rows']:,} rows of {facts['width']}, intrinsic dimension {shown}, "
            f"effective rank {facts['effective_rank']:.0f}"
        )
    for pair in found["pairs"]:
        lines += ["", pair["sentence"], f"  advice       {pair['advice']}, from {pair['rows']:,} pairs"]
        lines += [
            f"  {name:<11}  {s['value']:.3f}, shuffled {s['null']:.3f}, calibrated {s['calibrated']:.3f}"
            for name, s in pair["similarity"].items()
        ]
        told = line(Score.from_json(pair["gain"]["recall"], "recall"))
        curve = [f"{number(c['value'], c['unit'], sign=False)} at {c['pairs']:,}" for c in pair["gain"]["curve"]]
        lines.append(f"  mean recall  {told}, among {pair['gain']['test']}; by pairs: {', '.join(curve)}")
    return "\n".join([*lines, *(f"note: {n}" for n in [*found["notes"], *found.get("doubles", ())])])


def index(result: Mapping[str, Any]) -> str:
    """What was built."""
    from ..search.recall import recall_text

    items = ", ".join(f"{n:,} of '{m}'" for m, n in result["items"].items()) or "no items"
    lines = [f"index: {result['index']}  ({result['kind']}, {items}, {result['dim']} dimensions)"]
    if result["kind"] == "exact":
        lines.append("every answer is exact (recall 1)")
    lines += [*recall_text(result["recall"]), *told(map(LeftOut.of, result["failures"]))]
    if result.get("lance"):
        lines.append(f"LanceDB: {result['lance']['rows']:,} rows in {result['lance']['uri']}")
    if any(result["items"].values()):
        lines.append(f"search it:  modalign search {shlex.quote(result['index'])} {result['query']}")
    return "\n".join(lines)


LONGEST_NAME = 200  # characters of an item's words in a list


def hits(result: Mapping[str, Any]) -> str:
    """The results of a search: rank, score, name, file; and what chance gives."""
    from ..report.svg import shorten

    several = len(result["to"]) > 1
    score = "cosine" if result["correction"] is None else result["correction"]
    lines = [f"{'':>3}  {score:>6}  {', '.join(result['to'])}"]
    for hit in result["hits"]:
        place = f"   {hit['file']}" if hit["file"] else ""
        kind = f"[{hit['modality']}] " if several else ""
        name = shorten(hit["name"], LONGEST_NAME)  # on one line; --json has all of it
        lines.append(f"{hit['rank']:>3}  {hit['score']:>6.3f}  {kind}{name}{place}")
    if not result["hits"]:
        lines.append("     nothing meets the filters")
    for m, c in result["chance"].items():
        lines.append(
            f"     chance: a random item of '{m}' has cosine {c['mean']:.3f} (95 % of them below {c['high']:.3f})"
        )
    return "\n".join([*lines, *_notes(result)])


def suite(found: Mapping[str, Any]) -> str:
    """A listing for people."""
    lines = [f"{found['suite']}: {found['title']}, seeds {', '.join(map(str, found['seeds']))}"]
    lines += [f"  {s['part']:<10} {s['name']:<28} {', '.join(s['methods'])}" for s in found["settings"]]
    return "\n".join([*lines, f"{found['cells']} cells"])


def bench(result: Mapping[str, Any]) -> str:
    """The leaderboard of each setting, and what went wrong."""
    lines = []
    for setting, row in result["mean_recall"].items():
        lines.append(f"{setting} (mean recall, percent)")
        ranked = sorted(row.items(), key=lambda item: -item[1])
        lines += [f"  {100 * value:6.2f}  {method}" for method, value in ranked]
    counts = result["counts"]
    lines.append(", ".join(f"{n} {name}" for name, n in counts.items() if n) or "nothing to do")
    lines += [f"failed: {failure(f)}" for f in result["failed"][:10]]
    if "report" in result:
        lines.append(f"report: {result['report']}")
    return "\n".join(lines)
