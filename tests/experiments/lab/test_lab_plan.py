"""Plans of the policy lab: the shipped ones, and what is refused before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from kuzbass.cli import main
from kuzbass.errors import InputError
from kuzbass.experiments.lab.plan import PolicyPlan, RobustPlan, change_plan, load_plan
from kuzbass.experiments.lab.plan_files import schema_text
from kuzbass.experiments.lab.study import prepare
from kuzbass.paths import scenario_dir
from kuzbass.sd.mdl import Model

Write = Callable[..., Path]
KINDS = {"policy": PolicyPlan, "robust": RobustPlan}


@pytest.mark.parametrize("name", KINDS)
def test_the_shipped_plans_fit_their_schemas(name: str) -> None:
    folder = scenario_dir() / "plans"
    shipped = (folder / f"{name}.schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(KINDS[name]), f"python -m kuzbass.experiments.lab.plan {name}"
    schema = json.loads(shipped)
    jsonschema.Draft202012Validator.check_schema(schema)
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={name}.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), schema)


def test_the_shipped_plans_have_what_the_lab_promises() -> None:
    policy, _ = load_plan(PolicyPlan, "policy")
    assert len(policy.policies) >= 9  # and the twin without policy
    assert any(len(one.levers) == 1 for one in policy.policies.values())
    assert sum(len(one.levers) >= 4 for one in policy.policies.values()) >= 3
    assert policy.shocks
    robust, _ = load_plan(RobustPlan, "robust")
    assert robust.policies == policy.policies
    assert robust.futures is not None
    assert robust.futures.runs >= 2000
    bounds = {(case.metric, case.at_most) for case in robust.boxes.failures.values()}
    assert ("lowest index", 0.0) in bounds
    assert ("lowest index against 2019", 0.0) in bounds


def test_the_shipped_policies_fit_the_model_and_are_funded(model: Model) -> None:
    plan, file = load_plan(PolicyPlan, "policy")
    study = prepare(change_plan(plan, file, {"scenarios": ["baseline"]}), file, model=model)
    assert list(study.policies) == ["none", *plan.policies]


@pytest.mark.parametrize(("change", "message"), [
    (("metrics: [index 2035", "metrics: [index 2053"),
     "unknown metric (found: index 2053; allowed: index 2035"),
    (("{metric: GRP 2035, at_least: 90.0}", "{metric: GRP 2035, at_least: 90.0}, "
      "{metric: GRP 2035, at_most: 80.0}"), "the thresholds contradict each other (found: GRP 2035 "
     "at least 90 and GRP 2035 at most 80"),
    (("{metric: GRP 2035, at_least", "{metric: debt 2035, at_least"),
     "a threshold on a metric that is not in the plan (found: debt 2035"),
    (("at_least: 90.0", "at_least: .nan"), "thresholds.0.at_least: not allowed"),
    (("  firms:", "  none:"), "this name is taken by the twin without policy"),
    (("ramp: 2.0", "rmap: 2.0"), "unknown key (found: rmap; allowed: ramp"),
    (("metrics:", "metrisc:"), "metrisc: unknown key (found: metrisc; allowed: metrics"),
    (("value: 0.02", "value: much"), "value: not allowed"),
    (("from: 2027", "from: 1999"), "not allowed"),
    (("basis: assumption, why: Made up.}\n  reserve", "basis: ROSSTAT, why: Made up.}\n  reserve"),
     "basis: unknown source (found: ROSSTAT; allowed: 'assumption' or a source_id"),
    (("regional_share: 0.1", "regional_share: 1.5"), "funding.regional_share: not allowed"),
    (("name: mine", "name: yours"), "name: the name is not that of the file (found: yours"),
])
def test_broken_plans_are_refused(write: Write, change: tuple[str, str], message: str) -> None:
    path = write(change)
    with pytest.raises(InputError) as caught:
        load_plan(PolicyPlan, path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(("changes", "message"), [
    ([("futures: {runs: 24, method: latin-hypercube, seed: 3}\n", "")], "a plan with no futures"),
    ([("runs: 24", "runs: 0")], "futures.runs: not allowed (found: 0"),
    ([("thresholds: [{metric: GRP 2035, at_least: 90.0}]\n", "")], "nothing to satisfy"),
    ([("futures:", "headline: debt 2035\nfutures:")],
     "the headline is no metric of the plan (found: debt 2035"),
    ([("low: {metric: index 2035", "low: {metric: index 2053")], "unknown metric"),
    ([("boxes: {failures: {low: {metric: index 2035, at_most: 0.0}}}", "boxes: {failures: {}}")],
     "boxes.failures: not allowed"),
])
def test_broken_plans_of_futures_are_refused(
    write: Write, changes: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_plan(RobustPlan, write(*changes, robust=True))
    assert message in str(caught.value)


@pytest.mark.parametrize(("changes", "message"), [
    ([("value: 0.02", "value: 0.5")], "policies.firms.levers.small business support.value: lever "
     "out of range (found: 0.5; allowed: 0 to 0.1 1/year)"),
    ([("small business support", "small busines support")],
     "not a lever (found: small busines support; allowed: for example small business support"),
    ([("small business support", "foreign demand multiplier")], "not a lever"),
    ([("regional_share: 0.1", "regional_share: 0.0001")], "policies.firms: unfunded: beyond the "
     "regional_share of the plan in baseline"),
    ([("added_debt: 0.25", "added_debt: 0.0001")], "unfunded: beyond the added_debt of the plan"),
    ([("small business support: {value: 0.02", "local value chain programme: {value: 99.0"),
      ("regional_share: 0.1", "regional_share: 0.9"), ("added_debt: 0.25", "added_debt: 1.0")],
     "unfunded: beyond the federal of the plan in baseline"),
    ([("[index 2035, GRP", "[index 2035, loss in a crisis, GRP")],
     "metrics.loss in a crisis: asks for a shock that the plan does not have (found: crisis"),
    ([("metrics:", "shocks: {crisis: {shock: as-in-2021}}\nmetrics:")], "no such shock"),
    ([("metrics:", "until: 2030\nmetrics:")], "metrics.index 2035: years outside of the runs "
     "(found: 2035 to 2035; allowed: 2000 to 2030)"),
    ([("[index 2035, GRP", "[mine, GRP"),
      ("funding:", "define: {mine: {of: coal, better: less}}\nfunding:")],
     "metrics.mine: unknown variable of a metric (found: coal"),
    ([("[baseline]", "[basline]")], "no such scenario"),
])
def test_plans_that_do_not_fit_the_model_are_refused(
    write: Write, model: Model, changes: list[tuple[str, str]], message: str
) -> None:
    plan, file = load_plan(PolicyPlan, write(*changes))
    with pytest.raises(InputError) as caught:
        prepare(plan, file, model=model)
    assert message in str(caught.value)


@pytest.mark.parametrize(("command", "change"), [
    ("policy", ("value: 0.02", "value: 0.5")),
    ("policy", ("regional_share: 0.1", "regional_share: 0.0001")),
    ("policy", ("metrics: [index 2035", "metrics: [index 2053")),
    ("robust", ("futures: {runs: 24, method: latin-hypercube, seed: 3}\n", "")),
])
def test_a_refusal_ends_with_two_and_leaves_nothing(
    write: Write, tmp_path: Path, command: str, change: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(change, robust=command == "robust")
    before = set(tmp_path.iterdir())
    with pytest.raises(SystemExit) as caught:
        main([command, str(path), "--out", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert set(tmp_path.iterdir()) == before


def test_policies_of_another_plan(write: Write) -> None:
    source = write(name="source")
    body = source.read_text(encoding="utf-8").partition("policies:")[0]
    path = source.with_name("mine.yaml")
    path.write_text(body.replace("name: source", "name: mine") + "policies_of: source\n",
                    encoding="utf-8")
    plan, file = load_plan(PolicyPlan, path)
    assert list(plan.policies) == ["firms", "reserve"]
    assert list(change_plan(plan, file, {"until": 2040}).policies) == ["firms", "reserve"]
    path.write_text(path.read_text(encoding="utf-8") + "policies: {}\n", encoding="utf-8")
    assert load_plan(PolicyPlan, path)[0].policies
    path.write_text(body.replace("name: source", "name: mine"), encoding="utf-8")
    with pytest.raises(InputError, match="a plan needs policies"):
        load_plan(PolicyPlan, path)


def test_changes_of_a_plan_are_checked(write: Write) -> None:
    plan, file = load_plan(RobustPlan, write(robust=True))
    changed = change_plan(plan, file, {"futures.runs": 64, "futures.seed": None})
    assert changed.futures is not None
    assert (changed.futures.runs, changed.futures.seed) == (64, 3)
    with pytest.raises(InputError, match=r"futures\.runs: not allowed"):
        change_plan(plan, file, {"futures.runs": -1})
