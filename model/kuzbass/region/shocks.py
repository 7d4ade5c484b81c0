"""Shock files: what may stand in one, and how shocks move the inputs of a run.

A shock moves causes: drivers, policies and parameters.  Unlike the shocks of a scenario file, it
may begin in any year of the run, and it may follow a profile of its own or that of a crisis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, field_validator, model_validator

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.paths import scenario_dir
from kuzbass.region import resolve as inputs_of
from kuzbass.region import scenario as schema
from kuzbass.region.crises import crisis, recorded_path
from kuzbass.region.resolve import Input, ModelInterface, Setting

__all__ = ["ALIASES", "Moved", "ShockFile", "ShockLine", "apply_shocks", "json_schema",
           "load_shock", "read_line", "shock_dir", "shock_names"]

# What people call the levers of the model.
ALIASES: Mapping[str, str] = {
    "export demand": "foreign demand multiplier",
    "coal export demand": "foreign demand multiplier",
    "foreign demand": "foreign demand multiplier",
    "coal price": "world thermal price",
    "export price": "world thermal price",
    "thermal coal price": "world thermal price",
    "coking coal price": "world coking price",
    "rouble": "exchange rate",
    "eastern rail": "eastern track programme",
    "rail tariff": "rail tariff inflation",
}
_FIRST = 2000


class ShockLine(schema.Shock):
    """A change of one driver, policy or parameter.

    Pulse, step and ramp have a size; ``profile`` gives sizes by years since the start, joined by
    lines, the last one held; ``recorded`` names a crisis whose profile the driver follows.
    """

    by: str | float | None = Field(  # type: ignore[assignment]  # a profile has its own sizes
        None, description="'-20%' is relative, -5 is in the unit of the variable")
    start: Annotated[schema.Number, Field(ge=_FIRST, lt=schema.LAST_YEAR + 1)] = Field(
        alias="from", description="time in years, such as 2026 or 2026.5")
    shape: Literal["pulse", "step", "ramp", "profile", "recorded"] = "pulse"  # type: ignore[assignment]  # two more
    profile: dict[float, str | float] | None = Field(
        None, description="years since the start: size")
    recorded: int | None = Field(None, description="first year of the crisis")

    @field_validator("by", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        return value if value is None else schema.check_size(value)

    @field_validator("profile", mode="before")
    @classmethod
    def _sizes(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for size in value.values():
                schema.check_size(size)
            if len({isinstance(size, str) for size in value.values()}) > 1:
                raise schema.refusal("the sizes of a profile differ in kind",
                                      "all percentages or all numbers")
        return value

    @model_validator(mode="after")
    def _length(self) -> ShockLine:
        needs = {"profile": self.profile, "recorded": self.recorded}.get(self.shape, self.by)
        given = [self.by, self.profile, self.recorded]
        if needs is None or sum(one is not None for one in given) != 1:
            raise schema.refusal("the size does not go with the shape", "'by' with a pulse, step "
                                  "or ramp, 'profile' or 'recorded' with these shapes", self.shape)
        if (self.shape in ("step", "profile")) != (self.years is None):
            raise schema.refusal("the length does not go with the shape", "'for' (years) with a "
                                  "pulse, a ramp or a recorded shock; none with a step or a "
                                  "profile", self.shape)
        if self.recorded is not None:
            crisis(self.recorded)
        return self

    @property
    def end(self) -> float:
        """Time at which the window of the shock closes."""
        open_end = self.years is None or self.shape == "ramp"
        return float("inf") if open_end or self.years is None else self.start + self.years


class ShockFile(schema.Strict):
    """One shock file as it stands on disk."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = Field(
        description="the name of the file without .yaml")
    title: schema.Title
    narrative: schema.Text = Field(description="what happens, in plain words")
    scenario: schema.Text = Field("baseline", description="the scenario that it falls on")
    shocks: Annotated[tuple[ShockLine, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _apart(self) -> ShockFile:
        twice = schema.overlap(self.shocks)
        if twice:
            raise schema.refusal("shocks overlap", "one shock at a time on a variable", twice)
        return self


@dataclass(frozen=True)
class Moved:
    """Inputs of a base run and a shocked run.

    Attributes
    ----------
    base, shocked : dict
        Inputs by variable; what is shocked stands in both as a path on the grid of the run.
    names : tuple of str
        The variables that are shocked, as the model writes them.
    start : float
        The first time at which the inputs differ.
    notes : tuple of str
        Which names were understood as which variables.
    """

    base: dict[str, Input]
    shocked: dict[str, Input]
    names: tuple[str, ...]
    start: float
    notes: tuple[str, ...]

    def scaled(self, factor: float, model: ModelInterface) -> dict[str, Input]:
        """Return the inputs of a shock of another size.

        Raises
        ------
        InputError
            A value leaves the range of the model file.
        """
        inputs = dict(self.shocked)
        settings = {**model.drivers, **model.parameters, **model.policies}
        for name in self.names:
            before, after = self.base[name], self.shocked[name]
            path = before + factor * (after - before)
            assert isinstance(path, pd.Series)
            inputs_of.check_range(path.to_numpy(), settings[name], Path("shock"), name)
            inputs[name] = path
        return inputs


def shock_dir() -> Path:
    """Return the folder of the shipped shock files."""
    return scenario_dir() / "shocks"


def shock_names() -> list[str]:
    """Return the names of the shipped shock files, sorted."""
    return sorted(path.stem for path in shock_dir().glob("*.yaml"))


def load_shock(name: str | Path) -> ShockFile:
    """Read and validate a shock file.

    Parameters
    ----------
    name : str or Path
        Name of a shipped shock, or the path of a YAML file.

    Raises
    ------
    InputError
        One message with file, key, value and what is allowed.
    """
    text = str(name)
    path = Path(text) if text.endswith((".yaml", ".yml")) or "/" in text else (
        shock_dir() / f"{text}.yaml")
    if path.parent == shock_dir() and not path.exists():
        known = shock_names()
        raise InputError("no such shock", key="shock", value=text,
                         allowed=", ".join(nearest(text, known) or known)
                         + ", or the path of a .yaml file")
    data = schema.load_yaml(path, "shock", "name, title, shocks")
    try:
        parsed = ShockFile.model_validate(data)
    except ValidationError as error:
        raise _input_error(error, path) from None
    if parsed.name != path.stem:
        raise InputError("the name is not that of the file", file=path, key="name",
                         value=parsed.name, allowed=path.stem)
    return parsed


def read_line(**values: object) -> ShockLine:
    """Validate one shock given by its keys, as from a command line.

    Raises
    ------
    InputError
    """
    try:
        return ShockLine.model_validate({key: value for key, value in values.items()
                                         if value is not None})
    except ValidationError as error:
        raise _input_error(error, Path("shock")) from None


def apply_shocks(
    shocks: Sequence[ShockLine], inputs: Mapping[str, Input], model: ModelInterface, file: Path
) -> Moved:
    """Lay shocks on the inputs of a scenario.

    Parameters
    ----------
    shocks : sequence of ShockLine
    inputs : mapping
        Inputs of the scenario, from `kuzbass.region.resolve.resolve`.
    model : ModelInterface
    file : Path
        Where the shocks stand, for the messages.

    Raises
    ------
    InputError
        An unknown or computed variable, a value out of range, a shock outside of the run, or one
        that moves nothing.
    """
    grid = model.grid
    paths: dict[str, np.ndarray] = {}
    before: dict[str, np.ndarray] = {}
    notes = []
    for number, shock in enumerate(shocks):
        key = f"shocks.{number}"
        given = ALIASES.get(plain_name(shock.on), shock.on)
        if given != shock.on:
            notes.append(f"'{shock.on}' is taken as '{given}'.")
        name, setting = inputs_of.look_up(given, "shocks", model, file, f"{key}.on")
        if name not in paths:
            paths[name] = before[name] = _path(inputs.get(name), setting, grid)
        paths[name] = _moved(shock, name, setting, paths[name], grid, file, key)
        inputs_of.check_range(paths[name], setting, file, f"{key}.by")
    moved = [path != before[name] for name, path in paths.items()]
    steps = np.flatnonzero(np.any(moved, axis=0)[:-1])
    if not len(steps):
        raise InputError("the shock moves nothing", file=file, key="shocks",
                         allowed="a size other than zero, within the run")
    return Moved({**inputs, **{name: pd.Series(path, grid) for name, path in before.items()}},
                 {**inputs, **{name: pd.Series(path, grid) for name, path in paths.items()}},
                 tuple(paths), float(grid[steps[0]]), tuple(notes))


def _path(given: Input | None, setting: Setting, grid: np.ndarray) -> np.ndarray:
    if isinstance(given, pd.Series):
        return np.asarray(np.interp(grid, given.index.to_numpy(float), given.to_numpy(float)))
    return inputs_of.unshocked(setting, setting.value if given is None else given, grid)


def _moved(
    shock: ShockLine, name: str, setting: Setting, base: np.ndarray, grid: np.ndarray,
    file: Path, key: str,
) -> np.ndarray:
    if shock.recorded is not None:
        if setting.table is None:
            raise InputError("has no recorded profile", file=file, key=f"{key}.on", value=shock.on,
                             allowed="a driver")
        assert shock.years is not None  # the schema asks for it
        return recorded_path(name, setting, base, grid, crisis(shock.recorded), shock.start,
                             shock.years)
    if shock.profile is None:
        return inputs_of.shocked(shock, base, grid, file, key)
    lags = sorted(shock.profile)
    relative = isinstance(shock.profile[lags[0]], str)
    sizes = [float(str(shock.profile[lag]).strip().rstrip("%")) for lag in lags]
    size = np.where(grid >= shock.start - 1e-9, np.interp(grid - shock.start, lags, sizes), 0.0)
    return base * (1.0 + size / 100.0) if relative else base + size


def _input_error(error: ValidationError, path: Path) -> InputError:
    findings = error.errors()
    unknown = next((one for one in findings if one["type"] == "extra_forbidden"), None)
    if unknown is not None:
        model = ShockLine if len(unknown["loc"]) > 1 and unknown["loc"][0] == "shocks" else (
            ShockFile if unknown["loc"][0] != "title" else schema.Title)
        known = [one.alias or name for name, one in model.model_fields.items()]
        found = str(unknown["loc"][-1])
        return InputError("unknown key", file=path, key=".".join(map(str, unknown["loc"])),
                          value=found, allowed=", ".join(nearest(found, known) or known))
    outside = next((one for one in findings if one["loc"][-1:] == ("from",)
                    and "ctx" in one), None)
    if outside is not None:
        return InputError("year outside the horizon", file=path,
                          key=".".join(map(str, outside["loc"])), value=outside["input"],
                          allowed=f"{_FIRST} to {schema.LAST_YEAR}")
    return schema.input_error(error, path)


def json_schema() -> str:
    """Return the JSON schema of a shock file, for editors."""
    result = ShockFile.model_json_schema(by_alias=True)
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
