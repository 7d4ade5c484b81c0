"""What a scenario may set in the shipped model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kuzbass.errors import ModelError
from kuzbass.experiments.interface import model_interface
from kuzbass.region.data import judged, read_table
from kuzbass.region.resilience import load_indicators
from kuzbass.sd.mdl import load_model

MODELS = Path(__file__).resolve().parents[1] / "models"


def test_groups_decide_what_is_what() -> None:
    model = load_model()
    interface = model_interface(model)
    assert {model.variables[name].group for name in interface.drivers} == {"Drivers"}
    assert {model.variables[name].group for name in interface.policies} == {"Policies"}
    groups = {model.variables[name].group for name in interface.parameters}
    assert not groups & {"Drivers", "Policies", "Units and scales"}
    kinds = {model.variables[name].kind for name in {**interface.policies, **interface.parameters}}
    assert kinds == {"constant"}
    known = {*interface.drivers, *interface.policies, *interface.parameters}
    assert known | interface.computed == set(model.variables)
    assert not known & interface.computed


def test_nothing_that_is_judged_can_be_set() -> None:
    interface = model_interface(load_model())
    scored = {*judged()["variable"], *read_table("targets.csv")["variable"],
              *load_indicators().variables}
    assert scored <= interface.computed


def test_settings_carry_unit_range_and_table() -> None:
    model = load_model()
    interface = model_interface(model)
    price = interface.drivers["world thermal price"]
    curve = model.curves()["world thermal price table"]
    variable = model.variables["world thermal price"]
    assert (price.unit, price.lower, price.upper) == ("USD/t", variable.lower, variable.upper)
    assert price.table is not None
    np.testing.assert_array_equal(price.table.index, curve.x)
    np.testing.assert_array_equal(price.table, curve.y)
    assert np.isnan(price.value)
    port = interface.policies["western port programme"]
    assert (port.unit, port.value, port.table) == ("Mt/(year*year)", 0.0, None)


def test_axis_is_the_model_s_or_the_caller_s() -> None:
    model = load_model()
    own = model_interface(model)
    assert (own.start, own.end, own.time_step) == (2000.0, 2036.0, model.time_step)
    other = model_interface(model, end=2011.0, time_step=0.25)
    np.testing.assert_array_equal(other.grid, np.arange(2000.0, 2011.25, 0.25))


def test_driver_that_reads_two_tables_is_refused(tmp_path: Path) -> None:
    text = (MODELS / "small.mdl").read_text(encoding="utf-8")
    line = "*" * 56
    extra = f"""{line}
\t.Drivers
{line}~
\t\tMade up.
\t|

first table( [(0,0)-(9,9)],(0.0,1.0),(9.0,2.0)) ~ Dmnl ~ Made up. |
second table( [(0,0)-(9,9)],(0.0,1.0),(9.0,2.0)) ~ Dmnl ~ Made up. |
one time unit= 1.0 ~ Year ~ Made up. |
double driver= first table(Time/one time unit) + second table(Time/one time unit)
~ Dmnl ~ Made up. |
"""
    path = tmp_path / "double.mdl"
    path.write_text(text.replace("{UTF-8}", "{UTF-8}\n" + extra, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=r"double driver: a driver must read one table.*2 tables"):
        model_interface(load_model(path))
