"""The order of printing: causes first, calls together, and quick for large models."""

from __future__ import annotations

import numpy as np

from kuzbass.sd.kernel.llvm_math import GROUPED, TOGETHER
from kuzbass.sd.kernel.llvm_order import in_order
from kuzbass.sd.kernel.nodes import Graph, arguments


def random_graph(size: int, seed: int = 1) -> tuple[Graph, list[int]]:
    """Return a graph of random operations, and its nodes but for the states."""
    graph, rng = Graph(), np.random.default_rng(seed)
    states = [graph.leaf("state", place) for place in range(10)]
    ops = ["add", "mul", "div", "sub", "max", "exp", "ln", "pow"]
    while len(graph) < size:
        op = ops[rng.integers(len(ops))]
        count = 1 if op in {"exp", "ln"} else 2
        graph.add(op, *(int(rng.integers(len(graph))) for _ in range(count)))
    return graph, list(range(len(states), len(graph)))


def test_every_node_once_and_causes_first() -> None:
    graph, nodes = random_graph(2000)
    done: set[int] = set()
    turns = in_order(graph, nodes)
    for turn in turns:
        own = {arg for node in turn for arg in arguments(graph[node])} & set(nodes)
        assert own <= done
        done |= set(turn)
    assert done == set(nodes)
    assert sum(len(turn) for turn in turns) == len(nodes)


def test_only_calls_of_one_function_are_drawn_together() -> None:
    graph, nodes = random_graph(2000)
    for turn in in_order(graph, nodes):
        ops = {graph[node][0] for node in turn}
        assert len(ops) == 1
        assert len(turn) <= (TOGETHER if ops <= set(GROUPED) else 1)


def test_independent_calls_share_a_turn() -> None:
    """Two chains, each a power of a sum: the sums come first, then both powers at once."""
    graph = Graph()
    a, b, c = (graph.leaf("state", place) for place in range(3))
    first, second = graph.add("add", a, b), graph.add("add", b, c)
    powers = [graph.add("pow", first, c), graph.add("pow", second, c)]
    total = graph.add("add", *powers)
    turns = in_order(graph, [first, powers[0], second, powers[1], total])
    assert [len(turn) for turn in turns] == [1, 1, 2, 1]
    assert sorted(turns[2]) == powers


def test_a_division_is_not_followed_by_its_user_if_something_else_can_be_done() -> None:
    graph = Graph()
    a, b = graph.leaf("state", 0), graph.leaf("state", 1)
    ratio = graph.add("div", a, b)
    user = graph.add("add", ratio, a)
    others = [graph.add("mul", a, graph.number(float(factor))) for factor in range(2, 12)]
    turns = [turn[0] for turn in in_order(graph, [ratio, user, *others])]
    assert turns[0] == ratio
    assert turns[-1] == user
