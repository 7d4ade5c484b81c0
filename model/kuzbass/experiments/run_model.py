"""Runs any .mdl file: as it is, with other constants, or once for every line of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kuzbass.errors import InputError
from kuzbass.experiments.output import software_versions
from kuzbass.sd.engine import simulate
from kuzbass.sd.graph import drivers
from kuzbass.sd.kernel import compile_model
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.sampling import read_runs

__all__ = ["ModelRuns", "read_params", "run_model"]

_ROWS = 200_000  # of the written table that are held at a time
_FLOAT = "%.12g"


@dataclass(frozen=True)
class ModelRuns:
    """What was run.

    Attributes
    ----------
    runs : int
    variables : tuple of str
        The columns of the written table.
    nonfinite : tuple of (int, str, float)
        Runs that are left out: index, first variable that was not finite, its time.
    manifest : mapping
    """

    runs: int
    variables: tuple[str, ...]
    nonfinite: tuple[tuple[int, str, float], ...]
    manifest: Mapping[str, object]


def run_model(
    file: Path, folder: Path, *, params: Sequence[str] = (), outputs: Sequence[str] = (),
    threads: int | None = None,
) -> ModelRuns:
    """Run a model and write ``run.csv``, or ``runs.csv`` for a table of runs.

    Parameters
    ----------
    file : Path
        A model in the supported subset of Vensim.
    folder : Path
        An existing folder.
    params : sequence of str
        Nothing; ``name=value`` pairs; or one CSV file with a header of names and a line for
        each run.  Names are constants (initial values are constants) and drivers, which are held
        at the value.
    outputs : sequence of str
        Variables to write; every variable if left out.
    threads : int, optional
        All processors if left out.

    Raises
    ------
    InputError, ModelError
        A model, name or value that is not possible.
    """
    model = load_model(file)
    names = tuple(dict.fromkeys(model.name(name) for name in outputs))
    every = _save_every(model)
    if len(params) == 1 and "=" not in params[0]:
        return _run_table(model, Path(params[0]), folder / "runs.csv", names, every, threads)
    return _run_once(model, read_params(params), folder / "run.csv", names, every)


def read_params(params: Sequence[str]) -> dict[str, float]:
    """Read ``name=value`` pairs.

    Raises
    ------
    InputError
        A pair without a name or without a finite number, or a name given twice.
    """
    values: dict[str, float] = {}
    for text in params:
        name, equals, number = text.rpartition("=")
        name = name.strip()
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (equals and name and math.isfinite(value)):
            raise InputError("not a parameter", key="--params", value=text,
                             allowed="name=number, or one CSV file")
        if name in values:
            raise InputError("stands twice", key="--params", value=name)
        values[name] = value
    return values


def _run_once(
    model: Model, values: Mapping[str, float], place: Path, names: tuple[str, ...],
    every: float | None,
) -> ModelRuns:
    run = simulate(model, dict(values), outputs=names or None, save_every=every)
    columns = {str(name): run[name].to_numpy() for name in run.data_vars}
    pd.DataFrame({"time": run["time"].to_numpy(), **columns}).to_csv(
        place, index=False, float_format=_FLOAT, lineterminator="\n")
    return ModelRuns(1, tuple(columns), (), _manifest(model, str(run.attrs["engine"]), 1, values))


def _run_table(
    model: Model, table: Path, place: Path, names: tuple[str, ...], every: float | None,
    threads: int | None,
) -> ModelRuns:
    given = read_runs(table, _ranges(model))
    kernel = compile_model(model, vary=given.names, outputs=names or None, save_every=every)
    steps, nonfinite = len(kernel.time), []
    chunk = max(1, _ROWS // steps)
    inputs = {name: given.table[:, number].copy() for number, name in enumerate(given.names)}
    with place.open("w", encoding="utf-8", newline="") as stream:
        for part in kernel.stream(inputs, n=given.runs, threads=threads, chunk=chunk):
            bad = {one.member for one in part.nonfinite}
            nonfinite += [(one.member, one.variable or "", math.nan if one.time is None
                           else one.time) for one in part.nonfinite]
            last = part.first + part.values.shape[2]
            kept = [run for run in range(part.first, last) if run not in bad]
            values = part.values[:, :, [run - part.first for run in kept]]
            frame = pd.DataFrame(values.transpose(2, 0, 1).reshape(-1, len(part.names)),
                                 columns=list(part.names))
            frame.insert(0, "time", list(part.time) * len(kept))
            frame.insert(0, "run", [run for run in kept for _ in range(steps)])
            frame.to_csv(stream, index=False, header=part.first == 0, float_format=_FLOAT,
                         lineterminator="\n")
    manifest = _manifest(model, "kernel", given.runs, {"table": table.name})
    return ModelRuns(given.runs, kernel.names, tuple(nonfinite), manifest)


def _ranges(model: Model) -> dict[str, tuple[float, float]]:
    outside = set(drivers(model))
    return {one.name: (-math.inf if one.lower is None else one.lower,
                       math.inf if one.upper is None else one.upper)
            for one in model.variables.values() if one.kind == "constant" or one.name in outside}


def _save_every(model: Model) -> float | None:
    """Return SAVEPER if it is a number; otherwise it is the step."""
    written = model.equations["SAVEPER"].ast
    return float(written) if isinstance(written, (int, float)) else None


def _manifest(
    model: Model, engine: str, runs: int, params: Mapping[str, object]
) -> dict[str, object]:
    return {"model": {"file": model.path.name, "sha256": model.sha256}, "engine": engine,
            "time_step": model.time_step, "runs": runs, "params": dict(params),
            "versions": software_versions()}
