"""Runs of a kernel: inputs of every kind, threads, streams, bad members and bad input."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import llvmlite.binding as llvm
import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError, ModelError
from kuzbass.sd.engine import simulate
from kuzbass.sd.kernel import Kernel, NonFinite, UnsupportedError, compile_model, machine
from kuzbass.sd.mdl import Model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.kernel import KernelResult

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]

VARY = ("tax rate", "initial capacity", "world price", "world price table",
        "effect of price table", "perception time")
RNG = np.random.default_rng(7)


def _all(result: KernelResult) -> np.ndarray:
    return result.values


@pytest.fixture(scope="module")
def kernel(tiny: Tiny) -> Kernel:
    return compile_model(tiny("small"), vary=VARY, save_every=None)


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
def test_every_kind_of_input_as_the_reference_has_it(tiny: Tiny, backend: str) -> None:
    model = tiny("small")
    inputs = [
        {"tax rate": 0.35, "initial capacity": 20.0},
        {"tax rate": pd.Series({2.0: 0.1, 7.0: 0.9})},
        {"world price": pd.Series({0.0: 50.0, 10.0: 90.0})}, {"world price": 75.0},
        {"world price table": pd.Series({1.0: 50.0, 4.0: 150.0, 6.0: 80.0})},
        {"effect of price table": pd.Series({0.0: 0.1, 0.5: 0.9, 1.0: 0.8, 3.0: 2.0})},
        {"perception time": pd.Series({0.0: 1.0, 10.0: 4.0})},
    ]
    kernel = compile_model(model, vary=VARY, save_every=None, backend=backend)
    for chosen in inputs:
        result = kernel.run(chosen)
        reference = simulate(model, chosen, engine="pysd")
        for name in kernel.names:
            scale = float(np.abs(reference[name]).max())
            np.testing.assert_allclose(result[name][:, 0], reference[name], rtol=0,
                                       atol=1e-14 * scale, err_msg=name)


def test_per_run_values_equal_single_runs(kernel: Kernel) -> None:
    n, steps = 21, 40
    paths = RNG.uniform(20.0, 200.0, (n, steps + 1))
    tables = np.sort(RNG.uniform(0.0, 2.0, (n, 3)))
    values = {"tax rate": np.linspace(0.0, 0.5, n), "world price": paths,
              "effect of price table": tables, "initial capacity": 12.0}
    whole = kernel.run(values)
    assert _all(whole).shape == (41, len(kernel.names), n)
    for member in (0, 7, 8, 20):
        alone = kernel.run({
            "tax rate": float(values["tax rate"][member]), "world price": paths[[member]],
            "effect of price table": tables[member], "initial capacity": 12.0})
        np.testing.assert_array_equal(_all(alone)[:, :, 0], _all(whole)[:, :, member])


def test_a_table_per_run_reaches_the_driver_that_reads_it(tiny: Tiny) -> None:
    model = tiny("small")
    points = np.array([[60.0, 110.0, 80.0], [10.0, 20.0, 30.0]])
    for vary in (["world price table"], ["world price table", "world price"]):
        result = compile_model(model, vary=vary, save_every=None).run(
            {"world price table": points})
        np.testing.assert_allclose(result["world price"][:, 1], 10.0 + 2.0 * result.time)
        np.testing.assert_array_equal(result["world price"][:, 0],
                                      compile_model(model, save_every=None).run()[
                                          "world price"][:, 0])


def test_number_of_runs_and_threads_change_no_bit(kernel: Kernel) -> None:
    n = 1003
    values = {"tax rate": RNG.uniform(0.0, 1.0, n),
              "perception time": RNG.uniform(0.5, 9.0, n)}
    whole = kernel.run(values, threads=1)
    np.testing.assert_array_equal(_all(kernel.run(values, threads=2)), _all(whole))
    np.testing.assert_array_equal(_all(kernel.run(values, threads=5)), _all(whole))
    some = {name: value[500:513] for name, value in values.items()}
    np.testing.assert_array_equal(_all(kernel.run(some)), _all(whole)[:, :, 500:513])


def test_what_varies_and_what_is_returned_change_no_bit(kernel: Kernel, tiny: Tiny) -> None:
    values = {"tax rate": np.array([0.1, 0.4])}
    whole = kernel.run(values)
    few = compile_model(tiny("small"), vary=["tax rate"], outputs=["revenue"], save_every=2.0)
    np.testing.assert_array_equal(few.run(values)["revenue"], whole["revenue"][::8])
    moving = compile_model(tiny("small"), vary=None, moving=None, save_every=None)
    np.testing.assert_array_equal(_all(moving.run(values)), _all(whole))


def test_the_instruction_set_changes_no_bit(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    features = llvm.get_host_cpu_features()
    if not (features.get("avx2") and features.get("fma")):
        pytest.skip("this processor has no AVX2")
    model = tiny("functions")
    values = {"half": np.linspace(0.1, 2.0, 13)}
    own = compile_model(model, vary=["half"], save_every=None).run(values)
    narrow = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu="haswell", opt=2, reloc="pic", codemodel="small", jit=True)
    monkeypatch.setattr(machine, "_target", lambda: narrow)
    monkeypatch.setattr(machine, "features", lambda: "haswell")
    monkeypatch.setenv("KUZBASS_CACHE", str(tmp_path))  # the cache holds code for this machine
    other = compile_model(model, vary=["half"], save_every=None).run(values)
    np.testing.assert_array_equal(_all(other), _all(own))


def test_a_stream_is_the_run_in_parts(kernel: Kernel) -> None:
    values = {"tax rate": RNG.uniform(0.0, 1.0, 50), "initial capacity": 30.0}
    parts = list(kernel.stream(values, chunk=16))
    assert [part.first for part in parts] == [0, 16, 32, 48]
    np.testing.assert_array_equal(np.concatenate([_all(part) for part in parts], axis=2),
                                  _all(kernel.run(values)))


def test_runs_without_inputs(kernel: Kernel) -> None:
    result = kernel.run(n=3)
    assert _all(result).shape[2] == 3
    np.testing.assert_array_equal(_all(result)[:, :, 0], _all(result)[:, :, 2])


def test_a_kernel_travels(kernel: Kernel) -> None:
    values = {"tax rate": np.linspace(0.0, 1.0, 9)}
    copy = pickle.loads(pickle.dumps(kernel))
    assert copy.names == kernel.names
    np.testing.assert_array_equal(_all(copy.run(values)), _all(kernel.run(values)))


def test_bad_members_are_reported_and_the_others_are_not_touched(edited: Edit) -> None:
    path = edited("world price * (1.0 - tax rate)",
                  "LN(tax rate * 10.0 - Time / one year) * world price")
    kernel = compile_model(path, vary=["tax rate"], outputs=["capacity"], save_every=None)
    result = kernel.run({"tax rate": np.array([0.9, 1.0, 0.3, 1.0])})
    # The price of members 1 and 3 goes bad at the very end, where no state hears of it any more.
    assert result.nonfinite == (NonFinite(0, "net price", 9.0), NonFinite(2, "net price", 3.0))
    untraced = kernel.run({"tax rate": np.array([0.9, 1.0, 0.3, 1.0])}, trace=False)
    assert untraced.nonfinite == (NonFinite(0, None, None), NonFinite(2, None, None))
    good = kernel.run({"tax rate": 1.0})
    assert good.nonfinite == ()
    np.testing.assert_array_equal(_all(result)[:, :, [1, 3]],
                                  np.repeat(_all(good), 2, axis=2))


def test_a_bad_state_is_reported_though_no_output_shows_it(edited: Edit) -> None:
    path = edited("capacity / life of capacity\n\t~\tMt/Year/Year\n\t~\tFirst",
                  "capacity / (Time / one year - 5.0)\n\t~\tMt/Year/Year\n\t~\tFirst")
    kernel = compile_model(path, outputs=["net price", "capacity"], save_every=5.0)
    result = kernel.run(n=2)
    assert [(bad.variable, bad.time) for bad in result.nonfinite] == [("closing", 5.0)] * 2
    many = compile_model(path, outputs=["capacity"]).run(n=70)
    assert [bad.variable for bad in many.nonfinite] == ["closing"] * 64 + [None] * 6


def test_a_delay_too_short_for_the_step_is_not_finite(tiny: Tiny) -> None:
    kernel = compile_model(tiny("delay3"), vary=["transit time"], time_step=0.5)
    result = kernel.run({"transit time": np.array([1.25, 1.5, 2.0])})
    assert [(bad.member, bad.variable) for bad in result.nonfinite] == [(0, "outflow")]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tax rat": 0.1}, r"tax rat: the model small.mdl has no such variable .*tax rate\?"),
        ({"reference price": 90.0}, r"reference price: is not an input of this kernel .*tax rate"),
        ({"tax rate": np.array([0.1, np.nan])}, r"tax rate: is not finite \(found: nan"),
        ({"tax rate": np.inf}, "tax rate: is not finite"),
        ({"tax rate": np.array([0.1, 1.5])}, r"out of range \(found: 1\.5; allowed: 0 to 1 Dmnl"),
        ({"tax rate": "0.1"}, r"tax rate: is not a number \(found: str"),
        ({"tax rate": True}, "tax rate: is not a number"),
        ({"tax rate": np.array(["a"])}, "tax rate: is not a number"),
        ({"tax rate": np.zeros((2, 7))}, r"wrong shape \(found: \(2, 7\).*\(runs, 41\)"),
        ({"tax rate": np.zeros(3), "initial capacity": np.full(4, 2.0)},
         r"initial capacity: has another number of runs .*found: 4; allowed: 3"),
        ({"tax rate": np.zeros(0)}, "tax rate: not a possible number of runs"),
        ({"tax rate": pd.Series({2.0: 0.1, 1.0: 0.2})}, "tax rate: the time does not increase"),
        ({"tax rate": pd.Series([], dtype=float)}, "tax rate: the series is empty"),
        ({"tax rate": pd.Series({np.nan: 0.2})}, "tax rate: the time of a point is not finite"),
        ({"world price table": pd.Series([1.0, 2.0], index=[1.0, 1.0])},
         r"world price table: the x does not increase \(found: 1\.0 then 1\.0"),
        ({"world price table": np.zeros((2, 4))}, r"wrong shape \(found: \(2, 4\).*\(runs, 3\)"),
        ({"world price table": 3.0}, "world price table: has the wrong shape"),
        ({"tax rate": 0.1, "Tax_Rate": 0.2}, "Tax_Rate: is set twice"),
    ],
)
def test_impossible_value(kernel: Kernel, values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kernel.run(values)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"n": 0}, "n: not a possible number of runs"),
    ({"threads": 0}, "threads: not a possible number of threads"),
])
def test_impossible_run(kernel: Kernel, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kernel.run(**arguments)
    with pytest.raises(InputError, match="chunk: not a possible number of runs"):
        next(kernel.stream(chunk=0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vary": ["tax"]}, "tax: the model small.mdl has no such variable"),
        ({"vary": ["net price"]}, "net price: is computed by the model .*drivers"),
        ({"vary": ["capacity"]}, "capacity: is computed by the model"),
        ({"vary": ["TIME STEP"]}, "TIME STEP: is a control variable"),
        ({"moving": ["tax rate"]}, "tax rate: cannot be moving"),
        ({"outputs": ["world price table"]}, "world price table: a lookup has no path over time"),
        ({"outputs": []}, "outputs: no output"),
        ({"time_step": 0.1}, "time_step: not a possible time step"),
        ({"final_time": -1.0}, "final_time: not a possible end"),
        ({"save_every": 0.3}, "save_every: not a possible saving interval"),
        ({"method": "rk2"}, r"method: not a possible choice \(found: rk2; allowed: euler or rk4"),
        ({"backend": "fortran"}, "backend: not a possible choice"),
    ],
)
def test_impossible_kernel(tiny: Tiny, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compile_model(tiny("small"), **arguments)


@pytest.mark.filterwarnings("ignore:_delayfixed_revenue:UserWarning")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("world price * (1.0 - tax rate)", "world price * (1.0 - tax rate) + RANDOM UNIFORM("
         "0.0, 1.0, 1.0) * world price", "net price: .* not support RANDOM UNIFORM"),
        ("SMOOTHI(net price, perception time, initial perceived price)",
         "DELAY N(net price, perception time, initial perceived price, 2)",
         "perceived price: .* not support DELAY N"),
        ("capacity * net price", "capacity * net price * ARCTAN(tax rate)",
         "revenue: the kernel does not support ARCTAN"),
        ("capacity * net price", "DELAY FIXED(capacity * net price, tax rate * one year, 0.0)",
         r"revenue: a DELAY FIXED is not a whole number of steps \(found: 0\.3"),
    ],
)
def test_unsupported_construct_is_named(
    edited: Edit, old: str, new: str, message: str
) -> None:
    path = edited(old, new)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("tax rate=\n\t0.2", "tax rate=\n\t0.3"), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=message):
        compile_model(path)


def test_a_fixed_delay_may_not_differ_between_runs(edited: Edit) -> None:
    path = edited("capacity * net price", "DELAY FIXED(net price, perception time, 0.0)")
    with pytest.raises(UnsupportedError, match=r"revenue: .*DELAY FIXED whose time may differ"):
        compile_model(path, vary=["perception time"])
    assert "perception time" not in compile_model(path, vary=None).vary


def test_the_model_itself_is_checked(edited: Edit) -> None:
    path = edited("1.0 - tax rate", "1.0 - revenue / (capacity * net price)")
    with pytest.raises(ModelError, match="algebraic loop"):
        compile_model(path)


def test_unknown_output_of_a_result(kernel: Kernel) -> None:
    with pytest.raises(InputError, match="profit: is not among the outputs"):
        kernel.run()["profit"]
