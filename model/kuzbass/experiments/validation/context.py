"""What the tests share: the model, its runs, the observed side; each computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.run import END_YEAR
from kuzbass.experiments.score import annual_statistics, index_family
from kuzbass.experiments.statements import Change, Given, Run
from kuzbass.region.data import fit_table, read_table
from kuzbass.region.resilience import resilience, run_indicators
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import load_scenario
from kuzbass.sd.battery.equations import ANY, RUN, Limit
from kuzbass.sd.battery.extremes import Invariants, Trials, one_at_a_time, run_conditions
from kuzbass.sd.engine import simulate
from kuzbass.sd.lint import Finding, lint
from kuzbass.sd.loops.expansion import ExpandedRun, expand
from kuzbass.sd.mdl import Model

__all__ = ["BASELINE", "RESIDUALS", "SCENARIOS", "Context", "index_of"]

BASELINE = Given()
SCENARIOS = ("s1-coal-paradigm", "s2-interregional", "s3-decline")
# Identity -> an amount of the same tonnes, money or people that gives it a scale.
RESIDUALS = {
    "coal balance residual": "cumulative coal mined",
    "coal money residual": "cumulative coal receipts",
    "budget money residual": "cumulative budget expenditure",
    "population residual": "population",
}
_Input = float | pd.Series


@dataclass
class Context:
    """The model under test and what is computed from it on demand.

    Attributes
    ----------
    model : Model
    tell : callable
        Told what is being done.
    """

    model: Model
    tell: Callable[[str], None] = lambda _text: None
    _runs: dict[tuple[str, int], Run] = field(default_factory=dict)

    @cached_property
    def findings(self) -> list[Finding]:
        """Findings of the linter."""
        return lint(self.model)

    @cached_property
    def expanded(self) -> ExpandedRun:
        """The standard run with its smooths and delays opened."""
        return expand(self.model)

    @cached_property
    def base(self) -> Run:
        """The baseline."""
        return self.run(BASELINE)

    @cached_property
    def observed(self) -> pd.DataFrame:
        """``observed.csv``."""
        return read_table("observed.csv")

    @cached_property
    def fit(self) -> pd.DataFrame:
        """Fit of the baseline, indexed by series."""
        return fit_table(self.base.statistics, observed=self.observed).set_index("series")

    @cached_property
    def limits(self) -> list[Limit]:
        """``limits.csv``."""
        table = read_table("limits.csv")
        low, high = table["low"].fillna(-np.inf), table["high"].fillna(np.inf)
        return [Limit(*row) for row in zip(table["variable"], table["input"], table["at"], low,
                                           high, strict=True)]

    @cached_property
    def invariants(self) -> Invariants:
        """What must hold in every run."""
        shares = [limit.variable for limit in self.limits
                  if limit.input in {ANY, RUN} and (limit.low, limit.high) == (0.0, 1.0)]
        return Invariants.of(self.model, shares, RESIDUALS)

    @cached_property
    def trials(self) -> Trials:
        """Runs with each constant at its extremes, one at a time."""
        return run_conditions(self.model, one_at_a_time(self.model), self.invariants, watch=True)

    def inputs(self, scenario: str, until: int = END_YEAR) -> dict[str, _Input]:
        """Return the inputs of a scenario."""
        return dict(resolve(load_scenario(scenario), model_interface(self.model, end=until + 1.0)))

    def run(self, given: Given, until: int = END_YEAR) -> Run:
        """Return a run; the same run is made once."""
        key = (given.model_dump_json(by_alias=True), until)
        if key not in self._runs:
            inputs = self.inputs(given.scenario, until)
            if given.changes:
                usual = self.run(Given(scenario=given.scenario), until).data
                for written, change in given.changes.items():
                    name = self.model.name(written)
                    inputs[name] = _changed(usual, name, change)
            self._runs[key] = self.simulated(inputs, until)
        return self._runs[key]

    def simulated(self, inputs: Mapping[str, _Input], until: int = END_YEAR) -> Run:
        """Return the run of given inputs."""
        data = simulate(self.model, inputs, final_time=until + 1.0)
        return Run(data, annual_statistics(data), index_of)


def index_of(statistics: pd.DataFrame) -> pd.DataFrame:
    """Return the resilience index, default list, reading A: year by index, P, C, N."""
    family = index_family()
    values = run_indicators(family.indicators, statistics)
    return resilience(values, family.indicators, family.reference, family.default).index


def _changed(usual: xr.Dataset, name: str, change: Change) -> _Input:
    """Return the path of a variable with a change on top of its usual one."""
    if name not in usual:
        raise InputError("cannot be changed", key=name, allowed="a driver or a constant")
    path = usual[name].to_series()
    time = path.index.to_numpy(float)
    begin = -np.inf if change.start is None else change.start
    end = np.inf if change.end is None else change.end
    if change.value is not None and np.isneginf(begin) and np.isposinf(end):
        return change.value
    within = (time >= begin - 1e-9) & (time < end - 1e-9)
    new = change.value if change.multiply is None else path * change.multiply
    changed = path.where(~within, new)
    # A constant that does not move is a number: initial values take no path.
    return float(changed.iloc[0]) if float(np.ptp(changed)) == 0.0 else changed
