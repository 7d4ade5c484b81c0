"""The published claims on the index, on made-up indices of known verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.region.claims import index_claims
from kuzbass.region.data import read_table

S1, S2, S3 = "s1-coal-paradigm", "s2-interregional", "s3-decline"
YEARS = range(2000, 2036)


def _path(**points: float) -> pd.Series:
    """Lines between points such as ``y2035=0.57``."""
    years = [int(name[1:]) for name in points]
    return pd.Series(np.interp(YEARS, years, list(points.values())), index=pd.Index(YEARS))


# Every claim of the paper holds in these.
HISTORY = {"y2000": -1.0, "y2019": 0.347, "y2020": 0.2, "y2021": 0.535}
PAPER = {
    S1: _path(**HISTORY, y2022=0.55, y2035=0.57),
    S2: _path(**HISTORY, y2022=0.46, y2035=0.44),
    S3: _path(**HISTORY, y2022=0.4, y2035=0.05),
}
OBSERVED = _path(**HISTORY).loc[:2021]


def _claims(index: dict[str, pd.Series], lists: list[float] | None = None) -> pd.DataFrame:
    """Claims, with a family of lists that are the index plus so many points."""
    shifts = lists or [0.0]
    family = {name: pd.DataFrame({n: path + shift for n, shift in enumerate(shifts)})
              for name, path in {**index, "observed": OBSERVED}.items()}
    frames = {name: path.to_frame("index") for name, path in index.items()}
    table = index_claims(frames, OBSERVED.to_frame("index"), family)
    return table.set_index(["claim", "against"])


def _row(table: pd.DataFrame, claim: str, against: str = "same run") -> pd.Series:
    hits = [key for key in table.index if key[0].startswith(claim) and key[1] == against]
    assert len(hits) == 1
    return table.loc[hits[0]]


def test_claims_of_the_paper_hold_where_they_should() -> None:
    table = _claims(PAPER)
    assert len(table) == 9
    assert (table["verdict"] == "holds").all()
    assert (table["family_share"] == 1.0).all()
    assert table["published"].tolist() == [0.57, 64.0, 64.0, 6.6, 6.6, -20.0, 0.0, 0.0, 0.0]
    assert _row(table, "Index of scenario 1")["simulated"] == pytest.approx(0.57)
    assert _row(table, "Scenario 1 in 2035 above 2019")["simulated"] == pytest.approx(
        100 * (0.57 / 0.347 - 1))
    assert _row(table, "Scenario 1 in 2035 above 2021", "observed")["simulated"] == pytest.approx(
        100 * (0.57 / 0.535 - 1))
    second, first = PAPER[S2].loc[2025:2035].mean(), PAPER[S1].loc[2025:2035].mean()
    assert _row(table, "Scenario 2 against")["simulated"] == pytest.approx(
        100 * (second / first - 1))
    assert _row(table, "Scenario 2 never")["simulated"] == pytest.approx(0.46 - 0.535)
    assert _row(table, "Scenario 3")["simulated"] == pytest.approx(0.05)


def test_published_numbers_are_those_of_the_data() -> None:
    table = read_table("index_published.csv")
    values = [(row.item, row.scenario, row.value) for row in table.itertuples()]
    assert values[:8] == [
        ("index", "observed", 0.347), ("index", "observed", 0.535), ("index", S1, 0.57),
        ("ratio to 2019", S1, 64.0), ("ratio to 2021", S1, 6.6),
        ("mean ratio to scenario 1", S2, -20.0), ("never above 2021", S2, 0.0),
        ("positive", S3, 0.0)]


@pytest.mark.parametrize(
    ("scenario", "points", "claim"),
    [
        (S1, {"y2022": 0.55, "y2035": 0.61}, "Index of scenario 1"),
        (S1, {"y2022": 0.55, "y2035": 0.53}, "Scenario 1 in 2035 above 2019"),
        (S1, {"y2022": 0.55, "y2035": 0.61}, "Scenario 1 in 2035 above 2021"),
        (S2, {"y2022": 0.50, "y2035": 0.53}, "Scenario 2 against"),
        (S2, {"y2022": 0.60, "y2035": 0.30}, "Scenario 2 never above"),
        (S3, {"y2022": 0.40, "y2035": 0.00}, "Scenario 3 stays positive"),
        (S3, {"y2022": 0.40, "y2030": -0.1, "y2035": 0.1}, "Scenario 3 stays positive"),
    ],
)
def test_claims_fail_where_they_should(
    scenario: str, points: dict[str, float], claim: str
) -> None:
    table = _claims({**PAPER, scenario: _path(**HISTORY, **points)})
    assert _row(table, claim)["verdict"] == "fails"
    assert _row(table, claim)["family_share"] == 0.0


def test_same_run_and_observed_base_differ() -> None:
    # The run has a lower 2021 than the record, and its scenario 2 lies between the two.
    run = _path(y2000=-1.0, y2021=0.4, y2022=0.45, y2035=0.45)
    table = _claims({**PAPER, S2: run})
    assert _row(table, "Scenario 2 never")["verdict"] == "fails"
    assert _row(table, "Scenario 2 never", "observed")["verdict"] == "holds"


def test_a_ratio_to_a_base_below_zero_is_not_defined() -> None:
    run = _path(y2000=-1.0, y2019=-0.1, y2021=0.535, y2035=0.57)
    table = _claims({**PAPER, S1: run})
    row = _row(table, "Scenario 1 in 2035 above 2019")
    assert row["verdict"] == "not defined"
    assert np.isnan(row["simulated"])
    assert row["family_share"] == 0.0
    assert _row(table, "Scenario 1 in 2035 above 2019", "observed")["verdict"] == "holds"


def test_share_of_the_family() -> None:
    table = _claims(PAPER, [-0.1, -0.02, 0.0, 0.02])
    assert _row(table, "Index of scenario 1")["family_share"] == 0.75
    assert _row(table, "Scenario 3")["family_share"] == 0.75
    assert _row(table, "Scenario 2 never")["family_share"] == 1.0


def test_a_short_run_defines_nothing_and_missing_scenarios_are_left_out() -> None:
    short = {S3: PAPER[S3].loc[:2030]}
    table = _claims(short)
    assert table["verdict"].tolist() == ["not defined"]
    assert len(_claims({S1: PAPER[S1]})) == 5
    assert _claims({"baseline": PAPER[S1]}).empty


def test_the_lists_of_an_index_may_not_be_missing() -> None:
    frame = PAPER[S1].to_frame("index")
    with pytest.raises(InputError, match=r"family: the admissible lists .* \(found: observed; "):
        index_claims({S1: frame}, OBSERVED.to_frame("index"), {S1: frame})
