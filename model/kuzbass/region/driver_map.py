"""Where each driver table of the model comes from: the points it must have, computed from data.

``data/driver_map.csv`` says, for every driver and year, by which rule the table follows from
which series, or that the year is an assumption.  Rules:

annual
    The value of the year, held from its start for fifteen sixteenths of it.
index growth, rate growth
    An index in percent of the year before less 100, or a rate in percent, held from the middle of
    the year before (of 2000: from its start) to just before the middle of the year.
quarter
    Means of quarters at the middle of the quarter, joined by lines.
mid-year, year-end
    One point, at the middle or at the end of the year.
date
    The table moves at the first step at or after a date.  Its value is an assumption.
assumption
    No series; the note says why.
"""

from __future__ import annotations

import math
import re
from datetime import date

import pandas as pd

from kuzbass.errors import InputError
from kuzbass.region.data import read_table

__all__ = ["STEP", "driver_points", "years_of"]

STEP = 1.0 / 16.0  # grid on which the tables of the model stand
_HELD = 1.0 - STEP
_FIRST = 2000.0
_Rows = dict[tuple[str, int], tuple[str, str]]  # (series, year) -> (value, status)
_TERM = re.compile(r"(?:^|\s([+\-/])\s)(\w+)(?:@(\d{4}))?")


def years_of(text: str) -> list[int]:
    """Return the years of a cell such as ``2000-2015;2017``."""
    years: list[int] = []
    for part in text.split(";"):
        first, _, last = part.partition("-")
        years.extend(range(int(first), int(last or first) + 1))
    return years


def driver_points(table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the points that follow from data for the driver tables of the model.

    Parameters
    ----------
    table : DataFrame, optional
        ``driver_map.csv``; by default the shipped one.

    Returns
    -------
    DataFrame
        Columns driver, rule, year, time (in years), value.  Of a date, ``time`` is the step at
        which the table moves and ``value`` is missing; assumptions have no row.

    Raises
    ------
    InputError
        If a series or one of its years is missing, or its row is a recollection that no number
        may rest on.
    """
    table = read_table("driver_map.csv") if table is None else table
    data = read_table("drivers.csv")
    annual = {(str(name), int(year)): (str(value), str(status)) for name, year, value, status
              in zip(data["series"], data["year"], data["value"], data["status"], strict=True)}
    rows: list[tuple[str, str, int, float, float]] = []
    for _, line in table.iterrows():
        driver, rule = str(line["driver"]), str(line["rule"])
        for year in years_of(str(line["years"])):
            points = _points(rule, str(line["series"]), float(line["scale"]), year, annual)
            rows.extend((driver, rule, year, time, value) for time, value in points)
    return pd.DataFrame(rows, columns=["driver", "rule", "year", "time", "value"])


def _points(
    rule: str, series: str, scale: float, year: int, annual: _Rows
) -> list[tuple[float, float]]:
    if rule == "assumption":
        return []
    if rule == "quarter":
        return _quarters(series, scale, year)
    if rule == "date":
        return [(_step_at(_cell(name, year, annual)), math.nan) for name in series.split(" + ")]
    value = scale * (_value(series, year, annual) - (100.0 if rule == "index growth" else 0.0))
    if rule == "annual":
        return [(float(year), value), (year + _HELD, value)]
    if rule in ("mid-year", "year-end"):
        return [(year + (0.5 if rule == "mid-year" else 1.0), value)]
    return [(max(year - 0.5, _FIRST), value), (year - 0.5 + _HELD, value)]


def _quarters(series: str, scale: float, year: int) -> list[tuple[float, float]]:
    months = read_table("monthly.csv")
    own = months[(months["series"] == series) & (months["year"] == year)]
    if len(own) != 12:
        raise InputError("a year without all its months", file="monthly.csv", key=series,
                         value=year, allowed="twelve months")
    means = own.sort_values("month")["value"].to_numpy(float).reshape(4, 3).mean(axis=1)
    return [(year + 0.125 + 0.25 * n, scale * float(mean)) for n, mean in enumerate(means)]


def _value(series: str, year: int, annual: _Rows) -> float:
    """Evaluate series joined by ``+``, ``-`` and ``/``, from left to right."""
    total = 0.0
    for sign, name, other_year in _TERM.findall(series):
        cell = float(_cell(name, int(other_year or year), annual))
        if sign == "/":
            total /= cell
        else:
            total += -cell if sign == "-" else cell
    return total


def _cell(series: str, year: int, annual: _Rows) -> str:
    if (series, year) not in annual:
        raise InputError("no such driver row", file="drivers.csv", key=series, value=year,
                         allowed="a series and year of the table")
    value, status = annual[series, year]
    if status == "memory-unverified":
        raise InputError("rests on a recollection", file="driver_map.csv", key=series, value=year,
                         allowed="the rule 'assumption'")
    return value


def _step_at(text: str) -> float:
    day = date.fromisoformat(text)
    start, end = date(day.year, 1, 1), date(day.year + 1, 1, 1)
    time = day.year + (day - start).days / (end - start).days
    return math.ceil(time / STEP - 1e-9) * STEP
