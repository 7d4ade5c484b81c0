"""The causal graph and its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import networkx as nx
import pytest

from kuzbass.errors import InputError
from kuzbass.sd.loops import causal_graph, expand, write_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.loops import ExpandedRun
    from kuzbass.sd.mdl import Model

    Expanded = Callable[[str], ExpandedRun]


def test_polarity_is_the_sign_of_the_derivative(expanded: Expanded) -> None:
    graph = causal_graph(expanded("predator_prey"))
    polarity = {edge: graph.edges[edge]["polarity"] for edge in graph.edges}
    assert polarity["encounters", "prey"] == "-"
    assert polarity["encounters", "predator births"] == "+"
    assert polarity["prey", "encounters"] == "+"
    assert polarity["predator deaths", "predators"] == "-"


def test_polarity_that_changes_and_that_never_acts(written: Callable[[str], Model]) -> None:
    graph = causal_graph(expand(written("""
        one = 1.0
        angle = Time/one
        wave = SIN(angle)
        idle = MIN(angle, 100.0 + one)
    """)))
    assert graph["angle"]["wave"]["polarity"] == "+-"
    assert graph["angle"]["idle"]["polarity"] == "+"
    assert graph["one"]["idle"]["polarity"] == "0"
    assert graph["one"]["angle"]["polarity"] == "-"


def test_nodes_say_what_they_are(expanded: Expanded) -> None:
    graph = causal_graph(expanded("supply_chain"))
    assert graph.nodes["deliveries"] == {
        "kind": "auxiliary", "unit": "Unit/Day", "group": "Orders", "state": True, "delay": 6.0,
        "part": 1}
    assert graph.nodes["stock"]["kind"] == "stock"
    assert graph.nodes["SMOOTH in orders"]["state"]
    assert graph.nodes["SMOOTH in orders"]["part"] == 0
    assert graph["delivery time"]["deliveries"]["polarity"] in {"-", "+-"}
    assert graph["demand"]["SMOOTH in orders"]["polarity"] == "+"
    assert "deliveries (stage 1)" not in graph
    assert graph.nodes["Time"]["kind"] == "time"


def test_parts_are_numbered_by_their_states(expanded: Expanded) -> None:
    graph = causal_graph(expanded("arms_race"))
    assert {graph.nodes[f"arms of {party}"]["part"] for party in "ABC"} == {1}
    assert graph.nodes["adjustment time"]["part"] == 0


def test_graphml_and_json_come_back_equal(expanded: Expanded, tmp_path: Path) -> None:
    graph = causal_graph(expanded("supply_chain"))
    write_graph(graph, tmp_path / "graph.graphml")
    back = nx.read_graphml(tmp_path / "graph.graphml")
    assert dict(back.nodes(data=True)) == dict(graph.nodes(data=True))
    assert set(back.edges(data="polarity")) == set(graph.edges(data="polarity"))
    write_graph(graph, tmp_path / "graph.json")
    data = json.loads((tmp_path / "graph.json").read_text(encoding="utf-8"))
    assert {node.pop("id"): node for node in data["nodes"]} == dict(graph.nodes(data=True))
    assert {(edge["source"], edge["target"]) for edge in data["edges"]} == set(graph.edges)


def test_dot(expanded: Expanded, tmp_path: Path) -> None:
    write_graph(causal_graph(expanded("teacup")), tmp_path / "graph.dot")
    lines = (tmp_path / "graph.dot").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "digraph causes {"
    assert lines[-1] == "}"
    assert '  "temperature" [shape=box, part=1];' in lines
    assert '  "heat loss" -> "temperature" [label="-"];' in lines


def test_another_format_is_refused(expanded: Expanded, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a format of graphs .*\.graphml, \.dot or \.json"):
        write_graph(causal_graph(expanded("teacup")), tmp_path / "graph.gexf")
