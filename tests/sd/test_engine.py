"""Runs of tiny models with known answers, and what must not change them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from kuzbass.errors import InputError, ModelError
from kuzbass.sd import kernel
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]


def test_decay_follows_the_euler_formula(tiny: Tiny) -> None:
    run = simulate(tiny("teacup"))
    steps = np.arange(run.sizes["time"])
    exact = 70.0 + (180.0 - 70.0) * (1.0 - 0.125 / 10.0) ** steps
    np.testing.assert_allclose(run["temperature"], exact, rtol=1e-13)
    np.testing.assert_array_equal(run["time"], 0.125 * steps)
    assert run.sizes["time"] == 241


def test_dataset_carries_units_and_origin(tiny: Tiny) -> None:
    model = tiny("small")
    run = simulate(model)
    assert list(run.data_vars) == [
        name for name, variable in model.variables.items()
        if variable.kind not in {"lookup", "control"}]
    assert run["net price"].attrs == {"units": "USD/t", "comment": "After tax. Source: definition."}
    assert run["time"].attrs == {"units": "Year"}
    assert run.attrs == {"model": "small.mdl", "model_sha256": model.sha256,
                         "engine": kernel.ENGINE, "time_step": 0.25}
    assert simulate(model, engine="pysd").attrs["engine"] == "PySD 3.14.3"
    assert {run[name].dtype for name in run.data_vars} == {np.dtype("float64")}


def test_mass_is_conserved(tiny: Tiny) -> None:
    run = simulate(tiny("conservation"))
    np.testing.assert_allclose(run["total mass"], 6.5, rtol=1e-13)
    assert float(run["first"][-1]) != pytest.approx(5.0)


def test_third_order_delay(tiny: Tiny) -> None:
    run = simulate(tiny("delay3"))
    stages = np.full(3, 4.0 * 0.5)
    expected = []
    for moment in run["time"].to_numpy():
        outflows = stages / 0.5
        expected.append(outflows[-1])
        inflow = 6.0 if moment >= 2.0 else 4.0
        stages = stages + 0.25 * (np.array([inflow, *outflows[:-1]]) - outflows)
    np.testing.assert_allclose(run["outflow"], expected, rtol=1e-12)
    # What is in the pipe is what has entered and not left.
    entered = np.concatenate([[0.0], np.cumsum(0.25 * (run["inflow"] - run["outflow"]))[:-1]])
    np.testing.assert_allclose(run["content"], 6.0 + entered, rtol=1e-12)


def test_table_is_held_beyond_its_ends(tiny: Tiny) -> None:
    run = simulate(tiny("lookup_clamp"))
    response = run["response"].sel(time=[0.0, 2.0, 3.0, 4.5, 5.0, 6.0, 7.0, 10.0])
    np.testing.assert_allclose(response, [1.0, 1.0, 2.0, 3.25, 3.5, 1.8, 0.1, 0.1], rtol=1e-14)


def test_number_sets_a_constant(tiny: Tiny) -> None:
    run = simulate(tiny("small"), {"Tax_Rate": 1})
    assert float(run["tax rate"][0]) == 1.0
    np.testing.assert_array_equal(run["net price"], 0.0)


def test_number_sets_an_initial_value(tiny: Tiny) -> None:
    run = simulate(tiny("small"), {"initial capacity": 30, "initial perceived price": 100})
    assert float(run["capacity"][0]) == 30.0
    assert float(run["perceived price"][0]) == 100.0
    # An integer override must not truncate the first step of the smooth (see test_pysd_fixes).
    assert float(run["perceived price"][1]) == 100.0 + 0.25 * (48.0 - 100.0) / 2.0


def test_series_sets_a_constant_over_time(tiny: Tiny) -> None:
    run = simulate(tiny("small"), {"tax rate": pd.Series({2: 0, 4: 1})})
    rate = run["tax rate"].sel(time=[0.0, 2.0, 3.0, 3.5, 4.0, 10.0])
    np.testing.assert_array_equal(rate, [0.0, 0.0, 0.5, 0.75, 1.0, 1.0])
    np.testing.assert_array_equal(run["net price"], run["world price"] * (1.0 - run["tax rate"]))


def test_series_sets_a_driver(tiny: Tiny) -> None:
    run = simulate(tiny("small"), {"world price": pd.Series([50.0, 90.0], index=[0.0, 10.0])})
    np.testing.assert_allclose(run["world price"], 50.0 + 4.0 * run["time"], rtol=1e-14)
    held = simulate(tiny("small"), {"world price": 75})
    np.testing.assert_array_equal(held["world price"], 75.0)


def test_series_sets_a_table(tiny: Tiny) -> None:
    points = pd.Series({0: 10, 10: 30})
    by_table = simulate(tiny("small"), {"world price table": points})
    by_driver = simulate(tiny("small"), {"world price": points})
    np.testing.assert_array_equal(by_table["world price"], 10.0 + 2.0 * by_table["time"])
    xr.testing.assert_identical(by_table, by_driver)


def test_an_override_equal_to_the_model_changes_no_bit(tiny: Tiny) -> None:
    model = tiny("small")
    table = model.curves()["world price table"]
    same = {"tax rate": 0.2, "world price": pd.Series(table.y, index=table.x)}
    xr.testing.assert_identical(simulate(model, same), simulate(model))


def test_no_override_reaches_the_next_run(tiny: Tiny, edited: Edit) -> None:
    model = tiny("small")
    changes = {"tax rate": 0.9, "initial capacity": 50.0,
               "world price": pd.Series({0.0: 1.0, 9.0: 2.0}),
               "effect of price table": pd.Series({0.0: 2.0, 5.0: 9.0})}
    changed = simulate(model, changes, time_step=0.125, final_time=5.0)
    assert float(changed["capacity"][-1]) != pytest.approx(50.0)
    after = simulate(model)
    # The same text in another file: loaded and translated anew.
    fresh = simulate(load_model(edited("{UTF-8}", "{UTF-8}")))
    xr.testing.assert_equal(after, fresh)
    assert after.attrs["time_step"] == 0.25


def test_time_axis(tiny: Tiny) -> None:
    run = simulate(tiny("small"), time_step=0.125, final_time=12.0, save_every=0.5,
                   outputs=["CAPACITY", "tax_rate", "capacity"])
    np.testing.assert_array_equal(run["time"], np.arange(0.0, 12.5, 0.5))
    assert list(run.data_vars) == ["capacity", "tax rate"]
    assert run.attrs["time_step"] == 0.125
    every = simulate(tiny("small"), time_step=0.125, final_time=12.0)
    np.testing.assert_array_equal(run["capacity"], every["capacity"][::4])


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (["capacty"], r"capacty: the model small\.mdl has no such variable .*did you mean capac"),
        (["world price table"], "world price table: a lookup has no path over time"),
        (["TIME STEP"], "TIME STEP: a control has no path over time"),
    ],
)
def test_impossible_output(tiny: Tiny, outputs: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate(tiny("small"), outputs=outputs)


def test_division_by_zero_names_the_variable(edited: Edit) -> None:
    model = load_model(edited("world price * (1.0 - tax rate)",
                              "world price / (IF THEN ELSE(Time > 3.0 * one year, 0.0, 1.0))"))
    with pytest.raises(ModelError,
                       match=r"net price: cannot be computed at time 3\.25: .*division by zero"):
        simulate(model)


def test_division_by_zero_inside_a_state_names_its_owner(edited: Edit) -> None:
    model = load_model(edited("SMOOTHI(net price,", "SMOOTHI(net price / (1.0 - tax rate),"))
    with pytest.raises(ModelError, match=r"perceived price: cannot be computed at time 0\.0: "):
        simulate(model, {"tax rate": 1.0})


def test_the_first_variable_that_is_not_finite_is_named(edited: Edit) -> None:
    model = load_model(edited("world price * (1.0 - tax rate)",
                              "LN(8.0 - Time / one year) * world price"))
    with pytest.raises(ModelError, match=r"net price: is not finite from time 8\.0 .*-inf"):
        simulate(model)


def test_a_complex_number_is_refused(edited: Edit) -> None:
    model = load_model(edited("world price * (1.0 - tax rate)", "(3.0 - Time / one year) ^ 0.5"))
    with pytest.raises(ModelError, match=r"(net|perceived) price: .*(real number|complex)"):
        simulate(model)


def test_a_delay_too_short_for_the_step_is_refused(tiny: Tiny) -> None:
    model = tiny("delay3")
    with pytest.raises(ModelError, match=r"outflow: the delay time is too short .*"
                                         r"found: 1\.5; allowed: at least 3 time steps = 3\.0"):
        simulate(model, time_step=1.0)
    assert simulate(model, time_step=0.5).sizes["time"] == 21


def test_a_run_of_the_shipped_size_takes_less_than_three_seconds(large_model: Model) -> None:
    times = []
    for _ in range(2):
        start = time.perf_counter()
        run = simulate(large_model)
        times.append(time.perf_counter() - start)
    assert run.sizes["time"] == 577
    assert len(run.data_vars) > 300
    assert min(times) < 3.0
