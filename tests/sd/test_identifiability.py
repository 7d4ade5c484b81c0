"""Collinearity and the choice of a set of parameters."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.sd.identifiability import choose, collinearity, nearest_parameter


def test_orthogonal_columns_are_not_collinear() -> None:
    assert collinearity(np.diag([3.0, 0.1, 7.0])) == pytest.approx(1.0)


@pytest.mark.parametrize("cosine", [0.5, 0.9, -0.99])
def test_two_columns_follow_the_formula(cosine: float) -> None:
    columns = np.array([[1.0, cosine], [0.0, np.sqrt(1.0 - cosine**2)]])
    # The smaller eigenvalue of [[1, c], [c, 1]] is 1 - |c|.
    assert collinearity(columns) == pytest.approx(1.0 / np.sqrt(1.0 - abs(cosine)))


def test_a_copy_is_infinitely_collinear() -> None:
    column = np.array([[1.0], [2.0], [3.0]])
    assert collinearity(np.hstack([column, 5.0 * column])) == np.inf
    assert collinearity(np.hstack([column, 0.0 * column])) == np.inf


def _matrix() -> np.ndarray:
    strong, other, weak = np.eye(4)[:3]
    return np.column_stack([10.0 * strong, 9.0 * strong + 0.01 * other, 5.0 * other, 0.1 * weak])


def test_the_choice_passes_over_copies_and_what_the_data_hardly_feel() -> None:
    choices = choose(_matrix(), largest_gamma=10.0, most=4, least_left=1.0)
    assert [one.place for one in choices if one.chosen] == [0, 2]
    copy = next(one for one in choices if one.place == 1)
    assert copy.sensitivity == pytest.approx(9.0, rel=1e-3)
    assert copy.left < 0.02
    assert copy.gamma > 100.0


def test_the_first_ones_come_first() -> None:
    choices = choose(_matrix(), largest_gamma=10.0, most=2, least_left=1.0, first=[3, 1])
    # The third is too weak; the copy comes before what it copies.
    assert [one.place for one in choices if one.chosen] == [1, 2]


def test_the_set_is_not_larger_than_asked() -> None:
    choices = choose(np.eye(5), largest_gamma=10.0, most=3, least_left=0.5)
    assert sum(one.chosen for one in choices) == 3
    assert len(choices) == 5


def test_the_most_alike_is_named() -> None:
    place, cosine = nearest_parameter(_matrix(), 1, [0, 2])
    assert place == 0
    assert cosine == pytest.approx(1.0, abs=1e-4)
