"""The reporting checklist of Rahmandad and Sterman (2012), answered from computed facts.

Source: Reporting guidelines for simulation-based research in social sciences, System Dynamics
Review 28: 396-411; the items are in our words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import pandas as pd

from kuzbass import __version__
from kuzbass.experiments.results import RunResults
from kuzbass.sd.diagram import Faults
from kuzbass.sd.lint_units import check_units
from kuzbass.sd.mdl import Model

__all__ = ["Item", "checklist", "source_of"]

Verdict = Literal["yes", "partly", "no", "not run"]
_MARK = "Source:"
_SOFTWARE = ("python", "pysd", "numpy", "pandas")


@dataclass(frozen=True)
class Item:
    """One item of the checklist: what is asked, whether it is met, and the fact behind it."""

    part: str
    level: Literal["minimum", "preferred"]
    asked: str
    verdict: Verdict
    fact: str


def source_of(comment: str) -> str:
    """Return the source that a comment names, or ``""``."""
    return comment.partition(_MARK)[2].strip()


def checklist(
    model: Model,
    results: RunResults,
    evidence: Mapping[str, pd.DataFrame | None],
    loops: pd.DataFrame,
    drawing: Faults,
) -> list[Item]:
    """Answer the checklist for a model, a run of it and the tables of calibration and validation.

    Parameters
    ----------
    model : Model
    results : RunResults
    evidence : mapping of str to DataFrame or None
        Tables by ``calibration``, ``hold-out``, ``validation``.
    loops : DataFrame
        The named loops.
    drawing : Faults
        Of all diagrams together.
    """
    return [*_model_minimum(model), *_model_preferred(model, results, loops, drawing),
            *_simulation(model, results), *_calibration(evidence), *_figures(results)]


def _model_minimum(model: Model) -> list[Item]:
    variables = model.variables.values()
    kinds = pd.Series([variable.kind for variable in variables]).value_counts()
    constants = int(kinds.get("constant", 0))
    part = "Model"
    return [
        Item(part, "minimum", "Every equation, with initial values and order of events", "yes",
             f"{len(model.variables)} equations are shown as they stand in {model.path.name}, "
             f"{kinds.get('stock', 0)} of them stocks with their initial values; the order "
             "follows from the equations, which have no simultaneous loop."),
        Item(part, "minimum", "All parameters, initial values and tables", "yes",
             f"{constants} constants and {kinds.get('lookup', 0)} tables, each with its value."),
        Item(part, "minimum", "All exogenous series", "yes",
             "Page Driver sources: every outside driver with its rule, series, years and sources."),
        Item(part, "minimum", "Units of every variable", "yes",
             "The model does not load if one is missing."),
        Item(part, "minimum", "Readable without a proprietary tool", "yes",
             f"{model.path.name} is text; this book shows it; the engine is open source."),
    ]


def _model_preferred(
    model: Model, results: RunResults, loops: pd.DataFrame, drawing: Faults
) -> list[Item]:
    variables = model.variables.values()
    total = len(model.variables)
    commented = sum(bool(variable.comment) for variable in variables)
    sourced = sum(bool(source_of(variable.comment)) for variable in variables)
    constants = [variable for variable in variables if variable.kind == "constant"]
    units = len(list(check_units(model)))
    ranged = sum(variable.lower is not None and variable.upper is not None
                 for variable in constants)
    part = "Model"
    return [
        Item(part, "preferred", "Machine-readable model file in an open, common format", "yes",
             f"Vensim text format; SHA-256 {model.sha256[:16]}…"),
        Item(part, "preferred", "Definition and logic of each equation", _all(commented, total),
             f"{commented} of {total} variables have a comment."),
        Item(part, "preferred", "Source of each equation and value", _all(sourced, total),
             f"{sourced} of {total} comments name a source."),
        Item(part, "preferred", "Range of each constant", _all(ranged, len(constants)),
             f"{ranged} of {len(constants)} constants have a closed range."),
        Item(part, "preferred", "Units are consistent", "no" if units else "yes",
             f"{units} findings of the unit checker."),
        Item(part, "preferred", "List of variables with their types", "yes", "Page Variables."),
        Item(part, "preferred", "Diagrams",
             "yes" if not drawing.box_overlaps + drawing.arrow_box else "partly",
             f"Drawn from the equations; {drawing.box_overlaps} overlapping boxes, "
             f"{drawing.arrow_box} arrows through a box, {drawing.arrow_arrow} crossing arrows "
             "in all views together."),
        Item(part, "preferred", "List of feedback loops", "yes" if len(loops) else "no",
             f"{len(loops)} named loops, each with a way to cut it."),
        Item(part, "preferred", "Version, date and licence", "yes",
             f"kuzbass {__version__}, MIT licence; the manifest holds "
             f"{', '.join(sorted(results.manifest))}."),
    ]


def _simulation(model: Model, results: RunResults) -> list[Item]:
    part = "Simulation"
    versions = results.manifest.get("versions", {})
    known = versions if isinstance(versions, Mapping) else {}
    software = ", ".join(f"{name} {known[name]}" for name in _SOFTWARE if name in known)
    return [
        Item(part, "minimum", "Software and versions", "yes" if software else "no",
             f"Engine {results.engine}; {software}."),
        Item(part, "minimum", "Integration method, step, start, end, saving interval", "yes",
             f"Euler; step {Fraction(model.time_step)} year; {model.initial_time:g} to "
             f"{model.final_time:g}; every step is kept, annual statistics are reported."),
        Item(part, "minimum", "Settings and data of each reported run", "yes",
             f"{len(results.scenarios)} scenarios, each resolved in full in manifest.json: "
             f"{', '.join(results.scenarios)}."),
        Item(part, "minimum", "Number of replications and distributions", "yes",
             "One run a scenario; nothing in these runs is random."),
        Item(part, "minimum", "Processing before and after the simulation", "yes",
             "Annual means or year-ends, as data/judged.csv says for each series; the package "
             "holds the code."),
        Item(part, "preferred", "Scripts that repeat the runs", "yes",
             "kuzbass run and kuzbass book; equal inputs give equal numbers."),
    ]


def _calibration(evidence: Mapping[str, pd.DataFrame | None]) -> list[Item]:
    asked = {
        "calibration": "Purpose, payoff, weights, data, parameters with bounds, algorithm, "
                       "starts, best values and their uncertainty",
        "hold-out": "Performance on years that the calibration has not seen",
        "validation": "Tests of structure and behaviour with pass rules",
    }
    items = []
    for name, text in asked.items():
        table = evidence.get(name)
        fact = ("Not run for this book." if table is None else
                f"{len(table)} rows on page Evidence.")
        items.append(Item("Calibration and tests", "minimum", text,
                          "not run" if table is None else "yes", fact))
    return items


def _figures(results: RunResults) -> list[Item]:
    part = "Graphs and tables"
    digest = results.manifest.get("data", {})
    known = str(digest.get("sha256", ""))[:16] if isinstance(digest, Mapping) else ""
    return [
        Item(part, "minimum", "Units and time on the axes; data told from simulation", "yes",
             "Every plot has both; observed values are black dots."),
        Item(part, "minimum", "Names of runs are those of the files", "yes",
             "A scenario is called like its file in scenarios/."),
        Item(part, "preferred", "Numbers behind each figure are archived",
             "yes" if known else "partly",
             f"kuzbass run writes them as CSV and netCDF; SHA-256 of the data {known}…"),
    ]


def _all(count: int, total: int) -> Verdict:
    return "yes" if count == total else "partly"
