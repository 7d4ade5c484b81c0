"""Plans of ensembles: which factors are uncertain, by how much, and how they are sampled.

The pydantic models below are the only definition of the format; the JSON schema for editors is
made from them (``python -m kuzbass.experiments.ensemble_plan``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from kuzbass.errors import InputError, nearest
from kuzbass.paths import scenario_dir
from kuzbass.region.scenario import LAST_YEAR, Strict, Text, Title, load_yaml, refusal
from kuzbass.sd.sampling import AnyDistribution, Correlation, Method, Number

__all__ = ["DEFAULT_PLAN", "Plan", "UncertainDriver", "UncertainParameter", "change_plan",
           "json_schema", "load_plan"]

DEFAULT_PLAN = "ensemble"
Year = Annotated[int, Field(strict=True, ge=2000, le=LAST_YEAR)]
Range = tuple[Number, Number]


class UncertainParameter(Strict):
    """A constant whose value is not known for sure."""

    within: Annotated[Number, Field(gt=0.0, le=1.0)] | None = Field(
        None, description="uniform within this share of the value in the model file, cut to the "
        "range there; 0.1 is plus and minus ten percent")
    spread: AnyDistribution | None = Field(None, description="a distribution, in the unit of the "
                                           "constant")
    why: Text = Field(description="why it is uncertain")

    @model_validator(mode="after")
    def _one_way(self) -> UncertainParameter:
        if (self.within is None) == (self.spread is None):
            raise refusal("a parameter needs one spread", "either within or spread")
        return self


class UncertainDriver(Strict):
    """A driver whose path from 2025 on is not known for sure: a factor on the path.

    A scenario that states a range for its own path overrides `range` and `factor`.
    """

    range: Range | None = Field(None, description="lowest and highest plausible value at the end "
                                "of the model's own path, in the unit of the driver")
    factor: Range | None = Field(None, description="lowest and highest factor on the path")
    shape: Literal["triangular", "uniform"] = Field(
        "triangular", description="triangular: the path itself is the likeliest")
    why: Text = Field(description="where the range comes from")

    @model_validator(mode="after")
    def _one_way(self) -> UncertainDriver:
        given = self.range or self.factor
        if (self.range is None) == (self.factor is None) or given is None:
            raise refusal("a driver needs one range", "either range or factor")
        if not given[0] < given[1]:
            raise refusal("the range is upside down or empty", "[low, high]", list(given))
        if self.factor is not None and not self.factor[0] <= 1.0 <= self.factor[1]:
            raise refusal("the path itself lies outside of its range", "low <= 1 <= high",
                           list(given))
        return self


class Plan(Strict):
    """One plan of an ensemble as it stands on disk."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = Field(
        description="the name of the file without .yaml")
    title: Title
    narrative: Text = Field(description="what is varied and why, in plain words")
    scenarios: tuple[Text, ...] = Field((), description="names or files; all shipped ones if empty")
    runs: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] | None = Field(
        None, description="runs of each scenario; a table of runs has its own number")
    method: Method = Field("latin-hypercube", description="how the runs are chosen")
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0
    table: Text | None = Field(
        None, description="a CSV file of runs instead: a header of parameters (values) and "
        "drivers (factors), one line for each run")
    draws: Text | None = Field(
        None, description="a CSV file of calibrated draws of parameters: a header of parameters, "
        "one line for each draw; every run takes one draw as a whole")
    parameters: dict[str, UncertainParameter] = Field(default_factory=dict)
    drivers: dict[str, UncertainDriver] = Field(default_factory=dict)
    opening: Annotated[Number, Field(ge=0.0, le=25.0)] = Field(
        5.0, description="years from the start of 2025 until the factor of a driver is full")
    correlations: tuple[Correlation, ...] = ()
    outputs: tuple[Text, ...] = Field(min_length=1, description="variables of the model; the "
                                      "resilience index and the indicators it needs come along")
    scalars: tuple[Year, ...] = Field((2025, 2030, 2035), description="years whose values go into "
                                      "the tables of runs")
    until: Year = Field(2035, description="last year of the runs")

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        sampled = bool(self.parameters or self.drivers or self.draws)
        if self.table is not None and (sampled or self.correlations or self.runs is not None):
            raise refusal("a table of runs leaves nothing to sample",
                           "no runs, parameters, drivers, draws or correlations beside table")
        if self.table is None and not sampled:
            raise refusal("nothing varies", "parameters, drivers, draws, or a table of runs")
        if self.table is None and self.runs is None:
            raise refusal("the number of runs is missing", "runs: a whole number from 1 on")
        late = [year for year in self.scalars if year > self.until]
        if late:
            raise refusal("a scalar lies beyond the last year", f"up to {self.until}", late[0])
        return self


def load_plan(given: str | Path = DEFAULT_PLAN) -> tuple[Plan, Path]:
    """Read a plan: the name of a shipped one, or the path of a YAML file.

    Returns
    -------
    tuple of (Plan, Path)
        The plan and its file; the files that it names are looked for beside it.

    Raises
    ------
    InputError
        One message with file, key, value and what is allowed.
    """
    path = _find(str(given))
    plan = _validated(load_yaml(path, "plan of an ensemble", "name, runs, parameters"), path)
    if plan.name != path.stem:
        raise InputError("the name is not that of the file", file=path, key="name",
                         value=plan.name, allowed=path.stem)
    return plan, path


def change_plan(plan: Plan, path: Path, changes: Mapping[str, object]) -> Plan:
    """Return `plan` with other values, checked anew; what is ``None`` stays as it is."""
    given = {key: value for key, value in changes.items() if value is not None}
    return _validated({**plan.model_dump(mode="python", exclude_unset=True), **given}, path)


def _find(text: str) -> Path:
    if text.endswith((".yaml", ".yml")) or "/" in text:
        return Path(text)
    folder = scenario_dir() / "plans"
    path = folder / f"{text}.yaml"
    if not path.exists():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise InputError("no such plan", key="plan", value=text,
                         allowed=", ".join(nearest(text, known) or known)
                         + ", or the path of a .yaml file")
    return path


def _validated(data: object, path: Path) -> Plan:
    try:
        return Plan.model_validate(data)
    except ValidationError as error:
        raise _input_error(error, path) from None


def _input_error(error: ValidationError, path: Path) -> InputError:
    """Translate the first finding of pydantic into one plain message."""
    findings = error.errors()
    # A misspelt key is often the reason why another is missing.
    first = next((one for one in findings if one["type"] == "extra_forbidden"), findings[0])
    context, found = first.get("ctx", {}), first["input"]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]") or None
    shown = None if isinstance(found, dict | list | tuple) else found
    if first["type"] == "refused":
        return InputError(context["problem"], file=path, key=key, value=context["found"],
                          allowed=context["allowed"])
    if first["type"] == "extra_forbidden":
        return InputError("unknown key", file=path, key=key, value=first["loc"][-1],
                          allowed=_keys_near(first["loc"]))
    if first["type"] == "missing":
        return InputError("key missing", file=path, key=key)
    return InputError("not allowed", file=path, key=key, value=shown,
                      allowed=first["msg"][0].lower() + first["msg"][1:])


def _keys_near(location: tuple[int | str, ...]) -> str | None:
    models: dict[object, type[BaseModel]] = {
        "title": Title, "parameters": UncertainParameter, "drivers": UncertainDriver}
    if len(location) == 1:
        fields = list(Plan.model_fields)
    elif location[0] in models and len(location) <= 3:
        fields = list(models[location[0]].model_fields)
    else:
        return None
    return ", ".join(nearest(str(location[-1]), fields) or fields)


def json_schema() -> str:
    """Return the JSON schema of a plan, for editors."""
    schema: dict[str, Any] = Plan.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
