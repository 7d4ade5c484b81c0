"""A system-dynamics model of the Kuzbass economy, its scenarios and its resilience index.

>>> import kuzbass
>>> model = kuzbass.load_model()
>>> scenario = kuzbass.load_scenario("s1-coal-paradigm")
>>> run = kuzbass.simulate(model, scenario)  # xarray.Dataset: every variable over time
>>> index = kuzbass.resilience(run)  # xarray.Dataset: index, megafactors, family band
>>> kuzbass.compare({scenario.name: run}).targets  # pandas.DataFrame
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kuzbass.experiments.api import compare, resilience, simulate
    from kuzbass.region.scenario import load_scenario
    from kuzbass.sd.mdl import load_model

    __version__: str

__all__ = ["__version__", "compare", "load_model", "load_scenario", "resilience", "simulate"]

_HOMES = {
    "compare": "kuzbass.experiments.api",
    "load_model": "kuzbass.sd.mdl",
    "load_scenario": "kuzbass.region.scenario",
    "resilience": "kuzbass.experiments.api",
    "simulate": "kuzbass.experiments.api",
}


def __getattr__(name: str) -> object:
    # PySD and pandas take seconds to import; who only asks for a path need not wait.
    if name == "__version__":
        return import_module("importlib.metadata").version("kuzbass")
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
