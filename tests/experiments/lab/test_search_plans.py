"""Plans of attain, optimise and sensitivity: what is shipped is right, what is wrong is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from kuzbass.cli import main
from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab.attain import wanted_targets
from kuzbass.experiments.lab.attain_causes import Causes
from kuzbass.experiments.lab.attain_plan import AttainPlan
from kuzbass.experiments.lab.levers import model_levers
from kuzbass.experiments.lab.optimise import prepare_optimise
from kuzbass.experiments.lab.optimise_plan import OptimisePlan
from kuzbass.experiments.lab.plan_files import LabPlan, read_plan, schema_text
from kuzbass.experiments.lab.sensitivity import prepare_sensitivity
from kuzbass.experiments.lab.sensitivity_plan import SensitivityPlan
from kuzbass.paths import scenario_dir
from kuzbass.region.scenario import load_scenario
from kuzbass.sd.mdl import Model

KINDS: dict[str, type[LabPlan]] = {
    "attain": AttainPlan, "optimise": OptimisePlan, "sensitivity": SensitivityPlan}
Change = Callable[..., Path]


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """Write a shipped plan with some of its text changed."""

    def make(name: str, *pairs: tuple[str, str]) -> Path:
        text = (scenario_dir() / "plans" / f"{name}.yaml").read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.mark.parametrize("name", KINDS)
def test_a_shipped_plan_fits_the_generated_schema(name: str) -> None:
    folder = scenario_dir() / "plans"
    shipped = (folder / f"{name}.schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(KINDS[name]), \
        f"run python -m kuzbass.experiments.lab.{name}_plan"
    schema = json.loads(shipped)
    jsonschema.Draft202012Validator.check_schema(schema)
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={name}.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), schema)
    assert read_plan(KINDS[name], name)[0].name == name


@pytest.mark.parametrize(("name", "old", "new", "problem", "key"), [
    ("attain", "range: [70, 140]", "range: [140, 70]", "upside down", "world thermal price"),
    ("attain", "factor: [0.8, 1.2]", "factor: [1.1, 1.2]", "outside of its range",
     "steel output Asia"),
    ("attain", "{range: [70, 140],", "{range: [70, 140], factor: [0.5, 2.0],", "one range",
     "world thermal price"),
    ("attain", "regional policy cost: 25.0", "regional policy cost: -1.0", "not allowed",
     "budget"),
    ("attain", "knots: [2025, 2030, 2035]", "knots: [2030, 2025]", "not in order", None),
    ("attain", "knots:", "knot:", "unknown key", "knot"),
    ("attain", "factor: [0.2, 2.2]", "factor: [0.0, 2.2]", "must be positive", "surface"),
    ("attain", "drivers: [world thermal price, world coking price]",
     "drivers: [Russian coal use]", "both axes", "surface"),
    ("optimise", "seeds: [1, 2, 3]", "seeds: []", "not allowed", "seeds"),
    ("optimise", "seeds: [1, 2, 3]", "seeds: [1, 2]", "not allowed", "seeds"),
    ("optimise", "seeds: [1, 2, 3]", "seeds: [1, 2, 2]", "stands twice", None),
    ("optimise", "population: 84", "population: 0", "not allowed", "population"),
    ("optimise", "generations: 60", "generations: 0", "not allowed", "generations"),
    ("optimise", "metrics: [index 2035]", "metrics: [index 2036]", "unknown metric", None),
    ("optimise", "metrics: [index 2035]", "metrics: [index 2035, debt 2035]",
     "what should rise and what should fall", None),
    ("optimise", "epsilon: 0.05", "epsilon: 0.0", "not allowed", "objectives"),
    ("optimise", "range: [0.0, 40.0]", "range: [40.0, 0.0]", "upside down", "levers"),
    ("optimise", "runs: 256", "runs: 0", "not allowed", "futures"),
    ("optimise", "  - {metric: index 2035, at_least: 0.535}",
     "  - {metric: index 2035, at_least: 0.5}\n  - {metric: index 2035, at_most: 0.1}",
     "contradict", None),
    ("sensitivity", "trajectories: 20", "trajectories: 0", "not allowed", "morris"),
    ("sensitivity", "base: 256", "base: 200", "power of two", "sobol"),
    ("sensitivity", "most: 1024", "most: 128", "begins above its end", "sobol"),
    ("sensitivity", "modes_of: GRP", "modes_of: crisis loss", "modes are of no path", None),
    ("sensitivity", "modes_of: GRP", "modes_of: jobs", "modes are of no path", None),
])
def test_a_wrong_plan_is_refused_with_its_place(
    change: Change, name: str, old: str, new: str, problem: str, key: str | None,
) -> None:
    path = change(name, (old, new))
    with pytest.raises(InputError, match=problem) as caught:
        read_plan(KINDS[name], path)
    assert caught.value.file == path
    assert caught.value.allowed
    if key is not None:
        assert key in str(caught.value.key)


@pytest.mark.parametrize(("name", "old", "new", "problem", "allowed"), [
    ("attain", "Brent price:", "Brant price:", "not a driver", "brent price"),
    ("attain", "small business support:", "small business:", "not a lever",
     "small business support"),
    ("attain", "range: [0.0, 0.05]", "range: [0.0, 0.5]", "value out of range", "0 to 0.1"),
    ("attain", "range: [70, 140]", "range: [70, 9000]", "value out of range", "0 to 500"),
])
def test_attain_refuses_causes_that_the_model_does_not_have(
    change: Change, model: Model, name: str, old: str, new: str, problem: str, allowed: str,
) -> None:
    plan, path = read_plan(AttainPlan, change(name, (old, new)))
    with pytest.raises(InputError, match=problem) as caught:
        Causes(plan, path, load_scenario("baseline"), model_interface(model, end=2036.0),
               model_levers(model))
    assert caught.value.file == path
    assert allowed in str(caught.value.allowed)


@pytest.mark.parametrize(("name", "old", "new", "problem"), [
    ("optimise", "retraining programme:", "retraining:", "not a lever"),
    ("optimise", "range: [0.0, 40.0]", "range: [0.0, 400.0]", "lever out of range"),
    ("optimise", "scenario: baseline", "scenario: base", "no such scenario"),
    ("optimise", "shock: as-in-2020", "shock: as-in-1920", "no such shock"),
    ("sensitivity", "of: real GRP index, percent", "of: real GDP index, percent",
     "unknown variable of a metric"),
    ("sensitivity", "loss_in: crisis", "loss_in: crash", "shock"),
    ("sensitivity", "range: [0.0, 40.0]", "range: [0.0, 400.0]", "lever out of range"),
    ("sensitivity", "uncertain: ensemble", "uncertain: certain", "no such plan"),
])
def test_searches_refuse_what_the_model_does_not_have(
    change: Change, model: Model, name: str, old: str, new: str, problem: str,
) -> None:
    prepare: Callable[..., object] = (
        prepare_optimise if name == "optimise" else prepare_sensitivity)
    plan, path = read_plan(KINDS[name], change(name, (old, new)))
    with pytest.raises(InputError, match=problem):
        prepare(plan, path, model)


def test_a_scenario_without_targets_is_refused() -> None:
    with pytest.raises(InputError, match="no targets") as caught:
        wanted_targets(load_scenario("baseline"))
    assert "s1-coal-paradigm" in str(caught.value.allowed)
    assert "strategy-395" in str(caught.value.allowed)


def test_the_official_strategy_has_one_target() -> None:
    table = wanted_targets(load_scenario("strategy-395"))
    assert table[["variable", "year", "low", "high"]].to_numpy().tolist() == [
        ["coal output", 2035, 395.0, 395.0]]
    assert len(wanted_targets(load_scenario("s2-interregional"))) == 27


@pytest.mark.parametrize("command", [["attain", "s1-coal-paradigm", "--plan"], ["optimise"],
                                     ["sensitivity"]])
def test_the_command_line_ends_with_2_and_writes_nothing(
    change: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str],
) -> None:
    path = change(command[0], ("narrative:", "story:"))
    with pytest.raises(SystemExit) as caught:
        main([*command, str(path), "--out", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert "unknown key" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [path]
