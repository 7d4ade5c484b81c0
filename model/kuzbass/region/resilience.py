"""The resilience index: indicators, megafactors, z-scores, and the family of admissible lists.

The index of the paper (DOI 10.15372/REG20240202) is

    z_j(t) = s_j (x_j(t) - mu_j) / sigma_j
    S_m(t) = mean of z_j over the megafactor m
    I(t)   = (S_P + S_C + S_N) / 3

with the sign ``s_j`` (+1 stimulant, -1 destimulant).  Its list of indicators could not be had:
every list here is **reconstructed**, not the authors' own.  Three published numbers do not fix a
list, so a statement is made for the default list and as the share of all admissible lists in
which it holds.

Reading A (default) takes mu and sigma (population, n = 22) from the observed years 2000-2021 and
freezes them.  Reading B takes them from the observed years and the years 2022-2035 of the run.

A missing observation stays missing: the megafactor is the mean of the others in that year.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.paths import data_dir
from kuzbass.region.data import Table, chain, read_csv, read_table

__all__ = [
    "ANCHORS",
    "INDICATOR_TABLE",
    "RECONSTRUCTED",
    "Family",
    "IndexResult",
    "Indicators",
    "Reference",
    "index_values",
    "load_indicators",
    "observed_indicators",
    "reference",
    "resilience",
    "run_indicators",
    "z_scores",
]

RECONSTRUCTED = "reconstructed list of indicators, not the authors' own"
ANCHORS = {2019: 0.347, 2021: 0.535}  # published and derived from published, see index_published
TOLERANCE = 0.03
FIRST, LAST = 2000, 2021  # sample of reading A
HORIZON = 2035  # last year of reading B
MEGAFACTORS = ("P", "C", "N")
_SIZE = 4  # indicators per megafactor, as in Foster's capacity index that the authors adapted

INDICATOR_TABLE = Table(
    ("code", "megafactor", "sphere", "name", "sign", "observed", "chain", "times", "deflator",
     "per", "scale", "variable", "statistic", "basis", "unit", "alternate_of"),
    ("sign", "chain", "scale"), ("code",),
    ("code", "megafactor", "sphere", "name", "sign", "observed", "chain", "scale", "variable",
     "statistic", "basis", "unit"),
    {"megafactor": MEGAFACTORS, "sphere": ("production", "social"), "sign": (1.0, -1.0),
     "chain": (0.0, 1.0), "statistic": ("mean", "end"), "basis": ("unit", "index2000")},
)


@dataclass(frozen=True)
class Indicators:
    """A list of indicators, as data.

    Attributes
    ----------
    table : DataFrame
        One row per indicator, indexed by code; see ``data/indicators.csv``.
    """

    table: pd.DataFrame

    @property
    def codes(self) -> list[str]:
        """All codes, in file order."""
        return list(self.table.index)

    def of(self, megafactor: str) -> list[str]:
        """Return the codes of one megafactor."""
        return list(self.table.index[self.table["megafactor"] == megafactor])

    @property
    def variables(self) -> dict[str, str]:
        """Model variables behind the indicators, and how the year is read (see `annual`)."""
        return dict(zip(self.table["variable"], self.table["statistic"], strict=True))


def load_indicators(path: Path | None = None) -> Indicators:
    """Read a list of indicators (default: ``data/indicators.csv``).

    Raises
    ------
    InputError
        If the table is broken, or a cell is outside what is allowed.
    """
    file = path if path is not None else data_dir() / "indicators.csv"
    frame = read_csv(file, INDICATOR_TABLE)
    unknown = ~frame["alternate_of"].isin(["", *frame["code"]])
    if unknown.any():
        line = int(np.flatnonzero(unknown.to_numpy())[0])
        raise InputError("not a code of the list", file=file, key=f"line {line + 2}, alternate_of",
                         value=frame.at[line, "alternate_of"], allowed=", ".join(frame["code"]))
    for megafactor in MEGAFACTORS:
        if megafactor not in set(frame["megafactor"]):
            raise InputError("a megafactor has no indicator", file=file, key="megafactor",
                             value=megafactor, allowed="at least one of each of P, C, N")
    return Indicators(frame.set_index("code"))


def observed_indicators(indicators: Indicators) -> pd.DataFrame:
    """Return the observed values of all indicators.

    Returns
    -------
    DataFrame
        Years 2000-2021 by code; missing years stay missing.

    Raises
    ------
    InputError
        If a series of the list is not in the data.
    """
    observed, drivers = read_table("observed.csv"), read_table("drivers.csv")
    years = range(FIRST, LAST + 1)

    wide = observed.pivot_table("value", "year", "series").reindex(years)

    def series(name: str) -> pd.Series:
        if name not in wide:
            raise InputError("no such observed series", file="observed.csv", key=name)
        return wide[name]

    cpi = chain(series("cpi_dec_dec"), FIRST) / 100.0
    columns = {}
    for code, row in indicators.table.iterrows():
        values = series(row["observed"])
        if row["chain"]:
            values = chain(values, FIRST)
        if row["times"]:
            values = values * _driver(row["times"], drivers).reindex(years)
        if row["deflator"]:
            values = values / cpi
        if row["per"]:
            values = values / series(row["per"])
        columns[code] = _on_basis(values * row["scale"], row["basis"])
    return pd.DataFrame(columns, index=pd.Index(years, name="year"))


def _driver(name: str, drivers: pd.DataFrame) -> pd.Series:
    rows = drivers[drivers["series"] == name]
    if rows.empty:
        raise InputError("no such driver series", file="drivers.csv", key=name)
    return rows.set_index("year")["value"].astype(float)


def _on_basis(values: pd.Series, basis: str) -> pd.Series:
    if basis != "index2000":
        return values
    if FIRST not in values.index:
        raise InputError("the run lacks the base year of an index", key=str(values.name),
                         value=FIRST, allowed=f"a run from {FIRST} on")
    return values * (100.0 / float(values.loc[FIRST]))


def run_indicators(indicators: Indicators, run: pd.DataFrame) -> pd.DataFrame:
    """Return the indicators of a run.

    Parameters
    ----------
    indicators : Indicators
    run : DataFrame
        Annual statistics by year with the model variables of the list as columns.

    Returns
    -------
    DataFrame
        Years by code.  Levels are put on 2000 = 100 of the same run, as the observed ones are;
        the run is never rescaled to the data.

    Raises
    ------
    InputError
        If the run lacks a variable.
    """
    columns = {}
    for code, row in indicators.table.iterrows():
        if row["variable"] not in run:
            raise InputError("the run lacks a variable of the index", key=str(code),
                             value=row["variable"])
        columns[code] = _on_basis(run[row["variable"]], row["basis"])
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class Reference:
    """Mean and population standard deviation per indicator, both indexed by code."""

    mu: pd.Series
    sigma: pd.Series


def reference(
    observed: pd.DataFrame,
    reading: Literal["A", "B"] = "A",
    run: pd.DataFrame | None = None,
) -> Reference:
    """Return mu and sigma.

    Parameters
    ----------
    observed : DataFrame
        Observed indicators, years by code.
    reading : {"A", "B"}
        A: the observed years 2000-2021.  B: these and the years 2022-2035 of `run`.
    run : DataFrame, optional
        Indicators of the run, for reading B.

    Raises
    ------
    InputError
        If the reading is unknown, B has no run, or an indicator does not vary.
    """
    if reading == "A":
        sample = observed
    elif reading == "B" and run is not None:
        sample = pd.concat([observed, run[(run.index > LAST) & (run.index <= HORIZON)]])
    else:
        raise InputError("unknown reading, or reading B without a run", key="reading",
                         value=reading, allowed="A, or B with a run")
    mu, sigma = sample.mean(), sample.std(ddof=0)
    for code in sample.columns[~(sigma > 0.0)]:
        raise InputError("an indicator does not vary in the sample", key=str(code),
                         value=f"standard deviation {sigma[code]:g}", allowed="above 0")
    return Reference(mu, sigma)


@dataclass(frozen=True)
class IndexResult:
    """The index of one set of values.

    Attributes
    ----------
    index : DataFrame
        Years by ``index``, ``P``, ``C``, ``N`` (points of a z-score; 0 is the mean of 2000-2021).
    z : DataFrame
        Signed z-scores, years by code.
    codes : tuple of str
        The list used.
    note : str
        Says that the list is reconstructed.
    """

    index: pd.DataFrame
    z: pd.DataFrame
    codes: tuple[str, ...]
    note: str = RECONSTRUCTED


def z_scores(
    values: pd.DataFrame, indicators: Indicators, scale: Reference
) -> pd.DataFrame:
    """Return signed z-scores, years by code."""
    sign = indicators.table["sign"]
    return (values - scale.mu) / scale.sigma * sign


def resilience(
    values: pd.DataFrame,
    indicators: Indicators,
    scale: Reference,
    codes: tuple[str, ...] | None = None,
) -> IndexResult:
    """Return the index of one table of indicator values.

    Parameters
    ----------
    values : DataFrame
        Years by code, observed or simulated.
    indicators : Indicators
    scale : Reference
    codes : tuple of str, optional
        The list to use; by default every indicator of the table that is no alternate.

    Returns
    -------
    IndexResult
        A year in which an indicator is missing uses the others of its megafactor; a megafactor
        without any leaves the index of that year unknown.

    Raises
    ------
    InputError
        If a code is not in the table, or a megafactor has none.
    """
    used = _used(indicators, codes)
    z = z_scores(values, indicators, scale)[list(used)]
    index = _index(z.to_numpy(), indicators, used)
    frame = pd.DataFrame(index, index=values.index, columns=["index", *MEGAFACTORS])
    return IndexResult(frame, z, used)


def index_values(
    values: np.ndarray,
    indicators: Indicators,
    scale: Reference,
    codes: tuple[str, ...] | None = None,
) -> np.ndarray:
    """Return the index of many runs at once.

    Parameters
    ----------
    values : ndarray, shape (..., year, indicator)
        Values in the order of `codes`, on the basis of the table; leading axes are runs.
    indicators, scale, codes
        As in `resilience`.

    Returns
    -------
    ndarray, shape (..., year, 4)
        Index, P, C, N.

    Raises
    ------
    InputError
        As in `resilience`, or if the last axis is not as long as the list.
    """
    used = _used(indicators, codes)
    if values.shape[-1] != len(used):
        raise InputError("the last axis must hold the indicators of the list", key="values",
                         value=values.shape[-1], allowed=str(len(used)))
    names = list(used)
    mu, sigma, sign = (column[names].to_numpy(float)
                       for column in (scale.mu, scale.sigma, indicators.table["sign"]))
    return _index(sign * (values - mu) / sigma, indicators, used)


def _used(indicators: Indicators, codes: tuple[str, ...] | None) -> tuple[str, ...]:
    table = indicators.table
    used = tuple(codes) if codes is not None else tuple(table.index[table["alternate_of"] == ""])
    for code in used:
        if code not in table.index:
            raise InputError("no such indicator", key="codes", value=code,
                             allowed=", ".join(table.index))
    for megafactor in MEGAFACTORS:
        if megafactor not in set(table.loc[list(used), "megafactor"]):
            raise InputError("a megafactor has no indicator", key="codes", value=megafactor,
                             allowed="at least one of each of P, C, N")
    return used


def _index(z: np.ndarray, indicators: Indicators, used: tuple[str, ...]) -> np.ndarray:
    """Index and sub-indices of signed z-scores, (..., indicator) -> (..., 4)."""
    of = indicators.table.loc[list(used), "megafactor"].to_numpy()
    parts = np.stack([_known_mean(z[..., of == m]) for m in MEGAFACTORS], axis=-1)
    return np.concatenate([parts.mean(axis=-1, keepdims=True), parts], axis=-1)


def _known_mean(z: np.ndarray) -> np.ndarray:
    known = np.isfinite(z)
    with np.errstate(invalid="ignore"):  # 0/0 where nothing is known gives NaN, as it should
        return np.asarray(np.where(known, z, 0.0).sum(axis=-1) / known.sum(axis=-1))


class Family:
    """All lists of four indicators per megafactor that agree with what is published.

    A list is admissible if the observed index is within 0.03 of both anchors (0.347 in 2019, 0.535
    in 2021) and lower in 2020 than in 2019: an index blind to 2020 is no resilience index.

    Parameters
    ----------
    indicators : Indicators
        Candidates and alternates.
    """

    def __init__(self, indicators: Indicators) -> None:
        self.indicators = indicators
        self.observed = observed_indicators(indicators)
        self.reference = reference(self.observed)
        z = z_scores(self.observed, indicators, self.reference)
        self._sets = {m: list(itertools.combinations(indicators.of(m), _SIZE))
                      for m in MEGAFACTORS}
        for megafactor, sets in self._sets.items():
            if not sets:
                raise InputError("too few candidates for a family", key=megafactor,
                                 value=len(indicators.of(megafactor)),
                                 allowed=f"at least {_SIZE}")
        self._member = {m: self._membership(m) for m in MEGAFACTORS}
        years = [2019, 2020, 2021]
        p, c, n = (self._sub_index(z.loc[years].to_numpy().T, m) for m in MEGAFACTORS)
        index = (p[:, None, None, :] + c[None, :, None, :] + n[None, None, :, :]) / 3.0
        near = [np.abs(index[..., years.index(y)] - a) <= TOLERANCE for y, a in ANCHORS.items()]
        self.counts = {"all": int(np.prod(index.shape[:3])),
                       "anchors": int((near[0] & near[1]).sum())}
        falls = index[..., 1] < index[..., 0]
        self._choice = np.argwhere(near[0] & near[1] & falls)
        self.counts["admissible"] = len(self._choice)
        if not len(self._choice):
            raise InputError("no list of these candidates is admissible", key="indicators",
                             allowed="candidates that meet the published anchors")

    def __len__(self) -> int:
        return len(self._choice)

    def _membership(self, megafactor: str) -> np.ndarray:
        codes = self.indicators.codes
        sets = self._sets[megafactor]
        matrix = np.zeros((len(sets), len(codes)))
        for row, members in enumerate(sets):
            matrix[row, [codes.index(code) for code in members]] = 1.0
        return matrix

    def _sub_index(self, z: np.ndarray, megafactor: str) -> np.ndarray:
        """Mean z of every set; `z` has shape (..., indicator, year)."""
        known = np.isfinite(z)
        member = self._member[megafactor]
        with np.errstate(invalid="ignore"):  # 0/0 where nothing is known gives NaN
            return np.asarray((member @ np.where(known, z, 0.0)) / (member @ known.astype(float)))

    def index(self, z: np.ndarray) -> np.ndarray:
        """Return the index of every admissible list.

        Parameters
        ----------
        z : ndarray, shape (..., indicator, year)
            Signed z-scores in the order of the table; leading axes are runs.

        Returns
        -------
        ndarray, shape (..., list, year)
        """
        p, c, n = (self._sub_index(z, m) for m in MEGAFACTORS)
        i, j, k = self._choice.T
        return np.asarray((p[..., i, :] + c[..., j, :] + n[..., k, :]) / 3.0)

    def index_of(self, values: pd.DataFrame, scale: Reference | None = None) -> pd.DataFrame:
        """Return the index of every admissible list for one table of values.

        Returns
        -------
        DataFrame
            Years by number of the list.
        """
        z = z_scores(values, self.indicators, scale or self.reference)
        return pd.DataFrame(self.index(z.to_numpy().T).T, index=values.index)

    def codes(self, number: int) -> tuple[str, ...]:
        """Return the indicators of one admissible list."""
        return tuple(code for m, row in zip(MEGAFACTORS, self._choice[number], strict=True)
                     for code in self._sets[m][row])

    @cached_property
    def default(self) -> tuple[str, ...]:
        """The default list.

        Rule: of the admissible lists that use no model variable twice, those with the most
        candidates of the theory (no alternates); of these the best balance of production and
        social sphere within the megafactors; of these the nearest to both anchors.
        """
        table = self.indicators.table
        members = self._members()
        alternates = members @ (table["alternate_of"] != "").to_numpy(float)
        shared = members @ pd.get_dummies(table["variable"]).to_numpy(float)
        production = (table["sphere"] == "production").to_numpy()
        imbalance = sum(np.abs(members @ (production & (table["megafactor"] == m).to_numpy())
                               - _SIZE / 2) for m in MEGAFACTORS)
        z = z_scores(self.observed, self.indicators, self.reference).loc[list(ANCHORS)]
        distance = np.abs(self.index(z.to_numpy().T) - list(ANCHORS.values())).sum(axis=1)
        # The last key of lexsort ranks first.
        order = np.lexsort([distance, imbalance, alternates, shared.max(axis=1) > 1.0])
        return self.codes(int(order[0]))

    def _members(self) -> np.ndarray:
        """Which list has which indicator, 0 or 1, (list, indicator)."""
        return np.asarray(sum(self._member[m][rows]
                              for m, rows in zip(MEGAFACTORS, self._choice.T, strict=True)))
