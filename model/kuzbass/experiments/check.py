"""Checks scenario, data and model files without running anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kuzbass.errors import InputError, KuzbassError
from kuzbass.experiments.calibration_plan import free_parameters, load_calibration_plan
from kuzbass.experiments.ensemble_factors import Factors
from kuzbass.experiments.ensemble_plan import load_plan
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab import plan as lab
from kuzbass.experiments.lab import study as lab_study
from kuzbass.experiments.lab.attain_plan import AttainPlan
from kuzbass.experiments.lab.optimise import prepare_optimise
from kuzbass.experiments.lab.optimise_plan import OptimisePlan
from kuzbass.experiments.lab.plan_files import read_plan
from kuzbass.experiments.lab.sensitivity import prepare_sensitivity
from kuzbass.experiments.lab.sensitivity_plan import SensitivityPlan
from kuzbass.experiments.run import check_scenario, load_scenarios
from kuzbass.experiments.statements import load_checks
from kuzbass.region.data import check_data_file
from kuzbass.region.draws import DRAWS, read_draws
from kuzbass.region.resilience import load_indicators
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import LAST_YEAR, load_scenario, load_yaml
from kuzbass.region.shocks import apply_shocks, load_shock
from kuzbass.sd.lint import lint
from kuzbass.sd.mdl import load_model

__all__ = ["SUFFIXES", "check_file", "check_files"]

SUFFIXES = (".yaml", ".yml", ".csv", ".mdl")
_SCHEMA = re.compile(r"#\s*yaml-language-server:\s*\$schema=(?:\S*/)?([\w-]+)\.schema\.json")


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
        return _yaml(path)
    if suffix == ".csv":
        return _table(path)
    if suffix == ".mdl":
        return _model(path)
    raise InputError("cannot be checked", file=path, value=suffix or "no suffix",
                     allowed="a scenario, shock, plan or list of checks (.yaml), a table of the "
                     "data package (.csv) or a Vensim model (.mdl)")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    return found or [path]


def _yaml(path: Path) -> str:
    return _KINDS[_kind(path)].check(path)


def _kind(path: Path) -> str:
    """Return the kind of a YAML file: as its schema line says, else by its keys."""
    data = load_yaml(path, "scenario, plan, shock or list of checks", "name, title")
    named = _SCHEMA.match(path.read_text(encoding="utf-8-sig"))
    if named is not None:
        if named[1] not in _KINDS:
            raise InputError("no such schema", file=path, key="$schema", value=named[1],
                             allowed=", ".join(_KINDS))
        return named[1]
    keys = set(data) if isinstance(data, dict) else set()
    return next((name for name, kind in _KINDS.items() if keys & kind.keys), "scenario")


def _scenario(path: Path) -> str:
    scenario = load_scenario(path)
    check_scenario(load_model(), scenario)
    return f"scenario, {scenario.own.title.en}"


def _checks(path: Path) -> str:
    return f"{len(load_checks([path]))} statements on behaviour"


def _shock(path: Path) -> str:
    model, shock = load_model(), load_shock(path)
    interface = model_interface(model, end=LAST_YEAR + 1.0)
    inputs = resolve(load_scenario(shock.scenario), interface)
    apply_shocks(shock.shocks, inputs, interface, path)
    return f"shock, {shock.title.en}"


def _ensemble(path: Path) -> str:
    plan, file = load_plan(path)
    model = load_model()
    interface = model_interface(model, end=plan.until + 1.0)
    factors = Factors(plan, file, interface)
    for scenario in load_scenarios(plan.scenarios).values():
        factors.of(scenario, dict(resolve(scenario, interface)))
    for name in plan.outputs:
        model.name(name)
    return f"plan of an ensemble, {plan.title.en}"


def _calibration(path: Path) -> str:
    plan, file = load_calibration_plan(path)
    free = free_parameters(plan, load_model(), file)
    return f"plan of a calibration, {len(free)} parameters on {len(plan.series)} series"


def _policies(path: Path) -> str:
    plan, file = lab.load_plan(lab.PolicyPlan, path)
    lab_study.prepare(plan, file)
    return f"plan of policies, {plan.title.en}"


def _robust(path: Path) -> str:
    plan, file = lab.load_plan(lab.RobustPlan, path)
    lab_study.prepare(plan, file)
    return f"plan of policies in many futures, {plan.title.en}"


def _attain(path: Path) -> str:
    plan, _ = read_plan(AttainPlan, path)
    return f"plan of attainable targets, {plan.title.en}"


def _optimise(path: Path) -> str:
    plan, file = read_plan(OptimisePlan, path)
    prepare_optimise(plan, file)
    return f"plan of an optimisation, {plan.title.en}"


def _sensitivity(path: Path) -> str:
    plan, file = read_plan(SensitivityPlan, path)
    prepare_sensitivity(plan, file)
    return f"plan of a sensitivity analysis, {plan.title.en}"


@dataclass(frozen=True)
class _Kind:
    """A kind of YAML file: how it is checked, and keys that tell it."""

    check: Callable[[Path], str]
    keys: frozenset[str] = frozenset()


# By the name of the schema.  A file without one is of the first kind of which it has a key.
_KINDS = {
    "checks": _Kind(_checks, frozenset({"checks"})),
    "calibrate": _Kind(_calibration, frozenset({"stages", "training", "choice"})),
    "robust": _Kind(_robust, frozenset({"futures", "policies_of"})),
    "attain": _Kind(_attain),
    "optimise": _Kind(_optimise),
    "sensitivity": _Kind(_sensitivity),
    "policy": _Kind(_policies, frozenset({"metrics"})),
    "ensemble": _Kind(_ensemble, frozenset({"runs", "table", "outputs"})),
    "scenario": _Kind(_scenario, frozenset({"extends", "drivers", "policies"})),
    "shock": _Kind(_shock, frozenset({"shocks"})),
}


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
