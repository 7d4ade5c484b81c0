"""Bands around a shock and around a replayed crisis: the same draws with and without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kuzbass.experiments.uncertain import RUNS, Uncertain, quantiles
from kuzbass.region.annual import annual_values, full_years
from kuzbass.region.resolve import Input, ModelInterface
from kuzbass.sd.mdl import Model
from kuzbass.sd.shock import relative

__all__ = ["replay_bands", "response_bands"]


def response_bands(
    model: Model, interface: ModelInterface, base: Mapping[str, Input],
    shocked: Mapping[str, Input], variables: Sequence[str], start: float, runs: int = RUNS,
) -> tuple[pd.DataFrame, str]:
    """Return the bands of a response, parameters varying.

    Parameters
    ----------
    model : Model
    interface : ModelInterface
        On the time axis of the runs.
    base, shocked : mapping
        Inputs without and with the shock.
    variables : sequence of str
    start : float
        The first time to show.
    runs : int

    Returns
    -------
    tuple of (DataFrame, str)
        Variable, time, ``q05`` to ``q95`` of the difference relative to the run of the same draw
        without the shock, as `kuzbass.sd.shock.relative` has it; and what varies.
    """
    uncertain, (before, after) = _runs(model, interface, {"base": base, "shocked": shocked},
                                       variables, runs)
    later = interface.grid >= start
    parts = []
    for place, name in enumerate(variables):
        shares = [relative(one[later], other[later]) for one, other in
                  zip(before[:, place].T, after[:, place].T, strict=True)]
        parts.append(pd.DataFrame({"variable": name, "time": interface.grid[later],
                                   **quantiles(np.transpose(shares))}))
    return pd.concat(parts, ignore_index=True), _contains(uncertain, before.shape[2])


def replay_bands(
    model: Model, interface: ModelInterface, cases: Mapping[str, Mapping[str, Input]],
    bases: Mapping[str, str], base_year: int, runs: int = RUNS,
) -> tuple[pd.DataFrame, str]:
    """Return the bands of a replay by year, parameters varying.

    Parameters
    ----------
    model, interface, runs
        As in `response_bands`.
    cases : mapping
        Inputs by the name of the path, such as ``simulated`` and ``without``.
    bases : mapping of str to str
        The variables, and whether the year is read as a mean or at its end.
    base_year : int
        The year that is 100.

    Returns
    -------
    tuple of (DataFrame, str)
        Path, variable, year, ``q05`` to ``q95`` in percent of `base_year` of the same run; and
        what varies.
    """
    uncertain, paths = _runs(model, interface, cases, list(bases), runs)
    years = full_years(interface.grid)
    parts = []
    for path, values in zip(cases, paths, strict=True):
        for place, (name, basis) in enumerate(bases.items()):
            annual = annual_values(values[:, place].T, interface.grid, basis).T
            parts.append(pd.DataFrame({
                "path": path, "variable": name, "year": years,
                **quantiles(100.0 * annual / annual[years == base_year])}))
    return pd.concat(parts, ignore_index=True), _contains(uncertain, paths[0].shape[2])


def _runs(
    model: Model, interface: ModelInterface, cases: Mapping[str, Mapping[str, Input]],
    outputs: Sequence[str], runs: int,
) -> tuple[Uncertain, list[np.ndarray]]:
    """Return the values (step, output, run) of every case, of the draws that all cases survive."""
    set_here = {name for own in cases.values() for name in own}
    uncertain = Uncertain(model, interface, set_here & interface.parameters.keys(), runs)
    members = uncertain.members(
        [uncertain.case(name, inputs) for name, inputs in cases.items()], outputs,
        {name for own in cases.values() for name, value in own.items()
         if isinstance(value, pd.Series) and name not in interface.drivers})
    parts = [members.part(number, 0, members.runs, threads=None) for number in range(len(cases))]
    finite = np.all([part.finite for part in parts], axis=0)
    return uncertain, [part.values[:, :, finite] for part in parts]


def _contains(uncertain: Uncertain, runs: int) -> str:
    return f"{runs} runs over {uncertain.parameters}"
