"""Figures of `kuzbass robust`: regret, thresholds met, boxes, and how rankings agree."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Patch, Rectangle

from kuzbass.report import style
from kuzbass.report.lab_figures import COLOURS, matrix, note, titles_of
from kuzbass.report.lab_html import Section, table_of, write_lab

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kuzbass.experiments.lab.robust import RobustResult

__all__ = ["agreement", "box_figure", "regret_boxes", "satisficing_bars", "write_robust"]

_LEFT = 2.9
_PANELS = 4
_DOTS = 2000  # a scatter needs no more
_IN, _OUT = "#b5541c", "#b9c4c9"


def write_robust(result: RobustResult, folder: Path) -> None:
    """Write the figures and the page of policies in many futures."""
    figures = {"regret": regret_boxes(result), "satisficing": satisficing_bars(result),
               "agreement": agreement(result)}
    boxes = {}
    for number, (failure, policy) in enumerate(_found(result)):
        boxes[f"box-{number}"] = f"{failure} under {policy}"
        figures[f"box-{number}"] = box_figure(result, failure, policy)
    plan, head = result.plan, result.plan.headline
    own = result.robustness[result.robustness["metric"] == head].drop(columns=["metric", "unit"])
    own = own.sort_values("rank maximin").assign(policy=lambda one: titles_of(result,
                                                                             one["policy"]))
    wide = result.performance.assign(policy=titles_of(result, result.performance["policy"]))
    sections = [
        Section("about", "What is asked", "О чём речь", [
            plan.narrative, f"{len(result.futures)} futures, {len(result.policies)} policies."]),
        Section("regret", "Regret and the other metrics of robustness", "Сожаление и устойчивость",
                ["The regret of a policy in a future is how much better the best policy of the "
                 "plan does there. Worst case, percentile, moments, regret and satisficing are "
                 "different classes: a policy that is good by one of them only is not robust."],
                {"regret": "Regret in all futures"},
                [table_of("robustness", f"Robustness by {head}, more is better", own)]),
        Section("satisficing", "Thresholds met", "Выполнение порогов", figures={
            "satisficing": "Share of the futures in which a policy meets the thresholds"}),
        Section("agreement", "How the rankings agree", "Согласие ранжирований", figures={
            "agreement": "Kendall's tau of the rankings of policies"}),
        Section("boxes", "Where policies fail", "Где меры не срабатывают", [
            *result.notes, "A box tells of conditions under which most of its futures fail. "
            "Quasi-p is the chance that a restriction looks as strong by accident; reproduced is "
            "the share of random halves of the futures whose box restricts the factor too."],
            boxes, [table_of("boxes", "Boxes of PRIM and leaves of the classification tree",
                             result.boxes, 3)]),
        Section("performance", "All metrics", "Все показатели", tables=[
            table_of("performance", "Quantiles over the futures", wide)]),
    ]
    write_lab(plan.title.model_dump(), sections, figures, result.manifest, folder)


@style.styled()
def regret_boxes(result: RobustResult) -> Figure:
    """Draw the regret of every policy: quartiles, the 5th to 95th percentile, the largest."""
    plan = result.plan
    shown = [plan.headline, *(name for name in plan.metrics if name != plan.headline
                              and not name.endswith("cost"))][:_PANELS]
    names = list(result.policies)
    figure, axes = style.grid(
        "Regret: how much better the best policy would have been",
        "Box: half of the futures; whiskers: 90 %; dot: the largest regret, which minimax regret "
        "compares.", note(result.manifest), len(shown), 2,
        height=0.2 * len(names) + 0.4, gap=(2.6, 0.75), left=2.5)
    for axis, metric in zip(axes, shown, strict=True):
        regret = result.regret(metric)
        drawn = axis.boxplot(regret.T, positions=range(len(names)), orientation="horizontal",
                             whis=(5.0, 95.0), showfliers=False, patch_artist=True, widths=0.6)
        for number, box in enumerate(drawn["boxes"]):
            box.set(facecolor=COLOURS[number % len(COLOURS)], alpha=0.6, lw=0.6)
        axis.plot(regret.max(axis=1), range(len(names)), ls="", marker="o", ms=3, color="#222222")
        axis.set_yticks(range(len(names)), titles_of(result, names), size=7.0)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_title(metric)
        axis.set_xlabel(style.unit_label(result.units[metric]))
    return figure


@style.styled()
def satisficing_bars(result: RobustResult) -> Figure:
    """Draw the share of futures that meets each threshold and all of them, the best on top."""
    table = result.satisficing.pivot_table("share", "policy", "threshold", sort=False)
    table = table.sort_values("all", ascending=False)
    thresholds = [str(one) for one in table.columns]
    figure, axes = style.grid(
        "How often each policy is good enough", f"Share of {len(result.futures)} futures.",
        note(result.manifest), len(thresholds), len(thresholds),
        height=0.28 * len(table) + 0.3, gap=(0.25, 0.7), left=2.5)
    for number, (axis, told) in enumerate(zip(axes, thresholds, strict=True)):
        share = 100.0 * table[told].to_numpy(float)
        axis.barh(range(len(table)), share, color="#1f6f8b" if told == "all" else "#9cb8c2",
                  height=0.7)
        for row, value in enumerate(share):
            axis.text(min(value, 86.0) + 1.0, row, f"{value:.0f}", va="center", size=7.0)
        axis.set_xlim(0.0, 100.0)
        axis.set_ylim(len(table) - 0.4, -0.6)
        axis.set_title(textwrap.fill("all together" if told == "all" else told, 26), size=8.5)
        axis.set_xlabel("% of futures")
        axis.set_yticks(range(len(table)), titles_of(result, table.index) if number == 0
                        else [""] * len(table), size=7.5)
    return figure


@style.styled()
def agreement(result: RobustResult) -> Figure:
    """Draw Kendall's tau between metrics of robustness, and between metrics of performance."""
    table = result.agreement
    panels = [("robustness", result.plan.headline, f"Robustness by {result.plan.headline}"),
              ("performance", "percentile", "Metrics, each by its low percentile")]
    figure, axes = style.grid(
        "Do the rankings of the policies agree?",
        "Kendall's tau: 1 the same order, 0 none, −1 the reverse. Empty: all policies are equal.",
        note(result.manifest), 2, 2, height=4.2, gap=(2.0, 0.7), left=1.7, legend_entries=20)
    for axis, (of, held, title) in zip(axes, panels, strict=True):
        own = table[(table["of"] == of) & (table["held"] == held)]
        names = list(dict.fromkeys(own["one"]))
        values = own["tau"].to_numpy(float).reshape(len(names), len(names))
        matrix(axis, np.nan_to_num(values), [["" if np.isnan(one) else f"{one:.2f}".replace(
            "-", "−") for one in row] for row in values])
        axis.set_xticks(range(len(names)), names, size=7.0, rotation=90)
        axis.set_yticks(range(len(names)), names, size=7.0)
        axis.set_xlabel(title, weight="bold")
        axis.xaxis.set_label_position("bottom")
    return figure


def _found(result: RobustResult) -> list[tuple[str, str]]:
    prim = result.boxes[result.boxes["method"] == "PRIM"]
    return list(dict.fromkeys(zip(prim["failure"], prim["policy"], strict=True)))


@style.styled()
def box_figure(result: RobustResult, failure: str, policy: str) -> Figure:
    """Draw the futures by the two most telling factors with the box, and the front of PRIM."""
    table = result.boxes
    own = table[(table["failure"] == failure) & (table["policy"] == policy)
                & (table["method"] == "PRIM")].sort_values("quasi_p")
    case = result.plan.boxes.failures[failure]
    fails = result.fails(failure, policy)
    first = own.iloc[0]
    figure, axes = style.grid(
        f"Where it fails: {failure} under {policy}",
        f"{case.told()}: {int(fails.sum())} of {len(fails)} futures. The box of {len(own)} "
        f"factor{'s' if len(own) > 1 else ''} holds {first['coverage']:.0%} of them; "
        f"{first['density']:.0%} of the futures in it fail.",
        note(result.manifest), 2, 2, height=3.6, legend_entries=2)
    scores = result.scores[(result.scores["failure"] == failure)
                           & (result.scores["policy"] == policy)]
    factors = list(dict.fromkeys([*own["factor"], *scores["factor"]]))[:2]
    _scatter(axes[0], result.futures, fails, own, factors)
    _front(axes[1], result.peeling[(result.peeling["failure"] == failure)
                                   & (result.peeling["policy"] == policy)])
    style.legend(figure, [Patch(color=_IN), Patch(color=_OUT)], ["fails", "does not fail"])
    return figure


def _scatter(
    axis: Axes, futures: pd.DataFrame, fails: np.ndarray, box: pd.DataFrame, factors: list[str]
) -> None:
    across, up = (futures[name].to_numpy(float)[:_DOTS] for name in factors)
    for kind, colour in ((False, _OUT), (True, _IN)):
        chosen = fails[:_DOTS] == kind
        axis.plot(across[chosen], up[chosen], ls="", marker="o", ms=2.5, color=colour, alpha=0.7)
    sides = []
    for name, values in zip(factors, (across, up), strict=True):
        row = box[box["factor"] == name]
        low, high = ((float(row["low"].iloc[0]), float(row["high"].iloc[0])) if len(row)
                     else (np.nan, np.nan))
        sides.append((values.min() if np.isnan(low) else low,
                      values.max() if np.isnan(high) else high))
    (left, right), (bottom, top) = sides
    axis.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, lw=1.8,
                             color="#222222"))
    axis.set_xlabel(factors[0])
    axis.set_ylabel(factors[1])
    axis.set_title("Futures and the box; drivers as factors on their path")


def _front(axis: Axes, steps: pd.DataFrame) -> None:
    drawn = axis.scatter(steps["coverage"], steps["density"], c=steps["restrictions"], s=22,
                         cmap="viridis")
    chosen = steps[steps["chosen"]]
    axis.plot(chosen["coverage"], chosen["density"], marker="o", ms=11, mfc="none", mec="#222222",
              ls="", mew=1.6)
    axis.figure.colorbar(drawn, ax=axis, label="restricted factors")
    axis.set_xlabel("coverage")
    axis.set_ylabel("density")
    axis.set_title("Steps of PRIM; ring: the box that is told")
