"""Models for the tests of the system-dynamics layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS = Path(__file__).resolve().parents[1] / "models"


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], Model]:
    """Load one of the tiny models by its name."""
    return lambda name: load_model(MODELS / f"{name}.mdl")


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """Copy small.mdl with one piece of text replaced; return the path of the copy."""

    def edit(old: str, new: str) -> Path:
        text = (MODELS / "small.mdl").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "edited.mdl"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return edit


@pytest.fixture(scope="session")
def large_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A made-up model of the size of the shipped one, for measuring speed."""
    path = tmp_path_factory.mktemp("large") / "large.mdl"
    path.write_text(_large_text(), encoding="utf-8")
    return load_model(path)

_CONTROL = """
********************************************************
	.Control
********************************************************~
		Simulation control.
	|

INITIAL TIME= 2000.0
	~	Year
	~	The start.
	|

FINAL TIME= 2036.0
	~	Year
	~	The end.
	|

TIME STEP= 0.0625
	~	Year
	~	The step of the Euler integration.
	|

SAVEPER= TIME STEP
	~	Year
	~	Every step is saved.
	|
"""


def _large_text(drivers: int = 40, sectors: int = 25) -> str:
    """Return an .mdl text with `drivers` tables and `sectors` copies of a small economy.

    One sector has eleven variables, of them a stock, a smooth, a third-order delay, a table
    function, a power, a choice and a limit.
    """
    parts = ["{UTF-8}", _group("Drivers"), _variable("one year", "1.0", "Year [1.0,1.0]")]
    for number in range(drivers):
        points = ",".join(
            f"({year}.0,{1.0 + ((year + 7 * number) % 11) / 10.0:.2f})"
            for year in range(2000, 2037)
        )
        name = f"driver {number}"
        parts.append(f"{name} table(\n\t[(2000,0)-(2036,3)],{points})\n{_tail('Dmnl')}")
        parts.append(_variable(name, f"{name} table(Time/one year)", "Dmnl"))
    parts.append(_group("Economy"))
    parts.extend(_sector(number, drivers) for number in range(sectors))
    return "\n".join([*parts, _CONTROL])


def _sector(number: int, drivers: int) -> str:
    tag = f"s{number}"
    neighbour = f"s{(number - 1) % 25}"
    driver = f"driver {number % drivers}"
    equations = [
        (f"{tag} life", "12.0", "Year [5.0,30.0]"),
        (f"{tag} start", "10.0", "Mt [1.0,100.0]"),
        (f"{tag} elasticity", "0.3", "Dmnl [0.0,1.0]"),
        (f"{tag} capital", f"INTEG({tag} building - {tag} wearing, {tag} start)", "Mt"),
        (f"{tag} wearing", f"{tag} capital / {tag} life", "Mt/Year"),
        (f"{tag} orders", f"{tag} start / {tag} life * {tag} pressure * {tag} push", "Mt/Year"),
        (f"{tag} building", f"DELAY3I({tag} orders, one year, {tag} start / {tag} life)",
         "Mt/Year"),
        (f"{tag} ratio", f"XIDZ({tag} capital, {neighbour} capital, 1.0)", "Dmnl"),
        (f"{tag} pressure", f"{tag} table(MIN({tag} expected, 2.5)) ^ {tag} elasticity", "Dmnl"),
        (f"{tag} expected", f"SMOOTHI({tag} ratio * {driver}, one year * 2.0, 1.0)", "Dmnl"),
        (f"{tag} push", f"IF THEN ELSE({driver} > 1.5, EXP(0.1 * {driver}), MAX({driver}, 1.0))",
         "Dmnl"),
    ]
    table = (f"{tag} table(\n\t[(0,0)-(3,2)],(0.0,0.2),(0.5,0.7),(1.0,1.0),(2.0,1.4),(3.0,1.5))\n"
             f"{_tail('Dmnl')}")
    return "\n".join([table, *(_variable(*equation) for equation in equations)])


def _variable(name: str, equation: str, unit: str) -> str:
    return f"{name}=\n\t{equation}\n{_tail(unit)}"


def _tail(unit: str) -> str:
    return f"\t~\t{unit}\n\t~\tMade up. Source: assumption.\n\t|\n"


def _group(name: str) -> str:
    line = "*" * 56
    return f"{line}\n\t.{name}\n{line}~\n\t\tMade up.\n\t|\n"
