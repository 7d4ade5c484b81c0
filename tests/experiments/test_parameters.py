"""The table of parameters and the model file agree, and one is written from the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.calibration_plan import load_calibration_plan
from kuzbass.experiments.parameters import adopt, drift, main, rounded, write_constants
from kuzbass.paths import data_dir, model_path
from kuzbass.region.data import read_table
from kuzbass.region.draws import DRAWS, read_draws
from kuzbass.sd.mdl import load_model


def test_table_and_model_do_not_drift_apart() -> None:
    assert drift(load_model(), read_table("parameters.csv")) == []


def test_the_table_has_every_candidate_of_the_plan() -> None:
    plan, _ = load_calibration_plan()
    table = read_table("parameters.csv").set_index("parameter")
    assert set(table.index) == set(plan.parameters)
    model = load_model()
    for name, row in table.iterrows():
        variable = model.variables[str(name)]
        assert (row["unit"], row["lower"], row["upper"]) == (
            variable.unit, variable.lower, variable.upper)


def test_fitted_parameters_lie_in_their_intervals_and_have_draws() -> None:
    table = read_table("parameters.csv").set_index("parameter")
    fitted = table[table["status"] == "fitted"]
    assert 25 <= len(fitted) <= 40
    assert (fitted["low"] <= fitted["value"]).all()
    assert (fitted["value"] <= fitted["high"]).all()
    draws = read_draws()
    assert len(draws) >= 200
    assert list(draws) == list(fitted.index)
    assert (data_dir() / DRAWS).stat().st_size < 500_000


def test_both_frozen_fits_are_on_file_with_both_sets_of_drivers() -> None:
    held = read_table("holdout.csv")
    plan, _ = load_calibration_plan()
    assert set(held.groupby(["fit", "drivers"]).groups) == {
        (fit, drivers) for fit in ("training", "wide") for drivers in ("actual", "as known")}
    # The simple forecasts do not depend on the fit.
    for _, rows in held.groupby("series"):
        assert rows["no change"].nunique(dropna=False) == 1
    assert set(read_table("rolling_origins.csv")["origin"]) == set(plan.origins)


def test_writing_moves_the_constants_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "kuzbass.mdl"
    shutil.copyfile(model_path(), file)
    table = read_table("parameters.csv").iloc[:3].copy()
    table["value"] = [rounded((low + high) / 2.0, low, high) for low, high in
                      zip(table["lower"], table["upper"], strict=True)]
    changed = write_constants(file, table)
    assert changed == list(table["parameter"])
    model = load_model(file)
    assert drift(model, table) == []
    before, after = model_path().read_bytes().splitlines(), file.read_bytes().splitlines()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 3
    assert write_constants(file, table) == []


def test_a_value_out_of_range_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "kuzbass.mdl"
    shutil.copyfile(model_path(), file)
    table = read_table("parameters.csv").iloc[:1].copy()
    table["value"] = table["upper"] * 2.0
    with pytest.raises(InputError, match="is out of range"):
        write_constants(file, table)
    assert file.read_bytes() == model_path().read_bytes()


def test_rounding_stays_in_range() -> None:
    assert rounded(1.234567, 0.0, 2.0) == 1.2346
    assert rounded(1.999999, 0.0, 1.999991) == 1.999991


def test_adopting_describes_the_draws(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "out"
    shutil.copytree(data_dir(), data)
    folder.mkdir()
    table = read_table("parameters.csv")
    table.loc[table["status"] == "fitted", "status"] = "fixed"
    table.loc[0, "status"] = "fitted"
    table.to_csv(folder / "parameters.csv", index=False)
    name, unit = table.loc[0, "parameter"], table.loc[0, "unit"]
    for file in ("holdout.csv", "rolling_origins.csv"):
        shutil.copyfile(data_dir() / file, folder / file)
    (data / "holdout.csv").unlink()
    (folder / DRAWS).write_text(f"{name}\n{table.loc[0, 'value']}\n", encoding="utf-8")
    adopt(folder, data)
    assert (data / DRAWS).read_text(encoding="utf-8").splitlines()[0] == name
    assert (data / "holdout.csv").read_bytes() == (folder / "holdout.csv").read_bytes()
    text = (data / "datapackage.json").read_text(encoding="utf-8")
    assert f'"fields": [\n          {{"name": "{name}", "type": "number", "unit": "{unit}"' in text


def test_draws_out_of_range_are_refused(tmp_path: Path) -> None:
    draws = read_draws()
    draws.iloc[4, 0] = 1e9
    path = tmp_path / DRAWS
    draws.to_csv(path, index=False)
    with pytest.raises(InputError, match=f"line 6, {draws.columns[0]}: out of range"):
        read_draws(path)


def test_the_command_says_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out == "0 constants differ\n"
