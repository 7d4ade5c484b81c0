"""Fronts of many-objective search: epsilon-boxes, progress, hypervolume, a spread choice.

All objectives are such that less is better.  Epsilon-dominance after Laumanns, Thiele, Deb and
Zitzler (2002); epsilon-progress after Hadka and Reed (2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["epsilon_front", "epsilon_fronts", "hypervolumes", "nondominated", "spread"]


def nondominated(values: Array) -> NDArray[np.bool_]:
    """Return which points no other dominates, (point,); of equal points all stay."""
    kept = np.ones(len(values), dtype=np.bool_)
    for place, own in enumerate(values):
        if kept[place]:
            beaten = (values >= own).all(axis=1) & (values > own).any(axis=1)
            kept &= ~beaten
    return kept


def epsilon_front(values: Array, epsilon: Array) -> NDArray[np.intp]:
    """Return the places of the points of the epsilon-front.

    The space is cut into boxes of the size `epsilon`; of the boxes that no other box dominates,
    each keeps the point that is nearest to its best corner, and of equal ones the first.
    """
    boxes = np.floor(values / epsilon)
    distance = (((values / epsilon) - boxes)**2).sum(axis=1)
    order = np.lexsort([np.arange(len(values)), distance, *boxes.T])
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (boxes[order][1:] != boxes[order][:-1]).any(axis=1)
    best = np.sort(order[first])
    return np.asarray(best[nondominated(boxes[best])])


def epsilon_fronts(
    generations: Sequence[Array], epsilon: Array
) -> tuple[list[NDArray[np.intp]], list[int]]:
    """Return the front after every generation, and how many boxes it has entered with it.

    Returns
    -------
    fronts : list of ndarray
        Places in the points of all generations in a row.
    progress : list of int
        Boxes of the front that were not in that of the generation before.
    """
    fronts, progress, start = [], [], 0
    front = np.empty(0, dtype=np.intp)
    everything = np.concatenate(list(generations))
    before: set[tuple[float, ...]] = set()
    for values in generations:
        places = np.concatenate([front, np.arange(start, start + len(values))]).astype(np.intp)
        start += len(values)
        front = places[epsilon_front(everything[places], epsilon)]
        boxes = {tuple(box) for box in np.floor(everything[front] / epsilon).tolist()}
        progress.append(len(boxes - before))
        fronts.append(front)
        before = boxes
    return fronts, progress


def hypervolumes(fronts: Sequence[Array], best: Array, worst: Array) -> list[float]:
    """Return the share of the box from `best` to `worst` that each front dominates."""
    from pymoo.indicators.hv import Hypervolume  # noqa: PLC0415 - an extra

    span = np.where(worst > best, worst - best, 1.0)
    measure = Hypervolume(ref_point=np.ones(len(best)))
    shares = []
    for front in fronts:
        scaled = (front - best) / span
        inside = scaled[(scaled < 1.0).all(axis=1)]
        shares.append(float(measure(inside)) if len(inside) else 0.0)
    return shares


def spread(values: Array, count: int) -> NDArray[np.intp]:
    """Return the places of up to `count` points that lie far apart, the best of each axis first."""
    span = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(span > 0.0, span, 1.0)
    chosen = list(dict.fromkeys(int(place) for place in scaled.argmin(axis=0)))[:count]
    distance = np.min([np.linalg.norm(scaled - scaled[place], axis=1) for place in chosen], axis=0)
    while len(chosen) < min(count, len(values)):
        place = int(distance.argmax())
        if distance[place] == 0.0:
            break
        chosen.append(place)
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[place], axis=1))
    return np.sort(np.array(chosen, dtype=np.intp))
