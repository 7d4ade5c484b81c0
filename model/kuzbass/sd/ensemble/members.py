"""What the runs of an ensemble are, and how some of them are simulated.

Needs neither PySD nor xarray: this is what a worker imports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from kuzbass.errors import InputError
from kuzbass.sd.kernel.values import Scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.sd.kernel import Kernel, NonFinite
    from kuzbass.sd.sampling import Design, Distribution, RunTable

    Array = NDArray[np.float64]

__all__ = ["Case", "Factor", "Members", "Part", "Reduction", "SavedTimes", "Series", "opening"]

_BLOCK = 256  # runs that a reduction sees at a time, all steps of them


@dataclass(frozen=True)
class Factor:
    """Something that differs between runs.

    Attributes
    ----------
    distribution : Distribution
    kind : {"constant", "scale", "row", "other"}
        The value of a constant; a factor on the path of a driver, see `Members.opening`; the
        number of a row of `Members.rows`; or something that only the reduction knows.
    """

    distribution: Distribution
    kind: Literal["constant", "scale", "row", "other"] = "constant"


@dataclass(frozen=True)
class Case:
    """One set of inputs under which all members run, such as a scenario.

    Attributes
    ----------
    name : str
    inputs : mapping of str to float or ndarray (1, steps + 1)
        Inputs of the kernel that all members share.
    factors : mapping of str to Factor
        Factors of the design that vary here; the others stay as they are in `inputs`.
    labels : mapping of str to str
        What tables say of the case.
    """

    name: str
    inputs: Mapping[str, float | Array]
    factors: Mapping[str, Factor]
    labels: Mapping[str, str] = field(default_factory=dict)


def opening(times: Array, start: float, years: float) -> Array:
    """Return the share of a factor that is reached at `times`: 0 to `start`, 1 `years` later."""
    if years == 0.0:
        return (times >= start).astype(float)
    return np.clip((times - start) / years, 0.0, 1.0)


@dataclass(frozen=True)
class Series:
    """A variable of an ensemble with its unit."""

    name: str
    unit: str


class Reduction(Protocol):
    """What becomes of the trajectories of some runs; it can be pickled."""

    @property
    def series(self) -> tuple[Series, ...]:
        """The variables that it returns."""

    @property
    def time(self) -> Array:
        """The times that it returns, (t,)."""

    def reduce(self, values: Array, factors: Mapping[str, Array]) -> Array:
        """Turn (saved times, output, run) into (t, series, run), run by run.

        `factors` are the values of the factors that vary, (run,) each.
        """


@dataclass(frozen=True)
class SavedTimes:
    """The reduction that leaves everything as it is."""

    series: tuple[Series, ...]
    time: Array

    def reduce(self, values: Array, factors: Mapping[str, Array]) -> Array:
        """Return `values`."""
        del factors
        return values


@dataclass(frozen=True)
class Part:
    """Some runs of one case.

    Attributes
    ----------
    case : int
        Number of the case.
    first : int
        Index of the first run.
    factors : dict of str to ndarray (run,)
        The values of the factors that vary.
    values : ndarray (t, series, run)
    nonfinite : tuple of NonFinite
        Runs that did not stay finite; their values must not be used.
    """

    case: int
    first: int
    factors: dict[str, Array]
    values: Array
    nonfinite: tuple[NonFinite, ...]

    @property
    def runs(self) -> int:
        """Number of runs."""
        return int(self.values.shape[2])

    @property
    def good(self) -> Array:
        """The values of the finite runs, (t, series, run)."""
        return self.values[:, :, self.finite] if self.nonfinite else self.values

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Which of the runs are finite, (run,)."""
        finite = np.ones(self.runs, dtype=np.bool_)
        finite[[one.member - self.first for one in self.nonfinite]] = False
        return finite


@dataclass(frozen=True)
class Members:
    """The runs of an ensemble: every case with every point of the design.

    Attributes
    ----------
    kernel : Kernel
        The model, compiled for the inputs and outputs that are needed.
    design : Design or RunTable
        The same member has the same point in every case, so that cases can be compared run by
        run.
    cases : tuple of Case
    reduction : Reduction
    opening : ndarray (steps + 1,), optional
        Of factors that scale a path: the share of the factor that is reached at each step.
    rows : RunTable, optional
        Sets of constants of which factors of the kind ``row`` choose one.
    """

    kernel: Kernel
    design: Design | RunTable
    cases: tuple[Case, ...]
    reduction: Reduction
    opening: Array | None = None
    rows: RunTable | None = None

    def __post_init__(self) -> None:
        if not self.cases:
            raise InputError("nothing to run", key="cases", allowed="at least one case")
        for case in self.cases:
            for name, factor in case.factors.items():
                if name not in self.design.names:
                    raise InputError("is not a factor of the design", key=name,
                                     allowed=", ".join(self.design.names))
                if factor.kind == "scale" and (self.opening is None or name not in case.inputs):
                    raise InputError("has no path to scale", key=name)
                if factor.kind == "row" and self.rows is None:
                    raise InputError("has no rows to choose from", key=name)

    @property
    def runs(self) -> int:
        """Runs of each case."""
        return self.design.runs

    def part(self, case: int, first: int, last: int, threads: int | None = 1) -> Part:
        """Simulate the runs `first` to `last` - 1 of a case."""
        reduction = self.reduction
        values = np.empty((len(reduction.time), len(reduction.series), last - first))
        factors = self._factors(self.cases[case], first, last)
        nonfinite: list[NonFinite] = []
        block = last - first if isinstance(reduction, SavedTimes) else _BLOCK
        for start in range(first, last, block):
            runs = slice(start - first, min(start + block, last) - first)
            own = {name: column[runs] for name, column in factors.items()}
            result = self.kernel.run(self._inputs(self.cases[case], own),
                                     n=runs.stop - runs.start, threads=threads)
            with np.errstate(all="ignore"):  # runs that are not finite are reported as such
                values[:, :, runs] = reduction.reduce(result.values, own)
            nonfinite += [type(one)(start + one.member, one.variable, one.time)
                          for one in result.nonfinite]
        return Part(case, first, factors, values, tuple(nonfinite))

    def _factors(self, case: Case, first: int, last: int) -> dict[str, Array]:
        if not case.factors:
            return {}
        points = self.design.unit(first, last)
        return {name: factor.distribution.values(points[:, self.design.names.index(name)])
                for name, factor in case.factors.items()}

    def _inputs(self, case: Case, values: Mapping[str, Array]) -> dict[str, Any]:
        inputs: dict[str, Any] = dict(case.inputs)
        for name, column in values.items():
            kind = case.factors[name].kind
            if kind == "constant":
                inputs[name] = column
            elif kind == "scale":
                assert self.opening is not None  # checked when made
                inputs[name] = Scaled(np.atleast_2d(case.inputs[name]), column, self.opening)
            elif kind == "row":
                assert self.rows is not None  # checked when made
                chosen = self.rows.table[column.astype(int)]
                inputs |= dict(zip(self.rows.names, chosen.T.copy(), strict=True))
        return inputs
