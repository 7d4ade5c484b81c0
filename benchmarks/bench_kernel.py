"""Measures the compiled kernel against its bars and writes docs/performance.md.

Run it on a quiet machine: ``python benchmarks/bench_kernel.py``; it takes some minutes.  All
ratios are of times taken in turns in this one run; times are the smallest of several.  ``--quick``
leaves out what takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tasks
from copies import copies
from slices import part_of
from tasks import best, chosen, kernel_of_bench, sample
from throughput import OPERATIONS, bound, measure

from kuzbass.paths import model_path
from kuzbass.sd.kernel import Kernel, llvm_printer, machine
from kuzbass.sd.kernel.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SLICE = 400  # equations of the part of the model that start-up is measured with


@dataclass(frozen=True)
class Row:
    """A line of the table; `met` says whether the bar is met, ``None`` where there is none."""

    figure: str
    measured: str
    bar: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        return f"| {self.figure} | {self.measured} | {self.bar} | {verdict} |"


def other_engines(*, stock: bool) -> dict[str, float]:
    """Return seconds per whole run of the shipped model by other engines."""
    import simlin  # noqa: PLC0415 - not needed for the parts that run in a process of their own

    from kuzbass.sd.engine import simulate  # noqa: PLC0415 - the same
    from kuzbass.sd.mdl import load_model  # noqa: PLC0415 - the same

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
    import pysd  # noqa: PLC0415 - the same

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.mdl"
        copy.write_bytes(model_path().read_bytes())
        model = pysd.read_vensim(str(copy))
        columns = chosen()[1]
        return best(lambda: model.run(return_columns=columns, saveper=1.0), 1)


def engine_rows(one: float, *, stock: bool) -> list[Row]:
    """Compare with the other engines; `one` is the time of one run of the kernel."""
    found = other_engines(stock=stock)
    pysd, simlin = found["pysd"], found["simlin"]
    rows = [Row("PySD with its corrections, a run", f"{pysd:.2f} s = {pysd / one:,.0f}x")]
    if "stock" in found:
        ratio = found["stock"] / one
        rows.append(Row("PySD as installed, a run", f"{found['stock']:.1f} s = {ratio:,.0f}x",
                        "300 000x expected", ratio >= 300_000.0))
    rows.append(Row("pysimlin, a run", f"{simlin * 1e3:.2f} ms = {simlin / one:.0f}x", ">= 40x",
                    simlin / one >= 40.0))
    return rows


def kernel_rows(kernel: Kernel) -> tuple[list[Row], float, str]:
    """Measure a run on one thread and on two, and the bound of its operations, in turns."""
    values = sample(list(kernel.vary), 2048)
    plan = kernel.program(frozenset())[0]
    one, two, busy, costs = [], [], [], []
    for _ in range(6):
        one.append(best(lambda: kernel.run(values, threads=1), 2) / 2048)
        two.append(best(lambda: kernel.run(values, threads=2), 2) / 2048)
        # Time of the processor: the rest of the machine can only lengthen the others.
        busy.append(best(lambda: kernel.run(values, threads=1), 2, time.thread_time) / 2048)
        costs.append({op: measure(op) for op in OPERATIONS})
    cost = {op: min(found[op] for found in costs) for op in OPERATIONS}
    least, count = bound(plan, cost)
    step = min(busy) * 8 / plan.spec.steps * 1e9
    speedup = min(one) / min(two)
    rows = [
        Row("a run, one thread", f"{min(one) * 1e6:.0f} us ({min(busy) * 1e6:.0f} us of the "
            "processor)"),
        Row("a run, two threads", f"{min(two) * 1e6:.0f} us"),
        Row("two threads against one", f"{speedup:.2f}x", ">= 1.8x", speedup >= 1.8),
        Row("a step of eight runs, against the bound of its operations",
            f"{step:.0f} ns, bound {least:.0f} ns = {step / least:.2f}x", "<= 1.3x",
            step / least <= 1.3),
    ]
    text = (f"Nanoseconds per operation on eight lanes: "
            f"{', '.join(f'{op} {value:.2f}' for op, value in cost.items())}.\n"
            f"Operations per step: "
            f"{', '.join(f'{value:.0f} {op}' for op, value in count.most_common())}.\n")
    return rows, min(busy), text


COLD = """
import sys, time
from pathlib import Path
import kuzbass.sd.mdl  # the import of PySD is not counted
begin = time.perf_counter()
from kuzbass.sd.kernel import compile_model
compile_model(Path(sys.argv[1])).run()
print(time.perf_counter() - begin)
"""
WARM = """
import sys, time
from pathlib import Path
begin = time.perf_counter()
from kuzbass.sd.kernel import compile_model
compile_model(Path(sys.argv[1])).run()
print(time.perf_counter() - begin)
assert "pysd" not in sys.modules
"""


def start_up(model: Path, folder: Path) -> tuple[float, float]:
    """Return seconds to the first result of a fresh process, from nothing and from the cache."""
    found = []
    for text, tries in ((COLD, 3), (WARM, 7)):
        seconds = []
        for number in range(tries):
            cache = folder / (f"cold{number}" if text is COLD else "cold0")
            seconds.append(float(_python("-c", text, str(model), KUZBASS_CACHE=str(cache))))
        found.append(min(seconds))
    return found[0], found[1]


def start_up_rows() -> list[Row]:
    from kuzbass.sd.mdl import load_model  # noqa: PLC0415 - the tasks need no PySD

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = folder / "part.mdl"
        part.write_text(part_of(load_model(), SLICE), encoding="utf-8")
        for title, model, has_bar in ((f"{SLICE} equations", part, True),
                                      ("the whole model", model_path(), False)):
            cold, warm = start_up(model, folder / model.stem)
            rows += [Row(f".mdl to first result, {title}, all outputs, nothing cached, PySD "
                         "imported", f"{cold:.2f} s", "<= 1.5 s" if has_bar else "",
                         cold <= 1.5 if has_bar else None),
                     Row(f"the same from the cache, {title}, PySD not imported", f"{warm:.2f} s",
                         "<= 0.3 s" if has_bar else "", warm <= 0.3 if has_bar else None)]
    return rows


def large_rows() -> list[Row]:
    many, stream, command = (_task(name) for name in ("many", "stream", "command"))
    above = many["growth"] - many["result"]
    return [
        Row("10^5 runs, 10 outputs, yearly, two threads",
            f"{many['seconds']:.1f} s; {many['growth']:.0f} MiB, of which {many['result']:.0f} "
            "MiB are the result", "<= 6 s, result + 286 MiB",
            many["seconds"] <= 6.0 and above <= 286.0),
        Row("10^6 runs, quantiles as they stream, nothing kept, two threads",
            f"{stream['seconds']:.0f} s, peak {stream['peak']:.0f} MiB", "<= 60 s, 1024 MiB",
            stream["seconds"] <= 60.0 and stream["peak"] <= 1024.0),
        Row("`kuzbass run` of all scenarios, after import", f"{command['seconds']:.1f} s",
            "<= 10 s", command["seconds"] <= 10.0),
    ]


def growth_rows() -> list[Row]:
    """Measure copies of the model side by side."""
    kernel = kernel_of_bench()
    rows, first = [], 0.0
    for count in (1, 4, 10):
        ir = copies(kernel._ir, count)
        outputs = tuple(f"{copy} {name}" for copy in range(count) for name in kernel.names)
        spec = type(kernel._spec)(**{**vars(kernel._spec), "vary": (), "outputs": outputs})
        begin = time.perf_counter()
        machine.compile_text(llvm_printer.print_plan(make_plan(ir, spec)))
        seconds = time.perf_counter() - begin
        grown = Kernel(ir, spec, "llvm")
        grown.run(n=8)
        run = best(lambda grown=grown: grown.run(n=256, threads=1)) / 256
        first = first or run
        ratio = run / first / count
        rows.append(Row(f"{count} x the model ({len(ir.symbols)} equations)",
                        f"compiled in {seconds:.2f} s; {run * 1e6:.0f} us a run = {ratio:.2f} x "
                        "linear", "<= 1.3 x linear", None if count == 1 else ratio <= 1.3))
    return rows


def _task(name: str) -> dict[str, float]:
    """Run a task in a process of its own, for its memory."""
    return json.loads(_python(tasks.__file__, name).splitlines()[-1])


def _python(*arguments: str, **environment: str) -> str:
    """Run Python as a user would, who has compiled modules on disk."""
    own = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "bench-pyc"),
           **environment}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run([sys.executable, *arguments], check=True, text=True, env=own,
                          stdout=subprocess.PIPE).stdout


def report(*, quick: bool) -> str:
    """Measure everything and return the text of docs/performance.md."""
    kernel = kernel_of_bench()
    rows, one, costs = kernel_rows(kernel)
    rows += engine_rows(one, stock=not quick) + start_up_rows()
    if not quick:
        rows += large_rows()
    rows += growth_rows()
    return _TEXT.format(
        lines="\n".join(map(str, rows)), costs=costs, steps=kernel._spec.steps,
        verdict=_verdict(rows), equations=len(kernel._ir.symbols),
        processor=machine.features().split()[1], cores=os.cpu_count(),
        python=platform.python_version(), load=os.getloadavg()[0])


def _verdict(rows: Sequence[Row]) -> str:
    missed = [row.figure for row in rows if row.met is False]
    return "All bars are met." if not missed else f"Missed: {'; '.join(missed)}."


_TEXT = """# Performance

Written by `python benchmarks/bench_kernel.py`; all figures of one run, times the smallest of
several.
The shipped model ({equations} equations) with its own step ({steps} steps), 20 varied constants,
10 outputs, saved yearly, unless said otherwise.
Processor {processor}, {cores} cores, Python {python}, load of the machine {load:.1f} at the end.

| figure | measured | bar | |
|---|---|---|---|
{lines}

{verdict}

The bound is the time that the operations of a step need at the least: the functions one after
another, and the longer of the divisions and the rest, which have units of their own.
{costs}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    text = report(quick=parser.parse_args().quick)
    print(text)
    folder = ROOT / "docs"
    folder.mkdir(exist_ok=True)
    (folder / "performance.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
