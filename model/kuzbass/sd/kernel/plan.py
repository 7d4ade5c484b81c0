"""From a model in flat scalar form to the plan of one kernel.

The plan knows which variables a run may set and which it returns.  Everything else is folded into
numbers or dropped, and what is left is sorted by the moment at which it has to be computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.sd.kernel.nodes import BOOLEANS, EXACT, Graph, UnsupportedError, arguments
from kuzbass.sd.kernel.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kuzbass.sd.kernel.ir import Ir

__all__ = ["FACTOR", "SHARE", "Plan", "PlanState", "Spec", "make_plan"]

# Inputs that come with a scaled driver.
FACTOR, SHARE = "{}: factor", "{}: share"  # no name of a variable has a colon

# Moments of evaluation: folded, once a run, once for all runs at each time, at each step.
_LITERAL, _ONCE, _SERIES, _STEP = range(4)
_JUMPS = frozenset({"trunc", "mod", "eq", "ne"})
_LEVELS = {"number": _LITERAL, "truth": _LITERAL, "scalar": _ONCE, "path0": _ONCE,
           "time": _SERIES, "path": _STEP, "state": _STEP}


@dataclass(frozen=True)
class Spec:
    """What a kernel is made for.

    Attributes
    ----------
    vary : tuple of str
        Constants, drivers and tables that a run may set.
    moving : tuple of str
        The constants among them that may follow a time path.
    outputs : tuple of str
        Variables to return.
    initial_time, time_step : float
        In the model's time unit.
    steps, save_every : int
        Number of steps, and steps from one saved time to the next.
    method : {"euler", "rk4"}
        Integration method.
    scaled : tuple of str
        The drivers of `vary` whose path gets a factor in every run, see `values.Scaled`.
    """

    vary: tuple[str, ...]
    moving: tuple[str, ...]
    outputs: tuple[str, ...]
    initial_time: float
    time_step: float
    steps: int
    save_every: int
    method: str
    scaled: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of times at which paths are read: two a step for RK4, whose middle counts."""
        return self.steps * (2 if self.method == "rk4" else 1) + 1

    @property
    def saved(self) -> int:
        """Number of saved times."""
        return self.steps // self.save_every + 1

    def controls(self) -> dict[str, float]:
        """Return the values of the control variables."""
        final_time = self.initial_time + self.steps * self.time_step
        return {"INITIAL TIME": self.initial_time, "FINAL TIME": final_time,
                "TIME STEP": self.time_step, "SAVEPER": self.save_every * self.time_step}


@dataclass(frozen=True)
class PlanState:
    """A state of the plan: nodes of its initial value and of its change, see `ir.State`.

    `length` is the number of steps that a ``fixed`` state delays its input.
    """

    kind: str
    owner: str
    start: int
    next: int
    length: int = 0


@dataclass
class Plan:
    """What a printer prints.

    Attributes
    ----------
    spec : Spec
        What the plan is made for.
    graph : Graph
        Nodes; inputs and tables by position.
    scalars, paths, tables : list of str
        Inputs by position; a table without a name in ``spec.vary`` has the points in `points`.
    points : list
        Points (x, y) of each table, as the model has them.
    once, series, core, extra : list of int
        Nodes by moment of evaluation: at the start of a run; from time alone, for all runs at
        once; at each step for the states; at saved times for the outputs only.
    columns : list of int
        The nodes of `series` that `core`, `extra` or the outputs read.
    states : list of PlanState
        By position in ``state`` nodes.
    outputs : list of int
        One node per output.
    """

    spec: Spec
    graph: Graph = field(default_factory=Graph)
    scalars: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    points: list[tuple[list[float], list[float]]] = field(default_factory=list)
    once: list[int] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    core: list[int] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    states: list[PlanState] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


def make_plan(ir: Ir, spec: Spec) -> Plan:
    """Return the plan of a kernel.

    Raises
    ------
    UnsupportedError
        A DELAY FIXED whose time differs between runs or is not a whole number of steps, or a
        state that RK4 cannot integrate.
    """
    return _Planner(ir, spec).make()


class _Planner:
    def __init__(self, ir: Ir, spec: Spec) -> None:
        self._ir, self._spec = ir, spec
        self._plan = Plan(spec)
        self._graph = self._plan.graph
        self._inverted = _inverted(ir.graph)
        self._controls = {name: spec.controls()[plain] for name, plain in ir.controls.items()}
        self._new: dict[int, int] = {}
        self._state_of: dict[int, int] = {}

    def make(self) -> Plan:
        ir, plan = self._ir, self._plan
        plan.outputs = [self._convert(ir.symbols[name].now) for name in self._spec.outputs]
        waiting = 0
        old_states = list(self._state_of)
        while waiting < len(old_states):  # the change of a state may need further states
            self._add_state(old_states[waiting])
            waiting += 1
            old_states = list(self._state_of)
        self._sort()
        return plan

    def _convert(self, root: int) -> int:
        """Return the node of the plan that stands for a node of the model."""
        stack = [root]
        while stack:
            number = stack[-1]
            if number in self._new:
                stack.pop()
                continue
            missing = [arg for arg in self._needs(number) if arg not in self._new]
            if missing:
                stack.extend(missing)
            else:
                self._new[stack.pop()] = self._make(number)
        return self._new[root]

    def _needs(self, number: int) -> tuple[int, ...]:
        node = self._ir.graph[number]
        if node[0] in {"driver", "driver0"} and node[1] not in self._spec.vary:
            return (self._ir.drivers[node[1]][node[0] == "driver0"],)
        return arguments(node)

    def _make(self, number: int) -> int:  # noqa: PLR0911 - one return per kind of node
        graph, spec = self._graph, self._spec
        op, *rest = self._ir.graph[number]
        needed = tuple(self._new[arg] for arg in self._needs(number))
        if op == "number":
            return graph.number(rest[0])
        if op == "truth":
            return graph.truth(rest[0])
        if op in {"constant", "start"}:
            return self._constant(rest[0], at_start=op == "start")
        if op in {"driver", "driver0"}:
            if rest[0] not in spec.vary:
                return needed[0]
            return self._path(rest[0], "path" if op == "driver" else "path0")
        if op == "state":
            return graph.leaf("state", self._state_of.setdefault(rest[0], len(self._state_of)))
        if op == "time":
            return graph.leaf("time")
        if op == "table":
            return self._read_table(rest[0], needed[0])
        if number in self._inverted:
            return graph.add("mul", needed[0], graph.add("div", graph.number(1.0), needed[1]))
        return graph.add(op, *needed)

    def _path(self, name: str, kind: str) -> int:
        """Return the node of a driver that a run sets: path + path * ((factor - 1) * share)."""
        graph, plan = self._graph, self._plan
        path = graph.leaf(kind, _position(plan.paths, name))
        if name not in self._spec.scaled:
            return path
        factor = graph.leaf("scalar", _position(plan.scalars, FACTOR.format(name)))
        share = graph.leaf(kind, _position(plan.paths, SHARE.format(name)))
        growth = graph.add("mul", graph.add("sub", factor, graph.number(1.0)), share)
        return graph.add("add", path, graph.add("mul", path, growth))

    def _constant(self, name: str, *, at_start: bool) -> int:
        if name in self._controls:
            return self._graph.number(self._controls[name])
        if name in self._spec.moving:
            return self._graph.leaf("path0" if at_start else "path",
                                    _position(self._plan.paths, name))
        if name in self._spec.vary:
            return self._graph.leaf("scalar", _position(self._plan.scalars, name))
        return self._graph.number(self._ir.constants[name])

    def _read_table(self, name: str, x: int) -> int:
        at = self._graph.literal(x)
        if at is not None and name not in self._spec.vary:
            return self._graph.number(float(Table(*self._ir.tables[name])(np.array(at))))
        position = _position(self._plan.tables, name)
        if position == len(self._plan.points):
            self._plan.points.append(self._ir.tables[name])
        return self._graph.table(position, x)

    def _add_state(self, old: int) -> None:
        state = self._ir.states[old]
        start, change = self._convert(state.start), self._convert(state.next)
        if self._spec.method == "rk4" and state.kind != "flow":
            name = "DELAY FIXED" if state.kind == "fixed" else "SAMPLE IF TRUE"
            raise UnsupportedError(f"RK4 cannot integrate {name}", file=self._ir.name,
                                   key=state.owner, allowed="method 'euler'")
        length = self._length(old) if state.kind == "fixed" else 0
        self._plan.states.append(PlanState(state.kind, state.owner, start, change, length))

    def _length(self, old: int) -> int:
        state = self._ir.states[old]
        delay_time = self._graph.literal(self._convert(state.delay_time))
        if delay_time is None:
            raise UnsupportedError(
                "the kernel does not support a DELAY FIXED whose time may differ between runs",
                file=self._ir.name, key=state.owner)
        length = max(delay_time / self._spec.time_step, 1.0)
        if not length.is_integer():
            raise UnsupportedError("a DELAY FIXED is not a whole number of steps",
                                   file=self._ir.name, key=state.owner, value=delay_time,
                                   allowed=f"multiples of {self._spec.time_step}")
        return int(length)

    def _sort(self) -> None:
        """Give every needed node its moment."""
        plan, graph = self._plan, self._graph
        changes = [state.next for state in plan.states]
        core = set(graph.reachable(changes))
        needed = graph.reachable([*changes, *plan.outputs, *(s.start for s in plan.states)])
        levels = self._levels(needed)
        plan.once = [node for node in needed if levels[node] == _ONCE]
        plan.series = [node for node in needed if levels[node] == _SERIES]
        stepped = [node for node in needed if levels[node] == _STEP]
        plan.core = [node for node in stepped if node in core]
        plan.extra = [node for node in stepped if node not in core]
        read = {arg for node in stepped for arg in arguments(graph[node])}
        read.update(plan.outputs, changes)
        plan.columns = [node for node in plan.series if node in read]

    def _levels(self, needed: Iterable[int]) -> dict[int, int]:
        levels: dict[int, int] = {}
        for number in needed:
            node = self._graph[number]
            own = {levels[arg] for arg in arguments(node)}
            level = _LEVELS[node[0]] if node[0] in _LEVELS else max(own)
            if node[0] == "table" and self._plan.tables[node[1]] in self._spec.vary:
                level = max(level, _ONCE)
                own.add(_ONCE)
            if node[0] not in EXACT and node[0] not in _LEVELS:
                # NumPy's own exp and ln differ between machines, so these stay in the kernel.
                level = max(level, _ONCE)
                own.add(_ONCE)
            if level == _SERIES and _ONCE in own:
                level = _STEP
            if level == _LITERAL and node[0] not in _LEVELS:
                level = _ONCE  # what could not be folded, such as a division by zero
            levels[number] = level
        return levels


def _inverted(graph: Graph) -> set[int]:
    """Return the divisions to be done as products with an inverse: a division costs twenty.

    Those are the ones whose divisor does not change in a run, or divides several things.  The
    choice depends on the model alone, so that every kernel of a model computes the same bits.
    """
    fixed: set[int] = set()
    exact: set[int] = set()
    divisions: dict[int, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        args = arguments(node)
        if node[0] in {"number", "truth", "constant", "start", "driver0"} or (
                args and fixed.issuperset(args)):
            fixed.add(number)
        if node[0] in BOOLEANS:
            exact.update(args)
        if node[0] in _JUMPS:  # one bit less may be one whole number less
            exact.update(graph.reachable(args))
        if node[0] == "div" and number not in fixed:
            divisions.setdefault(node[2], []).append(number)
    return {number for divisor, numbers in divisions.items() for number in numbers
            if (divisor in fixed or len(numbers) > 1) and number not in exact}


def _position(names: list[str], name: str) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)
