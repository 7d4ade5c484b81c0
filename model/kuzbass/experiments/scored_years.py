"""Turns steps of many runs into annual statistics and the resilience index, run by run.

Needs neither PySD nor xarray: this is what a worker imports.  Every sum is made in a fixed order,
so that a run gives the same bits alone and among many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.region.annual import full_years
from kuzbass.region.resilience import MEGAFACTORS, index_values
from kuzbass.sd.ensemble.members import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.region.resilience import Family, Indicators, Reference

    Array = NDArray[np.float64]

__all__ = ["ANY_LIST", "INDEX", "LIST", "REBASED", "ScoredYears", "list_table"]

INDEX = "resilience index"
ANY_LIST = "resilience index, any list"
LIST = "list of indicators"  # the factor that chooses one of the admissible lists
REBASED = "{}, % of {}"
_POINTS = "index points"


@dataclass(frozen=True, eq=False)
class ScoredYears:
    """A reduction of an ensemble, see `kuzbass.sd.ensemble.members.Reduction`.

    Attributes
    ----------
    outputs : tuple of str
        The outputs of the kernel, every step saved, in their order.
    at_end : frozenset of str
        Outputs that are taken at the end of the year; the rest are means over the year.
    steps : ndarray (steps + 1,)
        The saved times in years.
    shown : tuple of Series
        The outputs to return.
    rebased : tuple of (str, int)
        Outputs to return in percent of their value in a year as well.
    indicators, scale, default
        List, reference and default codes of the index.
    lists : ndarray (list, indicator)
        The admissible lists, 0 or 1.
    """

    outputs: tuple[str, ...]
    at_end: frozenset[str]
    steps: Array
    shown: tuple[Series, ...]
    rebased: tuple[tuple[str, int], ...]
    indicators: Indicators
    scale: Reference
    default: tuple[str, ...]
    lists: NDArray[np.bool_]

    @property
    def series(self) -> tuple[Series, ...]:
        """Outputs, rebased outputs, the index and its megafactors, the index of any list."""
        rebased = (Series(REBASED.format(name, year), f"% of {year}")
                   for name, year in self.rebased)
        index = (INDEX, *(f"{INDEX} {code}" for code in MEGAFACTORS), ANY_LIST)
        return (*self.shown, *rebased, *(Series(name, _POINTS) for name in index))

    @property
    def time(self) -> Array:
        """The years, (year,)."""
        return full_years(self.steps).astype(float)

    def reduce(self, values: Array, factors: Mapping[str, Array]) -> Array:
        """Return (year, series, run) of (step, output, run)."""
        annual = self.annual(values)
        at = {name: annual[:, number] for number, name in enumerate(self.outputs)}
        rebased = [100.0 * at[name] / at[name][self._year(year)] for name, year in self.rebased]
        z = self.z_scores(annual)
        index = index_values(self._indicators(at, self.default), self.indicators, self.scale,
                             self.default)
        parts = [*(at[one.name] for one in self.shown), *rebased,
                 *np.moveaxis(index, -1, 0).transpose(0, 2, 1),
                 self._any_list(z, factors.get(LIST), index[..., 0].T)]
        return np.stack(parts, axis=1)

    def z_scores(self, annual: Array) -> Array:
        """Return the signed z-scores (indicator, year, run) of annual values of the outputs."""
        at = {name: annual[:, number] for number, name in enumerate(self.outputs)}
        codes = tuple(self.indicators.codes)
        mu, sigma, sign = (column[list(codes)].to_numpy(float)[:, None, None] for column in
                           (self.scale.mu, self.scale.sigma, self.indicators.table["sign"]))
        values = np.moveaxis(self._indicators(at, codes), -1, 0).transpose(0, 2, 1)
        return np.asarray(sign * (values - mu) / sigma)

    def annual(self, values: Array) -> Array:
        """Return (year, output, run): the mean of the steps of a year, or its end."""
        years = full_years(self.steps)
        first, last = (np.searchsorted(self.steps, years + shift - 1e-9) for shift in (0, 1))
        end = [number for number, name in enumerate(self.outputs) if name in self.at_end]
        annual = np.empty((len(years), *values.shape[1:]))
        for year, (a, b) in enumerate(zip(first, last, strict=True)):
            # Step by step: numpy's own sum takes another order for one run than for many.
            total = values[a].copy()
            for step in range(a + 1, b):
                total += values[step]
            annual[year] = total / (b - a)
            annual[year, end] = values[b, end]
        return annual

    def _year(self, year: int) -> int:
        return int(np.searchsorted(self.time, year))

    @cached_property
    def _bases(self) -> dict[str, tuple[str, str]]:
        # Once: pandas takes as long to find a row as the kernel for a run.
        table = self.indicators.table
        return dict(zip(table.index, zip(table["variable"], table["basis"], strict=True),
                        strict=True))

    def _indicators(self, at: Mapping[str, Array], codes: tuple[str, ...]) -> Array:
        """Return the values of indicators, (run, year, indicator)."""
        columns = []
        for code in codes:
            variable, basis = self._bases[code]
            values = at[variable]
            columns.append(values * (100.0 / values[self._year(2000)])
                           if basis == "index2000" else values)
        return np.stack([column.T for column in columns], axis=-1)

    def _any_list(self, z: Array, chosen: Array | None, default: Array) -> Array:
        if chosen is None:
            return default
        member = self.lists[chosen.astype(int)]
        total = np.zeros(z.shape[1:])
        # Indicator by indicator: the order of a matrix product depends on the number of runs.
        for number, scores in enumerate(z):
            total += np.where(member[:, number], scores, 0.0)
        return np.asarray(total / member.sum(axis=1))


def list_table(family: Family) -> NDArray[np.bool_]:
    """Return which admissible list has which indicator, (list, indicator)."""
    codes = family.indicators.codes
    table = np.zeros((len(family), len(codes)), dtype=np.bool_)
    for number in range(len(family)):
        table[number, [codes.index(code) for code in family.codes(number)]] = True
    return table
