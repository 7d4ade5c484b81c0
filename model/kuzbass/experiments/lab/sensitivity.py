"""What do the results hang on?  Screening, shares of variance over time, behaviour modes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import KuzbassError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab.effects import (
    mode_scores,
    morris_effects,
    morris_points,
    pattern_measures,
    pattern_scores,
    sobol_indices,
    sobol_points,
    survivors,
    weighted,
)
from kuzbass.experiments.lab.evaluate import Lab, ShockAt, prepare_lab
from kuzbass.experiments.lab.futures import Futures
from kuzbass.experiments.lab.levers import check_value, find_lever, model_levers
from kuzbass.experiments.lab.sensitivity_plan import SensitivityPlan
from kuzbass.experiments.lab.workers import chunked, done, same_plan
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.experiments.run import Progress
from kuzbass.experiments.tables import write_csv
from kuzbass.region.scenario import LAST_YEAR, load_scenario
from kuzbass.sd import ensemble as sd
from kuzbass.sd.battery.patterns import behaviour_mode
from kuzbass.sd.kernel import ENGINE
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.sampling import Uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.sd.sampling import Distribution

    Array = NDArray[np.float64]

__all__ = ["SensitivityResult", "SensitivityStudy", "prepare_sensitivity", "run_sensitivity",
           "sensitivity_lines"]

PARAMETER, DRIVER, LEVER = "parameter", "driver", "lever"
_CHUNK = 256
_WORK = "work"
_DRAWN = (0.05, 0.95)  # quantiles of calibrated draws between which a parameter varies
_MOST_FAILED = 0.2


@dataclass(frozen=True)
class SensitivityStudy:
    """A plan made ready to run.

    Attributes
    ----------
    plan : SensitivityPlan
    lab : Lab
        Its metrics are the outputs, year by year.
    scenario : str
    kinds : mapping of str to str
        Factor to ``parameter``, ``driver`` or ``lever``.
    distributions : mapping of str to Distribution
    record : mapping
        Everything that decides the numbers.
    """

    plan: SensitivityPlan
    lab: Lab
    scenario: str
    kinds: Mapping[str, str]
    distributions: Mapping[str, Distribution]
    record: Mapping[str, Any]

    def evaluate(self, names: tuple[str, ...], unit: Array) -> Array:
        """Return the outputs (run, column) at points of the unit cube of some factors."""
        values = {name: self.distributions[name].values(unit[:, place])
                  for place, name in enumerate(names)}
        levers = [name for name in names if self.kinds[name] == LEVER]
        moves = self.lab.moves(
            levers, np.column_stack([values[name] for name in levers]),
            float(self.plan.start), self.plan.ramp) if levers else None
        futures = {name: column for name, column in values.items() if name not in levers}
        return self.lab.evaluate(moves, futures, scenario=self.scenario, threads=1)


@dataclass(frozen=True)
class _Sample:
    """Outputs at points of a sample: what a worker does."""

    study: SensitivityStudy
    names: tuple[str, ...]
    unit: Array

    def __call__(self, *task: Any) -> Array:
        first, last = task
        return self.study.evaluate(self.names, self.unit[first:last]).T


@dataclass(frozen=True)
class SensitivityResult:
    """What the results hang on.

    Attributes
    ----------
    title : mapping of str to str
    factors : DataFrame
        Factor, kind, low, high.
    screening : DataFrame
        Output (of its last year; of a loss, its deepest), factor, kind, mu, mu_star,
        mu_star_conf, sigma, ``kept``.
    indices : DataFrame
        Output, year (of a loss: years since the shock), factor, variance, S1, S1_conf, ST,
        ST_conf; intervals of 95 %.
    weighted : DataFrame
        The same, means over years weighted by variance.
    modes : DataFrame
        Mode, its share of the runs, factor, score, p.
    patterns : DataFrame
        Mode, measure, factor, runs, rank_correlation.
    units : mapping of str to str
        Of the outputs.
    base : int
        Points of the base sample at the end.
    converged : bool
        Whether the intervals of the weighted total effects are as narrow as was asked.
    failed : int
        Runs that did not stay finite.
    runs : int
        Runs of the model, twins under a shock not counted.
    manifest : mapping
    """

    title: Mapping[str, str]
    factors: pd.DataFrame = field(repr=False)
    screening: pd.DataFrame = field(repr=False)
    indices: pd.DataFrame = field(repr=False)
    weighted: pd.DataFrame = field(repr=False)
    modes: pd.DataFrame = field(repr=False)
    patterns: pd.DataFrame = field(repr=False)
    units: Mapping[str, str]
    base: int
    converged: bool
    failed: int
    runs: int
    manifest: Mapping[str, Any] = field(repr=False)


def prepare_sensitivity(
    plan: SensitivityPlan, file: Path, model: Model | None = None
) -> SensitivityStudy:
    """Check a plan against the model and compile.

    Raises
    ------
    InputError
        A scenario, lever, output, shock or factor that does not fit the model.
    """
    model = model or load_model()
    known = model_levers(model)
    distributions: dict[str, Distribution] = {}
    kinds: dict[str, str] = {}
    scenario = load_scenario(plan.scenario)
    until = max(plan.years[1], 2035)
    interface = model_interface(model, end=until + 1.0)
    futures = Futures.of_plan(plan.uncertain, interface, {"runs": 2, "method": "monte-carlo"})
    shocks = {name: ShockAt(one.shock, one.start) for name, one in plan.shocks.items()}
    metrics = {name: metric for name, (_, _, metric) in plan.metrics().items()}
    lab = _apart(prepare_lab({scenario.name: scenario}, metrics, shocks=shocks, futures=futures,
                             model=model, until=min(until, LAST_YEAR), file=file))
    for name, factor in lab.settings[scenario.name].factors.items():
        distributions[name] = factor.distribution
        kinds[name] = DRIVER if factor.kind == "scale" else PARAMETER
    for given, one in plan.levers.items():
        lever = find_lever(given, known, file, f"levers.{given}")
        for edge in one.range:
            check_value(lever, edge, file, f"levers.{given}.range")
        distributions[lever.name] = Uniform(low=one.range[0], high=one.range[1])
        kinds[lever.name] = LEVER
    record = {
        "plan": plan.model_dump(mode="json", by_alias=True),
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "scenarios": {scenario.name: scenario.record()},
        "engine": ENGINE, "time_step": model.time_step, "until": until, "seed": plan.seed,
        "versions": {**software_versions(), "SALib": version("SALib")},
    }
    return SensitivityStudy(plan, lab, scenario.name, kinds, distributions, record)


def _apart(lab: Lab) -> Lab:
    """Return a lab in which every drawn parameter is a factor of its own.

    Shares of variance have no meaning for factors that hang together, as those of a draw do.
    """
    if lab.rows is None:
        return lab
    low, high = np.quantile(lab.rows.table, _DRAWN, axis=0)
    own = {name: sd.Factor(Uniform(low=float(a), high=float(b)))
           for name, a, b in zip(lab.rows.names, low, high, strict=True) if a < b}
    settings = {name: replace(one, factors={
        **own, **{key: factor for key, factor in one.factors.items() if factor.kind != "row"}})
        for name, one in lab.settings.items()}
    return replace(lab, settings=settings)


def run_sensitivity(
    study: SensitivityStudy, folder: Path, *, threads: int | None = None,
    scheduler: str | None = None, progress: Progress | None = None,
) -> SensitivityResult:
    """Screen, decompose the variance and tell modes apart, into `folder`.

    What was done before an interruption is not done again.

    Raises
    ------
    InputError
        There is no such scheduler, or the folder holds the work of another plan.
    KuzbassError
        Too many runs fail.
    """
    plan, work = study.plan, folder / _WORK
    same_plan(work, study.record)

    def sample(names: tuple[str, ...], unit: Array, place: str, text: str, chunk: int) -> Array:
        return chunked(_Sample(study, names, unit), len(unit), chunk, work / place,
                       threads=threads, scheduler=scheduler, progress=progress, text=text)

    every = tuple(study.kinds)
    points = morris_points(every, plan.morris.trajectories, plan.morris.levels, plan.seed)
    values = _checked(sample(every, points, "morris", "screening", _CHUNK))
    screening = _screening(study, every, points, values)
    names = tuple(survivors(screening, plan.morris.keep, plan.morris.most))
    if not names:
        raise KuzbassError("no factor moves any output of the plan")
    base, converged = plan.sobol.base, False
    while True:
        unit = sobol_points(names, base, plan.seed)
        # Chunks of eight points of the base sample: those of a smaller base serve a larger one.
        found = _checked(sample(names, unit, "sobol", f"shares of variance, base {base}",
                                8 * (len(names) + 2)))
        indices = _indices(study, names, found)
        means = weighted(indices)
        converged = bool(means["ST_conf"].max() <= plan.sobol.halfwidth)
        if converged or 2 * base > plan.sobol.most:
            break
        base *= 2
    modes, patterns = _modes(study, names, unit, found)
    result = SensitivityResult(
        plan.title.model_dump(), _factor_table(study),
        screening.assign(kept=screening["factor"].isin(names)), indices, means, modes, patterns,
        _units(study), base, converged,
        int((~np.isfinite(values).all(axis=0)).sum() + (~np.isfinite(found).all(axis=0)).sum()),
        values.shape[1] + found.shape[1], study.record)
    tables = {"factors": result.factors, "screening": result.screening, "indices": indices,
              "weighted": means, "modes": modes, "patterns": patterns}
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    done(work)
    return result


def sensitivity_lines(result: SensitivityResult, folder: Path) -> list[str]:
    """Return what the command line says."""
    kept = result.screening.groupby("factor")["kept"].first().sum()
    lines = [f"{len(result.factors)} factors, {kept} of them kept; base sample {result.base}, "
             + ("converged." if result.converged else "intervals wider than asked.")]
    for output, own in result.weighted.groupby("output", sort=False):
        top = own.nlargest(3, "ST")
        lines.append(f"{output}: " + ", ".join(
            f"{row['factor']} {row['ST']:.2f} ± {row['ST_conf']:.2f}" for _, row in top.iterrows())
            + " (total effects)")
    if result.failed:
        lines.append(f"{result.failed} runs did not stay finite; their blocks are left out.")
    return [*lines, f"Written to {folder}"]


def _checked(values: Array) -> Array:
    failed = float((~np.isfinite(values).all(axis=0)).mean())
    if failed > _MOST_FAILED:
        raise KuzbassError(f"{failed:.0%} of the runs do not stay finite; narrower ranges are "
                           "needed")
    return values


def _columns(study: SensitivityStudy) -> dict[str, list[tuple[int, int]]]:
    """Return year and place of the columns of every output."""
    columns: dict[str, list[tuple[int, int]]] = {}
    for place, (output, year, _) in enumerate(study.plan.metrics().values()):
        columns.setdefault(output, []).append((year, place))
    return columns


def _screening(
    study: SensitivityStudy, names: tuple[str, ...], points: Array, values: Array
) -> pd.DataFrame:
    parts = []
    for output, columns in _columns(study).items():
        own = values[[place for _, place in columns]]
        # Of a loss the deepest, of a path its end.
        scalar = own.max(axis=0) if study.plan.outputs[output].loss_in else own[-1]
        parts.append(morris_effects(names, points, scalar, study.plan.morris.levels,
                                    study.plan.seed).assign(output=output))
    table = pd.concat(parts, ignore_index=True)
    table["kind"] = table["factor"].map(dict(study.kinds))
    return table[["output", "factor", "kind", "mu", "mu_star", "mu_star_conf", "sigma"]]


def _indices(study: SensitivityStudy, names: tuple[str, ...], values: Array) -> pd.DataFrame:
    parts = []
    for output, columns in _columns(study).items():
        for year, place in columns:
            own = values[place]
            parts.append(sobol_indices(names, own, study.plan.sobol.resamples, study.plan.seed)
                         .assign(output=output, year=year, variance=float(np.nanvar(own))))
    return pd.concat(parts, ignore_index=True)[
        ["output", "year", "factor", "variance", "S1", "S1_conf", "ST", "ST_conf"]]


def _modes(
    study: SensitivityStudy, names: tuple[str, ...], unit: Array, values: Array
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return scores of modes and of patterns, over the independent points of the sample."""
    columns = _columns(study)[study.plan.modes_of]
    first = np.arange(0, len(unit), len(names) + 2)  # the base point of every block
    paths = values[[place for _, place in columns]][:, first]
    good = np.isfinite(paths).all(axis=0)
    paths, points = paths[:, good], unit[first][good]
    modes = [behaviour_mode(path) for path in paths.T]
    measures = pattern_measures(paths, np.array([year for year, _ in columns], dtype=float))
    return (mode_scores(names, points, modes), pattern_scores(names, points, modes, measures))


def _factor_table(study: SensitivityStudy) -> pd.DataFrame:
    rows = [(name, study.kinds[name], *one.support())
            for name, one in study.distributions.items()]
    return pd.DataFrame(rows, columns=["factor", "kind", "low", "high"])


def _units(study: SensitivityStudy) -> dict[str, str]:
    return {output: study.lab.units[study.lab.names[columns[0][1]]]
            for output, columns in _columns(study).items()}
