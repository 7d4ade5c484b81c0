"""Bends the arrows of a diagram so that they touch nothing and loops look round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from kuzbass.sd.diagram import Arrow, Diagram, Points, crossings, hits, path, pipe_line

__all__ = ["bend"]

_BENDS = (0.0, 0.16, -0.16, 0.3, -0.3, 0.08, -0.08, 0.42, -0.42)  # sagitta over chord


def bend(diagram: Diagram) -> tuple[Arrow, ...]:
    """Choose for every arrow its ends at flows and its arc, in two rounds."""
    arrows = list(diagram.arrows)
    middle = np.mean([(box.x, box.y) for box in diagram.boxes], axis=0)
    pipes = [pipe_line(diagram, pipe) for pipe in diagram.pipes]
    lines = [path(diagram, arrow) for arrow in arrows]
    for _ in range(2):
        for number, arrow in enumerate(arrows):
            others = lines[:number] + lines[number + 1:] + pipes
            rest = np.vstack([np.empty((0, 4)), *(np.hstack((line[:-1], line[1:]))
                                                  for line in others)])
            options = sorted(_choices(diagram, arrow),
                             key=lambda option: _taste(diagram, option, middle))
            arrows[number] = _least(diagram, options, rest)
            lines[number] = path(diagram, arrows[number])
    return tuple(arrows)


def _least(diagram: Diagram, options: Sequence[Arrow], rest: Points) -> Arrow:
    """Return the first arrow without faults, or else with the fewest."""
    counts = []
    for option in options:
        counts.append(_badness(diagram, option, rest))
        if counts[-1] == 0.0:
            break
    return options[counts.index(min(counts))]


def _choices(diagram: Diagram, arrow: Arrow) -> Iterable[Arrow]:
    for source, target, bend in product(_ports(diagram, arrow.source),
                                        _ports(diagram, arrow.target), _BENDS):
        a, b = diagram.boxes[source], diagram.boxes[target]
        control = None
        if bend:
            control = (round((a.x + b.x) / 2 - bend * (b.y - a.y)),
                       round((a.y + b.y) / 2 + bend * (b.x - a.x)))
        yield replace(arrow, source=source, target=target, control=control)


def _ports(diagram: Diagram, number: int) -> tuple[int, ...]:
    """Return the boxes where an arrow may attach: a flow has its valve and its name."""
    kind = diagram.boxes[number].kind
    return {"valve": (number, number + 1), "flow": (number - 1, number)}.get(kind, (number,))


def _badness(diagram: Diagram, arrow: Arrow, rest: Points) -> float:
    """Count what an arrow runs through, crosses or lies on; `rest` holds all other segments."""
    line = path(diagram, arrow)
    foreign = [(box.x, box.y, box.w + 2, box.h + 2) for number, box in enumerate(diagram.boxes)
               if number not in {arrow.source, arrow.target}]
    places = np.array(foreign, dtype=float).reshape(-1, 4)
    start, end = line[:-1, None], line[1:, None]
    through = hits(start, end, places[None, :, :2], places[None, :, 2:]).any(axis=0).sum()
    cross = crossings(start, end, rest[None, :, :2], rest[None, :, 2:]).sum()
    return float(2 * through + cross + 2 * _along(line, rest))


def _along(line: Points, rest: Points) -> int:
    """Return on how many horizontal or vertical segments a straight arrow lies."""
    if len(line) > 2:
        return 0
    count = 0
    for axis, along in ((0, 1), (1, 0)):
        own = np.tile(line[:, axis], (len(rest), 1))
        across = np.hstack((rest[:, [axis, axis + 2]], own))
        spans = rest[:, [along, along + 2]]
        meet = (np.minimum(spans.max(axis=1), line[:, along].max())
                > np.maximum(spans.min(axis=1), line[:, along].min()))
        count += int(((np.ptp(across, axis=1) < 4.0) & meet).sum())
    return count


def _taste(diagram: Diagram, arrow: Arrow, middle: Points) -> float:
    """Prefer gentle arcs away from the middle; straight lines from words with no causes."""
    a, b = diagram.boxes[arrow.source], diagram.boxes[arrow.target]
    names = (0.3 if a.kind == "valve" else 0.0) + (0.1 if b.kind == "flow" else 0.0)
    given = a.kind in {"constant", "lookup", "shadow"}
    if arrow.control is None:
        return names + (0.0 if given else 0.5)
    chord = np.array([(a.x + b.x) / 2, (a.y + b.y) / 2])
    outward = np.dot(np.array(arrow.control) - chord, chord - middle) >= 0.0
    bend = np.linalg.norm(np.array(arrow.control) - chord) / (
        1.0 + np.hypot(b.x - a.x, b.y - a.y))
    return float(names + bend + (0.6 if given else 0.0) + (0.0 if outward else 0.2))
