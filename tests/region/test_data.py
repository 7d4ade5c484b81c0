"""The tables of data/: what they hold, and that a broken one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.paths import data_dir
from kuzbass.region import data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERIES = ("observed.csv", "drivers.csv", "monthly.csv")
HEADER = "series,sector,unit,year,value,source_id,status,note\n"
ROW = "coal,coal,Mt,2000,1.5,S,sourced,\n"


@pytest.mark.parametrize("name", sorted(data.TABLES))
def test_shipped_table_is_sound(name: str) -> None:
    assert len(data.read_table(name)) > 0


@pytest.mark.parametrize("name", SERIES)
def test_every_number_has_a_source_and_every_series_one_unit(name: str) -> None:
    table = data.read_table(name)
    assert set(table["source_id"]) <= set(data.read_table("sources.csv")["source_id"])
    assert not table.drop_duplicates(["series", "unit"])["series"].duplicated().any()


def test_sources_are_all_used() -> None:
    used = {source for name in SERIES for source in data.read_table(name)["source_id"]}
    assert set(data.read_table("sources.csv")["source_id"]) == used


def test_recollections_judge_nothing() -> None:
    observed = data.read_table("observed.csv")
    assert set(observed["status"]) == {"sourced", "derived"}
    assert set(data.judged()["series"]) <= set(observed["series"])


def test_no_driver_contains_the_region() -> None:
    table = data.read_table("drivers.csv")
    assert not table["note"].str.contains("Kuzbass").any()
    assert not table["series"].str.match(r"(coal_production|coal_exports|ports).*Russia").any()


def test_export_bases_are_kept_apart() -> None:
    ministry, rail, customs = (data.observed_series(f"coal_export_volume_{basis}")
                               for basis in ("dept", "rail", "customs"))
    assert ministry[2021] == 139.3
    assert customs[2021] == 125.3
    assert rail[2019] == 147.3
    assert not set(ministry.index) & set(rail.index)
    rows = data.judged().query("variable == 'coal exports'")
    assert rows["series"].tolist() == ["coal_export_volume_dept", "coal_export_volume_rail"]


def test_missing_years_stay_missing() -> None:
    coal = data.observed_series("coal_production_total")
    assert sorted(set(range(2000, 2022)) - set(coal.index)) == [2000, 2005, 2006, 2014]
    noted = data.read_table("breaks.csv").query("kind == 'missing'")
    assert {2000, 2005, 2006, 2014} <= set(
        noted.loc[noted["series"] == "coal_production_total", "year"])


@pytest.mark.parametrize(
    ("series", "year", "kind"),
    [
        ("grp_nominal_bn", 2016, "break"),
        ("fixed_assets_gross", 2019, "break"),
        ("industrial_production_index", 2015, "break"),
        ("unemployment_rate_ilo", 2017, "break"),
        ("poverty_rate", 2021, "break"),
        ("innovation_spending", 2017, "break"),
        ("net_financial_result", 2014, "conflict"),
        ("coal_export_value_customs", 2019, "conflict"),
        ("coal_imports_India", 2016, "conflict"),
        ("fx_rub_usd_avg", 2023, "conflict"),
    ],
)
def test_breaks_and_conflicts_are_recorded(series: str, year: int, kind: str) -> None:
    table = data.read_table("breaks.csv")
    assert len(table[(table["series"] == series) & (table["year"] == year)
                     & (table["kind"] == kind)]) == 1


def test_anchors_of_the_history() -> None:
    assert data.observed_series("grp_nominal_bn")[2000] == pytest.approx(88.7, abs=0.05)
    assert data.observed_series("coal_production_total")[2019] == 250.1
    growth = data.observed_for(_row("grp_real_index", "chain:2000"))
    assert growth[2008] / growth[2000] == pytest.approx(1.52, abs=0.01)
    assert growth[2020] / growth[2019] == pytest.approx(0.962, abs=0.001)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"observed\.csv: the file is empty"),
        (" \n", r"observed\.csv: the file is empty"),
        (b"\xff\xfe", r"observed\.csv: byte 0: not UTF-8 text \(allowed: UTF-8\)"),
        (HEADER, "no rows below the header"),
        (HEADER.replace(",value", "") + "a,coal,Mt,2000,S,sourced,\n",
         r"observed\.csv: value: column missing \(found: series,sector,unit,year,source_id,"
         r"status,note; allowed: series,sector,unit,year,value,"),
        (HEADER.replace("note", "unit") + ROW, "line 1: a column stands twice"),
        (HEADER + ROW + "a,b\n", r"line 3: wrong number of cells \(found: 2; allowed: 8\)"),
        (HEADER + ROW.replace("1.5", "many"),
         r"line 2, value: not a number \(found: many; allowed: a finite number\)"),
        (HEADER + ROW.replace("1.5", "inf"), r"line 2, value: not a number \(found: inf"),
        (HEADER + ROW.replace("1.5", ""), r"line 2, value: empty cell \(allowed: a value\)"),
        (HEADER + ROW.replace("2000", "2000.5"),
         r"line 2, year: not a year \(found: 2000\.5; allowed: a whole number from 1990 to 2100"),
        (HEADER + ROW.replace("2000", "200"), r"line 2, year: not a year \(found: 200;"),
        (HEADER + ROW.replace("sourced", "memory-unverified"),
         r"line 2, status: not allowed \(found: memory-unverified; allowed: sourced, derived\)"),
        (HEADER + ROW + ROW, r"line 3, series \+ year: the key repeats \(found: coal, 2000\)"),
        (HEADER + '"coal,coal', "not a CSV table"),
    ],
)
def test_broken_table(write: Callable[..., Path], content: str | bytes, message: str) -> None:
    path = write("observed.csv", content)
    with pytest.raises(InputError, match=message):
        data.read_table("observed.csv", path)
    with pytest.raises(InputError, match=message):
        data.check_data_file(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: file not found"):
        data.check_data_file(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        data.read_table("judged.csv", tmp_path)


def test_month_is_checked(write: Callable[..., Path]) -> None:
    header = "series,unit,year,month,value,source_id,note\n"
    path = write("monthly.csv", header + "p,USD/t,2000,13,1,S,\n")
    message = r"month: not a month \(found: 13; allowed: a whole number from 1 to 12"
    with pytest.raises(InputError, match=message):
        data.read_table("monthly.csv", path)


def test_a_table_of_a_spreadsheet_is_read(write: Callable[..., Path]) -> None:
    # Spreadsheets write a byte-order mark and Windows line ends.
    path = write("mine.csv", b"\xef\xbb\xbf" + (HEADER + ROW).replace("\n", "\r\n").encode())
    assert data.check_data_file(path) == "observed.csv"
    assert data.read_table("observed.csv", path)["value"].tolist() == [1.5]


def test_a_table_of_other_columns_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"not a table of the data package \(found: a,b; allow"):
        data.check_data_file(write("mine.csv", "a,b\n1,2\n"))
    assert data.check_data_file(data_dir() / "judged.csv") == "judged.csv"


def _row(series: str, transform: str = "none", **more: object) -> pd.Series:
    return pd.Series({"series": series, "variable": "v", "label": series, "unit": "u",
                      "transform": transform, "kind": "level", "judged": "required",
                      "exclude_years": "", "bar_mape": np.nan, "bar_year": np.nan,
                      "bar_rmse_pp": np.nan} | more)


def _observed(values: dict[int, float]) -> pd.DataFrame:
    return pd.DataFrame({"series": "s", "year": list(values), "value": list(values.values())})


def test_chain_starts_at_100_and_stops_at_a_gap() -> None:
    growth = pd.Series({2000: 150.0, 2001: 110.0, 2002: 50.0, 2004: 120.0})
    level = data.chain(growth, 2000)
    assert level[2000] == 100.0
    assert level[2001] == pytest.approx(110.0)
    assert level[2002] == pytest.approx(55.0)
    assert level.loc[2003:].isna().all()
    assert data.chain(growth, 2001)[2002] == pytest.approx(50.0)


def test_transforms_of_the_observed_side() -> None:
    table = _observed({2001: 110.0, 2002: 90.0, 2003: 100.0})
    assert data.observed_for(_row("s"), table).tolist() == [110.0, 90.0, 100.0]
    assert data.observed_for(_row("s", "scale:0.001"), table)[2002] == pytest.approx(0.09)
    chained = data.observed_for(_row("s", "chain:2000"), table)
    np.testing.assert_allclose(chained, [100.0, 110.0, 99.0, 99.0])
    kept = data.observed_for(_row("s", exclude_years="2001;2003"), table)
    assert kept.index.tolist() == [2002]
    with pytest.raises(InputError, match=r"unknown transform \(found: log; allowed: none, scale:"):
        data.observed_for(_row("s", "log"), table)
    with pytest.raises(InputError, match=r"observed\.csv: nothing: no such observed series"):
        data.observed_for(_row("nothing"), table)


def test_only_chained_indices_are_rebased() -> None:
    run = pd.DataFrame({"v": [80.0, 120.0]}, index=[2000, 2001])
    assert data.model_side(_row("s"), run).tolist() == [80.0, 120.0]
    assert data.model_side(_row("s", "chain:2000"), run).tolist() == [100.0, 150.0]
    with pytest.raises(InputError, match=r"v: the run lacks the base year \(found: 1999"):
        data.model_side(_row("s", "chain:1999"), run)
    with pytest.raises(InputError, match=r"w: the run lacks a variable of judged\.csv"):
        data.model_side(_row("s", variable="w"), run)


def test_fit_statistics_by_hand() -> None:
    actual, simulated = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 3.0])
    fit = data.fit_statistics(simulated, actual)
    assert fit["n"] == 3.0
    assert fit["rmse"] == pytest.approx(np.sqrt(2.0 / 3.0))
    assert fit["bias"] == pytest.approx(0.0)
    assert fit["mape"] == pytest.approx(100.0 * (1.0 + 0.0 + 0.25) / 3.0)
    assert fit["worst"] == 100.0
    assert fit["worst_error"] == 1.0
    # Errors 0 and -1 against changes of 1 and 2.
    assert fit["u2"] == pytest.approx(np.sqrt(1.0 / 5.0))
    assert fit["um"] + fit["us"] + fit["uc"] == pytest.approx(1.0)
    assert fit["um"] == pytest.approx(0.0)
    spread = (np.std(simulated) - np.std(actual)) ** 2 / (2.0 / 3.0)
    assert fit["us"] == pytest.approx(spread)


def test_fit_statistics_of_a_constant_error_is_bias() -> None:
    actual = np.array([1.0, 3.0, 2.0])
    fit = data.fit_statistics(actual + 0.5, actual)
    assert fit["um"] == pytest.approx(1.0)
    assert fit["r"] == pytest.approx(1.0)


def test_fit_statistics_of_poor_samples() -> None:
    one = data.fit_statistics(np.array([1.1]), np.array([1.0]))
    assert np.isnan(one["u2"])
    assert np.isnan(one["r"])
    assert one["mape"] == pytest.approx(10.0)
    assert np.isnan(data.fit_statistics(np.array([1.0, 2.0]), np.array([0.0, 2.0]))["mape"])


def test_fit_table_judges_by_the_bars() -> None:
    table = pd.DataFrame([
        _row("s", bar_mape=10.0, bar_year=20.0),
        _row("s", bar_mape=10.0, bar_year=10.0),
        _row("s", kind="rate", bar_rmse_pp=1.0),
        _row("s"),
    ])
    run = pd.DataFrame({"v": [100.0, 104.0, 88.0]}, index=[2000, 2001, 2002])
    fit = data.fit_table(run, table, _observed({2000: 100.0, 2001: 100.0, 2002: 100.0}))
    assert fit["passed"].tolist() == [True, False, False, None]
    assert fit["mape"].iloc[0] == pytest.approx(16.0 / 3.0)
    assert fit["worst_year"].tolist() == [2002] * 4
    assert (fit["first"] == 2000).all()


def test_base_year_of_an_index_is_no_evidence() -> None:
    run = pd.DataFrame({"v": [80.0, 88.0, 96.0]}, index=[2000, 2001, 2002])
    table = pd.DataFrame([_row("s", "chain:2000")])
    fit = data.fit_table(run, table, _observed({2001: 110.0, 2002: 110.0}))
    assert fit["n"].tolist() == [2.0]
    assert fit["first"].tolist() == [2001]
    assert fit["worst_error"].tolist() == pytest.approx([1.0])


def test_every_bar_of_the_issue_is_set() -> None:
    required = data.judged().query("judged == 'required'")
    levels, rates = required[required["kind"] == "level"], required[required["kind"] == "rate"]
    assert (levels["bar_mape"] <= 25.0).all()
    assert (levels["bar_year"] <= 50.0).all()
    assert (rates["bar_rmse_pp"] <= 2.5).all()
    assert {"real GRP index", "coal output", "poverty rate"} <= set(required["variable"])


def test_a_table_is_read_anew_when_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("variable,label_en,label_ru\na,A,А\n", encoding="utf-8")
    first = data.read_table("labels.csv", path)
    first.loc[0, "label_en"] = "changed by its owner"
    assert data.read_table("labels.csv", path)["label_en"].tolist() == ["A"]
    path.write_text("variable,label_en,label_ru\na,Other,А\n", encoding="utf-8")
    assert data.read_table("labels.csv", path)["label_en"].tolist() == ["Other"]
