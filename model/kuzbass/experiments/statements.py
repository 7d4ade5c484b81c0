"""Statements on behaviour: what a run must do under given conditions, as YAML files.

A file of ``scenarios/checks/`` holds statements; each names a run (a scenario, perhaps with
changes), a variable, a predicate and a window.  The models below are the only definition of the
format; ``python -m kuzbass.experiments.statements`` makes the JSON schema for editors from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from kuzbass.errors import InputError, nearest
from kuzbass.paths import scenario_dir
from kuzbass.region.scenario import Strict, Text

__all__ = ["INDEX", "Change", "Check", "CheckFile", "Given", "Run", "Verdict", "evaluate",
           "json_schema", "load_checks"]

INDEX = {"index": "index", "index P": "P", "index C": "C", "index N": "N"}
_ROUNDING = 1e-9

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Year = Annotated[int, Field(strict=True, ge=2000, le=2050)]
Window = Annotated[tuple[Year, Year], Field(description="first and last year")]


class Change(Strict):
    """Another value of a driver or constant: ``set``, or the usual one times ``multiply``."""

    value: Number | None = Field(None, alias="set")
    multiply: Number | None = None
    start: Number | None = Field(None, alias="from", description="time in years; from the start "
                                 "of the run if left out")
    end: Number | None = Field(None, alias="until", description="time in years; to the end of "
                               "the run if left out")

    @model_validator(mode="after")
    def _one_way(self) -> Change:
        if (self.value is None) == (self.multiply is None):
            raise ValueError("a change needs one of set and multiply")
        return self


class Given(Strict):
    """A run: a scenario with changes on top."""

    scenario: Text = "baseline"
    changes: dict[str, Change] = Field(default_factory=dict)


class _Expect(Strict):
    window: Window


class Moves(_Expect):
    """The change from the first to the last year of the window, percent, lies in a range."""

    predicate: Literal["rises", "falls"]
    by: Annotated[Number, Field(ge=0.0)] = Field(0.0, description="percent at least")
    at_most: Number | None = Field(None, description="percent at most")


class Within(_Expect):
    """Every year of the window lies between the bounds."""

    predicate: Literal["within"]
    low: Number | None = None
    high: Number | None = None
    tolerance: Annotated[Number, Field(ge=0.0)] = 0.0


class Differs(_Expect):
    """The mean over the window is higher or lower than in the run ``against``, percent."""

    predicate: Literal["higher", "lower"]
    by: Annotated[Number, Field(ge=0.0)] = Field(0.0, description="percent at least")
    at_most: Number | None = Field(None, description="percent at most")


class Near(_Expect):
    """The run stays as near to the run ``against``, in every year, as the tolerance says."""

    predicate: Literal["same"]
    tolerance: Annotated[Number, Field(gt=0.0)] = Field(description="percent")


class Before(_Expect):
    """The variable leaves the run ``against`` no later than another does."""

    predicate: Literal["before"]
    other: Text
    threshold: Annotated[Number, Field(gt=0.0)] = Field(description="percent of deviation that "
                                                        "counts as having left")


class Recovers(_Expect):
    """At the end of the window the deviation from ``against`` is a share of its peak in it."""

    predicate: Literal["recovers"]
    share: Annotated[Number, Field(gt=0.0, lt=1.0)] = 0.5


class Outpaces(_Expect):
    """The change over the window is larger than that of another variable, percentage points."""

    predicate: Literal["outpaces"]
    other: Text
    by: Annotated[Number, Field(ge=0.0)] = 0.0


Expect = Annotated[Moves | Within | Differs | Near | Before | Recovers | Outpaces,
                   Field(discriminator="predicate")]
_AGAINST = (Differs, Near, Before, Recovers)


class Check(Strict):
    """One statement."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    statement: Text = Field(description="what must hold, in plain words")
    source: Text = Field(description="where the statement comes from")
    required: bool = True
    reason: Text | None = Field(None, description="why a failure is not a failure of the model")
    given: Given = Given()
    against: Given | None = Field(None, description="the run to compare with; the scenario of "
                                  "'given' without its changes if left out")
    variable: Text
    expect: Expect

    @model_validator(mode="after")
    def _complete(self) -> Check:
        if self.required == (self.reason is not None):
            raise ValueError("a statement that is not required needs a reason, and no other has")
        if self.against is not None and not isinstance(self.expect, _AGAINST):
            raise ValueError(f"'{self.expect.predicate}' compares with no other run")
        if isinstance(self.expect, _AGAINST) and self.compared == self.given:
            raise ValueError("the run is compared with itself")
        return self

    @property
    def compared(self) -> Given:
        """The run to compare with."""
        return self.against or Given(scenario=self.given.scenario)


class CheckFile(Strict):
    """One file of statements."""

    title: Text
    checks: Annotated[tuple[Check, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Run:
    """A run as the statements see it.

    Attributes
    ----------
    data : xarray.Dataset
        Every step.
    statistics : DataFrame
        Annual statistics, year by variable.
    index_of : callable
        Makes the resilience index of `statistics`: year by ``index``, ``P``, ``C``, ``N``.
    """

    data: xr.Dataset
    statistics: pd.DataFrame
    index_of: Callable[[pd.DataFrame], pd.DataFrame]

    @cached_property
    def index(self) -> pd.DataFrame:
        """The resilience index by year."""
        return self.index_of(self.statistics)

    def series(self, variable: str) -> pd.Series:
        """Return a variable, or a part of the index, by year."""
        if variable in INDEX:
            return self.index[INDEX[variable]]
        if variable not in self.statistics:
            close = nearest(variable, [*self.statistics.columns, *INDEX])
            raise InputError("the run has no such variable", key=variable,
                             allowed=f"for example {', '.join(close)}" if close else None)
        return self.statistics[variable]


@dataclass(frozen=True)
class Verdict:
    """Outcome of one statement.

    Attributes
    ----------
    check : Check
    passed : bool
    figure : str
        The number behind the verdict.
    """

    check: Check
    passed: bool
    figure: str


def load_checks(paths: Sequence[Path] | None = None) -> tuple[Check, ...]:
    """Read and validate statements; the shipped ones if no path is given.

    Raises
    ------
    InputError
        A broken file, or an id that stands twice.
    """
    files = paths if paths is not None else sorted((scenario_dir() / "checks").glob("*.yaml"))
    checks: dict[str, Check] = {}
    for file in files:
        for check in _read(file).checks:
            if check.id in checks:
                raise InputError("the id stands twice", file=file, key=check.id)
            checks[check.id] = check
    return tuple(checks.values())


def evaluate(check: Check, run_of: Callable[[Given], Run]) -> Verdict:
    """Evaluate a statement.

    Parameters
    ----------
    check : Check
    run_of : callable
        Makes the run of a `Given`.

    Raises
    ------
    InputError
        The statement names a variable or a year that the run does not have.
    """
    try:
        run = run_of(check.given)
        other = run_of(check.compared) if isinstance(check.expect, _AGAINST) else run
        passed, figure = _EVALUATORS[type(check.expect)](check, run, other)
    except InputError as error:
        raise InputError(error.problem, key=f"{check.id}: {error.key}", value=error.value,
                         allowed=error.allowed) from None
    return Verdict(check, bool(passed), figure)


def _read(path: Path) -> CheckFile:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", file=path) from None
    except yaml.YAMLError as error:
        raise InputError(f"broken YAML: {error}", file=path) from None
    try:
        return CheckFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        found = first["input"] if isinstance(first["input"], (str, int, float)) else None
        raise InputError(first["msg"], file=path, key=place or None, value=found) from None


def _years(series: pd.Series, window: tuple[int, int]) -> pd.Series:
    first, last = window
    if first > last or first not in series.index or last not in series.index:
        raise InputError("the run does not cover the window", key=str(series.name),
                         value=f"{first} to {last}",
                         allowed=f"within {series.index[0]} to {series.index[-1]}")
    return series.loc[first:last]


def _percent(series: pd.Series, window: tuple[int, int]) -> float:
    values = _years(series, window)
    first, last = float(values.iloc[0]), float(values.iloc[-1])
    return 100.0 * (last - first) / abs(first) if first else np.nan


def _in_range(signed: float, by: float, at_most: float | None) -> bool:
    """Tell whether a change in the right direction is of the right size, percent."""
    return signed >= by and signed > 0.0 and (at_most is None or signed <= at_most)


def _moves(check: Check, run: Run, _other: Run) -> tuple[bool, str]:
    expect = check.expect
    assert isinstance(expect, Moves)
    change = _percent(run.series(check.variable), expect.window)
    signed = change if expect.predicate == "rises" else -change
    return _in_range(signed, expect.by, expect.at_most), f"{change:+.1f} %"


def _within(check: Check, run: Run, _other: Run) -> tuple[bool, str]:
    expect = check.expect
    assert isinstance(expect, Within)
    values = _years(run.series(check.variable), expect.window)
    low = -np.inf if expect.low is None else expect.low - expect.tolerance
    high = np.inf if expect.high is None else expect.high + expect.tolerance
    passed = bool(values.between(low - _ROUNDING, high + _ROUNDING).all())
    return passed, f"{values.min():.4g} to {values.max():.4g}"


def _differs(check: Check, run: Run, other: Run) -> tuple[bool, str]:
    expect = check.expect
    assert isinstance(expect, Differs)
    own = float(_years(run.series(check.variable), expect.window).mean())
    base = float(_years(other.series(check.variable), expect.window).mean())
    difference = 100.0 * (own - base) / abs(base) if base else np.nan
    signed = difference if expect.predicate == "higher" else -difference
    figure = f"{own:.4g} against {base:.4g}, {difference:+.1f} %"
    return _in_range(signed, expect.by, expect.at_most), figure


def _near(check: Check, run: Run, other: Run) -> tuple[bool, str]:
    expect = check.expect
    assert isinstance(expect, Near)
    own = _years(run.series(check.variable), expect.window)
    base = _years(other.series(check.variable), expect.window)
    largest = 100.0 * float((own - base).abs().max() / base.abs().mean())
    return largest <= expect.tolerance, f"{largest:.2f} % at most"


def _deviation(run: Run, other: Run, variable: str, window: tuple[int, int]) -> pd.Series:
    """Return the relative deviation of two runs at every step of the window."""
    for one in (run, other):
        _years(one.series(variable), window)
    own, base = run.data[variable].to_series(), other.data[variable].to_series()
    ratio = (own - base).abs() / base.abs().mean()
    return ratio.loc[float(window[0]):float(window[1]) + 1.0]


def _onset(deviation: pd.Series, threshold: float) -> float:
    hit = deviation.index[deviation > threshold / 100.0]
    return float(hit[0]) if len(hit) else np.inf


def _before(check: Check, run: Run, other: Run) -> tuple[bool, str]:
    expect = check.expect
    assert isinstance(expect, Before)
    own, rival = (_onset(_deviation(run, other, name, expect.window), expect.threshold)
                  for name in (check.variable, expect.other))
    # The one that comes first must have moved at all.
    return own <= rival and np.isfinite(own), f"{own:.2f} against {rival:.2f}"


def _recovers(check: Check, run: Run, other: Run) -> tuple[bool, str]:
    expect = check.expect
    assert isinstance(expect, Recovers)
    deviation = _deviation(run, other, check.variable, expect.window)
    peak, end = float(deviation.max()), float(deviation.iloc[-1])
    figure = f"{100.0 * peak:.1f} % at most, {100.0 * end:.1f} % at the end"
    return peak > 0.0 and end <= expect.share * peak, figure


def _outpaces(check: Check, run: Run, _other: Run) -> tuple[bool, str]:
    expect = check.expect
    assert isinstance(expect, Outpaces)
    own, rival = (_percent(run.series(name), expect.window)
                  for name in (check.variable, expect.other))
    return own > rival + expect.by, f"{own:+.1f} % against {rival:+.1f} %"


_EVALUATORS: Mapping[type, Callable[[Check, Run, Run], tuple[Any, str]]] = {
    Moves: _moves, Within: _within, Differs: _differs, Near: _near, Before: _before,
    Recovers: _recovers, Outpaces: _outpaces,
}


def json_schema() -> str:
    """Return the JSON schema of a file of statements, for editors."""
    schema = TypeAdapter(CheckFile).json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
