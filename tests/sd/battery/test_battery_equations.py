"""Direct extreme conditions of single equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kuzbass.errors import ModelError
from kuzbass.sd.battery.equations import ANY, RUN, Limit, direct_extremes, limit_breaches
from kuzbass.sd.battery.extremes import Invariants, one_at_a_time, reach_of, run_conditions
from kuzbass.sd.loops.expansion import expand
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.battery.equations import Probe
    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]

_PRICE = "world price * (1.0 - tax rate)"


def _probe(model: Model, limits: tuple[Limit, ...] = ()) -> Probe:
    trials = run_conditions(model, one_at_a_time(model), Invariants.of(model), watch=True)
    return direct_extremes(expand(model), reach_of(model, trials), limits)


def test_clean_model(tiny: Tiny) -> None:
    probe = _probe(tiny("small"))
    assert probe.breaches == ()
    assert probe.guarded == ()
    assert probe.equations == 7
    assert probe.evaluations > 20


def test_a_division_by_what_may_be_zero(edited: Edit) -> None:
    probe = _probe(load_model(edited(_PRICE, "world price / tax rate")))
    assert ["net price", "not finite when tax rate is 0; expected a number"] in [
        [breach.element, breach.message] for breach in probe.breaches]


def test_a_division_by_what_never_is_zero(edited: Edit) -> None:
    model = load_model(edited("capacity * net price", "net price * life of capacity / capacity"))
    assert "revenue / capacity" in _probe(model).guarded


def test_an_exponential_without_a_cap(edited: Edit) -> None:
    model = load_model(edited(_PRICE, "world price * EXP(capacity / initial capacity)"))
    assert "not finite when capacity is" in str(_probe(model).breaches[0])


def test_a_share_that_leaves_its_bounds(tiny: Tiny) -> None:
    limit = Limit("net price", ANY, np.nan, 0.0, 300.0)
    found = [str(breach) for breach in _probe(tiny("small"), (limit,)).breaches]
    assert any("net price: is" in text and "expected 0 to 300" in text for text in found)


@pytest.mark.parametrize(("limit", "message"), [
    (Limit("net price", "tax rate", 1.0, 0.0, 0.0), ""),
    (Limit("net price", "tax rate", 0.0, 0.0, 0.0),
     "is 60 to 110 at tax rate = 0; expected 0"),
    (Limit("closing", "capacity", 0.0, 0.0, np.inf), ""),
    (Limit("closing", "capacity", 0.0, 1.0, np.inf), "is 0 at capacity = 0; expected 1 or more"),
    (Limit("net price", ANY, np.nan, 0.0, 88.0), ""),
    (Limit("net price", RUN, np.nan, -np.inf, 80.0),
     "is 48 to 88 in the run; expected 80 or less"),
])
def test_limits(tiny: Tiny, limit: Limit, message: str) -> None:
    found = [breach.message for breach in limit_breaches(expand(tiny("small")), [limit])]
    assert found == ([message] if message else [])


def test_limits_that_say_nothing(tiny: Tiny) -> None:
    expanded = expand(tiny("small"))
    with pytest.raises(ModelError, match=r"net price: is not an input .*found: capacity"):
        limit_breaches(expanded, [Limit("net price", "capacity", 0.0, 0.0, 0.0)])
    with pytest.raises(ModelError, match="tax rate: has no equation"):
        limit_breaches(expanded, [Limit("tax rate", ANY, np.nan, 0.0, 1.0)])
