"""Reads a Vensim model: its catalogue of variables and its translation by PySD."""

from __future__ import annotations

import math
import tempfile
import warnings
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
from kuzbass.sd import graph, model_cache, pysd_fixes
from kuzbass.sd.kernel import UnsupportedError, compile_model
from kuzbass.sd.pysd_arrays import Layout
from kuzbass.sd.pysd_grammar import quick_grammar
from kuzbass.sd.subscripts import expand
from kuzbass.sd.text import Entry, check_integration_method, read_entries, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kuzbass.sd.subscripts import Flat

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
        As written in the .mdl file; of an element of an array, ``name[a,b]``.
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


@dataclass(frozen=True, eq=False)
class Model:
    """A Vensim model, read and checked; holds no state of any run.

    Attributes
    ----------
    path : Path
        The .mdl file.
    sha256 : str
        Of the file's bytes.
    variables : dict of str to Variable
        By the name as written, in the order of the file; ``Time`` is not among them.  An array
        stands as its elements, each with a scalar equation.
    equations : dict of str to Equation
        By the same names.
    initial_time, final_time, time_step : float
        The time axis of the file, in its time unit.
    index : dict of str to str
        `kuzbass.errors.plain_name` -> name as written.
    places : dict of str to (str, tuple of str)
        Of each element of an array: the name of the array, and its subscripts.
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
    places: dict[str, tuple[str, tuple[str, ...]]] = field(repr=False)
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

    def elements(self, name: str) -> list[str]:
        """Return the elements of the array called `name`, or the one variable of that name.

        Raises
        ------
        InputError
            No such array or variable; the message offers the nearest names.
        """
        plain = plain_name(name)
        found = [element for element, (array, _) in self.places.items()
                 if plain_name(array) == plain]
        return found or [self.name(name)]

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
        (macros, outside data).
    """
    path = model_path() if path is None else Path(path)
    return _load(path, *read_text(path))


@lru_cache(maxsize=8)
def _load(path: Path, text: str, sha256: str) -> Model:
    model = model_cache.recall(path, sha256)
    if model is None:
        model = _read(path, text, sha256)
        model_cache.keep(model)
    return model


def _read(path: Path, text: str, sha256: str) -> Model:
    check_integration_method(text, path)
    for token, construct in _REFUSED.items():
        if token in text.upper():
            raise ModelError(f"unsupported construct: {construct}", file=path, key=token)
    with tempfile.TemporaryDirectory(prefix="kuzbass-") as folder:
        # PySD writes the translation beside the model, so it works on a copy.
        copy = Path(folder) / "model.mdl"
        copy.write_text(text, encoding="utf-8")
        abstract = _parse(copy, path)
        entries = read_entries(text)
        _check_mappings(abstract.sections[0].subscripts, entries, path)
        flats = expand(abstract.sections[0], path)
        variables, equations = _catalogue(flats, entries, path)
        index = {plain_name(name): name for name in variables}
        _check_names(equations, index, path)
        initial_time, final_time, time_step = (
            _control(name, equations, index, path)
            for name in ("INITIAL TIME", "FINAL TIME", "TIME STEP"))
        source = pysd_fixes.translate(abstract)
    places = {flat.name: (flat.array, flat.place) for flat in flats if flat.array}
    model = Model(path, sha256, variables, equations, initial_time, final_time,
                  time_step, index, places, source)
    _check_loops(model)
    _check_values(model)
    return model


def _parse(copy: Path, path: Path) -> Any:
    document = VensimFile(copy, encoding="utf-8")
    try:
        with quick_grammar(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of mappings, which `_check_mappings` refuses
            document.parse()
    except Exception as error:
        # PySD lets the errors of its grammar library through, of many types.
        raise _syntax_error(document, error, path) from error
    return document.get_abstract_model()


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


def _check_mappings(
    ranges: Iterable[Any], entries: Mapping[str, list[Entry]], path: Path
) -> None:
    """Refuse a mapping that lists single subscripts, of which PySD reads only the range."""
    for one in ranges:
        for entry in entries.get(plain_name(one.name), []):
            mapping = entry.equation.partition("->")[2]
            if "(" in mapping:
                raise ModelError("unsupported construct: a mapping that lists subscripts",
                                 file=path, key=one.name, value=f"-> {mapping.strip()}",
                                 allowed="-> and the name of a range of the same order")


def _catalogue(
    flats: list[Flat], entries: Mapping[str, list[Entry]], path: Path
) -> tuple[dict[str, Variable], dict[str, Equation]]:
    blank = dict.fromkeys(flat.element.name for flat in flats if not flat.element.units.strip())
    if blank:
        raise ModelError("missing unit", file=path, key=", ".join([*blank][:5]),
                         allowed="a unit after the first '~'; Dmnl for a pure number")
    variables: dict[str, Variable] = {}
    equations: dict[str, Equation] = {}
    for flat in flats:
        name, element = flat.name, flat.element
        if isinstance(flat.component, AbstractData):
            raise ModelError("unsupported construct: outside data", file=path, key=name)
        written = entries.get(plain_name(flat.array or name), [])
        # A quoted name may hold what elsewhere ends an equation.
        entry = written[flat.position] if len(written) == len(element.components) else Entry(
            name, name, "", supplementary=False)
        lower, upper = (*(element.limits or ()), None, None)[:2]
        curve = _curve(flat.ast, name, path)
        variables[name] = Variable(
            name, _kind(flat), element.units.strip(), lower, upper,
            element.documentation.strip(), entry.group,
        )
        equations[name] = Equation(entry.equation, flat.ast, curve, entry.supplementary)
    return variables, equations


def _kind(flat: Flat) -> Kind:
    if isinstance(flat.element, AbstractControlElement):
        return "control"
    if isinstance(flat.component, AbstractLookup):
        return "lookup"
    if isinstance(flat.ast, IntegStructure):
        return "stock"
    if isinstance(flat.ast, (int, float)):
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
    causes = graph.dependencies(model, start=True)
    loop = graph.find_loop(causes, "now", "initial")
    if loop:
        states = [effect for cause, effect in pairwise(loop) if causes[cause][effect]["initial"]]
        raise ModelError(f"loop of initial values: {' -> '.join(loop)}", file=model.path,
                         allowed="a given initial value (INTEG, SMOOTHI, SMOOTH3I, DELAY1I or "
                         f"DELAY3I) at: {' or '.join(dict.fromkeys(states))}")


def _kernel_checks(model: Model) -> bool:
    """Check the start of a model with arrays, of which PySD computes some kinds wrongly."""
    try:
        result = compile_model(model, final_time=model.initial_time + model.time_step,
                               save_every=None, backend="numpy").run(trace=False)
    except (UnsupportedError, InputError):  # the latter for a time step that PySD may run
        return False
    bad = np.flatnonzero(~np.isfinite(result.values[0, :, 0]))
    if len(bad):
        raise ModelError("is not finite at the start", file=model.path, key=result.names[bad[0]],
                         value=result.values[0, bad[0], 0])
    return True


def _check_values(model: Model) -> None:
    """Evaluate every variable once, at the start; arrays by the kernel if it can."""
    if model.places and _kernel_checks(model):
        return
    running = pysd_fixes.open_pysd(model.source, model.curves(), model.places)
    layout = Layout(running, model.places)
    with pysd_fixes.blame(running, model.path), np.errstate(all="ignore"):
        running.initialize()
        for name, variable in model.variables.items():
            if variable.kind in {"lookup", "control"}:
                continue
            value = running[layout.column(name)]
            value = layout.element(name, value)
            # An array here means that a table function was not reduced to one number.
            if not isinstance(value, (int, float, np.floating, np.integer)):
                raise ModelError("does not evaluate to one number", file=model.path, key=name,
                                 value=type(value).__name__)
            if not math.isfinite(value):
                raise ModelError("is not finite at the start", file=model.path, key=name,
                                 value=value)
