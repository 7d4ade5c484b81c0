"""Runs a model through PySD, the reference engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import xarray as xr

from kuzbass.errors import InputError, ModelError
from kuzbass.sd import pysd_fixes
from kuzbass.sd.graph import dependencies
from kuzbass.sd.inputs import check_inputs, check_time_axis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from kuzbass.sd.inputs import Overrides
    from kuzbass.sd.mdl import Model

__all__ = ["simulate"]


def simulate(
    model: Model,
    inputs: Mapping[str, float | pd.Series] | None = None,
    *,
    outputs: Sequence[str] | None = None,
    time_step: float | None = None,
    final_time: float | None = None,
    save_every: float | None = None,
) -> xr.Dataset:
    """Integrate a model by Euler's method.

    Every run starts from a freshly loaded model: no override reaches the next run.

    Parameters
    ----------
    model : Model
        From `kuzbass.sd.mdl.load_model`.
    inputs : mapping of str to float or pandas.Series, optional
        Overrides by variable name.  A number sets a constant, or holds a driver.  A series
        indexed by time sets a constant or a driver (a variable that only reads a table over
        time): linear between its points, held beyond its ends.  A series of a lookup gives
        its new points, x -> y.  The unit is that of the variable.
    outputs : sequence of str, optional
        Variables to return; all but lookups and control variables if left out.
    time_step, final_time : float, optional
        Instead of the model's, in its time unit.
    save_every : float, optional
        Interval between saved times, a multiple of the time step; every step if left out.

    Returns
    -------
    xarray.Dataset
        One variable per model variable, named as in the .mdl file, along the coordinate
        ``time``; attributes ``units`` and ``comment``.  The dataset's attributes name the
        model, its SHA-256, the engine and the time step.

    Raises
    ------
    InputError
        An override, output or time axis that is not possible.
    ModelError
        A variable cannot be computed or is not finite; the message names it and the time.
    """
    overrides = check_inputs(model, inputs or {})
    axis = check_time_axis(model, time_step, final_time, save_every)
    names = _outputs(model, outputs)
    running = pysd_fixes.open_pysd(model.source, {**model.curves(), **overrides.tables})
    recorder = _Recorder()
    with pysd_fixes.blame(running, model.path), np.errstate(all="ignore"):
        _apply(running, overrides)
        running.set_stepper(
            recorder, return_columns=names, final_time=axis.final_time,
            time_step=axis.time_step, saveper=axis.save_every,
        )
        running.step(axis.steps)
        time, values = recorder.table(running.namespace, names)
    _check_finite(model, names, time, values)
    return _dataset(model, names, time, values, axis.time_step)


class _Recorder:
    """Keeps the values of a PySD run; PySD calls it like its own ``ModelOutput``."""

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._functions: list[Callable[[], float]] = []
        self._fixed: dict[str, float] = {}
        self._times: list[float] = []
        self._rows: list[list[float]] = []

    def set_capture_elements(self, elements: Mapping[str, list[str]]) -> None:
        self._columns = elements["step"]
        self._fixed = dict.fromkeys(elements["run"], np.nan)

    def initialize(self, model: Any) -> None:
        self._functions = [getattr(model.components, column) for column in self._columns]
        self._fixed = {column: getattr(model.components, column)() for column in self._fixed}

    def update(self, model: Any) -> None:
        self._times.append(model.time())
        self._rows.append([function() for function in self._functions])

    def table(
        self, namespace: Mapping[str, str], names: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the times, shape (t,), and the values in the order of `names`, (t, n)."""
        moving = dict(zip(self._columns, zip(*self._rows, strict=True), strict=True))
        values = np.empty((len(self._times), len(names)))
        for position, name in enumerate(names):
            column = namespace[name]
            try:
                values[:, position] = moving[column] if column in moving else self._fixed[column]
            except TypeError:
                # Python gives a complex number for a fractional power of a negative one.
                raise ModelError("does not stay a real number", key=name) from None
        return np.array(self._times, dtype=float), values


def _outputs(model: Model, outputs: Sequence[str] | None) -> list[str]:
    hidden = {"lookup", "control"}
    if outputs is None:
        return [name for name, variable in model.variables.items() if variable.kind not in hidden]
    names = list(dict.fromkeys(model.name(output) for output in outputs))
    for name in names:
        if model.variables[name].kind in hidden:
            raise InputError(f"a {model.variables[name].kind} has no path over time", key=name,
                             allowed="a stock, an auxiliary or a constant")
    return names


def _apply(running: Any, overrides: Overrides) -> None:
    replaced: dict[str, object] = {**overrides.numbers}
    for name, curve in overrides.paths.items():
        replaced[name] = pysd_fixes.interpolator(curve, running.time)
    for name in replaced:
        # PySD warns when a constant becomes a path or a path a constant; the caller wants it.
        kind = "Constant" if name in overrides.numbers else "Auxiliary"
        getattr(running.components, running.namespace[name]).type = kind
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
    model: Model, names: Sequence[str], time: np.ndarray, values: np.ndarray, time_step: float
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
            "engine": pysd_fixes.ENGINE,
            "time_step": time_step,
        },
    )
