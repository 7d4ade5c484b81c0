"""How sure is a path?  Bands around scenarios from parameters and drivers that are not sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kuzbass.experiments.results import CHAIN, CRISIS, Bands
from kuzbass.experiments.score import index_family, year_end_variables
from kuzbass.experiments.scored_years import ANY_LIST, INDEX, ScoredYears, list_table
from kuzbass.experiments.uncertain import ALL, PARAMETERS, RUNS, Uncertain, quantiles
from kuzbass.region.annual import annual_values, full_years
from kuzbass.region.data import judged, read_table
from kuzbass.region.resolve import Input, ModelInterface
from kuzbass.region.scenario import Scenario
from kuzbass.sd import ensemble as sd
from kuzbass.sd.mdl import Model

__all__ = ["scenario_bands", "variable_bands"]

_BLOCK = 120_000  # saved steps of all runs that are held in memory at a time


def scenario_bands(
    model: Model, scenarios: Mapping[str, Scenario], inputs: Mapping[str, Mapping[str, Input]],
    interface: ModelInterface, history: str, runs: int = RUNS,
) -> Bands:
    """Return the bands around scenarios.

    Parameters
    ----------
    model : Model
    scenarios, inputs : mapping
        Scenarios and their resolved inputs, by name.
    interface : ModelInterface
        On the time axis of the runs.
    history : str
        The scenario that stands for history.
    runs : int
        Runs of each scenario and source.

    Raises
    ------
    InputError
        The plan or the draws do not fit the model.
    """
    fixed = [name for own in inputs.values() for name in own if name in interface.parameters]
    uncertain = Uncertain(model, interface, fixed, runs)
    cases: list[sd.Case] = []
    notes = []
    for name, scenario in scenarios.items():
        own, note = uncertain.cases(name, scenario, inputs[name])
        cases += own
        notes += [note] if note else []
    reduction = _reduction(model, interface)
    moving = [key for own in inputs.values() for key, value in own.items()
              if isinstance(value, pd.Series) and key not in interface.drivers]
    members = uncertain.members(cases, reduction.outputs, moving, reduction)
    tables, index = [], []
    for number, case in enumerate(cases):
        years = _values(members, number, len(interface.grid))
        name, source = case.labels["scenario"], case.labels["varied"]
        index.append(_index_rows(reduction, name, source, years))
        if source == ALL:
            tables.append(_rows(reduction, name, years))
    number = [case.labels for case in cases].index({"scenario": history, "varied": PARAMETERS})
    steps = uncertain.members(cases, reduction.outputs, moving, _CrisisSteps.of(reduction))
    moments = _moments(steps.reduction.time, _values(steps, number, len(interface.grid)))
    return Bands(pd.concat(tables, ignore_index=True), pd.concat(index, ignore_index=True), moments,
                 uncertain.parameters, uncertain.drivers, tuple(notes), uncertain.record)


def variable_bands(
    model: Model, scenarios: Mapping[str, Scenario], inputs: Mapping[str, Mapping[str, Input]],
    interface: ModelInterface, runs: int = RUNS,
) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the bands of every variable that moves, parameters and drivers varying.

    Parameters
    ----------
    model, scenarios, inputs, interface, runs
        As in `scenario_bands`.

    Returns
    -------
    dict of str to dict of str to DataFrame
        By variable and scenario: year by ``q05`` to ``q95``, annual statistics.
    """
    names = [name for name, one in model.variables.items() if one.kind in ("stock", "auxiliary")]
    fixed = [name for own in inputs.values() for name in own if name in interface.parameters]
    uncertain = Uncertain(model, interface, fixed, runs)
    cases = [uncertain.cases(name, scenario, inputs[name])[0][0]  # all vary
             for name, scenario in scenarios.items()]
    moving = [key for own in inputs.values() for key, value in own.items()
              if isinstance(value, pd.Series) and key not in interface.drivers]
    ends = year_end_variables()
    reduction = _Years(tuple(sd.Series(name, model.variables[name].unit) for name in names),
                       np.array([name in ends for name in names]), interface.grid)
    members = uncertain.members(cases, names, moving, reduction)
    years = pd.Index(reduction.time.astype(int), name="year")
    bands: dict[str, dict[str, pd.DataFrame]] = {name: {} for name in names}
    for number, scenario in enumerate(scenarios):
        # Twenty times as many variables as a report shows.
        levels = quantiles(_values(members, number, 20 * len(interface.grid)))
        for place, name in enumerate(names):
            bands[name][scenario] = pd.DataFrame(
                {level: table[:, place] for level, table in levels.items()}, years)
    return bands


@dataclass(frozen=True, eq=False)
class _Years:
    """The reduction to annual statistics of any variables."""

    series: tuple[sd.Series, ...]
    at_end: np.ndarray
    steps: np.ndarray

    @property
    def time(self) -> np.ndarray:
        return full_years(self.steps).astype(float)

    def reduce(self, values: np.ndarray, factors: Mapping[str, np.ndarray]) -> np.ndarray:
        del factors
        steps = np.moveaxis(values, 0, -1)
        means, ends = (np.moveaxis(annual_values(steps, self.steps, basis), -1, 0)
                       for basis in ("mean", "end"))
        return np.where(self.at_end[:, None], ends, means)


def _reduction(model: Model, interface: ModelInterface) -> ScoredYears:
    family, table, targets = index_family(), judged(), read_table("targets.csv")
    shown = dict.fromkeys([*table["variable"], *targets["variable"], *CHAIN])
    outputs = tuple(dict.fromkeys([*shown, *family.indicators.variables]))
    chained = table[table["transform"].str.startswith("chain:")]
    rebased = [*zip(chained["variable"], chained["transform"].str.partition(":")[2].astype(int),
                    strict=True),
               *((name, 2019) for name, way in zip(targets["variable"], targets["transform"],
                                                   strict=True) if way == "percent_of_2019")]
    last = int(interface.end) - 1
    return ScoredYears(
        outputs=outputs, at_end=year_end_variables() & set(outputs), steps=interface.grid,
        shown=tuple(sd.Series(name, model.variables[name].unit) for name in shown),
        rebased=tuple(dict.fromkeys(one for one in rebased if one[1] <= last)),
        indicators=family.indicators, scale=family.reference, default=family.default,
        lists=list_table(family))


def _values(members: sd.Members, case: int, steps: int) -> np.ndarray:
    """Return the reduced values of the finite runs of a case, (t, series, run)."""
    block = max(1, _BLOCK // steps)
    parts = [members.part(case, first, min(first + block, members.runs), threads=None)
             for first in range(0, members.runs, block)]
    return np.concatenate([part.good for part in parts], axis=2)


@dataclass(frozen=True, eq=False)
class _CrisisSteps:
    """The reduction that keeps `CHAIN`, step by step through `CRISIS`."""

    places: list[int]
    steps: np.ndarray

    @classmethod
    def of(cls, years: ScoredYears) -> _CrisisSteps:
        return cls([years.outputs.index(name) for name in CHAIN], years.steps)

    @property
    def series(self) -> tuple[sd.Series, ...]:
        return tuple(sd.Series(name, "% of 2019") for name in CHAIN)

    @property
    def time(self) -> np.ndarray:
        return np.asarray(self.steps[self._near])

    @property
    def _near(self) -> np.ndarray:
        return (self.steps >= CRISIS[0]) & (self.steps <= CRISIS[1])

    def reduce(self, values: np.ndarray, factors: Mapping[str, np.ndarray]) -> np.ndarray:
        del factors
        return np.asarray(values[:, self.places][self._near])


def _rows(reduction: ScoredYears, scenario: str, years: np.ndarray) -> pd.DataFrame:
    time, series = reduction.time.astype(int), reduction.series
    return pd.DataFrame({
        "scenario": scenario,
        "variable": np.repeat([one.name for one in series], len(time)),
        "unit": np.repeat([one.unit for one in series], len(time)),
        "year": np.tile(time, len(series)),
        **{name: level.T.ravel() for name, level in quantiles(years).items()}})


def _index_rows(
    reduction: ScoredYears, scenario: str, source: str, years: np.ndarray
) -> pd.DataFrame:
    names = [one.name for one in reduction.series]
    values = years[:, names.index(ANY_LIST if source == ALL else INDEX)]
    return pd.DataFrame({"scenario": scenario, "source": source,
                         "year": reduction.time.astype(int), **quantiles(values)})


def _moments(time: np.ndarray, steps: np.ndarray) -> pd.DataFrame:
    """Return the chain of the crisis, step by step, in percent of the run's own mean of 2019."""
    base = steps[(time >= 2019) & (time < 2020)]
    if not len(base):
        return pd.DataFrame()
    levels = quantiles(100.0 * steps / base.mean(axis=0))
    return pd.DataFrame({"variable": np.repeat(CHAIN, len(time)),
                         "time": np.tile(time, len(CHAIN)),
                         **{name: level.T.ravel() for name, level in levels.items()}})
