"""What a scenario may know of a model: the bridge from sd/ to region/."""

from __future__ import annotations

import math

import pandas as pd

from kuzbass.errors import ModelError
from kuzbass.region.resolve import ModelInterface, Setting
from kuzbass.sd.graph import drivers, references
from kuzbass.sd.mdl import Model, Variable

__all__ = ["DRIVERS", "POLICIES", "UNITS", "model_interface"]

# Groups of the .mdl file that decide what a scenario may set.
DRIVERS = "Drivers"
POLICIES = "Policies"
UNITS = "Units and scales"


def model_interface(
    model: Model, *, end: float | None = None, time_step: float | None = None
) -> ModelInterface:
    """Describe `model` to the scenarios.

    Drivers are the variables of the group Drivers that only read a table over time, policies the
    constants of the group Policies, parameters all other constants but those that convert units.
    The model computes everything else.

    Parameters
    ----------
    model : Model
    end, time_step : float, optional
        Time axis of the run in years, if not the model's.
    """
    outside = [name for name in drivers(model) if model.variables[name].group == DRIVERS]
    constants = [v for v in model.variables.values()
                 if v.kind == "constant" and v.group not in (DRIVERS, UNITS)]
    driver_settings = {name: _driver(model, name) for name in outside}
    policies = {v.name: _constant(model, v) for v in constants if v.group == POLICIES}
    parameters = {v.name: _constant(model, v) for v in constants if v.group != POLICIES}
    return ModelInterface(
        drivers=driver_settings,
        parameters=parameters,
        policies=policies,
        computed=frozenset(model.variables) - {*driver_settings, *policies, *parameters},
        start=model.initial_time,
        end=model.final_time if end is None else end,
        time_step=model.time_step if time_step is None else time_step,
    )


def _driver(model: Model, name: str) -> Setting:
    variable = model.variables[name]
    curves = [equation.curve for used in references(model.equations[name].ast, model.index)
              if (equation := model.equations.get(used)) and equation.curve is not None]
    if len(curves) != 1:
        raise ModelError("a driver must read one table", file=model.path, key=name,
                         value=f"{len(curves)} tables")
    return Setting(variable.unit, *_range(variable), pd.Series(curves[0].y, index=curves[0].x))


def _constant(model: Model, variable: Variable) -> Setting:
    value = float(model.equations[variable.name].ast)
    return Setting(variable.unit, *_range(variable), value=value)


def _range(variable: Variable) -> tuple[float, float]:
    return (-math.inf if variable.lower is None else variable.lower,
            math.inf if variable.upper is None else variable.upper)
