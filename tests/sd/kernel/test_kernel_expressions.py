"""Random expressions: Python floats, the NumPy printer and the LLVM printer give one value."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kuzbass.sd.kernel.ir import Ir, Symbol
from kuzbass.sd.kernel.kernel import Kernel
from kuzbass.sd.kernel.plan import Spec

if TYPE_CHECKING:
    from kuzbass.sd.kernel.kernel import Backend
    from kuzbass.sd.kernel.nodes import Graph

EPS = 2.0**-52
INPUTS = ("a", "b", "c")
Tree = tuple[object, ...]


def kernel_of(tree: Tree, backend: Backend) -> Kernel:
    ir = Ir("tree.mdl", hashlib.sha256(repr(tree).encode()).hexdigest())
    ir.constants = dict.fromkeys(INPUTS, 1.0)
    ir.symbols = {name: Symbol("constant", "Dmnl", None, None) for name in INPUTS}
    ir.symbols["tree"] = Symbol("auxiliary", "Dmnl", None, None, _build(tree, ir.graph))
    return Kernel(ir, Spec(INPUTS, (), ("tree",), 0.0, 1.0, 1, 1, "euler"), backend)


def _build(tree: Tree, graph: Graph) -> int:
    op, *args = tree
    if op == "input":
        return graph.leaf("constant", str(args[0]))
    if op == "number":
        return graph.number(float(args[0]))  # type: ignore[arg-type]
    return graph.add(str(op), *(_build(arg, graph) for arg in args))  # type: ignore[arg-type]


LEAF = st.one_of(st.sampled_from(INPUTS).map(lambda name: ("input", name)),
                 st.sampled_from([0.5, 2.0, 3.0, -1.5, 0.1, 1.0]).map(lambda x: ("number", x)))
UNARY = ("neg", "abs", "exp", "ln", "sqrt", "sin", "cos", "trunc")
BINARY = ("add", "sub", "mul", "div", "min", "max", "pow")
COMPARED = ("lt", "le", "gt", "ge")


def _grown(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    truth = st.tuples(st.sampled_from(COMPARED), inner, inner)
    return st.one_of(
        st.tuples(st.sampled_from(UNARY), inner), st.tuples(st.sampled_from(BINARY), inner, inner),
        st.tuples(st.just("select"), st.one_of(
            truth, st.tuples(st.sampled_from(["and", "or"]), truth, truth),
            st.tuples(st.just("not"), truth)), inner, inner),
        st.tuples(st.just("float"), truth))


TREES = st.recursive(LEAF, _grown, max_leaves=12)


def value_of(tree: Tree, at: dict[str, float]) -> tuple[float, float]:
    """Return the value in Python floats and a bound of its error (running error analysis)."""
    op, *args = tree
    if op == "input":
        return at[str(args[0])], 0.0
    if op == "number":
        return float(args[0]), 0.0  # type: ignore[arg-type]
    if op in {"and", "or", "not"}:
        truths = [value_of(arg, at)[0] for arg in args]  # type: ignore[arg-type]
        return float({"and": all(truths), "or": any(truths), "not": not truths[0]}[str(op)]), 0.0
    if op == "select":
        chosen = args[1] if value_of(args[0], at)[0] else args[2]  # type: ignore[arg-type]
        return value_of(chosen, at)  # type: ignore[arg-type]
    parts = [value_of(arg, at) for arg in args]  # type: ignore[arg-type]
    values, errors = [part[0] for part in parts], [part[1] for part in parts]
    if op in COMPARED:
        assume(abs(values[0] - values[1]) > sum(errors) or sum(errors) == 0.0)
        a, b = values
        return float({"lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[str(op)]), 0.0
    try:
        value = COMPUTE[str(op)](*values)
        bound = SLOPES[str(op)](values, errors, value) if any(errors) else 0.0
    except (ArithmeticError, ValueError):
        assume(False)
        raise
    assume(value == 0.0 or (not isinstance(value, complex) and 1e-100 < abs(value) < 1e100))
    exact = op in {"neg", "abs", "min", "max", "trunc", "add", "sub", "mul", "sqrt", "float"}
    return value, bound + (0.5 if exact else 4.0) * EPS * abs(value)


COMPUTE = {
    "neg": lambda x: -x, "abs": abs, "exp": math.exp, "ln": math.log, "sqrt": math.sqrt,
    "sin": math.sin, "cos": math.cos, "trunc": lambda x: float(math.trunc(x)), "float": float,
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b, "min": min, "max": max, "pow": lambda a, b: a**b,
}
SLOPES = {
    "neg": lambda v, e, _: e[0], "abs": lambda v, e, _: e[0], "float": lambda v, e, _: e[0],
    "exp": lambda v, e, y: 2.0 * y * e[0], "ln": lambda v, e, _: 2.0 * e[0] / v[0],
    "sqrt": lambda v, e, y: e[0] / y, "sin": lambda v, e, _: e[0], "cos": lambda v, e, _: e[0],
    "trunc": lambda v, e, y: 0.0 if abs(v[0] - round(v[0])) > e[0] else assume(False) or 0.0,
    "add": lambda v, e, _: sum(e), "sub": lambda v, e, _: sum(e),
    "min": lambda v, e, _: max(e), "max": lambda v, e, _: max(e),
    "mul": lambda v, e, _: 2.0 * (abs(v[0]) * e[1] + abs(v[1]) * e[0]),
    "div": lambda v, e, y: 2.0 * (e[0] + abs(y) * e[1]) / abs(v[1]),
    "pow": lambda v, e, y: 2.0 * abs(y) * (
        abs(v[1]) * e[0] / abs(v[0]) + (abs(math.log(abs(v[0]))) * e[1] if e[1] else 0.0)),
}
POINTS = [(1.3, 0.7, 2.2), (0.4, 3.1, -1.7), (-2.5, 1.1, 0.3), (5.2, -0.6, 1.9),
          (0.01, 12.5, 0.8), (7.7, 2.4, -3.3), (1.0, 1.0, 1.0), (-0.9, -4.2, 6.1), (2.0, 0.5, 3.0)]


@settings(max_examples=60, deadline=None)
@given(tree=TREES, point=st.sampled_from(POINTS))
def test_one_value_in_three_ways(tree: Tree, point: tuple[float, ...]) -> None:
    at = dict(zip(INPUTS, point, strict=True))
    value, bound = value_of(tree, at)
    for backend in ("llvm", "numpy"):
        found = kernel_of(tree, backend).run(at).values[0, 0, 0]
        assert abs(found - value) <= bound + 1e-14 * abs(value)


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
@pytest.mark.parametrize("op", ["min", "max", "add", "mul", "pow"])
def test_what_is_not_a_number_stays_so(op: str, backend: Backend) -> None:
    unknown = ("ln", ("input", "a"))
    for tree in ((op, unknown, ("input", "b")), (op, ("input", "b"), unknown),
                 (op, unknown, ("number", 3.0)), (op, ("number", 3.0), unknown)):
        result = kernel_of(tree, backend).run({"a": -1.0, "b": 2.0})
        assert np.isnan(result.values).all()
        assert [bad.variable for bad in result.nonfinite] == ["tree"]


GRID = np.concatenate([
    np.linspace(-40.0, 40.0, 4001),
    [0.0, -0.0, 1e-310, 5e-324, 1e308, 745.0, 709.7, -744.0, -750.0]])


def _ulps(found: np.ndarray, exact: np.ndarray) -> float:
    fine = np.isfinite(exact) & (np.abs(exact) > 1e-300)
    assert np.array_equal(np.isnan(found), np.isnan(exact))
    assert np.array_equal(found[np.isinf(exact)], exact[np.isinf(exact)])
    error = np.abs(found[fine] - exact[fine]) / np.spacing(np.abs(exact[fine]))
    return float(np.max(error, initial=0.0))


@pytest.mark.parametrize(("op", "function", "limit"), [
    ("exp", np.exp, 1.5), ("ln", np.log, 1.5), ("sqrt", np.sqrt, 0.0)])
def test_accuracy_of_functions(op: str, function: np.ufunc, limit: float) -> None:
    with np.errstate(all="ignore"):
        exact = function(GRID)
    found = kernel_of((op, ("input", "a")), "llvm").run({"a": GRID}).values[0, 0]
    assert _ulps(found, exact) <= limit
    if op == "exp":  # down to the smallest number
        tiny = np.exp(np.linspace(-744.0, -709.0, 50))
        found = kernel_of((op, ("input", "a")), "llvm").run(
            {"a": np.linspace(-744.0, -709.0, 50)}).values[0, 0]
        np.testing.assert_allclose(found, tiny, rtol=1e-12, atol=5e-324)


@pytest.mark.parametrize("op", ["sin", "cos"])
def test_accuracy_of_circular_functions(op: str) -> None:
    at = np.concatenate([np.linspace(-50.0, 50.0, 4001), [1e5, -3e6]])
    found = kernel_of((op, ("input", "a")), "llvm").run({"a": at}).values[0, 0]
    np.testing.assert_allclose(found, getattr(np, op)(at), rtol=0, atol=3e-16)
    assert np.isnan(kernel_of((op, ("input", "a")), "llvm").run({"a": 1e10}).values[0, 0, 0])


def test_accuracy_of_powers() -> None:
    bases = np.concatenate([np.geomspace(1e-12, 1e12, 97), [0.0, 1.0, 2.0, -2.0, -3.0, 1e-310]])
    exponents = np.array([-7.5, -3.0, -1.0, -0.3, 0.0, 0.17, 0.5, 1.0, 1.7, 2.0, 5.0, 11.25])
    a, b = (grid.ravel() for grid in np.meshgrid(bases, exponents))
    with np.errstate(all="ignore"):
        exact = np.power(a, b)
    tree = ("pow", ("input", "a"), ("input", "b"))
    found = kernel_of(tree, "llvm").run({"a": a, "b": b}).values[0, 0]
    assert _ulps(found, exact) <= 2.0


def test_accuracy_around_one() -> None:
    """Where the logarithm is small, and from one interval of its table to the next."""
    at = np.concatenate([np.linspace(0.7, 1.42, 20_001), 1.0 + np.geomspace(1e-15, 0.1, 200),
                         1.0 - np.geomspace(1e-15, 0.1, 200)])
    found = kernel_of(("ln", ("input", "a")), "llvm").run({"a": at}).values[0, 0]
    exact = np.array([math.log(one) for one in at])
    assert _ulps(found, exact) <= 1.0
    tree = ("pow", ("input", "a"), ("input", "b"))
    # The larger the exponent, the more digits the logarithm needs.
    for exponent, limit in ((0.3, 1.0), (-2.7, 1.0), (45.5, 2.0), (900.0, 8.0)):
        found = kernel_of(tree, "llvm").run({"a": at, "b": exponent}).values[0, 0]
        assert _ulps(found, np.array([math.pow(one, exponent) for one in at])) <= limit


def test_a_lane_does_not_change_its_neighbours() -> None:
    """One odd lane sends all eight the slow way; the bits stay."""
    tree = ("pow", ("input", "a"), ("number", 1.7))
    a = np.linspace(0.1, 9.0, 8)
    alone = kernel_of(tree, "llvm").run({"a": a}).values[0, 0]
    for odd in (0.0, -1.0, 1e-310):
        mixed = np.array([odd, *a[1:]])
        found = kernel_of(tree, "llvm").run({"a": mixed}).values[0, 0]
        np.testing.assert_array_equal(found[1:], alone[1:])
