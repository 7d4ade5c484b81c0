"""The causal graph of a model: variables, links with their polarity, and feedback parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from kuzbass.errors import InputError
from kuzbass.sd.graph import TIME
from kuzbass.sd.loops.links import causal_links, collapse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from kuzbass.sd.loops.expansion import ExpandedRun

    Array = NDArray[np.float64]
    Edge = tuple[str, str]

__all__ = ["causal_graph", "feedback_parts", "link_polarity", "write_graph"]


def causal_graph(expanded: ExpandedRun) -> nx.DiGraph[str]:
    """Return the causal graph along a run.

    Parameters
    ----------
    expanded : ExpandedRun
        From `kuzbass.sd.loops.expansion.expand`.

    Returns
    -------
    networkx.DiGraph
        Nodes are the variables except lookups; a stateful function inside of an equation is a
        node of its own (``"SMOOTH in orders"``), one that is a whole equation is its variable.
        Node attributes: ``kind``, ``unit``, ``group``, ``state`` (holds a stock), ``delay``
        (time constant of a smooth or delay, mean of the run; 0 elsewhere), ``part`` (number of
        the feedback part, 0 if the variable is in no loop).  Edge attribute: ``polarity``, from
        `link_polarity`.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    states = expanded.states()
    hidden = {part for macro in expanded.macros.values() for part in macro.hidden}
    for name, node in expanded.nodes.items():
        if name not in hidden:
            variable = expanded.model.variables.get(name)
            macro = expanded.macros.get(name)
            graph.add_node(
                name, kind=node.kind if variable is None else variable.kind,
                unit="" if variable is None else variable.unit,
                group="" if variable is None else variable.group,
                state=name in states, delay=0.0 if macro is None else macro.delay, part=0)
    for (cause, effect), polarity in link_polarity(expanded).items():
        if cause not in graph:
            kind = "time" if cause == TIME else "control"
            graph.add_node(cause, kind=kind, unit="", group="", state=False, delay=0.0, part=0)
        graph.add_edge(cause, effect, polarity=polarity)
    for number, part in enumerate(feedback_parts(graph.edges, states), start=1):
        for name in part:
            graph.nodes[name]["part"] = number
    return graph


def link_polarity(expanded: ExpandedRun) -> dict[Edge, str]:
    """Return the polarity of every link by the derivatives along the run.

    Returns
    -------
    dict of (cause, effect) to str
        ``"+"``, ``"-"``, ``"+-"`` where the sign changes or differs between the paths through a
        smooth or delay, ``"0"`` where the effect never responds in this run.
    """
    links = collapse(expanded, causal_links(expanded), _agreed)
    return {edge: _polarity(signs) for edge, signs in links.items()}


def feedback_parts(edges: Iterable[Edge], states: set[str]) -> list[list[str]]:
    """Return the strongly connected parts that hold a loop, the one with most states first."""
    graph = nx.DiGraph(list(edges))
    parts = [sorted(part) for part in nx.strongly_connected_components(graph)
             if len(part) > 1 or graph.has_edge(*(2 * tuple(part)))]
    return sorted(parts, key=lambda part: (-len(states.intersection(part)), -len(part), part))


def write_graph(graph: nx.DiGraph[str], path: Path) -> None:
    """Write a causal graph as GraphML, DOT or JSON, by the suffix of `path`.

    Raises
    ------
    InputError
        Another suffix.
    """
    if path.suffix == ".graphml":
        nx.write_graphml(graph, path, named_key_ids=True)
    elif path.suffix == ".dot":
        path.write_text(_dot(graph), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(_json(graph), encoding="utf-8")
    else:
        raise InputError("not a format of graphs", file=path, value=path.suffix or "no suffix",
                         allowed=".graphml, .dot or .json")


def _agreed(paths: Iterable[Array]) -> Array:
    """Return the sign that all paths share; not a number where two of them differ."""
    signs = np.sign(np.array(list(paths)))
    both = (signs > 0.0).any(axis=0) & (signs < 0.0).any(axis=0)
    result: Array = np.where(both, np.nan, np.sign(signs.sum(axis=0)))
    return result


def _polarity(signs: Array) -> str:
    if np.isnan(signs).any():
        return "+-"
    return ("+" if (signs > 0.0).any() else "") + ("-" if (signs < 0.0).any() else "") or "0"


def _json(graph: nx.DiGraph[str]) -> str:
    nodes = [{"id": name, **attributes} for name, attributes in graph.nodes(data=True)]
    edges = [{"source": cause, "target": effect, **attributes}
             for cause, effect, attributes in graph.edges(data=True)]
    return json.dumps({"directed": True, "nodes": nodes, "edges": edges}, indent=1,
                      ensure_ascii=False) + "\n"


def _dot(graph: nx.DiGraph[str]) -> str:
    lines = ["digraph causes {"]
    for name, attributes in graph.nodes(data=True):
        shape = "box" if attributes["state"] else "plain"
        lines.append(f"  {_quoted(name)} [shape={shape}, part={attributes['part']}];")
    lines += [f"  {_quoted(cause)} -> {_quoted(effect)} [label={_quoted(link['polarity'])}];"
              for cause, effect, link in graph.edges(data=True)]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: Any) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
