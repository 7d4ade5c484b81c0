"""Structure-oriented behaviour tests: runs at the limits, finer steps, another region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from kuzbass.experiments.statements import evaluate, load_checks
from kuzbass.experiments.validation.context import BASELINE, RESIDUALS, SCENARIOS, Context
from kuzbass.experiments.validation.registry import Outcome, canon, verdict_of
from kuzbass.region.annual import annual_values
from kuzbass.region.data import read_table
from kuzbass.region.scenario import LAST_YEAR
from kuzbass.sd.battery.extremes import Trials, run_conditions, without_ranges
from kuzbass.sd.battery.integration import integration_error
from kuzbass.sd.battery.patterns import behaviour_mode
from kuzbass.sd.battery.sensitivity import (
    Draws,
    latin_draws,
    rank_correlations,
    run_draws,
    uncertain,
)
from kuzbass.sd.engine import simulate
from kuzbass.sd.lint_units import parse_unit
from kuzbass.sd.mdl import Model

__all__ = ["DRAWS", "SPREAD", "named_conditions", "scaled_region"]

_STEP_ERROR = 0.01  # largest difference of a stock when the step is halved
_ORDER = 0.3  # distance from the order of Euler's method that tells a discontinuity
_SANE = 20.0  # times its start that a real quantity may grow or shrink in another region
DRAWS = 200
SPREAD = 0.2
_SEED = 395
_OUTPUTS = ("real GRP index", "coal output", "consolidated budget revenue", "fixed investment",
            "population", "unemployment rate")
_Condition = dict[str, float | np.ndarray]
_THIRD = 1.0 / 3.0
_PROPORTION_ERROR = 0.001
_PROPORTIONAL = ("nominal GRP", "coal output", "consolidated budget revenue", "fixed investment",
                 "population", "employed", "exports", "knowledge")
_AMOUNTS = {"mt", "t", "bbl", "rub", "usd", "bn rub", "bn rub2000", "bn usd", "thousand person",
            "person", "technology", "patent", "thousand m2"}
_OUTSIDE = {"initial rest of world steel"}
_NOT_OF_THE_REGION = {"Units and scales", "Policies"}
_SHARES_OF_OUTSIDE = (
    "initial reach east", "reach limit east", "initial reach west", "reach limit west",
    "initial coking reach", "coking reach limit", "initial domestic reach",
    "share of eastern track", "share of national transfers",
)
# Levers and switches are no uncertain facts.
_DECISIONS = ("Policies", "Loop switches")


def named_conditions(model: Model, kinds: tuple[str, ...]) -> dict[str, _Condition]:
    """Return the conditions of ``extremes.csv`` of some kinds as inputs of runs.

    A condition from a year on is a path at the steps of the model.
    """
    steps = round((model.final_time - model.initial_time) / model.time_step)
    time = model.initial_time + model.time_step * np.arange(steps + 1)
    table = read_table("extremes.csv")
    table = table[table["kind"].isin(kinds)]
    moved = [model.name(name) for name in table["input"]]
    run = simulate(model, outputs=list(dict.fromkeys(moved)))
    conditions: dict[str, _Condition] = {name: {} for name in table["condition"]}
    for name, (_, row) in zip(moved, table.iterrows(), strict=True):
        usual = run[name].to_numpy()
        new = usual * row["value"] if row["operation"] == "scale" else np.full_like(
            usual, row["value"])
        if np.isnan(row["from_year"]):
            conditions[row["condition"]][name] = float(new[0]) if np.ptp(new) == 0.0 else new
        else:
            conditions[row["condition"]][name] = np.where(time >= row["from_year"], new, usual)
    return conditions


def _held(trials: Trials, table: str) -> Outcome:
    """Return the outcome of runs: all invariants hold, or which conditions break which."""
    rows = pd.DataFrame([(condition, breach.element, breach.message)
                         for condition, breach in trials.breaches],
                        columns=["condition", "element", "message"])
    bad = rows["condition"].nunique()
    worst = rows.groupby("element", sort=False).agg(
        runs=("condition", "size"), condition=("condition", "first"), message=("message", "first"))
    detail = "; ".join(f"{element} in {row['runs']} runs, as in '{row['condition']}': "
                       f"{row['message']}" for element, row in worst.head(3).iterrows())
    return Outcome(verdict_of(rows.empty), f"{bad} of {trials.runs} runs", detail,
                   tables={table: rows} if bad else {})


@canon("conservation", "Conservation of coal, money and people",
       "structure-oriented behaviour")
def _conservation(context: Context) -> Iterator[Outcome]:
    for scenario in ("baseline", *SCENARIOS):
        data = context.run(BASELINE.model_copy(update={"scenario": scenario})).data
        worst = {name: float(np.abs(data[name]).max() / np.abs(data[scale]).max())
                 for name, scale in RESIDUALS.items()}
        largest = max(worst, key=worst.__getitem__)
        yield Outcome(verdict_of(worst[largest] <= 1e-9), f"{worst[largest]:.1e} of the flow",
                      largest, part=scenario)


@canon("extreme-one-at-a-time", "Extreme conditions: every constant at its limits",
       "structure-oriented behaviour")
def _one_at_a_time(context: Context) -> Outcome:
    return _held(context.trials, "extremes_one_at_a_time")


@canon("extreme-named", "Extreme conditions: named", "structure-oriented behaviour")
def _named(context: Context) -> Outcome:
    conditions = named_conditions(context.model, ("critical", "extreme"))
    trials = run_conditions(without_ranges(context.model), conditions, context.invariants)
    return _held(trials, "extremes_named")


@canon("extreme-pairs", "Extreme conditions: critical pairs", "structure-oriented behaviour")
def _pairs(context: Context) -> Outcome:
    critical = named_conditions(context.model, ("critical",))
    pairs = {f"{first} and {second}": {**critical[first], **critical[second]}
             for first, second in combinations(critical, 2)
             if not critical[first].keys() & critical[second].keys()}
    trials = run_conditions(without_ranges(context.model), pairs, context.invariants)
    return _held(trials, "extremes_pairs")


@canon("integration-error", "Integration error: half the step, fourth order",
       "structure-oriented behaviour")
def _integration(context: Context) -> Iterator[Outcome]:
    table = integration_error(context.model).sort_values("halved", ascending=False)
    large = table[table["halved"] > _STEP_ERROR]
    listed = ", ".join(f"{name} {100.0 * row['halved']:.1f} %"
                       for name, row in large.head(5).iterrows())
    yield Outcome(verdict_of(large.empty), f"{len(large)} of {len(table)} stocks above "
                  f"{100.0 * _STEP_ERROR:g} %", listed, part="stocks",
                  tables={"integration": table.rename_axis("stock").reset_index()})
    orders = table["order"].dropna()
    odd = orders[(orders - 1.0).abs() > _ORDER]
    yield Outcome("info", f"median {orders.median():.2f}", f"{len(odd)} stocks off 1 by more than "
                  f"{_ORDER:g}, the mark of a discontinuity: {', '.join(odd.index[:5])}",
                  part="order", required=False)
    yield _rank_of_steps(context)


def _rank_of_steps(context: Context) -> Outcome:
    ranks = [_ranking({name: simulate(context.model, context.inputs(name), time_step=step,
                                      outputs=["real GRP index"])["real GRP index"].to_numpy()[-1]
                       for name in SCENARIOS})
             for step in (context.model.time_step, context.model.time_step / 2.0)]
    return Outcome(verdict_of(ranks[0] == ranks[1]), " > ".join(ranks[1]),
                   "order of the scenarios by real GRP at the end, half the step", part="ranking")


def _ranking(values: Mapping[str, float]) -> list[str]:
    return sorted(values, key=values.__getitem__, reverse=True)


@canon("family-member", "Family member: another region", "structure-oriented behaviour")
def _family(context: Context) -> Iterator[Outcome]:
    model = without_ranges(context.model)
    smaller = scaled_region(context.model, _THIRD)
    yield _proportional(context, model, smaller)
    regions = {"a third of the size": smaller, **named_conditions(context.model, ("family",))}
    for condition, inputs in regions.items():
        yield _other_region(context, model, condition, inputs)


def scaled_region(model: Model, factor: float) -> _Condition:
    """Return the constants of a region of another size and the same kind.

    Amounts of goods, money and people are scaled, and the shares of outside totals that the
    region takes; prices, wages and ratios stay.
    """
    inputs: _Condition = {}
    for name, variable in model.variables.items():
        if variable.kind == "constant" and name not in _OUTSIDE:
            power = sum(power for part, power in parse_unit(variable.unit).items()
                        if part in _AMOUNTS)
            if power and variable.group not in _NOT_OF_THE_REGION:
                inputs[name] = float(model.equations[name].ast) * factor**power
    for name in map(model.name, _SHARES_OF_OUTSIDE):
        inputs[name] = float(model.equations[name].ast) * factor
    return inputs


def _proportional(context: Context, model: Model, inputs: _Condition) -> Outcome:
    smaller = simulate(model, {name: float(value) for name, value in inputs.items()},
                       outputs=list(_PROPORTIONAL))
    base = context.base.data
    gaps = {name: float(np.max(np.abs(smaller[name].to_numpy() / base[name].to_numpy() / _THIRD
                                      - 1.0))) for name in _PROPORTIONAL}
    worst = max(gaps, key=gaps.__getitem__)
    return Outcome(verdict_of(gaps[worst] <= _PROPORTION_ERROR),
                   f"{100.0 * gaps[worst]:.2g} % off at most", f"{worst}; all amounts of a region "
                   "of a third of the size are a third", part="proportional")


def _other_region(
    context: Context, model: Model, condition: str, inputs: _Condition
) -> Outcome:
    trials = run_conditions(model, {condition: inputs}, context.invariants, watch=True)
    if trials.breaches:
        return Outcome("fail", f"{len(trials.breaches)} breaches", str(trials.breaches[0][1]),
                       part=condition)
    base = context.base.data
    wild = [name for name in _OUTPUTS[:5]
            if not _steady(trials, name, float(base[name].max() / base[name].min()))]
    return Outcome(verdict_of(not wild), "all invariants hold",
                   f"out of proportion: {', '.join(wild)}" if wild else "grows and shrinks as a "
                   "region does", part=condition)


def _steady(trials: Trials, name: str, usual: float) -> bool:
    low, high = trials.low[name], trials.high[name]
    return low > 0.0 and high / low < max(_SANE, 2.0 * usual)


@canon("surprise-behaviour", "Surprise behaviour: to 2050, large pulses",
       "structure-oriented behaviour")
def _surprise(context: Context) -> Iterator[Outcome]:
    names = ["baseline", *SCENARIOS]
    for name in names:
        data = context.run(BASELINE.model_copy(update={"scenario": name}), LAST_YEAR).data
        yield _long_run(context, name, data)
    pulses = {
        "demand gone for two years": ("foreign demand multiplier", 0.0),
        "demand threefold for two years": ("foreign demand multiplier", 3.0),
        "price threefold for two years": ("world thermal price", 3.0),
        "price gone for two years": ("world thermal price", 0.0),
    }
    steps = round((LAST_YEAR + 1.0 - context.model.initial_time) / context.model.time_step)
    time = context.model.initial_time + context.model.time_step * np.arange(steps + 1)
    base = context.run(BASELINE, LAST_YEAR).data
    conditions = {
        pulse: {name: base[name].to_numpy() * np.where((time >= 2030.0) & (time < 2032.0),
                                                       factor, 1.0)}
        for pulse, (name, factor) in pulses.items()}
    trials = run_conditions(without_ranges(context.model), conditions, context.invariants,
                            final_time=LAST_YEAR + 1.0)
    yield replace(_held(trials, "surprise_pulses"), part="pulses")


def _long_run(context: Context, scenario: str, data: xr.Dataset) -> Outcome:
    table = {name: data[name].to_numpy() for name in _OUTPUTS}
    history = context.base.data["time"].to_numpy() < 2022.0
    seen = {name: behaviour_mode(context.base.data[name].to_numpy()[history]) for name in table}
    late = {name: path[len(path) * 22 // 51:] for name, path in table.items()}
    modes = {name: behaviour_mode(path) for name, path in late.items()}
    bad = [name for name, path in late.items()
           if not np.isfinite(path).all() or path.min() < 0.0
           or (name in _OUTPUTS[:2] and path.max() > 5.0 * path[0])]
    new = [f"{name}: {mode}" for name, mode in modes.items() if mode != seen[name]]
    return Outcome(verdict_of(not bad), "sane to 2050" if not bad else "not sane: "
                   + ", ".join(bad), f"modes other than before 2022: {', '.join(new) or 'none'}",
                   part=scenario)


@canon("sensitivity", "Sensitivity: numbers, modes, order of the scenarios",
       "structure-oriented behaviour", required=False)
def _sensitivity(context: Context) -> Iterator[Outcome]:
    model = context.model
    draws = latin_draws(model, uncertain(model, _DECISIONS), DRAWS, spread=SPREAD, seed=_SEED)
    last: dict[str, np.ndarray] = {}
    rows = []
    for scenario in ("baseline", *SCENARIOS):
        outputs = _OUTPUTS if scenario == "baseline" else ("real GRP index",)
        result = run_draws(model, draws, outputs, context.inputs(scenario))
        lost = {bad.member for bad in result.nonfinite}
        kept = np.array([member not in lost for member in range(draws.n)])
        for name in outputs:
            yearly = annual_values(result[name].T, result.time, "mean")
            if name == "real GRP index":
                last[scenario] = np.where(kept, yearly[:, -1], np.nan)
            if scenario == "baseline":
                rows.append(_spread_row(name, yearly[kept], {
                    one: values[kept] for one, values in draws.values.items()}))
    table = pd.DataFrame(rows)
    for _, row in table.iterrows():
        yield Outcome("info", f"{row['spread']:.0f} % around the median in the last year",
                      f"modes: {row['modes']}; most by {row['constants']}", part=row["variable"],
                      tables={"sensitivity": table})
    ends = np.array([last[scenario] for scenario in SCENARIOS])
    ends = ends[:, np.isfinite(ends).all(axis=0)]
    orders = pd.Series([" > ".join(_ranking(dict(zip(SCENARIOS, column, strict=True))))
                        for column in ends.T]).value_counts(normalize=True)
    yield Outcome("info", f"{100.0 * orders.iloc[0]:.0f} % of the draws", "have the order "
                  f"{orders.index[0]} by real GRP in the last year", part="order of the scenarios")
    yield Outcome("info", f"{int(np.sum(~np.isfinite(last['baseline'])))} of {DRAWS} draws",
                  "do not stay finite", part="finite")


def _spread_row(
    name: str, yearly: np.ndarray, values: Mapping[str, np.ndarray]
) -> dict[str, object]:
    end = yearly[:, -1]
    low, middle, high = np.quantile(end, [0.05, 0.5, 0.95])
    modes = pd.Series([behaviour_mode(path) for path in yearly]).value_counts()
    ranks = rank_correlations(Draws(values), end)
    top = sorted(ranks, key=lambda one: -abs(ranks[one]))[:3]
    return {"variable": name, "low": low, "median": middle, "high": high,
            "spread": 100.0 * (high - low) / abs(middle) / 2.0,
            "modes": ", ".join(f"{mode} {count}" for mode, count in modes.items()),
            "constants": ", ".join(f"{one} ({ranks[one]:+.2f})" for one in top)}


@canon("behaviour-statements", "Statements on behaviour", "structure-oriented behaviour")
def _statements(context: Context) -> Iterator[Outcome]:
    for check in load_checks():
        verdict = evaluate(check, context.run)
        yield Outcome(verdict_of(verdict.passed), verdict.figure, check.statement, part=check.id,
                      required=check.required)
