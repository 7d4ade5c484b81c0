"""Quantiles over the runs of a case, with memory that does not grow with the number of runs.

Both ways give the same bits in whatever order the runs come.

exact
    All values are kept on disk and read again, one variable at a time.
binned
    Counts on a fixed grid of 2048 bins for every variable and time, laid over one and a half times
    what the first 4096 runs span.  Counts are whole numbers, so their order does not matter.  A
    quantile is off by at most one bin: 0.1 % of the span of the values there.  For the variance,
    the last bin stands for what lies beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["BINS", "LEVELS", "PILOT", "Histogram", "Summary", "exact"]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # bands of 50 and 90 %
PILOT = 4096
BINS = 2048
_WIDER = 0.25  # of the pilot's span, on either side


@dataclass(frozen=True)
class Summary:
    """What is known of the finite runs of a case.

    Attributes
    ----------
    quantiles : ndarray (level, t, series)
        At `LEVELS`.
    variance : ndarray (t, series)
        Population variance.
    runs : int
        Finite runs.
    """

    quantiles: Array
    variance: Array
    runs: int


def exact(values: Array) -> tuple[Array, Array]:
    """Return quantiles (level, t) and variance (t,) of `values`, (t, run)."""
    if not values.shape[1]:
        empty = np.full((len(LEVELS), len(values)), np.nan)
        return empty, empty[0]
    return np.quantile(values, LEVELS, axis=1), values.var(axis=1)


class Histogram:
    """Counts of values per variable and time.

    Parameters
    ----------
    pilot : ndarray (t, series, run)
        Finite runs that say where the bins lie.
    """

    def __init__(self, pilot: Array) -> None:
        low, high = pilot.min(axis=2), pilot.max(axis=2)
        # Where all runs are the same, any width will do.
        span = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0) * 1e-9)
        self.start = low - _WIDER * span
        self.width = (1.0 + 2.0 * _WIDER) * span / BINS
        self.low = np.full(low.shape, np.inf)
        self.high = np.full(low.shape, -np.inf)
        self.counts = np.zeros((*low.shape, BINS), dtype=np.int64)

    def add(self, values: Array) -> None:
        """Count the values of some finite runs, (t, series, run)."""
        if not values.shape[2]:
            return
        self.low = np.minimum(self.low, values.min(axis=2))
        self.high = np.maximum(self.high, values.max(axis=2))
        offset = BINS * np.arange(values.shape[1], dtype=np.intp)[:, None]
        for t in range(len(values)):
            place = values[t] - self.start[t, :, None]
            place /= self.width[t, :, None]
            bins = np.clip(place, 0, BINS - 1, out=place).astype(np.intp)
            bins += offset
            self.counts[t] += np.bincount(bins.ravel(),
                                          minlength=self.counts[t].size).reshape(-1, BINS)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what a store keeps."""
        return {"counts": self.counts, "low": self.low, "high": self.high}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take up what `state` has returned."""
        self.counts[...] = state["counts"]
        self.low[...] = state["low"]
        self.high[...] = state["high"]

    def summary(self) -> Summary:
        """Return quantiles, linear within a bin, and the variance of the middles of the bins."""
        runs = int(self.counts[0, 0].sum())
        if runs == 0:
            nothing = np.full((len(LEVELS), *self.low.shape), np.nan)
            return Summary(nothing, nothing[0], 0)
        upto = self.counts.cumsum(axis=2)
        quantiles = np.stack([self._quantile(upto, level * (runs - 1) + 0.5) for level in LEVELS])
        middles = self.start[..., None] + self.width[..., None] * (np.arange(BINS) + 0.5)
        middles = np.clip(middles, self.low[..., None], self.high[..., None])
        mean = (self.counts * middles).sum(axis=2) / runs
        variance = (self.counts * (middles - mean[..., None])**2).sum(axis=2) / runs
        return Summary(quantiles, variance, runs)

    def _quantile(self, upto: NDArray[np.int64], rank: float) -> Array:
        place = (upto < rank).sum(axis=2)[..., None]
        own = np.take_along_axis(self.counts, place, axis=2)[..., 0]
        before = np.take_along_axis(upto, place, axis=2)[..., 0] - own
        value = self.start + self.width * (place[..., 0] + (rank - before) / own)
        return np.asarray(np.clip(value, self.low, self.high))
