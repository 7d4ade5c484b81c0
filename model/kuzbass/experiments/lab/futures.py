"""Futures: what is not known, sampled jointly.

A future is a draw of parameters and a factor on the path of each uncertain driver from 2025 on.
The plan of an ensemble says what varies and in which ranges; it is the one place where that
stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kuzbass.experiments.ensemble_factors import Factors
from kuzbass.experiments.ensemble_plan import change_plan, load_plan
from kuzbass.experiments.scored_years import LIST
from kuzbass.region.scenario import FIRST_YEAR
from kuzbass.sd import ensemble as sd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.region.resolve import ModelInterface
    from kuzbass.region.scenario import Scenario
    from kuzbass.sd.sampling import Design, RunTable

    Array = NDArray[np.float64]

__all__ = ["Futures"]


@dataclass(frozen=True, eq=False)
class Futures:
    """The uncertain world of an ensemble plan.

    Attributes
    ----------
    design : Design or RunTable
        The same future has the same point in every scenario and under every policy.
    opening : ndarray (steps + 1,)
        Share of the factor of a driver that is reached at each step.
    rows : RunTable or None
        Draws of parameters, of which each future takes one as a whole.
    files : tuple of Path
        The plan and the tables that were read.
    seed : int
    """

    design: Design | RunTable
    opening: Array
    rows: RunTable | None
    files: tuple[Path, ...]
    seed: int
    _factors: Factors = field(repr=False)

    @classmethod
    def of_plan(
        cls, plan: str | Path, interface: ModelInterface, changes: Mapping[str, object]
    ) -> Futures:
        """Read the plan of an ensemble; `changes` replace its runs, method and seed.

        Raises
        ------
        InputError
            The plan is broken or does not fit the model.
        """
        given, file = load_plan(plan)
        given = change_plan(given, file, {**changes, "until": int(interface.end) - 1,
                                          "scalars": ()})
        factors = Factors(given, file, interface)
        return cls(factors.design, sd.opening(interface.grid, FIRST_YEAR, given.opening),
                   factors.rows, (file, *factors.files), given.seed, factors)

    @property
    def inputs(self) -> set[str]:
        """All inputs of the model that vary."""
        return self._factors.inputs - {LIST}

    @property
    def runs(self) -> int:
        """Number of futures."""
        return self.design.runs

    def of(self, scenario: Scenario, inputs: dict[str, Any]) -> dict[str, sd.Factor]:
        """Return what varies in a scenario; drivers that vary get their paths into `inputs`.

        Raises
        ------
        InputError
            A range does not fit the scenario.
        """
        return {**self._factors.parameters, **self._factors.of(scenario, inputs)}

    def values(
        self, factors: Mapping[str, sd.Factor], first: int = 0, last: int | None = None
    ) -> dict[str, Array]:
        """Return the values of `factors` in the futures `first` to `last` - 1, (run,) each."""
        points = self.design.unit(first, self.runs if last is None else last)
        return {name: one.distribution.values(points[:, self.design.names.index(name)])
                for name, one in factors.items()}
