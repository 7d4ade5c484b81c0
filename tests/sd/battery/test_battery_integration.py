"""Integration error against runs whose error is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.sd.battery.integration import integration_error
from kuzbass.sd.engine import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]


def test_euler_is_of_first_order(tiny: Tiny) -> None:
    table = integration_error(tiny("teacup"))
    assert list(table.columns) == ["halved", "method", "order"]
    assert table["order"].to_numpy() == pytest.approx(1.0, abs=0.1)
    # Half of the error is left when the step is halved.
    assert (table["method"] / table["halved"]).to_numpy() == pytest.approx(2.0, abs=0.1)


def test_difference_is_that_of_two_runs(tiny: Tiny) -> None:
    model = tiny("teacup")
    stock = next(name for name, variable in model.variables.items() if variable.kind == "stock")
    step = model.time_step
    coarse = simulate(model, outputs=[stock])[stock].to_numpy()
    half = simulate(model, outputs=[stock], time_step=step / 2.0,
                    save_every=step)[stock].to_numpy()
    expected = np.max(np.abs(coarse - half)) / np.max(np.abs(half))
    assert integration_error(model).at[stock, "halved"] == pytest.approx(expected, rel=1e-9)


def test_chosen_variables(tiny: Tiny) -> None:
    table = integration_error(tiny("small"), ["revenue"])
    assert table.index.tolist() == ["revenue"]


def test_no_difference_has_no_order(tiny: Tiny) -> None:
    table = integration_error(tiny("small"), ["world price", "tax rate"])
    assert table.loc["tax rate", "halved"] == 0.0
    assert np.isnan(table.loc["tax rate", "order"])
