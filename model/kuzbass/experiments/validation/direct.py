"""Direct structure tests: the model as it stands, no run judged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from kuzbass.experiments.score import index_family
from kuzbass.experiments.validation.context import Context
from kuzbass.experiments.validation.registry import Outcome, canon, of_breaches, verdict_of
from kuzbass.region.data import judged, read_table
from kuzbass.sd.battery import structure
from kuzbass.sd.battery.equations import direct_extremes, limit_breaches
from kuzbass.sd.battery.extremes import reach_of
from kuzbass.sd.battery.findings import Breach
from kuzbass.sd.battery.parameters import assess_parameters, at_bounds, source_of
from kuzbass.sd.graph import dependencies, find_loop
from kuzbass.sd.lint_units import check_units
from kuzbass.sd.loops.causal import link_polarity

__all__: list[str] = []


@canon("boundary-adequacy", "Boundary adequacy", "structure")
def _boundary(context: Context) -> Iterator[Outcome]:
    places = structure.boundary(context.model)
    table = pd.DataFrame([(name, place) for place in places.__dataclass_fields__
                          for name in getattr(places, place)], columns=["variable", "place"])
    counts = table["place"].value_counts()
    yield Outcome("info", f"{counts['endogenous']} endogenous, {counts['drivers']} drivers, "
                  f"{counts['computed_outside']} computed from drivers only", part="table",
                  tables={"boundary": table})
    used = {*read_table("targets.csv")["variable"], *judged()["variable"],
            *index_family().indicators.variables}
    outside = [Breach(name, "is not moved by any feedback; expected an outcome of the model")
               for name in sorted(used - set(places.endogenous))]
    yield _part("outcomes", of_breaches(outside, f"{len(used)} judged variables"))


@canon("structure-lint", "Structure: house rules of the linter", "structure")
def _lint(context: Context) -> Outcome:
    breaches = [Breach(finding.element, f"{finding.message} [{finding.rule}]")
                for finding in context.findings]
    return of_breaches(breaches, f"{len(context.model.variables)} variables", table="lint")


@canon("structure-stocks", "Structure: stocks change through named flows only", "structure")
def _stocks(context: Context) -> Outcome:
    model = context.model
    stocks = sum(variable.kind == "stock" for variable in model.variables.values())
    return of_breaches([*structure.dead_stocks(model), *structure.limits_on_stocks(model)],
                       f"{stocks} stocks")


@canon("structure-simultaneous", "Structure: no simultaneous equations", "structure")
def _simultaneous(context: Context) -> Outcome:
    loop = find_loop(dependencies(context.model), "now")
    return Outcome(verdict_of(not loop), f"{len(loop)} variables in one", " -> ".join(loop))


@canon("structure-embedded-data", "Structure: no number without a name", "structure")
def _embedded(context: Context) -> Outcome:
    return of_breaches(structure.embedded_data(context.model),
                       f"{len(context.model.equations)} equations")


@canon("structure-outflows", "Structure: first-order control of outflows", "structure")
def _outflows(context: Context) -> Outcome:
    stocks = len(context.invariants.stocks)
    return of_breaches(structure.first_order_control(context.expanded), f"{stocks} stocks",
                       table="outflows")


@canon("structure-loops", "Structure: polarity of the named loops", "structure")
def _loops(context: Context) -> Iterator[Outcome]:
    polarities = link_polarity(context.expanded)
    for _, loop in read_table("loops.csv").iterrows():
        path = [context.model.name(step) for step in loop["path"].split(" -> ")]
        found = structure.loop_sign(polarities, path)
        # A link that never acts in the standard run tells nothing about the sign.
        passed = found in {loop["polarity"], "0"} or loop["polarity"] == "U"
        yield Outcome(verdict_of(passed), f"{found}, said to be {loop['polarity']}",
                      part=loop["loop"])


@canon("dimensional-consistency", "Dimensional consistency", "structure")
def _units(context: Context) -> Outcome:
    breaches = [Breach(finding.element, finding.message) for finding in check_units(context.model)]
    return of_breaches(breaches, f"{len(context.model.equations)} equations", table="units")


@canon("parameter-assessment", "Parameter assessment: unit, source, range", "structure")
def _parameters(context: Context) -> Outcome:
    constants = [v for v in context.model.variables.values() if v.kind == "constant"]
    return of_breaches(assess_parameters(context.model), f"{len(constants)} constants",
                       table="parameters")


@canon("parameters-at-bounds", "Parameter assessment: values on a bound", "structure",
       required=False)
def _bounds(context: Context) -> Outcome:
    model = context.model
    rows = [(name, model.equations[name].ast, model.variables[name].lower,
             model.variables[name].upper, source_of(model.variables[name]))
            for name in at_bounds(model)]
    table = pd.DataFrame(rows, columns=["constant", "value", "lower", "upper", "source"])
    return Outcome("info", f"{len(rows)} constants", ", ".join(table["constant"][:8]),
                   tables={"at_bounds": table})


@canon("extreme-equations", "Direct extreme conditions: each equation alone", "structure")
def _equations(context: Context) -> Outcome:
    always = [limit for limit in context.limits if np.isnan(limit.at)]
    probe = direct_extremes(context.expanded, reach_of(context.model, context.trials), always)
    outcome = of_breaches(list(probe.breaches), f"{probe.evaluations} trials of "
                          f"{probe.equations} equations", table="extreme_equations")
    note = f"{len(probe.guarded)} divisions by what never comes near zero"
    return Outcome(outcome.verdict, outcome.figure, outcome.detail or note, tables=outcome.tables)


@canon("extreme-limits", "Direct extreme conditions: stated limits", "structure")
def _limits(context: Context) -> Outcome:
    return of_breaches(limit_breaches(context.expanded, context.limits),
                       f"{len(context.limits)} limits", table="limits")


def _part(part: str, outcome: Outcome) -> Outcome:
    return Outcome(outcome.verdict, outcome.figure, outcome.detail, part, outcome.tables)
