"""How sure is a result?  Runs scenarios many times over uncertain parameters and drivers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError, KuzbassError
from kuzbass.experiments.ensemble_factors import Factors
from kuzbass.experiments.ensemble_plan import Plan
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.experiments.results import QUANTILES
from kuzbass.experiments.run import load_scenarios
from kuzbass.experiments.score import index_family, observed_index, observed_table
from kuzbass.experiments.scored_years import (
    ANY_LIST,
    INDEX,
    LIST,
    ScoredYears,
    list_table,
)
from kuzbass.region.data import judged, read_table
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import FIRST_YEAR, LAST_YEAR, Scenario
from kuzbass.sd import ensemble as sd
from kuzbass.sd.ensemble.drive import Progress
from kuzbass.sd.kernel import ENGINE, compile_model
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.sampling import Choice

__all__ = ["ALL", "DRIVERS", "LISTS", "PARAMETERS", "EnsembleResults", "Study", "prepare",
           "run_plan"]

ALL, PARAMETERS, DRIVERS, LISTS = "all", "parameters", "drivers", "lists"
CHUNK = 4096
_QUANTILES = tuple(QUANTILES)
_REBASE_YEAR = 2019


@dataclass(frozen=True)
class Study:
    """A plan made ready to run.

    Attributes
    ----------
    members : Members
        One case per scenario in which all varies; where there are parameters and drivers, two
        more in which one of them varies.
    scenarios : mapping of str to Scenario
    record : mapping
        Everything that decides the numbers, for manifest and store.
    scalars : tuple of float
        Years whose values go into the tables of runs.
    """

    members: sd.Members
    scenarios: Mapping[str, Scenario]
    record: Mapping[str, Any]
    scalars: tuple[float, ...]


@dataclass(frozen=True)
class EnsembleResults:
    """What an ensemble says.

    Attributes
    ----------
    quantiles : DataFrame
        One row per scenario, variable and year, all factors varying: unit, ``central`` (nothing
        varies), ``q05`` to ``q95``, ``sd``.
    index : DataFrame
        One row per scenario, source of uncertainty (``lists``, ``parameters``, ``drivers``,
        ``all``) and year: quantiles of the index, its variance, and the share of the variance of
        ``all`` that the source has alone.
    nonfinite : DataFrame
        Runs left out, because a value did not stay finite: scenario, varied, run, variable, time.
    observed, observed_index : DataFrame
        As in `kuzbass.experiments.results.RunResults`.
    titles : mapping of str to mapping
        Titles of the scenarios.
    manifest : mapping
    """

    quantiles: pd.DataFrame
    index: pd.DataFrame
    nonfinite: pd.DataFrame
    observed: pd.DataFrame
    observed_index: pd.DataFrame
    titles: Mapping[str, Mapping[str, str]]
    manifest: Mapping[str, Any]


def prepare(plan: Plan, file: Path, model: Model | None = None) -> Study:
    """Check a plan against the model and compile what it needs.

    Parameters
    ----------
    plan, file
        From `kuzbass.experiments.ensemble_plan.load_plan`.
    model : Model, optional
        The shipped one if left out.

    Raises
    ------
    InputError
        A scenario, factor, range, table or output that does not fit the model.
    """
    model = model or load_model()
    interface = model_interface(model, end=plan.until + 1.0)
    scenarios = load_scenarios(plan.scenarios)
    horizon = model_interface(model, end=LAST_YEAR + 1.0)
    resolved: dict[str, dict[str, Any]] = {}
    for name, scenario in scenarios.items():
        resolve(scenario, horizon)  # as a single run does: checked over the whole horizon
        resolved[name] = dict(resolve(scenario, interface))
    factors = Factors(plan, file, interface)
    cases = [case for name, scenario in scenarios.items()
             for case in _cases(factors, scenario, resolved[name], plan)]
    reduction = _reduction(model, plan, interface.grid)
    moving = {key for inputs in resolved.values() for key, value in inputs.items()
              if isinstance(value, pd.Series) and key not in interface.drivers}
    kernel = compile_model(
        model, vary={*factors.inputs, *(key for case in cases for key in case.inputs)},
        moving=moving, scaled=factors.drivers, outputs=reduction.outputs,
        final_time=plan.until + 1.0, save_every=None)
    members = sd.Members(kernel, factors.design, tuple(cases), reduction,
                         sd.opening(interface.grid, FIRST_YEAR, plan.opening), factors.rows)
    return Study(members, scenarios, _record(plan, model, scenarios, factors),
                 tuple(float(year) for year in plan.scalars))


def run_plan(
    study: Study, folder: Path, *, threads: int | None = None, scheduler: str | None = None,
    chunk: int = CHUNK, trajectories: str | None = None, progress: Progress | None = None,
) -> EnsembleResults:
    """Run a study into `folder`, where an interrupted one goes on.

    Parameters
    ----------
    study : Study
    folder : Path
        Gets the tables of runs, the trajectories if asked for, ``quantiles.csv``, ``index.csv``
        and ``nonfinite.csv``.
    threads, scheduler, progress
        See `kuzbass.sd.ensemble.run_ensemble`.
    chunk : int
        Runs per chunk; decides how much an interruption costs and how much memory is used, and
        nothing else.
    trajectories : {"f32", "f64"}, optional
        Keep all trajectories.

    Raises
    ------
    InputError
        The folder belongs to another plan or cannot be written, or there is no such scheduler.
    KuzbassError
        Workers keep dying, or no run of a scenario stays finite.
    """
    members = study.members
    store = sd.Store(folder, members, study.record, chunk=chunk, scalars=study.scalars,
                     trajectories=trajectories)
    try:
        sd.run_ensemble(members, store, threads=threads, scheduler=scheduler, progress=progress)
    finally:
        if store.empty:
            store.close()
    summaries = store.summaries()
    for case, summary in zip(members.cases, summaries, strict=True):
        if summary.runs == 0:
            raise KuzbassError(f"no run of {case.name} stays finite; see {folder / 'runs'}")
    results = _results(study, store, summaries)
    tables = {"quantiles": results.quantiles, "index": results.index,
              "nonfinite": results.nonfinite}
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.10g",
                     lineterminator="\n")
    store.close()
    return results


def _cases(
    factors: Factors, scenario: Scenario, resolved: Mapping[str, Any], plan: Plan
) -> list[sd.Case]:
    inputs = {name: value.to_numpy(float)[None, :] if isinstance(value, pd.Series) else value
              for name, value in resolved.items()}
    rows = factors.rows.names if factors.rows is not None else ()
    for name in (*factors.parameters, *rows):
        if name in inputs:
            raise InputError("is set by a scenario, so it cannot vary here", file=scenario.path,
                             key=name, allowed="a plan without it, or other scenarios")
    drivers = factors.of(scenario, inputs)
    any_list = {LIST: sd.Factor(Choice(len(index_family())), "other")}
    varied = {ALL: {**factors.parameters, **drivers, **({} if plan.table else any_list)}}
    if not plan.table and factors.parameters and drivers:
        varied |= {PARAMETERS: dict(factors.parameters), DRIVERS: drivers}
    return [sd.Case(f"{scenario.name}-{what}", inputs, own,
                    {"scenario": scenario.name, "varied": what}) for what, own in varied.items()]


def _reduction(model: Model, plan: Plan, grid: np.ndarray) -> ScoredYears:
    family = index_family()
    table = judged()
    at_end = {*table.loc[table["basis"] == "end", "variable"],
              *(name for name, basis in family.indicators.variables.items() if basis == "end")}
    targets = read_table("targets.csv")
    rebased = targets.loc[targets["transform"] == "percent_of_2019", "variable"].drop_duplicates()
    shown = list(dict.fromkeys(model.name(name) for name in plan.outputs))
    percent = tuple((str(name), _REBASE_YEAR) for name in rebased
                    if name in shown and plan.until >= _REBASE_YEAR)
    outputs = tuple(dict.fromkeys([*shown, *family.indicators.variables]))
    return ScoredYears(
        outputs=outputs, at_end=frozenset(at_end & set(outputs)), steps=grid,
        shown=tuple(sd.Series(name, model.variables[name].unit) for name in shown),
        rebased=percent, indicators=family.indicators, scale=family.reference,
        default=family.default, lists=list_table(family))


def _record(
    plan: Plan, model: Model, scenarios: Mapping[str, Scenario], factors: Factors
) -> dict[str, Any]:
    return {
        "plan": plan.model_dump(mode="json"),
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "scenarios": {name: scenario.record() for name, scenario in scenarios.items()},
        "tables": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                   for path in factors.files},
        "engine": ENGINE,
        "time_step": model.time_step,
        "until": plan.until,
        "seed": plan.seed,
        "runs": factors.design.runs,
        "versions": software_versions(),
    }


def _results(study: Study, store: sd.Store, summaries: list[sd.Summary]) -> EnsembleResults:
    members, parts, index = study.members, [], []
    central = {case.labels["scenario"]: _central(members, case)
               for case in members.cases if case.labels["varied"] == ALL}
    for case, summary in zip(members.cases, summaries, strict=True):
        scenario, varied = case.labels["scenario"], case.labels["varied"]
        if varied == ALL:
            parts.append(_quantile_rows(members, scenario, summary, central[scenario]))
            index.append(_list_rows(members, scenario, central[scenario]))
        index.append(_index_rows(members, scenario, varied, summary))
    labels = {case.name: case.labels for case in members.cases}
    bad = [{**labels[name], "run": run, "variable": variable, "time": time}
           for name, run, variable, time in store.nonfinite()]
    manifest = {
        **study.record,
        "quantiles": "binned: off by at most 0.1 % of the span of the runs" if store.binned
        else "exact",
        "nonfinite": len(bad),
    }
    titles = {name: {"en": one.own.title.en, "ru": one.own.title.ru}
              for name, one in study.scenarios.items()}
    return EnsembleResults(
        pd.concat(parts, ignore_index=True), _with_shares(pd.concat(index, ignore_index=True)),
        pd.DataFrame(bad, columns=["scenario", "varied", "run", "variable", "time"]),
        observed_table(), observed_index(), titles, manifest)


def _central(members: sd.Members, case: sd.Case) -> np.ndarray:
    """Return the run in which nothing varies, (step, output)."""
    return members.kernel.run(dict(case.inputs), n=1).values


def _quantile_rows(
    members: sd.Members, scenario: str, summary: sd.Summary, central: np.ndarray
) -> pd.DataFrame:
    reduction = members.reduction
    years, count = reduction.time.astype(int), len(reduction.series)
    middle = reduction.reduce(central, {})[:, :, 0]
    return pd.DataFrame({
        "scenario": scenario,
        "variable": np.repeat([one.name for one in reduction.series], len(years)),
        "unit": np.repeat([one.unit for one in reduction.series], len(years)),
        "year": np.tile(years, count),
        "central": middle.T.ravel(),
        **{name: level.T.ravel() for name, level in
           zip(_QUANTILES, summary.quantiles, strict=True)},
        "sd": np.sqrt(summary.variance.T.ravel()),
    })


def _index_rows(
    members: sd.Members, scenario: str, varied: str, summary: sd.Summary
) -> pd.DataFrame:
    names = [one.name for one in members.reduction.series]
    place = names.index(ANY_LIST if varied == ALL else INDEX)
    return _source_rows(members, scenario, varied, summary.quantiles[:, :, place],
                        summary.variance[:, place])


def _list_rows(members: sd.Members, scenario: str, central: np.ndarray) -> pd.DataFrame:
    """Return the index of the central run over all admissible lists."""
    reduction = members.reduction
    assert isinstance(reduction, ScoredYears)  # as `prepare` made it
    z = reduction.z_scores(reduction.annual(central))[:, :, 0]
    lists = index_family().index(z)
    return _source_rows(members, scenario, LISTS, np.quantile(lists, sd.LEVELS, axis=0),
                        lists.var(axis=0))


def _source_rows(
    members: sd.Members, scenario: str, source: str, quantiles: np.ndarray, variance: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame({
        "scenario": scenario, "source": source, "year": members.reduction.time.astype(int),
        **dict(zip(_QUANTILES, quantiles, strict=True)), "variance": variance})


def _with_shares(index: pd.DataFrame) -> pd.DataFrame:
    """Add the share of the variance of `ALL` that a source has alone."""
    total = index[index["source"] == ALL].set_index(["scenario", "year"])["variance"]
    of = total.reindex(pd.MultiIndex.from_frame(index[["scenario", "year"]])).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return index.assign(share=np.where(of > 0.0, index["variance"] / of, np.nan))
