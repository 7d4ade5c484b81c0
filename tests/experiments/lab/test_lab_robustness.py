"""The formulas of robustness, on values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.experiments.lab import robustness as rob

# Three policies in four futures.
F = np.array([[4.0, 2.0, 6.0, 8.0],
              [5.0, 5.0, 5.0, 5.0],
              [9.0, 1.0, 7.0, 3.0]])


def test_worst_cases() -> None:
    np.testing.assert_array_equal(rob.maximin(F), [2.0, 5.0, 1.0])
    # Of 2, 4, 6, 8 the tenth percentile lies 0.3 of the way from the first to the second.
    np.testing.assert_allclose(rob.percentile(F, 0.1), [2.6, 5.0, 1.6])


def test_regret_is_measured_from_the_best_policy_of_each_future() -> None:
    np.testing.assert_array_equal(rob.regret(F), [[5.0, 3.0, 1.0, 0.0],
                                                  [4.0, 0.0, 2.0, 3.0],
                                                  [0.0, 4.0, 0.0, 5.0]])
    np.testing.assert_array_equal(rob.regret_quantile(F), [5.0, 4.0, 5.0])
    # Of 0, 1, 3, 5 the ninetieth percentile: 3 + 0.7 * 2.
    assert rob.regret_quantile(F, 0.9)[0] == pytest.approx(4.4)
    assert rob.regret(F).min(axis=0).max() == 0.0, "in every future one policy has no regret"


def test_mean_and_variance() -> None:
    # Policy 1: mean 5 and sd sqrt(5); policy 2: mean 5 and sd 0.
    np.testing.assert_allclose(rob.mean_variance(F)[:2], [6.0 / (np.sqrt(5.0) + 1.0), 6.0])


def test_normalised_runs_from_the_worst_to_the_best_of_all() -> None:
    assert rob.normalised(F).min() == 0.0
    assert rob.normalised(F).max() == 1.0
    assert rob.normalised(F)[1, 0] == pytest.approx(0.5)
    np.testing.assert_array_equal(rob.normalised(np.full((2, 3), 7.0)), 1.0)


def test_satisficing_asks_for_all_thresholds_in_the_same_future() -> None:
    met = np.array([[[True, True, False, True], [True, False, False, False]],
                    [[True, False, True, True], [False, True, False, False]]])
    np.testing.assert_array_equal(rob.satisficing(met), [0.5, 0.0])
    np.testing.assert_array_equal(rob.satisficing(met[:1]), [0.75, 0.25])


def test_rank_agreement_is_kendalls_tau() -> None:
    columns = np.array([[1.0, 2.0, 4.0, 0.0], [2.0, 1.0, 3.0, 0.0], [3.0, 3.0, 2.0, 0.0],
                        [4.0, 4.0, 1.0, 0.0]])
    tau = rob.rank_agreement(columns)
    # One of six pairs is the other way round: (5 - 1) / 6.
    assert tau[0, 1] == tau[1, 0] == pytest.approx(2.0 / 3.0)
    assert tau[0, 2] == pytest.approx(-1.0)
    assert tau[0, 0] == pytest.approx(1.0)
    assert np.isnan(tau[3]).all(), "a criterion that tells nobody apart ranks nobody"


def test_dominated_policies_are_named_with_who_dominates_them() -> None:
    performance = np.array([[1.0, 1.0, 1.0],   # worse than the next in two metrics
                            [2.0, 2.0, 1.0],
                            [3.0, 2.0, 2.0],   # better than the first in three
                            [4.0, 0.0, 0.0]])
    assert rob.pareto(performance) == [2, 2, None, None]


def test_equal_policies_do_not_dominate_each_other() -> None:
    assert rob.pareto(np.ones((2, 3))) == [None, None]
