"""From a scenario to the inputs of a run.

The model is not known here: the caller describes it with a `ModelInterface`.  Paths are laid on
the time grid of the run, so that the run sees them exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.region.scenario import FIRST_YEAR, Driver, Policy, Scenario, Shock

__all__ = ["Input", "ModelInterface", "Setting", "check_range", "look_up", "resolve", "shocked",
           "table_mode", "unshocked"]

Input = float | pd.Series
_HOLD = 1.0 - 1.0 / 16.0  # a year-long step is held for fifteen sixteenths, then moves


@dataclass(frozen=True)
class Setting:
    """A variable that a scenario may set.

    Attributes
    ----------
    unit : str
    lower, upper : float
        Range of the model file; infinite where it is open.
    table : Series or None
        Of a driver: points of its table by time in years.
    value : float
        Of a constant: its value in the model file; NaN for a driver.
    """

    unit: str
    lower: float
    upper: float
    table: pd.Series | None = None
    value: float = float("nan")


@dataclass(frozen=True)
class ModelInterface:
    """What a scenario may know of a model.

    Attributes
    ----------
    drivers, parameters, policies : mapping of str to Setting
        Names as in the model file.
    computed : frozenset of str
        Everything the model computes itself: never set by a scenario.
    start, end, time_step : float
        Time axis of the run, in years.
    """

    drivers: Mapping[str, Setting]
    parameters: Mapping[str, Setting]
    policies: Mapping[str, Setting]
    computed: frozenset[str]
    start: float
    end: float
    time_step: float

    @property
    def grid(self) -> np.ndarray:
        """Times of the steps, shape (steps + 1,)."""
        steps = round((self.end - self.start) / self.time_step)
        return self.start + self.time_step * np.arange(steps + 1)


def table_mode(table: pd.Series) -> str:
    """Tell how a driver table is laid out.

    ``step``: annual means held from the start of a year; ``growth``: growth rates held from the
    middle of the year before to the middle of the year; ``linear``: points joined by lines.
    """
    time, value = table.index.to_numpy(float), table.to_numpy(float)
    held = np.isclose(np.diff(time), _HOLD) & (np.diff(value) == 0.0)
    starts = np.mod(time[:-1][held], 1.0)
    if len(starts) and np.all(starts == 0.0):
        return "step"
    if len(starts) and np.all(starts == 0.5):
        return "growth"
    return "linear"


def resolve(scenario: Scenario, model: ModelInterface) -> dict[str, Input]:
    """Return the inputs of a run of `scenario`.

    Parameters
    ----------
    scenario : Scenario
    model : ModelInterface

    Returns
    -------
    dict
        Model variable to a number (constants) or a Series by time on the grid (paths).

    Raises
    ------
    InputError
        If a name is unknown or is computed by the model, a value leaves the range of the model
        file, or a shock lies outside the run.
    """
    grid = model.grid
    paths: dict[str, np.ndarray] = {}
    constants: dict[str, float] = {}
    for layer, file in zip(scenario.layers, scenario.files, strict=True):
        for given, driver in layer.drivers.items():
            name, setting = look_up(given, "drivers", model, file)
            base = paths[name] if name in paths else _base(setting, grid)
            paths[name] = _driver(driver, setting, base, grid)
            check_range(paths[name], setting, file, f"drivers.{given}")
        for given, parameter in layer.parameters.items():
            name, setting = look_up(given, "parameters", model, file)
            check_range(np.array([parameter.value]), setting, file, f"parameters.{given}.value")
            constants[name] = parameter.value
        for given, policy in layer.policies.items():
            name, setting = look_up(given, "policies", model, file)
            paths[name] = _policy(policy, setting.value, grid)
            check_range(paths[name], setting, file, f"policies.{given}.value")
    for layer, file in zip(scenario.layers, scenario.files, strict=True):
        for number, shock in enumerate(layer.shocks):
            key = f"shocks.{number}"
            name, setting = look_up(shock.on, "shocks", model, file, f"{key}.on")
            if name not in paths:
                paths[name] = unshocked(setting, constants.pop(name, setting.value), grid)
            paths[name] = shocked(shock, paths[name], grid, file, key)
            check_range(paths[name], setting, file, f"{key}.by")
    series = {name: pd.Series(path, index=grid) for name, path in paths.items()}
    return {**constants, **series}


def look_up(
    given: str, section: str, model: ModelInterface, path: Path, key: str | None = None
) -> tuple[str, Setting]:
    """Return the variable of the model that a file means, by its name there, and what it allows.

    Parameters
    ----------
    given : str
        The name in the file.
    section : {"drivers", "parameters", "policies", "shocks"}
        Where it stands; a shock may fall on any of the three others.
    model : ModelInterface
    path : Path
    key : str, optional
        For the message; made of section and name if left out.

    Raises
    ------
    InputError
        The name is unknown, stands in another section, or the model computes it.
    """
    sections = {"drivers": model.drivers, "parameters": model.parameters,
                "policies": model.policies}
    allowed = sections.get(section, {**model.drivers, **model.parameters, **model.policies})
    key = f"{section}.{given}" if key is None else key
    plain = {plain_name(name): name for name in allowed}
    found = plain.get(plain_name(given))
    if found is not None:
        return found, allowed[found]
    if plain_name(given) in {plain_name(name) for name in model.computed}:
        raise InputError("the model computes this; a scenario sets causes, not outcomes",
                         file=path, key=key, value=given,
                         allowed="drivers, parameters and policies (see 'kuzbass list')")
    for other, settings in sections.items():
        if section != "shocks" and plain_name(given) in {plain_name(n) for n in settings}:
            raise InputError("stands in the wrong section", file=path, key=key, value=given,
                             allowed=f"under {other}")
    close = nearest(given, allowed) or sorted(allowed)[:3]
    raise InputError("unknown variable", file=path, key=key, value=given,
                     allowed="for example " + ", ".join(close))


def _base(setting: Setting, grid: np.ndarray) -> np.ndarray:
    assert setting.table is not None  # only drivers come here
    time, value = setting.table.index.to_numpy(float), setting.table.to_numpy(float)
    return np.asarray(np.interp(grid, time, value))


def unshocked(setting: Setting, value: float, grid: np.ndarray) -> np.ndarray:
    """Return the path that a variable has without any shock, `value` if it is a constant."""
    return _base(setting, grid) if setting.table is not None else np.full(len(grid), value)


def _driver(driver: Driver, setting: Setting, base: np.ndarray, grid: np.ndarray) -> np.ndarray:
    assert setting.table is not None  # only drivers come here
    mode = table_mode(setting.table)
    given = driver.path if driver.path is not None else driver.multiply
    assert given is not None  # the schema asks for one of the two
    before = _value_of_2024(base, grid, mode) if driver.path is not None else 1.0
    annual = _annual({FIRST_YEAR - 1: before, **given})
    future = grid >= FIRST_YEAR
    if mode == "step":
        values = annual(np.floor(grid + 1e-9))
    elif mode == "growth":
        values = annual(np.floor(grid + 0.5 + 1e-9))
    else:
        # A line through the middles of the years, from the last value of history on.
        start = float(np.interp(FIRST_YEAR, grid, base)) if driver.path is not None else 1.0
        years = np.arange(FIRST_YEAR, int(grid[-1]) + 2)
        values = np.interp(grid, np.concatenate([[FIRST_YEAR], years + 0.5]),
                           np.concatenate([[start], annual(years)]))
    return np.asarray(np.where(future, values if driver.path is not None else base * values, base))


def _value_of_2024(base: np.ndarray, grid: np.ndarray, mode: str) -> float:
    moment = {"step": FIRST_YEAR - 1.0, "growth": FIRST_YEAR - 1.0}.get(mode, FIRST_YEAR - 0.5)
    return float(np.interp(moment, grid, base))


def _annual(points: Mapping[int, float]) -> Callable[[np.ndarray], np.ndarray]:
    years = np.array(sorted(points), dtype=float)
    values = np.array([points[int(year)] for year in years])
    return lambda year: np.asarray(np.interp(year, years, values))


def _policy(policy: Policy, before: float, grid: np.ndarray) -> np.ndarray:
    if policy.ramp == 0.0:
        return np.where(grid >= policy.start, policy.value, before)
    share = np.clip((grid - policy.start) / policy.ramp, 0.0, 1.0)
    return before + share * (policy.value - before)


def shocked(
    shock: Shock, base: np.ndarray, grid: np.ndarray, path: Path, key: str
) -> np.ndarray:
    """Return the path `base` with a pulse, step or ramp on it.

    Raises
    ------
    InputError
        No step of the run lies in the shock.
    """
    if shock.shape == "ramp":
        assert shock.years is not None  # the schema asks for it
        profile = np.clip((grid - shock.start) / shock.years, 0.0, 1.0)
    else:
        profile = ((grid >= shock.start - 1e-9) & (grid < shock.end - 1e-9)).astype(float)
    # The last point of the grid is the end of the run; nothing follows from it.
    if not profile[:-1].any():
        raise InputError("the shock moves nothing: no step of the run lies in it", file=path,
                         key=f"{key}.from", value=f"{shock.start:g} to {shock.end:g}",
                         allowed=f"before {grid[-1]:g}, for at least {grid[1] - grid[0]:g} years")
    return base * (1.0 + shock.size * profile) if shock.relative else base + shock.size * profile


def check_range(values: np.ndarray, setting: Setting, path: Path, key: str) -> None:
    """Refuse values outside of the range of the model file.

    Raises
    ------
    InputError
    """
    low, high = float(values.min()), float(values.max())
    if low < setting.lower or high > setting.upper:
        found = low if low < setting.lower else high
        raise InputError("value out of range", file=path, key=key, value=f"{found:g}",
                         allowed=f"{setting.lower:g} to {setting.upper:g} {setting.unit}")
