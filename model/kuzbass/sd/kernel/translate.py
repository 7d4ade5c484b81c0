"""Translates the equations of a model; the only file of the kernel that knows PySD's structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
from pysd.translators.structures import abstract_expressions as ae

from kuzbass.errors import plain_name
from kuzbass.sd import graph as causal
from kuzbass.sd.kernel.ir import Ir, State, Symbol
from kuzbass.sd.kernel.nodes import UnsupportedError
from kuzbass.sd.subscripts import ArrayCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kuzbass.sd.mdl import Model

__all__ = ["Translator"]

Stage = Literal["now", "start"]

_SMALL = 1e-6  # what Vensim and PySD take for zero
_CONTROLS = ("INITIAL TIME", "FINAL TIME", "TIME STEP", "SAVEPER")
_SMOOTHS = (ae.SmoothStructure, ae.SmoothNStructure)
_STATEFUL = (ae.IntegStructure, *_SMOOTHS, ae.DelayStructure, ae.DelayFixedStructure,
             ae.TrendStructure, ae.ForecastStructure, ae.SampleIfTrueStructure,
             ae.InitialStructure)
_REFUSED: dict[type, str] = {
    ae.DelayNStructure: "DELAY N",
    ae.AllocateAvailableStructure: "ALLOCATE AVAILABLE",
    ae.AllocateByPriorityStructure: "ALLOCATE BY PRIORITY",
    ae.LookupsStructure: "a table inside an equation", ae.DataStructure: "outside data",
}
_BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
_COMPARED = {"=": "eq", "<>": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_DIRECT = {"abs": "abs", "min": "min", "max": "max", "exp": "exp", "ln": "ln", "sqrt": "sqrt",
           "sin": "sin", "cos": "cos", "integer": "trunc", "power": "pow"}


class Translator:
    """Builds the `Ir` of one model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._ir = Ir(model.path.name, model.sha256)
        self._graph = self._ir.graph
        self._add = self._graph.add
        self._values: dict[Stage, dict[str, int]] = {"now": {}, "start": {}}
        self._first_state: dict[int, int] = {}
        self._inline: dict[int, str] = {}
        self._unfinished: list[tuple[str, Any, int]] = []
        self._owner = ""

    def translate(self) -> Ir:
        """Return the flat scalar form."""
        model, ir = self._model, self._ir
        ir.time_axis = {"INITIAL TIME": model.initial_time, "FINAL TIME": model.final_time,
                        "TIME STEP": model.time_step}
        ir.time_unit = model.variables[model.name("TIME STEP")].unit
        ir.controls = {model.name(name): name for name in _CONTROLS
                       if plain_name(name) in model.index}
        self._read_tables()
        drivers = set(causal.drivers(model))
        for name in self._order("start"):
            self._at_start(name, is_driver=name in drivers)
        for name in self._order("now"):
            self._at_each_step(name, is_driver=name in drivers)
        while self._unfinished:  # a rate may hold further states
            owner, ast, first = self._unfinished.pop()
            self._owner = owner
            self._finish(ast, first)
        for name, variable in model.variables.items():
            ir.symbols[name] = Symbol(
                variable.kind, variable.unit, variable.lower, variable.upper,
                self._values["now"].get(name, -1), self._values["start"].get(name, -1))
        return ir

    def _read_tables(self) -> None:
        for name, curve in self._model.curves().items():
            if self._model.equations[name].ast.type != "interpolate":
                raise self._refusal("a table that is not interpolated", name)
            self._ir.tables[name] = (curve.x.tolist(), curve.y.tolist())

    def _order(self, stage: Stage) -> list[str]:
        """Return all variables, causes first; at the start, initial values are causes as well."""
        graph = causal.dependencies(self._model, start=stage == "start")
        acting: nx.DiGraph[str] = nx.DiGraph()
        acting.add_nodes_from(self._model.variables)
        acting.add_edges_from((cause, effect) for cause, effect, when in graph.edges(data=True)
                              if when["now"] or (stage == "start" and when["initial"]))
        return [name for name in nx.lexicographical_topological_sort(
                    acting, {name: place for place, name in enumerate(acting)}.get)
                if name != causal.TIME and self._model.variables[name].kind != "lookup"]

    def _at_start(self, name: str, *, is_driver: bool) -> None:
        self._owner = name
        start, ast = self._values["start"], self._model.equations[name].ast
        if name in self._ir.controls:
            start[name] = self._graph.leaf("constant", name)
        elif self._model.variables[name].kind == "constant":
            self._ir.constants[name] = float(ast)
            start[name] = self._graph.leaf("start", name)
        else:
            start[name] = self._as_number(ast, "start")
            if is_driver and not _has_state(ast):
                self._ir.drivers[name] = (-1, start[name])
                start[name] = self._graph.leaf("driver0", name)

    def _at_each_step(self, name: str, *, is_driver: bool) -> None:
        self._owner = name
        now, ast = self._values["now"], self._model.equations[name].ast
        if name in self._ir.controls or self._model.variables[name].kind == "constant":
            now[name] = self._graph.leaf("constant", name)
        else:
            now[name] = self._as_number(ast, "now")
            if is_driver and not _has_state(ast):
                self._ir.drivers[name] = (now[name], self._ir.drivers[name][1])
                now[name] = self._graph.leaf("driver", name)

    # expressions

    def _expression(  # noqa: PLR0911 - one return per kind of structure
        self, ast: Any, stage: Stage
    ) -> int:
        if isinstance(ast, (int, float)):
            if ast != ast:  # noqa: PLR0124 - only NaN differs from itself
                raise self._refusal(":NA:")
            return self._graph.number(float(ast))
        if isinstance(ast, ae.ReferenceStructure):
            return self._reference(ast, stage)
        if isinstance(ast, ae.ArithmeticStructure):
            return self._arithmetic(ast.operators, ast.arguments, stage)
        if isinstance(ast, ae.LogicStructure):
            return self._logic(ast.operators, ast.arguments, stage)
        if isinstance(ast, ae.CallStructure):
            return self._call(ast, stage)
        if isinstance(ast, ae.InlineLookupsStructure):
            return self._inline_table(ast, stage)
        if isinstance(ast, ae.GameStructure):
            return self._expression(ast.expression, stage)
        if isinstance(ast, _STATEFUL):
            return self._stateful(ast, stage)
        if isinstance(ast, ArrayCall):
            raise self._refusal(ast.construct)
        raise self._refusal(_REFUSED.get(type(ast), type(ast).__name__))

    def _as_number(self, ast: Any, stage: Stage) -> int:
        node = self._expression(ast, stage)
        return self._add("float", node) if self._graph.is_boolean(node) else node

    def _as_truth(self, ast: Any, stage: Stage) -> int:
        node = self._expression(ast, stage)
        # As in Python, every number but zero is true, NaN as well.
        return node if self._graph.is_boolean(node) else self._add("ne", node, self._literal(0.0))

    def _literal(self, value: float) -> int:
        return self._graph.number(value)

    def _reference(self, ast: Any, stage: Stage) -> int:
        plain = plain_name(ast.reference.strip('"'))
        if plain == "time":
            return self._time(stage)
        name = self._model.index[plain]
        if name in self._ir.tables:
            raise self._refusal(f"the table '{name}' without an argument")
        return self._values[stage][name]

    def _time(self, stage: Stage) -> int:
        if stage == "start":
            return self._control("INITIAL TIME")
        return self._graph.leaf("time")

    def _control(self, name: str) -> int:
        return self._graph.leaf("constant", self._model.name(name))

    def _arithmetic(self, operators: Sequence[str], parts: Sequence[Any], stage: Stage) -> int:
        if operators[0] == "negative":
            return self._add("neg", self._as_number(parts[0], stage))
        if operators[0] == "^":
            return self._power(parts, stage)
        result = self._as_number(parts[0], stage)
        for sign, part in zip(operators, parts[1:], strict=True):
            result = self._add(_BINARY[sign], result, self._as_number(part, stage))
        return result

    def _power(self, parts: Sequence[Any], stage: Stage) -> int:
        """Return a chain of powers, read from the right as PySD's Python text is."""
        result = self._as_number(parts[-1], stage)
        for part in reversed(parts[:-1]):
            if isinstance(part, (int, float)) and part < 0:
                # PySD prints (-2)^2 as -2**2, and Python takes the power first.
                result = self._add("neg", self._add("pow", self._literal(-part), result))
            else:
                result = self._add("pow", self._as_number(part, stage), result)
        return result

    def _logic(self, operators: Sequence[str], parts: Sequence[Any], stage: Stage) -> int:
        if operators[0] in _COMPARED:
            return self._add(_COMPARED[operators[0]],
                             *(self._as_number(part, stage) for part in parts))
        if operators[0].upper() == ":NOT:":
            return self._add("not", self._as_truth(parts[0], stage))
        # PySD nests :AND: and :OR: from the right, whichever they are.
        result = self._as_truth(parts[-1], stage)
        for sign, part in zip(reversed(operators), reversed(parts[:-1]), strict=True):
            result = self._add(sign.strip(":").lower(), self._as_truth(part, stage), result)
        return result

    # calls

    def _call(self, ast: Any, stage: Stage) -> int:
        function = ast.function.reference
        name = self._model.index.get(plain_name(function))
        if name is not None:
            if name not in self._ir.tables:
                raise self._refusal(f"a call of '{name}', which is not a table")
            return self._graph.table(name, self._as_number(ast.arguments[0], stage))
        if function in _DIRECT:
            return self._add(_DIRECT[function],
                             *(self._as_number(part, stage) for part in ast.arguments))
        special = _SPECIAL.get(function)
        if special is None:
            raise self._refusal(function.replace("_", " ").upper())
        return special(self, ast.arguments, stage)

    def _inline_table(self, ast: Any, stage: Stage) -> int:
        points = ast.lookups
        name = self._inline.setdefault(id(points), f"WITH LOOKUP {len(self._inline)}")
        if name not in self._ir.tables:
            if len(set(points.x)) < len(points.x):
                raise self._refusal("a WITH LOOKUP that has two points with the same x")
            self._ir.tables[name] = ([float(x) for x in points.x], [float(y) for y in points.y])
        return self._graph.table(name, self._as_number(ast.argument, stage))

    def _if_then_else(self, parts: Sequence[Any], stage: Stage) -> int:
        return self._add("select", self._as_truth(parts[0], stage),
                         self._as_number(parts[1], stage), self._as_number(parts[2], stage))

    def _safe_ratio(self, parts: Sequence[Any], stage: Stage) -> int:
        """XIDZ, and ZIDZ, whose third argument is zero."""
        above, below = (self._as_number(part, stage) for part in parts[:2])
        other = self._as_number(parts[2], stage) if len(parts) > 2 else self._literal(0.0)
        return self._divide_safely(above, below, other)

    def _divide_safely(self, above: int, below: int, other: int) -> int:
        is_zero = self._add("lt", self._add("abs", below), self._literal(_SMALL))
        return self._add("select", is_zero, other, self._add("div", above, below))

    def _log(self, parts: Sequence[Any], stage: Stage) -> int:
        value, base = (self._add("ln", self._as_number(part, stage)) for part in parts)
        return self._add("div", value, base)

    def _quantum(self, parts: Sequence[Any], stage: Stage) -> int:
        value, unit = (self._as_number(part, stage) for part in parts)
        whole = self._add("trunc", self._add("div", value, unit))
        return self._add("select", self._add("lt", unit, self._literal(_SMALL)), value,
                         self._add("mul", unit, whole))

    def _modulo(self, parts: Sequence[Any], stage: Stage) -> int:
        return self._add("sub", self._as_number(parts[0], stage), self._quantum(parts, stage))

    def _active_initial(self, parts: Sequence[Any], stage: Stage) -> int:
        return self._as_number(parts[0] if stage == "now" else parts[1], stage)

    def _step(self, parts: Sequence[Any], stage: Stage) -> int:
        height, when = (self._as_number(part, stage) for part in parts)
        half = self._add("div", self._control("TIME STEP"), self._literal(2.0))
        reached = self._add("gt", self._add("add", self._time(stage), half), when)
        return self._add("mul", height, self._add("float", reached))

    def _ramp(self, parts: Sequence[Any], stage: Stage) -> int:
        slope, begin, end = (self._as_number(part, stage) for part in parts)
        time = self._time(stage)
        reached = self._add("gt", self._add("add", time, self._literal(_SMALL)), begin)
        height = self._add("mul", self._add("float", reached), slope)
        return self._add("mul", height, self._add("sub", self._add("min", end, time), begin))

    def _pulse(self, parts: Sequence[Any], stage: Stage) -> int:
        begin, width = (self._as_number(part, stage) for part in parts)
        return self._add("float", self._in_pulse(begin, width, stage))

    def _in_pulse(self, begin: int, width: int, stage: Stage) -> int:
        time = self._time(stage)
        early = self._add("sub", begin, self._literal(_SMALL))
        return self._add("and", self._add("le", early, time),
                         self._add("lt", time, self._add("add", begin, width)))

    def _pulse_train(self, parts: Sequence[Any], stage: Stage) -> int:
        """PULSE TRAIN; PySD hands over start, interval, width, end."""
        begin, interval, width, end = (self._as_number(part, stage) for part in parts)
        time = self._time(stage)
        since = self._add("add", self._add("sub", time, begin), self._literal(_SMALL))
        inside = self._add("and", self._add("le", begin, time), self._add("lt", time, end))
        on = self._add("lt", self._add("mod", since, interval), width)
        train = self._add("float", self._add("and", inside, on))
        once = self._add("float", self._in_pulse(begin, width, stage))
        return self._add("select", self._add("eq", interval, self._literal(0.0)), once, train)

    # stateful functions

    def _stateful(self, ast: Any, stage: Stage) -> int:
        if isinstance(ast, ae.InitialStructure):
            return self._as_number(ast.initial, "start")
        if stage == "now" and id(ast) not in self._first_state:
            self._first_state[id(ast)] = len(self._ir.states)
            for start in self._starts(ast):
                self._ir.states.append(State(_KINDS.get(type(ast), "flow"), self._owner, start))
            self._unfinished.append((self._owner, ast, self._first_state[id(ast)]))
        if stage == "start":
            state = self._starts(ast)[-1]
        else:
            state = self._state(self._first_state[id(ast)] + len(self._starts(ast)) - 1)
        return self._output(ast, state, stage)

    def _state(self, position: int) -> int:
        return self._graph.leaf("state", position)

    def _starts(self, ast: Any) -> list[int]:
        """Return the initial value of each state of a stateful function."""
        if isinstance(ast, _SMOOTHS):
            return [self._as_number(ast.initial, "start")] * self._whole_order(ast)
        if isinstance(ast, ae.DelayStructure):
            return self._delay_starts(ast)
        if isinstance(ast, ae.TrendStructure):
            growth = self._add("mul", self._as_number(ast.initial_trend, "start"),
                               self._as_number(ast.average_time, "start"))
            return [self._average_start(ast, growth)]
        if isinstance(ast, ae.ForecastStructure):
            return [self._average_start(ast, self._as_number(ast.initial_trend, "start"))]
        return [self._as_number(ast.initial, "start")]

    def _average_start(self, ast: Any, growth: int) -> int:
        return self._add("div", self._as_number(ast.input, "start"),
                         self._add("add", self._literal(1.0), growth))

    def _delay_starts(self, ast: Any) -> list[int]:
        order = self._whole_order(ast)
        delay_time = self._as_number(ast.delay_time, "start")
        content = self._add("mul", self._as_number(ast.initial, "start"), delay_time)
        shortest = self._add("mul", self._literal(float(order)), self._control("TIME STEP"))
        # NaN marks a delay shorter than its steps; the reference engine refuses it as well.
        long_enough = self._add("le", shortest, delay_time)
        return [self._add("select", long_enough, content, self._literal(float("nan")))] * order

    def _whole_order(self, ast: Any) -> int:
        if not isinstance(ast.order, (int, float)) or ast.order != int(ast.order):
            raise self._refusal("an order that is not a whole number")
        return int(ast.order)

    def _output(self, ast: Any, state: int, stage: Stage) -> int:
        if isinstance(ast, ae.DelayStructure):
            return self._add("div", state, self._as_number(ast.delay_time, stage))
        if isinstance(ast, ae.TrendStructure):
            change = self._add("sub", self._as_number(ast.input, stage), state)
            scale = self._add("mul", self._as_number(ast.average_time, stage),
                              self._add("abs", state))
            return self._divide_safely(change, scale, self._literal(0.0))
        if isinstance(ast, ae.ForecastStructure):
            return self._forecast(ast, state, stage)
        if isinstance(ast, ae.SampleIfTrueStructure):
            return self._add("select", self._as_truth(ast.condition, stage),
                             self._as_number(ast.input, stage), state)
        return state

    def _forecast(self, ast: Any, state: int, stage: Stage) -> int:
        value = self._as_number(ast.input, stage)
        scale = self._add("mul", self._as_number(ast.average_time, stage), state)
        trend = self._divide_safely(self._add("sub", value, state), scale, self._literal(0.0))
        growth = self._add("mul", trend, self._as_number(ast.horizon, stage))
        return self._add("mul", value, self._add("add", self._literal(1.0), growth))

    def _finish(self, ast: Any, first: int) -> None:
        """Set what changes the states of a stateful function."""
        states = self._ir.states
        if isinstance(ast, ae.IntegStructure):
            if ast.non_negative:
                raise self._refusal("a stock that cannot be negative")
            states[first].next = self._as_number(ast.flow, "now")
        elif isinstance(ast, _SMOOTHS):
            self._finish_chain(first, self._whole_order(ast), self._smooth_rate(ast),
                               self._as_number(ast.input, "now"))
        elif isinstance(ast, ae.DelayStructure):
            self._finish_delay(ast, first)
        elif isinstance(ast, ae.DelayFixedStructure):
            states[first].next = self._as_number(ast.input, "now")
            states[first].delay_time = self._as_number(ast.delay_time, "start")
        elif isinstance(ast, ae.SampleIfTrueStructure):
            states[first].next = self._output(ast, self._state(first), "now")
        else:  # TREND and FORECAST follow an average of their input
            gap = self._add("sub", self._as_number(ast.input, "now"), self._state(first))
            states[first].next = self._add("div", gap, self._as_number(ast.average_time, "now"))

    def _smooth_rate(self, ast: Any) -> Callable[[int, int], int]:
        order = self._literal(float(ast.order))
        smooth_time = self._as_number(ast.smooth_time, "now")
        return lambda target, state: self._add(
            "div", self._add("mul", self._add("sub", target, state), order), smooth_time)

    def _finish_chain(
        self, first: int, order: int, rate: Callable[[int, int], int], entering: int
    ) -> None:
        for position in range(first, first + order):
            own = self._state(position)
            self._ir.states[position].next = rate(entering, own)
            entering = own

    def _finish_delay(self, ast: Any, first: int) -> None:
        order = self._whole_order(ast)
        delay_time = self._as_number(ast.delay_time, "now")
        entering = self._as_number(ast.input, "now")
        for position in range(first, first + order):
            leaving = self._add("div", self._state(position), delay_time)
            change = self._add("sub", entering, leaving)
            self._ir.states[position].next = self._add("mul", change, self._literal(float(order)))
            entering = leaving

    def _refusal(self, construct: str, owner: str | None = None) -> UnsupportedError:
        return UnsupportedError(f"the kernel does not support {construct}",
                                file=self._model.path, key=owner or self._owner)


def _has_state(ast: Any) -> bool:
    return any(isinstance(node, _STATEFUL) for node, _ in causal.walk(ast))


_KINDS: dict[type, str] = {ae.DelayFixedStructure: "fixed", ae.SampleIfTrueStructure: "sample"}
_SPECIAL: dict[str, Callable[[Translator, Sequence[Any], Stage], int]] = {
    "if_then_else": Translator._if_then_else,
    "xidz": Translator._safe_ratio,
    "zidz": Translator._safe_ratio,
    "log": Translator._log,
    "quantum": Translator._quantum,
    "modulo": Translator._modulo,
    "active_initial": Translator._active_initial,
    "step": Translator._step,
    "ramp": Translator._ramp,
    "pulse": Translator._pulse,
    "pulse_train": Translator._pulse_train,
}
