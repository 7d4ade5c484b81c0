"""Behaviour tests: history, patterns, the work of each loop, and the law on time paths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from kuzbass.experiments.score import observed_index
from kuzbass.experiments.validation.context import SCENARIOS, Context
from kuzbass.experiments.validation.payoff import (
    log_change_correlation,
    payoff_statistics,
    trend_skill,
)
from kuzbass.experiments.validation.registry import Outcome, Verdict, canon, verdict_of
from kuzbass.region.data import fit_table, judged, model_side, observed_for, read_table
from kuzbass.region.driver_map import years_of
from kuzbass.sd.battery.parameters import source_of
from kuzbass.sd.battery.patterns import pattern_tests
from kuzbass.sd.battery.sensitivity import uncertain
from kuzbass.sd.engine import simulate
from kuzbass.sd.kernel import compile_model

__all__ = ["ESTIMATED", "FREE_POINTS", "Pairs", "bar_outcome"]

# The only time path that is estimated: no series of the eastern track exists before 2021.
ESTIMATED = "eastern track programme"
FREE_POINTS = 3  # the law on time paths allows so many in all
_TREND_SKILL = 0.8
_TOLD_FROM_TREND = 8  # observations; a quadratic fits three points exactly
_UM = 0.1
_INDEX = {"index": "index", "index P": "P", "index C": "C"}
_ANOMALY = 1.1  # a cut loop is missed where the error grows by a tenth
_NUDGE = 0.1
_FELT = 0.01
_FREE = ("calibrated", "assumption")
Pairs = dict[str, tuple[pd.Series, pd.Series]]


def _pairs(context: Context, run: pd.DataFrame) -> Pairs:
    """Return simulated and observed side of every judged series, and of the index, by year."""
    pairs: Pairs = {}
    for _, row in judged().iterrows():
        actual, simulated = observed_for(row, context.observed), model_side(row, run)
        years = actual.index.intersection(simulated.index)
        pairs[row["series"]] = (simulated.loc[years], actual.loc[years])
    return pairs


def _index_pairs(context: Context) -> Pairs:
    actual, simulated = observed_index(), context.base.index
    years = actual.index.intersection(simulated.index)
    return {name: (simulated[column].loc[years], actual[column].loc[years])
            for name, column in _INDEX.items()}


@canon("behaviour-reproduction", "Behaviour reproduction: bars of the fit, 2000-2021",
       "behaviour pattern")
def _reproduction(context: Context) -> Iterator[Outcome]:
    pairs = {**_pairs(context, context.base.statistics), **_index_pairs(context)}
    for _, bar in read_table("bars.csv").iterrows():
        yield bar_outcome(bar, *pairs[bar["series"]])


def bar_outcome(bar: pd.Series, simulated: pd.Series, actual: pd.Series) -> Outcome:
    """Return the outcome of one row of ``bars.csv``.

    Parameters
    ----------
    bar : Series
        A row of the table.
    simulated, actual : Series
        By year.
    """
    statistic, limit = bar["statistic"], float(bar["bar"])
    verdict: Verdict | None = None
    part = f"{bar['series']} {statistic}"
    if statistic == "change":
        part = f"{bar['series']} {int(bar['year'])}"
        passed, figure = _change(simulated, actual, int(bar["year"]), limit)
    elif statistic == "skill":
        ratio, r = trend_skill(simulated, actual), log_change_correlation(simulated, actual)
        passed = ratio <= _TREND_SKILL or r >= limit
        figure = f"{ratio:.2f} of the trend's error, r of changes {r:.2f}"
        if len(actual) < _TOLD_FROM_TREND:
            verdict, figure = "info", f"{len(actual)} observations: too few to tell from a trend"
    else:
        found = payoff_statistics(*_without_base(simulated, actual))[statistic]
        passed = found >= limit if statistic == "r" else found <= limit
        figure = f"{found:.3g}, bar {limit:g}"
    return Outcome(verdict or verdict_of(bool(passed)), figure, str(bar["note"]), part=part,
                   required=bar["judged"] == "required")


def _without_base(simulated: pd.Series, actual: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Leave out a first year in which both sides are equal by definition, as in a chained index."""
    if len(actual) > 1 and simulated.iloc[0] == actual.iloc[0]:
        return simulated.iloc[1:], actual.iloc[1:]
    return simulated, actual


def _change(
    simulated: pd.Series, actual: pd.Series, year: int, tolerance: float
) -> tuple[bool, str]:
    s, a = (100.0 * (float(series.loc[year]) / float(series.loc[year - 1]) - 1.0)
            for series in (simulated, actual))
    passed = s * a > 0.0 and abs(s / a - 1.0) <= tolerance / 100.0
    return passed, f"{s:+.1f} %, observed {a:+.1f} %"


@canon("behaviour-bias", "Behaviour reproduction: no bias in levels", "behaviour pattern")
def _bias(context: Context) -> Iterator[Outcome]:
    bars = read_table("bars.csv")
    mape = bars[bars["statistic"] == "mape"].set_index("series")["bar"]
    for series, bar in mape.items():
        row = context.fit.loc[str(series)]
        passed = row["um"] <= _UM or row["mape"] < bar / 3.0
        yield Outcome(verdict_of(bool(passed)), f"U^M {row['um']:.2f}, MAPE {row['mape']:.1f} %",
                      part=str(series))


@canon("behaviour-naive", "Behaviour reproduction: better than no change", "behaviour pattern")
def _naive(context: Context) -> Outcome:
    bars = set(read_table("bars.csv")["series"])
    u2 = context.fit.loc[context.fit.index.isin(bars), "u2"]
    good = u2 < 1.0
    return Outcome(verdict_of(bool(good.mean() >= 2.0 / 3.0)), f"U2 below 1 on {good.sum()} of "
                   f"{len(u2)} series", "above: " + ", ".join(u2.index[~good]))


@canon("behaviour-fit-table", "Behaviour reproduction: payoff report", "behaviour pattern",
       required=False)
def _payoff(context: Context) -> Outcome:
    pairs = {**_pairs(context, context.base.statistics), **_index_pairs(context)}
    table = pd.DataFrame([{"series": name, **payoff_statistics(*_without_base(*pair))}
                          for name, pair in pairs.items() if len(pair[0]) > 2])
    uncorrelated = int((table["acf1"].abs() < 2.0 / np.sqrt(table["n"])).sum())
    return Outcome("info", f"{len(table)} series", f"errors without autocorrelation: "
                   f"{uncorrelated}", tables={"payoff": table})


@canon("behaviour-patterns", "Behaviour patterns: trend, period, phase, spread",
       "behaviour pattern", required=False)
def _patterns(context: Context) -> Outcome:
    rows = []
    for name, (simulated, actual) in _pairs(context, context.base.statistics).items():
        if len(actual) < 10:
            continue
        rows.append({"series": name, "n": len(actual),
                     **pattern_tests(simulated.to_numpy(float), actual.to_numpy(float))})
    table = pd.DataFrame(rows)
    period, late = table["period"] > 1.0, table["lag"].abs() > 1.0
    return Outcome("info", f"periods agree on {int((~period).sum())}, phase within a year on "
                   f"{int((~late).sum())} of {len(table)} series",
                   "period: " + (", ".join(table["series"][period]) or "none")
                   + "; phase: " + (", ".join(table["series"][late]) or "none"),
                   tables={"patterns": table})


@canon("behaviour-anomaly", "Behaviour anomaly: each named loop cut", "behaviour pattern",
       required=False)
def _anomaly(context: Context) -> Iterator[Outcome]:
    bars = set(read_table("bars.csv")["series"])
    base = context.fit.loc[context.fit.index.isin(bars), "rmse"]
    usual = _order(context, {})
    for _, loop in read_table("loops.csv").iterrows():
        cut = {context.model.name(loop["cut_constant"]): float(loop["cut_value"])}
        run = context.simulated({**context.inputs("baseline"), **cut})
        fit = fit_table(run.statistics, observed=context.observed).set_index("series")
        growth = (fit["rmse"].reindex(base.index) / base).sort_values(ascending=False)
        against = growth[growth > _ANOMALY]
        listed = ", ".join(f"{name} x{ratio:.1f}" for name, ratio in against.head(4).items())
        order = _order(context, cut)
        changed = "" if order == usual else f"; order of the scenarios: {' > '.join(order)}"
        yield Outcome("info", f"{len(against)} series fit worse" if len(against)
                      else "not needed by the data to 2021", listed + changed, part=loop["loop"])


def _order(context: Context, cut: dict[str, float]) -> list[str]:
    ends = {name: float(simulate(context.model, {**context.inputs(name), **cut},
                                 outputs=["real GRP index"])["real GRP index"][-1])
            for name in SCENARIOS}
    return sorted(ends, key=ends.__getitem__, reverse=True)


@canon("time-paths-frozen", "Law on time paths: estimated path at its mean", "behaviour pattern")
def _frozen(context: Context) -> Iterator[Outcome]:
    mapped = read_table("driver_map.csv")
    rows = mapped[(mapped["driver"] == ESTIMATED) & (mapped["rule"] == "assumption")]
    last = max(year for text in rows["years"] for year in years_of(text))
    path = context.base.data[ESTIMATED].to_series()
    table = next(name for name in context.model.curves() if name == f"{ESTIMATED} table")
    points = context.model.curves()[table].x
    free = int(np.sum(points <= last))
    yield Outcome(verdict_of(free <= FREE_POINTS), f"{free} free points",
                  f"{ESTIMATED} to {last}; {FREE_POINTS} are allowed", part="points")
    estimated = path.index <= last + 1.0
    frozen = path.where(~estimated, float(path[estimated].mean()))
    run = context.simulated({**context.inputs("baseline"), ESTIMATED: frozen})
    fit = fit_table(run.statistics, observed=context.observed).set_index("series")
    table_of = pd.DataFrame({"mape": context.fit["mape"], "mape_frozen": fit["mape"],
                             "rmse": context.fit["rmse"], "rmse_frozen": fit["rmse"]})
    ratio = (table_of["rmse_frozen"] / table_of["rmse"]).sort_values(ascending=False)
    listed = ", ".join(f"{name} x{value:.2f}" for name, value in ratio.head(4).items())
    yield Outcome("info", f"error x{ratio.median():.2f} at the median", f"most: {listed}",
                  part="fit", tables={"frozen": table_of.reset_index()}, required=False)


@canon("free-parameters", "Law on time paths: free parameters of each judged series",
       "behaviour pattern", required=False)
def _free_parameters(context: Context) -> Outcome:
    model, table = context.model, judged()
    free = [name for name in uncertain(model)
            if source_of(model.variables[name]).startswith(_FREE)]
    variables = list(dict.fromkeys(table["variable"]))
    kernel = compile_model(model, vary=free, outputs=variables, final_time=2022.0)
    values = {name: float(model.equations[name].ast) for name in free}
    moved = {name: np.full(len(free) + 1, value) for name, value in values.items()}
    for place, name in enumerate(free):
        moved[name][place + 1] = _nudged(context, name, values[name])
    result = kernel.run(moved)
    felt = {}
    for variable in variables:
        paths = result[variable]
        shift = np.nanmean(np.abs(paths[:, 1:] - paths[:, :1]), axis=0)
        felt[variable] = int(np.sum(shift > _FELT * np.mean(np.abs(paths[:, 0]))))
    rows = [{"series": row["series"], "variable": row["variable"],
             "observations": int(context.fit["n"].get(row["series"], 0)),
             "free_parameters": len(free), "felt": felt[row["variable"]]}
            for _, row in table.iterrows()]
    counts = pd.DataFrame(rows)
    return Outcome("info", f"{len(free)} calibrated or assumed constants, "
                   f"{int(counts['observations'].sum())} observations",
                   f"a series feels {counts['felt'].min()} to {counts['felt'].max()} of them "
                   "(1 % from a change of 10 %)", tables={"free_parameters": counts})


def _nudged(context: Context, name: str, value: float) -> float:
    variable = context.model.variables[name]
    assert variable.lower is not None
    assert variable.upper is not None
    step = _NUDGE * (abs(value) or variable.upper - variable.lower)
    up = value + step
    return up if up <= variable.upper else max(variable.lower, value - step)
