"""House rules for a Vensim model: portable, documented, and safe for every engine.

One small function per rule; `lint` runs them all.  What no engine here could run at all is
refused earlier, by `kuzbass.sd.mdl.load_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Literal

import networkx as nx
from pysd.translators.structures.abstract_expressions import (
    AbstractSyntax,
    ArithmeticStructure,
    CallStructure,
    DelayStructure,
    InlineLookupsStructure,
    IntegStructure,
    LogicStructure,
    LookupsStructure,
    ReferenceStructure,
    SmoothStructure,
)

from kuzbass.errors import plain_name
from kuzbass.sd.graph import TIME, dependencies, references, signed_flows, walk
from kuzbass.sd.limits import is_power_of_half
from kuzbass.sd.lint_units import TABLE_INPUT, check_units

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model

__all__ = ["RULES", "Finding", "lint"]

_FUNCTIONS = {
    "if_then_else", "min", "max", "xidz", "zidz", "exp", "ln", "step", "ramp", "pulse",
}
_STRUCTURES = (
    ArithmeticStructure, CallStructure, DelayStructure, InlineLookupsStructure, IntegStructure,
    LogicStructure, LookupsStructure, ReferenceStructure, SmoothStructure,
)
_PORTABLE = ("INTEG, SMOOTH(I), SMOOTH3(I), DELAY1(I), DELAY3(I), lookups, IF THEN ELSE, MIN, MAX, "
             "XIDZ, ZIDZ, EXP, LN, STEP, RAMP, PULSE")
_MAY_GO_NEGATIVE = "may go negative:"


@dataclass(frozen=True)
class Finding:
    """One breach of a rule.

    Attributes
    ----------
    rule : str
        Name of the rule, as in `RULES`.
    level : {"error", "warning"}
        An error must be mended; a warning asks for a second look.
    element : str
        The variable.
    message : str
        What is wrong and what is expected.
    """

    rule: str
    level: Literal["error", "warning"]
    element: str
    message: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.level}: {self.element}: {self.message} [{self.rule}]"


Rule = Callable[["Model"], Iterator[tuple[str, str]]]


def lint(model: Model) -> list[Finding]:
    """Return every breach of the house rules, errors first, then by rule and file order."""
    return [
        Finding(name, level, element, message)
        for level in ("error", "warning")
        for name, (rule_level, rule) in RULES.items()
        if rule_level == level
        for element, message in rule(model)
    ]


def _portable_function(model: Model) -> Iterator[tuple[str, str]]:
    for name, equation in model.equations.items():
        for node, _ in walk(equation.ast):
            if isinstance(node, CallStructure):
                called = node.function.reference
                if plain_name(called) in model.index or called in _FUNCTIONS:
                    continue
                construct = called.replace("_", " ").upper()
            elif isinstance(node, AbstractSyntax) and not isinstance(node, _STRUCTURES):
                construct = type(node).__name__.removesuffix("Structure")
            else:
                continue
            yield name, f"{construct} is not portable; allowed: {_PORTABLE}"


def _comment(model: Model) -> Iterator[tuple[str, str]]:
    for name, variable in model.variables.items():
        if not variable.comment:
            yield name, "has no comment saying why it is there"
        elif variable.kind != "control" and "Source:" not in variable.comment:
            yield name, "the comment has no 'Source: ...'"


def _constant_range(model: Model) -> Iterator[tuple[str, str]]:
    for name, variable in model.variables.items():
        if variable.kind != "constant":
            continue
        lower, upper = variable.lower, variable.upper
        value = float(model.equations[name].ast)
        if lower is None or upper is None:
            yield name, "a constant needs a range [min,max] with both bounds"
        elif not lower <= value <= upper:
            yield name, f"the value {value:g} is out of its range [{lower:g},{upper:g}]"


def _float_literal(model: Model) -> Iterator[tuple[str, str]]:
    for name, equation in model.equations.items():
        for literal in _literals(equation.ast):
            if isinstance(literal, int):
                yield name, f"write {literal}.0 instead of {literal}: PySD keeps integers apart"


def _literals(node: object) -> Iterator[float]:
    """Yield the numbers of an equation, but not the points of a table or a delay's order."""
    if isinstance(node, (int, float)):
        yield node
    elif isinstance(node, (tuple, list)):
        for item in node:
            yield from _literals(item)
    elif is_dataclass(node) and not isinstance(node, LookupsStructure):
        for field in fields(node):
            if field.name not in {"order", "non_negative"}:
                yield from _literals(getattr(node, field.name))


def _power(model: Model) -> Iterator[tuple[str, str]]:
    for name, equation in model.equations.items():
        for node, _ in walk(equation.ast):
            if not isinstance(node, ArithmeticStructure) or "^" not in node.operators:
                continue
            base = node.arguments[0]
            if isinstance(base, (int, float)) and base < 0.0:
                yield name, f"the negative base {base:g} of a power is read in two ways"
            if len(node.operators) > 1:
                yield name, "put parentheses into a power of a power: engines differ on a^b^c"


def _time_step(model: Model) -> Iterator[tuple[str, str]]:
    step = model.time_step
    if not is_power_of_half(step):
        yield model.name("TIME STEP"), f"{step:g} is not a power of one half: times would drift"


def _unit(model: Model) -> Iterator[tuple[str, str]]:
    for finding in check_units(model):
        if TABLE_INPUT not in finding.place:
            yield finding.element, finding.message


def _lookup_input(model: Model) -> Iterator[tuple[str, str]]:
    for finding in check_units(model):
        if TABLE_INPUT in finding.place:
            yield finding.element, finding.message


def _stock(model: Model) -> Iterator[tuple[str, str]]:
    for name, equation in model.equations.items():
        top = equation.ast
        for node, _ in walk(top):
            if isinstance(node, IntegStructure) and node is not top:
                yield name, "INTEG must be the whole equation of a stock"
        if not isinstance(top, IntegStructure):
            continue
        flows = signed_flows(model, name)
        if flows is None:
            yield name, "the rate of a stock must be a plain sum and difference of named flows"
        for flow, _ in flows or []:
            if model.variables[flow].kind != "auxiliary":
                yield name, f"'{flow}' is a {model.variables[flow].kind}, not a flow"
        if not isinstance(top.initial, ReferenceStructure) and top.initial != 0.0:
            yield name, "the initial value of a stock must be a named variable, or 0.0"


def _default_initial(model: Model) -> Iterator[tuple[str, str]]:
    for name, equation in model.equations.items():
        for node, _ in walk(equation.ast):
            if (isinstance(node, (SmoothStructure, DelayStructure))
                    and node.initial is node.input):
                yield name, ("give the smooth or delay an initial value (SMOOTHI, SMOOTH3I, "
                             "DELAY1I, DELAY3I): engines differ in computing the default")


def _outflow(model: Model) -> Iterator[tuple[str, str]]:
    graph = dependencies(model)
    now: nx.DiGraph[str] = nx.DiGraph()
    now.add_nodes_from(graph)
    now.add_edges_from((cause, effect) for cause, effect, when in graph.edges(data=True)
                       if when["now"])
    for name, variable in model.variables.items():
        if variable.kind != "stock" or _MAY_GO_NEGATIVE in variable.comment.lower():
            continue
        for flow, sign in signed_flows(model, name) or []:
            if sign < 0 and not nx.has_path(now, name, flow):
                yield name, (f"its outflow '{flow}' does not depend on it, so it may go below "
                             "zero; limit the flow or write 'May go negative: reason'")


def _unused(model: Model) -> Iterator[tuple[str, str]]:
    used = {cause for equation in model.equations.values()
            for cause in references(equation.ast, model.index)} - {TIME}
    for name, variable in model.variables.items():
        if (name not in used and variable.kind != "control"
                and not model.equations[name].supplementary):
            yield name, "nothing uses it; mark it :SUPPLEMENTARY if it is only read"


def _subscripts(model: Model) -> Iterator[tuple[str, str]]:
    for array in dict.fromkeys(array for array, _ in model.places.values()):
        yield array, "has subscripts, which Vensim PLE does not know; write a variable for each"


RULES: dict[str, tuple[Literal["error", "warning"], Rule]] = {
    "portable-function": ("error", _portable_function),
    "comment": ("error", _comment),
    "constant-range": ("error", _constant_range),
    "float-literal": ("error", _float_literal),
    "power": ("error", _power),
    "time-step": ("error", _time_step),
    "unit": ("error", _unit),
    "lookup-input": ("error", _lookup_input),
    "stock": ("error", _stock),
    "subscripts": ("error", _subscripts),
    "default-initial": ("warning", _default_initial),
    "outflow": ("warning", _outflow),
    "unused": ("warning", _unused),
}
