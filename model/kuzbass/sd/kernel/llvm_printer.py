"""Prints a plan as LLVM text: one run per lane, eight lanes at a time.

``@start`` computes what is fixed and the states at the start; ``@step`` one moment: it reads the
states and writes the next ones (Euler) or their rates (RK4); ``@save`` does the same and writes
the outputs.  ``@run`` goes through blocks and steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuzbass.sd.kernel.llvm_layout import LANES, Layout
from kuzbass.sd.kernel.llvm_loops import print_loops
from kuzbass.sd.kernel.llvm_math import GROUPED, V, prelude, splat
from kuzbass.sd.kernel.llvm_order import in_order
from kuzbass.sd.kernel.nodes import BOOLEANS, arguments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kuzbass.sd.kernel.plan import Plan

__all__ = ["print_plan"]

_MASK = "<8 x i1>"
_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARED = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_INTRINSICS = {"abs": "llvm.fabs.v8f64", "sqrt": "llvm.sqrt.v8f64", "trunc": "llvm.trunc.v8f64",
               "sin": "sin", "cos": "cos"}


def print_plan(plan: Plan) -> str:
    """Return the LLVM text of a plan."""
    layout = Layout.of(plan)
    text = "\n".join([_Start(plan, layout).text(), _Step(plan, layout, saves=False).text(),
                      _Step(plan, layout, saves=True).text(), print_loops(plan, layout)])
    return f"{prelude(text)}\n{text}"


class _Function:
    """Prints the nodes of one function."""

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self.plan, self.layout = plan, layout
        self.lines: list[str] = []
        self._names: dict[int, str] = {}
        self._columns = {node: place for place, node in enumerate(plan.columns)}
        self._count = 0

    def put(self, text: str) -> str:
        """Append an instruction with a result; return the name of the result."""
        self._count += 1
        self.lines.append(f"  %v{self._count} = {text}")
        return f"%v{self._count}"

    def load(self, base: str, place: int) -> str:
        return self.put(f"load {V}, ptr {self.address(base, place)}, align 64")

    def store(self, value: str, base: str, place: int) -> None:
        self.lines.append(f"  store {V} {value}, ptr {self.address(base, place)}, align 64")

    def address(self, base: str, place: int) -> str:
        return self.put(f"getelementptr {V}, ptr {base}, i64 {place}") if place else base

    def print_nodes(self, nodes: Iterable[int]) -> None:
        """Print nodes in turns; what they read from elsewhere is loaded when needed."""
        graph = self.plan.graph
        for turn in in_order(graph, [n for n in nodes if graph[n][0] not in {"path", "state"}]):
            if graph[turn[0]][0] in GROUPED:
                self._call_group(turn)
            else:
                self._names[turn[0]] = self.compute(turn[0])
            for node in turn:
                self.computed(node)

    def _call_group(self, group: list[int]) -> None:
        op = self.plan.graph[group[0]][0]
        inputs = ", ".join(f"{V} {self.value(arg)}" for one in group
                           for arg in arguments(self.plan.graph[one]))
        kind = "{" + ", ".join([V] * len(group)) + "}"
        whole = self.put(f"call {kind} @{op}.{len(group)}({inputs})")
        for place, one in enumerate(group):
            self._names[one] = self.put(f"extractvalue {kind} {whole}, {place}")

    def computed(self, node: int) -> None:
        """Do what has to be done once the value of a node is there."""

    def value(self, node: int) -> str:
        """Return the name of the value of a node."""
        if node in self._names:
            return self._names[node]
        op, *what = self.plan.graph[node]
        if op == "number":
            return splat(what[0])
        if op == "truth":
            return f"splat (i1 {'true' if what[0] else 'false'})"
        # Loaded again at each use: what is kept would only be stored and loaded elsewhere.
        return self.fetch(node, op, what)

    def fetch(self, node: int, op: str, what: list[int]) -> str:
        """Load a value that another function has computed."""
        if op == "state":
            return self.load("%cur", what[0])
        if op == "path":
            return self.path(what[0])
        if node in self.layout.fixed:
            return self._truth(node, self.load("%work", self.layout.fixed[node]))
        pointer = self.put(f"getelementptr double, ptr %series, i64 {self._columns[node]}")
        scalar = self.put(f"load double, ptr {pointer}, align 8")
        return self._truth(node, self._spread(scalar))

    def path(self, position: int) -> str:
        """Load the value of an input path at this moment."""
        place = self.put(f"getelementptr i64, ptr %inputs, i64 "
                         f"{2 * (len(self.plan.scalars) + position)}")
        base = self.put(f"load ptr, ptr {place}, align 8")
        second = self.put(f"getelementptr i64, ptr {place}, i64 1")
        stride = self.put(f"load i64, ptr {second}, align 8")
        offset = self.put(f"mul i64 {stride}, %row")
        pointer = self.put(f"getelementptr i8, ptr {base}, i64 {offset}")
        return self.put(f"load {V}, ptr {pointer}, align 64")

    def _spread(self, scalar: str) -> str:
        first = self.put(f"insertelement {V} poison, double {scalar}, i32 0")
        return self.put(f"shufflevector {V} {first}, {V} poison, <8 x i32> zeroinitializer")

    def _truth(self, node: int, value: str) -> str:
        if self.plan.graph[node][0] in BOOLEANS:
            return self.put(f"fcmp une {V} {value}, zeroinitializer")
        return value

    def as_number(self, node: int) -> str:
        """Return the value of a node as a number, a truth value as 1 or 0."""
        value = self.value(node)
        if self.plan.graph[node][0] in BOOLEANS:
            return self.put(f"select {_MASK} {value}, {V} {splat(1.0)}, {V} zeroinitializer")
        return value

    def compute(self, node: int) -> str:  # noqa: PLR0911 - one return per kind of operation
        """Print the operation of a node."""
        op = self.plan.graph[node][0]
        args = [self.value(arg) for arg in arguments(self.plan.graph[node])]
        if op in _ARITHMETIC:
            return self.put(f"{_ARITHMETIC[op]} {V} {args[0]}, {args[1]}")
        if op in _COMPARED:
            return self.put(f"fcmp {_COMPARED[op]} {V} {args[0]}, {args[1]}")
        if op in {"and", "or"}:
            return self.put(f"{op} {_MASK} {args[0]}, {args[1]}")
        if op == "not":
            return self.put(f"xor {_MASK} {args[0]}, splat (i1 true)")
        if op == "neg":
            return self.put(f"fneg {V} {args[0]}")
        if op == "select":
            return self._choose(*args)
        if op == "float":
            return self._choose(args[0], splat(1.0), splat(0.0))
        if op in {"min", "max"}:
            return self._extreme(op, *arguments(self.plan.graph[node]))
        if op == "table":
            return self._table(self.plan.graph[node][1], args[0])
        if op == "mod":
            return self._modulo(*args)
        return self.put(f"call {V} @{_INTRINSICS[op]}({V} {args[0]})")

    def _choose(self, mask: str, a: str, b: str) -> str:
        return self.put(f"select {_MASK} {mask}, {V} {a}, {V} {b}")

    def _extreme(self, op: str, first: int, second: int) -> str:
        """Return the smaller or larger; NaN if one of the two is NaN, as NumPy does."""
        if self.plan.graph[second][0] == "number":
            first, second = second, first
        a, b = self.value(first), self.value(second)
        # This form takes the second value if any is NaN, so the first must be watched.
        how = "olt" if op == "min" else "ogt"
        value = self._choose(self.put(f"fcmp {how} {V} {a}, {b}"), a, b)
        if self.plan.graph[first][0] == "number":
            return value
        return self._choose(self.put(f"fcmp uno {V} {a}, {a}"), a, value)

    def _modulo(self, value: str, unit: str) -> str:
        ratio = self.put(f"fdiv {V} {value}, {unit}")
        whole = self.put(f"call {V} @llvm.floor.v8f64({V} {ratio})")
        product = self.put(f"fmul {V} {unit}, {whole}")
        rest = self.put(f"fsub {V} {value}, {product}")
        less, more = (self.put(f"{op} {V} {rest}, {unit}") for op in ("fsub", "fadd"))
        low = self._choose(self.put(f"fcmp olt {V} {rest}, zeroinitializer"), more, rest)
        return self._choose(self.put(f"fcmp oge {V} {rest}, {unit}"), less, low)

    def _table(self, position: int, at: str) -> str:
        place = self.put(f"getelementptr i64, ptr %tables, i64 {5 * position}")
        fields = []
        for field, kind in enumerate(("ptr", "ptr", "ptr", "i64", "i64")):
            pointer = self.put(f"getelementptr i64, ptr {place}, i64 {field}")
            fields.append(self.put(f"load {kind}, ptr {pointer}, align 8"))
        x, y, slope, count, stride = fields
        first = self.put(f"insertelement <8 x i64> poison, i64 {stride}, i32 0")
        spread = self.put(f"shufflevector <8 x i64> {first}, <8 x i64> poison, "
                          "<8 x i32> zeroinitializer")
        lanes = ", ".join(f"i64 {lane}" for lane in range(LANES))
        shift = self.put(f"mul <8 x i64> {spread}, <{lanes}>")
        return self.put(f"call {V} @table({V} {at}, ptr {x}, ptr {y}, ptr {slope}, i64 {count}, "
                        f"<8 x i64> {shift})")


class _Start(_Function):
    """What is computed once a run: everything fixed, and the states at the start."""

    def fetch(self, node: int, op: str, what: list[int]) -> str:
        if op not in {"scalar", "path0"}:
            return super().fetch(node, op, what)
        position = what[0] + (len(self.plan.scalars) if op == "path0" else 0)
        place = self.put(f"getelementptr i64, ptr %inputs, i64 {2 * position}")
        base = self.put(f"load ptr, ptr {place}, align 8")
        return self.put(f"load {V}, ptr {base}, align 64")

    def compute(self, node: int) -> str:
        op, *what = self.plan.graph[node]
        return self.fetch(node, op, what) if op in {"scalar", "path0"} else super().compute(node)

    def computed(self, node: int) -> None:
        if node in self.layout.fixed:
            self.store(self.as_number(node), "%work", self.layout.fixed[node])

    def text(self) -> str:
        self.print_nodes(self.plan.once)
        for place, state in enumerate(self.plan.states):
            value = self.value(state.start)
            self.store(value, "%work", self.layout.states + place)
            if place in self.layout.lines:
                first = self.address("%work", self.layout.lines[place] + 1)
                self.lines.append(f"  call void @fill(ptr {first}, {V} {value}, "
                                  f"i64 {state.length})")
        body = "\n".join(self.lines)
        return ("define internal void @start(ptr noalias %inputs, ptr noalias %tables, "
                f"ptr noalias %work) noinline {{\n{body}\n  ret void\n}}")


class _Step(_Function):
    """What is computed at every step, with the outputs if it `saves`."""

    def __init__(self, plan: Plan, layout: Layout, *, saves: bool) -> None:
        super().__init__(plan, layout)
        self._saves = saves
        self._places: dict[int, list[int]] = {}
        for place, node in enumerate(plan.outputs if saves else ()):
            self._places.setdefault(node, []).append(place)
        self._changes: dict[int, list[int]] = {}
        for place, state in enumerate(plan.states):
            self._changes.setdefault(state.next, []).append(place)

    def computed(self, node: int) -> None:
        for place in self._places.pop(node, ()):
            self._store_output(self.as_number(node), place)
        for place in self._changes.pop(node, ()):
            self._change(place, self.value(node))

    def _store_output(self, value: str, place: int) -> None:
        offset = self.put(f"mul i64 %output_bytes, {place}")
        pointer = self.put(f"getelementptr i8, ptr %out, i64 {offset}")
        self.lines.append(f"  store {V} {value}, ptr {pointer}, align 64")

    def _change(self, place: int, value: str) -> None:
        state = self.plan.states[place]
        if state.kind == "flow" and self.plan.spec.method == "euler":
            old = self.load("%cur", place)
            # The step is a power of two: one rounding or two is the same.
            value = self.put(f"call {V} @llvm.fma.v8f64({V} {value}, "
                             f"{V} {splat(self.plan.spec.time_step)}, {V} {old})")
        if state.kind == "fixed":
            self.store(value, "%work", self.layout.lines[place])
        else:
            self.store(value, "%nxt", place)

    def text(self) -> str:
        plan = self.plan
        self.print_nodes(sorted({*plan.core, *plan.extra}) if self._saves else plan.core)
        # What is left was not computed here: states, inputs, series and numbers.
        for node in [*self._places, *self._changes]:
            self.computed(node)
        body = "\n".join(self.lines)
        return (f"define internal void @{'save' if self._saves else 'step'}(ptr noalias %cur, "
                "ptr noalias %nxt, ptr noalias %work, ptr noalias %series, ptr noalias %inputs, "
                "ptr noalias %tables, i64 %row, ptr noalias %out, i64 %output_bytes) "
                f"noinline {{\n{body}\n  ret void\n}}")
