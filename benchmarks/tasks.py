"""What is measured in a process of its own, for its memory, and what all measurements share.

``python benchmarks/tasks.py NAME`` prints what a task found, as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kuzbass.sd import ensemble
from kuzbass.sd.ensemble.quantiles import Histogram
from kuzbass.sd.kernel import Kernel, compile_model
from kuzbass.sd.kernel.compile import _ir
from kuzbass.sd.sampling import Design, Uniform

if TYPE_CHECKING:
    from collections.abc import Callable

VARIED, OUTPUTS = 20, 10
SPREAD = 0.02  # of the varied constants, on either side


def best(
    function: Callable[[], object], tries: int = 5, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the smallest of the times of `tries` calls, in seconds."""
    times = []
    for _ in range(tries):
        begin = clock()
        function()
        times.append(clock() - begin)
    return min(times)


def chosen() -> tuple[list[str], list[str]]:
    """Return the constants to vary and the stocks to return."""
    ir = _ir(None)
    symbols = ir.symbols
    vary = [name for name, symbol in symbols.items() if symbol.kind == "constant"
            and symbol.lower is not None and symbol.upper is not None
            and symbol.lower < symbol.upper and ir.constants[name] != 0.0]
    stocks = [name for name, symbol in symbols.items() if symbol.kind == "stock"]
    return vary[:: max(1, len(vary) // VARIED)][:VARIED], stocks[:OUTPUTS]


def limits(name: str) -> tuple[float, float]:
    """Return the values between which a constant is varied."""
    ir = _ir(None)
    symbol, value = ir.symbols[name], ir.constants[name]
    low, high = sorted((value * (1.0 - SPREAD), value * (1.0 + SPREAD)))
    return max(low, symbol.lower), min(high, symbol.upper)


def sample(vary: list[str], n: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Return values of `n` runs."""
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(*limits(name), n) for name in vary}


def kernel_of_bench() -> Kernel:
    vary, outputs = chosen()
    return compile_model(vary=vary, outputs=outputs)


def members(runs: int) -> ensemble.Members:
    """Return an ensemble of the shipped model with the inputs and outputs of the other rows."""
    kernel = kernel_of_bench()
    symbols = _ir(None).symbols
    factors = {}
    for name in kernel.vary:
        low, high = limits(name)
        factors[name] = ensemble.Factor(Uniform(low=low, high=high))
    series = tuple(ensemble.Series(name, symbols[name].unit) for name in kernel.names)
    return ensemble.Members(kernel, Design(tuple(factors), runs, "monte-carlo"),
                            (ensemble.Case("baseline", {}, factors),),
                            ensemble.SavedTimes(series, kernel.time))


class Counts:
    """Takes the chunks of one case, as `ensemble.Store` does, and keeps counts only."""

    def __init__(self, runs: int, chunk: int) -> None:
        self._tasks = [(0, first, min(first + chunk, runs)) for first in range(0, runs, chunk)]
        self.histogram: Histogram | None = None

    def needs_pilot(self) -> list[int]:
        """Return the cases whose bins are not laid yet."""
        return [0]

    def pilot(self, part: ensemble.Part) -> None:
        """Lay the bins."""
        self.histogram = Histogram(part.good)

    def missing(self) -> list[tuple[int, int, int]]:
        """Return case, first run and end of every chunk."""
        return self._tasks

    def add(self, part: ensemble.Part) -> None:
        """Count a chunk."""
        self.histogram.add(part.good)


def peak_memory() -> float:
    """Return the largest memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's as well
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def many() -> dict[str, float]:
    """Simulate 10^5 runs and keep all outputs."""
    kernel = kernel_of_bench()
    values = sample(list(kernel.vary), 100_000)
    kernel.run({name: value[:16] for name, value in values.items()})
    before = peak_memory()
    begin = time.perf_counter()
    result = kernel.run(values, threads=2)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "result": result.values.nbytes / 2**20,
            "growth": peak_memory() - before, "bad": len(result.nonfinite)}


def stream(runs: int = 1_000_000) -> dict[str, float]:
    """Sample and simulate 10^6 runs and keep nothing but the counts for quantiles."""
    made, counts = members(runs), Counts(runs, 8192)
    begin = time.perf_counter()
    ensemble.run_ensemble(made, counts, threads=2)
    summary = counts.histogram.summary()
    seconds = time.perf_counter() - begin
    assert summary.runs > 0.99 * runs
    return {"seconds": seconds, "peak": peak_memory(), "finite": summary.runs}


def command() -> dict[str, float]:
    """Run all scenarios as ``kuzbass run`` does, with figures and report."""
    import kuzbass.experiments.run  # noqa: PLC0415 - imports are not counted
    import kuzbass.experiments.summary  # noqa: PLC0415 - the same
    import kuzbass.experiments.tables  # noqa: PLC0415 - the same
    import kuzbass.report  # noqa: F401, PLC0415 - the same
    from kuzbass.cli import main as kuzbass_main  # noqa: PLC0415 - the same

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        begin = time.perf_counter()
        with contextlib.suppress(SystemExit):
            kuzbass_main(["run", "--out", f"{folder}/run"])
        seconds = time.perf_counter() - begin
        assert (Path(folder) / "run" / "manifest.json").exists()
    return {"seconds": seconds}


TASKS = {"many": many, "stream": stream, "command": command}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]]()))
