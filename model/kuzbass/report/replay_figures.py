"""The figures of crisis replays, and the stacked area of feedback loops."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kuzbass.experiments.loops import HISTORY
from kuzbass.region.crises import CRISES, GROUPS
from kuzbass.report import style
from kuzbass.report.bands import band_legend, draw_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.loops import LoopsResult
    from kuzbass.experiments.replay import ReplayResult

__all__ = ["area_figure", "replay_figure", "waterfall", "what_if"]

PANELS = ("coal_production_total", "exports_total", "grp_real_index", "fixed_investment_real_index",
          "budget_profit_tax", "budget_own_revenue", "real_money_incomes_index",
          "employed_avg_annual", "coal_stocks_end_year")
FALLS = ("coal output", "exports", "real GRP index", "real fixed investment", "regional profit tax",
         "own budget revenue", "consolidated budget expenditure", "real money income index",
         "employed")
SIMULATED, WITHOUT = "#b5541c", "#1f6f8b"
_PARTS = {"price": "#8a2f4f", "demand": "#b5541c", "transport": "#c9a227",
          "exchange rate": "#3b7a3b", "national economy": "#6a4fa3"}
_POLICIES = ("#1f6f8b", "#c9a227", "#3b7a3b", "#6a4fa3")
_FAMILIES = ("#b5541c", "#1f6f8b", "#8a2f4f", "#c9a227", "#3b7a3b", "#6a4fa3", "#5c8fbf", "#d08a6b")
_REST = "#cfcfca"


def _heading(result: ReplayResult) -> str:
    years = str(result.event.first) if result.event.first == result.event.last else (
        f"{result.event.first}-{result.event.last}")
    if result.scenario == "history":
        return f"{years} ({result.event.title[0].lower()}{result.event.title[1:]})"
    return f"{years} laid on {result.first} of {result.scenario}"


def _note(result: ReplayResult) -> str:
    model = result.manifest["model"]
    assert isinstance(model, dict)
    return (f"Model: {model['file']} {str(model['sha256'])[:10]}; data: Rosstat and others, each "
            "number with its source in data/")


@style.styled()
def replay_figure(result: ReplayResult) -> Figure:
    """Draw the judged series around the crisis: observed, simulated, without the shock."""
    history = result.scenario == "history"
    figure, axes = style.grid(
        f"Replay of {_heading(result)}",
        f"The year {result.first - 1} is 100; no state is moved towards the data. "
        f"Bands: {result.banded}." if history else
        f"The year {result.first - 1} is 100. Bands: {result.banded}.",
        _note(result), len(PANELS), 3, height=1.75, legend_entries=5)
    bands, of = band_legend(of="the draws")
    handles = [Line2D([], [], color=SIMULATED), Line2D([], [], color=WITHOUT, ls=(0, (4, 1.5))),
               *bands]
    names = ["simulated", "without the shock", *of]
    if history:
        handles.append(Line2D([], [], color=style.OBSERVED, marker="o", ls="", ms=4))
        names.append("observed")
    style.legend(figure, handles, names)
    table = result.paths.set_index(["series", "year"]).sort_index()
    for axis, series in zip(axes, PANELS, strict=True):
        own = table.loc[series]
        base = own.loc[result.first - 1]
        axis.axvspan(result.first - 0.5, result.last + 0.5, color="#efe6dc", zorder=0)
        around = result.bands[(result.bands["variable"] == own["variable"].iloc[0])
                              & result.bands["year"].isin(own.index)]
        for path, colour in (("without", WITHOUT), ("simulated", SIMULATED)):
            draw_band(axis, around[around["path"] == path], colour, median=False, among=2)
        axis.plot(own.index, 100.0 * own["without"] / base["without"], color=WITHOUT,
                  ls=(0, (4, 1.5)))
        axis.plot(own.index, 100.0 * own["simulated"] / base["simulated"], color=SIMULATED)
        if not np.isnan(base["observed"]):
            axis.plot(own.index, 100.0 * own["observed"] / base["observed"], "o",
                      color=style.OBSERVED, ms=4)
        axis.set_title(style.short(str(own["label"].iloc[0])))
        style.name_axes(axis, f"{result.first - 1} = 100", ticks=4)
    return figure


@style.styled()
def waterfall(result: ReplayResult) -> Figure:
    """Draw the change without the shock, the part of each group of drivers, and the change."""
    figure, axes = style.grid(
        f"What made the change: replay of {_heading(result)}",
        f"Change from {result.first - 1} to {result.last} in percent. Shapley values over all "
        "combinations of the five groups of drivers; the steps sum exactly. Dots: observed.",
        _note(result), len(FALLS), 3, height=1.75)
    table = {str(row["variable"]): row for _, row in result.waterfall.iterrows()}
    observed = result.changes[(result.changes["since"] == result.first - 1)
                              & (result.changes["year"] == result.last)]
    seen = {str(name): float(value) for name, value
            in zip(observed["variable"], observed["observed"], strict=True) if not np.isnan(value)}
    for axis, name in zip(axes, FALLS, strict=True):
        _steps(axis, table[name])
        if name in seen:
            axis.plot([len(GROUPS) + 1], [seen[name]], "o", color=style.OBSERVED,
                      ms=4.5, zorder=4)
        axis.set_title(style.short(_label(result, name)))
        axis.set_ylabel("%")
    for axis in axes:
        axis.set_xticks(range(len(GROUPS) + 2), ["without", "price", "demand", "rail", "rouble",
                                                 "nation", "with"], size=7.2)
    return figure


def _steps(axis: Axes, row: pd.Series) -> None:
    level = float(row["without"])
    axis.bar(0, level, color=WITHOUT, width=0.7)
    for number, group in enumerate(GROUPS, start=1):
        part = float(row[group])
        axis.bar(number, part, bottom=level, color=_PARTS[group], width=0.7)
        axis.plot([number - 1.35, number + 0.35], [level, level], color="#888888", lw=0.7)
        level += part
    last = len(GROUPS) + 1
    axis.plot([last - 1.35, last + 0.35], [level, level], color="#888888", lw=0.7)
    axis.bar(last, float(row["simulated"]), color=SIMULATED, width=0.7)
    axis.axhline(0.0, color="#555555", lw=0.8)
    axis.grid(visible=False, axis="x")
    axis.use_sticky_edges = False
    axis.margins(y=0.12)


@style.styled()
def what_if(result: ReplayResult) -> Figure:
    """Draw the loss of the economy as it was and of the same region with other policies."""
    figure, (axis,) = style.grid(
        f"The same shock on another region: replay of {_heading(result)}",
        f"Loss in {result.last} against the same economy without the shock, in percent.",
        _note(result), 1, 1, height=4.0, legend_entries=4)
    table = result.what_if.set_index(["policy", "variable"])
    policies = list(dict.fromkeys(result.what_if["policy"]))
    cases = {"as it was": table.loc[policies[0]]["actual"],
             **{policy: table.loc[policy]["loss"] for policy in policies}}
    thick = 0.8 / len(cases)
    colours = [SIMULATED, *_POLICIES]
    for number, (case, values) in enumerate(cases.items()):
        place = np.arange(len(FALLS)) + thick * (number - (len(cases) - 1) / 2)
        axis.bar(place, [float(values[name]) for name in FALLS], width=0.92 * thick,
                 color=colours[number], label=case)
    style.legend(figure, [Patch(fc=colours[number]) for number in range(len(cases))], list(cases))
    axis.axhline(0.0, color="#555555", lw=0.8)
    axis.set_xticks(range(len(FALLS)), [_broken(_label(result, name)) for name in FALLS], size=7.5)
    axis.set_ylabel("%")
    axis.grid(visible=False, axis="x")
    return figure


def _label(result: ReplayResult, variable: str) -> str:
    """Return the label of the judged series, which is shorter than that of the variable."""
    rows = result.changes[result.changes["variable"] == variable]
    return str(rows["label"].iloc[0])


def _broken(text: str) -> str:
    words = style.short(text).split()
    half = (len(words) + 1) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])


@style.styled()
def area_figure(result: LoopsResult, run: str) -> Figure:
    """Draw the relative scores of the families of loops over time, reinforcing ones upwards."""
    table = result.areas[run]
    names = list(dict.fromkeys(str(column[0]) for column in table.columns))
    colours = dict(zip([name for name in names if name != "other loops"], cycle(_FAMILIES),
                       strict=False)) | {"other loops": _REST}
    where = "2000-2024" if run == HISTORY else f"in the scenario {run}"
    figure, (axis,) = style.grid(
        f"Which loops drive the region {where}",
        "Share of the loop scores by the sectors in which a loop holds a state: reinforcing loops "
        "upwards, balancing loops downwards; means of half years.",
        "; ".join(note for note in result.notes if note.startswith(run)), 1, 1, height=4.6,
        legend_entries=len(names))
    style.legend(figure, [Patch(fc=colours[name]) for name in names], names)
    smooth = table.groupby(np.floor(table.index.to_numpy(float) * 2.0 - 1e-9) / 2.0 + 0.25).mean()
    for polarity, sign in (("R", 1.0), ("B", -1.0)):
        level = np.zeros(len(smooth))
        for name in names:
            if (name, polarity) in smooth.columns:
                part = 100.0 * sign * smooth[name, polarity].abs().to_numpy()
                axis.fill_between(smooth.index, level, level + part, color=colours[name], lw=0)
                level = level + part
    if run == HISTORY:
        for event in CRISES.values():
            axis.axvspan(event.first, event.last + 1.0, fc="none", ec="#333333", lw=0.9,
                         ls=(0, (3, 2)))
    axis.axhline(0.0, color="#333333", lw=0.9)
    axis.set_xlim(float(smooth.index[0]), float(smooth.index[-1]))
    style.name_axes(axis, "% of the loop scores")
    return figure
