"""Estimates very many constants at once by an evolution strategy.

Least squares need a derivative for each constant and stop at the first kink; a population needs
neither.  With some hundred constants only the variances of the steps are adapted, not their
covariances.
"""

from __future__ import annotations

import warnings

import cma
import numpy as np
from numpy.typing import NDArray

from kuzbass.sd.calibration import Fit, Problem

__all__ = ["evolve"]

_BAD = 1e9  # a failed run ranks behind all others; infinity would spoil the arithmetic


def evolve(
    problem: Problem, start: NDArray[np.float64], *, spread: float, population: int,
    generations: int, rng: np.random.Generator,
) -> Fit:
    """Maximise the posterior by CMA-ES with a diagonal covariance.

    Parameters
    ----------
    problem : Problem
    start : ndarray, shape (parameters,)
        Mean of the first population, on the unit scale.
    spread : float
        Standard deviation of the first population, on the unit scale.
    population : int
        Runs of each generation; they are simulated as one batch.
    generations : int
        At most so many.
    rng : Generator

    Returns
    -------
    Fit
        The best point that was tried.

    Notes
    -----
    Ros and Hansen 2008, A simple modification in CMA-ES achieving linear time and space
    complexity.
    """
    search = cma.CMAEvolutionStrategy(start, spread, {
        "bounds": [0.0, 1.0], "CMA_diagonal": True, "popsize": population, "maxiter": generations,
        "seed": np.nan, "randn": lambda *shape: rng.standard_normal(shape), "verbose": -9})
    best, lowest, runs = start, float(problem.objective(start[None])[0]), 1
    while not search.stop():
        points = np.clip(np.array(search.ask()), 0.0, 1.0)
        values = problem.objective(points)
        with warnings.catch_warnings():
            # It warns where a step has grown long beside its variance, and caps it.
            warnings.simplefilter("ignore", UserWarning)
            search.tell(list(points), list(np.where(np.isfinite(values), values, _BAD)))
        runs += len(points)
        first = int(np.argmin(values))
        if values[first] < lowest:
            best, lowest = points[first], float(values[first])
    return Fit(best, lowest, problem.processes(best) if np.isfinite(lowest) else (), runs)
