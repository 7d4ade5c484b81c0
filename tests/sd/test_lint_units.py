"""Dimensional consistency: each rule, by one edit of a clean model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kuzbass.sd.lint_units import check_units, format_unit
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]

_PRICE = "world price * (1.0 - tax rate)"

_BREACHES = [
    ("world price + tax rate", "'tax rate' in a sum has the unit Dmnl, expected usd/t"),
    ("world price - 1.0", "'1' in a sum has the unit Dmnl, expected usd/t"),
    ("world price * one year", "the equation has the unit usd*year/t, expected usd/t"),
    ("world price / world price", "the equation has the unit Dmnl, expected usd/t"),
    ("world price ^ 2.0", "the equation has the unit usd*usd/(t*t), expected usd/t"),
    ("world price ^ tax rate", "the base 'world price' of a power has the unit usd/t, expected "
     "Dmnl"),
    ("world price * tax rate ^ one year", "the exponent 'one year' has the unit year, expected "
     "Dmnl"),
    ("world price * EXP(one year)", "'one year' in EXP has the unit year, expected Dmnl"),
    ("MAX(world price, tax rate)", "'tax rate' in MAX has the unit Dmnl, expected usd/t"),
    ("IF THEN ELSE(world price > tax rate, world price, 0.0)",
     "'tax rate' in a comparison has the unit Dmnl, expected usd/t"),
    ("IF THEN ELSE(tax rate > 0.0, world price, one year)",
     "'one year' in IF THEN ELSE has the unit year, expected usd/t"),
    ("XIDZ(world price, tax rate, 1.0)", "'1' in XIDZ has the unit Dmnl, expected usd/t"),
    ("ZIDZ(world price, one year)", "the equation has the unit usd/(t*year), expected usd/t"),
    ("STEP(world price, tax rate)", "the time 'tax rate' in STEP has the unit Dmnl, expected "
     "year"),
    ("RAMP(world price, one year, one year)",
     "the equation has the unit usd*year/t, expected usd/t"),
    ("world price * PULSE(world price, one year)",
     "the time 'world price' in PULSE has the unit usd/t, expected year"),
    ("world price * (-one year)", "the equation has the unit usd*year/t, expected usd/t"),
    ("world price * Time", "the equation has the unit usd*year/t, expected usd/t"),
]


@pytest.mark.parametrize(("equation", "message"), _BREACHES)
def test_breach(edited: Edit, equation: str, message: str) -> None:
    findings = check_units(load_model(edited(_PRICE, equation)))
    assert [finding.message for finding in findings] == [message]
    assert str(findings[0]) == f"net price: {message}"


@pytest.mark.parametrize("equation", [
    "MAX(0.0, world price)", "world price * EXP(-tax rate)", "(world price ^ 2.0) ^ 0.5",
    "IF THEN ELSE(world price > 0.0 :AND: tax rate < 1.0, world price, 0.0)",
    "STEP(world price, one year)", "RAMP(world price / one year, one year, 2.0 * one year)",
    "XIDZ(world price * tax rate, tax rate, world price)",
    "DELAY1I(world price, one year, world price)",
])
def test_sound_equations(edited: Edit, equation: str) -> None:
    assert check_units(load_model(edited(_PRICE, equation))) == []


def test_smooth_and_stock(edited: Edit) -> None:
    smooth = edited("SMOOTHI(net price, perception time,", "SMOOTHI(net price, reference price,")
    assert str(check_units(load_model(smooth))[0]) == (
        "perceived price: the time 'reference price' of a smooth or delay has the unit usd/t, "
        "expected year")
    stock = edited("~\tMt/Year\n\t~\tThe stock.", "~\tMt\n\t~\tThe stock.")
    assert [str(finding) for finding in check_units(load_model(stock))
            if finding.element == "capacity"] == [
        "capacity: the rate times the unit of time has the unit mt/year, expected mt",
        "capacity: the initial value has the unit mt/year, expected mt"]


@pytest.mark.parametrize("name", ["small", "conservation", "delay3", "teacup"])
def test_clean_models(tiny: Tiny, name: str) -> None:
    assert check_units(tiny(name)) == []


def test_embedded_starts_have_no_unit(tiny: Tiny) -> None:
    assert [str(finding) for finding in check_units(tiny("logistic"))] == [
        "population: the initial value has the unit Dmnl, expected person"]


def test_format() -> None:
    assert format_unit({}) == "Dmnl"
    assert format_unit({"year": -1.0}) == "1/year"
    assert format_unit({"m": 0.5, "s": -2.0}) == "m^0.5/(s*s)"
