"""Every supported function against its definition, in both printers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.sd.kernel import compile_model
from kuzbass.sd.kernel.verify import verify
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.kernel import KernelResult

MODELS = Path(__file__).resolve().parents[2] / "models"
DT = 0.25

# Of x = time - 2, on time 0, 0.25 ... 10.
ALGEBRA: dict[str, Callable[[float], float]] = {
    "sum": lambda x: x + 2.5,
    "product": lambda x: 1.5 * x,
    "quotient chain": lambda _: 2.0,
    "negative": lambda x: -2.0 * x,
    "raised": lambda x: (x + 3.0) ** 1.5,
    "square": lambda x: (x - 1.0) ** 2.0,
    "cube": lambda x: (x - 1.0) ** 3.0,
    "root power": lambda x: math.sqrt(x + 2.0),
    "inverse power": lambda x: 1.0 / (x + 3.0),
    "power function": lambda x: (x + 3.0) ** 2.5,
    "less": lambda x: 1.0 if x < 0 else 2.0,
    "at most": lambda x: 1.0 if x <= 0 else 2.0,
    "more": lambda x: 1.0 if x > 0 else 2.0,
    "at least": lambda x: 1.0 if x >= 0 else 2.0,
    "equal": lambda x: 1.0 if x == 1 else 2.0,
    "unequal": lambda x: 1.0 if x != 1 else 2.0,
    "both": lambda x: float(0 < x < 3),
    "either": lambda x: float(x < 0 or x > 3),
    "neither": lambda x: float(0 <= x <= 3),
    "number as condition": lambda x: float(x != 0),
    "condition as number": lambda x: 4.0 if x > 0 else 1.0,
    "smaller": lambda x: min(x, 1.0 - x),
    "larger": lambda x: max(x, 1.0),
    "size": abs,
    "exponential": lambda x: math.exp(x / 2.0),
    "logarithm": lambda x: math.log(x + 3.0),
    "logarithm to base": lambda x: math.log10(x + 3.0),
    "root": lambda x: math.sqrt(x + 2.0),
    "sine": lambda x: math.sin(3.0 * x),
    "cosine": lambda x: math.cos(3.0 * x),
    "whole": lambda x: float(math.trunc(1.5 * x)),
    "rest": lambda x: math.fmod(x, 1.5),
    "rounded": lambda x: 0.75 * math.trunc(x / 0.75),
    "rounded to nothing": lambda x: x,
    "safe ratio": lambda x: 1.0 / x if x else 7.0,
    "safe ratio or zero": lambda x: 2.0 / x if x else 0.0,
    "play": lambda x: x + 1.0,
    "response": lambda x: 1.0 if x <= -1 else 3.0 + 2.0 * x if x < 0 else max(3.0 - x / 2, 2.0),
    "flat": lambda _: 5.0,
    "inline": lambda x: min(max(2.0 * x, 0.0), 8.0),
    "step up": lambda x: 3.0 if x + 2 >= 4 else 0.0,
    # From half a step before: 4.1 lies between 4.0 and 4.25.
    "step between": lambda x: 3.0 if x + 2 >= 4 else 0.0,
    "sloping": lambda x: 2.0 * (min(max(x + 2, 3.0), 6.0) - 3.0),
    "endless ramp": lambda x: 2.0 * (max(x + 2, 3.0) - 3.0),
    "one pulse": lambda x: float(2.0 <= x + 2 < 3.5),
    # Three years apart, half a year wide, from year 1, none starts after year 8.
    "train": lambda x: float(x + 2 in {1.0, 1.25, 4.0, 4.25, 7.0, 7.25}),
}


@pytest.fixture(scope="module", params=["llvm", "numpy"])
def run(request: pytest.FixtureRequest) -> Callable[[str], KernelResult]:
    def run_model(name: str) -> KernelResult:
        kernel = compile_model(MODELS / f"{name}.mdl", save_every=None, backend=request.param)
        return kernel.run()

    return run_model


@pytest.mark.parametrize("name", ALGEBRA)
def test_function(run: Callable[[str], KernelResult], name: str) -> None:
    result = run("functions")
    exact = [ALGEBRA[name](time - 2.0) for time in result.time]
    np.testing.assert_allclose(result[name][:, 0], exact, rtol=2e-15, atol=4e-15)


def test_all_functions_are_tested(run: Callable[[str], KernelResult]) -> None:
    assert {*run("functions").names} == {"one year", "x", "half", *ALGEBRA}


def _input(time: float) -> float:
    return 5.0 if time >= 2.0 else 1.0


def _chain(order: int, start: float, *, delay: bool) -> list[float]:
    """Euler's steps of a smooth or delay of time 2, an average chain of `order` stages."""
    found, stages = [], [start] * order
    for step in range(41):
        found.append(stages[-1])
        entering = [_input(step * DT), *stages[:-1]]
        stages = [own + DT * order * (new - own) / 2.0
                  for own, new in zip(stages, entering, strict=True)]
    return found


# With a constant delay time, DELAY and SMOOTH of one order are the same.
CHAINS = {
    "smooth": (1, 1.0), "smooth from": (1, 0.5), "smooth three": (3, 1.0),
    "smooth three from": (3, 0.5), "smooth n": (3, 0.5), "delay": (1, 1.0), "delay from": (1, 0.5),
    "delay three": (3, 1.0), "delay three from": (3, 0.5),
}


@pytest.mark.parametrize("name", CHAINS)
def test_smooths_and_delays(run: Callable[[str], KernelResult], name: str) -> None:
    order, start = CHAINS[name]
    exact = _chain(order, start, delay=name.startswith("delay"))
    np.testing.assert_allclose(run("stateful")[name][:, 0], exact, rtol=1e-14)


def _stock() -> list[float]:
    stock = [3.0]
    for step in range(40):
        stock.append(stock[-1] + DT * (_input(step * DT) - stock[-1] / 2.0))
    return stock


def test_a_stock(run: Callable[[str], KernelResult]) -> None:
    np.testing.assert_allclose(run("stateful")["stock"][:, 0], _stock(), rtol=1e-14)


def test_a_fixed_delay_is_a_pure_lag(run: Callable[[str], KernelResult]) -> None:
    result = run("stateful")
    first = [0.25] * 6 + [_input(time) for time in result.time[:-6]]
    np.testing.assert_array_equal(result["fixed"][:, 0], first)
    np.testing.assert_array_equal(result["fixed of fixed"][:, 0], [0.75] * 2 + first[:-2])
    # As in PySD, no delay at all is one step.
    np.testing.assert_array_equal(result["fixed of nothing"][:, 0],
                                  [9.0] + [_input(time) for time in result.time[:-1]])


def test_trend_and_forecast(run: Callable[[str], KernelResult]) -> None:
    result = run("stateful")
    trends, forecasts = [], []
    average, plain = 3.0 / 1.2, 3.0
    for value in _stock():
        trends.append((value - average) / (2.0 * abs(average)))
        forecasts.append(value * (1.0 + (value - plain) / (2.0 * plain) * 3.0))
        average += DT * (value - average) / 2.0
        plain += DT * (value - plain) / 2.0
    np.testing.assert_allclose(result["trend"][:, 0], trends, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(result["forecast"][:, 0], forecasts, rtol=1e-13)


def test_sampled_initial_and_active_initial(run: Callable[[str], KernelResult]) -> None:
    result = run("stateful")
    stock = result["stock"][:, 0]
    held = np.where(result.time < 2.9, 7.0, np.where(result.time > 4.1, stock[16], stock))
    np.testing.assert_array_equal(result["sampled"][:, 0], held)
    np.testing.assert_array_equal(result["kept"], 4.0)
    np.testing.assert_array_equal(result["started"][:, 0], [2.0 * _input(t) for t in result.time])
    np.testing.assert_array_equal(result["start from active"], 100.0)
    np.testing.assert_allclose(result["inside"], 1.0 + 2.0 * result["smooth from"], rtol=1e-15)


def test_traps(run: Callable[[str], KernelResult]) -> None:
    """Where engines differ: the kernel follows PySD, and its cures."""
    result = run("traps")
    time = result.time
    np.testing.assert_array_equal(result["signed base"], -4.0)
    np.testing.assert_array_equal(result["minus power"], -4.0)
    np.testing.assert_allclose(result["tower"], 512.0, rtol=1e-15)
    np.testing.assert_array_equal(result["empty pulse"], 0.0)
    np.testing.assert_array_equal(result["clamped"][:, 0], np.clip(time - 1.0, 1.0, 3.0))
    guarded = [6.0 / (t - 3.0) if t > 3 else 0.0 for t in time]
    np.testing.assert_allclose(result["guarded"][:, 0], guarded, rtol=1e-15)
    assert result["whole start"][1, 0] == DT * 0.7 / 2.0
    # From the right: x < 1 :AND: (x > 5 :OR: x > 2) never holds.
    np.testing.assert_array_equal(result["mixed logic"], 0.0)
    fed_back = [2.0] * 3
    for t in time[:-3]:
        fed_back.append(fed_back[round(t / DT)] * 0.5 + t)
    np.testing.assert_array_equal(result["fed back"][:, 0], fed_back)
    assert result["varying time"][0, 0] == pytest.approx(3.0, rel=1e-15)


def test_a_fixed_delay_does_not_depend_on_the_outputs() -> None:
    whole = compile_model(MODELS / "traps.mdl", save_every=None).run()
    alone = compile_model(MODELS / "traps.mdl", save_every=None, outputs=["fed back"]).run()
    np.testing.assert_array_equal(alone["fed back"], whole["fed back"])


@pytest.mark.parametrize("name", ["functions", "stateful", "traps", "small", "teacup", "delay3",
                                  "lookup_clamp", "smooth_integer", "conservation"])
def test_the_reference_engine_agrees(name: str) -> None:
    found = verify(load_model(MODELS / f"{name}.mdl"))
    assert found.iloc[0] < 5e-15


def test_saved_times_follow_the_start_not_the_calendar(tmp_path: Path) -> None:
    text = (MODELS / "teacup.mdl").read_text(encoding="utf-8")
    path = tmp_path / "late.mdl"
    path.write_text(text.replace("INITIAL TIME=\n\t0.0", "INITIAL TIME=\n\t0.375"),
                    encoding="utf-8")
    every = compile_model(path, save_every=None).run()
    result = compile_model(path, save_every=2.0).run()
    np.testing.assert_array_equal(result.time, 0.375 + 2.0 * np.arange(len(result.time)))
    np.testing.assert_array_equal(result["temperature"], every["temperature"][::16])
