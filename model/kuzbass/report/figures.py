"""The figures of a run.  Each function takes the results and returns a matplotlib figure.

Nothing is simulated or scored here: values are drawn as they come, at most divided by the value
of 2019 where the paper does so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D

from kuzbass.experiments.results import CHAIN, CRISIS
from kuzbass.experiments.scored_years import INDEX, REBASED
from kuzbass.region.data import base_year, judged, model_side, read_table
from kuzbass.region.resilience import RECONSTRUCTED
from kuzbass.region.scenario import FIRST_YEAR
from kuzbass.report import style
from kuzbass.report.bands import band_legend, draw_band

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.results import RunResults, ScenarioResult

__all__ = [
    "crisis_2020",
    "figure_names",
    "fit",
    "gap_percent",
    "index_figure",
    "report_figures",
    "sub_indices",
    "target_gaps",
    "trajectories",
]

BASE_YEAR = 2019  # the paper's last year before the crisis
LAST_SHARED = FIRST_YEAR - 1
MEGAFACTORS = {"P": "Economic potential", "C": "Competitiveness", "N": "Innovativeness"}
_INDEX_SOURCES = {"lists": "Only the list of indicators varies, admissible lists",
                  "parameters": "Only parameters vary", "drivers": "Only drivers vary"}
_DODGE = 0.55  # years between the targets of two scenarios
_FIT_COLUMNS = 5
_FADED = 30.0  # percent at which the colour of a gap is full


def report_figures(
    results: RunResults, names: Collection[str] | None = None
) -> dict[str, Figure]:
    """Return the figures `names`, or all that these results can fill, in reading order."""
    return {name: draw(results) for name, draw in _FIGURES.items()
            if name in (figure_names(results) if names is None else names)}


def figure_names(results: RunResults) -> list[str]:
    """Return the names of the figures that these results can fill, in reading order."""
    years = set(reference_run(results).annual.index)
    empty = {
        "trajectories": BASE_YEAR not in years,
        "target-gaps": results.comparison.targets.empty,
        "crisis-2020": not {BASE_YEAR, BASE_YEAR + 1} <= years,
        "fit": results.comparison.fit.empty,
    }
    return [name for name in _FIGURES if not empty.get(name, False)]


def reference_run(results: RunResults) -> ScenarioResult:
    """Return the scenario that stands for history, the one that the fit is of."""
    return results.scenarios[results.comparison.fit_of]


def gap_percent(targets: pd.DataFrame) -> pd.Series:
    """Return the gaps in percent of the middle of the target, as the distance counts them."""
    return 100.0 * targets["gap"] / ((targets["low"] + targets["high"]) / 2.0)


@style.styled()
def trajectories(results: RunResults) -> Figure:
    """Draw the nine target indicators: history, scenarios, and the targets of the paper."""
    panels = read_table("targets.csv").drop_duplicates("indicator")
    targets = results.comparison.targets
    shown = [name for name in results.scenarios if name in set(targets["scenario"])]
    handles, names = _scenario_legend(results)
    handles += [_dots(), Line2D([], [], color="#333333", marker="D", mfc="white", ls="", ms=5)]
    names += ["observed", "target of the paper (range: bar)"]
    first, last = _span(results)
    figure, axes = style.grid(
        f"Nine target indicators of the Kuzbass economy, {first}-{last}",
        f"One history, then one path per scenario from {FIRST_YEAR} on. Targets of 2025, 2030 and "
        f"2035 stand side by side within their year.\n{_bands_are(results)}",
        _note(results), len(panels), 3, height=2.05, legend_entries=len(names),
    )
    style.legend(figure, handles, names)
    for axis, (_, panel) in zip(axes, panels.iterrows(), strict=True):
        variable, relative = str(panel["variable"]), panel["transform"] == "percent_of_2019"
        _draw_history_and_scenarios(
            axis, results, lambda s, v=variable, r=relative: _rebased(s.annual[v], rebase=r),
            REBASED.format(variable, BASE_YEAR) if relative else variable)
        observed = _rebased(_observed(results, variable), rebase=relative)
        axis.plot(observed.index, observed, **_DOTS)
        for place, name in enumerate(shown):
            own = (targets["scenario"] == name) & (targets["indicator"] == panel["indicator"])
            x = targets.loc[own, "year"] + _DODGE * (place - (len(shown) - 1) / 2)
            _draw_targets(axis, x, targets[own], style.colour(name, results.scenarios))
        axis.set_title(panel["indicator"])
        style.name_axes(axis, str(panel["unit"]))
    return figure


def _draw_targets(axis: Axes, x: pd.Series, targets: pd.DataFrame, colour: str) -> None:
    middle = (targets["low"] + targets["high"]) / 2
    half = (targets["high"] - targets["low"]) / 2
    wide = half > 0
    axis.errorbar(x[wide], middle[wide], yerr=half[wide], fmt="none", ecolor=colour,
                  elinewidth=2.4, capsize=2.5, capthick=1.4, zorder=4)
    axis.plot(x[~wide], middle[~wide], "D", mfc="white", mec=colour, mew=1.4, ms=4.5, zorder=4)


@style.styled()
def index_figure(results: RunResults) -> Figure:
    """Draw the resilience index of all scenarios, and its sources of uncertainty apart."""
    handles, names = _scenario_legend(results)
    handles += [_dots(), Line2D([], [], color="black", marker="*", mfc="none", ls="", ms=11),
                Line2D([], [], color="black", lw=0.9, ls=":")]
    names += ["observed", "published or derived from it", "observed, 90 % of the lists"]
    first, last = _span(results)
    count = len(results.scenarios)
    figure, axes = style.grid(
        f"Resilience index of the Kuzbass economy, {first}-{last}",
        f"0 is the observed mean of 2000-2021. The index rests on a {RECONSTRUCTED}.\n"
        f"{_bands_are(results)} Below, one source varies at a time.",
        _note(results), len(_INDEX_SOURCES) * count, count, height=1.2, wide=2.6,
        gap=(0.45, 0.62), legend_entries=len(names),
    )
    style.legend(figure, handles, names)
    _draw_history_and_scenarios(axes[0], results, lambda s: s.index["index"], INDEX)
    axes[0].plot(results.observed_index.index, results.observed_index["index"], **_DOTS)
    _draw_published(axes[0], results, None, named=True)
    axes[0].set_title("All scenarios, default list of indicators, parameters and drivers vary")
    style.name_axes(axes[0], "index points", years=8)
    for row, (source, title) in enumerate(_INDEX_SOURCES.items()):
        line = axes[1 + row * count:1 + (row + 1) * count]
        for axis, (name, scenario) in zip(line, results.scenarios.items(), strict=True):
            _draw_index_source(axis, results, name, source)
            style.name_axes(axis, "index points" if axis is line[0] else "",
                            "year" if row == len(_INDEX_SOURCES) - 1 else "", ticks=4)
            if row == 0:
                axis.annotate(textwrap.fill(style.short(scenario.title["en"]), 24), (0.03, 0.97),
                              xycoords="axes fraction", va="top", size=8, weight="bold",
                              color=style.colour(name, results.scenarios))
        line[0].set_title(title)
    for axis in axes:
        axis.axhline(0.0, color="#777777", lw=0.8)
        axis.set_xlim(first - 0.7, last + 1.7)
    _share_height(axes[1:])
    return figure


def _draw_index_source(axis: Axes, results: RunResults, name: str, source: str) -> None:
    scenario, shade = results.scenarios[name], style.colour(name, results.scenarios)
    if source == "lists":
        draw_band(axis, scenario.family.rename_axis("year").reset_index(), shade, median=False)
        for level in ("q05", "q95"):
            axis.plot(results.observed_family.index, results.observed_family[level], color="black",
                      lw=0.9, ls=":")
    else:
        table = results.bands.index
        own = table[(table["scenario"] == name) & (table["source"] == source)]
        draw_band(axis, own, shade, median=False)
    axis.plot(scenario.index.index, scenario.index["index"], color=shade, lw=1.2)
    _draw_published(axis, results, name)


def _draw_published(
    axis: Axes, results: RunResults, scenario: str | None, *, named: bool = False
) -> None:
    table = results.published
    rows = table[(table["item"] == "index") & table["year"].notna()]
    if scenario is not None:
        rows = rows[rows["scenario"] == scenario]
    paper = {"fc": "#fbfbf9", "ec": "none", "pad": 0.6, "alpha": 0.8}
    for _, row in rows.iterrows():
        shade = style.COLOURS.get(str(row["scenario"]), style.OBSERVED)
        point = (row["year"], row["value"])
        axis.plot(*point, "*", mfc="none", mec=shade, ms=11, mew=1.2, zorder=6)
        if named:
            axis.annotate(f"{row['value']:.3f}", point, xytext=(0, -17), ha="center", size=8.5,
                          textcoords="offset points", color=shade, weight="bold", zorder=7,
                          bbox=paper)


@style.styled()
def sub_indices(results: RunResults) -> Figure:
    """Draw the three sub-indices, one per megafactor."""
    handles, names = _scenario_legend(results)
    first, last = _span(results)
    figure, axes = style.grid(
        f"Sub-indices of resilience by megafactor, {first}-{last}",
        f"Mean z-score of four indicators each; {RECONSTRUCTED}.\n{_bands_are(results)}",
        _note(results), 3, 3, height=2.9, legend_entries=len(names) + 1,
    )
    style.legend(figure, [*handles, _dots()], [*names, "observed"])
    for axis, (code, name) in zip(axes, MEGAFACTORS.items(), strict=True):
        _draw_history_and_scenarios(axis, results, lambda s, c=code: s.index[c], f"{INDEX} {code}")
        axis.plot(results.observed_index.index, results.observed_index[code], **_DOTS)
        axis.axhline(0.0, color="#777777", lw=0.8)
        axis.set_title(f"{code}  {name}")
        style.name_axes(axis, "sub-index, points")
    _share_height(axes)
    return figure


@style.styled()
def crisis_2020(results: RunResults) -> Figure:
    """Draw 2018-2021 step by step, from the price to employment, in percent of 2019."""
    run = reference_run(results).run
    blue = style.COLOURS["s2-interregional"]
    figure, axes = style.grid(
        "The crisis of 2020 as a chain: from the coal price to employment",
        "Every step of the run, read from top to bottom; 100 is the mean of 2019. The year 2020 is "
        "shaded, a tick is 1 January, annual observations stand in mid-year.\n"
        f"{_parameter_bands(results)}",
        _note(results), len(CHAIN), 1, height=0.95, gap=(0.0, 0.36), legend_entries=5,
    )
    bands, of = band_legend(blue)
    style.legend(figure, [Line2D([], [], color=blue), _lowest_mark(), _dots(), *bands],
                 ["simulated", "lowest point of 2020-2021", "observed, mean of the year", *of])
    for number, (axis, variable) in enumerate(zip(axes, CHAIN, strict=True), start=1):
        time, path = _path_of_crisis(run, variable)
        axis.axvspan(2020, 2021, color="#eadfd2", lw=0)
        axis.axhline(100.0, color="#777777", lw=0.8)
        moments = results.bands.moments
        draw_band(axis, moments[moments["variable"] == variable], blue, x="time", median=False)
        axis.plot(time, path, color=blue)
        lowest = int(np.argmin(np.where(time >= 2020, path, np.inf)))
        axis.plot(time[lowest], path[lowest], **_LOWEST)
        observed = _rebased(_observed(results, variable, with_year=BASE_YEAR), rebase=True)
        observed = observed[(observed.index >= 2018) & (observed.index < 2022)]
        axis.plot(observed.index + 0.5, observed, **_DOTS)
        axis.set_title(f"{number}  {style.label(variable)}")
        axis.set_title(f"lowest: {path[lowest]:.1f} % at {time[lowest]:.2f}", loc="right", size=8.5,
                       weight="normal", color="#444444")
        axis.set_xlim(*CRISIS)
        axis.margins(y=0.18)
        last = number == len(CHAIN)
        style.name_axes(axis, "% of 2019", "year" if last else "", ticks=3)
        axis.tick_params(labelbottom=last)
    return figure


def _path_of_crisis(run: xr.Dataset, variable: str) -> tuple[np.ndarray, np.ndarray]:
    time, values = run["time"].to_numpy(), run[variable].to_numpy()
    base = values[(time >= BASE_YEAR) & (time < BASE_YEAR + 1)].mean()
    near = (time >= CRISIS[0]) & (time <= CRISIS[1])
    return time[near], 100.0 * values[near] / base


@style.styled()
def fit(results: RunResults) -> Figure:
    """Draw every judged series: simulated against observed."""
    table = results.comparison.fit
    barred = table[table["passed"].notna()]
    met = int(barred["passed"].astype(bool).sum())
    annual = reference_run(results).annual
    rows = judged().set_index(["series", "variable"], drop=False)
    figure, axes = style.grid(
        f"Simulated against observed: {met} of {len(barred)} series are within their bars",
        "MAPE: mean absolute error in percent of the observed value (levels). RMSE: root mean "
        f"square error in percentage points (rates). Red: outside of a bar.\n"
        f"{_parameter_bands(results)}",
        _note(results), len(table), _FIT_COLUMNS, height=1.2, gap=(0.7, 0.52), legend_entries=8,
    )
    blue = style.COLOURS["s2-interregional"]
    bands, of = band_legend(blue)
    style.legend(figure, [Line2D([], [], color=blue), _dots(), *bands],
                 ["simulated", "observed", *of])
    for number, (axis, (_, row)) in enumerate(zip(axes, table.iterrows(), strict=True)):
        judged_row = rows.loc[(row["series"], row["variable"])]
        simulated = model_side(judged_row, annual)
        observed = _observed(results, str(row["variable"]), str(row["series"]))
        last = max(observed.index.max(), 2021)
        simulated = simulated[simulated.index <= last]
        own = results.bands.of(results.comparison.fit_of, _banded(judged_row))
        draw_band(axis, own[own["year"] <= last], blue, median=False)
        axis.plot(simulated.index, simulated, color=blue, lw=1.4)
        axis.plot(observed.index, observed, **{**_DOTS, "ms": 2.6})
        failed = row["passed"] is not None and not row["passed"]
        axis.set_title(f"{row['label']}\n{_error(row)}", size=8, weight="normal",
                       color="#b00020" if failed else "#222222")
        lowest = number + _FIT_COLUMNS >= len(table)
        style.name_axes(axis, str(row["unit"]), "year" if lowest else "", ticks=4)
        axis.set_xlim(1999, 2022)
        axis.set_xticks([2000, 2010, 2020])
        axis.tick_params(labelbottom=lowest)
    return figure


def _banded(row: pd.Series) -> str:
    """Return the name under which the bands of one row of ``judged.csv`` stand."""
    base = base_year(row)
    return str(row["variable"]) if base is None else REBASED.format(row["variable"], base)


@style.styled()
def target_gaps(results: RunResults) -> Figure:
    """Draw the gap to each target, in percent of the target, as a heat map per scenario."""
    targets = results.comparison.targets.assign(percent=gap_percent(results.comparison.targets))
    names = list(dict.fromkeys(targets["scenario"]))
    order = list(dict.fromkeys(targets["indicator"]))
    figure, axes = style.grid(
        f"Gaps to the paper's targets: {int(targets['inside'].sum())} of {len(targets)} are met",
        "Distance to the target range in percent of its middle: + above, − below. A ring: inside "
        f"of the range or its tolerance. Colour is full at ±{_FADED:.0f} %.\n"
        f"Small: the same for 90 % of the runs. {_bands_are(results)}",
        _note(results), len(names), len(names), height=3.6, gap=(0.25, 0.5), left=3.0,
    )
    colours = LinearSegmentedColormap.from_list("gap", ["#2b6c99", "#fbfbf9", "#c0602a"])
    for number, (axis, name) in enumerate(zip(axes, names, strict=True)):
        own = targets[targets["scenario"] == name]
        percent = own.pivot_table("percent", "indicator", "year").reindex(order)
        inside = own.pivot_table("inside", "indicator", "year").reindex(order).to_numpy()
        spread = _gap_spread(results, own)
        axis.pcolormesh(percent.to_numpy(), cmap=colours, norm=Normalize(-_FADED, _FADED),
                        edgecolor="white", linewidth=2)
        for (row, column), value in np.ndenumerate(percent.to_numpy()):
            text = "○" if inside[row, column] else f"{value:+.1f} %".replace("-", "−")
            colour = "white" if abs(value) > 0.65 * _FADED and text != "○" else "#222222"
            axis.text(column + 0.5, row + 0.4, text, ha="center", va="center", size=9,
                      color=colour)
            axis.text(column + 0.5, row + 0.78, spread[percent.index[row], percent.columns[column]],
                      ha="center", va="center", size=6.5, color=colour)
        axis.set_title(style.short(results.scenarios[name].title["en"]),
                       color=style.colour(name, results.scenarios))
        axis.set_xticks(np.arange(len(percent.columns)) + 0.5, [str(y) for y in percent.columns])
        axis.set_yticks(np.arange(len(order)) + 0.5, order if number == 0 else [])
        axis.set_xlabel("year")
        axis.invert_yaxis()
        axis.grid(visible=False)
    return figure


def _gap_spread(results: RunResults, targets: pd.DataFrame) -> dict[tuple[str, int], str]:
    """Return the gaps of 90 % of the runs in percent, as text, by indicator and year."""
    texts = {}
    for row in targets.to_dict("records"):
        relative = row["unit"] == f"% of {BASE_YEAR}"
        name = REBASED.format(row["variable"], BASE_YEAR) if relative else row["variable"]
        bands = results.bands.of(row["scenario"], name)
        ends = bands.loc[bands["year"] == row["year"], ["q05", "q95"]].to_numpy()[0]
        gaps = ends - np.clip(ends, row["low"], row["high"])
        low, high = (f"{200.0 * gap / (row['low'] + row['high']):+.0f}".replace("-", "−")
                     for gap in gaps)
        texts[row["indicator"], row["year"]] = f"{low} … {high}"
    return texts


_DOTS: dict[str, Any] = {"color": style.OBSERVED, "marker": "o", "ls": "", "ms": 3.4, "zorder": 5}


_LOWEST: dict[str, Any] = {"marker": "o", "ls": "", "ms": 6.5, "mfc": "none", "zorder": 6,
                           "mec": style.COLOURS["s1-coal-paradigm"], "mew": 1.4}


def _dots() -> Line2D:
    return Line2D([], [], **_DOTS)


def _lowest_mark() -> Line2D:
    return Line2D([], [], **_LOWEST)


def _draw_history_and_scenarios(
    axis: Axes, results: RunResults, series: Any, variable: str
) -> None:
    """Draw `series` of every scenario, and the bands of `variable`.

    History stands once, since all share the drivers to 2024.
    """
    own = results.bands.of(results.comparison.fit_of, variable)
    draw_band(axis, own[own["year"] <= LAST_SHARED], style.HISTORY, median=False)
    for name in results.scenarios:
        own = results.bands.of(name, variable)
        draw_band(axis, own[own["year"] >= LAST_SHARED], style.colour(name, results.scenarios),
                  median=False, among=len(results.scenarios))
    history = series(reference_run(results))
    axis.plot(history.index[history.index <= LAST_SHARED],
              history[history.index <= LAST_SHARED], color=style.HISTORY, lw=2.2)
    for name, scenario in results.scenarios.items():
        future = series(scenario)
        future = future[future.index >= LAST_SHARED]
        axis.plot(future.index, future, color=style.colour(name, results.scenarios),
                  ls=style.dash(name))


def _parameter_bands(results: RunResults) -> str:
    """Say what the bands of a time without uncertain drivers hold."""
    return (f"Bands: {results.bands.record['runs']} runs over {results.bands.parameters}; "
            "the drivers are the record.")


def _bands_are(results: RunResults) -> str:
    """Say what the bands hold."""
    runs = results.bands.record["runs"]
    return f"Bands: {runs} runs over {results.bands.parameters}, {results.bands.drivers}."


def _scenario_legend(results: RunResults) -> tuple[list[Artist], list[str]]:
    handles: list[Artist] = [Line2D([], [], color=style.HISTORY, lw=2.2)]
    names = [f"simulated to {LAST_SHARED}"]
    for name, scenario in results.scenarios.items():
        handles.append(Line2D([], [], color=style.colour(name, results.scenarios),
                              ls=style.dash(name)))
        names.append(scenario.title["en"])
    bands, of = band_legend()
    return [*handles, *bands], [*names, *of]


def _observed(
    results: RunResults, variable: str, series: str | None = None, *, with_year: int | None = None
) -> pd.Series:
    """Return the observations of a variable by year.

    Series on different bases are never joined: it is `series`, or the first that has `with_year`,
    or the first.
    """
    rows = results.observed[results.observed["variable"] == variable]
    if series is None and not rows.empty:
        having = rows.loc[rows["year"] == with_year, "series"]
        series = str((rows["series"] if having.empty else having).iloc[0])
    return rows[rows["series"] == series].set_index("year")["value"]


def _rebased(values: pd.Series, *, rebase: bool) -> pd.Series:
    if not rebase:
        return values
    base = float(values.loc[BASE_YEAR]) if BASE_YEAR in values.index else np.nan
    return 100.0 * values / base


def _error(row: pd.Series) -> str:
    rate = row["kind"] == "rate"
    text = f"RMSE {row['rmse']:.2f} pp" if rate else f"MAPE {row['mape']:.1f} %"
    bar = row["bar_rmse_pp"] if rate else row["bar_mape"]
    return text + (" (no bar)" if np.isnan(bar) else f" (bar {bar:g})")


def _span(results: RunResults) -> tuple[int, int]:
    years = reference_run(results).annual.index
    return int(years[0]), int(years[-1])


def _share_height(axes: list[Axes]) -> None:
    low = min(axis.get_ylim()[0] for axis in axes)
    high = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, high)


def _note(results: RunResults) -> str:
    return style.provenance(reference_run(results).run)


_FIGURES: dict[str, Callable[[RunResults], Figure]] = {
    "trajectories": trajectories, "index": index_figure, "sub-indices": sub_indices,
    "target-gaps": target_gaps, "crisis-2020": crisis_2020, "fit": fit}
