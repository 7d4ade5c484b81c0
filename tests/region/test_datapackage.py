"""The data package is valid, and a broken cell makes it invalid."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import frictionless
import pytest

from kuzbass.paths import data_dir
from kuzbass.region.data import TABLES
from kuzbass.region.draws import DRAWS, read_draws
from kuzbass.region.resilience import INDICATOR_TABLE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the data package."""
    folder = tmp_path / "data"
    shutil.copytree(data_dir(), folder)
    return folder


def _report(folder: Path) -> frictionless.Report:
    return frictionless.validate(str(folder / "datapackage.json"))


def _errors(report: frictionless.Report) -> set[tuple[str, str]]:
    return {(task.name, error.type) for task in report.tasks for error in task.errors}


def test_shipped_package_is_valid(package: Path) -> None:
    report = _report(package)
    assert _errors(report) == set()
    assert report.valid


def test_every_table_is_a_resource_of_the_same_columns() -> None:
    described = json.loads((data_dir() / "datapackage.json").read_text(encoding="utf-8"))
    fields = {resource["path"]: tuple(field["name"] for field in resource["schema"]["fields"])
              for resource in described["resources"]}
    assert set(fields) == {path.name for path in data_dir().glob("*.csv")}
    tables = {**TABLES, "indicators.csv": INDICATOR_TABLE}
    columns = {name: table.columns for name, table in tables.items()}
    columns[DRAWS] = tuple(read_draws().columns)
    assert fields == columns
    assert described["title"]
    assert described["licenses"]
    assert described["sources"]


def test_every_source_id_is_a_foreign_key() -> None:
    described = json.loads((data_dir() / "datapackage.json").read_text(encoding="utf-8"))
    for resource in described["resources"]:
        schema = resource["schema"]
        has_source = any(field["name"] == "source_id" for field in schema["fields"])
        keys = [key["reference"]["resource"] for key in schema.get("foreignKeys", [])]
        assert ("sources" in keys) == (has_source and resource["name"] != "sources")


@pytest.mark.parametrize(
    ("name", "old", "new", "error"),
    [
        ("observed", ",2000,252.0,", ",2000,many,", "type-error"),
        ("observed", ",rr2022,sourced,", ",nobody,sourced,", "foreign-key"),
        ("observed", ",rr2022,sourced,", ",rr2022,remembered,", "constraint-error"),
        ("observed", "units,2001,", "units,2000,", "primary-key"),
        ("drivers", ",RR2022,", ",,", "constraint-error"),
        ("monthly", ",2000,1,", ",2000,13,", "constraint-error"),
        ("targets", "s1-coal-paradigm", "s9", "constraint-error"),
        ("judged", "coal output", "coal outputs", "foreign-key"),
        ("holdout", "wide,actual", "wide,seen", "constraint-error"),
        ("parameters", ",fitted,", ",guessed,", "constraint-error"),
        ("indicators", "grp_real_index", "grp_unreal_index", "foreign-key"),
    ],
)
def test_a_broken_cell_is_found(package: Path, name: str, old: str, new: str, error: str) -> None:
    path = package / f"{name}.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert (name, error) in _errors(_report(package))


def test_a_missing_column_is_found(package: Path) -> None:
    path = package / "labels.csv"
    rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(row.rsplit(",", 1)[0] for row in rows), encoding="utf-8")
    assert not _report(package).valid
