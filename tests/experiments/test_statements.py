"""Statements on behaviour: the format, every predicate, and the shipped files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from kuzbass.errors import InputError
from kuzbass.experiments.statements import Check, Given, Run, evaluate, json_schema, load_checks
from kuzbass.paths import scenario_dir

if TYPE_CHECKING:
    from pathlib import Path

_YEARS = np.arange(2020, 2031)
_GOOD = """title: Some
checks:
  - id: one
    statement: It rises.
    source: definition
    variable: output
    expect: {predicate: rises, window: [2020, 2030]}
"""


def _run(**paths: np.ndarray) -> Run:
    time = np.append(_YEARS, 2031).astype(float)
    data = xr.Dataset({name: ("time", np.append(path, path[-1])) for name, path in paths.items()},
                      {"time": time})
    statistics = pd.DataFrame(paths, index=pd.Index(_YEARS, name="year"))
    return Run(data, statistics, lambda table: pd.DataFrame(
        {"index": table.iloc[:, 0] / 100.0, "P": 0.1, "C": 0.2, "N": 0.3}))


def _late(size: float, start: int, end: int = 2031) -> np.ndarray:
    return np.where((start <= _YEARS) & (end > _YEARS), 100.0 * (1.0 + size), 100.0)


_BASE = _run(output=np.full(11, 100.0), other=np.full(11, 100.0))
_RISING = _run(output=np.linspace(100.0, 150.0, 11), other=np.linspace(100.0, 120.0, 11))
_SHOCKED = _run(output=_late(-0.2, 2022, 2025), other=_late(-0.1, 2023))


def _verdict(run: Run, expect: dict[str, object], variable: str = "output") -> tuple[bool, str]:
    check = Check.model_validate({
        "id": "one", "statement": "s", "source": "s", "variable": variable, "expect": expect,
        "given": {"changes": {"x": {"set": 1.0}}}})
    result = evaluate(check, lambda given: run if given.changes else _BASE)
    return result.passed, result.figure


_ALL = {"window": [2020, 2030]}


@pytest.mark.parametrize(("run", "expect", "passed", "figure"), [
    (_RISING, {"predicate": "rises", **_ALL}, True, "+50.0 %"),
    (_RISING, {"predicate": "rises", "by": 60.0, **_ALL}, False, "+50.0 %"),
    (_RISING, {"predicate": "rises", "at_most": 40.0, **_ALL}, False, "+50.0 %"),
    (_RISING, {"predicate": "falls", **_ALL}, False, "+50.0 %"),
    (_BASE, {"predicate": "rises", **_ALL}, False, "+0.0 %"),
    (_SHOCKED, {"predicate": "falls", "by": 15.0, "window": [2021, 2022]}, True, "-20.0 %"),
    (_RISING, {"predicate": "within", "low": 100.0, "high": 150.0, **_ALL}, True, "100 to 150"),
    (_RISING, {"predicate": "within", "high": 140.0, **_ALL}, False, "100 to 150"),
    (_RISING, {"predicate": "within", "high": 140.0, "tolerance": 10.0, **_ALL}, True,
     "100 to 150"),
    (_RISING, {"predicate": "higher", "by": 20.0, **_ALL}, True, "125 against 100, +25.0 %"),
    (_RISING, {"predicate": "higher", "at_most": 20.0, **_ALL}, False, "125 against 100, +25.0 %"),
    (_RISING, {"predicate": "lower", **_ALL}, False, "125 against 100, +25.0 %"),
    (_SHOCKED, {"predicate": "lower", "by": 5.0, **_ALL}, True, "94.55 against 100, -5.5 %"),
    (_SHOCKED, {"predicate": "same", "tolerance": 0.1, "window": [2020, 2021]}, True,
     "0.00 % at most"),
    (_SHOCKED, {"predicate": "same", "tolerance": 0.1, **_ALL}, False, "20.00 % at most"),
    (_SHOCKED, {"predicate": "before", "other": "other", "threshold": 1.0, **_ALL}, True,
     "2022.00 against 2023.00"),
    (_BASE, {"predicate": "before", "other": "other", "threshold": 1.0, **_ALL}, False,
     "inf against inf"),
    (_SHOCKED, {"predicate": "recovers", **_ALL}, True, "20.0 % at most, 0.0 % at the end"),
    (_SHOCKED, {"predicate": "recovers", "window": [2020, 2023]}, False,
     "20.0 % at most, 20.0 % at the end"),
    (_BASE, {"predicate": "recovers", **_ALL}, False, "0.0 % at most, 0.0 % at the end"),
    (_RISING, {"predicate": "outpaces", "other": "other", "by": 25.0, **_ALL}, True,
     "+50.0 % against +20.0 %"),
    (_RISING, {"predicate": "outpaces", "other": "other", "by": 35.0, **_ALL}, False,
     "+50.0 % against +20.0 %"),
])
def test_predicates(run: Run, expect: dict[str, object], passed: bool, figure: str) -> None:
    assert _verdict(run, expect) == (passed, figure)


def test_before_fails_the_wrong_way_round() -> None:
    expect = {"predicate": "before", "other": "output", "threshold": 1.0, **_ALL}
    assert _verdict(_SHOCKED, expect, "other") == (False, "2023.00 against 2022.00")


def test_parts_of_the_index_are_variables() -> None:
    expect = {"predicate": "within", "low": 1.0, "high": 1.5, **_ALL}
    assert _verdict(_RISING, expect, "index") == (True, "1 to 1.5")


def test_unknown_variable_and_year_name_the_statement() -> None:
    with pytest.raises(InputError, match=r"one: outputs: the run has no such variable .*output"):
        _verdict(_BASE, {"predicate": "rises", **_ALL}, "outputs")
    with pytest.raises(InputError, match=r"one: output: .*2020 to 2040; allowed: within 2020"):
        _verdict(_BASE, {"predicate": "rises", "window": [2020, 2040]})


@pytest.mark.parametrize(("old", "new", "message"), [
    ("predicate: rises", "predicate: soars", "Input tag 'soars'"),
    ("statement:", "says:", "one.yaml: checks.0.statement: Field required"),
    ("    source: definition\n", "    source: definition\n    requierd: false\n", "requierd"),
    ("    source: definition\n", "    source: definition\n    required: false\n",
     "a statement that is not required needs a reason"),
    ("    source: definition\n", "    source: definition\n    against: {scenario: x}\n",
     "'rises' compares with no other run"),
    ("predicate: rises", "predicate: higher", "the run is compared with itself"),
    ("2030]", "2030.5]", "valid integer"),
    ("2030]", "2080]", "less than or equal to 2050"),
    ("id: one", "id: One Two", "should match pattern"),
    ("rises, window", "rises window", "broken YAML"),
    ("    variable: output\n", "    variable: output\n    given: {changes: {x: {from: 2020.0}}}\n",
     "a change needs one of set and multiply"),
])
def test_refusals(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "one.yaml"
    assert old in _GOOD
    file.write_text(_GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_checks([file])


def test_an_id_stands_once(tmp_path: Path) -> None:
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_text(_GOOD, encoding="utf-8")
    assert len(load_checks(files[:1])) == 1
    with pytest.raises(InputError, match=r"b\.yaml: one: the id stands twice"):
        load_checks(files)
    with pytest.raises(InputError, match="cannot be read"):
        load_checks([tmp_path / "none.yaml"])


def test_a_change_sets_or_multiplies() -> None:
    with pytest.raises(ValidationError, match="one of set and multiply"):
        Given.model_validate({"changes": {"x": {"set": 1.0, "multiply": 2.0}}})


def test_schema_is_that_of_the_models() -> None:
    written = (scenario_dir() / "checks.schema.json").read_text(encoding="utf-8")
    assert written == json_schema(), "run python -m kuzbass.experiments.statements"


def test_shipped_statements() -> None:
    checks = load_checks()
    assert len(checks) >= 30
    paper = [check for check in checks if check.source.startswith("Fridman")]
    assert len(paper) >= 15
    assert sum(check.required for check in checks) >= 30


def test_shipped_files_fit_the_schema() -> None:
    validator = Draft202012Validator(yaml.safe_load(json_schema()))
    files = sorted((scenario_dir() / "checks").glob("*.yaml"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert list(validator.iter_errors(yaml.safe_load(text))) == []
        assert re.match(r"# yaml-language-server: \$schema=\.\./checks\.schema\.json\n", text)
