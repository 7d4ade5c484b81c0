"""The battery on the shipped model, and on copies of it that are broken on purpose."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from kuzbass.cli import main
from kuzbass.errors import InputError, ModelError
from kuzbass.experiments.validate import (
    COLUMNS,
    KNOWN,
    ValidationReport,
    excuse,
    print_report,
    run_tests,
    validate,
)
from kuzbass.experiments.validation import TESTS, Context
from kuzbass.experiments.validation.behaviour import bar_outcome
from kuzbass.experiments.validation.conditions import named_conditions, scaled_region
from kuzbass.experiments.validation.context import BASELINE
from kuzbass.experiments.validation.payoff import (
    log_change_correlation,
    payoff_statistics,
    trend_skill,
)
from kuzbass.paths import model_path
from kuzbass.region.data import judged, read_table
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from pathlib import Path

_QUICK = ("structure-stocks", "structure-simultaneous", "structure-embedded-data",
          "parameter-assessment", "parameters-at-bounds", "dimensional-consistency")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="module")
def quick(model: Model) -> ValidationReport:
    return run_tests(model, _QUICK)


def _years(values: list[float]) -> pd.Series:
    return pd.Series(values, index=pd.Index(range(2000, 2000 + len(values)), name="year"))


def test_payoff_report_of_a_worked_example() -> None:
    found = payoff_statistics(_years([1.1, 1.9, 3.2, 4.3, 4.8]), _years([1.0, 2.0, 3.0, 4.0, 5.0]))
    expected = {
        "rmse": 0.194936, "um": 0.094737, "us": 0.006919, "uc": 0.898344, "r2": 0.982808,
        "r2_det": 0.981, "mape": 6.6333, "rmspe": 6.9526, "u1": 0.029178, "u2": 0.212132,
        "mae_mean": 0.06, "n": 5.0,
        # Errors 0.1, -0.1, 0.2, 0.3, -0.2.
        "dw": (0.04 + 0.09 + 0.01 + 0.25) / 0.19,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    centred = np.array([0.04, -0.16, 0.14, 0.24, -0.26])
    assert found["acf1"] == pytest.approx(np.sum(centred[1:] * centred[:-1]) / np.sum(centred**2))


def test_skill() -> None:
    actual = _years([1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 4.0, 7.0])
    assert trend_skill(actual, actual) == 0.0
    years = np.arange(8.0)
    trend = np.polyval(np.polyfit(years, actual, 2), years)
    assert trend_skill(_years(list(trend)), actual) == pytest.approx(1.0)
    assert log_change_correlation(2.0 * actual, actual) == pytest.approx(1.0)
    assert log_change_correlation(1.0 / actual, actual) == pytest.approx(-1.0)


def test_log_changes_only_between_successive_years() -> None:
    gap = pd.Series([1.0, 2.0, 3.0, 50.0, 51.0, 60.0], [2000, 2001, 2002, 2010, 2011, 2012])
    other = pd.Series([1.0, 2.0, 3.0, 1.0, 1.02, 1.2], gap.index)
    assert log_change_correlation(other, gap) == pytest.approx(1.0)
    assert np.isnan(log_change_correlation(gap[:2], gap[:2]))


@pytest.mark.parametrize(("statistic", "bar", "simulated", "verdict"), [
    ("mape", 10.0, 1.05, "pass"), ("mape", 4.0, 1.05, "fail"), ("rmse", 1.0, 1.05, "pass"),
    ("r", 0.9, 1.05, "pass"), ("r", 0.9, -1.0, "fail"), ("skill", 0.5, 1.05, "pass"),
])
def test_bars(statistic: str, bar: float, simulated: float, verdict: str) -> None:
    actual = _years([1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 4.0, 7.0])
    row = pd.Series({"series": "x", "statistic": statistic, "year": np.nan, "bar": bar,
                     "judged": "required", "note": ""})
    path = simulated * actual + (10.0 if simulated < 0.0 else 0.0)
    outcome = bar_outcome(row, path, actual)
    assert (outcome.verdict, outcome.part) == (verdict, f"x {statistic}")


@pytest.mark.parametrize(("change", "verdict"), [
    (-12.0, "pass"), (-8.0, "pass"), (-5.0, "fail"), (-15.0, "fail"), (12.0, "fail"),
])
def test_crisis_year(change: float, verdict: str) -> None:
    row = pd.Series({"series": "x", "statistic": "change", "year": 2001.0, "bar": 40.0,
                     "judged": "required", "note": ""})
    outcome = bar_outcome(row, _years([50.0, 50.0 * (1.0 + change / 100.0)]),
                          _years([100.0, 90.0]))
    assert (outcome.verdict, outcome.part) == (verdict, "x 2001")


def test_three_points_tell_no_trend() -> None:
    row = pd.Series({"series": "x", "statistic": "skill", "year": np.nan, "bar": 0.5,
                     "judged": "required", "note": ""})
    assert bar_outcome(row, _years([1.0, 2.0, 3.0]), _years([3.0, 2.0, 1.0])).verdict == "info"


def test_every_bar_has_its_series() -> None:
    bars = read_table("bars.csv")
    assert set(bars["series"]) <= {*judged()["series"], "index", "index P", "index C"}
    # A level that may run with a trend must also beat it.
    level = set(bars.loc[bars["statistic"] == "mape", "series"])
    assert level == set(bars.loc[bars["statistic"] == "skill", "series"])
    assert bars.loc[bars["statistic"] == "change", "year"].notna().all()


def test_the_canon_is_complete() -> None:
    wanted = ("boundary", "structure", "dimensional", "parameter", "extreme", "integration",
              "behaviour-reproduction", "behaviour-anomaly", "family", "surprise", "sensitivity",
              "behaviour-statements", "time-paths", "conservation", "behaviour-patterns")
    for part in wanted:
        assert any(test.startswith(part) for test in TESTS), part
    assert {test.stage for test in TESTS.values()} == {
        "structure", "structure-oriented behaviour", "behaviour pattern"}


def test_report(quick: ValidationReport) -> None:
    assert tuple(quick.table.columns) == COLUMNS
    assert list(quick.summary["id"]) == [id_ for id_ in TESTS if id_ in _QUICK]
    assert set(quick.table["verdict"]) <= {"pass", "fail", "info", KNOWN}
    assert (quick.table["figure"] != "").all()
    assert not quick.table.set_index("id").loc["parameters-at-bounds", "required"]


def test_a_failure_counts_only_if_required(quick: ValidationReport) -> None:
    row = {"id": "x", "part": "", "name": "X", "stage": "structure", "figure": "1", "detail": "d"}
    for required, passed in ((True, False), (False, True)):
        table = pd.DataFrame([{**row, "required": required, "verdict": "fail"}])[list(COLUMNS)]
        report = ValidationReport(table, {}, {}, {})
        assert report.passed is passed
        assert report.summary["verdict"].tolist() == ["info" if passed else "fail"]


def test_print(quick: ValidationReport) -> None:
    row = {"id": "x", "part": "p", "name": "The name", "stage": "structure", "figure": "3 of 4",
           "detail": "why [so]", "required": True, "verdict": "fail"}
    table = pd.concat([quick.table, pd.DataFrame([row])], ignore_index=True)
    file = io.StringIO()
    print_report(ValidationReport(table, {}, {}, {}), Console(file=file, width=120))
    text = file.getvalue()
    assert re.search(r"Structure: no simultaneous equations +pass", text)
    assert re.search(r"The name +FAIL", text)
    assert "FAIL x/p: 3 of 4. why [so]" in text


_ROWS = pd.DataFrame([
    ("x", "p", "X", "structure", True, "fail", "3 of 4", "why"),
    ("x", "q", "X", "structure", True, "pass", "0 of 4", ""),
    ("y", "", "Y", "structure", False, "fail", "1", ""),
], columns=COLUMNS)


def _misses(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*row, "Data too coarse.", "2 of 4") for row in rows],
                        columns=["test", "part", "reason", "figure"])


def test_a_known_miss_is_no_failure_and_no_pass() -> None:
    table, outdated = excuse(_ROWS, _misses(("x", "p"), ("not-run", "")))
    assert table["verdict"].tolist() == [KNOWN, "pass", "fail"]
    assert table.at[0, "detail"] == "Data too coarse. why"
    report = ValidationReport(table, {}, {}, {}, outdated)
    assert report.passed
    assert report.summary["verdict"].tolist() == [KNOWN, "info"]
    assert len(report.known) == 1
    file = io.StringIO()
    print_report(report, Console(file=file, width=120))
    assert re.search(r"X +known miss +1 of 2 +p: 3 of 4", file.getvalue())
    assert "known miss x/p: 3 of 4. Data too coarse. why" in file.getvalue()
    assert "All required tests pass but for 1 known misses." in file.getvalue()


def test_an_unlisted_failure_counts_beside_a_known_one() -> None:
    rows = _ROWS.assign(verdict="fail")
    table, outdated = excuse(rows, _misses(("x", "q")))
    report = ValidationReport(table, {}, {}, {}, outdated)
    assert not report.passed
    assert report.failures["part"].tolist() == ["p"]
    assert report.summary["verdict"].tolist() == ["fail", "info"]


@pytest.mark.parametrize("miss", [("x", "q"), ("x", "gone"), ("y", "")])
def test_a_line_that_excuses_nothing_is_outdated(miss: tuple[str, str]) -> None:
    table, outdated = excuse(_ROWS, _misses(("x", "p"), miss))
    report = ValidationReport(table, {}, {}, {}, outdated)
    assert report.failures.empty
    assert not report.passed
    file = io.StringIO()
    print_report(report, Console(file=file, width=120))
    assert f"OUTDATED {'/'.join(part for part in miss if part)}: does not" in file.getvalue()
    assert "1 known misses are outdated." in file.getvalue()


def test_every_known_miss_names_a_required_test_and_a_reason() -> None:
    for _, miss in read_table("known_misses.csv").iterrows():
        assert TESTS[miss["test"]].required
        assert len(miss["reason"].split()) > 3


@pytest.mark.slow
def test_the_shipped_model_passes_but_for_its_known_misses(model: Model) -> None:
    report = run_tests(model)
    assert report.failures[["id", "part", "figure"]].to_dict("records") == []
    assert report.outdated[["test", "part"]].to_dict("records") == []


def test_an_unlisted_failure_ends_with_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = _mutant(tmp_path, "coal revenue", "~\tbn RUB/year", "~\tbn RUB")
    for path, code in ((wrong, 1), (model_path(), 0)):
        with pytest.raises(SystemExit) as left:
            main(["validate", "--only", "dimensional-consistency", "--model", str(path),
                  "--out", str(tmp_path / "out")])
        assert left.value.code == code
    assert "FAIL dimensional-consistency: " in capsys.readouterr().out


def test_unknown_test(model: Model) -> None:
    with pytest.raises(InputError, match=r"no such test .*boundary-adequacy"):
        run_tests(model, ["boundary-adequasy"])


def test_output_folder(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = validate(tmp_path / "out", only=["structure-stocks", "parameters-at-bounds"],
                      progress=lambda *what: told.append(what))
    assert [done for _, done, _ in told] == [0, 1]
    record = json.loads((tmp_path / "out" / "validation.json").read_text(encoding="utf-8"))
    assert record["passed"] is report.passed
    assert [test["id"] for test in record["summary"]] == ["structure-stocks",
                                                          "parameters-at-bounds"]
    written = pd.read_csv(tmp_path / "out" / "validation.csv", keep_default_na=False)
    assert written["figure"].tolist() == report.table["figure"].tolist()
    assert (tmp_path / "out" / "at_bounds.csv").exists()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["model"]["sha256"] == report.manifest["model"]["sha256"]


def test_named_conditions_are_paths_from_their_year(model: Model) -> None:
    conditions = named_conditions(model, ("critical",))
    price = conditions["coal price zero"]["world thermal price"]
    assert price[79] > 0.0
    assert (price[80:] == 0.0).all()
    assert conditions["mine capacity zero"]["initial active coal capacity"] == 0.0
    assert len(conditions) >= 10


def test_another_region_scales_amounts_only(model: Model) -> None:
    inputs = scaled_region(model, 0.5)
    value = {name: float(model.equations[name].ast) for name in inputs}
    for name in ("initial young adults", "initial coal cash", "share of eastern track"):
        assert inputs[name] == 0.5 * value[name]
    for name in ("initial average monthly wage", "one year", "initial coal labour productivity"):
        assert name not in inputs


_HEAD = r"(?m)^{name}=\n\t"
# What is broken: variable, old and new text of its block, the test that must see it.
_MUTANTS = [
    ("coal revenue", "~\tbn RUB/year", "~\tbn RUB", "dimensional-consistency"),
    ("coal export revenue", "*currency bridge", "", "dimensional-consistency"),
    ("coal interest", "*lending rate", "", "dimensional-consistency"),
    ("coal interest", "*lending rate", "*lending rate*1.05", "structure-embedded-data"),
    ("coal stockpile", "-coal shipments", "+coal shipments", "conservation"),
    ("coal cash", "-coal payout", "", "conservation"),
    ("regional state debt", "-debt repayment", "", "conservation"),
    ("elderly", "-elderly deaths", "", "conservation"),
    ("capacity closure", "suspended coal capacity*", "initial suspended coal capacity*",
     "structure-lint"),
    ("coal own funds", "coal cash/", "(coal cash+initial coal cash)/", "structure-outflows"),
    ("order fulfilment", "MIN(1.0", "MAX(1.0", "extreme-limits"),
    ("coal taxable profit", "MAX(0.0", "MIN(0.0", "extreme-limits"),
    ("hiring time", "year [", "year [9.0,10.0] ~ was [", "parameter-assessment"),
    ("coal interest", "Source:", "After", "structure-lint"),
    ("desired coal output", "(desired coal stockpile-coal stockpile)",
     "(coal stockpile-desired coal stockpile)", "structure-loops"),
    ("employed", "coal employment+chain employment+diversified employment",
     "initial coal employment+initial chain employment+initial diversified employment",
     "boundary-adequacy"),
]


def _mutant(folder: Path, name: str, old: str, new: str) -> Path:
    text = model_path().read_text(encoding="utf-8")
    start = re.search(_HEAD.format(name=re.escape(name)), text)
    assert start is not None, name
    end = text.index("|", start.end())
    block = text[start.end():end]
    assert old in block, f"{name}: {block}"
    path = folder / "mutant.mdl"
    path.write_text(text[:start.end()] + block.replace(old, new, 1) + text[end:],
                    encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def healthy(model: Model) -> dict[str, dict[str, str]]:
    """What each of the tests says of the unbroken model: figures by part."""
    report = run_tests(model, sorted({mutant[-1] for mutant in _MUTANTS}))
    return {id_: dict(zip(rows["part"], rows["verdict"] + rows["figure"] + rows["detail"],
                          strict=True))
            for id_, rows in report.table.groupby("id")}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "old", "new", "test"), _MUTANTS)
def test_a_broken_equation_is_caught(
    tmp_path: Path, healthy: dict[str, dict[str, str]], name: str, old: str, new: str, test: str
) -> None:
    report = run_tests(load_model(_mutant(tmp_path, name, old, new)), [test])
    new_failures = [row["part"] for _, row in report.failures.iterrows()
                    if healthy[test].get(row["part"])
                    != row["verdict"] + row["figure"] + row["detail"]]
    assert new_failures
    assert not report.passed


def test_a_run_that_breaks_down_is_a_failure(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_context: Context) -> list[object]:
        raise ModelError("is not finite from time 2001.0", key="coal output")

    test = dataclasses.replace(TESTS["structure-stocks"], run=broken)
    monkeypatch.setitem(TESTS, "structure-stocks", test)
    report = run_tests(model, ["structure-stocks", "structure-simultaneous"])
    assert report.table["verdict"].tolist() == ["fail", "pass"]
    assert report.failures["detail"].tolist() == ["coal output: is not finite from time 2001.0"]


@pytest.mark.slow
def test_a_simultaneous_equation_is_refused(tmp_path: Path) -> None:
    path = _mutant(tmp_path, "coal output", "MIN(desired coal output,",
                   "MIN(desired coal output+coal shipments*0.0,")
    with pytest.raises(ModelError, match="algebraic loop"):
        load_model(path)


def test_context_makes_a_run_once(model: Model) -> None:
    context = Context(model)
    assert context.base is context.run(BASELINE)
