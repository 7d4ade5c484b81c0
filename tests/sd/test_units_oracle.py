"""A second, independent engine as the judge of units and of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import simlin

from kuzbass.errors import plain_name
from kuzbass.paths import model_path
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]


def _complaints(path: Path) -> list[str]:
    model = simlin.load(str(path))
    return [issue.message for issue in model.check()] + [
        str(error.message) for error in model.project.get_errors()]


def _disagreement(model: Model) -> dict[str, float]:
    """Return, by stock, the largest difference of both engines over its largest value."""
    other = simlin.load(str(model.path)).run(analyze_loops=False).results
    columns = {plain_name(column): other[column].to_numpy() for column in other.columns}
    run = simulate(model, save_every=_saved_every(other.index.to_numpy()))
    stocks = [name for name, variable in model.variables.items() if variable.kind == "stock"]
    tiny = np.finfo(float).tiny  # a stock that stays at zero
    return {name: float(np.max(np.abs(run[name].to_numpy() - columns[plain_name(name)]))
                        / max(np.max(np.abs(columns[plain_name(name)])), tiny)) for name in stocks}


def _saved_every(times: np.ndarray) -> float:
    return float(times[1] - times[0])


def test_wrong_units_are_seen(edited: Edit) -> None:
    path = edited("closing=\n\tcapacity / life of capacity", "closing=\n\tcapacity")
    complaints = _complaints(path)
    assert any("'mt/year'" in text and "'mt/year^2'" in text for text in complaints)


@pytest.mark.parametrize("name", ["small", "teacup", "delay3", "conservation"])
def test_tiny_models_have_right_units(tiny: Tiny, name: str) -> None:
    assert _complaints(tiny(name).path) == []


@pytest.mark.parametrize("name", ["small", "teacup", "delay3", "conservation"])
def test_engines_agree_on_tiny_models(tiny: Tiny, name: str) -> None:
    differences = _disagreement(tiny(name))
    assert differences
    assert max(differences.values()) < 1e-9


def test_shipped_model_has_right_units() -> None:
    assert _complaints(model_path()) == []


def test_engines_agree_on_the_shipped_model() -> None:
    differences = _disagreement(load_model(model_path()))
    assert {name: value for name, value in differences.items() if value > 1e-6} == {}
