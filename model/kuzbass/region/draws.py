"""Draws of the calibrated parameters: one column per fitted parameter, one row per draw."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kuzbass.errors import InputError
from kuzbass.paths import data_dir
from kuzbass.region.data import Table, read_csv, read_table

__all__ = ["DRAWS", "read_draws"]

DRAWS = "parameter_draws.csv"


def read_draws(path: Path | None = None, parameters: Path | None = None) -> pd.DataFrame:
    """Read draws of the posterior and check them against the table of parameters.

    Parameters
    ----------
    path : Path, optional
        The file; by default the shipped one.
    parameters : Path, optional
        ``parameters.csv``; by default the shipped one.

    Returns
    -------
    DataFrame
        Values in the units of the model, one column per fitted parameter.

    Raises
    ------
    InputError
        A column is missing, a cell is no number, or a value leaves the range of its parameter.
    """
    file = path or data_dir() / DRAWS
    table = read_table("parameters.csv", parameters)
    fitted = table[table["status"] == "fitted"].set_index("parameter")
    columns = tuple(fitted.index)
    # No key: a walker that stands still is drawn twice, and rightly so.
    draws = read_csv(file, Table(columns, columns, (), columns))
    for name, row in fitted.iterrows():
        values = draws[str(name)]
        bad = values[(values < row["lower"]) | (values > row["upper"])]
        if len(bad):
            raise InputError("out of range", file=file, value=bad.iloc[0],
                             key=f"line {int(str(bad.index[0])) + 2}, {name}",
                             allowed=f"{row['lower']:g} to {row['upper']:g}")
    return draws[list(columns)]
