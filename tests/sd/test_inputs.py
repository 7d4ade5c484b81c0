"""Every impossible override is refused before the run, naming what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.sd.inputs import check_inputs, check_time_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]


def test_everything_becomes_float(tiny: Tiny) -> None:
    checked = check_inputs(tiny("small"), {
        "TAX RATE": np.int64(1), "world_price": pd.Series([1, 2], index=[0, 1])})
    assert checked.numbers == {"tax rate": 1.0}
    assert type(checked.numbers["tax rate"]) is float
    assert checked.paths["world price"].y.dtype == np.float64
    assert checked.paths["world price"].x.dtype == np.float64
    assert checked.tables == {}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tax rat", 0.1, r"tax rat: the model small.mdl has no such variable .*mean tax rate\?"),
        ("tax rate", float("nan"), r"tax rate: is not finite \(found: nan; allowed: a number\)"),
        ("tax rate", float("inf"), "tax rate: is not finite"),
        ("tax rate", 1.5, r"tax rate: is out of range \(found: 1\.5; allowed: 0 to 1 Dmnl\)"),
        ("tax rate", -0.1, "tax rate: is out of range"),
        ("tax rate", "0.1", r"tax rate: is not a number \(found: '0\.1'; allowed: a number or a"),
        ("tax rate", True, "tax rate: is not a number"),
        ("tax rate", None, "tax rate: is not a number"),
        ("tax rate", pd.Series({1.0: 0.5, 2.0: 1.5}), r"tax rate: is out of range \(found: 1\.5"),
        ("tax rate", pd.Series({1.0: 0.5, 2.0: np.nan}), "tax rate: is not finite"),
        ("tax rate", pd.Series([0.1, 0.2], index=[2.0, 2.0]),
         r"tax rate: the time does not increase \(found: 2\.0 then 2\.0; allowed: strictly"),
        ("tax rate", pd.Series([0.1], index=[np.nan]), "tax rate: the time of a point is not"),
        ("tax rate", pd.Series([], dtype=float), "tax rate: the series is empty"),
        ("tax rate", pd.Series({1.0: "low"}), "tax rate: holds something that is not a number"),
        ("tax rate", pd.Series({"a": 0.1}), "tax rate: holds something that is not a number"),
        ("world price", pd.Series({0.0: -1.0}), r"world price: is out of range .*0 to 500 USD/t"),
        ("world price table", 5.0, "world price table: a table needs points"),
        ("world price table", pd.Series([1.0, 2.0], index=[3.0, 1.0]),
         r"world price table: the x does not increase \(found: 3\.0 then 1\.0"),
        ("capacity", 5.0, r"capacity: is a stock, the model computes it \(allowed: its initial "
         r"value: initial capacity\)"),
        ("net price", pd.Series({0.0: 1.0}), "net price: is computed by the model .*drivers"),
        ("perceived price", 1.0, "perceived price: is computed by the model"),
        ("TIME STEP", 0.5, "TIME STEP: is a control variable .*time_step, final_time"),
        ("Time", 1.0, "Time: the model small.mdl has no such variable"),
    ],
)
def test_impossible_override(tiny: Tiny, name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_inputs(tiny("small"), {name: value})


def test_the_same_variable_twice(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"Tax_Rate: is set twice \(found: also as 'tax rate'\)"):
        check_inputs(tiny("small"), {"tax rate": 0.1, "Tax_Rate": 0.2})


def test_a_driver_and_its_table(tiny: Tiny) -> None:
    path = pd.Series({0.0: 1.0})
    with pytest.raises(InputError, match="is set together with its table 'world price table'"):
        check_inputs(tiny("small"), {"world price": path, "world price table": path})


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("time_step", 0.1, r"time_step: not a possible time step \(found: 0\.1; allowed: 1, 0\.5"),
        ("time_step", 2.0, "time_step: not a possible time step"),
        ("time_step", 0.0, "time_step: not a possible time step"),
        ("time_step", float("nan"), "time_step: is not a number of years"),
        ("final_time", 0.0, r"final_time: not a possible end \(found: 0\.0; allowed: later than"),
        ("final_time", 10.1, "final_time: .*a whole number of steps of 0.25"),
        ("final_time", "2030", "final_time: is not a number of years"),
        ("save_every", 0.3, "save_every: not a possible saving interval .*multiple of the time"),
        ("save_every", 0.125, "save_every: not a possible saving interval"),
    ],
)
def test_impossible_time_axis(tiny: Tiny, argument: str, value: object, message: str) -> None:
    arguments = {"time_step": None, "final_time": None, "save_every": None, argument: value}
    with pytest.raises(InputError, match=message):
        check_time_axis(tiny("small"), **arguments)


def test_time_axis_comes_from_the_model(tiny: Tiny) -> None:
    axis = check_time_axis(tiny("small"), None, None, None)
    assert (axis.final_time, axis.time_step, axis.save_every, axis.steps) == (10.0, 0.25, 0.25, 40)
