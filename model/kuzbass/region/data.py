"""The curated tables of ``data/``: reading, checking, and the observed side of comparisons.

One reader serves every table.  It refuses what it cannot trust and says where: the file, the row
or column, what was found and what is allowed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.paths import data_dir

__all__ = ["TABLES", "Table", "base_year", "chain", "check_data_file", "fit_statistics",
           "fit_table", "judged", "labels", "model_side", "observed_for",
           "observed_series", "read_csv", "read_table"]


@dataclass(frozen=True)
class Table:
    """What a table of the data package must look like.

    Attributes
    ----------
    columns : tuple of str
        Required columns, in order.
    numeric : tuple of str
        Columns that hold numbers; an empty cell is a missing value.
    key : tuple of str
        Columns that together must not repeat; empty if lines may repeat.
    required : tuple of str
        Columns that may not be empty.
    choices : mapping of str to tuple
        Columns that hold one of a few values.
    may_be_empty : bool
        Whether a table without rows is one.
    """

    columns: tuple[str, ...]
    numeric: tuple[str, ...]
    key: tuple[str, ...]
    required: tuple[str, ...]
    choices: Mapping[str, tuple[str | float, ...]] = field(default_factory=dict)
    may_be_empty: bool = False


_WHOLE = {"year": (1990, 2100), "month": (1, 12)}
_FORECASTS = ("no change", "trend", "AR(1)")
_SERIES = ("series", "unit", "year", "value", "source_id")
TABLES: dict[str, Table] = {
    "observed.csv": Table(
        ("series", "sector", "unit", "year", "value", "source_id", "status", "note"),
        ("year", "value"), ("series", "year"), (*_SERIES, "status"),
        {"status": ("sourced", "derived")},
    ),
    "drivers.csv": Table(
        ("driver_group", "series", "unit", "year", "value", "source_id", "status", "note"),
        ("year",), ("series", "year"), (*_SERIES, "status"),
        {"status": ("sourced", "derived", "estimate", "forecast", "plan", "memory-unverified")},
    ),
    "driver_map.csv": Table(
        ("driver", "rule", "series", "scale", "years", "note"), ("scale",), ("driver", "years"),
        ("driver", "rule", "years"),
        {"rule": ("annual", "index growth", "rate growth", "quarter", "mid-year", "year-end",
                  "date", "assumption")},
    ),
    "monthly.csv": Table(
        ("series", "unit", "year", "month", "value", "source_id", "note"),
        ("year", "month", "value"), ("series", "year", "month"), (*_SERIES, "month"),
    ),
    "sources.csv": Table(
        ("source_id", "title", "publisher", "url_or_repo", "date"), (), ("source_id",),
        ("source_id", "title"),
    ),
    "breaks.csv": Table(
        ("series", "year", "kind", "note"), ("year",), ("series", "year", "kind", "note"),
        ("series", "kind", "note"),
        {"kind": ("break", "basis", "conflict", "missing")},
    ),
    "judged.csv": Table(
        ("series", "variable", "label", "transform", "basis", "kind", "unit", "bar_mape",
         "bar_year", "bar_rmse_pp", "exclude_years", "judged", "note"),
        ("bar_mape", "bar_year", "bar_rmse_pp"), ("series", "variable"),
        ("series", "variable", "label", "transform", "basis", "kind", "unit", "judged"),
        {"basis": ("mean", "end"), "kind": ("level", "rate"), "judged": ("required", "reported")},
    ),
    "targets.csv": Table(
        ("indicator", "variable", "scenario", "year", "low", "high", "unit", "transform",
         "tolerance", "note"),
        ("year", "low", "high", "tolerance"), ("indicator", "scenario", "year"),
        ("indicator", "variable", "scenario", "year", "low", "high", "unit", "transform",
         "tolerance"),
        {"transform": ("none", "percent_of_2019")},
    ),
    "index_published.csv": Table(
        ("item", "scenario", "year", "value", "unit", "status", "source", "note"),
        ("year", "value"), ("item", "scenario", "year"),
        ("item", "scenario", "value", "unit", "status", "source"),
        {"status": ("published", "derived")},
    ),
    "loops.csv": Table(
        ("loop", "polarity", "path", "cut_constant", "cut_value", "what"), ("cut_value",),
        ("loop",), ("loop", "polarity", "path", "cut_constant", "cut_value", "what"),
        {"polarity": ("R", "B", "U")},
    ),
    "bars.csv": Table(
        ("series", "statistic", "year", "bar", "judged", "note"), ("year", "bar"),
        ("series", "statistic", "year"), ("series", "statistic", "bar", "judged"),
        {"statistic": ("mape", "rmse", "r", "skill", "change"),
         "judged": ("required", "reported")},
    ),
    "limits.csv": Table(
        ("variable", "input", "at", "low", "high", "why"), ("at", "low", "high"),
        ("variable", "input", "at"), ("variable", "input", "why"),
    ),
    "extremes.csv": Table(
        ("condition", "kind", "input", "operation", "value", "from_year", "what"),
        ("value", "from_year"), ("condition", "input"),
        ("condition", "kind", "input", "operation", "value", "what"),
        {"kind": ("critical", "extreme", "family"), "operation": ("set", "scale")},
    ),
    "labels.csv": Table(
        ("variable", "label_en", "label_ru"), (), ("variable",),
        ("variable", "label_en", "label_ru"),
    ),
    "known_misses.csv": Table(
        ("test", "part", "reason", "figure"), (), ("test", "part"), ("test", "reason", "figure"),
        may_be_empty=True,
    ),
    # What a calibration writes; adopted when its values stand in the model.
    "parameters.csv": Table(
        ("parameter", "unit", "value", "low", "high", "interval", "fit_training", "lower",
         "upper", "prior_mean", "prior_sd", "status", "source", "note"),
        ("value", "low", "high", "fit_training", "lower", "upper", "prior_mean", "prior_sd"),
        ("parameter",), ("parameter", "unit", "value", "lower", "upper", "status", "source"),
        {"status": ("fitted", "at bound", "fixed")},
    ),
    "holdout.csv": Table(
        ("fit", "drivers", "series", "n", "rmse_training", "rmse_test", "ratio", "bias",
         *_FORECASTS, "direction", "weight"),
        ("n", "rmse_training", "rmse_test", "ratio", "bias", *_FORECASTS, "direction", "weight"),
        ("fit", "drivers", "series"), ("fit", "drivers", "series", "n", "rmse_test", "weight"),
        {"fit": ("training", "wide"), "drivers": ("actual", "as known")},
    ),
    "rolling_origins.csv": Table(
        ("origin", "series", "n", "rmse_training", "rmse_test", *_FORECASTS, "weight"),
        ("origin", "n", "rmse_training", "rmse_test", *_FORECASTS, "weight"),
        ("origin", "series"), ("origin", "series", "n", "rmse_test", "weight"),
    ),
}


def read_table(name: str, path: Path | None = None) -> pd.DataFrame:
    """Read one table of the data package and check it.

    Parameters
    ----------
    name : str
        File name, a key of `TABLES`.
    path : Path, optional
        The file to read; by default the shipped one.

    Returns
    -------
    DataFrame
        The rows in file order.  Numeric columns are float (``year`` and ``month`` too where a
        cell may be empty, else int).

    Raises
    ------
    InputError
        If the file is missing, empty, not UTF-8, lacks a column, repeats a key, or a cell is not
        what its column must hold.
    """
    file = path if path is not None else data_dir() / name
    try:
        state = file.stat()
    except OSError:
        return read_csv(file, TABLES[name])  # it says what is wrong
    return _read_once(name, file, state.st_mtime_ns, state.st_size).copy()


@lru_cache(maxsize=32)
def _read_once(name: str, file: Path, _changed: int, _size: int) -> pd.DataFrame:
    # A run asks for the same few tables a hundred times.
    return read_csv(file, TABLES[name])


def read_csv(path: Path, table: Table) -> pd.DataFrame:
    """Read the CSV file `path` and check it against `table` (see `read_table`)."""
    header, body = _cells(path)
    for column in table.columns:
        if column not in header:
            raise InputError("column missing", file=path, key=column,
                             value=",".join(header), allowed=",".join(table.columns))
    if not body and not table.may_be_empty:
        raise InputError("no rows below the header", file=path)
    frame = pd.DataFrame(body, columns=header)
    for column in table.required:
        _refuse(frame[column], frame[column] == "", path, "empty cell", "a value")
    for column in table.numeric:
        frame[column] = _numbers(frame[column], path, column)
    for column, allowed in table.choices.items():
        _refuse(frame[column], ~frame[column].isin(allowed), path, "not allowed",
                ", ".join(str(value) for value in allowed))
    doubled = frame.duplicated(list(table.key)) if table.key else np.zeros(len(frame), bool)
    repeated = np.flatnonzero(doubled)
    if len(repeated):
        line = int(repeated[0])
        found = ", ".join(str(frame.at[line, column]) for column in table.key)
        raise InputError("the key repeats", file=path,
                         key=f"line {line + 2}, {' + '.join(table.key)}", value=found)
    return frame


def _cells(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        rows = list(csv.reader(io.StringIO(_read_text(path)), strict=True))
    except csv.Error as error:
        raise InputError(f"not a CSV table ({error})", file=path) from None
    header, body = rows[0], rows[1:]
    if len(set(header)) < len(header):
        raise InputError("a column stands twice", file=path, key="line 1", value=",".join(header))
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InputError("wrong number of cells", file=path, key=f"line {number}",
                             value=len(row), allowed=str(len(header)))
    return header, body


def _refuse(column: pd.Series, bad: pd.Series, path: Path, problem: str, allowed: str) -> None:
    """Raise an error for the first cell of `column` that is `bad`."""
    lines = np.flatnonzero(bad.to_numpy())
    if len(lines):
        line = int(lines[0])
        found = column.iloc[line]
        raise InputError(problem, file=path, key=f"line {line + 2}, {column.name}",
                         value=None if found == "" else found, allowed=allowed)


def _read_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("file not found", file=path) from None
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", file=path, key=f"byte {error.start}",
                         allowed="UTF-8") from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from None
    if not text.strip():
        raise InputError("the file is empty", file=path)
    return text


def _numbers(column: pd.Series, path: Path, name: str) -> pd.Series:
    filled = column != ""
    values = pd.to_numeric(column.where(filled, None), errors="coerce").astype(float)
    _refuse(column, filled & ~np.isfinite(values), path, "not a number", "a finite number")
    if name not in _WHOLE:
        return values
    low, high = _WHOLE[name]
    _refuse(column, filled & ((values % 1.0 != 0.0) | ~values.between(low, high)), path,
            f"not a {name}", f"a whole number from {low} to {high}")
    return values.astype(int) if bool(filled.all()) else values


def judged(path: Path | None = None) -> pd.DataFrame:
    """Return the comparisons of observed series with model variables (``judged.csv``)."""
    return read_table("judged.csv", path)


def labels() -> pd.DataFrame:
    """Return English and Russian labels, indexed by the model variable."""
    return read_table("labels.csv").set_index("variable")


def observed_series(series: str, table: pd.DataFrame | None = None) -> pd.Series:
    """Return one observed series by year, as published.

    Raises
    ------
    InputError
        If there is no such series.
    """
    frame = read_table("observed.csv") if table is None else table
    rows = frame[frame["series"] == series]
    if rows.empty:
        raise InputError("no such observed series", file="observed.csv", key=series)
    return pd.Series(rows["value"].to_numpy(), pd.Index(rows["year"], name="year"),
                     name=series).sort_index()


def chain(growth: pd.Series, base_year: int) -> pd.Series:
    """Chain an index in percent of the previous year into levels, `base_year` = 100.

    The growth of the base year itself is not used.  From a missing year on, the level is unknown.
    """
    years = range(base_year, int(growth.index.max()) + 1)
    factors = growth.reindex(years).to_numpy(float) / 100.0
    factors[0] = 1.0
    # NumPy's product, unlike that of pandas, does not step over a missing year.
    return pd.Series(100.0 * np.cumprod(factors), pd.Index(years, name="year"), name=growth.name)


def observed_for(row: pd.Series, table: pd.DataFrame | None = None) -> pd.Series:
    """Return the observed side of one row of ``judged.csv``, transformed, by year.

    Raises
    ------
    InputError
        If the transform is unknown.
    """
    series = observed_series(str(row["series"]), table)
    kind, _, argument = str(row["transform"]).partition(":")
    if kind == "scale":
        series = series * float(argument)
    elif kind == "chain":
        series = chain(series, int(argument))
    elif kind != "none":
        raise InputError("unknown transform", file="judged.csv", key=str(row["series"]),
                         value=row["transform"], allowed="none, scale:FACTOR, chain:YEAR")
    excluded = [int(year) for year in str(row["exclude_years"]).split(";") if year]
    return series.drop(index=excluded, errors="ignore").dropna()


def model_side(row: pd.Series, run: pd.DataFrame) -> pd.Series:
    """Return the simulated side of one row of ``judged.csv`` by year.

    An index that the observed side chains from a base year is set to 100 in that year; nothing
    else is rescaled.

    Raises
    ------
    InputError
        If the run lacks the variable or the base year.
    """
    name, base = str(row["variable"]), base_year(row)
    if name not in run:
        raise InputError("the run lacks a variable of judged.csv", key=name)
    values: pd.Series = run[name]
    if base is None:
        return values
    if base not in values.index:
        raise InputError("the run lacks the base year", key=name, value=base,
                         allowed="a run that covers the year from which the index is chained")
    return values * (100.0 / float(values.loc[base]))


def base_year(row: pd.Series) -> int | None:
    """Return the year from which an index of ``judged.csv`` is chained, if it is one."""
    kind, _, argument = str(row["transform"]).partition(":")
    return int(argument) if kind == "chain" else None


def fit_statistics(simulated: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Return the fit statistics of two paired samples.

    Parameters
    ----------
    simulated, actual : ndarray, shape (n,)

    Returns
    -------
    dict
        ``n``, ``rmse``, ``bias`` (mean of simulated less actual), ``mape`` and ``worst`` (percent
        of actual; NaN where an actual value is zero), ``worst_error`` (largest error in the unit
        of the data), ``r``, Theil's shares of the mean squared error ``um``, ``us``, ``uc`` with
        population moments (sum 1), and ``u2`` (error over that of the guess that nothing changes
        from one observation to the next).

    Notes
    -----
    Theil shares after Sterman 1984; U2 after Theil 1966.
    """
    error = simulated - actual
    mse = float(np.mean(error**2))
    spread_s, spread_a = float(np.std(simulated)), float(np.std(actual))
    flat = spread_s == 0.0 or spread_a == 0.0
    r = np.nan if flat else float(np.corrcoef(simulated, actual)[0, 1])
    covered = 0.0 if np.isnan(r) else r
    naive = float(np.sum(np.diff(actual) ** 2))
    relative = np.full_like(error, np.nan) if np.any(actual == 0) else np.abs(error / actual)
    return {
        "n": float(len(actual)),
        "rmse": float(np.sqrt(mse)),
        "bias": float(np.mean(error)),
        "mape": 100.0 * float(np.mean(relative)),
        "worst": 100.0 * float(np.max(relative)),
        "worst_error": float(np.max(np.abs(error))),
        "r": r,
        "um": _share((simulated.mean() - actual.mean()) ** 2, mse),
        "us": _share((spread_s - spread_a) ** 2, mse),
        "uc": _share(2.0 * (1.0 - covered) * spread_s * spread_a, mse),
        "u2": float(np.sqrt(np.sum(error[1:] ** 2) / naive)) if naive else np.nan,
    }


def _share(part: float, whole: float) -> float:
    return float(part) / whole if whole else 0.0


def fit_table(
    run: pd.DataFrame, table: pd.DataFrame | None = None, observed: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Compare a run with every judged series.

    Parameters
    ----------
    run : DataFrame
        Annual statistics by year, columns named as the model variables (see `annual`), on the
        basis that ``judged.csv`` asks for.
    table, observed : DataFrame, optional
        ``judged.csv`` and ``observed.csv``; by default the shipped ones.

    Returns
    -------
    DataFrame
        One row per judged series: series, variable, label, unit, kind, judged, first and last
        year, the statistics of `fit_statistics`, the year of the largest error, the bars, and
        ``passed`` (True, False, or None where no bar is set).  The base year of an index is left
        out: both sides are 100 there by definition.

    Raises
    ------
    InputError
        If the run lacks a variable or a base year.
    """
    table = judged() if table is None else table
    observed = read_table("observed.csv") if observed is None else observed
    rows = []
    for _, row in table.iterrows():
        actual = observed_for(row, observed)
        simulated = model_side(row, run)
        years = actual.index.intersection(simulated.index).drop([base_year(row)], errors="ignore")
        if years.empty:
            continue
        s, a = simulated.loc[years].to_numpy(float), actual.loc[years].to_numpy(float)
        statistics = fit_statistics(s, a)
        error = np.abs(s - a) if row["kind"] == "rate" else np.abs((s - a) / a)
        rows.append(
            {name: row[name] for name in ("series", "variable", "label", "unit", "kind", "judged")}
            | {"first": int(years[0]), "last": int(years[-1])}
            | statistics
            | {"worst_year": int(years[int(np.argmax(error))])}
            | {name: row[name] for name in ("bar_mape", "bar_year", "bar_rmse_pp")}
            | {"passed": _passed(row, statistics)}
        )
    return pd.DataFrame(rows)


def _passed(row: pd.Series, statistics: dict[str, float]) -> bool | None:
    pairs = [(row["bar_mape"], statistics["mape"]), (row["bar_year"], statistics["worst"]),
             (row["bar_rmse_pp"], statistics["rmse"])]
    checks = [found <= bar for bar, found in pairs if not np.isnan(bar)]
    return bool(all(checks)) if checks else None


def check_data_file(path: Path) -> str:
    """Check one data file and say what it is.

    Parameters
    ----------
    path : Path
        A CSV file named like a table of the data package, or one with the columns of one.

    Returns
    -------
    str
        The name of the table it was checked against.

    Raises
    ------
    InputError
        If the file is no table of the package, or a broken one.
    """
    if path.name in TABLES:
        read_csv(path, TABLES[path.name])
        return path.name
    header, _ = _cells(path)
    for name, table in TABLES.items():
        if set(table.columns) <= set(header):
            read_csv(path, table)
            return name
    raise InputError("not a table of the data package", file=path, value=",".join(header),
                     allowed="the columns of one of " + ", ".join(sorted(TABLES)))
