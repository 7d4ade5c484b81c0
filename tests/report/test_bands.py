"""Figures of an ensemble: what is drawn is what the tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from kuzbass.experiments.ensemble import EnsembleResults
from kuzbass.report import style
from kuzbass.report.bands import ensemble_figures, index_sources, scenario_bands, write_bands

YEARS = np.arange(2000, 2036)
SERIES = (("coal output", "Mt/year"), ("real GRP index", "Index2000"),
          ("real GRP index, % of 2019", "% of 2019"), ("resilience index", "index points"))


def band(middle: np.ndarray, width: np.ndarray) -> dict[str, np.ndarray]:
    return {name: middle + place * width for name, place in
            (("q05", -2.0), ("q25", -1.0), ("q50", 0.1), ("q75", 1.0), ("q95", 2.0))}


@pytest.fixture(scope="module")
def results() -> EnsembleResults:
    """Made-up bands of two scenarios, one of them with targets."""
    open_ = np.clip(YEARS - 2024.0, 0.5, None)
    names = ("baseline", "s3-decline")
    quantiles = pd.concat([pd.DataFrame({
        "scenario": name, "variable": variable, "unit": unit, "year": YEARS,
        "central": 100.0 + place, **band(np.full(36, 100.0 + place), open_)})
        for name in names for place, (variable, unit) in enumerate(SERIES)])
    index = pd.concat([pd.DataFrame({
        "scenario": name, "source": source, "year": YEARS,
        **band(np.zeros(36), width * open_), "variance": width, "share": share})
        for name in names for source, width, share in
        (("lists", 0.04, 0.5), ("parameters", 0.02, 0.2), ("drivers", 0.02, 0.1),
         ("all", 0.05, 1.0))])
    observed = pd.DataFrame({"series": ["coal_production_total"] * 2 + ["grp"] * 2,
                             "variable": ["coal output"] * 2 + ["real GRP index"] * 2,
                             "year": [2018, 2019] * 2, "value": [255.0, 250.0, 150.0, 120.0]})
    observed_index = pd.DataFrame({"index": [0.1, 0.3]}, index=[2018, 2019])
    titles = {"baseline": {"en": "Baseline", "ru": "Базовый"},
              "s3-decline": {"en": "Decline and anti-crisis optimisation", "ru": "Спад"}}
    manifest = {"plan": {"table": None, "method": "latin-hypercube"}, "runs": 500, "seed": 3,
                "model": {"file": "kuzbass.mdl", "sha256": "a" * 64}, "engine": "kernel",
                "time_step": 0.0625, "quantiles": "exact"}
    return EnsembleResults(quantiles, index, pd.DataFrame(), observed, observed_index, titles,
                           manifest)


def titled(figure: Figure, title: str) -> Axes:
    return next(axis for axis in figure.axes if axis.get_title(loc="left") == title)


def edges(axis: Axes, number: int) -> tuple[float, float]:
    """Return the lowest and highest value of the `number`-th band in 2035."""
    filled = [one for one in axis.collections if isinstance(one, PolyCollection)]
    points = filled[number].get_paths()[0].vertices
    last = points[points[:, 0] == 2035.0, 1]
    return float(last.min()), float(last.max())


def test_bands_hold_50_and_90_percent(results: EnsembleResults) -> None:
    figure = scenario_bands(results, "baseline")
    axis = titled(figure, style.label("coal output"))
    assert edges(axis, 0) == pytest.approx((78.0, 122.0))  # q05 and q95
    assert edges(axis, 1) == pytest.approx((89.0, 111.0))  # q25 and q75
    assert axis.get_ylabel() == "Mt a year"


def test_a_series_in_percent_of_2019_stands_for_its_variable(results: EnsembleResults) -> None:
    figure = scenario_bands(results, "s3-decline")
    assert len(figure.axes) == 2
    axis = titled(figure, style.label("real GRP index"))
    assert axis.get_ylabel() == "% of 2019"
    dots = next(line for line in axis.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(dots.get_ydata(), float), [125.0, 100.0])
    targets = next(line for line in axis.lines if line.get_marker() == "D")
    np.testing.assert_allclose(np.asarray(targets.get_ydata(), float), [100.0, 95.0, 90.0])


def test_sources_stand_side_by_side_and_shares_beside_them(results: EnsembleResults) -> None:
    figure = index_sources(results)
    assert len(figure.axes) == 2 * 5
    top = [axis.get_title(loc="left") for axis in figure.axes[:5]]
    assert top == ["Only the list of indicators", "Only parameters", "Only drivers", "All three",
                   "Shares of the variance"]
    assert edges(figure.axes[0], 0) == pytest.approx((-0.88, 0.88))
    assert edges(figure.axes[1], 0) == pytest.approx((-0.44, 0.44))
    stacked = [one for one in figure.axes[4].collections if isinstance(one, PolyCollection)]
    heights = [float(one.get_paths()[0].vertices[:, 1].max()) for one in stacked]
    assert heights == pytest.approx([50.0, 70.0, 80.0])
    shared = {axis.get_ylim() for number, axis in enumerate(figure.axes) if number % 5 < 4}
    assert len(shared) == 1


def test_without_both_kinds_of_factors_there_are_no_shares(results: EnsembleResults) -> None:
    index = results.index[results.index["source"].isin(["lists", "all"])]
    fewer = EnsembleResults(results.quantiles, index, results.nonfinite, results.observed,
                            results.observed_index, results.titles, results.manifest)
    assert len(index_sources(fewer).axes) == 2 * 2


def test_every_figure_is_written_twice_the_same(results: EnsembleResults, tmp_path: Path) -> None:
    assert list(ensemble_figures(results)) == ["bands-baseline", "bands-s3-decline",
                                               "index-sources"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = (write_bands(results, tmp_path / name) for name in ("one", "two"))
    assert len(first) == 6
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
