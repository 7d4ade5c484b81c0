"""What the project found: the shipped plans run together, for one page.

Nothing here is a new experiment: a replay, the scenarios, the inverse question, policies in many
futures and the sensitivity are those of their own commands, with the plans that stand on disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.experiments import replay as crises
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab import attain as inverse
from kuzbass.experiments.lab import robust as futures
from kuzbass.experiments.lab import sensitivity as factors
from kuzbass.experiments.lab.attain_plan import DEFAULT_PLAN as ATTAIN
from kuzbass.experiments.lab.attain_plan import AttainPlan
from kuzbass.experiments.lab.levers import COSTS
from kuzbass.experiments.lab.metrics import oriented
from kuzbass.experiments.lab.plan import NONE, RobustPlan, change_plan, load_plan
from kuzbass.experiments.lab.plan_files import check_plan, read_plan
from kuzbass.experiments.lab.robustness import normalised, pareto
from kuzbass.experiments.lab.sensitivity_plan import DEFAULT_PLAN as SENSITIVITY
from kuzbass.experiments.lab.sensitivity_plan import SensitivityPlan
from kuzbass.experiments.lab.study import prepare
from kuzbass.experiments.lab.years import scored_years
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.experiments.results import Comparison
from kuzbass.experiments.run import (
    END_YEAR,
    Progress,
    check_scenario,
    load_scenarios,
    simulate_scenario,
)
from kuzbass.experiments.score import annual_statistics, compare, observed_index, score
from kuzbass.experiments.scored_years import INDEX
from kuzbass.experiments.tables import write_csv
from kuzbass.experiments.uncertain import Uncertain
from kuzbass.region.claims import OBSERVED, index_claims
from kuzbass.region.data import read_table
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import Scenario
from kuzbass.sd.mdl import Model, load_model

__all__ = ["FULL", "QUICK", "REPLAYED", "Findings", "Sizes", "run_findings"]

REPLAYED = 2020
ROBUST = "robust"
# The links of the chain in the order in which the paper tells it; others with a bar follow.
_CHAIN = ("exports_total", "coal_production_total", "grp_real_index", "budget_profit_tax",
          "budget_own_revenue", "fixed_investment_real_index", "employed_avg_annual")
_CLAIM = ["claim", "scenario", "against"]
_DIGITS = 6  # of the span of a metric: smaller differences are none
_BLOCK = 64  # runs at a time


@dataclass(frozen=True)
class Sizes:
    """How much is run; what is ``None`` stands in the plan.

    Attributes
    ----------
    draws : int
        Runs of each scenario over the parameters.
    futures, trajectories, base : int or None
        Of the plans robust and sensitivity.
    causes : int or None
        Drivers, and levers, that may move in the plan attain.
    scenarios : int or None
        Of those with targets of the paper, how many are asked what their targets would take.
    """

    draws: int
    futures: int | None = None
    trajectories: int | None = None
    base: int | None = None
    causes: int | None = None
    scenarios: int | None = None


FULL = Sizes(400)
QUICK = Sizes(16, futures=64, trajectories=4, base=8, causes=2, scenarios=1)


@dataclass(frozen=True)
class Findings:
    """Everything that the page tells.

    Attributes
    ----------
    replay : ReplayResult
        Of the crisis `REPLAYED`.
    chain : DataFrame
        Its links: series, label, kind, observed, simulated, without, bar, inside.
    titles : mapping of str to str
        Of the scenarios, in English.
    comparison : Comparison
        The scenarios against targets, claims and history.
    claims : DataFrame
        As `kuzbass.region.claims.index_claims`, and ``draw_share``: share of the runs over the
        parameters in which the claim holds, default list.
    varied : str
        What varies in these runs, in plain words.
    draws : int
        Those of them that stay finite in all scenarios.
    attained : mapping of str to AttainResult
        By scenario that has targets.
    robust : RobustResult
    scaled : frozenset of str
        Its factors that multiply a path.
    policies : DataFrame
        One row per policy, in the order of the plan: ``title``, ``regret`` (the largest, of the
        headline), ``regret_rank``, ``percentile_rank``, ``satisficing``, ``satisficing_rank``,
        ``loss`` (mean loss in the crisis), a column per cost (mean beyond no policy),
        ``dominated_by``.
    sensitivity : SensitivityResult
    misses : DataFrame
        ``known_misses.csv``.
    plans : tuple of str
        The plan files.
    quick : bool
        Whether the sizes are smaller than those of the plans.
    manifest : mapping
    """

    replay: crises.ReplayResult = field(repr=False)
    chain: pd.DataFrame = field(repr=False)
    titles: Mapping[str, str]
    comparison: Comparison = field(repr=False)
    claims: pd.DataFrame = field(repr=False)
    varied: str
    draws: int
    attained: Mapping[str, inverse.AttainResult] = field(repr=False)
    robust: futures.RobustResult = field(repr=False)
    scaled: frozenset[str] = field(repr=False)
    policies: pd.DataFrame = field(repr=False)
    sensitivity: factors.SensitivityResult = field(repr=False)
    misses: pd.DataFrame = field(repr=False)
    plans: tuple[str, ...]
    quick: bool
    manifest: Mapping[str, Any] = field(repr=False)


def run_findings(
    folder: Path, *, sizes: Sizes = FULL, threads: int | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Run the shipped plans and write the tables behind the page into `folder`.

    Parameters
    ----------
    folder : Path
        Policies in futures and the sensitivity go on there where they were interrupted.
    sizes : Sizes
    threads : int, optional
        All processors if left out.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    InputError
        A plan does not fit the model, the folder holds the work of another model or plan, or the
        model file changes meanwhile.
    """
    tell = progress or (lambda _text, _done, _total: None)
    model = load_model()
    tell("replaying the crisis", 0, 0)
    replay = crises.replay(REPLAYED, out=folder / "replay")
    _same_model(model, replay.manifest)
    tell("scenarios and claims", 0, 0)
    scenarios = load_scenarios()
    comparison = _comparison(model, scenarios)
    claims, varied, draws = _claims(model, scenarios, comparison, sizes.draws)
    robust, scaled, robust_file = _robust(model, folder / ROBUST, sizes, threads, progress)
    sensitivity, sensitivity_file = _sensitivity(model, folder / SENSITIVITY, sizes, threads,
                                                 progress)
    attained, attain_file = _attained(model, folder, sizes, progress)
    found = Findings(
        replay, _chain(replay), {name: one.own.title.en for name, one in scenarios.items()},
        comparison, claims, varied, draws, attained, robust, scaled, _policies(robust),
        sensitivity, read_table("known_misses.csv"),
        (attain_file, robust_file, sensitivity_file), sizes != FULL, _record(model, sizes))
    tables = {"chain": found.chain, "claims": claims, "targets": comparison.targets,
              "distance": comparison.distance, "fit": comparison.fit, "policies": found.policies}
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    return found


def _same_model(model: Model, record: Mapping[str, Any]) -> None:
    """Refuse to mix results: the replay reads the model file for itself."""
    if record["model"]["sha256"] != model.sha256:
        raise InputError("changed while the findings were made", file=model.path,
                         allowed="a file that stays as it is")


def _chain(replay: crises.ReplayResult) -> pd.DataFrame:
    """Return the links of the chain, and every other series with a bar."""
    table = replay.changes[(replay.changes["since"] == replay.first - 1)
                           & (replay.changes["year"] == replay.first)].set_index("series")
    barred = table.index[table["inside"].notna()]
    order = [*(name for name in _CHAIN if name in table.index),
             *(name for name in barred if name not in _CHAIN)]
    columns = ["label", "kind", "observed", "simulated", "without", "bar", "inside"]
    return table.loc[order, columns].reset_index()


def _comparison(model: Model, scenarios: Mapping[str, Scenario]) -> Comparison:
    statistics = {name: annual_statistics(simulate_scenario(model, one))
                  for name, one in scenarios.items()}
    return compare(statistics, {name: score(table) for name, table in statistics.items()})


def _claims(
    model: Model, scenarios: Mapping[str, Scenario], comparison: Comparison, runs: int
) -> tuple[pd.DataFrame, str, int]:
    """Return the claims with the share of draws, what varies, and how many draws are finite."""
    own = {name: scenarios[name] for name in _with_targets()}
    drawn, varied = _drawn_index(model, own, runs)
    count = next(iter(drawn.values())).shape[1]
    observed = observed_index()
    every = {OBSERVED: pd.DataFrame(
        np.repeat(observed[["index"]].to_numpy(float), count, axis=1), observed.index)}
    # A draw takes the place of a list: the share that comes back is that of the draws.
    shares = index_claims({name: table.set_axis(["index", *range(1, count)], axis=1)
                           for name, table in drawn.items()}, observed, {**every, **drawn})
    shares = shares.rename(columns={"family_share": "draw_share"})[[*_CLAIM, "draw_share"]]
    return comparison.index_claims.merge(shares, on=_CLAIM, how="left"), varied, count


def _drawn_index(
    model: Model, scenarios: Mapping[str, Scenario], runs: int
) -> tuple[dict[str, pd.DataFrame], str]:
    """Return the index of every scenario, year by draw, and what varies."""
    interface = model_interface(model, end=END_YEAR + 1.0)
    inputs = {}
    for name, scenario in scenarios.items():
        check_scenario(model, scenario)
        inputs[name] = resolve(scenario, interface)
    fixed = [key for one in inputs.values() for key in one if key in interface.parameters]
    uncertain = Uncertain(model, interface, fixed, runs)
    reduction = scored_years(model, (), interface.grid)
    moving = [key for one in inputs.values() for key, value in one.items()
              if isinstance(value, pd.Series) and key not in interface.drivers]
    cases = [uncertain.case(name, one) for name, one in inputs.items()]
    members = uncertain.members(cases, reduction.outputs, moving, reduction)
    place = [one.name for one in reduction.series].index(INDEX)
    values, finite = [], np.ones(members.runs, dtype=np.bool_)
    for number in range(len(cases)):
        parts = [members.part(number, first, min(first + _BLOCK, members.runs), threads=None)
                 for first in range(0, members.runs, _BLOCK)]
        values.append(np.concatenate([one.values[:, place] for one in parts], axis=1))
        finite &= np.concatenate([one.finite for one in parts])
    years = pd.Index(reduction.time.astype(int), name="year")
    return {name: pd.DataFrame(own[:, finite], years)
            for name, own in zip(inputs, values, strict=True)}, uncertain.parameters


def _with_targets() -> list[str]:
    return list(dict.fromkeys(read_table("targets.csv")["scenario"]))


def _attained(
    model: Model, folder: Path, sizes: Sizes, progress: Progress | None
) -> tuple[dict[str, inverse.AttainResult], str]:
    plan, file = read_plan(AttainPlan, ATTAIN)
    if sizes.causes is not None:
        kept = {"drivers": dict(list(plan.drivers.items())[:sizes.causes]),
                "levers": dict(list(plan.levers.items())[:sizes.causes]),
                "knots": plan.knots[-1:]}
        plan = check_plan(AttainPlan, {**plan.model_dump(mode="python"), **kept}, file)
    published = read_table("index_published.csv")
    strategy = published.loc[published["item"] == inverse.STRATEGY, "scenario"]
    found = {}
    for name in (*_with_targets()[:sizes.scenarios], *strategy):
        found[name] = inverse.attain(plan, file, name, model=model, progress=progress)
        place = folder / f"{ATTAIN}-{name}"
        place.mkdir(exist_ok=True)
        inverse.write_attain(found[name], place)
    return found, file.name


def _robust(
    model: Model, folder: Path, sizes: Sizes, threads: int | None, progress: Progress | None
) -> tuple[futures.RobustResult, frozenset[str], str]:
    plan, file = load_plan(RobustPlan, ROBUST)
    study = prepare(change_plan(plan, file, {"futures.runs": sizes.futures}), file, model=model)
    folder.mkdir(exist_ok=True)
    result = futures.run_robust(study, folder, threads=threads, progress=progress)
    scaled = frozenset(name for setting in study.lab.settings.values()
                       for name, one in setting.factors.items() if one.kind == "scale")
    return result, scaled, file.name


def _policies(result: futures.RobustResult) -> pd.DataFrame:
    """Return what the page says of each policy."""
    plan = result.plan
    own = result.robustness[result.robustness["metric"] == plan.headline].set_index("policy")
    mean = result.performance.pivot_table("mean", "policy", "metric", sort=False)
    loss = next(name for name in plan.metrics if plan.all_metrics[name].loss_in is not None)
    costs = [name for name in plan.metrics if plan.all_metrics[name].of in COSTS]
    performance = np.stack([np.round(normalised(oriented(
        plan.all_metrics[name], mean[name].loc[list(result.policies)].to_numpy(float))), _DIGITS)
        for name in plan.metrics], axis=1)
    names = list(result.policies)
    return pd.DataFrame({
        "policy": names,
        "title": [result.titles[name]["en"] for name in names],
        "regret": own.loc[names, "minimax regret"].to_numpy(float),
        "regret_rank": own.loc[names, "rank minimax regret"].to_numpy(float),
        "percentile_rank": own.loc[names, "rank percentile"].to_numpy(float),
        "satisficing": own.loc[names, "satisficing"].to_numpy(float),
        "satisficing_rank": own.loc[names, "rank satisficing"].to_numpy(float),
        "loss": mean.loc[names, loss].to_numpy(float),
        **{name: (mean[name] - mean[name][NONE]).loc[names].to_numpy(float) for name in costs},
        "dominated_by": [names[by] if by is not None else "" for by in pareto(performance)],
    })


def _sensitivity(
    model: Model, folder: Path, sizes: Sizes, threads: int | None, progress: Progress | None
) -> tuple[factors.SensitivityResult, str]:
    plan, file = read_plan(SensitivityPlan, SENSITIVITY)
    if sizes.trajectories is not None and sizes.base is not None:
        data = plan.model_dump(mode="python", by_alias=True)
        data["morris"] |= {"trajectories": sizes.trajectories, "most": 3}
        data["sobol"] |= {"base": sizes.base, "most": sizes.base}
        plan = check_plan(SensitivityPlan, data, file)
    study = factors.prepare_sensitivity(plan, file, model)
    folder.mkdir(exist_ok=True)
    return factors.run_sensitivity(study, folder, threads=threads, progress=progress), file.name


def _record(model: Model, sizes: Sizes) -> dict[str, Any]:
    return {"model": {"file": model.path.name, "sha256": model.sha256}, "data": data_record(),
            "sizes": {name: getattr(sizes, name) for name in Sizes.__annotations__},
            "versions": software_versions()}
