"""`kuzbass policy`: twins, dominance, the ranked summary and what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.experiments.lab import policy as experiment
from kuzbass.experiments.lab.plan import PolicyPlan, load_plan
from kuzbass.experiments.lab.policy import PolicyResult, policy, policy_lines
from kuzbass.report.lab_figures import write_policy
from kuzbass.sd.mdl import Model

Write = Callable[..., Path]
METRICS = ["index 2035", "GRP 2035", "regional cost", "loss in a crisis"]


@dataclass(frozen=True)
class Done:
    result: PolicyResult
    folder: Path


@pytest.fixture(scope="module")
def done(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Two policies in two scenarios, calm and in a crisis."""
    place = tmp_path_factory.mktemp("policy")
    source, _ = load_plan(PolicyPlan, "policy")
    levers = {name: source.policies[name] for name in ("people", "machine-building")}
    data = source.model_dump(mode="json", by_alias=True, exclude={"policies", "policies_of"})
    data |= {"name": "mine", "scenarios": ["baseline", "s2-interregional"], "metrics": METRICS,
             "thresholds": [{"metric": "GRP 2035", "at_least": 1.0},
                            {"metric": "index 2035", "at_least": 1e6}],
             "policies": {name: one.model_dump(mode="json", by_alias=True)
                          for name, one in levers.items()}}
    for one in data["thresholds"]:
        one.setdefault("at_most", None)
    file = place / "mine.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML too
    plan, path = load_plan(PolicyPlan, file)
    out = place / "out"
    result = policy(plan, path, out=out, draw=write_policy, model=model, command="test")
    return Done(result, out)


def test_every_policy_stands_in_every_scenario_and_shock(done: Done) -> None:
    table = done.result.metrics
    assert len(table) == 2 * 2 * 3 * len(METRICS)
    assert table["value"].notna().all()
    assert list(dict.fromkeys(table["policy"])) == ["none", "people", "machine-building"]


def test_differences_are_those_from_the_twin(done: Done) -> None:
    table = done.result.metrics
    none = table[table["policy"] == "none"]
    assert (none["difference"] == 0.0).all()
    twin = none.set_index(["scenario", "shock", "metric"])["value"]
    own = table.set_index(["scenario", "shock", "metric"])
    np.testing.assert_array_equal(own["twin"], twin.reindex(own.index))
    np.testing.assert_allclose(own["difference"], own["value"] - own["twin"])
    # A cost that rises is a loss, an index that rises a gain.
    sign = np.where(own["better"] == "more", 1.0, -1.0)
    assert (np.sign(own["gain"]) == np.sign(sign * own["difference"])).all()
    assert own["gain"].abs().max() <= 1.0


def test_nothing_is_free(done: Done) -> None:
    """Whatever a policy brings, the budget pays for it; without policy nothing is paid."""
    table = done.result.metrics
    cost = table[(table["metric"] == "regional cost") & (table["shock"] == "none")]
    cost = cost.set_index(["scenario", "policy"])["value"]
    assert cost[("baseline", "none")] == pytest.approx(0.0, abs=1e-9)
    assert cost[("baseline", "people")] > 1.0
    assert cost[("baseline", "machine-building")] > 0.0


def test_a_crisis_costs_output_and_its_loss_is_that_between_the_twins(done: Done) -> None:
    table = done.result.trajectories
    grp = table[(table["variable"] == "real GRP index") & (table["scenario"] == "baseline")]
    grp = grp.set_index(["policy", "shock", "year"])["value"]
    years = range(2028, 2033)
    losses = [100.0 * (1.0 - grp[("people", "crisis", y)] / grp[("people", "none", y)])
              for y in years]
    metrics = done.result.metrics.set_index(["scenario", "shock", "policy", "metric"])["value"]
    assert metrics[("baseline", "none", "people", "loss in a crisis")] == pytest.approx(
        sum(losses), rel=1e-9)
    assert sum(losses) > 0.0


def test_thresholds_are_judged_where_there_are_any(done: Done) -> None:
    meets = done.result.metrics.groupby("metric")["meets"]
    assert meets.get_group("GRP 2035").all()
    assert not meets.get_group("index 2035").any()
    assert meets.get_group("regional cost").isna().all()


def test_the_summary_is_ranked_by_the_mean_performance(done: Done) -> None:
    summary, metrics = done.result.summary, done.result.metrics
    assert list(summary["rank"]) == [1, 2, 3]
    assert summary["score"].is_monotonic_decreasing
    calm = metrics[metrics["shock"] == "none"].copy()
    sign = np.where(calm["better"] == "more", 1.0, -1.0)
    calm["oriented"] = sign * calm["value"]
    groups = calm.groupby(["scenario", "metric"])["oriented"]
    low, span = groups.transform("min"), groups.transform("max") - groups.transform("min")
    calm["performance"] = np.where(span > 0.0, (calm["oriented"] - low) / span, 1.0)
    expected = calm.groupby("policy")["performance"].mean()
    own = summary.set_index("policy")["score"]
    np.testing.assert_allclose(own, expected[own.index], atol=1e-6)


def test_a_dominated_policy_is_named(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(done.result.dominance["dominated_by"]) <= {"", "none", "people",
                                                          "machine-building"}
    monkeypatch.setattr(experiment, "pareto", lambda performance: [None, 0, 1])
    summary = done.result.summary.assign(dominated_by=["", "none", "people"])
    told = policy_lines(PolicyResult(**{**vars(done.result), "summary": summary}))
    assert told[1].endswith("dominated by none")


def test_what_is_written(done: Done) -> None:
    names = {path.relative_to(done.folder).as_posix() for path in done.folder.rglob("*")
             if path.is_file()}
    assert names >= {"metrics.csv", "summary.csv", "dominance.csv", "trajectories.csv",
                     "report.html", "manifest.json", "figures/trade-offs-baseline.png",
                     "figures/cost-and-effect.svg", "figures/index-paths.png"}
    manifest = json.loads((done.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["plan"]["name"] == "mine"
    assert set(manifest["scenarios"]) == {"baseline", "s2-interregional"}
    table = pd.read_csv(done.folder / "metrics.csv", keep_default_na=False)
    assert list(table["policy"].unique()) == ["none", "people", "machine-building"]
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<figure ") == 4
    assert "Retraining and small business" in page
    for address in ("http://", "https://", "<script"):
        assert address not in page.replace("http://www.w3.org", "")
