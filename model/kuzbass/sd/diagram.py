"""Stock-and-flow diagrams as plain geometry, and a checker that counts what is wrong in them.

Lengths are pixels, x runs to the right and y down, as in Vensim's sketch.  Sizes are half sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CANVAS", "LINE", "Arrow", "Box", "Diagram", "Faults", "Pipe", "Points",
           "cross", "crossings", "faults", "hits", "path", "pipe_line", "wrap"]

CANVAS = (1400, 900)
LINE = 11  # half the height of a line of text
_WRAP = 19  # characters
_POINTS = 17  # of a curved arrow
_GAP = 2.0  # between an arrow and a box that it only passes

Points = NDArray[np.float64]
BoxKind = Literal["stock", "flow", "valve", "cloud", "auxiliary", "constant", "lookup", "shadow",
                  "frame", "text"]


@dataclass(frozen=True)
class Box:
    """A thing with a place.

    Attributes
    ----------
    name : str
        The variable; of a valve, its flow; of a text or frame, what it says; of a cloud, ``""``.
    kind : str
        A flow is the name below or beside the valve; the valve stands just before it.
    x, y : int
        Centre.
    w, h : int
        Half width and half height.
    lines : tuple of str
        The name as it is broken into lines.
    vertical : bool
        Of a valve: its pipe runs up and down.
    hidden : bool
        Present in the file, not drawn.
    """

    name: str
    kind: BoxKind
    x: int
    y: int
    w: int
    h: int
    lines: tuple[str, ...] = ()
    vertical: bool = False
    hidden: bool = False


@dataclass(frozen=True)
class Arrow:
    """A causal link between two boxes, by their numbers.

    Attributes
    ----------
    source, target : int
        Numbers of boxes.
    control : tuple of int or None
        The arrow is an arc from centre through this point to centre; ``None`` if straight.
    initial : bool
        The cause acts on the initial value only.
    hidden : bool
    weight : int
        How many links it stands for (in an overview).
    """

    source: int
    target: int
    control: tuple[int, int] | None = None
    initial: bool = False
    hidden: bool = False
    weight: int = 1


@dataclass(frozen=True)
class Pipe:
    """Half of a flow's pipe: from its valve to a stock or cloud at the sink or source side."""

    valve: int
    end: int
    point: tuple[int, int]
    sink: bool


@dataclass(frozen=True)
class Diagram:
    """One view: boxes, arrows and pipes."""

    title: str
    heading: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    pipes: tuple[Pipe, ...]


@dataclass(frozen=True)
class Faults:
    """What is wrong in a diagram, as counts; hidden things do not count."""

    box_overlaps: int
    arrow_box: int
    arrow_arrow: int
    arrow_pipe: int
    out_of_canvas: int


def wrap(name: str, extra: int = 0) -> tuple[tuple[str, ...], int, int]:
    """Break a name into lines of even length.

    Parameters
    ----------
    name : str
    extra : int
        Characters that are shown around the name.

    Returns
    -------
    tuple of (lines, half width, half height)
    """
    words = name.split()
    best: list[str] = [name]
    for count in range(1, len(words) + 1):
        best = min((_broken(words, cuts) for cuts in combinations(range(1, len(words)), count - 1)),
                   key=lambda lines: max(map(len, lines)))
        if max(map(len, best)) <= _WRAP:
            break
    longest = max(map(len, best)) + extra
    return tuple(best), max(20, 3 * longest), LINE * len(best)


def _broken(words: Sequence[str], cuts: Sequence[int]) -> list[str]:
    ends = [0, *cuts, len(words)]
    return [" ".join(words[start:end]) for start, end in pairwise(ends)]


def path(diagram: Diagram, arrow: Arrow) -> Points:
    """Return the points of an arrow from border to border, shape (n, 2)."""
    source, target = diagram.boxes[arrow.source], diagram.boxes[arrow.target]
    points = _arc((source.x, source.y), (target.x, target.y), arrow.control)
    return _clip(_clip(points, source)[::-1], target)[::-1]


def _arc(
    start: tuple[int, int], end: tuple[int, int], control: tuple[int, int] | None
) -> Points:
    """Return points on the circle through three points, or on the straight line."""
    if control is None:
        return np.array([start, end], dtype=float)
    a, b, c = (complex(*point) for point in (start, end, control))
    # Centre of the circle through 0, 1 and w, moved back to the given points.
    w = (c - a) / (b - a)
    if abs(w.imag) < 1e-9:
        return np.array([start, end], dtype=float)
    centre = a + (b - a) * (0.5 + 0.5j * (abs(w) ** 2 - w.real) / w.imag)
    first = np.angle(a - centre)
    sweep = (np.angle(b - centre) - first) % (2 * math.pi)
    middle = (np.angle(c - centre) - first) % (2 * math.pi)
    if middle > sweep:
        sweep -= 2 * math.pi
    angles = first + sweep * np.linspace(0.0, 1.0, _POINTS)
    on_circle = centre + abs(a - centre) * np.exp(1j * angles)
    return np.column_stack((on_circle.real, on_circle.imag))


def _clip(points: Points, box: Box) -> Points:
    """Cut off what lies inside a box at the start of a line."""
    reach = np.array([box.w + _GAP, box.h + _GAP])
    inside = np.all(np.abs(points - (box.x, box.y)) <= reach, axis=1)
    if not inside[0] or inside.all():
        return points
    out = int(np.argmin(inside))
    near, far = points[out - 1], points[out]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (np.sign(far - near) * reach - (near - (box.x, box.y))) / (far - near)
    share = shares[np.isfinite(shares)].min()
    return np.vstack((near + share * (far - near), points[out:]))


def hits(start: Points, end: Points, centre: Points, half: Points) -> NDArray[np.bool_]:
    """Return which segments run through which boxes; the arrays are broadcast."""
    # Axis by axis, because numpy is slow on a last axis of two.
    enter, leave = np.array(-np.inf), np.array(np.inf)
    for axis in (0, 1):
        step = end[..., axis] - start[..., axis]
        step = np.where(np.abs(step) < 1e-9, 1e-9, step)
        away = centre[..., axis] - start[..., axis]
        one, other = (away - half[..., axis]) / step, (away + half[..., axis]) / step
        enter = np.maximum(enter, np.minimum(one, other))
        leave = np.minimum(leave, np.maximum(one, other))
    return np.asarray((enter < leave) & (leave > 0.0) & (enter < 1.0))


def crossings(a: Points, b: Points, c: Points, d: Points) -> NDArray[np.bool_]:
    """Return which segments a-b cross which segments c-d; the arrays are broadcast."""
    return np.asarray((_side(a, b, c) * _side(a, b, d) < 0.0)
                      & (_side(c, d, a) * _side(c, d, b) < 0.0))


def _side(a: Points, b: Points, c: Points) -> Points:
    return np.asarray((b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1])
                      - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0]))


def faults(diagram: Diagram) -> Faults:
    """Count overlaps, crossings and boxes outside of the canvas.

    A frame may hold other boxes.  A line that crosses another one several times counts once.
    """
    boxes = [(number, box) for number, box in enumerate(diagram.boxes) if not box.hidden]
    solid = [(number, box) for number, box in boxes if box.kind != "frame"]
    frames = [(number, box) for number, box in boxes if box.kind == "frame"]
    arrows = [arrow for arrow in diagram.arrows if not arrow.hidden]
    paths = [path(diagram, arrow) for arrow in arrows]
    pipes = [pipe_line(diagram, pipe) for pipe in diagram.pipes]
    return Faults(
        box_overlaps=sum(_overlap(one, other) for group in (solid, frames)
                         for (_, one), (_, other) in combinations(group, 2)),
        arrow_box=sum(_through(diagram, arrow, line, number)
                      for arrow, line in zip(arrows, paths, strict=True) for number, _ in boxes),
        arrow_arrow=sum(cross(one, other) for one, other in combinations(paths, 2)),
        arrow_pipe=sum(cross(line, pipe) for line in paths for pipe in pipes),
        out_of_canvas=sum(box.x - box.w < 0 or box.x + box.w > CANVAS[0] or box.y - box.h < 0
                          or box.y + box.h > CANVAS[1] for _, box in boxes),
    )


def _overlap(one: Box, other: Box) -> bool:
    return (abs(one.x - other.x) < one.w + other.w) and (abs(one.y - other.y) < one.h + other.h)


def _through(diagram: Diagram, arrow: Arrow, line: Points, number: int) -> bool:
    """Return whether an arrow runs through a box that is not one of its ends."""
    box = diagram.boxes[number]
    for end in (arrow.source, arrow.target):
        other = diagram.boxes[end]
        if number == end:
            return False
        if "frame" in {box.kind, other.kind} and _overlap(box, other):
            return False
    return bool(hits(line[:-1], line[1:], np.array([box.x, box.y], dtype=float),
                     np.array([box.w, box.h], dtype=float)).any())


def cross(one: Points, other: Points) -> bool:
    """Return whether two lines of points, shape (n, 2), cross."""
    return bool(crossings(one[:-1, None], one[1:, None], other[None, :-1], other[None, 1:]).any())


def pipe_line(diagram: Diagram, pipe: Pipe) -> Points:
    """Return the middle line of half a pipe, from the valve to the border of its end."""
    valve, end = diagram.boxes[pipe.valve], diagram.boxes[pipe.end]
    if valve.vertical:
        points = [(valve.x, valve.y), (valve.x, end.y)]
    else:
        points = [(valve.x, valve.y), (end.x, valve.y)]
    return _clip(np.array(points, dtype=float)[::-1], end)[::-1]
