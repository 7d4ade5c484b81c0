"""Arrays in the kernel: states, delays and tables of elements, and order within an array."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError, ModelError
from kuzbass.sd.engine import simulate
from kuzbass.sd.kernel import UnsupportedError, compile_model
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.kernel import KernelResult
    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]

MODELS = Path(__file__).resolve().parents[2] / "models"
DT = 0.25
REGIONS = ("North", "South")
LAG = {"North": 1.0, "South": 2.0}
START = {"North": 3.0, "South": 5.0}


@pytest.fixture(scope="module", params=["llvm", "numpy"])
def run(request: pytest.FixtureRequest) -> Callable[[str], KernelResult]:
    def run_model(name: str) -> KernelResult:
        return compile_model(MODELS / f"{name}.mdl", save_every=None,
                             backend=request.param).run()

    return run_model


def _input(region: str, time: float) -> float:
    if region == "North":
        return 5.0 if time >= 2.0 else 1.0
    return 4.0 if time >= 3.0 else 6.0


def _chain(region: str, order: int, start: float) -> list[float]:
    """Euler's steps of a smooth; with a constant delay time, a delay is the same."""
    found, stages = [], [start] * order
    for step in range(21):
        found.append(stages[-1])
        entering = [_input(region, step * DT), *stages[:-1]]
        stages = [own + DT * order * (new - own) / LAG[region]
                  for own, new in zip(stages, entering, strict=True)]
    return found


def _stock(region: str) -> np.ndarray:
    stock = [START[region]]
    for step in range(20):
        change = _input(region, step * DT) - stock[-1] / LAG[region]
        stock.append(stock[-1] + DT * change)
    return np.array(stock)


@pytest.mark.parametrize("region", REGIONS)
def test_smooths_and_delays(run: Callable[[str], KernelResult], region: str) -> None:
    result = run("array_states")
    first = _input(region, 0.0)
    for name, order, start in (
        ("smooth", 1, first), ("smooth three from", 3, 2.0), ("delay", 1, first),
        ("delay three", 3, first), ("delay three from", 3, START[region]),
    ):
        np.testing.assert_allclose(result[f"{name}[{region}]"][:, 0],
                                   _chain(region, order, start), rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("region", REGIONS)
def test_stocks_and_what_follows_them(run: Callable[[str], KernelResult], region: str) -> None:
    result = run("array_states")
    stock, lag, time = _stock(region), LAG[region], result.time
    entering = np.array([_input(region, moment) for moment in time])
    np.testing.assert_allclose(result[f"stock[{region}]"][:, 0], stock, rtol=1e-14)
    np.testing.assert_array_equal(
        result[f"fixed[{region}]"][:, 0], [START[region]] * 6 + list(entering[:-6]))
    np.testing.assert_allclose(
        result[f"sampled[{region}]"][:, 0],
        np.where(time < lag, stock, stock[int(lag / DT) - 1]), rtol=1e-14)
    np.testing.assert_array_equal(result[f"kept[{region}]"], START[region] + entering[0])
    trends, forecasts = [], []
    average, plain = stock[0] / (1.0 + 0.1 * lag), stock[0]
    for value in stock:
        trends.append((value - average) / (lag * abs(average)))
        forecasts.append(value * (1.0 + (value - plain) / (lag * plain) * 3.0))
        average += DT * (value - average) / lag
        plain += DT * (value - plain) / lag
    np.testing.assert_allclose(result[f"trend[{region}]"][:, 0], trends, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(result[f"forecast[{region}]"][:, 0], forecasts, rtol=1e-13)


def test_states_of_other_shapes(run: Callable[[str], KernelResult]) -> None:
    result = run("array_states")
    for region in REGIONS:
        entered = DT * np.cumsum([0.0, *(_input(region, t) for t in result.time[:-1])])
        for weight, grade in enumerate(("thermal", "coking", "lean"), start=1):
            np.testing.assert_allclose(result[f"flat stock[{region},{grade}]"][:, 0],
                                       weight * entered, rtol=1e-15)
    south = DT * np.cumsum([0.0, *(_input("South", t) for t in result.time[:-1])])
    np.testing.assert_array_equal(result["mixed[North]"][:, 0], 1.0 + south)
    np.testing.assert_array_equal(result["mixed[South]"][:, 0],
                                  [2.0 * _input("North", t) for t in result.time])


def test_active_initial_breaks_a_loop_of_initial_values(
    run: Callable[[str], KernelResult]
) -> None:
    """The follower starts where ACTIVE INITIAL says; then it chases itself plus one."""
    result = run("array_states")
    for region in REGIONS:
        follower = START[region] + DT * np.arange(21) / 2.0
        np.testing.assert_allclose(result[f"follower[{region}]"][:, 0], follower, rtol=1e-14)
        np.testing.assert_allclose(result[f"started[{region}]"][:, 0], follower + 1.0, rtol=1e-14)


def test_tables(run: Callable[[str], KernelResult]) -> None:
    result = run("array_tables")
    expected = {
        "own[North]": 2.0, "own[South]": 3.0, "same x[North]": 3.0, "same x[South]": 1.375,
        "by shared[North]": 3.0, "by shared[South]": 6.0, "by both[North,thermal]": 2.5,
        "by both[South,thermal]": 5.0, "by both[South,coking]": 6.0, "inline[North]": 1.0,
        "inline[South]": 6.0}
    for name, value in expected.items():
        np.testing.assert_array_equal(result[name], value, err_msg=name)
    time = result.time
    np.testing.assert_allclose(result["one of south"][:, 0],
                               np.interp(time, [0.0, 2.0, 5.0], [1.0, 2.0, 5.0]), rtol=1e-15)
    np.testing.assert_allclose(result["value[South]"][:, 0], 3.0 * (1.0 + 0.2 * time), rtol=1e-15)


def test_order_is_that_of_elements(run: Callable[[str], KernelResult]) -> None:
    result = run("array_order")
    time = result.time
    np.testing.assert_array_equal(result["level[first]"][:, 0], time)
    np.testing.assert_array_equal(result["level[second]"][:, 0], 2.0 * time + 1.0)
    np.testing.assert_array_equal(result["level[third]"][:, 0], 4.0 * time + 3.0)
    assert [result[f"stock[{one}]"][0, 0] for one in ("first", "second", "third")] == [1, 2, 4]
    assert result["of one table[third]"][0, 0] == 3.0


def test_pysd_refuses_an_array_that_uses_itself(tiny: Tiny) -> None:
    assert simulate(tiny("array_order")).attrs["engine"].startswith("kernel")
    with pytest.raises(ModelError, match="level -> level: PySD cannot compute an array that uses "
                                         r"its own elements \(allowed: engine 'kernel'\)"):
        simulate(tiny("array_order"), engine="pysd")


def test_functions_of_whole_arrays_are_left_to_pysd(
    tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnsupportedError, match="selected: the kernel does not support VECTOR SEL"):
        compile_model(tiny("array_whole"))
    with caplog.at_level(logging.WARNING):
        run = simulate(tiny("array_whole"), {"weight[South]": 7.0})
    assert "PySD runs array_whole.mdl instead of the kernel" in caplog.text
    np.testing.assert_array_equal(run["selected"], 7.0 + 3.0 + 2.0 * run["time"])


def test_elements_vary_between_runs(tiny: Tiny) -> None:
    model = tiny("array_states")
    draws = np.array([1.0, 2.5, 4.0])
    kernel = compile_model(model, vary=["LAG[north]", "start[South]"], save_every=None)
    result = kernel.run({"lag[North]": draws, "start[South]": np.array([5.0, 6.0, 7.0])})
    for member, lag in enumerate(draws):
        alone = simulate(model, {"lag[North]": lag, "start[South]": 5.0 + member})
        for name in ("stock[North]", "stock[South]", "delay three from[North]"):
            np.testing.assert_array_equal(result[name][:, member], alone[name])
    with pytest.raises(InputError, match=r"lag\[West\]: .*did you mean lag"):
        kernel.run({"lag[West]": 1.0})


def test_a_path_of_one_element(tiny: Tiny) -> None:
    path = pd.Series({0.0: 0.0, 5.0: 10.0})
    run = simulate(tiny("array_tables"), {"price[South]": path}, final_time=5.0)
    np.testing.assert_allclose(run["value[South]"], 6.0 * run["time"], rtol=1e-15)
    np.testing.assert_allclose(run["value[North]"], 0.5 + 0.1 * run["time"], rtol=1e-15)


def test_what_jumps_is_divided_exactly(tmp_path: Path) -> None:
    """One bit less before a whole number would be a whole number less."""
    text = (MODELS / "teacup.mdl").read_text(encoding="utf-8")
    path = tmp_path / "jumps.mdl"
    path.write_text(text.replace("{UTF-8}\n", """{UTF-8}
step=
	1.0
	~	Minute
	~	Made up. Source: assumption.
	|

share=
	10.0 - Time / step / 5.0
	~	Dmnl
	~	Made up. Source: assumption.
	|

jump=
	INTEGER(4.0 / share)
	~	Dmnl
	~	Made up. Source: assumption.
	|

"""), encoding="utf-8")
    model = load_model(path)
    kernel = simulate(model, time_step=1.0, final_time=49.0, engine="kernel")
    exact = [int(4.0 / (10.0 - step / 5.0)) for step in range(50)]
    np.testing.assert_array_equal(kernel["jump"], exact)
