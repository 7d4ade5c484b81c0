"""Simulated years of the model for many parameter sets, and the memory of a long calibration."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kuzbass.errors import InputError
from kuzbass.region.data import judged, observed_for
from kuzbass.sd.calibration import Parameter, Problem
from kuzbass.sd.kernel import compile_model
from kuzbass.sd.likelihood import Likelihood
from kuzbass.sd.mdl import Model
from kuzbass.sd.rewrite import cut_file

__all__ = ["AnnualRuns", "Checkpoint", "held_problem", "partial_model"]

Array = NDArray[np.float64]
FIRST = 2000


class AnnualRuns:
    """Simulates candidates and takes the annual statistics that ``judged.csv`` asks for.

    Parameters
    ----------
    model : Model or Path
    names : sequence of str
        Constants to set, in the order of the columns of the values.
    rows : DataFrame
        Rows of ``judged.csv``.
    last : int
        Last year.
    paths : mapping of str to Series, optional
        Drivers, and variables of a cut model, by time.
    """

    def __init__(
        self, model: Model | Path, names: Sequence[str], rows: pd.DataFrame, last: int,
        paths: Mapping[str, pd.Series] | None = None,
    ) -> None:
        self.names, self._paths = tuple(names), dict(paths or {})
        self._years = last - FIRST + 1
        self._kernel = compile_model(model, vary=[*self.names, *self._paths],
                                     outputs=list(dict.fromkeys(rows["variable"])),
                                     save_every=None, final_time=last + 1.0)
        self._steps = round((len(self._kernel.time) - 1) / self._years)
        index = {name: place for place, name in enumerate(self._kernel.names)}
        self._places = [index[name] for name in rows["variable"]]
        self._ends = [place for place, basis in enumerate(rows["basis"]) if basis == "end"]
        self._chained = [(place, int(str(transform).split(":")[1]) - FIRST)
                         for place, transform in enumerate(rows["transform"])
                         if str(transform).startswith("chain")]

    def __call__(self, values: Array) -> Array:
        """Return simulated series, (series, years, runs), for values (runs, parameters)."""
        runs = len(values)
        inputs = {name: values[:, place] for place, name in enumerate(self.names)}
        result = self._kernel.run({**inputs, **self._paths}, n=runs, trace=False)
        steps, years = self._steps, self._years
        means = result.values[:steps * years].reshape(years, steps, -1, runs).mean(axis=1)
        found = means[:, self._places].transpose(1, 0, 2).copy()
        ends = result.values[steps::steps]
        for place in self._ends:
            found[place] = ends[:, self._places[place]]
        for place, base in self._chained:
            found[place] *= 100.0 / found[place][base]
        found[:, :, [bad.member for bad in result.nonfinite]] = np.nan
        return np.asarray(found)


def partial_model(
    model: Model, cut: Sequence[str], table: pd.DataFrame, last: int, names: Sequence[str],
    rows: pd.DataFrame,
) -> AnnualRuns:
    """Return runs of the model cut at measured variables, which follow what was observed.

    Each year's observed value is held for that year.

    Raises
    ------
    InputError
        A series of the cut has a gap, is an index, or is a year-end figure.
    """
    every = judged()
    paths = {}
    for series in cut:
        row = every[every["series"] == series].iloc[0]
        observed = observed_for(row, table).reindex(range(FIRST, last + 1))
        gap = observed.index[observed.isna()]
        if len(gap) or str(row["transform"]).startswith("chain") or row["basis"] != "mean":
            raise InputError("cannot drive a sector", file="observed.csv", key=series,
                             value=f"{gap[0]} is missing" if len(gap) else str(row["transform"]),
                             allowed="annual means in every year, in the unit of the model")
        held = np.repeat(observed.to_numpy(dtype=float), 2)
        times = np.column_stack([observed.index, observed.index + 1.0 - 1e-6]).ravel()
        paths[model.name(row["variable"])] = pd.Series(held, index=times)
    with tempfile.TemporaryDirectory(prefix="kuzbass-") as folder:
        file = Path(folder) / model.path.name
        cut_file(model.path, file, {name: float(path.iloc[0]) for name, path in paths.items()})
        return AnnualRuns(file, names, rows, last, paths)


def held_problem(
    parameters: Sequence[Parameter], held: Mapping[str, float], simulate: AnnualRuns,
    likelihood: Likelihood,
) -> Problem:
    """Return the problem of some of the constants of `simulate`, with the others held."""
    free = {parameter.name: place for place, parameter in enumerate(parameters)}
    columns = [free.get(name) for name in simulate.names]

    def run(values: Array) -> Array:
        full = np.empty((len(values), len(columns)))
        for place, (name, column) in enumerate(zip(simulate.names, columns, strict=True)):
            full[:, place] = held[name] if column is None else values[:, column]
        return simulate(full)

    return Problem(tuple(parameters), run, likelihood)


class Checkpoint:
    """Results of finished steps, one JSON line each, so that a calibration can go on.

    Parameters
    ----------
    path : Path
    key : str
        Identifies model, data, plan and settings; lines of another key are dropped.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._done: dict[str, Any] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the line that was being written when the run was stopped
            if isinstance(record, dict) and record.get("key") == key:
                self._done[record["step"]] = record["result"]
        self.resumed = len(self._done)

    def get(self, step: str, compute: Callable[[], Any]) -> Any:
        """Return the result of a step: the one on file, or else computed and put on file."""
        if step not in self._done:
            self._done[step] = json.loads(json.dumps(compute()))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            record = {"key": self._key, "step": step, "result": self._done[step]}
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write("\n" + json.dumps(record))
        return self._done[step]

    def clear(self) -> None:
        """Remove the file: the calibration is complete."""
        self._path.unlink(missing_ok=True)
