"""The targets of the paper, and runs held against them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.region.data import read_table
from kuzbass.region.targets import compare_targets

S1, S2, S3 = "s1-coal-paradigm", "s2-interregional", "s3-decline"
YEARS = (2025, 2030, 2035)
# The table of the paper, DOI 10.15372/REG20240202: indicator, then 2025, 2030, 2035 of scenarios
# 1 to 3; percent of 2019 unless a unit stands after the name.
PAPER = """
GRP, constant prices: 110 115 120 | 105 110 110 | 100 95 90
Coal output (Mt): 220-230 230-250 250-270 | 210-220 220-230 220-230 | 200-210 170-200 150-170
Industrial production, constant prices: 108 113 115 | 105 110 110 | 100 95 90
Fixed-capital investment, comparable prices: 120 125 130 | 115 120 120 | 105 100 97
Real money incomes of the population: 108 113 115 | 100 102 102 | 98 97 96
Foreign-trade turnover: 108 113 115 | 100 115 110 | 100 95 90
Poverty (%): 12 10 9 | 12.5 11 10 | 12.5 12.5 12.5
Unemployment (%): 5 5 4 | 5 5 5 | 5 5 5.5
Average annual employment: 98 98 97 | 97 96 95 | 96 95 93
"""


def _paper() -> dict[tuple[str, str, int], tuple[float, float, str]]:
    table = {}
    for line in PAPER.strip().splitlines():
        name, _, cells = line.partition(": ")
        name, _, unit = name.partition(" (")
        for scenario, own in zip((S1, S2, S3), cells.split("|"), strict=True):
            for year, cell in zip(YEARS, own.split(), strict=True):
                low, _, high = cell.partition("-")
                table[name, scenario, year] = (float(low), float(high or low),
                                               unit.rstrip(")") or "% of 2019")
    return table


def _run(**levels: float) -> pd.DataFrame:
    """A run in which each target variable is 100 (or 50 for rates) in every year."""
    table = read_table("targets.csv")
    variables = dict.fromkeys(table["variable"], 100.0)
    return pd.DataFrame({**variables, **{k.replace("_", " "): v for k, v in levels.items()}},
                        index=range(2000, 2036))


def test_table_is_that_of_the_paper() -> None:
    table = read_table("targets.csv")
    assert len(table) == 81
    ours = {(row.indicator, row.scenario, row.year): (row.low, row.high, row.unit)
            for row in table.itertuples()}
    assert ours == _paper()
    assert ((table["unit"] == "% of 2019") == (table["transform"] == "percent_of_2019")).all()


def test_full_run_gives_81_rows() -> None:
    targets, distance = compare_targets({name: _run() for name in (S1, S2, S3, "baseline")})
    assert len(targets) == 81
    assert distance["scenario"].tolist() == [S1, S2, S3]
    assert distance["rows"].tolist() == [27, 27, 27]
    assert targets["inside"].dtype == bool


def test_gaps_are_signed_and_measured_from_the_range() -> None:
    run = _run()
    run.loc[[2025, 2030, 2035], "coal output"] = [210.0, 240.0, 275.0]
    run.loc[2019, "real GRP index"] = 80.0  # 100 is 125 percent of it
    run.loc[2035, "real GRP index"] = 96.4
    run["poverty rate"] = 12.2
    targets, _ = compare_targets({S1: run})
    rows = targets.set_index(["variable", "year"])
    assert rows.loc[("coal output", 2025), "gap"] == pytest.approx(-10.0)
    assert rows.loc[("coal output", 2030), "gap"] == 0.0
    assert rows.loc[("coal output", 2035), "gap"] == pytest.approx(5.0)
    assert rows.loc["coal output", "inside"].tolist() == [False, True, False]
    assert rows.loc[("real GRP index", 2025), "simulated"] == pytest.approx(125.0)
    assert rows.loc[("real GRP index", 2025), "gap"] == pytest.approx(15.0)
    # Half a point of rounding is allowed, and shown.
    assert rows.loc[("real GRP index", 2035), "gap"] == pytest.approx(0.5)
    assert rows.loc[("real GRP index", 2035), "inside"]
    assert rows.loc[("poverty rate", 2025), "gap"] == pytest.approx(0.2)
    assert rows.loc[("poverty rate", 2025), "inside"]
    assert not rows.loc[("poverty rate", 2030), "inside"]


def test_distance_by_hand() -> None:
    table = read_table("targets.csv").query("indicator == 'Coal output' and year > 2025")
    run = _run(coal_output=200.0)
    _, distance = compare_targets({S1: run}, table)
    # Gaps -30 and -50 of middles 240 and 260.
    expected = np.sqrt(((30 / 240) ** 2 + (50 / 260) ** 2) / 2)
    assert distance.to_dict("records") == [
        {"scenario": S1, "rows": 2, "inside": 0, "rms_gap_relative": pytest.approx(expected)}]


def test_a_perfect_run_has_no_distance() -> None:
    run = pd.DataFrame(100.0, index=range(2019, 2036), columns=["coal output"])
    run.loc[2025:, "coal output"] = np.linspace(225.0, 260.0, 11)
    table = read_table("targets.csv").query("variable == 'coal output'")
    targets, distance = compare_targets({S1: run}, table)
    assert targets["inside"].all()
    assert distance["rms_gap_relative"].tolist() == [0.0]


def test_what_was_not_simulated_is_left_out() -> None:
    targets, distance = compare_targets({S2: _run().loc[:2031]})
    assert len(targets) == 18
    assert set(targets["year"]) == {2025, 2030}
    assert distance["rows"].tolist() == [18]
    targets, distance = compare_targets({"baseline": _run()})
    assert targets.empty
    assert distance.empty
    assert "gap" in targets
    assert "inside" in distance


def test_a_run_that_lacks_what_is_needed() -> None:
    with pytest.raises(InputError, match=r"coal output: the run lacks a variable of targets\.csv"):
        compare_targets({S1: _run().drop(columns="coal output")})
    with pytest.raises(InputError, match=r"real GRP index: the run lacks the base year .*2019"):
        compare_targets({S1: _run().loc[2020:]})
