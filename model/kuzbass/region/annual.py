"""From the time grid of a run to annual statistics.

Time is in years and 2000.0 is 1 January 2000.  The year Y covers ``Y <= t < Y + 1``; its end is
``t = Y + 1``.  Flows and rates are averaged over the year, which for Euler steps is the exact
integral.  Stocks are taken at the end of the year where the statistic is a year-end figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kuzbass.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["BASES", "annual", "annual_values", "full_years"]

BASES = ("mean", "end", "start")


def full_years(time: np.ndarray) -> np.ndarray:
    """Return the years that the grid covers from the first day to the last.

    Parameters
    ----------
    time : ndarray, shape (steps,)
        Saved times in years, increasing.
    """
    first = int(np.ceil(time[0] - 1e-9))
    last = int(np.floor(time[-1] + 1e-9)) - 1
    return np.arange(first, last + 1)


def annual(run: xr.Dataset, variables: Mapping[str, str]) -> pd.DataFrame:
    """Turn a run into annual statistics.

    Parameters
    ----------
    run : xarray.Dataset
        A run with the coordinate ``time`` in years, every step saved.
    variables : mapping of str to {"mean", "end", "start"}
        Which variables to take and how.

    Returns
    -------
    DataFrame
        Index ``year`` (only years simulated in full), one column per variable, in the units of
        the run.

    Raises
    ------
    InputError
        If a variable is not in the run or the basis is unknown.
    """
    time = run["time"].to_numpy()
    columns: dict[str, np.ndarray] = {}
    for name, basis in variables.items():
        if name not in run:
            raise InputError("not a variable of the run", key=name)
        if basis not in BASES:
            raise InputError("unknown basis", key=name, value=basis, allowed=", ".join(BASES))
        columns[name] = annual_values(run[name].to_numpy(), time, basis)
    return pd.DataFrame(columns, index=pd.Index(full_years(time), name="year"))


def annual_values(values: np.ndarray, time: np.ndarray, basis: str) -> np.ndarray:
    """Turn the steps of one variable into annual statistics.

    Parameters
    ----------
    values : ndarray, shape (..., steps)
        Values at the saved times; leading axes are runs.
    time : ndarray, shape (steps,)
        Saved times in years, every step saved.
    basis : {"mean", "end", "start"}

    Returns
    -------
    ndarray, shape (..., years)
        One value for each of `full_years`.
    """
    years = full_years(time)
    first, last = (np.searchsorted(time, years + shift - 1e-9) for shift in (0, 1))
    if basis != "mean":
        return np.asarray(values[..., last if basis == "end" else first])
    # A sum per year, not a difference of running sums: small values keep all their digits.
    slices = [values[..., a:b].mean(axis=-1) for a, b in zip(first, last, strict=True)]
    return np.stack(slices, axis=-1) if slices else values[..., :0]
