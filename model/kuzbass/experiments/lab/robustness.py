"""Formulas of robustness and of dominance, on arrays (policy, future) in which more is better.

The names and the grouping follow McPhail et al. (2018), Earth's Future 6, 169-191: a metric of
robustness transforms performance (itself, regret, satisfied or not), chooses futures (all, worst,
a percentile) and aggregates them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kendalltau

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["CLASSES", "maximin", "mean_variance", "normalised", "pareto", "percentile",
           "rank_agreement", "regret", "regret_quantile", "satisficing"]

# Metric of robustness: its class, and whether a large value is good.
CLASSES = {
    "maximin": ("worst case", True),
    "percentile": ("worst case", True),
    "mean-variance": ("moments", True),
    "minimax regret": ("regret", False),
    "90th percentile regret": ("regret", False),
    "satisficing": ("satisficing", True),
}


def maximin(performance: Array) -> Array:
    """Return the worst performance of each policy, min over futures (Wald 1950)."""
    return np.asarray(performance.min(axis=1))


def percentile(performance: Array, quantile: float) -> Array:
    """Return a low quantile of each policy's performance, such as 0.1."""
    return np.asarray(np.quantile(performance, quantile, axis=1))


def normalised(performance: Array) -> Array:
    """Return performance on 0 (worst of all policies and futures) to 1 (best).

    Where all are equal, 1: none is worse.
    """
    low, high = performance.min(), performance.max()
    if high == low:
        return np.ones_like(performance)
    return np.asarray((performance - low) / (high - low))


def mean_variance(performance: Array) -> Array:
    """Return (mean + 1) / (standard deviation + 1) of each policy (Hamarat et al. 2014).

    The form depends on the unit and on the sign; use it on `normalised` performance.
    """
    return np.asarray((performance.mean(axis=1) + 1.0) / (performance.std(axis=1) + 1.0))


def regret(performance: Array) -> Array:
    """Return the regret of each policy in each future: the best policy's performance less its own.

    R(p, s) = max over p' of f(p', s) - f(p, s) (Savage 1951).
    """
    return np.asarray(performance.max(axis=0) - performance)


def regret_quantile(performance: Array, quantile: float = 1.0) -> Array:
    """Return a quantile of each policy's regret; 1 gives the largest, for minimax regret."""
    return np.asarray(np.quantile(regret(performance), quantile, axis=1))


def satisficing(met: NDArray[np.bool_]) -> Array:
    """Return the share of futures in which each policy meets all thresholds (Starr 1962).

    Parameters
    ----------
    met : ndarray (threshold, policy, future)
    """
    return np.asarray(met.all(axis=0).mean(axis=1))


def rank_agreement(columns: Array) -> Array:
    """Return Kendall's tau-b between the rankings of policies by each pair of columns.

    Parameters
    ----------
    columns : ndarray (policy, criterion)
        More is better in each.

    Returns
    -------
    ndarray (criterion, criterion)
        NaN where a criterion does not tell policies apart.
    """
    count = columns.shape[1]
    tau = np.full((count, count), np.nan)
    for one in range(count):
        for other in range(one, count):
            if np.ptp(columns[:, one]) > 0.0 and np.ptp(columns[:, other]) > 0.0:
                value = float(kendalltau(columns[:, one], columns[:, other])[0])
                tau[one, other] = tau[other, one] = value
    return tau


def pareto(performance: Array) -> list[int | None]:
    """Return for each policy one that dominates it, or ``None``.

    A policy is dominated by one that is nowhere worse and somewhere better.  Of several the one
    that is better in most metrics is named, then the first.

    Parameters
    ----------
    performance : ndarray (policy, metric)
        More is better.
    """
    dominated: list[int | None] = []
    for own in performance:
        better = (performance > own).sum(axis=1)
        over = (performance >= own).all(axis=1) & (better > 0)
        dominated.append(int(np.where(over, better, -1).argmax()) if over.any() else None)
    return dominated
