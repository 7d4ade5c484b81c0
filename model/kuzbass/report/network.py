"""The causal network of a shock: arrows swell with what they carry, as a figure and as a page."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path as Outline

from kuzbass.experiments.shock_views import HEADLINES
from kuzbass.report import style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from kuzbass.experiments.shock import ShockResult

    Array = NDArray[np.float64]
    Point = tuple[float, float]

__all__ = ["Drawing", "draw_network", "network_figure", "network_page"]

DOWN, UP, STILL = "#b2401c", "#1f6f8b", "#c9c9c4"
_FAINT = 0.02  # links that never carry this share of the largest response are left out
_WIDEST = 13.0  # points, of an arrow that carries the whole largest response
_WRAP = 15
_SWEEPS = 12
_HEAD = 0.011  # room for an arrowhead before a box
_FRAMES = 6


@dataclass(frozen=True)
class Drawing:
    """A network laid out in the unit square.

    Attributes
    ----------
    places : dict of str to (float, float)
        Middle of each box; causes stand to the left of their effects where they can.
    routes : dict of (cause, effect) to list of (float, float)
        Points through which each arrow runs, from box to box.
    carried : dict of (cause, effect) to array, shape (frames,)
        What the arrow carries at each time.
    hidden : dict of (cause, effect) to tuple of str
        Variables between the two that only pass it on.
    times : array, shape (frames,)
    width : float
        Of a box.
    """

    places: Mapping[str, Point]
    routes: Mapping[tuple[str, str], list[Point]]
    carried: Mapping[tuple[str, str], Array]
    hidden: Mapping[tuple[str, str], tuple[str, ...]]
    times: Array
    width: float


def draw_network(table: pd.DataFrame, source: Iterable[str], target: str) -> Drawing:
    """Lay out the network of a shock.

    Parameters
    ----------
    table : DataFrame
        Columns time, cause, effect, carried (`ShockResult.network`).
    source : iterable of str
        What was shocked.
    target : str
        The variable that is explained.
    """
    times = np.array(sorted(table["time"].unique()))
    carried = {(str(edge[0]), str(edge[1])): rows.sort_values("time")["carried"].to_numpy()
               for edge, rows in table.groupby(["cause", "effect"])}
    keep = {*source, target, *HEADLINES.values()}
    graph: nx.DiGraph[str] = nx.DiGraph(
        [edge for edge, path in carried.items() if np.abs(path).max() >= _FAINT])
    _prune(graph, set(source), target)
    hidden: dict[tuple[str, str], tuple[str, ...]] = dict.fromkeys(graph.edges, ())
    for name in list(graph):
        before, after = list(graph.predecessors(name)), list(graph.successors(name))
        if name in keep or len(before) != 1 or len(after) != 1 or before[0] == after[0] or (
                graph.has_edge(before[0], after[0])):
            continue
        edge = (before[0], after[0])
        hidden[edge] = (*hidden[before[0], name], name, *hidden[name, after[0]])
        carried[edge] = carried[name, after[0]]
        graph.remove_node(name)
        graph.add_edge(*edge)
    layers = _layers(graph)
    places, bends = _places(graph, layers)
    width = 0.8 / (max(layers.values()) + 1)
    return Drawing(places, {edge: _route(edge, places, bends, width) for edge in graph.edges},
                   {edge: carried[edge] for edge in graph.edges},
                   {edge: hidden[edge] for edge in graph.edges}, times, width)


def _prune(graph: nx.DiGraph[str], source: set[str], target: str) -> None:
    """Remove what leads nowhere: the effects of such a variable cancel."""
    while ends := [name for name in graph if (name != target and not graph.out_degree(name))
                   or (name not in source and not graph.in_degree(name))]:
        graph.remove_nodes_from(ends)


def _layers(graph: nx.DiGraph[str]) -> dict[str, int]:
    """Return the column of every variable: the longest chain of causes before it."""
    forward = nx.DiGraph(graph)
    while not nx.is_directed_acyclic_graph(forward):
        # An arrow that closes a loop runs back.
        forward.remove_edge(*nx.find_cycle(forward)[-1][:2])
    layers: dict[str, int] = {}
    for name in nx.topological_sort(forward):
        layers[name] = max((layers[cause] + 1 for cause in forward.predecessors(name)), default=0)
    # What has room to its right moves next to its first effect.
    for name in reversed(list(nx.topological_sort(forward))):
        effects = [layers[effect] for effect in forward.successors(name)]
        if effects and forward.in_degree(name):
            layers[name] = min(effects) - 1
    return layers


def _places(
    graph: nx.DiGraph[str], layers: Mapping[str, int]
) -> tuple[dict[str, Point], dict[tuple[str, str], list[Point]]]:
    """Order every column so that few arrows cross; long arrows get a place in each column."""
    last = max(layers.values())
    chains: dict[tuple[str, str], list[object]] = {}
    links: list[tuple[object, object]] = []
    column: dict[object, int] = {}
    column.update(layers)
    for cause, effect in graph.edges:
        chain: list[object] = [cause]
        for number in range(layers[cause] + 1, layers[effect]):
            bend = (cause, effect, number)
            column[bend] = number
            chain.append(bend)
        chains[cause, effect] = chain = [*chain, effect]
        links += list(pairwise(chain)) if layers[effect] > layers[cause] else []
    columns = [[item for item, number in column.items() if number == here]
               for here in range(last + 1)]
    heights = dict.fromkeys(column, 0.5)
    for sweep in range(_SWEEPS):
        order = range(last + 1) if sweep % 2 == 0 else range(last, -1, -1)
        for here in order:
            near = {item: [heights[other] for pair in links if item in pair
                           for other in pair if other != item] for item in columns[here]}
            wish = {item: float(np.mean(near[item])) if near[item] else 0.5 for item in near}
            columns[here].sort(key=lambda item: (wish[item], str(item)))
            heights.update(_spread(columns[here]))
    x = {item: (column[item] + 0.5) / (last + 1) for item in column}
    places = {name: (x[name], heights[name]) for name in graph}
    bends = {edge: [(x[item], heights[item]) for item in chain[1:-1]]
             for edge, chain in chains.items()}
    return places, bends


def _spread(items: Sequence[object]) -> dict[object, float]:
    """Return the heights of one column: a bend needs less room than a box."""
    room = [1.0 if isinstance(item, str) else 0.45 for item in items]
    ends = np.cumsum([0.0, *room]) / sum(room)
    return {item: float((low + high) / 2.0) for item, low, high
            in zip(items, ends[:-1], ends[1:], strict=True)}


def _route(
    edge: tuple[str, str], places: Mapping[str, Point],
    bends: Mapping[tuple[str, str], list[Point]], width: float,
) -> list[Point]:
    (x1, y1), (x2, y2) = places[edge[0]], places[edge[1]]
    if x2 > x1:
        return [(x1 + width / 2, y1), *bends[edge], (x2 - width / 2 - _HEAD, y2)]
    # Back over the top of both boxes.
    high = min(1.0, max(y1, y2) + 0.12)
    return [(x1, y1 + 0.03), ((x1 + x2) / 2, high), (x2, y2 + 0.03)]


def _curve(points: Sequence[Point]) -> list[Point]:
    """Return a cubic curve through points: first one, then three for every piece."""
    curve = [points[0]]
    for number, ((x1, y1), (x2, y2)) in enumerate(pairwise(points)):
        reach = 0.45 * (x2 - x1)
        slope1 = _slope(points[number - 1:number + 2]) if number else 0.0
        slope2 = _slope(points[number:number + 3])
        curve += [(x1 + reach, y1 + slope1 * reach), (x2 - reach, y2 - slope2 * reach), (x2, y2)]
    return curve


def _slope(points: Sequence[Point]) -> float:
    """Return the slope at the middle of three points: level at the ends and at a turn."""
    if len(points) < 3:
        return 0.0
    (x1, y1), (_, y2), (x3, y3) = points
    return 0.0 if (y2 - y1) * (y3 - y2) <= 0.0 else (y3 - y1) / ((x3 - x1) or 1.0)


@style.styled()
def network_figure(result: ShockResult) -> Figure:
    """Draw the network at the time that is explained, and how it swells and fades."""
    drawing = draw_network(result.network, result.sources, result.target)
    figure, axes = style.grid(
        f"How the shock reaches {style.label(result.target)}",
        f"{result.title}. Width: share of the largest response that an arrow carries; red pushes "
        "down, blue pushes up.",
        style.provenance(result.base), _FRAMES, 3, height=1.55, gap=(0.25, 0.42), wide=5.2,
        legend_entries=4, left=0.25)
    style.legend(figure, [Line2D([], [], color=DOWN, lw=4), Line2D([], [], color=UP, lw=4),
                          Line2D([], [], color=DOWN, lw=0.5 * _WIDEST),
                          Line2D([], [], color=DOWN, lw=0.1 * _WIDEST)],
                 ["pushes the response down", "pushes it up", "carries 50 %", "carries 10 %"])
    main = int(np.abs(drawing.times - result.at).argmin())
    _paint(axes[0], drawing, main, 1.0, named=True)
    axes[0].set_title(f"Time {drawing.times[main]:g}, {drawing.times[main] - result.start:g} years "
                      "after the start")
    for axis, frame in zip(axes[1:], _frames(drawing), strict=True):
        _paint(axis, drawing, frame, 0.45, named=False)
        axis.set_title(f"after {drawing.times[frame] - result.start:g} years", size=8.5)
    return figure


def _frames(drawing: Drawing) -> list[int]:
    """Return frames that lie closer together at the beginning."""
    last = len(drawing.times) - 1
    wished = np.round(last * np.linspace(0.0, 1.0, _FRAMES) ** 1.6).astype(int)
    return [int(one) for one in np.maximum(wished, np.arange(_FRAMES).clip(max=last))]


def _paint(axis: Axes, drawing: Drawing, frame: int, scale: float, *, named: bool) -> None:
    axis.set_axis_off()
    axis.set_xlim(0.0, 1.0)
    axis.set_ylim(0.0, 1.0)
    for edge, points in drawing.routes.items():
        carried = float(drawing.carried[edge][frame])
        colour = STILL if abs(carried) < 0.004 else DOWN if carried < 0.0 else UP
        curve = _curve(points)
        codes = [Outline.MOVETO, *[Outline.CURVE4] * (len(curve) - 1)]
        wide = max(0.5, _WIDEST * abs(carried)) * scale
        axis.add_patch(PathPatch(Outline(curve, codes), fc="none", ec=colour, lw=wide, alpha=0.75,
                                 capstyle="butt", zorder=2))
        _head(axis, curve, colour, 1.5 * scale + 0.8 * wide)
    for name, (x, y) in drawing.places.items():
        height = 0.085 if named else 0.09
        axis.add_patch(FancyBboxPatch(
            (x - drawing.width / 2, y - height / 2), drawing.width, height,
            boxstyle="round,pad=0,rounding_size=0.008", fc="white", ec="#777777", lw=0.8,
            zorder=3, mutation_aspect=2.0))
        if named:
            axis.text(x, y, _wrapped(name), ha="center", va="center", size=7.2, zorder=4,
                      linespacing=0.95)


def _head(axis: Axes, curve: Sequence[Point], colour: str, half: float) -> None:
    """Draw an arrowhead, `half` points to either side, from the end of a curve to the box."""
    box = axis.get_window_extent()
    points = 72.0 / axis.figure.dpi
    per_x, per_y = box.width * points, box.height * points
    (x0, y0), (x1, y1) = curve[-2], curve[-1]
    along = np.array([(x1 - x0) * per_x, (y1 - y0) * per_y])
    along /= float(np.hypot(*along)) or 1.0
    across = np.array([-along[1], along[0]])
    foot = np.array([x1 * per_x, y1 * per_y])
    corners = [foot + _HEAD * per_x * along, foot + half * across, foot - half * across]
    axis.add_patch(Polygon([corner / (per_x, per_y) for corner in corners], closed=True, fc=colour,
                           ec="none", alpha=0.9, zorder=2.5))


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(style.label(name), _WRAP)[:3])


def network_page(result: ShockResult) -> str:
    """Return the network over time as a page of its own: a slider, and it plays."""
    drawing = draw_network(result.network, result.sources, result.target)
    width, height = 1280.0, 640.0
    boxes = [{"x": x * width, "y": (1.0 - y) * height, "lines": _wrapped(name).split("\n"),
              "name": name} for name, (x, y) in drawing.places.items()]
    arrows = [{
        "d": _svg_path(_curve(points), width, height),
        "title": " → ".join(style.label(one) for one in
                            (edge[0], *drawing.hidden[edge], edge[1])),
        "carried": [round(float(value), 4) for value in drawing.carried[edge]],
    } for edge, points in drawing.routes.items()]
    shares = result.shares[result.target]
    moments = [int(np.abs(shares.index.to_numpy(float) - time).argmin()) for time in drawing.times]
    data = {"arrows": arrows, "times": [float(time) for time in drawing.times],
            "start": result.start,
            "response": [round(100.0 * float(shares.iloc[one]), 3) for one in moments],
            "peak": int(np.abs(drawing.times - result.at).argmin())}
    environment = Environment(loader=FileSystemLoader(Path(__file__).with_name("templates")),
                              autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined)
    return environment.get_template("network.html.j2").render(
        title=result.title, target=style.label(result.target), boxes=boxes, arrows=arrows,
        width=width, height=height, half=drawing.width * width / 2.0,
        data=json.dumps(data, ensure_ascii=False), note=style.provenance(result.base),
        colours={"down": DOWN, "up": UP, "still": STILL}, scenario=result.scenario)


def _svg_path(curve: Sequence[Point], width: float, height: float) -> str:
    points = [f"{x * width:.1f},{(1.0 - y) * height:.1f}" for x, y in curve]
    return f"M{points[0]} C" + " ".join(points[1:])
