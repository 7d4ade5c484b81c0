"""Figures and page of `kuzbass attain`: what the targets would take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from kuzbass.experiments.lab.attain import VERDICTS
from kuzbass.report import style
from kuzbass.report.lab_figures import note
from kuzbass.report.lab_html import Section, table_of, write_lab

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.lab.attain import AttainResult

__all__ = ["VERDICT_COLOURS", "attain_figures", "moves_figure", "prices_figure",
           "surface_figure", "targets_figure", "write_attain_report"]

VERDICT_COLOURS = dict(zip(VERDICTS, ("#3b7a3b", "#1f6f8b", "#c9a227", "#b5541c", "#8a2f4f"),
                           strict=True))
_KNOTS = ("#9ecae1", "#4292c6", "#08519c")
_LEVER = "#3b7a3b"
_ROW, _LABELS = 0.23, 3.6  # inches: of a row, and of the margin for its name
_SMALL = 0.01  # moves below are not drawn


def attain_figures(result: AttainResult) -> dict[str, Figure]:
    """Return every figure by file name, in reading order."""
    figures = {"targets": targets_figure(result)}
    if len(_moved(result)):
        figures["moves"] = moves_figure(result)
    if (result.targets["price"] > 0.0).any():
        figures["prices"] = prices_figure(result)
    return {**figures, "surface": surface_figure(result)}


def write_attain_report(result: AttainResult, folder: Path) -> None:
    """Write figures and ``report.html`` below `folder`."""
    write_lab({"en": f"What the targets of {result.scenario} would take",
               "ru": f"Чего потребовали бы ориентиры: {result.title['ru']}"},
              _sections(result), attain_figures(result), result.manifest, folder)


@style.styled()
def targets_figure(result: AttainResult) -> Figure:
    """Draw how far every target is missed without change, and where the largest set is met."""
    table = result.targets
    figure, (axis,) = style.grid(
        f"Targets of {result.scenario}: where the model stands, and where it can be brought",
        f"Distance to the middle of the target, %; changes are counted from {result.start}. "
        "Ring: no change. Dot: the smallest change that meets the largest set found.",
        note(result.manifest), 1, 1, height=0.4 + _ROW * len(table), left=_LABELS,
        legend_entries=len(VERDICTS))
    for place, (_, row) in enumerate(table.iterrows()):
        y, colour = len(table) - 1 - place, VERDICT_COLOURS[str(row["verdict"])]
        middle = (row["low"] + row["high"]) / 2.0
        edges = [100.0 * (edge / middle - 1.0) for edge in
                 (row["low"] - row["tolerance"], row["high"] + row["tolerance"])]
        own, reached = (100.0 * (row[name] / middle - 1.0) for name in ("own", "reached"))
        axis.add_patch(Rectangle((edges[0], y - 0.32), edges[1] - edges[0], 0.64, color="#d9d9d4"))
        axis.plot([own, reached], [y, y], color=colour, lw=1.2, alpha=0.6)
        axis.plot(own, y, "o", mfc="white", mec=colour, ms=5.5)
        axis.plot(reached, y, "o", color=colour, ms=5.5 if row["together"] else 3.0)
    _rows(axis, [f"{row['indicator'].split(',')[0]} {row['year']}"
                 for _, row in table.iterrows()])
    axis.axvline(0.0, color="#888888", lw=0.8)
    axis.set_xlabel("distance to the target, % of it; small dot: not in the set")
    found = [name for name in VERDICTS if (table["verdict"] == name).any()]
    style.legend(figure, [Patch(color=VERDICT_COLOURS[name]) for name in found],
                 [f"Alone: {name}" for name in found])
    return figure


@style.styled()
def moves_figure(result: AttainResult) -> Figure:
    """Draw the moves of the causes for the largest set, in units of their ranges."""
    moved = _moved(result)
    names = list(dict.fromkeys(moved["cause"]))
    years = sorted(set(result.causes.loc[result.causes["kind"] == "driver", "year"]))
    figure, (axis,) = style.grid(
        f"The smallest change for {int(result.targets['together'].sum())} of "
        f"{len(result.targets)} targets",
        "Move from the scenario, as a share of the cause's range; drivers by year, levers on top "
        "of what the scenario has.", note(result.manifest), 1, 1,
        height=0.5 + 1.35 * _ROW * len(names), left=_LABELS, legend_entries=4)
    colours = {year: _KNOTS[place % len(_KNOTS)] for place, year in enumerate(years)}
    for place, name in enumerate(names):
        own = moved[moved["cause"] == name]
        for number, (_, row) in enumerate(own.iterrows()):
            lever = row["kind"] == "lever"
            thick = 0.7 if lever else 0.7 / len(own)
            y = len(names) - 1 - place + (0.0 if lever else 0.35 - thick * (number + 0.5))
            axis.barh(y, row["size"], height=thick * 0.9,
                      color=_LEVER if lever else colours[row["year"]])
    _rows(axis, names)
    axis.axvline(0.0, color="#888888", lw=0.8)
    axis.set_xlabel("move, share of the range")
    style.legend(figure, [*(Patch(color=colours[year]) for year in years), Patch(color=_LEVER)],
                 [*(f"Driver, {year}" for year in years), "Lever"])
    return figure


@style.styled()
def prices_figure(result: AttainResult) -> Figure:
    """Draw what a percent of each binding target costs."""
    table = result.targets[result.targets["price"] > 0.0].sort_values("price", ascending=False)
    figure, (axis,) = style.grid(
        "Shadow prices: what the last percent of a target costs",
        "Effort saved if the target gives way by 1 % of itself; 1 is one cause moved over its "
        "whole range for the whole time.", note(result.manifest), 1, 1,
        height=0.5 + 1.3 * _ROW * len(table), left=_LABELS)
    axis.barh(np.arange(len(table))[::-1], table["price"], color="#1f6f8b", height=0.6)
    _rows(axis, [f"{row['indicator'].split(',')[0]} {row['year']}"
                 for _, row in table.iterrows()])
    axis.set_xlabel("effort per 1 % of the target")
    return figure


@style.styled()
def surface_figure(result: AttainResult) -> Figure:
    """Draw the index over coal output and price, with the two claims of the paper."""
    surface = result.surface
    figure, (axis,) = style.grid(
        "Resilience index over coal output and the price of thermal coal",
        f"{surface.scenario}, means of {surface.years[0]}-{surface.years[1]}; both axes are "
        "outcomes of runs in which demand and prices are moved. Dots: runs.",
        note(result.manifest), 1, 1, height=5.2, legend_entries=4)
    index = np.ma.masked_invalid(surface.index)
    output = np.ma.masked_invalid(surface.output)
    levels = np.linspace(index.min(), index.max(), 15)
    filled = axis.contourf(output, surface.thermal, index, levels=levels, cmap="RdYlBu",
                           alpha=0.85)
    figure.colorbar(filled, ax=axis, label="index points", pad=0.01)
    axis.plot(output, surface.thermal, ".", color="#555555", ms=1.5, alpha=0.5)
    handles, names = [], []
    for bar, colour in zip(sorted(set(surface.claims["bar"]), reverse=True),
                           ("black", "#8a2f4f"), strict=True):
        own = surface.claims[surface.claims["bar"] == bar]
        if index.min() < bar < index.max():
            axis.contour(output, surface.thermal, index, levels=[bar], colors=[colour],
                         linewidths=1.6)
        for _, row in own.iterrows():
            axis.plot([row["low"], row["high"]], [row["price"]] * 2, color=colour, lw=4.0,
                      solid_capstyle="butt")
        first = own.iloc[0]
        handles += [Line2D([], [], color=colour, lw=1.6), Line2D([], [], color=colour, lw=4.0)]
        names += [f"Index {bar:.2f}",
                  f"Claim: {first['low']:.0f}-{first['high']:.0f} Mt, index {bar:.2f}+"]
    axis.set_xlabel("coal output, Mt a year")
    axis.set_ylabel("world price of thermal coal, USD a tonne")
    low, high = (min(surface.claims["low"].min(), output.min()),
                 max(surface.claims["high"].max(), output.max()))
    axis.set_xlim(low - 3.0, high + 3.0)
    style.legend(figure, handles, names)
    return figure


def _rows(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(np.arange(len(names))[::-1], names)
    axis.set_ylim(-0.7, len(names) - 0.3)
    axis.grid(visible=False, axis="y")


def _moved(result: AttainResult) -> pd.DataFrame:
    return result.causes[result.causes["size"].abs() > _SMALL]


def _sections(result: AttainResult) -> list[Section]:
    table = result.targets
    counts = table["verdict"].value_counts()
    told = "; ".join(f"{name}: {counts[name]}" for name in VERDICTS if name in counts)
    together = int(table["together"].sum())
    shown = table[["indicator", "year", "unit", "low", "high", "own", "verdict", "effort", "gap",
                   "cause", "stretch", "together", "reached", "price"]]
    moved = _moved(result)
    return [
        Section(
            "targets", "Targets", "Ориентиры",
            [f"{len(table)} targets, each asked for alone: {told}.",
             f"Together, {together} of them can be met; a larger set was not found, which is no "
             "proof that there is none.",
             "Effort: the sum of all moves, each in units of its range; a driver that is moved "
             "over its whole range for the whole time counts as 1."],
            {"targets": "Distance to the targets without change and with the smallest change"},
            [table_of("targets", "Gap: percent of the target that stays missing if it is asked "
                      "for alone. Stretch: how many times as wide the ranges of the drivers would "
                      "have to be. Price: effort saved in the largest set by giving way 1 % of "
                      "the target.", _plain(shown), 3),
             table_of("sets", "The largest sets by what may move", result.sets, 2)]),
        Section(
            "moves", "The smallest change", "Наименьшее изменение",
            [f"The change stands in {result.attained.name}.yaml, a scenario that extends "
             f"{result.start}: kuzbass run takes it."],
            {"moves": "Moves of the causes", "prices": "Shadow prices"},
            [table_of("causes", "Causes that move", moved, 3)]),
        Section(
            "conflicts", "Targets that contradict each other", "Противоречия",
            ["Pairs that can each be met alone and were not found to be met together."
             if len(result.conflicts) else "No pair of reachable targets was found to exclude "
             "each other."], {},
            [table_of("conflicts", "The gap that is left, in percent of the targets",
                      result.conflicts, 2)]),
        Section(
            "surface", "Output, price and resilience", "Добыча, цена и резильентность",
            ["The paper: the reached level holds at 220-230 Mt and average long-run prices; at "
             "150-170 Mt the index is lower but above zero. It names no years for the price, so "
             "two readings are given. The reached level is the observed index of 2021."],
            {"surface": "The index over coal output and price"},
            [table_of("claims", "The claims on thresholds; lowest and highest index between the "
                      "two outputs", result.surface.claims, 3)]),
    ]


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(together=np.where(table["together"], "yes", "no"))
