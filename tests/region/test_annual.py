"""Annual statistics against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from kuzbass.errors import InputError
from kuzbass.region.annual import annual, annual_values, full_years


def _run(start: float = 2000.0, end: float = 2003.0, step: float = 1 / 16) -> xr.Dataset:
    time = start + step * np.arange(round((end - start) / step) + 1)
    flow = 3.0 + 2.0 * (time - 2000.0)
    # The stock that Euler steps make of the flow.
    stock = 10.0 + np.concatenate([[0.0], np.cumsum(flow[:-1] * step)])
    return xr.Dataset({"flow": ("time", flow), "stock": ("time", stock)}, {"time": time})


def test_only_years_simulated_in_full() -> None:
    assert full_years(np.array([2000.0, 2000.5, 2001.0])).tolist() == [2000]
    assert full_years(np.array([2000.25, 2001.0, 2003.0])).tolist() == [2001, 2002]
    assert full_years(np.array([2000.0, 2002.75])).tolist() == [2000, 2001]


def test_mean_of_a_flow_is_its_exact_integral() -> None:
    table = annual(_run(), {"flow": "mean"})
    change = annual(_run(), {"stock": "end"})["stock"] - annual(_run(), {"stock": "start"})["stock"]
    np.testing.assert_allclose(table["flow"], change, rtol=1e-14)
    # Left sums of 3 + 2 t: the middle of the year less half a step.
    np.testing.assert_allclose(table["flow"], [4.0 - 1 / 16, 6.0 - 1 / 16, 8.0 - 1 / 16],
                               rtol=1e-14)


def test_ends_of_a_year() -> None:
    run = xr.Dataset({"stock": ("time", np.arange(9.0))}, {"time": 2000.0 + np.arange(9) / 4})
    table = annual(run, {"stock": "end"})
    assert table["stock"].tolist() == [4.0, 8.0]
    assert table.index.tolist() == [2000, 2001]
    assert table.index.name == "year"
    assert annual(run, {"stock": "start"})["stock"].tolist() == [0.0, 4.0]


def test_many_runs_at_once_equal_one_by_one() -> None:
    run = _run()
    time, values = run["time"].to_numpy(), run["flow"].to_numpy()
    both = annual_values(np.stack([values, 2.0 * values]), time, "mean")
    assert both.shape == (2, 3)
    np.testing.assert_array_equal(both[0], annual(run, {"flow": "mean"})["flow"])
    np.testing.assert_array_equal(both[1], 2.0 * both[0])


def test_run_too_short_for_a_year_gives_no_rows() -> None:
    assert annual(_run(end=2000.5), {"flow": "mean", "stock": "end"}).shape == (0, 2)


def test_unknown_variable_and_basis() -> None:
    with pytest.raises(InputError, match="price: not a variable of the run"):
        annual(_run(), {"price": "mean"})
    with pytest.raises(InputError, match=r"flow: unknown basis \(found: sum; allowed: mean, end, "):
        annual(_run(), {"flow": "sum"})
