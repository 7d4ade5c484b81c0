"""The register of tests: what a test is, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pandas as pd

if TYPE_CHECKING:
    from kuzbass.experiments.validation.context import Context
    from kuzbass.sd.battery.findings import Breach

__all__ = ["TESTS", "Outcome", "Stage", "Test", "Verdict", "canon", "of_breaches", "verdict_of"]

Verdict = Literal["pass", "fail", "info"]
# The stages of Barlas (1996), in the order in which they are passed.
Stage = Literal["structure", "structure-oriented behaviour", "behaviour pattern"]
_SHOWN = 3


@dataclass(frozen=True)
class Outcome:
    """What a test found.

    Attributes
    ----------
    verdict : {"pass", "fail", "info"}
    figure : str
        The number behind the verdict.
    detail : str
        What else to know, in a few words.
    part : str
        Which part of the test, such as a series; ``""`` if it has one part.
    tables : dict of str to DataFrame
        Numbers for the report, by name.
    required : bool
        Whether a failure of this part counts; a test that is not required has no part that is.
    """

    verdict: Verdict
    figure: str
    detail: str = ""
    part: str = ""
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    required: bool = True


@dataclass(frozen=True)
class Test:
    """One test of the canon.

    Attributes
    ----------
    id, name : str
    stage : Stage
    required : bool
        Whether a failure fails the validation.
    run : callable
    """

    id: str
    name: str
    stage: Stage
    required: bool
    run: Callable[[Context], Iterable[Outcome]]


TESTS: dict[str, Test] = {}
_Function = Callable[["Context"], "Outcome | Iterator[Outcome]"]


def canon(id_: str, name: str, stage: Stage, *, required: bool = True) -> Callable[
        [_Function], _Function]:
    """Register a test of the canon; the function gives one outcome, or one for each part."""

    def register(function: _Function) -> _Function:
        def run(context: Context) -> Iterable[Outcome]:
            found = function(context)
            return [found] if isinstance(found, Outcome) else list(found)

        TESTS[id_] = Test(id_, name, stage, required, run)
        return function

    return register


def verdict_of(passed: bool) -> Verdict:
    """Return ``"pass"`` or ``"fail"``."""
    return "pass" if passed else "fail"


def of_breaches(breaches: list[Breach], tried: str, *, table: str = "") -> Outcome:
    """Return the outcome of a test that passes if nothing was found.

    Parameters
    ----------
    breaches : list of Breach
    tried : str
        How much was tried, such as ``"475 equations"``.
    table : str
        Name of the table of the breaches.
    """
    shown = "; ".join(str(breach) for breach in breaches[:_SHOWN])
    more = f"; and {len(breaches) - _SHOWN} more" if len(breaches) > _SHOWN else ""
    rows = pd.DataFrame([(one.element, one.message) for one in breaches],
                        columns=["element", "message"])
    return Outcome(verdict_of(not breaches), f"{len(breaches)} of {tried}", shown + more,
                   tables={table: rows} if table and breaches else {})
