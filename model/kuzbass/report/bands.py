"""Figures of an ensemble: bands that hold 50 and 90 % of the runs, and where they come from."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from kuzbass.region.data import read_table
from kuzbass.region.resilience import RECONSTRUCTED
from kuzbass.region.scenario import FIRST_YEAR
from kuzbass.report import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.ensemble import EnsembleResults

__all__ = ["band_legend", "draw_band", "ensemble_figures", "index_sources", "scenario_bands",
           "write_bands"]

_SOURCES = {
    "lists": ("Only the list of indicators", "#7a6a9c"),
    "parameters": ("Only parameters", "#3b7a3b"),
    "drivers": ("Only drivers", "#c0602a"),
    "all": ("All three", "#555555"),
}
_TOGETHER = "#d9d9d4"
_WIDE, _NARROW = 0.18, 0.40  # opacity of the bands
_FROM = 2015  # first year in which the sources of the index are drawn
_PERCENT = "{}, % of 2019"
_DOTS: dict[str, Any] = {"color": style.OBSERVED, "marker": "o", "ls": "", "ms": 3.0, "zorder": 5}
_TARGETS: dict[str, Any] = {"marker": "D", "mfc": "white", "ms": 4.5, "mew": 1.4, "zorder": 6}


def ensemble_figures(results: EnsembleResults) -> dict[str, Figure]:
    """Return every figure of an ensemble by file name, in reading order."""
    figures = {f"bands-{name}": scenario_bands(results, name) for name in results.titles}
    return {**figures, "index-sources": index_sources(results)}


def write_bands(results: EnsembleResults, folder: Path) -> list[Path]:
    """Write the figures of an ensemble as PNG and SVG into ``figures/`` below `folder`."""
    place = folder / "figures"
    place.mkdir(exist_ok=True)
    written: list[Path] = []
    for name, figure in ensemble_figures(results).items():
        written += style.save(figure, place / name)[0]
    return written


def draw_band(
    axis: Axes, rows: pd.DataFrame, colour: str, *, x: str = "year", median: bool = True,
    among: int = 1,
) -> None:
    """Draw the bands of 50 and 90 %, and the median.

    Parameters
    ----------
    axis : Axes
    rows : DataFrame
        Columns `x` and ``q05`` to ``q95``, in the unit of the axis.
    colour : str
    x : str
        The column that runs along the axis.
    median : bool
        Whether to draw the median.
    among : int
        Number of bands that share the axis; the more, the fainter each.
    """
    at, faint = rows[x].to_numpy(), 1.0 / (1.0 + 0.25 * (among - 1))
    axis.fill_between(at, rows["q05"], rows["q95"], color=colour, alpha=_WIDE * faint, lw=0)
    axis.fill_between(at, rows["q25"], rows["q75"], color=colour, alpha=_NARROW * faint, lw=0)
    if median:
        axis.plot(at, rows["q50"], color=colour, lw=1.2)


def band_legend(colour: str = "#777777", of: str = "the runs") -> tuple[list[Artist], list[str]]:
    """Return the legend of the two bands."""
    return ([Patch(color=colour, alpha=_WIDE), Patch(color=colour, alpha=_NARROW + _WIDE)],
            [f"90 % of {of}", f"50 % of {of}"])


@style.styled()
def scenario_bands(results: EnsembleResults, scenario: str) -> Figure:
    """Draw every output of one scenario with its bands, data and targets."""
    table = results.quantiles[results.quantiles["scenario"] == scenario]
    targets = _targets(scenario)
    shown = _shown(table)
    colour = style.colour(scenario, results.titles)
    handles, names = _legend(colour)
    figure, axes = style.grid(
        f"{results.titles[scenario]['en']}: bands of the ensemble",
        f"{_runs(results)} To {FIRST_YEAR - 1} all drivers are the record and only parameters "
        "vary.", _note(results), len(shown), 3, height=1.95, legend_entries=len(names))
    style.legend(figure, handles, names)
    for axis, variable in zip(axes, shown, strict=True):
        rows = table[table["variable"] == variable]
        draw_band(axis, rows, colour)
        axis.plot(rows["year"], rows["central"], color="#222222", lw=1.0, ls="--")
        dots = _observed(results, variable)
        axis.plot(dots.index, dots, **_DOTS)
        own = targets[targets["shown"] == variable]
        axis.errorbar(own["year"], (own["low"] + own["high"]) / 2.0, mec=colour, ecolor=colour,
                      yerr=(own["high"] - own["low"]) / 2.0, ls="", elinewidth=2.2, **_TARGETS)
        axis.set_title(_title(variable))
        axis.axvline(FIRST_YEAR, color="#999999", lw=0.8, ls=":")
        style.name_axes(axis, str(rows["unit"].iloc[0]))
    return figure


@style.styled()
def index_sources(results: EnsembleResults) -> Figure:
    """Draw the resilience index with its sources of uncertainty apart, and their shares."""
    table = results.index[results.index["year"] >= _FROM]
    sources = {name: look for name, look in _SOURCES.items() if name in set(table["source"])}
    columns = len(sources) + (len(sources) > 2)
    handles: list[Artist] = [Patch(color="#777777", alpha=_WIDE + 0.05),
                             Patch(color="#777777", alpha=_NARROW + _WIDE), _dashed(),
                             Line2D([], [], **_DOTS)]
    names = ["90 % of the runs or lists", "50 % of the runs or lists", "nothing varies", "observed"]
    handles += [Patch(color=_TOGETHER)]
    names += ["share that only arises together"]
    figure, axes = style.grid(
        "Resilience index: what its uncertainty comes from",
        f"Each source alone around the run in which nothing varies, then all together. "
        f"{_runs(results)} 0 is the observed mean of 2000-2021. The index rests on a "
        f"{RECONSTRUCTED}.".replace(". The index", ".\nThe index"),
        _note(results), columns * len(results.titles), columns, height=1.35, gap=(0.5, 0.55),
        legend_entries=len(names))
    _place_legend(figure, handles, names)
    for row, scenario in enumerate(results.titles):
        own = table[table["scenario"] == scenario]
        line = axes[row * columns:(row + 1) * columns]
        for axis, (source, (title, colour)) in zip(line, sources.items(), strict=False):
            draw_band(axis, own[own["source"] == source], colour)
            _draw_central_index(axis, results, scenario)
            axis.set_title(title if row == 0 else "")
            _name_axes(axis, "index points" if axis is line[0] else "")
        if columns > len(sources):
            _draw_shares(line[-1], own)
            line[-1].set_title("Shares of the variance" if row == 0 else "")
            _name_axes(line[-1], "%")
        line[0].annotate(textwrap.fill(style.short(results.titles[scenario]["en"]), 24),
                         (0.02, 0.97), xycoords="axes fraction", va="top", size=8.5,
                         weight="bold", color=style.colour(scenario, results.titles))
    _share_height([axis for number, axis in enumerate(axes) if number % columns < len(sources)])
    return figure


def _draw_central_index(axis: Axes, results: EnsembleResults, scenario: str) -> None:
    table = results.quantiles
    rows = table[(table["scenario"] == scenario) & (table["variable"] == "resilience index")
                 & (table["year"] >= _FROM)]
    axis.plot(rows["year"], rows["central"], color="#222222", lw=1.0, ls="--")
    observed = results.observed_index.loc[_FROM:, "index"]
    axis.plot(observed.index, observed, **{**_DOTS, "ms": 2.0})
    axis.axhline(0.0, color="#777777", lw=0.8)


def _draw_shares(axis: Axes, own: pd.DataFrame) -> None:
    """Stack the shares that the sources have alone; what is missing to 100 % arises together."""
    shares = 100.0 * own.pivot_table("share", "year", "source")
    shares = shares[shares.index >= FIRST_YEAR]
    parts = [name for name in _SOURCES if name in shares and name != "all"]
    axis.axhspan(0.0, 100.0, color=_TOGETHER, lw=0)
    axis.stackplot(shares.index, [shares[name] for name in parts],
                   colors=[_SOURCES[name][1] for name in parts], lw=0)
    axis.axhline(100.0, color="#555555", lw=0.8)
    axis.set_xlim(shares.index[0], shares.index[-1])
    axis.set_ylim(0.0, max(100.0, float(shares[parts].sum(axis=1).max())))


def _name_axes(axis: Axes, unit: str) -> None:
    style.name_axes(axis, unit, ticks=4)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _shown(table: pd.DataFrame) -> list[str]:
    """Return the outputs to draw: in percent of 2019 where there is such a series."""
    names = list(dict.fromkeys(table["variable"]))
    plain = [name for name in names if not name.startswith("resilience index")]
    percent = {name for name in plain if _PERCENT.format(name) in plain}
    return [_PERCENT.format(name) if name in percent else name for name in plain
            if not _is_percent(name)]


def _is_percent(name: str) -> bool:
    return name.endswith(_PERCENT.format(""))


def _base_name(name: str) -> str:
    return name.removesuffix(_PERCENT.format(""))


def _title(name: str) -> str:
    return style.label(_base_name(name))


def _targets(scenario: str) -> pd.DataFrame:
    table = read_table("targets.csv")
    own = table[table["scenario"] == scenario]
    shown = [_PERCENT.format(name) if transform == "percent_of_2019" else str(name)
             for name, transform in zip(own["variable"], own["transform"], strict=True)]
    return own.assign(shown=shown)


def _observed(results: EnsembleResults, shown: str) -> pd.Series:
    """Return the observations behind a series by year; of several series the first that fits."""
    rows = results.observed[results.observed["variable"] == _base_name(shown)]
    for _, own in rows.groupby("series", sort=False):
        values = own.set_index("year")["value"]
        if not _is_percent(shown):
            return values
        if 2019 in values.index:
            return 100.0 * values / float(values.loc[2019])
    return pd.Series(dtype=float)


def _legend(colour: str) -> tuple[list[Artist], list[str]]:
    handles, names = band_legend(colour)
    handles += [Line2D([], [], color=colour, lw=1.2), _dashed(), Line2D([], [], **_DOTS),
                Line2D([], [], color=colour, ls="", **_TARGETS)]
    return handles, [*names, "median", "nothing varies", "observed",
                     "target of the paper (range: bar)"]


def _dashed() -> Line2D:
    return Line2D([], [], color="#222222", lw=1.0, ls="--")


def _place_legend(figure: Figure, handles: list[Artist], names: list[str]) -> None:
    figure.legend(handles, names, loc="upper left", ncols=len(names), borderaxespad=0.0,
                  bbox_to_anchor=(0.02, 1 - 0.86 / figure.get_figheight()), columnspacing=1.6,
                  handlelength=2.2, borderpad=0.0)


def _share_height(axes: list[Axes]) -> None:
    low = min(axis.get_ylim()[0] for axis in axes)
    high = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, high)


def _runs(results: EnsembleResults) -> str:
    plan: Mapping[str, Any] = results.manifest["plan"]
    how = "from a table" if plan["table"] else f"{plan['method'].replace('-', ' ')}"
    return f"{results.manifest['runs']} runs, {how}."


def _note(results: EnsembleResults) -> str:
    manifest = results.manifest
    model: Mapping[str, Any] = manifest["model"]
    return (f"Model: {model['file']} {str(model['sha256'])[:10]}, {manifest['engine']}, step "
            f"{Fraction(manifest['time_step'])} year; seed {manifest['seed']}, quantiles "
            f"{str(manifest['quantiles']).partition(':')[0]}; data: Rosstat and others, each "
            "number with its source in data/")
