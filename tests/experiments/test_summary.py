"""The terminal summary says what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuzbass.experiments.results import RunResults
from kuzbass.experiments.summary import fit_line, print_summary


def test_summary_shows_every_scenario(
    results: RunResults, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(results, Path("kuzbass-out/run"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Scenarios in 2035")
    for name, result in results.scenarios.items():
        row = next(line for line in lines if line.startswith(name)).split()
        grp = result.annual["real GRP index"]
        assert row[1:4] == [f"{100 * grp[2035] / grp[2019]:.0f}",
                            f"{result.annual.at[2035, 'coal output']:.0f}",
                            f"{result.index.at[2035, 'index']:z.2f}"]
    inside = results.comparison.targets.query("scenario == 's3-decline'")["inside"].sum()
    assert any(line.startswith("s3-decline") and line.rstrip().endswith(f"{inside} of 27")
               for line in lines)
    verdicts = list(results.comparison.index_claims["verdict"])
    assert len(verdicts) - verdicts.count("not defined") == 9
    assert any(f"{verdicts.count('holds')} of 9 hold" in line for line in lines)
    assert lines[-1] == "Written to kuzbass-out/run"
    assert max(map(len, lines[:10])) <= 120


def test_fit_line_counts_only_series_with_a_bar(results: RunResults) -> None:
    fit = results.comparison.fit
    passed = [value for value in fit["passed"] if value is not None]
    assert f"{sum(passed)} of {len(passed)} judged series" in fit_line(results)
    assert fit_line(results).startswith("History 2000-2021: ")


def test_short_run_has_a_summary(short: RunResults, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(short, Path("out"))
    text = capsys.readouterr().out
    assert "Scenarios in 2004" in text
    assert "ends with 2004" in text
    assert "hold" not in text  # no claim is defined for these years
