"""Estimates the parameters of the shipped model and says how far the data tell them.

Order of events: each sector alone, driven by observed inputs; choice of the parameters that the
data to the training year can tell apart; the whole model from many starts to the training year
(frozen, for the hold-out) and to the last year (the shipped values); all constants with a range,
from the centre of their ranges, to the training year; rolling origins; intervals and draws.  Every
step is put on file, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kuzbass.experiments.calibration_plan import (
    CalibrationPlan,
    ChoiceRule,
    Effort,
    WideRule,
    check_observed,
    free_parameters,
    likelihood,
    load_calibration_plan,
)
from kuzbass.experiments.calibration_runs import (
    AnnualRuns,
    Array,
    Checkpoint,
    held_problem,
    partial_model,
)
from kuzbass.experiments.calibration_wide import wide_problem
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.paths import data_dir
from kuzbass.region.data import read_table
from kuzbass.sd.calibration import (
    Fit,
    Parameter,
    Problem,
    at_bounds,
    covariance,
    estimate,
    latin_hypercube,
    profile,
)
from kuzbass.sd.evolution import evolve
from kuzbass.sd.identifiability import Choice, choose, nearest_parameter
from kuzbass.sd.likelihood import Ar1
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.posterior import diagnostics, start_walkers, walk

__all__ = ["Calibration", "Progress", "Setting", "Window", "calibrate", "checkpoint_key", "prepare"]

Progress = Callable[[str, int, int], None]
_STAGE_STARTS = 3
_CHOICES = 2
_WALKERS = 2  # per parameter, at least


@dataclass(frozen=True)
class Setting:
    """What a calibration works with.

    Attributes
    ----------
    plan, path : CalibrationPlan, Path
    effort : Effort
    table : DataFrame
        ``observed.csv``.
    model : Model
    candidates : tuple of Parameter
    """

    plan: CalibrationPlan
    path: Path
    effort: Effort
    table: pd.DataFrame
    model: Model
    candidates: tuple[Parameter, ...]

    @property
    def shipped(self) -> dict[str, float]:
        """Values of the candidates in the model file."""
        return {one.name: float(self.model.equations[one.name].ast) for one in self.candidates}

    def parameters(self, names: Sequence[str]) -> tuple[Parameter, ...]:
        """Return candidates by name, in the order of `names`."""
        by_name = {one.name: one for one in self.candidates}
        return tuple(by_name[name] for name in names)

    def problem(self, names: Sequence[str], held: Mapping[str, float], last: int) -> Problem:
        """Return the problem of fitting `names` to the data up to `last`, with others held."""
        likely, rows = likelihood(self.plan, self.table, last)
        runs = AnnualRuns(self.model, [*names, *held], rows, last)
        return held_problem(self.parameters(names), held, runs, likely)


@dataclass(frozen=True)
class Window:
    """The fit to the years up to `last`.

    Attributes
    ----------
    last : int
    problem : Problem
        Of the fitted parameters.
    held : dict of str to float
        The other candidates.
    fits : tuple of Fit
        From all starts.
    """

    last: int
    problem: Problem
    held: dict[str, float]
    fits: tuple[Fit, ...]

    @property
    def best(self) -> Fit:
        """The lowest of the fits."""
        return min(self.fits, key=lambda fit: fit.objective)

    def values(self) -> dict[str, float]:
        """Return the values of all candidates, those of the best fit where they were fitted."""
        found = self.problem.values(self.best.point[None])[0]
        return {**dict(zip(self.problem.names, map(float, found), strict=True)), **self.held}


@dataclass(frozen=True)
class Calibration:
    """All results of a calibration.

    Attributes
    ----------
    setting : Setting
    stages : DataFrame
        One row per sector: objective before and after, parameters at a bound.
    choices : dict of str to DataFrame
        ``training`` and ``refit``: by candidate, sensitivity, collinearity and decision.
    training, refit : Window
    wide : Window
        All constants with a range, fitted to the training years.
    origins : dict of int to dict
        Values fitted to each origin of the rolling hold-out.
    intervals : DataFrame
        One row per parameter of the refit: low, high, how they were found.
    draws : dict of str to DataFrame
        ``training`` and ``refit``: draws of the posterior, one column per parameter.
    posterior : DataFrame
        Diagnostics of the two samples.
    resumed : int
        Steps that came from an earlier, interrupted run.
    manifest : dict
    """

    setting: Setting
    stages: pd.DataFrame
    choices: dict[str, pd.DataFrame]
    training: Window
    refit: Window
    wide: Window
    origins: dict[int, dict[str, float]]
    intervals: pd.DataFrame
    draws: dict[str, pd.DataFrame]
    posterior: pd.DataFrame
    resumed: int
    manifest: dict[str, object]


def prepare(
    given: str | Path = "calibrate", *, data: Path | None = None, quick: bool = False
) -> Setting:
    """Read and check the plan, the data and the model.

    Raises
    ------
    InputError, ModelError
        The first thing that is wrong; nothing is computed before.
    """
    plan, path = load_calibration_plan(given)
    file = data or data_dir() / "observed.csv"
    table = read_table("observed.csv", file)
    check_observed(plan, table, file)
    model = load_model()
    return Setting(plan, path, plan.quick if quick else plan.full, table, model,
                   free_parameters(plan, model, path))


def checkpoint_key(setting: Setting) -> str:
    """Return what a checkpoint belongs to: model, data, plan and effort."""
    frames = (setting.table, read_table("judged.csv"), read_table("bars.csv"))
    parts = [setting.model.sha256, setting.plan.model_dump_json(),
             setting.effort.model_dump_json(), *(frame.to_csv() for frame in frames)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def calibrate(
    setting: Setting, checkpoint: Path, progress: Progress | None = None
) -> Calibration:
    """Run a calibration, or the rest of one that was interrupted.

    Parameters
    ----------
    setting : Setting
        From `prepare`.
    checkpoint : Path
        Where finished steps are kept until the end.
    progress : callable, optional
        Told what is done now, steps done, steps in all.
    """
    work = _Work(setting, Checkpoint(checkpoint, checkpoint_key(setting)), progress)
    stages, starts = work.stages()
    choices, windows = {}, {}
    for label, last in (("training", setting.plan.training), ("refit", setting.plan.last)):
        choices[label], names, values = work.choice(label, starts, last)
        windows[label] = work.window(label, names, values, starts, last)
    training, refit, wide = windows["training"], windows["refit"], work.wide()
    origins = {origin: work.origin(origin, training) for origin in setting.plan.origins}
    samples = {label: work.sample(label, window) for label, window in windows.items()}
    intervals = work.intervals(refit, samples["refit"][0])
    manifest: dict[str, object] = {
        "model": {"file": setting.model.path.name, "sha256": setting.model.sha256},
        "data": data_record(),
        "plan": json.loads(setting.plan.model_dump_json()),
        "effort": setting.effort.model_dump(),
        "seed": setting.plan.seed,
        "simulations": work.runs,
        "versions": software_versions(),
    }
    return Calibration(
        setting, stages, choices, training, refit, wide, origins, intervals,
        {name: draws for name, (draws, _) in samples.items()},
        pd.DataFrame([facts for _, facts in samples.values()], index=list(samples)),
        work.memory.resumed, manifest)


class _Work:
    """The steps of a calibration; each goes through the checkpoint."""

    def __init__(self, setting: Setting, memory: Checkpoint, progress: Progress | None) -> None:
        self.setting, self.memory = setting, memory
        self._progress, self._done, self.runs = progress, 0, 0
        plan, effort = setting.plan, setting.effort
        self._total = (len(plan.stages) * _STAGE_STARTS + 2 * (effort.starts + _CHOICES)
                       + effort.wide_starts + len(plan.origins) * effort.origin_starts + 2
                       + (plan.choice.most if effort.profiles else 0))

    def fit(self, step: str, problem: Problem, start: Array) -> Fit:
        """Estimate from one start, unless that is on file."""
        return self.kept(step, lambda: estimate(problem, start,
                                              rounds=self.setting.effort.rounds))

    def kept(self, step: str, compute: Callable[[], Fit]) -> Fit:
        """Return the fit of a step: the one on file, or else computed and put on file."""
        self.tell(step)
        record = self.memory.get(step, lambda: _written(compute()))
        fit = Fit(np.array(record["point"]), float(record["objective"]),
                  tuple(Ar1(**one) for one in record["processes"]), int(record["runs"]))
        self.runs += fit.runs
        return fit

    def tell(self, step: str) -> None:
        """Report a step."""
        self._done += 1
        if self._progress is not None:
            self._progress(step, min(self._done, self._total), self._total)

    def stages(self) -> tuple[pd.DataFrame, dict[str, float]]:
        """Fit each sector alone; return a table, and values to start the whole model from."""
        setting, values, rows = self.setting, dict(self.setting.shipped), []
        for stage in setting.plan.stages:
            names = [setting.model.name(name) for name in stage.parameters]
            likely, judged_rows = likelihood(setting.plan, setting.table, setting.plan.training,
                                             stage.series)
            runs = partial_model(setting.model, stage.cut, setting.table, setting.plan.training,
                                 names, judged_rows)
            problem = held_problem(setting.parameters(names), {}, runs, likely)
            start = problem.points(np.array([setting.shipped[name] for name in names]))
            others = latin_hypercube(_STAGE_STARTS - 1, len(names), setting.plan.seed)
            fits = [self.fit(f"sector {stage.name}, start {number}", problem, point)
                    for number, point in enumerate([start, *others])]
            best = min(fits, key=lambda fit: fit.objective)
            found = problem.values(best.point[None])[0]
            values.update(zip(names, map(float, found), strict=True))
            rows.append({"sector": stage.name, "cut": ", ".join(stage.cut),
                         "parameters": len(names), "series": len(stage.series),
                         "before": float(problem.objective(start[None])[0]),
                         "after": best.objective,
                         "at_bound": ", ".join(at_bounds(problem, best.point))})
        return pd.DataFrame(rows), values

    def choice(
        self, label: str, starts: Mapping[str, float], last: int
    ) -> tuple[pd.DataFrame, list[str], dict[str, float]]:
        """Choose what the years up to `last` tell apart.

        A first choice is made at the values of the model file.  What its fit drives to a bound
        stays there, and the choice is made again at that fit among the rest.

        Returns
        -------
        tuple of (DataFrame, list, dict)
            One row per candidate; the chosen names; a value for every candidate: found for the
            chosen ones, at the bound, or that of the model file.
        """
        setting = self.setting
        everything = setting.problem([one.name for one in setting.candidates], {}, last)
        values, stuck = dict(setting.shipped), dict[str, float]()
        for turn in range(_CHOICES):
            table = self._choose(everything, values, list(stuck), starts)
            chosen = [str(name) for name in table.index[table["decision"] == "fitted"]]
            ended, found = self._trial(f"{label}, trial {turn}", chosen, values,
                                       {**setting.shipped, **stuck}, last)
            stuck |= ended
            values = {**setting.shipped, **found, **stuck}
        table.loc[list(stuck), "decision"] = "at bound"
        return table, [name for name in chosen if name not in stuck], values

    def _choose(
        self, problem: Problem, values: Mapping[str, float], stuck: Sequence[str],
        starts: Mapping[str, float],
    ) -> pd.DataFrame:
        rule, names = self.setting.plan.choice, problem.names
        point = problem.points(np.array([values[name] for name in names]))
        matrix = problem.jacobian(point, problem.processes(point))
        matrix[:, [names.index(name) for name in stuck]] = 0.0
        choices = choose(matrix, largest_gamma=rule.largest_collinearity, most=rule.most,
                         least_left=rule.least_sensitivity,
                         first=[names.index(self.setting.model.name(name)) for name in rule.first])
        chosen = [one.place for one in choices if one.chosen]
        rows = {}
        for one in choices:
            like, cosine = nearest_parameter(matrix, one.place, chosen)
            decision = "fitted" if one.chosen else _reason(one, rule)
            rows[names[one.place]] = {
                "decision": decision, "sensitivity": one.sensitivity, "left": one.left,
                "gamma": one.gamma, "most_like": names[like], "cosine": cosine,
                "sector_fit": starts[names[one.place]]}
        return pd.DataFrame.from_dict(rows, orient="index")

    def _trial(
        self, step: str, names: Sequence[str], values: Mapping[str, float],
        others: Mapping[str, float], last: int,
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Fit from one start; return what ended at which bound, and all values found."""
        problem = self.setting.problem(names, _without(others, names), last)
        fit = self.fit(step, problem, problem.points(np.array([values[n] for n in names])))
        found = dict(zip(names, map(float, problem.values(fit.point[None])[0]), strict=True))
        bounds = {one.name: (one.lower, one.upper) for one in problem.parameters}
        return {name: _nearer(found[name], *bounds[name])
                for name in at_bounds(problem, fit.point)}, found

    def window(
        self, label: str, names: Sequence[str], values: Mapping[str, float],
        starts: Mapping[str, float], last: int,
    ) -> Window:
        """Fit the whole model to the years up to `last` from many starts.

        `values` are a first start and the values of the other candidates, `starts` a second one.
        """
        setting, held = self.setting, _without(values, names)
        problem = setting.problem(names, held, last)
        points = [problem.points(np.array([source[name] for name in names]))
                  for source in (values, starts)]
        others = latin_hypercube(max(setting.effort.starts - 2, 1), len(names), setting.plan.seed)
        fits = [self.fit(f"{label}, start {number}", problem, point)
                for number, point in enumerate([*points, *others][:setting.effort.starts])]
        return Window(last, problem, held, tuple(fits))

    def wide(self) -> Window:
        """Fit all constants with a range to the training years, from the centre of the ranges."""
        plan, effort = self.setting.plan, self.setting.effort
        problem = wide_problem(plan, self.setting.model, self.setting.table)
        centre = np.full(len(problem.names), 0.5)
        fits = [self.kept(f"wide, start {number}", _Evolution(problem, centre, plan.wide, effort,
                                                              [plan.seed, number]))
                for number in range(effort.wide_starts)]
        return Window(plan.training, problem, {}, tuple(fits))

    def origin(self, last: int, training: Window) -> dict[str, float]:
        """Fit the free parameters of the training fit to fewer years."""
        setting, names = self.setting, training.problem.names
        problem = setting.problem(names, training.held, last)
        points = [training.best.point,
                  *latin_hypercube(setting.effort.origin_starts, len(names), setting.plan.seed)]
        fits = [self.fit(f"origin {last}, start {number}", problem, point)
                for number, point in enumerate(points[:setting.effort.origin_starts])]
        best = min(fits, key=lambda fit: fit.objective)
        found = problem.values(best.point[None])[0]
        return {**dict(zip(names, map(float, found), strict=True)), **training.held}

    def sample(self, label: str, window: Window) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Sample the posterior of a fit."""
        self.tell(f"{label}, posterior")
        record = self.memory.get(f"{label}, posterior", lambda: self._sample(label, window))
        draws = pd.DataFrame(record["draws"], columns=list(window.problem.names))
        self.runs += int(record["facts"]["simulations"])
        return draws, record["facts"]

    def _sample(self, label: str, window: Window) -> dict[str, Any]:
        plan, problem = self.setting.plan, window.problem
        rng = np.random.default_rng([plan.seed, *label.encode()])
        count = 2 * ((_WALKERS * len(problem.names) + 7) // 2)
        walkers = start_walkers(window.best.point, covariance(problem, window.best), count, rng)
        sampled = walk(problem.objective, walkers, self.setting.effort.steps, rng)
        kept = sampled.points[len(sampled.points) // 2:]
        reduction, size = diagnostics(kept)
        flat = kept.reshape(-1, len(problem.names))
        picked = flat[rng.choice(len(flat), plan.draws, replace=len(flat) < plan.draws)]
        facts = {"walkers": count, "steps": len(sampled.points), "kept_steps": len(kept),
                 "acceptance": sampled.acceptance, "largest_rhat": reduction,
                 "smallest_ess": size, "best": float(sampled.objective.min()),
                 "optimum": window.best.objective, "seed": plan.seed,
                 "simulations": count * (len(sampled.points) + 1)}
        return {"draws": problem.values(picked).tolist(), "facts": facts}

    def intervals(self, window: Window, draws: pd.DataFrame) -> pd.DataFrame:
        """Return 95 percent intervals: profiles if asked for, quantiles of the draws otherwise."""
        rows = {}
        for name in window.problem.names:
            low, high = draws[name].quantile([0.025, 0.975])
            rows[name] = {"low": low, "high": high, "interval": "posterior", "gain": 0.0}
        if self.setting.effort.profiles:
            for name in window.problem.names:
                step = f"profile {name}"
                self.tell(step)
                found = self.memory.get(step, _Profile(window, name))
                rows[name] = {"low": found["low"], "high": found["high"],
                              "interval": f"profile, {found['shape']}", "gain": found["gain"]}
        return pd.DataFrame.from_dict(rows, orient="index")


@dataclass(frozen=True)
class _Profile:
    """The profile interval of one parameter, not computed yet."""

    window: Window
    name: str

    def __call__(self) -> dict[str, Any]:
        return asdict(profile(self.window.problem, self.window.best, self.name))


@dataclass(frozen=True)
class _Evolution:
    """A start of the wide fit, not computed yet."""

    problem: Problem
    start: Array
    rule: WideRule
    effort: Effort
    seed: list[int]

    def __call__(self) -> Fit:
        return evolve(self.problem, self.start, spread=self.rule.spread,
                      population=self.rule.population, generations=self.effort.generations,
                      rng=np.random.default_rng(self.seed))


def _nearer(value: float, low: float, high: float) -> float:
    return low if value - low < high - value else high


def _written(fit: Fit) -> dict[str, Any]:
    return {"point": fit.point.tolist(), "objective": fit.objective,
            "processes": [asdict(one) for one in fit.processes], "runs": fit.runs}


def _without(values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in names}


def _reason(one: Choice, rule: ChoiceRule) -> str:
    if one.sensitivity < rule.least_sensitivity:
        return "fixed: the data hardly feel it"
    if one.left < rule.least_sensitivity:
        return "fixed: others do the same"
    if one.gamma > rule.largest_collinearity:
        return "fixed: collinear"
    return "fixed: the set is full"
