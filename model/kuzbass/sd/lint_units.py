"""The unit of a simple expression, as far as the linter needs it.

Not a full dimensional check: where the unit is not plain to see, the answer is ``None``.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from pysd.translators.structures.abstract_expressions import (
    ArithmeticStructure,
    CallStructure,
    DelayStructure,
    ReferenceStructure,
    SmoothStructure,
)

from kuzbass.errors import plain_name

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model

__all__ = ["Unit", "parse_unit", "unit_of"]

Unit = dict[str, int]

_PURE = {"dmnl", "dimensionless", "1"}
_WORD = re.compile(r"[*/()]|[^*/()]+")


def parse_unit(text: str) -> Unit:
    """Return the powers of a Vensim unit: ``"bn RUB/year"`` -> ``{"bn rub": 1, "year": -1}``."""
    words = [word.strip().lower() for word in _WORD.findall(text) if word.strip()]
    powers: Counter[str] = Counter()
    # Signs of the open parentheses; the sign of the next factor.
    outer = [1]
    sign = 1
    for word in words:
        if word == "(":
            outer.append(sign)
        elif word == ")":
            outer.pop()
        elif word in "*/":
            sign = outer[-1] if word == "*" else -outer[-1]
            continue
        elif word not in _PURE:
            powers[word] += sign
        sign = outer[-1]
    return _plain(powers)


def unit_of(node: object, model: Model) -> Unit | None:
    """Return the unit of an expression, ``{}`` for a pure number, ``None`` if not plain."""
    if isinstance(node, (int, float)):
        return {}
    if isinstance(node, ReferenceStructure):
        return _named(node.reference, model)
    if isinstance(node, (SmoothStructure, DelayStructure)):
        return unit_of(node.input, model)
    if isinstance(node, ArithmeticStructure):
        return _arithmetic(node, model)
    if isinstance(node, CallStructure):
        return _call(node, model)
    return None


def _named(reference: str, model: Model) -> Unit | None:
    name = plain_name(reference.strip('"'))
    written = model.index.get("time step" if name == "time" else name)
    return None if written is None else parse_unit(model.variables[written].unit)


def _arithmetic(node: ArithmeticStructure, model: Model) -> Unit | None:
    if "^" in node.operators:
        return {} if unit_of(node.arguments[0], model) == {} else None
    if node.operators[0] not in {"*", "/"}:
        return _common(list(node.arguments), model)
    powers: Counter[str] = Counter()
    for operator, argument in zip(["*", *node.operators], node.arguments, strict=True):
        unit = unit_of(argument, model)
        if unit is None:
            return None
        for part, power in unit.items():
            powers[part] += power if operator == "*" else -power
    return _plain(powers)


def _call(node: CallStructure, model: Model) -> Unit | None:
    function = node.function.reference
    arguments = list(node.arguments)
    if plain_name(function) in model.index:
        return _named(function, model)
    if function in {"min", "max"}:
        return _common(arguments, model)
    if function == "if_then_else":
        return _common(arguments[1:], model)
    if function in {"xidz", "zidz"}:
        return _arithmetic(ArithmeticStructure(["/"], tuple(arguments[:2])), model)
    return {} if function in {"exp", "ln"} else None


def _common(arguments: list[object], model: Model) -> Unit | None:
    """Return the unit that all terms share; a literal number takes any unit."""
    units = [unit_of(argument, model) for argument in arguments
             if not isinstance(argument, (int, float))]
    if not units:
        return {}
    return units[0] if all(unit == units[0] for unit in units) else None


def _plain(powers: Counter[str]) -> Unit:
    return {part: power for part, power in powers.items() if power}
