"""Searches on functions whose smallest change, prices and largest set are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.experiments.lab.attain_search import Bands, Box, Search

FREE = Box(np.full(2, -1.0), np.full(2, 1.0), np.array([1.0, 1.0]))


def bands(*edges: tuple[float, float]) -> Bands:
    low, high = (np.array(side) for side in zip(*edges, strict=True))
    return Bands(low, high, np.ones(len(edges)))


def linear(matrix: np.ndarray) -> object:
    return lambda changes: changes @ matrix.T


def search(matrix: list[list[float]], *edges: tuple[float, float], box: Box = FREE,
           always: tuple[int, ...] = ()) -> Search:
    return Search(linear(np.array(matrix)), box, bands(*edges), always)


def test_the_smallest_change_uses_the_cause_with_the_longest_lever() -> None:
    # One unit of the outcome costs 1/4 of the first cause or 1/2 of the second.
    found = search([[4.0, 2.0]], (1.0, 1.5)).minimise([0])
    assert found.met
    assert found.change == pytest.approx([0.25, 0.0], abs=1e-6)
    assert found.effort == pytest.approx(0.25, abs=1e-6)
    # A band that gives way by one unit saves a quarter of a range.
    assert found.prices == pytest.approx([0.25], abs=1e-6)


def test_effort_counts_the_weight_of_a_cause() -> None:
    box = Box(FREE.low, FREE.high, np.array([3.0, 1.0]))
    found = search([[4.0, 2.0]], (1.0, 1.5), box=box).minimise([0])
    assert found.change == pytest.approx([0.0, 0.5], abs=1e-6)
    assert found.effort == pytest.approx(0.5, abs=1e-6)


def test_nothing_moves_if_the_band_is_met_as_it_is() -> None:
    found = search([[1.0, 1.0]], (-1.0, 1.0)).minimise([0])
    assert found.effort == 0.0
    assert found.prices == pytest.approx([0.0])


def test_what_is_out_of_reach_is_missed_by_the_least_and_has_no_price() -> None:
    found = search([[1.0, 1.0]], (5.0, 9.0)).minimise([0])
    assert not found.met
    assert found.change == pytest.approx([1.0, 1.0])
    assert found.slack == pytest.approx([3.0])
    assert np.isnan(found.prices[0])


def test_a_bent_function_is_met_at_its_nearest_point() -> None:
    # y = exp(x1) + x2^2 = 2 with the least |x1| + |x2|: x1 alone, ln 2.
    one = Search(lambda x: (np.exp(x[:, 0]) + x[:, 1]**2)[:, None], FREE, bands((2.0, np.inf)))
    found = one.minimise([0])
    assert found.met
    assert found.change == pytest.approx([np.log(2.0), 0.0], abs=2e-3)
    # d x1 / d y = 1 / exp(x1) = 1/2.
    assert found.prices == pytest.approx([0.5], rel=0.01)


def test_enough_stops_at_the_first_change_that_meets_the_bands() -> None:
    one = search([[4.0, 2.0]], (1.0, 8.0))
    assert one.minimise([0], enough=True).met
    assert one.minimise([0]).effort <= one.minimise([0], enough=True).effort


def test_the_largest_set_leaves_out_the_one_band_that_contradicts_the_others() -> None:
    # The first three ask for a rise of the first cause, the last for a fall.
    one = search([[1.0, 0.0], [1.0, 0.1], [0.9, 0.0], [1.0, 0.0]],
                 (0.5, 9.0), (0.4, 9.0), (0.2, 9.0), (-9.0, -0.2))
    found = one.largest(range(4))
    assert found.slack[:3] == pytest.approx([0.0, 0.0, 0.0], abs=1e-3)
    assert found.slack[3] == pytest.approx(0.7, abs=1e-3)
    assert found.change == pytest.approx([0.5, 0.0], abs=1e-3)


def test_a_heavy_band_does_not_buy_off_two_light_ones() -> None:
    # Elastic programmes weigh by the size of the gap; the count does not.
    one = search([[1.0, 0.0], [1.0, 0.0], [-40.0, 0.0]], (0.5, 9.0), (0.6, 9.0), (20.0, 900.0))
    found = one.largest(range(3))
    assert (found.slack[:2] <= 1e-3).all()
    assert found.slack[2] > 1.0


def test_a_budget_is_kept_whatever_is_wanted() -> None:
    one = search([[4.0, 2.0], [1.0, 0.0]], (3.0, 9.0), (-np.inf, 0.5), always=(1,))
    found = one.minimise([0])
    assert found.met
    assert found.outcomes[1] <= 0.5 + 1e-3
    assert found.change == pytest.approx([0.5, 0.5], abs=1e-3)
    # A set that is chosen keeps it too.
    assert one.largest([0]).outcomes[1] <= 0.5 + 1e-3


def test_a_smaller_box_keeps_the_other_causes_where_they_are() -> None:
    found = search([[4.0, 2.0]], (1.0, 1.5)).minimise(
        [0], box=FREE.only(np.array([False, True])))
    assert found.change == pytest.approx([0.0, 0.5], abs=1e-6)


def test_a_run_that_fails_is_never_the_answer() -> None:
    def broken(changes: np.ndarray) -> np.ndarray:
        return np.where(changes[:, :1] > 0.4, np.nan, 4.0 * changes[:, :1] + 2.0 * changes[:, 1:])

    found = Search(broken, FREE, bands((2.5, 9.0))).minimise([0])
    assert np.isfinite(found.outcomes).all()
    assert found.slack[0] < 2.5
    assert found.change[0] <= 0.4


def test_the_nearest_try_is_remembered() -> None:
    one = search([[1.0, 0.0], [0.0, 1.0]], (0.5, 9.0), (0.5, 9.0))
    one.minimise([0])
    one.minimise([1])
    assert one.nearest([0])[0] >= 0.5 - 1e-3
    assert one.nearest([1])[1] >= 0.5 - 1e-3
