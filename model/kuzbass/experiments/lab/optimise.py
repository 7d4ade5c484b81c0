"""Which mixes of levers does no other beat?  Many-objective search, several seeds, resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import qmc

from kuzbass.errors import KuzbassError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab.evaluate import Lab, ShockAt, prepare_lab
from kuzbass.experiments.lab.fronts import epsilon_front, epsilon_fronts, hypervolumes, spread
from kuzbass.experiments.lab.futures import Futures
from kuzbass.experiments.lab.levers import Moves, check_value, find_lever, model_levers
from kuzbass.experiments.lab.metrics import oriented
from kuzbass.experiments.lab.optimise_plan import OptimisePlan
from kuzbass.experiments.lab.robustness import maximin, percentile, regret_quantile, satisficing
from kuzbass.experiments.lab.workers import Map, chunked, done, same_plan, workers, write_whole
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.experiments.run import Progress
from kuzbass.experiments.tables import write_csv
from kuzbass.region.scenario import load_scenario
from kuzbass.sd.kernel import ENGINE
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["OptimiseResult", "OptimiseStudy", "optimise_lines", "prepare_optimise", "run_optimise"]

_BLOCK = 16  # runs of a task; the result does not hang on it
_CHUNK = 1024
_WORST = 1e12  # what a run that fails is worth
_WORK = "work"


@dataclass(frozen=True)
class OptimiseStudy:
    """A plan made ready to run.

    Attributes
    ----------
    plan : OptimisePlan
    lab : Lab
    futures : Futures
    scenario : str
    levers : tuple of str
        Names as in the model file.
    low, high : ndarray (lever,)
        In the unit of each lever.
    record : mapping
        Everything that decides the numbers.
    """

    plan: OptimisePlan
    lab: Lab
    futures: Futures
    scenario: str
    levers: tuple[str, ...]
    low: Array
    high: Array
    record: Mapping[str, Any]

    def moves(self, unit: Array) -> Moves:
        """Return the levers at points of the unit cube, (run, lever)."""
        values = self.low + (self.high - self.low) * unit
        return self.lab.moves(self.levers, values, float(self.plan.start), self.plan.ramp)

    def objectives(self, metrics: Array) -> Array:
        """Return the objectives, less is better, (run, objective), of (run, metric)."""
        place, known = {name: at for at, name in enumerate(self.lab.names)}, self.plan.metrics
        columns = [-sum(oriented(known[name], metrics[:, place[name]]) for name in one.metrics)
                   for one in self.plan.objectives.values()]
        values = np.column_stack(columns)
        return np.where(np.isfinite(values), values, _WORST)

    def broken(self, metrics: Array) -> Array:
        """Return by how much limits are broken, (run, limit); 0 or less is met."""
        place = {name: at for at, name in enumerate(self.lab.names)}
        columns = [np.zeros(len(metrics))]
        for one in self.plan.limits:
            values = metrics[:, place[one.metric]]
            if one.at_most is not None:
                columns.append(values - one.at_most)
            else:
                assert one.at_least is not None  # a threshold has one side
                columns.append(one.at_least - values)
        values = np.column_stack(columns)
        return np.where(np.isfinite(values), values, _WORST)


@dataclass(frozen=True)
class OptimiseResult:
    """What a search has found.

    Attributes
    ----------
    title : mapping of str to str
    front : DataFrame
        One row per solution that no other beats by more than epsilon: ``solution``, ``seed``,
        the levers, the objectives in their own direction.
    convergence : DataFrame
        Seed, generation, ``hypervolume`` (share of the box between the best and the worst of all
        fronts), ``progress`` (boxes of epsilon entered for the first time), ``front``.
    robust : DataFrame
        The solutions evaluated again: mean and tenth percentile of every objective over the
        futures, its largest regret, and ``satisfied`` (share of futures that are good enough).
    objectives : mapping of str to (str, str)
        Unit and better direction.
    levers : mapping of str to (str, float, float)
        Unit, lowest and highest value.
    runs : int
        Runs of the model, twins under a shock not counted.
    manifest : mapping
    """

    title: Mapping[str, str]
    front: pd.DataFrame = field(repr=False)
    convergence: pd.DataFrame = field(repr=False)
    robust: pd.DataFrame = field(repr=False)
    objectives: Mapping[str, tuple[str, str]]
    levers: Mapping[str, tuple[str, float, float]]
    runs: int
    manifest: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class _Points:
    """Metrics of points of the unit cube: what a worker does."""

    study: OptimiseStudy

    def __call__(self, *task: Any) -> Array:
        (unit,) = task
        return self.study.lab.evaluate(self.study.moves(unit), scenario=self.study.scenario,
                                       threads=1)


@dataclass(frozen=True)
class _InFutures:
    """Metrics of solutions in futures, all futures of a solution in a row: what a worker does."""

    study: OptimiseStudy
    unit: Array

    def __call__(self, *task: Any) -> Array:
        first, last = task
        number = np.arange(first, last)
        solution, future = np.divmod(number, self.study.futures.runs)
        factors = self.study.lab.settings[self.study.scenario].factors
        values = self.study.futures.values(factors)
        own = {name: column[future] for name, column in values.items()}
        return self.study.lab.evaluate(self.study.moves(self.unit[solution]), own,
                                       scenario=self.study.scenario, threads=1).T


def prepare_optimise(
    plan: OptimisePlan, file: Path, model: Model | None = None
) -> OptimiseStudy:
    """Check a plan against the model and compile.

    Raises
    ------
    InputError
        A scenario, lever, metric, shock or future that does not fit the model.
    """
    model = model or load_model()
    known = model_levers(model)
    levers = []
    for given, one in plan.levers.items():
        lever = find_lever(given, known, file, f"levers.{given}")
        for edge in one.range:
            check_value(lever, edge, file, f"levers.{given}.range")
        levers.append(lever.name)
    ranges = np.array([one.range for one in plan.levers.values()])
    scenario = load_scenario(plan.scenario)
    interface = model_interface(model, end=plan.until + 1.0)
    sampling = plan.futures.model_dump()
    futures = Futures.of_plan(sampling.pop("plan"), interface, sampling)
    shocks = {name: ShockAt(one.shock, one.start) for name, one in plan.shocks.items()}
    lab = prepare_lab({scenario.name: scenario}, plan.metrics, shocks=shocks, futures=futures,
                      model=model, until=plan.until, file=file)
    record = {
        "plan": plan.model_dump(mode="json", by_alias=True),
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "scenarios": {scenario.name: scenario.record()},
        "engine": ENGINE, "time_step": model.time_step, "until": plan.until,
        "seed": ", ".join(str(seed) for seed in plan.seeds),
        "versions": {**software_versions(), **_version()},
    }
    return OptimiseStudy(plan, lab, futures, scenario.name, tuple(levers), ranges[:, 0],
                         ranges[:, 1], record)


def run_optimise(
    study: OptimiseStudy, folder: Path, *, threads: int | None = None,
    scheduler: str | None = None, progress: Progress | None = None,
) -> OptimiseResult:
    """Search, join the seeds, and evaluate the front again, into `folder`.

    Every generation is a file below ``work/``; a search that was interrupted goes on after the
    last one.  A search is repeated from its seed and takes from the files what it has asked for
    before, so that it ends as if it had not been interrupted.

    Raises
    ------
    InputError
        There is no such scheduler, or the folder holds another search.
    KuzbassError
        No solution meets the limits.
    """
    tell = progress or (lambda _text, _done, _total: None)
    work = folder / _WORK
    same_plan(work, study.record)
    plan = study.plan
    total = len(plan.seeds) * plan.generations
    searches: list[list[tuple[Array, Array]]] = []
    with workers(_Points(study), threads, scheduler) as over:
        for number, seed in enumerate(plan.seeds):
            def told(generation: int, number: int = number) -> None:
                tell(f"seed {number + 1} of {len(plan.seeds)}",
                     number * plan.generations + generation, total)

            searches.append(_search(study, seed, work / f"seed-{seed}", over, told))
    epsilon = np.array([one.epsilon for one in plan.objectives.values()])
    unit, metrics, seeds = _joined(study, searches, epsilon)
    front = _front_table(study, unit, metrics, seeds)
    convergence = _convergence(study, searches, epsilon)
    chosen = spread(study.objectives(metrics) / epsilon, plan.again)
    values = chunked(_InFutures(study, unit[chosen]), len(chosen) * study.futures.runs, _CHUNK,
                     work / "again", threads=threads, scheduler=scheduler, progress=tell,
                     text="the front in futures")
    robust = _robust(study, chosen, values.T.reshape(len(chosen), study.futures.runs, -1))
    result = OptimiseResult(
        plan.title.model_dump(), front, convergence, robust, _objective_units(study),
        {name: (next(one.unit for one in study.lab.levers if one.name == name), float(low),
                float(high)) for name, low, high in zip(study.levers, study.low, study.high,
                                                        strict=True)},
        sum(len(unit) for one in searches for unit, _ in one) + values.shape[-1], study.record)
    for name, table in (("front", front), ("convergence", convergence), ("robust", robust)):
        write_csv(table, folder / f"{name}.csv")
    done(work)
    return result


def optimise_lines(result: OptimiseResult, folder: Path) -> list[str]:
    """Return what the command line says."""
    last = result.convergence.groupby("seed")["hypervolume"].last()
    ends = [f"{name} {result.front[name].min():.4g} to {result.front[name].max():.4g} {unit}"
            for name, (unit, _) in result.objectives.items()]
    return [f"{len(result.front)} solutions that none beats: " + "; ".join(ends) + ".",
            "Hypervolume by seed: " + ", ".join(f"{value:.3f}" for value in last) + ".",
            f"{len(result.robust)} of them in all futures; the best is good enough in "
            f"{result.robust['satisfied'].max():.0%} of them.", f"Written to {folder}"]


def _search(
    study: OptimiseStudy, seed: int, folder: Path, over: Map, told: Callable[[int], None]
) -> list[tuple[Array, Array]]:
    """Return points and metrics of every generation."""
    from pymoo.core.evaluator import Evaluator  # noqa: PLC0415 - an extra
    from pymoo.problems.static import StaticProblem  # noqa: PLC0415 - an extra

    folder.mkdir(parents=True, exist_ok=True)
    problem, algorithm = _algorithm(study, seed)
    history: list[tuple[Array, Array]] = []
    for generation in range(study.plan.generations):
        told(generation)
        asked = algorithm.ask()
        if asked is None or not len(asked):
            break  # nothing new is left to try
        unit = np.asarray(asked.get("X"), dtype=np.float64)
        file = folder / f"generation-{generation:05d}.npy"
        metrics = _known(file, unit)
        if metrics is None:
            blocks = [(unit[first:first + _BLOCK],) for first in range(0, len(unit), _BLOCK)]
            metrics = np.concatenate(list(over(blocks)))
            write_whole(file, np.concatenate([unit, metrics], axis=1))
        static = StaticProblem(problem, F=study.objectives(metrics), G=study.broken(metrics))
        Evaluator().eval(static, asked)
        algorithm.tell(infills=asked)
        history.append((unit, metrics))
    return history


def _algorithm(study: OptimiseStudy, seed: int) -> tuple[Any, Any]:
    from pymoo.algorithms.moo.nsga2 import NSGA2  # noqa: PLC0415 - an extra
    from pymoo.algorithms.moo.nsga3 import NSGA3  # noqa: PLC0415 - an extra
    from pymoo.algorithms.moo.unsga3 import UNSGA3  # noqa: PLC0415 - an extra
    from pymoo.core.problem import Problem  # noqa: PLC0415 - an extra
    from pymoo.util.ref_dirs import get_reference_directions  # noqa: PLC0415 - an extra

    plan, many = study.plan, len(study.plan.objectives)
    problem = Problem(n_var=len(study.levers), n_obj=many, n_ieq_constr=1 + len(plan.limits),
                      xl=0.0, xu=1.0)
    if plan.algorithm == "nsga2":
        algorithm = NSGA2(pop_size=plan.population, sampling=_first(study, seed))
    else:
        directions = get_reference_directions("energy", many, plan.population, seed=seed)
        kind = UNSGA3 if plan.algorithm == "unsga3" else NSGA3
        algorithm = kind(directions, pop_size=plan.population, sampling=_first(study, seed))
    algorithm.setup(problem, termination=("n_gen", plan.generations), seed=seed, verbose=False)
    return problem, algorithm


def _first(study: OptimiseStudy, seed: int) -> Array:
    """Return the first points: a Latin hypercube, and the scenario without any policy."""
    points = qmc.LatinHypercube(len(study.levers), rng=np.random.default_rng(seed)).random(
        study.plan.population)
    own = np.array([find_lever(name, study.lab.levers).value for name in study.levers])
    points[0] = np.clip((own - study.low) / (study.high - study.low), 0.0, 1.0)
    return np.asarray(points)


def _known(file: Path, unit: Array) -> Array | None:
    """Return the metrics of the same points, if an interrupted search has left them."""
    if not file.exists():
        return None
    table = np.load(file, allow_pickle=False)
    same = table[:, :unit.shape[1]].shape == unit.shape and bool(
        (table[:, :unit.shape[1]] == unit).all())
    return table[:, unit.shape[1]:] if same else None


def _allowed(study: OptimiseStudy, metrics: Array) -> NDArray[np.bool_]:
    return np.asarray((study.broken(metrics) <= 0.0).all(axis=1)
                      & (study.objectives(metrics) < _WORST).all(axis=1))


def _joined(
    study: OptimiseStudy, searches: Sequence[Sequence[tuple[Array, Array]]], epsilon: Array
) -> tuple[Array, Array, NDArray[np.int_]]:
    """Return points, metrics and seeds of the front of all searches together."""
    unit = np.concatenate([one for search in searches for one, _ in search])
    metrics = np.concatenate([one for search in searches for _, one in search])
    seeds = np.repeat(study.plan.seeds, [sum(len(one) for one, _ in search)
                                         for search in searches])
    good = np.flatnonzero(_allowed(study, metrics))
    if not len(good):
        raise KuzbassError("no solution meets the limits of the plan")
    front = good[epsilon_front(study.objectives(metrics[good]), epsilon)]
    return unit[front], metrics[front], seeds[front]


def _front_table(
    study: OptimiseStudy, unit: Array, metrics: Array, seeds: NDArray[np.int_]
) -> pd.DataFrame:
    levers = study.low + (study.high - study.low) * unit
    objectives = _shown(study, study.objectives(metrics))
    return pd.DataFrame({
        "solution": np.arange(len(unit)), "seed": seeds,
        **dict(zip(study.levers, levers.T, strict=True)),
        **dict(zip(study.plan.objectives, objectives.T, strict=True))})


def _shown(study: OptimiseStudy, objectives: Array) -> Array:
    """Return objectives in their own direction, (..., objective)."""
    sign = [-1.0 if better == "more" else 1.0 for _, better in _objective_units(study).values()]
    return np.asarray(objectives * np.array(sign))


def _objective_units(study: OptimiseStudy) -> dict[str, tuple[str, str]]:
    known = study.plan.metrics
    return {name: (study.lab.units[one.metrics[0]], known[one.metrics[0]].better)
            for name, one in study.plan.objectives.items()}


def _convergence(
    study: OptimiseStudy, searches: Sequence[Sequence[tuple[Array, Array]]], epsilon: Array
) -> pd.DataFrame:
    values = [[study.objectives(metrics[_allowed(study, metrics)]) for _, metrics in search]
              for search in searches]
    fronts = [epsilon_fronts(one, epsilon) for one in values]
    together = [np.concatenate(one) for one in values]
    last = np.concatenate([all_of[front[-1]] for all_of, (front, _) in
                           zip(together, fronts, strict=True)])
    best, worst = last.min(axis=0), last.max(axis=0)
    parts = []
    for seed, all_of, (front, progress) in zip(study.plan.seeds, together, fronts, strict=True):
        parts.append(pd.DataFrame({
            "seed": seed, "generation": np.arange(1, len(front) + 1),
            "hypervolume": hypervolumes([all_of[one] for one in front], best, worst),
            "progress": progress, "front": [len(one) for one in front]}))
    return pd.concat(parts, ignore_index=True)


def _robust(study: OptimiseStudy, chosen: NDArray[np.intp], values: Array) -> pd.DataFrame:
    """Return robustness of (solution, future, metric); futures that fail for one are left out."""
    values = values[:, np.isfinite(values).all(axis=(0, 2))]
    if not values.shape[1]:
        raise KuzbassError("no future stays finite under every solution")
    solutions, futures, _ = values.shape
    less = study.objectives(values.reshape(solutions * futures, -1)).reshape(
        solutions, futures, -1)
    columns: dict[str, Any] = {"solution": chosen}
    for place, (name, (_, better)) in enumerate(_objective_units(study).items()):
        good = -less[:, :, place]
        sign = 1.0 if better == "more" else -1.0
        columns |= {f"{name}, mean": sign * good.mean(axis=1),
                    f"{name}, tenth percentile": sign * percentile(good, 0.1),
                    f"{name}, worst": sign * maximin(good),
                    f"{name}, largest regret": regret_quantile(good)}
    place_of = {name: at for at, name in enumerate(study.lab.names)}
    met = np.array([one.met(values[:, :, place_of[one.metric]]) for one in study.plan.satisfied])
    columns["satisfied"] = satisficing(met) if len(met) else np.ones(solutions)
    return pd.DataFrame({**columns, "futures": futures})


def _version() -> dict[str, str]:
    try:
        return {"pymoo": version("pymoo")}
    except PackageNotFoundError:
        raise KuzbassError("kuzbass optimise needs pymoo: pip install 'kuzbass[lab]'"
                           ) from None
