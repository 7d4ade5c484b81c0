"""Fronts of points whose dominance is plain to see."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.experiments.lab.fronts import (
    epsilon_front,
    epsilon_fronts,
    hypervolumes,
    nondominated,
    spread,
)

ONE = np.ones(2)


def test_a_point_is_kept_unless_another_is_nowhere_worse_and_somewhere_better() -> None:
    points = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0], [1.0, 2.0], [1.0, 1.0]])
    assert nondominated(points).tolist() == [True, True, True, False, True]


def test_a_box_keeps_the_point_nearest_to_its_corner() -> None:
    points = np.array([[0.9, 1.9], [0.1, 1.1], [1.2, 0.2], [1.3, 1.3]])
    # The first two share a box; the last lies in a box that both others dominate.
    assert epsilon_front(points, ONE).tolist() == [1, 2]


def test_differences_below_epsilon_do_not_count() -> None:
    points = np.array([[0.0, 0.5], [0.4, 0.1]])
    assert len(epsilon_front(points, ONE)) == 1
    assert len(epsilon_front(points, 0.1 * ONE)) == 2


def test_progress_counts_the_boxes_that_are_new_in_the_front() -> None:
    generations = [np.array([[2.5, 2.5]]), np.array([[2.4, 2.6]]),
                   np.array([[0.5, 3.5], [3.5, 0.5]]), np.array([[0.5, 0.5]])]
    fronts, progress = epsilon_fronts(generations, ONE)
    assert progress == [1, 0, 2, 1]
    assert [len(front) for front in fronts] == [1, 1, 3, 1]
    assert fronts[-1].tolist() == [4]


def test_the_hypervolume_is_the_share_that_is_dominated() -> None:
    best, worst = np.zeros(2), np.full(2, 10.0)
    corner, stairs = np.array([[0.0, 0.0]]), np.array([[2.0, 6.0], [6.0, 2.0]])
    # Two rectangles of 8 by 4 that share 4 by 4, of 100.
    shares = hypervolumes([corner, stairs, np.array([[11.0, 0.0]])], best, worst)
    assert shares == pytest.approx([1.0, 0.48, 0.0])


def test_a_spread_choice_begins_with_the_ends_and_fills_the_widest_gap() -> None:
    points = np.array([[0.0, 10.0], [1.0, 9.0], [5.0, 5.0], [9.0, 1.0], [10.0, 0.0]])
    assert spread(points, 3).tolist() == [0, 2, 4]
    assert spread(points, 9).tolist() == [0, 1, 2, 3, 4]
    assert spread(np.zeros((4, 2)), 3).tolist() == [0]
