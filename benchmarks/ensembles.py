"""Measures whole ensembles: design, kernel, tables, quantiles, as ``kuzbass ensemble`` runs them.

``measure()`` runs each case in a process of its own, so that peaks of memory do not mix.  The
outputs are saved yearly, as the kernel gives them; there are no annual means and no index.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kuzbass.sd import ensemble
from kuzbass.sd.kernel import compile_model
from kuzbass.sd.kernel.compile import _ir
from kuzbass.sd.sampling import Design, Uniform

VARIED, OUTPUTS = 20, 10
CASES = {"1e5 runs, exact quantiles": (100_000, 8192), "1e6 runs, binned quantiles":
         (1_000_000, 16_384)}


def members(runs: int) -> ensemble.Members:
    """Return an ensemble of the shipped model: 20 constants within 2 %, 10 stocks, yearly."""
    ir = _ir(None)
    factors = {}
    for name, symbol in ir.symbols.items():
        if symbol.kind == "constant" and symbol.lower is not None and symbol.upper is not None:
            value = ir.constants[name]
            low, high = (min(max(edge * value, symbol.lower), symbol.upper)
                         for edge in (0.98, 1.02))
            if low < high:
                factors[name] = ensemble.Factor(Uniform(low=low, high=high))
    names = list(factors)[:: max(1, len(factors) // VARIED)][:VARIED]
    stocks = [name for name, symbol in ir.symbols.items() if symbol.kind == "stock"][:OUTPUTS]
    kernel = compile_model(vary=names, outputs=stocks)
    series = tuple(ensemble.Series(name, ir.symbols[name].unit) for name in stocks)
    case = ensemble.Case("baseline", {}, {name: factors[name] for name in names})
    return ensemble.Members(kernel, Design(tuple(names), runs, "monte-carlo"), (case,),
                            ensemble.SavedTimes(series, kernel.time))


def run(runs: int, chunk: int, threads: int) -> dict[str, float]:
    """Return seconds and peak memory in MiB, compilation from the cache not counted."""
    made = members(runs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        store = ensemble.Store(Path(folder), made, {}, chunk=chunk, scalars=(2035.0,))
        ensemble.run_ensemble(made, store, threads=threads)
        summary = store.summaries()[0]
        seconds = time.perf_counter() - begin
    assert summary.runs > 0.99 * runs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak": peak, "before": before, "finite": summary.runs}


def measure(threads: int = 2) -> dict[str, dict[str, float]]:
    """Return what `run` says of every case."""
    members(1)  # the caches are warm then
    found = {}
    for name, (runs, chunk) in CASES.items():
        child = subprocess.run([sys.executable, __file__, str(runs), str(chunk), str(threads)],
                               check=True, capture_output=True, text=True)
        found[name] = json.loads(child.stdout)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(run(*(int(arg) for arg in sys.argv[1:]))))
    else:
        for name, figures in measure().items():
            print(f"{name}: {figures['seconds']:.1f} s, peak {figures['peak']:.0f} MiB "
                  f"({figures['before']:.0f} MiB before)")
