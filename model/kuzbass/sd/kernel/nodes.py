"""The flat scalar form: expressions as numbered nodes, each made once.

A node is a tuple: its operation and what it acts on.  Numbers of other nodes are always smaller
than the own one, so that the order of creation is an order of evaluation.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

from kuzbass.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["BOOLEANS", "EXACT", "LEAVES", "Graph", "Node", "UnsupportedError", "arguments"]

Node = tuple[Any, ...]

# Their arguments are not nodes but numbers, names or positions.
LEAVES = frozenset({
    "number", "truth",                          # literals
    "constant", "start", "driver", "driver0",   # by name; 'start' and 'driver0': at the start
    "time", "state",
    "scalar", "path", "path0",                  # inputs of a run, by position
})
BOOLEANS = frozenset({"truth", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
# Operations that IEEE 754 defines to the last bit, the same on every machine.
EXACT = frozenset({
    "add", "sub", "mul", "div", "neg", "min", "max", "abs", "sqrt", "trunc", "mod", "select",
    "float", "table", *BOOLEANS,
})


class UnsupportedError(ModelError):
    """The model uses what the kernel does not support; the reference engine may run it."""


def arguments(node: Node) -> tuple[int, ...]:
    """Return the numbers of the nodes that `node` acts on."""
    if node[0] in LEAVES:
        return ()
    return node[2:] if node[0] == "table" else node[1:]


class Graph:
    """A growing list of nodes without repetition.

    Parameters
    ----------
    nodes : iterable of tuple, optional
        To start from.
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: list[Node] = list(nodes)
        self._known = {_key(node): number for number, node in enumerate(self.nodes)}

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def __len__(self) -> int:
        return len(self.nodes)

    def number(self, value: float) -> int:
        """Return the node of a literal number."""
        return self._intern(("number", float(value)))

    def truth(self, value: bool) -> int:
        """Return the node of a literal truth value."""
        return self._intern(("truth", bool(value)))

    def leaf(self, kind: str, what: str | int | None = None) -> int:
        """Return a node that acts on no other node."""
        return self._intern((kind,) if what is None else (kind, what))

    def table(self, name: str | int, x: int) -> int:
        """Return the value of a table at `x`."""
        return self._intern(("table", name, x))

    def add(self, op: str, *args: int) -> int:
        """Return the node of an operation, simplified where that changes no bit."""
        simple = self._fold(op, args)
        if simple is None:
            simple = self._simplify(op, args)
        return self._intern((op, *args)) if simple is None else simple

    def is_boolean(self, number: int) -> bool:
        """Say whether a node is a truth value."""
        return self.nodes[number][0] in BOOLEANS

    def literal(self, number: int) -> float | None:
        """Return the value of a literal number, ``None`` if the node is something else."""
        node = self.nodes[number]
        return node[1] if node[0] == "number" else None

    def reachable(self, roots: Iterable[int]) -> list[int]:
        """Return `roots` and everything they act on, in the order of evaluation."""
        found: set[int] = set()
        stack = list(roots)
        while stack:
            number = stack.pop()
            if number not in found:
                found.add(number)
                stack.extend(arguments(self.nodes[number]))
        return sorted(found)

    def _intern(self, node: Node) -> int:
        key = _key(node)
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return number

    def _fold(self, op: str, args: tuple[int, ...]) -> int | None:
        """Compute an operation on literals if Python does so to the last bit."""
        function = _FOLDED.get(op)
        values = [self.nodes[arg][1] for arg in args if self.nodes[arg][0] in {"number", "truth"}]
        if function is None or len(values) < len(args):
            return None
        try:
            value = function(*values)
        except (ArithmeticError, ValueError):
            return None  # the run itself shows it
        return self.truth(value) if op in BOOLEANS else self.number(value)

    def _simplify(self, op: str, args: tuple[int, ...]) -> int | None:
        if op == "select":
            condition = self.nodes[args[0]]
            if condition[0] == "truth":
                return args[1] if condition[1] else args[2]
            return args[1] if args[1] == args[2] else None
        if op in {"mul", "div"} and self.literal(args[1]) == 1.0:
            return args[0]
        if op == "mul" and self.literal(args[0]) == 1.0:
            return args[1]
        if op == "div" and _has_exact_inverse(self.literal(args[1])):
            return self.add("mul", args[0], self.number(1.0 / self.nodes[args[1]][1]))
        return self._simple_power(*args) if op == "pow" else None

    def _simple_power(self, base: int, exponent: int) -> int | None:
        power = self.literal(exponent)
        if power == 1.0:
            return base
        if power == 2.0:
            return self.add("mul", base, base)
        if power == 3.0:
            return self.add("mul", self.add("mul", base, base), base)
        if power == 0.5:
            return self.add("sqrt", base)
        return self.add("div", self.number(1.0), base) if power == -1.0 else None


def _key(node: Node) -> Node:
    # 0.0 equals -0.0 and NaN differs from itself; their texts behave.
    return ("number", node[1].hex()) if node[0] == "number" else node


def _has_exact_inverse(value: float | None) -> bool:
    if value is None or value == 0.0 or not math.isfinite(value):
        return False
    mantissa, exponent = math.frexp(value)
    return abs(mantissa) == 0.5 and abs(exponent) < 1000


def _smaller(a: float, b: float) -> float:
    return a if a < b or math.isnan(a) else b


def _larger(a: float, b: float) -> float:
    return a if a > b or math.isnan(a) else b


_FOLDED: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "abs": abs, "min": _smaller, "max": _larger, "sqrt": math.sqrt,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "eq": operator.eq, "ne": operator.ne, "float": float,
    "trunc": lambda value: float(math.trunc(value)),
    "and": lambda a, b: a and b, "or": lambda a, b: a or b, "not": operator.not_,
}
