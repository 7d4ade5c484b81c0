"""Evaluates one equation over a whole run at once.

The syntax tree that PySD makes of an equation becomes a function of arrays along time, so that
an equation can be asked what it would have given had only one of its inputs moved.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pysd.translators.structures.abstract_expressions import (
    ArithmeticStructure,
    CallStructure,
    GameStructure,
    InlineLookupsStructure,
    LogicStructure,
    ReferenceStructure,
)

from kuzbass.errors import ModelError, plain_name
from kuzbass.sd.graph import TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.pysd_fixes import Curve

    Array = NDArray[np.float64]
    Values = Mapping[str, Array]
    # From the values of the inputs; a number stands for a constant array.
    Function = Callable[[Values], Any]

__all__ = ["Expression", "Language"]

# What Vensim takes for zero, as in PySD.
_SMALL = 1e-6


@dataclass(frozen=True)
class Expression:
    """A compiled equation.

    Attributes
    ----------
    inputs : tuple of str
        The variables that it reads, ``"Time"`` among them where a function of time is called.
    """

    inputs: tuple[str, ...]
    _function: Function = field(repr=False)

    def __call__(self, values: Values) -> Array:
        """Return the equation's values, shape (t,), from those of its inputs, shape (t,) each.

        What has no value (a root of a negative number, a division by zero) is not finite.
        """
        with np.errstate(all="ignore"):
            return np.asarray(self._function(values), dtype=float)


@dataclass(frozen=True)
class Language:
    """What the names in an equation stand for.

    Attributes
    ----------
    index : mapping of str to str
        `kuzbass.errors.plain_name` -> name of the variable.
    curves : mapping of str to Curve
        Points of the lookups, by name.
    time_step : float
        Width of the steps of the run; STEP and PULSE depend on it.
    """

    index: Mapping[str, str]
    curves: Mapping[str, Curve]
    time_step: float

    def compile(self, ast: object, owner: str) -> Expression:
        """Return an equation without stateful functions as a function of arrays.

        Raises
        ------
        ModelError
            A construct that cannot be evaluated; the message names it and the `owner`.
        """
        compiler = _Compiler(self, owner)
        function = compiler.build(ast)
        return Expression(tuple(compiler.inputs), function)

    def name(self, reference: str) -> str:
        """Return the name of the variable that a reference means."""
        plain = plain_name(reference.strip('"'))
        return TIME if plain == "time" else self.index.get(plain, reference)


class _Compiler:
    """Builds the function of one equation and notes the names that it reads."""

    def __init__(self, language: Language, owner: str) -> None:
        self.language = language
        self.owner = owner
        # A dict keeps the order of the equation.
        self.inputs: dict[str, None] = {}

    def build(self, node: Any) -> Function:
        if isinstance(node, (int, float)):
            number = float(node)
            return lambda _values: number
        builders: dict[type, Callable[[Any], Function]] = {
            ReferenceStructure: lambda part: self.read(self.language.name(part.reference)),
            ArithmeticStructure: lambda part: self.arithmetic(part.operators, part.arguments),
            LogicStructure: lambda part: self.logic(part.operators, part.arguments),
            GameStructure: lambda part: self.build(part.expression),
            InlineLookupsStructure: lambda part: self.table(
                part.lookups.x, part.lookups.y, part.argument),
            CallStructure: lambda part: self.call(part.function.reference, part.arguments),
        }
        if type(node) not in builders:
            raise self.refusal(type(node).__name__.removesuffix("Structure"))
        return builders[type(node)](node)

    def refusal(self, construct: str) -> ModelError:
        return ModelError("cannot be evaluated outside a run", key=self.owner, value=construct)

    def read(self, name: str) -> Function:
        self.inputs[name] = None
        return operator.itemgetter(name)

    def table(self, x: object, y: object, argument: object) -> Function:
        inner = self.build(argument)
        points = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        return lambda values: np.interp(inner(values), *points)

    def arithmetic(self, operators: Sequence[str], arguments: Sequence[Any]) -> Function:
        if len(operators) == len(arguments) == 1:
            inner = self.build(arguments[0])
            sign = -1.0 if operators[0] in {"negative", "-"} else 1.0
            return lambda values: sign * inner(values)
        if operators[-1] == "^":
            return self.power([self.build(argument) for argument in arguments])
        first, *rest = [self.build(argument) for argument in arguments]
        steps = list(zip([_ARITHMETIC[sign] for sign in operators], rest, strict=True))

        def evaluate(values: Values) -> Any:
            result = first(values)
            for combine, argument in steps:
                result = combine(result, argument(values))
            return result

        return evaluate

    def power(self, parts: Sequence[Function]) -> Function:
        def evaluate(values: Values) -> Any:
            # PySD leaves a chain of powers to Python, which begins at the right.
            result = parts[-1](values)
            for part in reversed(parts[:-1]):
                result = np.power(part(values), result)
            return result

        return evaluate

    def logic(self, operators: Sequence[str], arguments: Sequence[Any]) -> Function:
        built = [self.build(argument) for argument in arguments]
        if list(operators) == [":NOT:"]:
            return lambda values: np.logical_not(built[0](values))
        first = list(zip([_LOGIC[sign] for sign in operators], built[:-1], strict=True))

        def evaluate(values: Values) -> Any:
            # PySD begins a chain of :AND: and :OR: at the right.
            result = built[-1](values)
            for combine, part in reversed(first):
                result = combine(part(values), result)
            return result

        return evaluate

    def call(self, function: str, arguments: Sequence[Any]) -> Function:
        table = self.language.curves.get(self.language.name(function))
        if table is not None:
            return self.table(table.x, table.y, arguments[0])
        if function == "active_initial":
            # The second argument acts only before the run.
            return self.build(arguments[0])
        built = [self.build(argument) for argument in arguments]
        if function in _FUNCTIONS:
            apply = _FUNCTIONS[function]
            return lambda values: apply(*(part(values) for part in built))
        if function in _TIME_FUNCTIONS:
            of_time = _TIME_FUNCTIONS[function]
            clock = self.read(TIME)
            step = self.language.time_step
            return lambda values: of_time(clock(values), step, *(part(values) for part in built))
        raise self.refusal(function.replace("_", " ").upper())


def _quantum(a: Any, b: Any) -> Any:
    return np.where(b < _SMALL, a, b * np.trunc(a / np.where(b < _SMALL, 1.0, b)))


def _xidz(numerator: Any, denominator: Any, otherwise: Any) -> Any:
    zero = np.abs(denominator) < _SMALL
    return np.where(zero, otherwise, numerator / np.where(zero, 1.0, denominator))


def _step(time: Any, time_step: float, height: Any, start: Any) -> Any:
    return height * (time + time_step / 2.0 > start)


def _ramp(time: Any, _time_step: float, slope: Any, start: Any, end: Any = np.inf) -> Any:
    return (time + _SMALL > start) * slope * (np.minimum(end, time) - start)


def _pulse(time: Any, _time_step: float, start: Any, width: Any) -> Any:
    return np.where((start - _SMALL <= time) & (time < start + width), 1.0, 0.0)


def _pulse_train(
    time: Any, time_step: float, start: Any, interval: Any, width: Any, end: Any
) -> Any:
    within = (start <= time) & (time < end) & ((time - start + _SMALL) % interval < width)
    # An interval of zero is one pulse.
    return np.where(interval == 0.0, _pulse(time, time_step, start, width),
                    np.where(within, 1.0, 0.0))


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": np.divide,
}
_LOGIC: dict[str, Callable[[Any, Any], Any]] = {
    ":AND:": np.logical_and, ":OR:": np.logical_or,
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "power": np.power, "min": np.minimum, "max": np.maximum, "exp": np.exp,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "arcsin": np.arcsin, "arccos": np.arccos,
    "arctan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "sqrt": np.sqrt,
    "ln": np.log, "log": lambda x, base: np.log(x) / np.log(base),
    "integer": np.trunc, "quantum": _quantum, "modulo": lambda x, m: x - _quantum(x, m),
    "if_then_else": np.where, "xidz": _xidz, "zidz": lambda a, b: _xidz(a, b, 0.0),
}
_TIME_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "step": _step, "ramp": _ramp, "pulse": _pulse, "pulse_train": _pulse_train,
}
