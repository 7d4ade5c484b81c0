"""Would a policy still work if the world turns out differently?  Policies in sampled futures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import KuzbassError
from kuzbass.experiments.lab import discovery, robustness
from kuzbass.experiments.lab.evaluate import BLOCK, Lab
from kuzbass.experiments.lab.levers import Moves
from kuzbass.experiments.lab.metrics import oriented
from kuzbass.experiments.lab.plan import RobustPlan
from kuzbass.experiments.lab.study import Study
from kuzbass.experiments.results import QUANTILES
from kuzbass.experiments.tables import write_csv
from kuzbass.sd import ensemble as sd
from kuzbass.sd.ensemble.drive import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.sd.kernel import NonFinite

    Array = NDArray[np.float64]

__all__ = ["ALL_THRESHOLDS", "PolicyMembers", "RobustResult", "members_of", "robust_lines",
           "run_robust"]

CHUNK = 512
ALL_THRESHOLDS = "all"
_REGRET = 0.9
_DRAW = "draw"


@dataclass(frozen=True)
class PolicyMembers(sd.Members):
    """Policies as an ensemble: a case per scenario and policy, the metrics as its series.

    Attributes
    ----------
    lab : Lab
    moves : tuple of Moves
        Of each case.
    """

    lab: Lab = field(kw_only=True, repr=False)
    moves: tuple[Moves, ...] = field(kw_only=True, repr=False)

    def part(self, case: int, first: int, last: int, threads: int | None = 1) -> sd.Part:
        """Evaluate the futures `first` to `last` - 1 under a policy."""
        del threads  # a chunk is the work of one
        own = self.cases[case]
        factors = self._factors(own, first, last)
        setting = self.lab.settings[own.labels["scenario"]]
        values = np.empty((1, len(self.lab.metrics), last - first))
        bad: list[NonFinite] = []
        for start in range(first, last, BLOCK):
            runs = slice(start - first, min(start + BLOCK, last) - first)
            columns = {name: column[runs] for name, column in factors.items()}
            values[0, :, runs], worse = self.lab.block(
                setting, self.moves[case], columns, runs.stop - runs.start, trace=True)
            bad += [type(one)(start + one.member, one.variable, one.time) for one in worse]
        return sd.Part(case, first, factors, values, tuple(bad))


@dataclass(frozen=True)
class RobustResult:
    """Policies in many futures.

    Attributes
    ----------
    plan : RobustPlan
    titles : mapping of str to mapping
    values : ndarray (policy, future, metric)
        Futures in which every policy stays finite, those of all scenarios in a row.
    futures : DataFrame
        Their factors: ``scenario``, ``run``, one column per factor, draws taken apart.
    policies, metrics : tuple of str
    units : mapping of str to str
    performance : DataFrame
        Policy, metric, unit, better, mean, ``q05`` to ``q95``.
    robustness : DataFrame
        Policy, metric, unit, and a column per metric of robustness in the direction "more is
        better" of the metric; mean-variance on normalised performance, satisficing of all
        thresholds together; ``rank ...`` of each.
    satisficing : DataFrame
        Policy, threshold (in words, or ``all``), share of futures that meet it.
    agreement : DataFrame
        Kendall's tau of the rankings of the policies: ``of`` (between ``robustness`` or
        ``performance``), ``held`` (what is held), ``one``, ``other``, ``tau``.
    boxes, peeling : DataFrame
        Failure, policy, method, box, coverage, density, mass, factor, low, high, quasi_p,
        reproduced; and the trajectories of PRIM.
    scores : DataFrame
        Failure, policy, factor, score: how well the factor tells failures from other futures.
    nonfinite : DataFrame
    notes : tuple of str
    manifest : mapping
    """

    plan: RobustPlan
    titles: Mapping[str, Mapping[str, str]]
    values: Array = field(repr=False)
    futures: pd.DataFrame = field(repr=False)
    policies: tuple[str, ...]
    metrics: tuple[str, ...]
    units: Mapping[str, str]
    performance: pd.DataFrame = field(repr=False)
    robustness: pd.DataFrame = field(repr=False)
    satisficing: pd.DataFrame = field(repr=False)
    agreement: pd.DataFrame = field(repr=False)
    boxes: pd.DataFrame = field(repr=False)
    peeling: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    nonfinite: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    manifest: Mapping[str, Any] = field(repr=False)

    def oriented(self, metric: str) -> Array:
        """Return a metric so that more is better, (policy, future)."""
        place = self.metrics.index(metric)
        return oriented(self.plan.all_metrics[metric], self.values[:, :, place])

    def regret(self, metric: str) -> Array:
        """Return the regret of every policy in every future, (policy, future)."""
        return robustness.regret(self.oriented(metric))

    def fails(self, failure: str, policy: str) -> NDArray[np.bool_]:
        """Return in which futures a policy fails, (future,)."""
        case = self.plan.boxes.failures[failure]
        own = self.values[self.policies.index(policy), :, self.metrics.index(case.metric)]
        return case.met(own)


def members_of(study: Study) -> PolicyMembers:
    """Return the runs of a study."""
    lab, futures = study.lab, study.futures
    assert futures is not None  # a plan of this kind has them
    cases, moves = [], []
    for scenario, setting in lab.settings.items():
        for name, one in study.policies.items():
            cases.append(sd.Case(f"{scenario}-{name}", setting.inputs, setting.factors,
                                 {"scenario": scenario, "policy": name}))
            moves.append(one)
    series = tuple(sd.Series(name, lab.units[name]) for name in lab.names)
    reduction = sd.SavedTimes(series, lab.years[-1:])
    return PolicyMembers(lab.kernel, futures.design, tuple(cases), reduction, futures.opening,
                         futures.rows, lab=lab, moves=tuple(moves))


def run_robust(
    study: Study, folder: Path, *, threads: int | None = None, scheduler: str | None = None,
    chunk: int = CHUNK, progress: Progress | None = None,
) -> RobustResult:
    """Run a study into `folder`, where an interrupted one goes on.

    Parameters
    ----------
    study : Study
        Of a `RobustPlan`.
    folder : Path
        Gets ``runs/`` (every run with its factors and metrics) and the tables of the result.
    threads, scheduler, progress
        See `kuzbass.sd.ensemble.run_ensemble`.
    chunk : int
        Futures of a policy that an interruption may cost; changes no number.

    Raises
    ------
    InputError
        The folder belongs to another plan or cannot be written, there is no such scheduler, or
        the EMA Workbench is missing.
    KuzbassError
        Workers keep dying, or in no future all policies stay finite.
    """
    discovery.require()
    members = members_of(study)
    store = sd.Store(folder, members, study.record, chunk=chunk,
                     scalars=(float(members.reduction.time[0]),))
    try:
        sd.run_ensemble(members, store, threads=threads, scheduler=scheduler, progress=progress)
    finally:
        if store.empty:
            store.close()
    if progress is not None:
        progress("looking for boxes", 0, 0)
    result = _results(study, members, store, folder)
    tables = {name: getattr(result, name) for name in (
        "performance", "robustness", "satisficing", "agreement", "boxes", "peeling", "scores",
        "nonfinite")}
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    store.close()
    return result


def _results(
    study: Study, members: PolicyMembers, store: sd.Store, folder: Path
) -> RobustResult:
    plan, lab = study.plan, study.lab
    assert isinstance(plan, RobustPlan)  # what `members_of` asks for too
    values, futures = _collect(study, folder)
    if not values.shape[1]:
        raise KuzbassError(f"in no future do all policies stay finite; see {folder / 'runs'}")
    policies = tuple(study.policies)
    boxes, peeling, scores, notes = _boxes(plan, lab, values, futures, policies)
    labels = {case.name: case.labels for case in members.cases}
    bad = pd.DataFrame([{**labels[name], "run": run, "variable": variable, "time": moment}
                        for name, run, variable, moment in store.nonfinite()],
                       columns=["scenario", "policy", "run", "variable", "time"])
    table = _robustness(plan, lab, values, policies)
    if len(bad):
        notes += (f"{bad.groupby(['scenario', 'run']).ngroups} futures are left out for all "
                  "policies, because a run did not stay finite: see nonfinite.csv.",)
    return RobustResult(
        plan, study.titles, values, futures, policies, lab.names, lab.units,
        _performance(lab, values, policies), table, _satisficing(plan, lab, values, policies),
        _agreement(plan, table, policies), boxes, peeling, scores, bad, notes,
        {**study.record, "futures": int(values.shape[1])})


def _collect(study: Study, folder: Path) -> tuple[Array, pd.DataFrame]:
    """Read the runs: values (policy, future, metric) and the factors of the futures."""
    lab = study.lab
    ending = f" {lab.years[-1]:g}"
    values, futures = [], []
    for scenario in lab.settings:
        tables = [pd.read_parquet(folder / "runs" / f"{scenario}-{name}").sort_values("run")
                  for name in study.policies]
        finite = np.all([table["finite"] for table in tables], axis=0)
        columns = [f"{name}{ending}" for name in lab.names]
        values.append(np.stack([table.loc[finite, columns].to_numpy(float) for table in tables]))
        factors = tables[0].loc[finite, ["scenario", "run", *lab.settings[scenario].factors]]
        futures.append(_apart(factors.reset_index(drop=True), lab))
    return np.concatenate(values, axis=1), pd.concat(futures, ignore_index=True)


def _apart(factors: pd.DataFrame, lab: Lab) -> pd.DataFrame:
    """Put the parameters of a draw in the place of its number."""
    if lab.rows is None or _DRAW not in factors:
        return factors
    rows = lab.rows.table[factors[_DRAW].to_numpy(int)]
    return pd.concat([factors.drop(columns=_DRAW),
                      pd.DataFrame(rows, columns=list(lab.rows.names))], axis=1)


def _performance(lab: Lab, values: Array, policies: tuple[str, ...]) -> pd.DataFrame:
    levels = np.quantile(values, list(QUANTILES.values()), axis=1)  # (level, policy, metric)
    rows = [{"policy": policy, "metric": name, "unit": lab.units[name],
             "better": lab.metrics[name].better, "mean": values[p, :, m].mean(),
             **dict(zip(QUANTILES, levels[:, p, m], strict=True))}
            for p, policy in enumerate(policies) for m, name in enumerate(lab.names)]
    return pd.DataFrame(rows)


def _robustness(
    plan: RobustPlan, lab: Lab, values: Array, policies: tuple[str, ...]
) -> pd.DataFrame:
    together = robustness.satisficing(_met(plan, lab, values))
    parts = []
    for place, (name, metric) in enumerate(lab.metrics.items()):
        performance = oriented(metric, values[:, :, place])
        columns = {
            "maximin": robustness.maximin(performance),
            "percentile": robustness.percentile(performance, plan.quantile),
            "mean-variance": robustness.mean_variance(robustness.normalised(performance)),
            "minimax regret": robustness.regret_quantile(performance),
            "90th percentile regret": robustness.regret_quantile(performance, _REGRET),
            "satisficing": together,
        }
        parts.append(pd.DataFrame({
            "policy": policies, "metric": name, "unit": lab.units[name], **columns,
            **{f"rank {one}": _ranks(column, good=robustness.CLASSES[one][1])
               for one, column in columns.items()}}))
    return pd.concat(parts, ignore_index=True)


def _met(plan: RobustPlan, lab: Lab, values: Array) -> NDArray[np.bool_]:
    """Return which thresholds are met, (threshold, policy, future)."""
    return np.array([one.met(values[:, :, lab.names.index(one.metric)])
                     for one in plan.thresholds])


def _ranks(column: Array, *, good: bool) -> Array:
    """Return ranks, 1 the best, the mean of the places for equals; missing where nothing is."""
    return np.asarray(pd.Series(column).rank(ascending=not good), dtype=np.float64)


def _satisficing(
    plan: RobustPlan, lab: Lab, values: Array, policies: tuple[str, ...]
) -> pd.DataFrame:
    met = _met(plan, lab, values)
    shares = {one.told(): robustness.satisficing(met[[place]])
              for place, one in enumerate(plan.thresholds)}
    shares[ALL_THRESHOLDS] = robustness.satisficing(met)
    return pd.DataFrame([{"policy": policy, "threshold": told, "share": share[place]}
                         for told, share in shares.items()
                         for place, policy in enumerate(policies)])


def _agreement(
    plan: RobustPlan, table: pd.DataFrame, policies: tuple[str, ...]
) -> pd.DataFrame:
    """Return how alike the rankings are, for each metric and for each metric of robustness."""
    kinds = list(robustness.CLASSES)
    ranks = {kind: -table.pivot_table(f"rank {kind}", "policy", "metric", sort=False)
             .reindex(policies).reindex(columns=list(plan.metrics)) for kind in kinds}
    parts = [_pairs("robustness", metric, kinds,
                    np.column_stack([ranks[kind][metric] for kind in kinds]))
             for metric in plan.metrics]
    parts += [_pairs("performance", kind, list(plan.metrics), ranks[kind].to_numpy(float))
              for kind in kinds]
    return pd.concat(parts, ignore_index=True)


def _pairs(of: str, held: str, names: list[str], columns: Array) -> pd.DataFrame:
    tau = robustness.rank_agreement(columns)
    return pd.DataFrame([{"of": of, "held": held, "one": one, "other": other, "tau": tau[i, j]}
                         for i, one in enumerate(names) for j, other in enumerate(names)])


def _boxes(
    plan: RobustPlan, lab: Lab, values: Array, futures: pd.DataFrame, policies: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Look for boxes of every failure under every policy that the plan asks for."""
    x = futures.drop(columns=["scenario", "run"]).astype(float)
    if len(plan.scenarios) > 1:
        # The factor on a driver is one on the path of its own scenario.
        x = x.assign(**{f"scenario {name}": (futures["scenario"] == name).astype(float)
                        for name in futures["scenario"].unique()})
    rows, peeling, scores, notes = [], [], [], []
    for failure, case in plan.boxes.failures.items():
        for policy in plan.boxes.policies:
            own = values[policies.index(policy), :, lab.names.index(case.metric)]
            y = case.met(own)
            cases = int(y.sum())
            told = f"{failure} ({case.told()}) under {policy}: {cases} of {len(y)} futures"
            if min(cases, len(y) - cases) < discovery.CASES:
                notes.append(f"{told}; no box is looked for.")
                continue
            notes.append(f"{told}.")
            key = {"failure": failure, "policy": policy}
            strongest = discovery.scores(x, y)
            scores.append(strongest.rename_axis("factor").reset_index(name="score").assign(**key))
            some = x[list(strongest.index[:plan.boxes.factors])]
            found = discovery.prim_box(some, y, plan.boxes)
            peeling.append(found.trajectory.assign(**key))
            for number, box in enumerate([found, *discovery.cart_boxes(some, y, plan.boxes)]):
                rows.append(box.limits.assign(
                    **key, method=box.method, box=number, cases=cases, coverage=box.coverage,
                    density=box.density, mass=box.mass))
    columns = ["failure", "policy", "method", "box", "cases", "coverage", "density", "mass",
               "factor", "low", "high", "quasi_p", "reproduced"]
    steps = ["failure", "policy", "coverage", "density", "mass", "restrictions", "chosen"]
    return (_joined(rows, columns), _joined(peeling, steps),
            _joined(scores, ["failure", "policy", "factor", "score"]), tuple(notes))


def _joined(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]


def robust_lines(result: RobustResult, folder: Path) -> list[str]:
    """Return what was found as lines of text; worst case and regret with more as better."""
    head = result.plan.headline
    own = result.robustness[result.robustness["metric"] == head].set_index("policy")
    every = result.satisficing[result.satisficing["threshold"] == ALL_THRESHOLDS]
    share = every.set_index("policy")["share"]
    width = max(len(name) for name in result.policies)
    lines = [f"{len(result.futures)} futures, {len(result.policies)} policies; {head}:"]
    for name in own["maximin"].sort_values(ascending=False).index:
        row = own.loc[name]
        lines.append(f"  {name:{width}s} worst {row['maximin']:.2f}, largest regret "
                     f"{row['minimax regret']:.2f}, meets all thresholds in {share[name]:.0%}")
    return [*lines, *result.notes, f"Written to {folder}"]


