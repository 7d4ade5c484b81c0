"""Figures and pages of attain, optimise and sensitivity, drawn from made-up results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kuzbass.experiments.lab.attain import VERDICTS, AttainResult
from kuzbass.experiments.lab.optimise import OptimiseResult
from kuzbass.experiments.lab.sensitivity import SensitivityResult
from kuzbass.experiments.lab.surface import Surface
from kuzbass.region.scenario import ScenarioFile, Title
from kuzbass.report.attain import attain_figures, write_attain_report
from kuzbass.report.optimise import interactive_front, optimise_figures, write_optimise
from kuzbass.report.sensitivity import sensitivity_figures, time_figure, write_sensitivity

RECORD: Mapping[str, Any] = {
    "model": {"file": "made-up.mdl", "sha256": "0" * 64}, "engine": "kernel", "time_step": 0.0625,
    "seed": None}
TITLE = {"en": "Made up", "ru": "Выдуманное"}


@pytest.fixture
def attained() -> AttainResult:
    targets = pd.DataFrame({
        "indicator": ["GRP, constant prices", "Coal output"], "variable": ["a", "b"],
        "year": [2030, 2035], "unit": ["% of 2019", "Mt"], "low": [110.0, 220.0],
        "high": [110.0, 230.0], "tolerance": [0.5, 0.0], "own": [100.0, 190.0],
        "verdict": [VERDICTS[1], VERDICTS[4]], "effort": [0.5, np.nan], "gap": [0.0, 4.0],
        "cause": ["firms", "demand"], "stretch": [1.0, 2.0], "together": [True, False],
        "reached": [109.5, 205.0], "price": [0.2, np.nan]})
    causes = pd.DataFrame({
        "cause": ["demand", "demand", "firms"], "kind": ["driver", "driver", "lever"],
        "unit": ["factor", "factor", "1/year"], "year": [2030, 2035, 2026],
        "low": [0.8, 0.8, 0.0], "own": [1.0, 1.0, 0.0], "high": [1.2, 1.2, 0.05],
        "value": [1.1, 1.0, 0.025], "size": [0.25, 0.0, 0.5]})
    output, thermal = np.meshgrid(np.linspace(100.0, 300.0, 5), np.linspace(50.0, 150.0, 4))
    index = output / 100.0 - 2.0
    index[0, 0] = output[0, 0] = np.nan  # a run that did not stay finite
    claims = pd.DataFrame({
        "claim": ["holds", "positive"], "low": [220.0, 150.0], "high": [230.0, 170.0],
        "bar": [0.51, 0.0], "years": ["2000-2021"] * 2, "price": [100.0, 100.0],
        "lowest": [0.2, -0.5], "highest": [0.3, -0.3], "share": [0.0, 0.0], "seen": [1.0, 1.0],
        "verdict": ["fails", "fails"]})
    surface = Surface("baseline", (2033, 2035), output, thermal, output, thermal, index, claims)
    scenario = ScenarioFile(name="attained-x", title=Title(**TITLE), narrative="Made up.")
    return AttainResult(
        "x", "baseline", TITLE, targets,
        pd.DataFrame({"moves": ["all"], "met": [1], "targets": [2], "effort": [0.6]}), causes,
        pd.DataFrame(columns=["first", "first_year", "second", "second_year", "gap"]), scenario,
        surface, 100, RECORD)


@pytest.fixture
def optimised() -> OptimiseResult:
    random = np.random.default_rng(1).random((12, 4))
    front = pd.DataFrame(random, columns=["firms", "roads", "index", "cost"])
    front.insert(0, "solution", range(12))
    front.insert(1, "seed", [1, 2, 3] * 4)
    robust = pd.DataFrame({"solution": [0, 5], "futures": 8, "satisfied": [0.5, 1.0]})
    for name in ("index", "cost"):
        for what in ("mean", "tenth percentile", "worst", "largest regret"):
            robust[f"{name}, {what}"] = [0.1, 0.2]
    convergence = pd.DataFrame({
        "seed": np.repeat([1, 2, 3], 4), "generation": [1, 2, 3, 4] * 3,
        "hypervolume": [0.1, 0.2, 0.3, 0.3] * 3, "progress": [4, 3, 2, 0] * 3, "front": 4})
    return OptimiseResult(
        TITLE, front, convergence, robust,
        {"index": ("index points", "more"), "cost": ("bn RUB", "less")},
        {"firms": ("1/year", 0.0, 1.0), "roads": ("bn RUB/year", 0.0, 1.0)}, 96,
        {**RECORD, "seed": "1, 2, 3"})


@pytest.fixture
def explained() -> SensitivityResult:
    factors = ["price", "growth"]
    screening = pd.DataFrame({
        "output": ["index"] * 2 + ["loss"] * 2, "factor": factors * 2, "kind": ["driver"] * 4,
        "mu": 0.1, "mu_star": [0.5, 0.1, 0.2, 0.3], "mu_star_conf": 0.01,
        "sigma": [0.1, 0.2, 0.1, 0.2], "kept": True})
    indices = pd.DataFrame([
        (output, year, factor, 1.0 + year % 3, 0.6 if factor == "price" else 0.2, 0.05,
         0.7 if factor == "price" else 0.3, 0.05)
        for output, years in (("index", (2025, 2026, 2027)), ("loss", (0, 1, 2)))
        for year in years for factor in factors],
        columns=["output", "year", "factor", "variance", "S1", "S1_conf", "ST", "ST_conf"])
    means = indices.groupby(["output", "factor"], sort=False)[
        ["S1", "S1_conf", "ST", "ST_conf"]].mean().reset_index()
    modes = pd.DataFrame({
        "mode": ["growth", "growth", "trough", "trough"], "share": [0.95, 0.95, 0.05, 0.05],
        "factor": factors * 2, "score": [0.5, 0.1, np.nan, np.nan],
        "p": [0.0, 0.5, np.nan, np.nan]})
    patterns = pd.DataFrame({
        "mode": ["growth"], "measure": ["lowest"], "factor": ["price"], "runs": [95],
        "rank_correlation": [0.9]})
    return SensitivityResult(
        TITLE, pd.DataFrame({"factor": factors, "kind": "driver", "low": 0.0, "high": 1.0}),
        screening, indices, means, modes, patterns, {"index": "index points", "loss": "%"}, 64,
        True, 0, 512, {**RECORD, "seed": 3})


def test_every_target_has_a_row_and_its_verdict_a_colour(attained: AttainResult) -> None:
    figures = attain_figures(attained)
    assert list(figures) == ["targets", "moves", "prices", "surface"]
    axis = figures["targets"].axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["GRP 2030", "Coal output 2035"]
    rings = [line.get_xdata()[0] for line in axis.lines if line.get_markerfacecolor() == "white"]
    assert rings == pytest.approx([100.0 * (100.0 / 110.0 - 1.0), 100.0 * (190.0 / 225.0 - 1.0)])


def test_moves_that_are_nothing_are_not_drawn(attained: AttainResult) -> None:
    axis = attain_figures(attained)["moves"].axes[0]
    assert [bar.get_width() for bar in axis.patches] == [0.25, 0.5]


def test_nothing_moved_and_nothing_priced_leave_figures_out(attained: AttainResult) -> None:
    still = AttainResult(**{
        **attained.__dict__, "causes": attained.causes.assign(size=0.0),
        "targets": attained.targets.assign(price=np.nan)})
    assert list(attain_figures(still)) == ["targets", "surface"]


def test_the_front_is_drawn_in_every_pair_and_the_ends_are_named(
    optimised: OptimiseResult,
) -> None:
    figures = optimise_figures(optimised)
    assert list(figures) == ["front", "levers", "convergence", "robust"]
    axis = figures["front"].axes[0]
    assert axis.get_xlabel() == "index, index points (more is better)"
    best = optimised.front.loc[optimised.front["cost"].idxmin()]
    rings = [line for line in figures["levers"].axes[0].lines if line.get_markersize() == 8]
    assert rings[1].get_xdata() == pytest.approx([best["firms"], best["roads"]])


def test_the_interactive_page_loads_nothing(optimised: OptimiseResult) -> None:
    page = interactive_front(optimised)
    assert "Plotly.newPlot" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page)
    assert str(optimised.front["cost"].iloc[3]) in page


def test_shares_of_variance_fill_every_year(explained: SensitivityResult) -> None:
    figure = time_figure(explained)
    areas = figure.axes[0].collections
    assert len(areas) == 3
    # The topmost area, interactions and the rest, ends at one.
    assert areas[-1].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.0)
    assert list(sensitivity_figures(explained)) == ["screening", "totals", "over-time", "modes"]


@pytest.mark.parametrize(("fixture", "write", "figures"), [
    ("attained", write_attain_report, 4), ("optimised", write_optimise, 4),
    ("explained", write_sensitivity, 4)])
def test_a_page_holds_its_figures_and_refers_to_no_address(
    request: pytest.FixtureRequest, tmp_path: Path, fixture: str,
    write: Callable[[Any, Path], None], figures: int,
) -> None:
    write(request.getfixturevalue(fixture), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == figures
    assert "Выдуманное" in page
    assert not re.search(r"(src|href)=\"https?:", page)
    assert len(list((tmp_path / "figures").glob("*.png"))) == figures
