"""The findings page: its numbers are those of the tables, and the committed one is up to date."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.findings import Findings, Sizes, run_findings
from kuzbass.paths import model_path
from kuzbass.report import findings as page
from kuzbass.report.findings import PAGE, findings_page, publish, write_findings

ROOT = Path(__file__).resolve().parents[2]
TINY = Sizes(8, futures=16, trajectories=4, base=8, causes=1, scenarios=1)
LARGEST = 150_000  # bytes of a figure


def _rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table whose head begins so."""
    block = next(part for part in text.split("\n\n") if part.startswith(f"| {head}"))
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()[2:]]


@pytest.fixture(scope="module")
def committed() -> str:
    return (ROOT / "docs" / PAGE).read_text(encoding="utf-8")


def test_committed_page_belongs_to_the_present_model(committed: str) -> None:
    (told,) = re.findall(r"sha256 `([0-9a-f]{64})`", committed)
    assert told == hashlib.sha256(model_path().read_bytes()).hexdigest(), (
        "docs/findings.md is stale: run kuzbass findings --page docs")


def test_committed_page_is_no_quick_one_and_its_files_exist(committed: str) -> None:
    assert "--quick" not in committed
    for name in re.findall(r"`(scenarios/plans/[\w.-]+)`", committed):
        assert (ROOT / name).exists(), name
    figures = re.findall(r"\]\((findings-[\w-]+\.png)\)", committed)
    assert len(figures) == len(set(figures)) == 5
    for name in figures:
        assert 0 < (ROOT / "docs" / name).stat().st_size < LARGEST


def test_page_has_no_date(committed: str) -> None:
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", committed)


def test_table_keeps_bars_apart_from_cells() -> None:
    assert page._table(("a", "b"), [("x|y", 1)]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 |"


def test_missing_values_are_no_verdicts() -> None:
    assert [page._met(one) for one in (True, False, None, np.nan)] == ["yes", "**no**", "-", "-"]
    assert page._number(float("nan"), 1) == page._share(float("nan")) == "-"
    assert page._number(-0.001, 1) == "0.0"


def test_side_of_a_box_in_words() -> None:
    found: Any = SimpleNamespace(scaled=frozenset({"price"}))
    rows = [("price", np.nan, 0.9, "price is below 90% of its path"),
            ("delay", 2.0, np.nan, "delay is above 2"),
            ("price", 0.8, 1.1, "price is between 80% of its path and 110% of its path")]
    for factor, low, high, told in rows:
        assert page._side(pd.Series({"factor": factor, "low": low, "high": high}), found) == told


def _policies(**changes: object) -> Any:
    table = pd.DataFrame({
        "policy": ["none", "good", "bold", "lame"], "title": ["None", "Good", "Bold", "Lame"],
        "regret_rank": [4.0, 1.0, 2.0, 3.0], "percentile_rank": [4.0, 1.0, 2.0, 3.0],
        "satisficing_rank": [3.0, 1.0, 4.0, 2.0], "dominated_by": ""})
    return SimpleNamespace(policies=table.assign(**changes))


def test_robust_is_best_third_by_all_rankings_and_not_dominated() -> None:
    assert page._robust_policies(_policies()) == ["Good"]
    assert page._robust_policies(_policies(dominated_by=["", "bold", "", ""])) == []
    assert page._robust_policies(_policies(satisficing_rank=[3.0, 4.0, 1.0, 2.0])) == []


def test_publish_leaves_other_files_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "docs"
    source.mkdir()
    target.mkdir()
    (source / PAGE).write_text("new", encoding="utf-8")
    (target / PAGE).write_text("old", encoding="utf-8")
    (target / "other.md").write_text("other", encoding="utf-8")
    publish([PAGE], source, target)
    assert {one.name: one.read_text(encoding="utf-8") for one in target.iterdir()} == {
        PAGE: "new", "other.md": "other"}


def test_publish_into_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="--page"):
        publish([], tmp_path, tmp_path / "docs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("findings")


@pytest.fixture(scope="module")
def found(folder: Path) -> Findings:
    return run_findings(folder, sizes=TINY)


@pytest.mark.slow
def test_numbers_are_those_of_the_tables(found: Findings, folder: Path) -> None:
    text = findings_page(found)
    chain = pd.read_csv(folder / "chain.csv")
    told = _rows(text, "change")
    assert [row[0] for row in told] == list(chain["label"])
    for column, name in enumerate(("observed", "simulated", "without"), 1):
        assert [float(row[column]) for row in told] == pytest.approx(list(chain[name]), abs=0.051)
    assert [row[5] == "yes" for row in told] == [one == True for one in chain["inside"]]  # noqa: E712 - the cells hold missing values

    claims = pd.read_csv(folder / "claims.csv")
    told = _rows(text, "claim | base")
    assert [row[4].strip("*") for row in told] == list(claims["verdict"])
    for column, name in ((5, "family_share"), (6, "draw_share")):
        assert [float(row[column].strip("%")) for row in told] == pytest.approx(
            list(100.0 * claims[name]), abs=0.51)
    holds = int((claims["verdict"] == "holds").sum())
    assert f"{holds} of {len(claims)} readings" in text

    targets = pd.read_csv(folder / "targets.csv")
    assert f"{int(targets['inside'].sum())} of {len(targets)} are met" in text
    told = _rows(text, "scenario | targets")
    inside = targets.groupby("scenario", sort=False)["inside"].sum()
    assert [int(row[2]) for row in told] == list(inside)
    for name, one in found.attained.items():
        own = [row for row in told if row[0] == f"`{name}`"]
        assert len(own) == (1 if len(one.targets) > 1 else 0)
        assert [int(row[6]) for row in own] == [int(one.targets["together"].sum())] * len(own)

    policies = pd.read_csv(folder / "policies.csv").set_index("title")
    told = _rows(text, "policy | regret rank")
    assert sorted(row[0] for row in told) == sorted(policies.index)
    for row in told:
        own = policies.loc[row[0]]
        assert float(row[1]) == own["regret_rank"]
        assert float(row[2]) == pytest.approx(own["regret"], abs=0.0051)
        assert float(row[3].strip("%")) == pytest.approx(100.0 * own["satisficing"], abs=0.51)
        assert float(row[4]) == pytest.approx(own["loss"], abs=0.0051)
        assert [float(cell) for cell in row[5:8]] == pytest.approx(
            [own["regional cost"], own["federal cost"], own["company cost"]], abs=0.51)

    effects = pd.read_csv(folder / "sensitivity" / "weighted.csv")
    for _, row in effects.iterrows():
        assert f"{row['factor']} {row['ST']:.2f} ± {row['ST_conf']:.2f}" in text


@pytest.mark.slow
def test_small_samples_are_said_and_the_model_is_named(found: Findings) -> None:
    text = findings_page(found)
    assert "small samples" in text
    assert found.manifest["model"]["sha256"] in text
    for name in found.plans:
        assert f"`scenarios/plans/{name}`" in text


@pytest.mark.slow
def test_shares_of_draws_are_shares_of_finite_draws(found: Findings) -> None:
    shares = found.claims["draw_share"]
    assert 0 < found.draws <= TINY.draws
    assert np.allclose(shares * found.draws, np.round(shares * found.draws))
    # Scenario 3 is positive in a draw, or it is not: the share is of this claim alone.
    assert shares.between(0.0, 1.0).all()


@pytest.mark.slow
def test_same_findings_give_the_same_bytes(found: Findings, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    names = write_findings(found, one)
    assert write_findings(found, other) == names
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
        assert (one / name).stat().st_size < LARGEST
