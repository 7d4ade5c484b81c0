"""Samples a posterior with an ensemble of walkers that simulate side by side.

Differential evolution (ter Braak 2006) in two halves, as in Nelson et al. 2014: a walker of one
half jumps along the difference of two walkers of the other half, so that scale and correlation
of the jumps follow the posterior by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ensemble", "diagnostics", "start_walkers", "walk"]

Array = NDArray[np.float64]
_WHOLE_JUMP = 0.1  # share of jumps by a whole difference, which lead from mode to mode
_JITTER = 1e-4


@dataclass(frozen=True)
class Ensemble:
    """Walkers and their history.

    Attributes
    ----------
    points : ndarray, shape (steps, walkers, parameters)
        The last step is where the walkers stand.
    objective : ndarray, shape (steps, walkers)
        Minus two log-posterior.
    acceptance : float
        Share of jumps that were taken.
    """

    points: Array
    objective: Array
    acceptance: float


def start_walkers(
    point: Array, covariance: Array, count: int, rng: np.random.Generator
) -> Array:
    """Return walkers around an optimum, within the unit cube, (count, parameters)."""
    walkers = rng.multivariate_normal(point, covariance, size=count, method="eigh")
    # A walker beyond a bound is mirrored into the cube.
    return np.asarray(np.clip(np.abs(1.0 - np.abs(1.0 - walkers)), 1e-6, 1.0 - 1e-6))


def walk(
    objective: Callable[[Array], Array], walkers: Array, steps: int, rng: np.random.Generator
) -> Ensemble:
    """Move walkers for some steps.

    Parameters
    ----------
    objective : callable
        Points (n, parameters) -> minus two log-posterior (n,).
    walkers : ndarray, shape (an even number of 6 or more, parameters)
        Within the unit cube, outside of which the posterior is zero.
    steps : int
    rng : Generator
    """
    count, size = walkers.shape
    points, values = np.empty((steps, count, size)), np.empty((steps, count))
    now, cost = walkers.copy(), objective(walkers)
    half, taken = count // 2, 0
    scale = 2.38 / np.sqrt(2.0 * size)
    for step in range(steps):
        halves = np.split(rng.permutation(count), 2)
        for own, other in (halves, halves[::-1]):
            pairs = np.array([rng.choice(other, 2, replace=False) for _ in range(half)])
            # Shorter jumps find their way on a rough posterior.
            short = scale * rng.uniform(0.3, 1.0, half)
            jump = np.where(rng.random(half) < _WHOLE_JUMP, 1.0, short)
            trial = now[own] + jump[:, None] * (now[pairs[:, 0]] - now[pairs[:, 1]])
            trial += rng.normal(0.0, _JITTER, trial.shape)
            inside = ((trial >= 0.0) & (trial <= 1.0)).all(axis=1)
            new = np.full(half, np.inf)
            if inside.any():
                new[inside] = objective(trial[inside])
            accept = np.log(rng.random(half)) < (cost[own] - new) / 2.0
            now[own[accept]], cost[own[accept]] = trial[accept], new[accept]
            taken += int(accept.sum())
        points[step], values[step] = now, cost
    return Ensemble(points, values, taken / (steps * count))


def diagnostics(points: Array) -> tuple[float, float]:
    """Return the largest potential scale reduction and the smallest effective sample size.

    Parameters
    ----------
    points : ndarray, shape (steps, walkers, parameters)

    Notes
    -----
    Gelman and Rubin 1992 on split chains; the effective size follows from the autocorrelation of
    the ensemble mean, summed to the first negative pair (Geyer 1992).
    """
    half = len(points) // 2
    chains = np.concatenate([points[:half], points[half:2 * half]], axis=1)
    within = chains.var(axis=0, ddof=1).mean(axis=0)
    between = half * chains.mean(axis=0).var(axis=0, ddof=1)
    reduction = np.sqrt(((half - 1) * within + between) / (half * np.maximum(within, 1e-30)))
    sizes = [points.shape[1] * len(points) / _autocorrelation_time(points[:, :, place])
             for place in range(points.shape[2])]
    return float(reduction.max()), float(min(sizes))


def _autocorrelation_time(paths: Array) -> float:
    """Return the integrated autocorrelation time of walkers (steps, walkers)."""
    centred = paths - paths.mean()
    length = len(centred)
    spectrum = np.abs(np.fft.rfft(centred, 2 * length, axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, axis=0)[:length].mean(axis=1)
    rho = covariance / max(float(covariance[0]), 1e-30)
    pairs = rho[: length // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0.0)
    last = int(negative[0]) if len(negative) else len(pairs)
    return float(max(1.0, 2.0 * pairs[:last].sum() - 1.0))
