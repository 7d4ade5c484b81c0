"""Sensitivity: what a Latin hypercube over the uncertain constants does to the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import qmc, rankdata

from kuzbass.sd.battery.parameters import source_of
from kuzbass.sd.kernel import compile_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from kuzbass.sd.kernel.kernel import KernelResult
    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]

__all__ = ["Draws", "latin_draws", "rank_correlations", "run_draws", "uncertain"]

_CERTAIN = ("definition",)


@dataclass(frozen=True)
class Draws:
    """Values of constants, one per run.

    Attributes
    ----------
    values : mapping of str to array, shape (n,)
    """

    values: Mapping[str, Array]

    @property
    def n(self) -> int:
        """Number of runs."""
        return len(next(iter(self.values.values())))


def uncertain(model: Model, without: Sequence[str] = ()) -> list[str]:
    """Return the constants whose range has a width, definitions and groups `without` left out."""
    return [name for name, variable in model.variables.items()
            if variable.kind == "constant" and variable.group not in without
            and variable.lower is not None and variable.upper is not None
            and variable.lower < variable.upper
            and not source_of(variable).startswith(_CERTAIN)]


def latin_draws(
    model: Model, names: Sequence[str], n: int, *, spread: float, seed: int
) -> Draws:
    """Draw values of constants by a Latin hypercube, uniform around those of the model.

    Parameters
    ----------
    model : Model
    names : sequence of str
        Constants with a range.
    n : int
        Number of draws.
    spread : float
        Half width, as a share of the value (of the range for a value of zero), clipped to the
        range.
    seed : int
    """
    points = qmc.LatinHypercube(d=len(names), rng=np.random.default_rng(seed)).random(n)
    values = {}
    for column, name in zip(points.T, names, strict=True):
        variable = model.variables[name]
        assert variable.lower is not None
        assert variable.upper is not None
        middle = float(model.equations[name].ast)
        half = spread * (abs(middle) or variable.upper - variable.lower)
        low, high = max(variable.lower, middle - half), min(variable.upper, middle + half)
        values[name] = low + (high - low) * column
    return Draws(values)


def run_draws(
    model: Model, draws: Draws, outputs: Sequence[str],
    inputs: Mapping[str, float | pd.Series] | None = None,
) -> KernelResult:
    """Run a model for all draws, every step saved; `inputs` are the same in all runs."""
    given = {name: value for name, value in (inputs or {}).items() if name not in draws.values}
    paths = [name for name, value in given.items()
             if np.ndim(value) and model.variables[name].kind == "constant"]
    kernel = compile_model(model, vary=[*draws.values, *given], moving=paths, outputs=outputs,
                           save_every=None)
    return kernel.run({**given, **draws.values}, n=draws.n)


def rank_correlations(draws: Draws, output: Array) -> dict[str, float]:
    """Return Spearman's rank correlation of each constant with `output`, shape (n,)."""
    ranks = rankdata(output)
    found = {}
    for name, values in draws.values.items():
        flat = np.ptp(values) == 0.0 or np.ptp(output) == 0.0
        found[name] = 0.0 if flat else float(np.corrcoef(rankdata(values), ranks)[0, 1])
    return found
