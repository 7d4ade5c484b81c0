"""Reads a Vensim model: its catalogue of variables and its translation by PySD."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pysd.builders.python.python_functions import functionspace
from pysd.translators.structures.abstract_expressions import (
    CallStructure,
    GetConstantsStructure,
    GetDataStructure,
    GetLookupsStructure,
    IntegStructure,
    LookupsStructure,
)
from pysd.translators.structures.abstract_model import (
    AbstractControlElement,
    AbstractData,
    AbstractLookup,
)
from pysd.translators.vensim.vensim_file import VensimFile

from kuzbass.errors import InputError, ModelError, nearest, plain_name
from kuzbass.paths import model_path
from kuzbass.sd import graph, pysd_fixes
from kuzbass.sd.text import check_integration_method, read_entries, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kuzbass.sd.text import Entry

__all__ = ["Curve", "Equation", "Model", "Variable", "load_model"]

Kind = Literal["stock", "auxiliary", "constant", "lookup", "control"]
Curve = pysd_fixes.Curve

_REFUSED = {
    ":MACRO:": "a macro",
    ":THE CONDITION:": "a reality check",
    ":TEST INPUT:": "a test input",
}


@dataclass(frozen=True)
class Variable:
    """What a modeller sees of a variable.

    Attributes
    ----------
    name : str
        As written in the .mdl file.
    kind : {"stock", "auxiliary", "constant", "lookup", "control"}
        A constant is a literal number; a flow is an auxiliary.
    unit : str
        Vensim unit.
    lower, upper : float or None
        The range ``[min,max]``; ``None`` is an open bound.
    comment : str
        The comment, on one line.
    group : str
        The Vensim group, ``""`` if none.
    """

    name: str
    kind: Kind
    unit: str
    lower: float | None
    upper: float | None
    comment: str
    group: str


@dataclass(frozen=True)
class Equation:
    """An equation: its text, PySD's syntax tree and, of a lookup, its points.

    `supplementary` says that no other equation is meant to use the variable.
    """

    text: str
    ast: Any
    curve: Curve | None
    supplementary: bool


@dataclass(frozen=True)
class Model:
    """A Vensim model, read and checked; holds no state of any run.

    Attributes
    ----------
    path : Path
        The .mdl file.
    sha256 : str
        Of the file's bytes.
    variables : dict of str to Variable
        By the name as written, in the order of the file; ``Time`` is not among them.
    equations : dict of str to Equation
        By the same names.
    initial_time, final_time, time_step : float
        The time axis of the file, in its time unit.
    index : dict of str to str
        `kuzbass.errors.plain_name` -> name as written.
    source : str
        The Python text into which PySD translated the model.
    """

    path: Path
    sha256: str
    variables: dict[str, Variable]
    equations: dict[str, Equation] = field(repr=False)
    initial_time: float
    final_time: float
    time_step: float
    index: dict[str, str] = field(repr=False)
    source: str = field(repr=False)

    def name(self, name: str) -> str:
        """Return the name as written of the variable called `name` (case and ``_`` are free).

        Raises
        ------
        InputError
            No such variable; the message offers the nearest names.
        """
        try:
            return self.index[plain_name(name)]
        except KeyError:
            close = nearest(name, self.variables)
            raise InputError(
                f"the model {self.path.name} has no such variable", key=name,
                allowed=f"did you mean {', '.join(close)}?" if close else None,
            ) from None

    def curves(self) -> dict[str, Curve]:
        """Return the points of every lookup."""
        return {name: equation.curve for name, equation in self.equations.items()
                if equation.curve is not None}


def load_model(path: Path | None = None) -> Model:
    """Read, check and translate a Vensim model.

    A second call for an unchanged file returns the same object.

    Parameters
    ----------
    path : Path, optional
        The .mdl file; the shipped model if left out.

    Raises
    ------
    ModelError
        The file cannot be read, has a syntax error, lacks a unit, is integrated by another
        method than Euler, has an algebraic loop, or uses what the engine cannot run
        (macros, subscripts, outside data).
    """
    path = model_path() if path is None else Path(path)
    return _load(path, *read_text(path))


@lru_cache(maxsize=8)
def _load(path: Path, text: str, sha256: str) -> Model:
    check_integration_method(text, path)
    for token, construct in _REFUSED.items():
        if token in text.upper():
            raise ModelError(f"unsupported construct: {construct}", file=path, key=token)
    with tempfile.TemporaryDirectory(prefix="kuzbass-") as folder:
        # PySD writes the translation beside the model, so it works on a copy.
        copy = Path(folder) / "model.mdl"
        copy.write_text(text, encoding="utf-8")
        abstract = _parse(copy, path)
        elements = abstract.sections[0].elements
        variables, equations = _catalogue(elements, read_entries(text), path)
        index = {plain_name(name): name for name in variables}
        _check_names(equations, index, path)
        initial_time, final_time, time_step = (
            _control(name, equations, index, path)
            for name in ("INITIAL TIME", "FINAL TIME", "TIME STEP"))
        source = pysd_fixes.translate(abstract)
    model = Model(path, sha256, variables, equations, initial_time, final_time,
                  time_step, index, source)
    _check_loops(model)
    _check_values(model)
    return model


def _parse(copy: Path, path: Path) -> Any:
    document = VensimFile(copy, encoding="utf-8")
    try:
        document.parse()
    except Exception as error:
        # PySD lets the errors of its grammar library through, of many types.
        raise _syntax_error(document, error, path) from error
    abstract = document.get_abstract_model()
    subscripts = abstract.sections[0].subscripts
    if subscripts:
        raise ModelError("unsupported construct: subscripts", file=path, key=subscripts[0].name)
    return abstract


def _syntax_error(document: Any, error: Exception, path: Path) -> ModelError:
    """Parse element by element to name the one that fails."""
    section = document.sections[0]
    try:
        section.parse(parse_all=False)
    except Exception:  # noqa: BLE001 - the grammar library raises many types
        blocks = document.model_text.removeprefix("{UTF-8}").split("|")
        odd = next((block for block in blocks if block.count("~") not in {2, 3}), blocks[-1])
        return ModelError("not a list of equations 'name = ... ~ unit ~ comment |'", file=path,
                          value=f"near '{odd.strip()[:60]}'")
    for element in section.elements:
        try:
            component = element.parse()
            if hasattr(component, "parse"):
                component.parse()
        except Exception:  # noqa: BLE001 - the grammar library raises many types
            left, _, right = element.equation.partition("=")
            return ModelError("syntax error", file=path, key=left.strip()[:80],
                              value=right.strip()[:120])
    return ModelError(f"syntax error: {error}", file=path)


def _catalogue(
    elements: list[Any], entries: Mapping[str, Entry], path: Path
) -> tuple[dict[str, Variable], dict[str, Equation]]:
    blank = [element.name for element in elements if not element.units.strip()]
    if blank:
        raise ModelError("missing unit", file=path, key=", ".join(blank[:5]),
                         allowed="a unit after the first '~'; Dmnl for a pure number")
    variables: dict[str, Variable] = {}
    equations: dict[str, Equation] = {}
    for element in elements:
        name = element.name.strip('"')
        if len(element.components) > 1:
            raise ModelError("defined more than once", file=path, key=name)
        component = element.components[0]
        if any(component.subscripts):
            raise ModelError("unsupported construct: subscripts", file=path, key=name)
        if isinstance(component, AbstractData):
            raise ModelError("unsupported construct: outside data", file=path, key=name)
        entry = entries[plain_name(name)]
        lower, upper = (*(element.limits or ()), None, None)[:2]
        curve = _curve(component.ast, name, path)
        variables[name] = Variable(
            name, _kind(element, component), element.units.strip(), lower, upper,
            element.documentation.strip(), entry.group,
        )
        equations[name] = Equation(entry.equation, component.ast, curve, entry.supplementary)
    return variables, equations


def _kind(element: Any, component: Any) -> Kind:
    if isinstance(element, AbstractControlElement):
        return "control"
    if isinstance(component, AbstractLookup):
        return "lookup"
    if isinstance(component.ast, IntegStructure):
        return "stock"
    if isinstance(component.ast, (int, float)):
        return "constant"
    return "auxiliary"


def _curve(ast: Any, name: str, path: Path) -> Curve | None:
    if not isinstance(ast, LookupsStructure):
        return None
    x = np.array(ast.x, dtype=float)
    y = np.array(ast.y, dtype=float)
    if not np.all(np.diff(x) > 0.0):
        repeated = x[:-1][np.diff(x) <= 0.0][0]
        raise ModelError("a lookup has two points with the same x", file=path, key=name,
                         value=repeated)
    x.flags.writeable = y.flags.writeable = False
    return Curve(x, y)


def _check_names(
    equations: Mapping[str, Equation], index: Mapping[str, str], path: Path
) -> None:
    known = {*index.values(), graph.TIME}
    for name, equation in equations.items():
        for used in graph.references(equation.ast, index):
            if used not in known:
                close = nearest(used, known)
                raise ModelError(
                    "uses a variable that is not defined", file=path, key=name, value=used,
                    allowed=f"did you mean {', '.join(close)}?" if close else None)
        for node, _ in graph.walk(equation.ast):
            if isinstance(node, (GetConstantsStructure, GetDataStructure, GetLookupsStructure)):
                raise ModelError("unsupported construct: a spreadsheet read", file=path, key=name)
            if isinstance(node, CallStructure):
                function = node.function.reference
                if plain_name(function) not in index and function not in functionspace:
                    raise ModelError("calls a function that is not known", file=path, key=name,
                                     value=function.replace("_", " ").upper())


def _control(
    name: str, equations: Mapping[str, Equation], index: Mapping[str, str], path: Path
) -> float:
    written = index.get(plain_name(name))
    if written is None:
        raise ModelError("missing control variable", file=path, key=name)
    value = equations[written].ast
    if not isinstance(value, (int, float)):
        raise ModelError("a control variable must be a number", file=path, key=name,
                         value=equations[written].text)
    return float(value)


def _check_loops(model: Model) -> None:
    causes = graph.dependencies(model)
    loop = graph.find_loop(causes, "now")
    if loop:
        raise ModelError(f"algebraic loop: {' -> '.join(loop)}", file=model.path,
                         allowed="loops through a stock, a smooth or a delay")
    # At the start, the states themselves are computed from their initial values.
    loop = graph.find_loop(causes, "now", "initial")
    if loop:
        states = [effect for cause, effect in pairwise(loop) if causes[cause][effect]["initial"]]
        raise ModelError(f"loop of initial values: {' -> '.join(loop)}", file=model.path,
                         allowed="a given initial value (INTEG, SMOOTHI, SMOOTH3I, DELAY1I or "
                         f"DELAY3I) at: {' or '.join(dict.fromkeys(states))}")


def _check_values(model: Model) -> None:
    """Evaluate every variable once, at the start."""
    running = pysd_fixes.open_pysd(model.source, model.curves())
    with pysd_fixes.blame(running, model.path), np.errstate(all="ignore"):
        running.initialize()
        for name, variable in model.variables.items():
            if variable.kind in {"lookup", "control"}:
                continue
            value = running[name]
            # An array here means that a table function was not reduced to one number.
            if not isinstance(value, (int, float, np.floating, np.integer)):
                raise ModelError("does not evaluate to one number", file=model.path, key=name,
                                 value=type(value).__name__)
            if not math.isfinite(value):
                raise ModelError("is not finite at the start", file=model.path, key=name,
                                 value=value)
