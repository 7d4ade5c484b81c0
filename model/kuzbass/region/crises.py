"""The crises that can be replayed, and the groups of outside drivers that made them.

Without a crisis, a driver goes on as in the year before: a price, a demand or an exchange rate at
its mean of that year, a growth rate at its rate of that year, track capacity at its last value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kuzbass.errors import InputError
from kuzbass.region.data import read_table
from kuzbass.region.resolve import ModelInterface, Setting, table_mode

__all__ = [
    "CRISES",
    "GROUPS",
    "Crisis",
    "actual_paths",
    "crisis",
    "group_of",
    "held_paths",
    "is_additive",
    "recorded_path",
]

# Every driver of the model stands in one group.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "price": ("world thermal price", "European price ratio", "world coking price", "Brent price",
              "low grade price ratio", "discount east", "discount west", "export duty rate"),
    "demand": ("coal import demand east", "coal import demand west", "steel output Asia",
               "steel output rest of world", "Russian coal use", "embargo west"),
    "transport": ("eastern track programme", "rail tariff inflation"),
    "exchange rate": ("exchange rate",),
    "national economy": (
        "national GDP growth", "national production growth", "national investment growth",
        "national real income growth", "national real wage growth", "national consumer inflation",
        "policy rate", "national transfers to regions", "regional profit tax rate",
        "federal profit tax rate"),
}
_CAPACITIES = {"eastern track programme"}  # they stay when nothing happens
_MONTHLY = {"world thermal price": "price_thermal_newcastle_fob"}
_STEP = 1.0 / 16.0


@dataclass(frozen=True)
class Crisis:
    """A crisis, or a rebound, that came from outside.

    Attributes
    ----------
    first, last : int
        Its years.
    title : str
        What happened.
    """

    first: int
    last: int
    title: str

    @property
    def years(self) -> range:
        """The years of the crisis."""
        return range(self.first, self.last + 1)


CRISES: Mapping[int, Crisis] = {
    2009: Crisis(2009, 2009, "Price and demand, short and deep"),
    2013: Crisis(2013, 2015, "Price only, slow"),
    2020: Crisis(2020, 2020, "Demand, price and rail"),
    2021: Crisis(2021, 2021, "Rebound"),
    2022: Crisis(2022, 2023, "Embargo, discounts and high prices"),
}


def crisis(year: int) -> Crisis:
    """Return the crisis that a year belongs to.

    Raises
    ------
    InputError
        There is none.
    """
    for found in CRISES.values():
        if year in found.years:
            return found
    raise InputError("there is no crisis to replay in this year", key="replay", value=year,
                     allowed=", ".join(str(one) if (found := CRISES[one]).first == found.last
                                       else f"{one}-{found.last}" for one in CRISES))


def actual_paths(model: ModelInterface, event: Crisis) -> dict[str, np.ndarray]:
    """Return the drivers as they were, on the grid of the run.

    In the years of the crisis, prices known by month take the place of the quarters of the model.
    """
    grid = model.grid
    paths = {name: _table_path(setting, grid) for name, setting in model.drivers.items()}
    inside = (grid >= event.first) & (grid < event.last + 1)
    months = read_table("monthly.csv")
    for name, series in _MONTHLY.items():
        rows = months[(months["series"] == series)
                      & months["year"].isin(list(event.years))]
        if name in paths and len(rows) == 12 * len(event.years):
            time = rows["year"] + (rows["month"] - 0.5) / 12.0
            known = np.interp(grid, time.to_numpy(float), rows["value"].to_numpy(float))
            paths[name] = np.where(inside, known, paths[name])
    return paths


def held_paths(model: ModelInterface, event: Crisis) -> dict[str, np.ndarray]:
    """Return the drivers as they would have been had the year before gone on."""
    grid = model.grid
    return {name: np.where(grid < event.first, _table_path(setting, grid),
                           _held(name, setting, event.first))
            for name, setting in model.drivers.items()}


def is_additive(setting: Setting) -> bool:
    """Tell whether a driver changes by a difference: rates, and shares that may be zero."""
    assert setting.table is not None
    return setting.unit == "1/year" or float(setting.table.min()) <= 0.0


def recorded_path(
    name: str, setting: Setting, base: np.ndarray, grid: np.ndarray, event: Crisis, start: float,
    years: float, actual: np.ndarray | None = None,
) -> np.ndarray:
    """Return a base path with the recorded profile of a crisis laid on it from `start` on.

    The driver in proportion to its continuation, or its difference from it where `is_additive`;
    after `years` the base goes on.  Held within the range of the model file.

    Parameters
    ----------
    name, setting : str, Setting
        The driver.
    base, grid : array, shape (steps + 1,)
    event : Crisis
    start, years : float
    actual : array, optional
        The recorded path on the grid, if not the table of the model.
    """
    recorded = _table_path(setting, grid) if actual is None else actual
    then = np.interp(event.first + (grid - start), grid, recorded)
    held = _held(name, setting, event.first)
    inside = (grid >= start - 1e-9) & (grid < start + years - 1e-9)
    moved = base + (then - held) if is_additive(setting) else base * (then / held)
    return np.where(inside, np.clip(moved, setting.lower, setting.upper), base)


def _table_path(setting: Setting, grid: np.ndarray) -> np.ndarray:
    table = setting.table
    assert table is not None
    return np.asarray(np.interp(grid, table.index.to_numpy(float), table.to_numpy(float)))


def _held(name: str, setting: Setting, first: int) -> float:
    if setting.table is None:
        raise InputError("has no recorded profile", key=name, allowed="a driver")
    mode = table_mode(setting.table)
    if name in _CAPACITIES:
        moments = np.array([float(first)])
    elif mode == "linear":
        moments = np.arange(first - 1.0, first, _STEP)
    else:
        # Both layouts hold the value of a year at its start.
        moments = np.array([first - 1.0])
    return float(_table_path(setting, moments).mean())


def group_of(model: ModelInterface) -> dict[str, str]:
    """Return the group of every driver of a model.

    Raises
    ------
    InputError
        A driver stands in no group.
    """
    known = {name: group for group, names in GROUPS.items() for name in names}
    for name in model.drivers:
        if name not in known:
            raise InputError("the driver belongs to no group of the replays", key=name,
                             allowed=", ".join(GROUPS))
    return {name: known[name] for name in model.drivers}
