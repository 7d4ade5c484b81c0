"""The model book: what every variable is, where it comes from, what it does, and what is proved.

The content is assembled here from the model file, the data package and a run; `kuzbass.report.book`
turns it into pages.  No equation is kept anywhere but in the model file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kuzbass.experiments.book_evidence import CLAIMS, EVIDENCE, evidence_tables
from kuzbass.experiments.checklist import Item, checklist
from kuzbass.experiments.output import output_folder
from kuzbass.experiments.results import RunResults
from kuzbass.experiments.run import Progress, all_bands, run_scenarios
from kuzbass.region.data import labels, read_table
from kuzbass.sd.diagram import Diagram, Faults, faults
from kuzbass.sd.layout import lay_out
from kuzbass.sd.mdl import Equation, Model, Variable, load_model
from kuzbass.sd.sector_map import sector_links, sector_map
from kuzbass.sd.views import Structure, plan_views

__all__ = ["BookContent", "Entry", "Sector", "book", "book_content"]


@dataclass(frozen=True)
class Entry:
    """All that the book says of one variable.

    Attributes
    ----------
    variable : Variable
    equation : Equation
    label : str
        Russian label; ``""`` if there is none.
    causes : mapping of str to tuple of str
        Every cause with its own causes: two levels of the causes tree.
    users : tuple of str
        Variables whose equations use it.
    loops : tuple of str
        Named loops that run through it.
    scenarios : DataFrame
        Year by scenario, annual statistics in the unit of the variable; empty for what does not
        move.
    bands : mapping of str to DataFrame
        By scenario: year by ``q05`` to ``q95``; empty for what has none.
    observed : DataFrame
        Long: label, unit, year, value of the series it is held against.
    """

    variable: Variable
    equation: Equation
    label: str
    causes: Mapping[str, tuple[str, ...]]
    users: tuple[str, ...]
    loops: tuple[str, ...]
    scenarios: pd.DataFrame
    bands: Mapping[str, pd.DataFrame]
    observed: pd.DataFrame


@dataclass(frozen=True)
class Sector:
    """One group of the model: its diagrams and its variables."""

    name: str
    diagrams: Sequence[Diagram]
    entries: Sequence[Entry]


@dataclass(frozen=True)
class BookContent:
    """Everything that the pages of the book show.

    Attributes
    ----------
    model : Model
    sectors : sequence of Sector
    overview : Diagram
        The sector map.
    links : mapping
        Number of links by (sector of the cause, sector of the effect).
    drawing : Faults
        Sum over all diagrams.
    loops : DataFrame
        ``loops.csv``: the dynamic hypothesis as named loops.
    drivers : DataFrame
        ``driver_map.csv`` with the sources of its series.
    flows : mapping
        Flows of every stock with their signs.
    results : RunResults
    evidence : mapping of str to DataFrame or None
        By the names in `EVIDENCE`; ``None`` means not run.
    claims : mapping of str to str
        What each fit of the hold-out can show, and what it cannot.
    checklist : sequence of Item
        The reporting checklist of Rahmandad and Sterman (2012).
    """

    model: Model
    sectors: Sequence[Sector]
    overview: Diagram
    links: Mapping[tuple[str, str], int]
    drawing: Faults
    loops: pd.DataFrame
    drivers: pd.DataFrame
    flows: Mapping[str, Sequence[tuple[str, int]]]
    results: RunResults
    evidence: Mapping[str, pd.DataFrame | None]
    claims: Mapping[str, str]
    checklist: Sequence[Item]


def book(
    out: Path,
    pages: Callable[[BookContent], Mapping[str, str]],
    keep: bool = False,
    *,
    progress: Progress | None = None,
    command: str = "kuzbass book",
) -> Path:
    """Run all shipped scenarios and all tests, and write the model book.

    Parameters
    ----------
    out : Path
        The folder.
    pages : callable
        Turns the content into pages, file name to text: `kuzbass.report.book.book_pages`.
    keep : bool
        Whether to keep an existing folder and write beside it.
    progress : callable, optional
        Told what is being done: text, steps done, steps in all.
    command : str
        For the manifest.

    Returns
    -------
    Path
        The folder that was written; its first page is ``index.html``.

    Raises
    ------
    InputError, ModelError
        Bad model or data, or a place that cannot be written.
    """
    with output_folder(out, keep=keep, command=command) as folder:
        results = run_scenarios(progress=progress)
        folder.manifest.update(results.manifest)
        model = load_model()
        if progress is not None:
            progress("varying parameters and drivers", 0, 0)
        content = book_content(model, results, evidence_tables(model, progress),
                               bands=all_bands(model), progress=progress)
        for name, text in pages(content).items():
            (folder.path / name).write_text(text, encoding="utf-8")
    return folder.target


def book_content(
    model: Model,
    results: RunResults,
    evidence: Mapping[str, pd.DataFrame] | None = None,
    *,
    bands: Mapping[str, Mapping[str, pd.DataFrame]] | None = None,
    progress: Progress | None = None,
) -> BookContent:
    """Assemble the book from a model, a run of it, its bands, and the tables of other commands.

    Raises
    ------
    InputError
        A table of the data package is broken.
    """
    structure = Structure.of(model)
    diagrams = _diagrams(structure, progress)
    overview = sector_map(structure)
    drawing = _sum([faults(diagram) for group in diagrams.values() for diagram in group]
                   + [faults(overview)])
    given = evidence or {}
    shown = {name: given.get(name) for name in EVIDENCE}
    loops = read_table("loops.csv")
    return BookContent(
        model=model,
        sectors=_sectors(structure, diagrams, loops, results, bands or {}),
        overview=overview,
        links=sector_links(structure),
        drawing=drawing,
        loops=loops,
        drivers=_drivers(),
        flows=structure.flows,
        results=results,
        evidence=shown,
        claims=CLAIMS,
        checklist=checklist(model, results, shown, loops, drawing),
    )


def _diagrams(structure: Structure, progress: Progress | None) -> dict[str, list[Diagram]]:
    views = plan_views(structure)
    diagrams: dict[str, list[Diagram]] = {}
    for number, view in enumerate(views):
        if progress is not None:
            progress(f"drawing {view.title}", number, len(views))
        diagrams.setdefault(view.group, []).append(lay_out(view, structure))
    return diagrams


def _sum(counts: Sequence[Faults]) -> Faults:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(vars(count))
    return Faults(**{name: total[name] for name in vars(counts[0])})


def _sectors(
    structure: Structure,
    diagrams: Mapping[str, Sequence[Diagram]],
    loops: pd.DataFrame,
    results: RunResults,
    bands: Mapping[str, Mapping[str, pd.DataFrame]],
) -> list[Sector]:
    russian = labels()["label_ru"]
    through = {row["loop"]: set(row["path"].split(" -> ")) for _, row in loops.iterrows()}
    columns = ["label", "unit", "year", "value"]
    history = {str(name): rows[columns] for name, rows in results.observed.groupby("variable")}
    nothing = results.observed.loc[[], columns]
    sectors: dict[str, list[Entry]] = {}
    for name, variable in structure.model.variables.items():
        sectors.setdefault(variable.group, []).append(Entry(
            variable=variable,
            equation=structure.model.equations[name],
            label=str(russian.get(name, "")),
            causes={cause: tuple(structure.causes(cause)) for cause in structure.causes(name)},
            users=tuple(structure.users(name)),
            loops=tuple(loop for loop, names in through.items() if name in names),
            scenarios=_scenarios(variable, results),
            bands=bands.get(name, {}),
            observed=history.get(name, nothing),
        ))
    return [Sector(group, diagrams[group], entries) for group, entries in sectors.items()]


def _scenarios(variable: Variable, results: RunResults) -> pd.DataFrame:
    """Return the annual paths of a variable that moves."""
    if variable.kind not in {"stock", "auxiliary"}:
        return pd.DataFrame()
    return pd.DataFrame({name: scenario.annual[variable.name]
                         for name, scenario in results.scenarios.items()})


def _drivers() -> pd.DataFrame:
    """Return the rules of the drivers with the sources of their series."""
    table = read_table("driver_map.csv")
    series = read_table("drivers.csv").groupby("series")
    titles = read_table("sources.csv").set_index("source_id")["title"]
    sources = series["source_id"].unique()

    def named(expression: str) -> str:
        ids = [source for name in expression.replace("/", " ").split() if name in sources.index
               for source in sources[name]]
        return "; ".join(f"{source}: {titles.get(source, '')}" for source in dict.fromkeys(ids))

    return table.assign(sources=[named(str(row)) for row in table["series"]])


