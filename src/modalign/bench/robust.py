"""How the kept heads of a bench stand noise and attack; measured once per cell, beside its result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModalignError, check_known
from ..progress import Progress, silent
from ..robustness.kinds import Kind, Panel
from ..runs import Result, Run
from . import cell
from .setting import Setting
from .splits import Source, limited
from .suite import Suite

#: Keys of a suite's [robustness] table, and their defaults.
DEFAULTS: Mapping[str, Any] = {
    "settings": (), "methods": ("clip", "gram", "bridge", "full"), "limit": 200, "ratios": (0.0, 0.5, 1.0, 2.0, 3.0),
    "radii": (0.0, 0.05, 0.1, 0.2, 0.3), "steps": 10, "method": "pgd",
}  # fmt: skip


def stored(folder: Path) -> dict[str, Any] | None:
    """Plan, groups and curves of a cell's heads in plain values, or None where they were not measured."""
    result = Run(folder).robustness
    if result is None:
        return None
    curves = {name: {p.name: p.curves[p.name].json() for p in kind.panels} for name, kind in result.kinds.items()}
    return {"plan": result.record["plan"], "groups": result.groups, **curves}


def plan_of(suite: Suite) -> dict[str, Any]:
    """The [robustness] table of a suite with its defaults.

    Args:
        suite: ``settings``: names; ``methods``: entries, whose heads must be kept; ``limit``: test groups; ``ratios``:
            of noise to signal; ``radii`` of attacks on features, in units of the typical distance from the mean;
            ``steps`` and ``method`` of the ascent.

    Raises:
        ModalignError: unknown keys or settings.
    """
    for key in suite.robustness:
        check_known(f"key of [robustness] in suite '{suite.name}'", key, DEFAULTS)
    plan = {**DEFAULTS, **suite.robustness}
    names = {s.name for s in suite.settings}
    for name in plan["settings"]:
        check_known(f"setting in [robustness] of suite '{suite.name}'", name, names)
    return plan


def run_robustness(suite: Suite, sources: Mapping[str | None, Source], out: Path, progress: Progress = silent) -> int:
    """Measure the kept heads that were not measured yet; how many were."""
    if not suite.robustness:
        return 0
    plan, seed = plan_of(suite), suite.seeds[0]
    todo = [
        (s, folder)
        for s in suite.distinct()
        for m in plan["methods"]
        if s.name in plan["settings"] and m in s.methods and s.variant in sources
        for folder in [cell.folder_of(out, s, m, seed)]
        if Run(folder).has_model and not current(folder, plan)
    ]
    for number, (setting, folder) in enumerate(todo):
        progress(number, len(todo), "robustness")
        Run(folder).keep(curves_of(suite, sources[setting.variant], setting, folder, plan, seed), "robustness")
    progress(len(todo), len(todo), "robustness")
    return len(todo)


def current(folder: Path, plan: Mapping[str, Any]) -> bool:
    """Whether the curves of a folder are those of the cell that is there, under the same plan."""
    run = Run(folder)
    if run.robustness is None or run.result is None:
        return False
    return run.robustness.record == {"key": run.result.record.get("key"), "plan": _plain(plan)}


def curves_of(
    suite: Suite, source: Source, setting: Setting, folder: Path, plan: Mapping[str, Any], seed: int
) -> Result:
    """Noise and attack curves of one cell's heads on a part of the test groups."""
    from ..robustness import attack_curves, noise_curves

    run, data = Run(folder), cell.cell_data(source, suite, setting, seed)
    heads = run.model.heads
    test = limited(data.test, int(plan["limit"]))
    noise = noise_curves(heads, test, data.train, ratios=tuple(plan["ratios"]), seed=seed)
    attacks = attack_curves(
        heads, test, radii=tuple(plan["radii"]), sides=("query",), method=plan["method"], steps=plan["steps"], seed=seed
    )
    kinds = {"noise": noise, "attack": attacks}
    return Result(
        f"robustness on {setting.name}",
        {},
        groups=len(test),
        kinds={kind: Kind(tuple(Panel(k, {k: c}) for k, c in curves.items())) for kind, curves in kinds.items()},
        record={"key": run.result.record.get("key") if run.result else None, "plan": _plain(plan)},
    )


def _plain(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: list(v) if isinstance(v, list | tuple) else v for k, v in plan.items() if k not in ("settings", "methods")
    }


def check_plan(suite: Suite) -> None:
    """Refuse a plan that cannot be carried out before hours of work: heads that are not kept."""
    if not suite.robustness:
        return
    lost = [m for m in plan_of(suite)["methods"] if m not in suite.keep and m in suite.entries]
    if lost:
        raise ModalignError(
            f"suite '{suite.name}': [robustness] needs the heads of {', '.join(lost)}: add them to keep"
        )
