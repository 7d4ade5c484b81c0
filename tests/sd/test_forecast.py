"""Simple forecasts of series whose future is known."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.sd.forecast import naive_forecasts


def test_a_line_goes_on() -> None:
    found = naive_forecasts(1.0 + 2.0 * np.arange(10.0), 3)
    assert found is not None
    assert found["trend"] == pytest.approx([21.0, 23.0, 25.0])
    assert found["no change"] == pytest.approx([19.0, 19.0, 19.0])


def test_a_decay_goes_on() -> None:
    past = 5.0 + 0.5 ** np.arange(8.0)
    found = naive_forecasts(past, 2)
    assert found is not None
    assert found["AR(1)"] == pytest.approx([5.0 + 0.5**8, 5.0 + 0.5**9])


def test_a_missing_last_year_is_a_longer_way() -> None:
    past = np.append(5.0 + 0.5 ** np.arange(8.0), np.nan)
    found = naive_forecasts(past, 1)
    assert found is not None
    assert found["AR(1)"] == pytest.approx([5.0 + 0.5**9])
    assert found["no change"] == pytest.approx([past[7]])


def test_few_values_give_no_forecast() -> None:
    assert naive_forecasts(np.array([1.0, np.nan, 2.0, np.nan, 3.0, 4.0]), 2) is None
