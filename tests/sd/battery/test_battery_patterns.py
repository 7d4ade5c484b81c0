"""Behaviour patterns on series whose statistics are known."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.sd.battery.patterns import (
    autocorrelation,
    behaviour_mode,
    detrended,
    pattern_tests,
    phase_lag,
)

_T = np.arange(40.0)


def test_discrepancy_of_a_worked_example() -> None:
    actual = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    simulated = np.array([1.1, 1.9, 3.2, 4.3, 4.8])
    found = pattern_tests(simulated, actual)
    assert found["discrepancy"] == pytest.approx(0.065952, abs=1e-6)
    assert found["mean"] == pytest.approx(0.02)
    assert found["spread"] == pytest.approx(0.011466, abs=1e-5)


def test_autocorrelation() -> None:
    x = np.array([1.0, -1.0] * 10)
    assert autocorrelation(x, 2) == pytest.approx([1.0, -0.95, 0.9])
    assert autocorrelation(np.ones(5), 2).tolist() == [1.0, 0.0, 0.0]


def test_trend_is_taken_out() -> None:
    assert np.abs(detrended(3.0 + 2.0 * _T - 0.1 * _T**2)).max() < 1e-9


@pytest.mark.parametrize("shift", [-3, 0, 3])
def test_phase(shift: int) -> None:
    actual = np.sin(_T / 3.0)
    assert phase_lag(np.sin((_T - shift) / 3.0), actual, 5) == shift


def test_the_same_period_passes_and_another_fails() -> None:
    actual = np.sin(_T)
    assert pattern_tests(1.3 * np.sin(_T), actual)["period"] < 1.0
    assert pattern_tests(np.sin(3.0 * _T), actual)["period"] > 1.0


@pytest.mark.parametrize(("path", "mode"), [
    (100.0 + 0.01 * _T, "flat"),
    (np.exp(_T / 20.0), "growth"),
    (np.exp(-_T / 20.0), "decline"),
    (-(_T - 20.0)**2 + 500.0, "peak"),
    ((_T - 20.0)**2, "trough"),
    (np.sin(_T / 3.0), "oscillation"),
    (_T + 0.5 * np.sin(_T), "growth"),
])
def test_modes(path: np.ndarray, mode: str) -> None:
    assert behaviour_mode(path) == mode
