"""Which parameters the data can tell apart: sensitivity, collinearity, choice of a set.

All functions take the sensitivity matrix of `kuzbass.sd.calibration.Problem.jacobian`: rows are
errors in standard deviations, columns parameters on the scale of their ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Choice", "choose", "collinearity", "nearest_parameter"]

Array = NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True)
class Choice:
    """What became of one candidate.

    Attributes
    ----------
    place : int
        Its column.
    sensitivity : float
        Length of its column: standard deviations that its whole range moves the data.
    left : float
        The part of it that the parameters chosen before cannot copy.
    gamma : float
        Collinearity of the chosen set with it.
    chosen : bool
    """

    place: int
    sensitivity: float
    left: float
    gamma: float
    chosen: bool


def collinearity(sensitivity: Array) -> float:
    """Return the collinearity index of the columns of a sensitivity matrix.

    One over the root of the smallest eigenvalue of the normalised S'S (Brun, Reichert and Kuensch
    2001): a change of one parameter can be made up for by the others but for one part in gamma.
    Above 10 to 20 they cannot be estimated together.
    """
    length = np.linalg.norm(sensitivity, axis=0)
    if np.any(length < _TINY):
        return float("inf")
    unit = sensitivity / length
    smallest = float(np.linalg.eigvalsh(unit.T @ unit)[0])
    return float("inf") if smallest < _TINY else float(1.0 / np.sqrt(smallest))


def choose(
    sensitivity: Array, *, largest_gamma: float, most: int, least_left: float,
    first: Sequence[int] = (),
) -> list[Choice]:
    """Choose parameters one by one, each the one that adds most to what is known.

    Parameters
    ----------
    sensitivity : ndarray, shape (rows, candidates)
    largest_gamma : float
        Candidates that would lift the collinearity of the set above it are passed over.
    most : int
        Size of the set at most.
    least_left : float
        A candidate must move the data by so many standard deviations that no other copies.
    first : sequence of int
        Columns that are tried before all others, in this order.

    Returns
    -------
    list of Choice
        The chosen ones in the order of choice, then the rest by sensitivity.
    """
    length = np.linalg.norm(sensitivity, axis=0)
    rest = sensitivity.copy()
    chosen: list[Choice] = []
    waiting = list(first)
    while len(chosen) < most:
        left = np.linalg.norm(rest, axis=0)
        order = [waiting.pop(0)] if waiting else [int(place) for place in np.argsort(-left)]
        places = [one.place for one in chosen]
        allowed = [place for place in order if left[place] >= least_left and place not in places]
        found = _first_within(sensitivity, places, allowed, largest_gamma)
        if found is None:
            if waiting or len(order) == 1:
                continue
            break
        place, gamma = found
        chosen.append(Choice(place, float(length[place]), float(left[place]), gamma, True))
        direction = rest[:, place] / left[place]
        rest -= np.outer(direction, direction @ rest)
    places = [one.place for one in chosen]
    left = np.linalg.norm(rest, axis=0)
    others = [int(place) for place in np.argsort(-length) if place not in places]
    return chosen + [
        Choice(place, float(length[place]), float(left[place]),
               collinearity(sensitivity[:, [*places, place]]), False) for place in others]


def _first_within(
    sensitivity: Array, places: list[int], order: list[int], largest_gamma: float
) -> tuple[int, float] | None:
    for place in order:
        gamma = collinearity(sensitivity[:, [*places, place]])
        if gamma <= largest_gamma:
            return place, gamma
    return None


def nearest_parameter(sensitivity: Array, place: int, among: list[int]) -> tuple[int, float]:
    """Return which of `among` acts most like a parameter, and the cosine of the two columns."""
    length = np.linalg.norm(sensitivity, axis=0)
    others = [other for other in among if other != place]
    cosines = sensitivity[:, others].T @ sensitivity[:, place]
    cosines /= np.maximum(length[others] * length[place], _TINY)
    best = int(np.argmax(np.abs(cosines)))
    return others[best], float(cosines[best])
