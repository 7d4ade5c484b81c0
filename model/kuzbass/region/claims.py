"""The claims of the paper (DOI 10.15372/REG20240202) on the resilience index, put to the test.

The claims stand in ``data/index_published.csv``.  Each is evaluated on the default list and on
every admissible list of indicators, so that a verdict says how far it hangs on a list that is
reconstructed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.region.data import read_table
from kuzbass.region.resilience import TOLERANCE

__all__ = ["OBSERVED", "index_claims"]

OBSERVED = "observed"
SAME_RUN = "same run"
_S1, _S2 = "s1-coal-paradigm", "s2-interregional"
_FORECAST = range(2022, 2036)  # first year after the sample, to the horizon of the paper
_SCENARIO_YEARS = range(2025, 2036)
_COLUMNS = ["claim", "scenario", "published", "unit", "against", "simulated", "verdict",
            "family_share"]

# Index of every list by year and scenario, and of the series that is the base of a ratio.
_Lists = Mapping[str, pd.DataFrame]
# Simulated value (NaN is undefined) and whether the claim holds, per list.
_Outcome = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Claim:
    """How one row of the published table is evaluated."""

    item: str
    scenarios: tuple[str, ...]
    text: str
    unit: str
    bases: tuple[str, ...]
    outcome: Callable[[_Lists, pd.DataFrame, float], _Outcome]


def index_claims(
    index: Mapping[str, pd.DataFrame],
    observed: pd.DataFrame,
    family: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Evaluate the published claims on the index.

    Parameters
    ----------
    index : mapping of str to DataFrame
        By scenario: years by ``index`` (and more), default list.
    observed : DataFrame
        The same for the observed years.
    family : mapping of str to DataFrame
        By scenario, and under ``observed``: years by number of the admissible list.

    Returns
    -------
    DataFrame
        One row per claim and basis whose scenarios were simulated: claim, scenario, published,
        unit, against (``same run`` or ``observed``: whose 2019 or 2021), simulated, verdict,
        family_share (share of the admissible lists in which the claim holds).

    Raises
    ------
    InputError
        If an index lacks its lists in `family`.

    Notes
    -----
    Verdicts: ``holds``, ``fails``, or ``not defined`` (a year was not simulated, or a ratio has a
    base that is not positive; counted against the claim in the family share).

    A claim with a number holds if the index that it implies is met within 0.03 points, the
    tolerance within which the lists meet the published anchors: I(2035) = 0.570;
    I(2035) = 1.64 I(2019); I(2035) = 1.066 I(2021); mean of scenario 2 = 0.8 times that of
    scenario 1 over 2025-2035.  Percentages depend on where zero lies, index points do not.
    The other two claims have no tolerance: no year of 2022-2035 above 2021; all of them positive.
    """
    table = read_table("index_published.csv")
    # The observed index has two years; every claim on a scenario has one row.
    published = table[table["scenario"] != OBSERVED].set_index(["item", "scenario"])["value"]
    missing = [name for name in (OBSERVED, *index) if name not in family]
    if missing:
        raise InputError("the admissible lists of an index are missing", key="family",
                         value=missing[0], allowed="one table for each index")
    default = {name: frame[["index"]] for name, frame in {**index, OBSERVED: observed}.items()}
    rows = []
    for claim in _CLAIMS:
        if any(name not in index for name in claim.scenarios):
            continue
        value = float(published.loc[(claim.item, claim.scenarios[0])])
        for basis in claim.bases:
            base = OBSERVED if basis == OBSERVED else claim.scenarios[0]
            simulated, holds = claim.outcome(default, default[base], value)
            _, holds_by_list = claim.outcome(family, family[base], value)
            rows.append((claim.text, claim.scenarios[0], value, claim.unit, basis,
                         float(simulated[0]), _verdict(simulated[0], holds[0]),
                         float(np.mean(holds_by_list))))
    return pd.DataFrame(rows, columns=_COLUMNS)


def _verdict(simulated: float, holds: bool) -> str:
    if np.isnan(simulated):
        return "not defined"
    return "holds" if holds else "fails"


def _years(lists: pd.DataFrame, years: range) -> np.ndarray:
    """Return the index, (year, list); NaN where a year was not simulated."""
    return np.asarray(lists.reindex(years), dtype=float)


def _year(lists: pd.DataFrame, year: int) -> np.ndarray:
    return np.asarray(_years(lists, range(year, year + 1))[0])


def _level(lists: _Lists, _base: pd.DataFrame, value: float) -> _Outcome:
    simulated = _year(lists[_S1], 2035)
    return simulated, np.abs(simulated - value) <= TOLERANCE


def _ratio(value: np.ndarray, base: np.ndarray, percent: float) -> _Outcome:
    base = np.where(base > 0.0, base, np.nan)
    implied = (1.0 + percent / 100.0) * base
    return 100.0 * (value / base - 1.0), np.abs(value - implied) <= TOLERANCE


def _ratio_to_2019(lists: _Lists, base: pd.DataFrame, percent: float) -> _Outcome:
    return _ratio(_year(lists[_S1], 2035), _year(base, 2019), percent)


def _ratio_to_2021(lists: _Lists, base: pd.DataFrame, percent: float) -> _Outcome:
    return _ratio(_year(lists[_S1], 2035), _year(base, 2021), percent)


def _mean_ratio(lists: _Lists, _base: pd.DataFrame, percent: float) -> _Outcome:
    second, first = (_years(lists[name], _SCENARIO_YEARS).mean(axis=0) for name in (_S2, _S1))
    return _ratio(second, first, percent)


def _never_above(lists: _Lists, base: pd.DataFrame, value: float) -> _Outcome:
    above = _years(lists[_S2], _FORECAST).max(axis=0) - _year(base, 2021)
    return above, above <= value


def _positive(lists: _Lists, _base: pd.DataFrame, value: float) -> _Outcome:
    lowest = _years(lists["s3-decline"], _FORECAST).min(axis=0)
    return lowest, lowest > value


_BOTH = (SAME_RUN, OBSERVED)
_CLAIMS = (
    _Claim("index", (_S1,), "Index of scenario 1 in 2035", "index points", (SAME_RUN,), _level),
    _Claim("ratio to 2019", (_S1,), "Scenario 1 in 2035 above 2019", "percent", _BOTH,
           _ratio_to_2019),
    _Claim("ratio to 2021", (_S1,), "Scenario 1 in 2035 above 2021", "percent", _BOTH,
           _ratio_to_2021),
    _Claim("mean ratio to scenario 1", (_S2, _S1), "Scenario 2 against scenario 1, mean of "
           "2025-2035", "percent", (SAME_RUN,), _mean_ratio),
    _Claim("never above 2021", (_S2,), "Scenario 2 never above 2021: highest year of 2022-2035 "
           "less 2021, at most", "index points", _BOTH, _never_above),
    _Claim("positive", ("s3-decline",), "Scenario 3 stays positive: lowest year of 2022-2035, "
           "above", "index points", (SAME_RUN,), _positive),
)
