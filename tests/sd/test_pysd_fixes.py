"""Each correction: the defect on PySD as installed, and its cure."""

from __future__ import annotations

import ast
import shutil
from typing import TYPE_CHECKING, Any

import black
import numpy as np
import pysd
import pytest
from pysd.builders.python import python_model_builder

from kuzbass.errors import ModelError
from kuzbass.sd import pysd_fixes
from kuzbass.sd.engine import simulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]


def _stock_pysd(model: Model, folder: Path) -> Any:
    """Load a model by PySD alone; on a copy, for PySD writes beside it."""
    return pysd.read_vensim(str(shutil.copy(model.path, folder)))


def test_stock_pysd_truncates_a_smooth_that_starts_from_an_integer(
    tiny: Tiny, tmp_path: Path
) -> None:
    table = _stock_pysd(tiny("smooth_integer"), tmp_path).run()
    assert table.loc[1.0, "smoothed"] == 0.0
    assert table.loc[1.0, "delayed"] == pytest.approx(0.35)


def test_the_correction_keeps_the_first_step(tiny: Tiny) -> None:
    run = simulate(tiny("smooth_integer"), engine="pysd")
    exact = 0.7 * (1.0 - 0.5 ** np.arange(5))
    np.testing.assert_allclose(run["smoothed"], exact, rtol=1e-14)
    np.testing.assert_allclose(run["delayed"], exact, rtol=1e-14)


@pytest.mark.filterwarnings("ignore:_hardcodedlookup_response_table:UserWarning")
def test_tables_equal_those_of_stock_pysd(tiny: Tiny, tmp_path: Path) -> None:
    """Inside, on the points, and beyond both ends."""
    stock = _stock_pysd(tiny("lookup_clamp"), tmp_path).run()
    run = simulate(tiny("lookup_clamp"), engine="pysd")
    np.testing.assert_array_equal(stock.index, run["time"])
    np.testing.assert_allclose(run["response"], stock["response"], rtol=1e-15)


def test_whole_model_equals_stock_pysd(tiny: Tiny, tmp_path: Path) -> None:
    """With float initial values there is nothing to correct but speed."""
    stock = _stock_pysd(tiny("small"), tmp_path).run()
    run = simulate(tiny("small"), engine="pysd")
    for name in run.data_vars:
        np.testing.assert_allclose(run[name], stock[name], rtol=1e-15, err_msg=str(name))


def test_pysd_itself_is_left_as_it_was(tiny: Tiny, tmp_path: Path) -> None:
    simulate(tiny("smooth_integer"), engine="pysd")
    table = _stock_pysd(tiny("smooth_integer"), tmp_path).run()
    assert table.loc[1.0, "smoothed"] == 0.0


def test_translation_differs_from_that_of_stock_pysd_in_layout_only(
    tiny: Tiny, tmp_path: Path
) -> None:
    _stock_pysd(tiny("small"), tmp_path)
    text = (tmp_path / "small.py").read_text(encoding="utf-8")
    ours = tiny("small").source.replace("'model.py'", "'small.py'")
    assert ours != text
    assert ast.dump(ast.parse(ours)) == ast.dump(ast.parse(text))
    assert python_model_builder.black is black


def test_another_pysd_is_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("small")
    monkeypatch.setattr(pysd, "__version__", "3.15.0")
    with pytest.raises(ModelError, match=r"not tested .* \(found: 3\.15\.0; allowed: 3\.14\.\*\)"):
        simulate(model, engine="pysd")


def test_stock_pysd_lowers_the_order_of_a_short_delay(tiny: Tiny, tmp_path: Path) -> None:
    """The engine refuses this instead (see test_engine)."""
    stock = _stock_pysd(tiny("delay3"), tmp_path)
    with pytest.warns(UserWarning, match="casting delay order from 3 to 1"):
        stock.run(time_step=1.0)


def test_interpolator_follows_an_argument() -> None:
    curve = pysd_fixes.Curve(np.array([0.0, 2.0]), np.array([1.0, 5.0]))
    assert pysd_fixes.interpolator(curve)(0.5) == 2.0
    assert pysd_fixes.interpolator(curve, lambda: 9.0)() == 5.0
