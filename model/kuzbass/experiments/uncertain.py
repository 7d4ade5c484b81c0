"""What is uncertain in the model, ready to be laid on any inputs.

The shipped plan of an ensemble says what is uncertain: calibrated draws, ranges of parameters that
no series fixes, ranges of drivers.  The same draws go through every case, so that cases can be
compared run by run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.experiments.ensemble_factors import DRAW, Factors
from kuzbass.experiments.ensemble_plan import change_plan, load_plan
from kuzbass.experiments.results import QUANTILES
from kuzbass.experiments.score import index_family
from kuzbass.experiments.scored_years import LIST
from kuzbass.region.resolve import Input, ModelInterface
from kuzbass.region.scenario import FIRST_YEAR, Scenario
from kuzbass.sd import ensemble as sd
from kuzbass.sd.ensemble.members import Reduction
from kuzbass.sd.kernel import compile_model
from kuzbass.sd.mdl import Model
from kuzbass.sd.sampling import Choice

__all__ = ["ALL", "DRIVERS", "PARAMETERS", "RUNS", "Uncertain", "quantiles"]

RUNS = 200
ALL, PARAMETERS, DRIVERS = "all", "parameters", "drivers"


class Uncertain:
    """What is uncertain in a model, ready to be laid on cases.

    Parameters
    ----------
    model : Model
    interface : ModelInterface
        On the time axis of the runs.
    fixed : iterable of str
        Parameters that a case sets itself; they do not vary.
    runs : int
        Runs of each case.

    Attributes
    ----------
    parameters, drivers : str
        What varies, in plain words.
    record : dict
        Plan, runs and seed, for a manifest.
    """

    def __init__(self, model: Model, interface: ModelInterface, fixed: Iterable[str] = (),
                 runs: int = RUNS) -> None:
        plan, file = load_plan()
        plan = change_plan(plan, file, {"runs": runs})
        fixed = frozenset(fixed)
        self._model, self._interface = model, interface
        self._plan = plan
        self._factors = Factors(plan, file, interface)
        self._own = {name: factor for name, factor in self._factors.parameters.items()
                     if name not in fixed}
        self._rows = self._factors.rows
        if self._rows is not None:
            kept = [place for place, name in enumerate(self._rows.names) if name not in fixed]
            self._rows = replace(self._rows, names=tuple(self._rows.names[i] for i in kept),
                                 table=self._rows.table[:, kept])
        self.parameters = self._told()
        self.drivers = f"{len(self._factors.drivers)} drivers from {FIRST_YEAR} on"
        self.record = {"plan": plan.name, "runs": runs, "seed": plan.seed,
                       "parameters": self.parameters, "drivers": self.drivers}

    def _told(self) -> str:
        others = len(self._own.keys() - {DRAW})
        if self._rows is None:
            return f"{others} parameters within their ranges"
        return (f"{self._rows.runs} calibrated draws of {len(self._rows.names)} parameters, "
                f"{others} more within their ranges")

    def case(self, name: str, inputs: Mapping[str, Input]) -> sd.Case:
        """Return the case in which the parameters vary around `inputs`."""
        paths = {key: np.atleast_2d(value.to_numpy(float)) if isinstance(value, pd.Series)
                 else value for key, value in inputs.items()}
        return sd.Case(f"{name}-{PARAMETERS}", paths, self._own,
                       {"scenario": name, "varied": PARAMETERS})

    def cases(
        self, name: str, scenario: Scenario, inputs: Mapping[str, Input]
    ) -> tuple[list[sd.Case], str]:
        """Return the cases of a scenario, one for each source, and what could not be varied."""
        plain = self.case(name, inputs)
        paths, note = dict(plain.inputs), ""
        try:
            drivers = self._factors.of(scenario, paths)
        except InputError as error:
            drivers, note = {}, f"Drivers do not vary in the bands of {name}: {error}"
        lists = {LIST: sd.Factor(Choice(len(index_family())), "other")}
        varied = {ALL: {**self._own, **drivers, **lists}, PARAMETERS: self._own, DRIVERS: drivers}
        return [replace(plain, name=f"{name}-{source}", inputs=paths, factors=factors,
                        labels={"scenario": name, "varied": source})
                for source, factors in varied.items()], note

    def members(
        self, cases: Sequence[sd.Case], outputs: Sequence[str], moving: Iterable[str] = (),
        reduction: Reduction | None = None,
    ) -> sd.Members:
        """Return the runs of `cases`, every step saved if there is no reduction.

        Whatever a scenario may move is an input, so that one kernel serves all of them.
        """
        interface = self._interface
        vary = {*interface.drivers, *interface.policies, *self._factors.inputs,
                *(key for case in cases for key in case.inputs)}
        kernel = compile_model(
            self._model, vary=vary, moving={*interface.policies, *moving}, outputs=outputs,
            time_step=interface.time_step, final_time=interface.end, save_every=None)
        saved = sd.SavedTimes(tuple(sd.Series(name, self._model.variables[name].unit)
                                    for name in outputs), kernel.time)
        return sd.Members(kernel, self._factors.design, tuple(cases), reduction or saved,
                          sd.opening(interface.grid, FIRST_YEAR, self._plan.opening), self._rows)


def quantiles(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the `QUANTILES` over the last axis, the runs."""
    levels = np.quantile(values, list(QUANTILES.values()), axis=-1)
    return dict(zip(QUANTILES, levels, strict=True))
