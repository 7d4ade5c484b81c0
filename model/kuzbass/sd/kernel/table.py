"""Tables: points, linear between them and held beyond the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Table"]


class Table:
    """Points of a table, linear between them and held beyond the ends.

    Parameters
    ----------
    x : ndarray (m,)
        Strictly increasing.
    y : ndarray (m,) or (n, m)
        One row for all runs, or one per run.
    """

    def __init__(self, x: Any, y: Any) -> None:
        self.x = np.array(x, dtype=float, ndmin=1)
        self.y = np.array(y, dtype=float, ndmin=2)
        if len(self.x) == 1:  # a second point spares the reader a special case
            self.x = np.append(self.x, self.x + 1.0)
            self.y = np.repeat(self.y, 2, axis=1)
        self.slope = np.diff(self.y, axis=1) / np.diff(self.x)

    def __call__(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at `at`, whose first axis, if any, is that of the runs.

        The same operations as ``numpy.interp``, but never a fused one.
        """
        place = np.clip(np.searchsorted(self.x, at, side="right") - 1, 0, len(self.x) - 2)
        # One row of values per run: the runs are the first axis of `at`.
        row: Any = 0
        if len(self.y) > 1:
            row = np.arange(len(self.y)).reshape(-1, *[1] * (at.ndim - 1))
        value = self.slope[row, place] * (at - self.x[place]) + self.y[row, place]
        value = np.where(at <= self.x[0], self.y[row, 0], value)
        held: NDArray[np.float64] = np.where(at >= self.x[-1], self.y[row, -1], value)
        return held
