"""Arrays in PySD: each defect on PySD as installed, and what becomes of it here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pysd
import pytest

from kuzbass.errors import ModelError
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import load_model
from kuzbass.sd.pysd_arrays import array_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]


def _stock_pysd(model: Model, folder: Path) -> Any:
    """Load a model by PySD alone; on a copy, for PySD writes beside it."""
    return pysd.read_vensim(str(shutil.copy(model.path, folder)))


def test_stock_pysd_cannot_hold_states_of_unlike_shapes(tiny: Tiny, tmp_path: Path) -> None:
    stock = _stock_pysd(tiny("array_shapes"), tmp_path)
    with pytest.raises(ValueError, match="could not broadcast input array from shape"):
        stock.run()


def test_the_correction_holds_them(tiny: Tiny) -> None:
    run = simulate(tiny("array_shapes"), engine="pysd")
    exact = [0.0, 0.25, 0.625, 1.125, 1.75]
    np.testing.assert_array_equal(run["stock[North,lean]"], exact)
    np.testing.assert_array_equal(run["stock[South,thermal]"], exact)


def test_integer_initial_values_of_arrays_do_not_truncate(tiny: Tiny) -> None:
    run = simulate(tiny("array_states"), engine="pysd", final_time=1.0)
    np.testing.assert_array_equal(run["mixed[North]"], 1.0 + 6.0 * run["time"])
    assert float(run["smooth three from[North]"][3]) == 2.0 - 0.75**3


@pytest.mark.filterwarnings("ignore:_hardcodedlookup_:UserWarning")
def test_whole_model_equals_stock_pysd(tiny: Tiny, tmp_path: Path) -> None:
    """With states of one shape, there is nothing to correct but the tables' speed."""
    stock = _stock_pysd(tiny("array_tables"), tmp_path).run(final_time=2.0)
    run = simulate(tiny("array_tables"), engine="pysd", final_time=2.0)
    for name in run.data_vars:
        np.testing.assert_allclose(run[name], stock[name], rtol=1e-15, err_msg=str(name))


def test_loops_of_arrays(tiny: Tiny) -> None:
    assert array_loop(tiny("array_order")) == ["level", "level"]
    assert array_loop(tiny("array_states")) == []
    assert array_loop(tiny("subscripts")) == []


def test_an_array_that_pysd_loses_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    """One table at several places: PySD takes one of the values for all."""
    text = tiny("array_tables").path.read_text(encoding="utf-8")
    path = tmp_path / "lost.mdl"
    path.write_text(text.replace("response[Region](x[Region])", "response[North](x[Region]/2.0)"),
                    encoding="utf-8")
    model = load_model(path)
    run = simulate(model)
    assert [float(run[f"own[{one}]"][0]) for one in ("North", "South")] == [1.0, 4.0]
    with pytest.raises(ModelError, match="own: PySD computes one number for the whole array"):
        simulate(model, engine="pysd")


def test_a_delay_of_an_array_too_short_for_the_step_is_refused(tiny: Tiny) -> None:
    for engine in ("pysd", "auto"):
        with pytest.raises(ModelError, match=r"the delay time is too short for the time step "
                                             r"\(found: 1\.0; allowed: at least 3"):
            simulate(tiny("array_states"), {"lag[North]": 1.0}, time_step=0.5, engine=engine)
