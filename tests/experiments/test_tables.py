"""The tables of a run: layout, units, digits, and equal bytes when repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from kuzbass.errors import InputError
from kuzbass.experiments.results import RunResults
from kuzbass.experiments.tables import (
    INDEX_COLUMNS,
    LONG_COLUMNS,
    index_table,
    long_table,
    time_grid,
    write_csv,
    write_tables,
)

FILES = {"annual.csv", "annual.parquet", "index.csv", "targets.csv", "distance.csv",
         "index_claims.csv", "fit.csv", "bands.csv", "bands_index.csv", "runs.nc"}


@pytest.fixture(scope="module")
def folder(results: RunResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tables")
    write_tables(results, place)
    return place


def test_every_table_is_written(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES


def test_long_table_holds_every_annual_value(results: RunResults) -> None:
    table = long_table(results)
    assert tuple(table.columns) == LONG_COLUMNS
    variables = len(results.scenarios["baseline"].annual.columns)
    assert len(table) == len(results.scenarios) * variables * 36
    assert not table.duplicated(["scenario", "variable", "year"]).any()
    row = table[(table["scenario"] == "s3-decline") & (table["variable"] == "coal output")
                & (table["year"] == 2030)].iloc[0]
    assert row["value"] == results.scenarios["s3-decline"].annual.at[2030, "coal output"]
    assert (row["region"], row["unit"]) == ("Kuzbass", "Mt/year")


def test_csv_and_parquet_agree(folder: Path, results: RunResults) -> None:
    text = pd.read_csv(folder / "annual.csv")
    binary = pd.read_parquet(folder / "annual.parquet")
    pd.testing.assert_frame_equal(text, binary, check_exact=False, rtol=1e-9, check_dtype=False)
    np.testing.assert_array_equal(binary["value"], long_table(results)["value"])


def test_index_table_holds_data_and_both_readings(results: RunResults) -> None:
    table = index_table(results)
    assert tuple(table.columns) == INDEX_COLUMNS
    assert len(table) == 22 + len(results.scenarios) * 2 * 36
    rows = table.set_index(["scenario", "reading", "year"])
    scenario = results.scenarios["s1-coal-paradigm"]
    assert rows.at[("s1-coal-paradigm", "A", 2035), "index"] == scenario.index.at[2035, "index"]
    assert rows.at[("s1-coal-paradigm", "A", 2035), "q95"] == scenario.family.at[2035, "q95"]
    assert rows.at[("s1-coal-paradigm", "B", 2035), "N"] == scenario.reading_b.at[2035, "N"]
    assert rows.xs("B", level="reading")["q50"].isna().all()
    assert rows.at[("observed", "A", 2019), "index"] == pytest.approx(0.347, abs=0.03)


def test_targets_have_a_header_and_81_rows(folder: Path) -> None:
    lines = (folder / "targets.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 82
    columns = set(lines[0].split(","))
    assert {"indicator", "variable", "scenario", "year", "unit", "simulated", "low", "high", "gap",
            "inside"} <= columns


def test_time_grid_is_read_back_with_units(folder: Path, results: RunResults) -> None:
    with xr.open_dataset(folder / "runs.nc", engine="netcdf4") as grid:
        assert dict(grid.sizes) == {"scenario": len(results.scenarios), "time": 577}
        assert list(grid["scenario"].to_numpy()) == list(results.scenarios)
        assert grid["coal output"].attrs["units"] == "Mt/year"
        assert grid["time"].attrs["units"] == "year"
        stored = grid["coal output"].sel(scenario="s2-interregional")
        np.testing.assert_array_equal(stored, results.scenarios["s2-interregional"].run[
            "coal output"])


def test_time_grid_needs_equal_axes(results: RunResults, short: RunResults) -> None:
    mixed = RunResults(**{**vars(results), "scenarios": {
        "baseline": results.scenarios["baseline"],
        "s1-coal-paradigm": short.scenarios["s1-coal-paradigm"]}})
    with pytest.raises(InputError, match="different time grids"):
        time_grid(mixed)


@pytest.fixture
def no_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out netCDF, which takes most of the time."""
    monkeypatch.setattr("kuzbass.experiments.tables.write_grid", lambda _grid, _file: None)


@pytest.mark.usefixtures("no_grid")
def test_written_again_gives_the_same_bytes(
    folder: Path, results: RunResults, tmp_path: Path
) -> None:
    write_tables(results, tmp_path)
    for name in sorted(FILES):
        if name.endswith(".csv"):
            assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.usefixtures("no_grid")
def test_short_run_can_be_written(short: RunResults, tmp_path: Path) -> None:
    write_tables(short, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"runs.nc"}
    fit = pd.read_csv(tmp_path / "fit.csv")
    assert set(fit["scenario"]) == {"s1-coal-paradigm"}


def test_csv_is_that_of_pandas(tmp_path: Path) -> None:
    table = pd.DataFrame({
        "name": ["a, b", 'with "quotes"', "plain"], "value": [1 / 3, np.nan, -1e300],
        "count": [1, 2, 3], "inside": [True, None, False], "text": ["", "x", None],
    }, pd.Index([2000, 2001, 2002], name="year"))
    for index in (False, True):
        write_csv(table, tmp_path / "ours.csv", index=index)
        table.to_csv(tmp_path / "theirs.csv", index=index, float_format="%.10g",
                     lineterminator="\n")
        assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()
