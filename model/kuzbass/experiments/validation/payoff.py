"""The fit table of Vensim's extended payoff report, and what the bars ask for on top."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kuzbass.region.data import fit_statistics

__all__ = ["log_change_correlation", "payoff_statistics", "trend_skill"]

_LAGS = 4


def payoff_statistics(simulated: pd.Series, actual: pd.Series) -> dict[str, float]:
    """Return the fit statistics of two series of the same years.

    Returns
    -------
    dict
        Those of `kuzbass.region.data.fit_statistics`, and ``r2`` (square of the correlation),
        ``r2_det`` (1 less squared errors over those of the mean), ``mae_mean``, ``rmspe`` (in
        percent), ``u1`` (Theil), ``dw`` (Durbin-Watson) and ``acf1`` to ``acf4``
        (autocorrelations of the errors).  Series with gaps: lags count observations.

    Notes
    -----
    Formulas of the extended payoff report of Vensim; moments are those of the population.
    """
    s, a = simulated.to_numpy(float), actual.to_numpy(float)
    found = fit_statistics(s, a)
    error = s - a
    squares = float(np.sum(error**2))
    spread = float(np.sum((a - a.mean())**2))
    return {
        **found,
        "r2": found["r"]**2,
        "r2_det": 1.0 - squares / spread if spread else np.nan,
        "mae_mean": float(np.mean(np.abs(error)) / abs(a.mean())) if a.mean() else np.nan,
        "rmspe": 100.0 * float(np.sqrt(np.mean((error / a)**2))) if np.all(a != 0.0) else np.nan,
        "u1": found["rmse"] / float(np.sqrt(np.mean(a**2)) + np.sqrt(np.mean(s**2))),
        "dw": float(np.sum(np.diff(error)**2)) / squares if squares else np.nan,
        **{f"acf{lag}": _autocorrelation(error, lag) for lag in range(1, _LAGS + 1)},
    }


def trend_skill(simulated: pd.Series, actual: pd.Series) -> float:
    """Return the root mean square error over that of a quadratic trend fitted to the data."""
    years = actual.index.to_numpy(float)
    degree = min(2, len(years) - 1)
    centred = years - years.mean()
    trend = np.polyval(np.polyfit(centred, actual.to_numpy(float), degree), centred)
    rest = float(np.sqrt(np.mean((trend - actual.to_numpy(float))**2)))
    error = float(np.sqrt(np.mean((simulated.to_numpy(float) - actual.to_numpy(float))**2)))
    return error / rest if rest > 0.0 else np.inf


def log_change_correlation(simulated: pd.Series, actual: pd.Series) -> float:
    """Return the correlation of one-year log changes; NaN with fewer than three of them."""
    if (simulated <= 0.0).any() or (actual <= 0.0).any():
        return np.nan
    years = actual.index.to_numpy()
    one_year = np.diff(years) == 1
    s, a = (np.diff(np.log(series.to_numpy(float)))[one_year] for series in (simulated, actual))
    if len(s) < 3 or np.ptp(s) == 0.0 or np.ptp(a) == 0.0:
        return np.nan
    return float(np.corrcoef(s, a)[0, 1])


def _autocorrelation(error: np.ndarray, lag: int) -> float:
    if lag >= len(error):
        return np.nan
    centred = error - error.mean()
    total = float(np.sum(centred**2))
    return float(np.sum(centred[lag:] * centred[:-lag])) / total if total else np.nan
