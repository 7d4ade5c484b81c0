"""Checks scenario, data and model files without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kuzbass.errors import InputError, KuzbassError
from kuzbass.experiments.run import check_scenario
from kuzbass.experiments.statements import load_checks
from kuzbass.region.data import check_data_file
from kuzbass.region.draws import DRAWS, read_draws
from kuzbass.region.resilience import load_indicators
from kuzbass.region.scenario import load_scenario
from kuzbass.sd.lint import lint
from kuzbass.sd.mdl import load_model

__all__ = ["SUFFIXES", "check_file", "check_files"]

SUFFIXES = (".yaml", ".yml", ".csv", ".mdl")


def check_files(paths: Sequence[Path]) -> Iterator[tuple[Path, str, KuzbassError | None]]:
    """Check files, and all files of a known suffix in folders.

    Yields
    ------
    tuple of (path, what, error)
        What the file is, or the error that it ends in.
    """
    for path in paths:
        for file in _files(path):
            try:
                yield file, check_file(file), None
            except KuzbassError as error:
                yield file, "", error


def check_file(path: Path) -> str:
    """Check one file by its suffix and say what it is.

    Raises
    ------
    InputError, ModelError
        The first thing that is wrong with it.
    """
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _scenario(path)
    if suffix == ".csv":
        return _table(path)
    if suffix == ".mdl":
        return _model(path)
    raise InputError("cannot be checked", file=path, value=suffix or "no suffix",
                     allowed="a scenario (.yaml), a table of the data package (.csv) or a Vensim "
                     "model (.mdl)")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    return found or [path]


def _scenario(path: Path) -> str:
    if path.parent.name == "checks":
        return f"{len(load_checks([path]))} statements on behaviour"
    scenario = load_scenario(path)
    check_scenario(load_model(), scenario)
    return f"scenario, {scenario.own.title.en}"


def _table(path: Path) -> str:
    if _has_megafactors(path):
        return f"list of {len(load_indicators(path).codes)} indicators"
    if path.name == DRAWS:
        return f"{len(read_draws(path))} draws of parameters"
    return f"table {check_data_file(path)}"


def _has_megafactors(path: Path) -> bool:
    # A user's list of indicators may have any name; its columns tell.
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return b"megafactor" in stream.readline()


def _model(path: Path) -> str:
    model = load_model(path)
    findings = lint(model)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0].message}{more}", file=path, key=errors[0].element,
                         allowed=f"the rule '{errors[0].rule}'")
    return f"model, {len(model.variables)} variables, {len(findings)} warnings"
