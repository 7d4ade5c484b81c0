"""Latin hypercube and rank correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.sd.battery.sensitivity import (
    Draws,
    latin_draws,
    rank_correlations,
    run_draws,
    uncertain,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]


def test_uncertain_constants(tiny: Tiny) -> None:
    model = tiny("small")
    names = uncertain(model)
    assert "life of capacity" in names
    assert "one year" not in names
    assert set(names) - set(uncertain(model, ["Policies"])) == {"tax rate"}


def test_draws_fill_every_stratum_once(tiny: Tiny) -> None:
    model = tiny("small")
    draws = latin_draws(model, ["tax rate", "life of capacity"], 20, spread=0.5, seed=1)
    tax = draws.values["tax rate"]
    assert draws.n == 20
    assert sorted(np.floor((tax - 0.1) / 0.2 * 20)) == list(range(20))
    again = latin_draws(model, ["tax rate", "life of capacity"], 20, spread=0.5, seed=1)
    assert np.array_equal(again.values["tax rate"], tax)


def test_draws_stay_in_the_range(tiny: Tiny) -> None:
    draws = latin_draws(tiny("small"), ["tax rate"], 50, spread=9.0, seed=1)
    assert draws.values["tax rate"].min() >= 0.0
    assert draws.values["tax rate"].max() <= 1.0


def test_rank_correlations(tiny: Tiny) -> None:
    model = tiny("small")
    draws = latin_draws(model, ["tax rate", "initial capacity"], 40, spread=0.5, seed=1)
    result = run_draws(model, draws, ["net price"], {"world price": 50.0})
    found = rank_correlations(draws, result["net price"][-1])
    assert found["tax rate"] == pytest.approx(-1.0)
    assert abs(found["initial capacity"]) < 0.5
    assert result["net price"][-1] == pytest.approx(50.0 * (1.0 - draws.values["tax rate"]))


def test_no_correlation_without_variation() -> None:
    assert rank_correlations(Draws({"a": np.ones(3)}), np.arange(3.0)) == {"a": 0.0}
