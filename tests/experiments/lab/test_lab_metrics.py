"""Metrics on annual values made up by hand, and thresholds that contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from kuzbass.errors import InputError
from kuzbass.experiments.lab.metrics import (
    STANDARD,
    Metric,
    Threshold,
    contradiction,
    find_metrics,
    metric_unit,
    metric_value,
    oriented,
)

YEARS = np.arange(2019.0, 2025.0)
# Two runs.
X = np.array([[100.0, 80.0, 90.0, 95.0, 99.0, 101.0], [50.0, 60.0, 55.0, 40.0, 70.0, 75.0]]).T
SHOCKED = X - np.array([[0.0, 0.0, 9.0, 19.0, 0.0, 0.0], [0.0, 0.0, 11.0, 0.0, -7.0, 0.0]]).T


def value(**keys: object) -> list[float]:
    metric = Metric.model_validate({"of": "x", "better": "more", **keys})
    return list(metric_value(metric, {"x": X}, YEARS, {"crisis": {"x": SHOCKED}},
                             {"crisis": 2021}))


@pytest.mark.parametrize(("keys", "expected"), [
    ({"years": [2022]}, [95.0, 40.0]),
    ({"years": [2020, 2022], "take": "min"}, [80.0, 40.0]),
    ({"years": [2020, 2022], "take": "max"}, [95.0, 60.0]),
    ({"years": [2020, 2022], "take": "sum"}, [265.0, 155.0]),
    ({"years": [2020, 2021], "take": "mean"}, [85.0, 57.5]),
    ({"years": [2024], "percent_of": 2019}, [101.0, 150.0]),
    ({"years": [2020, 2022], "take": "min", "minus": 2019}, [-20.0, -10.0]),
    ({"years": [2022, 2023], "take": "sum", "discount": 0.1}, [185.0, 40.0 + 70.0 / 1.1]),
    # Percent of the same run without the shock, in the year it begins and the two after.
    ({"years": [0, 2], "take": "max", "loss_in": "crisis"}, [20.0, 20.0]),
    ({"years": [0, 2], "take": "sum", "loss_in": "crisis"}, [30.0, 10.0]),
    ({"years": [1], "loss_in": "crisis"}, [20.0, 0.0]),
])
def test_values_worked_out_by_hand(keys: dict[str, object], expected: list[float]) -> None:
    assert value(**keys) == pytest.approx(expected)


def test_direction_and_units() -> None:
    debt = Metric(of="debt", better="less")
    np.testing.assert_array_equal(oriented(debt, np.array([1.0, 3.0])), [-1.0, -3.0])
    assert metric_unit(debt, "bn RUB") == "bn RUB"
    assert metric_unit(STANDARD["regional cost"], "bn RUB/year") == "bn RUB"
    assert metric_unit(STANDARD["GRP 2035"], "Dmnl") == "% of 2019"
    assert metric_unit(STANDARD["loss in a crisis"], "Dmnl") == "%*year"


@pytest.mark.parametrize(("keys", "problem"), [
    ({"years": [2030, 2025], "take": "min"}, "the years are upside down"),
    ({"years": [2030], "take": "min"}, "the years do not go with what is taken"),
    ({"years": [2025, 2030]}, "the years do not go with what is taken"),
    ({"discount": 0.1}, "only a sum is discounted"),
    ({"loss_in": "crisis", "percent_of": 2019}, "compares in two ways"),
])
def test_metrics_that_make_no_sense_are_refused(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        value(**keys)


def test_thresholds() -> None:
    at_least = Threshold(metric="x", at_least=2.0)
    np.testing.assert_array_equal(at_least.met(np.array([1.0, 2.0, np.nan])),
                                  [False, True, False])
    assert at_least.told() == "x at least 2"
    assert list(Threshold(metric="x", at_most=2.0).met(np.array([1.0, 2.5]))) == [True, False]
    with pytest.raises(ValidationError, match="a threshold needs one side"):
        Threshold(metric="x", at_least=1.0, at_most=2.0)


WINDOW = {"years": (2025, 2035)}
METRICS = {
    "end": Metric(of="x", better="more"),
    "early": Metric(of="x", better="more", years=(2020,)),
    "low": Metric(of="x", better="more", take="min", **WINDOW),
    "mean": Metric(of="x", better="more", take="mean", **WINDOW),
    "high": Metric(of="x", better="more", take="max", **WINDOW),
    "other": Metric(of="y", better="more", take="max", **WINDOW),
}


@pytest.mark.parametrize(("above", "below", "contradict"), [
    ("end", "end", True), ("low", "end", True), ("low", "mean", True), ("low", "high", True),
    ("end", "high", True), ("mean", "high", True),
    # A value may lie above the minimum and the mean of its window, and years apart are free.
    ("end", "low", False), ("mean", "end", False), ("high", "low", False), ("low", "early", False),
    ("early", "high", False), ("low", "other", False),
])
def test_a_contradiction_is_one_that_no_run_can_meet(
    above: str, below: str, contradict: bool
) -> None:
    both = [Threshold(metric=below, at_most=1.0), Threshold(metric=above, at_least=2.0)]
    assert (contradiction(both, METRICS) is not None) is contradict
    both = [Threshold(metric=below, at_most=2.0), Threshold(metric=above, at_least=2.0)]
    assert contradiction(both, METRICS) is None, "both hold at the border"


def test_unknown_and_repeated_metrics_are_refused() -> None:
    assert list(find_metrics(["index 2035", "end"], METRICS)) == ["index 2035", "end"]
    with pytest.raises(InputError, match=r"unknown metric \(found: index 2053; allowed: index"):
        find_metrics(["index 2053"], {})
    with pytest.raises(InputError, match="a metric stands twice"):
        find_metrics(["end", "end"], METRICS)
