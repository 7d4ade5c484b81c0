"""The NumPy printer: evaluates a plan over a batch of runs, one array operation per node.

Slower than compiled code by a factor of ten, and plain to read: the reference of the compiled
kernel, what computes the series that depend on time alone, and what finds the first variable that
is not finite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kuzbass.sd.kernel.nodes import arguments
from kuzbass.sd.kernel.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from kuzbass.sd.kernel.nodes import Graph
    from kuzbass.sd.kernel.plan import Plan

    Array = NDArray[np.float64]

__all__ = ["Batch", "evaluate", "series", "times"]


def _modulo(value: Array, unit: Array) -> Array:
    """Return the rest of a division of a positive `value`, as the compiled kernel does."""
    rest = value - unit * np.floor(value / unit)
    return np.where(rest >= unit, rest - unit, np.where(rest < 0.0, rest + unit, rest))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "neg": np.negative, "pow": np.power, "min": np.minimum, "max": np.maximum, "abs": np.abs,
    "exp": np.exp, "ln": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos,
    "trunc": np.trunc, "mod": _modulo, "select": np.where,
    "float": lambda truth: np.where(truth, 1.0, 0.0),
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not,
}


def evaluate(
    graph: Graph, order: Iterable[int], values: dict[int, Any], tables: dict[Any, Table]
) -> None:
    """Compute the nodes `order` in turn and put them into `values`.

    Leaves other than literals must be in `values` already.  Call it under ``numpy.errstate``.
    """
    for number in order:
        node = graph[number]
        op = node[0]
        if op in {"number", "truth"}:
            values[number] = node[1]
        elif op == "table":
            values[number] = tables[node[1]](np.asarray(values[node[2]]))
        elif op in OPERATIONS:
            values[number] = OPERATIONS[op](*(values[arg] for arg in arguments(node)))


def times(plan: Plan) -> Array:
    """Return the times of all rows, (rows,), added up step by step as PySD does."""
    step = plan.spec.time_step * (plan.spec.steps / (plan.spec.rows - 1))
    return np.cumsum(np.concatenate([[plan.spec.initial_time],
                                     np.full(plan.spec.rows - 1, step)]))


def series(plan: Plan) -> Array:
    """Return what depends on time alone, (rows, columns)."""
    tables = {place: Table(*points) for place, points in enumerate(plan.points)}
    values: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        literals = {arg for node in plan.series for arg in arguments(plan.graph[node])}
        for node in plan.series:
            if plan.graph[node][0] == "time":
                values[node] = times(plan)
        evaluate(plan.graph, sorted(literals | set(plan.series)), values, tables)
    result = np.empty((plan.spec.rows, len(plan.columns)))
    for column, node in enumerate(plan.columns):
        result[:, column] = values[node]
    return result


class Batch:
    """Runs a plan for many members at once.

    Parameters
    ----------
    plan : Plan
        What to compute.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._series = series(plan)
        used = {*plan.outputs, *(state.next for state in plan.states),
                *(state.start for state in plan.states)}
        for part in (plan.once, plan.core, plan.extra):
            used.update(arg for node in part for arg in arguments(plan.graph[node]))
        self._literals = [node for node in used if plan.graph[node][0] in {"number", "truth"}]
        self._paths = [(node, plan.graph[node][1]) for node in (*plan.core, *plan.extra)
                       if plan.graph[node][0] == "path"]

    def run(self, scalars: list[Array], paths: list[Array], tables: list[Table],
            n: int) -> Array:
        """Return the outputs of `n` runs, (saved times, outputs, n).

        Parameters
        ----------
        scalars : list of ndarray (1,) or (n,)
            By position.
        paths : list of ndarray (1 or n, 1 or rows)
            By position.
        tables : list of Table
            By position, one row of values or `n`.
        """
        plan, spec = self._plan, self._plan.spec
        result = np.empty((spec.saved, len(plan.outputs), n))
        with np.errstate(all="ignore"):
            for step, values in self.moments(scalars, paths, tables, n):
                if step % spec.save_every == 0:
                    for place, node in enumerate(plan.outputs):
                        result[step // spec.save_every, place] = values[node]
        return result

    def moments(self, scalars: list[Array], paths: list[Array], tables: list[Table],
                n: int) -> Iterator[tuple[int, dict[int, Any]]]:
        """Yield each step with the values of all nodes; call it under ``numpy.errstate``."""
        plan, spec = self._plan, self._plan.spec
        self._inputs = (paths, dict(enumerate(tables)))
        fixed = self._once(scalars)
        states = [np.broadcast_to(fixed[state.start], (n,)) for state in plan.states]
        lines = [[value] * state.length for value, state in zip(states, plan.states, strict=True)]
        for step in range(spec.steps + 1):
            values = self._core(fixed, states, step * (spec.rows - 1) // spec.steps)
            if step % spec.save_every == 0:
                evaluate(plan.graph, plan.extra, values, self._inputs[1])
            yield step, values
            if step < spec.steps:
                states = self._advance(fixed, states, values, lines, step)

    def _once(self, scalars: list[Array]) -> dict[int, Any]:
        plan = self._plan
        values: dict[int, Any] = {node: plan.graph[node][1] for node in self._literals}
        for node in plan.once:
            op, *what = plan.graph[node]
            if op == "scalar":
                values[node] = scalars[what[0]]
            elif op == "path0":
                values[node] = self._inputs[0][what[0]][:, 0]
        evaluate(plan.graph, plan.once, values, self._inputs[1])
        return values

    def _core(self, fixed: dict[int, Any], states: list[Array], row: int) -> dict[int, Any]:
        plan = self._plan
        values = dict(fixed)
        values.update(zip(plan.columns, self._series[row], strict=True))
        for node, place in self._paths:
            path = self._inputs[0][place]
            values[node] = path[:, min(row, path.shape[1] - 1)]
        for node in (*plan.core, *plan.extra):
            if plan.graph[node][0] == "state":
                values[node] = states[plan.graph[node][1]]
        evaluate(plan.graph, plan.core, values, self._inputs[1])
        return values

    def _advance(self, fixed: dict[int, Any], states: list[Array], values: dict[int, Any],
                 lines: list[list[Array]], step: int) -> list[Array]:
        plan, h = self._plan, self._plan.spec.time_step
        changes = [values[state.next] for state in plan.states]
        if plan.spec.method == "rk4":
            return self._advance_rk4(fixed, states, changes, 2 * step)
        advanced = []
        for state, old, change, line in zip(plan.states, states, changes, lines, strict=True):
            if state.kind == "flow":
                advanced.append(old + change * h)
            elif state.kind == "sample":
                advanced.append(change)
            else:
                line[step % state.length] = change
                advanced.append(line[(step + 1) % state.length])
        return advanced

    def _advance_rk4(self, fixed: dict[int, Any], states: list[Array], first: list[Array],
                     row: int) -> list[Array]:
        h = self._plan.spec.time_step

        def rates(shift: float, along: list[Array], at: int) -> list[Array]:
            moved = [old + shift * rate for old, rate in zip(states, along, strict=True)]
            values = self._core(fixed, moved, at)
            return [values[state.next] for state in self._plan.states]

        second = rates(h / 2.0, first, row + 1)
        third = rates(h / 2.0, second, row + 1)
        fourth = rates(h, third, row + 2)
        return [old + h / 6.0 * (a + 2.0 * (b + c) + d) for old, a, b, c, d in
                zip(states, first, second, third, fourth, strict=True)]
