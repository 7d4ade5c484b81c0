"""Finding loops."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest

from kuzbass.sd.loops.search import all_loops, contract, search_strongest, strongest_loops

if TYPE_CHECKING:
    from collections.abc import Iterable

# Figure 7 of Eberlein and Schoenberg (2020).
FIGURE_7 = {("a", "b"): 10.0, ("a", "d"): 100.0, ("d", "c"): 0.1, ("b", "c"): 10.0,
            ("c", "b"): 10.0, ("c", "a"): 10.0}


def found(starts: str) -> dict[str, float]:
    edges = list(FIGURE_7)
    adjacency: list[list[tuple[float, int, int]]] = [[] for _ in "abcd"]
    for number, (source, target) in enumerate(edges):
        adjacency["abcd".index(source)].append(
            (FIGURE_7[edges[number]], "abcd".index(target), number))
    loops = strongest_loops(adjacency, ["abcd".index(start) for start in starts])
    return {"".join(sorted(edges[edge][0] for edge in loop.path)): loop.strength
            for loop in loops.values()}


def test_figure_7_from_every_start() -> None:
    assert found("abcd") == pytest.approx({"acd": 100.0, "abc": 1000.0, "bc": 100.0})


def test_figure_7_from_one_start_misses_the_strongest() -> None:
    assert found("a") == pytest.approx({"acd": 100.0})


def random_edges(seed: int, nodes: int, links: int) -> list[tuple[str, str]]:
    graph = nx.gnm_random_graph(nodes, links, seed=seed, directed=True)
    return [(str(source), str(target)) for source, target in graph.edges]


def sets(loops: Iterable[Iterable[tuple[str, str]]]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(loop) for loop in loops}


@pytest.mark.parametrize("seed", range(8))
def test_contraction_loses_no_loop(seed: int) -> None:
    edges = [*random_edges(seed, 12, 20), ("0", "0")]
    kernel = contract(edges)
    inner = nx.MultiDiGraph()
    for number, (source, target, _) in enumerate(kernel.edges):
        inner.add_edge(source, target, key=number)
    assert all(inner.in_degree(node) > 1 and inner.out_degree(node) > 1 for node in inner)
    loops = [frozenset(loop) for loop in kernel.loops]
    for nodes in nx.simple_cycles(nx.DiGraph(inner)):
        paths: list[tuple[tuple[str, str], ...]] = [()]
        for source, target in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
            paths = [path + kernel.edges[key][2] for path in paths
                     for key in inner[source][target]]
        loops += [frozenset(path) for path in paths]
    everything = all_loops(edges, 10**6)
    assert everything is not None
    assert len(loops) == len(everything)
    assert set(loops) == sets(everything)


def test_the_limit_refuses_one_loop_too_many() -> None:
    edges = random_edges(1, 8, 24)
    everything = all_loops(edges, 10**6)
    assert everything is not None
    assert all_loops(edges, len(everything)) == everything
    assert all_loops(edges, len(everything) - 1) is None


def test_the_strongest_search_finds_true_loops_and_most_of_the_strength() -> None:
    edges = random_edges(3, 12, 36)
    draw = np.random.default_rng(5)
    scores = {edge: np.exp(draw.normal(size=40)) * draw.choice([-1.0, 1.0], size=40)
              for edge in edges}
    everything = all_loops(edges, 10**6)
    assert everything is not None
    outcome = search_strongest(scores, list(range(0, 40, 2)), 0.0)
    assert sets(outcome.loops) <= sets(everything)
    assert outcome.kept == 1.0
    assert 0.5 < outcome.coverage <= 1.0

    def strength(loops: Iterable[Iterable[tuple[str, str]]]) -> float:
        return float(sum(abs(np.prod([scores[edge][0] for edge in loop])) for loop in loops))

    assert 0.9 < strength(outcome.loops) / strength(everything) <= 1.0


def test_weak_loops_are_left_out_and_it_is_said() -> None:
    # Three nodes, all linked.  The search misses a-c (3): the way over b is stronger.
    gains = {("a", "b"): 4.0, ("b", "a"): 5.0, ("b", "c"): 6.0, ("c", "b"): 2.0,
             ("a", "c"): 3.0, ("c", "a"): 1.0}
    scores = {edge: np.full(4, gain) for edge, gain in gains.items()}
    everything = search_strongest(scores, [0, 3], 0.0)
    assert len(everything.loops) == 4
    assert everything.kept == everything.coverage == 1.0
    outcome = search_strongest(scores, [0, 3], 0.2)
    strong = [("a", "b", "c"), ("a", "c", "b"), ("a", "b")]
    assert sets(outcome.loops) == sets(pairwise([*loop, loop[0]]) for loop in strong)
    # 24 + 30 + 20, without b-c (12).
    assert outcome.kept == outcome.coverage == pytest.approx(74.0 / 86.0)


def test_loops_off_the_paths_that_meet_are_always_kept() -> None:
    scores = {edge: np.full(4, value) for edge, value in FIGURE_7.items()}
    outcome = search_strongest(scores, [0, 3], 0.5)
    assert len(outcome.loops) == 3
    assert outcome.kept == outcome.coverage == 1.0
