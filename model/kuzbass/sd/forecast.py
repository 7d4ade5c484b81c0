"""Forecasts that know nothing but the past of a series: what a model has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["NAIVE", "naive_forecasts"]

Array = NDArray[np.float64]
NAIVE = ("no change", "trend", "AR(1)")


def naive_forecasts(past: Array, steps: int) -> dict[str, Array] | None:
    """Forecast a series by the last value, by its linear trend and by an AR(1) process.

    Parameters
    ----------
    past : ndarray, shape (years,)
        NaN where nothing is known; logarithms of what grows in proportion.
    steps : int
        Years ahead.

    Returns
    -------
    dict of str to ndarray, shape (steps,), or None
        ``None`` with fewer than five values, or fewer than four pairs of neighbouring years.
    """
    seen = np.flatnonzero(np.isfinite(past))
    pairs = np.flatnonzero(np.isfinite(past[1:]) & np.isfinite(past[:-1]))
    if len(seen) < 5 or len(pairs) < 4:
        return None
    last = int(seen[-1])
    ahead = np.arange(len(past), len(past) + steps)
    slope, level = np.polyfit(seen, past[seen], 1)
    before, after = past[pairs], past[pairs + 1]
    spread = float(np.var(before))
    factor = float(np.mean((before - before.mean()) * (after - after.mean()))) / spread \
        if spread > 0.0 else 0.0
    # An explosive process is no benchmark.
    factor = float(np.clip(factor, -1.0, 1.0))
    constant = float(after.mean()) - factor * float(before.mean())
    return {
        "no change": np.full(steps, past[last]),
        "trend": level + slope * ahead,
        "AR(1)": _autoregression(float(past[last]), constant, factor, ahead - last),
    }


def _autoregression(last: float, constant: float, factor: float, ahead: NDArray[np.intp]) -> Array:
    values = [last]
    for _ in range(int(ahead[-1])):
        values.append(constant + factor * values[-1])
    return np.array(values)[ahead]
