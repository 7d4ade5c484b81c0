"""Equations evaluated outside of a run give what the run gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.errors import ModelError
from kuzbass.sd.loops import expand
from kuzbass.sd.loops.expression import Language
from kuzbass.sd.pysd_fixes import Curve

if TYPE_CHECKING:
    from collections.abc import Callable

    from kuzbass.sd.mdl import Model

    Written = Callable[[str], Model]

FUNCTIONS = """
one = 1.0
up = Time/one
wave = SIN(up) + 0.5*COS(2.0*up) - TAN(0.1*up)
inverse = ARCSIN(0.05*up) + ARCCOS(0.05*up)*ARCTAN(up)
chain = 10.0 - up - 2.0 - 3.0/2.0/4.0*up
tower = 2.0^(0.1*up)^2.0
minus = -up^2.0 + 3.0*(-up)
choice = IF THEN ELSE(up > 3.0 :AND: up < 5.0 :OR: wave > 0.5, up, -wave)
refused = IF THEN ELSE(:NOT: up >= 4.0, 1.0, IF THEN ELSE(up = 6.0, 2.0, IF THEN ELSE(up <> 7.0, 3.0, 4.0)))
limits = MIN(MAX(wave, 0.1), ABS(up - 5.0)) + SQRT(up)*EXP(-up) + LN(up + 1.0) + LOG(up + 1.0, 2.0)
whole = INTEGER(wave*3.0) + QUANTUM(up, 0.7) + MODULO(up, 3.0) + QUANTUM(up, 0.0)
shares = XIDZ(1.0, MAX(0.0, up - 3.0), 7.0) + ZIDZ(up, MAX(0.0, up - 5.0))
inputs = STEP(2.0, 3.0) + RAMP(0.5, 2.0, 6.0) + PULSE(4.0, 1.0) + PULSE TRAIN(1.0, 0.5, 2.0, 8.0)
looked = WITH LOOKUP(up, ([(0,0)-(10,10)],(0.0,1.0),(2.0,5.0),(7.0,2.0)))
given = ACTIVE INITIAL(wave, 3.0)
"""  # noqa: E501 - one equation, one line


def test_every_function_agrees_with_the_run(written: Written) -> None:
    expanded = expand(written(FUNCTIONS))
    for name, node in expanded.nodes.items():
        if node.rule is not None:
            values = np.broadcast_to(node.rule(expanded.paths), expanded.time.shape)
            np.testing.assert_allclose(values, expanded.run[name], rtol=1e-12, atol=1e-14,
                                       err_msg=name)
    assert {name for name, node in expanded.nodes.items() if node.kind == "auxiliary"} >= {
        "chain", "tower", "looked", "shares", "inputs"}


def test_known_values() -> None:
    language = Language({"a": "a", "table": "table"}, {"table": Curve(
        np.array([0.0, 1.0]), np.array([10.0, 20.0]))}, 0.25)
    from pysd.translators.structures.abstract_expressions import (  # noqa: PLC0415 - this test only
        ArithmeticStructure,
        CallStructure,
        ReferenceStructure,
    )
    a = ReferenceStructure("a")
    chain = language.compile(ArithmeticStructure(["-", "-"], (a, 1.0, 2.0)), "x")
    assert chain.inputs == ("a",)
    assert chain({"a": np.array([5.0, 7.0])}).tolist() == [2.0, 4.0]
    table = language.compile(CallStructure(ReferenceStructure("table"), (a,)), "x")
    assert table({"a": np.array([-1.0, 0.5, 3.0])}).tolist() == [10.0, 15.0, 20.0]


def test_functions_of_time_read_time(written: Written) -> None:
    expanded = expand(written("height = 2.0\npush = STEP(height, 3.0)"))
    rule = expanded.nodes["push"].rule
    assert rule is not None
    assert set(rule.inputs) == {"height", "Time"}


def test_what_cannot_be_evaluated_is_named(written: Written) -> None:
    with pytest.raises(ModelError, match=r"luck: cannot be evaluated.*RANDOM UNIFORM"):
        expand(written("luck = RANDOM UNIFORM(0.0, 1.0, 1.0)"))
    with pytest.raises(ModelError, match=r"kept: cannot be evaluated.*SampleIfTrue"):
        expand(written("kept = SAMPLE IF TRUE(Time > 3.0, Time, 1.0)"))
