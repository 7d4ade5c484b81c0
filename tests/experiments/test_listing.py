"""Lists for people and for grep: one thing a line."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.listing import scenario_lines, variable_lines
from kuzbass.region.scenario import scenario_names
from kuzbass.sd.mdl import load_model


def test_scenarios_have_name_and_both_titles() -> None:
    lines = list(scenario_lines())
    assert [line.split()[0] for line in lines] == scenario_names()
    assert all(" | " in line for line in lines)
    assert "Базовый" in lines[0]


def test_variables_have_value_unit_and_range() -> None:
    interface = model_interface(load_model())
    lines = list(variable_lines())
    assert f"# policies: {len(interface.policies)}" in lines
    settings = len(interface.drivers) + len(interface.policies) + len(interface.parameters)
    assert len(lines) == 3 + settings
    [line] = [line for line in lines if line.startswith("western port programme ")]
    port = interface.policies["western port programme"]
    assert line.split(maxsplit=3)[3] == (
        f"{port.value:g} Mt/(year*year)  [{port.lower:g} to {port.upper:g}]")
    # A driver shows the level of mid-2024.
    [line] = [line for line in lines if line.startswith("exchange rate ")]
    table = interface.drivers["exchange rate"].table
    assert table is not None
    assert float(line.split()[2]) == pytest.approx(np.interp(2024.5, table.index, table), rel=1e-5)
