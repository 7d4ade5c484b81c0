"""The tables of a run as files.

The ``*_table`` functions are pure; `write_tables` is the only place that writes.  A repeated run
gives the same bytes in every CSV file.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import xarray as xr

from kuzbass import __version__
from kuzbass.errors import InputError
from kuzbass.experiments.results import RunResults

__all__ = ["INDEX_COLUMNS", "LONG_COLUMNS", "REGION", "index_table", "long_table", "time_grid",
           "write_csv", "write_tables"]

REGION = "Kuzbass"
LONG_COLUMNS = ("model", "scenario", "region", "variable", "unit", "year", "value")
INDEX_COLUMNS = ("scenario", "reading", "year", "index", "P", "C", "N",
                 "q05", "q25", "q50", "q75", "q95")
_FLOAT = "%.10g"


def long_table(results: RunResults) -> pd.DataFrame:
    """Return all annual statistics, one row per scenario, variable and year.

    Returns
    -------
    DataFrame
        `LONG_COLUMNS`, the layout of the IAMC; ``unit`` is that of the model file.
    """
    parts = []
    for name, result in results.scenarios.items():
        years, variables = result.annual.index, result.annual.columns
        # `variables` of a data set is its light view; indexing it takes a millisecond each time.
        units = pd.Index([result.run.variables[name].attrs["units"] for name in variables])
        parts.append(pd.DataFrame({
            "model": f"kuzbass {__version__}",
            "scenario": name,
            "region": REGION,
            "variable": variables.repeat(len(years)),
            "unit": units.repeat(len(years)),
            "year": np.tile(years, len(variables)),
            "value": result.annual.to_numpy().T.ravel(),
        }))
    return pd.concat(parts, ignore_index=True)


def index_table(results: RunResults) -> pd.DataFrame:
    """Return the resilience index of data and runs, in points, `INDEX_COLUMNS`.

    ``observed`` stands among the scenarios.  The quantiles are those of the admissible lists of
    indicators; they belong to reading A.
    """
    parts = [_index_rows("observed", "A", results.observed_index, results.observed_family)]
    for name, result in results.scenarios.items():
        parts.append(_index_rows(name, "A", result.index, result.family))
        parts.append(_index_rows(name, "B", result.reading_b, None))
    return pd.concat(parts, ignore_index=True)


def _index_rows(
    name: str, reading: str, index: pd.DataFrame, family: pd.DataFrame | None
) -> pd.DataFrame:
    frame = index if family is None else index.join(family)
    rows = frame.rename_axis("year").reset_index().assign(scenario=name, reading=reading)
    return rows.reindex(columns=list(INDEX_COLUMNS))


def time_grid(results: RunResults) -> xr.Dataset:
    """Return all runs on the full time grid, dimensions scenario and time, units in attributes.

    Raises
    ------
    InputError
        The runs have different time grids.
    """
    runs = [result.run for result in results.scenarios.values()]
    time = runs[0]["time"]
    if any(not run["time"].equals(time) for run in runs):
        raise InputError("runs on different time grids do not fit into one file", key="time")
    # All runs come from one model, so a stack says the same as a slow aligning concat.
    stacked = {
        name: (("scenario", "time"), np.stack([run.variables[name].to_numpy() for run in runs]),
               variable.attrs)
        for name, variable in runs[0].variables.items() if name != "time"
    }
    attributes = {**runs[0].attrs, "engine": results.engine}
    return xr.Dataset(stacked, {"scenario": list(results.scenarios), "time": time}, attributes)


def write_csv(table: pd.DataFrame, file: Path, *, index: bool = False) -> None:
    """Write a table as UTF-8 CSV with Unix line ends and ten significant digits."""
    given = table.reset_index() if index else table
    # pandas takes four times as long over a large table.
    columns = [_texts(given.iloc[:, place]) for place in range(given.shape[1])]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(given.columns)
        writer.writerows(zip(*columns, strict=True))


def _texts(column: pd.Series) -> list[object]:
    if column.dtype == np.float64:
        return ["" if value != value else _FLOAT % value  # noqa: PLR0124 - only NaN differs
                for value in column.tolist()]
    return column.astype(object).where(column.notna(), "").tolist()


def write_tables(results: RunResults, folder: Path) -> None:
    """Write every table of a run into `folder`.

    ``annual.csv`` and ``annual.parquet`` (long), ``index.csv``, ``targets.csv``,
    ``distance.csv``, ``index_claims.csv``, ``fit.csv``, ``bands.csv`` and ``bands_index.csv``
    (quantiles), ``runs.nc`` (full time grid).
    """
    annual = long_table(results)
    write_csv(annual, folder / "annual.csv")
    annual.to_parquet(folder / "annual.parquet", index=False)
    comparison = results.comparison
    tables: Mapping[str, pd.DataFrame] = {
        "index": index_table(results),
        "targets": comparison.targets,
        "distance": comparison.distance,
        "index_claims": comparison.index_claims,
        "fit": comparison.fit.assign(scenario=comparison.fit_of),
        "bands": results.bands.table,
        "bands_index": results.bands.index,
    }
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    write_grid(time_grid(results), folder / "runs.nc")


def write_grid(grid: xr.Dataset, file: Path) -> None:
    """Write a data set from `time_grid` as compressed netCDF-4."""
    with netCDF4.Dataset(file, "w") as target:
        target.setncatts(grid.attrs)
        for dimension, size in grid.sizes.items():
            target.createDimension(str(dimension), size)
        scenarios = target.createVariable("scenario", str, ("scenario",))
        # xarray fills each variable right after defining it; the library then goes through all
        # variables for each, which takes seconds.  Here all are defined first.
        defined = {}
        for name, variable in grid.drop_vars("scenario").variables.items():
            dimensions = [str(dimension) for dimension in variable.dims]
            defined[name] = target.createVariable(str(name), "f8", dimensions, zlib=True)
            defined[name].setncatts(variable.attrs)
        scenarios[:] = grid["scenario"].to_numpy().astype(object)
        for name, place in defined.items():
            place[:] = grid.variables[name].to_numpy()
