"""Which variable uses which: references of an equation and the dependency graph."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
from pysd.translators.structures.abstract_expressions import (
    AbstractSyntax,
    ArithmeticStructure,
    CallStructure,
    DelayFixedStructure,
    DelayNStructure,
    DelayStructure,
    ForecastStructure,
    InitialStructure,
    IntegStructure,
    ReferenceStructure,
    SmoothNStructure,
    SmoothStructure,
    TrendStructure,
)

from kuzbass.errors import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kuzbass.sd.mdl import Model

__all__ = ["TIME", "dependencies", "drivers", "find_loop", "references", "signed_flows",
           "walk"]

TIME = "Time"
Role = Literal["now", "later", "initial"]

# An argument of these acts on the value of a later step, unless listed here.
_STATEFUL: dict[type, dict[str, Role]] = {
    IntegStructure: {},
    SmoothStructure: {},
    SmoothNStructure: {},
    DelayFixedStructure: {},
    # The output is state / delay time, so the delay time acts at once.
    DelayStructure: {"delay_time": "now"},
    DelayNStructure: {"delay_time": "now"},
    # The output compares the input of now with its average.
    TrendStructure: {"input": "now", "average_time": "now"},
    ForecastStructure: {"input": "now", "average_time": "now", "horizon": "now"},
    InitialStructure: {},
}


def walk(node: Any, role: Role = "now") -> Iterator[tuple[object, Role]]:
    """Yield every node of an equation's syntax tree with the moment at which it acts.

    Parameters
    ----------
    node : object
        PySD abstract expression, or a number.
    role : {"now", "later", "initial"}
        The moment at which `node` itself acts.

    Yields
    ------
    tuple of (node, role)
        The role is ``"now"`` (acts in the same step), ``"later"`` (acts through a state) or
        ``"initial"`` (acts only when the run starts).
    """
    yield node, role
    if isinstance(node, (tuple, list)):
        for item in node:
            yield from walk(item, role)
    elif _is_active_initial(node):
        yield from walk(node.arguments[0], role)
        yield from walk(node.arguments[1], "initial")
    elif is_dataclass(node):
        special = _STATEFUL.get(type(node))
        for field in fields(node):
            own: Role = "now"
            if special is not None:
                own = "initial" if field.name.startswith("initial") else special.get(
                    field.name, "later")
            yield from walk(getattr(node, field.name), role if own == "now" else own)


def _is_active_initial(node: Any) -> bool:
    return isinstance(node, CallStructure) and node.function.reference == "active_initial"


def _holds_active_initial(node: Any) -> bool:
    if _is_active_initial(node):
        return True
    if isinstance(node, (tuple, list)):
        return any(map(_holds_active_initial, node))
    return isinstance(node, AbstractSyntax) and any(
        map(_holds_active_initial, vars(node).values()))


def _at_start(node: Any) -> Any:
    """Return an equation as it acts at the start, where ACTIVE INITIAL is its second argument."""
    if _is_active_initial(node):
        return _at_start(node.arguments[1])
    if isinstance(node, (tuple, list)):
        return [_at_start(item) for item in node]
    if is_dataclass(node) and not isinstance(node, type):
        return replace(node, **{field.name: _at_start(getattr(node, field.name))
                                for field in fields(node)})
    return node


def references(ast: object, index: Mapping[str, str]) -> dict[str, set[Role]]:
    """Return the names used by an equation and when they act.

    Parameters
    ----------
    ast : object
        The syntax tree.
    index : mapping
        Plain name -> name as written.  Functions are the calls that are not in it.

    Returns
    -------
    dict
        Name as written (``"Time"`` for time; an undefined name as PySD writes it) -> roles.
    """
    functions = {
        id(node.function) for node, _ in walk(ast)
        if isinstance(node, CallStructure)
        and plain_name(node.function.reference) not in index
    }
    found: dict[str, set[Role]] = {}
    for node, role in walk(ast):
        if isinstance(node, ReferenceStructure) and id(node) not in functions:
            plain = plain_name(node.reference.strip('"'))
            name = TIME if plain == "time" else index.get(plain, node.reference)
            found.setdefault(name, set()).add(role)
    return found


def dependencies(model: Model, *, start: bool = False) -> nx.DiGraph[str]:
    """Return the causal graph of a model.

    Parameters
    ----------
    model : Model
        From `kuzbass.sd.mdl.load_model`.
    start : bool, optional
        As at the start of a run, where ACTIVE INITIAL is its second argument.

    Returns
    -------
    networkx.DiGraph
        Nodes are the variable names and ``"Time"``.  An edge runs from cause to effect; its
        attributes say when it acts: ``now`` (same step), ``later`` (through a state),
        ``initial`` (only the initial value).
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node(TIME)
    graph.add_nodes_from(model.variables)
    for name, equation in model.equations.items():
        ast = equation.ast
        if start and _holds_active_initial(ast):
            ast = _at_start(ast)
        for cause, roles in references(ast, model.index).items():
            graph.add_edge(cause, name, now="now" in roles, later="later" in roles,
                           initial="initial" in roles)
    return graph


def find_loop(graph: nx.DiGraph[str], *moments: Role) -> list[str]:
    """Return the variables of one loop of edges that act at `moments`, or an empty list."""
    edges = [
        (cause, effect) for cause, effect, when in graph.edges(data=True)
        if any(when[moment] for moment in moments)
    ]
    try:
        cycle = nx.find_cycle(nx.DiGraph(edges))
    except nx.NetworkXNoCycle:
        return []
    return [cause for cause, _ in cycle] + [cycle[0][0]]


@lru_cache(maxsize=8)
def drivers(model: Model) -> tuple[str, ...]:
    """Return the auxiliaries that only read a table over time: the outside drivers.

    Their equation names ``Time``, at least one lookup, and nothing else but constants.
    """
    found = []
    for name, variable in model.variables.items():
        if variable.kind != "auxiliary":
            continue
        causes = set(references(model.equations[name].ast, model.index))
        kinds = {model.variables[cause].kind for cause in causes - {TIME}}
        if TIME in causes and "lookup" in kinds and kinds <= {"lookup", "constant"}:
            found.append(name)
    return tuple(found)


def signed_flows(model: Model, stock: str) -> list[tuple[str, int]] | None:
    """Return the flows of a stock with their signs, +1 into it and -1 out of it.

    ``None`` if its rate is anything else than a sum and difference of names.
    """
    ast = model.equations[stock].ast
    return _signed(ast.flow, 1, model.index) if isinstance(ast, IntegStructure) else None


def _signed(node: object, sign: int, index: Mapping[str, str]) -> list[tuple[str, int]] | None:
    if isinstance(node, ReferenceStructure):
        name = index.get(plain_name(node.reference.strip('"')))
        return [(name, sign)] if name is not None else None
    if not isinstance(node, ArithmeticStructure):
        return None
    operators = node.operators if len(node.operators) == len(node.arguments) else [
        "+", *node.operators]
    flows: list[tuple[str, int]] = []
    for operator, argument in zip(operators, node.arguments, strict=True):
        if operator not in {"+", "-", "negative"}:
            return None
        part = _signed(argument, sign if operator == "+" else -sign, index)
        if part is None:
            return None
        flows += part
    return flows
