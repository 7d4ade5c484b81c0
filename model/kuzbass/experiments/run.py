"""Runs scenarios from their files to the index and the comparison with the targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast, get_args

import pandas as pd
import xarray as xr

from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.experiments.results import Bands, RunResults, ScenarioResult
from kuzbass.experiments.scenario_bands import scenario_bands, variable_bands
from kuzbass.experiments.score import (
    BASELINE,
    Score,
    annual_statistics,
    compare,
    family_quantiles,
    observed_index,
    observed_lists,
    observed_table,
    score,
)
from kuzbass.region.data import read_table
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import LAST_YEAR, Scenario, load_scenario, scenario_names
from kuzbass.sd.engine import Engine, simulate
from kuzbass.sd.limits import is_power_of_half
from kuzbass.sd.mdl import Model, load_model

__all__ = [
    "END_YEAR",
    "ENGINES",
    "FINEST_STEP",
    "Progress",
    "all_bands",
    "check_scenario",
    "check_settings",
    "load_scenarios",
    "run_scenarios",
    "simulate_scenario",
]

ENGINES: tuple[str, ...] = get_args(Engine)
END_YEAR = 2035
FIRST_END = 2000
FINEST_STEP = 1 / 256  # finer runs do not fit into memory
# Called with what is done now, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


def run_scenarios(
    scenarios: Sequence[str | Path] = (),
    *,
    engine: str = "auto",
    time_step: float | None = None,
    until: int = END_YEAR,
    progress: Progress | None = None,
) -> RunResults:
    """Simulate scenarios, score them, and hold them against the targets.

    Parameters
    ----------
    scenarios : sequence of str or Path
        Names of shipped scenarios or paths of files; all shipped ones if empty.
    engine : {"auto", "kernel", "pysd"}
    time_step : float, optional
        In years, a power of one half; the model's if left out.
    until : int
        Last year of the run, 2000 to 2050.
    progress : callable, optional
        Told what is being done: text, steps done, steps in all.

    Raises
    ------
    InputError, ModelError
        Bad scenario, model, time axis or engine; nothing is computed before all inputs are
        checked.
    """
    tell = progress or _silent
    check_settings(engine, time_step, until)
    loaded = load_scenarios(scenarios)
    total = len(loaded) + 3
    tell("loading the model", 0, total)
    model = load_model()
    inputs = {name: _inputs(model, scenario, time_step, until)
              for name, scenario in loaded.items()}
    runs: dict[str, xr.Dataset] = {}
    for name in loaded:
        tell(f"simulating {name}", 1 + len(runs), total)
        runs[name] = _simulate(model, inputs[name], engine, time_step, until)
    tell("varying parameters and drivers", total - 2, total)
    interface = model_interface(model, end=until + 1.0, time_step=time_step)
    history = BASELINE if BASELINE in loaded else next(iter(loaded))
    bands = scenario_bands(model, loaded, inputs, interface, history)
    tell("scoring and comparing", total - 1, total)
    results = _evaluate(model, loaded, runs, bands, until)
    tell("done", total, total)
    return results


def simulate_scenario(
    model: Model,
    scenario: Scenario,
    changes: Mapping[str, float | pd.Series] | None = None,
    *,
    engine: str = "auto",
    time_step: float | None = None,
    until: int = END_YEAR,
) -> xr.Dataset:
    """Simulate one scenario with a model; `changes` override its inputs by variable name.

    Raises
    ------
    InputError, ModelError
        Bad scenario, change, time axis, engine or model.
    """
    check_settings(engine, time_step, until)
    inputs = _inputs(model, scenario, time_step, until)
    named = {model.name(given): value for given, value in (changes or {}).items()}
    return _simulate(model, {**inputs, **named}, engine, time_step, until)


def all_bands(model: Model, until: int = END_YEAR) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the bands of every variable in every shipped scenario, see `variable_bands`."""
    loaded = load_scenarios()
    inputs = {name: _inputs(model, scenario, None, until) for name, scenario in loaded.items()}
    return variable_bands(model, loaded, inputs, model_interface(model, end=until + 1.0))


def load_scenarios(scenarios: Sequence[str | Path] = ()) -> dict[str, Scenario]:
    """Read scenarios by name or path; all shipped ones if none is given.

    Raises
    ------
    InputError
        A scenario is broken, unknown or given twice, or no scenario is shipped.
    """
    loaded: dict[str, Scenario] = {}
    for given in scenarios or scenario_names():
        scenario = load_scenario(given)
        if scenario.name in loaded:
            raise InputError("a scenario of this name is already in the run", file=scenario.path,
                             key="name", value=scenario.name, allowed="each name once")
        loaded[scenario.name] = scenario
    if not loaded:
        raise InputError("this installation has no scenario")
    return loaded


def check_settings(engine: str, time_step: float | None, until: int) -> None:
    """Check engine, time step and last year of a run.

    Raises
    ------
    InputError
        The engine is unknown, the step is not 1, 1/2, 1/4 ... 1/256, or the year lies outside
        2000 to 2050.
    """
    if engine not in ENGINES:
        raise InputError("no such engine", key="engine", value=engine, allowed=", ".join(ENGINES))
    if time_step is not None and not (
            math.isfinite(time_step) and time_step >= FINEST_STEP and is_power_of_half(time_step)):
        raise InputError("not a possible time step", key="time step", value=f"{time_step:g}",
                         allowed="1, 1/2, 1/4, 1/8 ... 1/256 of a year")
    if not FIRST_END <= until <= LAST_YEAR:
        raise InputError("not a possible last year", key="until", value=until,
                         allowed=f"{FIRST_END} to {LAST_YEAR}")


def check_scenario(model: Model, scenario: Scenario) -> None:
    """Check names and ranges of a scenario over the whole horizon, however short the run.

    Raises
    ------
    InputError
        The first thing that does not fit the model.
    """
    resolve(scenario, model_interface(model, end=LAST_YEAR + 1.0))


def _inputs(
    model: Model, scenario: Scenario, time_step: float | None, until: int
) -> dict[str, float | pd.Series]:
    check_scenario(model, scenario)
    return resolve(scenario, model_interface(model, end=until + 1.0, time_step=time_step))


def _simulate(
    model: Model, inputs: Mapping[str, float | pd.Series], engine: str, time_step: float | None,
    until: int,
) -> xr.Dataset:
    return simulate(model, inputs, time_step=time_step, final_time=until + 1.0,
                    engine=cast("Engine", engine))  # check_settings has seen it


def _evaluate(
    model: Model, scenarios: Mapping[str, Scenario], runs: Mapping[str, xr.Dataset],
    bands: Bands, until: int,
) -> RunResults:
    statistics = {name: annual_statistics(run) for name, run in runs.items()}
    scores = {name: score(table) for name, table in statistics.items()}
    comparison = compare(statistics, scores)
    any_run = next(iter(runs.values()))
    time_step = float(any_run.attrs["time_step"])
    engine = ", ".join(dict.fromkeys(str(run.attrs["engine"]) for run in runs.values()))
    notes = (*_notes(model, time_step, until, comparison.fit_of), *bands.notes)
    manifest = {
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "scenarios": {name: scenario.record() for name, scenario in scenarios.items()},
        "engine": engine,
        "time_step": time_step,
        "until": until,
        "bands": dict(bands.record),
        "versions": software_versions(),
        "notes": list(notes),
    }
    return RunResults(
        scenarios={name: _result(scenario, runs[name], statistics[name], scores[name])
                   for name, scenario in scenarios.items()},
        observed=observed_table(),
        observed_index=observed_index(),
        observed_family=family_quantiles(observed_lists()),
        published=read_table("index_published.csv"),
        comparison=comparison,
        bands=bands,
        engine=engine,
        manifest=manifest,
        notes=notes,
    )


def _result(
    scenario: Scenario, run: xr.Dataset, statistics: pd.DataFrame, scored: Score
) -> ScenarioResult:
    title = {"en": scenario.own.title.en, "ru": scenario.own.title.ru}
    return ScenarioResult(scenario.name, title, run, statistics, scored.index,
                          family_quantiles(scored.lists), scored.reading_b)


def _notes(model: Model, time_step: float, until: int, fit_of: str) -> tuple[str, ...]:
    notes = []
    if until < END_YEAR:
        notes.append(f"The run ends with {until}: targets and claims of later years are not "
                     "compared.")
    if time_step != model.time_step:
        notes.append(f"Time step {Fraction(time_step)} of a year instead of the model's "
                     f"{Fraction(model.time_step)}: numbers differ from the standard run.")
    if fit_of != "baseline":
        notes.append(f"The baseline is not in this run: the fit of the history is that of "
                     f"{fit_of}.")
    return tuple(notes)


def _silent(_text: str, _done: int, _total: int) -> None:
    """Tell nobody."""
