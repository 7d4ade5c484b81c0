"""Reads the plans of the lab: YAML files that a pydantic model checks, with one plain message."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from kuzbass.errors import InputError, nearest
from kuzbass.paths import scenario_dir
from kuzbass.region.scenario import Strict, Text, Title, load_yaml, refusal

__all__ = ["LabPlan", "Strict", "Text", "Title", "read_plan", "refusal", "schema_text"]

P = TypeVar("P", bound="LabPlan")


class LabPlan(Strict):
    """What every plan of the lab has."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = Field(
        description="the name of the file without .yaml")
    title: Title
    narrative: Text = Field(description="what is asked and why, in plain words")


def read_plan(kind: type[P], given: str | Path) -> tuple[P, Path]:
    """Read a plan: the name of a shipped one, or the path of a YAML file.

    Returns
    -------
    tuple of (plan, Path)
        The plan and its file.

    Raises
    ------
    InputError
        One message with file, key, value and what is allowed.
    """
    path = _find(str(given))
    plan = check_plan(kind, load_yaml(path, "plan", "name, title, narrative"), path)
    if plan.name != path.stem:
        raise InputError("the name is not that of the file", file=path, key="name",
                         value=plan.name, allowed=path.stem)
    return plan, path


def check_plan(kind: type[P], data: object, path: Path) -> P:
    """Check plain data as a plan; `path` is what messages name."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _input_error(kind, error, path) from None


def schema_text(kind: type[LabPlan]) -> str:
    """Return the JSON schema of a kind of plan, for editors."""
    schema: dict[str, Any] = kind.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


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


def _input_error(kind: type[BaseModel], error: ValidationError, path: Path) -> InputError:
    """Translate the first finding of pydantic into one plain message."""
    findings = error.errors()
    # A misspelt key is often the reason why another is missing.
    first: ErrorDetails = next(
        (one for one in findings if one["type"] == "extra_forbidden"), findings[0])
    context, found = first.get("ctx", {}), first["input"]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]") or None
    if first["type"] == "refused":
        return InputError(context["problem"], file=path, key=key, value=context["found"],
                          allowed=context["allowed"])
    if first["type"] == "extra_forbidden":
        fields = _fields(kind, first["loc"][:-1])
        return InputError("unknown key", file=path, key=key, value=first["loc"][-1],
                          allowed=", ".join(nearest(str(first["loc"][-1]), fields) or fields))
    if first["type"] == "missing":
        return InputError("key missing", file=path, key=key)
    shown = None if isinstance(found, dict | list | tuple) else found
    return InputError("not allowed", file=path, key=key, value=shown,
                      allowed=first["msg"][0].lower() + first["msg"][1:])


def _fields(kind: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the keys that may stand at a place of a plan."""
    model: type[BaseModel] | None = kind
    for part in location:
        if model is not None and part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation)
    return [one.alias or name for name, one in model.model_fields.items()] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first pydantic model inside of an annotation such as ``dict[str, Model]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, tuple, list, Union, types.UnionType, Annotated):
        return next((model for one in get_args(annotation)
                     if (model := _model_in(one)) is not None), None)
    return None
