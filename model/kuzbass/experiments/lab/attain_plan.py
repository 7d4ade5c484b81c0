"""Plans of `kuzbass attain`: which causes may move, how far, and within which budget.

The pydantic models below are the only definition of the format; the JSON schema for editors is
made from them (``python -m kuzbass.experiments.lab.attain_plan``).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from kuzbass.experiments.lab.plan_files import LabPlan, Strict, Text, refusal, schema_text
from kuzbass.region.scenario import FIRST_YEAR, LAST_YEAR
from kuzbass.sd.sampling import Number

__all__ = ["DEFAULT_PLAN", "AttainPlan", "MovedDriver", "MovedLever", "SurfaceAxis", "SurfacePlan"]

DEFAULT_PLAN = "attain"
Range = tuple[Number, Number]
Year = Annotated[int, Field(strict=True, ge=FIRST_YEAR, le=LAST_YEAR)]


def _upright(given: Range) -> None:
    if not given[0] < given[1]:
        raise refusal("the range is upside down or empty", "[low, high]", list(given))


class MovedDriver(Strict):
    """A driver that may leave its path, by a factor at every knot."""

    range: Range | None = Field(None, description="lowest and highest plausible value at the end "
                                "of the model's own path, in the unit of the driver")
    factor: Range | None = Field(None, description="lowest and highest factor on the path")
    why: Text = Field(description="where the range comes from")

    @model_validator(mode="after")
    def _check(self) -> MovedDriver:
        given = self.range or self.factor
        if (self.range is None) == (self.factor is None) or given is None:
            raise refusal("a driver needs one range", "either range or factor")
        _upright(given)
        if self.factor is not None and not self.factor[0] <= 1.0 <= self.factor[1]:
            raise refusal("the path itself lies outside of its range", "low <= 1 <= high",
                          list(given))
        return self


class MovedLever(Strict):
    """A lever and the values that it may take."""

    range: Range = Field(description="lowest and highest value, in the unit of the lever")
    why: Text = Field(description="where the range comes from")

    @model_validator(mode="after")
    def _check(self) -> MovedLever:
        _upright(self.range)
        return self


class SurfaceAxis(Strict):
    """Drivers that move together by one factor, and how many values of it are run."""

    drivers: tuple[Text, ...] = Field(min_length=1)
    factor: Range
    steps: Annotated[int, Field(strict=True, ge=2, le=101)]

    @model_validator(mode="after")
    def _check(self) -> SurfaceAxis:
        _upright(self.factor)
        if self.factor[0] <= 0.0:
            raise refusal("a factor must be positive", "above 0", self.factor[0])
        return self


class SurfacePlan(Strict):
    """The response surface of the index over coal output and price."""

    scenario: Text
    demand: SurfaceAxis
    price: SurfaceAxis

    @model_validator(mode="after")
    def _check(self) -> SurfacePlan:
        twice = set(self.demand.drivers) & set(self.price.drivers)
        if twice:
            raise refusal("a driver stands on both axes", "each driver once", min(twice))
        return self


class AttainPlan(LabPlan):
    """One plan of `kuzbass attain` as it stands on disk."""

    knots: tuple[Year, ...] = Field((2025, 2030, 2035), min_length=1, description="years whose "
                                    "factor on the path of a driver is free; lines between")
    drivers: dict[str, MovedDriver] = Field(default_factory=dict)
    levers: dict[str, MovedLever] = Field(default_factory=dict)
    start: Year = Field(2026, description="first year of a lever that the scenario does not use")
    ramp: Annotated[Number, Field(ge=0.0, le=20.0)] = Field(
        2.0, description="years until such a lever is reached")
    budget: dict[str, Annotated[Number, Field(ge=0.0)]] = Field(
        default_factory=dict, description="variable of the model: most that it may be on average "
        "from the first year of levers to 2035")
    onto: dict[str, Text] = Field(
        default_factory=dict, description="scenario whose targets are asked for: scenario from "
        "which the change is counted, if not itself")
    surface: SurfacePlan

    @model_validator(mode="after")
    def _check(self) -> AttainPlan:
        if not (self.drivers or self.levers):
            raise refusal("nothing may move", "drivers, levers, or both")
        if list(self.knots) != sorted(set(self.knots)):
            raise refusal("the knots are not in order", "rising years, each once",
                          list(self.knots))
        return self


if __name__ == "__main__":
    print(schema_text(AttainPlan), end="")
