"""The HTML report of a run: one file, inline figures, no script, nothing to load."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from kuzbass.region.resilience import RECONSTRUCTED
from kuzbass.report import style
from kuzbass.report.figures import gap_percent

if TYPE_CHECKING:
    from kuzbass.experiments.results import RunResults

__all__ = ["html_report"]

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_INDEX_YEARS = (2019, 2020, 2021, 2025, 2030, 2035)
_NOTHING = "–"
# Captions of the figures in English and Russian.
_CAPTIONS = {
    "trajectories": ("The nine target indicators: history, scenarios and targets",
                     "Девять целевых показателей: история, сценарии и ориентиры"),
    "index": ("Resilience index and the family of admissible lists",
              "Индекс резильентности и семейство допустимых наборов"),
    "sub-indices": ("Sub-indices by megafactor", "Субиндексы по мегафакторам"),
    "target-gaps": ("Gaps to the targets, percent", "Отклонения от ориентиров, проценты"),
    "crisis-2020": ("The crisis of 2020, step by step", "Кризис 2020 года по шагам"),
    "fit": ("Simulated against observed", "Модель и наблюдения"),
}


# What the bands of a figure hold; before 2025 no driver is uncertain.
_BANDS = {
    "parameters": ("Bands: 50 and 90 % of {runs} runs over {parameters}",
                   "Полосы: 50 и 90 % прогонов, меняются параметры"),
    "all": ("Bands: 50 and 90 % of {runs} runs over {parameters}, {drivers}",
            "Полосы: 50 и 90 % прогонов, меняются параметры и внешние условия"),
}


@dataclass(frozen=True)
class _Cell:
    """One cell: its text, its class, and whether it heads its row."""

    text: str
    kind: str = ""
    head: bool = False


@dataclass(frozen=True)
class _Row:
    """One row of a table and its class."""

    cells: Sequence[_Cell]
    kind: str = ""


@dataclass(frozen=True)
class _Table:
    """A table as the template wants it."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[_Row]

    @property
    def heads(self) -> list[_Cell]:
        """The headings, set as the cells below them."""
        kinds = [cell.kind if cell.kind == "number" else "" for cell in self.rows[0].cells]
        return [_Cell(text, kind) for text, kind in zip(self.columns, kinds, strict=True)]


def html_report(results: RunResults, drawings: Mapping[str, str]) -> str:
    """Return the report of a run as one HTML page.

    Parameters
    ----------
    results : RunResults
    drawings : mapping of str to str
        The figures of `kuzbass.report.figures.report_figures` as SVG text, by name.

    Returns
    -------
    str
        The page.  It refers to no other file and no address; equal results give equal text.
    """
    comparison = results.comparison
    figures = {name: {"svg": _inline(svg, name, _CAPTIONS[name][0]), "caption": _CAPTIONS[name],
                      "bands": _band_caption(results, name)} for name, svg in drawings.items()}
    return _template().render(
        results=results,
        figures=figures,
        scenarios=_scenarios(results),
        index=_index(results),
        targets=_targets(results) if len(comparison.targets) else None,
        met=int(comparison.targets["inside"].sum()) if len(comparison.targets) else 0,
        claims=_claims(results) if len(comparison.index_claims) else None,
        fit=_fit(comparison.fit) if len(comparison.fit) else None,
        record=_record(results.manifest),
        reconstructed=RECONSTRUCTED,
    ) + "\n"


def _band_caption(results: RunResults, name: str) -> tuple[str, str]:
    bands = results.bands
    en, ru = _BANDS["parameters" if name in ("crisis-2020", "fit") else "all"]
    return en.format(runs=bands.record["runs"], parameters=bands.parameters,
                     drivers=bands.drivers), ru


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True,
                              trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return environment.get_template("report.html.j2")


def _inline(svg: str, name: str, title: str) -> Markup:
    """Make an SVG file part of a page: no header, no fixed size, ids of its own."""
    body = svg[svg.index("<svg"):].strip()
    for pattern in (r"<metadata>.*?</metadata>", r"<!--.*?-->", r"<style[^>]*>.*?</style>"):
        body = re.sub(pattern, "", body, flags=re.DOTALL)
    opening, rest = body.split(">", 1)
    opening = re.sub(r'\s(xmlns(:xlink)?|width|height)="[^"]*"', "", opening)
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = re.sub(r'(xlink:)?href="#', f'href="#{name}-', rest)
    rest = rest.replace("url(#", f"url(#{name}-")
    text = re.sub(r"\n\s*", "\n", f'{opening} role="img" aria-label="{title}">{rest}')
    return Markup(text)  # noqa: S704 - matplotlib has escaped every text of a scenario


def _scenarios(results: RunResults) -> _Table:
    distance = results.comparison.distance
    rows = []
    for name, scenario in results.scenarios.items():
        own = distance[distance["scenario"] == name] if len(distance) else distance
        last = scenario.index["index"].dropna()
        met = f"{int(own['inside'].iloc[0])} of {int(own['rows'].iloc[0])}" if len(own) else ""
        gap = own["rms_gap_relative"].iloc[0] if len(own) else np.nan
        rows.append(_Row((
            _Cell(name, f"swatch {_swatch(name)}", head=True), _Cell(scenario.title["en"]),
            _Cell(scenario.title["ru"]), _Cell(met or "no targets", "number"),
            _Cell(_number(100.0 * gap, 1), "number"),
            _Cell(f"{last.iloc[-1]:.3f} ({last.index[-1]})".replace("-", "−"), "number"))))
    return _Table("scenarios", "Scenarios of this run",
                  ("Scenario", "Title", "Название", "Targets met", "RMS gap, % of target",
                   "Index, last year"), rows)


def _swatch(name: str) -> str:
    return name if name in style.COLOURS else "other"


def _index(results: RunResults) -> _Table:
    rows = [_index_row("observed", "A", results.observed_index)]
    for name, scenario in results.scenarios.items():
        rows += [_index_row(name, "A", scenario.index), _index_row(name, "B", scenario.reading_b)]
    return _Table("index", "Resilience index, default list, index points. Reading A: mean and "
                  "deviation of the observed years 2000-2021; B: these and the forecast years.",
                  ("Scenario", "Reading", *(str(year) for year in _INDEX_YEARS)), rows)


def _index_row(name: str, reading: str, index: pd.DataFrame) -> _Row:
    values = index["index"].reindex(_INDEX_YEARS)
    return _Row((_Cell(name, head=True), _Cell(reading),
                 *(_Cell(_number(value, 3), "number") for value in values)))


def _targets(results: RunResults) -> _Table:
    table = results.comparison.targets
    rows = []
    for (_, row), percent in zip(table.iterrows(), gap_percent(table), strict=True):
        inside = bool(row["inside"])
        verdict = "inside" if inside else "above" if row["gap"] > 0 else "below"
        rows.append(_Row((
            _Cell(str(row["indicator"]), head=True),
            _Cell(style.label(str(row["variable"]), "ru")),
            _Cell(str(row["scenario"]), "name"), _Cell(str(row["year"]), "number"),
            _Cell(_number(row["simulated"], 1), "number"), _Cell(_range(row), "number"),
            _Cell(str(row["unit"]), "name"), _Cell(_number(row["gap"], 1, sign=True), "number"),
            _Cell(_number(percent, 1, sign=True), "number"), _Cell(verdict, "verdict"),
        ), "target in" if inside else "target out"))
    return _Table("targets", "Simulated values against the targets of the paper. The gap is "
                  "measured from the nearest end of the target, in the unit and in percent of "
                  "its middle; % of 2019 is of the same run.",
                  ("Indicator", "Показатель", "Scenario", "Year", "Simulated", "Target", "Unit",
                   "Gap, in the unit", "Gap, %", "Verdict"), rows)


def _range(row: pd.Series) -> str:
    low, high = f"{row['low']:g}", f"{row['high']:g}"
    return low if low == high else f"{low}–{high}"


def _claims(results: RunResults) -> _Table:
    rows = []
    for _, row in results.comparison.index_claims.iterrows():
        rows.append(_Row((
            _Cell(str(row["claim"]), head=True), _Cell(str(row["scenario"]), "name"),
            *(_Cell(_number(row[side], 3 if row["unit"] == "index points" else 1), "number")
              for side in ("published", "simulated")),
            _Cell(str(row["unit"])), _Cell(str(row["against"])),
            _Cell(str(row["verdict"]), "verdict"),
            _Cell(_share(row["family_share"]), "number"),
        ), {"holds": "in", "fails": "out"}.get(str(row["verdict"]), "")))
    return _Table("claims", "The paper's claims on the index. The family share is the share of "
                  "the admissible lists of indicators for which the claim holds in this run. "
                  "Against: whose 2019 or 2021 a claim is measured by.",
                  ("Claim", "Scenario", "Published", "Simulated", "Unit", "Against", "Verdict",
                   "Family share"), rows)


def _fit(fit: pd.DataFrame) -> _Table:
    rows = []
    for _, row in fit.iterrows():
        rate, passed = row["kind"] == "rate", row["passed"]
        verdict = "no bar" if passed is None else "within" if passed else "outside"
        bar = row["bar_rmse_pp"] if rate else row["bar_mape"]
        rows.append(_Row((
            _Cell(str(row["label"]), head=True), _Cell(style.unit_label(str(row["unit"]))),
            _Cell(f"{row['first']}–{row['last']}", "number"), _Cell(f"{row['n']:.0f}", "number"),
            _Cell(_NOTHING if rate else _number(row["mape"], 1), "number"),
            _Cell(_number(row["rmse"], 2), "number"), _Cell(_number(bar, 1), "number"),
            _Cell(_number(row["r"], 2), "number"),
            *(_Cell(_number(row[name], 2), "number") for name in ("um", "us", "uc")),
            _Cell(str(row["worst_year"]), "number"), _Cell(verdict, "verdict"),
        ), {"outside": "out", "within": "in"}.get(verdict, "")))
    return _Table("fit", "Fit of the simulated history to every judged series. RMSE in the unit "
                  "of the series; the bar is a MAPE for levels and an RMSE in percentage points "
                  "for rates (%). UM, US, UC: Theil's shares of the mean squared error.",
                  ("Series", "Unit", "Years", "n", "MAPE, %", "RMSE", "Bar", "r", "UM", "US",
                   "UC", "Worst year", "Verdict"), rows)


def _record(manifest: Mapping[str, object]) -> list[tuple[str, str, bool]]:
    """Return key, text and whether the text is long, for every entry of the manifest."""
    entries = []
    for key, value in manifest.items():
        if value is None or value == []:
            continue
        nested = isinstance(value, Mapping | list)
        if isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values()):
            entries.append((key, ", ".join(f"{name} {one}" for name, one in value.items()), False))
        else:
            text = json.dumps(value, ensure_ascii=False, indent=1) if nested else str(value)
            entries.append((key, text, nested))
    return entries


def _number(value: float, digits: int, *, sign: bool = False) -> str:
    """Write a number with a thin space for thousands and a true minus."""
    if not np.isfinite(value):
        return _NOTHING
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if float(text.replace(",", "")) == 0.0:
        text = text.lstrip("+-")
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")


def _share(value: float) -> str:
    """Write a share in percent; 0 and 100 only where it is none or all."""
    percent = f"{100.0 * value:.0f}"
    if percent in ("0", "100") and 0.0 < value < 1.0:
        return "under 1 %" if value < 0.5 else "over 99 %"
    return f"{percent} %"
