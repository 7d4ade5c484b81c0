"""Ranks the paths by which a change reached a variable.

Works on an exact attribution (`kuzbass.sd.attribution`): the contributions of all paths through
the graph unrolled in time sum to the response.  A path here visits a variable once; what turns
back through a loop of several stocks is not in it.  What a stock does by itself (its own decay,
its own growth) belongs to every path that passes it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pandas as pd

from kuzbass.sd.attribution import owners

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.attribution import Attribution, Difference

    Array = NDArray[np.float64]
    Edge = tuple[str, str]

__all__ = ["CausalPath", "Meter", "Pathways", "meters", "net_links", "pathways"]

_SMALLEST = 0.002
_MOST = 20_000
_METER = 8  # most parts of a meter


@dataclass(frozen=True)
class CausalPath:
    """One path from what was changed to the variable.

    Attributes
    ----------
    variables : tuple of str
        From the source to the target; smooths and delays by their output.
    share : float
        Of the response at the moment of the attribution; negative if it works against it.
    delay : float
        From the first change of the source until its effect through this path has half of its
        peak, in the time unit.
    amplification : float
        Largest effect through this path, relative to the target's base, over the largest
        relative change of the source; NaN where a base is zero.
    series : array, shape (t,)
        Effect on the target through this path, in its unit.
    """

    variables: tuple[str, ...]
    share: float
    delay: float
    amplification: float
    series: Array = field(repr=False)


@dataclass(frozen=True)
class Pathways:
    """The strongest paths to one variable.

    Attributes
    ----------
    paths : tuple of CausalPath
        Largest share first.
    complete : bool
        No path that could carry the smallest share of interest was left out.
    listed : float
        Sum of the shares of the paths.
    rest : float
        One less that: weaker paths, and what turned back through feedback.
    """

    paths: tuple[CausalPath, ...]
    complete: bool
    listed: float
    rest: float

    def routes(self, groups: Mapping[str, str]) -> pd.DataFrame:
        """Return the paths summed by the groups that they pass, in order.

        Parameters
        ----------
        groups : mapping of str to str
            Group of each variable.

        Returns
        -------
        pandas.DataFrame
            Columns ``route``, ``share`` (sum), ``paths`` (how many), ``delay`` (mean, weighted
            with the magnitudes of the shares) and ``example`` (the strongest of them).
        """
        table = self.table()
        table["size"] = table["share"].abs()
        table["late"] = table["delay"] * table["size"]
        table["route"] = [" -> ".join(_runs([groups.get(name, "") for name in path.variables]))
                          for path in self.paths]
        summed = table.groupby("route", sort=False).agg(
            share=("share", "sum"), paths=("share", "size"), late=("late", "sum"),
            size=("size", "sum"), example=("path", "first")).reset_index()
        summed["delay"] = summed["late"] / summed["size"]
        order = summed["share"].abs().sort_values(ascending=False, kind="stable").index
        return summed.loc[order, ["route", "share", "paths", "delay", "example"]].reset_index(
            drop=True)

    def table(self) -> pd.DataFrame:
        """Return one row per path: rank, share, delay, amplification, links, path."""
        rows = [(rank, path.share, path.delay, path.amplification, len(path.variables) - 1,
                 " -> ".join(path.variables)) for rank, path in enumerate(self.paths, start=1)]
        return pd.DataFrame(rows, columns=["rank", "share", "delay", "amplification", "links",
                                           "path"])


def pathways(
    diff: Difference, result: Attribution, seeds: Array, *, smallest: float = _SMALLEST
) -> Pathways:
    """Search the paths that carried most of a response, the strongest beginnings first.

    Parameters
    ----------
    diff : Difference
        From `kuzbass.sd.attribution.difference`.
    result : Attribution
        From `kuzbass.sd.attribution.attribute`.
    seeds : array, shape (t,)
        Weights of the steps in the response, from `kuzbass.sd.attribution.seeds`.
    smallest : float
        A beginning is followed while what continues from it is at least this share of the
        response, in magnitude.
    """
    web = _Web(diff, result)
    found: dict[tuple[str, ...], tuple[Array, str]] = {}
    order = count()
    heap: list[tuple[float, int, tuple[str, ...], Array]] = []
    for source in diff.sources:
        if source in web.links or source == result.target:
            heapq.heappush(heap, (-np.inf, next(order), (source,), diff.delta[source]))
    visits = 0
    while heap and visits < _MOST:
        visits += 1
        _, _, path, series = heapq.heappop(heap)
        if path[-1] == result.target:
            shown = web.shown(path)
            before = found[shown][0] if shown in found else 0.0
            found[shown] = before + series, path[0]
            continue
        for effect in web.links.get(path[-1], {}):
            if effect in path:
                continue
            arrival = web.push((path[-1], effect), series)
            carried = float(np.abs(result.weights[effect] * arrival).sum())
            if carried >= smallest * abs(result.response):
                heapq.heappush(heap, (-carried, next(order), (*path, effect),
                                      web.settle(effect, arrival)))
    paths = sorted((_path(diff, result, seeds, shown, *item) for shown, item in found.items()),
                   key=lambda path: -abs(path.share))
    listed = float(sum(path.share for path in paths))
    return Pathways(tuple(paths), not heap, listed, 1.0 - listed)


def net_links(
    diff: Difference, result: Attribution, metered: Sequence[Meter]
) -> dict[Edge, Array]:
    """Return the flows of an attribution with every meter as one link.

    Parameters
    ----------
    diff, result : Difference, Attribution
    metered : sequence of Meter
        From `meters`, for the same target.

    Returns
    -------
    dict of (cause, effect) to array, shape (t,)
        As `Attribution.flows`; see `meters`.
    """
    owner = owners(diff.shocked)
    inside = {owner.get(part, part): entry for entry in metered for part in entry.parts}
    merged: dict[Edge, Array] = {}
    for (cause, effect), flow in result.flows.items():
        if effect in inside:
            continue
        edge = (inside[cause].cause, effect) if cause in inside else (cause, effect)
        merged[edge] = merged.get(edge, 0.0) + flow
    return merged


@dataclass(frozen=True)
class Meter:
    """A part of the model between two variables that only compares one with its own past.

    Attributes
    ----------
    cause, effect : str
        The variable that is metered and the first one that reads the comparison.
    parts : tuple of str
        The variables in between, causes before effects.
    """

    cause: str
    effect: str
    parts: tuple[str, ...]


def meters(diff: Difference, target: str) -> list[Meter]:
    """Find the small parts with a stock, one entry, one exit and opposed ways between.

    A growth rate that compares a variable with a smooth of itself carries the difference along
    two ways that nearly cancel; only their sum means something.
    """
    graph = _graph(diff)
    states = {*diff.stocks(), *diff.pipelines()}
    graph.add_edges_from(("", source) for source in diff.sources)
    if target not in graph:
        return []
    graph = nx.DiGraph(graph.subgraph(nx.ancestors(graph, target) | {target}))
    into = nx.immediate_dominators(graph, "")
    out = nx.immediate_dominators(graph.reverse(), target)
    found: list[Meter] = []
    taken: set[str] = set()
    for state in sorted(states & set(graph)):
        cause, effect = into.get(state), out.get(state)
        if not cause or not effect or state in (target, *taken) or effect == state:
            continue
        parts = {name for name in graph if name not in (cause, effect, "", target)
                 and _above(into, name, cause) and _above(out, name, effect)}
        if not 1 <= len(parts) <= _METER or parts & taken or not _closed(
                graph, parts, cause, effect):
            continue
        core = graph.subgraph(parts)
        if not nx.is_directed_acyclic_graph(core) or not any(
                _opposed(diff, (cause, *parts), reader) for reader in (*parts, effect)):
            continue
        taken |= parts
        found.append(Meter(cause, effect, tuple(nx.topological_sort(core))))
    return found


def _closed(graph: nx.DiGraph[str], parts: set[str], cause: str, effect: str) -> bool:
    """Say whether `cause` is the only entry of the parts and `effect` their only exit."""
    return all(parts.issuperset({*graph.predecessors(part)} - {cause})
               and parts.issuperset({*graph.successors(part)} - {effect}) for part in parts)


def _opposed(diff: Difference, causes: Sequence[str], effect: str) -> bool:
    """Say whether some of the causes push the effect up and others down, over the whole run."""
    ways = [float(diff.parts[cause, effect].sum()) for cause in causes
            if (cause, effect) in diff.parts and cause != effect]
    return bool(ways) and min(ways) < 0.0 < max(ways)


def _above(tree: Mapping[str, str], name: str, ancestor: str) -> bool:
    while name in tree and tree[name] != name:
        name = tree[name]
        if name == ancestor:
            return True
    return False


def _graph(diff: Difference) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(diff.delta)
    # A stock that reads itself through auxiliaries stays as it is; only its own loop is cut.
    graph.add_edges_from(edge for edge in diff.parts if edge[0] != edge[1])
    graph.add_edges_from((inflow, name) for name, (inflow, _) in diff.pipelines().items()
                         if inflow in diff.delta)
    return graph


class _Web:
    """The links of a difference as operators on series along time."""

    def __init__(self, diff: Difference, result: Attribution) -> None:
        self.diff = diff
        self.stocks = set(diff.stocks())
        self.pipelines = diff.pipelines()
        self.owner = owners(diff.shocked)
        self.own = _returns(diff)
        self.links: dict[str, dict[str, Meter | None]] = {}
        found = meters(diff, result.target)
        inside = {part for meter in found for part in meter.parts}
        for cause, effect in _graph(diff).edges:
            if cause not in inside and effect not in inside:
                self.links.setdefault(cause, {})[effect] = None
        for meter in found:
            self.links.setdefault(meter.cause, {})[meter.effect] = meter

    def push(self, edge: Edge, series: Array) -> Array:
        """Return what arrives at the effect of a link."""
        meter = self.links[edge[0]][edge[1]]
        if meter is None:
            return self._single(edge, series)
        values = {meter.cause: series}
        for part in meter.parts:
            values[part] = self.settle(part, self._gathered(values, part))
        return self._gathered(values, meter.effect)

    def settle(self, name: str, arrival: Array) -> Array:
        """Return the difference that an arrival makes: a stock keeps it and acts on itself."""
        if name not in self.stocks:
            return arrival
        held, level = [], 0.0
        for new, factor in zip(arrival.tolist(), [0.0, *self.own[name][:-1]], strict=True):
            level = factor * level + new
            held.append(level)
        return np.array(held)

    def shown(self, path: Sequence[str]) -> tuple[str, ...]:
        """Return the names of a path with the outputs of smooths and delays for their parts."""
        return _runs([self.owner.get(name, name) for name in path])

    def _gathered(self, values: Mapping[str, Array], effect: str) -> Array:
        arrivals = [self._single((cause, effect), series) for cause, series in values.items()
                    if (cause, effect) in self.diff.gains or self._feeds(cause, effect)]
        total: Array = np.sum(arrivals, axis=0)
        return total

    def _feeds(self, cause: str, effect: str) -> bool:
        return effect in self.pipelines and self.pipelines[effect][0] == cause

    def _single(self, edge: Edge, series: Array) -> Array:
        if self._feeds(*edge):
            return _later(series, self.pipelines[edge[1]][1])
        arrival = self.diff.gains[edge] * series
        return _later(self.diff.time_step * arrival, 1) if edge[1] in self.stocks else arrival


def _runs(names: Sequence[str]) -> tuple[str, ...]:
    """Return names in order, each run of the same name once."""
    return (names[0], *(after for before, after in pairwise(names) if before != after))


def _later(series: Array, steps: int) -> Array:
    return np.concatenate([np.zeros(steps), series[:-steps]])


def _returns(diff: Difference) -> dict[str, list[float]]:
    """Return by how much one unit of a stock has become at the next step by its own doing.

    One, plus what comes back to its rate through auxiliaries alone.
    """
    causes: dict[str, list[str]] = {}
    for cause, effect in diff.gains:
        causes.setdefault(effect, []).append(cause)
    factors = {}
    for stock in diff.stocks():
        reached: dict[str, Array] = {stock: np.ones(len(diff.time))}
        for name in diff.order:
            parts = [diff.gains[cause, name] * reached[cause] for cause in causes.get(name, ())
                     if cause in reached]
            if parts:
                reached[name] = np.sum(parts, axis=0)
        back = [diff.gains[cause, stock] * reached[cause] for cause in causes.get(stock, ())
                if cause in reached]
        factors[stock] = (1.0 + diff.time_step * np.sum(back, axis=0)).tolist() if back else (
            [1.0] * len(diff.time))
    return factors


def _path(
    diff: Difference, result: Attribution, seeds: Array, shown: tuple[str, ...], series: Array,
    source: str,
) -> CausalPath:
    size = np.abs(series)
    began = diff.time[np.flatnonzero(diff.delta[source])[0]]
    half = float(diff.time[np.argmax(size >= 0.5 * size.max())] - began)
    return CausalPath(shown, float(seeds @ series / result.response), half,
                      _relative(series, diff.base.paths[result.target])
                      / _relative(diff.delta[source], diff.base.paths[source]), series)


def _relative(change: Array, base: Array) -> float:
    scale = float(np.abs(base[change != 0.0]).mean()) if change.any() else 0.0
    return float(np.abs(change).max()) / scale if scale > 0.0 else float("nan")

