"""Attributes the difference between two runs to the links of the model, edge by edge.

The difference of a variable between two runs at one moment is split exactly among the inputs of
its equation (Aumann and Shapley 1974; Sun and Friedman, "Paths to attribution").  A stock carries
its difference from step to step.  What reaches a chosen variable is then followed back through
the graph unrolled in time, so that every cut through time carries the whole response.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pandas as pd
from pysd.translators.structures.abstract_expressions import (
    ArithmeticStructure,
    CallStructure,
    IntegStructure,
    ReferenceStructure,
)

from kuzbass.errors import InputError, ModelError
from kuzbass.sd.graph import walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.loops.expansion import ExpandedRun, Node
    from kuzbass.sd.loops.expression import Expression
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]
    Edge = tuple[str, str]
    Moment = float | tuple[float, float]

__all__ = ["Attribution", "Difference", "attribute", "difference", "owners", "seeds"]

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NUDGE = 1e-3  # of a derivative of fourth order
_CLOSED = 1e-9
_MOST_INPUTS = 14
# Equations of these only have no kink, so that the integral of Aumann and Shapley is exact.
_SMOOTH_FUNCTIONS = {"exp", "ln", "log", "sqrt", "power", "sin", "cos", "tan", "sinh", "cosh",
                     "tanh", "arctan"}


@dataclass(frozen=True)
class Difference:
    """The difference between two runs, split among the inputs of every equation.

    Attributes
    ----------
    base, shocked : ExpandedRun
        The two runs.
    first : int
        The first step at which they differ.
    delta : dict of str to array, shape (t,)
        Shocked less base, of every variable that ever differs.
    parts : dict of (cause, effect) to array, shape (t,)
        The part of the effect's difference that comes through this link in the same step; of a
        stock, the part of its rate.  The parts of an effect sum to its difference.
    gains : dict of (cause, effect) to array, shape (t,)
        Part over difference of the cause; zero where the cause does not differ.
    sources : tuple of str
        What was changed from outside.
    order : tuple of str
        The auxiliaries that differ, causes before effects.
    methods : dict of str to str
        By effect: ``"aumann-shapley"`` (no kink), ``"shapley"`` (limits, choices, tables and
        the hidden parts of smooths and delays), or ``"single"`` input.
    """

    base: ExpandedRun = field(repr=False)
    shocked: ExpandedRun = field(repr=False)
    first: int
    delta: dict[str, Array] = field(repr=False)
    parts: dict[Edge, Array] = field(repr=False)
    gains: dict[Edge, Array] = field(repr=False)
    sources: tuple[str, ...]
    order: tuple[str, ...] = field(repr=False)
    methods: dict[str, str] = field(repr=False)

    @property
    def time(self) -> Array:
        """Times of the steps, shape (t,)."""
        return self.base.time

    @property
    def time_step(self) -> float:
        """Width of a step."""
        return self.base.time_step

    def stocks(self) -> list[str]:
        """Return the stocks that differ."""
        return [name for name in self.delta if self.shocked.nodes[name].kind == "stock"
                and name not in self.sources]

    def pipelines(self) -> dict[str, tuple[str, int]]:
        """Return the inflow and the length in steps of every DELAY FIXED that differs."""
        found = {}
        for name in self.delta:
            node = self.shocked.nodes[name]
            if node.kind == "pipeline" and node.rule is not None and name not in self.sources:
                steps = round(self.shocked.macros[name].delay / self.time_step)
                found[name] = (node.rule.inputs[0], steps)
        return found


@dataclass(frozen=True)
class Attribution:
    """Which links carried the response of one variable.

    Attributes
    ----------
    target : str
        The variable.
    at : float or (float, float)
        The moment of the response, or the window over which it is summed.
    response : float
        Difference of the target at the moment, in its unit, or its integral over the window.
    flows : dict of (cause, effect) to array, shape (t,)
        Share of the response that passed the link in each step; links into smooths and delays
        lead to their output.
    weights : dict of str to array, shape (t,)
        How much one unit of difference of a variable in a step makes of the response.
    cuts : pandas.Series
        Sum of the shares of the cut through time just before each step: what stocks carry, what
        is still to come from outside, and what the window has had.  One, but for rounding.
    residual : float
        Largest distance of a cut from one.
    """

    target: str
    at: Moment
    response: float
    flows: dict[Edge, Array] = field(repr=False)
    weights: dict[str, Array] = field(repr=False)
    cuts: pd.Series = field(repr=False)
    residual: float

    def table(self, time: Array) -> pd.DataFrame:
        """Return one row per link, the largest share first.

        Columns ``cause``, ``effect``, ``share`` (of the response; a link inside of a feedback
        loop may be passed more than once), ``gross`` (the same with magnitudes of the steps)
        and ``when`` (mean time of passing, weighted with magnitudes).
        """
        rows = []
        for (cause, effect), flow in self.flows.items():
            gross = float(np.abs(flow).sum())
            if gross > 0.0:
                rows.append((cause, effect, float(flow.sum()), gross,
                             float(np.abs(flow) @ time / gross)))
        table = pd.DataFrame(rows, columns=["cause", "effect", "share", "gross", "when"])
        order = table["share"].abs().sort_values(ascending=False, kind="stable").index
        return table.loc[order].reset_index(drop=True)


def difference(base: ExpandedRun, shocked: ExpandedRun) -> Difference:
    """Split the difference between two runs of a model among the inputs of every equation.

    Parameters
    ----------
    base, shocked : ExpandedRun
        From `kuzbass.sd.loops.expand`, on the same time axis.

    Raises
    ------
    InputError
        The runs are of different models or time axes, or do not differ.
    ModelError
        An equation with limits or choices has too many inputs that differ, or has no value for
        a mix of base and shocked inputs.
    """
    if base.model.sha256 != shocked.model.sha256 or not np.array_equal(base.time, shocked.time):
        raise InputError("the two runs do not belong together", key="difference",
                         allowed="runs of one model on one time axis")
    changes = {name: shocked.paths[name] - base.paths[name] for name in shocked.nodes}
    delta = {name: change for name, change in changes.items() if change.any()}
    if not delta:
        raise InputError("the two runs are equal", key="difference")
    first = min(int(np.flatnonzero(change)[0]) for change in delta.values())
    sources = tuple(name for name in delta
                    if shocked.nodes[name].rule is None or base.nodes[name].rule is None)
    parts: dict[Edge, Array] = {}
    methods: dict[str, str] = {}
    for name, node in shocked.nodes.items():
        # Parts of what does not differ cancel and lead nowhere.
        if node.rule is None or name not in delta or name in sources or node.kind == "pipeline":
            continue
        causes = [cause for cause in node.rule.inputs if cause in delta]
        if causes:
            own, methods[name] = _split(base, shocked, node, causes, first)
            parts.update({(cause, name): part for cause, part in own.items()})
    gains = {edge: _ratio(part, delta[edge[0]]) for edge, part in parts.items()}
    return Difference(base, shocked, first, delta, parts, gains, sources,
                      tuple(_order(shocked, delta, sources)), methods)


def seeds(diff: Difference, target: str, at: Moment | None = None) -> tuple[Array, Moment]:
    """Return the weight of each step in the response of `target`, and the moment they mean.

    Parameters
    ----------
    diff : Difference
    target : str
        Name of a variable.
    at : float or (float, float), optional
        A time of the run, or the two ends of a window; the time of the largest difference if
        left out.

    Raises
    ------
    InputError
        An unknown variable, one that does not respond, or a time outside the run.
    """
    name = diff.base.model.name(target)
    if name not in diff.delta:
        raise InputError("does not respond to this shock", key=name,
                         allowed="a variable that the shock reaches")
    time = diff.time
    weights = np.zeros(len(time))
    if at is None:
        at = float(time[np.abs(diff.delta[name]).argmax()])
    start, end = at if isinstance(at, tuple) else (at, at)
    if not time[diff.first] <= start <= end <= time[-1]:
        raise InputError("lies outside of the response", key="at", value=at,
                         allowed=f"{time[diff.first]:g} to {time[-1]:g}")
    if isinstance(at, tuple):
        weights[(time >= start) & (time <= end)] = diff.time_step
    else:
        weights[np.abs(time - at).argmin()] = 1.0
    if float(weights @ diff.delta[name]) == 0.0:
        raise InputError("does not differ at this time", key=name, value=at,
                         allowed="a time at which the runs differ")
    return weights, at


def attribute(diff: Difference, target: str, at: Moment | None = None) -> Attribution:
    """Follow the response of one variable back through time to what was changed.

    Parameters
    ----------
    diff : Difference
        From `difference`.
    target, at
        As in `seeds`.

    Raises
    ------
    InputError
        As `seeds`.

    Notes
    -----
    The weights are those of a time-unrolled adjoint: w = 1 at the target, and each link hands
    w_effect times its gain to its cause.  Share of a link in a step: w_effect part / response.
    """
    weighted, at = seeds(diff, target, at)
    name = diff.base.model.name(target)
    response = float(weighted @ diff.delta[name])
    weights, ahead = _adjoint(diff, name, weighted)
    owner = owners(diff.shocked)
    flows: dict[Edge, Array] = {}
    for (cause, effect), part in diff.parts.items():
        own = ahead[effect] if effect in ahead else weights[effect]
        edge = owner.get(cause, cause), owner.get(effect, effect)
        # What circles inside of a smooth or delay is its own affair.
        if edge[0] != edge[1] or edge[0] not in diff.shocked.macros:
            flows[edge] = flows.get(edge, 0.0) + own * part / response
    cuts = _cuts(diff, name, weighted, weights) / response
    series = pd.Series(cuts, index=pd.Index(diff.time[diff.first:], name="time"))
    return Attribution(name, at, response, flows, weights, series,
                       float(np.abs(series - 1.0).max()))


def owners(expanded: ExpandedRun) -> dict[str, str]:
    """Return the output of the smooth or delay by each of its hidden parts."""
    return {part: output for output, macro in expanded.macros.items() for part in macro.hidden}


def _split(
    base: ExpandedRun, shocked: ExpandedRun, node: Node, causes: Sequence[str], first: int
) -> tuple[dict[str, Array], str]:
    """Return the parts of one equation's difference by cause, and the method."""
    assert node.rule is not None
    before = {name: base.paths[name][first:] for name in node.rule.inputs}
    after = {name: shocked.paths[name][first:] for name in node.rule.inputs}
    method = "shapley"
    if len(causes) == 1:
        method, split = "single", _shapley(node, before, after, causes)
    elif _is_smooth(base.model, node.name):
        split = _aumann_shapley(node.rule, before, after, causes)
        if _closes(node.rule, before, after, split):
            method = "aumann-shapley"
        else:
            split = _shapley(node, before, after, causes)
    else:
        split = _shapley(node, before, after, causes)
    blank = np.zeros(first)
    return {cause: np.concatenate([blank, part]) for cause, part in split.items()}, method


def _is_smooth(model: Model, name: str) -> bool:
    """Say whether the equation of a variable is free of limits, choices, tables and states."""
    if name not in model.equations:
        return False
    ast = model.equations[name].ast
    tree = ast.flow if isinstance(ast, IntegStructure) else ast
    functions = set()
    for node, _ in walk(tree):
        if isinstance(node, CallStructure):
            if node.function.reference not in _SMOOTH_FUNCTIONS:
                return False
            functions.add(id(node.function))
        elif not isinstance(node, (ArithmeticStructure, ReferenceStructure, int, float, str,
                                   tuple, list, type(None))):
            return False
    return True


def _aumann_shapley(
    rule: Expression, before: Mapping[str, Array], after: Mapping[str, Array],
    causes: Sequence[str],
) -> dict[str, Array]:
    """Integrate the partial derivatives along the straight line from base to shocked."""
    share = ((_POINTS + 1.0) / 2.0)[:, None]
    between = {name: before[name] + share * (after[name] - before[name]) for name in before}
    split = {}
    for cause in causes:
        here = between[cause]
        nudge = _NUDGE * np.maximum(np.abs(here), max(1e-3 * float(np.abs(here).max()), 1e-30))
        values = [rule({**between, cause: here + times * nudge}) for times in (-2, -1, 1, 2)]
        slope = (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * nudge)
        split[cause] = (after[cause] - before[cause]) * (_WEIGHTS / 2.0 @ slope)
    return split


def _closes(
    rule: Expression, before: Mapping[str, Array], after: Mapping[str, Array],
    split: Mapping[str, Array],
) -> bool:
    """Say whether the parts sum to the difference: no pole or kink lies on the line."""
    total = np.sum(list(split.values()), axis=0)
    start, end = rule(dict(before)), rule(dict(after))
    allowed = _CLOSED * np.sum(np.abs(list(split.values())), axis=0) + 1e-12 * (
        np.abs(start) + np.abs(end))
    return bool(np.all(np.abs(end - start - total) <= allowed))


def _shapley(
    node: Node, before: Mapping[str, Array], after: Mapping[str, Array], causes: Sequence[str]
) -> dict[str, Array]:
    """Return the Shapley values of the causes: the mean effect over all orders of change."""
    assert node.rule is not None
    count = len(causes)
    if count > _MOST_INPUTS:
        raise ModelError("too many inputs differ for exact Shapley values", key=node.name,
                         value=count, allowed=f"{_MOST_INPUTS} in an equation with limits or "
                         "choices")
    shape = next(iter(before.values())).shape
    values: dict[frozenset[str], Array] = {}
    for size in range(count + 1):
        for chosen in combinations(causes, size):
            mix = {**before, **{cause: after[cause] for cause in chosen}}
            values[frozenset(chosen)] = np.broadcast_to(node.rule(mix), shape)
    if not all(np.isfinite(value).all() for value in values.values()):
        raise ModelError("has no value for a mix of base and shocked inputs", key=node.name)
    split = {}
    for cause in causes:
        others = [other for other in causes if other != cause]
        part = np.zeros(shape)
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for before_it in map(frozenset, combinations(others, size)):
                part += weight * (values[before_it | {cause}] - values[before_it])
        split[cause] = part
    return split


def _ratio(part: Array, change: Array) -> Array:
    still = change == 0.0
    return np.where(still, 0.0, part / np.where(still, 1.0, change))


def _order(
    expanded: ExpandedRun, delta: Mapping[str, Array], sources: Sequence[str]
) -> list[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name in delta:
        node = expanded.nodes[name]
        if node.kind == "auxiliary" and node.rule is not None and name not in sources:
            graph.add_node(name)
            graph.add_edges_from((cause, name) for cause in node.rule.inputs if cause in delta)
    return [name for name in nx.topological_sort(graph)
            if expanded.nodes[name].kind == "auxiliary" and name not in sources]


def _adjoint(
    diff: Difference, target: str, weighted: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the weights of the variables, and of the rates of the stocks, by step."""
    stocks, pipelines = diff.stocks(), diff.pipelines()
    number = {name: place for place, name in enumerate(diff.delta)}
    rate = {name: len(number) + place for place, name in enumerate(stocks)}
    place = {name: here for here, name in enumerate(diff.order)}
    # Rates first, then auxiliaries from the last effect back.
    edges = sorted(diff.gains, key=lambda edge: -place.get(edge[1], len(place)))
    causes = [number[cause] for cause, _ in edges]
    effects = [rate.get(effect, number.get(effect, 0)) for _, effect in edges]
    gains = np.array([diff.gains[edge] for edge in edges]).T
    steps = len(diff.time)
    last = int(np.flatnonzero(weighted)[-1])
    table = np.zeros((steps + 1, len(number) + len(rate)))
    carried = [(number[name], rate[name]) for name in stocks]
    for step in range(last, diff.first - 1, -1):
        weights = [0.0] * table.shape[1]
        weights[number[target]] += float(weighted[step])
        ahead = table[step + 1]
        for own, flow in carried:
            weights[own] += float(ahead[own])
            weights[flow] = diff.time_step * float(ahead[own])
        for name, (inflow, length) in pipelines.items():
            if step + length <= last and inflow in number:
                weights[number[inflow]] += float(table[step + length, number[name]])
        for cause, effect, gain in zip(causes, effects, gains[step].tolist(), strict=True):
            weights[cause] += gain * weights[effect]
        table[step] = weights
    columns = table[:-1].T
    return ({name: columns[here] for name, here in number.items()},
            {name: columns[here] for name, here in rate.items()})


def _cuts(diff: Difference, target: str, weighted: Array, weights: Mapping[str, Array]) -> Array:
    """Return what crosses each moment from `first` on, in the unit of the response."""
    total: Array = np.zeros(len(diff.time))
    for name in diff.stocks():
        total += weights[name] * diff.delta[name]
    for name in diff.sources:
        coming = weights[name] * diff.delta[name]
        total += coming[::-1].cumsum()[::-1]
    had = weighted * diff.delta[target]
    total += np.concatenate([[0.0], had.cumsum()[:-1]])
    for name, (_, steps) in diff.pipelines().items():
        arriving = weights[name] * diff.delta[name]
        # Under way at a step: what entered before it and comes out at it or later.
        running = np.concatenate([[0.0], arriving.cumsum()])
        here = np.arange(len(diff.time))
        total += running[np.minimum(here + steps, len(here))] - running[here]
    result: Array = total[diff.first:]
    return result

