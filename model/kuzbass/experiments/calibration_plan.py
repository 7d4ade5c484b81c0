"""Plans of calibrations: which series are fitted how closely, and which parameters are free.

The pydantic models below are the only definition of the format; the JSON schema for editors is
made from them (``python -m kuzbass.experiments.calibration_plan``).  Bounds of parameters are the
ranges of the model file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError

from kuzbass.errors import InputError, nearest
from kuzbass.paths import scenario_dir
from kuzbass.region.data import judged, observed_for, read_table
from kuzbass.region.scenario import Strict, Text, load_yaml
from kuzbass.sd.calibration import Parameter
from kuzbass.sd.likelihood import Change, Likelihood, Series
from kuzbass.sd.mdl import Model

__all__ = [
    "DEFAULT_PLAN",
    "CalibrationPlan",
    "ChoiceRule",
    "Effort",
    "Free",
    "Prior",
    "SeriesRule",
    "Stage",
    "WideRule",
    "check_observed",
    "free_parameters",
    "json_schema",
    "likelihood",
    "load_calibration_plan",
]

DEFAULT_PLAN = "calibrate"
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]
Year = Annotated[int, Field(strict=True, ge=2001, le=2021)]


class SeriesRule(Strict):
    """How one observed series is fitted."""

    unit: Text = Field(description="unit of the data file; another one is refused")
    error: Positive = Field(description="expected error: a share for levels, the unit for rates "
                            "and balances")
    weight: Positive = Field(1.0, le=1.0, description="below 1 for series that repeat others or "
                             "have no bar")


class Prior(Strict):
    """A normal prior, cut at the range of the model file."""

    mean: Annotated[float, Field(allow_inf_nan=False)]
    sd: Positive
    source: Text


class Free(Strict):
    """A candidate for estimation."""

    prior: Prior | None = Field(None, description="flat within the range of the model file if "
                                "left out")


class Stage(Strict):
    """One sector, cut from the rest at measured variables."""

    name: Text
    cut: tuple[Text, ...] = Field(min_length=1, description="series that drive the sector instead "
                                  "of the model's own variables; observed in every year")
    series: tuple[Text, ...] = Field(min_length=1, description="what the sector is fitted to")
    parameters: tuple[Text, ...] = Field(min_length=1)


class Error(Strict):
    """The error model of all series."""

    freedom: Positive = Field(description="observations that the expected error counts for")
    largest_autocorrelation: Annotated[float, Field(ge=0.0, lt=1.0)]
    change_tolerance: Positive = Field(description="standard deviation of the log changes of the "
                                       "crisis years in bars.csv, as a share of their size")


class ChoiceRule(Strict):
    """How the set of fitted parameters is chosen among the candidates."""

    largest_collinearity: Positive
    most: Count
    least_sensitivity: Positive
    first: tuple[Text, ...] = Field((), description="candidates that are tried before the others")


class WideRule(Strict):
    """How all constants with a range are fitted to the training years, by evolution."""

    prior: Positive = Field(description="standard deviation of the normal prior around the centre "
                            "of each range, as a share of the range")
    spread: Positive = Field(le=0.5, description="standard deviation of the first population, as "
                             "a share of the ranges")
    population: Annotated[int, Field(strict=True, ge=4)]


class Effort(Strict):
    """How much is computed."""

    starts: Count = Field(description="starts of each fit, the first one at the model's values")
    origin_starts: Count
    rounds: Count = Field(description="turns of each fit, at most: least squares under given error "
                          "processes, then these anew")
    steps: Annotated[int, Field(strict=True, ge=20)] = Field(
        description="steps of the walkers that sample the posterior; the first half is left out")
    profiles: bool = Field(description="whether intervals are profiles of the likelihood; "
                           "quantiles of the posterior otherwise")
    wide_starts: Count = Field(description="starts of the wide fit, each with a seed of its own")
    generations: Count = Field(description="generations of each start of the wide fit, at most")


class CalibrationPlan(Strict):
    """One plan of a calibration as it stands on disk."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    narrative: Text
    training: Year = Field(2015, description="last year of the frozen fit")
    last: Year = Field(2021, description="last year of the data")
    origins: tuple[Year, ...] = ()
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    draws: Annotated[int, Field(strict=True, ge=200, le=2000)] = 400
    error: Error
    choice: ChoiceRule
    wide: WideRule
    full: Effort
    quick: Effort
    series: dict[str, SeriesRule] = Field(min_length=1)
    parameters: dict[str, Free] = Field(min_length=1)
    stages: tuple[Stage, ...] = ()


def load_calibration_plan(given: str | Path = DEFAULT_PLAN) -> tuple[CalibrationPlan, Path]:
    """Read a plan: the name of a shipped one, or the path of a YAML file.

    Raises
    ------
    InputError
        One message with file, key, value and what is allowed.
    """
    text = str(given)
    own = text.endswith((".yaml", ".yml")) or "/" in text
    path = Path(text) if own else scenario_dir() / "plans" / f"{text}.yaml"
    data = load_yaml(path, "plan of a calibration", "name, series, parameters")
    try:
        plan = CalibrationPlan.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        found = None if isinstance(first["input"], dict | list) else first["input"]
        raise InputError("not allowed", file=path, value=found, allowed=first["msg"],
                         key=".".join(str(part) for part in first["loc"])) from None
    if plan.name != path.stem:
        raise InputError("the name is not that of the file", file=path, key="name",
                         value=plan.name, allowed=path.stem)
    _check_names(plan, path)
    return plan, path


def _check_names(plan: CalibrationPlan, path: Path) -> None:
    known = list(judged()["series"])
    for name in plan.series:
        if name not in known:
            raise InputError("no such series in judged.csv", file=path, key=f"series.{name}",
                             allowed=", ".join(nearest(name, known)) or None)
    for name in plan.choice.first:
        if name not in plan.parameters:
            raise InputError("is not in the plan", file=path, value=name, key="choice.first",
                             allowed=", ".join(nearest(name, plan.parameters)) or None)
    for stage in plan.stages:
        for key, names, allowed in (("series", stage.series, plan.series),
                                    ("cut", stage.cut, known),
                                    ("parameters", stage.parameters, plan.parameters)):
            for name in names:
                if name not in allowed:
                    raise InputError("is not in the plan", file=path, value=name,
                                     key=f"stages.{stage.name}.{key}",
                                     allowed=", ".join(nearest(name, allowed)) or None)


def free_parameters(plan: CalibrationPlan, model: Model, path: Path) -> tuple[Parameter, ...]:
    """Return the candidates with the ranges of the model file.

    Raises
    ------
    InputError
        A candidate is no constant of the model, or has no range.
    """
    found = []
    for given, free in plan.parameters.items():
        name = model.name(given)
        variable = model.variables[name]
        if variable.kind != "constant":
            raise InputError("is not a constant of the model", file=path,
                             key=f"parameters.{given}", value=variable.kind, allowed="a constant")
        if variable.lower is None or variable.upper is None or variable.lower >= variable.upper:
            raise InputError("has no range in the model file", file=path,
                             key=f"parameters.{given}", allowed="[min,max] with min below max")
        prior = free.prior
        found.append(Parameter(name, variable.lower, variable.upper,
                               prior.mean if prior else None, prior.sd if prior else None))
    return tuple(found)


def check_observed(plan: CalibrationPlan, table: pd.DataFrame, path: Path) -> None:
    """Refuse data that the transforms of ``judged.csv`` would turn into nonsense.

    Raises
    ------
    InputError
        A series is missing, is in another unit than the plan says, is not positive where its
        logarithm is needed, or has a gap in a chain of growth rates.
    """
    rows = judged().drop_duplicates("series").set_index("series")
    for name, rule in plan.series.items():
        own = table[table["series"] == name]
        if own.empty:
            raise InputError("the series is missing", file=path, key=name)
        odd = own[own["unit"] != rule.unit]
        if len(odd):
            raise InputError("wrong unit", file=path, key=f"{name}, {int(odd['year'].iloc[0])}",
                             value=odd["unit"].iloc[0], allowed=rule.unit)
        if str(rows.at[name, "transform"]).startswith("chain"):
            _check_chain(own, name, int(str(rows.at[name, "transform"]).split(":")[1]), path)
        if not _plain(str(rows.at[name, "kind"]), name):
            bad = own[own["value"] <= 0.0]
            if len(bad):
                raise InputError("not a positive number", file=path, value=bad["value"].iloc[0],
                                 key=f"{name}, {int(bad['year'].iloc[0])}", allowed="above 0")


def _check_chain(own: pd.DataFrame, name: str, base: int, path: Path) -> None:
    years = set(own["year"])
    missing = [year for year in range(base + 1, max(years) + 1) if year not in years]
    if missing:
        raise InputError("a gap breaks the chain of growth rates", file=path,
                         key=f"{name}, {missing[0]}", allowed=f"every year from {base + 1} to "
                         f"{max(years)}")


def _plain(kind: str, series: str) -> bool:
    # A balance may be negative: no logarithm.
    return kind == "rate" or series == "net_financial_result"


def likelihood(
    plan: CalibrationPlan, table: pd.DataFrame, last: int, series: tuple[str, ...] = ()
) -> tuple[Likelihood, pd.DataFrame]:
    """Return the likelihood of the data to the year `last`, and the rows of ``judged.csv``.

    Parameters
    ----------
    plan : CalibrationPlan
    table : DataFrame
        ``observed.csv``.
    last : int
    series : tuple of str
        Only these; all of the plan if empty.
    """
    rows = judged().drop_duplicates("series").set_index("series", drop=False)
    rows = rows.loc[[name for name in plan.series if not series or name in series]]
    years = range(2000, last + 1)
    found = []
    for name, row in rows.iterrows():
        observed = observed_for(row, table).reindex(years).astype(float)
        if str(row["transform"]).startswith("chain"):
            observed.iloc[0] = np.nan  # both sides are 100 there by definition
        rule = plan.series[str(name)]
        scale: Literal["plain", "log"] = "plain" if _plain(row["kind"], str(name)) else "log"
        found.append(Series(str(name), np.asarray(observed, dtype=np.float64), scale, rule.error,
                            rule.weight))
    bars = read_table("bars.csv")
    bars = bars[(bars["statistic"] == "change") & (bars["year"] <= last)
                & bars["series"].isin(rows.index)]
    places = {name: place for place, name in enumerate(rows.index)}
    changes = tuple(Change(places[bar["series"]], int(bar["year"]) - 2000,
                           plan.error.change_tolerance) for _, bar in bars.iterrows())
    return Likelihood(tuple(found), changes, plan.error.freedom,
                      plan.error.largest_autocorrelation), rows.reset_index(drop=True)


def json_schema() -> str:
    """Return the JSON schema of a plan, for editors."""
    schema = CalibrationPlan.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
