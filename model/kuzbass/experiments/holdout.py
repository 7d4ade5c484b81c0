"""Hold-out of a calibration: years after the fit, against what simple forecasts would have said.

Two fits are held against these years; what each may claim stands in `calibration_wide.CLAIMS`.
Neither is blind: structure and ranges of the model were written by people who knew the years after
the training window.  No observed output enters a prediction: the model runs free from 2000, while
the simple forecasts start from the last observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

from kuzbass.experiments.calibrate import Calibration, Setting
from kuzbass.experiments.calibration_plan import likelihood
from kuzbass.experiments.calibration_runs import FIRST, AnnualRuns, Array
from kuzbass.experiments.interface import model_interface
from kuzbass.region.data import fit_statistics
from kuzbass.region.resolve import table_mode
from kuzbass.sd.forecast import NAIVE, naive_forecasts
from kuzbass.sd.likelihood import Series

__all__ = ["coverage", "drivers_as_known", "holdout", "period_fit", "rolling_origins", "summary"]

_GROWTH_MEAN = 5  # years
_COVERED = (0.5, 0.9)
_RATIO = 2.0


def drivers_as_known(setting: Setting, last: int) -> dict[str, pd.Series]:
    """Return the outside drivers as one could continue them at the end of the year `last`.

    Rule: growth and inflation go on at their mean of the last five years; everything else
    (prices, exchange rate, import demand, track, tax rules) stays at the mean of the last year.
    """
    interface = model_interface(setting.model, end=setting.plan.last + 1.0)
    grid = interface.grid
    found = {}
    for name, driver in interface.drivers.items():
        assert driver.table is not None  # drivers read tables
        table = driver.table
        path = np.interp(grid, table.index.to_numpy(float), table.to_numpy(float))
        growth = table_mode(table) == "growth"
        # Growth of a year stands from the middle of the year before to its own middle.
        end = last + (0.5 if growth else 1.0)
        years = _GROWTH_MEAN if growth else 1
        known = path[(grid >= end - years) & (grid < end)]
        found[name] = pd.Series(np.where(grid < end, path, known.mean()), index=grid)
    return found


def _simulated(
    setting: Setting, values: Mapping[str, float], paths: Mapping[str, pd.Series] | None = None
) -> tuple[tuple[Series, ...], Array]:
    likely, rows = likelihood(setting.plan, setting.table, setting.plan.last)
    runs = AnnualRuns(setting.model, list(values), rows, setting.plan.last, paths)
    return likely.series, runs(np.array([list(values.values())]))[:, :, 0]


def _errors(series: Series, simulated: Array, first: int, last: int) -> Array:
    """Return errors of the years from `first` to `last` on the scale of the series."""
    years = series.seen + FIRST
    inside = (years >= first) & (years <= last)
    return np.asarray(series.errors(simulated[:, None])[inside, 0])


def _rmse(errors: Array) -> float:
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else np.nan


def _scaled(series: Series) -> Array:
    """Return the observed values as the errors count them: logarithms, or plain."""
    return np.log(series.observed) if series.scale == "log" else series.observed


def period_fit(
    setting: Setting, values: Mapping[str, float], first: int, last: int
) -> pd.DataFrame:
    """Return the fit statistics of every series over a period, in the units of the data."""
    series, simulated = _simulated(setting, values)
    rows = []
    for one, path in zip(series, simulated, strict=True):
        seen = one.seen[(one.seen + FIRST >= first) & (one.seen + FIRST <= last)]
        if len(seen):
            rows.append({"series": one.name, "first": first, "last": last,
                         **fit_statistics(path[seen], one.observed[seen])})
    return pd.DataFrame(rows)


def holdout(calibration: Calibration) -> pd.DataFrame:
    """Compare the two frozen fits with the years after them.

    Returns
    -------
    DataFrame
        One row per fit (``training``, ``wide``), set of drivers (``actual``, ``as known``) and
        series: observations, RMSE of training and test on the scale of the errors (logarithms for
        levels), their ratio, RMSE of the simple forecasts, and the share of changes whose
        direction is right.
    """
    setting, cut = calibration.setting, calibration.training.last
    fits = {"training": calibration.training, "wide": calibration.wide}
    sets = {"actual": None, "as known": drivers_as_known(setting, cut)}
    rows = []
    for (fit, window), (drivers, paths) in product(fits.items(), sets.items()):
        series, simulated = _simulated(setting, window.values(), paths)
        for one, path in zip(series, simulated, strict=True):
            test = _errors(one, path, cut + 1, setting.plan.last)
            if len(test):
                trained = _errors(one, path, FIRST, cut)
                rows.append({"fit": fit, "drivers": drivers, "series": one.name, "n": len(test),
                             "rmse_training": _rmse(trained), "rmse_test": _rmse(test),
                             "ratio": _rmse(test) / _rmse(trained) if len(trained) else np.nan,
                             "bias": float(test.mean()), **_naive(one, cut),
                             "direction": _direction(one, path, cut), "weight": one.weight})
    return pd.DataFrame(rows)


def _naive(series: Series, cut: int) -> dict[str, float]:
    """Return the RMSE of the simple forecasts made at the end of the year `cut`."""
    observed = _scaled(series)
    known, after = observed[:cut + 1 - FIRST], observed[cut + 1 - FIRST:]
    forecasts = naive_forecasts(known, len(after))
    if forecasts is None:
        return dict.fromkeys(NAIVE, np.nan)
    return {name: _rmse((path - after)[np.isfinite(after)]) for name, path in forecasts.items()}


def _direction(series: Series, simulated: Array, cut: int) -> float:
    seen = [year for year in series.seen if year > cut - FIRST and year - 1 in series.seen]
    if not seen:
        return np.nan
    after, before = np.array(seen), np.array(seen) - 1
    hits = np.sign(simulated[after] - simulated[before]) == np.sign(
        series.observed[after] - series.observed[before])
    return float(hits.mean())


def rolling_origins(calibration: Calibration) -> pd.DataFrame:
    """Compare fits to ever more years with all years after them; one row per origin and series."""
    setting, rows = calibration.setting, []
    for origin, values in calibration.origins.items():
        series, simulated = _simulated(setting, values)
        for one, path in zip(series, simulated, strict=True):
            test = _errors(one, path, origin + 1, setting.plan.last)
            if len(test):
                rows.append({"origin": origin, "series": one.name, "n": len(test),
                             "rmse_training": _rmse(_errors(one, path, FIRST, origin)),
                             "rmse_test": _rmse(test), **_naive(one, origin),
                             "weight": one.weight})
    return pd.DataFrame(rows)


def coverage(calibration: Calibration) -> pd.DataFrame:
    """Return how many test years the predictive intervals of the frozen fit cover, by series.

    An interval joins the draws of the posterior with the errors of the series.
    """
    setting, training = calibration.setting, calibration.training
    draws = calibration.draws["training"]
    likely, rows = likelihood(setting.plan, setting.table, setting.plan.last)
    names = [*draws.columns, *training.held]
    runs = AnnualRuns(setting.model, names, rows, setting.plan.last)
    held = np.tile(list(training.held.values()), (len(draws), 1))
    simulated = runs(np.hstack([draws.to_numpy(), held]))
    rng = np.random.default_rng(setting.plan.seed)
    found = []
    for one, paths, process in zip(likely.series, simulated, training.best.processes, strict=True):
        test = one.seen[one.seen > training.last - FIRST]
        if not len(test):
            continue
        # Error of the model less a draw of the noise: zero must lie within.
        errors = one.errors(paths)[-len(test):] + rng.normal(0.0, process.sigma,
                                                             (len(test), paths.shape[1]))
        row: dict[str, object] = {"series": one.name, "n": len(test), "weight": one.weight}
        for share in _COVERED:
            low, high = np.nanquantile(errors, [(1 - share) / 2, (1 + share) / 2], axis=1)
            row[f"covered_{share:.0%}"] = float(np.mean((low <= 0.0) & (high >= 0.0)))
            row[f"width_{share:.0%}"] = float(np.mean(high - low))
        found.append(row)
    return pd.DataFrame(found)


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Return shares of the series of full weight: ratio at most 2, better than each forecast."""
    judged = table[table["weight"] == 1.0]
    found: dict[str, float] = {"series": float(len(judged))}
    ratio = (judged["rmse_test"] / judged["rmse_training"]).dropna()
    found["ratio at most 2"] = float((ratio <= _RATIO).mean())
    for name in NAIVE:
        known = judged.dropna(subset=[name])
        found[f"better than {name}"] = float((known["rmse_test"] < known[name]).mean())
    return found
