"""Checks what a caller sets in a kernel's runs, and lays it out for the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from kuzbass.errors import InputError
from kuzbass.sd.kernel.numpy_batch import evaluate
from kuzbass.sd.kernel.plan import FACTOR, SHARE
from kuzbass.sd.kernel.table import Table
from kuzbass.sd.limits import check_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from kuzbass.sd.kernel.ir import Ir
    from kuzbass.sd.kernel.plan import Plan

    Array = NDArray[np.float64]

__all__ = ["Arguments", "Scaled", "Values", "arrange", "read_values"]


@dataclass(frozen=True)
class Scaled:
    """A path with a factor for every run: ``path + path * ((factor - 1) * share)``.

    Attributes
    ----------
    path : ndarray (1, steps + 1)
        In the unit of the driver.
    factor : ndarray (n,)
    share : ndarray (steps + 1,)
        The share of the factor that is reached at each step, 0 to 1.
    """

    path: Array
    factor: Array
    share: Array

    def at(self, factor: Array) -> Array:
        """Return the paths with other factors, (factor, steps + 1)."""
        return self.path + self.path * np.outer(factor - 1.0, self.share)


@dataclass(frozen=True)
class Values:
    """Checked values of `n` runs.

    Attributes
    ----------
    n : int
        Number of runs.
    columns : dict of str to ndarray (1 or n, 1 or rows)
        Constants and drivers; one row is the same in all runs, one column at all times.
    tables : dict of str to Table
        Tables with one row of values, or `n`.
    """

    n: int
    columns: dict[str, Array]
    tables: dict[str, Table]

    def moving(self) -> frozenset[str]:
        """Return the names of what follows a time path."""
        return frozenset(name for name, value in self.columns.items() if value.shape[1] > 1)

    def part(self, members: slice | NDArray[np.intp]) -> Values:
        """Return the values of some of the runs."""
        n = len(np.arange(self.n)[members])
        return Values(
            n, {name: value if len(value) == 1 else value[members]
                for name, value in self.columns.items()},
            {name: table if len(table.y) == 1 else Table(table.x, table.y[members])
             for name, table in self.tables.items()})


@dataclass(frozen=True)
class Arguments:
    """The inputs of a plan by position, see `numpy_batch.Batch.run`."""

    scalars: list[Array]
    paths: list[Array]
    tables: list[Table]


def read_values(
    ir: Ir, vary: tuple[str, ...], scaled: tuple[str, ...], times: Array,
    values: Mapping[str, Any], n: int | None,
) -> Values:
    """Check `values` against the model; `times` are those of the steps, (steps + 1,).

    A factor on a driver that is not `scaled` becomes a path for every run.

    Raises
    ------
    InputError
        Unknown name, a variable that the kernel does not vary, a value that is not finite or out
        of the range of the .mdl file, a table whose x does not increase, or a wrong shape.
    """
    columns: dict[str, Array] = {}
    tables: dict[str, Table] = {}
    for given, value in values.items():
        name = ir.written(given)
        if name not in vary:
            raise InputError("is not an input of this kernel", key=name,
                             allowed=", ".join(vary) or "no input")
        if name in columns or name in tables:
            raise InputError("is set twice", key=given)
        if isinstance(value, Scaled) and name in scaled:
            _check_scaled(ir, name, value)
            columns[name] = value.path
            columns[FACTOR.format(name)] = value.factor[:, None]
            columns[SHARE.format(name)] = value.share[None, :]
        elif ir.symbols[name].kind == "lookup":
            tables[name] = _table(ir, name, value)
        else:
            columns[name] = _column(ir, name, value, times)
    sizes = {name: len(value) for name, value in columns.items()}
    sizes |= {name: len(table.y) for name, table in tables.items()}
    return Values(_count(sizes, n), columns, tables)


def _count(sizes: dict[str, int], n: int | None) -> int:
    if n is not None and n < 1:
        raise InputError("not a possible number of runs", key="n", value=n, allowed="1 or more")
    for name, size in sizes.items():
        if size == 1:
            continue
        if n is not None and size != n:
            raise InputError("has another number of runs than the rest", key=name, value=size,
                             allowed=f"{n}, or one value for all runs")
        n = size
    return 1 if n is None else n


def _column(ir: Ir, name: str, value: Any, times: Array) -> Array:
    if isinstance(value, Scaled):
        value = value.at(value.factor)
    if _is_series(value):
        table = Table(*_points(value, name, "time"))
        check_values(name, table.y, ir.symbols[name])
        return table(times)[None, :]
    array = _numbers(value, name)
    if array.ndim > 2 or (array.ndim == 2 and array.shape[1] not in {1, len(times)}):
        raise InputError("has the wrong shape", key=name, value=array.shape,
                         allowed=f"one number, (runs,), or (runs, {len(times)}) for time paths")
    check_values(name, array, ir.symbols[name])
    return array.reshape(-1, 1) if array.ndim < 2 else array


def _check_scaled(ir: Ir, name: str, value: Scaled) -> None:
    # Linear in the factor: the ends say it all.
    ends = np.array([value.factor.min(), value.factor.max()])
    check_values(name, value.at(ends), ir.symbols[name])


def _table(ir: Ir, name: str, value: Any) -> Table:
    x = np.array(ir.tables[name][0])
    if _is_series(value):
        x, y = _points(value, name, "x")
    else:
        y = _numbers(value, name)
        if y.ndim not in {1, 2} or y.shape[-1] != len(x):
            raise InputError("has the wrong shape", key=name, value=y.shape,
                             allowed=f"a pandas Series, x -> y, or ({len(x)},) or (runs, {len(x)})"
                             " values at the table's own x")
    check_values(name, y, ir.symbols[name])
    return Table(x, y)


def _is_series(value: Any) -> bool:
    # By what it can do: importing pandas would take longer than the run.
    return hasattr(value, "index") and hasattr(value, "to_numpy")


def _points(series: Any, name: str, axis: str) -> tuple[Array, Array]:
    if len(series) == 0:
        raise InputError("the series is empty", key=name, allowed="at least one point")
    x, y = _numbers(series.index.to_numpy(), name), _numbers(series.to_numpy(), name)
    if not np.isfinite(x).all():
        raise InputError(f"the {axis} of a point is not finite", key=name,
                         value=x[~np.isfinite(x)][0])
    falling = np.flatnonzero(np.diff(x) <= 0.0)
    if len(falling):
        raise InputError(f"the {axis} does not increase", key=name,
                         value=f"{x[falling[0]]} then {x[falling[0] + 1]}",
                         allowed="strictly increasing")
    return x, y


def _numbers(value: Any, name: str) -> Array:
    is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not is_number and not (isinstance(value, np.ndarray) and value.dtype.kind in "iuf"):
        raise InputError("is not a number", key=name, value=type(value).__name__,
                         allowed="a number, an array of numbers or a pandas Series of numbers")
    array = np.array(value, dtype=float)
    if array.size == 0:
        raise InputError("not a possible number of runs", key=name, value=0, allowed="1 or more")
    return array


def arrange(ir: Ir, plan: Plan, values: Values, times: Array) -> Arguments:
    """Return the inputs of a plan; what `values` do not set is as in the model.

    `times` are those of the plan's rows; a path given at the steps is halved for RK4.
    """
    paths = [_path(ir, plan, name, values, times) for name in plan.paths]
    scalars = [_constant(ir, name, values)[:, 0] for name in plan.scalars]
    tables = [values.tables.get(name) or Table(*points)
              for name, points in zip(plan.tables, plan.points, strict=True)]
    return Arguments(scalars, paths, tables)


def _constant(ir: Ir, name: str, values: Values) -> Array:
    return values.columns.get(name, np.array([[ir.constants.get(name, 0.0)]]))


def _path(ir: Ir, plan: Plan, name: str, values: Values, times: Array) -> Array:
    if name in ir.drivers and name not in values.columns:
        return _driver(ir, plan, name, values, times)
    path = _constant(ir, name, values)
    if path.shape[1] in {1, len(times)}:
        return path
    halved = np.empty((len(path), len(times)))
    halved[:, ::2] = path
    halved[:, 1::2] = (path[:, :-1] + path[:, 1:]) / 2.0
    return halved


def _driver(ir: Ir, plan: Plan, name: str, values: Values, times: Array) -> Array:
    """Evaluate the equation of a driver over all times."""
    order = ir.graph.reachable([ir.drivers[name][0]])
    controls = {written: plan.spec.controls()[plain] for written, plain in ir.controls.items()}
    known: dict[int, Any] = {}
    tables: dict[str, Table] = {}
    for number in order:
        op, *what = ir.graph[number]
        if op == "time":
            known[number] = times[None, :]
        elif op == "constant":
            known[number] = (controls[what[0]] if what[0] in controls
                             else _path(ir, plan, what[0], values, times))
        elif op == "table":
            tables[what[0]] = values.tables.get(what[0]) or Table(*ir.tables[what[0]])
    with np.errstate(all="ignore"):
        evaluate(ir.graph, order, known, tables)
    return np.atleast_2d(known[order[-1]])
