"""What was run: data, budget, seeds, versions, machine, command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...data.left_out import LeftOut
from ..page import Absent, counted, flat, render
from ..sheet import Sheet
from ..svg import short_number


def build(sheet: Sheet) -> Markup | Absent:
    """Facts in a row, the command, the specification and the versions."""
    environment = sheet.run.environment or {}
    facts = [*_data(sheet), *_fit(sheet), *_machine(environment)]
    spec = sheet.run.specification
    if not facts and spec is None:
        return Absent("the folder does not say what was run.")
    command = environment.get("command")
    versions = environment.get("versions")
    return render(
        "run.html.j2",
        facts=facts,
        left_out=[LeftOut.of(x).line for x in sheet.result.data.get("failures", ())],
        notes=[str(line) for line in sheet.result.data.get("notes", ())],
        command=shlex.join(str(c) for c in command) if isinstance(command, list) else "",
        versions=versions if isinstance(versions, dict) else {},
        specification=list(flat(spec.table() if spec else {}).items()),
    )


def _data(sheet: Sheet) -> list[tuple[str, str, str]]:
    """(name, value, remark) of the data."""
    data = sheet.result.data
    facts = []
    if data.get("name"):
        settings = data.get("settings")
        language = data.get("language") or (settings.get("language") if isinstance(settings, Mapping) else None)
        facts.append(("Data", str(data["name"]), f"language: {language}" if language else ""))
    if isinstance(data.get("pairs"), int):
        unlinked = data.get("unlinked")
        extra = unlinked if isinstance(unlinked, Mapping) else {}
        without = ", ".join(f"{short_number(n)} {m}" for m, n in extra.items() if isinstance(n, int) and n)
        facts.append(("Linked pairs", f"{data['pairs']:,}", f"and without a known link: {without}" if without else ""))
    if isinstance(data.get("test"), int) and data["test"]:
        dev = f"{data['dev']:,} others to choose settings on" if isinstance(data.get("dev"), int) else ""
        facts.append(("Tested on", counted(data["test"], "pair"), dev))
    elif sheet.z is not None:
        sizes = ", ".join(f"{len(x):,} {m}" for m, x in sheet.z.data.items())
        facts.append(("Items shown", sizes, f"split: {sheet.split}" if sheet.split else "all items of the run"))
    return facts


def _fit(sheet: Sheet) -> list[tuple[str, str, str]]:
    seeds = sheet.result.seeds
    facts = []
    if seeds:
        which = ", ".join(str(s) for s in seeds[:8]) + (" …" if len(seeds) > 8 else "")
        facts.append(("Repeats", counted(len(seeds), "seed"), which))
    focus = sheet.methods.get(sheet.focus or "")
    if focus is not None and focus.seconds is not None:
        facts.append(("Time to fit", f"{focus.seconds:,.1f} s", focus.label))
    return facts


def _machine(environment: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    if not environment:
        return []
    device = str(environment.get("device", "cpu"))
    system = str(environment.get("system", ""))
    cores, threads = environment.get("cores"), environment.get("threads")
    remark = f"{system}, {threads} of {cores} cores" if cores and threads else system
    if environment.get("time"):
        day, _, clock = str(environment["time"]).partition("T")
        remark = f"{remark}; {day} {clock[:5]}"
    return [("Machine", "CPU" if device == "cpu" else device, remark)]
