"""The map: repeatable, fair to the gap, honest about what it keeps; and the ranks it notes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modalign.metrics.ranking import find, find_all
from modalign.report.projection import force_layout, kept_neighbours, project
from modalign.report.sections.gallery import _card, first_results
from modalign.report.sheet import Item, Sheet
from modalign.runs import Result, Run
from modalign.views import Views

from .conftest import embeddings


def test_same_points_same_map_whatever_the_global_seed() -> None:
    z = embeddings(60)
    torch.manual_seed(1)
    first = project(z)
    torch.manual_seed(2)
    second = project(z)
    assert all(torch.equal(first.xy[m], second.xy[m]) for m in first.xy)


def test_positions_fill_the_unit_square() -> None:
    layout = project(embeddings(80))
    flat = torch.cat(list(layout.xy.values()))
    assert float(flat.min()) >= 0
    assert float(flat.max()) <= 1
    assert float(flat.std(0).min()) > 0.15


def test_a_gap_between_modalities_changes_nothing() -> None:
    z = embeddings(60, noise=0.3)
    centre = {m: x - x.mean(0) for m, x in z.data.items()}
    apart = Views({"image": centre["image"] + 3, "text": centre["text"] - 3}, z.group)
    together = Views(centre, z.group)
    a, b = project(apart), project(together)
    assert a.gap > 10 * max(b.gap, 1e-6)
    assert all(torch.allclose(a.xy[m], b.xy[m], atol=1e-2) for m in a.xy)


def test_links_of_aligned_items_are_short() -> None:
    near, far = project(embeddings(60, noise=0.1)), project(embeddings(60, noise=5.0))
    assert near.nearness is not None
    assert far.nearness is not None
    assert near.nearness < 0.3 < 0.6 < far.nearness


def test_clusters_stay_clusters_and_beat_principal_components() -> None:
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(8, 32, generator=draw)
    label = torch.arange(160) % 8
    x = torch.nn.functional.normalize(centres[label] + 0.2 * torch.randn(160, 32, generator=draw), dim=1)
    layout = project(Views({"x": x}, {"x": torch.arange(160)}))
    near = torch.cdist(layout.xy["x"], layout.xy["x"]).fill_diagonal_(9).topk(5, largest=False).indices
    assert float((label[near] == label[:, None]).double().mean()) > 0.95
    assert layout.kept > layout.kept_pca


def test_sample_takes_whole_groups_evenly() -> None:
    layout = project(embeddings(200), limit=50)
    assert (layout.groups, layout.all_groups) == (25, 200)
    assert layout.rows["image"].tolist() == list(range(0, 200, 8))
    assert len(layout.links) == 25
    assert all(int(layout.rows[a][i]) == int(layout.rows[b][j]) for a, i, b, j in layout.links)


def test_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    project(embeddings(10))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_and_degenerate_clouds(n: int) -> None:
    layout = project(embeddings(n))
    assert all(torch.isfinite(xy).all() for xy in layout.xy.values())
    same = Views({"x": torch.ones(n, 4)}, {"x": torch.arange(n)})
    assert torch.isfinite(project(same).xy["x"]).all()


def test_kept_neighbours_of_a_shuffle_is_near_chance() -> None:
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    y = torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    assert kept_neighbours(x, x) == 1.0
    assert kept_neighbours(x, y) < 0.1


def test_layout_of_one_point_is_its_start() -> None:
    start = torch.tensor([[0.3, 0.4]])
    assert torch.equal(force_layout(torch.ones(1, 3), start), start)


def test_ranks_count_ties_against_the_query() -> None:
    z = Views.from_arrays(a=torch.eye(3), b=torch.ones(3, 3))
    assert find(z, "a", "b").last_rank.tolist() == [3, 3, 3]


def test_best_of_several_matches_counts() -> None:
    a = torch.eye(2)
    b = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.9, 0.1]])
    z = Views({"a": a, "b": b}, {"a": torch.tensor([5, 6]), "b": torch.tensor([5, 5, 6])})
    found = find(z, "a", "b")
    assert found.last_rank.tolist() == [1, 2]
    assert found.best.tolist() == [1, 2]


def test_queries_without_a_match_are_left_out() -> None:
    z = Views({"a": torch.eye(3), "b": torch.eye(3)}, {"a": torch.tensor([0, 1, 9]), "b": torch.tensor([0, 1, 8])})
    assert [p.asked.tolist() for p in find_all(z).values()] == [[0, 1], [0, 1]]
    assert find_all(Views({"a": torch.eye(2)}, {"a": torch.arange(2)})) == {}


def test_first_results_break_ties_by_row() -> None:
    z = Views.from_arrays(a=torch.eye(3), b=torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [0, 1.0, 0]]))
    assert first_results(z, "a", "b", 0, 3) == [0, 1, 2]


def test_results_are_right_by_links_where_these_stand_in_for_groups(tmp_path: Path) -> None:
    """Items of an equal group were marked as right, and those that a link names as wrong."""
    z = Views(
        {"a": torch.eye(3), "b": torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.0, 0.0, 1.0]])},
        {"a": torch.arange(3), "b": torch.tensor([0, 1, 0, 2])},
        {("a", "b"): torch.tensor([[0, 0], [1, 3]])},
    )
    items = {m: [Item(i, f"{m} {i}") for i in range(len(x))] for m, x in z.data.items()}
    sheet = Sheet(Run(tmp_path), Result("", {}), z, items)
    card = _card(sheet, ("a", "b"), sheet.found["a", "b"], 0)
    shown = {r["name"]: r["true"] for r in card["results"]}  # type: ignore[attr-defined]
    assert shown == {"b 0": False, "b 1": True, "b 2": False, "b 3": True}
