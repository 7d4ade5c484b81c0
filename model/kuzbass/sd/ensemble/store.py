"""Where the runs of an ensemble go: a folder that is consistent after every chunk.

A chunk counts as done when the state file of its case says so, and that file is replaced in one
move after everything else of the chunk is written.  What was interrupted is done again.

In the folder:

``runs/CASE/part-*.parquet``
    One row per run: factors, scalars, whether it stayed finite.
``trajectories.zarr/CASE/VARIABLE``
    Zarr 3, (time, run); only if asked for.
``work/``
    What is needed to go on; removed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.sd.ensemble.quantiles import LEVELS, Histogram, Summary, exact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kuzbass.sd.ensemble.members import Members, Part
    from kuzbass.sd.kernel import NonFinite

__all__ = ["EXACT_BYTES", "Store"]

_PRECISIONS = {"f32": "float32", "f64": "float64"}
EXACT_BYTES = 2**29  # values of all cases that are kept on disk for exact quantiles
_STATE, _PLAN = "state-{}.npz", "plan.json"
_WORK, _RUNS, _TRAJECTORIES = "work", "runs", "trajectories.zarr"


class Store:
    """The folder of an ensemble.

    Parameters
    ----------
    folder : Path
        New, or left by an ensemble of the same plan, which goes on.
    members : Members
        What is run.
    plan : mapping
        Everything that decides the numbers, JSON values only; says whether a folder belongs to
        the same ensemble.
    chunk : int
        Runs per chunk.
    scalars : tuple of float
        Times whose values go into the tables of runs.
    trajectories : {"f32", "f64"}, optional
        Keep all trajectories, in this precision.

    Attributes
    ----------
    binned : bool
        Whether quantiles are binned; see `kuzbass.sd.ensemble.quantiles`.

    Raises
    ------
    InputError
        The folder belongs to another ensemble, or cannot be written.
    """

    def __init__(
        self, folder: Path, members: Members, plan: Mapping[str, Any], *, chunk: int,
        scalars: tuple[float, ...] = (), trajectories: str | None = None,
    ) -> None:
        if chunk < 1:
            raise InputError("not a possible number of runs", key="chunk", value=chunk,
                             allowed="1 or more")
        if trajectories is not None and trajectories not in _PRECISIONS:
            raise InputError("not a precision", key="trajectories", value=trajectories,
                             allowed=" or ".join(_PRECISIONS))
        self.folder = folder
        self.chunk = chunk
        self._members = members
        self._time = members.reduction.time
        self._series = members.reduction.series
        self._scalars = [(time, int(np.searchsorted(self._time, time))) for time in scalars]
        self._trajectories = trajectories
        cells = len(self._time) * len(self._series)
        self.binned = 8 * cells * members.runs * len(members.cases) > EXACT_BYTES
        self.chunks = -(-members.runs // chunk)
        self._done = np.zeros((len(members.cases), self.chunks), dtype=np.bool_)
        self._bad: list[list[tuple[int, str, float]]] = [[] for _ in members.cases]
        self._histograms: list[Histogram | None] = [None] * len(members.cases)
        with self._writing():
            self._open({**plan, "chunk": chunk, "trajectories": trajectories})

    @property
    def empty(self) -> bool:
        """Whether no chunk is done yet."""
        return not self._done.any()

    def missing(self) -> list[tuple[int, int, int]]:
        """Return case, first run and end of every chunk that is not done."""
        return [(int(case), int(number) * self.chunk,
                 min(int(number + 1) * self.chunk, self._members.runs))
                for case, number in np.argwhere(~self._done)]

    def needs_pilot(self) -> list[int]:
        """Return the cases whose bins are not laid yet."""
        return [case for case, one in enumerate(self._histograms) if self.binned and one is None]

    def pilot(self, part: Part) -> None:
        """Lay the bins of a case by its first runs, which are counted later.

        Raises
        ------
        InputError
            None of these runs is finite.
        """
        if not part.good.shape[2]:
            one = part.nonfinite[0]
            raise InputError("no run stays finite", key=self._members.cases[part.case].name,
                             value=f"{one.variable} at {one.time}")
        self._histograms[part.case] = Histogram(part.good)
        with self._writing():
            self._save(part.case)

    def add(self, part: Part) -> None:
        """Write a chunk.

        Raises
        ------
        InputError
            It cannot be written.  The folder is as it was before: a new store of the same
            ensemble goes on there.
        """
        with self._writing():
            self._write_table(part)
            if self._trajectories is not None:
                self._write_trajectories(part)
            if not self.binned:
                self._write_values(part)
            self._bad[part.case] += [_plain(one) for one in part.nonfinite]
            self._done[part.case, part.first // self.chunk] = True
            histogram = self._histograms[part.case]
            if histogram is not None:
                histogram.add(part.good)
            self._save(part.case)

    def nonfinite(self) -> list[tuple[str, int, str, float]]:
        """Return case, run, first bad variable and time of every run that did not stay finite."""
        return [(case.name, *one) for case, bad in zip(self._members.cases, self._bad, strict=True)
                for one in sorted(bad)]

    def summaries(self) -> list[Summary]:
        """Return quantiles and variance of every case; all chunks must be done."""
        return [self._exact(case) if histogram is None else histogram.summary()
                for case, histogram in enumerate(self._histograms)]

    def close(self) -> None:
        """Remove what is needed only to go on; of a store without any chunk, everything."""
        shutil.rmtree(self.folder / _WORK, ignore_errors=True)
        if self.empty:
            for name in (_RUNS, _TRAJECTORIES):
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def _open(self, plan: Mapping[str, Any]) -> None:
        file = self.folder / _WORK / _PLAN
        text = json.dumps(plan, indent=1, sort_keys=True, default=str)
        if file.exists():
            if file.read_text(encoding="utf-8") != text:
                raise InputError("holds an unfinished ensemble of another plan", file=self.folder,
                                 allowed="the same plan, model, data and options, which go on "
                                 "there; or remove the folder")
            for case in range(len(self._members.cases)):
                self._load(case)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        if self._trajectories is not None:
            self._make_trajectories()
        _replace(file, lambda place: place.write_text(text, encoding="utf-8"))

    def _save(self, case: int) -> None:
        histogram = self._histograms[case]
        state: dict[str, NDArray[Any]] = {"done": self._done[case]}
        if self._bad[case]:
            run, variable, time = zip(*self._bad[case], strict=True)
            state |= {"run": np.array(run), "variable": np.array(variable), "time": np.array(time)}
        if histogram is not None:
            state |= {"start": histogram.start, "width": histogram.width, **histogram.state()}

        def write(place: Path) -> None:
            with place.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **state)
                stream.flush()
                os.fsync(stream.fileno())

        _replace(self.folder / _WORK / _STATE.format(case), write)

    def _load(self, case: int) -> None:
        file = self.folder / _WORK / _STATE.format(case)
        if not file.exists():
            return
        with np.load(file, allow_pickle=False) as state:
            self._done[case] = state["done"]
            if "run" in state:
                self._bad[case] = [(int(run), str(variable), float(time)) for run, variable, time
                                   in zip(state["run"], state["variable"], state["time"],
                                          strict=True)]
            if "counts" in state:
                histogram = Histogram(np.zeros((*state["start"].shape, 1)))
                histogram.start, histogram.width = state["start"], state["width"]
                histogram.restore(dict(state))
                self._histograms[case] = histogram

    def _write_table(self, part: Part) -> None:
        case = self._members.cases[part.case]
        scalars = {f"{series.name} {time:g}": part.values[place, number]
                   for time, place in self._scalars for number, series in enumerate(self._series)}
        table = pd.DataFrame({
            **{label: np.full(part.runs, text) for label, text in case.labels.items()},
            "run": np.arange(part.first, part.first + part.runs),
            "finite": part.finite, **part.factors, **scalars,
        })
        place = self.folder / _RUNS / case.name / f"part-{part.first:09d}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        _replace(place, lambda file: table.to_parquet(file, index=False))

    def _values_file(self, case: int, first: int) -> Path:
        return self.folder / _WORK / f"values-{case}-{first:09d}.npy"

    def _write_values(self, part: Part) -> None:
        def write(place: Path) -> None:
            with place.open("wb") as stream:
                np.save(stream, part.values, allow_pickle=False)

        _replace(self._values_file(part.case, part.first), write)

    def _exact(self, case: int) -> Summary:
        files = [self._values_file(case, number * self.chunk) for number in range(self.chunks)]
        parts = [np.load(file, mmap_mode="r", allow_pickle=False) for file in files]
        finite = np.ones(self._members.runs, dtype=np.bool_)
        finite[[run for run, _, _ in self._bad[case]]] = False
        quantiles = np.empty((len(LEVELS), len(self._time), len(self._series)))
        variance = np.empty(quantiles.shape[1:])
        for number in range(len(self._series)):
            own = np.concatenate([part[:, number] for part in parts], axis=1)[:, finite]
            quantiles[:, :, number], variance[:, number] = exact(np.ascontiguousarray(own))
        return Summary(quantiles, variance, int(finite.sum()))

    def _make_trajectories(self) -> None:
        # Here: zarr takes a second to import, and most ensembles keep no trajectories.
        import zarr  # noqa: PLC0415
        from zarr.codecs import BloscCodec  # noqa: PLC0415

        root = zarr.open_group(self.folder / _TRAJECTORIES, mode="w", zarr_format=3)
        codec = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
        steps, runs = len(self._time), self._members.runs
        precision = _PRECISIONS[str(self._trajectories)]
        for case in self._members.cases:
            group = root.create_group(case.name, attributes=dict(case.labels))
            for name, content in (("time", self._time), ("run", np.arange(runs))):
                place = group.create_array(name, data=content, dimension_names=(name,))
                place.attrs["long_name"] = name
            for series in self._series:
                group.create_array(
                    _plain_name(series.name), shape=(steps, runs),
                    chunks=(steps, min(self.chunk, runs)), dtype=precision,
                    compressors=codec, fill_value=np.nan, dimension_names=("time", "run"),
                    attributes={"units": series.unit, "long_name": series.name})

    def _write_trajectories(self, part: Part) -> None:
        import zarr  # noqa: PLC0415 - see _make_trajectories

        name = self._members.cases[part.case].name
        group = zarr.open_group(self.folder / _TRAJECTORIES / name, mode="r+")
        for number, series in enumerate(self._series):
            target: Any = group[_plain_name(series.name)]
            target[:, part.first:part.first + part.runs] = part.values[:, number]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn a failure to write into a message that says how to go on."""
        try:
            yield
        except OSError as error:
            raise InputError(f"the ensemble cannot be written ({error.strerror or error})",
                             file=self.folder, allowed="free space that may be written to; the "
                             "same command then goes on where this one stopped") from error


def _plain(one: NonFinite) -> tuple[int, str, float]:
    return (one.member, one.variable or "", float("nan") if one.time is None else one.time)


def _plain_name(name: str) -> str:
    """Return a name of which Zarr does not make a folder of folders."""
    return name.replace("/", " per ")


def _replace(file: Path, write: Any) -> None:
    """Write a file beside its place and move it there when whole."""
    temporary = file.with_name(f".{file.name}.part")
    try:
        write(temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
