"""Structure tests: each finds what one edit breaks, and nothing in a clean model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kuzbass.errors import ModelError
from kuzbass.sd.battery import structure
from kuzbass.sd.lint import lint
from kuzbass.sd.loops.causal import link_polarity
from kuzbass.sd.loops.expansion import expand
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]

_CLOSING = "closing=\n\tcapacity / life of capacity"


def test_boundary(tiny: Tiny) -> None:
    places = structure.boundary(tiny("small"))
    assert set(places.endogenous) == {"building", "closing", "capacity", "revenue"}
    assert places.drivers == ("world price",)
    assert set(places.computed_outside) == {"perceived price", "net price"}
    assert "tax rate" in places.constants
    assert len(places.tables) == 2


def test_a_model_without_feedback_has_nothing_inside(tiny: Tiny) -> None:
    assert structure.boundary(tiny("smooth_integer")).endogenous == ()


def test_embedded_data(edited: Edit, tiny: Tiny) -> None:
    assert structure.embedded_data(tiny("small")) == []
    model = load_model(edited("1.0 - tax rate", "1.05 - 2.0 * tax rate"))
    assert [str(breach) for breach in structure.embedded_data(model)] == [
        "net price: holds 1.05, 2; expected a named constant"]


def test_stocks_without_flows_and_with_limits(edited: Edit, tiny: Tiny) -> None:
    assert structure.dead_stocks(tiny("small")) == structure.limits_on_stocks(tiny("small")) == []
    model = load_model(edited("INTEG(building - closing,", "INTEG(MAX(building - closing, 0.0),"))
    assert [breach.element for breach in structure.dead_stocks(model)] == ["capacity"]
    assert str(structure.limits_on_stocks(model)[0]) == (
        "capacity: MAX in its rate; expected named flows")


@pytest.mark.parametrize("name", ["small", "conservation", "logistic"])
def test_controlled_outflows(tiny: Tiny, name: str) -> None:
    assert structure.first_order_control(expand(tiny(name))) == []


def test_uncontrolled_outflow(edited: Edit) -> None:
    # The linter sees a dependence here and is content; the stock could still go negative.
    path = edited(_CLOSING, "closing=\n\t0.1 * (capacity + initial capacity) / life of capacity")
    model = load_model(path)
    assert not [finding for finding in lint(model) if finding.rule == "outflow"]
    breaches = structure.first_order_control(expand(model))
    assert [breach.element for breach in breaches] == ["capacity"]
    assert re.fullmatch(r"its net flow is -0\.125 at \S+ when the stock is empty; "
                        "expected 0 or more", breaches[0].message)


def test_negative_stock(edited: Edit) -> None:
    path = edited(_CLOSING, "closing=\n\t9.0 * initial capacity / life of capacity")
    breaches = structure.first_order_control(expand(load_model(path)))
    assert breaches[0].element == "capacity"
    assert breaches[0].message.endswith("in the run; expected 0 or more")


def test_a_smooth_may_go_negative(edited: Edit) -> None:
    model = load_model(edited("world price * (1.0 - tax rate)", "-world price * tax rate"))
    assert structure.first_order_control(expand(model)) == []


def test_an_excused_stock_is_left_out(edited: Edit) -> None:
    path = edited(_CLOSING, "closing=\n\tinitial capacity / life of capacity")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("The stock.", "The stock. May go negative: for this test."),
                    encoding="utf-8")
    assert structure.first_order_control(expand(load_model(path))) == []


def test_loop_sign(tiny: Tiny) -> None:
    polarities = link_polarity(expand(tiny("small")))
    assert structure.loop_sign(polarities, ["capacity", "closing"]) == "B"
    assert structure.loop_sign(polarities, ["capacity", "building"]) == "R"
    with pytest.raises(ModelError, match="revenue -> capacity: the model has no such link"):
        structure.loop_sign(polarities, ["capacity", "revenue"])


def test_loop_sign_of_links_without_one() -> None:
    links = {("a", "b"): "+", ("b", "a"): "+-", ("b", "c"): "0", ("c", "a"): "+"}
    assert structure.loop_sign(links, ["a", "b"]) == "U"
    assert structure.loop_sign(links, ["a", "b", "c"]) == "0"
