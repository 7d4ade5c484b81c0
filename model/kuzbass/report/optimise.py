"""Figures and pages of `kuzbass optimise`: the front, how it was reached, how it holds."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kuzbass.report import style
from kuzbass.report.lab_figures import note
from kuzbass.report.lab_html import Section, table_of, write_lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kuzbass.experiments.lab.optimise import OptimiseResult

__all__ = ["convergence_figure", "front_figure", "interactive_front", "levers_figure",
           "optimise_figures", "robust_figure", "write_optimise"]

_SEEDS = ("#1f6f8b", "#b5541c", "#3b7a3b", "#6a4fa3", "#c9a227", "#8a2f4f")
_FRONT = "front.html"


def optimise_figures(result: OptimiseResult) -> dict[str, Figure]:
    """Return every figure by file name, in reading order."""
    return {"front": front_figure(result), "levers": levers_figure(result),
            "convergence": convergence_figure(result), "robust": robust_figure(result)}


def write_optimise(result: OptimiseResult, folder: Path) -> None:
    """Write figures, ``report.html`` and the interactive ``front.html`` below `folder`."""
    (folder / _FRONT).write_text(interactive_front(result), encoding="utf-8")
    write_lab(result.title, _sections(result), optimise_figures(result), result.manifest, folder)


@style.styled()
def front_figure(result: OptimiseResult) -> Figure:
    """Draw the front in every pair of objectives, coloured by the first objective."""
    names = list(result.objectives)
    pairs = list(combinations(names, 2))
    figure, axes = style.grid(
        f"{len(result.front)} solutions that no other beats",
        f"Every pair of objectives; colour: {names[0]}. All seeds together.",
        note(result.manifest), len(pairs), 3, height=2.6)
    for axis, (x, y) in zip(axes, pairs, strict=True):
        axis.scatter(result.front[x], result.front[y], c=result.front[names[0]], cmap="viridis",
                     s=14)
        axis.set_xlabel(_axis(result, x))
        axis.set_ylabel(_axis(result, y))
    return figure


@style.styled()
def levers_figure(result: OptimiseResult) -> Figure:
    """Draw where the solutions lie in the range of every lever, the best in each objective named.

    A lever whose solutions crowd at one end is one that the front always or never uses.
    """
    names, objectives = list(result.levers), list(result.objectives)
    figure, (axis,) = style.grid(
        "What the solutions do with the levers",
        "Place in the range of each lever, 0 lowest, 1 highest. Dots: all solutions; rings: the "
        "best in one objective.", note(result.manifest), 1, 1, height=0.5 + 0.32 * len(names),
        left=3.0, legend_entries=len(objectives))
    shift = np.linspace(-0.28, 0.28, len(result.front))
    for place, name in enumerate(names):
        _, low, high = result.levers[name]
        share = (result.front[name] - low) / (high - low)
        axis.plot(share, len(names) - 1 - place + shift, ".", color="#9a9a9a", ms=4, alpha=0.7)
    handles = []
    for colour, objective in zip(_SEEDS, objectives, strict=False):
        row = result.front.iloc[_best(result, objective)]
        x = [(float(row[name]) - result.levers[name][1])
             / (result.levers[name][2] - result.levers[name][1]) for name in names]
        handles += axis.plot(x, np.arange(len(names))[::-1], "o", mfc="none", mec=colour, mew=1.6,
                             ms=8)
    axis.set_yticks(np.arange(len(names))[::-1], names)
    axis.set_xlabel("place in the range")
    style.legend(figure, handles, [f"Best {name}" for name in objectives])
    return figure


@style.styled()
def convergence_figure(result: OptimiseResult) -> Figure:
    """Draw hypervolume and epsilon-progress of every seed over the generations."""
    seeds = list(dict.fromkeys(result.convergence["seed"]))
    figure, axes = style.grid(
        "Has the search converged?", "Hypervolume: share of the box between the best and the "
        "worst values of all fronts. Progress: epsilon-boxes new in the front.",
        note(result.manifest), 2, 2, height=2.8, legend_entries=len(seeds))
    handles = []
    for place, seed in enumerate(seeds):
        own = result.convergence[result.convergence["seed"] == seed]
        colour = _SEEDS[place % len(_SEEDS)]
        handles += axes[0].plot(own["generation"], own["hypervolume"], color=colour)
        axes[1].plot(own["generation"], own["progress"], color=colour)
    for axis, unit in zip(axes, ("hypervolume, share", "boxes a generation"), strict=True):
        style.name_axes(axis, unit, "generation")
        axis.set_ylim(bottom=0.0)
    style.legend(figure, handles, [f"Seed {seed}" for seed in seeds])
    return figure


@style.styled()
def robust_figure(result: OptimiseResult) -> Figure:
    """Draw what the solutions promise in the central future against what they keep in all."""
    names = list(result.objectives)
    figure, axes = style.grid(
        "Does the front hold in other futures?",
        f"Central future against the tenth percentile (on the bad side) of "
        f"{int(result.robust['futures'].iloc[0])} futures; colour: share of futures in which the "
        "solution is good enough.", note(result.manifest), len(names), min(len(names), 4),
        height=2.9)
    central = result.front.set_index("solution").loc[result.robust["solution"]]
    for axis, name in zip(axes, names, strict=True):
        low = result.robust[f"{name}, tenth percentile"]
        drawn = axis.scatter(central[name], low, c=result.robust["satisfied"], cmap="RdYlGn",
                             vmin=0.0, vmax=1.0, s=18, edgecolors="#555555", linewidths=0.3)
        axis.set_xlabel(_axis(result, name))
        axis.set_ylabel("tenth percentile")
    figure.colorbar(drawn, ax=axes, label="good enough, share", pad=0.01)
    return figure


def interactive_front(result: OptimiseResult) -> str:
    """Return the front as a page: parallel axes that can be brushed, everything inside the file."""
    # Here: plotly takes a second to import.
    import plotly.graph_objects as go  # noqa: PLC0415

    front = result.front
    first = next(iter(result.objectives))
    columns = {**{name: (unit, better) for name, (unit, better) in result.objectives.items()},
               **{name: (unit, "") for name, (unit, _, _) in result.levers.items()}}
    dimensions: list[dict[str, Any]] = [
        {"label": f"{name}, {style.unit_label(unit)}{f' ({better})' if better else ''}",
         "values": front[name].to_list()} for name, (unit, better) in columns.items()]
    figure = go.Figure(go.Parcoords(
        line={"color": front[first].to_list(), "colorscale": "Viridis", "showscale": True,
              "colorbar": {"title": first}},
        dimensions=dimensions, labelside="bottom", labelangle=30, labelfont={"size": 10},
        rangefont={"color": "rgba(0,0,0,0)"}))  # the ticks say the range already
    figure.update_layout(
        title={"text": f"{result.title['en']}: {len(front)} solutions. Drag along an axis to "
               "choose, drag a label to move it."},
        margin={"l": 60, "r": 90, "t": 90, "b": 190}, height=700, font={"family": "sans-serif"})
    page = figure.to_html(full_html=True, include_plotlyjs=True, include_mathjax=False,
                          div_id="front", config={"displaylogo": False})
    return str(page).replace("<head>", f'<head><title>{result.title["en"]}</title>', 1)


def _axis(result: OptimiseResult, name: str) -> str:
    unit, better = result.objectives[name]
    return f"{name}, {style.unit_label(unit)} ({better} is better)"


def _best(result: OptimiseResult, name: str) -> int:
    """Return the place of the best solution in one objective."""
    values = result.front[name].to_numpy(float)
    return int(values.argmax() if result.objectives[name][1] == "more" else values.argmin())


def _sections(result: OptimiseResult) -> list[Section]:
    seeds = result.convergence.groupby("seed").last().reset_index()
    names = list(result.objectives)
    best = result.robust.sort_values("satisfied", ascending=False).head(10)
    ends = result.front.iloc[list(dict.fromkeys(_best(result, name) for name in names))]
    return [
        Section("front", "The front", "Фронт Парето",
                [f"{len(result.front)} solutions of all seeds that no other beats by more than "
                 f"epsilon. All of them stand in front.csv; {_FRONT} beside this page shows them "
                 "on axes that can be brushed."],
                {"front": "The front in pairs of objectives",
                 "levers": "Levers of the solutions"},
                [table_of("ends", "The best solution in each objective", ends, 3)]),
        Section("convergence", "Convergence", "Сходимость",
                ["Seeds that end at the same hypervolume have found the same front."],
                {"convergence": "Hypervolume and epsilon-progress by generation"},
                [table_of("seeds", "Where every seed ended", seeds, 3)]),
        Section("robust", "In other futures", "В других вариантах будущего",
                ["Solutions far apart on the front, evaluated again in sampled futures. Regret is "
                 "against the best of them in each future."],
                {"robust": "Central future against all futures"},
                [table_of("robust", "The ten that are good enough most often", best, 3)]),
    ]
