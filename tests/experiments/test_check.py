"""Checks of files without a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from kuzbass.errors import InputError, KuzbassError
from kuzbass.experiments import calibration_plan
from kuzbass.experiments.check import check_file, check_files
from kuzbass.paths import data_dir, model_path, scenario_dir
from kuzbass.region import shocks
from kuzbass.region.scenario import load_yaml

FOLDERS = [scenario_dir() / name for name in ("checks", "shocks", "plans")]
MODELS = Path(__file__).resolve().parents[1] / "models"


def test_what_is_shipped_is_sound() -> None:
    found = list(check_files([scenario_dir(), *FOLDERS, data_dir(), model_path()]))
    assert [str(error) for _, _, error in found if error is not None] == []
    what = {path.name: text for path, text, _ in found}
    assert what["s3-decline.yaml"].startswith("scenario, ")
    assert what["rail-outage.yaml"].startswith("shock, ")
    assert what["domino.yaml"].endswith(" statements on behaviour")
    assert what["ensemble.yaml"].startswith("plan of an ensemble, ")
    assert what["calibrate.yaml"].startswith("plan of a calibration, ")
    assert what["targets.csv"] == "table targets.csv"
    assert "indicators" in what["indicators.csv"]
    assert what["kuzbass.mdl"].endswith(" warnings")


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("", encoding="utf-8")
    (tmp_path / "b.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    (tmp_path / "c.mdl").write_text("nothing", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not looked at", encoding="utf-8")
    found = list(check_files([tmp_path, MODELS / "teacup.mdl"]))
    assert [path.name for path, _, _ in found] == ["a.yaml", "b.csv", "c.mdl", "teacup.mdl"]
    assert all(isinstance(error, KuzbassError) for _, _, error in found[:3])
    for path, _, error in found[:3]:
        assert str(path) in str(error)


def test_range_of_the_model_is_checked_to_the_last_year(tmp_path: Path) -> None:
    text = (scenario_dir() / "s1-coal-paradigm.yaml").read_text(encoding="utf-8")
    text = text.replace("name: s1-coal-paradigm", "name: late", 1)
    path = tmp_path / "late.yaml"
    path.write_text(text + "shocks:\n  - {on: exchange rate, by: 400, from: 2049, shape: step}\n",
                    encoding="utf-8")
    with pytest.raises(InputError, match=r"value out of range.*allowed: 10 to \d+ RUB/USD"):
        check_file(path)


def test_model_that_breaks_a_house_rule_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kuzbass.mdl"
    text = model_path().read_text(encoding="utf-8")
    text, found = re.subn(r"(western port programme=[^~]*~\s*[^\[]*)\[[^\]]*\]", r"\1", text)
    assert found == 1
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="western port programme: a constant needs a range"):
        check_file(path)


def test_unknown_suffix_and_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be checked.*found: .txt"):
        check_file(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"lost.csv: file not found"):
        check_file(tmp_path / "lost.csv")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    [(path, _, error)] = check_files([tmp_path])
    assert path == tmp_path
    assert isinstance(error, InputError)


SHOCK = """name: mine
title: {en: Mine, ru: Моё}
narrative: A test.
shocks:
  - {on: exchange rate, by: '10%', from: 2026, for: 1}
"""
PLAN = """name: mine
title: {en: Mine, ru: Моё}
narrative: A test.
runs: 8
drivers:
  exchange rate: {factor: [0.9, 1.1], why: A test.}
outputs: [coal output]
"""


@pytest.mark.parametrize(("text", "what"), [
    (SHOCK, "shock, Mine"),
    (PLAN, "plan of an ensemble, Mine"),
    # The first line decides where there is one.
    (SHOCK.replace("shocks:", "extends: baseline\nshocks:"), "scenario, Mine"),
    ("# yaml-language-server: $schema=../scenario.schema.json\n" + SHOCK.replace("2026", "2027"),
     "scenario, Mine"),
])
def test_the_kind_of_a_file_is_told_by_its_schema_or_its_keys(
    tmp_path: Path, text: str, what: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert check_file(path) == what


@pytest.mark.parametrize(("text", "message"), [
    (SHOCK.replace("exchange rate", "exchange rat"), r"shocks\.0\.on: unknown variable"),
    (SHOCK.replace("for: 1", "four: 1"), r"shocks\.0\.four: unknown key"),
    (SHOCK.replace("'10%'", "'900%'"), "value out of range"),
    (PLAN.replace("exchange rate", "exchange rat"), "not one of the drivers"),
    (PLAN.replace("coal output", "coal outputs"), "has no such variable"),
    (PLAN.replace("[0.9, 1.1]", "[0.9, 9.0]"), "leaves its range in baseline"),
    ("# yaml-language-server: $schema=other.schema.json\n" + PLAN, "no such schema"),
    ("- a\n- b\n", "scenario"),
])
def test_a_file_that_does_not_fit_the_model_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        check_file(path)


@pytest.mark.parametrize(("schema", "folder", "file"), [
    (shocks.json_schema, "shocks", "shock.schema.json"),
    (calibration_plan.json_schema, "plans", "plans/calibrate.schema.json"),
])
def test_shipped_schemas_are_those_of_the_models(
    schema: Callable[[], str], folder: str, file: str
) -> None:
    text = (scenario_dir() / file).read_text(encoding="utf-8")
    assert text == schema()
    named = [path for path in (scenario_dir() / folder).glob("*.yaml")
             if Path(file).name in path.read_text(encoding="utf-8").partition("\n")[0]]
    assert named
    for path in named:
        data = json.loads(json.dumps(load_yaml(path)))  # keys that are numbers become text
        jsonschema.validate(data, json.loads(text))
