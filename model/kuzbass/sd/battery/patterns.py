"""Behaviour-pattern tests after Barlas (1996, 1997), and the modes of a trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["autocorrelation", "behaviour_mode", "detrended", "pattern_tests", "phase_lag"]

_FLAT = 0.05  # change over level below which a path counts as flat
_TURN = 0.1  # share of the range that makes a turning point


def autocorrelation(x: Array, lags: int) -> Array:
    """Return the autocorrelations of a series at lags 0 to `lags`, shape (lags + 1,)."""
    centred = x - x.mean()
    n = len(x)
    covariances = np.array([np.sum(centred[:n - lag] * centred[lag:]) / n
                            for lag in range(lags + 1)])
    result: Array = covariances / covariances[0] if covariances[0] > 0.0 else np.eye(1, lags + 1)[0]
    return result


def detrended(x: Array, degree: int = 2) -> Array:
    """Return the rest of a series after a polynomial trend in time."""
    time = np.linspace(-1.0, 1.0, len(x))
    result: Array = x - np.polyval(np.polyfit(time, x, degree), time)
    return result


def phase_lag(simulated: Array, actual: Array, lags: int) -> int:
    """Return the lag, in observations, at which the series go together best.

    Positive if the simulated series comes later.
    """
    s, a = simulated - simulated.mean(), actual - actual.mean()
    n = len(s)

    def together(lag: int) -> float:
        return float(np.sum(s[max(0, lag):n + min(0, lag)] * a[max(0, -lag):n - max(0, lag)]))

    # Of equal lags the shortest.
    return max(sorted(range(-lags, lags + 1), key=abs), key=together)


def pattern_tests(simulated: Array, actual: Array) -> dict[str, float]:
    """Return the behaviour-pattern statistics of two series of the same times.

    Returns
    -------
    dict
        ``trend`` (difference of the linear growth over the window, over the observed mean),
        ``period`` (largest difference of the autocorrelations of the detrended series, in units
        of twice its standard error: above 1 the periods differ), ``lag`` (see `phase_lag`, of
        the detrended series), ``mean`` and ``spread`` (relative differences, E1 and E2), and
        ``discrepancy`` (U, 0 to 1).

    Notes
    -----
    Barlas (1997), multiple-test procedure; standard errors of autocorrelations as there.
    """
    s, a = detrended(simulated), detrended(actual)
    n = len(s)
    lags = max(1, n // 5)
    r_s, r_a = autocorrelation(s, n - 1), autocorrelation(a, n - 1)
    variance = _variance(r_s, lags) + _variance(r_a, lags)
    period = np.abs(r_s[1:lags + 1] - r_a[1:lags + 1]) / (2.0 * np.sqrt(variance))
    growth = [np.polyfit(np.linspace(0.0, 1.0, n), series, 1)[0] for series in (simulated, actual)]
    centred_s, centred_a = simulated - simulated.mean(), actual - actual.mean()
    length = np.sqrt(np.sum(centred_s**2)) + np.sqrt(np.sum(centred_a**2))
    level = abs(float(actual.mean()))
    return {
        "trend": float((growth[0] - growth[1]) / level),
        "period": float(np.max(period)),
        "lag": float(phase_lag(s, a, lags)),
        "mean": float(abs(simulated.mean() - actual.mean()) / level),
        "spread": float(abs(simulated.std() - actual.std()) / actual.std()),
        "discrepancy": float(np.sqrt(np.sum((centred_s - centred_a)**2)) / length),
    }


def _variance(r: Array, lags: int) -> Array:
    """Return the variances of the autocorrelations at lags 1 to `lags`."""
    n = len(r)

    def at(lag: int) -> float:
        return float(r[abs(lag)]) if abs(lag) < n else 0.0

    result = np.array([
        sum((n - i) * (at(k - i) + at(k + i) - 2.0 * at(k) * at(i))**2 for i in range(1, n))
        for k in range(1, lags + 1)])
    return np.maximum(result / (n * (n + 2)), 1e-12)


def behaviour_mode(path: Array) -> str:
    """Return the mode of a trajectory.

    Returns
    -------
    str
        ``"flat"``, ``"growth"``, ``"decline"``, ``"peak"``, ``"trough"`` or ``"oscillation"``
        (two turning points or more, each of a tenth of the range at least).
    """
    spread = float(path.max() - path.min())
    if spread <= _FLAT * float(np.abs(path).max(initial=1e-300)):
        return "flat"
    turns = _turning_points(path, _TURN * spread)
    if not turns:
        return "growth" if path[-1] > path[0] else "decline"
    if len(turns) == 1:
        return "peak" if turns[0] > 0 else "trough"
    return "oscillation"


def _turning_points(path: Array, size: float) -> list[int]:
    """Return +1 for each peak and -1 for each trough that moves `size` or more."""
    turns: list[int] = []
    low = high = float(path[0])
    direction = 0
    for value in path[1:].tolist():
        low, high = min(low, value), max(high, value)
        if direction >= 0 and high - value >= size:
            turns += [1] * direction
            direction, low = -1, value
        elif direction <= 0 and value - low >= size:
            turns += [-1] * -direction
            direction, high = 1, value
    return turns
