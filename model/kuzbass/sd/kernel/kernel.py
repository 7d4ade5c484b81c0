"""A compiled model: what users of the package import is in `kuzbass.sd.kernel`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kuzbass.errors import InputError
from kuzbass.sd.kernel import cache
from kuzbass.sd.kernel.ir import Ir
from kuzbass.sd.kernel.numpy_batch import Batch
from kuzbass.sd.kernel.numpy_batch import times as row_times
from kuzbass.sd.kernel.plan import Spec, make_plan
from kuzbass.sd.kernel.values import Values, arrange, read_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from kuzbass.sd.kernel.compiled import Compiled
    from kuzbass.sd.kernel.plan import Plan

    Array = NDArray[np.float64]

__all__ = ["ENGINE", "Backend", "Kernel", "KernelResult", "NonFinite"]

ENGINE = f"kernel {cache.GENERATOR}"
Backend = Literal["llvm", "numpy"]
_TRACED = 64  # members that are run again to find where they went bad
_CHUNK = 8192


@dataclass(frozen=True)
class NonFinite:
    """A run that did not stay finite.

    Attributes
    ----------
    member : int
        Index of the run.
    variable : str or None
        The first variable, causes first, that was not finite; ``None`` where it was not looked
        for: beyond the first 64 members of a call, or with ``trace=False``.
    time : float or None
        Its time.
    """

    member: int
    variable: str | None
    time: float | None


@dataclass(frozen=True)
class KernelResult:
    """Trajectories of some runs.

    Attributes
    ----------
    time : ndarray (t,)
        The saved times, in the model's time unit.
    values : ndarray (t, variable, run)
        The outputs, in the units of the model.
    names : tuple of str
        The variables, in the order of `values`.
    nonfinite : tuple of NonFinite
        The runs that did not stay finite; their values must not be used.
    first : int
        Index of the first of the runs, in the whole of a streamed call.
    """

    time: Array
    values: Array
    names: tuple[str, ...]
    nonfinite: tuple[NonFinite, ...]
    first: int = 0

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    def __getitem__(self, name: str) -> Array:
        """Return the trajectories of one variable, (t, run)."""
        try:
            return self.values[:, self._places[name]]
        except KeyError:
            raise InputError("is not among the outputs", key=name,
                             allowed=", ".join(self.names)) from None


class Kernel:
    """A model compiled for certain inputs and outputs; made by `compile_model`.

    It can be pickled: object code goes along, so that another process or machine needs neither
    PySD nor, if its processor is of the same kind, a compilation.
    """

    def __init__(self, ir: Ir, spec: Spec, backend: Backend) -> None:
        self._ir = ir
        self._spec = spec
        self._backend = backend
        self._codes: dict[tuple[str, tuple[str, ...]], bytes] = {}
        self._programs: dict[tuple[str, ...], tuple[Plan, Compiled | Batch]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs."""
        return self._spec.outputs

    @property
    def vary(self) -> tuple[str, ...]:
        """The inputs."""
        return self._spec.vary

    @property
    def time(self) -> Array:
        """The saved times, (t,)."""
        return self._step_times()[::self._spec.save_every]

    def __getstate__(self) -> dict[str, Any]:
        self.program(frozenset())
        return {"ir": self._ir.dumps(), "spec": self._spec, "backend": self._backend,
                "codes": self._codes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._ir = Ir.loads(state["ir"])
        self._spec, self._backend, self._codes = state["spec"], state["backend"], state["codes"]
        self._programs = {}

    def run(
        self, values: Mapping[str, Any] | None = None, *, n: int | None = None,
        threads: int | None = None, trace: bool = True,
    ) -> KernelResult:
        """Simulate `n` runs at once.

        Parameters
        ----------
        values : mapping of str to float, ndarray, pandas.Series or Scaled, optional
            Inputs by name, each in the unit of its variable.  Of a constant or a driver: a number;
            one per run, (n,); time paths at the steps, (n, steps + 1), or (1, steps + 1) for all
            runs; a series indexed by time, linear between its points and held beyond them.  Of a
            driver also a path with a factor for every run, `kuzbass.sd.kernel.Scaled`.  Of a
            table: a series x -> y; values at its own x, (points,) or (n, points).
            What is left out is as in the model.
        n : int, optional
            Number of runs; from `values` if left out.
        threads : int, optional
            All processors of the process if left out.  Changes no bit of the result.
        trace : bool, optional
            Run members that are not finite again, by NumPy, to find where they went bad: seconds
            for a large model.  ``False`` only names the members, for an optimiser.

        Returns
        -------
        KernelResult
            Of all runs.

        Raises
        ------
        InputError
            An unknown name or an impossible value.
        """
        checked = self._read(values, n)
        return self._run(checked, threads, 0, trace=trace)

    def stream(
        self, values: Mapping[str, Any] | None = None, *, n: int | None = None,
        threads: int | None = None, trace: bool = True, chunk: int = _CHUNK,
    ) -> Iterator[KernelResult]:
        """Simulate as `run` does and yield the results of `chunk` runs at a time."""
        checked = self._read(values, n)
        if chunk < 1:
            raise InputError("not a possible number of runs", key="chunk", value=chunk,
                             allowed="1 or more")
        for first in range(0, checked.n, chunk):
            part = checked.part(slice(first, first + chunk))
            yield self._run(part, threads, first, trace=trace)

    def program(self, moving: frozenset[str]) -> tuple[Plan, Compiled | Batch]:
        """Return the plan and its program for `moving` constants on time paths."""
        names = tuple(sorted({*self._spec.moving, *(moving & self._ir.constants.keys())}))
        if names not in self._programs:
            spec = replace(self._spec, moving=names)
            plan = make_plan(self._ir, spec)
            self._programs[names] = (plan, self._make(plan))
        return self._programs[names]

    def _make(self, plan: Plan) -> Compiled | Batch:
        if self._backend == "numpy":
            return Batch(plan)
        # Here: a batch by NumPy needs no compiler.
        from kuzbass.sd.kernel import compiled, machine  # noqa: PLC0415

        key = (machine.features(), plan.spec.moving)
        if key not in self._codes:
            name = cache.key(self._ir.sha256, asdict(plan.spec), machine.features())
            content = cache.load(name)
            if content is None:
                from kuzbass.sd.kernel.llvm_printer import print_plan  # noqa: PLC0415 - so here

                content = machine.compile_text(print_plan(plan))
                cache.store(name, content)
            self._codes[key] = content
        return compiled.Compiled(plan, self._codes[key])

    def _read(self, values: Mapping[str, Any] | None, n: int | None) -> Values:
        return read_values(self._ir, self.vary, self._spec.scaled, self._step_times(),
                           values or {}, n)

    def _step_times(self) -> Array:
        spec = self._spec
        return np.cumsum(np.concatenate([[spec.initial_time],
                                         np.full(spec.steps, spec.time_step)]))

    def _run(
        self, values: Values, threads: int | None, first: int, *, trace: bool
    ) -> KernelResult:
        plan, program = self.program(values.moving())
        inputs = arrange(self._ir, plan, values, row_times(plan))
        if isinstance(program, Batch):
            result = program.run(inputs.scalars, inputs.paths, inputs.tables, values.n)
            bad = ~np.isfinite(result).all(axis=(0, 1))
        else:
            result, bad = program.run(inputs.scalars, inputs.paths, inputs.tables, values.n,
                                      _threads(threads))
        members = np.flatnonzero(bad)
        found = self._trace(values, members[:_TRACED]) if trace and len(members) else []
        nonfinite = [NonFinite(first + int(member), *where) for member, where in
                     zip(members, found + [(None, None)] * (len(members) - len(found)),
                         strict=True)]
        return KernelResult(self.time, result, self.names, tuple(nonfinite), first)

    def _trace(
        self, values: Values, members: NDArray[np.intp]
    ) -> list[tuple[str | None, float | None]]:
        """Run `members` again, with all variables, to find where they went bad."""
        names = tuple(name for name, symbol in self._ir.symbols.items() if symbol.now >= 0)
        plan, _ = self.program(values.moving())
        plan = make_plan(self._ir, replace(plan.spec, outputs=names, save_every=1))
        part = values.part(members)
        inputs = arrange(self._ir, plan, part, row_times(plan))
        # A node has a larger number than what it acts on: causes come first.
        watched = sorted(zip(plan.outputs, names, strict=True))
        found: dict[int, tuple[str | None, float | None]] = {}
        moments = Batch(plan).moments(inputs.scalars, inputs.paths, inputs.tables, part.n)
        with np.errstate(all="ignore"):
            for step, at in moments:
                time = float(self._step_times()[step])
                for node, name in watched:
                    bad = np.broadcast_to(~np.isfinite(at[node]), (part.n,))
                    for member in np.flatnonzero(bad):
                        found.setdefault(int(member), (name, time))
                if len(found) == part.n:
                    break
        return [found.get(member, (None, None)) for member in range(part.n)]


def _threads(threads: int | None) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") \
            else os.cpu_count() or 1
    if threads < 1:
        raise InputError("not a possible number of threads", key="threads", value=threads,
                         allowed="1 or more")
    return threads
