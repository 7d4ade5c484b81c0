"""Scenario discovery on made-up futures whose box is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from kuzbass.experiments.lab.discovery import Box, box_measures, cart_boxes, prim_box, scores
from kuzbass.experiments.lab.plan import Boxes, Failure

SETTINGS = Boxes(failures={"low": Failure(metric="index 2035", at_most=0.0)})
NAMES = ["price", "demand", "growth", "noise"]


@pytest.fixture(scope="module")
def x() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(1).random((300, len(NAMES))), columns=NAMES)


@pytest.fixture(scope="module")
def y(x: pd.DataFrame) -> np.ndarray:
    return ((x["price"] < 0.4) & (x["demand"] > 0.5)).to_numpy()


@pytest.fixture(scope="module")
def box(x: pd.DataFrame, y: np.ndarray) -> Box:
    return prim_box(x, y, SETTINGS)


def test_measures_are_shares_of_cases() -> None:
    x = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 5.0]})
    y = np.array([True, True, False, True, False])
    # Two of three cases lie in the box, two of the three futures in it are cases.
    assert box_measures(x, y, {"a": (1.0, 3.0)}) == pytest.approx((2 / 3, 2 / 3, 3 / 5))
    assert box_measures(x, y, {}) == pytest.approx((1.0, 3 / 5, 1.0))


def test_prim_finds_the_box_and_nothing_else(x: pd.DataFrame, y: np.ndarray, box: Box) -> None:
    limits = box.limits.set_index("factor")
    assert set(limits.index) == {"price", "demand"}
    assert limits.at["price", "high"] == pytest.approx(0.4, abs=0.05)
    assert limits.at["demand", "low"] == pytest.approx(0.5, abs=0.05)
    assert np.isnan(limits.at["price", "low"])
    assert np.isnan(limits.at["demand", "high"])
    assert box.coverage >= SETTINGS.coverage
    assert box.density > 0.95
    assert (limits["reproduced"] == 1.0).all()
    assert (limits["quasi_p"] < 1e-6).all()
    measures = box_measures(x, y, {
        name: (-np.inf if np.isnan(row["low"]) else row["low"],
               np.inf if np.isnan(row["high"]) else row["high"])
        for name, row in limits.iterrows()})
    assert measures == pytest.approx((box.coverage, box.density, box.mass))
    chosen = box.trajectory[box.trajectory["chosen"]]
    assert len(chosen) == 1
    assert chosen["restrictions"].iloc[0] == 2


def test_quasi_p_is_the_binomial_test_of_dropping_a_restriction(
    x: pd.DataFrame, y: np.ndarray, box: Box
) -> None:
    limits = box.limits.set_index("factor")
    inside = (x["price"] <= limits.at["price", "high"]).to_numpy()
    alone = y[inside].mean()  # density without the restriction of demand
    within = inside & (x["demand"] >= limits.at["demand", "low"]).to_numpy()
    expected = binomtest(int(y[within].sum()), int(within.sum()), alone,
                         alternative="greater").pvalue
    assert limits.at["demand", "quasi_p"] == pytest.approx(expected, rel=1e-6)


def test_the_tree_agrees(x: pd.DataFrame, y: np.ndarray) -> None:
    boxes = cart_boxes(x, y, SETTINGS)
    assert sum(one.coverage for one in boxes) > 0.95
    assert set(boxes[0].limits["factor"]) <= {"price", "demand"}
    assert boxes[0].density > 0.9


def test_the_strongest_factors_come_first(x: pd.DataFrame, y: np.ndarray) -> None:
    found = scores(x, y)
    assert set(found.index[:2]) == {"price", "demand"}
    assert found.sum() == pytest.approx(1.0)


def test_the_same_futures_give_the_same_boxes(
    x: pd.DataFrame, y: np.ndarray, box: Box
) -> None:
    pd.testing.assert_frame_equal(prim_box(x, y, SETTINGS).limits, box.limits)
    first, second = cart_boxes(x, y, SETTINGS), cart_boxes(x, y, SETTINGS)
    for a, b in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(a.limits, b.limits)
