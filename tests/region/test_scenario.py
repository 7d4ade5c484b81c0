"""Scenario files: what is read, and that each bad one ends in one clear message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from kuzbass.errors import InputError
from kuzbass.paths import scenario_dir
from kuzbass.region import scenario as module
from kuzbass.region.data import read_table
from kuzbass.region.scenario import json_schema, load_scenario, scenario_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = """\
name: mine
title: {en: Mine, ru: Мой}
narrative: What happens.
drivers:
  world thermal price:
    path: {2026: 90, 2035: 80.5}
    basis: assumption
    range: [60, 100]
    why: Prices fall.
  Russian coal use:
    multiply: {2030: 0.9}
    basis: EI2024
    why: Gas comes.
parameters:
  coal mine life: {value: 20, basis: assumption, why: Longer.}
policies:
  small business support: {value: 0.02, from: 2026, ramp: 2, basis: assumption, why: Services.}
shocks:
  - {on: exchange rate, by: -20%, from: 2026, for: 2}
  - {on: exchange rate, by: 5, from: 2028.5, shape: step}
"""
SHIPPED = ["baseline", "s1-coal-paradigm", "s2-interregional", "s3-decline", "strategy-395"]


def test_a_good_file_is_read_whole(write: Callable[..., Path]) -> None:
    scenario = load_scenario(write("mine.yaml", GOOD))
    assert scenario.name == "mine"
    assert scenario.own.title.ru == "Мой"
    driver = scenario.own.drivers["world thermal price"]
    assert driver.path == {2026: 90.0, 2035: 80.5}
    assert driver.range == (60.0, 100.0)
    assert scenario.own.drivers["Russian coal use"].multiply == {2030: 0.9}
    assert scenario.own.parameters["coal mine life"].value == 20.0
    policy = scenario.own.policies["small business support"]
    assert (policy.start, policy.ramp, policy.value) == (2026, 2.0, 0.02)
    pulse, step = scenario.shocks
    assert (pulse.relative, pulse.size, pulse.start, pulse.end) == (True, -0.2, 2026.0, 2028.0)
    assert (step.relative, step.size, step.end) == (False, 5.0, float("inf"))


def test_record_is_plain_data(write: Callable[..., Path]) -> None:
    record = load_scenario(write("mine.yaml", GOOD)).record()
    again = json.loads(json.dumps(record))
    assert again == record or again["layers"][0]["drivers"]["world thermal price"]["path"] == {
        "2026": 90.0, "2035": 80.5}
    assert record["layers"][0]["shocks"][0]["from"] == 2026.0


def test_layers_of_an_extended_scenario(write: Callable[..., Path]) -> None:
    write("mine.yaml", GOOD)
    child = write("child.yaml", GOOD.replace("name: mine", "name: child\nextends: mine").replace(
        "from: 2026, for: 2}\n  - {on: exchange rate, by: 5, from: 2028.5", "from: 2024.5, for: 2}"
        "\n  - {on: Brent price, by: 5, from: 2026").replace("2024.5, for: 2", "2025, for: 1"))
    scenario = load_scenario(child)
    assert [layer.name for layer in scenario.layers] == ["mine", "child"]
    assert [file.name for file in scenario.files] == ["mine.yaml", "child.yaml"]
    assert scenario.path == child
    assert len(scenario.shocks) == 4


def test_a_file_may_extend_a_shipped_scenario(write: Callable[..., Path]) -> None:
    scenario = load_scenario(write("mine.yaml", "name: mine\ntitle: {en: a, ru: б}\n"
                                   "narrative: x\nextends: s1-coal-paradigm\n"))
    assert [layer.name for layer in scenario.layers] == ["baseline", "s1-coal-paradigm", "mine"]


# What replaces what in GOOD, and the message after the name of the file.
BAD = [
    ("name: mine", "name: other", r"name: the name is not that of the file \(found: other; allowed"
     r": mine\)"),
    ("name: mine", "name: Mine!", r"name: not allowed \(found: Mine!; allowed: lower-case letters"),
    ("name: mine\n", "", r"name: key missing \(allowed: a value for this key\)"),
    ("narrative:", "naratives:", r"naratives: unknown key \(found: naratives; allowed: narrative"),
    ("ru: Мой", "fr: Mien, ru: Мой", r"title\.fr: unknown key \(found: fr; allowed: en, ru\)"),
    ("multiply: {2030", "multipl: {2030", r"drivers\.Russian coal use\.multipl: unknown key "
     r"\(found: multipl; allowed: multiply\)"),
    ("ramp: 2,", "rampe: 2,", r"policies\.small business support\.rampe: unknown key .*ramp"),
    ("for: 2}", "fro: 2}", r"shocks\.0\.fro: unknown key \(found: fro; allowed: f"),
    ("narrative: What happens.", "narrative: 5", r"narrative: wrong type \(found: 5; allowed: a "
     r"text\)"),
    ("narrative: What happens.", "narrative: ''", r"narrative: not allowed \(.*a text that is not "
     "empty"),
    ("title: {en: Mine, ru: Мой}", "title: Mine", r"title: wrong type \(found: Mine; allowed: keys "
     r"with values\)"),
    ("value: 20", "value: long", r"parameters\.coal mine life\.value: wrong type \(found: long; "
     r"allowed: a number\)"),
    ("value: 20", "value: true", r"value: wrong type \(found: True; allowed: a number\)"),
    ("value: 20", "value: '20'", r"value: wrong type \(found: 20; allowed: a number\)"),
    ("value: 20", "value: .inf", r"value: not allowed \(found: inf; allowed: a finite number\)"),
    ("2035: 80.5", "2035: low", r"drivers\.world thermal price\.path\.2035: wrong type \(found: low"
     r"; allowed: a number\)"),
    ("2035: 80.5", "2035: true", r"path\.2035: wrong type \(found: True; allowed: a number\)"),
    ("path: {2026: 90, 2035: 80.5}", "path: [90, 80]", r"path: wrong type \(allowed: keys"),
    ("path: {2026: 90, 2035: 80.5}", "path: {}", r"world thermal price: a driver needs one path "
     r"\(allowed: either path or multiply, with at least one year\)"),
    ("path: {2026: 90", "multiply: {2030: 1}\n    path: {2026: 90", "a driver needs one path"),
    ("{2026: 90", "{2024: 90", r"path\.2024: year outside the horizon \(found: 2024; allowed: 2025 "
     r"to 2050\)"),
    ("{2026: 90", "{2051: 90", r"path\.2051: year outside the horizon \(found: 2051; allow"),
    ("{2026: 90", "{soon: 90", r"path\.soon: year outside the horizon \(found: soon; allow"),
    ("from: 2026, ramp", "from: 2020, ramp", r"policies\.small business support\.from: year outside"
     r" the horizon \(found: 2020; allowed: 2025 to 2050\)"),
    ("from: 2026, ramp", "from: 2026.5, ramp", r"from: wrong type \(found: 2026\.5; allowed: a"),
    ("from: 2026, for", "from: 2019, for", r"shocks\.0\.from: year outside the horizon \(found: 2"),
    ("from: 2026, for", "from: 2060, for", r"shocks\.0\.from: year outside the horizon \(found: 2"),
    ("ramp: 2", "ramp: -1", r"ramp: value out of range \(found: -1; allowed: at least 0\)"),
    ("ramp: 2", "ramp: 30", r"ramp: value out of range \(found: 30; allowed: at most 20\)"),
    ("for: 2}", "for: 0}", r"shocks\.0\.for: value out of range \(found: 0; allowed: above 0\)"),
    ("for: 2}", "shape: wave, for: 2}", r"shape: not allowed \(found: wave; allowed: 'pulse', 'step"
     r"' or 'ramp'\)"),
    ("for: 2}", "shape: step, for: 2}", r"shocks\.0: the length does not go with the shape \(found:"
     r" step; allowed: 'for' \(years\) with a pulse or a ramp; none with a step\)"),
    (", for: 2}", "}", "shocks.0: the length does not go with the shape"),
    ("by: -20%", "by: -20 percent", r"shocks\.0\.by: not the size of a shock \(found: -20 percent; "
     "allowed: a percentage such as '-20%', or a number"),
    ("by: -20%", "by: true", r"by: not the size of a shock \(found: True;"),
    ("by: -20%", "by: .nan", "by: not the size of a shock"),
    ("from: 2028.5", "from: 2027", r"shocks: shocks overlap \(found: 'exchange rate' from 2026 and "
     r"from 2027; allowed: one shock at a time on a variable"),
    ("on: exchange rate, by: 5, from: 2028.5", "on: Exchange_Rate, by: 5, from: 2027",
     "shocks overlap"),
    ("range: [60, 100]", "range: [60]", r"range"),
    ("range: [60, 100]", "range: [100, 60]", r"the range is upside down \(found: \[100\.0, 60\.0"
     r"\]; allowed: \[low, high\]\)"),
    ("range: [60, 100]", "range: [85, 100]", r"the last value lies outside its own range \(found: "
     r"80\.5; allowed: 85 to 100\)"),
    ("    range: [60, 100]\n", "", r"an assumption needs a range \(allowed: range: \[low,"),
    ("basis: EI2024", "basis: EI2025", r"drivers\.Russian coal use\.basis: unknown source \(found: "
     r"EI2025; allowed: 'assumption' or a source_id of sources\.csv, such as EI2024\)"),
    ("    why: Gas comes.\n", "", r"drivers\.Russian coal use\.why: key missing"),
    ("  Russian coal use:", "  World thermal price:", r"drivers: the same variable stands twice "
     r"\(found: world thermal price and World thermal price; allowed: each variable once\)"),
    ("  Russian coal use:", "  world thermal price:", r"line 10, column 3: broken YAML: the key "
     "'world thermal price' stands twice"),
    ("  Russian coal use:", "  2020:", r"drivers\.2020: wrong type \(found: 2020; allowed: a text"),
    ("title: {en: Mine", "title: {en: Mine]", r"line 2, column 17: broken YAML"),
    ("title:", "? [a, b]\n: 1\ntitle:", "broken YAML: a key must be plain text"),
    ("title:", "extends: nowhere\ntitle:", r"extends: unknown scenario \(found: nowhere; allow"),
    ("title:", "extends: s1-coal-paradigms\ntitle:", r"extends: unknown scenario .*allowed: s1-coal"
     "-paradigm"),
    ("title:", "extends: mine\ntitle:", r"extends: scenarios extend each other in a circle \(found:"
     r" mine -> mine; allowed: "),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_bad_file(write: Callable[..., Path], old: str, new: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(InputError, match=rf"mine\.yaml: .*{message}") as caught:
        load_scenario(write("mine.yaml", GOOD.replace(old, new, 1)))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"the file is empty \(allowed: a scenario\)"),
        ("# nothing but a comment\n", "the file is empty"),
        ("- a\n- b\n", r"not a scenario \(found: \['a', 'b'\]; allowed: keys such as name, title"),
        ("just words", r"not a scenario \(found: just words"),
        (b"name: \xff\xfe", r"byte 6: not UTF-8 text \(allowed: UTF-8\)"),
        ("name: [", "line 1, column 8: broken YAML"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: broken YAML"),
        ("name: !!python/object:os.system x\n", "line 1, column 7: broken YAML"),
    ],
)
def test_bad_text(write: Callable[..., Path], content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml: " + message):
        load_scenario(write("mine.yaml", content))


def test_missing_file_folder_and_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: file not found"):
        load_scenario(tmp_path / "none.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InputError, match=r"folder\.yaml: cannot be read \(Is a directory\)"):
        load_scenario(tmp_path / "folder.yaml")
    with pytest.raises(InputError, match=r"no such scenario \(found: s1-coal; allowed: s1-coal-"):
        load_scenario("s1-coal")


def test_a_circle_of_three(write: Callable[..., Path]) -> None:
    for name, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        write(f"{name}.yaml", f"name: {name}\ntitle: {{en: x, ru: й}}\nnarrative: x\n"
                              f"extends: {parent}\n")
    with pytest.raises(InputError, match=r"c\.yaml: extends: .*circle \(found: a -> b -> c -> a"):
        load_scenario(write("a.yaml", "name: a\ntitle: {en: x, ru: й}\nnarrative: x\nextends: b"))


def test_shocks_of_different_layers_may_not_overlap(write: Callable[..., Path]) -> None:
    write("mine.yaml", GOOD)
    child = write("child.yaml", "name: child\ntitle: {en: x, ru: й}\nnarrative: x\nextends: mine\n"
                                "shocks:\n  - {on: exchange rate, by: 1, from: 2027, for: 1}\n")
    with pytest.raises(InputError, match=r"child\.yaml: shocks: shocks overlap"):
        load_scenario(child)


def test_an_error_of_a_parent_names_the_parent(write: Callable[..., Path]) -> None:
    write("mine.yaml", GOOD.replace("ramp: 2", "ramp: 30"))
    child = write("child.yaml", "name: child\ntitle: {en: x, ru: й}\nnarrative: x\nextends: mine\n")
    with pytest.raises(InputError, match=r"mine\.yaml: policies\.small business support\.ramp: "):
        load_scenario(child)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenario(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.layers[0].name == "baseline"
    assert not scenario.shocks


def test_shipped_scenarios_are_the_five() -> None:
    assert scenario_names() == SHIPPED
    assert set(read_table("targets.csv")["scenario"]) <= set(SHIPPED)


def _as_json(text: str) -> Any:
    """What an editor sees: keys are text, and `on` is a key."""
    return json.loads(json.dumps(yaml.load(text.replace("{on:", "{'on':"), yaml.SafeLoader)))


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(json_schema())


def test_shipped_schema_is_the_generated_one() -> None:
    shipped = (scenario_dir() / "scenario.schema.json").read_text(encoding="utf-8")
    assert shipped == json_schema(), "run python -m kuzbass.region.scenario"


def test_shipped_scenarios_satisfy_the_schema(schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    for name in scenario_names():
        text = (scenario_dir() / f"{name}.yaml").read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=scenario.schema.json\n")
        jsonschema.validate(_as_json(text), schema)
    jsonschema.validate(_as_json(GOOD), schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [("narrative:", "naratives:"), ("value: 20", "value: long"), ("{2026: 90", "{2024: 90"),
     ("from: 2026, ramp", "from: 2020, ramp"), ("ramp: 2", "ramp: 30"), ("for: 2}", "shape: no}")],
)
def test_the_schema_refuses_what_the_reader_refuses(schema: Any, old: str, new: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_as_json(GOOD.replace(old, new, 1)), schema)


def test_schema_describes_every_key_of_a_driver(schema: Any) -> None:
    properties = schema["$defs"]["Driver"]["properties"]
    assert set(properties) == set(module.Driver.model_fields)
    assert all("description" in entry for entry in properties.values())
