"""Where the shipped model, scenarios and data are.

A wheel carries them inside the package (``kuzbass/_assets``); a checkout or an editable install
uses the top-level folders of the repository.
"""

from __future__ import annotations

from pathlib import Path

from kuzbass.errors import KuzbassError

__all__ = ["data_dir", "model_path", "scenario_dir"]

_PACKAGE = Path(__file__).resolve().parent


def model_path() -> Path:
    """Return the path of the shipped model, ``sdmodels/kuzbass.mdl``."""
    return _asset("sdmodels") / "kuzbass.mdl"


def scenario_dir() -> Path:
    """Return the folder of the shipped scenarios."""
    return _asset("scenarios")


def data_dir() -> Path:
    """Return the folder of the shipped data package."""
    return _asset("data")


def _asset(name: str) -> Path:
    candidates = (_PACKAGE / "_assets" / name, _PACKAGE.parents[1] / name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    places = ", ".join(str(folder) for folder in candidates)
    message = f"the folder '{name}' of this installation is missing (looked in: {places})"
    raise KuzbassError(message)
