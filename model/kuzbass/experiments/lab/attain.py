"""What would have to be true?  The smallest change of causes that meets the authors' targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab.attain_causes import DRIVER, LEVER, Causes
from kuzbass.experiments.lab.attain_plan import AttainPlan
from kuzbass.experiments.lab.attain_search import MET, QUICK, Bands, Box, Search, Solution
from kuzbass.experiments.lab.levers import model_levers
from kuzbass.experiments.lab.surface import Surface, response_surface
from kuzbass.experiments.lab.years import scored_years
from kuzbass.experiments.output import data_record, software_versions
from kuzbass.experiments.run import END_YEAR, Progress, check_scenario
from kuzbass.experiments.tables import write_csv
from kuzbass.region.data import read_table
from kuzbass.region.resolve import ModelInterface
from kuzbass.region.scenario import Scenario, ScenarioFile, load_scenario
from kuzbass.region.targets import BASE_YEAR
from kuzbass.sd.kernel import ENGINE, compile_model
from kuzbass.sd.mdl import Model, load_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["VERDICTS", "AttainResult", "attain", "attain_lines", "wanted_targets",
           "write_attain"]

VERDICTS = ("met as it is", "by levers alone", "by luck alone", "by levers with luck",
            "out of reach")
STRATEGY = "coal output of the official strategy"
_STRETCHES = (2.0, 3.0)  # how far ranges of drivers are widened for what is out of reach
_DOUBTFUL = 0.1  # percent; a smaller gap of a pair may be the search's own
_HALF_A_TONNE = 0.5  # half of the last digit of a target in Mt


@dataclass(frozen=True)
class AttainResult:
    """What it takes to meet the targets of a scenario.

    Attributes
    ----------
    scenario, start : str
        Whose targets, and from which scenario the changes are counted.
    title : mapping of str to str
        Of the scenario, by language.
    targets : DataFrame
        One row per target: its band, ``own`` (without change), ``verdict`` (see `VERDICTS`),
        ``effort`` and ``gap`` (percent of the target that stay missing) if it is asked for alone,
        ``cause`` (the largest move then), ``stretch`` (how many times as wide the ranges of the
        drivers must be, if two or three times is enough), ``together`` (whether it is in the
        largest set), ``reached`` (its value there), ``price`` (effort saved there if the band
        gives way by 1 % of the target).
    sets : DataFrame
        By what may move (all, levers, drivers): targets met, of how many, effort.
    causes : DataFrame
        Every cause with its range, and its value where the largest set is met.
    conflicts : DataFrame
        Pairs of targets that can each be met alone, but not found to be met together: both, and
        the gap that is left, in percent.
    attained : ScenarioFile
        The change that meets the largest set, as a scenario.
    surface : Surface
        Index over coal output and price.
    runs : int
        Runs of the model.
    manifest : mapping
    """

    scenario: str
    start: str
    title: Mapping[str, str]
    targets: pd.DataFrame = field(repr=False)
    sets: pd.DataFrame
    causes: pd.DataFrame = field(repr=False)
    conflicts: pd.DataFrame = field(repr=False)
    attained: ScenarioFile = field(repr=False)
    surface: Surface = field(repr=False)
    runs: int
    manifest: Mapping[str, Any] = field(repr=False)


def attain(
    plan: AttainPlan, file: Path, scenario: str | Path, *, model: Model | None = None,
    progress: Progress | None = None,
) -> AttainResult:
    """Ask what it takes to meet the targets of a scenario.

    Parameters
    ----------
    plan, file
        From `kuzbass.experiments.lab.plan_files.read_plan`.
    scenario : str or Path
        The scenario whose targets are asked for.
    model : Model, optional
        The shipped one if left out.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    InputError
        A scenario without targets, or a cause, range, budget or surface that does not fit.
    """
    tell = progress or (lambda _text, _done, _total: None)
    tell("loading the model", 0, 6)
    asked = load_scenario(scenario)
    table = wanted_targets(asked)
    base = load_scenario(plan.onto[asked.name]) if asked.name in plan.onto else asked
    model = model or load_model()
    check_scenario(model, base)
    interface = model_interface(model, end=END_YEAR + 1.0)
    causes = Causes(plan, file, base, interface, model_levers(model))
    search = _search(plan, file, model, interface, causes, table)
    tell("every target alone", 1, 6)
    alone = _alone(search, causes, table)
    tell("the largest set", 2, 6)
    best, sets = _sets(search, causes, table)
    tell("pairs that contradict each other", 3, 6)
    conflicts = _conflicts(search, table, alone)
    tell("the response surface", 4, 6)
    surface = response_surface(plan.surface, file, model, interface)
    runs = sum(len(changes) for changes, _ in search.seen) + surface.index.size
    tell("done", 6, 6)
    own = asked.own
    met = int((best.slack[:len(table)] <= MET).sum())
    narrative = (f"The smallest change of {base.name} found by kuzbass attain, plan {plan.name}, "
                 f"that meets {met} of the {len(table)} targets of {asked.name}.")
    return AttainResult(
        asked.name, base.name, {"en": own.title.en, "ru": own.title.ru},
        _target_table(table, alone, best, search, causes), sets,
        _cause_table(causes, best), conflicts,
        causes.scenario_file(best.change, f"attained-{asked.name}", narrative), surface, runs,
        _manifest(plan, model, asked, base))


def wanted_targets(scenario: Scenario) -> pd.DataFrame:
    """Return the targets of a scenario: those of the paper, or the official strategy's output.

    Returns
    -------
    DataFrame
        Columns of ``targets.csv``.

    Raises
    ------
    InputError
        The scenario has none.
    """
    table = read_table("targets.csv")
    own = table[table["scenario"] == scenario.name].reset_index(drop=True)
    if len(own):
        return own
    published = read_table("index_published.csv")
    row = published[(published["item"] == STRATEGY) & (published["scenario"] == scenario.name)]
    if row.empty:
        known = [*dict.fromkeys(table["scenario"]), *published.loc[published["item"] == STRATEGY,
                                                                   "scenario"]]
        raise InputError("has no targets", file=scenario.path, key="scenario",
                         value=scenario.name, allowed=", ".join(known))
    value = float(row["value"].iloc[0])
    return pd.DataFrame([{
        "indicator": "Coal output", "variable": "coal output", "scenario": scenario.name,
        "year": int(row["year"].iloc[0]), "low": value, "high": value, "unit": "Mt",
        "transform": "none", "tolerance": _HALF_A_TONNE, "note": ""}])


def _search(
    plan: AttainPlan, file: Path, model: Model, interface: ModelInterface, causes: Causes,
    table: pd.DataFrame,
) -> Search:
    budget = {_known(name, model, file): limit for name, limit in plan.budget.items()}
    names = tuple(dict.fromkeys([*table["variable"], *budget]))
    reduction = scored_years(model, names, interface.grid)
    kernel = compile_model(
        model, vary={*causes.paths, *causes.fixed}, moving=causes.moving,
        outputs=reduction.outputs, final_time=END_YEAR + 1.0, save_every=None)
    years = reduction.time.astype(int)
    # As region.targets holds a run against a target.
    places = [(int(np.searchsorted(years, row["year"])), names.index(str(row["variable"])),
               None if row["transform"] == "none" else int(np.searchsorted(years, BASE_YEAR)))
              for _, row in table.iterrows()]
    paid = np.flatnonzero((years >= plan.start) & (years <= END_YEAR))

    def evaluate(changes: Array) -> Array:
        result = kernel.run(causes.inputs(changes), n=len(changes), trace=False)
        with np.errstate(all="ignore"):  # runs that are not finite are taken out below
            annual = reduction.annual(result.values)
            columns = [annual[year, output] if base is None else
                       100.0 * annual[year, output] / annual[base, output]
                       for year, output, base in places]
            columns += [annual[paid, reduction.outputs.index(name)].mean(axis=0)
                        for name in budget]
        outcomes = np.stack(columns, axis=1)
        outcomes[[one.member for one in result.nonfinite]] = np.nan
        return outcomes

    limits = np.array(list(budget.values()))
    middle = (table["low"] + table["high"]).to_numpy(float) / 2.0
    tolerance = table["tolerance"].to_numpy(float)
    bands = Bands(
        np.concatenate([table["low"].to_numpy(float) - tolerance, np.full(len(limits), -np.inf)]),
        np.concatenate([table["high"].to_numpy(float) + tolerance, limits]),
        np.concatenate([middle / 100.0, np.where(limits > 0.0, limits / 100.0, 0.01)]))
    always = tuple(range(len(table), len(table) + len(limits)))
    return Search(evaluate, causes.box, bands, always)


def _known(name: str, model: Model, file: Path) -> str:
    try:
        return model.name(name)
    except InputError as error:
        raise InputError("no such variable of the model", file=file, key="budget", value=name,
                         allowed=error.allowed) from None


def _alone(
    search: Search, causes: Causes, table: pd.DataFrame
) -> list[tuple[str, Solution, float]]:
    """Return verdict, solution and stretch of every target asked for alone."""
    levers, drivers = (search.box.only(causes.of(kind)) for kind in (LEVER, DRIVER))
    found = []
    for one in range(len(table)):
        solution = search.minimise([one])
        stretch = 1.0
        if solution.met and solution.effort == 0.0:
            verdict = VERDICTS[0]
        elif not solution.met:
            verdict = VERDICTS[4]
            stretch = _stretch(search, causes, one)
        elif search.minimise([one], box=levers, steps=QUICK, enough=True).met:
            verdict = VERDICTS[1]
        elif search.minimise([one], box=drivers, steps=QUICK, enough=True).met:
            verdict = VERDICTS[2]
        else:
            verdict = VERDICTS[3]
        found.append((verdict, solution, stretch))
    return found


def _stretch(search: Search, causes: Causes, target: int) -> float:
    """Return how many times as wide the ranges of the drivers must be; NaN if that is too much."""
    driver = causes.of(DRIVER)
    zero = np.array([-one.own / one.span for one in causes.causes])  # no path turns its sign
    for factor in _STRETCHES:
        wider = Box(np.where(driver, np.maximum(search.box.low * factor, 0.95 * zero),
                             search.box.low),
                    np.where(driver, search.box.high * factor, search.box.high),
                    search.box.weight)
        if search.minimise([target], box=wider, steps=QUICK, enough=True).met:
            return factor
    return float("nan")


def _sets(
    search: Search, causes: Causes, table: pd.DataFrame
) -> tuple[Solution, pd.DataFrame]:
    targets = range(len(table))
    boxes = {"nothing": search.box.only(np.zeros(len(causes.causes), dtype=np.bool_)),
             "levers": search.box.only(causes.of(LEVER)),
             "drivers": search.box.only(causes.of(DRIVER)), "all": search.box}
    found = {name: search.largest(targets, box=box) for name, box in boxes.items()}
    rows = [(name, int((one.slack[:len(table)] <= MET).sum()), len(table), one.effort)
            for name, one in found.items()]
    return found["all"], pd.DataFrame(rows, columns=["moves", "met", "targets", "effort"])


def _conflicts(
    search: Search, table: pd.DataFrame, alone: list[tuple[str, Solution, float]]
) -> pd.DataFrame:
    """Return the pairs that no run meets, although each of them can be met."""
    reachable = [one for one, (verdict, _, _) in enumerate(alone) if verdict != VERDICTS[4]]
    rows = []
    for pair in combinations(reachable, 2):
        found = [search.minimise(pair, start=search.nearest(pair), steps=QUICK, enough=True)]
        if not found[0].met:
            found.append(search.minimise(pair, steps=QUICK, enough=True))
        gap = min(float(one.slack[list(pair)].sum()) for one in found)
        if not any(one.met for one in found) and gap > _DOUBTFUL:
            first, second = (table.iloc[one] for one in pair)
            rows.append((first["indicator"], first["year"], second["indicator"], second["year"],
                         gap))
    return pd.DataFrame(rows, columns=["first", "first_year", "second", "second_year", "gap"]
                        ).sort_values("gap", ascending=False, ignore_index=True)


def _target_table(
    table: pd.DataFrame, alone: list[tuple[str, Solution, float]], best: Solution,
    search: Search, causes: Causes,
) -> pd.DataFrame:
    rows = len(table)
    met = best.slack[:rows] <= MET
    largest = [_largest(causes, solution) for _, solution, _ in alone]
    return table[["indicator", "variable", "year", "unit", "low", "high", "tolerance"]].assign(
        own=search.origin[:rows],
        verdict=[verdict for verdict, _, _ in alone],
        effort=[one.effort if one.met else np.nan for _, one, _ in alone],
        gap=[float(one.slack[number]) if not one.met else 0.0
             for number, (_, one, _) in enumerate(alone)],
        cause=largest,
        stretch=[stretch for _, _, stretch in alone],
        together=met,
        reached=best.outcomes[:rows],
        price=np.where(met, best.prices[:rows], np.nan),
    )


def _largest(causes: Causes, solution: Solution) -> str:
    """Return the cause that moves furthest."""
    size = np.abs(solution.change) * causes.box.weight
    if not size.any():
        return ""
    total: dict[str, float] = {}
    for cause, own in zip(causes.causes, size, strict=True):
        total[cause.name] = total.get(cause.name, 0.0) + float(own)
    return max(total, key=lambda name: total[name])


def _cause_table(causes: Causes, best: Solution) -> pd.DataFrame:
    rows = [(one.name, one.kind, one.unit, one.year, one.low, one.own, one.high, value, size)
            for one, value, size in zip(causes.causes, causes.values(best.change), best.change,
                                        strict=True)]
    return pd.DataFrame(rows, columns=["cause", "kind", "unit", "year", "low", "own", "high",
                                       "value", "size"])


def _manifest(
    plan: AttainPlan, model: Model, asked: Scenario, base: Scenario
) -> dict[str, Any]:
    return {
        "plan": plan.model_dump(mode="json"),
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "scenarios": {asked.name: asked.record(), base.name: base.record()},
        "engine": ENGINE,
        "time_step": model.time_step,
        "until": END_YEAR,
        "seed": None,  # nothing in the search is random
        "versions": software_versions(),
    }


def write_attain(result: AttainResult, folder: Path) -> None:
    """Write the tables and the scenario file into `folder`."""
    tables = {"targets": result.targets, "sets": result.sets, "causes": result.causes,
              "conflicts": result.conflicts, "surface": result.surface.table(),
              "claims": result.surface.claims}
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    content = result.attained.model_dump(by_alias=True, exclude_none=True)
    kept = {key: value for key, value in content.items() if value not in ({}, ())}
    (folder / f"{result.attained.name}.yaml").write_text(
        yaml.safe_dump(kept, allow_unicode=True, sort_keys=False, width=96), encoding="utf-8")


def attain_lines(result: AttainResult, folder: Path) -> list[str]:
    """Return what the command line says."""
    counts = result.targets["verdict"].value_counts()
    lines = [f"{len(result.targets)} targets of {result.scenario}, each alone: "
             + ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts) + "."]
    together, effort = int(result.targets["together"].sum()), result.sets["effort"].iloc[-1]
    lines.append(f"Together {together} can be met, at an effort of {effort:.2f} ranges; "
                 f"{len(result.conflicts)} pairs contradict each other.")
    lines += [f"{row['claim']} {row['low']:.0f}-{row['high']:.0f} Mt, price of {row['years']}: "
              f"{row['verdict']}." for _, row in result.surface.claims.iterrows()]
    return [*lines, f"Written to {folder}"]
