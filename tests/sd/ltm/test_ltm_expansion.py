"""Smooths and delays opened into stocks and flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import ModelError
from kuzbass.sd.loops import expand
from kuzbass.sd.loops import expression as expression_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.loops import ExpandedRun
    from kuzbass.sd.mdl import Model

STATEFUL = """
one = 1.0
push = 5.0 + STEP(3.0, 2.0)*one
constant = 2.0 + 0.1*Time/one
smooth = SMOOTH(push, constant)
third smooth = SMOOTH3I(push, 3.0, 1.0)
delay = DELAY1I(push, constant, 4.0)
third delay = DELAY3(push*2.0, 3.0)
delay n = DELAY N(push, 4.0, 5.0, 2)
smooth n = SMOOTH N(push, 4.0, 5.0, 2)
lag = DELAY FIXED(push, 1.5, 4.0)
rise = TREND(push, 2.0, 0.1)
ahead = FORECAST(push, 2.0, 3.0)
kept = INITIAL(push)
both = SMOOTH(DELAY3(push, 3.0), 2.0)*SMOOTH(push, 4.0) + DELAY FIXED(push, 1.0, 4.0) + TREND(push, 3.0, 0.0)
"""  # noqa: E501 - one equation, one line


def test_hidden_parts_reproduce_the_run(written: Callable[[str], Model]) -> None:
    # `expand` itself refuses a node that does not; the last equation holds nested ones.
    expanded = expand(written(STATEFUL))
    assert expanded.macros["third smooth"].hidden == (
        "third smooth (stage 1)", "third smooth (stage 2)")
    assert {"SMOOTH in both", "SMOOTH 2 in both", "DELAY in both", "DELAYFIXED in both",
            "TREND in both"} <= set(expanded.macros)
    assert expanded.macros["third delay"].delay == 3.0
    assert expanded.macros["smooth"].delay == pytest.approx(2.5)
    assert expanded.macros["rise"].delay == 0.0
    assert {"smooth", "delay", "lag", "DELAY in both"} <= expanded.states()
    assert not {"push", "kept", "ahead"} & expanded.states()


def test_a_delay_conserves_what_enters(expanded: Callable[[str], ExpandedRun]) -> None:
    run = expanded("delay3")
    stages = [run.paths[f"outflow (stage {number})"] for number in (1, 2, 3)]
    inside = np.sum(stages, axis=0)
    net = run.paths["inflow"] - run.paths["outflow"]
    np.testing.assert_allclose(np.diff(inside), 0.25 * net[:-1], atol=1e-12)
    # Little's law in the steady state: content = flow x transit time.
    assert inside[0] == pytest.approx(4.0 * 1.5)


def test_an_equation_that_disagrees_with_the_run_is_refused(
    written: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = written("top = MAX(Time, 3.0)")
    monkeypatch.setitem(expression_module._FUNCTIONS, "max", np.minimum)
    with pytest.raises(ModelError, match=r"top: the equation does not reproduce the run.*off by"):
        expand(model)


def test_overrides_reach_the_expansion(tiny: Callable[[str], Model]) -> None:
    model = tiny("small")
    table = pd.Series([0.0, 2.0], index=[0.0, 3.0])
    expanded = expand(model, {"effect of price table": table, "world price": 90.0,
                              "tax rate": 0.5}, final_time=5.0)
    assert expanded.time[-1] == 5.0
    assert expanded.nodes["world price"].kind == "constant"
    assert np.all(expanded.paths["net price"] == 45.0)
