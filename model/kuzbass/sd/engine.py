"""Runs a model once: by the compiled kernel, or by PySD, the reference engine."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
import numpy as np
import xarray as xr

from kuzbass.errors import InputError, ModelError
from kuzbass.sd import kernel, pysd_fixes
from kuzbass.sd.graph import dependencies
from kuzbass.sd.inputs import by_element, check_inputs, check_time_axis
from kuzbass.sd.pysd_arrays import Layout, array_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from kuzbass.sd.inputs import Overrides
    from kuzbass.sd.limits import TimeAxis
    from kuzbass.sd.mdl import Model

__all__ = ["Engine", "simulate"]

Engine = Literal["auto", "kernel", "pysd"]
_LOG = logging.getLogger(__name__)
_HIDDEN = {"lookup", "control"}


def simulate(
    model: Model,
    inputs: Mapping[str, float | pd.Series] | None = None,
    *,
    outputs: Sequence[str] | None = None,
    time_step: float | None = None,
    final_time: float | None = None,
    save_every: float | None = None,
    engine: Engine = "auto",
) -> xr.Dataset:
    """Integrate a model by Euler's method.

    Every run starts anew: no override reaches the next run.  For many runs of a model, compile it
    for what varies: `kuzbass.sd.kernel.compile_model`.

    Parameters
    ----------
    model : Model
        From `kuzbass.sd.mdl.load_model`.
    inputs : mapping of str to float or pandas.Series, optional
        Overrides by variable name; that of an array stands for all its elements.  A number sets
        a constant, or holds a driver.  A series indexed by time sets a constant or a driver (a
        variable that only reads a table over time): linear between its points, held beyond its
        ends.  A series of a lookup gives its new points, x -> y.  The unit is that of the
        variable.
    outputs : sequence of str, optional
        Variables to return, an array by its elements; all but lookups and control variables if
        left out.
    time_step, final_time : float, optional
        Instead of the model's, in its time unit.
    save_every : float, optional
        Interval between saved times, a multiple of the time step; every step if left out.
    engine : {"auto", "kernel", "pysd"}, optional
        ``kernel`` is compiled code, ``pysd`` the reference; they agree to 1e-12 of the largest
        value of a series.  ``auto`` takes the kernel, and the reference where the kernel does not
        support the model (the log names the construct) or a value is not finite (the reference
        knows why).

    Returns
    -------
    xarray.Dataset
        One variable per model variable, named as in the .mdl file, along the coordinate
        ``time``; attributes ``units`` and ``comment``.  The dataset's attributes name the
        model, its SHA-256, the engine and the time step.

    Raises
    ------
    InputError
        An override, output, time axis or engine that is not possible.
    ModelError
        A variable cannot be computed or is not finite; the message names it and the time.
        With ``engine="kernel"``, a construct that the kernel does not support as well.
    """
    if engine not in {"auto", "kernel", "pysd"}:
        raise InputError("not an engine", key="engine", value=engine,
                         allowed="auto, kernel or pysd")
    inputs = by_element(model, inputs or {})
    overrides = check_inputs(model, inputs)
    axis = check_time_axis(model, time_step, final_time, save_every)
    names = _outputs(model, outputs)
    if engine != "pysd":
        try:
            time, values = _run_kernel(model, inputs, axis, names)
        except kernel.UnsupportedError as error:
            if engine == "kernel":
                raise
            _LOG.warning("PySD runs %s instead of the kernel: %s", model.path.name, error)
        else:
            if engine == "kernel":
                _check_finite(model, names, time, values)
            if np.isfinite(values).all():
                return _dataset(model, names, time, values, axis.time_step, kernel.ENGINE)
    time, values = _run_pysd(model, overrides, axis, names)
    _check_finite(model, names, time, values)
    return _dataset(model, names, time, values, axis.time_step, pysd_fixes.ENGINE)


def _run_kernel(
    model: Model, inputs: Mapping[str, float | pd.Series], axis: TimeAxis, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the times, (t,), and the values of `names`, (t, n), by compiled code.

    One kernel serves every run of a model: whatever may be changed is an input of it.
    """
    compiled = kernel.compile_model(
        model, vary=None, moving=None, time_step=axis.time_step, final_time=axis.final_time,
        save_every=axis.save_every)
    for name in inputs:
        if model.name(name) not in compiled.vary:
            raise kernel.UnsupportedError(
                "the kernel does not support a change of it: it holds a state, or sets the length "
                "of a DELAY FIXED", file=model.path, key=name)
    result = compiled.run(inputs)
    return result.time, np.column_stack([result[name][:, 0] for name in names])


def _run_pysd(
    model: Model, overrides: Overrides, axis: TimeAxis, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the times, (t,), and the values of `names`, (t, n), by the reference engine."""
    loop = array_loop(model) if model.places else []
    if loop:
        raise ModelError("PySD cannot compute an array that uses its own elements",
                         file=model.path, key=" -> ".join(loop), allowed="engine 'kernel'")
    running = pysd_fixes.open_pysd(
        model.source, {**model.curves(), **overrides.tables}, model.places)
    layout = Layout(running, model.places)
    recorder = _Recorder(layout)
    with pysd_fixes.blame(running, model.path), np.errstate(all="ignore"):
        _apply(running, overrides, layout)
        running.set_stepper(
            recorder, return_columns=list(dict.fromkeys(map(layout.column, names))),
            final_time=axis.final_time, time_step=axis.time_step, saveper=axis.save_every,
        )
        running.step(axis.steps)
        return recorder.table(names)


class _Recorder:
    """Keeps the values of a PySD run; PySD calls it like its own ``ModelOutput``."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._columns: list[str] = []
        self._functions: list[Callable[[], Any]] = []
        self._fixed: dict[str, Any] = {}
        self._times: list[float] = []
        self._rows: list[list[Any]] = []

    def set_capture_elements(self, elements: Mapping[str, list[str]]) -> None:
        self._columns = elements["step"]
        self._fixed = dict.fromkeys(elements["run"], np.nan)

    def initialize(self, model: Any) -> None:
        self._functions = [getattr(model.components, column) for column in self._columns]
        self._fixed = {column: getattr(model.components, column)() for column in self._fixed}

    def update(self, model: Any) -> None:
        self._times.append(model.time())
        self._rows.append([function() for function in self._functions])

    def table(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the times, shape (t,), and the values in the order of `names`, (t, n)."""
        moving = dict(zip(self._columns, zip(*self._rows, strict=True), strict=True))
        values = np.empty((len(self._times), len(names)))
        for position, name in enumerate(names):
            column, element = self._layout.column(name), partial(self._layout.element, name)
            try:
                values[:, position] = (
                    list(map(element, moving[column])) if column in moving
                    else element(self._fixed[column]))
            except TypeError:
                # Python gives a complex number for a fractional power of a negative one.
                raise ModelError("does not stay a real number", key=name) from None
        return np.array(self._times, dtype=float), values


def _shown(model: Model) -> list[str]:
    """Return the variables that have a path over time."""
    return [name for name, variable in model.variables.items() if variable.kind not in _HIDDEN]


def _outputs(model: Model, outputs: Sequence[str] | None) -> list[str]:
    if outputs is None:
        return _shown(model)
    names = list(dict.fromkeys(name for output in outputs for name in model.elements(output)))
    for name in names:
        if model.variables[name].kind in _HIDDEN:
            raise InputError(f"a {model.variables[name].kind} has no path over time", key=name,
                             allowed="a stock, an auxiliary or a constant")
    return names


def _apply(running: Any, overrides: Overrides, layout: Layout) -> None:
    values: dict[str, Callable[[], float]] = {
        name: partial(float, number) for name, number in overrides.numbers.items()}
    values |= {name: pysd_fixes.interpolator(curve, running.time)
               for name, curve in overrides.paths.items()}
    replaced: dict[str, object] = {}
    arrays: dict[str, dict[str, Callable[[], float]]] = {}
    for name, value in values.items():
        column = layout.column(name)
        if layout.position(name):
            arrays.setdefault(column, {})[name] = value
        else:
            replaced[column] = overrides.numbers.get(name, value)
    replaced |= {column: layout.changed(own) for column, own in arrays.items()}
    for column, new in replaced.items():
        # PySD warns when a constant becomes a path or a path a constant; the caller wants it.
        getattr(running.components, column).type = "Auxiliary" if callable(new) else "Constant"
    running.set_components(replaced)


def _check_finite(
    model: Model, names: Sequence[str], time: np.ndarray, values: np.ndarray
) -> None:
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    step = int(np.flatnonzero(bad.any(axis=1))[0])
    broken = {name for name, is_bad in zip(names, bad[step], strict=True) if is_bad}
    # Causes come first: the first broken variable in this order is where it began.
    graph = dependencies(model)
    now = nx.DiGraph((cause, effect) for cause, effect, when in graph.edges(data=True)
                     if when["now"])
    order = [*nx.topological_sort(now), *names]
    first = next(name for name in order if name in broken)
    raise ModelError(f"is not finite from time {time[step]}", file=model.path, key=first,
                     value=values[step, list(names).index(first)])


def _dataset(
    model: Model, names: Sequence[str], time: np.ndarray, values: np.ndarray, time_step: float,
    engine: str,
) -> xr.Dataset:
    variables = {}
    for position, name in enumerate(names):
        variable = model.variables[name]
        attributes = {"units": variable.unit, "comment": variable.comment}
        variables[name] = ("time", values[:, position].copy(), attributes)
    unit = model.variables[model.name("TIME STEP")].unit
    return xr.Dataset(
        variables,
        coords={"time": ("time", time, {"units": unit})},
        attrs={
            "model": model.path.name,
            "model_sha256": model.sha256,
            "engine": engine,
            "time_step": time_step,
        },
    )
