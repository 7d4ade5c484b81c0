"""Runs any .mdl file: as it is, with other constants, or once for every line of a table."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kuzbass.errors import InputError, ModelError, plain_name
from kuzbass.experiments.output import software_versions
from kuzbass.sd import pysd_fixes
from kuzbass.sd.engine import simulate
from kuzbass.sd.graph import drivers
from kuzbass.sd.inputs import by_element
from kuzbass.sd.kernel import ENGINE, KernelResult, NonFinite, UnsupportedError, compile_model
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.sampling import read_runs

__all__ = ["ModelRuns", "read_params", "run_model"]

Array = NDArray[np.float64]

_LOG = logging.getLogger(__name__)
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
        at the value; elements of arrays, ``name[a,b]``; or arrays, for all their elements.
    outputs : sequence of str
        Variables to write, an array as a column for each element; every variable if left out.
    threads : int, optional
        All processors if left out.

    Raises
    ------
    InputError, ModelError
        A model, name or value that is not possible.
    """
    model = load_model(file)
    names = tuple(dict.fromkeys(one for name in outputs for one in model.elements(name)))
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
    inputs = by_element(
        model, {name: given.table[:, number].copy() for number, name in enumerate(given.names)})
    try:
        kernel = compile_model(model, vary=inputs, outputs=names or None, save_every=every)
    except UnsupportedError as error:
        _LOG.warning("PySD runs %s instead of the kernel: %s", model.path.name, error)
        parts, engine = _by_pysd(model, inputs, names, every), pysd_fixes.ENGINE
    else:
        chunk = max(1, _ROWS // len(kernel.time))
        parts = kernel.stream(inputs, n=given.runs, threads=threads, chunk=chunk)
        engine = ENGINE
    columns: tuple[str, ...] = ()
    nonfinite: list[tuple[int, str, float]] = []
    with place.open("w", encoding="utf-8", newline="") as stream:
        for part in parts:
            nonfinite += [(one.member, one.variable or "", math.nan if one.time is None
                           else one.time) for one in part.nonfinite]
            columns = part.names
            _frame(part).to_csv(stream, index=False, header=part.first == 0,
                                float_format=_FLOAT, lineterminator="\n")
    manifest = _manifest(model, engine, given.runs, {"table": table.name})
    return ModelRuns(given.runs, columns, tuple(nonfinite), manifest)


def _frame(part: KernelResult) -> pd.DataFrame:
    """Return the finite runs as a table, one line for each run and time."""
    bad = {one.member - part.first for one in part.nonfinite}
    kept = [run for run in range(part.values.shape[2]) if run not in bad]
    values = part.values[:, :, kept].transpose(2, 0, 1).reshape(-1, len(part.names))
    frame = pd.DataFrame(values, columns=list(part.names))
    frame.insert(0, "time", list(part.time) * len(kept))
    frame.insert(0, "run", [part.first + run for run in kept for _ in part.time])
    return frame


def _by_pysd(
    model: Model, inputs: Mapping[str, Array], names: tuple[str, ...], every: float | None
) -> Iterator[KernelResult]:
    """Run line by line what the kernel does not support."""
    shown = names or tuple(name for name, one in model.variables.items()
                           if one.kind not in {"lookup", "control"})
    for run in range(len(next(iter(inputs.values())))):
        own = {name: float(values[run]) for name, values in inputs.items()}
        try:
            found = simulate(model, own, outputs=shown, save_every=every, engine="pysd")
        except ModelError as error:
            bad = NonFinite(run, error.key, None)
            yield KernelResult(np.empty(0), np.empty((0, len(shown), 1)), shown, (bad,), run)
            continue
        values = np.stack([found[name].to_numpy() for name in shown], axis=1)[:, :, None]
        yield KernelResult(found["time"].to_numpy(), values, shown, (), run)


def _ranges(model: Model) -> dict[str, tuple[float, float]]:
    outside = set(drivers(model))
    ranges = {one.name: (-math.inf if one.lower is None else one.lower,
                         math.inf if one.upper is None else one.upper)
              for one in model.variables.values() if one.kind == "constant" or one.name in outside}
    # The elements of an array share its range.
    arrays = {model.places[name][0]: edges for name, edges in ranges.items()
              if name in model.places}
    return ranges | arrays


def _save_every(model: Model) -> float | None:
    """Return SAVEPER if it is a number; otherwise it is the step."""
    name = model.index.get(plain_name("SAVEPER"))
    written = None if name is None else model.equations[name].ast
    return float(written) if isinstance(written, (int, float)) else None


def _manifest(
    model: Model, engine: str, runs: int, params: Mapping[str, object]
) -> dict[str, object]:
    return {"model": {"file": model.path.name, "sha256": model.sha256}, "engine": engine,
            "time_step": model.time_step, "runs": runs, "params": dict(params),
            "versions": software_versions()}
