"""Compares the kernel with the reference engine on a model as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kuzbass.errors import ModelError
from kuzbass.sd.engine import Engine, simulate
from kuzbass.sd.graph import dependencies
from kuzbass.sd.kernel import cache

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr

    from kuzbass.sd.mdl import Model

__all__ = ["TOLERANCE", "differences", "verify", "verify_once"]

TOLERANCE = 1e-12
_ENGINES: tuple[Engine, ...] = ("pysd", "kernel")


def differences(model: Model, run: xr.Dataset, reference: xr.Dataset) -> pd.Series:
    """Return the largest difference of each variable, relative to its scale.

    The scale is the largest absolute value of the variable and of what it is computed from: a
    difference of two large numbers is known no better than they are.

    Returns
    -------
    pandas.Series
        By variable, the largest first.
    """
    import pandas as pd  # noqa: PLC0415 - the reference engine has imported it, the kernel has not

    graph = dependencies(model)
    exact = {str(name): reference[name].to_numpy() for name in reference.data_vars}
    largest = {name: float(np.max(np.abs(values))) for name, values in exact.items()}
    found = {}
    for name, values in exact.items():
        causes = [largest[cause] for cause in graph.predecessors(name) if cause in largest]
        scale = max([largest[name], *causes])
        gap = float(np.max(np.abs(run[name].to_numpy() - values)))
        found[name] = gap / scale if scale > 0.0 else gap
    return pd.Series(found).sort_values(ascending=False)


def verify(
    model: Model, inputs: Mapping[str, float | pd.Series] | None = None, *,
    time_step: float | None = None, final_time: float | None = None,
) -> pd.Series:
    """Run both engines and compare every variable at every step.

    Returns
    -------
    pandas.Series
        See `differences`.

    Raises
    ------
    ModelError
        A difference is larger than 1e-12; the message names the variable.
    """
    reference, run = (simulate(model, inputs, engine=engine, time_step=time_step,
                               final_time=final_time) for engine in _ENGINES)
    found = differences(model, run, reference)
    if not found.iloc[0] <= TOLERANCE:
        raise ModelError("the kernel and the reference engine disagree", file=model.path,
                         key=str(found.index[0]), value=f"relative difference {found.iloc[0]:.3g}",
                         allowed=f"{TOLERANCE:g}")
    return found


def verify_once(model: Model, *, time_step: float, final_time: float) -> None:
    """Verify a model unless the cache says that it was done.

    Raises
    ------
    ModelError
        See `verify`.
    """
    name = cache.key("verified", model.sha256, time_step, final_time)
    if cache.load(name) is None:
        verify(model, time_step=time_step, final_time=final_time)
        cache.store(name, b"")
