"""Scenario files: what may stand in one, and how it is read.

A scenario sets causes: outside drivers from 2025 on, parameters, policies and shocks.  It never
sets coal output, GRP, investment, incomes or anything else that the targets judge.  The pydantic
models below are the only definition of the format; the JSON schema for editors is made from them
(``python -m kuzbass.region.scenario``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.paths import scenario_dir
from kuzbass.region.data import read_table

__all__ = [
    "ASSUMPTION",
    "FIRST_YEAR",
    "LAST_YEAR",
    "Driver",
    "Parameter",
    "Policy",
    "Scenario",
    "ScenarioFile",
    "Shock",
    "Strict",
    "check_size",
    "input_error",
    "json_schema",
    "load_scenario",
    "load_yaml",
    "overlap",
    "refusal",
    "scenario_names",
]

FIRST_YEAR = 2025  # all scenarios share the actual drivers before
LAST_YEAR = 2050
ASSUMPTION = "assumption"

# Strict: YAML's `yes` would pass as the number 1, a quoted number as a number.
Year = Annotated[int, Field(strict=True, ge=FIRST_YEAR, le=LAST_YEAR,
                            description="a calendar year")]
# JSON knows text keys only, so pydantic's schema leaves the years open.
_YEAR_KEYS: dict[str, Any] = {"propertyNames": {"pattern": r"^20(2[5-9]|[34]\d|50)$"}}
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    """What every section of a file is: unknown keys are forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def refusal(problem: str, allowed: str, found: object = None) -> PydanticCustomError:
    """Return an error of a validator that says what was found and what is allowed."""
    return PydanticCustomError("refused", "{problem}",
                               {"problem": problem, "allowed": allowed, "found": found})


class Title(Strict):
    """Title in English and Russian."""

    en: Text
    ru: Text


class Driver(Strict):
    """A new path of an outside driver from 2025 on.

    ``path`` gives annual values; years between are interpolated, the last value is held, and the
    years before the first start from the value of 2024.  ``multiply`` gives factors on the path
    of the extended scenario instead (1 in 2024).
    """

    path: dict[Year, Number] | None = Field(
        None, description="year: annual value, in the unit of the driver",
        json_schema_extra=_YEAR_KEYS)
    multiply: dict[Year, Number] | None = Field(
        None, description="year: factor on the path of the extended scenario",
        json_schema_extra=_YEAR_KEYS)
    basis: Text = Field(description="'assumption', or the source id of the numbers")
    range: tuple[Number, Number] | None = Field(
        None, description="lowest and highest plausible value (or factor) at the end; needed for "
        "assumptions")
    why: Text = Field(description="the sentence of the paper this choice stands for")

    @model_validator(mode="after")
    def _one_way(self) -> Driver:
        given = self.path or self.multiply
        if (self.path is None) == (self.multiply is None) or not given:
            raise refusal("a driver needs one path", "either path or multiply, with at least one "
                           "year")
        if self.range is None:
            if self.basis == ASSUMPTION:
                raise refusal("an assumption needs a range", "range: [low, high]")
            return self
        low, high = self.range
        if low > high:
            raise refusal("the range is upside down", "[low, high]", [low, high])
        if not low <= given[max(given)] <= high:
            raise refusal("the last value lies outside its own range", f"{low:g} to {high:g}",
                           given[max(given)])
        return self


class Parameter(Strict):
    """Another value of a constant, for the whole run."""

    value: Number
    basis: Text
    why: Text


class Policy(Strict):
    """A lever of the group Policies, from a year on, reached over ``ramp`` years."""

    value: Number
    start: Year = Field(alias="from", description="first year")
    ramp: Annotated[Number, Field(ge=0.0, le=20.0)] = Field(
        0.0, description="years until the full value is reached")
    basis: Text
    why: Text


def check_size(value: object) -> object:
    """Return the size of a shock; anything but a percentage or a number is refused."""
    text = isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+(\.\d+)?%\s*", value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and (
        math.isfinite(value))
    if not text and not number:
        raise refusal("not the size of a shock", "a percentage such as '-20%', or a number "
                      "in the unit of the variable", value)
    return value


class Shock(Strict):
    """A change of a driver or parameter: a pulse, a step, or a ramp to a new level."""

    on: Text = Field(description="driver, policy or parameter")
    by: str | float = Field(description="'-20%' is relative, -5 is in the unit of the variable")
    start: Annotated[Number, Field(ge=FIRST_YEAR, lt=LAST_YEAR + 1)] = Field(
        alias="from", description="time in years, such as 2026 or 2026.5")
    years: Annotated[Number, Field(gt=0.0, le=60.0)] | None = Field(
        None, alias="for", description="length in years; a step has none")
    shape: Literal["pulse", "step", "ramp"] = "pulse"

    @field_validator("by", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        return check_size(value)

    @model_validator(mode="after")
    def _length(self) -> Shock:
        if (self.shape == "step") != (self.years is None):
            raise refusal("the length does not go with the shape", "'for' (years) with a pulse "
                           "or a ramp; none with a step", self.shape)
        return self

    @property
    def relative(self) -> bool:
        """Whether the size is a share of the base path."""
        return isinstance(self.by, str)

    @property
    def size(self) -> float:
        """Size as a share (relative) or in the unit of the variable."""
        return float(self.by.strip().rstrip("%")) / 100.0 if isinstance(self.by, str) else self.by

    @property
    def end(self) -> float:
        """Time at which the window of the shock closes."""
        return math.inf if self.years is None or self.shape == "ramp" else self.start + self.years


class ScenarioFile(Strict):
    """One scenario file as it stands on disk."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = Field(
        description="the name of the file without .yaml")
    title: Title
    narrative: Text = Field(description="what happens, in plain words")
    extends: Text | None = Field(None, description="name of the scenario this one changes")
    drivers: dict[str, Driver] = Field(default_factory=dict)
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    policies: dict[str, Policy] = Field(default_factory=dict)
    shocks: tuple[Shock, ...] = ()

    @field_validator("drivers", "parameters", "policies")
    @classmethod
    def _no_twins(cls, section: dict[str, Any]) -> dict[str, Any]:
        seen: dict[str, str] = {}
        for given in section:
            twin = seen.setdefault(plain_name(given), given)
            if twin != given:
                raise refusal("the same variable stands twice", "each variable once",
                               f"{twin} and {given}")
        return section


def overlap(shocks: Sequence[Shock]) -> str | None:
    """Tell which two of `shocks` move the same variable at the same time, if any do."""
    seen: dict[str, list[Shock]] = {}
    for shock in shocks:
        others = seen.setdefault(plain_name(shock.on), [])
        for other in others:
            if shock.start < other.end and other.start < shock.end:
                return f"'{shock.on}' from {other.start:g} and from {shock.start:g}"
        others.append(shock)
    return None


@dataclass(frozen=True)
class Scenario:
    """A scenario with everything it extends.

    Attributes
    ----------
    layers : tuple of ScenarioFile
        From the root to the scenario itself.
    files : tuple of Path
        The files of the layers.
    """

    layers: tuple[ScenarioFile, ...]
    files: tuple[Path, ...]

    @property
    def own(self) -> ScenarioFile:
        """The scenario's own file."""
        return self.layers[-1]

    @property
    def path(self) -> Path:
        """The path of the scenario's own file."""
        return self.files[-1]

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return self.own.name

    @property
    def shocks(self) -> tuple[Shock, ...]:
        """Shocks of all layers."""
        return tuple(shock for layer in self.layers for shock in layer.shocks)

    def record(self) -> dict[str, Any]:
        """Return the scenario as plain data, for a manifest."""
        return {"layers": [layer.model_dump(mode="json", by_alias=True) for layer in self.layers]}


def scenario_names(folder: Path | None = None) -> list[str]:
    """Return the names of the scenarios in `folder` (default: the shipped ones), sorted."""
    return sorted(path.stem for path in (folder or scenario_dir()).glob("*.yaml"))


def load_scenario(name: str | Path) -> Scenario:
    """Read and validate a scenario and all it extends.

    Parameters
    ----------
    name : str or Path
        Name of a shipped scenario, or the path of a YAML file.

    Returns
    -------
    Scenario

    Raises
    ------
    InputError
        One message with file, key, value and what is allowed, for: a missing, empty, non-UTF-8
        or broken file, an unknown key, a wrong type, a value or year out of range, overlapping
        shocks, a name that is not the file's, an unknown or cyclic ``extends``.
    """
    files = [_find(name)]
    layers = [_read(files[0])]
    while (extended := layers[0].extends) is not None:
        parent = _parent(extended, files[0])
        if parent.resolve() in [file.resolve() for file in files]:
            circle = " -> ".join([*(file.stem for file in reversed(files)), parent.stem])
            raise InputError("scenarios extend each other in a circle", file=files[0],
                             key="extends", value=circle,
                             allowed="a scenario that does not lead back here")
        files.insert(0, parent)
        layers.insert(0, _read(parent))
    scenario = Scenario(tuple(layers), tuple(files))
    twice = overlap(scenario.shocks)
    if twice:
        raise InputError("shocks overlap", file=scenario.path, key="shocks", value=twice,
                         allowed="one shock at a time on a variable; a ramp does not end")
    return scenario


def _find(name: str | Path) -> Path:
    text = str(name)
    if text.endswith((".yaml", ".yml")) or "/" in text:
        return Path(text)
    path = scenario_dir() / f"{text}.yaml"
    if not path.exists():
        known = scenario_names()
        raise InputError("no such scenario", key="scenario", value=text,
                         allowed=", ".join(nearest(text, known) or known)
                         + ", or the path of a .yaml file")
    return path


def _parent(name: str, child: Path) -> Path:
    for folder in (child.parent, scenario_dir()):
        if (folder / f"{name}.yaml").exists():
            return folder / f"{name}.yaml"
    known = sorted({*scenario_names(child.parent), *scenario_names()})
    raise InputError("unknown scenario", file=child, key="extends", value=name,
                     allowed=", ".join(nearest(name, known) or known))


def _read(path: Path) -> ScenarioFile:
    data = load_yaml(path)
    try:
        parsed = ScenarioFile.model_validate(data)
    except ValidationError as error:
        raise input_error(error, path) from None
    if parsed.name != path.stem:
        raise InputError("the name is not that of the file", file=path, key="name",
                         value=parsed.name, allowed=path.stem)
    _check_basis(parsed, path)
    return parsed


def _check_basis(parsed: ScenarioFile, path: Path) -> None:
    """Refuse a number that claims a source which the data package does not have."""
    known = {ASSUMPTION, *read_table("sources.csv")["source_id"]}
    sections: dict[str, Mapping[str, Driver | Parameter | Policy]] = {
        "drivers": parsed.drivers, "parameters": parsed.parameters, "policies": parsed.policies}
    for section, entries in sections.items():
        for given, entry in entries.items():
            if entry.basis not in known:
                close = nearest(entry.basis, known)
                raise InputError("unknown source", file=path, key=f"{section}.{given}.basis",
                                 value=entry.basis, allowed="'assumption' or a source_id of "
                                 "sources.csv" + (f", such as {close[0]}" if close else ""))


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be plain text",
                                       problem_mark=key_node.start_mark)
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice",
                                       problem_mark=key_node.start_mark)
        seen.add(key)
    return dict(loader.construct_pairs(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 reads `on`, `yes` and the like as booleans; here `on` is a key and they are text.
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
    for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("(true|false)$"), list("tf"))


def load_yaml(path: Path, what: str = "scenario", keys: str = "name, title, drivers") -> Any:
    """Read a YAML file of keys and values; `what` and `keys` name what should stand there.

    Raises
    ------
    InputError
        A missing, empty, non-UTF-8 or broken file, a key that stands twice, or no keys at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("file not found", file=path) from None
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", file=path, key=f"byte {error.start}",
                         allowed="UTF-8") from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from None
    if not text.strip():
        raise InputError("the file is empty", file=path, allowed=f"a {what}")
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
        raise InputError(f"broken YAML: {error.problem}", file=path, key=place) from None
    except yaml.YAMLError as error:
        raise InputError(f"broken YAML: {error}", file=path) from None
    if data is None:
        raise InputError("the file is empty", file=path, allowed=f"a {what}")
    if not isinstance(data, dict):
        raise InputError(f"not a {what}", file=path, value=str(data)[:60],
                         allowed=f"keys such as {keys}")
    return data


_EXPECTED = {
    "string_type": "a text", "string_too_short": "a text that is not empty",
    "string_pattern_mismatch": "lower-case letters, digits and hyphens",
    "int_type": "a whole number", "float_type": "a number", "finite_number": "a finite number",
    "model_type": "keys with values", "dict_type": "keys with values", "tuple_type": "a list",
    "missing": "a value for this key", "too_short": "[low, high]", "too_long": "[low, high]",
}
_LIMITS = {"greater_than_equal": ("at least", "ge"), "greater_than": ("above", "gt"),
           "less_than_equal": ("at most", "le"), "less_than": ("below", "lt")}


def input_error(error: ValidationError, path: Path) -> InputError:
    """Translate the first finding of pydantic into one plain message."""
    findings = error.errors()
    # A misspelt key is often the reason why another is missing.
    first = next((f for f in findings if f["type"] == "extra_forbidden"), findings[0])
    is_key = "[key]" in first["loc"]
    location = [part for part in first["loc"] if part != "[key]"]
    kind, context, found = first["type"], first.get("ctx", {}), first["input"]
    shown = None if isinstance(found, dict | list) or kind == "missing" else found
    problem, allowed = "not allowed", _EXPECTED.get(kind)
    if kind == "refused":
        problem, allowed, shown = context["problem"], context["allowed"], context["found"]
    elif kind == "extra_forbidden":
        problem, shown = "unknown key", location[-1]
        known = [f.alias or n for n, f in _model_at(location[:-1]).model_fields.items()]
        allowed = ", ".join(nearest(str(shown), known) or known)
    elif kind == "missing":
        problem = "key missing"
    elif (is_key and location[-2] in ("path", "multiply")) or (
            location[-1] == "from" and kind in _LIMITS):
        problem, allowed = "year outside the horizon", f"{FIRST_YEAR} to {LAST_YEAR}"
    elif kind in _LIMITS:
        words, name = _LIMITS[kind]
        problem, allowed = "value out of range", f"{words} {context[name]:g}"
    elif kind == "literal_error":
        allowed = context["expected"]
    elif kind.endswith("_type"):
        problem = "wrong type"
    return InputError(problem, file=path, key=".".join(map(str, location)) or None, value=shown,
                      allowed=allowed)


def _model_at(location: list[Any]) -> type[BaseModel]:
    if not location:
        return ScenarioFile
    models: Mapping[str, type[BaseModel]] = {
        "title": Title, "drivers": Driver, "parameters": Parameter, "policies": Policy,
        "shocks": Shock}
    return models.get(str(location[0]), ScenarioFile)


def json_schema() -> str:
    """Return the JSON schema of a scenario file, for editors."""
    schema = ScenarioFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
