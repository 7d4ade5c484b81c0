"""Parameter assessment: every constant has a unit, a source, a range, and lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuzbass.sd.battery.findings import Breach

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model, Variable

__all__ = ["assess_parameters", "at_bounds", "source_of"]

_SOURCE = "Source:"


def assess_parameters(model: Model) -> list[Breach]:
    """Return what the constants lack: unit, source, both bounds, a value between them."""
    return [Breach(variable.name, f"{found}; expected {expected}")
            for variable in _constants(model)
            for found, expected in _lacks(variable, _value(model, variable))]


def at_bounds(model: Model) -> list[str]:
    """Return the constants that stand on a bound of a range that has a width."""
    found = []
    for variable in _constants(model):
        lower, upper = variable.lower, variable.upper
        if lower is not None and upper is not None and lower < upper and (
                _value(model, variable) in (lower, upper)):
            found.append(variable.name)
    return found


def source_of(variable: Variable) -> str:
    """Return what the comment of a variable says after ``Source:``, ``""`` if nothing."""
    return variable.comment.partition(_SOURCE)[2].strip()


def _constants(model: Model) -> list[Variable]:
    return [variable for variable in model.variables.values() if variable.kind == "constant"]


def _value(model: Model, variable: Variable) -> float:
    return float(model.equations[variable.name].ast)


def _lacks(variable: Variable, value: float) -> list[tuple[str, str]]:
    lacks = []
    if not variable.unit:
        lacks.append(("no unit", "a unit, Dmnl for a pure number"))
    if not source_of(variable):
        lacks.append(("no source", "'Source: ...' in the comment"))
    lower, upper = variable.lower, variable.upper
    if lower is None or upper is None:
        lacks.append(("no range", "[min,max]"))
    elif not lower <= value <= upper:
        lacks.append((f"the value {value:g}", f"one in [{lower:g},{upper:g}]"))
    return lacks
