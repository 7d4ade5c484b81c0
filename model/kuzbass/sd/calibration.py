"""Estimates the constants of any model: priors, bounds, least squares from many starts, profiles.

Everything works on the unit scale: 0 is the lower bound of a parameter, 1 the upper one.  The
objective is minus two log-posterior; what a model does with parameters is a function that
simulates many candidates at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import chi2, qmc

from kuzbass.sd.likelihood import Ar1, Likelihood

__all__ = ["Fit", "Interval", "Parameter", "Problem", "at_bounds", "covariance", "estimate",
           "latin_hypercube", "profile", "share_at_best"]

Array = NDArray[np.float64]
Simulate = Callable[[Array], Array]

_STEP = 2e-3  # wide enough to look past the kinks of MIN and IF THEN ELSE
_AT_BOUND = 5e-3
_EDGE = 1e-6
_EVALUATIONS = 12
_ROUNDS = 12
_ENOUGH = 0.05
_SAME_OPTIMUM = 0.1
_PROFILE_TRIALS = 5
_CLOSE = 0.08


@dataclass(frozen=True)
class Parameter:
    """A constant to be estimated.

    Attributes
    ----------
    name : str
    lower, upper : float
        Bounds.
    mean, sd : float or None
        Normal prior, cut at the bounds; ``None`` is a flat one.
    """

    name: str
    lower: float
    upper: float
    mean: float | None = None
    sd: float | None = None


@dataclass(frozen=True)
class Fit:
    """Where a search ended.

    Attributes
    ----------
    point : ndarray, shape (parameters,)
        On the unit scale.
    objective : float
        Minus two log-posterior there, up to a constant.
    processes : tuple of Ar1
        Most likely error process of each series.
    runs : int
        Simulations it took.
    """

    point: Array
    objective: float
    processes: tuple[Ar1, ...]
    runs: int


@dataclass(frozen=True)
class Interval:
    """A profile-likelihood interval on the scale of the parameter.

    Attributes
    ----------
    low, high : float
        Its ends; a bound where the profile does not rise enough before.
    shape : {"closed", "open below", "open above", "flat"}
        Open on both sides is flat: the data do not tell the parameter.
    gain : float
        By how much the profile came below the optimum, 0 if it did not.
    """

    low: float
    high: float
    shape: str
    gain: float


@dataclass(frozen=True)
class Problem:
    """What is to be estimated, and from what.

    Attributes
    ----------
    parameters : tuple of Parameter
    simulate : callable
        Values (runs, parameters) -> simulated (series, years, runs); NaN where a run failed.
    likelihood : Likelihood
    """

    parameters: tuple[Parameter, ...]
    simulate: Simulate
    likelihood: Likelihood

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of a point."""
        return tuple(parameter.name for parameter in self.parameters)

    def values(self, points: Array) -> Array:
        """Return parameter values of points on the unit scale."""
        lower, upper = self._bounds()
        return np.clip(lower + points * (upper - lower), lower, upper)

    def points(self, values: Array) -> Array:
        """Return the points on the unit scale of parameter values."""
        lower, upper = self._bounds()
        return np.asarray(np.clip((values - lower) / (upper - lower), 0.0, 1.0))

    def objective(self, points: Array) -> Array:
        """Return minus two log-posterior of points (runs, parameters), up to a constant."""
        simulated = self.simulate(self.values(points))
        return np.asarray(self.likelihood.deviance(simulated)
                          + np.sum(self._prior(points) ** 2, axis=1))

    def residuals(self, points: Array, processes: Sequence[Ar1]) -> Array:
        """Return what least squares squares: innovations and priors, (rows, runs)."""
        simulated = self.simulate(self.values(points))
        bad = ~np.isfinite(simulated).all(axis=(0, 1))
        rows = self.likelihood.residuals(np.where(bad, 1.0, simulated), processes)
        rows[:, bad] = 1e3  # a failed run is worse than any other
        return np.concatenate([rows, self._prior(points).T])

    def jacobian(self, point: Array, processes: Sequence[Ar1]) -> Array:
        """Return central differences of `residuals`, (rows, parameters), in one batch of runs."""
        count = len(point)
        steps = np.full(count, _STEP)
        high, low = np.minimum(point + steps, 1.0), np.maximum(point - steps, 0.0)
        batch = np.tile(point, (2 * count, 1))
        batch[np.arange(count), np.arange(count)] = high
        batch[count + np.arange(count), np.arange(count)] = low
        rows = self.residuals(batch, processes)
        return np.asarray((rows[:, :count] - rows[:, count:]) / (high - low))

    def processes(self, point: Array) -> tuple[Ar1, ...]:
        """Return the most likely error processes at a point."""
        return self.likelihood.processes(self.simulate(self.values(point[None]))[:, :, 0])

    def without(self, name: str, value: float) -> Problem:
        """Return the problem with one parameter held at a value."""
        place = self.names.index(name)
        rest = tuple(p for p in self.parameters if p.name != name)

        def simulate(values: Array) -> Array:
            return self.simulate(np.insert(values, place, value, axis=1))

        return replace(self, parameters=rest, simulate=simulate)

    def _bounds(self) -> tuple[Array, Array]:
        return (np.array([p.lower for p in self.parameters]),
                np.array([p.upper for p in self.parameters]))

    def _prior(self, points: Array) -> Array:
        mean = np.array([np.nan if p.mean is None else p.mean for p in self.parameters])
        sd = np.array([np.nan if p.sd is None else p.sd for p in self.parameters])
        return np.asarray(np.nan_to_num((self.values(points) - mean) / sd))


def estimate(problem: Problem, start: Array, *, rounds: int = _ROUNDS) -> Fit:
    """Maximise the posterior from one start.

    Least squares under given error processes, which are then estimated anew, in turn until the
    objective no longer falls (iterated feasible generalised least squares).

    Parameters
    ----------
    problem : Problem
    start : ndarray, shape (parameters,)
        On the unit scale.
    rounds : int
        At most so many turns.
    """
    point = np.asarray(np.clip(start, _EDGE, 1.0 - _EDGE))
    best = Fit(point, float(problem.objective(point[None])[0]), (), 1)
    if not np.isfinite(best.objective):
        return best
    runs = 1
    for _ in range(rounds):
        point, used = _least_squares(problem, point, problem.processes(point))
        value = float(problem.objective(point[None])[0])
        runs += used + 2
        gain = best.objective - value
        if gain > 0.0:
            best = Fit(point, value, (), runs)
        if gain < _ENOUGH:
            break
    return Fit(best.point, best.objective, problem.processes(best.point), runs)


def _least_squares(problem: Problem, point: Array, processes: Sequence[Ar1]) -> tuple[Array, int]:
    """Return where least squares under given error processes end, and the runs it took."""
    def residuals(x: Array) -> Array:
        return problem.residuals(x[None], processes)[:, 0]

    def jacobian(x: Array) -> Array:
        return problem.jacobian(x, processes)

    found = least_squares(residuals, point, jac=jacobian, bounds=(0.0, 1.0), x_scale="jac",
                          xtol=1e-5, ftol=1e-5, max_nfev=_EVALUATIONS)
    runs = found.nfev + 2 * len(point) * (found.njev or 0)
    return np.asarray(np.clip(found.x, _EDGE, 1.0 - _EDGE)), runs


def latin_hypercube(count: int, parameters: int, seed: int) -> Array:
    """Return starts on the unit scale, (count, parameters)."""
    return np.asarray(qmc.LatinHypercube(parameters, rng=seed).random(count))


def share_at_best(fits: Sequence[Fit]) -> tuple[float, int]:
    """Return the share of starts within 0.1 of the best objective, and the number of optima.

    Two ends are one optimum if their objectives differ by less than that.
    """
    ends = np.sort([fit.objective for fit in fits])
    finite = ends[np.isfinite(ends)]
    near = float(np.mean(ends - ends[0] < _SAME_OPTIMUM)) if len(finite) else 0.0
    return near, int(1 + np.sum(np.diff(finite) >= _SAME_OPTIMUM)) if len(finite) else 0


def at_bounds(problem: Problem, point: Array) -> tuple[str, ...]:
    """Return the parameters that an optimum leaves at a bound."""
    return tuple(name for name, value in zip(problem.names, point, strict=True)
                 if min(value, 1.0 - value) < _AT_BOUND)


def covariance(problem: Problem, fit: Fit) -> Array:
    """Return the Laplace covariance at a fit, on the unit scale.

    The inverse of J'J, in which the uniform prior on the unit interval counts with its variance of
    one twelfth, so that what the data do not tell stays as wide as the range.
    """
    jacobian = problem.jacobian(fit.point, fit.processes)
    return np.asarray(np.linalg.inv(jacobian.T @ jacobian + 12.0 * np.eye(len(fit.point))))


def profile(problem: Problem, fit: Fit, name: str, *, level: float = 0.95) -> Interval:
    """Return the profile-likelihood interval of one parameter.

    Parameters
    ----------
    problem : Problem
    fit : Fit
        The optimum.
    name : str
    level : float
        Its ends are where the best objective with the parameter held there lies above the
        optimum by the quantile of chi-square with one degree of freedom.
    """
    place = problem.names.index(name)
    parameter = problem.parameters[place]
    rise = float(chi2.ppf(level, 1))
    sd = float(np.sqrt(covariance(problem, fit)[place, place]))
    centre = float(fit.point[place])
    low, lowest = _side(problem, fit, name, max(1.96 * sd, 1e-3), rise, 0.0)
    high, least = _side(problem, fit, name, max(1.96 * sd, 1e-3), rise, 1.0)
    shape = {(True, True): "flat", (True, False): "open below", (False, True): "open above",
             (False, False): "closed"}[low is None, high is None]
    width = parameter.upper - parameter.lower
    return Interval(parameter.lower + width * (0.0 if low is None else min(low, centre)),
                    parameter.lower + width * (1.0 if high is None else max(high, centre)),
                    shape, max(0.0, -min(lowest, least)))


def _side(
    problem: Problem, fit: Fit, name: str, step: float, rise: float, bound: float
) -> tuple[float | None, float]:
    """Return where the profile crosses `rise` on the way to a bound, and its lowest value."""
    place = problem.names.index(name)
    centre = float(fit.point[place])
    room = abs(bound - centre)
    parameter = problem.parameters[place]
    start, lowest = np.delete(fit.point, place), 0.0
    inside, beyond = (0.0, 0.0), None
    for _ in range(_PROFILE_TRIALS):
        step = min(step, room)
        at = centre + step * (1.0 if bound > centre else -1.0)
        value = parameter.lower + at * (parameter.upper - parameter.lower)
        found = estimate(problem.without(name, value), start, rounds=3)
        excess = found.objective + _own_prior(parameter, value) - fit.objective
        lowest = min(lowest, excess)
        # The root of the rise grows in proportion to the distance near an optimum.
        root = float(np.sqrt(max(excess, 0.0) / rise))
        if root < 1.0:
            if step >= room:
                return None, lowest
            inside, start = (step, root), found.point
        else:
            beyond = (step, root)
        if beyond is not None:
            share = (1.0 - inside[1]) / (beyond[1] - inside[1])
            step = inside[0] + share * (beyond[0] - inside[0])
            if abs(root - 1.0) < _CLOSE:
                break
        else:
            step *= float(np.clip(1.0 / max(root, 0.25), 1.3, 3.0))
    return centre + step * (1.0 if bound > centre else -1.0), lowest


def _own_prior(parameter: Parameter, value: float) -> float:
    if parameter.mean is None or parameter.sd is None:
        return 0.0
    return ((value - parameter.mean) / parameter.sd) ** 2
