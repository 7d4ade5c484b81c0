"""Whole-model extreme conditions: what must hold, and what is found when it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.errors import InputError
from kuzbass.sd.battery.extremes import (
    Invariants,
    one_at_a_time,
    reach_of,
    run_conditions,
    without_ranges,
)
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]


def test_conditions_stay_in_the_ranges(tiny: Tiny) -> None:
    conditions = one_at_a_time(tiny("small"))
    assert sorted(value["life of capacity"] for value in conditions.values()
                  if "life of capacity" in value) == [2.0, 40.0]
    assert sorted(value["tax rate"] for value in conditions.values()
                  if "tax rate" in value) == pytest.approx([0.0, 0.02, 1.0])
    assert not any("one year" in value for value in conditions.values())


def test_clean_model_holds(tiny: Tiny) -> None:
    model = tiny("small")
    trials = run_conditions(model, one_at_a_time(model), Invariants.of(model), watch=True, chunk=3)
    assert trials.runs == len(one_at_a_time(model))
    assert trials.breaches == ()
    assert trials.low["net price"] == 0.0  # the whole price is taxed away
    assert trials.high["net price"] == pytest.approx(110.0)
    reach = reach_of(model, trials)
    assert reach["tax rate"] == (0.0, 1.0)
    assert reach["world price"] == (0.0, 500.0)
    assert "one year" not in reach


def test_negative_stock(edited: Edit) -> None:
    path = edited("closing=\n\tcapacity / life", "closing=\n\tinitial capacity / life")
    model = load_model(path)
    trials = run_conditions(model, {"no price": {"world price": 0.0}}, Invariants.of(model))
    (condition, breach), = trials.breaches
    assert condition == "no price"
    assert breach.element == "capacity"
    assert breach.message.endswith("expected 0 or more")


def test_share_residual_and_finite(edited: Edit) -> None:
    model = load_model(edited("capacity * net price", "capacity * net price / tax rate"))
    invariants = Invariants((), ("tax rate",), {"net price": "world price"})
    conditions = {"free": {"tax rate": 0.0}, "dear": {"tax rate": 0.5}}
    trials = run_conditions(model, conditions, invariants, watch=True)
    found = {(condition, breach.element) for condition, breach in trials.breaches}
    assert ("dear", "net price") in found  # it is no residual: 0.5 of the price
    wide = run_conditions(without_ranges(model), {"odd": {"tax rate": 2.0}}, invariants)
    assert ("odd", "tax rate") in {(name, breach.element) for name, breach in wide.breaches}


def test_not_finite(edited: Edit) -> None:
    model = load_model(edited("world price * (1.0 - tax rate)", "world price / tax rate"))
    trials = run_conditions(model, {"free": {"tax rate": 0.0}, "usual": {"tax rate": 0.2}},
                            Invariants.of(model))
    (condition, breach), = trials.breaches
    assert condition == "free"
    assert str(breach) == "net price: is not finite from 0.0; expected a number"


def test_ranges_are_the_law_unless_lifted(tiny: Tiny) -> None:
    model = tiny("small")
    invariants = Invariants.of(model)
    with pytest.raises(InputError, match="tax rate"):
        run_conditions(model, {"wild": {"tax rate": 3.0}}, invariants)
    assert run_conditions(without_ranges(model), {"wild": {"tax rate": 3.0}}, invariants).runs == 1
    # Only the copy is open.
    assert model.variables["tax rate"].upper == 1.0


def test_paths_of_constants_and_drivers(tiny: Tiny) -> None:
    model = tiny("small")
    time = np.arange(0.0, 10.25, 0.25)
    conditions = {
        "late": {"tax rate": np.where(time < 5.0, 0.2, 1.0)},
        "dear": {"world price": np.full(len(time), 300.0)},
    }
    trials = run_conditions(model, conditions, Invariants.of(model), watch=True)
    assert trials.breaches == ()
    assert trials.low["net price"] == 0.0
    assert trials.high["net price"] == pytest.approx(240.0)
