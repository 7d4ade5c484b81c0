"""Checks what a caller wants to change in a run, before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.sd.graph import dependencies, drivers, references
from kuzbass.sd.limits import TimeAxis, check_axis, check_values, is_power_of_half
from kuzbass.sd.pysd_fixes import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kuzbass.sd.mdl import Model, Variable

__all__ = ["Overrides", "TimeAxis", "by_element", "check_inputs", "check_time_axis",
           "is_power_of_half"]

Input = float | pd.Series
T = TypeVar("T")


@dataclass(frozen=True)
class Overrides:
    """Checked changes, by the variable names as written."""

    numbers: dict[str, float] = field(default_factory=dict)
    paths: dict[str, Curve] = field(default_factory=dict)
    tables: dict[str, Curve] = field(default_factory=dict)


def check_inputs(model: Model, inputs: Mapping[str, Input]) -> Overrides:
    """Check every override against the model and cast it to float.

    Raises
    ------
    InputError
        Unknown name, wrong type, a value that is not finite or out of the range of the .mdl
        file, a table whose x does not increase, or a variable that the model computes itself.
    """
    outside = set(drivers(model)) if inputs else set()
    checked = Overrides()
    for name, value in by_element(model, inputs).items():
        variable = model.variables[name]
        _refuse_computed(model, variable, outside)
        if isinstance(value, pd.Series):
            curve = _curve(value, variable)
            target = checked.tables if variable.kind == "lookup" else checked.paths
            target[name] = curve
        elif variable.kind == "lookup":
            raise InputError("a table needs points", key=name, value=value,
                             allowed="a pandas Series, x -> y")
        else:
            checked.numbers[name] = _number(value, variable)
    _refuse_hidden_tables(model, checked)
    return checked


def by_element(model: Model, inputs: Mapping[str, T]) -> dict[str, T]:
    """Return `inputs` by the names as written; that of an array stands for all its elements.

    Raises
    ------
    InputError
        Unknown name, or a variable that is set twice.
    """
    values: dict[str, T] = {}
    written_as: dict[str, str] = {}
    for given, value in inputs.items():
        for name in model.elements(given):
            if name in values:
                raise InputError("is set twice", key=given, value=f"also as '{written_as[name]}'")
            values[name], written_as[name] = value, given
    return values


def check_time_axis(
    model: Model,
    time_step: float | None,
    final_time: float | None,
    save_every: float | None,
) -> TimeAxis:
    """Check the time axis of a run; what is left out comes from the model.

    Raises
    ------
    InputError
        The step is not a power of one half, the end is not a whole number of steps after the
        start, or the saving interval is not a whole number of steps.
    """
    return check_axis(
        model.initial_time, model.final_time if final_time is None else final_time,
        model.time_step if time_step is None else time_step, save_every)


def _refuse_computed(model: Model, variable: Variable, outside: set[str]) -> None:
    name = variable.name
    if variable.kind in {"constant", "lookup"} or name in outside:
        return
    if variable.kind == "control":
        raise InputError("is a control variable", key=name,
                         allowed="the arguments time_step, final_time and save_every")
    if variable.kind == "stock":
        graph = dependencies(model)
        start = [cause for cause in graph.predecessors(name) if graph[cause][name]["initial"]]
        raise InputError("is a stock, the model computes it", key=name,
                         allowed=f"its initial value: {', '.join(start)}" if start else None)
    raise InputError("is computed by the model", key=name,
                     allowed="constants, tables and drivers that read a table over time")


def _refuse_hidden_tables(model: Model, checked: Overrides) -> None:
    """Refuse a table without effect: the driver that reads it is replaced as well."""
    for name in (*checked.numbers, *checked.paths):
        for table in references(model.equations[name].ast, model.index):
            if table in checked.tables:
                raise InputError(f"is set together with its table '{table}'", key=name,
                                 allowed="one of the two")


def _number(value: object, variable: Variable) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise InputError("is not a number", key=variable.name, value=repr(value),
                         allowed="a number or a pandas Series")
    number = float(value)
    check_values(variable.name, np.array([number]), variable)
    return number


def _curve(series: pd.Series, variable: Variable) -> Curve:
    axis = "x" if variable.kind == "lookup" else "time"
    try:
        x = series.index.to_numpy(dtype=float, copy=True)
        y = series.to_numpy(dtype=float, copy=True)
    except (TypeError, ValueError):
        raise InputError("holds something that is not a number", key=variable.name,
                         allowed=f"numbers, indexed by {axis}") from None
    if len(x) == 0:
        raise InputError("the series is empty", key=variable.name, allowed="at least one point")
    if not np.all(np.isfinite(x)):
        raise InputError(f"the {axis} of a point is not finite", key=variable.name,
                         value=x[~np.isfinite(x)][0])
    falling = np.flatnonzero(np.diff(x) <= 0.0)
    if len(falling):
        first = falling[0]
        raise InputError(f"the {axis} does not increase", key=variable.name,
                         value=f"{x[first]} then {x[first + 1]}", allowed="strictly increasing")
    check_values(variable.name, y, variable)
    return Curve(x, y)
