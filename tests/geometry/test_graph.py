"""Graphs with known spectra, cuts and merges; blocked and dense ways agree."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from modalign.errors import ModalignError
from modalign.geometry import graph as gr
from modalign.geometry.neighbours import knn, knn_graph


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cycle(n):
    i = np.arange(n)
    edges = csr_array((np.ones(n), (i, (i + 1) % n)), shape=(n, n))
    return (edges + edges.T).tocsr()


def complete(n):
    return csr_array(np.ones((n, n)) - np.eye(n))


def blocks(sizes):
    label = np.repeat(np.arange(len(sizes)), sizes)
    return csr_array((label[:, None] == label[None, :]).astype(float) - np.eye(len(label)))


def test_components_of_separate_cliques():
    assert gr.components(blocks([3, 5, 2])) == (3, 0.5)
    assert gr.components(complete(4)) == (1, 1.0)
    assert gr.components(csr_array((0, 0))) == (0, 0.0)


@pytest.mark.parametrize("n", [5, 12, 601, 700])  # full matrices and Lanczos
def test_spectra_of_complete_graphs(n):
    s = gr.spectral_gaps(complete(n))
    assert s.algebraic_connectivity == pytest.approx(n, rel=1e-4)
    assert s.gap == pytest.approx(n / (n - 1), rel=1e-4)


def test_spectrum_of_a_cycle():
    s = gr.spectral_gaps(cycle(20))
    assert s.algebraic_connectivity == pytest.approx(2 - 2 * math.cos(2 * math.pi / 20))
    assert s.gap == pytest.approx(1 - math.cos(2 * math.pi / 20))


def test_lanczos_equals_the_full_spectrum(monkeypatch):
    graph = knn_graph(rows(300, 4), 6, connect=True)
    full = gr.spectral_gaps(graph)
    monkeypatch.setattr(gr, "DENSE", 10)
    assert gr.spectral_gaps(graph) == pytest.approx(full, rel=1e-6)


@pytest.mark.parametrize("n", [601, 1500])
def test_small_eigenvalues_of_large_graphs_are_right_to_their_own_digits(n):
    path = gr.spectral_gaps(knn_graph(torch.arange(float(n))[:, None] + 0.1 * torch.rand(n, 1), 1, connect=True))
    assert path == pytest.approx((2 - 2 * math.cos(math.pi / n), 1 - math.cos(math.pi / (n - 1))), rel=1e-5)
    assert gr.spectral_gaps(cycle(n)).gap == pytest.approx(1 - math.cos(2 * math.pi / n), rel=1e-5)


def test_a_graph_in_pieces_has_no_connectivity():
    assert gr.spectral_gaps(blocks([3, 4])) == (0.0, 0.0)
    assert math.isnan(gr.spectral_gaps(csr_array((1, 1))).gap)


def test_edge_lengths_do_not_enter_the_spectrum():
    assert gr.spectral_gaps(knn_graph(rows(30, 3), 5)) == pytest.approx(
        gr.spectral_gaps(knn_graph(1000 * rows(30, 3), 5))
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_connecting_k_is_the_smallest_that_connects(metric):
    for seed in range(5):
        x = rows(60, 3, seed)
        k = gr.connecting_k(x, metric=metric)
        assert gr.components(gr.edges_of(knn(x, k=k, metric=metric)[1].numpy()))[0] == 1
        if k > 1:
            assert gr.components(gr.edges_of(knn(x, k=k - 1, metric=metric)[1].numpy()))[0] > 1


def test_far_clusters_need_neighbours_beyond_their_size():
    x = torch.cat([rows(40, 2), rows(40, 2) + 100])
    assert gr.connecting_k(x, metric="euclidean") == 40
    assert gr.connecting_k(x[:1]) == 0


def test_cross_edges_and_conductance_of_known_cuts():
    two_cliques = blocks([4, 4]).toarray()
    two_cliques[0, 4] = two_cliques[4, 0] = 1  # one bridge
    graph, label = csr_array(two_cliques), torch.tensor([0] * 4 + [1] * 4)
    share, expected = gr.cross_edges(graph, label)
    assert share == pytest.approx(1 / 13)
    assert expected == pytest.approx(1 - 2 * 4 * 3 / (8 * 7))
    assert gr.conductance(graph, label) == pytest.approx(1 / 13)
    assert gr.conductance(complete(8), label) == pytest.approx(4 / 7)
    assert math.isnan(gr.conductance(graph, torch.zeros(8)))


def test_conductance_is_that_of_the_best_cut_off_label():
    """A ring of three arcs and one chord between the first two: the third arc hangs on the fewest edges."""
    ring = np.zeros((9, 9))
    for i in range(9):
        ring[i, (i + 1) % 9] = ring[(i + 1) % 9, i] = 1
    ring[1, 4] = ring[4, 1] = 1
    label = torch.tensor([0] * 3 + [1] * 3 + [2] * 3)
    assert gr.conductance(csr_array(ring), label) == pytest.approx(2 / 6)  # 3 / 7 for the others
    share, expected = gr.cross_edges(csr_array(ring), torch.tensor([0] * 6 + [1] * 3))
    assert share == pytest.approx(2 / 10)
    assert expected == pytest.approx(1 - (6 * 5 + 3 * 2) / (9 * 8))


def test_randomly_mixed_labels_reach_the_expected_share():
    graph = knn_graph(rows(600, 5), 8)
    label = torch.randint(3, (600,), generator=torch.Generator().manual_seed(0))
    share, expected = gr.cross_edges(graph, label)
    assert share == pytest.approx(expected, abs=0.03)


def test_merge_lengths_are_the_minimum_spanning_tree(monkeypatch):
    x = rows(50, 4)
    distance = torch.cdist(x, x)
    expected = np.sort(minimum_spanning_tree(distance.numpy()).data)
    np.testing.assert_allclose(gr.merge_lengths(x, metric="euclidean").numpy(), expected, rtol=1e-9)
    monkeypatch.setattr(gr, "EXACT", 10)
    clusters = torch.cat([x, x + 50])
    exact = np.sort(minimum_spanning_tree(torch.cdist(clusters, clusters).numpy()).data)
    np.testing.assert_allclose(gr.merge_lengths(clusters, 15, metric="euclidean").numpy(), exact, rtol=1e-6)


def test_merge_lengths_within_tight_clusters_far_apart():
    """From a product of all points the tree of a burst of events was another one, of edges six times as long."""
    g = torch.Generator().manual_seed(0)
    burst = 1.5e6 * torch.randint(0, 20, (20, 1), generator=g).double().repeat_interleave(10, 0)
    x = torch.cat([burst + 5e-2 * torch.rand(200, 1, generator=g), 1e-3 * torch.randn(200, 3, generator=g)], 1)
    apart = (x[:, None] - x).square().sum(2).sqrt().numpy()
    expected = np.sort(minimum_spanning_tree(apart).data)
    np.testing.assert_allclose(gr.merge_lengths(x, metric="euclidean").numpy(), expected, rtol=1e-9)


def test_merge_lengths_of_equal_points_are_zero():
    assert gr.merge_lengths(torch.ones(4, 3)).tolist() == [0.0, 0.0, 0.0]
    assert len(gr.merge_lengths(torch.ones(1, 3))) == 0


def test_labels_must_match_the_nodes():
    with pytest.raises(ModalignError, match="4 nodes"):
        gr.cross_edges(complete(4), torch.zeros(3))


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_neighbours_found_before_give_the_same(spread, monkeypatch):
    x = torch.nn.functional.normalize(torch.randn(120, 6, generator=torch.Generator().manual_seed(2)).double())
    x[60:] = torch.nn.functional.normalize(x[60:] + spread * torch.eye(6)[0])
    near = knn(x, k=16, metric="euclidean")
    assert abs(knn_graph(x, 10, metric="cosine", near=near) - knn_graph(x, 10, metric="cosine")).max() < 1e-12
    assert gr.connecting_k(x, near=near[1]) == gr.connecting_k(x)
    monkeypatch.setattr(gr, "EXACT", 10)
    torch.testing.assert_close(gr.merge_lengths(x, near=near), gr.merge_lengths(x))
