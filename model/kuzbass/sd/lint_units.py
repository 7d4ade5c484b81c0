"""Dimensional consistency: the unit of every expression against the unit that it must have.

Rules after Vensim's unit check.  A number takes no unit, so that every constant with one must
have a name; zero fits any unit.  The input of a table must be a pure number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pysd.translators.structures.abstract_expressions import (
    ArithmeticStructure,
    CallStructure,
    DelayFixedStructure,
    DelayNStructure,
    DelayStructure,
    ForecastStructure,
    GameStructure,
    InitialStructure,
    InlineLookupsStructure,
    IntegStructure,
    LogicStructure,
    LookupsStructure,
    ReferenceStructure,
    SampleIfTrueStructure,
    SmoothNStructure,
    SmoothStructure,
    TrendStructure,
)

from kuzbass.errors import plain_name

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model

__all__ = ["TABLE_INPUT", "Unit", "UnitFinding", "check_units", "format_unit", "parse_unit"]

Unit = dict[str, float]

TABLE_INPUT = "the input of a table"
_PURE = {"dmnl", "dimensionless", "fraction", "1"}
_WORD = re.compile(r"[*/()]|[^*/()]+")
_LOGIC = {":AND:", ":OR:", ":NOT:"}


@dataclass(frozen=True)
class UnitFinding:
    """A unit that is not the one expected.

    Attributes
    ----------
    element : str
        The variable whose equation it is.
    place : str
        The part of the equation.
    expected, found : str
        Units, as `format_unit` writes them.
    """

    element: str
    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.element}: {self.message}"

    @property
    def message(self) -> str:
        """What is wrong, without the variable."""
        return f"{self.place} has the unit {self.found}, expected {self.expected}"


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


def format_unit(unit: Unit) -> str:
    """Return a unit as Vensim writes it: ``{"mt": 1, "year": -2}`` -> ``"mt/(year*year)"``."""
    if not unit:
        return "Dmnl"
    above, below = ([part for name, power in unit.items() for part in _repeated(name, sign * power)]
                    for sign in (1.0, -1.0))
    if not below:
        return "*".join(above)
    divisor = below[0] if len(below) == 1 else f"({'*'.join(below)})"
    return f"{'*'.join(above) or '1'}/{divisor}"


def check_units(model: Model) -> list[UnitFinding]:
    """Check the dimensional consistency of every equation of a model.

    Returns
    -------
    list of UnitFinding
        In the order of the file; empty if all equations are consistent.
    """
    return [finding for name in model.variables for finding in _Checker(model, name).run()]


def _plain(powers: Counter[str]) -> Unit:
    return {part: float(power) for part, power in powers.items() if power}


def _repeated(name: str, power: float) -> list[str]:
    if power <= 0.0:
        return []
    return [name] * int(power) if power.is_integer() else [f"{name}^{power:g}"]


def _times(first: Unit | None, second: Unit | None, power: float = 1.0) -> Unit | None:
    """Return first * second ^ power; ``None`` (any unit) if one of them fits any."""
    if first is None or second is None:
        return None
    return {name: total for name in {**first, **second}
            if (total := first.get(name, 0.0) + power * second.get(name, 0.0))}


class _Checker:
    """Finds the unit of each part of one equation; ``None`` stands for any unit."""

    def __init__(self, model: Model, element: str) -> None:
        self.model = model
        self.element = element
        self.findings: list[UnitFinding] = []
        self.time = parse_unit(model.variables[model.name("TIME STEP")].unit)
        self.rules: dict[type, Callable[[Any], Unit | None]] = {
            ReferenceStructure: lambda node: self.named(node.reference),
            ArithmeticStructure: self.arithmetic,
            LogicStructure: self.logic,
            CallStructure: self.call,
            InlineLookupsStructure: self.inline_table,
            GameStructure: lambda node: self.unit(node.expression),
            InitialStructure: lambda node: self.unit(node.initial),
            SmoothStructure: lambda node: self.memory(node, node.smooth_time),
            SmoothNStructure: lambda node: self.memory(node, node.smooth_time),
            DelayStructure: lambda node: self.memory(node, node.delay_time),
            DelayNStructure: lambda node: self.memory(node, node.delay_time),
            DelayFixedStructure: lambda node: self.memory(node, node.delay_time),
            TrendStructure: self.trend,
            ForecastStructure: self.forecast,
            SampleIfTrueStructure: self.sample,
        }

    def run(self) -> list[UnitFinding]:
        variable = self.model.variables[self.element]
        ast = self.model.equations[self.element].ast
        # A constant and a table are what their units say.
        if isinstance(ast, (int, float, LookupsStructure)):
            return []
        own = parse_unit(variable.unit)
        if isinstance(ast, IntegStructure):
            self.expect(_times(self.unit(ast.flow), self.time), own,
                        "the rate times the unit of time")
            self.expect(self.unit(ast.initial), own, "the initial value")
        else:
            self.expect(self.unit(ast), own, "the equation")
        return self.findings

    def unit(self, node: Any) -> Unit | None:
        if isinstance(node, (int, float)):
            return {} if node else None
        rule = self.rules.get(type(node))
        return None if rule is None else rule(node)

    def expect(self, found: Unit | None, expected: Unit | None, place: str) -> None:
        if found is not None and expected is not None and found != expected:
            self.findings.append(UnitFinding(self.element, place, format_unit(expected),
                                             format_unit(found)))

    def common(self, nodes: list[Any], place: str) -> Unit | None:
        """Return the unit of the first part that has one; all others must share it."""
        units = [self.unit(node) for node in nodes]
        known = next((unit for unit in units if unit is not None), None)
        for node, unit in zip(nodes, units, strict=True):
            self.expect(unit, known, f"'{_text(node)}' in {place}")
        return known

    def named(self, reference: str) -> Unit | None:
        name = plain_name(reference.strip('"'))
        written = self.model.index.get("time step" if name == "time" else name)
        return None if written is None else parse_unit(self.model.variables[written].unit)

    def arithmetic(self, node: ArithmeticStructure) -> Unit | None:
        operators, arguments = list(node.operators), list(node.arguments)
        if len(operators) == len(arguments) == 1:
            return self.unit(arguments[0])
        if "^" in operators:
            return self.power(arguments)
        if operators[0] in {"+", "-"}:
            return self.common(arguments, "a sum")
        result: Unit | None = {}
        for operator, argument in zip(["*", *operators], arguments, strict=True):
            result = _times(result, self.unit(argument), 1.0 if operator == "*" else -1.0)
        return result

    def power(self, arguments: list[Any]) -> Unit | None:
        base, *exponents = arguments
        for exponent in exponents:
            self.expect(self.unit(exponent), {}, f"the exponent '{_text(exponent)}'")
        unit = self.unit(base)
        if not unit:
            return unit
        if len(exponents) == 1 and isinstance(exponents[0], (int, float)):
            return _times({}, unit, float(exponents[0]))
        self.expect(unit, {}, f"the base '{_text(base)}' of a power")
        return None

    def logic(self, node: LogicStructure) -> Unit | None:
        if _LOGIC.intersection(node.operators):
            for argument in node.arguments:
                self.unit(argument)
        else:
            self.common(list(node.arguments), "a comparison")
        return {}

    def inline_table(self, node: InlineLookupsStructure) -> Unit | None:
        self.expect(self.unit(node.argument), {}, f"'{_text(node.argument)}', {TABLE_INPUT},")
        return None

    def memory(self, node: Any, time: Any) -> Unit | None:
        """Return the unit of a smooth or delay: that of its input."""
        self.expect(self.unit(time), self.time, f"the time '{_text(time)}' of a smooth or delay")
        if node.initial is node.input:
            return self.unit(node.input)
        return self.common([node.input, node.initial], "a smooth or delay")

    def trend(self, node: TrendStructure) -> Unit | None:
        self.unit(node.input)
        self.expect(self.unit(node.average_time), self.time, "the time of TREND")
        return _times({}, self.time, -1.0)

    def forecast(self, node: ForecastStructure) -> Unit | None:
        for time in (node.average_time, node.horizon):
            self.expect(self.unit(time), self.time, "a time of FORECAST")
        return self.unit(node.input)

    def sample(self, node: SampleIfTrueStructure) -> Unit | None:
        self.unit(node.condition)
        return self.common([node.input, node.initial], "SAMPLE IF TRUE")

    def call(self, node: CallStructure) -> Unit | None:
        function, arguments = node.function.reference, list(node.arguments)
        title = function.replace("_", " ").upper()
        if plain_name(function) in self.model.index:
            self.expect(self.unit(arguments[0]), {}, f"'{_text(arguments[0])}', {TABLE_INPUT},")
            return self.named(function)
        rules: dict[str, Callable[[list[Any], str], Unit | None]] = {
            **dict.fromkeys(("min", "max", "modulo", "quantum", "active_initial"), self.common),
            **dict.fromkeys(("abs", "integer"), lambda given, _: self.unit(given[0])),
            **dict.fromkeys(("step", "ramp", "pulse", "pulse_train"), self.of_time),
            **dict.fromkeys(("xidz", "zidz"), self.ratio),
            "if_then_else": self.choice,
            "power": lambda given, _: self.power(given),
            "sqrt": lambda given, _: _times({}, self.unit(given[0]), 0.5),
        }
        return rules.get(function, self.pure)(arguments, title)

    def choice(self, arguments: list[Any], title: str) -> Unit | None:
        self.unit(arguments[0])
        return self.common(arguments[1:], title)

    def ratio(self, arguments: list[Any], title: str) -> Unit | None:
        ratio = _times(self.unit(arguments[0]), self.unit(arguments[1]), -1.0)
        for otherwise in arguments[2:]:
            self.expect(self.unit(otherwise), ratio, f"'{_text(otherwise)}' in {title}")
        return ratio

    def pure(self, arguments: list[Any], title: str) -> Unit | None:
        for argument in arguments:
            self.expect(self.unit(argument), {}, f"'{_text(argument)}' in {title}")
        return {}

    def of_time(self, arguments: list[Any], title: str) -> Unit | None:
        height: Unit | None = {}
        if title in {"STEP", "RAMP"}:
            height, arguments = self.unit(arguments[0]), arguments[1:]
        for argument in arguments:
            self.expect(self.unit(argument), self.time, f"the time '{_text(argument)}' in {title}")
        return _times(height, self.time) if title == "RAMP" else height


def _text(node: Any) -> str:
    """Return a part of an equation as a modeller would write it."""
    if isinstance(node, ReferenceStructure):
        return str(node.reference).strip('"').replace("_", " ")
    if isinstance(node, CallStructure):
        inner = ", ".join(_text(argument) for argument in node.arguments)
        return f"{_text(node.function)}({inner})"
    if isinstance(node, (ArithmeticStructure, LogicStructure)):
        parts = [_text(part) for part in node.arguments]
        if len(node.operators) == len(parts):
            return f"{'-' if node.operators[0] == 'negative' else node.operators[0]}{parts[0]}"
        inner = parts[0] + "".join(f"{operator}{part}" for operator, part in
                                   zip(node.operators, parts[1:], strict=True))
        return f"({inner})"
    if isinstance(node, (int, float)):
        return f"{node:g}"
    return type(node).__name__.removesuffix("Structure").upper()
