"""Plans of `kuzbass sensitivity`: factors, outputs, and how they are screened and decomposed.

The pydantic models below are the only definition of the format; the JSON schema for editors is
made from them (``python -m kuzbass.experiments.lab.sensitivity_plan``).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from kuzbass.experiments.lab.attain_plan import MovedLever
from kuzbass.experiments.lab.metrics import Metric
from kuzbass.experiments.lab.plan import ShockChoice
from kuzbass.experiments.lab.plan_files import LabPlan, Strict, Text, refusal, schema_text
from kuzbass.region.scenario import FIRST_YEAR, LAST_YEAR
from kuzbass.sd.sampling import Number

__all__ = ["DEFAULT_PLAN", "Morris", "Output", "SensitivityPlan", "Sobol"]

DEFAULT_PLAN = "sensitivity"
Year = Annotated[int, Field(strict=True, ge=FIRST_YEAR, le=LAST_YEAR)]
Share = Annotated[Number, Field(gt=0.0, lt=1.0)]


class Output(Strict):
    """A path whose variance is explained year by year."""

    of: Text = Field(description="a variable of the model, or 'resilience index'")
    percent_of: Annotated[int, Field(strict=True)] | None = Field(
        None, description="a year of the same run that is 100")
    loss_in: Text | None = Field(None, description="a shock of the plan: the loss against the "
                                 "same run without it, in percent, from its first year on")


class Morris(Strict):
    """The screening by elementary effects."""

    trajectories: Annotated[int, Field(strict=True, ge=4, le=1000)] = 20
    levels: Annotated[int, Field(strict=True, ge=4, le=20, multiple_of=2)] = 4
    keep: Share = Field(0.05, description="a factor survives if its mu* is above this share of "
                        "the largest in any output")
    most: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        12, description="survivors at most, the strongest first")


class Sobol(Strict):
    """The decomposition of variance over the survivors."""

    base: Annotated[int, Field(strict=True, ge=8)] = Field(
        256, description="points of the base sample to begin with, a power of two")
    most: Annotated[int, Field(strict=True, ge=8)] = Field(
        1024, description="points at which doubling ends, a power of two")
    halfwidth: Share = Field(0.05, description="doubling ends when no confidence interval of a "
                             "total effect is wider than plus and minus this")
    resamples: Annotated[int, Field(strict=True, ge=10, le=10_000)] = 200

    @model_validator(mode="after")
    def _check(self) -> Sobol:
        for size in (self.base, self.most):
            if size & (size - 1):
                raise refusal("not a possible base sample", "a power of two", size)
        if self.base > self.most:
            raise refusal("the base sample begins above its end", f"base up to {self.most}",
                          self.base)
        return self


class SensitivityPlan(LabPlan):
    """One plan of `kuzbass sensitivity` as it stands on disk."""

    scenario: Text
    uncertain: Text = Field("ensemble", description="plan of an ensemble: which parameters and "
                            "drivers vary, and in which ranges")
    levers: dict[str, MovedLever] = Field(default_factory=dict)
    start: Year = Field(2026, description="first year of the levers")
    ramp: Annotated[Number, Field(ge=0.0, le=20.0)] = 2.0
    outputs: dict[str, Output] = Field(min_length=1)
    shocks: dict[str, ShockChoice] = Field(default_factory=dict)
    years: tuple[Year, Year] = Field((2025, 2035), description="first and last year of paths")
    loss_years: Annotated[int, Field(strict=True, ge=1, le=20)] = Field(
        6, description="years of a loss, from that of the shock on")
    modes_of: Text = Field(description="the output whose behaviour modes are told apart")
    morris: Morris = Morris()
    sobol: Sobol = Sobol()
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _check(self) -> SensitivityPlan:
        if not self.years[0] < self.years[1]:
            raise refusal("the years are upside down", "[first, last]", list(self.years))
        if self.modes_of not in self.outputs or self.outputs[self.modes_of].loss_in is not None:
            raise refusal("the modes are of no path of the plan", "an output without loss_in: "
                          + ", ".join(name for name, one in self.outputs.items()
                                      if one.loss_in is None), self.modes_of)
        return self

    def metrics(self) -> dict[str, tuple[str, int, Metric]]:
        """Return output, year (or years since the shock) and metric by the name of a column."""
        columns = {}
        for name, one in self.outputs.items():
            years = range(self.loss_years) if one.loss_in is not None else range(
                self.years[0], self.years[1] + 1)
            for year in years:
                metric = Metric(of=one.of, better="more", years=(year,),
                                percent_of=one.percent_of, loss_in=one.loss_in)
                columns[f"{name} {year}"] = (name, year, metric)
        return columns


if __name__ == "__main__":
    print(schema_text(SensitivityPlan), end="")
