"""What the tables of a bench say of it."""

from __future__ import annotations

from typing import Any

from modalign.bench.tables import latex, lead, table
from modalign.report.bench.rows import board

Row = tuple[float, float, float]


def setting(ours: Row, rivals: dict[str, tuple[Row, float]]) -> dict[str, Any]:
    """Value, low and high of ours; of each rival with the corrected p value against it."""
    rows = {"full": ours, **{m: row for m, (row, _) in rivals.items()}}
    return {
        "focus": "full",
        "methods": {m: dict(zip(("value", "low", "high"), row, strict=True)) for m, row in rows.items()},
        "comparisons": [{"against": m, "corrected": p} for m, (_, p) in rivals.items()],
    }


def test_the_lead_is_counted_against_the_best_baseline() -> None:
    apart = setting((0.5, 0.45, 0.55), {"cca": ((0.3, 0.2, 0.4), 0.001), "clip": ((0.2, 0.1, 0.3), 0.01)})
    unsure = setting((0.5, 0.4, 0.6), {"cca": ((0.45, 0.4, 0.5), 0.2), "clip": ((0.2, 0.1, 0.3), 0.01)})
    sure = setting((0.5, 0.4, 0.6), {"cca": ((0.45, 0.4, 0.5), 0.02), "wider": ((0.6, 0.5, 0.7), 0.9)})
    behind = setting((0.4, 0.3, 0.5), {"cca": ((0.45, 0.4, 0.5), 0.01)})
    summary = {
        "focus": "full",
        "labels": {"full": "ours"},
        "groups": {"full": "ours", "wider": "ours", "cca": "closed", "clip": "contrastive"},
        "settings": [apart, unsure, sure, behind, setting((0.5, 0.4, 0.6), {"wider": ((0.1, 0.0, 0.2), 0.01)})],
    }
    assert lead(summary) == (
        "'ours' is ahead of every baseline in 3 of 4 settings: in 2 with p below .05 against each of them, "
        "in 1 with an interval apart from that of the best one."
    )
    assert lead({**summary, "settings": []}) == ""


def test_one_seed_has_no_spread() -> None:
    row: dict[str, Any] = {"value": 0.5, "low": 0.4, "high": 0.6, "beside": {}, "cost": {"cpu_seconds": 1.0}}
    one = {
        "name": "hidden", "part": "hidden", "best": "a", "focus": "a", "comparisons": [],
        "methods": {"a": {**row, "sd": None, "seeds": [0]}, "b": {**row, "sd": 0.01, "seeds": [0, 1]}},
    }  # fmt: skip
    summary = {"labels": {"a": "A", "b": "B"}, "groups": {"a": "ours", "b": "closed"}, "settings": [one]}
    assert [cells[2] for cells in board(summary, one)[1]] == ["–", "1.00"]
    assert [line for line in latex(summary).splitlines() if line.startswith(("A", "B"))] == [
        r"A & $\mathbf{50.0}$ \\", r"B & $50.0_{1.0}$ \\",
    ]  # fmt: skip


def test_a_name_cannot_break_a_table() -> None:
    assert table(["method", "value"], [["a | b\nc", "1"]]).splitlines()[2] == r"| a \| b c | 1 |"
