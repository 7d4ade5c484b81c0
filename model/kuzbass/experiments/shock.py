"""How a shock travels: measures of every variable, the links and paths that carry it, cuts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import xarray as xr

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.output import data_record, output_folder, software_versions
from kuzbass.experiments.response_bands import response_bands
from kuzbass.experiments.run import END_YEAR, Progress, check_scenario, check_settings
from kuzbass.experiments.shock_views import (
    HEADLINES,
    both_views,
    frame_of,
    groups_of,
    loop_cuts,
    network,
    sectors,
    stations,
    sweep,
)
from kuzbass.experiments.tables import write_csv, write_grid
from kuzbass.region.resolve import ModelInterface, resolve
from kuzbass.region.scenario import Title, load_scenario
from kuzbass.region.shocks import (
    ALIASES,
    Moved,
    ShockFile,
    ShockLine,
    apply_shocks,
    load_shock,
    read_line,
)
from kuzbass.sd.attribution import Attribution, Difference, attribute, difference, seeds
from kuzbass.sd.cutting import Cuts
from kuzbass.sd.graph import dependencies
from kuzbass.sd.loops import causal_graph, expand
from kuzbass.sd.mdl import Model, load_model
from kuzbass.sd.pathways import Pathways, meters, pathways
from kuzbass.sd.shock import Cascade, cascade, measures, relative

__all__ = ["HEADLINES", "ShockResult", "command_shock", "shock"]

TARGET = "real GRP index"
_SMALLEST = 0.005

Draw = Callable[["ShockResult", Path], object]


@dataclass(frozen=True)
class ShockResult:
    """A shock and what it did.

    Attributes
    ----------
    name, title, scenario, target : str
        The shock, the scenario that it fell on, and the variable that is explained.
    start, at : float
        When the inputs begin to differ, and the time of the response that is explained.
    sources : tuple of str
        What was shocked.
    base, shocked : xarray.Dataset
        The two runs.
    shares : DataFrame
        Time by variable: difference relative to the base, from the start on.
    measures : DataFrame
        By variable: unit, group and the measures of `kuzbass.sd.shock.measures`, nonlinearity and
        asymmetry among them.
    sectors : DataFrame
        By sector: its headline variable with its measures, how many of its variables move by
        more than 1 %, and which one moves first.
    cascade : Cascade
    attribution : Attribution
        Exact shares of the links in the response of the target.
    links : DataFrame
        The strongest links seen both ways: ``share`` (accounting) and ``lost`` (share of the
        response lost if the link is held at the base), with both ranks.
    stations : DataFrame
        The same of the sectors' headline variables: what passed through them, and what is lost
        if they are held at the base.
    agreement : float
        Kendall's tau of the two ranks of `links`.
    paths : Pathways
    routes : DataFrame
        Shares of the paths summed by the sectors they pass.
    loops : Cuts
        The named loops cut one by one, with the interaction of every pair.
    sweep : DataFrame
        Size (1 is the shock), variable, ``peak_share``, ``loss_area``; sizes that leave the
        range of an input are missing.
    bands : DataFrame
        Of the headline variables and the target: variable, time, ``q05`` to ``q95`` of `shares`,
        parameters varying.
    banded : str
        What varies in `bands`.
    network : DataFrame
        Time, cause, effect, ``carried``: what the link carries of the target's difference at
        this time, as a share of its largest difference.
    notes : tuple of str
        What a reader must know.
    manifest : mapping
    folder : Path
        Where it was written.
    """

    name: str
    title: str
    scenario: str
    target: str
    start: float
    at: float
    sources: tuple[str, ...]
    base: xr.Dataset = field(repr=False)
    shocked: xr.Dataset = field(repr=False)
    shares: pd.DataFrame = field(repr=False)
    measures: pd.DataFrame = field(repr=False)
    sectors: pd.DataFrame = field(repr=False)
    cascade: Cascade = field(repr=False)
    attribution: Attribution = field(repr=False)
    links: pd.DataFrame = field(repr=False)
    stations: pd.DataFrame = field(repr=False)
    agreement: float
    paths: Pathways = field(repr=False)
    routes: pd.DataFrame = field(repr=False)
    loops: Cuts = field(repr=False)
    sweep: pd.DataFrame = field(repr=False)
    bands: pd.DataFrame = field(repr=False)
    banded: str
    network: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    manifest: Mapping[str, object] = field(repr=False)
    folder: Path


def command_shock(
    on: Sequence[str], by: Sequence[str], *, start: float, years: float | None = None,
    shape: str = "pulse", recorded: int | None = None, scenario: str = "baseline",
) -> ShockFile:
    """Return the shock that a command line describes.

    Parameters
    ----------
    on : sequence of str
        Drivers, policies or parameters; names of daily use are understood too.
    by : sequence of str
        Sizes such as ``"-20%"`` or ``"-5"``, one for all or one for each; none if `recorded`.
    start, years : float
        When it begins and how long it lasts.
    shape : {"pulse", "step", "ramp", "recorded"}
    recorded : int, optional
        The crisis whose profile is followed.
    scenario : str
        Name of the base scenario.

    Raises
    ------
    InputError
        Nothing is shocked, the numbers of names and sizes do not match, or a value is bad.
    """
    sizes = list(by) if len(by) != 1 else list(by) * len(on)
    if not on or (recorded is None and len(sizes) != len(on)):
        raise InputError("every shock needs a size", key="--by", value=len(by),
                         allowed="one for all, or one for each --on")
    lines = [read_line(**{"on": name, "by": None if recorded is not None else _size(sizes[number]),
                          "from": start, "for": years, "recorded": recorded,
                          "shape": shape if recorded is None else "recorded"})
             for number, name in enumerate(on)]
    told = ", ".join(_told(line) for line in lines)
    return ShockFile.model_construct(
        name="command-line", title=Title(en=told, ru=told),
        narrative=told, scenario=scenario, shocks=tuple(lines))


def shock(
    given: ShockFile | str | Path, *, scenario: str | Path | None = None, target: str = TARGET,
    at: float | None = None, until: int = END_YEAR, out: str | Path, keep: bool = False,
    command: str = "kuzbass shock", draw: Draw | None = None, progress: Progress | None = None,
) -> ShockResult:
    """Run a shock, measure it, explain it and write an output folder.

    Parameters
    ----------
    given : ShockFile, str or Path
        From `command_shock`, the name of a shipped shock, or the path of a shock file.
    scenario : str or Path, optional
        Base scenario instead of that of the file.
    target : str
        The variable whose response is explained.
    at : float, optional
        Time of the response that is explained; that of the largest one if left out.
    until : int
        Last year of the run.
    out, keep, command
        As in `kuzbass.experiments.output.output_folder`.
    draw : callable, optional
        Called with the result and the folder before the folder is put in its place.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    InputError, ModelError
        A bad shock, scenario, target or time.
    """
    tell = progress or (lambda _text, _done, _total: None)
    began = time.perf_counter()
    check_settings("auto", None, until)
    file = given if isinstance(given, ShockFile) else load_shock(given)
    with output_folder(out, keep=keep, command=command) as folder:
        tell("loading the model", 0, 6)
        model = load_model()
        interface = model_interface(model, end=until + 1.0)
        base_scenario = load_scenario(scenario if scenario is not None else file.scenario)
        check_scenario(model, base_scenario)
        _check_names(model, interface, file.shocks)
        moved = apply_shocks(file.shocks, resolve(base_scenario, interface), interface,
                             Path(f"{file.name}.yaml"))
        tell("base run and shocked run", 1, 6)
        diff = difference(expand(model, moved.base, final_time=until + 1.0),
                          expand(model, moved.shocked, final_time=until + 1.0))
        result = _explained(model, interface, file, moved, diff, base_scenario.name, target, at,
                            until, folder.target, tell)
        tell("writing tables and figures", 5, 6)
        folder.manifest.update(result.manifest)
        _write(result, folder.path)
        if draw is not None:
            draw(result, folder.path)
        folder.manifest["seconds"] = round(time.perf_counter() - began, 1)
    tell("done", 6, 6)
    return result


def _explained(
    model: Model, interface: ModelInterface, file: ShockFile, moved: Moved, diff: Difference,
    scenario: str, target: str, at: float | None, until: int, folder: Path, tell: Progress,
) -> ShockResult:
    name = model.name(target)
    weights, moment = seeds(diff, name, at)
    assert isinstance(moment, float)
    result = attribute(diff, name, moment)
    tell("paths and cuts", 2, 6)
    found = pathways(diff, result, weights, smallest=_SMALLEST)
    metered = meters(diff, name)
    links, agreement = both_views(diff, result, weights, metered)
    passed = stations(model, diff, result, weights)
    tell("sweep of signs and sizes", 3, 6)
    base, shocked = frame_of(diff.base.run), frame_of(diff.shocked.run)
    source = moved.names[0] if len(moved.names) == 1 else None
    table = measures(base, shocked, moved.start, source=source,
                     trough=float(diff.time[np.abs(diff.delta[name]).argmax()]) - moved.start)
    later = base.index.to_numpy() >= moved.start
    shares = pd.DataFrame(
        {one: relative(base[one].to_numpy()[later], shocked[one].to_numpy()[later])
         for one in base}, index=base.index[later])
    swept, missing, odd = sweep(model, interface, moved, base, shares, until,
                                 (*HEADLINES.values(), name))
    table = table.join(odd)
    table.insert(0, "unit", [model.variables[one].unit for one in table.index])
    table.insert(1, "group", [model.variables[one].group for one in table.index])
    tell("the same over uncertain parameters", 4, 6)
    bands, banded = response_bands(
        model, interface, moved.base, moved.shocked,
        [one for one in dict.fromkeys([name, *HEADLINES.values()]) if one in model.variables],
        moved.start)
    tell("the network over time", 4, 6)
    moving = [one for one in table.index if model.variables[one].kind in ("stock", "auxiliary")
              and model.variables[one].group not in ("Drivers", "Checks")]
    notes = (*moved.notes, *missing, *_notes(result, found, agreement))
    return ShockResult(
        name=file.name, title=file.title.en, scenario=scenario, target=name, start=moved.start,
        at=moment, sources=moved.names, base=diff.base.run, shocked=diff.shocked.run,
        shares=shares, measures=table, sectors=sectors(table),
        cascade=cascade(shares[moving], table.loc[moving], causal_graph(diff.shocked),
                        moved.names),
        attribution=result, links=links, stations=passed, agreement=agreement, paths=found,
        routes=found.routes(groups_of(model, diff)), loops=loop_cuts(diff, name, weights),
        sweep=swept, bands=bands, banded=banded,
        network=network(diff, name, found, metered), notes=notes,
        manifest=_manifest(model, file, scenario, until, result, notes), folder=folder)


def _check_names(
    model: Model, interface: ModelInterface, lines: Sequence[ShockLine]
) -> None:
    """Refuse a computed variable with the levers that lead to it."""
    settable = {**interface.drivers, **interface.policies, **interface.parameters}
    plain = {plain_name(name) for name in settable}
    for line in lines:
        asked = plain_name(ALIASES.get(plain_name(line.on), line.on))
        if asked in plain or asked not in model.index:
            continue
        graph = dependencies(model).reverse()
        near = nx.single_source_shortest_path_length(graph, model.index[asked])
        causes = [name for name in near if name in interface.drivers or name in interface.policies]
        raise InputError("the model computes this; a shock moves causes", key="shock",
                         value=line.on,
                         allowed="causes of it such as " + ", ".join(
                             sorted(causes, key=lambda one: near[one])[:4]
                             or nearest(line.on, settable)))


def _size(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _told(line: ShockLine) -> str:
    what = f"as in {line.recorded}" if line.recorded is not None else str(line.by)
    length = "" if line.years is None else f" for {line.years:g} years"
    return f"{line.on} {what} from {line.start:g}{length}"


def _notes(result: Attribution, found: Pathways, agreement: float) -> list[str]:
    listed = "all" if found.complete else "the strongest"
    return [
        f"Every cut through time carries the whole response; the largest residual is "
        f"{result.residual:.1e}.",
        f"{len(found.paths)} paths without feedback, {listed} of those that begin with at least "
        f"{_SMALLEST:.1%} of the response, sum to {found.listed:.0%} of it; weaker paths and "
        f"feedback make the other {found.rest:.0%}.",
        f"Accounting and cutting rank the links with Kendall's tau {agreement:.2f}. Where they "
        "differ, the share is the accounting of this shock, the loss is what a removal would do.",
    ]


def _manifest(
    model: Model, file: ShockFile, scenario: str, until: int, result: Attribution,
    notes: Sequence[str],
) -> dict[str, object]:
    return {
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "shock": file.model_dump(mode="json", by_alias=True),
        "scenario": scenario, "until": until, "target": result.target, "at": result.at,
        "response": result.response, "residual": result.residual,
        "seed": None,  # nothing in a run is random
        "versions": software_versions(),
        "notes": list(notes),
    }


def _write(result: ShockResult, folder: Path) -> None:
    time_of = result.base["time"].to_numpy()
    tables = {
        "links": result.links,
        "stations": result.stations,
        "paths": result.paths.table(),
        "routes": result.routes,
        "attribution": result.attribution.table(time_of),
        "loops": result.loops.table,
        "sweep": result.sweep,
        "bands": result.bands,
        "network": result.network,
        "dominoes": result.cascade.dominoes,
    }
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    indexed = {"measures": result.measures, "sectors": result.sectors,
               "interaction": result.loops.interaction, "cascade_size": result.cascade.size,
               "cuts_through_time": result.attribution.cuts.to_frame("share")}
    for name, table in indexed.items():
        write_csv(table, folder / f"{name}.csv", index=True)
    write_grid(both_runs(result), folder / "runs.nc")


def both_runs(result: ShockResult) -> xr.Dataset:
    """Return the base run and the shocked run as one data set, dimensions scenario and time."""
    stacked = {name: (("scenario", "time"), np.stack([
        variable.to_numpy(), result.shocked.variables[name].to_numpy()]), variable.attrs)
        for name, variable in result.base.variables.items() if name != "time"}
    return xr.Dataset(stacked, {"scenario": ["base", "shocked"], "time": result.base["time"]},
                      result.base.attrs)
