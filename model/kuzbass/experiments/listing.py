"""Lists scenarios, and the variables that a scenario may set, one a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from kuzbass.experiments.interface import model_interface
from kuzbass.region.resolve import Setting
from kuzbass.region.scenario import load_scenario, scenario_names
from kuzbass.sd.mdl import load_model

__all__ = ["scenario_lines", "variable_lines"]


def scenario_lines() -> Iterator[str]:
    """Yield name, English and Russian title of every shipped scenario."""
    names = scenario_names()
    width = max(map(len, names), default=0)
    for name in names:
        title = load_scenario(name).own.title
        yield f"{name:<{width}}  {title.en} | {title.ru}"


def variable_lines() -> Iterator[str]:
    """Yield name, value, unit and range of every driver, policy and parameter of the model.

    The value of a driver is that of its table in 2024, the last year of actual drivers.
    """
    interface = model_interface(load_model())
    sections: Mapping[str, Mapping[str, Setting]] = {
        "drivers (value in mid-2024)": interface.drivers,
        "policies": interface.policies,
        "parameters": interface.parameters,
    }
    for title, settings in sections.items():
        yield f"# {title}: {len(settings)}"
        width = max(map(len, settings), default=0)
        for name, setting in settings.items():
            yield (f"{name:<{width}}  {_value(setting):>10.6g} {setting.unit}  "
                   f"[{setting.lower:g} to {setting.upper:g}]")


def _value(setting: Setting) -> float:
    if setting.table is None:
        return setting.value
    return float(np.interp(2024.5, setting.table.index.to_numpy(float), setting.table))
