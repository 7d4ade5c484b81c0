"""The figures of shocks, replays and loops.  Values are drawn as they come."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kuzbass.experiments.results import QUANTILES
from kuzbass.report import style
from kuzbass.report.bands import band_legend, draw_band
from kuzbass.report.network import DOWN, UP, network_figure, network_page
from kuzbass.report.replay_figures import area_figure, replay_figure, waterfall, what_if

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.loops import LoopsResult
    from kuzbass.experiments.replay import ReplayResult
    from kuzbass.experiments.shock import ShockResult

__all__ = ["both_views", "cascade_timeline", "heat_map", "responses", "routes", "sweep",
           "write_loops_figures", "write_replay_figures", "write_shock_figures"]

_SHADES = LinearSegmentedColormap.from_list("shock", [
    "#7f1d0e", DOWN, "#e9a98c", "#f7f6f2", "#9cc4d2", UP, "#0d3c52"])
_YEARS = 10.0  # shown of a response
_ONSET = 0.01
_STILL = 1e-4  # a response that is none
_ROWS = 36  # of the heat map
_CLIP = 1.5  # share at which a bar is cut off
_BARS = 9


def write_shock_figures(result: ShockResult, folder: Path) -> list[Path]:
    """Write the figures of a shock as PNG and SVG, and the network over time as a page."""
    figures = {
        "cascade": cascade_timeline(result), "heat-map": heat_map(result),
        "network": network_figure(result), "both-views": both_views(result),
        "routes": routes(result), "sweep": sweep(result), "responses": responses(result)}
    page = folder / "network.html"
    page.write_text(network_page(result), encoding="utf-8")
    return [*_saved(figures, folder), page]


def write_replay_figures(result: ReplayResult, folder: Path) -> list[Path]:
    """Write the figures of a replay as PNG and SVG."""
    return _saved({"replay": replay_figure(result), "waterfall": waterfall(result),
                   "what-if": what_if(result)}, folder)


def write_loops_figures(result: LoopsResult, folder: Path) -> list[Path]:
    """Write the stacked area of every run as PNG and SVG."""
    return _saved({f"area-{run}": area_figure(result, run) for run in result.areas}, folder)


def _saved(figures: dict[str, Figure], folder: Path) -> list[Path]:
    place = folder / "figures"
    place.mkdir(exist_ok=True)
    return [path for name, figure in figures.items()
            for path in style.save(figure, place / name)[0]]


@style.styled()
def cascade_timeline(result: ShockResult) -> Figure:
    """Draw one bar per sector: from onset to recovery, coloured by depth, earliest on top."""
    table = result.sectors
    figure, (axis,) = style.grid(
        "The cascade: which sector falls when, how long and how deep",
        f"{result.title}. A bar runs while the headline variable is more than 1 % off the base "
        "run; back: within 5 % of its own peak.", style.provenance(result.base), 1, 1,
        height=0.42 * len(table) + 0.3, left=3.15, legend_entries=1)
    box = axis.get_position()
    axis.set_position((box.x0, box.y0, 0.7 * box.width, box.height))
    lag, limit = _lag(result), float(table["peak_share"].abs().max())
    shades = Normalize(-limit, limit)
    last = min(_YEARS, float(lag[-1]))
    for row, (sector, own) in enumerate(table.iterrows()):
        share = result.shares[str(own["variable"])].to_numpy()
        shown = np.where(np.abs(share) > _ONSET, share, np.nan)[None, lag <= last]
        axis.imshow(shown, extent=(0.0, last, row + 0.36, row - 0.36), aspect="auto",
                    cmap=_SHADES, norm=shades, interpolation="nearest", zorder=2)
        axis.text(-0.02, row, f"{sector}\n", transform=axis.get_yaxis_transform(), ha="right",
                  va="center", size=8.5, weight="bold", linespacing=1.1)
        axis.text(-0.02, row, f"\n{style.short(style.label(str(own['variable'])))}",
                  transform=axis.get_yaxis_transform(), ha="right", va="center", size=7.5,
                  color="#555555", linespacing=1.1)
        axis.text(1.01, row, _told(own), transform=axis.get_yaxis_transform(), va="center",
                  size=7.5, color="#333333")
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.set_xlim(0.0, last)
    axis.set_yticks([])
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("years after the start of the shock")
    _colour_bar(figure, axis, limit)
    return figure


@style.styled()
def responses(result: ShockResult) -> Figure:
    """Draw the response of the headline variables that move, with its bands."""
    names = [name for name in dict.fromkeys(result.bands["variable"])
             if result.shares[name].abs().max() > _STILL]
    bands, of = band_legend(UP, "the draws")
    figure, axes = style.grid(
        "The response, and how sure it is",
        f"{result.title}. Difference from the same economy without the shock, in percent. "
        f"Bands: {result.banded}.".replace(". Difference", ".\nDifference"),
        style.provenance(result.base), len(names), 3, height=1.5, gap=(0.75, 0.72),
        legend_entries=3)
    style.legend(figure, [Line2D([], [], color=UP), *bands], ["at the values of the model", *of])
    lag = _lag(result)
    shown = lag <= _YEARS
    for axis, name in zip(axes, names, strict=True):
        own = result.bands[result.bands["variable"] == name]
        own = own.assign(lag=own["time"] - result.start)
        own = own[own["lag"] <= _YEARS]
        own = own.assign(**{level: 100.0 * own[level] for level in QUANTILES})
        draw_band(axis, own, UP, x="lag", median=False)
        axis.plot(lag[shown], 100.0 * result.shares[name].to_numpy()[shown], color=UP)
        axis.axhline(0.0, color="#777777", lw=0.8)
        axis.set_title(style.short(style.label(name)))
        style.name_axes(axis, "% of the base", "years after the start", ticks=4)
    return figure


def _told(own: pd.Series) -> str:
    depth = f"{100.0 * own['peak_share']:+.1f} %"
    if np.isnan(own["onset_1"]):
        return f"never more than 1 % ({depth})"
    end = "not back at the end" if own["censored"] else f"back after {own['recovery']:.1f}"
    return f"{depth} after {own['time_to_peak']:.1f} years, {end}"


def _lag(result: ShockResult) -> np.ndarray:
    return result.shares.index.to_numpy(float) - result.start


def _colour_bar(figure: Figure, axis: Axes, limit: float) -> None:
    box = axis.get_position()
    place = figure.add_axes((box.x1 - 0.25, box.y1 + 0.14 / figure.get_figheight(), 0.25,
                             0.11 / figure.get_figheight()))
    place.imshow(np.linspace(-limit, limit, 200)[None, :], aspect="auto", cmap=_SHADES,
                 extent=(-100.0 * limit, 100.0 * limit, 0.0, 1.0))
    place.set_yticks([])
    place.grid(visible=False)
    place.xaxis.tick_top()
    place.tick_params(labelsize=7, length=2, pad=1)
    place.text(-0.02, 0.5, "% off the base", transform=place.transAxes, ha="right", va="center",
               size=7.5)


@style.styled()
def heat_map(result: ShockResult) -> Figure:
    """Draw variable by time, the earliest on top, coloured by the distance from the base run."""
    names = _moving(result)
    figure, (axis,) = style.grid(
        "Who moves when: variables by the order of their onset",
        f"{result.title}. The labelled variables that move by more than 1 %, in percent of the "
        "base run.", style.provenance(result.base), 1, 1, height=0.165 * len(names) + 0.2,
        left=3.15, legend_entries=1)
    lag = _lag(result)
    last = min(_YEARS, float(lag[-1]))
    block = result.shares[names].to_numpy().T[:, lag <= last]
    limit = float(np.nanquantile(np.abs(block), 0.93)) or 1.0
    axis.imshow(block, extent=(0.0, last, len(names) - 0.5, -0.5), aspect="auto", cmap=_SHADES,
                norm=Normalize(-limit, limit), interpolation="nearest")
    axis.set_yticks(range(len(names)), [style.short(style.label(name)) for name in names], size=7.5)
    axis.set_xlabel("years after the start of the shock")
    axis.grid(visible=False)
    _colour_bar(figure, axis, limit)
    return figure


def _moving(result: ShockResult) -> list[str]:
    table = result.measures
    own = table[table["onset_1"].notna() & ~table.index.isin(result.sources)
                & ~table["group"].isin(["Checks", "Drivers"])]
    named = [name for name in own.index if style.label(str(name)) != name]
    deepest = own.loc[named].sort_values("loss_area", ascending=False, kind="stable").index[:_ROWS]
    return [str(name) for name in
            own.loc[deepest].sort_values(["onset_1", "time_to_peak"], kind="stable").index]


@style.styled()
def both_views(result: ShockResult) -> Figure:
    """Draw accounting and cutting side by side: links, sectors' headlines, and named loops."""
    figure, axes = style.grid(
        f"Two views of what carried the shock to {style.label(result.target)}",
        "Accounting: share of this response that passed. Cutting: share lost when held at the base "
        f"run. The ranks of the links agree by Kendall's tau of {result.agreement:.2f}.",
        style.provenance(result.base), 3, 3, height=4.9, gap=(2.1, 0.6), left=2.35,
        legend_entries=2)
    style.legend(figure, [Patch(fc=DOWN), Patch(fc=UP)], ["accounting: share", "cutting: lost"])
    links = result.links.head(_BARS)
    _pairs(axes[0], [f"{row['cause']} → {row['effect']}" for _, row in links.iterrows()],
           {"share": links["share"].to_numpy(), "lost": links["lost"].to_numpy()})
    axes[0].set_title("Links")
    stations = result.stations[(result.stations["share"].abs() > 1e-9)
                               | (result.stations["lost"].abs() > 1e-9)]
    stations = stations.reindex(stations["lost"].abs().sort_values(ascending=False).index)
    _pairs(axes[1], [style.label(name) for name in stations["variable"]],
           {"share": stations["share"].to_numpy(), "lost": stations["lost"].to_numpy()})
    axes[1].set_title("Variables")
    loops = result.loops.table
    loops = loops.reindex(loops["lost"].abs().sort_values(ascending=False).index).head(_BARS)
    _pairs(axes[2], list(loops["name"]), {"lost": loops["lost"].to_numpy()})
    axes[2].set_title("Named loops, cut")
    return figure


def _pairs(axis: Axes, names: list[str], columns: dict[str, np.ndarray]) -> None:
    colours = {"share": DOWN, "lost": UP}
    thick = 0.8 / len(columns)
    for number, (kind, values) in enumerate(columns.items()):
        place = np.arange(len(names)) + thick * (number - (len(columns) - 1) / 2)
        axis.barh(place, 100.0 * np.clip(values, -_CLIP, _CLIP), height=0.92 * thick,
                  color=colours[kind])
        for y, value in zip(place, values, strict=True):
            if abs(value) > _CLIP:
                axis.text(100.0 * np.sign(value) * _CLIP, y, f"{100.0 * value:.0f} ",
                          ha="left" if value < 0 else "right", va="center", size=7,
                          color="white")
    axis.axvline(0.0, color="#777777", lw=0.8)
    axis.set_yticks(range(len(names)), [textwrap.fill(name, 30) for name in names], size=7.3)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlabel("% of the response")
    axis.grid(visible=False, axis="y")


@style.styled()
def routes(result: ShockResult) -> Figure:
    """Draw the routes through the sectors with their shares and delays."""
    table = result.routes.head(_BARS)
    figure, (axis,) = style.grid(
        f"Routes from the shock to {style.label(result.target)}",
        f"Paths summed by the sectors that they pass. Listed paths: {result.paths.listed:.0%} of "
        f"the response; the rest, {result.paths.rest:.0%}, turned back through feedback or is "
        "weaker.", style.provenance(result.base), 1, 1, height=0.52 * len(table) + 0.2, left=6.1)
    values = 100.0 * table["share"].to_numpy()
    axis.barh(range(len(table)), values, height=0.6,
              color=[DOWN if value > 0 else UP for value in values])
    span = max(1.0, float(np.abs(values).max()))
    for row, (value, delay, count) in enumerate(zip(values, table["delay"], table["paths"],
                                                    strict=True)):
        axis.text(max(value, 0.0) + 0.02 * span, row,
                  f"{value:.1f} %, half after {delay:.1f} years, {count} paths", va="center",
                  size=8)
    axis.set_yticks(range(len(table)), [textwrap.fill(route.replace(" -> ", " → "), 82)
                                        for route in table["route"]], size=7.5)
    axis.set_xlim(min(0.0, 1.15 * float(values.min())), 1.75 * span)
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.axvline(0.0, color="#777777", lw=0.8)
    axis.set_xlabel("% of the response; against it where blue")
    axis.grid(visible=False, axis="y")
    return figure


@style.styled()
def sweep(result: ShockResult) -> Figure:
    """Draw the largest response over the size and sign of the shock."""
    names = list(dict.fromkeys([result.target, *result.sectors["variable"]]))[:9]
    figure, axes = style.grid(
        "Larger, smaller and the other way round",
        f"{result.title} is size 1. A straight line through zero would be a linear, symmetric "
        "response; the dashed one continues the response to size 1.",
        style.provenance(result.base), len(names), 3, height=1.65, gap=(0.75, 0.72))
    for axis, name in zip(axes, names, strict=True):
        own = result.sweep[result.sweep["variable"] == name].sort_values("size")
        size, peaks = own["size"].to_numpy(), 100.0 * own["peak_share"].to_numpy()
        straight = float(peaks[size == 1.0][0])
        axis.plot(size, straight * size, ls=(0, (4, 2)), color="#999999", lw=1.0)
        axis.plot(np.append(size, 0.0)[np.argsort(np.append(size, 0.0))],
                  np.append(peaks, 0.0)[np.argsort(np.append(size, 0.0))], marker="o", ms=3.5,
                  color=DOWN)
        axis.set_title(style.short(style.label(name)))
        axis.set_xlabel("size of the shock")
        axis.set_ylabel("largest, % of base")
    return figure

