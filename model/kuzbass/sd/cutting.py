"""What a response would have been with links, variables or loops held at the base run.

The counterfactual beside the accounting of `kuzbass.sd.attribution`: in the shocked run, an
equation reads the base path of an input instead of its own.  All cuts run side by side, as
members of one integration of the equations that the shock can reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pandas as pd

from kuzbass.errors import InputError, ModelError
from kuzbass.sd.graph import TIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.attribution import Difference
    from kuzbass.sd.loops.expansion import Node

    Array = NDArray[np.float64]
    Edge = tuple[str, str]

__all__ = ["Cut", "Cuts", "cut_responses", "loop_cut"]

_BASE, _FULL = 0, 1  # the first two members of every integration
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Cut:
    """What is held at the base run.

    Attributes
    ----------
    name : str
        What the table calls it.
    links : tuple of (cause, effect)
        Links whose cause the effect reads from the base run.
    variables : tuple of str
        Variables held at the base run for everybody.
    note : str
        What a reader must know.
    """

    name: str
    links: tuple[Edge, ...] = ()
    variables: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Cuts:
    """Responses with cuts.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per cut: ``name``, ``response`` (in the unit of the response), ``lost`` (share of
        the full response that is lost; negative where the cut makes it larger) and ``note``.
    interaction : pandas.DataFrame
        Name by name: the share lost by both cuts together less the shares lost by each.
        Positive: each carries what the other would let pass.  Zero on the diagonal.
    response : float
        The full response.
    """

    table: pd.DataFrame
    interaction: pd.DataFrame = field(repr=False)
    response: float


def cut_responses(
    diff: Difference, cuts: Sequence[Cut], target: str, seeds: Array, *, pairs: bool = True
) -> Cuts:
    """Run the shock again with each cut, and with each pair of them.

    Parameters
    ----------
    diff : Difference
        From `kuzbass.sd.attribution.difference`.
    cuts : sequence of Cut
    target : str
        The variable of the response.
    seeds : array, shape (t,)
        Weights of the steps, from `kuzbass.sd.attribution.seeds`.
    pairs : bool
        Whether to run the pairs as well.

    Raises
    ------
    InputError
        A cut of a link or variable that the model does not have, or a name used twice.
    ModelError
        The integration does not reproduce the shocked run.
    """
    names = [cut.name for cut in cuts]
    if len(set(names)) < len(names):
        raise InputError("two cuts have the same name", key="cuts")
    both = list(combinations(range(len(cuts)), 2)) if pairs else []
    members = [[], [], *([number] for number in range(len(cuts))), *map(list, both)]
    plan = _Plan(diff, [_resolved(diff, cut) for cut in cuts], members)
    path = plan.integrate(diff.base.model.name(target), int(np.flatnonzero(seeds)[-1]))
    response = seeds[diff.first:][:len(path)] @ (path - path[:, [_BASE]])
    full = float(response[_FULL])
    wanted = float(seeds @ diff.delta[diff.base.model.name(target)])
    if abs(full - wanted) > _TOLERANCE * abs(wanted):
        raise ModelError("the integration with cuts does not reproduce the shocked run",
                         file=diff.base.model.path, value=f"{full:g} for {wanted:g}")
    lost = 1.0 - response / full
    own = lost[2:2 + len(cuts)]
    matrix = np.zeros((len(cuts), len(cuts)))
    for (one, other), share in zip(both, lost[2 + len(cuts):], strict=True):
        matrix[one, other] = matrix[other, one] = share - own[one] - own[other]
    table = pd.DataFrame({"name": names, "response": response[2:2 + len(cuts)], "lost": own,
                          "note": [cut.note for cut in cuts]})
    return Cuts(table, pd.DataFrame(matrix, index=names, columns=names), full)


def loop_cut(name: str, path: Sequence[str], others: Mapping[str, Sequence[str]]) -> Cut:
    """Return the cut of a loop at a link that none of the `others` holds.

    Parameters
    ----------
    name : str
        Name of the loop.
    path : sequence of str
        Its variables, the first one not repeated.
    others : mapping of str to sequence of str
        The other loops from which to tell it.  A name equal to `name` is ignored.
    """
    own = list(pairwise([*path, path[0]]))
    shared = {edge for other, variables in others.items() if other != name
              for edge in pairwise([*variables, variables[0]])}
    unique = [edge for edge in own if edge not in shared]
    if unique:
        return Cut(name, links=(unique[0],), note=f"cut at {unique[0][0]} -> {unique[0][1]}")
    return Cut(name, links=(own[0],),
               note=f"no link of its own; cut at {own[0][0]} -> {own[0][1]}, which others share")


def _resolved(diff: Difference, cut: Cut) -> tuple[set[Edge], set[str]]:
    """Return the links of a cut as the expanded model has them, and its variables."""
    expanded = diff.shocked
    links = set()
    for cause, effect in cut.links:
        macro = expanded.macros.get(effect)
        readers = [name for name in (effect, *(() if macro is None else macro.hidden))
                   if name in expanded.nodes and (rule := expanded.nodes[name].rule) is not None
                   and cause in rule.inputs]
        if not readers:
            raise InputError("there is no such link", key=cut.name, value=f"{cause} -> {effect}")
        links |= {(cause, reader) for reader in readers}
    for name in cut.variables:
        if name not in expanded.nodes:
            raise InputError("there is no such variable", key=cut.name, value=name)
    return links, set(cut.variables)


class _Plan:
    """The equations that the shock can reach, run for all members at once."""

    def __init__(
        self, diff: Difference, cuts: Sequence[tuple[set[Edge], set[str]]],
        members: Sequence[Sequence[int]],
    ) -> None:
        self.diff = diff
        self.nodes = _reached(diff)
        self.size = len(members)
        self.frozen: dict[str, list[int]] = {}
        self.replaced: dict[str, dict[str, list[int]]] = {}
        for member, numbers in enumerate(members):
            for number in numbers:
                links, variables = cuts[number]
                for cause, effect in links:
                    rows = self.replaced.setdefault(effect, {}).setdefault(cause, [])
                    rows.append(member)
                for name in variables:
                    self.frozen.setdefault(name, []).append(member)
        self.lengths = {name: length for name, (_, length) in diff.pipelines().items()}
        self.outside = {name for node in self.nodes if node.rule is not None
                        for name in node.rule.inputs} - {node.name for node in self.nodes}

    def integrate(self, target: str, last: int) -> Array:
        """Return the paths of the target from the first step on, shape (steps, members)."""
        diff, first = self.diff, self.diff.first
        held = {node.name: self._start(node) for node in self.nodes if node.kind == "stock"}
        entered: dict[str, list[Array]] = {name: [] for name in self.lengths}
        rows = []
        for step in range(first, last + 1):
            values = {name: diff.base.paths[name][step] for name in self.outside}
            for node in self.nodes:
                values[node.name] = self._settle(node.name, self._value(
                    node, values, held, entered, step))
            rows.append(np.broadcast_to(values[target], (self.size,)).copy())
            for node in self.nodes:
                if node.rule is None:
                    continue
                if node.name in held:
                    rate = node.rule(self._inputs(node, values))
                    held[node.name] = values[node.name] + diff.time_step * rate
                elif node.name in entered:
                    entered[node.name].append(node.rule(self._inputs(node, values)))
        return np.array(rows)

    def _start(self, node: Node) -> Array:
        first = self.diff.first
        start = np.full(self.size, self.diff.shocked.paths[node.name][first])
        start[_BASE] = self.diff.base.paths[node.name][first]
        return start

    def _value(
        self, node: Node, values: Mapping[str, Array], held: Mapping[str, Array],
        entered: Mapping[str, Sequence[Array]], step: int,
    ) -> Array:
        if node.name in held:
            return held[node.name]
        if node.rule is None:
            value = np.full(self.size, self.diff.shocked.paths[node.name][step])
            value[_BASE] = self.diff.base.paths[node.name][step]
            return value
        if node.name in entered:
            behind = len(entered[node.name]) - self.lengths[node.name]
            if behind < 0:
                return np.full(self.size, self.diff.base.paths[node.name][step])
            return entered[node.name][behind]
        return node.rule(self._inputs(node, values))

    def _settle(self, name: str, value: Array) -> Array:
        rows = self.frozen.get(name)
        if not rows:
            return value
        changed = np.broadcast_to(value, (self.size,)).copy()
        changed[rows] = changed[_BASE]
        return changed

    def _inputs(self, node: Node, values: Mapping[str, Array]) -> Mapping[str, Array]:
        if node.name not in self.replaced:
            return values
        changed = dict(values)
        for cause, rows in self.replaced[node.name].items():
            own = np.broadcast_to(values[cause], (self.size,)).copy()
            own[rows] = own[_BASE]
            changed[cause] = own
        return changed


def _reached(diff: Difference) -> list[Node]:
    """Return what the shock can reach: sources and states first, then causes before effects."""
    nodes = diff.shocked.nodes
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(nodes)
    for name, node in nodes.items():
        if node.rule is not None and name not in diff.sources:
            graph.add_edges_from((cause, name) for cause in node.rule.inputs if cause != TIME)
    reached = set(diff.sources).union(*(nx.descendants(graph, name) for name in diff.sources))
    # A stock may start from another value without any source that reaches it.
    late = {name for name in reached if nodes[name].kind == "auxiliary"
            and name not in diff.sources}
    order = nx.topological_sort(graph.subgraph(late))
    early = [name for name in nodes if name in reached - late]
    return [_as_source(nodes[name]) if name in diff.sources else nodes[name]
            for name in (*early, *order)]


def _as_source(node: Node) -> Node:
    return type(node)(node.name, "constant", None)
