"""Finds feedback loops: all of them where that is possible, else the strongest.

The strongest-path search is that of Eberlein and Schoenberg (2020), "Finding the loops that
matter", with its memory of the best strengths reset for every start: reset once per time only,
as their listing says, it misses loops.
"""

from __future__ import annotations

from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Edge = tuple[str, str]
    Path = tuple[Edge, ...]
    Adjacency = Sequence[Sequence[tuple[float, int, int]]]

__all__ = ["Found", "Kernel", "Strongest", "all_loops", "contract", "search_strongest",
           "strongest_loops"]

# Times between the searched ones at which the outcome of a search is tested.
_PROBES = 8


class Kernel(NamedTuple):
    """A graph without its passages: nodes with one way in or one way out.

    Attributes
    ----------
    edges : list of (source, target, path)
        What is left; there may be several edges between two nodes.  A path is the edges of the
        whole graph, in order, that an edge stands for.
    loops : list of paths
        The loops that closed on the way.
    """

    edges: list[tuple[str, str, Path]]
    loops: list[Path]


class Found(NamedTuple):
    """A loop that the strongest-path search found: its score in magnitude and its edges."""

    strength: float
    path: tuple[int, ...]


def contract(edges: Iterable[Edge]) -> Kernel:
    """Join the edges that lead to and from every passage; no loop is lost."""
    live: dict[Path, Edge] = {(edge,): edge for edge in edges}
    loops: list[Path] = [path for path, (source, target) in live.items() if source == target]
    for path in loops:
        del live[path]
    ins: dict[str, set[Path]] = {}
    outs: dict[str, set[Path]] = {}
    for path, (source, target) in live.items():
        for table in (ins, outs):
            table.setdefault(source, set())
            table.setdefault(target, set())
        outs[source].add(path)
        ins[target].add(path)
    waiting = list(ins)
    while waiting:
        node = waiting.pop()
        if len(ins[node]) > 1 and len(outs[node]) > 1:
            continue
        joined = [(first, second) for first in ins[node] for second in outs[node]]
        for path in (*ins[node], *outs[node]):
            source, target = live.pop(path)
            outs[source].discard(path)
            ins[target].discard(path)
            waiting += [end for end in (source, target) if end != node]
        for first, second in joined:
            source, target, path = first[0][0], second[-1][1], (*first, *second)
            if source == target:
                loops.append(path)
            else:
                live[path] = (source, target)
                outs[source].add(path)
                ins[target].add(path)
    kernel = [(source, target, path) for path, (source, target) in live.items()]
    return Kernel(sorted(kernel), sorted(loops))


def all_loops(edges: Iterable[Edge], limit: int) -> list[Path] | None:
    """Return every loop as its edges in order, or ``None`` if there are more than `limit`.

    Johnson's algorithm, as in networkx.
    """
    loops: list[Path] = []
    for loop in nx.simple_cycles(nx.DiGraph(list(edges))):
        if len(loops) == limit:
            return None
        loops.append(tuple(pairwise([*loop, loop[0]])))
    return loops


def strongest_loops(adjacency: Adjacency, starts: Iterable[int]) -> dict[frozenset[int], Found]:
    """Return the loops on the strongest paths, found from each start in turn.

    Parameters
    ----------
    adjacency : sequence of sequences of (strength, next node, edge)
        The edges out of each node, nodes being numbers from zero; strengths are magnitudes.
    starts : iterable of int
        Where the paths begin.

    Returns
    -------
    dict of frozenset to Found
        By the edges of the loop, which tell it from every other.
    """
    # The strongest edge is tried first; a weaker arrival at the same node is then cut off.
    ordered = [sorted((edge for edge in edges if edge[0] > 0.0), key=itemgetter(0), reverse=True)
               for edges in adjacency]
    found: dict[frozenset[int], Found] = {}
    path: list[int] = []
    on_path = [False] * len(ordered)

    def visit(node: int, strength: float) -> None:
        on_path[node] = True
        for gain, following, edge in ordered[node]:
            reached = strength * gain
            if following == start:
                key = frozenset((*path, edge))
                if key not in found:
                    found[key] = Found(reached, (*path, edge))
            elif reached >= best[following] and not on_path[following]:
                best[following] = reached
                path.append(edge)
                visit(following, reached)
                path.pop()
        on_path[node] = False

    for start in starts:
        best = [0.0] * len(ordered)
        visit(start, 1.0)
    return found


class Strongest(NamedTuple):
    """Outcome of the strongest-path search of one part.

    Attributes
    ----------
    loops : list of paths
        The loops kept.
    kept : float
        Share of all loop scores found at the searched times that these loops hold, the mean.
    coverage : float
        The same of new searches at a few times in between.
    """

    loops: list[Path]
    kept: float
    coverage: float


def search_strongest(
    scores: Mapping[Edge, Array], steps: Sequence[int], keep: float
) -> Strongest:
    """Search the strongest loops of one part at several steps of a run.

    Parameters
    ----------
    scores : dict of edge to array
        Link scores of the edges of the part.
    steps : sequence of int
        The steps to search, in order.
    keep : float
        A loop is kept if it holds this share of the loop scores found at one of the steps.
    """
    kernel = contract(scores)
    gains = _strengths([path for _, _, path in kernel.edges], scores)
    closed = _strengths(kernel.loops, scores).sum(axis=0)
    chosen: dict[frozenset[int], tuple[int, ...]] = {}
    kept = []
    for step in steps:
        found = _found_at(kernel, gains[:, step])
        total = float(closed[step]) + sum(loop.strength for loop in found.values())
        strong = {key: loop for key, loop in found.items() if loop.strength >= keep * total}
        kept.append(_held(found, strong, total))
        for key, loop in strong.items():
            chosen.setdefault(key, loop.path)
    coverage = []
    for step in _between(steps):
        found = _found_at(kernel, gains[:, step])
        total = float(closed[step]) + sum(loop.strength for loop in found.values())
        coverage.append(_held(found, chosen, total))
    paths = [tuple(edge for part in path for edge in kernel.edges[part][2])
             for path in chosen.values()]
    return Strongest([*kernel.loops, *paths], float(np.mean(kept)),
                     float(np.mean(coverage or kept)))


def _strengths(paths: Sequence[Path], scores: Mapping[Edge, Array]) -> Array:
    """Return the magnitudes of the path scores, shape (paths, steps)."""
    steps = len(next(iter(scores.values())))
    return np.array([np.abs(np.prod([scores[edge] for edge in path], axis=0))
                     for path in paths]).reshape(len(paths), steps)


def _found_at(kernel: Kernel, gains: Array) -> dict[frozenset[int], Found]:
    number: dict[str, int] = {}
    for source, _, _ in kernel.edges:
        number.setdefault(source, len(number))
    adjacency: list[list[tuple[float, int, int]]] = [[] for _ in number]
    for edge, (source, target, _) in enumerate(kernel.edges):
        adjacency[number[source]].append((float(gains[edge]), number[target], edge))
    return strongest_loops(adjacency, range(len(number)))


def _held(
    found: Mapping[frozenset[int], Found], held: Container[frozenset[int]], total: float
) -> float:
    lost = sum(loop.strength for key, loop in found.items() if key not in held)
    return 1.0 - lost / total if total > 0.0 else 1.0


def _between(steps: Sequence[int]) -> list[int]:
    middle = [(first + second) // 2 for first, second in pairwise(steps) if second > first + 1]
    if not middle:
        return []
    chosen = np.unique(np.linspace(0, len(middle) - 1, _PROBES).astype(int))
    return [middle[position] for position in chosen]
