"""A run with every smooth and delay opened into stocks and flows.

Feedback is a matter of stocks and flows, and Vensim hides some of them in SMOOTH, DELAY, TREND
and FORECAST.  Here each of these becomes the stocks and flows that it stands for, with their
values along the run, so that one rule scores every link.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pysd.translators.structures.abstract_expressions import (
    ArithmeticStructure,
    CallStructure,
    DelayFixedStructure,
    DelayNStructure,
    DelayStructure,
    ForecastStructure,
    InitialStructure,
    ReferenceStructure,
    SmoothNStructure,
    SmoothStructure,
    TrendStructure,
)

from kuzbass.errors import ModelError, plain_name
from kuzbass.sd.engine import simulate
from kuzbass.sd.graph import TIME, signed_flows
from kuzbass.sd.inputs import check_inputs
from kuzbass.sd.loops.expression import Language

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from kuzbass.sd.loops.expression import Expression
    from kuzbass.sd.mdl import Model
    from kuzbass.sd.pysd_fixes import Curve

    Array = NDArray[np.float64]

__all__ = ["ExpandedRun", "Macro", "Node", "expand"]

# An equation that gives something else than the run says is not the equation of that run.
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Node:
    """A variable of the expanded model.

    Attributes
    ----------
    name : str
        As written in the .mdl file; a hidden part is named after its owner.
    kind : {"stock", "auxiliary", "constant", "pipeline"}
        A pipeline is a DELAY FIXED.  An overridden driver counts as a constant.
    rule : Expression or None
        The value of an auxiliary, the rate of change of a stock, the inflow of a pipeline.
    flows : tuple of (str, int) or None
        The flows of a stock with their signs, if its rate is a sum and difference of names.
    """

    name: str
    kind: Literal["stock", "auxiliary", "constant", "pipeline"]
    rule: Expression | None
    flows: tuple[tuple[str, int], ...] | None = None


@dataclass(frozen=True)
class Macro:
    """A stateful function: its output and the parts that it hides.

    Attributes
    ----------
    function : str
        ``"SMOOTH"``, ``"DELAY"``, ``"TREND"``, ``"FORECAST"`` or ``"DELAY FIXED"``.
    hidden : tuple of str
        Its stocks and flows other than the output.
    delay : float
        Mean of its time constant over the run, in the time unit; zero for TREND and FORECAST,
        whose output moves with the input at once.
    """

    function: str
    hidden: tuple[str, ...]
    delay: float


@dataclass(frozen=True)
class ExpandedRun:
    """A run, the values of its hidden parts and the rules that connect them.

    Attributes
    ----------
    model : Model
        The model.
    run : xarray.Dataset
        The run, every step of it.
    time : array, shape (t,)
        Times of the run.
    time_step : float
        In the time unit of the model.
    nodes : dict of str to Node
        Every variable, the hidden parts included.
    macros : dict of str to Macro
        Stateful functions by the name of their output.
    paths : dict of str to array, shape (t,)
        Of every node and of ``"Time"``.
    """

    model: Model
    run: xr.Dataset = field(repr=False)
    time: Array = field(repr=False)
    time_step: float
    nodes: dict[str, Node] = field(repr=False)
    macros: dict[str, Macro] = field(repr=False)
    paths: dict[str, Array] = field(repr=False)

    def states(self) -> set[str]:
        """Return the names that hold a state: stocks and outputs of smooths and delays."""
        held = {name for name, node in self.nodes.items() if node.kind in {"stock", "pipeline"}}
        return held | {name for name, macro in self.macros.items() if macro.delay > 0.0}


def expand(
    model: Model,
    inputs: Mapping[str, float | pd.Series] | None = None,
    *,
    time_step: float | None = None,
    final_time: float | None = None,
) -> ExpandedRun:
    """Simulate a model and open its stateful functions.

    Parameters
    ----------
    model, inputs, time_step, final_time
        As in `kuzbass.sd.engine.simulate`; every step is kept.

    Raises
    ------
    InputError
        An override or a time axis that is not possible.
    ModelError
        The run fails, or an equation holds what cannot be evaluated outside of a run
        (SAMPLE IF TRUE, random numbers), or does not give what the run says.
    """
    overrides = check_inputs(model, inputs or {})
    run = simulate(model, inputs, time_step=time_step, final_time=final_time)
    expander = _Expander(model, run, {**model.curves(), **overrides.tables})
    for name, variable in model.variables.items():
        if variable.kind in {"lookup", "control"}:
            continue
        if variable.kind == "constant" or name in overrides.numbers or name in overrides.paths:
            expander.nodes[name] = Node(name, "constant", None)
        else:
            expander.add(name)
    expanded = ExpandedRun(model, run, run["time"].to_numpy(), expander.step, expander.nodes,
                           expander.macros, expander.paths)
    for node in expanded.nodes.values():
        _check(expanded, node)
    return expanded


class _Expander:
    """Collects nodes, macros and values; the inner one of two nested functions comes first."""

    def __init__(self, model: Model, run: xr.Dataset, curves: Mapping[str, Curve]) -> None:
        self.model = model
        self.step = float(run.attrs["time_step"])
        self.paths: dict[str, Array] = {
            str(name): np.asarray(series.to_numpy(), dtype=float)
            for name, series in run.data_vars.items()}
        time = np.asarray(run["time"].to_numpy(), dtype=float)
        self.paths[TIME] = time
        for name, number in (("INITIAL TIME", time[0]), ("FINAL TIME", time[-1]),
                             ("TIME STEP", self.step), ("SAVEPER", self.step)):
            if plain_name(name) in model.index:
                self.paths[model.name(name)] = np.full(len(time), number)
        self.index = dict(model.index)
        self.language = Language(self.index, curves, self.step)
        self.nodes: dict[str, Node] = {}
        self.macros: dict[str, Macro] = {}

    def add(self, name: str) -> None:
        """Add a stock or an auxiliary of the model."""
        ast = self.model.equations[name].ast
        if self.model.variables[name].kind == "stock":
            flows = signed_flows(self.model, name)
            rule = self.compile(self.rewrite(ast.flow, name), name)
            self.nodes[name] = Node(name, "stock", rule, None if flows is None else tuple(flows))
        elif type(ast) in _OPENERS:
            _OPENERS[type(ast)](self, name, self.parts(ast, name))
        else:
            self.auxiliary(name, self.rewrite(ast, name))

    def rewrite(self, node: Any, owner: str) -> Any:
        """Return the tree with a reference to a new node in place of each stateful function."""
        if isinstance(node, (tuple, list)):
            return type(node)(self.rewrite(part, owner) for part in node)
        if not is_dataclass(node) or isinstance(node, (type, ReferenceStructure)):
            return node
        if type(node) in _OPENERS:
            name = self.new_name(type(node).__name__, owner)
            _OPENERS[type(node)](self, name, self.parts(node, owner))
            return ReferenceStructure(name)
        return replace(node, **self.parts(node, owner))

    def parts(self, node: Any, owner: str) -> dict[str, Any]:
        return {part.name: self.rewrite(getattr(node, part.name), owner)
                for part in fields(node)}

    def new_name(self, structure: str, owner: str) -> str:
        function = structure.removesuffix("Structure").removesuffix("N").upper()
        name, number = f"{function} in {owner}", 1
        while plain_name(name) in self.index:
            number += 1
            name = f"{function} {number} in {owner}"
        self.index[plain_name(name)] = name
        return name

    def hide(self, owner: str, part: str) -> str:
        name = f"{owner} ({part})"
        self.index[plain_name(name)] = name
        return name

    def compile(self, ast: Any, owner: str) -> Expression:
        return self.language.compile(ast, owner)

    def series(self, ast: Any, owner: str) -> Array:
        value = self.compile(ast, owner)(self.paths)
        return np.broadcast_to(value, self.paths[TIME].shape)

    def auxiliary(self, name: str, ast: Any) -> None:
        self.nodes[name] = Node(name, "auxiliary", self.compile(ast, name))
        self.set_values(name, self.series(ast, name))

    def stock(self, name: str, values: Array, rate: Any, *flows: tuple[str, int]) -> None:
        self.set_values(name, values)
        self.nodes[name] = Node(name, "stock", self.compile(rate, name), flows or None)

    def set_values(self, name: str, values: Array) -> None:
        # The run has the values of the variables; only hidden parts are new.
        self.paths.setdefault(name, values)

    def smooth(self, name: str, parts: dict[str, Any]) -> None:
        order = self.order(parts, name)
        constant = _divided(parts["smooth_time"], float(order))
        step_time = self.series(constant, name)
        stages = [self.hide(name, f"stage {number}") for number in range(1, order)]
        states = _chain(self.series(parts["input"], name), 1.0 / step_time,
                        self.start(parts, name) * np.ones(order), self.step)
        source = parts["input"]
        for stage, state in zip([*stages, name], states, strict=True):
            self.stock(stage, state, _divided(_minus(source, stage), constant))
            source = ReferenceStructure(stage)
        self.macros[name] = Macro("SMOOTH", tuple(stages), order * float(np.mean(step_time)))

    def delay(self, name: str, parts: dict[str, Any]) -> None:
        order = self.order(parts, name)
        constant = _divided(parts["delay_time"], float(order))
        step_time = self.series(constant, name)
        inflow = self.hide(name, "inflow")
        self.auxiliary(inflow, parts["input"])
        stages = [self.hide(name, f"stage {number}") for number in range(1, order + 1)]
        outflows = [*(self.hide(name, f"outflow {number}") for number in range(1, order)), name]
        contents = _pipe(self.paths[inflow], step_time, self.start(parts, name), order,
                         self.step)
        source = inflow
        for stage, outflow, content in zip(stages, outflows, contents, strict=True):
            self.stock(stage, content, _minus(ReferenceStructure(source), outflow),
                       (source, 1), (outflow, -1))
            self.auxiliary(outflow, _divided(ReferenceStructure(stage), constant))
            source = outflow
        self.macros[name] = Macro("DELAY", (inflow, *stages, *outflows[:-1]),
                                  order * float(np.mean(step_time)))

    def trend(self, name: str, parts: dict[str, Any]) -> None:
        average = self.average(name, parts, self.start(parts, name) * self.series(
            parts["average_time"], name)[0])
        size = CallStructure(ReferenceStructure("abs"), (average,))
        self.auxiliary(name, _growth(parts, average, size))
        self.macros[name] = Macro("TREND", (average.reference,), 0.0)

    def forecast(self, name: str, parts: dict[str, Any]) -> None:
        average = self.average(name, parts, self.start(parts, name))
        growth = ArithmeticStructure(["*"], (_growth(parts, average, average), parts["horizon"]))
        self.auxiliary(name, ArithmeticStructure(
            ["*"], (parts["input"], ArithmeticStructure(["+"], (1.0, growth)))))
        self.macros[name] = Macro("FORECAST", (average.reference,), 0.0)

    def average(self, name: str, parts: dict[str, Any], growth: float) -> ReferenceStructure:
        """Add the hidden average to which TREND and FORECAST compare their input."""
        average = self.hide(name, "average")
        source = self.series(parts["input"], name)
        states = _chain(source, 1.0 / self.series(parts["average_time"], name),
                        np.array([source[0] / (1.0 + growth)]), self.step)
        self.stock(average, states[0],
                   _divided(_minus(parts["input"], average), parts["average_time"]))
        return ReferenceStructure(average)

    def pipeline(self, name: str, parts: dict[str, Any]) -> None:
        inflow = self.hide(name, "inflow")
        self.auxiliary(inflow, parts["input"])
        delay = self.series(parts["delay_time"], name)
        steps = max(1, round(delay[0] / self.step + 1e-6))
        before = np.full(steps, self.start(parts, name))
        self.set_values(name, np.concatenate([before, self.paths[inflow]])[:len(delay)])
        self.nodes[name] = Node(name, "pipeline",
                                self.compile(ReferenceStructure(inflow), name))
        self.macros[name] = Macro("DELAY FIXED", (inflow,), steps * self.step)

    def initial(self, name: str, parts: dict[str, Any]) -> None:
        self.set_values(name, np.full(len(self.paths[TIME]), self.start(parts, name)))
        self.nodes[name] = Node(name, "constant", None)

    def start(self, parts: dict[str, Any], name: str) -> float:
        given = parts.get("initial", parts.get("initial_trend"))
        return float(self.series(given, name)[0])

    def order(self, parts: dict[str, Any], name: str) -> int:
        return int(self.series(parts["order"], name)[0])


_OPENERS: dict[type, Callable[[_Expander, str, dict[str, Any]], None]] = {
    SmoothStructure: _Expander.smooth,
    SmoothNStructure: _Expander.smooth,
    DelayStructure: _Expander.delay,
    DelayNStructure: _Expander.delay,
    TrendStructure: _Expander.trend,
    ForecastStructure: _Expander.forecast,
    DelayFixedStructure: _Expander.pipeline,
    InitialStructure: _Expander.initial,
}


def _minus(source: Any, name: str) -> ArithmeticStructure:
    return ArithmeticStructure(["-"], (source, ReferenceStructure(name)))


def _divided(numerator: Any, denominator: Any) -> ArithmeticStructure:
    return ArithmeticStructure(["/"], (numerator, denominator))


def _growth(parts: dict[str, Any], average: ReferenceStructure, size: Any) -> CallStructure:
    return CallStructure(ReferenceStructure("zidz"), (
        _minus(parts["input"], average.reference),
        ArithmeticStructure(["*"], (parts["average_time"], size))))


def _chain(source: Array, speed: Array, start: Array, step: float) -> list[Array]:
    """Integrate stages that each follow the one before them, the first one `source`."""
    stages = start.tolist()
    rows = []
    for first, rate in zip(source.tolist(), (step * speed).tolist(), strict=True):
        rows.append(tuple(stages))
        targets = [first, *stages[:-1]]
        stages = [stage + rate * (target - stage)
                  for stage, target in zip(stages, targets, strict=True)]
    return list(np.array(rows, dtype=float).T)


def _pipe(inflow: Array, step_time: Array, start: float, order: int, step: float) -> list[Array]:
    """Integrate stocks in a row, each drained at its content over `step_time`."""
    contents = [start * float(step_time[0])] * order
    rows = []
    for first, constant in zip(inflow.tolist(), step_time.tolist(), strict=True):
        rows.append(tuple(contents))
        flows = [first, *(content / constant for content in contents)]
        contents = [content + step * (flows[stage] - flows[stage + 1])
                    for stage, content in enumerate(contents)]
    return list(np.array(rows, dtype=float).T)


def _check(expanded: ExpandedRun, node: Node) -> None:
    """Refuse a node whose rule does not reproduce the run."""
    if node.rule is None or node.kind == "pipeline":
        return
    saved = expanded.paths[node.name]
    values = node.rule(expanded.paths)
    if node.kind == "stock":
        values = np.broadcast_to(values, saved.shape)
        values = np.concatenate([saved[:1], saved[:-1] + expanded.time_step * values[:-1]])
    gap = np.max(np.abs(values - saved))
    if not gap <= _TOLERANCE * max(1.0, float(np.max(np.abs(saved)))):
        raise ModelError("the equation does not reproduce the run", key=node.name,
                         file=expanded.model.path, value=f"off by up to {gap:g}")
