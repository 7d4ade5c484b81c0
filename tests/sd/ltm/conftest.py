"""Runs for the tests of feedback loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kuzbass.sd.loops import expand
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.loops import ExpandedRun
    from kuzbass.sd.mdl import Model

_CONTROL = """
INITIAL TIME= 0.0 ~ Day ~ The start. |
FINAL TIME= 10.0 ~ Day ~ The end. |
TIME STEP= 0.25 ~ Day ~ The step. |
SAVEPER= TIME STEP ~ Day ~ Every step. |
"""


@pytest.fixture(scope="session")
def expanded(tiny: Callable[[str], Model]) -> Callable[[str], ExpandedRun]:
    """Run one of the tiny models and open its stateful functions."""
    runs: dict[str, ExpandedRun] = {}

    def run(name: str) -> ExpandedRun:
        if name not in runs:
            runs[name] = expand(tiny(name))
        return runs[name]

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Model]:
    """Load a model from lines ``name = expression``, ten days in quarters."""

    def write(lines: str) -> Model:
        equations = [f"{line.strip()} ~ Dmnl ~ Made up. |" for line in lines.strip().splitlines()]
        path = tmp_path / "written.mdl"
        path.write_text("\n".join(["{UTF-8}", *equations, _CONTROL]), encoding="utf-8")
        return load_model(path)

    return write
