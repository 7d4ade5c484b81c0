"""Plans of `kuzbass optimise`: levers, objectives, limits, and how the search is done.

The pydantic models below are the only definition of the format; the JSON schema for editors is
made from them (``python -m kuzbass.experiments.lab.optimise_plan``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuzbass.errors import InputError
from kuzbass.experiments.lab.attain_plan import MovedLever
from kuzbass.experiments.lab.metrics import Metric, Threshold, contradiction, find_metrics
from kuzbass.experiments.lab.plan import Sampling, ShockChoice
from kuzbass.experiments.lab.plan_files import LabPlan, Strict, Text, refusal, schema_text
from kuzbass.region.scenario import FIRST_YEAR, LAST_YEAR
from kuzbass.sd.sampling import Number

__all__ = ["DEFAULT_PLAN", "Objective", "OptimisePlan"]

DEFAULT_PLAN = "optimise"
Year = Annotated[int, Field(strict=True, ge=FIRST_YEAR, le=LAST_YEAR)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]


class Objective(Strict):
    """A metric, or the sum of several, that the search makes as good as it can."""

    metrics: tuple[Text, ...] = Field(min_length=1, description="standard metrics, or those of "
                                      "define; several are summed")
    epsilon: Annotated[Number, Field(gt=0.0)] = Field(
        description="differences below this do not matter, in the unit of the metric")


class OptimisePlan(LabPlan):
    """One plan of `kuzbass optimise` as it stands on disk."""

    scenario: Text
    levers: dict[str, MovedLever] = Field(min_length=1)
    start: Year = Field(2026, description="first year of the levers")
    ramp: Annotated[Number, Field(ge=0.0, le=20.0)] = 2.0
    objectives: dict[str, Objective] = Field(min_length=2)
    limits: tuple[Threshold, ...] = Field((), description="what every solution must meet")
    define: dict[str, Metric] = Field(default_factory=dict, description="further metrics")
    shocks: dict[str, ShockChoice] = Field(default_factory=dict)
    algorithm: Literal["unsga3", "nsga3", "nsga2"] = "unsga3"
    population: Annotated[int, Field(strict=True, ge=8, le=10_000)]
    generations: Annotated[int, Field(strict=True, ge=1, le=10_000)]
    seeds: tuple[Seed, ...] = Field(min_length=3, description="one search each; three at least, "
                                    "for one proves nothing")
    futures: Sampling = Field(description="futures in which the front is evaluated again")
    again: Annotated[int, Field(strict=True, ge=2, le=1000)] = Field(
        40, description="solutions of the front that are evaluated again, at most")
    satisfied: tuple[Threshold, ...] = Field(
        (), description="what counts as good enough in a future, all together")
    until: Annotated[int, Field(strict=True, ge=2026, le=LAST_YEAR)] = 2035

    @model_validator(mode="after")
    def _fits(self) -> OptimisePlan:
        if len(set(self.seeds)) < len(self.seeds):
            raise refusal("a seed stands twice", "each seed once", list(self.seeds))
        metrics = self.metrics
        for own in (self.limits, self.satisfied):
            both = contradiction(own, metrics)
            if both is not None:
                raise refusal("the thresholds contradict each other", "thresholds that one run "
                              "can meet together", " and ".join(one.told() for one in both))
        for name, one in self.objectives.items():
            ways = {metrics[metric].better for metric in one.metrics}
            if len(ways) > 1:
                raise refusal("a sum of what should rise and what should fall",
                              "metrics of one direction", name)
        return self

    @property
    def metrics(self) -> dict[str, Metric]:
        """All metrics that are needed, by name."""
        names = [name for one in self.objectives.values() for name in one.metrics]
        names += [one.metric for one in (*self.limits, *self.satisfied)]
        try:
            return find_metrics(tuple(dict.fromkeys(names)), self.define)
        except InputError as error:
            raise refusal(error.problem, error.allowed or "", error.value) from None


if __name__ == "__main__":
    print(schema_text(OptimisePlan), end="")
