"""``kuzbass run-model``: any model, once or for every line of a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.cli import main
from kuzbass.errors import InputError
from kuzbass.experiments.run_model import read_params, run_model
from kuzbass.sd import pysd_fixes
from kuzbass.sd.engine import simulate
from kuzbass.sd.kernel import ENGINE
from kuzbass.sd.mdl import load_model

MODELS = Path(__file__).resolve().parents[1] / "models"
SMALL = MODELS / "small.mdl"


def command(*args: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["run-model", *map(str, args)])
    return int(caught.value.code or 0)


def test_alone_it_writes_every_variable(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command(MODELS / "logistic.mdl", "--out", out) == 0
    table = pd.read_csv(out / "run.csv")
    model = load_model(MODELS / "logistic.mdl")
    shown = [name for name, one in model.variables.items() if one.kind not in {"lookup", "control"}]
    assert list(table.columns) == ["time", *shown]
    run = simulate(model, engine="pysd")
    for name in shown:
        np.testing.assert_allclose(table[name], run[name], rtol=1e-11)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["model"]["file"] == "logistic.mdl"
    assert set(manifest["files"]) == {"run.csv"}


def test_options_take_all_values_up_to_the_next_option(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command(SMALL, "--params", "tax rate=0.5", "world price=80", "--outputs", "net price",
                   "capacity", "--out", out) == 0
    table = pd.read_csv(out / "run.csv")
    assert list(table.columns) == ["time", "net price", "capacity"]
    np.testing.assert_array_equal(table["net price"], np.full(len(table), 40.0))


def test_a_table_runs_every_line(tmp_path: Path) -> None:
    runs = pd.DataFrame({"tax rate": [0.1, 0.3, 0.2], "perception time": [1.0, 2.0, 4.0]})
    runs.to_csv(tmp_path / "runs.csv", index=False)
    out = tmp_path / "out"
    assert command(SMALL, "--params", tmp_path / "runs.csv", "--outputs", "capacity",
                   "--out", out) == 0
    table = pd.read_csv(out / "runs.csv")
    model = load_model(SMALL)
    for number, row in runs.iterrows():
        expected = simulate(model, dict(row), engine="pysd")["capacity"]
        own = table[table["run"] == number]
        np.testing.assert_array_equal(own["time"], expected["time"])
        np.testing.assert_allclose(own["capacity"], expected, rtol=1e-11)


def test_a_long_table_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = np.linspace(0.0, 0.9, 23)
    pd.DataFrame({"tax rate": rates}).to_csv(tmp_path / "runs.csv", index=False)
    for name, rows in (("whole", 200_000), ("pieces", 100)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("kuzbass.experiments.run_model._ROWS", rows)
        run_model(SMALL, tmp_path / name, params=[str(tmp_path / "runs.csv")])
    whole, pieces = ((tmp_path / name / "runs.csv").read_bytes() for name in ("whole", "pieces"))
    assert whole == pieces


def test_runs_that_do_not_stay_finite_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL.read_text(encoding="utf-8")
    bad = tmp_path / "bad.mdl"
    bad.write_text(text.replace("world price * (1.0 - tax rate)",
                                "LN(tax rate * 10.0 - Time / one year) * world price"),
                   encoding="utf-8")
    (tmp_path / "runs.csv").write_text("tax rate\n1.0\n0.3\n", encoding="utf-8")
    out = tmp_path / "out"
    assert command(bad, "--params", tmp_path / "runs.csv", "--outputs", "capacity",
                   "--out", out) == 0
    assert set(pd.read_csv(out / "runs.csv")["run"]) == {0}
    assert "run 1 is left out: 'net price' is not finite at 3" in capsys.readouterr().err


@pytest.mark.parametrize(("args", "message"), [
    (["--params", "tax rat=1"], "tax rat: the model small.mdl has no such variable"),
    (["--params", "tax rate=lots"], "--params: not a parameter (found: tax rate=lots"),
    (["--params", "tax rate=nan"], "--params: not a parameter (found: tax rate=nan"),
    (["--params", "tax rate=1", "runs.csv"], "--params: not a parameter (found: runs.csv"),
    (["--params", "none.csv"], "none.csv: file not found"),
    (["--params", "tax rate=2"], "tax rate: is out of range"),
    (["--params", "capacity=2"], "capacity: is a stock"),
    (["--outputs", "capacty"], "capacty: the model small.mdl has no such variable"),
])
def test_bad_input_is_refused_and_nothing_written(
    tmp_path: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(SMALL, *args, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_arrays_are_a_column_for_each_element(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command(MODELS / "subscripts.mdl", "--params", "weight[South]=5", "level=1", "--outputs",
                   "by region", "share[ East, thermal ]", "total", "--out", out) == 0
    table = pd.read_csv(out / "run.csv")
    assert list(table.columns) == ["time", "by region[North]", "by region[South]",
                                   "by region[East]", "share[East,thermal]", "total"]
    np.testing.assert_array_equal(table.iloc[-1], [2.0, 1.0, 5.0, 3.0, 1.0, 9.0])


def test_a_table_of_runs_sets_elements_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text('"lag[South]",start\n1.0,2.0\n4.0,3.0\n',
                                       encoding="utf-8")
    out = tmp_path / "out"
    assert command(MODELS / "array_states.mdl", "--params", tmp_path / "runs.csv", "--outputs",
                   "stock", "--out", out) == 0
    table = pd.read_csv(out / "runs.csv")
    for run, (lag, start) in enumerate([(1.0, 2.0), (4.0, 3.0)]):
        own = table[table["run"] == run]
        expected = simulate(load_model(MODELS / "array_states.mdl"), engine="pysd",
                            inputs={"lag[South]": lag, "start": start}, outputs=["stock"])
        for name in expected.data_vars:
            np.testing.assert_allclose(own[name], expected[name], rtol=1e-11)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["engine"] == ENGINE


def test_what_the_kernel_does_not_support_is_run_by_pysd(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = (MODELS / "array_whole.mdl").read_text(encoding="utf-8")
    path = tmp_path / "whole.mdl"
    path.write_text(text.replace("selected=\n\tVECTOR", "selected=\n\tLN(weight[North]) + VECTOR"),
                    encoding="utf-8")
    (tmp_path / "runs.csv").write_text("weight[North],weight[East]\n1,4\n-1,2\n1,0\n",
                                       encoding="utf-8")
    runs = run_model(path, tmp_path, params=[str(tmp_path / "runs.csv")], outputs=["selected"])
    assert "the kernel does not support VECTOR SELECT" in caplog.text
    assert [(one[0], one[1]) for one in runs.nonfinite] == [(1, "selected")]
    assert runs.manifest["engine"] == pysd_fixes.ENGINE
    table = pd.read_csv(tmp_path / "runs.csv")
    for run, sum_ in ((0, 6.0), (2, 2.0)):
        own = table[table["run"] == run]
        np.testing.assert_array_equal(own["selected"], sum_ + 2.0 * own["time"])


@pytest.mark.parametrize(("args", "message"), [
    (["--params", "weight[West]=1"], "weight[West]: the model subscripts.mdl has no such variable "
     "(allowed: did you mean weight[East]"),
    (["--params", "weight[East]=1", "weight=2"], "weight: is set twice"),
    (["--params", "output=1"], "output[North,thermal]: is computed by the model"),
    (["--outputs", "out"], "out: the model subscripts.mdl has no such variable"),
])
def test_bad_elements_are_refused(
    tmp_path: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(MODELS / "subscripts.mdl", *args, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path / "none.mdl", "--out", tmp_path / "out") == 2
    assert "none.mdl: the model file does not exist" in capsys.readouterr().err


def test_pairs_of_parameters() -> None:
    assert read_params(["a b=1e-3", " c = 2 ", "a=b=3"]) == {"a b": 0.001, "c": 2.0, "a=b": 3.0}
    with pytest.raises(InputError, match="--params: stands twice"):
        read_params(["a=1", "a=2"])
