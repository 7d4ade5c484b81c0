"""Places the words of one view on a grid and draws its arrows, with few crossings.

A local search moves words and stock pieces between the cells of a grid.  It shortens the links
and punishes arrows that run through boxes or cross.  A link that still crosses gets a shadow of
its cause beside its effect, as a modeller would do by hand.  Nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import cast

import numpy as np
from numpy.typing import NDArray

from kuzbass.sd.arrows import bend
from kuzbass.sd.diagram import (
    CANVAS,
    Arrow,
    Box,
    BoxKind,
    Diagram,
    Pipe,
    Points,
    crossings,
    faults,
    hits,
    wrap,
)
from kuzbass.sd.pieces import CELL, Element, Item, stock_box, stock_pieces, word
from kuzbass.sd.views import Structure, View

__all__ = ["lay_out"]

_ORIGIN = (80, 100)  # centre of the first cell; the heading stands above
_STEP = (CELL[0] // 2, CELL[1] // 2)  # items move by half cells
_COLUMNS, _ROWS = 20, 16  # half cells
_BATCH = 24  # places that are looked at closely at a time
_THROUGH_BOX, _CROSSING = 8.0, 4.0  # in lengths of 100 pixels
_MARGIN = 5.0
_POWERS = (1.2, 1.0, 1.5)  # tried one after the other until a diagram has no fault
_PASSES, _KICKS, _MAX_COPIES, _TRIES = 12, 4, 12, 4

Cell = tuple[int, int]


@dataclass
class _Link:
    """An arrow between elements by number; of a flow, its valve."""

    source: int
    target: int
    initial: bool


@dataclass
class _Board:
    """The items of a view, their cells, and the links between their elements."""

    items: list[Item] = field(default_factory=list)
    cells: list[Cell | None] = field(default_factory=list)
    links: list[_Link] = field(default_factory=list)
    element_of: dict[str, int] = field(default_factory=dict)  # of a name, where arrows attach
    elements: list[Element] = field(default_factory=list)
    item_of: list[int] = field(default_factory=list)
    pipes: list[tuple[int, int]] = field(default_factory=list)
    power: float = 1.0  # of the length in the cost of a link

    def add(self, item: Item) -> int:
        """Add an item and return the number of its first element."""
        first = len(self.elements)
        for number, element in enumerate(item.elements, start=first):
            self.elements.append(element)
            self.item_of.append(len(self.items))
            if element.kind not in {"flow", "cloud", "shadow"}:
                self.element_of[element.name] = number
        self.pipes += [(first + valve, first + end) for valve, end, _, _ in item.pipes]
        self.items.append(item)
        self.cells.append(None)
        return first

    def remove_last(self) -> None:
        """Take back the last item, a single word."""
        self.items.pop()
        self.cells.pop()
        self.elements.pop()
        self.item_of.pop()


def lay_out(view: View, structure: Structure) -> Diagram:
    """Return the diagram of a view.

    Parameters
    ----------
    view : View
    structure : Structure
        Of the model that has the view.

    Returns
    -------
    Diagram
        Every cause of a defined variable is drawn, or hidden if the view shows levers.
    """
    tried = []
    for power in _POWERS:
        board, hidden = _board(view, structure)
        board.power = power
        _Search(board).run()
        _shadow_crossing_links(board)
        diagram = _diagram(view, board, structure)
        found = faults(diagram)
        tried.append((2 * found.arrow_box + found.arrow_arrow + found.arrow_pipe, diagram))
        if tried[-1][0] == 0:
            break
    return _hide(min(tried, key=lambda one: one[0])[1], hidden)


def _board(view: View, structure: Structure) -> tuple[_Board, list[tuple[str, str]]]:
    """Return the items and links of a view, and the links (cause, effect) that are hidden."""
    board = _Board()
    shown: set[tuple[str, str]] = set()
    if not view.levers:
        pieces, shown = stock_pieces(structure, view.defined)
        for piece in pieces:
            board.add(piece)
    for name in view.defined:
        if name not in board.element_of:
            kind = structure.kind(name)
            board.add(Item([stock_box(name)], [(0, 0)]) if kind == "stock" else
                      word(name, cast("BoxKind", "auxiliary" if kind == "control" else kind)))
    shadows: dict[str, int] = {}
    hidden = []
    for effect in view.defined:
        for cause in structure.causes(effect):
            if (cause, effect) in shown or cause == effect:
                continue
            if view.levers and cause not in view.levers:
                hidden.append((cause, effect))
                continue
            if cause in board.element_of:
                source = board.element_of[cause]
            else:
                if cause not in shadows:
                    shadows[cause] = board.add(word(cause, "shadow"))
                source = shadows[cause]
            board.links.append(_Link(source, board.element_of[effect],
                                     _initial(structure, cause, effect)))
    return board, hidden


def _initial(structure: Structure, cause: str, effect: str) -> bool:
    edge = structure.graph.edges[cause, effect]
    return bool(edge["initial"] and not edge["now"] and not edge["later"])


def _half_cells(cells: Sequence[Cell]) -> NDArray[np.intp]:
    """Return the half cells that the cells of an item cover."""
    return np.array([(2 * column + right, 2 * row + down) for column, row in cells
                     for right, down in product((0, 1), repeat=2)])


_ALL_CELLS = np.array(list(product(range(_COLUMNS), range(_ROWS))))


class _Search:
    """A local search over the cells of a board."""

    def __init__(self, board: _Board) -> None:
        self.board = board
        elements = board.elements
        self.item_of = np.array(board.item_of)
        self.shapes = [_half_cells(item.cells) for item in board.items]
        self.offset = np.array([(e.dx, e.dy) for e in elements], dtype=float)
        self.half = np.array([(e.w, e.h) for e in elements], dtype=float) + _MARGIN
        lines = [(link.source, link.target) for link in board.links] + board.pipes
        self.ends = np.array(lines, dtype=int).reshape(-1, 2)
        self.is_arrow = np.arange(len(lines)) < len(board.links)
        self.foreign = self._foreign(elements)
        self.to_name = self._to_name(elements)
        share = self.ends[:, None, :, None] == self.ends[None, :, None, :]
        self.apart = ~share.any(axis=(2, 3))

    def _foreign(self, elements: Sequence[Element]) -> NDArray[np.bool_]:
        """Return which boxes a line must not touch, shape (lines, elements)."""
        foreign = np.ones((len(self.ends), len(elements)), dtype=bool)
        for line, ends in enumerate(self.ends):
            for end in ends:
                foreign[line, end] = False
                if elements[end].kind == "valve":
                    foreign[line, end + 1] = False
        foreign[~self.is_arrow] = False
        return foreign

    def _to_name(self, elements: Sequence[Element]) -> Points:
        """Return the way from the valve to the name at each end of an arrow; (lines, 2, 2)."""
        way = np.zeros((len(self.ends), 2, 2))
        for line in np.flatnonzero(self.is_arrow):
            for side, end in enumerate(self.ends[line]):
                if elements[end].kind == "valve":
                    way[line, side] = self.offset[end + 1] - self.offset[end]
        return way

    def _segments(self, places: Points, lines: NDArray[np.intp]) -> tuple[Points, Points]:
        """Return the ends of lines; an arrow from below or beside meets the name of a flow."""
        ends = places[:, self.ends[lines]]
        towards = ends[:, :, ::-1] - ends
        named = (towards * np.sign(self.to_name[lines])).sum(axis=-1, keepdims=True) > 8.0
        ends = ends + named * self.to_name[lines]
        return ends[:, :, 0], ends[:, :, 1]

    def run(self) -> None:
        """Place every item and move them as long as that helps; then lift those with faults."""
        self.settle()
        for _ in range(_KICKS):
            bad = self.line_faults() > 0
            if not bad.any():
                return
            cells = list(self.board.cells)
            before = self._total()
            for number in {int(self.item_of[end]) for end in self.ends[bad].ravel()}:
                if len(self.board.items[number].elements) == 1:
                    self.board.cells[number] = None
            self.settle()
            if self._total() >= before:
                self.board.cells[:] = cells
                return

    def settle(self) -> None:
        """Place what has no place yet and move every item as long as that helps."""
        self._place_all()
        for _ in range(_PASSES):
            moves = [self._improve(number) for number in range(len(self.board.items))]
            if not any(moves):
                break

    def _total(self) -> float:
        places = np.array(self.board.cells, dtype=float)[self.item_of] * _STEP + self.offset
        chords = (places[self.ends[:, 0]] - places[self.ends[:, 1]])[self.is_arrow] / 100.0
        return float((np.linalg.norm(chords, axis=1) ** self.board.power).sum()
                     + _CROSSING * self.line_faults().sum())

    def best(self, number: int, cells: NDArray[np.intp]) -> tuple[float, Cell]:
        """Return the cheapest of `cells` for an item, the first of equals, and its cost.

        The links alone are a lower bound, so most places need no closer look.
        """
        placed = np.array([cell is not None for cell in self.board.cells])
        placed[number] = True
        live = placed[self.item_of]
        mine = self.item_of == number
        own = mine[self.ends].any(axis=1)
        active = live[self.ends].all(axis=1)
        moved, others = np.flatnonzero(own & active), np.flatnonzero(~own & active)
        anchors = np.array([cell or (0, 0) for cell in self.board.cells], dtype=float) * _STEP
        anchors[number] = 0.0
        base = anchors[self.item_of] + self.offset
        shifts = cells.astype(float) * _STEP
        links = moved[self.is_arrow[moved]]
        rest, way = base[self.ends[links]], mine[self.ends[links]].astype(float)
        chords = (rest[:, 1] - rest[:, 0]) + shifts[:, None] * (way[:, 1] - way[:, 0])[:, None]
        bound = (np.hypot(chords[..., 0], chords[..., 1]) / 100.0) ** self.board.power
        off_middle = np.abs(cells - self._middle(number)).sum(axis=1)
        bound = bound.sum(axis=1) + 0.001 * off_middle
        order = np.argsort(bound, kind="stable")
        best = (np.inf, (0, 0))
        for first in range(0, len(order), _BATCH):
            near = order[first: first + _BATCH]
            if bound[near[0]] >= best[0]:
                break
            places = np.repeat(base[None], len(near), axis=0)
            places[:, mine] += shifts[near, None]
            cost = bound[near] + self._faults(places, moved, others, mine, live)
            least = int(np.argmin(cost))
            if cost[least] < best[0]:
                column, row = cells[near[least]]
                best = (float(cost[least]), (int(column), int(row)))
        return best

    def _faults(self, places: Points, moved: NDArray[np.intp], others: NDArray[np.intp],
                mine: NDArray[np.bool_], live: NDArray[np.bool_]) -> Points:
        start, end = self._segments(places, moved)
        mask = self.foreign[moved] & live
        through = hits(start[:, :, None], end[:, :, None], places[:, None], self.half) & mask
        cost = _THROUGH_BOX * through.sum(axis=(1, 2))
        fixed_start, fixed_end = self._segments(places, others)
        mask = self.foreign[np.ix_(others, np.flatnonzero(mine))]
        through = hits(fixed_start[:, :, None], fixed_end[:, :, None], places[:, None, mine],
                       self.half[mine]) & mask
        cost += _THROUGH_BOX * through.sum(axis=(1, 2))
        cross = crossings(start[:, :, None], end[:, :, None], fixed_start[:, None],
                          fixed_end[:, None]) & self.apart[np.ix_(moved, others)]
        return np.asarray(cost + _CROSSING * cross.sum(axis=(1, 2)))

    def free_cells(self, number: int) -> NDArray[np.intp]:
        """Return the half cells where an item lies on the grid and on no other, shape (n, 2)."""
        taken = np.zeros((_COLUMNS, _ROWS), dtype=bool)
        for other, anchor in enumerate(self.board.cells):
            if other != number and anchor is not None:
                taken[tuple((np.array(anchor) + self.shapes[other]).T)] = True
        cells = _ALL_CELLS[:, None] + self.shapes[number]
        inside = ((cells >= 0) & (cells < (_COLUMNS, _ROWS))).all(axis=(1, 2))
        cells = cells[inside]
        free = ~taken[cells[..., 0], cells[..., 1]].any(axis=1)
        return np.asarray(_ALL_CELLS[inside][free])

    def _improve(self, number: int) -> bool:
        here = self.board.cells[number]
        if here is None:
            return False
        now, _ = self.best(number, np.array([here]))
        cost, cell = self.best(number, self.free_cells(number))
        if cost > now - 1e-6:
            return False
        self.board.cells[number] = cell
        return True

    def _place_all(self) -> None:
        """Place the largest pieces first, then always the word with most placed neighbours."""
        board = self.board
        pairs = [(board.item_of[link.source], board.item_of[link.target]) for link in board.links]
        waiting = [number for number, cell in enumerate(board.cells) if cell is None]

        def urgency(number: int) -> tuple[int, int, int, int]:
            placed = sum((one == number and board.cells[other] is not None)
                         or (other == number and board.cells[one] is not None)
                         for one, other in pairs)
            size = len(board.items[number].cells)
            return (-size if size > 1 else 0, -placed,
                    -sum(number in pair for pair in pairs), number)

        while waiting:
            number = min(waiting, key=urgency)
            waiting.remove(number)
            _, board.cells[number] = self.best(number, self.free_cells(number))

    def _middle(self, number: int) -> Points:
        """Return the cell that puts an item into the middle of the canvas."""
        shape = self.shapes[number]
        ends = shape.min(axis=0) + shape.max(axis=0)
        return np.asarray((np.array([_COLUMNS, _ROWS]) - 1 - ends) / 2)

    def line_faults(self) -> Points:
        """Return how often each line runs through boxes or crosses other lines."""
        anchors = np.array(self.board.cells, dtype=float) * _STEP
        places = anchors[self.item_of] + self.offset
        (start,), (end,) = self._segments(places[None], np.arange(len(self.ends)))
        through = hits(start[:, None], end[:, None], places[None], self.half) & self.foreign
        cross = crossings(start[:, None], end[:, None], start[None], end[None]) & self.apart
        return np.asarray(2.0 * through.sum(axis=1) + cross.sum(axis=1))



def _shadow_crossing_links(board: _Board) -> None:
    """Replace links that cross something by links from new shadows of their causes."""
    for _ in range(_MAX_COPIES):
        bad = _Search(board).line_faults()[: len(board.links)]
        worst = np.argsort(-bad, kind="stable")[: np.count_nonzero(bad)]
        sources = [link.source for link in board.links]
        # A shadow with one user is already as near as it can be.
        able = [number for number in worst if sources.count(sources[number]) > 1
                or board.elements[sources[number]].kind != "shadow"]
        if not any(_shadowed(board, board.links[number], bad.sum()) for number in able[:_TRIES]):
            return


def _shadowed(board: _Board, link: _Link, before: float) -> bool:
    """Try a new shadow as the cause of a link; keep it if fewer faults are left."""
    source, cells = link.source, list(board.cells)
    link.source = board.add(word(board.elements[source].name, "shadow"))
    search = _Search(board)
    search.settle()
    if search.line_faults()[: len(board.links)].sum() < before:
        return True
    link.source = source
    board.remove_last()
    board.cells[:] = cells
    return False


def _diagram(view: View, board: _Board, structure: Structure) -> Diagram:
    """Turn cells into pixels, near the upper left corner, and bend the arrows."""
    anchors = np.array(board.cells, dtype=int)
    covered = np.vstack([anchor + _half_cells(item.cells)
                         for anchor, item in zip(anchors, board.items, strict=True)])
    shift = np.array(_ORIGIN) - covered.min(axis=0) * _STEP
    boxes: list[Box] = []
    pipes: list[Pipe] = []
    for anchor, item in zip(anchors, board.items, strict=True):
        x, y = anchor * _STEP + shift
        pipes += [Pipe(len(boxes) + valve, len(boxes) + end, (int(x + px), int(y + py)), sink)
                  for valve, end, (px, py), sink in item.pipes]
        boxes += [Box(e.name, e.kind, int(x + e.dx), int(y + e.dy), e.w, e.h, e.lines, e.vertical)
                  for e in item.elements]
    straight = tuple(Arrow(link.source, link.target, initial=link.initial)
                     for link in board.links)
    diagram = Diagram(view.title, _heading(view, structure), tuple(boxes), straight,
                      tuple(pipes))
    return replace(diagram, arrows=bend(diagram))


def _heading(view: View, structure: Structure) -> str:
    """Name a view after its stocks, or after the two variables that are used most."""
    if view.levers:
        return f"{view.title}: where they act"
    main = [name for name in view.defined if structure.kind(name) == "stock"]
    if not main:
        others = [name for name in view.defined if structure.kind(name) == "auxiliary"]
        main = sorted(others, key=lambda name: -len(structure.users(name)))[:2]
    return f"{view.title}: {', '.join(main)}" if main else view.title


def _hide(diagram: Diagram, hidden: Sequence[tuple[str, str]]) -> Diagram:
    """Add hidden causes below the canvas, so that the equations stay whole."""
    if not hidden:
        return diagram
    boxes = list(diagram.boxes)
    place = {box.name: number for number, box in enumerate(boxes) if box.kind != "shadow"}
    arrows = list(diagram.arrows)
    for cause, effect in hidden:
        if cause not in place:
            place[cause] = len(boxes)
            spot = len(boxes) - len(diagram.boxes)
            lines, w, h = wrap(cause, 2)
            boxes.append(Box(cause, "shadow", _ORIGIN[0] + CELL[0] * (spot % _COLUMNS),
                             CANVAS[1] + 40 + 40 * (spot // _COLUMNS), w, h, lines, hidden=True))
        arrows.append(Arrow(place[cause], place[effect], hidden=True))
    return replace(diagram, boxes=tuple(boxes), arrows=tuple(arrows))
