"""Samples of uncertain factors: designs, distributions, rank correlations, tables of runs.

A run is known by its index.  What it gets depends on seed, method, number of runs, factor and
index alone, so that any part of a design can be made anywhere, and comes out the same.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from kuzbass.errors import InputError, nearest, plain_name

__all__ = [
    "METHODS",
    "AnyDistribution",
    "AsGiven",
    "Choice",
    "Correlation",
    "Design",
    "Distribution",
    "LogNormal",
    "Method",
    "Normal",
    "RunTable",
    "Triangular",
    "Uniform",
    "read_runs",
]

Array = NDArray[np.float64]
Method = Literal["latin-hypercube", "sobol", "monte-carlo"]
METHODS: tuple[Method, ...] = ("latin-hypercube", "sobol", "monte-carlo")
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_LEAST, _MOST = 2.0**-54, 1.0 - 2.0**-53  # a normal distribution is infinite at 0 and 1
_VALUES, _PLACES = 0, 1  # independent streams of a factor


class Distribution(Protocol):
    """How a number between 0 and 1 becomes the value of a factor."""

    def values(self, unit: Array) -> Array:
        """Return the quantiles at `unit`."""

    def support(self) -> tuple[float, float]:
        """Return the lowest and the highest possible value."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _ordered(below: float, above: float, problem: str) -> None:
    if not below < above:
        raise PydanticCustomError("refused", "{problem}", {
            "problem": problem, "allowed": "the lower number first", "found": [below, above]})


class Uniform(_Strict):
    """Every value from low to high alike."""

    kind: Literal["uniform"] = "uniform"
    low: Number
    high: Number

    @model_validator(mode="after")
    def _check(self) -> Uniform:
        _ordered(self.low, self.high, "the range is empty")
        return self

    def values(self, unit: Array) -> Array:
        """Return the quantiles at `unit`."""
        return self.low + (self.high - self.low) * unit

    def support(self) -> tuple[float, float]:
        """Return the lowest and the highest possible value."""
        return self.low, self.high


class Triangular(_Strict):
    """From low to high, densest at mode."""

    kind: Literal["triangular"] = "triangular"
    low: Number
    mode: Number
    high: Number

    @model_validator(mode="after")
    def _check(self) -> Triangular:
        _ordered(self.low, self.high, "the range is empty")
        if not self.low <= self.mode <= self.high:
            raise PydanticCustomError("refused", "{problem}", {
                "problem": "the mode lies outside of the range", "found": self.mode,
                "allowed": f"{self.low:g} to {self.high:g}"})
        return self

    def values(self, unit: Array) -> Array:
        """Return the quantiles at `unit`."""
        span, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        return np.where(unit * span < left, self.low + np.sqrt(unit * span * left),
                        self.high - np.sqrt((1.0 - unit) * span * right))

    def support(self) -> tuple[float, float]:
        """Return the lowest and the highest possible value."""
        return self.low, self.high


class _Truncated(_Strict):
    lower: Number | None = Field(None, description="values below do not occur")
    upper: Number | None = Field(None, description="values above do not occur")

    @model_validator(mode="after")
    def _check(self) -> _Truncated:
        lower, upper = self.support()
        _ordered(lower, upper, "nothing is left between the truncations")
        return self

    def support(self) -> tuple[float, float]:
        """Return the lowest and the highest possible value."""
        return (-math.inf if self.lower is None else self.lower,
                math.inf if self.upper is None else self.upper)

    def _scores(self, unit: Array, low: float, high: float) -> Array:
        """Return normal scores between the scores `low` and `high`."""
        start, end = ndtr(low), ndtr(high)
        return np.asarray(ndtri(np.clip(start + (end - start) * unit, _LEAST, _MOST)))


class Normal(_Truncated):
    """Normal, truncated where lower or upper are given."""

    kind: Literal["normal"] = "normal"
    mean: Number
    sd: Annotated[Number, Field(gt=0.0)] = Field(description="standard deviation")

    def values(self, unit: Array) -> Array:
        """Return the quantiles at `unit`."""
        lower, upper = self.support()
        scores = self._scores(unit, (lower - self.mean) / self.sd, (upper - self.mean) / self.sd)
        return np.clip(self.mean + self.sd * scores, lower, upper)


class LogNormal(_Truncated):
    """The logarithm is normal; truncated where lower or upper are given."""

    kind: Literal["lognormal"] = "lognormal"
    median: Annotated[Number, Field(gt=0.0)]
    sigma: Annotated[Number, Field(gt=0.0)] = Field(
        description="standard deviation of the natural logarithm")

    def support(self) -> tuple[float, float]:
        """Return the lowest and the highest possible value."""
        lower, upper = super().support()
        return max(lower, 0.0), upper

    def values(self, unit: Array) -> Array:
        """Return the quantiles at `unit`."""
        lower, upper = self.support()
        low, high = (-math.inf if edge <= 0.0 else math.log(edge / self.median) / self.sigma
                     for edge in (lower, upper))
        return np.clip(self.median * np.exp(self.sigma * self._scores(unit, low, high)),
                       lower, upper)


AnyDistribution = Annotated[Uniform | Normal | LogNormal | Triangular,
                            Field(discriminator="kind")]


@dataclass(frozen=True)
class Choice:
    """One of the numbers 0 to `n` - 1, all alike: the row of a table, the place in a list."""

    n: int

    def values(self, unit: Array) -> Array:
        """Return the quantiles at `unit`."""
        return np.minimum(np.floor(unit * self.n), self.n - 1.0)

    def support(self) -> tuple[float, float]:
        """Return the lowest and the highest possible value."""
        return 0.0, self.n - 1.0


@dataclass(frozen=True)
class AsGiven:
    """The values of a `RunTable`, as they stand there."""

    low: float
    high: float

    def values(self, unit: Array) -> Array:
        """Return `unit`, which holds values already."""
        return unit

    def support(self) -> tuple[float, float]:
        """Return the lowest and the highest value."""
        return self.low, self.high


class Correlation(_Strict):
    """Rank correlation of two factors."""

    between: tuple[str, str]
    rank: Annotated[Number, Field(gt=-1.0, lt=1.0)] = Field(description="Spearman's coefficient")


@dataclass(frozen=True)
class Design:
    """Points in the unit cube, one for each run.

    Attributes
    ----------
    names : tuple of str
        The factors.
    runs : int
        Number of runs; of a Sobol design a power of two.
    method : {"latin-hypercube", "sobol", "monte-carlo"}
    seed : int
    correlations : tuple of Correlation
        Of ranks; by a Gaussian copula, whose coefficient is 2 sin(pi r / 6) for the rank
        coefficient r.

    Raises
    ------
    InputError
        No run, no factor, a number of runs that a Sobol design cannot have, or correlations that
        no distribution can have together.

    Notes
    -----
    The Latin hypercube takes its strata from the ranks of the Monte Carlo design, after Packham
    and Schmidt (2010), which keeps one run in every stratum under correlation too.  Ranks need
    four bytes per run and factor.
    """

    names: tuple[str, ...]
    runs: int
    method: Method = "latin-hypercube"
    seed: int = 0
    correlations: tuple[Correlation, ...] = ()

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise InputError("not a possible number of runs", key="runs", value=self.runs,
                             allowed="1 or more")
        if not self.names:
            raise InputError("nothing varies", allowed="at least one factor")
        if self.method == "sobol" and self.runs & (self.runs - 1):
            raise InputError("not a possible number of runs of a Sobol design", key="runs",
                             value=self.runs, allowed="a power of two, such as "
                             f"{2 ** (self.runs.bit_length() - 1)} or {2**self.runs.bit_length()}")
        if self.correlations:
            _factor(self.names, self.correlations)

    def unit(self, first: int, last: int) -> Array:
        """Return the points of the runs `first` to `last` - 1, (run, factor), all in (0, 1)."""
        if self.method == "sobol":
            points = _sobol(len(self.names), self.seed, first, last)
        elif self.method == "monte-carlo":
            points = np.column_stack([_random(self.seed, name, first, last)
                                      for name in self.names])
        else:
            places = np.column_stack([_random(self.seed, name, first, last, _PLACES)
                                      for name in self.names])
            return np.clip((_strata(self)[first:last] + places) / self.runs, _LEAST, _MOST)
        return self._correlated(np.clip(points, _LEAST, _MOST))

    def _correlated(self, points: Array) -> Array:
        if not self.correlations:
            return points
        columns, factor = _factor(self.names, self.correlations)
        scores = ndtri(points[:, columns])
        # Not a matrix product: that of one run would differ in the last digit from that of many.
        for place, column in enumerate(columns):
            mixed = sum(factor[place, other] * scores[:, other] for other in range(place + 1))
            points[:, column] = np.clip(ndtr(mixed), _LEAST, _MOST)
        return points


@dataclass(frozen=True, eq=False)
class RunTable:
    """Runs that somebody else has chosen.

    Attributes
    ----------
    names : tuple of str
        The factors.
    table : ndarray (run, factor)
        Their values.
    """

    names: tuple[str, ...]
    table: Array

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.table)

    def unit(self, first: int, last: int) -> Array:
        """Return the values of the runs `first` to `last` - 1, (run, factor)."""
        return self.table[first:last]

    def given(self, name: str) -> AsGiven:
        """Return the distribution that passes the values of a factor on."""
        column = self.table[:, self.names.index(name)]
        return AsGiven(float(column.min()), float(column.max()))


def _random(seed: int, name: str, first: int, last: int, stream: int = _VALUES) -> Array:
    """Return uniform numbers that depend on seed, factor and index of the run alone."""
    words = np.random.SeedSequence([seed, stream, *name.encode()]).generate_state(2, np.uint64)
    source = np.random.Philox(key=words)
    block, skipped = divmod(first, 4)  # a count of Philox makes four numbers
    source.advance(block)
    return np.random.Generator(source).random(skipped + last - first)[skipped:]


@lru_cache(maxsize=1)
def _strata(design: Design) -> NDArray[np.uint32]:
    """Return the stratum of every run and factor, (run, factor)."""
    random = Design(design.names, design.runs, "monte-carlo", design.seed, design.correlations)
    strata = np.empty((design.runs, len(design.names)), dtype=np.uint32)
    points = random.unit(0, design.runs) if design.correlations else None
    for number, name in enumerate(design.names):
        column = points[:, number] if points is not None else \
            _random(design.seed, name, 0, design.runs)
        strata[np.argsort(column, kind="stable"), number] = np.arange(design.runs, dtype=np.uint32)
    return strata


def _sobol(factors: int, seed: int, first: int, last: int) -> Array:
    engine = qmc.Sobol(factors, scramble=True, rng=np.random.default_rng(seed))
    if first:
        engine.fast_forward(first)
    # scipy warns of numbers of points that are no power of two; the whole design is one.
    return np.asarray(engine.random(1 << (last - first - 1).bit_length())[:last - first])


def _factor(
    names: tuple[str, ...], correlations: tuple[Correlation, ...]
) -> tuple[list[int], Array]:
    """Return the columns that correlate and the Cholesky factor of their scores."""
    for one in correlations:
        for name in one.between:
            if name not in names:
                raise InputError("is not a factor", key="correlations", value=name,
                                 allowed=", ".join(nearest(name, names) or names))
        if one.between[0] == one.between[1]:
            raise InputError("a factor with itself", key="correlations", value=one.between[0],
                             allowed="two factors")
    columns = sorted({names.index(name) for one in correlations for name in one.between})
    matrix = np.eye(len(columns))
    for one in correlations:
        row, column = (columns.index(names.index(name)) for name in one.between)
        matrix[row, column] = matrix[column, row] = 2.0 * math.sin(math.pi * one.rank / 6.0)
    try:
        return columns, np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise InputError("the correlations contradict each other", key="correlations",
                         allowed="a positive definite matrix") from None


def read_runs(path: Path, ranges: Mapping[str, tuple[float, float]]) -> RunTable:
    """Read a table of runs: a header of names, then one row of numbers for each run.

    Parameters
    ----------
    path : Path
        A CSV file in UTF-8.
    ranges : mapping of str to (float, float)
        Lowest and highest value of everything that may stand in the header.

    Raises
    ------
    InputError
        With the line and the column: no file, no run, an unknown or repeated name, a cell that
        is no finite number or out of its range.
    """
    header = _header(path, ranges)
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False,
                            header=0, names=list(header), index_col=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise InputError("not a table of runs", file=path, value=str(error).strip(),
                         allowed=f"{len(header)} cells in every line") from None
    if cells.empty:
        raise InputError("no run", file=path, allowed="at least one line below the header")
    columns = [_column(path, name, cells[name], ranges[name]) for name in header]
    return RunTable(header, np.column_stack(columns))


def _header(path: Path, allowed: Mapping[str, object]) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            given = next(csv.reader(stream), [])
    except FileNotFoundError:
        raise InputError("file not found", file=path) from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", file=path, allowed="UTF-8") from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from None
    if not given:
        raise InputError("the file is empty", file=path, allowed="a header and runs")
    known = {plain_name(name): name for name in allowed}
    names: list[str] = []
    for cell in given:
        name = known.get(plain_name(cell))
        if name is None:
            raise InputError("wrong header: not something that a run may set", file=path,
                             key="line 1", value=cell, allowed=_some(cell, list(allowed)))
        if name in names:
            raise InputError("wrong header: stands twice", file=path, key="line 1", value=cell)
        names.append(name)
    return tuple(names)


def _some(name: str, names: Sequence[str]) -> str:
    return "for example " + ", ".join(nearest(name, names) or names[:3])


def _column(path: Path, name: str, cells: pd.Series, edges: tuple[float, float]) -> Array:
    values = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    bad = np.flatnonzero(~np.isfinite(values))
    allowed = "a finite number"
    if not len(bad):
        bad = np.flatnonzero((values < edges[0]) | (values > edges[1]))
        allowed = f"{edges[0]:g} to {edges[1]:g}"
    if len(bad):
        raise InputError("not a possible value", file=path, key=f"line {bad[0] + 2}, {name}",
                         value=repr(cells.iloc[bad[0]]), allowed=allowed)
    return values
