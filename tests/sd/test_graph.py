"""The dependency graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuzbass.sd.graph import TIME, dependencies, drivers, find_loop, signed_flows

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]


def test_edges_say_when_they_act(tiny: Tiny) -> None:
    graph = dependencies(tiny("small"))
    assert set(graph.predecessors("world price")) == {TIME, "one year", "world price table"}
    assert graph["net price"]["perceived price"] == {"now": False, "later": True,
                                                     "initial": False}
    assert graph["initial perceived price"]["perceived price"] == {
        "now": False, "later": False, "initial": True}
    assert graph["building"]["capacity"] == {"now": False, "later": True, "initial": False}
    assert graph["capacity"]["closing"] == {"now": True, "later": False, "initial": False}
    assert set(graph.successors("SAVEPER")) == set()


def test_a_delay_time_acts_at_once(tiny: Tiny) -> None:
    graph = dependencies(tiny("delay3"))
    assert graph["transit time"]["outflow"]["now"]
    # The default initial value of DELAY3 is its input.
    assert graph["inflow"]["outflow"] == {"now": False, "later": True, "initial": True}


def test_active_initial_is_its_second_argument_at_the_start(tiny: Tiny) -> None:
    model = tiny("array_states")
    graph, start = dependencies(model), dependencies(model, start=True)
    edge = graph["follower[North]"]["started[North]"]
    assert edge == {"now": True, "later": False, "initial": False}
    assert graph["start[North]"]["started[North]"] == {
        "now": False, "later": False, "initial": True}
    assert not start.has_edge("follower[North]", "started[North]")
    assert start.has_edge("start[North]", "started[North]")


def test_drivers_only_read_a_table_over_time(tiny: Tiny) -> None:
    assert drivers(tiny("small")) == ("world price",)
    assert drivers(tiny("teacup")) == ()


def test_feedback_through_a_stock_is_no_algebraic_loop(tiny: Tiny) -> None:
    graph = dependencies(tiny("teacup"))
    assert find_loop(graph, "now") == []
    loop = find_loop(graph, "now", "later")
    assert set(loop) == {"temperature", "heat loss"}
    assert loop[0] == loop[-1]


def test_signed_flows(tiny: Tiny) -> None:
    assert signed_flows(tiny("small"), "capacity") == [("building", 1), ("closing", -1)]
    assert signed_flows(tiny("teacup"), "temperature") == [("heat loss", -1)]
    assert signed_flows(tiny("small"), "revenue") is None
