"""Parameter assessment: what a constant may lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kuzbass.sd.battery.parameters import assess_parameters, at_bounds, source_of
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]

_TAX = "0.2\n\t~\tDmnl [0.0,1.0]\n\t~\tA lever. Source: assumption."


@pytest.mark.parametrize(("new", "message"), [
    (_TAX.replace("Source: assumption.", ""), "no source; expected 'Source: ...' in the comment"),
    (_TAX.replace(" [0.0,1.0]", ""), "no range; expected [min,max]"),
    (_TAX.replace("[0.0,1.0]", "[0.0,?]"), "no range; expected [min,max]"),
    (_TAX.replace("0.2", "1.5"), "the value 1.5; expected one in [0,1]"),
])
def test_lacks(edited: Edit, new: str, message: str) -> None:
    breaches = assess_parameters(load_model(edited(_TAX, new)))
    assert [str(breach) for breach in breaches] == [f"tax rate: {message}"]


def test_clean(tiny: Tiny) -> None:
    model = tiny("small")
    assert assess_parameters(model) == []
    # The range of a definition is a point, which is no bound to stand on.
    assert at_bounds(model) == []
    assert source_of(model.variables["tax rate"]) == "assumption."


def test_at_bounds(edited: Edit) -> None:
    assert at_bounds(load_model(edited(_TAX, _TAX.replace("0.2", "1.0")))) == ["tax rate"]
