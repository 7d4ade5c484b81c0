"""Which feedback loops drive the region: before, in and after each crisis, and in each scenario.

The model has far more loops than can be told one by one.  Loops are therefore also counted by the
sectors in which they hold a state; the loops with a name in ``data/loops.csv`` are followed as
they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pandas as pd

from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.output import data_record, output_folder, software_versions
from kuzbass.experiments.run import END_YEAR, Progress, check_scenario, load_scenarios
from kuzbass.experiments.tables import write_csv
from kuzbass.region.crises import CRISES
from kuzbass.region.data import read_table
from kuzbass.region.resolve import resolve
from kuzbass.region.scenario import FIRST_YEAR
from kuzbass.sd.loops import (
    ExpandedRun,
    LoopScores,
    area,
    causal_graph,
    dominance,
    expand,
    loops_that_matter,
    story,
    write_graph,
)
from kuzbass.sd.mdl import Model, load_model

__all__ = ["HISTORY", "LoopsResult", "crisis_windows", "families", "loops", "main_part",
           "sector_names", "span_of"]

HISTORY = "history"
# Groups of the .mdl file by the part of the economy that people speak of.
_SECTORS: Mapping[str, str] = {
    "Coal market and transport": "coal market", "Coal mining": "coal mining",
    "Coal finance": "coal finance", "Coal chains": "coal chains",
    "Diversified economy": "diversified economy", "Regional budget": "budget",
    "Investment and fixed assets": "investment", "Households and labour": "households",
    "Innovation": "innovation",
}
_OTHER = "prices"
_SEARCHES = {HISTORY: 48}  # a scenario has eleven years, history twenty-five
_SCENARIO_SEARCHES = 24
_AROUND = 2  # years before and after a crisis
_WIDE = 3  # a loop through more sectors counts as one through many

Draw = Callable[["LoopsResult", Path], object]


@dataclass(frozen=True)
class LoopsResult:
    """Feedback loops of history and of every scenario.

    Attributes
    ----------
    graph : networkx.DiGraph
        The causal graph, polarities sampled along the first run.
    scores : dict of str to LoopScores
        By ``"history"`` and scenario: every loop found, with the named ones.
    families : DataFrame
        Run, window, family (the sectors in which a loop holds a state), loops, share,
        reinforcing, balancing, cumulative, dominant.
    named : DataFrame
        Run, window, loop, share and polarity of the named loops.
    areas : dict of str to DataFrame
        By run: time by (family, polarity), for a stacked area.
    sentences : dict of str to tuple of str
        By run; computed facts only.
    notes : tuple of str
        What a reader must know.
    manifest : mapping
    folder : Path
        Where it was written.
    """

    graph: nx.DiGraph[str] = field(repr=False)
    scores: Mapping[str, LoopScores] = field(repr=False)
    families: pd.DataFrame = field(repr=False)
    named: pd.DataFrame = field(repr=False)
    areas: Mapping[str, pd.DataFrame] = field(repr=False)
    sentences: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    manifest: Mapping[str, object] = field(repr=False)
    folder: Path


def loops(
    scenarios: Sequence[str | Path] = (), *, out: str | Path, keep: bool = False,
    command: str = "kuzbass loops", draw: Draw | None = None, progress: Progress | None = None,
) -> LoopsResult:
    """Score the feedback loops of history and of scenarios.

    Parameters
    ----------
    scenarios : sequence of str or Path
        Names or files; all shipped ones if empty.  History is that of the first.
    out, keep, command
        As in `kuzbass.experiments.output.output_folder`.
    draw : callable, optional
        Called with the result and the folder before the folder is put in its place.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    InputError, ModelError
        A bad scenario or model.
    """
    tell = progress or (lambda _text, _done, _total: None)
    began = time.perf_counter()
    loaded = load_scenarios(scenarios)
    total = len(loaded) + 2
    with output_folder(out, keep=keep, command=command) as folder:
        tell("loading the model", 0, total)
        model = load_model()
        interface = model_interface(model, end=END_YEAR + 1.0)
        named = _named_loops()
        scores: dict[str, LoopScores] = {}
        graph: nx.DiGraph[str] = nx.DiGraph()
        for number, (name, scenario) in enumerate(loaded.items(), start=1):
            tell(f"loops of {name}", number, total)
            check_scenario(model, scenario)
            run = expand(model, resolve(scenario, interface), final_time=interface.end)
            if not scores:
                graph = causal_graph(run)
                scores[HISTORY] = loops_that_matter(
                    span_of(run, interface.start, FIRST_YEAR), names=named,
                    searches=_SEARCHES[HISTORY])
            scores[name] = loops_that_matter(span_of(run, FIRST_YEAR, interface.end), names=named,
                                             searches=_SCENARIO_SEARCHES)
        tell("writing tables and figures", total - 1, total)
        result = _result(model, graph, scores, folder.target)
        folder.manifest.update(result.manifest)
        _write(result, folder.path)
        if draw is not None:
            draw(result, folder.path)
        folder.manifest["seconds"] = round(time.perf_counter() - began, 1)
    tell("done", total, total)
    return result


def span_of(run: ExpandedRun, start: float, end: float) -> ExpandedRun:
    """Return the part of a run between two times, both included."""
    inside = (run.time >= start) & (run.time <= end)
    return replace(run, time=run.time[inside],
                   paths={name: path[inside] for name, path in run.paths.items()})


def sector_names(states: Sequence[str], groups: Mapping[str, str]) -> str:
    """Return the family of a loop: the sectors in which it holds a state, in the model's order."""
    own = {_SECTORS.get(_group(state, groups), _OTHER) for state in states}
    ordered = [name for name in (*_SECTORS.values(), _OTHER) if name in own]
    if len(ordered) > _WIDE:
        within = "with" if any(name.startswith("coal ") for name in ordered) else "without"
        return f"over {_WIDE} sectors, {within} coal"
    if len(ordered) == 1:
        return f"within {ordered[0]}"
    coal = [name.removeprefix("coal ") for name in ordered if name.startswith("coal ")]
    rest = [name for name in ordered if not name.startswith("coal ")]
    return " + ".join([*(["coal " + ", ".join(coal)] if coal else []), *rest])


def families(scores: LoopScores, groups: Mapping[str, str]) -> LoopScores:
    """Return the same scores with every loop named after its family."""
    return replace(scores, loops=tuple(
        replace(loop, name=sector_names(loop.states, groups)) for loop in scores.loops))


def main_part(scores: LoopScores) -> LoopScores:
    """Return the scores of the first part alone; the others have one or two states each."""
    own = [loop for loop in scores.loops if loop.part == 1]
    # Loops stand by part, the main one first.
    rows = slice(len(own))
    return replace(scores, parts=scores.parts[:1], loops=tuple(own),
                   _magnitude=scores._magnitude[rows], _relative=scores._relative[rows])


def crisis_windows() -> dict[str, tuple[float, float]]:
    """Return the years before, in and after each crisis, by what a sentence calls them."""
    windows: dict[str, tuple[float, float]] = {}
    for first, event in CRISES.items():
        if event.last >= FIRST_YEAR - 1:
            continue
        end = event.last + 1.0
        called = str(first) if event.last == first else f"{first}-{event.last}"
        windows[f"Before {called}"] = (first - float(_AROUND), float(first))
        windows[f"In {called}"] = (float(first), end)
        windows[f"After {called}"] = (end, min(end + _AROUND, float(FIRST_YEAR)))
    return windows


def _named_loops() -> dict[str, list[tuple[str, str]]]:
    found = {}
    for _, row in read_table("loops.csv").iterrows():
        path = str(row["path"]).split(" -> ")
        found[str(row["loop"])] = list(pairwise([*path, path[0]]))
    return found


def _group(state: str, groups: Mapping[str, str]) -> str:
    # A smooth inside of an equation belongs where the equation stands.
    return groups.get(state, groups.get(state.partition(" in ")[2], ""))


def _result(
    model: Model, graph: nx.DiGraph[str], scores: Mapping[str, LoopScores], folder: Path
) -> LoopsResult:
    groups = {name: variable.group for name, variable in model.variables.items()}
    tables, named, areas = [], [], {}
    sentences: dict[str, tuple[str, ...]] = {}
    for run, complete in scores.items():
        found = main_part(complete)
        first, last = float(found.time[0] - found.time_step), float(found.time[-1])
        windows = crisis_windows() if run == HISTORY else {"The whole scenario": (first, last)}
        grouped = families(found, groups)
        table = dominance(grouped, windows)
        tables.append(table.rename(columns={"name": "family"}).assign(run=run))
        named.append(_named_table(found, windows).assign(run=run))
        areas[run] = area(grouped)
        sentences[run] = (*story(grouped, windows), *_named_sentences(named[-1], windows))
    notes = _notes(scores)
    manifest = {
        "model": {"file": model.path.name, "sha256": model.sha256},
        "data": data_record(),
        "runs": {run: {"loops": len(found.loops), "complete": found.complete,
                       "kept": found.parts[0].kept, "coverage": found.parts[0].coverage}
                 for run, found in scores.items()},
        "seed": None,  # nothing in a run is random
        "versions": software_versions(),
        "notes": list(notes),
    }
    return LoopsResult(graph, scores, pd.concat(tables, ignore_index=True),
                       pd.concat(named, ignore_index=True), areas, sentences, notes, manifest,
                       folder)


def _named_table(
    scores: LoopScores, windows: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    wanted = {loop.name for loop in scores.loops if loop.named}
    table = dominance(scores, windows)
    table = table[table["name"].isin(wanted)].rename(columns={"name": "loop"})
    return table[["window", "loop", "share", "reinforcing", "balancing"]]


def _named_sentences(
    table: pd.DataFrame, windows: Mapping[str, tuple[float, float]]
) -> list[str]:
    told = []
    for window in windows:
        own = table[(table["window"] == window) & (table["share"] > 0.0)]
        if own.empty:
            told.append(f"{window}: no named loop is active.")
            continue
        top = own.iloc[int(own["share"].to_numpy().argmax())]
        kind = "reinforcing" if top["reinforcing"] > top["balancing"] else "balancing"
        told.append(f"{window}: of the named loops '{top['loop']}' holds most "
                    f"({top['share']:.1%}, {kind}); all {len(own)} active ones hold "
                    f"{own['share'].sum():.1%}.")
    return told


def _notes(scores: Mapping[str, LoopScores]) -> tuple[str, ...]:
    notes = []
    for run, found in scores.items():
        part = found.parts[0]
        if not part.complete:
            notes.append(f"{run}: the {part.loops} strongest loops of the main part are scored; "
                         f"new searches in between hold {1.0 - part.coverage:.0%} of their scores "
                         "in other loops.")
    notes.append("Shares are those of the loops scored; in a model of this size no single loop "
                 "holds much, so loops are counted by the sectors of their states.")
    return tuple(notes)


def _write(result: LoopsResult, folder: Path) -> None:
    write_csv(result.families, folder / "families.csv")
    write_csv(result.named, folder / "named.csv")
    for run, scores in result.scores.items():
        write_csv(scores.loop_table(), folder / f"loops-{run}.csv", index=True)
        write_csv(scores.part_table(), folder / f"parts-{run}.csv", index=True)
        table = result.areas[run]
        flat = table.set_axis([f"{column[0]} ({column[1]})" for column in table.columns], axis=1)
        write_csv(flat, folder / f"area-{run}.csv", index=True)
    for suffix in (".graphml", ".dot", ".json"):
        write_graph(result.graph, folder / f"graph{suffix}")
    lines = [f"{run}\n" + "\n".join(told) for run, told in result.sentences.items()]
    (folder / "story.txt").write_text("\n\n".join([*lines, "\n".join(result.notes)]) + "\n",
                                      encoding="utf-8")

