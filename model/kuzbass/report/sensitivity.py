"""Figures and page of `kuzbass sensitivity`: elementary effects, shares of variance, modes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kuzbass.report import style
from kuzbass.report.lab_figures import note
from kuzbass.report.lab_html import Section, table_of, write_lab

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from kuzbass.experiments.lab.sensitivity import SensitivityResult

__all__ = ["modes_figure", "screening_figure", "sensitivity_figures", "time_figure",
           "totals_figure", "write_sensitivity"]

_KINDS = {"parameter": "#6a4fa3", "driver": "#b5541c", "lever": "#3b7a3b"}
_SHADES = ("#1f6f8b", "#b5541c", "#3b7a3b", "#6a4fa3", "#c9a227", "#8a2f4f", "#5c8fbf", "#d08a6b",
           "#0d7f7a", "#a3587a", "#97a33b", "#2b4c9b", "#6b5b1f", "#4f7fb5", "#d07a2d")
_OTHER = "#d9d9d4"
_NAMED = 7  # factors that a panel of the screening names
_SHOWN = 12
_FAINT = 1e-3  # of the largest; weaker factors are not drawn


def sensitivity_figures(result: SensitivityResult) -> dict[str, Figure]:
    """Return every figure by file name, in reading order."""
    return {"screening": screening_figure(result), "totals": totals_figure(result),
            "over-time": time_figure(result), "modes": modes_figure(result)}


def write_sensitivity(result: SensitivityResult, folder: Path) -> None:
    """Write figures and ``report.html`` below `folder`."""
    write_lab(result.title, _sections(result), sensitivity_figures(result), result.manifest,
              folder)


@style.styled()
def screening_figure(result: SensitivityResult) -> Figure:
    """Draw mean against spread of the elementary effects, one panel for each output."""
    outputs = list(result.units)
    figure, axes = style.grid(
        "Which factors matter at all", "Elementary effects over the range of each factor: mean "
        "size against standard deviation. Above the line, the effect hangs on the other factors.",
        note(result.manifest), len(outputs), min(len(outputs), 3), height=3.4, legend_entries=4)
    for axis, output in zip(axes, outputs, strict=True):
        own = result.screening[result.screening["output"] == output].sort_values(
            "mu_star", ascending=False)
        own = own[(own["mu_star"] > _FAINT * own["mu_star"].max()) & (own["sigma"] > 0.0)]
        axis.set_xscale("log")
        axis.set_yscale("log")
        for _, row in own.iterrows():
            axis.plot(row["mu_star"], row["sigma"], "o", ms=5, color=_KINDS[row["kind"]],
                      mfc=_KINDS[row["kind"]] if row["kept"] else "white")
        named = own.head(_NAMED)
        for number, (_, row) in enumerate(named.iterrows(), 1):
            axis.annotate(str(number), (row["mu_star"], row["sigma"]), fontsize=7,
                          xytext=(3, 3), textcoords="offset points")
        axis.text(0.02, 0.98, "\n".join(f"{number} {name}" for number, name in
                                        enumerate(named["factor"], 1)),
                  transform=axis.transAxes, va="top", fontsize=7)
        ends = np.array(axis.get_xlim())
        axis.plot(ends, ends, color="#888888", lw=0.8, ls=":", scaley=False)
        axis.set_xlim(*ends)
        axis.set_title(output)
        axis.set_xlabel(f"mean size μ*, {style.unit_label(result.units[output])}")
        axis.set_ylabel("standard deviation σ")
    style.legend(figure, [*(Line2D([], [], color=colour, marker="o", ls="")
                            for colour in _KINDS.values()),
                          Line2D([], [], color="#555555", marker="o", mfc="white", ls="")],
                 [*(name.capitalize() for name in _KINDS), "Not kept"])
    return figure


@style.styled()
def totals_figure(result: SensitivityResult) -> Figure:
    """Draw total and first-order effects with their intervals, weighted over the years."""
    outputs = list(result.units)
    names = _ranked(result)
    figure, axes = style.grid(
        "Who makes the variance", "Means over years weighted by variance, with intervals of 95 %. "
        "Total effects hold all interactions, so they may sum to more than 1.",
        note(result.manifest), len(outputs), min(len(outputs), 3),
        height=0.5 + 0.3 * len(names), gap=(0.25, 0.72), left=2.2, legend_entries=2)
    y = np.arange(len(names))[::-1].astype(float)
    for place, (axis, output) in enumerate(zip(axes, outputs, strict=True)):
        own = result.weighted[result.weighted["output"] == output].set_index("factor").reindex(
            names)
        axis.barh(y + 0.18, own["ST"], xerr=own["ST_conf"], height=0.34, color="#1f6f8b",
                  ecolor="#555555")
        axis.barh(y - 0.18, own["S1"], xerr=own["S1_conf"], height=0.34, color="#9ecae1",
                  ecolor="#555555")
        axis.set_yticks(y, names if place % 3 == 0 else [""] * len(names))
        axis.set_title(output)
        axis.set_xlabel("share of the variance")
        axis.set_xlim(left=min(0.0, float(own["S1"].min())))
    style.legend(figure, [Patch(color="#1f6f8b"), Patch(color="#9ecae1")],
                 ["Total effect", "Alone"])
    return figure


@style.styled()
def time_figure(result: SensitivityResult) -> Figure:
    """Draw first-order shares stacked over time, the rest being interaction."""
    outputs = list(result.units)
    names = _ranked(result)[:_SHOWN]
    figure, axes = style.grid(
        "Who makes the variance, and when", "Above: first-order shares of the variance of each "
        "year; grey: interactions and weaker factors. Below: the standard deviation itself.",
        note(result.manifest), 2 * len(outputs), len(outputs), height=2.6,
        legend_entries=len(names) + 1)
    for place, output in enumerate(outputs):
        own = result.indices[result.indices["output"] == output]
        table = own.pivot_table("S1", "year", "factor").reindex(columns=names).clip(lower=0.0)
        years = table.index.to_numpy(float)
        # Estimates of shares may sum to a little more than one.
        shares = (table.div(table.sum(axis=1).clip(lower=1.0), axis=0)).fillna(0.0).to_numpy().T
        above, below = axes[place], axes[len(outputs) + place]
        above.stackplot(years, [*shares, 1.0 - shares.sum(axis=0)],
                        colors=[*_SHADES[:len(names)], _OTHER], lw=0.0)
        above.set_ylim(0.0, 1.0)
        above.set_title(output)
        variance = own.groupby("year")["variance"].first()
        below.plot(variance.index, np.sqrt(variance), color="black")
        below.set_ylim(bottom=0.0)
        since = "years since the shock" if years.max() < 1000 else "year"
        style.name_axes(above, "share of the variance", since)
        style.name_axes(below, result.units[output], since)
    style.legend(figure, [Patch(color=colour) for colour in (*_SHADES[:len(names)], _OTHER)],
                 [*names, "Interactions and the rest"])
    return figure


@style.styled()
def modes_figure(result: SensitivityResult) -> Figure:
    """Draw the shares of the behaviour modes, and which factors tell them apart."""
    shares = result.modes.groupby("mode")["share"].first().sort_values(ascending=False)
    scores = result.modes.pivot_table("score", "factor", "mode", dropna=False).reindex(
        index=_ranked(result), columns=shares.index)
    figure, axes = style.grid(
        "Which behaviour, and what decides it", "Left: share of the runs by mode of the path. "
        "Right: distance between the distributions of a factor in the mode and outside of it.",
        note(result.manifest), 2, 2, height=0.8 + 0.26 * len(scores), gap=(2.2, 0.72))
    axes[0].barh(np.arange(len(shares))[::-1], shares, color="#5c8fbf", height=0.6)
    axes[0].set_yticks(np.arange(len(shares))[::-1], list(shares.index))
    axes[0].set_xlabel("share of the runs")
    drawn = axes[1].imshow(scores.to_numpy(float), cmap="Blues", vmin=0.0, vmax=1.0,
                           aspect="auto")
    axes[1].set_yticks(np.arange(len(scores)), list(scores.index))
    axes[1].set_xticks(np.arange(len(shares)), list(shares.index))
    axes[1].grid(visible=False)
    for (row, column), value in np.ndenumerate(scores.to_numpy(float)):
        axes[1].text(column, row, f"{value:.2f}" if np.isfinite(value) else "–", ha="center",
                     va="center", fontsize=7, color="white" if value > 0.6 else "black")
    figure.colorbar(drawn, ax=axes[1], label="distance, 0 to 1", pad=0.02)
    return figure


def _ranked(result: SensitivityResult) -> list[str]:
    """Return the factors by their largest total effect."""
    largest = result.weighted.groupby("factor")["ST"].max().sort_values(ascending=False)
    return [str(name) for name in largest.index]


def _sections(result: SensitivityResult) -> list[Section]:
    kept = result.screening[result.screening["kept"]]
    best: pd.DataFrame = kept.sort_values(["output", "mu_star"], ascending=[True, False])
    ended = ("Every interval is as narrow as the plan asks."
             if result.converged else "The largest base sample of the plan did not narrow every "
             "interval as far as the plan asks.")
    return [
        Section("screening", "Screening", "Отсев",
                [f"{len(result.factors)} factors, each moved on its own along random paths "
                 "(Morris). Parameters that a calibration has drawn together vary here one by one "
                 "between the 5 % and the 95 % quantile of their draws."],
                {"screening": "Mean size and spread of the elementary effects"},
                [table_of("kept", "The factors that are kept", best.drop(columns="kept"), 4)]),
        Section("variance", "Shares of variance", "Доли дисперсии",
                [f"Sobol indices over the kept factors, base sample {result.base}. {ended} The "
                 "interval of a weighted mean is the weighted mean of the intervals of the years."],
                {"totals": "Total and first-order effects",
                 "over-time": "First-order shares over time"},
                [table_of("weighted", "Means over years weighted by variance", result.weighted,
                          3)]),
        Section("modes", "Behaviour modes", "Режимы поведения",
                ["The same level can be reached by other paths. The runs are told apart by the "
                 "mode of their path; within a mode, rank correlations say what moves its "
                 "measures."], {"modes": "Modes and the factors that decide them"},
                [table_of("patterns", "Rank correlations within a mode of at least 0.3",
                          result.patterns[result.patterns["rank_correlation"].abs() >= 0.3], 2)]),
    ]
