"""Diagrams: geometry, the checker of drawings, the split into views, and the layout itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.paths import model_path
from kuzbass.sd.diagram import Arrow, Box, Diagram, Faults, Pipe, faults, path, wrap
from kuzbass.sd.layout import lay_out
from kuzbass.sd.mdl import load_model
from kuzbass.sd.sector_map import sector_links, sector_map
from kuzbass.sd.views import MAX_TITLE, MAX_WORDS, Structure, View, plan_views

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

CLEAN = Faults(0, 0, 0, 0, 0)
CONTROL = """INITIAL TIME= 0.0
	~	Year
	~	Start.
	|
FINAL TIME= 10.0
	~	Year
	~	End.
	|
TIME STEP= 0.25
	~	Year
	~	Step.
	|
SAVEPER= TIME STEP
	~	Year
	~	Saved.
	|
"""


def box(name: str, x: int, y: int, kind: str = "auxiliary", w: int = 20, h: int = 10) -> Box:
    return Box(name, kind, x, y, w, h, (name,))  # type: ignore[arg-type]


def diagram(boxes: list[Box], arrows: list[Arrow], pipes: tuple[Pipe, ...] = ()) -> Diagram:
    return Diagram("view", "view", tuple(boxes), tuple(arrows), pipes)


@pytest.fixture(scope="module")
def kuzbass() -> Structure:
    return Structure.of(load_model(model_path()))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Structure]:
    """Build a model from pairs of name and equation."""

    def write(**equations: str) -> Structure:
        blocks = [f"{name.replace('_', ' ')}= {equation}\n\t~\tt\n\t~\tMade up.\n\t|\n"
                  for name, equation in equations.items()]
        file = tmp_path / "written.mdl"
        file.write_text("{UTF-8}\n" + "".join(blocks) + CONTROL, encoding="utf-8")
        return Structure.of(load_model(file))

    return write


def test_names_break_into_lines_of_even_length():
    assert wrap("coal output") == (("coal output",), 33, 11)
    assert wrap("initial diversified labour productivity") == (
        ("initial diversified", "labour productivity"), 57, 22)
    assert wrap("wage") == (("wage",), 20, 11), "a short word keeps the smallest box"


def test_a_straight_arrow_runs_from_border_to_border():
    drawn = diagram([box("a", 0, 0), box("b", 200, 0)], [])
    np.testing.assert_allclose(path(drawn, Arrow(0, 1)), [[22.0, 0.0], [178.0, 0.0]])


def test_a_bent_arrow_lies_on_the_circle_through_its_control_point():
    drawn = diagram([box("a", 0, 0), box("b", 200, 0)], [])
    points = path(drawn, Arrow(0, 1, control=(100, 50)))
    # Circle through (0, 0), (100, 50), (200, 0): centre (100, -75), radius 125.
    inner = points[1:-1]
    np.testing.assert_allclose(np.hypot(inner[:, 0] - 100.0, inner[:, 1] + 75.0), 125.0)
    assert inner[:, 1].max() == pytest.approx(50.0)


def test_the_checker_finds_nothing_in_a_clean_diagram():
    assert faults(diagram([box("a", 100, 100), box("b", 300, 100)], [Arrow(0, 1)])) == CLEAN


@pytest.mark.parametrize(("extra", "arrows", "expected"), [
    (box("c", 330, 105), [Arrow(0, 1)], replace(CLEAN, box_overlaps=1)),
    (box("c", 200, 104), [Arrow(0, 1)], replace(CLEAN, arrow_box=1)),
    (box("c", 10, 300), [Arrow(0, 1)], replace(CLEAN, out_of_canvas=1)),
    (box("c", 200, 885, h=20), [Arrow(0, 1)], replace(CLEAN, out_of_canvas=1)),
    (replace(box("c", 200, 104), hidden=True), [Arrow(0, 1)], CLEAN),
    (box("c", 200, 104), [Arrow(0, 1, control=(200, 60))], CLEAN),
    (box("c", 200, 104), [Arrow(0, 1, hidden=True)], CLEAN),
    (box("c", 200, 100, "frame", 180, 60), [Arrow(0, 1)], CLEAN),
])
def test_the_checker_counts_each_fault(extra: Box, arrows: list[Arrow], expected: Faults):
    assert faults(diagram([box("a", 100, 100), box("b", 300, 100), extra], arrows)) == expected


def test_the_checker_counts_crossing_arrows_and_pipes():
    boxes = [box("a", 100, 100), box("b", 300, 300), box("c", 300, 100), box("d", 100, 300)]
    assert faults(diagram(boxes, [Arrow(0, 1), Arrow(2, 3)])).arrow_arrow == 1
    assert faults(diagram(boxes, [Arrow(0, 2), Arrow(1, 3)])).arrow_arrow == 0
    flow = [box("s", 500, 200, "stock"), box("f", 300, 200, "valve", 6, 8),
            box("f", 300, 219, "flow"), box("top", 400, 100), box("low", 400, 300)]
    piped = diagram(flow, [Arrow(3, 4)], (Pipe(1, 0, (390, 200), sink=True),))
    assert faults(piped).arrow_pipe == 1


def test_views_hold_every_variable_and_stay_small(kuzbass: Structure):
    views = plan_views(kuzbass)
    assert {name for view in views for name in view.defined} == set(kuzbass.model.variables)
    assert len({view.title for view in views}) == len(views)
    assert max(len(view.title) for view in views) <= MAX_TITLE
    for view in views:
        drawn = set(view.defined) if view.levers else kuzbass.words(view.defined)
        assert len(drawn) <= MAX_WORDS or len(view.defined) == 1 or _one_stock(kuzbass, view)


def _one_stock(structure: Structure, view: View) -> bool:
    return sum(structure.kind(name) == "stock" for name in view.defined) == 1


def test_flows_stand_with_their_stocks(kuzbass: Structure):
    for view in plan_views(kuzbass):
        for stock in view.defined:
            if structure_flows := kuzbass.flows.get(stock):
                own = {flow for flow, _ in structure_flows
                       if kuzbass.model.variables[flow].group == view.group}
                assert view.levers or own <= set(view.defined)


@pytest.mark.parametrize("name", ["small", "teacup", "conservation", "delay3"])
def test_a_small_model_is_drawn_without_a_fault(tiny: Callable[[str], Model], name: str):
    structure = Structure.of(tiny(name))
    for view in plan_views(structure):
        drawn = lay_out(view, structure)
        assert faults(drawn) == CLEAN
        assert drawn == lay_out(view, structure), "nothing is random"


def test_a_flow_between_two_stocks_is_one_pipe(written: Callable[..., Structure]):
    structure = written(here="INTEG(coming - going, 5.0)", there="INTEG(going - coming, 1.0)",
                        going="here / delay", coming="there / delay", delay="3.0")
    (view, *_) = plan_views(structure)
    drawn = lay_out(view, structure)
    assert faults(drawn) == CLEAN
    assert not [b for b in drawn.boxes if b.kind == "cloud"]
    ends = {(drawn.boxes[p.valve].name, drawn.boxes[p.end].name, p.sink) for p in drawn.pipes}
    assert ends == {("going", "here", False), ("going", "there", True),
                    ("coming", "there", False), ("coming", "here", True)}


def test_a_stock_takes_six_flows_with_a_cloud_each(written: Callable[..., Structure]):
    flows = {f"flow_{n}": f"level * {n}.0 * share" for n in range(1, 7)}
    structure = written(level="INTEG(flow 1 + flow 2 + flow 3 - flow 4 - flow 5 - flow 6, 9.0)",
                        **flows, share="0.1")
    names = tuple(name for name in structure.order if structure.kind(name) != "control")
    drawn = lay_out(View("all", "", names), structure)
    assert faults(drawn).box_overlaps == faults(drawn).arrow_box == 0
    assert len([b for b in drawn.boxes if b.kind == "cloud"]) == 6
    assert sum(p.sink and drawn.boxes[p.end].name == "level" for p in drawn.pipes) == 3
    assert sum(not p.sink and drawn.boxes[p.end].name == "level" for p in drawn.pipes) == 3


def test_a_lever_view_hides_the_other_causes(written: Callable[..., Structure]):
    structure = written(lever="2.0", other="3.0", used="lever * other")
    drawn = lay_out(View("levers", "", ("lever", "used"), levers=("lever",)), structure)
    names = {(drawn.boxes[a.source].name, a.hidden) for a in drawn.arrows}
    assert names == {("lever", False), ("other", True)}
    assert [b.name for b in drawn.boxes if b.hidden] == ["other"]


def test_a_sector_is_drawn_without_a_fault(kuzbass: Structure):
    for view in plan_views(kuzbass):
        if view.group in {"Coal mining", "Policies"}:
            found = faults(lay_out(view, kuzbass))
            assert found.box_overlaps == found.arrow_box == found.out_of_canvas == 0
            assert found.arrow_arrow + found.arrow_pipe < 3


def test_the_sector_map_draws_links_that_exist_and_do_not_cross(kuzbass: Structure):
    drawn, links = sector_map(kuzbass), sector_links(kuzbass)
    assert faults(drawn) == CLEAN
    assert len(drawn.arrows) > 15
    for arrow in drawn.arrows:
        pair = drawn.boxes[arrow.source].name, drawn.boxes[arrow.target].name
        assert links[pair] == arrow.weight > 0
    frames = {b.name for b in drawn.boxes if b.kind == "frame"}
    assert "Coal mining" in frames
    assert "Units and scales" not in frames, "constants are shown where they act"
