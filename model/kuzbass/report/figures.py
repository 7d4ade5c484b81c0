"""The figures of a run.  Each function takes the results and returns a matplotlib figure.

Nothing is simulated or scored here: values are drawn as they come, at most divided by the value
of 2019 where the paper does so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kuzbass.region.data import judged, model_side, read_table
from kuzbass.region.resilience import RECONSTRUCTED
from kuzbass.region.scenario import FIRST_YEAR
from kuzbass.report import style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.results import RunResults, ScenarioResult

__all__ = [
    "CHAIN",
    "crisis_2020",
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
# The chain of the 2020 crisis, in the order in which the paper tells it.
CHAIN = ("world thermal price", "coal exports", "coal output", "coal revenue", "real GRP index",
         "own budget revenue", "real fixed investment", "employed")
MEGAFACTORS = {"P": "Economic potential", "C": "Competitiveness", "N": "Innovativeness"}
_DODGE = 0.55  # years between the targets of two scenarios
_FIT_COLUMNS = 5
_FADED = 30.0  # percent at which the colour of a gap is full


def report_figures(results: RunResults) -> dict[str, Figure]:
    """Return every figure that these results can fill, by file name, in reading order."""
    years = reference_run(results).annual.index
    figures: dict[str, Figure] = {}
    if BASE_YEAR in years:
        figures["trajectories"] = trajectories(results)
    figures["index"] = index_figure(results)
    figures["sub-indices"] = sub_indices(results)
    if not results.comparison.targets.empty:
        figures["target-gaps"] = target_gaps(results)
    if {BASE_YEAR, BASE_YEAR + 1} <= set(years):
        figures["crisis-2020"] = crisis_2020(results)
    if not results.comparison.fit.empty:
        figures["fit"] = fit(results)
    return figures


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
        "One history, then one path per scenario from "
        f"{FIRST_YEAR} on. Targets of 2025, 2030 and 2035 stand side by side within their year.",
        _note(results), len(panels), 3, height=2.05, legend_entries=len(names),
    )
    style.legend(figure, handles, names)
    for axis, (_, panel) in zip(axes, panels.iterrows(), strict=True):
        variable, relative = str(panel["variable"]), panel["transform"] == "percent_of_2019"
        _draw_history_and_scenarios(
            axis, results, lambda s, v=variable, r=relative: _rebased(s.annual[v], rebase=r))
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
    """Draw the resilience index of all scenarios, and each with the band of the family."""
    handles, names = _scenario_legend(results)
    grey = "#777777"
    handles += [_dots(), Line2D([], [], color="black", marker="*", mfc="none", ls="", ms=11),
                Patch(color=grey, alpha=0.18), Patch(color=grey, alpha=0.40),
                Line2D([], [], color=grey, lw=1.0, ls=":")]
    names += ["observed", "published or derived from it", "family of lists, 5-95 %",
              "family of lists, 25-75 %", "family of lists, median"]
    first, last = _span(results)
    figure, axes = style.grid(
        f"Resilience index of the Kuzbass economy, {first}-{last}",
        f"Default list above, family of admissible lists below. The index rests on a "
        f"{RECONSTRUCTED}. 0 is the observed mean of 2000-2021.",
        _note(results), len(results.scenarios) + 1, 3, height=1.75, wide=3.2,
        legend_entries=len(names),
    )
    style.legend(figure, handles, names)
    _draw_history_and_scenarios(axes[0], results, lambda s: s.index["index"])
    axes[0].plot(results.observed_index.index, results.observed_index["index"], **_DOTS)
    _draw_published(axes[0], results, None, named=True)
    axes[0].set_title("All scenarios, default list of indicators")
    _draw_family(axes[1], results.observed_family, "black")
    axes[1].plot(results.observed_index.index, results.observed_index["index"], **_DOTS)
    _draw_published(axes[1], results, "observed")
    axes[1].set_title("Observed")
    for axis, (name, scenario) in zip(axes[2:], results.scenarios.items(), strict=True):
        shade = style.colour(name, results.scenarios)
        _draw_family(axis, scenario.family, shade)
        axis.plot(scenario.index.index, scenario.index["index"], color=shade)
        _draw_published(axis, results, name)
        axis.set_title(style.short(scenario.title["en"]))
    for axis in axes:
        axis.axhline(0.0, color="#777777", lw=0.8)
        axis.set_xlim(first - 0.7, last + 1.7)
        style.name_axes(axis, "index points")
    _share_height(axes[1:])
    return figure


def _draw_family(axis: Axes, family: pd.DataFrame, colour: str) -> None:
    years = family.index.to_numpy()
    axis.fill_between(years, family["q05"], family["q95"], color=colour, alpha=0.18, lw=0)
    axis.fill_between(years, family["q25"], family["q75"], color=colour, alpha=0.40, lw=0)
    axis.plot(years, family["q50"], color=colour, lw=1.0, ls=":")


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
        f"Mean z-score of four indicators each; {RECONSTRUCTED}.",
        _note(results), 3, 3, height=2.9, legend_entries=len(names) + 1,
    )
    style.legend(figure, [*handles, _dots()], [*names, "observed"])
    for axis, (code, name) in zip(axes, MEGAFACTORS.items(), strict=True):
        _draw_history_and_scenarios(axis, results, lambda s, c=code: s.index[c])
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
        "shaded, a tick is 1 January, annual observations stand in mid-year.",
        _note(results), len(CHAIN), 1, height=0.95, gap=(0.0, 0.36), legend_entries=3,
    )
    style.legend(figure, [Line2D([], [], color=blue), _lowest_mark(), _dots()],
                 ["simulated", "lowest point of 2020-2021", "observed, mean of the year"])
    for number, (axis, variable) in enumerate(zip(axes, CHAIN, strict=True), start=1):
        time, path = _path_of_crisis(run, variable)
        axis.axvspan(2020, 2021, color="#eadfd2", lw=0)
        axis.axhline(100.0, color="#777777", lw=0.8)
        axis.plot(time, path, color=blue)
        lowest = int(np.argmin(np.where(time >= 2020, path, np.inf)))
        axis.plot(time[lowest], path[lowest], **_LOWEST)
        observed = _rebased(_observed(results, variable, with_year=BASE_YEAR), rebase=True)
        observed = observed[(observed.index >= 2018) & (observed.index < 2022)]
        axis.plot(observed.index + 0.5, observed, **_DOTS)
        axis.set_title(f"{number}  {style.label(variable)}")
        axis.set_title(f"lowest: {path[lowest]:.1f} % at {time[lowest]:.2f}", loc="right", size=8.5,
                       weight="normal", color="#444444")
        axis.set_xlim(2018, 2022)
        axis.margins(y=0.18)
        last = number == len(CHAIN)
        style.name_axes(axis, "% of 2019", "year" if last else "", ticks=3)
        axis.tick_params(labelbottom=last)
    return figure


def _path_of_crisis(run: xr.Dataset, variable: str) -> tuple[np.ndarray, np.ndarray]:
    time, values = run["time"].to_numpy(), run[variable].to_numpy()
    base = values[(time >= BASE_YEAR) & (time < BASE_YEAR + 1)].mean()
    near = (time >= 2018) & (time <= 2022)
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
        "square error in percentage points (rates). Red: outside of a bar.",
        _note(results), len(table), _FIT_COLUMNS, height=1.2, gap=(0.7, 0.52), legend_entries=8,
    )
    blue = style.COLOURS["s2-interregional"]
    style.legend(figure, [Line2D([], [], color=blue), _dots()], ["simulated", "observed"])
    for number, (axis, (_, row)) in enumerate(zip(axes, table.iterrows(), strict=True)):
        simulated = model_side(rows.loc[(row["series"], row["variable"])], annual)
        observed = _observed(results, str(row["variable"]), str(row["series"]))
        simulated = simulated[simulated.index <= max(observed.index.max(), 2021)]
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


@style.styled()
def target_gaps(results: RunResults) -> Figure:
    """Draw the gap to each target, in percent of the target, as a heat map per scenario."""
    targets = results.comparison.targets.assign(percent=gap_percent(results.comparison.targets))
    names = list(dict.fromkeys(targets["scenario"]))
    order = list(dict.fromkeys(targets["indicator"]))
    figure, axes = style.grid(
        f"Gaps to the paper's targets: {int(targets['inside'].sum())} of {len(targets)} are met",
        "Distance to the target range in percent of its middle: + above, − below. A ring: inside "
        f"of the range or its tolerance. Colour is full at ±{_FADED:.0f} %.",
        _note(results), len(names), len(names), height=3.6, gap=(0.25, 0.5), left=3.0,
    )
    colours = LinearSegmentedColormap.from_list("gap", ["#2b6c99", "#fbfbf9", "#c0602a"])
    for number, (axis, name) in enumerate(zip(axes, names, strict=True)):
        own = targets[targets["scenario"] == name]
        percent = own.pivot_table("percent", "indicator", "year").reindex(order)
        inside = own.pivot_table("inside", "indicator", "year").reindex(order).to_numpy()
        axis.pcolormesh(percent.to_numpy(), cmap=colours, norm=Normalize(-_FADED, _FADED),
                        edgecolor="white", linewidth=2)
        for (row, column), value in np.ndenumerate(percent.to_numpy()):
            text = "○" if inside[row, column] else f"{value:+.1f} %".replace("-", "−")
            dark = abs(value) > 0.8 * _FADED and text != "○"
            axis.text(column + 0.5, row + 0.5, text, ha="center", va="center", size=9,
                      color="white" if dark else "#222222")
        axis.set_title(style.short(results.scenarios[name].title["en"]),
                       color=style.colour(name, results.scenarios))
        axis.set_xticks(np.arange(len(percent.columns)) + 0.5, [str(y) for y in percent.columns])
        axis.set_yticks(np.arange(len(order)) + 0.5, order if number == 0 else [])
        axis.set_xlabel("year")
        axis.invert_yaxis()
        axis.grid(visible=False)
    return figure


_DOTS: dict[str, Any] = {"color": style.OBSERVED, "marker": "o", "ls": "", "ms": 3.4, "zorder": 5}


_LOWEST: dict[str, Any] = {"marker": "o", "ls": "", "ms": 6.5, "mfc": "none", "zorder": 6,
                           "mec": style.COLOURS["s1-coal-paradigm"], "mew": 1.4}


def _dots() -> Line2D:
    return Line2D([], [], **_DOTS)


def _lowest_mark() -> Line2D:
    return Line2D([], [], **_LOWEST)


def _draw_history_and_scenarios(axis: Axes, results: RunResults, series: Any) -> None:
    """Draw `series` of every scenario; history once, since all share the drivers to 2024."""
    history = series(reference_run(results))
    axis.plot(history.index[history.index <= LAST_SHARED],
              history[history.index <= LAST_SHARED], color=style.HISTORY, lw=2.2)
    for name, scenario in results.scenarios.items():
        future = series(scenario)
        future = future[future.index >= LAST_SHARED]
        axis.plot(future.index, future, color=style.colour(name, results.scenarios),
                  ls=style.dash(name))


def _scenario_legend(results: RunResults) -> tuple[list[Artist], list[str]]:
    handles: list[Artist] = [Line2D([], [], color=style.HISTORY, lw=2.2)]
    names = [f"simulated to {LAST_SHARED}"]
    for name, scenario in results.scenarios.items():
        handles.append(Line2D([], [], color=style.colour(name, results.scenarios),
                              ls=style.dash(name)))
        names.append(scenario.title["en"])
    return handles, names


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
