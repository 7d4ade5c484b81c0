"""Integration error: how much a run changes when its steps get finer or the method better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kuzbass.sd.kernel import compile_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kuzbass.sd.mdl import Model

    Array = NDArray[np.float64]

__all__ = ["integration_error"]

_TINY = 1e-300


def integration_error(
    model: Model, variables: Sequence[str] | None = None, *, reference_method: str = "rk4"
) -> pd.DataFrame:
    """Compare runs with the step h of a model, h/2 and h/4, and with a method of fourth order.

    Parameters
    ----------
    model : Model
    variables : sequence of str, optional
        All stocks if left out.
    reference_method : {"rk4", "euler"}
        Of the comparison run with step h.

    Returns
    -------
    pandas.DataFrame
        By variable: ``halved`` = max |y(h) - y(h/2)| / max |y(h/2)|, ``method`` = the same
        against the run of the other method, and ``order`` = log2 of the ratio of successive
        differences (Richardson): 1 for Euler's method where the run is smooth, not a number
        where both differences are rounding.
    """
    names = variables if variables is not None else [
        name for name, variable in model.variables.items() if variable.kind == "stock"]
    step = model.time_step
    coarse, half, quarter = (_run(model, names, step / fine) for fine in (1, 2, 4))
    other = _run(model, names, step, reference_method)
    rows = {}
    for name in names:
        scale = max(float(np.max(np.abs(half[name]))), _TINY)
        first = float(np.max(np.abs(coarse[name] - half[name])))
        second = float(np.max(np.abs(half[name] - quarter[name])))
        smooth = min(first, second) > 1e-12 * scale
        rows[name] = {
            "halved": first / scale,
            "method": float(np.max(np.abs(coarse[name] - other[name]))) / scale,
            "order": float(np.log2(first / second)) if smooth else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _run(
    model: Model, names: Sequence[str], step: float, method: str = "euler"
) -> Mapping[str, Array]:
    kernel = compile_model(model, outputs=names, time_step=step, save_every=model.time_step,
                           method=method)
    result = kernel.run(n=1)
    return {name: result[name][:, 0] for name in names}
