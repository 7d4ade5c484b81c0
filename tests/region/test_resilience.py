"""The resilience index: published anchors, an independent computation, readings, missing values."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.paths import data_dir
from kuzbass.region.resilience import (
    ANCHORS,
    MEGAFACTORS,
    RECONSTRUCTED,
    Family,
    Indicators,
    Reference,
    index_values,
    load_indicators,
    observed_indicators,
    reference,
    resilience,
    run_indicators,
    z_scores,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THEORY = ("P1", "P2", "P3", "P4", "C1", "C2", "C3", "C4", "N1", "N2", "N3", "N4")


def counts_by_hand(values: pd.DataFrame, indicators: Indicators) -> tuple[int, int, int]:
    """Count lists: all, near both anchors, admissible. Loops instead of membership matrices."""
    sign = indicators.table["sign"]
    z = {code: sign[code] * (values[code] - np.nanmean(values[code])) / np.nanstd(values[code])
         for code in values}
    sums = []
    for megafactor in MEGAFACTORS:
        lists = itertools.combinations([c for c in z if c.startswith(megafactor)], 4)
        sums.append(np.array([
            [np.nanmean([z[code][year] for code in codes]) for year in (2019, 2020, 2021)]
            for codes in lists]))
    near = falls = total = 0
    for own in sums[0]:
        index = (own + sums[1][:, None, :] + sums[2][None, :, :]) / 3.0
        close = (np.abs(index[..., 0] - 0.347) <= 0.03) & (np.abs(index[..., 2] - 0.535) <= 0.03)
        total += close.size
        near += int(close.sum())
        falls += int((close & (index[..., 1] < index[..., 0])).sum())
    return total, near, falls


def dollars_over_roubles(indicators: Indicators) -> Indicators:
    """The list with exports in dollars over GRP in roubles, as an earlier count took them."""
    table = indicators.table.copy()
    table.loc["C2b", "times"] = ""
    return Indicators(table)


def test_default_meets_the_anchors_and_sees_2020(family: Family) -> None:
    index = resilience(family.observed, family.indicators, family.reference,
                       family.default).index["index"]
    assert index[2019] == pytest.approx(0.347, abs=0.03)
    assert index[2021] == pytest.approx(0.535, abs=0.03)
    assert index[2020] < index[2019]
    assert index.loc[2000:2021].mean() == pytest.approx(0.0, abs=1e-12)
    assert index.index.tolist() == list(range(2000, 2022))


def test_default_has_one_indicator_for_each_of_the_theory(family: Family) -> None:
    table = family.indicators.table
    slots = [table.at[code, "alternate_of"] or code for code in family.default]
    assert sorted(slots) == sorted(THEORY)
    assert set(family.default) - set(THEORY) == {"N2a", "N3a"}
    for megafactor in MEGAFACTORS:
        spheres = [table.at[code, "sphere"] for code in family.default
                   if code.startswith(megafactor)]
        assert sorted(spheres) == ["production", "production", "social", "social"]
    assert "reconstructed" in RECONSTRUCTED


def test_theory_alone_is_blind_to_2020(family: Family) -> None:
    # Innovation spending jumped in 2020, so the plain list is not good enough as the default.
    index = resilience(family.observed, family.indicators, family.reference, THEORY).index["index"]
    assert index.loc[[2019, 2020, 2021]].tolist() == pytest.approx([0.33, 0.54, 0.25], abs=0.005)


def test_family_equals_an_independent_count(family: Family) -> None:
    total, near, admissible = counts_by_hand(family.observed, family.indicators)
    assert (total, near, admissible) == (1_852_200, 20_183, 9_402)
    assert family.counts == {"all": total, "anchors": near, "admissible": admissible}
    assert len(family) == admissible


def test_the_earlier_count_had_exports_in_dollars_over_roubles(family: Family) -> None:
    mixed = dollars_over_roubles(family.indicators)
    other = Family(mixed)
    assert other.counts == {"all": 1_852_200, "anchors": 14_308, "admissible": 6_467}
    assert counts_by_hand(other.observed, mixed) == (1_852_200, 14_308, 6_467)
    assert other.default == family.default


def test_every_list_of_the_family_is_admissible(family: Family) -> None:
    index = family.index_of(family.observed)
    assert index.shape == (22, len(family))
    for year, anchor in ANCHORS.items():
        assert (np.abs(index.loc[year] - anchor) <= 0.03 + 1e-12).all()
    assert (index.loc[2020] < index.loc[2019]).all()
    number = [family.codes(n) for n in range(len(family))].index(family.default)
    own = resilience(family.observed, family.indicators, family.reference, family.default)
    np.testing.assert_allclose(index[number], own.index["index"], atol=1e-12)


def test_family_is_fast() -> None:
    start = time.process_time()  # of this process: other work on the machine does not count
    family = Family(load_indicators())
    built = time.process_time()
    assert family.default
    assert built - start < 1.0
    assert time.process_time() - built < 0.3


def test_family_takes_many_runs(family: Family) -> None:
    z = z_scores(family.observed, family.indicators, family.reference).to_numpy().T
    both = family.index(np.stack([z, z + 1.0]))
    assert both.shape == (2, len(family), 22)
    np.testing.assert_allclose(both[1], both[0] + 1.0, atol=1e-12)


def test_index_of_many_runs_equals_one_by_one(family: Family) -> None:
    values = family.observed[list(family.default)].to_numpy()
    runs = np.stack([values, 1.1 * values])[None]
    index = index_values(runs, family.indicators, family.reference, family.default)
    assert index.shape == (1, 2, 22, 4)
    for run in range(2):
        frame = pd.DataFrame(runs[0, run], index=family.observed.index, columns=family.default)
        one = resilience(frame.reindex(columns=family.observed.columns), family.indicators,
                         family.reference, family.default)
        np.testing.assert_allclose(index[0, run], one.index.to_numpy(), atol=1e-12)
    with pytest.raises(InputError, match=r"values: the last axis .* \(found: 12; allowed: 13\)"):
        index_values(runs, family.indicators, family.reference, (*family.default, "P1a"))


# Two indicators of one year each side of the mean: every number below is by hand.
TINY = """\
code,megafactor,sphere,name,sign,observed,chain,times,deflator,per,scale,variable,statistic,basis,unit,alternate_of
P,P,production,a,1,grp_nominal_bn,0,,,,1,p,mean,unit,x,
C,C,social,b,-1,poverty_rate,0,,,,1,c,mean,unit,x,
C2,C,social,b,1,poverty_rate,0,,,,1,c2,end,index2000,x,
N,N,social,c,1,rd_spending,0,,,,1,n,mean,unit,x,
"""


@pytest.fixture
def tiny(write: Callable[..., Path]) -> Indicators:
    return load_indicators(write("mine.csv", TINY))


def _values(rows: list[list[float]], first: int = 2000) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["P", "C", "C2", "N"],
                        index=range(first, first + len(rows)))


def test_index_by_hand(tiny: Indicators) -> None:
    values = _values([[0.0, 0.0, 0.0, 0.0], [2.0, 4.0, 8.0, 6.0]])
    scale = reference(values)
    assert scale.sigma.tolist() == [1.0, 2.0, 4.0, 3.0]  # of the population, not of a sample
    result = resilience(values, tiny, scale)
    assert result.index.loc[2000].tolist() == pytest.approx([-2 / 3, -1.0, 0.0, -1.0])
    assert result.index.loc[2001].tolist() == pytest.approx([2 / 3, 1.0, 0.0, 1.0])
    assert result.codes == ("P", "C", "C2", "N")
    assert result.note == RECONSTRUCTED
    alone = resilience(values, tiny, scale, ("P", "C", "N"))
    assert alone.index.loc[2001].tolist() == pytest.approx([1 / 3, 1.0, -1.0, 1.0])


def test_a_missing_indicator_leaves_the_others_of_its_megafactor(tiny: Indicators) -> None:
    scale = Reference(pd.Series(0.0, ["P", "C", "C2", "N"]), pd.Series(1.0, ["P", "C", "C2", "N"]))
    values = _values([[1.0, np.nan, 3.0, 1.0], [np.nan, 1.0, 3.0, 1.0]])
    index = resilience(values, tiny, scale).index
    assert index.loc[2000].tolist() == pytest.approx([5 / 3, 1.0, 3.0, 1.0])
    # A megafactor without any indicator leaves the index unknown, not the mean of the rest.
    assert np.isnan(index.loc[2001, "index"])
    assert index.loc[2001, "C"] == 1.0


def test_reading_b_takes_in_the_years_of_the_run_to_2035(tiny: Indicators) -> None:
    observed = _values([[0.0, 0.0, 0.0, 0.0], [2.0, 4.0, 8.0, 6.0]], first=2020)
    run = _values([[9.0, 9.0, 9.0, 9.0]] * 31, first=2020)
    scale = reference(observed, "B", run)
    assert scale.mu["P"] == pytest.approx((0.0 + 2.0 + 14 * 9.0) / 16)
    np.testing.assert_allclose(scale.sigma["P"], np.std([0.0, 2.0, *[9.0] * 14]))
    assert reference(observed, "A", run).mu["P"] == 1.0
    values = resilience(run, tiny, scale).index
    assert np.isfinite(values.to_numpy()).all()


def test_reading_is_checked(tiny: Indicators) -> None:
    values = _values([[0.0, 0.0, 0.0, 0.0], [2.0, 4.0, 8.0, 6.0]])
    for reading, run in (("B", None), ("D", values)):
        with pytest.raises(InputError, match=f"reading: .*found: {reading}; allowed: A, or B"):
            reference(values, reading, run)
    with pytest.raises(InputError, match="P: an indicator does not vary in the sample"):
        reference(_values([[1.0, 0.0, 0.0, 0.0], [1.0, 4.0, 8.0, 6.0]]))


def test_indicators_of_a_run(tiny: Indicators) -> None:
    run = pd.DataFrame({"p": [5.0, 6.0], "c": [1.0, 2.0], "c2": [4.0, 5.0], "n": [0.0, 1.0]},
                       index=[2000, 2001])
    table = run_indicators(tiny, run)
    assert table["P"].tolist() == [5.0, 6.0]
    assert table["C2"].tolist() == [100.0, 125.0]
    assert tiny.variables == {"p": "mean", "c": "mean", "c2": "end", "n": "mean"}
    with pytest.raises(InputError, match=r"N: the run lacks a variable of the index \(found: n\)"):
        run_indicators(tiny, run.drop(columns="n"))
    with pytest.raises(InputError, match=r"c2: the run lacks the base year of an index"):
        run_indicators(tiny, run.loc[[2001]])


def test_observed_indicators_by_hand(family: Family) -> None:
    values = family.observed
    assert values.loc[2000, "P1"] == pytest.approx(100.0)
    assert values.loc[2019, "P4a"] == pytest.approx(5.5, abs=0.05)
    # Border exports over GRP of 2019, both in roubles.
    assert values.loc[2019, "C2b"] == pytest.approx(87.0, abs=1.0)
    assert values["C1a"].isna().sum() == 5  # shipments by activity begin in 2005
    incomes = values["C3"] / values.loc[2000, "C3"]
    assert incomes[2008] > 2.0  # "more than doubled"


def test_a_user_list_replaces_ours(write: Callable[..., Path], tiny: Indicators) -> None:
    observed = observed_indicators(tiny)
    assert list(observed.columns) == ["P", "C", "C2", "N"]
    assert resilience(observed, tiny, reference(observed)).index["index"].mean() == pytest.approx(
        0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("P,P,production", "P,Q,production", r"line 2, megafactor: not allowed \(found: Q; allow"),
        ("P,P,production", "P,P,prod", r"sphere: not allowed \(found: prod; allowed: product"),
        ("b,-1,", "b,0,", r"line 3, sign: not allowed \(found: 0\.0; allowed: 1\.0, -1\.0\)"),
        ("p,mean,", "p,sum,", "statistic: not allowed .*allowed: mean, end"),
        ("end,index2000", "end,index2001", "basis: not allowed .*allowed: unit, index2000"),
        ("n,mean,unit,x,", "n,mean,unit,x,N9", r"alternate_of: not a code of the list \(found: N9"),
        ("N,N,social", "N,P,social", r"megafactor: a megafactor has no indicator \(found: N; allo"),
        ("C2,C,", "C,C,", r"line 4, code: the key repeats \(found: C\)"),
        (",sign,", ",signs,", "sign: column missing"),
    ],
)
def test_broken_lists(write: Callable[..., Path], old: str, new: str, message: str) -> None:
    assert old in TINY
    with pytest.raises(InputError, match=r"mine\.csv: .*" + message):
        load_indicators(write("mine.csv", TINY.replace(old, new, 1)))


def test_a_list_of_unknown_series(write: Callable[..., Path]) -> None:
    for old, new, file in (("grp_nominal_bn", "grp", "observed"), ("0,,,,1,p", "0,fx,,,1,p",
                                                                   "drivers")):
        text = TINY.replace(old, new, 1)
        with pytest.raises(InputError, match=rf"{file}\.csv: (grp|fx): no such .* series"):
            observed_indicators(load_indicators(write("mine.csv", text)))


def test_codes_are_checked(tiny: Indicators) -> None:
    values = _values([[0.0, 0.0, 0.0, 0.0], [2.0, 4.0, 8.0, 6.0]])
    scale = reference(values)
    with pytest.raises(InputError, match=r"codes: no such indicator \(found: X; allowed: P, C, C2"):
        resilience(values, tiny, scale, ("P", "X", "N"))
    with pytest.raises(InputError, match=r"codes: a megafactor has no indicator \(found: N;"):
        resilience(values, tiny, scale, ("P", "C"))


def test_a_list_too_short_or_too_far_off_for_a_family(tiny: Indicators) -> None:
    with pytest.raises(InputError, match=r"P: too few candidates for a family \(found: 1; allowed"):
        Family(tiny)
    table = load_indicators().table
    theory = Indicators(table[table["alternate_of"] == ""])
    with pytest.raises(InputError, match="no list of these candidates is admissible"):
        Family(theory)


def test_shipped_list_is_that_of_the_table() -> None:
    indicators = load_indicators(data_dir() / "indicators.csv")
    theory = indicators.table[indicators.table["alternate_of"] == ""]
    assert tuple(theory.index) == THEORY
    assert len(indicators.of("P")) == 10
    assert len(indicators.of("C")) == 9
    assert len(indicators.of("N")) == 8
    negative = indicators.table[indicators.table["sign"] == -1.0].index
    assert set(negative) == {"P2b", "P4a", "C4"}
