"""Plans of policy experiments: packages of levers, metrics, thresholds, shocks, funding, futures.

The pydantic models below are the only definition of the format; the JSON schemas for editors are
made from them (``python -m kuzbass.experiments.lab.plan policy`` or ``robust``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, model_validator

from kuzbass.errors import InputError, nearest
from kuzbass.experiments.lab.metrics import (
    STANDARD,
    Metric,
    Threshold,
    contradiction,
    find_metrics,
)
from kuzbass.experiments.lab.plan_files import (
    LabPlan,
    Strict,
    Text,
    Title,
    check_plan,
    read_plan,
    refusal,
    schema_text,
)
from kuzbass.region.data import read_table
from kuzbass.region.scenario import ASSUMPTION, FIRST_YEAR, LAST_YEAR, Policy
from kuzbass.sd.sampling import Method, Number

__all__ = ["NONE", "Boxes", "Failure", "Funding", "Package", "PolicyPlan", "RobustPlan",
           "Sampling", "ShockChoice", "change_plan", "load_plan"]

NONE = "none"  # the policy in which nothing is done beyond the scenario; every plan has it
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Share = Annotated[Number, Field(gt=0.0, le=1.0)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
P = TypeVar("P", bound="PolicyPlan")


class Package(Strict):
    """A policy: levers that are moved together."""

    title: Title
    levers: dict[str, Policy] = Field(min_length=1, description="lever: value, from, ramp, basis "
                                      "(a source_id of sources.csv or 'assumption'), why")


class ShockChoice(Strict):
    """A shock under which policies are tried."""

    shock: Text = Field(description="name or path of a shock file")
    start: Annotated[Number, Field(ge=FIRST_YEAR, lt=LAST_YEAR)] | None = Field(
        None, alias="from", description="when it begins, instead of what the file says")


class Funding(Strict):
    """What a policy may cost in the central future; a plan that goes beyond is refused."""

    regional_share: Share = Field(description="largest cost to the regional budget in a year, as "
                                  "a share of its own revenue")
    added_debt: Share = Field(description="largest regional debt beyond that of the twin without "
                              "policy, as a share of own revenue")
    federal: Annotated[Number, Field(ge=0.0)] = Field(
        description="largest cost to the federal budget in a year, bn RUB")


class PolicyPlan(LabPlan):
    """Policies x scenarios x shocks, in the central future."""

    scenarios: tuple[Text, ...] = Field(("baseline",), min_length=1,
                                        description="names or files of scenarios")
    policies: dict[Name, Package] = Field(
        default_factory=dict, description="policies by name; the twin without policy, 'none', is "
        "always there")
    policies_of: Text | None = Field(
        None, description="another plan, beside this one or shipped, whose policies are taken")
    metrics: tuple[Text, ...] = Field(
        tuple(STANDARD), min_length=1, description="standard metrics, or those of define")
    define: dict[str, Metric] = Field(default_factory=dict, description="further metrics")
    shocks: dict[str, ShockChoice] = Field(default_factory=dict)
    funding: Funding
    thresholds: tuple[Threshold, ...] = Field(
        (), description="what a policy should reach, all together")
    until: Annotated[int, Field(strict=True, ge=2026, le=LAST_YEAR)] = Field(
        2035, description="last year of the runs")

    @model_validator(mode="after")
    def _fits(self) -> PolicyPlan:
        if bool(self.policies) == (self.policies_of is not None):
            raise refusal("a plan needs policies", "either policies, at least one, or policies_of")
        if NONE in self.policies:
            raise refusal("this name is taken by the twin without policy", "another name", NONE)
        for name in self.define:
            if name in STANDARD:
                raise refusal("this name is taken by a standard metric", "another name", name)
        metrics = self._metrics((*self.metrics, *self._judged()))
        for one in self.thresholds:
            if one.metric not in self.metrics:
                raise refusal("a threshold on a metric that is not in the plan",
                               ", ".join(self.metrics), one.metric)
        both = contradiction(self.thresholds, metrics)
        if both is not None:
            raise refusal("the thresholds contradict each other", "thresholds that one run can "
                           "meet together", " and ".join(one.told() for one in both))
        return self

    def _judged(self) -> tuple[str, ...]:
        """Return metrics that are asked for outside of `metrics`."""
        return ()

    def _metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        try:
            return find_metrics(tuple(dict.fromkeys(names)), self.define)
        except InputError as error:
            raise refusal(error.problem, str(error.allowed), error.value) from None

    @property
    def all_metrics(self) -> dict[str, Metric]:
        """All metrics of the plan by name."""
        return find_metrics(tuple(dict.fromkeys((*self.metrics, *self._judged()))), self.define)


class Sampling(Strict):
    """How many futures, and how they are sampled."""

    plan: Text = Field("ensemble", description="plan of an ensemble: what varies, in which ranges")
    runs: Count = Field(description="number of futures; of a Sobol sequence a power of two")
    method: Method = "sobol"
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0


class Failure(Threshold):
    """The futures that are looked for: those in which the metric is at most or at least so much."""


class Boxes(Strict):
    """How scenario discovery looks for boxes (Bryant and Lempert 2010)."""

    policies: tuple[Text, ...] = Field((NONE,), min_length=1)
    factors: Count = Field(12, description="only so many factors, those that tell failures from "
                           "other futures best")
    peel: Share = Field(0.05, description="share of the box that a step of PRIM peels off")
    mass: Share = Field(0.05, description="smallest share of the futures in a box")
    coverage: Share = Field(0.8, description="the box of a front that is told: the densest with "
                            "this coverage")
    quasi_p: Share = Field(0.05, description="restrictions with a larger quasi-p are dropped")
    failures: dict[str, Failure] = Field(min_length=1)


class RobustPlan(PolicyPlan):
    """Policies in many futures."""

    futures: Sampling | None = None
    headline: Text = Field("index 2035", description="the metric by which policies are ranked")
    quantile: Share = Field(0.1, description="the percentile metric of robustness")
    boxes: Boxes

    def _judged(self) -> tuple[str, ...]:
        return tuple(one.metric for one in self.boxes.failures.values())

    @model_validator(mode="after")
    def _headline(self) -> RobustPlan:
        if self.futures is None:
            raise refusal("a plan with no futures", "futures: {runs: 2048}")
        if self.headline not in self.metrics:
            raise refusal("the headline is no metric of the plan", ", ".join(self.metrics),
                           self.headline)
        if not self.thresholds:
            raise refusal("nothing to satisfy", "at least one threshold")
        return self


def load_plan(kind: type[P], given: str | Path) -> tuple[P, Path]:
    """Read a plan; policies of another plan are put in their place.

    Raises
    ------
    InputError
        One message with file, key, value and what is allowed.
    """
    plan, path = read_plan(kind, given)
    if plan.policies_of is not None:
        beside = path.parent / f"{plan.policies_of}.yaml"
        other, source = load_plan(PolicyPlan, beside if beside.exists() else plan.policies_of)
        if other.policies_of is not None:
            raise InputError("takes its policies from a further plan", file=source,
                             key="policies_of", value=other.policies_of, allowed="policies")
        # Checked already, in its own file.
        return plan.model_copy(update={"policies": other.policies}), path
    _check_basis(plan, path)
    return plan, path


def change_plan(plan: P, path: Path, changes: Mapping[str, object]) -> P:
    """Return `plan` with other values, checked anew; keys may be dotted, ``None`` changes nothing.

    Raises
    ------
    InputError
    """
    data = plan.model_dump(mode="python", by_alias=True, exclude={"policies"})
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = data
        for parent in parents:
            place = place[parent]
        if value is not None:
            place[last] = value
    own = plan.model_dump(mode="python", by_alias=True, include={"policies"})
    if plan.policies_of is None:
        return check_plan(type(plan), {**data, **own}, path)
    return check_plan(type(plan), data, path).model_copy(update={"policies": plan.policies})


def _check_basis(plan: PolicyPlan, path: Path) -> None:
    """Refuse a number that claims a source which the data package does not have."""
    known = {ASSUMPTION, *read_table("sources.csv")["source_id"]}
    for name, package in plan.policies.items():
        for lever, one in package.levers.items():
            if one.basis not in known:
                close = nearest(one.basis, known, 1)
                raise InputError("unknown source", file=path, value=one.basis,
                                 key=f"policies.{name}.levers.{lever}.basis",
                                 allowed="'assumption' or a source_id of sources.csv"
                                 + (f", such as {close[0]}" if close else ""))


if __name__ == "__main__":
    print(schema_text(RobustPlan if sys.argv[1:] == ["robust"] else PolicyPlan), end="")
