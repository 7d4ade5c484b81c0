"""Every house rule: the clean model passes, and one edit breaks exactly that rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kuzbass.paths import model_path
from kuzbass.sd.lint import RULES, lint
from kuzbass.sd.lint_units import parse_unit
from kuzbass.sd.mdl import load_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kuzbass.sd.mdl import Model

    Tiny = Callable[[str], Model]
    Edit = Callable[[str, str], Path]


_TAX = "tax rate=\n\t0.2\n\t~\tDmnl [0.0,1.0]\n\t~\tA lever. Source: assumption."
_RATE = "INTEG(building - closing, initial capacity)"

_BREACHES = [
    ("portable-function", "1.0 - tax rate", "1.0 - SIN(tax rate)", "net price",
     "SIN is not portable; allowed: INTEG"),
    ("portable-function", "capacity * net price", "capacity * DELAY FIXED(net price, one year, "
     "initial perceived price)", "revenue", "DelayFixed is not portable"),
    ("comment", _TAX, _TAX.replace(" Source: assumption.", ""), "tax rate", "no 'Source: ...'"),
    ("comment", _TAX, _TAX.replace("A lever. Source: assumption.", ""), "tax rate",
     "has no comment"),
    ("comment", "~\tThe end.", "~\t", "FINAL TIME", "has no comment"),
    ("constant-range", _TAX, _TAX.replace(" [0.0,1.0]", ""), "tax rate", "needs a range"),
    ("constant-range", _TAX, _TAX.replace("[0.0,1.0]", "[0.0,?]"), "tax rate", "both bounds"),
    ("constant-range", _TAX, _TAX.replace("0.2", "1.2"), "tax rate",
     r"1\.2 is out of its range \[0,1\]"),
    ("float-literal", "1.0 - tax rate", "1 - tax rate", "net price", r"write 1\.0 instead of 1"),
    ("float-literal", "perception time, initial perceived price", "perception time, 60",
     "perceived price", r"write 60\.0"),
    ("power", "1.0 - tax rate", "1.0 - (-2.0) ^ tax rate * 0.0", "net price", "negative base -2"),
    ("power", "1.0 - tax rate", "1.0 - tax rate ^ 2.0 ^ 2.0", "net price", "power of a power"),
    ("time-step", "TIME STEP=\n\t0.25", "TIME STEP=\n\t0.1", "TIME STEP", "0.1 is not a power"),
    ("unit", "closing=\n\tcapacity / life of capacity", "closing=\n\tcapacity", "closing",
     r"the unit mt/year, expected mt/\(year\*year\)"),
    ("lookup-input", "perceived price / reference price", "perceived price", "building",
     "'perceived price', the input of a table, has the unit usd/t, expected Dmnl"),
    ("lookup-input", "Time/one year", "Time", "world price", "unit year, expected Dmnl"),
    ("stock", _RATE, "INTEG(building * 0.5 - closing, initial capacity)", "capacity",
     "plain sum and difference"),
    ("stock", _RATE, "INTEG(building - closing, 10.0)", "capacity",
     "must be a named variable, or 0.0"),
    ("stock", _RATE, "INTEG(building - initial capacity, initial capacity)", "capacity",
     "'initial capacity' is a constant, not a flow"),
    ("stock", _RATE, f"2.0 * {_RATE}", "capacity", "INTEG must be the whole equation"),
    ("subscripts", "tax rate=", "Region: north, south ~~|\nrent[Region]= 1.0 ~ Dmnl ~|\ntax rate=",
     "rent", "Vensim PLE does not know"),
    ("default-initial", "SMOOTHI(net price, perception time, initial perceived price)",
     "SMOOTH(net price, perception time)", "perceived price", "give the smooth or delay an init"),
    ("outflow", "closing=\n\tcapacity / life of capacity",
     "closing=\n\tinitial capacity / life of capacity", "capacity",
     "its outflow 'closing' does not depend on it"),
    ("unused", "\t~\t:SUPPLEMENTARY\n", "", "revenue", "nothing uses it"),
]


@pytest.mark.parametrize("name", ["small", "teacup", "conservation", "lookup_clamp"])
def test_clean_models(tiny: Tiny, name: str) -> None:
    assert lint(tiny(name)) == []


@pytest.mark.parametrize(("rule", "old", "new", "element", "message"), _BREACHES)
def test_breach(edited: Edit, rule: str, old: str, new: str, element: str, message: str) -> None:
    findings = [finding for finding in lint(load_model(edited(old, new))) if finding.rule == rule]
    assert [finding.element for finding in findings] == [element]
    assert re.search(message, findings[0].message)
    assert findings[0].level == RULES[rule][0]


def test_every_rule_has_a_breach() -> None:
    assert {breach[0] for breach in _BREACHES} == set(RULES)


def test_a_stock_may_be_excused(edited: Edit) -> None:
    path = edited("closing=\n\tcapacity / life", "closing=\n\tinitial capacity / life")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("The stock.", "The stock. May go negative: for this test."),
                    encoding="utf-8")
    assert lint(load_model(path)) == []


def test_finding_is_one_line(tiny: Tiny) -> None:
    finding = next(item for item in lint(tiny("smooth_integer")) if item.rule == "float-literal")
    assert str(finding) == ("error: smoothed: write 0.0 instead of 0: PySD keeps integers apart "
                            "[float-literal]")


@pytest.mark.parametrize(
    ("text", "powers"),
    [
        ("Dmnl", {}),
        ("1/year", {"year": -1}),
        ("bn RUB/year", {"bn rub": 1, "year": -1}),
        ("RUB/(person*month)", {"rub": 1, "person": -1, "month": -1}),
        ("a/b*c", {"a": 1, "b": -1, "c": 1}),
        ("a/(b/c)", {"a": 1, "b": -1, "c": 1}),
        ("Mt/Year/Year", {"mt": 1, "year": -2}),
        ("Mt/Mt", {}),
    ],
)
def test_units(text: str, powers: dict[str, int]) -> None:
    assert parse_unit(text) == powers


def test_the_shipped_model_has_no_error() -> None:
    errors = [str(finding) for finding in lint(load_model(model_path()))
              if finding.level == "error"]
    assert errors == []
