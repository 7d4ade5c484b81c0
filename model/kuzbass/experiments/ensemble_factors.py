"""The factors of a plan: how they are distributed, and what they are in a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.experiments.ensemble_plan import Plan, UncertainDriver, UncertainParameter
from kuzbass.experiments.scored_years import LIST
from kuzbass.paths import data_dir
from kuzbass.region.resolve import ModelInterface, Setting
from kuzbass.region.scenario import FIRST_YEAR, Driver, Scenario
from kuzbass.sd import ensemble as sd
from kuzbass.sd.sampling import (
    Choice,
    Correlation,
    Design,
    Distribution,
    RunTable,
    Triangular,
    Uniform,
    read_runs,
)

__all__ = ["DRAW", "Factors"]

DRAW = "draw"  # the factor that chooses a row of calibrated parameters


class Factors:
    """The factors of a plan: their design, and what they are in a scenario."""

    def __init__(self, plan: Plan, file: Path, interface: ModelInterface) -> None:
        self._plan, self._file, self._interface = plan, file, interface
        self.rows: RunTable | None = None
        self.files: list[Path] = []
        if plan.table is not None:
            self.design: Design | RunTable = self._table(plan.table)
            self.parameters = {name: sd.Factor(self.design.given(name))
                               for name in self.design.names if name in interface.parameters}
            self.drivers: dict[str, UncertainDriver | None] = {
                name: None for name in self.design.names if name in interface.drivers}
            return
        self.parameters = {}
        for given, one in plan.parameters.items():
            name = self._name(given, "parameters")
            self.parameters[name] = sd.Factor(self._spread(name, one))
        if plan.draws is not None:
            self._add_draws(plan.draws)
        self.drivers = {self._name(given, "drivers"): one for given, one in plan.drivers.items()}
        names = (*self.parameters, *self.drivers, LIST)
        assert plan.runs is not None  # the plan has been checked
        self.design = Design(names, plan.runs, plan.method, plan.seed, self._correlations())

    @property
    def inputs(self) -> set[str]:
        """All inputs of the kernel that vary."""
        rows = self.rows.names if self.rows is not None else ()
        return {*self.parameters, *self.drivers, *rows} - {DRAW}

    def of(self, scenario: Scenario, inputs: dict[str, Any]) -> dict[str, sd.Factor]:
        """Return the drivers as factors on the paths of a scenario, which get into `inputs`."""
        grid, factors = self._interface.grid, {}
        for name, one in self.drivers.items():
            setting = self._interface.drivers[name]
            if name not in inputs:
                assert setting.table is not None  # a driver has one
                points = setting.table.index.to_numpy(float), setting.table.to_numpy(float)
                inputs[name] = np.interp(grid, *points)[None, :]
            if one is None:
                assert isinstance(self.design, RunTable)  # a plan has a range for every driver
                distribution: Distribution = self.design.given(name)
            else:
                distribution = self._scaling(name, one, scenario)
            self._check_path(name, setting, inputs[name], distribution, scenario)
            factors[name] = sd.Factor(distribution, "scale")
        return factors

    def _table(self, table: str) -> RunTable:
        settings = self._interface.parameters
        ranges = {name: (one.lower, one.upper) for name, one in settings.items()}
        ranges |= dict.fromkeys(self._interface.drivers, (-np.inf, np.inf))
        path = self._file.parent / table
        self.files.append(path)
        return read_runs(path, ranges)

    def _add_draws(self, draws: str) -> None:
        beside = self._file.parent / draws
        path = beside if beside.exists() else data_dir() / draws
        self.files.append(path)
        self.rows = read_runs(path, {name: (one.lower, one.upper)
                                     for name, one in self._interface.parameters.items()})
        for name in self.rows.names:
            if name in self.parameters:
                raise InputError("stands among the draws as well", file=self._file,
                                 key=f"parameters.{name}", allowed="one of the two")
        self.parameters[DRAW] = sd.Factor(Choice(self.rows.runs), "row")

    def _name(self, given: str, section: str) -> str:
        settings: Mapping[str, Setting] = getattr(self._interface, section)
        plain = {plain_name(name): name for name in settings}
        if plain_name(given) not in plain:
            raise InputError(f"not one of the {section}", file=self._file, key=f"{section}.{given}",
                             value=given, allowed="for example "
                             + ", ".join(nearest(given, settings) or sorted(settings)[:3]))
        return plain[plain_name(given)]

    def _correlations(self) -> tuple[Correlation, ...]:
        """Return the correlations with the names as in the model file."""
        plain = {plain_name(name): name for name in (*self.parameters, *self.drivers)}
        return tuple(
            Correlation(between=(plain.get(plain_name(one.between[0]), one.between[0]),
                                 plain.get(plain_name(one.between[1]), one.between[1])),
                        rank=one.rank)
            for one in self._plan.correlations)

    def _spread(self, name: str, one: UncertainParameter) -> Distribution:
        setting, key = self._interface.parameters[name], f"parameters.{name}"
        if one.spread is not None:
            low, high = one.spread.support()
            if low < setting.lower or high > setting.upper:
                raise InputError("the spread leaves the range of the model file", file=self._file,
                                 key=f"{key}.spread", value=f"{low:g} to {high:g}",
                                 allowed=f"{setting.lower:g} to {setting.upper:g} {setting.unit}; "
                                 "a normal distribution needs lower and upper")
            return one.spread
        assert one.within is not None  # the plan has one of the two
        half = one.within * abs(setting.value)
        low, high = (max(setting.value - half, setting.lower),
                     min(setting.value + half, setting.upper))
        if not low < high:
            raise InputError("cannot vary: its range in the model file is one number",
                             file=self._file, key=key, value=f"{setting.value:g}")
        return Uniform(low=low, high=high)

    def _scaling(self, name: str, one: UncertainDriver, scenario: Scenario) -> Distribution:
        """Return the distribution of the factor on the path of a driver in a scenario."""
        own = _stated(name, scenario)
        if own is not None:
            given = own.path if own.path is not None else own.multiply
            assert own.range is not None  # what `_stated` has looked for
            assert given is not None  # a driver has one of the two
            end, (low, high) = given[max(given)], own.range
            place: tuple[Path, str] = (scenario.path, f"drivers.{name}.range")
        elif one.factor is not None:
            end, (low, high), place = 1.0, one.factor, (self._file, f"drivers.{name}.factor")
        else:
            table = self._interface.drivers[name].table
            assert one.range is not None  # the plan has one of the two
            assert table is not None  # a driver has one
            end, (low, high), place = (float(np.interp(self._interface.end, table.index, table)),
                                       one.range, (self._file, f"drivers.{name}.range"))
        if end == 0.0 or not low <= end <= high:
            raise InputError("a factor on the path cannot give this range", file=place[0],
                             key=place[1], value=f"{low:g} to {high:g}",
                             allowed=f"around the end of the path, {end:g}, which is not zero")
        low, high = sorted((low / end, high / end))
        if low == high:
            raise InputError("the range is one number", file=place[0], key=place[1],
                             value=f"{low:g}")
        return (Uniform(low=low, high=high) if one.shape == "uniform"
                else Triangular(low=low, mode=min(max(1.0, low), high), high=high))

    def _check_path(
        self, name: str, setting: Setting, path: np.ndarray, distribution: Distribution,
        scenario: Scenario,
    ) -> None:
        share = sd.opening(self._interface.grid, FIRST_YEAR, self._plan.opening)
        for factor in distribution.support():
            scaled = path * (1.0 + (factor - 1.0) * share)
            if scaled.min() < setting.lower or scaled.max() > setting.upper:
                raise InputError(f"leaves its range in {scenario.name}", file=self._file,
                                 key=f"drivers.{name}", value=f"{scaled.min():g} to "
                                 f"{scaled.max():g} with a factor of {factor:g}",
                                 allowed=f"{setting.lower:g} to {setting.upper:g} {setting.unit}")


def _stated(name: str, scenario: Scenario) -> Driver | None:
    """Return the driver of the last layer that sets it, if that states a range."""
    for layer in reversed(scenario.layers):
        for given, one in layer.drivers.items():
            if plain_name(given) == plain_name(name):
                return one if one.range is not None else None
    return None
