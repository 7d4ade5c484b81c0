"""Measures whole ensembles: design, kernel, tables, quantiles, as ``kuzbass ensemble`` runs them.

``measure()`` runs each case in a process of its own, so that peaks of memory do not mix.  The
outputs are saved yearly, as the kernel gives them; there are no annual means and no index.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tasks import members, peak_memory

from kuzbass.sd import ensemble

CASES = {"1e5 runs, exact quantiles": (100_000, 8192), "1e6 runs, binned quantiles":
         (1_000_000, 16_384)}


def run(runs: int, chunk: int, threads: int) -> dict[str, float]:
    """Return seconds and peak memory in MiB, compilation from the cache not counted."""
    made = members(runs)
    before = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        store = ensemble.Store(Path(folder), made, {}, chunk=chunk, scalars=(2035.0,))
        ensemble.run_ensemble(made, store, threads=threads)
        summary = store.summaries()[0]
        seconds = time.perf_counter() - begin
    assert summary.runs > 0.99 * runs
    return {"seconds": seconds, "peak": peak_memory(), "before": before, "finite": summary.runs}


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
