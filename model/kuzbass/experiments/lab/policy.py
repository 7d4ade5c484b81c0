"""What would a policy change?  Policies x scenarios x shocks, each against its twin without."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import KuzbassError
from kuzbass.experiments.lab.levers import COSTS, Moves
from kuzbass.experiments.lab.metrics import oriented
from kuzbass.experiments.lab.plan import NONE, PolicyPlan
from kuzbass.experiments.lab.robustness import normalised, pareto
from kuzbass.experiments.lab.study import DEBT, REVENUE, Study, prepare
from kuzbass.experiments.output import output_folder
from kuzbass.experiments.scored_years import INDEX
from kuzbass.experiments.tables import write_csv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.experiments.run import Progress
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]

__all__ = ["NO_SHOCK", "PolicyResult", "policy", "policy_lines"]

NO_SHOCK = "none"
# Trajectories to show beside those of the costs.
SHOWN = ("real GRP index", "employed", "poverty rate", "coal output", "real fixed investment")
_DIGITS = 6  # of the span of a metric: smaller differences are none
_TOLD = 3

Draw = Callable[["PolicyResult", Path], object]


@dataclass(frozen=True)
class PolicyResult:
    """Policies and what they change.

    Attributes
    ----------
    plan : PolicyPlan
    titles : mapping of str to mapping
        Titles of the policies.
    metrics : DataFrame
        One row per scenario, shock, policy and metric: ``unit``, ``better`` (more or less),
        ``value``, ``twin`` (no policy), ``difference``, ``gain`` (difference, so that more is
        better, as a share of the span over the policies of the scenario and shock), ``meets``
        (whether a threshold of the plan holds; missing without one).
    summary : DataFrame
        One row per policy, best first: ``rank``, ``score`` (mean over metrics and scenarios of
        performance between 0, the worst policy, and 1, the best), ``dominated_by`` (policy that is
        nowhere worse and somewhere better, over all scenarios), ``front`` (number of scenarios in
        whose Pareto front it stands), ``gains`` and ``losses`` (metrics), a column per cost
        (mean over scenarios beyond the twin, bn RUB, discounted as the metric is).
    dominance : DataFrame
        Scenario, policy, ``dominated_by``.
    trajectories : DataFrame
        Scenario, shock, policy, variable, unit, year, value.
    notes : tuple of str
    manifest : mapping
    folder : Path
    """

    plan: PolicyPlan
    titles: Mapping[str, Mapping[str, str]]
    metrics: pd.DataFrame = field(repr=False)
    summary: pd.DataFrame = field(repr=False)
    dominance: pd.DataFrame = field(repr=False)
    trajectories: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    manifest: Mapping[str, Any] = field(repr=False)
    folder: Path


def policy(
    plan: PolicyPlan, file: Path, *, out: str | Path, keep: bool = False,
    command: str = "kuzbass policy", draw: Draw | None = None, progress: Progress | None = None,
    model: Model | None = None,
) -> PolicyResult:
    """Run every policy in every scenario, with and without every shock.

    Parameters
    ----------
    plan, file
        From `kuzbass.experiments.lab.plan.load_plan`.
    out, keep, command
        As in `kuzbass.experiments.output.output_folder`.
    draw : callable, optional
        Called with the result and the folder before the folder is put in its place.
    progress : callable, optional
        Told what is being done.
    model : Model, optional
        The shipped one if left out.

    Raises
    ------
    InputError
        See `kuzbass.experiments.lab.study.prepare`.
    """
    tell = progress or (lambda _text, _done, _total: None)
    began = time.perf_counter()
    tell("checking the plan", 0, 3)
    study = prepare(plan, file, SHOWN, model)
    with output_folder(out, keep=keep, command=command) as folder:
        tell("simulating", 1, 3)
        metrics = _metrics(study)
        dominance, summary = _summary(study, metrics)
        result = PolicyResult(plan, study.titles, metrics, summary, dominance,
                              _trajectories(study), _notes(study), study.record, folder.target)
        tell("writing tables, figures and report", 2, 3)
        tables = {"metrics": result.metrics, "summary": result.summary,
                  "dominance": result.dominance, "trajectories": result.trajectories}
        for name, table in tables.items():
            write_csv(table, folder.path / f"{name}.csv")
        folder.manifest.update(study.record)
        if draw is not None:
            draw(result, folder.path)
        folder.manifest["seconds"] = round(time.perf_counter() - began, 1)
    tell("done", 3, 3)
    return result


def _cases(study: Study) -> list[tuple[str, str | None]]:
    return [(scenario, shock) for scenario in study.lab.settings
            for shock in (None, *study.plan.shocks)]


def _metrics(study: Study) -> pd.DataFrame:
    lab, names = study.lab, list(study.policies)
    moves = Moves.stack(list(study.policies.values()), lab.levers)
    parts = []
    for scenario, shock in _cases(study):
        values = lab.evaluate(moves, scenario=scenario, shock=shock)
        for broken in np.flatnonzero(~np.isfinite(values).all(axis=1)):
            raise KuzbassError(f"{names[broken]} in {scenario}: the run does not stay finite")
        for place, (name, metric) in enumerate(lab.metrics.items()):
            own = values[:, place]
            met = [one.met(own) for one in study.plan.thresholds if one.metric == name]
            parts.append(pd.DataFrame({
                "scenario": scenario, "shock": shock or NO_SHOCK, "policy": names, "metric": name,
                "unit": lab.units[name], "better": metric.better, "value": own, "twin": own[0],
                "difference": own - own[0],
                "gain": _share_of_span(oriented(metric, own - own[0]), own),
                "meets": pd.array(np.all(met, axis=0) if met else [pd.NA] * len(own),
                                  dtype="boolean")}))
    return pd.concat(parts, ignore_index=True)


def _share_of_span(change: Array, values: Array) -> Array:
    span = float(np.ptp(values))
    return change / span if span > 0.0 else np.zeros_like(change)


def _summary(study: Study, metrics: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return who dominates whom in each scenario, and the ranked summary."""
    names = list(study.policies)
    calm = metrics[metrics["shock"] == NO_SHOCK]
    scores, performances, rows = [], [], []
    for scenario, own in calm.groupby("scenario", sort=False):
        performance = _performance(study, own)
        scores.append(performance.mean(axis=1))
        performances.append(performance)
        rows += [{"scenario": scenario, "policy": name,
                  "dominated_by": names[by] if by is not None else ""}
                 for name, by in zip(names, pareto(performance), strict=True)]
    dominance = pd.DataFrame(rows)
    everywhere = pareto(np.concatenate(performances, axis=1))
    score = np.mean(scores, axis=0)
    gains = calm.pivot_table("gain", "metric", "policy", sort=False)
    table = pd.DataFrame({
        "policy": names, "score": score,
        "dominated_by": [names[by] if by is not None else "" for by in everywhere],
        "front": [int(((dominance["policy"] == name) & (dominance["dominated_by"] == "")).sum())
                  for name in names],
        "gains": [_strongest(gains[name], 1.0) for name in names],
        "losses": [_strongest(gains[name], -1.0) for name in names],
        **_costs(study, calm),
    }).sort_values("score", ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return dominance, table


def _performance(study: Study, own: pd.DataFrame) -> Array:
    """Return performance between 0 and 1 of each policy in each metric, (policy, metric)."""
    columns = []
    for name, metric in study.lab.metrics.items():
        values = own.loc[own["metric"] == name, "value"].to_numpy(float)
        columns.append(normalised(oriented(metric, values)))
    return np.asarray(np.round(np.stack(columns, axis=1), _DIGITS), dtype=np.float64)


def _strongest(gains: pd.Series, sign: float) -> str:
    """Return the metrics that change most in one direction, the strongest first."""
    side = (sign * gains).sort_values(ascending=False, kind="stable")
    return ", ".join(str(name) for name in side[side > 0.05].index[:_TOLD])


def _costs(study: Study, calm: pd.DataFrame) -> dict[str, list[float]]:
    columns = {}
    for name, metric in study.lab.metrics.items():
        if metric.of in COSTS:
            mean = calm[calm["metric"] == name].groupby("policy")["difference"].mean()
            columns[name] = [float(mean[one]) for one in study.policies]
    return columns


def _trajectories(study: Study) -> pd.DataFrame:
    lab, names = study.lab, list(study.policies)
    units = {one.name: one.unit for one in lab.reduction.series}
    moves = Moves.stack(list(study.policies.values()), lab.levers)
    shown = dict.fromkeys((INDEX, *SHOWN, REVENUE, DEBT, *COSTS))
    parts = []
    for scenario, shock in _cases(study):
        annual = lab.annual(moves, scenario=scenario, shock=shock)
        for variable in shown:
            values = annual[variable]  # (year, policy)
            parts.append(pd.DataFrame({
                "scenario": scenario, "shock": shock or NO_SHOCK,
                "policy": np.repeat(names, len(lab.years)), "variable": variable,
                "unit": units[variable], "year": np.tile(lab.years.astype(int), len(names)),
                "value": values.T.ravel()}))
    return pd.concat(parts, ignore_index=True)


def _notes(study: Study) -> tuple[str, ...]:
    return (
        "The score is the mean over metrics and scenarios of performance between 0, the worst of "
        "these policies, and 1, the best; all metrics weigh alike. Other weights give other "
        "ranks: what dominates does not depend on them.",
        "Costs are those beyond the twin without policy, federal money apart. A policy sets a "
        "lever; where the scenario moves that lever already, the twin does too.",
        f"{len(study.policies)} policies in the central future alone; how they do in others is "
        "the question of kuzbass robust.",
    )


def policy_lines(result: PolicyResult) -> list[str]:
    """Return the ranked summary as lines of text."""
    width = max(len(name) for name in result.summary["policy"])
    lines = []
    for _, row in result.summary.iterrows():
        told = f"dominated by {row['dominated_by']}" if row["dominated_by"] else (
            f"gains: {row['gains'] or NONE}; losses: {row['losses'] or NONE}")
        lines.append(f"{row['rank']:2d}. {row['policy']:{width}s} {row['score']:.2f}  {told}")
    return [*lines, *result.notes, f"Written to {result.folder}"]
