"""The kernel against the reference engine, its order of integration, and the choice of engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError, ModelError
from kuzbass.paths import model_path
from kuzbass.sd import kernel
from kuzbass.sd.engine import simulate
from kuzbass.sd.graph import drivers
from kuzbass.sd.kernel import UnsupportedError, compile_model, verify
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load_model(model_path())


def _constants(model: Model, rng: np.random.Generator) -> dict[str, float]:
    """Return every constant within a tenth of its value and within its range."""
    inputs = {}
    for name, variable in model.variables.items():
        if variable.kind != "constant":
            continue
        value = float(model.equations[name].ast)
        low, high = sorted((0.9 * value, 1.1 * value))
        low = max(low, -np.inf if variable.lower is None else variable.lower)
        high = min(high, np.inf if variable.upper is None else variable.upper)
        if low < high:
            inputs[name] = rng.uniform(low, high)
    return inputs


def _draw(model: Model, rng: np.random.Generator) -> dict[str, float | pd.Series]:
    """Return changed constants, and every driver moved, half of them through their tables."""
    inputs: dict[str, float | pd.Series] = {**_constants(model, rng)}
    outside = drivers(model)
    for name, curve in model.curves().items():
        driver = next((driver for driver in outside if driver == name.removesuffix(" table")), None)
        bounds = model.variables[driver] if driver else model.variables[name]
        moved = curve.y * rng.uniform(0.9, 1.1)
        moved = np.clip(moved, bounds.lower, bounds.upper)
        if driver is not None and rng.random() < 0.5:
            inputs[driver] = pd.Series(moved[::5], index=curve.x[::5])
        else:
            inputs[name] = pd.Series(moved, index=curve.x)
    return inputs


def test_shipped_model_equals_the_reference(shipped: Model) -> None:
    found = verify.verify(shipped, time_step=0.125, final_time=2012.0)
    assert len(found) > 300
    assert found.iloc[0] <= verify.TOLERANCE


def _compare_draws(model: Model, count: int, **axis: float) -> None:
    rng = np.random.default_rng(20260726)
    for _ in range(count):
        inputs = _draw(model, rng)
        reference = simulate(model, inputs, engine="pysd", **axis)
        run = simulate(model, inputs, engine="kernel", **axis)
        found = verify.differences(model, run, reference)
        assert found.iloc[0] <= verify.TOLERANCE, found.head()


def test_draws_of_all_parameters_equal_the_reference(shipped: Model) -> None:
    _compare_draws(shipped, 2, time_step=0.125, final_time=2004.0)


@pytest.mark.slow
def test_many_draws_of_all_parameters_equal_the_reference(shipped: Model) -> None:
    _compare_draws(shipped, 20, time_step=0.125, final_time=2036.0)


@pytest.mark.slow
def test_shipped_model_equals_the_reference_at_its_own_step(shipped: Model) -> None:
    assert verify.verify(shipped).iloc[0] <= verify.TOLERANCE


def test_an_ensemble_equals_single_runs_of_the_reference(shipped: Model) -> None:
    rng = np.random.default_rng(3)
    draws = [_constants(shipped, rng) for _ in range(11)]
    values = {name: np.array([draw[name] for draw in draws]) for name in draws[0]}
    axis = {"time_step": 0.125, "final_time": 2003.0}
    result = compile_model(shipped, vary=values, save_every=1.0, **axis).run(values)
    for member in (0, 10):
        reference = simulate(shipped, draws[member], engine="pysd", save_every=1.0, **axis)
        run = reference.assign(
            {name: ("time", result[name][:, member]) for name in result.names})
        assert verify.differences(shipped, run, reference).iloc[0] <= verify.TOLERANCE


def test_a_disagreement_is_refused_by_name(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: Model, inputs: object, *, engine: str, **axis: object) -> object:
        run = simulate(model, engine="pysd")
        if engine == "kernel":
            run["net price"] = run["net price"] * (1.0 + 1e-9)
        return run

    monkeypatch.setattr(verify, "simulate", wrong)
    with pytest.raises(ModelError, match="net price: the kernel and the reference engine disagree"):
        verify.verify(tiny("small"))


def test_verify_runs_the_reference_once(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUZBASS_CACHE", str(tmp_path))
    calls = []
    original = verify.verify

    def record(model: Model, **axis: float) -> pd.Series:
        calls.append(axis)
        return original(model, **axis)

    monkeypatch.setattr(verify, "verify", record)
    compile_model(tiny("small"), verify=True)
    compile_model(tiny("small"), outputs=["capacity"], verify=True)
    assert calls == [{"time_step": 0.25, "final_time": 10.0}]


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
def test_order_of_integration(tiny: Tiny, backend: str) -> None:
    """Halving the step divides the error by 2 (Euler) and by 16 (RK4)."""
    exact = 70.0 + 110.0 * np.exp(-30.0 / 10.0)

    def error(method: str, step: float) -> float:
        result = compile_model(tiny("teacup"), time_step=step, method=method,
                               backend=backend).run()
        return abs(float(result["temperature"][-1, 0]) - exact)

    assert error("euler", 0.25) / error("euler", 0.125) == pytest.approx(2.0, rel=0.02)
    assert error("rk4", 0.5) / error("rk4", 0.25) == pytest.approx(16.0, rel=0.05)
    assert error("rk4", 0.25) < 1e-7


def test_rk4_reads_paths_and_series_in_the_middle_of_a_step(tiny: Tiny) -> None:
    """RK4 integrates a cubic exactly, if it sees time at the middle of the step."""
    model = tiny("small")
    results = [compile_model(model, vary=["tax rate"], method="rk4", save_every=None,
                             time_step=0.5, backend=backend).run(
                   {"tax rate": np.linspace(0.1, 0.5, 21)[None, :]})
               for backend in ("llvm", "numpy")]
    np.testing.assert_allclose(results[0].values, results[1].values, rtol=1e-14)
    fine = compile_model(model, vary=["tax rate"], method="rk4", save_every=0.5,
                         time_step=0.0625).run({"tax rate": pd.Series({0.0: 0.1, 10.0: 0.5})})
    np.testing.assert_allclose(results[0]["capacity"], fine["capacity"], rtol=2e-5)


def test_rk4_refuses_states_without_a_rate(tiny: Tiny) -> None:
    with pytest.raises(UnsupportedError, match=r"(fixed|sampled): RK4 cannot integrate"):
        compile_model(tiny("stateful"), method="rk4")


def test_auto_takes_the_kernel(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    assert simulate(tiny("small")).attrs["engine"] == kernel.ENGINE
    assert caplog.records == []


def test_auto_falls_back_and_says_why(edited: Edit, caplog: pytest.LogCaptureFixture) -> None:
    model = load_model(edited("capacity * net price", "capacity * ARCTAN(net price)"))
    with caplog.at_level(logging.WARNING):
        run = simulate(model)
    assert run.attrs["engine"].startswith("PySD")
    assert "revenue: the kernel does not support ARCTAN" in caplog.text
    with pytest.raises(UnsupportedError, match="revenue: the kernel does not support ARCTAN"):
        simulate(model, engine="kernel")


def test_auto_falls_back_for_an_input_of_a_fixed_delay(
    tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny("stateful")
    assert simulate(model, {"height": 5.0}).attrs["engine"] == kernel.ENGINE
    changed = simulate(model, {"one year": 2.0})
    assert changed.attrs["engine"].startswith("PySD")
    assert "one year: the kernel does not support a change of it" in caplog.text


def test_the_kernel_refuses_what_is_not_finite(edited: Edit) -> None:
    model = load_model(edited("world price * (1.0 - tax rate)",
                              "LN(8.0 - Time / one year) * world price"))
    with pytest.raises(ModelError, match=r"net price: is not finite from time 8\.0 .*-inf"):
        simulate(model, engine="kernel")


def test_unknown_engine(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"engine: not an engine \(found: vensim"):
        simulate(tiny("small"), engine="vensim")
