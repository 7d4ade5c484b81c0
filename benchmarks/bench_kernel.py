"""Measures the compiled kernel against its bars and writes docs/performance.md.

Run it on a quiet machine: ``python benchmarks/bench_kernel.py``.  All ratios are of times taken in
this one run; times are the smallest of several.  ``--quick`` leaves out what takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kuzbass.paths import model_path
from kuzbass.sd.kernel import Kernel, compile_model, machine
from kuzbass.sd.kernel.compile import _ir

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
VARIED, OUTPUTS = 20, 10


def best(function: Callable[[], object], tries: int = 5) -> float:
    """Return the smallest of the times of `tries` calls, in seconds."""
    times = []
    for _ in range(tries):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


def chosen() -> tuple[list[str], list[str]]:
    """Return the constants to vary and the stocks to return."""
    symbols = _ir(None).symbols
    vary = [name for name, symbol in symbols.items() if symbol.kind == "constant"
            and symbol.lower is not None and symbol.upper is not None
            and symbol.lower < symbol.upper]
    stocks = [name for name, symbol in symbols.items() if symbol.kind == "stock"]
    return vary[:: max(1, len(vary) // VARIED)][:VARIED], stocks[:OUTPUTS]


def sample(vary: list[str], n: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Return values of `n` runs, each within 2 % of the model's."""
    ir, rng = _ir(None), np.random.default_rng(seed)
    values = {}
    for name in vary:
        symbol, value = ir.symbols[name], ir.constants[name]
        drawn = value * rng.uniform(0.98, 1.02, n)
        values[name] = np.clip(drawn, symbol.lower, symbol.upper)
    return values


def kernel_of_bench() -> Kernel:
    vary, outputs = chosen()
    return compile_model(vary=vary, outputs=outputs)


def per_run(kernel: Kernel, n: int, threads: int) -> float:
    values = sample(list(kernel.vary), n)
    return best(lambda: kernel.run(values, threads=threads)) / n


def other_engines(*, stock: bool) -> dict[str, float]:
    """Return seconds per whole run of the shipped model by other engines."""
    import simlin  # noqa: PLC0415 - not needed for the parts that run in a process of their own

    from kuzbass.sd.engine import simulate  # noqa: PLC0415
    from kuzbass.sd.mdl import load_model  # noqa: PLC0415

    model = load_model()
    found = {"pysd": best(lambda: simulate(model, engine="pysd", save_every=1.0), 2)}
    simulation = simlin.load(str(model_path())).simulate()

    def run_simlin() -> None:
        simulation.reset()
        simulation.run_to_end()

    run_simlin()
    found["simlin"] = best(run_simlin, 10)
    if stock:
        found["stock"] = _stock_pysd()
    return found


def _stock_pysd() -> float:
    """Run PySD as installed over the whole time axis, once."""
    import pysd  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.mdl"
        copy.write_bytes(model_path().read_bytes())
        model = pysd.read_vensim(str(copy))
        columns = chosen()[1]
        return best(lambda: model.run(return_columns=columns, saveper=1.0), 1)


COLD = """
import sys, time
import kuzbass.sd.mdl  # the import of PySD is not counted
begin = time.perf_counter()
from kuzbass.sd.kernel import compile_model
compile_model().run()
print(time.perf_counter() - begin)
"""
WARM = """
import sys, time
begin = time.perf_counter()
from kuzbass.sd.kernel import compile_model
compile_model().run()
print(time.perf_counter() - begin)
assert "pysd" not in sys.modules
"""


def start_up() -> dict[str, float]:
    """Return seconds to the first result of a fresh process, cold and warm."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, text in (("cold", COLD), ("warm", WARM)):
            tries = [subprocess.run([sys.executable, "-c", text], check=True, text=True,
                                    stdout=subprocess.PIPE,
                                    env={**os.environ, "KUZBASS_CACHE": folder}).stdout
                     for _ in range(1 if kind == "cold" else 5)]
            found[kind] = min(float(line) for line in tries)
    return found


def peak_memory() -> float:
    """Return the largest memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's as well
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def task_many() -> dict[str, float]:
    kernel = kernel_of_bench()
    values = sample(list(kernel.vary), 100_000)
    kernel.run({name: value[:16] for name, value in values.items()})
    before = peak_memory()
    begin = time.perf_counter()
    result = kernel.run(values)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "result": result.values.nbytes / 2**20,
            "growth": peak_memory() - before, "bad": len(result.nonfinite)}


def task_stream() -> dict[str, float]:
    """Simulate a million runs for quantiles from counts in fine bins; nothing else is kept."""
    kernel = kernel_of_bench()
    begin = time.perf_counter()
    counts: Any = None
    chunk = 50_000
    for part in range(20):
        for result in kernel.stream(sample(list(kernel.vary), chunk, part), chunk=10_000):
            flat = result.values.reshape(-1, result.values.shape[2])
            if counts is None:
                low, high = flat.min(axis=1), flat.max(axis=1)
                low, scale = low - (high - low), 1000.0 / (3.0 * (high - low) + 1e-300)
                counts = np.zeros((len(flat), 1001), dtype=np.int64)
            for row, series in enumerate(flat):
                places = np.clip((series - low[row]) * scale[row], 0, 1000).astype(np.int64)
                counts[row] += np.bincount(places, minlength=1001)
    seconds = time.perf_counter() - begin
    assert (counts.sum(axis=1) == 1_000_000).all()
    return {"seconds": seconds, "peak": peak_memory()}


def growth() -> list[tuple[int, int, float, float]]:
    """Return copies, equations, seconds to compile and seconds per run."""
    from copies import copies  # noqa: PLC0415

    from kuzbass.sd.kernel import llvm_printer  # noqa: PLC0415
    from kuzbass.sd.kernel.plan import make_plan  # noqa: PLC0415

    kernel = kernel_of_bench()
    found = []
    for count in (1, 4, 10):
        ir = copies(kernel._ir, count)
        spec = kernel._spec
        outputs = tuple(f"{copy} {name}" for copy in range(count) for name in spec.outputs)
        spec = type(spec)(**{**vars(spec), "vary": (), "outputs": outputs})
        begin = time.perf_counter()
        machine.compile_text(llvm_printer.print_plan(make_plan(ir, spec)))
        seconds = time.perf_counter() - begin
        grown = Kernel(ir, spec, "llvm")
        grown.run(n=8)
        found.append((count, len(ir.symbols), seconds,
                      best(lambda grown=grown: grown.run(n=256, threads=1)) / 256))
    return found


def _child(task: str) -> dict[str, float]:
    """Run a task in a process of its own, for its memory."""
    done = subprocess.run([sys.executable, __file__, "--task", task], check=True, text=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def table(*, quick: bool) -> str:
    """Measure everything and return the table."""
    from throughput import bound, measure  # noqa: PLC0415

    kernel = kernel_of_bench()
    one, two = per_run(kernel, 4096, 1), per_run(kernel, 8192, 2)
    cost = {op: measure(op) for op in
            ("add", "mul", "abs", "min", "select", "div", "sqrt", "exp", "ln", "pow")}
    plan = kernel.program(frozenset())[0]
    least, count = bound(plan, cost)
    step = one * 8 / plan.spec.steps * 1e9
    one = min(one, per_run(kernel, 4096, 1))
    others = other_engines(stock=not quick)
    starts = start_up()
    rows = [
        ("per run, one thread", f"{one * 1e6:.0f} us", ""),
        ("per run, two threads", f"{two * 1e6:.0f} us", ""),
        ("two threads against one", f"{one / two:.2f}x", ">= 1.8x"),
        ("PySD, corrected, per run", f"{others['pysd']:.2f} s = {others['pysd'] / one:,.0f}x", ""),
        ("PySD as installed, per run (one whole run)",
         f"{others['stock']:.1f} s = {others['stock'] / one:,.0f}x" if "stock" in others
         else "not measured", ">= 300 000x expected"),
        ("pysimlin, per run", f"{others['simlin'] * 1e3:.2f} ms = {others['simlin'] / one:.0f}x",
         ">= 40x"),
        ("a step of eight runs, against the bound of its operations",
         f"{step:.0f} ns, bound {least:.0f} ns = {step / least:.2f}x", "<= 1.3x"),
        (".mdl to first result, all outputs, empty cache, without importing PySD",
         f"{starts['cold']:.2f} s", "<= 1.5 s (400 equations)"),
        ("the same from the cache, PySD not imported", f"{starts['warm']:.2f} s", "<= 0.3 s"),
    ]
    if not quick:
        rows += _large_rows()
    for copies, equations, seconds, run in growth():
        rows.append((f"{copies} x the model ({equations} equations)",
                     f"compiled in {seconds:.2f} s, {run * 1e6:.0f} us per run", "linear"))
    lines = [f"| {name} | {value} | {bar} |" for name, value, bar in rows]
    costs = ", ".join(f"{op} {value:.2f}" for op, value in cost.items())
    counts = ", ".join(f"{value:.0f} {op}" for op, value in count.most_common())
    return _TEXT.format(lines="\n".join(lines), costs=costs, counts=counts, steps=plan.spec.steps,
                        processor=machine.features().split()[1], cores=os.cpu_count(),
                        python=platform.python_version(), load=os.getloadavg()[0])


def _large_rows() -> list[tuple[str, str, str]]:
    many, stream = _child("many"), _child("stream")
    return [
        ("10^5 runs, 10 outputs, yearly", f"{many['seconds']:.1f} s, {many['growth']:.0f} MiB for "
         f"a result of {many['result']:.0f} MiB", "<= 6 s, result + 300 MB"),
        ("10^6 runs, streaming quantiles", f"{stream['seconds']:.0f} s, peak "
         f"{stream['peak']:.0f} MiB", "<= 60 s, 1024 MiB"),
    ]


_TEXT = """# Performance

Written by `python benchmarks/bench_kernel.py`; all figures of one run, times the smallest of
several.
The shipped model with its own step ({steps} steps), 20 varied constants, 10 outputs, saved yearly,
unless said otherwise.
Processor {processor}, {cores} cores, Python {python}, load of the machine {load:.1f} at the end.

| figure | measured | bar |
|---|---|---|
{lines}

The bound is the time that the operations of a step need at the least: the functions one after
another, and the longer of the divisions and the rest, which have units of their own.
Nanoseconds per operation on eight lanes: {costs}.
Operations per step: {counts}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    parser.add_argument("--task", choices=["many", "stream"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(task_many() if arguments.task == "many" else task_stream()))
        return
    text = table(quick=arguments.quick)
    print(text)
    folder = ROOT / "docs"
    folder.mkdir(exist_ok=True)
    (folder / "performance.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
