"""Figures: well-formed, right places, no overlaps where they matter, readable colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from markupsafe import Markup

from modalign.errors import ModalignError
from modalign.report.figures import budget_figure, rank_figure, recall_figure, recall_picture, training_figure
from modalign.report.figures.architecture import Architecture, Branch, LossTerm, architecture_figure
from modalign.report.figures.panel import brief, series, spread
from modalign.report.figures.recall import depths, looks
from modalign.report.figures.space import Dot, Link, Room, space_figure
from modalign.report.sections.architecture import terms
from modalign.report.sections.gallery import STRATA, choose
from modalign.report.sections.scores import table_columns
from modalign.report.sections.training import collect
from modalign.report.sheet import first_sentence
from modalign.report.svg import palette, picture, shorten, standalone, tag, text, ticks, width_of
from modalign.runs import Result

from .conftest import scores

SVG = "{http://www.w3.org/2000/svg}"
RESULT = Result.from_json(scores())
METHODS, BUDGETS = RESULT.methods, RESULT.budgets


def parsed(svg: str) -> ET.Element:
    root = ET.fromstring(svg)
    assert root.tag == SVG + "svg"
    assert root.get("role") == "img"
    return root


def words(root: ET.Element) -> list[str]:
    return ["".join(t.itertext()) for t in root.iter(SVG + "text")]


def test_tag_escapes_text_and_attributes() -> None:
    assert tag("text", "<b>&", title='"') == '<text title="&#34;">&lt;b&gt;&amp;</text>'
    assert tag("g", Markup("<i/>")) == "<g><i/></g>"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 23.4), (3.1, 3.2), (-5, 5), (1e-6, 2e-6), (2, 2)])
def test_ticks_cover_the_range_with_round_steps(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert marks[0] <= low
    assert marks[-1] >= high
    assert 2 <= len(marks) <= 9
    steps = {round((b - a) / (marks[1] - marks[0]), 6) for a, b in pairwise(marks)}
    assert steps == {1.0}


def test_shorten_cuts_at_words_and_keeps_short_texts() -> None:
    assert shorten("a b", 10) == "a b"
    assert shorten("x" * 30, 10) == "x" * 9 + "…"
    assert len(shorten("several words that go on", 12)) <= 12


def test_spread_keeps_gap_and_bounds() -> None:
    placed = spread([0, 1, 2, 90], 10, 0, 100)
    assert sorted(placed) == placed
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(placed))
    assert min(placed) >= 0
    assert max(placed) <= 100


def test_recall_panels_show_values_intervals_and_chance() -> None:
    panels = [parsed(p) for p in recall_figure(METHODS, "full")]
    assert len(panels) == 3
    assert {"20.0", "25.0", "31.0", "chance 2.0"} <= set(words(panels[0]))
    assert "31.0 % (29.0 to 33.0)" in panels[0].get("aria-label", "")
    assert {"R@1", "R@5", "R@10"} <= set(words(panels[1]))


def test_recall_points_stand_in_the_order_of_their_values() -> None:
    panel = parsed(recall_figure(METHODS, "full")[0])
    circle = next(panel.iter(SVG + "circle"))  # full
    square = next(r for r in panel.iter(SVG + "rect"))  # the first of the others
    assert float(circle.get("cx", 0)) > float(square.get("x", 0))


def test_long_names_keep_clear_of_the_values() -> None:
    long = {n: replace(m, label=f"{n} that has a very long name, as long as this one is") for n, m in METHODS.items()}
    for panel in recall_figure(long, "full")[1:]:
        root = parsed(panel)
        for found in root.iter(SVG + "text"):
            content, start = "".join(found.itertext()), float(found.get("x", 0))
            if content.startswith(tuple(METHODS)):
                size = width_of(content, 11.5)
                low, high = (start, start + size) if found.get("text-anchor") != "end" else (start - size, start)
                assert 0 <= low < high <= 420 - 58 + 22


def test_every_method_of_many_has_its_line_beside_the_curves() -> None:
    many = {f"{n}-{i}": m for i in range(14) for n, m in METHODS.items()}
    budgets = [replace(b, method=f"{b.method}-{i}") for i in range(14) for b in BUDGETS]
    drawn = looks({n: replace(m, label=n) for n, m in many.items()}, None)
    root = parsed(budget_figure(budgets, drawn, {}))
    levels = [float(t.get("y", 0)) for t in root.iter(SVG + "text") if "".join(t.itertext()) in many]
    assert len(levels) == len({b.method for b in budgets})
    assert all(b - a >= 15.9 for a, b in pairwise(sorted(levels)))
    assert max(levels) < float(str(root.get("viewBox")).split()[3])


def test_methods_differ_in_form_not_only_in_colour() -> None:
    drawn = series({"a": "A", "b": "B", "c": "C", "full": "F"}, "full")
    assert len({s.shape for s in drawn.values()}) == 4
    assert drawn["full"].colour == "var(--accent)"


def test_directions_are_read_from_keys() -> None:
    found = depths(METHODS)
    assert list(found) == ["text → image", "image → text"]
    assert found["text → image"] == [f"recall/text->image/any@{k}" for k in (1, 5, 10)]


def test_budget_curve_marks_the_saving() -> None:
    drawn = looks(METHODS, "full")
    svg = budget_figure(BUDGETS, drawn, RESULT.saving)
    assert "2.9× fewer" in words(parsed(svg))
    bound = {"pairs": 50, "factor": 4.0, "target": 0.1}
    assert "≥ 4.0× fewer" in words(parsed(budget_figure(BUDGETS, drawn, bound)))
    for nothing in ({}, {"factor": None, "pairs": None, "target": 0.2}, {"pairs": 10, "factor": 4, "target": 0.1}):
        assert not any("fewer" in w for w in words(parsed(budget_figure(BUDGETS, drawn, nothing))))


def test_rank_curve_starts_at_recall_at_one() -> None:
    root = parsed(rank_figure([("a → b", [1, 1, 2, 40], 40)]))
    assert "50.0 % within 1, 75.0 % within 5" in root.get("aria-label", "")


def test_training_curve_marks_the_best_and_skips_nothing_finite() -> None:
    root = parsed(training_figure("dev", [[(0, 0.1), (10, 0.3), (20, float("nan")), (30, 0.2)]], best="high"))
    assert "best 0.3 at 10" in words(root)
    assert parsed(training_figure("loss", [[(5, 1.0)]])) is not None
    with pytest.raises(ValueError):
        training_figure("loss", [[(0, float("inf"))]])


def test_log_lines_become_curves_by_fit() -> None:
    rows = [
        {"step": 0, "loss": 1.0, "seed": 0},
        {"step": 0, "loss": 2.0, "seed": 1},
        {"event": "x"},
        {"step": 1, "ok": True},
    ]
    assert collect(rows) == {"loss": [[(0, 1.0)], [(0, 2.0)]]}


def test_recall_picture_stands_alone() -> None:
    for theme in ("light", "dark"):
        svg = recall_picture(RESULT, width=800, theme=theme)
        root = parsed(svg)
        assert "var(" not in svg
        assert root.get("width") == "800"
        assert "Full reaches CLIP's recall (13.7 %) with 70 pairs: 2.9 times fewer." in words(root)
    assert recall_picture(RESULT) == recall_picture(RESULT)
    assert parsed(recall_picture(Result.from_json(scores(budgets=[], saving={})))) is not None
    with pytest.raises(ModalignError, match="nothing to draw"):
        recall_picture(Result.from_json(scores(methods={})))
    with pytest.raises(ModalignError, match="theme"):
        recall_picture(RESULT, theme="blue")


def test_standalone_keeps_words_that_look_like_colours() -> None:
    svg = standalone(picture(10, 10, "t", text(0, 0, "var(--nothing)", fill="var(--ink)")))
    assert "var(--nothing)" in svg
    assert "var(--ink)" not in svg


def test_map_draws_every_item_once_and_its_links() -> None:
    points = {
        "image": [Dot(0.1, 0.1, "a", "data:image/webp;base64,AA"), Dot(0.1, 0.1, "b", "data:image/webp;base64,AB")],
        "text": [Dot(0.9, 0.9, "a & b", None, "true image at rank 1"), Dot(0.5, 0.5, "row", None, "", False)],
    }
    root = parsed(space_figure(points, [Link((0, 0), (1, 0), True)], "Map", ""))
    dots = [g for g in root.iter(SVG + "g") if g.get("class") == "dot"]
    assert len(dots) == 4
    assert len(list(root.iter(SVG + "image"))) == 2
    assert len(list(root.iter(SVG + "use"))) == 1  # the second picture has no room on top of the first
    assert words(root) == ["a & b"]
    assert {d.get("data-to") for d in dots} == {None, "d1-0", "d0-0"}


def test_room_refuses_overlaps() -> None:
    room = Room()
    assert room.take(50, 50, 20, 20)
    assert not room.take(60, 60, 20, 20)
    assert room.take(71, 50, 20, 20)


def test_architecture_names_what_the_run_has() -> None:
    a = Architecture(
        [
            Branch("image", "efficientnet", 1280, ["linear → 64"]),
            Branch("text", "minilm", 384, ["linear → 64"], "a cat"),
        ],
        64,
        [LossTerm("transport", "L_OT", "0.3", "epsilon 0.05"), LossTerm("neighbourhood", "L_RMA", "0.1", "k 10")],
        "Method: full",
    )
    seen = words(parsed(architecture_figure(a)))
    assert {"efficientnet", "1,280 features", "64 dimensions, unit sphere", "0.3 × LOT", "epsilon 0.05", "k 10"} <= set(
        seen
    )
    five = Architecture([Branch(f"m{i}") for i in range(5)], None)
    assert "m4" in words(parsed(architecture_figure(five)))


def test_terms_of_a_total_objective() -> None:
    method = {
        "name": "full",
        "objective": {
            "alpha": 0.3,
            "beta": {"end": 0.1, "steps": 10},
            "gamma": 0,
            "transport": {"name": "transport", "epsilon": 0.05},
            "terms": {"spread": {"name": "spread"}},
            "weights": {"spread": 0.2},
        },
    }
    assert [(t.kind, t.weight, t.symbol) for t in terms(method)] == [
        ("transport", "0.3", "L_OT"),
        ("neighbourhood", "→ 0.1", "L_RMA"),
        ("other", "0.2", "spread"),
    ]


def test_gallery_rule_takes_even_steps_of_sorted_ranks() -> None:
    ranks = [1, 3, 12, 1, 9, 99, 5, 1, 2, 30]
    hit, near, miss = STRATA
    assert choose(ranks, hit, 2) == [0, 7]
    assert choose(ranks, near, 2) == [1, 4]
    assert choose(ranks, miss) == [2, 9, 5]


def test_table_columns_and_numbers() -> None:
    assert [c.name for c in table_columns(METHODS)] == [
        "Mean recall, %", *["R@1, %", "R@5, %", "R@10, %"] * 2, "Procrustes distance ↓", "Mutual kNN, %",
    ]  # fmt: skip


def test_words() -> None:
    assert brief("CLIP") == "CLIP"
    assert first_sentence("") == ("", "")


def contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * blue

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_words_are_readable(theme: str) -> None:
    """WCAG AA: at least 4.5 to 1 for text."""
    colours = palette(theme)
    for ground in ("paper", "card"):
        for name in ("ink", "muted", "accent", "hit", "near", "miss", *(f"m{i}" for i in range(6))):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    assert contrast(colours["hit"], colours["accent-soft"]) >= 4.5


def test_colours_are_named_once() -> None:
    style = (Path(__file__).parents[2] / "src/modalign/report/templates/style.css").read_text()
    body = style.split("* { box-sizing")[1]
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", body)) <= {"#444"}


def test_budgets_of_methods_that_are_not_drawn_leave_axes_alone() -> None:
    others = Result.from_json(scores()).budgets
    svg = parsed(budget_figure(others, series({"other": "Other"}, None), {}))
    assert "Mean recall against linked pairs" in words(svg)
    assert not svg.findall(f".//{SVG}polyline")
