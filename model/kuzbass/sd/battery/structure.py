"""Structure of a model: what is inside its boundary, embedded data, control of outflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from pysd.translators.structures.abstract_expressions import CallStructure, IntegStructure

from kuzbass.errors import ModelError
from kuzbass.sd.battery.findings import Breach
from kuzbass.sd.graph import TIME, dependencies, drivers, signed_flows, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.loops.expansion import ExpandedRun
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]

__all__ = ["Boundary", "boundary", "dead_stocks", "embedded_data", "endogenous",
           "first_order_control", "limits_on_stocks", "loop_sign", "may_go_negative"]

_EMPTY = 1e-9  # share of its mean at which a stock counts as empty
_SLACK = 1e-6  # what may still flow out of it then, as a share of the largest net flow
_EXCUSE = "may go negative:"
_LIMITS = {"min", "max"}


@dataclass(frozen=True)
class Boundary:
    """Variables by their place.

    Attributes
    ----------
    endogenous : tuple of str
        In a feedback loop, or moved by one.
    drivers : tuple of str
        Read a table over time.
    computed_outside : tuple of str
        Computed from drivers, time and constants only.
    constants, tables : tuple of str
    """

    endogenous: tuple[str, ...]
    drivers: tuple[str, ...]
    computed_outside: tuple[str, ...]
    constants: tuple[str, ...]
    tables: tuple[str, ...]


def endogenous(model: Model) -> set[str]:
    """Return the variables that are in a feedback loop of two variables or more, or below one."""
    graph = dependencies(model)
    graph.remove_edges_from([(cause, effect) for cause, effect, when in graph.edges(data=True)
                             if not (when["now"] or when["later"])])
    loops = [part for part in nx.strongly_connected_components(graph) if len(part) > 1]
    largest: set[str] = max(loops, key=len, default=set())
    if not largest:
        return set()
    below: set[str] = nx.descendants(graph, next(iter(largest)))
    return largest | below


def boundary(model: Model) -> Boundary:
    """Classify every variable: inside of the boundary, outside of it, or a parameter."""
    inside, outside = endogenous(model), set(drivers(model))
    kinds = {name: variable.kind for name, variable in model.variables.items()}
    moving = [name for name, kind in kinds.items() if kind in {"stock", "auxiliary"}]
    return Boundary(
        tuple(name for name in moving if name in inside),
        tuple(name for name in moving if name in outside),
        tuple(name for name in moving if name not in inside and name not in outside),
        tuple(name for name, kind in kinds.items() if kind == "constant"),
        tuple(name for name, kind in kinds.items() if kind == "lookup"),
    )


def may_go_negative(model: Model, stock: str) -> bool:
    """Tell whether the comment of a stock says why it may go below zero."""
    return _EXCUSE in model.variables[stock].comment.lower()


def embedded_data(model: Model) -> list[Breach]:
    """Return the equations that hold numbers other than 0 and 1: data without name or source."""
    breaches = []
    for name, equation in model.equations.items():
        if model.variables[name].kind not in {"auxiliary", "stock"}:
            continue
        numbers = {float(node) for node in _numbers(equation.ast)} - {0.0, 1.0}
        if numbers:
            listed = ", ".join(f"{number:g}" for number in sorted(numbers))
            breaches.append(Breach(name, f"holds {listed}; expected a named constant"))
    return breaches


def _numbers(ast: object) -> Iterable[float]:
    # The order of a delay is a number too, but not one of the equation.
    orders = {id(order) for node, _ in walk(ast)
              if (order := getattr(node, "order", None)) is not None}
    return [node for node, _ in walk(ast)
            if isinstance(node, (int, float)) and not isinstance(node, bool)
            and id(node) not in orders]


def dead_stocks(model: Model) -> list[Breach]:
    """Return the stocks that no flow enters or leaves."""
    return [Breach(name, "has no flow; expected at least one") for name, variable
            in model.variables.items()
            if variable.kind == "stock" and not signed_flows(model, name)]


def limits_on_stocks(model: Model) -> list[Breach]:
    """Return the stocks whose rate is cut off by MIN or MAX instead of by the flow itself."""
    breaches = []
    for name, equation in model.equations.items():
        if isinstance(equation.ast, IntegStructure):
            calls = {node.function.reference for node, _ in walk(equation.ast.flow)
                     if isinstance(node, CallStructure)}
            breaches += [Breach(name, f"{call.upper()} in its rate; expected named flows")
                         for call in sorted(calls & _LIMITS)]
    return breaches


def first_order_control(expanded: ExpandedRun) -> list[Breach]:
    """Return the stocks that could be driven below zero.

    Along the whole run each stock in turn is all but emptied, everything that depends on it in
    the same step is computed anew, and the net flow must then not be negative.  A stock that
    is negative in the run is one by itself.  Stocks whose comment says ``May go negative:
    reason`` are left out.
    """
    breaches = []
    below = _same_step(expanded)
    order = {name: place for place, name in enumerate(nx.topological_sort(below))}
    for name, node in expanded.nodes.items():
        variable = expanded.model.variables.get(name)
        # The state of a smooth or delay is no stock of the model.
        if node.rule is None or variable is None or variable.kind != "stock":
            continue
        if may_go_negative(expanded.model, name):
            continue
        path = expanded.paths[name]
        if path.min() < 0.0:
            first = int(np.argmax(path < 0.0))
            breaches.append(Breach(name, f"is {path[first]:.4g} at {expanded.time[first]:g} in "
                                   "the run; expected 0 or more"))
            continue
        values = dict(expanded.paths)
        values[name] = np.full(len(expanded.time), _EMPTY * path.mean())
        affected = nx.descendants(below, name) if name in below else set()
        for effect in sorted(affected, key=order.__getitem__):
            rule = expanded.nodes[effect].rule
            if expanded.nodes[effect].kind == "auxiliary" and rule is not None:
                values[effect] = np.broadcast_to(rule(values), expanded.time.shape)
        rate = np.broadcast_to(node.rule(values), expanded.time.shape)
        usual = float(np.max(np.abs(node.rule(expanded.paths)), initial=0.0))
        breach = _drained(name, rate, usual, expanded.time)
        if breach is not None:
            breaches.append(breach)
    return breaches


def _same_step(expanded: ExpandedRun) -> nx.DiGraph[str]:
    """Return the links that act within a step: from the inputs of auxiliaries to these."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, node in expanded.nodes.items():
        if node.kind == "auxiliary" and node.rule is not None:
            graph.add_edges_from((cause, name) for cause in node.rule.inputs if cause != TIME)
    return graph


def _drained(name: str, rate: Array, usual: float, time: Array) -> Breach | None:
    bad = ~np.isfinite(rate)
    if bad.any():
        return Breach(name, f"its net flow is not finite at {time[np.argmax(bad)]:g} when the "
                      "stock is empty; expected a number")
    lowest = int(np.argmin(rate))
    if rate[lowest] < -_SLACK * max(usual, 1e-300):
        return Breach(name, f"its net flow is {rate[lowest]:.4g} at {time[lowest]:g} when the "
                      "stock is empty; expected 0 or more")
    return None


def loop_sign(polarities: Mapping[tuple[str, str], str], path: Sequence[str]) -> str:
    """Return the polarity of a loop: the product of those of its links.

    Parameters
    ----------
    polarities : mapping of (cause, effect) to str
        From `kuzbass.sd.loops.causal.link_polarity`.
    path : sequence of str
        The variables of the loop, each once.

    Returns
    -------
    str
        ``"R"``, ``"B"``, ``"U"`` if a link changes its sign, or ``"0"`` if one never acts in the
        run.

    Raises
    ------
    ModelError
        The model has no such link.
    """
    links = list(zip(path, [*path[1:], path[0]], strict=True))
    for cause, effect in links:
        if (cause, effect) not in polarities:
            raise ModelError("the model has no such link", key=f"{cause} -> {effect}")
    signs = [polarities[link] for link in links]
    if "0" in signs:
        return "0"
    if "+-" in signs:
        return "U"
    return "R" if signs.count("-") % 2 == 0 else "B"
