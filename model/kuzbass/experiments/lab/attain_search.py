"""The smallest change of causes that brings outcomes into bands: sequential linear programming.

The programme is elastic: a band that cannot be met is missed by a slack, and slack is dearer than
any change.  All finite differences of a step, and all trial steps, are one batch of runs.

Sources: sequential linear programming with a trust region and an exact l1 penalty as in Fletcher
and Sainz de la Maza (1989); elastic filter and largest feasible subset as in Chinneck (2008),
Feasibility and Infeasibility in Optimization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["MET", "QUICK", "Bands", "Box", "Search", "Solution"]

Evaluate = Callable[["Array"], "Array"]
PENALTY = 100.0  # effort that one unit of slack is worth; a whole range of a cause is worth one
MET = 1e-3  # slack below which a band counts as met
_STEP = 0.02  # of a range, for finite differences
_STEPS, QUICK = 30, 8  # linear programmes for a smallest change, and for whether there is one
_GAIN = 1e-4  # of the merit; less is none
_PROGRAMMES = (1.0, 0.2)  # trust radii of the linear programmes of a step
_RADII = (1.0, 0.5, 0.2, 0.05)  # lengths of its trials: both answers, and points on the way
_SMALLEST = 1e-3
_PRICED = 0.25  # trust radius of the programme whose multipliers are the prices
_SECONDS = 2.0  # of the mixed-integer programme


@dataclass(frozen=True)
class Box:
    """What may change.

    Attributes
    ----------
    low, high : ndarray (cause,)
        Bounds of the changes, in units of the range of each cause; 0 is no change.
    weight : ndarray (cause,)
        Effort of a change by one range.
    """

    low: Array
    high: Array
    weight: Array

    def only(self, free: NDArray[np.bool_]) -> Box:
        """Return the box in which the other causes stay as they are."""
        return Box(np.where(free, self.low, 0.0), np.where(free, self.high, 0.0), self.weight)

    def effort(self, change: Array) -> Array:
        """Return the effort of changes, (..., cause) -> (...)."""
        return np.asarray(np.abs(change) @ self.weight)


@dataclass(frozen=True)
class Bands:
    """What is wanted: ``low <= outcome <= high``, with slack in units of `scale`.

    Attributes
    ----------
    low, high, scale : ndarray (outcome,)
        In the units of the outcomes; an infinite bound binds nothing.
    """

    low: Array
    high: Array
    scale: Array

    def slack(self, outcomes: Array) -> Array:
        """Return by how much bands are missed, (..., outcome), in units of `scale`."""
        below, above = self.low - outcomes, outcomes - self.high
        slack = np.maximum(np.maximum(below, above), 0.0) / self.scale
        return np.where(np.isfinite(outcomes), slack, np.inf)


@dataclass(frozen=True)
class Solution:
    """Where a search ended.

    Attributes
    ----------
    change : ndarray (cause,)
    outcomes : ndarray (outcome,)
    wanted : tuple of int
        The bands that were asked for.
    slack : ndarray (outcome,)
        Of all bands, asked for or not.
    effort : float
    prices : ndarray (outcome,)
        Effort saved by moving the binding end of a band outwards by one unit of its scale; 0
        where it does not bind, NaN where the band is missed.
    """

    change: Array
    outcomes: Array
    wanted: tuple[int, ...]
    slack: Array
    effort: float
    prices: Array

    @property
    def met(self) -> bool:
        """Whether all bands that were asked for are met."""
        return bool((self.slack[list(self.wanted)] <= MET).all())


def _broyden(slope: Array, step: Array, gain: Array) -> Array:
    """Return the slopes after a step, by Broyden's update of rank one (1965)."""
    return np.asarray(slope + np.outer(gain - slope @ step, step) / (step @ step))


@dataclass
class Search:
    """Searches in one box for one set of bands.

    Attributes
    ----------
    evaluate : callable
        Outcomes (run, outcome) of changes (run, cause); NaN where a run fails.
    box : Box
    bands : Bands
    always : tuple of int
        Bands that hold whatever is wanted, such as a budget.
    seen : list of (ndarray (run, cause), ndarray (run, outcome))
        Everything that was tried.
    """

    evaluate: Evaluate
    box: Box
    bands: Bands
    always: tuple[int, ...] = ()
    seen: list[tuple[Array, Array]] = field(default_factory=list)

    def minimise(
        self, wanted: Iterable[int], *, start: Array | None = None, box: Box | None = None,
        steps: int = _STEPS, enough: bool = False,
    ) -> Solution:
        """Return the smallest change that meets the `wanted` bands, or misses them the least.

        Parameters
        ----------
        wanted : iterable of int
        start : ndarray (cause,), optional
            Where to begin; no change if left out.
        box : Box, optional
            A smaller or a wider box.
        steps : int
            Linear programmes at most.
        enough : bool
            Whether any change will do that meets the bands.
        """
        goal, box = tuple(dict.fromkeys([*wanted, *self.always])), box or self.box
        point = np.zeros(len(box.low)) if start is None else np.clip(start, box.low, box.high)
        outcomes = self._run(point[None])[0] if point.any() else self.origin
        merit = self._merit(point[None], outcomes[None], goal, box)[0]
        slope, fresh, radius = self._slope(point, outcomes, box), True, 1.0
        for _ in range(steps):
            if enough and self._missed(outcomes[None], goal)[0] <= MET:
                break
            far, near = (self._linear(point, outcomes, slope, goal, box, radius * share)[0]
                         for share in _PROGRAMMES)
            trial = np.array([far, (point + far) / 2.0, near, (3.0 * point + near) / 4.0])
            found = self._run(trial)
            merits = self._merit(trial, found, goal, box)
            best = int(np.argmin(merits))
            if merit - merits[best] > _GAIN * max(1.0, abs(merit)):
                step, gained = trial[best] - point, found[best] - outcomes
                point, outcomes, merit = trial[best], found[best], merits[best]
                radius = min(1.0, radius * _RADII[best] * (2.0 if best == 0 else 1.5))
                slope = _broyden(slope, step, gained) if enough else self._slope(
                    point, outcomes, box)
                fresh = not enough
            elif not fresh:
                slope, fresh = self._slope(point, outcomes, box), True
            elif radius * _RADII[-1] < _SMALLEST:
                break
            else:
                radius *= _RADII[-1]
        slack = self.bands.slack(outcomes)
        _, prices = self._linear(point, outcomes, slope, goal, box, _PRICED)
        missed = np.isin(np.arange(len(slack)), goal) & (slack > MET)
        return Solution(point, outcomes, goal, slack, float(box.effort(point)),
                        np.where(missed, np.nan, prices))

    def nearest(self, wanted: Iterable[int]) -> Array:
        """Return the change of all that were tried that misses some bands the least."""
        goal = tuple(dict.fromkeys([*wanted, *self.always]))
        changes, outcomes = (np.concatenate(parts) for parts in zip(*self.seen, strict=True))
        return np.asarray(changes[np.argmin(self._missed(outcomes, goal))])

    def largest(self, among: Iterable[int], *, box: Box | None = None) -> Solution:
        """Return the smallest change that meets the most bands `among` some.

        The set is the best of what the elastic programme leaves without slack and of what the
        linear model at that point says by a mixed-integer programme; the missed bands are then
        added one by one where they can be.  It is a set that can be met; that none is larger is
        not proven.
        """
        box = box or self.box
        candidates = tuple(one for one in among if one not in self.always)
        elastic = self.minimise(candidates, box=box, steps=QUICK)
        chosen = self._count(elastic.change, elastic.outcomes, candidates, box)
        exact = self.minimise(chosen, start=elastic.change, box=box, steps=QUICK)
        best = max((elastic, exact), key=lambda one: len(self._met(one, candidates)))
        kept = self._met(best, candidates)
        missed = [one for one in candidates if one not in kept]
        for one in sorted(missed, key=lambda number: elastic.slack[number]):
            tried = self.minimise((*kept, one), start=best.change, box=box, steps=QUICK,
                                  enough=True)
            if tried.met:
                best, kept = tried, (*kept, one)
        ends = [self.minimise(kept, start=start, box=box) for start in (best.change, None)]
        return min((one for one in ends if one.met), key=lambda one: one.effort, default=best)

    def _met(self, solution: Solution, among: Iterable[int]) -> tuple[int, ...]:
        return tuple(one for one in among if solution.slack[one] <= MET)

    @cached_property
    def origin(self) -> Array:
        """The outcomes without any change, (outcome,)."""
        return np.asarray(self._run(np.zeros((1, len(self.box.low))))[0])

    @cached_property
    def _slope_at_origin(self) -> Array:
        return self._differences(np.zeros(len(self.box.low)), self.origin, self.box)

    def _run(self, changes: Array) -> Array:
        outcomes = self.evaluate(changes)
        self.seen.append((changes, outcomes))
        return outcomes

    def _missed(self, outcomes: Array, goal: tuple[int, ...]) -> Array:
        """Return the largest slack of some bands, (run,)."""
        return np.asarray(self.bands.slack(outcomes)[:, list(goal)].max(axis=1))

    def _merit(self, changes: Array, outcomes: Array, goal: tuple[int, ...], box: Box) -> Array:
        slack = self.bands.slack(outcomes)[:, list(goal)].sum(axis=1)
        return np.asarray(box.effort(changes) + PENALTY * slack)

    def _slope(self, point: Array, outcomes: Array, box: Box) -> Array:
        return self._differences(point, outcomes, box) if point.any() else self._slope_at_origin

    def _differences(self, point: Array, outcomes: Array, box: Box) -> Array:
        """Return d outcome / d cause, (outcome, cause), by one-sided differences into the box."""
        free = np.flatnonzero(box.high > box.low)
        slope = np.zeros((len(outcomes), len(point)))
        if not len(free):
            return slope
        step = np.where(point + _STEP <= box.high, _STEP, -_STEP)[free]
        trial = np.repeat(point[None], len(free), axis=0)
        trial[np.arange(len(free)), free] += step
        difference = (self._run(trial) - outcomes).T / step
        slope[:, free] = np.where(np.isfinite(difference), difference, 0.0)
        return slope

    def _linear(
        self, point: Array, outcomes: Array, slope: Array, goal: tuple[int, ...], box: Box,
        radius: float,
    ) -> tuple[Array, Array]:
        """Solve the linear programme in change up, change down, and slack."""
        causes, rows = len(point), list(goal)
        scale = self.bands.scale[rows]
        own = slope[rows] / scale[:, None]
        constant = (outcomes[rows] - slope[rows] @ point) / scale
        high, low = self.bands.high[rows] / scale, self.bands.low[rows] / scale
        bound = np.maximum(np.nan_to_num(np.concatenate([high - constant, constant - low]),
                                         posinf=1e9), -1e9)
        give = np.eye(len(rows))
        matrix = np.block([[own, -own, -give], [-own, own, -give]])
        least, most = (np.maximum(box.low, point - radius), np.minimum(box.high, point + radius))
        up = np.column_stack([np.maximum(least, 0.0), np.maximum(most, 0.0)])
        down = np.column_stack([np.maximum(-most, 0.0), np.maximum(-least, 0.0)])
        slack = np.column_stack([np.zeros(len(rows)), np.full(len(rows), np.inf)])
        edges: Any = np.concatenate([up, down, slack])
        result = linprog(np.concatenate([box.weight, box.weight, np.full(len(rows), PENALTY)]),
                         A_ub=matrix, b_ub=bound, bounds=edges, method="highs")
        prices = np.zeros(len(outcomes))
        if result.x is None:
            return point, prices
        prices[rows] = -result.ineqlin.marginals.reshape(2, -1).sum(axis=0)
        return result.x[:causes] - result.x[causes:2 * causes], prices

    def _count(
        self, point: Array, outcomes: Array, among: tuple[int, ...], box: Box
    ) -> tuple[int, ...]:
        """Return the largest set of bands that the linear model at `point` can meet."""
        rows, causes = [*among, *self.always], len(point)
        scale, slope = self.bands.scale[rows], self._slope(point, outcomes, box)[rows]
        own = slope / scale[:, None]
        constant = (outcomes[rows] - slope @ point) / scale
        low, high = self.bands.low[rows] / scale, self.bands.high[rows] / scale
        gap = np.maximum(np.nan_to_num(np.abs(low - constant), posinf=0.0),
                         np.nan_to_num(np.abs(high - constant), posinf=0.0))
        # A missed band binds nothing anywhere in the box.
        give = np.diag(gap + np.abs(own) @ np.maximum(np.abs(box.low), np.abs(box.high)) + 1.0)
        everything = LinearConstraint(
            np.block([[own, -give], [own, give]]),
            np.concatenate([np.full(len(rows), -np.inf), low - constant]),
            np.concatenate([high - constant, np.full(len(rows), np.inf)]))
        ones = np.ones(len(rows))
        result = milp(
            np.concatenate([np.zeros(causes), ones]),
            constraints=everything, integrality=np.concatenate([np.zeros(causes), ones]),
            bounds=Bounds(np.concatenate([box.low, 0.0 * ones]),
                          np.concatenate([box.high, ones[:len(among)], 0.0 * ones[len(among):]])),
            options={"time_limit": _SECONDS})
        if result.x is None:
            return self._met_at(outcomes, among)
        missed = result.x[causes:causes + len(among)] > 0.5
        return tuple(one for one, out in zip(among, missed, strict=True) if not out)

    def _met_at(self, outcomes: Array, among: tuple[int, ...]) -> tuple[int, ...]:
        slack = self.bands.slack(outcomes)
        return tuple(one for one in among if slack[one] <= MET)
