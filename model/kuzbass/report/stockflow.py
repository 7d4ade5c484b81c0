"""Draws a stock-and-flow diagram as SVG with the usual symbols."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np

from kuzbass.sd.diagram import Arrow, Box, Diagram, Pipe, path

__all__ = ["diagram_svg"]

_MARGIN = 16
_LINE = 13  # pixels between lines of text
_HEAD = 8.0  # length of an arrowhead
_CLOUD = ("M-9,5 a5,5 0 0 1 0,-8 a6,6 0 0 1 9,-4 a6,6 0 0 1 9,4 a5,5 0 0 1 0,8 z")
_VALVE = {False: "M-6,-8 L6,-8 L-6,8 L6,8 z", True: "M-8,-6 L-8,6 L8,-6 L8,6 z"}


def diagram_svg(diagram: Diagram, link: Callable[[str], str | None]) -> str:
    """Return a diagram as SVG text.

    Parameters
    ----------
    diagram : Diagram
        Hidden things are left out.
    link : callable
        The address of a variable, or ``None``.
    """
    boxes = [box for box in diagram.boxes if not box.hidden]
    left = min(box.x - box.w for box in boxes) - _MARGIN
    top = min(box.y - box.h for box in boxes) - _MARGIN
    width = max(box.x + box.w for box in boxes) + _MARGIN - left
    height = max(box.y + box.h for box in boxes) + _MARGIN - top
    parts = [f'<svg class="stockflow" viewBox="{left} {top} {width} {height}" '
             f'style="max-width:{width}px" role="img" aria-label="{escape(diagram.heading)}">']
    parts += [_frame(box, link) for box in boxes if box.kind == "frame"]
    parts += [_pipe(diagram, pipe) for pipe in diagram.pipes]
    parts += [_arrow(diagram, arrow) for arrow in diagram.arrows if not arrow.hidden]
    parts += [_box(box, link) for box in boxes if box.kind != "frame"]
    return "\n".join([*parts, "</svg>"])


def _box(box: Box, link: Callable[[str], str | None]) -> str:
    if box.kind == "cloud":
        return f'<path class="cloud" transform="translate({box.x},{box.y})" d="{_CLOUD}"/>'
    if box.kind == "valve":
        return (f'<path class="valve" transform="translate({box.x},{box.y})" '
                f'd="{_VALVE[box.vertical]}"/>')
    shape = ""
    if box.kind == "stock":
        shape = (f'<rect class="stock" x="{box.x - box.w}" y="{box.y - box.h}" '
                 f'width="{2 * box.w}" height="{2 * box.h}"/>')
    return _linked(shape + _text(box), link(box.name))


def _frame(box: Box, link: Callable[[str], str | None]) -> str:
    shape = (f'<rect class="frame" x="{box.x - box.w}" y="{box.y - box.h}" rx="6" '
             f'width="{2 * box.w}" height="{2 * box.h}"/>')
    title = (f'<text class="frame" x="{box.x}" y="{box.y - box.h + 16}">'
             f"{escape(box.name)}</text>")
    return _linked(shape + title, link(box.name))


def _text(box: Box) -> str:
    lines = list(box.lines)
    if box.kind == "shadow":
        lines[0] = f"‹{lines[0]}"
        lines[-1] = f"{lines[-1]}›"
    first = box.y - _LINE * (len(lines) - 1) / 2 + 4
    rows = "".join(f'<tspan x="{box.x}" y="{first + _LINE * number:g}">{escape(line)}</tspan>'
                   for number, line in enumerate(lines))
    return f'<text class="{box.kind}">{rows}</text>'


def _linked(content: str, address: str | None) -> str:
    return f'<a href="{escape(address)}">{content}</a>' if address else content


def _arrow(diagram: Diagram, arrow: Arrow) -> str:
    points = path(diagram, arrow)
    tip, before = points[-1], points[-2]
    way = (tip - before) / max(float(np.hypot(*(tip - before))), 1e-9)
    across = np.array([-way[1], way[0]])
    base = tip - _HEAD * way
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in [*points[:-1], base])
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, base + 3.2 * across, base - 3.2 * across))
    kind = "initial" if arrow.initial else "link"
    width = ""
    if arrow.weight > 1:
        width = f' style="stroke-width:{0.6 + 0.5 * arrow.weight**0.5:.1f}"'
    return (f'<polyline class="{kind}"{width} points="{line}"/>'
            f'<polygon class="head" points="{head}"/>')


def _pipe(diagram: Diagram, pipe: Pipe) -> str:
    valve, end = diagram.boxes[pipe.valve], diagram.boxes[pipe.end]
    away = 1 if (end.y > valve.y if valve.vertical else end.x > valve.x) else -1
    if valve.vertical:
        reach = abs(end.y - valve.y) - end.h
        turn = 90 * away
    else:
        reach = abs(end.x - valve.x) - end.w
        turn = 0 if away > 0 else 180
    body = reach - (9 if pipe.sink else 0)
    head = f'<path class="spout" d="M{body},-6 L{reach},0 L{body},6 z"/>' if pipe.sink else ""
    return (f'<g transform="translate({valve.x},{valve.y}) rotate({turn})">'
            f'<path class="pipe" d="M0,-2.5 H{body} M0,2.5 H{body}"/>{head}</g>')
