"""Runs policies in futures, with and without shocks, and returns their metrics.

`Lab` can be pickled: it is what a worker gets, compiled already.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError, nearest
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab.futures import Futures
from kuzbass.experiments.lab.levers import Lever, Moves, find_lever, model_levers
from kuzbass.experiments.lab.metrics import Metric, metric_unit, metric_value
from kuzbass.experiments.lab.years import scored_years
from kuzbass.experiments.scored_years import INDEX, ScoredYears
from kuzbass.region.crises import is_additive
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import LAST_YEAR, Scenario
from kuzbass.region.shocks import apply_shocks, load_shock
from kuzbass.sd import ensemble as sd
from kuzbass.sd.kernel import compile_model
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.region.resolve import Input, ModelInterface
    from kuzbass.region.shocks import Moved, ShockFile
    from kuzbass.sd.kernel import Kernel, NonFinite
    from kuzbass.sd.mdl import Model
    from kuzbass.sd.sampling import RunTable

    Array = NDArray[np.float64]

__all__ = ["BLOCK", "Lab", "Setting", "ShockAt", "ShockPath", "prepare_lab"]

BLOCK = 256  # runs that are in work at a time, all steps of them
_Futures = Mapping[str, "Array | float"]


@dataclass(frozen=True)
class ShockAt:
    """A shock file, and the time at which its first shock begins instead of its own."""

    name: str
    start: float | None = None

    def file(self) -> ShockFile:
        """Return the shock file, moved in time.

        Raises
        ------
        InputError
            There is none, or it would begin outside of the horizon.
        """
        given = load_shock(self.name)
        if self.start is None:
            return given
        shift = self.start - min(line.start for line in given.shocks)
        lines = tuple(line.model_copy(update={"start": line.start + shift})
                      for line in given.shocks)
        return given.model_copy(update={"shocks": lines})


@dataclass(frozen=True, eq=False)
class ShockPath:
    """What a shock does to one input: it scales the path, or it adds to it.

    Attributes
    ----------
    change : ndarray (1, steps + 1)
    adds : bool
        Of rates, and of shares that may be zero; the others are scaled, as in a replayed crisis.
    lower, upper : float
        Range of the model file, in which the shocked path is held.
    """

    change: Array
    adds: bool
    lower: float
    upper: float

    def on(self, path: Array) -> Array:
        """Return the shocked path, (run or 1, steps + 1)."""
        moved = path + self.change if self.adds else path * self.change
        return np.clip(moved, self.lower, self.upper)


@dataclass(frozen=True, eq=False)
class Setting:
    """A scenario made ready.

    Attributes
    ----------
    inputs : mapping of str to float or ndarray (1, steps + 1)
    factors : mapping of str to Factor
        What varies between futures.
    shocks : mapping of str to mapping of str to ShockPath
        Shock by name: what it does to each input.
    """

    inputs: Mapping[str, Any]
    factors: Mapping[str, sd.Factor]
    shocks: Mapping[str, Mapping[str, ShockPath]]


@dataclass(frozen=True, eq=False)
class Lab:
    """The model with its levers, futures, shocks and metrics, compiled once.

    Attributes
    ----------
    kernel : Kernel
    grid : ndarray (steps + 1,)
    levers : tuple of Lever
    settings : mapping of str to Setting
        By name of the scenario.
    metrics : mapping of str to Metric
    units : mapping of str to str
        Units of the metrics.
    starts : mapping of str to int
        The year in which each shock begins.
    reduction : ScoredYears
        From steps to annual values and the resilience index.
    opening : ndarray (steps + 1,), optional
    rows : RunTable, optional
        As in `Futures`.
    """

    kernel: Kernel
    grid: Array
    levers: tuple[Lever, ...]
    settings: Mapping[str, Setting]
    metrics: Mapping[str, Metric]
    units: Mapping[str, str]
    starts: Mapping[str, int]
    reduction: ScoredYears
    opening: Array | None = None
    rows: RunTable | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, in the order of the results."""
        return tuple(self.metrics)

    @property
    def years(self) -> Array:
        """The years of annual values, (year,)."""
        return self.reduction.time

    def moves(
        self, names: Sequence[str], values: Array, start: float | Array, ramp: float | Array = 0.0
    ) -> Moves:
        """Return moves of levers by `values`, (run, lever) or (lever,); the range is not checked.

        Parameters
        ----------
        names : sequence of str
            The levers, in the order of `values`.
        values : ndarray
            In the unit of each lever.
        start, ramp : float or ndarray
            Years; see `Moves`.

        Raises
        ------
        InputError
            Something is no lever, or the shapes do not fit.
        """
        table = np.atleast_2d(np.asarray(values, dtype=np.float64))
        if table.shape[-1] != len(names):
            raise InputError("the last axis must hold the levers", key="values",
                             value=table.shape[-1], allowed=str(len(names)))
        if np.isinf(table).any():
            raise InputError("a lever must be a number", key="values", value="infinity",
                             allowed="numbers, and NaN for a lever that is not moved")
        found = tuple(find_lever(name, self.levers).name for name in names)
        return Moves(found, table, np.atleast_2d(np.asarray(start, dtype=np.float64)),
                     np.atleast_2d(np.asarray(ramp, dtype=np.float64)))

    def evaluate(
        self, moves: Moves | None = None, futures: _Futures | None = None, *,
        scenario: str = "baseline", shock: str | None = None, threads: int | None = None,
    ) -> Array:
        """Return the metrics of many runs.

        Parameters
        ----------
        moves : Moves, optional
            One row for all runs, or one for each; the policies of the scenario if left out.
        futures : mapping of str to ndarray (run,) or float, optional
            Values of factors: of a driver a factor on its path, of a parameter its value, of
            ``draw`` the number of a row.  What is left out is as in the scenario.
        scenario : str
        shock : str, optional
            The shock under which all of it happens; losses are still measured against the run
            without any.
        threads : int, optional
            All processors if left out.  Changes no bit of the result.

        Returns
        -------
        ndarray (run, metric)
            In the order of `names`; NaN where a run did not stay finite.

        Raises
        ------
        InputError
            An unknown scenario, factor or shock, or numbers of runs that do not fit.
        """
        setting, columns, runs = self._checked(moves, futures, scenario, shock)
        values = np.empty((runs, len(self.metrics)))

        def work(first: int) -> None:
            last = min(first + BLOCK, runs)
            part = self._part(moves, columns, first, last)
            metrics, bad = self.block(setting, *part, last - first, shock=shock)
            metrics[:, [one.member for one in bad]] = np.nan
            values[first:last] = metrics.T

        with ThreadPoolExecutor(threads or processors()) as pool:
            for _ in pool.map(work, range(0, runs, BLOCK)):
                pass
        return values

    def annual(
        self, moves: Moves | None = None, futures: _Futures | None = None, *,
        scenario: str = "baseline", shock: str | None = None,
    ) -> dict[str, Array]:
        """Return the annual values of outputs, of what metrics are of, and of the index.

        Parameters
        ----------
        moves, futures, scenario, shock
            As in `evaluate`, all runs at once: for hundreds, not for thousands.

        Returns
        -------
        dict of str to ndarray (year, run)
        """
        setting, columns, runs = self._checked(moves, futures, scenario, shock)
        inputs = self._inputs(setting, moves, columns)
        if shock is not None:
            inputs = _shocked(inputs, setting.shocks[shock])
        return self._annual(inputs, runs)[0]

    def block(
        self, setting: Setting, moves: Moves | None, futures: Mapping[str, Array], runs: int, *,
        shock: str | None = None, trace: bool = False,
    ) -> tuple[Array, list[NonFinite]]:
        """Return the metrics (metric, run) of a few runs, and which did not stay finite."""
        inputs = self._inputs(setting, moves, futures)
        plain, bad = self._annual(inputs, runs, trace=trace)
        wanted = {one.loss_in for one in self.metrics.values() if one.loss_in} | (
            {shock} if shock else set())
        shocked = {}
        for name in sorted(wanted):
            moved = _shocked(inputs, setting.shocks[name])
            shocked[name], worse = self._annual(moved, runs, trace=trace)
            known = {one.member for one in bad}
            bad += [one for one in worse if one.member not in known]
        own = shocked[shock] if shock else plain
        values = [metric_value(one, plain if one.loss_in else own, self.years, shocked,
                               self.starts) for one in self.metrics.values()]
        return np.stack(values), bad

    def _checked(
        self, moves: Moves | None, futures: _Futures | None, scenario: str, shock: str | None
    ) -> tuple[Setting, dict[str, Array], int]:
        setting = self.settings.get(scenario)
        if setting is None:
            raise InputError("not a scenario of this lab", key="scenario", value=scenario,
                             allowed=", ".join(self.settings))
        if shock is not None and shock not in setting.shocks:
            raise InputError("not a shock of this lab", key="shock", value=shock,
                             allowed=", ".join(setting.shocks) or "none")
        columns = {name: np.atleast_1d(np.asarray(column, dtype=np.float64))
                   for name, column in (futures or {}).items()}
        for name in columns:
            if name not in setting.factors:
                raise InputError("does not vary between futures", key="futures", value=name,
                                 allowed="for example " + ", ".join(
                                     nearest(name, setting.factors) or list(setting.factors)[:3]))
        sizes = {len(column) for column in columns.values()} | {moves.runs if moves else 1}
        runs = max(sizes)
        if sizes - {1, runs}:
            raise InputError("the numbers of runs do not fit", key="futures",
                             value=", ".join(map(str, sorted(sizes))),
                             allowed="one number, or 1")
        return setting, {name: np.broadcast_to(column, (runs,))
                         for name, column in columns.items()}, runs

    def _part(
        self, moves: Moves | None, columns: Mapping[str, Array], first: int, last: int
    ) -> tuple[Moves | None, dict[str, Array]]:
        return (moves.part(first, last) if moves else None,
                {name: column[first:last] for name, column in columns.items()})

    def _inputs(
        self, setting: Setting, moves: Moves | None, futures: Mapping[str, Array]
    ) -> dict[str, Any]:
        inputs: dict[str, Any] = dict(setting.inputs)
        for name, column in futures.items():
            kind = setting.factors[name].kind
            if kind == "constant":
                inputs[name] = column
            elif kind == "row":
                assert self.rows is not None  # factors of this kind come with rows
                chosen = self.rows.table[column.astype(int)]
                inputs |= dict(zip(self.rows.names, chosen.T.copy(), strict=True))
            else:
                assert self.opening is not None  # factors come with it
                path = inputs[name]
                inputs[name] = path + path * np.outer(column - 1.0, self.opening)
        if moves is not None:
            before = {one.name: inputs.get(one.name, one.value) for one in self.levers}
            inputs |= moves.paths(self.grid, before)
        return inputs

    def _annual(
        self, inputs: Mapping[str, Any], runs: int, *, trace: bool = False
    ) -> tuple[dict[str, Array], list[NonFinite]]:
        result = self.kernel.run(inputs, n=runs, threads=1, trace=trace)
        with np.errstate(all="ignore"):  # runs that are not finite are reported as such
            values = self.reduction.reduce(result.values, {})
        return ({one.name: values[:, place] for place, one in enumerate(self.reduction.series)},
                list(result.nonfinite))


def _shocked(inputs: Mapping[str, Any], shock: Mapping[str, ShockPath]) -> dict[str, Any]:
    """Return inputs with a shock laid on what they are in each run."""
    moved = dict(inputs)
    for name, one in shock.items():
        before = np.asarray(inputs[name], dtype=np.float64)
        # One number for each run is a path that stands still.
        moved[name] = one.on(before if before.ndim == 2 else before.reshape(-1, 1))
    return moved


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (
        os.cpu_count() or 1)


def prepare_lab(
    scenarios: Mapping[str, Scenario], metrics: Mapping[str, Metric], *,
    shocks: Mapping[str, ShockAt] | None = None, futures: Futures | None = None,
    outputs: Sequence[str] = (), until: int = 2035, model: Model | None = None,
    file: Path | None = None,
) -> Lab:
    """Compile the model for the levers, the factors of the futures and the metrics.

    Parameters
    ----------
    scenarios : mapping of str to Scenario
        From `kuzbass.experiments.run.load_scenarios`.
    metrics : mapping of str to Metric
        By name, see `find_metrics`.
    shocks : mapping of str to ShockAt, optional
        By the names that metrics and `Lab.evaluate` use.
    futures : Futures, optional
        What may vary beside the levers.
    outputs : sequence of str
        Variables that `Lab.annual` returns beside those of the metrics and the index.
    until : int
        Last year of the runs.
    model : Model, optional
        The shipped one if left out.
    file : Path, optional
        The plan, for messages.

    Raises
    ------
    InputError
        A metric, scenario, shock or output that does not fit the model.
    """
    model = model or load_model()
    interface = model_interface(model, end=until + 1.0)
    levers = model_levers(model)
    given = shocks or {}
    files = {name: one.file() for name, one in given.items()}
    starts = {name: int(np.floor(min(line.start for line in one.shocks)))
              for name, one in files.items()}
    units = _check_metrics(model, metrics, starts, until, file)
    settings = {name: _setting(model, scenario, interface, futures, files)
                for name, scenario in scenarios.items()}
    shown = dict.fromkeys(model.name(name) for name in
                          [*outputs, *(one.of for one in metrics.values())] if name != INDEX)
    reduction = scored_years(model, list(shown), interface.grid)
    names = {lever.name for lever in levers}
    moving = names | {name for one in settings.values() for name, value in one.inputs.items()
                      if name not in interface.drivers and np.ndim(value)}
    kernel = compile_model(
        model, moving=moving, outputs=reduction.outputs, final_time=until + 1.0, save_every=None,
        vary={*names, *(futures.inputs if futures else ()),
              *(name for one in settings.values() for name in one.inputs)})
    return Lab(kernel, interface.grid, levers, settings, dict(metrics), units, starts, reduction,
               futures.opening if futures else None, futures.rows if futures else None)


def _check_metrics(
    model: Model, metrics: Mapping[str, Metric], starts: Mapping[str, int], until: int,
    file: Path | None,
) -> dict[str, str]:
    """Return the units of the metrics; refuse what the runs cannot give."""
    units = {}
    for name, one in metrics.items():
        key = f"metrics.{name}"
        if one.loss_in is not None and one.loss_in not in starts:
            raise InputError("asks for a shock that the plan does not have", file=file, key=key,
                             value=one.loss_in, allowed=", ".join(starts) or "a shock of this name")
        if one.of != INDEX and one.of not in model.variables:
            raise InputError("unknown variable of a metric", file=file, key=key, value=one.of,
                             allowed=", ".join(nearest(one.of, [*model.variables, INDEX])))
        shift = starts[one.loss_in] if one.loss_in is not None else 0
        first, last = one.span[0] + shift, one.span[-1] + shift
        begin = int(model.initial_time)
        asked = [first, last, *(year for year in (one.percent_of, one.minus) if year is not None)]
        if min(asked) < begin or max(asked) > until:
            raise InputError("years outside of the runs", file=file, key=key,
                             value=f"{min(asked)} to {max(asked)}", allowed=f"{begin} to {until}")
        unit = "index points" if one.of == INDEX else model.variables[one.of].unit
        units[name] = metric_unit(one, unit)
    return units


def _setting(
    model: Model, scenario: Scenario, interface: ModelInterface, futures: Futures | None,
    shocks: Mapping[str, ShockFile],
) -> Setting:
    # Checked over the whole horizon, as a single run is.
    resolve(scenario, model_interface(model, end=LAST_YEAR + 1.0))
    resolved = resolve(scenario, interface)
    inputs: dict[str, Any] = {
        name: value.to_numpy(float)[None, :] if isinstance(value, pd.Series) else value
        for name, value in resolved.items()}
    factors = futures.of(scenario, inputs) if futures is not None else {}
    for name in factors:
        if name in resolved and factors[name].kind == "constant":
            raise InputError("is set by a scenario, so it cannot vary here", file=scenario.path,
                             key=name, allowed="futures without it, or other scenarios")
    paths = {}
    for name, one in shocks.items():
        moved = apply_shocks(one.shocks, resolved, interface, Path(f"{one.name}.yaml"))
        for shocked in moved.names:
            # What a shock changes stands among the inputs, as a path.
            inputs.setdefault(shocked, _path(moved.base[shocked]))
        paths[name] = _shock_paths(moved, interface)
    return Setting(inputs, factors, paths)


def _path(series: Input) -> Array:
    assert isinstance(series, pd.Series)  # so says `Moved`
    return series.to_numpy(float)[None, :]


def _shock_paths(moved: Moved, interface: ModelInterface) -> dict[str, ShockPath]:
    known = {**interface.drivers, **interface.parameters, **interface.policies}
    paths = {}
    for name in moved.names:
        before, after = _path(moved.base[name]), _path(moved.shocked[name])
        setting = known[name]
        adds = is_additive(setting) if setting.table is not None else bool((before == 0.0).any())
        change = after - before if adds else np.divide(
            after, before, out=np.ones_like(before), where=before != 0.0)
        paths[name] = ShockPath(change, adds, setting.lower, setting.upper)
    return paths
