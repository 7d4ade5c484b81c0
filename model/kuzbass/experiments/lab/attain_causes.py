"""The causes that `kuzbass attain` may move, and the inputs of runs in which they have moved.

A driver has one factor per knot, linear between them, exactly as ``multiply`` of a scenario file;
a lever has one amount on top of the scenario's own.  So every answer is a scenario file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.experiments.lab.attain_plan import AttainPlan, MovedDriver
from kuzbass.experiments.lab.attain_search import Box
from kuzbass.experiments.lab.levers import Lever, find_lever
from kuzbass.region.resolve import ModelInterface, Setting, resolve
from kuzbass.region.scenario import ASSUMPTION, Driver, Policy, Scenario, ScenarioFile, Title

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["DRIVER", "LEVER", "Cause", "Causes"]

DRIVER, LEVER = "driver", "lever"
_WHY = "Found by kuzbass attain."
_DIGITS = 6


@dataclass(frozen=True)
class Cause:
    """One thing that may move.

    Attributes
    ----------
    name, kind, unit : str
        Variable of the model, ``driver`` or ``lever``, unit of the lever (a factor has none).
    year : int
        The knot of a driver, the first year of a lever.
    low, high, own : float
        Lowest and highest value and that of the scenario: factors of a driver (own is 1), values
        of a lever.
    """

    name: str
    kind: str
    unit: str
    year: int
    low: float
    high: float
    own: float

    @property
    def span(self) -> float:
        """The range."""
        return self.high - self.low


class Causes:
    """The causes of a plan in a scenario.

    Parameters
    ----------
    plan, file
        The plan and where it stands.
    scenario : Scenario
        What the changes are counted from.
    interface : ModelInterface
    levers : sequence of Lever
        The levers of the model.

    Raises
    ------
    InputError
        A name that is no driver or lever, or a range that leaves that of the model file.
    """

    def __init__(
        self, plan: AttainPlan, file: Path, scenario: Scenario, interface: ModelInterface,
        levers: Sequence[Lever],
    ) -> None:
        self._plan, self._file, self._interface = plan, file, interface
        self.scenario = scenario
        self._resolved = resolve(scenario, interface)
        self.causes: list[Cause] = []
        self._moves: list[Array] = []  # change of the path by one whole range
        self.paths: dict[str, Array] = {}
        for given, driver in plan.drivers.items():
            self._add_driver(self._driver(given), driver)
        for given, lever in plan.levers.items():
            self._add_lever(find_lever(given, levers, file, f"levers.{given}").name, lever.range)

    @property
    def box(self) -> Box:
        """Bounds in units of the ranges; a driver moved at all its knots counts as one."""
        low = [(one.low - one.own) / one.span for one in self.causes]
        high = [(one.high - one.own) / one.span for one in self.causes]
        knots = len(self._plan.knots)
        weight = [1.0 / knots if one.kind == DRIVER else 1.0 for one in self.causes]
        return Box(np.array(low), np.array(high), np.array(weight))

    def of(self, kind: str) -> NDArray[np.bool_]:
        """Return which causes are of a kind, (cause,)."""
        return np.array([one.kind == kind for one in self.causes])

    @property
    def fixed(self) -> dict[str, Any]:
        """Inputs of the scenario that never move here."""
        return {name: value.to_numpy(float)[None, :] if isinstance(value, pd.Series) else value
                for name, value in self._resolved.items() if name not in self.paths}

    @property
    def moving(self) -> set[str]:
        """Constants that get time paths."""
        paths = {name for name, value in self._resolved.items() if isinstance(value, pd.Series)}
        return ({*self.paths} | paths) - set(self._interface.drivers)

    def inputs(self, changes: Array) -> dict[str, Any]:
        """Return kernel inputs of changes in units of the ranges, (run, cause)."""
        inputs = dict(self.fixed)
        for name, path in self.paths.items():
            moved = np.repeat(path[None, :], len(changes), axis=0)
            for number, cause in enumerate(self.causes):
                if cause.name == name:
                    moved += changes[:, number, None] * self._moves[number]
            inputs[name] = np.clip(moved, *self._limits(name))
        return inputs

    def values(self, change: Array) -> list[float]:
        """Return the factors and levers of one change."""
        return [cause.own + float(size) * cause.span
                for cause, size in zip(self.causes, change, strict=True)]

    def scenario_file(self, change: Array, name: str, narrative: str) -> ScenarioFile:
        """Return the change as a scenario that extends the one it is counted from."""
        values = self.values(change)
        drivers: dict[str, Driver] = {}
        for moved in dict.fromkeys(one.name for one in self.causes if one.kind == DRIVER):
            knots = {one.year: round(value, _DIGITS) for one, value
                     in zip(self.causes, values, strict=True) if one.name == moved}
            if any(value != 1.0 for value in knots.values()):
                first = next(one for one in self.causes if one.name == moved)
                drivers[moved] = Driver(
                    multiply=knots, basis=ASSUMPTION, why=_WHY,
                    range=(round(first.low - 1e-5, _DIGITS), round(first.high + 1e-5, _DIGITS)))
        policies = {}
        for one, value in zip(self.causes, values, strict=True):
            if one.kind == LEVER and round(value - one.own, _DIGITS) != 0.0:
                start, ramp = self._timing(one.name)
                policies[one.name] = Policy.model_validate({
                    "value": round(value, _DIGITS), "from": start, "ramp": ramp,
                    "basis": ASSUMPTION, "why": _WHY})
        title = self.scenario.own.title
        return ScenarioFile(
            name=name, title=Title(en=f"{title.en}: smallest change",
                                   ru=f"{title.ru}: наименьшее изменение"),
            narrative=narrative, extends=self.scenario.name, drivers=drivers, policies=policies)

    def _add_driver(self, name: str, given: MovedDriver) -> None:
        base = self._path(name, self._interface.drivers[name])
        end = float(base[-1])
        if given.factor is not None:
            low, high = given.factor
        else:
            assert given.range is not None  # the plan has one of the two
            if end == 0.0:
                raise InputError("a factor cannot move a path that ends at zero", file=self._file,
                                 key=f"drivers.{name}", allowed="another driver")
            low, high = sorted(edge / end for edge in given.range)
        # The scenario may have left the range that holds for all of them.
        low, high = min(low, 1.0), max(high, 1.0)
        far = high if high - 1.0 > 1.0 - low else low
        for knot in self._plan.knots:
            self.causes.append(Cause(name, DRIVER, "factor", knot, low, high, 1.0))
            layer = self._layer(drivers={name: Driver(
                multiply={**dict.fromkeys(self._plan.knots, 1.0), knot: far},
                basis="plan", range=None, why=_WHY)})
            self._moves.append((self._of(layer, name) - base) * ((high - low) / (far - 1.0)))
        for edge in (low, high):
            self._of(self._layer(drivers={name: Driver(
                multiply=dict.fromkeys(self._plan.knots, edge), basis="plan", range=None,
                why=_WHY)}), name)
        self.paths[name] = base

    def _add_lever(self, name: str, given: tuple[float, float]) -> None:
        setting = self._interface.policies[name]
        own = self._own(name)
        low, high = min(given[0], own), max(given[1], own)
        self.causes.append(Cause(name, LEVER, setting.unit, self._timing(name)[0], low, high, own))
        at = [self._of(self._policy(name, edge), name) for edge in (low, high)]
        self._moves.append(at[1] - at[0])
        self.paths[name] = self._path(name, setting)

    def _policy(self, name: str, value: float) -> ScenarioFile:
        start, ramp = self._timing(name)
        return self._layer(policies={name: Policy.model_validate(
            {"value": value, "from": start, "ramp": ramp, "basis": "plan", "why": _WHY})})

    def _timing(self, name: str) -> tuple[int, float]:
        """Return first year and ramp of a lever: the scenario's own, or the plan's."""
        policy = self._policy_of(name)
        return (self._plan.start, self._plan.ramp) if policy is None else (policy.start,
                                                                           policy.ramp)

    def _own(self, name: str) -> float:
        policy = self._policy_of(name)
        return self._interface.policies[name].value if policy is None else policy.value

    def _policy_of(self, name: str) -> Policy | None:
        for layer in reversed(self.scenario.layers):
            for given, policy in layer.policies.items():
                if plain_name(given) == plain_name(name):
                    return policy
        return None

    def _layer(
        self, drivers: Mapping[str, Driver] | None = None,
        policies: Mapping[str, Policy] | None = None,
    ) -> ScenarioFile:
        return ScenarioFile(
            name=self._plan.name, title=Title(**self._plan.title.model_dump()),
            narrative=self._plan.narrative, drivers=dict(drivers or {}),
            policies=dict(policies or {}))

    def _of(self, layer: ScenarioFile, name: str) -> Array:
        """Return the path of a variable under one more layer; the plan answers for its range."""
        scenario = Scenario((*self.scenario.layers, layer), (*self.scenario.files, self._file))
        value = resolve(scenario, self._interface)[name]
        assert isinstance(value, pd.Series)  # a driver or a policy with a layer of its own
        return value.to_numpy(float)

    def _path(self, name: str, setting: Setting) -> Array:
        value = self._resolved.get(name)
        if isinstance(value, pd.Series):
            return value.to_numpy(float)
        if setting.table is None:
            return np.full(len(self._interface.grid), setting.value)
        return np.asarray(np.interp(
            self._interface.grid, setting.table.index.to_numpy(float),
            setting.table.to_numpy(float)))

    def _limits(self, name: str) -> tuple[float, float]:
        setting = {**self._interface.drivers, **self._interface.policies}[name]
        return setting.lower, setting.upper

    def _driver(self, given: str) -> str:
        plain = {plain_name(name): name for name in self._interface.drivers}
        if plain_name(given) not in plain:
            raise InputError("not a driver", file=self._file, key=f"drivers.{given}", value=given,
                             allowed="for example " + ", ".join(
                                 nearest(given, plain) or sorted(plain)[:3]))
        return plain[plain_name(given)]
