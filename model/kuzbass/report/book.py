"""The pages of the model book: static HTML, cross-linked, nothing to load from elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from kuzbass.errors import plain_name
from kuzbass.report.holdout_figure import holdout_figure
from kuzbass.report.sparkline import sparkline
from kuzbass.report.stockflow import diagram_svg
from kuzbass.report.style import HISTORY, colour, unit_label

if TYPE_CHECKING:
    from kuzbass.experiments.book import BookContent, Entry, Sector
    from kuzbass.sd.diagram import Diagram

__all__ = ["LEFT_OUT", "book_pages"]

# What no number of a run can tell; the findings page says the same.
LEFT_OUT = (
    "Kuzbass is one point: no districts, no towns, no single firms. Federal rules and the world "
    "outside are given; the region does not act back on them.",
    "A scenario is a set of conditions, not a forecast. A good fit does not prove the structure.",
)

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_NAVIGATION = (
    ("index.html", "Overview", "Обзор"),
    ("variables.html", "Variables", "Переменные"),
    ("stocks.html", "Stocks", "Запасы"),
    ("drivers.html", "Driver sources", "Внешние факторы"),
    ("evidence.html", "Evidence", "Проверка"),
    ("limits.html", "Limits", "Ограничения"),
    ("checklist.html", "Checklist", "Контрольный список"),
)
_LONG_EQUATION = 400  # characters; longer ones are folded away
_RANGE_OPEN = "?"
_FIT = {"label": "Series", "variable": "Variable", "unit": "Unit", "first": "From", "last": "To",
        "n": "n", "mape": "MAPE", "bar_mape": "Bar, MAPE", "rmse": "RMSE",
        "bar_rmse_pp": "Bar, RMSE", "r": "r", "um": "UM", "us": "US", "uc": "UC",
        "worst_year": "Worst year", "passed": "Within the bar"}


_EVIDENCE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "calibration": ("Calibration: parameters", (
        "Candidates of kuzbass calibrate. Value: fitted to 2000-2021, or held; fit_training: to "
        "2000-2015. Low and high: 95 percent interval. What the data do not tell apart is held; "
        "the note says why.",)),
    "hold-out shares": ("Hold-out 2016-2021: how often the model wins", (
        "Shares of the series with a bar: error at most twice that of training; error below that "
        "of a simple forecast made at the end of 2015. The model runs free from 2000. Drivers: as "
        "they were, or continued from the end of 2015.",)),
    "hold-out": ("Hold-out 2016-2021: series", (
        "Errors are logarithmic for levels and plain for rates and balances. The figure: actual "
        "drivers.",)),
    "rolling origins": ("Rolling origins", (
        "The training fit, repeated to the end of each year of origin and held against all years "
        "after it.",)),
    "validation": ("Validation", (
        "The tests of kuzbass validate, run for this book. A test of several parts shows its first "
        "failure.",)),
    "known misses": ("Known misses", (
        "Required tests that the model fails, with the reason. Figure then: when the line was "
        "written; figure: now.",)),
}


@dataclass(frozen=True)
class _Table:
    """A table: heads, and rows of cells (text or markup)."""

    name: str
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class _Part:
    """A part of a page: heading, paragraphs, figure, table."""

    heading: str
    paragraphs: Sequence[object] = ()
    table: _Table | None = None
    figure: Markup | None = None


def book_pages(content: BookContent) -> dict[str, str]:
    """Return the pages of the model book.

    Parameters
    ----------
    content : BookContent

    Returns
    -------
    dict of str to str
        File name -> HTML text; ``book.css`` too.  Equal content gives equal text.
    """
    links = _Links(content)
    pages = {
        "index.html": _render("book_index.html.j2", "Overview", content, links,
                              overview=_svg(content.overview, links.sector),
                              facts=_facts(content), loops=_loops(content, links),
                              links_table=_sector_table(content, links)),
        "variables.html": _page("Variables", content, links, [_variables(content, links)]),
        "stocks.html": _page("Stocks", content, links, [_stocks(content, links)]),
        "drivers.html": _page("Driver sources", content, links, [_drivers(content, links)]),
        "evidence.html": _page("Evidence", content, links, _evidence(content, links)),
        "limits.html": _page("Limits", content, links, _limits(content, links)),
        "checklist.html": _page("Checklist", content, links, _checklist(content)),
        "book.css": (_TEMPLATES / "book.css").read_text(encoding="utf-8"),
    }
    for sector in content.sectors:
        pages[links.sector_page(sector.name)] = _sector(sector, content, links)
    return pages


class _Links:
    """Where things stand in the book."""

    def __init__(self, content: BookContent) -> None:
        self.place = {entry.variable.name: sector.name
                      for sector in content.sectors for entry in sector.entries}
        self.sectors = [sector.name for sector in content.sectors]

    def sector_page(self, sector: str) -> str:
        return f"sector-{_slug(sector) or 'model'}.html"

    def sector(self, name: str) -> str | None:
        """Return the address of a sector, or of the variable of this name."""
        return self.sector_page(name) if name in self.sectors else self.variable(name)

    def variable(self, name: str) -> str | None:
        if name not in self.place:
            return None
        return f"{self.sector_page(self.place[name])}#{_slug(name)}"

    def mark(self, name: str) -> Markup:
        """Return a variable's name, linked if the book has it."""
        address = self.variable(name)
        return (Markup('<a href="{}">{}</a>').format(address, name) if address
                else escape(name))

    def marks(self, names: Iterable[str]) -> Markup:
        return Markup(", ").join(self.mark(name) for name in names)


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", plain_name(name)).strip("-")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True,
                       lstrip_blocks=True, undefined=StrictUndefined)


def _render(
    template: str, title: str, content: BookContent, links: _Links, **values: object
) -> str:
    sectors = [(links.sector_page(sector.name), sector.name) for sector in content.sectors]
    return _environment().get_template(template).render(
        title=title, navigation=_NAVIGATION, sectors=sectors, content=content, links=links,
        **values) + "\n"


def _page(title: str, content: BookContent, links: _Links, parts: Sequence[_Part]) -> str:
    return _render("book_page.html.j2", title, content, links, parts=parts)


def _svg(diagram: Diagram, link: Callable[[str], str | None]) -> Markup:
    return Markup(diagram_svg(diagram, link))  # noqa: S704 - its texts are escaped


def _plot(entry: Entry, scenarios: Sequence[str]) -> Markup:
    return Markup(sparkline(entry, scenarios))  # noqa: S704 - its texts are escaped


def _facts(content: BookContent) -> list[tuple[str, str]]:
    model = content.model
    kinds = Counter(variable.kind for variable in model.variables.values())
    return [
        ("Model file", f"{model.path.name}, SHA-256 {model.sha256}"),
        ("Variables", ", ".join(f"{kinds[kind]} {kind}" for kind in
                                ("stock", "auxiliary", "constant", "lookup", "control"))),
        ("Time", f"{model.initial_time:g} to {model.final_time:g}, step {model.time_step:g} year, "
                 "Euler"),
        ("Runs", ", ".join(content.results.scenarios)),
        ("Engine", content.results.engine),
        *(("Note", note) for note in content.results.notes),
    ]


def _loops(content: BookContent, links: _Links) -> _Table:
    rows = []
    for _, row in content.loops.iterrows():
        path = Markup(" → ").join(links.mark(name) for name in str(row["path"]).split(" -> "))
        cut = Markup("{} = {}").format(links.mark(str(row["cut_constant"])), row["cut_value"])
        rows.append((Markup('<span id="loop-{}">{}</span>').format(_slug(row["loop"]), row["loop"]),
                     {"R": "reinforcing", "B": "balancing"}.get(str(row["polarity"]), ""),
                     row["what"], path, cut))
    return _Table("loops", "Feedback loops that carry the behaviour. A path names the main "
                  "stations; the diagrams show every step.",
                  ("Loop", "Polarity", "What happens", "Path", "Cut by"), rows)


def _sector_table(content: BookContent, links: _Links) -> _Table:
    names = sorted({name for pair in content.links for name in pair}, key=links.sectors.index)
    rows = [[Markup('<a href="{}">{}</a>').format(links.sector_page(cause), cause),
             *(content.links.get((cause, effect), "") or "" for effect in names)]
            for cause in names]
    return _Table("links", "How many links run from the variables of a sector (row) to those of "
                  "another (column)", ("From \\ to", *names), rows)


def _variables(content: BookContent, links: _Links) -> _Part:
    rows = [(links.mark(entry.variable.name), entry.label, entry.variable.kind,
             unit_label(entry.variable.unit), sector.name)
            for sector in content.sectors for entry in sector.entries]
    rows.sort(key=lambda row: str(row[0]).split(">", 1)[-1].lower())
    return _Part("", (f"{len(rows)} variables in alphabetical order.",),
                 _Table("variables", "", ("Variable", "Название", "Kind", "Unit", "Sector"), rows))


def _stocks(content: BookContent, links: _Links) -> _Part:
    rows = []
    for sector in content.sectors:
        for entry in sector.entries:
            name = entry.variable.name
            if entry.variable.kind == "stock":
                flows = content.flows[name]
                rows.append((links.mark(name), entry.label, unit_label(entry.variable.unit),
                             links.marks(flow for flow, sign in flows if sign > 0),
                             links.marks(flow for flow, sign in flows if sign < 0), sector.name))
    return _Part("", (f"{len(rows)} stocks; each changes through its flows only.",),
                 _Table("stocks", "", ("Stock", "Название", "Unit", "Inflows", "Outflows",
                                       "Sector"), rows))


def _drivers(content: BookContent, links: _Links) -> _Part:
    rows = [(links.mark(str(row["driver"])), row["years"], row["rule"],
             _breakable(str(row["series"])), row["note"], row["sources"])
            for _, row in content.drivers.iterrows()]
    return _Part("", ("What the region cannot change. A rule says how a series of the data package "
                      "becomes the path of the driver; an assumption says so.",),
                 _Table("drivers", "", ("Driver", "Years", "Rule", "Series", "Note", "Sources"),
                        rows))


def _breakable(name: str) -> Markup:
    """Let a long name of a series break after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _evidence(content: BookContent, links: _Links) -> list[_Part]:
    parts = []
    for key, table in content.evidence.items():
        heading, texts = _EVIDENCE[key]
        if key == "hold-out shares":
            texts = (*texts, *(f"Fit {fit}: {claim}" for fit, claim in content.claims.items()))
        if table is None:
            parts.append(_Part(heading, ("Not run for this book.",)))
        elif table.empty:
            parts.append(_Part(heading, ("None.",)))
        else:
            figure = Markup(holdout_figure(table)) if key == "hold-out" else None  # noqa: S704 - its texts are escaped
            parts.append(_Part(heading, texts, _frame(key.replace(" ", "-"), table, links),
                               figure))
    fit = content.results.comparison.fit
    if not fit.empty:
        parts.append(_Part(
            "Fit to the history",
            (f"Scenario {content.results.comparison.fit_of}. MAPE in percent; RMSE in the unit; "
             "UM, US, UC are Theil's shares of the mean squared error.",),
            _frame("fit", fit[list(_FIT)].rename(columns=_FIT), links)))
    return parts


def _limits(content: BookContent, links: _Links) -> list[_Part]:
    fit = content.results.comparison.fit
    outside = [] if fit.empty else [
        (row["label"], links.mark(str(row["variable"])), _text(row["mape"]), _text(row["rmse"]))
        for _, row in fit[fit["passed"].eq(False)].iterrows()]
    entries = [entry for sector in content.sectors for entry in sector.entries]
    weak = [entry for entry in entries if entry.variable.kind == "constant"
            and _source(entry).startswith("assumption")]
    rows = [(links.mark(entry.variable.name), _value(entry), unit_label(entry.variable.unit),
             _range(entry), _source(entry)) for entry in weak]
    assumed = content.drivers[content.drivers["rule"] == "assumption"]
    misses = content.evidence["known misses"]
    return [
        _Part("What the model leaves out", LEFT_OUT),
        _Part("What the hold-out cannot show", tuple(content.claims.values())),
        _Part("Tests that the model is known to miss", () if misses is not None else (
            "Not run for this book.",),
            None if misses is None else _frame("misses", misses[["test", "part", "reason"]],
                                               links)),
        _Part("Series outside their bar", (
            f"{len(outside)} of {len(fit)} judged series.",),
            _Table("outside", "", ("Series", "Variable", "MAPE, %", "RMSE"), outside)
            if outside else None),
        _Part("Constants that rest on an assumption", (
            f"{len(weak)} of {sum(entry.variable.kind == 'constant' for entry in entries)} "
            "constants.",),
            _Table("assumptions", "", ("Constant", "Value", "Unit", "Range", "Source"), rows)),
        _Part("Stretches of the drivers that rest on an assumption", (
            f"{len(assumed)} stretches of {len(content.drivers)}.",),
            _Table("assumed-drivers", "", ("Driver", "Years", "Note"),
                   [(links.mark(str(row["driver"])), row["years"], row["note"])
                    for _, row in assumed.iterrows()])),
    ]


def _checklist(content: BookContent) -> list[_Part]:
    parts: dict[str, list[Sequence[object]]] = {}
    for item in content.checklist:
        verdict = Markup('<span class="verdict {}">{}</span>').format(
            item.verdict.replace(" ", "-"), item.verdict)
        parts.setdefault(item.part, []).append((item.level, item.asked, verdict, item.fact))
    intro = ("The reporting guidelines of Rahmandad and Sterman (System Dynamics Review 28, 2012), "
             "item by item, in our words; the answers are computed.",)
    return [_Part(part, intro if number == 0 else (),
                  _Table(_slug(part), "", ("Level", "Asked", "Met", "Fact"), rows))
            for number, (part, rows) in enumerate(parts.items())]


def _sector(sector: Sector, content: BookContent, links: _Links) -> str:
    drawings = [(diagram.heading, _svg(diagram, links.variable)) for diagram in sector.diagrams]
    entries = [_entry(entry, content, links) for entry in sector.entries]
    scenarios = list(content.results.scenarios)
    return _render("book_sector.html.j2", sector.name or "Model", content, links,
                   drawings=drawings, entries=entries, history=HISTORY,
                   runs=content.results.bands.record["runs"],
                   scenario_key=[(name, colour(name, scenarios)) for name in scenarios])


def _entry(entry: Entry, content: BookContent, links: _Links) -> Mapping[str, object]:
    variable = entry.variable
    comment = variable.comment.partition("Source:")[0].strip()
    loops = Markup(", ").join(
        Markup('<a href="index.html#loop-{}">{}</a>').format(_slug(loop), loop)
        for loop in entry.loops)
    return {
        "id": _slug(variable.name), "name": variable.name, "label": entry.label,
        "kind": variable.kind, "unit": unit_label(variable.unit), "range": _range(entry),
        "equation": entry.equation.text, "long": len(entry.equation.text) > _LONG_EQUATION,
        "comment": comment, "source": _source(entry),
        "causes": [(links.mark(cause), links.marks(second))
                   for cause, second in entry.causes.items()],
        "users": links.marks(entry.users), "loops": loops,
        "plot": _plot(entry, list(content.results.scenarios)),
    }


def _source(entry: Entry) -> str:
    return entry.variable.comment.partition("Source:")[2].strip()


def _value(entry: Entry) -> str:
    return _text(entry.equation.ast)


def _range(entry: Entry) -> str:
    variable = entry.variable
    if variable.lower is None and variable.upper is None:
        return ""
    low, high = (_RANGE_OPEN if end is None else f"{end:g}"
                 for end in (variable.lower, variable.upper))
    return f"[{low}, {high}]"


def _frame(name: str, table: pd.DataFrame, links: _Links) -> _Table:
    """Show any table; names of variables become links."""
    rows = [[links.mark(value) if isinstance(value, str) and links.variable(value)
             else _text(value) for value in row] for row in table.itertuples(index=False)]
    return _Table(name, "", [str(column) for column in table.columns], rows)


def _text(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "–"
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}".replace("-", "−")
    return str(value)
