"""How well simulated years explain observed ones: Gaussian errors that follow an AR(1) process.

For one series with errors e (logarithmic or plain) of standard deviation s and autocorrelation
rho, the innovations are v_i = (e_i - rho^k e_(i-1)) / sqrt(1 - rho^2k), where k is the gap in
years, and v_1 = e_1; all have the standard deviation s.  The variance s^2 has a scaled inverse
chi-square prior around the square of the expected error, and is integrated out; rho is set to its
most likely value.  The prior keeps a series of a few points from being hit at any cost, and a long
one from drifting away at any distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ar1", "Change", "Likelihood", "Series", "innovations"]

Array = NDArray[np.float64]

_TINY = 1e-9
_RHO_STEP = 0.1


@dataclass(frozen=True)
class Series:
    """An observed series.

    Attributes
    ----------
    name : str
    observed : ndarray, shape (years,)
        NaN where nothing was observed.
    scale : {"log", "plain"}
        Whether errors are logarithmic (levels that grow) or plain differences (rates).
    expected : float
        Expected standard deviation of the errors, on that scale.
    weight : float
        Factor of the log-likelihood: below 1 where the series repeats what others say.
    """

    name: str
    observed: Array
    scale: Literal["log", "plain"]
    expected: float
    weight: float = 1.0

    @property
    def seen(self) -> NDArray[np.intp]:
        """Positions of the observed years."""
        return np.flatnonzero(np.isfinite(self.observed))

    def errors(self, simulated: Array) -> Array:
        """Return simulated less observed on the scale of the series.

        Parameters
        ----------
        simulated : ndarray, shape (years, runs)

        Returns
        -------
        ndarray, shape (observations, runs)
        """
        seen = self.seen
        actual = self.observed[seen, None]
        if self.scale == "plain":
            return np.asarray(simulated[seen] - actual)
        return np.asarray(np.log(np.maximum(simulated[seen], _TINY) / actual))


@dataclass(frozen=True)
class Ar1:
    """The error process of a series: autocorrelation, and standard deviation of the errors."""

    rho: float
    sigma: float


@dataclass(frozen=True)
class Change:
    """A change from one year to the next that is to be met on top of the series.

    Attributes
    ----------
    series : int
        Position of the series.
    year : int
        Position of the later year.
    tolerance : float
        Standard deviation of the log change, as a share of its observed size.
    """

    series: int
    year: int
    tolerance: float


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of several series, independent of each other, and of some changes.

    Attributes
    ----------
    series : tuple of Series
        All over the same years.
    changes : tuple of Change
    freedom : float
        Degrees of freedom of the prior of each variance: how many observations it counts for.
    largest_rho : float
        Cap of the autocorrelation.  Near 1, a series says nothing about its level.
    """

    series: tuple[Series, ...]
    changes: tuple[Change, ...] = ()
    freedom: float = 6.0
    largest_rho: float = 0.7

    def deviance(self, simulated: Array) -> Array:
        """Return minus two log-likelihood, up to a constant.

        Parameters
        ----------
        simulated : ndarray, shape (series, years, runs)

        Returns
        -------
        ndarray, shape (runs,)
            Infinite where a run is not finite.
        """
        total = np.zeros(simulated.shape[2])
        good = np.isfinite(simulated).all(axis=(0, 1))
        for one, values in zip(self.series, np.where(good, simulated, 1.0), strict=True):
            total += one.weight * self._profile(one, one.errors(values))[0]
        total += np.sum(self._changes(np.where(good, simulated, 1.0)) ** 2, axis=0)
        return np.where(good, total, np.inf)

    def processes(self, simulated: Array) -> tuple[Ar1, ...]:
        """Return the most likely error process of each series for one run, (series, years)."""
        found = []
        for one, values in zip(self.series, simulated, strict=True):
            errors = one.errors(values[:, None])
            rho = float(self._profile(one, errors)[1][0])
            squares = float(np.sum(innovations(errors, np.diff(one.seen), rho)[0] ** 2))
            variance = (squares + self.freedom * one.expected**2) / (len(errors) + self.freedom)
            found.append(Ar1(rho, float(np.sqrt(variance))))
        return tuple(found)

    def residuals(self, simulated: Array, processes: Sequence[Ar1]) -> Array:
        """Return the weighted innovations, in standard deviations, under given error processes.

        Parameters
        ----------
        simulated : ndarray, shape (series, years, runs)
        processes : sequence of Ar1

        Returns
        -------
        ndarray, shape (observations of all series, runs)
        """
        parts = []
        for one, values, process in zip(self.series, simulated, processes, strict=True):
            innovation, _ = innovations(one.errors(values), np.diff(one.seen), process.rho)
            parts.append(np.sqrt(one.weight) * innovation / process.sigma)
        return np.concatenate([*parts, self._changes(simulated)])

    def _changes(self, simulated: Array) -> Array:
        """Return the errors of the changes in standard deviations, (changes, runs)."""
        rows = np.empty((len(self.changes), simulated.shape[2]))
        for row, change in zip(rows, self.changes, strict=True):
            years = [change.year - 1, change.year]
            before, after = np.maximum(simulated[change.series, years], _TINY)
            actual = float(np.diff(np.log(self.series[change.series].observed[years]))[0])
            row[:] = (np.log(after / before) - actual) / (change.tolerance * abs(actual))
        return rows

    def _profile(self, series: Series, errors: Array) -> tuple[Array, Array]:
        """Return the deviance at the best rho, and that rho, per run."""
        grid = np.arange(0.0, self.largest_rho + 1e-9, _RHO_STEP)
        powers = grid[:, None] ** np.diff(series.seen).astype(float)
        spread = 1.0 - powers**2
        before, after = errors[:-1], errors[1:]
        # The squares of `innovations` for all rho at once, multiplied out.
        squares = (np.sum(errors[:1]**2, axis=0) + (1.0 / spread) @ after**2
                   + (powers**2 / spread) @ before**2 - (2.0 * powers / spread) @ (before * after))
        scale = self.freedom * series.expected**2
        table = ((len(errors) + self.freedom) * np.log1p(squares / scale)
                 + np.log(spread).sum(axis=1)[:, None])
        best = table.argmin(axis=0)
        return table[best, np.arange(table.shape[1])], grid[best]


def innovations(errors: Array, gaps: NDArray[np.intp], rho: float) -> tuple[Array, float]:
    """Return the innovations of errors (observations, runs) and the log-determinant of the map.

    Parameters
    ----------
    errors : ndarray, shape (observations, runs)
    gaps : ndarray, shape (observations - 1,)
        Years from one observation to the next.
    rho : float
    """
    powers = np.asarray(rho ** gaps.astype(float))
    spread = 1.0 - powers**2
    result = errors.copy()
    result[1:] = (errors[1:] - powers[:, None] * errors[:-1]) / np.sqrt(spread)[:, None]
    return result, float(np.sum(np.log(spread)))

