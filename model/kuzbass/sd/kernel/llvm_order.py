"""The order in which operations are printed: what waits is mixed with what need not wait.

A processor looks a few hundred instructions ahead, a step of a model has thousands.  So the
longest chains come first, operations that do not act on each other alternate, calls of the same
function are drawn together, and what can wait until after a call does.  The order of printing
changes no bit.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from kuzbass.sd.kernel.llvm_math import GROUPED, TOGETHER
from kuzbass.sd.kernel.nodes import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kuzbass.sd.kernel.nodes import Graph

__all__ = ["in_order"]

# Cycles until a result can be used, about, on processors with eight lanes; the rest needs 4.
_WAIT = {"div": 24, "sqrt": 30, "mod": 40, "min": 8, "max": 8, "table": 100, "sin": 80, "cos": 80,
         "exp": 80, "ln": 90, "pow": 120}
_USUAL = 4
_DIVIDER = 16  # cycles between one division and the next
_AT_ONCE = 2  # operations that start in a cycle


def in_order(graph: Graph, nodes: Sequence[int]) -> list[list[int]]:
    """Return `nodes` in turns: one operation, or some calls of the same function at once.

    Parameters
    ----------
    graph : Graph
    nodes : sequence of int
        In an order of evaluation; what they act on besides is there already.
    """
    place: dict[int, int] = {}  # calls before a node
    calls: list[list[int]] = []
    for turn in _Order(graph, nodes).turns():
        place |= dict.fromkeys(turn, len(calls))
        if graph[turn[0]][0] in GROUPED:
            calls.append(turn)
    _put_off(graph, nodes, place)
    stretches: list[list[int]] = [[] for _ in range(len(calls) + 1)]
    for node in nodes:
        if graph[node][0] not in GROUPED:
            stretches[place[node]].append(node)
    turns: list[list[int]] = []
    for stretch, call in zip(stretches, [*calls, []], strict=True):
        turns += _Order(graph, stretch).turns()
        turns += [call] * bool(call)
    return turns


def _put_off(graph: Graph, nodes: Sequence[int], place: dict[int, int]) -> None:
    """Move what only later stretches need there, if that leaves no more to be kept in between.

    A call displaces all registers, so whatever is needed after it has to be stored.
    """
    users: dict[int, list[int]] = {node: [] for node in nodes}
    for node in nodes:
        for arg in {*arguments(graph[node])} & users.keys():
            users[arg].append(node)
    for _ in range(2):  # what has moved lets others move
        for node in reversed(nodes):
            if graph[node][0] in GROUPED or not users[node]:
                continue
            later = min(place[user] for user in users[node])
            kept = sum(max(place[user] for user in users[arg]) < later
                       for arg in {*arguments(graph[node])} & users.keys())
            if kept <= 1:
                place[node] = later


class _Order:
    def __init__(self, graph: Graph, nodes: Sequence[int]) -> None:
        self._graph = graph
        self._users: dict[int, list[int]] = {node: [] for node in nodes}
        self._missing: dict[int, int] = {}
        for node in nodes:
            needed = {arg for arg in arguments(graph[node]) if arg in self._users}
            self._missing[node] = len(needed)
            for arg in needed:
                self._users[arg].append(node)
        self._left: dict[int, int] = {}  # cycles from the start of a node to the end of all
        for node in reversed(nodes):
            after = max((self._left[user] for user in self._users[node]), default=0)
            self._left[node] = after + self._wait(node)
        self._ready_at = dict.fromkeys(nodes, 0)
        self._cycle = self._started = self._divider_free = 0
        self._waiting: list[tuple[int, int]] = []  # (cycle, node)
        self._ready: list[tuple[int, int]] = []  # (-cycles left, node)
        self._divisions: list[tuple[int, int]] = []
        self._calls: dict[str, list[tuple[int, int]]] = {}
        for node in nodes:
            if not self._missing[node]:
                self._enter(node)

    def turns(self) -> list[list[int]]:
        turns = []
        while True:
            # A call displaces all registers: first everything that can be done without it.
            if self._waiting or self._ready or self._divisions:
                turns.append([self._next()])
            elif self._calls:
                turns.append(self._next_calls())
            else:
                return turns

    def _wait(self, node: int) -> int:
        return _WAIT.get(self._graph[node][0], _USUAL)

    def _enter(self, node: int) -> None:
        op = self._graph[node][0]
        if op in GROUPED:
            heappush(self._calls.setdefault(op, []), (-self._left[node], node))
        else:
            heappush(self._waiting, (self._ready_at[node], node))

    def _next(self) -> int:
        """Draw the operation with the longest chain after it among those that can start."""
        while True:
            while self._waiting and self._waiting[0][0] <= self._cycle:
                node = heappop(self._waiting)[1]
                is_division = self._graph[node][0] == "div"
                heappush(self._divisions if is_division else self._ready,
                         (-self._left[node], node))
            free = self._divisions if self._divider_free <= self._cycle else []
            if self._ready or free:
                break
            later = [self._waiting[0][0]] if self._waiting else []
            self._pass_to(min(later + [self._divider_free] * bool(self._divisions)))
        if free and (not self._ready or free[0] < self._ready[0]):
            node = heappop(self._divisions)[1]
            self._divider_free = self._cycle + _DIVIDER
        else:
            node = heappop(self._ready)[1]
        self._leave(node, self._cycle + self._wait(node))
        self._started += 1
        if self._started == _AT_ONCE:
            self._pass_to(self._cycle + 1)
        return node

    def _next_calls(self) -> list[int]:
        """Draw the most urgent call, and calls of the same function with it."""
        op = min(self._calls, key=lambda one: self._calls[one][0])
        ready = self._calls[op]
        turn = [heappop(ready)[1] for _ in range(min(TOGETHER, len(ready)))]
        if not ready:
            del self._calls[op]
        self._pass_to(self._cycle + self._wait(turn[0]))
        for node in turn:
            self._leave(node, self._cycle)
        return turn

    def _pass_to(self, cycle: int) -> None:
        self._cycle, self._started = max(cycle, self._cycle), 0

    def _leave(self, node: int, at: int) -> None:
        for user in self._users[node]:
            self._ready_at[user] = max(self._ready_at[user], at)
            self._missing[user] -= 1
            if not self._missing[user]:
                self._enter(user)
