"""Every driver table of the model follows from data, or says that it is an assumption."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.region.data import judged, read_table
from kuzbass.region.driver_map import STEP, driver_points, years_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kuzbass.sd.mdl import Curve, Model

HISTORY = range(2000, 2025)


@pytest.fixture(scope="module")
def points() -> pd.DataFrame:
    return driver_points()


def curves_of(model: Model) -> dict[str, Curve]:
    """The table of every driver of the model, by the name of the driver."""
    return {name.removesuffix(" table"): curve for name, curve in model.curves().items()
            if model.variables[name].group == "Drivers"}


def drift(points: pd.DataFrame, curves: Mapping[str, Curve]) -> list[tuple[str, float]]:
    """Name the points at which a table is not what the data say, to three digits."""
    found = []
    for point in points.itertuples():
        curve = curves[point.driver]
        if point.rule == "date":
            wrong = _at(curve, point.time) == _at(curve, point.time - STEP)
        else:
            wrong = abs(_at(curve, point.time) - point.value) > _half_digit(point.value) + 1e-9
        if wrong:
            found.append((point.driver, point.time))
    return found


def _at(curve: Curve, time: float) -> float:
    return float(np.interp(time, curve.x, curve.y))


def _half_digit(value: float) -> float:
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 0.0


def test_tables_of_the_model_follow_from_the_data(points: pd.DataFrame, model: Model) -> None:
    assert len(points) > 800
    assert drift(points, curves_of(model)) == []


@pytest.mark.parametrize(
    ("driver", "time"),
    [("Brent price", 2008.0), ("world thermal price", 2020.375),
     ("national GDP growth", 2019.5), ("eastern track programme", 2023.0)],
)
def test_a_wrong_table_is_found(
    points: pd.DataFrame, model: Model, driver: str, time: float
) -> None:
    curves = curves_of(model)
    curve = curves[driver]
    curves[driver] = curve._replace(y=np.where(curve.x == time, curve.y * 1.02, curve.y))
    assert drift(points, curves) == [(driver, time)]


def test_a_wrong_date_is_found(points: pd.DataFrame, model: Model) -> None:
    curves = curves_of(model)
    curve = curves["embargo west"]
    curves["embargo west"] = curve._replace(x=np.where(
        (curve.x > 2022) & (curve.x < 2023), curve.x + 0.25, curve.x))
    assert drift(points, curves) == [("embargo west", 2022.625)]


def test_every_driver_and_year_is_accounted_for_once(model: Model) -> None:
    table = read_table("driver_map.csv")
    assert set(table["driver"]) == set(curves_of(model))
    for driver, own in table.groupby("driver"):
        years = [year for cell in own["years"] for year in years_of(cell)]
        assert len(set(years)) == len(years), driver
        assert set(HISTORY) <= set(years), driver


def test_no_driver_is_read_from_a_judged_series() -> None:
    cells = " ".join(read_table("driver_map.csv")["series"])
    assert not set(re.findall(r"\w+", cells)) & set(judged()["series"])


def test_few_driver_years_are_assumptions() -> None:
    table = read_table("driver_map.csv").query("rule == 'assumption'")
    years = sum(len(years_of(cell)) for cell in table["years"])
    drivers = read_table("driver_map.csv")["driver"].nunique()
    assert years / (drivers * len(HISTORY)) < 0.3


def test_rules_by_hand(points: pd.DataFrame) -> None:
    def at(driver: str, year: int) -> list[tuple[float, float]]:
        own = points[(points["driver"] == driver) & (points["year"] == year)]
        return [(time, pytest.approx(value, rel=1e-12)) for time, value
                in zip(own["time"], own["value"], strict=True)]

    assert at("exchange rate", 2019) == [(2019.0, 64.74), (2019.9375, 64.74)]
    assert at("national GDP growth", 2009) == [(2008.5, -0.078), (2009.4375, -0.078)]
    assert at("national GDP growth", 2000) == [(2000.0, 0.1), (2000.4375, 0.1)]
    assert at("world coking price", 2023) == [(2023.0, 0.75 * 294), (2023.9375, 0.75 * 294)]
    assert at("eastern track programme", 2024) == [(2025.0, 180.0)]
    assert at("national real wage growth", 2001)[0] == (2000.5, 0.2)
    quarters = at("world thermal price", 2000)
    assert [time for time, _ in quarters] == [2000.125, 2000.375, 2000.625, 2000.875]
    assert quarters[0][1] == 25.1
    steel = read_table("drivers.csv").set_index(["series", "year"])["value"]
    rest = float(steel["crude_steel_World", 2010]) - sum(
        float(steel[f"crude_steel_{name}", 2010]) for name in ("China", "India", "Japan"))
    assert at("steel output rest of world", 2010)[0] == (2010.0, rest)


def test_growth_is_never_chained_from_a_decision_twice(points: pd.DataFrame) -> None:
    rail = points[points["driver"] == "rail tariff inflation"]
    assert 2024 not in set(rail["year"])  # the rise of December 2024 stands in 2025
    assert rail.loc[rail["year"] == 2025, "value"].tolist() == pytest.approx([0.138, 0.138])


def _line(**more: object) -> pd.DataFrame:
    return pd.DataFrame([{"driver": "d", "rule": "annual", "series": "price_brent", "scale": 1.0,
                          "years": "2000", "note": ""} | more])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (_line(series="price_nothing"), r"drivers\.csv: price_nothing: no such driver row"),
        (_line(years="2040"), r"price_brent: no such driver row \(found: 2040"),
        (_line(series="profit_tax_regional_share_pp", years="2005"),
         r"driver_map\.csv: profit_tax_regional_share_pp: rests on a recollection \(found: 2005; "
         "allowed: the rule 'assumption'"),
        (_line(rule="quarter", series="price_thermal_newcastle_fob", years="2025"),
         r"monthly\.csv: price_thermal_newcastle_fob: a year without all its months"),
    ],
)
def test_a_map_that_the_data_do_not_bear(line: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        driver_points(line)


def test_years_of_a_cell() -> None:
    assert years_of("2000-2002;2005") == [2000, 2001, 2002, 2005]
