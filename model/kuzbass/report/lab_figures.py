"""Figures of `kuzbass policy`: trade-offs, cost against effect, and paths of the index."""

from __future__ import annotations

import textwrap
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D

from kuzbass.report import style
from kuzbass.report.lab_html import Section, table_of, write_lab

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.lab.policy import PolicyResult

__all__ = ["COLOURS", "cost_and_effect", "index_paths", "matrix", "note",
           "titles_of", "trade_offs", "write_policy"]

_WORSE, _BETTER = "#b5541c", "#1f6f8b"
SHADES = LinearSegmentedColormap.from_list("gain", [_WORSE, "#f7f6f2", _BETTER])
COLOURS = ("#555555", "#b5541c", "#1f6f8b", "#3b7a3b", "#6a4fa3", "#8a2f4f", "#c9a227", "#2b4c9b",
           "#a3587a", "#6b5b1f", "#0d7f7a", "#d07a2d", "#7f1d0e", "#4f7fb5", "#97a33b", "#303030")
_FROM = 2019
_LEFT = 2.9  # inches for the titles of the policies
NO_SHOCK = "none"


def write_policy(result: PolicyResult, folder: Path) -> None:
    """Write the figures and the page of an experiment with policies."""
    scenarios = list(dict.fromkeys(result.metrics["scenario"]))
    figures = {f"trade-offs-{name}": trade_offs(result, name) for name in scenarios}
    figures |= {"cost-and-effect": cost_and_effect(result), "index-paths": index_paths(result)}
    summary = result.summary.assign(policy=titles_of(result, result.summary["policy"]))
    calm = result.metrics[result.metrics["shock"] == NO_SHOCK]
    tables = [table_of(f"metrics-{name}", f"Metrics in {name}, without a shock", _wide(
        result, calm[calm["scenario"] == name])) for name in scenarios]
    sections = [
        Section("about", "What is asked", "О чём речь", [result.plan.narrative, *result.notes]),
        Section("summary", "Ranked summary", "Сводка по местам", tables=[
            table_of("summary", "Policies, the best first. Front: in how many scenarios no other "
                     "policy is at least as good in every metric.", summary)]),
        Section("trade-offs", "Trade-offs", "Что улучшается, что ухудшается", [
            "Colours: the change against the twin without policy as a share of the span over all "
            "policies; numbers: the change itself."],
            {f"trade-offs-{name}": f"Changes against the twin in {name}" for name in scenarios}),
        Section("cost", "Cost and effect", "Цена и результат", figures={
            "cost-and-effect": "All money of all budgets and companies against what changes"}),
        Section("paths", "Paths of the index", "Траектории индекса", figures={
            "index-paths": "Resilience index without a shock and under every shock"}),
        Section("metrics", "All metrics", "Все показатели", tables=tables),
    ]
    write_lab(result.plan.title.model_dump(), sections, figures, result.manifest, folder)


@style.styled()
def trade_offs(result: PolicyResult, scenario: str) -> Figure:
    """Draw the change of every metric by every policy in a scenario as a table of colours."""
    own = result.metrics[(result.metrics["scenario"] == scenario)
                         & (result.metrics["shock"] == NO_SHOCK)]
    names = [name for name in result.summary["policy"] if name in result.titles]
    metrics = list(dict.fromkeys(own["metric"]))
    gain = own.pivot_table("gain", "policy", "metric").loc[names, metrics].to_numpy(float)
    change = own.pivot_table("difference", "policy", "metric").loc[names, metrics]
    figure, (axis,) = style.grid(
        f"What each policy changes: {scenario}",
        "Blue is better than without policy, brown worse. Colour: share of the span over the "
        "policies; number: the change.", note(result.manifest), 1, 1,
        height=0.36 * len(names) + 0.6, left=_LEFT, legend_entries=1)
    matrix(axis, gain, [[_told(value) for value in row] for row in change.to_numpy(float)])
    units = own.drop_duplicates("metric").set_index("metric")["unit"]
    axis.set_xticks(range(len(metrics)), [
        f"{textwrap.fill(name, 12)}\n{_unit(units[name])}" for name in metrics], size=7.0)
    axis.set_yticks(range(len(names)), titles_of(result, names), size=8.0)
    return figure


def matrix(
    axis: Axes, values: np.ndarray, texts: list[list[str]], limit: float = 1.0
) -> None:
    """Draw numbers as a table of colours, their texts in the cells."""
    axis.imshow(values, aspect="auto", cmap=SHADES, norm=Normalize(-limit, limit))
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            dark = abs(values[row, column]) > 0.7 * limit
            axis.text(column, row, text, ha="center", va="center", size=7.5,
                      color="white" if dark else "#222222")
    axis.grid(visible=False)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)


@style.styled()
def cost_and_effect(result: PolicyResult) -> Figure:
    """Draw what policies cost in all against what they change, a row for each scenario."""
    shown = [name for name in ("index 2035", "GRP 2035", "loss in a crisis")
             if name in set(result.metrics["metric"])]
    calm = result.metrics[result.metrics["shock"] == NO_SHOCK]
    scenarios = list(dict.fromkeys(calm["scenario"]))
    names = [name for name in result.titles if name != "none"]
    costs = [column for column in result.summary.columns if str(column).endswith("cost")]
    figure, axes = style.grid(
        "Cost and effect against the twin without policy",
        "Across: " + (", ".join(costs) or "no cost in the plan") + " together, bn RUB. "
        "Up: the change of the metric.", note(result.manifest), len(shown) * len(scenarios),
        max(len(shown), 1), height=2.3, legend_entries=len(names))
    for number, axis in enumerate(axes):
        scenario, metric = scenarios[number // len(shown)], shown[number % len(shown)]
        own = calm[calm["scenario"] == scenario]
        table = own.pivot_table("difference", "policy", "metric")
        for name in names:
            axis.plot(table.loc[name, costs].sum(), table.loc[name, metric], marker="o", ms=6,
                      color=_colour(result, name))
        unit = str(own.loc[own["metric"] == metric, "unit"].iloc[0])
        axis.axhline(0.0, color="#777777", lw=0.8)
        axis.set_title(f"{metric}: {scenario}")
        axis.set_ylabel(_unit(unit))
        axis.set_xlabel("bn RUB, discounted")
    style.legend(figure, [_dot(result, name) for name in names], titles_of(result, names))
    return figure


@style.styled()
def index_paths(result: PolicyResult) -> Figure:
    """Draw the resilience index of every policy, a panel for each scenario and shock."""
    table = result.trajectories
    own = table[(table["variable"] == "resilience index") & (table["year"] >= _FROM)]
    cases = list(dict.fromkeys(zip(own["scenario"], own["shock"], strict=True)))
    names = list(result.titles)
    figure, axes = style.grid(
        "Resilience index under every policy", "0 is the observed mean of 2000-2021.",
        note(result.manifest), len(cases), min(2, len(cases)), height=2.6,
        legend_entries=len(names))
    for axis, (scenario, shock) in zip(axes, cases, strict=True):
        here = own[(own["scenario"] == scenario) & (own["shock"] == shock)]
        for name in names:
            line = here[here["policy"] == name]
            axis.plot(line["year"], line["value"], color=_colour(result, name),
                      lw=2.2 if name == "none" else 1.3, ls="--" if name == "none" else "-")
        axis.axhline(0.0, color="#777777", lw=0.8)
        axis.set_title(scenario if shock == NO_SHOCK else f"{scenario}, {shock}")
        style.name_axes(axis, "index points")
    style.legend(figure, [_dot(result, name) for name in names], titles_of(result, names))
    return figure


def _wide(result: PolicyResult, own: pd.DataFrame) -> pd.DataFrame:
    table = own.pivot_table("value", "policy", "metric", sort=False)
    units = own.drop_duplicates("metric").set_index("metric")["unit"]
    table.columns = [f"{name}, {_unit(units[name])}" for name in table.columns]
    table.insert(0, "policy", titles_of(result, table.index))
    return table


def titles_of(result: Any, names: Any) -> list[str]:
    """Return the short titles of policies."""
    return [style.short(result.titles[name]["en"]) for name in names]


def _colour(result: PolicyResult, name: str) -> str:
    return COLOURS[list(result.titles).index(name) % len(COLOURS)]


def _dot(result: PolicyResult, name: str) -> Line2D:
    return Line2D([], [], color=_colour(result, name), marker="o", ms=5, lw=1.5,
                  ls="--" if name == "none" else "-")


def _unit(unit: str) -> str:
    return "share" if unit == "Dmnl" else style.unit_label(unit)


def _told(value: float) -> str:
    if abs(value) < 0.0005:
        return "0"
    digits = next(place for place, least in enumerate((99.5, 9.95, 0.0995, 0.0))
                  if abs(value) >= least)
    return f"{value:+.{digits}f}".replace("-", "−")


def note(record: Mapping[str, Any]) -> str:
    """Return the footer of a figure of the lab."""
    model: Mapping[str, Any] = record["model"]
    seed = "" if record["seed"] is None else f"; seed {record['seed']}"
    return (f"Model: {model['file']} {str(model['sha256'])[:10]}, {record['engine']}, step "
            f"{Fraction(record['time_step'])} year{seed}; data: Rosstat and others, each number "
            "with its source in data/")
