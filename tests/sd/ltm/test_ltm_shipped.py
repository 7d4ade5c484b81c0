"""The shipped model: size and memory of the whole analysis, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource
from kuzbass.sd.loops import expand, loops_that_matter
from kuzbass.sd.mdl import load_model
result = loops_that_matter(expand(load_model(), time_step=0.0625, final_time=2035.0))
used = resource.getrusage(resource.RUSAGE_SELF)
total = result.relative()[[loop.id for loop in result.loops if loop.part == 1]].abs().sum(axis=1)
print(json.dumps({"mebibytes": used.ru_maxrss / 1024,
                  "states": len(result.parts[0].states), "complete": result.complete,
                  "loops": len(result.loops), "least": total.min(), "most": total.max(),
                  "steps": len(result.time), "coverage": result.parts[0].coverage}))
"""


@pytest.mark.slow
def test_the_shipped_model_is_analysed_in_two_gibibytes() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True,
                          check=True)
    measured = json.loads(done.stdout)
    assert measured["mebibytes"] < 2048.0
    assert measured["steps"] == 35 * 16
    # Its main part has far too many loops for an enumeration, and the result says so.
    assert measured["states"] > 30
    assert not measured["complete"]
    assert measured["loops"] > 1000
    assert 0.3 < measured["coverage"] < 1.0
    assert measured["least"] == pytest.approx(1.0)
    assert measured["most"] == pytest.approx(1.0)
