"""Replays a crisis: what the outside world did, what the region answered, and why.

The model runs freely from 2000 with the drivers as they were.  Its own state at the end of the
year before is where the crisis begins; nothing is moved towards the data, and the gap of that
state to the data is shown.  Without the shock, the drivers go on as in the year before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.output import data_record, output_folder, software_versions
from kuzbass.experiments.response_bands import replay_bands
from kuzbass.experiments.run import END_YEAR, Progress, check_scenario
from kuzbass.experiments.tables import write_csv
from kuzbass.region.annual import annual_values, full_years
from kuzbass.region.crises import (
    GROUPS,
    Crisis,
    actual_paths,
    crisis,
    group_of,
    held_paths,
    recorded_path,
)
from kuzbass.region.data import judged, observed_for, read_table
from kuzbass.region.resolve import ModelInterface, resolve
from kuzbass.region.scenario import FIRST_YEAR, load_scenario
from kuzbass.sd.kernel import compile_model
from kuzbass.sd.mdl import Model, load_model

__all__ = ["BARS", "WHAT_IF", "ReplayResult", "replay", "shapley"]

# How far the simulated change may lie from the observed one, in percentage points.
BARS: Mapping[int, Mapping[str, float]] = {
    2020: {"coal_production_total": 3.0, "grp_real_index": 1.5, "budget_profit_tax": 15.0,
           "exports_total": 8.0, "fixed_investment_real_index": 7.0},
}
FALLS: Mapping[int, tuple[str, ...]] = {2020: ("coal_stocks_end_year",)}
# What another region would have had: value by lever, or a share of nominal GRP, or a factor.
WHAT_IF: Mapping[str, Mapping[str, tuple[str, float]]] = {
    "diversified economy": {
        "regional diversification programme": ("share of GRP", 0.01),
        "interregional corridor programme": ("share of GRP", 0.01),
        "non coal share of payout": ("value", 0.4),
        "small business support": ("value", 0.03)},
    "larger reserve fund": {
        "reserve saving share": ("value", 1.0),
        "initial reserve fund": ("start", np.inf)},
    "more eastern rail": {"eastern track programme": ("factor", 1.25)},
}
_LEAD = 8  # years that a policy is in place before the crisis
_FIRST_POLICY = 2001
_BEFORE, _AFTER = 3, 3  # years shown around the crisis

Draw = Callable[["ReplayResult", Path], object]


@dataclass(frozen=True)
class ReplayResult:
    """A replayed crisis.

    Attributes
    ----------
    event : Crisis
        What is replayed.
    scenario : str
        The scenario that it is laid on; ``"history"`` for a replay in its own years.
    first, last : int
        The years of the replay; those of the crisis, or from the year that it is laid on.
    start_gap : DataFrame
        State at the end of the year before: series, variable, label, unit, observed, simulated,
        gap (percent; percentage points for rates).  Empty on a scenario.
    changes : DataFrame
        Per judged series and year: ``since``, ``year``, change ``observed``, ``simulated`` and
        ``without`` the shock (percent; percentage points for rates), ``bar`` and ``inside``.
    waterfall : DataFrame
        Per variable: change ``without`` the shock since the year before the crisis, the part of
        each group of drivers, and the ``simulated`` change; the parts sum exactly.
    what_if : DataFrame
        Policy, variable, ``loss`` in percent of the same economy without the shock (percentage
        points for rates), ``actual`` loss, ``spared`` (actual less loss, in magnitude).
    paths : DataFrame
        Year, variable, ``observed``, ``simulated``, ``without``.
    bands : DataFrame
        Path (``simulated`` or ``without``), variable, year, ``q05`` to ``q95`` in percent of the
        year before the crisis, parameters varying.
    banded : str
        What varies in `bands`.
    notes : tuple of str
    manifest : mapping
    folder : Path
        Where it was written.
    """

    event: Crisis
    scenario: str
    first: int
    last: int
    start_gap: pd.DataFrame = field(repr=False)
    changes: pd.DataFrame = field(repr=False)
    waterfall: pd.DataFrame = field(repr=False)
    what_if: pd.DataFrame = field(repr=False)
    paths: pd.DataFrame = field(repr=False)
    bands: pd.DataFrame = field(repr=False)
    banded: str
    notes: tuple[str, ...]
    manifest: Mapping[str, object] = field(repr=False)
    folder: Path


def replay(
    year: int, *, at: int | None = None, scenario: str | Path = "baseline", out: str | Path,
    keep: bool = False, command: str = "kuzbass replay", draw: Draw | None = None,
    progress: Progress | None = None,
) -> ReplayResult:
    """Replay a crisis in its own years, or lay it on a year of a scenario.

    Parameters
    ----------
    year : int
        A year of the crisis.
    at : int, optional
        The year of the scenario in which it begins; its own year if left out.
    scenario : str or Path
        The scenario that it is laid on; without `at`, it only gives the parameters.
    out, keep, command
        As in `kuzbass.experiments.output.output_folder`.
    draw : callable, optional
        Called with the result and the folder before the folder is put in its place.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    InputError
        No crisis in this year, or a year `at` outside of the scenario.
    """
    tell = progress or (lambda _text, _done, _total: None)
    began = time.perf_counter()
    event = crisis(year)
    length = event.last - event.first
    if at is not None and not FIRST_YEAR <= at <= END_YEAR - length:
        raise InputError("the crisis does not fit into the scenario", key="at", value=at,
                         allowed=f"{FIRST_YEAR} to {END_YEAR - length}")
    with output_folder(out, keep=keep, command=command) as folder:
        tell("loading the model", 0, 3)
        model = load_model()
        base = load_scenario(scenario)
        check_scenario(model, base)
        cases = _Cases(model, model_interface(model, end=END_YEAR + 1.0), event, at,
                       resolve(base, model_interface(model, end=END_YEAR + 1.0)))
        tell("simulating the crisis in all its parts", 1, 3)
        result = _result(cases, base.name, folder.target)
        tell("writing tables and figures", 2, 3)
        folder.manifest.update(result.manifest)
        for name in ("start_gap", "changes", "waterfall", "what_if", "paths", "bands"):
            write_csv(getattr(result, name), folder.path / f"{name}.csv")
        if draw is not None:
            draw(result, folder.path)
        folder.manifest["seconds"] = round(time.perf_counter() - began, 1)
    tell("done", 3, 3)
    return result


def shapley(values: Mapping[frozenset[str], np.ndarray], players: Sequence[str]
            ) -> dict[str, np.ndarray]:
    """Return the Shapley values of a game, exactly: they sum to all less none.

    Parameters
    ----------
    values : mapping of frozenset to array
        Worth of every subset of the players.
    players : sequence of str
    """
    count = len(players)
    result = {}
    for player in players:
        others = [other for other in players if other != player]
        total = np.zeros_like(values[frozenset()])
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in map(frozenset, combinations(others, size)):
                total = total + weight * (values[chosen | {player}] - values[chosen])
        result[player] = total
    return result


class _Cases:
    """All runs of a replay at once: every subset of the groups of drivers, and the what-ifs."""

    def __init__(
        self, model: Model, interface: ModelInterface, event: Crisis, at: int | None,
        inputs: Mapping[str, float | pd.Series],
    ) -> None:
        self.model, self.interface, self.event, self.at = model, interface, event, at
        self.first = event.first if at is None else at
        self.last = self.first + event.last - event.first
        self.groups = group_of(interface)
        names = list(GROUPS)
        self.subsets = [frozenset(chosen) for size in range(len(names) + 1)
                        for chosen in combinations(names, size)]
        self.others = {name: value for name, value in inputs.items()
                       if name not in interface.drivers}
        self.actual, self.held = self._drivers(inputs)
        self.rows = judged().drop_duplicates("variable").set_index("variable")
        self.years = full_years(interface.grid)
        self.annual = self._run()

    def _drivers(
        self, inputs: Mapping[str, float | pd.Series]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return the drivers with and without the shock."""
        model, grid = self.interface, self.interface.grid
        actual = actual_paths(model, self.event)
        if self.at is None:
            return actual, held_paths(model, self.event)
        held = {}
        for name, setting in model.drivers.items():
            given = inputs.get(name, setting.table)
            assert isinstance(given, pd.Series)
            held[name] = np.interp(grid, given.index.to_numpy(float), given.to_numpy(float))
        laid = {name: recorded_path(name, setting, held[name], grid, self.event, float(self.at),
                                    float(len(self.event.years)), actual[name])
                for name, setting in model.drivers.items()}
        return laid, held

    def _run(self) -> dict[tuple[object, ...], pd.DataFrame]:
        """Return annual statistics, year by variable, of every case."""
        kernel = compile_model(self.model, vary=None, moving=None, save_every=None,
                               final_time=self.interface.end)
        cases: list[tuple[object, ...]] = [("subset", chosen) for chosen in self.subsets]
        paths = [self._mixed(chosen) for chosen in self.subsets]
        first = self._tables(kernel.run(self._stacked(paths, [{}] * len(paths))), len(paths))
        everything = frozenset(GROUPS)
        grp = first[self.subsets.index(everything)]["nominal GRP"]
        levers = []
        for policy in WHAT_IF:
            for chosen in (everything, frozenset[str]()):
                cases.append((policy, chosen))
                lever, own = self._policy(policy, grp, self._mixed(chosen))
                levers.append(lever)
                paths.append(own)
        more = self._tables(kernel.run(self._stacked(paths[len(first):], levers)), len(levers))
        return dict(zip(cases, [*first, *more], strict=True))

    def _mixed(self, chosen: frozenset[str]) -> dict[str, np.ndarray]:
        return {name: (self.actual if group in chosen else self.held)[name]
                for name, group in self.groups.items()}

    def _policy(
        self, policy: str, grp: pd.Series, drivers: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return the levers of a policy as paths, and the drivers that it changes."""
        grid = self.interface.grid
        earliest = _FIRST_POLICY if self.at is None else FIRST_YEAR
        on = grid >= max(earliest, self.first - _LEAD)
        settings = {**self.interface.policies, **self.interface.parameters,
                    **self.interface.drivers}
        levers = {}
        for name, (kind, size) in WHAT_IF[policy].items():
            setting = settings[name]
            if kind == "factor":
                more = np.clip(size * drivers[name], setting.lower, setting.upper)
                drivers = {**drivers, name: np.where(on, more, drivers[name])}
            elif kind == "start":
                # A larger fund from the start of the run; a scenario keeps its history.
                value = min(size, setting.upper) if self.at is None else setting.value
                levers[name] = np.full(len(grid), value)
            else:
                value = size * np.interp(grid, grp.index + 0.5, grp) if "GRP" in kind else size
                before = self._before(name, setting.value)
                levers[name] = np.where(on, np.minimum(value, setting.upper), before)
        return levers, drivers

    def _before(self, name: str, value: float) -> np.ndarray:
        given = self.others.get(name, value)
        grid = self.interface.grid
        if isinstance(given, pd.Series):
            return np.asarray(np.interp(grid, given.index.to_numpy(float), given.to_numpy(float)))
        return np.full(len(grid), float(given))

    def _stacked(
        self, paths: Sequence[Mapping[str, np.ndarray]], levers: Sequence[Mapping[str, np.ndarray]]
    ) -> dict[str, object]:
        stacked: dict[str, object] = dict(self.others)
        for name in paths[0]:
            stacked[name] = np.array([path[name] for path in paths])
        settings = {**self.interface.policies, **self.interface.parameters}
        for name in dict.fromkeys(name for lever in levers for name in lever):
            plain = self._before(name, settings[name].value)
            stacked[name] = np.array([lever.get(name, plain) for lever in levers])
        return stacked

    def _tables(self, result: object, count: int) -> list[pd.DataFrame]:
        bases = {"nominal GRP": "mean", **self.rows["basis"].to_dict()}
        columns = {name: annual_values(result[name].T, self.interface.grid, str(basis))  # type: ignore[index]  # a kernel result
                   for name, basis in bases.items()}
        return [pd.DataFrame({name: values[number] for name, values in columns.items()},
                             index=self.years) for number in range(count)]

    def bands(self) -> tuple[pd.DataFrame, str]:
        """Return the bands around the path with and the path without the shock."""
        grid = self.interface.grid
        own = {path: {**self.others, **{name: pd.Series(values, grid)
                                        for name, values in self._mixed(chosen).items()}}
               for path, chosen in (("simulated", frozenset(GROUPS)),
                                    ("without", frozenset[str]()))}
        bases = {str(name): str(basis) for name, basis in self.rows["basis"].items()}
        return replay_bands(self.model, self.interface, own, bases, self.first - 1)

    def table(self, case: object, chosen: frozenset[str]) -> pd.DataFrame:
        """Return the annual statistics of one case."""
        return self.annual[case, chosen]


def _result(cases: _Cases, scenario: str, folder: Path) -> ReplayResult:
    everything = frozenset(GROUPS)
    simulated = cases.table("subset", everything)
    without = cases.table("subset", frozenset())
    observed = read_table("observed.csv")
    known = {str(row["series"]): observed_for(row, observed) for _, row in judged().iterrows()
             } if cases.at is None else {}
    changes = _changes(cases, simulated, without, known)
    notes = _notes(cases, changes)
    bands, banded = cases.bands()
    manifest = {
        "model": {"file": cases.model.path.name, "sha256": cases.model.sha256},
        "data": data_record(),
        "crisis": cases.event.first, "title": cases.event.title, "scenario": scenario,
        "at": cases.at, "first": cases.first, "last": cases.last,
        "groups": {group: list(names) for group, names in GROUPS.items()},
        "seed": None,  # nothing in a run is random
        "versions": software_versions(),
        "notes": list(notes),
    }
    return ReplayResult(
        event=cases.event, scenario="history" if cases.at is None else scenario,
        first=cases.first, last=cases.last, start_gap=_start_gap(cases, simulated, known),
        changes=changes, waterfall=_waterfall(cases), what_if=_what_if(cases),
        paths=_paths(cases, simulated, without, known), bands=bands, banded=banded, notes=notes,
        manifest=manifest, folder=folder)


def _start_gap(
    cases: _Cases, simulated: pd.DataFrame, known: Mapping[str, pd.Series]
) -> pd.DataFrame:
    year = cases.first - 1
    rows = []
    for _, row in judged().iterrows():
        actual = known.get(str(row["series"]), pd.Series(dtype=float))
        if year in actual.index:
            value = _on_data(row, simulated, year)
            gap = value - float(actual[year])
            rows.append({**_name(row), "year": year, "observed": float(actual[year]),
                         "simulated": value,
                         "gap": gap if row["kind"] == "rate" else 100.0 * gap / actual[year]})
    return pd.DataFrame(rows, columns=["series", "variable", "label", "unit", "kind", "year",
                                       "observed", "simulated", "gap"])


def _on_data(row: pd.Series, table: pd.DataFrame, year: int) -> float:
    """Return a simulated value on the base year of the data."""
    values = table[str(row["variable"])]
    kind, _, base = str(row["transform"]).partition(":")
    scale = 100.0 / float(values[int(base)]) if kind == "chain" else 1.0
    return scale * float(values[year])


def _name(row: pd.Series) -> dict[str, object]:
    return {name: row[name] for name in ("series", "variable", "label", "unit", "kind")}


def _changes(
    cases: _Cases, simulated: pd.DataFrame, without: pd.DataFrame, known: Mapping[str, pd.Series]
) -> pd.DataFrame:
    bars, falls = BARS.get(cases.event.first, {}), FALLS.get(cases.event.first, ())
    spans = [(year - 1, year) for year in range(cases.first, cases.last + 1)]
    if len(spans) > 1:
        spans.append((cases.first - 1, cases.last))
    rows = []
    for _, row in judged().iterrows():
        series, kind = str(row["series"]), str(row["kind"])
        for since, year in spans:
            real = _change(known.get(series), since, year, kind)
            made = _change(simulated[row["variable"]], since, year, kind)
            bar = bars.get(series, np.nan) if cases.at is None else np.nan
            inside: object = None
            if not np.isnan(bar):
                inside = bool(abs(made - real) <= bar)
            elif series in falls and cases.at is None:
                inside = bool(made < 0.0)
            # Without the shock the years before are the same, those of the crisis are not.
            rows.append({**_name(row), "since": since, "year": year, "observed": real,
                         "simulated": made,
                         "without": _change(without[row["variable"]], since, year, kind),
                         "bar": bar, "inside": inside})
    return pd.DataFrame(rows)


def _change(values: pd.Series | None, since: int, year: int, kind: str) -> float:
    if values is None or since not in values.index or year not in values.index:
        return float("nan")
    before, after = float(values[since]), float(values[year])
    if kind == "rate":
        return after - before
    return 100.0 * (after / before - 1.0) if before > 0.0 else float("nan")


def _waterfall(cases: _Cases) -> pd.DataFrame:
    values = {chosen: _growth(cases, cases.table("subset", chosen)).to_numpy()
              for chosen in cases.subsets}
    parts = shapley(values, list(GROUPS))
    table = pd.DataFrame({"without": values[frozenset()], **parts,
                          "simulated": values[frozenset(GROUPS)]},
                         index=cases.rows.index).reset_index()
    table.insert(1, "kind", cases.rows["kind"].to_numpy())
    return table


def _growth(cases: _Cases, table: pd.DataFrame) -> pd.Series:
    """Return the change since the year before the crisis, of every judged variable."""
    return pd.Series({name: _change(table[str(name)], cases.first - 1, cases.last, str(row["kind"]))
                      for name, row in cases.rows.iterrows()})


def _what_if(cases: _Cases) -> pd.DataFrame:
    everything, nothing = frozenset(GROUPS), frozenset[str]()
    actual = _loss(cases, cases.table("subset", everything), cases.table("subset", nothing))
    rows = []
    for policy in WHAT_IF:
        lost = _loss(cases, cases.table(policy, everything), cases.table(policy, nothing))
        rows += [{"policy": policy, "variable": name, "kind": cases.rows.at[name, "kind"],
                  "loss": lost[name], "actual": actual[name],
                  "spared": abs(actual[name]) - abs(lost[name])} for name in actual.index]
    return pd.DataFrame(rows)


def _loss(cases: _Cases, hit: pd.DataFrame, calm: pd.DataFrame) -> pd.Series:
    """Return what the shock costs in its last year, against the same economy without it."""
    lost = {}
    for name, kind in zip(cases.rows.index, cases.rows["kind"], strict=True):
        one, other = float(hit[name][cases.last]), float(calm[name][cases.last])
        share = 100.0 * (one / other - 1.0) if other > 0.0 else float("nan")
        lost[str(name)] = one - other if kind == "rate" else share
    return pd.Series(lost)


def _paths(
    cases: _Cases, simulated: pd.DataFrame, without: pd.DataFrame, known: Mapping[str, pd.Series]
) -> pd.DataFrame:
    # After 2024 the drivers of history are a scenario's.
    end = min(cases.last + _AFTER, FIRST_YEAR - 1 if cases.at is None else END_YEAR)
    rows: list[dict[str, object]] = []
    for _, row in judged().iterrows():
        actual = known.get(str(row["series"]), pd.Series(dtype=float))
        rows.extend({**_name(row), "year": year, "observed": float(actual.get(year, np.nan)),
                     "simulated": _on_data(row, simulated, year),
                     "without": _on_data(row, without, year)}
                    for year in range(max(2000, cases.first - _BEFORE), end + 1))
    return pd.DataFrame(rows)


def _notes(cases: _Cases, changes: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    if cases.at is None:
        notes.append(f"The model runs freely from 2000 and begins {cases.first} from its own "
                     "state; its gap to the data is in start_gap.csv.")
    else:
        notes.append(f"The drivers of {cases.event.first} against the year before are laid on "
                     f"{cases.first}-{cases.last}; afterwards the scenario goes on. Growth lost "
                     "in these years is not made up.")
    judged_rows = changes[changes["inside"].notna()]
    if len(judged_rows):
        good = int(judged_rows["inside"].astype(bool).sum())
        notes.append(f"{good} of {len(judged_rows)} bars of this crisis are met.")
    if cases.at is None and changes["observed"].isna().all():
        notes.append("No outcome of these years is in the data: the drivers are known, the "
                     "answer is the model's.")
    notes.append("Without the shock, prices, demand and the exchange rate stay at their means of "
                 "the year before, growth rates at their rates, track capacity at its last value."
                 if cases.at is None else "Without the shock, the scenario goes on.")
    return tuple(notes)

