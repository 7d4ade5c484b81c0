"""Measures of a response, against closed formulae."""

from __future__ import annotations

from math import exp, log

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.sd.shock import (
    asymmetry,
    cascade,
    half_life,
    loss,
    measures,
    multiplier,
    nonlinearity,
    onset,
    overshoot,
    peak,
    persistence,
    recovery,
    relative,
    resistance,
)

STEP = 1.0 / 256.0
LAG = np.arange(0.0, 60.0, STEP)
DECAY = -0.2 * np.exp(-LAG / 5.0)


def test_exponential_decay_has_its_known_half_life_loss_and_recovery() -> None:
    assert peak(LAG, DECAY) == (-0.2, 0.0)
    assert half_life(LAG, DECAY) == pytest.approx(5.0 * log(2.0), abs=STEP)
    back, censored = recovery(LAG, DECAY, share=0.05)
    assert back == pytest.approx(5.0 * log(20.0), abs=STEP)
    assert not censored
    # The lost area of a quality of 1 - 0.2 exp(-t/5) is 1 in units of the base times time.
    area = loss(LAG, np.ones_like(LAG), 1.0 + DECAY)
    assert area["loss_area"] == pytest.approx(100.0 * (1.0 - exp(-12.0)), rel=1e-5)
    assert area["robustness"] == pytest.approx(80.0)
    assert area["resilience"] == pytest.approx(1.0 - (1.0 - exp(-12.0)) / LAG[-1], rel=1e-6)


def test_onset_is_the_first_lag_beyond_the_threshold() -> None:
    rise = 0.1 * (1.0 - np.exp(-LAG))
    assert onset(LAG, rise, 0.05) == pytest.approx(log(2.0), abs=STEP)
    assert np.isnan(onset(LAG, rise, 0.2))
    assert onset(LAG, DECAY, 0.1) == 0.0


def test_a_run_that_ends_before_recovery_is_censored() -> None:
    early = LAG < 10.0
    back, censored = recovery(LAG[early], DECAY[early])
    assert np.isnan(back)
    assert censored
    # Two years of calm are asked for; the run has only one after the recovery.
    short = 5.0 * log(20.0) + 1.0 > LAG
    assert recovery(LAG[short], DECAY[short], hold=2.0) == (pytest.approx(np.nan, nan_ok=True),
                                                           True)
    assert recovery(LAG, np.zeros_like(LAG)) == (0.0, False)


def test_a_swing_back_is_no_recovery() -> None:
    swing = np.where(LAG < 10.0, DECAY, 0.0) + np.where((LAG >= 20.0) & (LAG < 21.0), 0.1, 0.0)
    assert recovery(LAG, swing, hold=15.0)[0] == pytest.approx(21.0, abs=STEP)
    assert recovery(LAG, swing, hold=5.0)[0] == pytest.approx(10.0, abs=STEP)
    assert overshoot(swing) == pytest.approx(0.5)
    assert overshoot(DECAY) == 0.0


def test_first_order_stock_has_the_multiplier_of_its_time_constant() -> None:
    # dS/dt = u - S / tau: a unit pulse of u adds tau to the sum of S.
    tau, step = 4.0, 1.0 / 64.0
    pulse = np.zeros(6400)
    pulse[:64] = 1.0
    stock = np.zeros(6400)
    for now in range(6399):
        stock[now + 1] = stock[now] + step * (pulse[now] - stock[now] / tau)
    assert multiplier(stock, pulse) == pytest.approx(tau, rel=1e-6)
    rise = tau * (1.0 - np.exp(-step * np.arange(64) / tau))
    np.testing.assert_allclose(stock[:64], rise, atol=tau * step / 4.0)
    assert np.isnan(multiplier(stock, np.zeros(6400)))


def test_persistence_is_the_share_that_stays() -> None:
    assert persistence(np.full(100, -3.0)) == 1.0
    stays = np.concatenate([np.full(50, -4.0), np.full(50, -1.0)])
    assert persistence(stays) == pytest.approx(0.25)
    assert persistence(DECAY) < 1e-3
    assert persistence(np.zeros(10)) == 0.0


def test_relative_change_uses_the_mean_where_the_base_changes_sign() -> None:
    base = np.array([2.0, -2.0, 4.0])
    np.testing.assert_allclose(relative(base, base + 1.0), 3.0 / 8.0)
    np.testing.assert_allclose(relative(np.array([2.0, 4.0]), np.array([1.0, 5.0])),
                               [-0.5, 0.25])
    # A fall of a negative variable is a fall.
    np.testing.assert_allclose(relative(np.array([-2.0]), np.array([-3.0])), [-0.5])
    assert np.isnan(relative(np.zeros(3), np.ones(3))).all()


def test_rapidity_is_the_slope_from_the_trough_to_the_return() -> None:
    lag = np.arange(0.0, 11.0)
    quality = np.array([100.0, 90.0, 80.0, 84.0, 88.0, 92.0, 96.0, 100.0, 101.0, 102.0, 100.0])
    found = loss(lag, np.full(11, 50.0), 0.5 * quality)
    assert found["robustness"] == 80.0
    assert found["rapidity"] == pytest.approx(20.0 / 5.0)
    # Gains beyond the base do not make up for losses.
    assert found["loss_area"] == pytest.approx(10 + 20 + 16 + 12 + 8 + 4)
    assert np.isnan(loss(lag, np.linspace(-1.0, 1.0, 11), quality)["loss_area"])


def test_resistance_compares_with_the_change_of_the_base() -> None:
    lag = np.arange(5.0)
    base = np.array([100.0, 110.0, 120.0, 130.0, 140.0])
    hit = np.array([100.0, 105.0, 108.0, 124.0, 140.0])
    # Base +20 to the trough, shocked +8; then base +20, shocked +32.
    assert resistance(lag, base, hit, 2.0) == (pytest.approx(-0.6), pytest.approx(0.6),
                                               "base change")
    flat = np.full(5, 100.0)
    assert resistance(lag, flat, flat - np.array([0.0, 5.0, 10.0, 5.0, 0.0]), 2.0) == (
        pytest.approx(-0.10), pytest.approx(0.10), "level")
    # What jumps in the step of the shock counts from before it.
    assert resistance(lag, flat, flat - 10.0, 2.0)[0] == pytest.approx(-0.10)


def test_a_linear_response_has_neither_nonlinearity_nor_asymmetry() -> None:
    assert nonlinearity(DECAY, DECAY / 2.0) == 0.0
    assert asymmetry(DECAY, -DECAY) == 0.0
    # A quadratic one: d(1) - 2 d(1/2) is half of d(1); the sign does not turn it over.
    square = DECAY**2
    assert nonlinearity(square, square / 4.0) == pytest.approx(0.5)
    assert asymmetry(square, square) == pytest.approx(2.0)


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    time = pd.Index(2020.0 + np.arange(0.0, 20.0, 0.25), name="time")
    lag = time.to_numpy() - 2022.0
    on = lag >= 0.0
    cause = np.where(on & (lag < 1.0), 0.8, 1.0)
    first = np.where(on, 10.0 - 2.0 * np.exp(-lag / 3.0), 10.0)
    second = np.where(lag >= 1.0, 10.0 - 3.0 * np.exp(-(lag - 1.0) / 3.0), 10.0)
    base = pd.DataFrame({"cause": 1.0, "first": 10.0, "second": 10.0, "calm": 5.0}, index=time)
    return base, pd.DataFrame({"cause": cause, "first": first, "second": second, "calm": 5.0},
                              index=time)


def test_table_measures_every_variable_from_the_start_of_the_shock() -> None:
    table = measures(*frames(), 2022.0, source="cause", trough=1.0)
    assert table.at["first", "onset_10"] == 0.0
    assert table.at["second", "onset_1"] == 1.0
    assert table.at["second", "peak"] == pytest.approx(-3.0)
    assert table.at["second", "time_to_peak"] == 1.0
    assert table.at["first", "peak_share"] == pytest.approx(-0.2)
    assert table.at["cause", "multiplier"] == pytest.approx(1.0)
    assert table.at["first", "elasticity"] == pytest.approx(
        table.at["first", "multiplier"] / 10.0)
    calm = table.loc["calm"]
    assert np.isnan(calm["onset_1"])
    assert (calm["peak"], calm["loss_area"], calm["multiplier"]) == (0.0, 0.0, 0.0)


def test_a_shock_at_the_very_end_is_refused() -> None:
    with pytest.raises(InputError, match="the run ends before the shock shows"):
        measures(*frames(), 2039.75)


def test_cascade_follows_the_onsets_along_the_graph() -> None:
    base, shocked = frames()
    table = measures(base, shocked, 2022.0)
    shares = pd.DataFrame({name: relative(base[name].to_numpy(), shocked[name].to_numpy())
                           for name in base}, index=base.index)
    graph: nx.DiGraph[str] = nx.DiGraph([("cause", "first"), ("first", "second"),
                                         ("second", "calm")])
    nx.set_node_attributes(graph, 0.0, "delay")
    graph.nodes["second"]["delay"] = 1.0
    found = cascade(shares, table, graph, ["cause"])
    assert found.chain == ("first", "second")
    assert found.depth == 1
    row = found.dominoes.iloc[0]
    assert (row["cause"], row["effect"], row["later"]) == ("first", "second", 1.0)
    assert row["amplification"] == pytest.approx(1.5)
    assert found.size.loc[2021.0, 0.01] == 0.0
    assert found.size.loc[2023.0, 0.10] == 0.5
