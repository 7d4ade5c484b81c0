"""The parts that a layout moves: single words, and stocks with their flows as one piece.

A piece stands on the cells of a grid.  Its stocks lie on one line, joined by horizontal pipes;
a stock takes flows from and to clouds at its free sides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import networkx as nx

from kuzbass.sd.diagram import BoxKind, wrap
from kuzbass.sd.views import Structure

__all__ = ["CELL", "Element", "Item", "stock_pieces", "word"]

CELL = (140, 100)
_STOCK = (45, 25)
_CLOUD_ASIDE, _CLOUD_ABOVE, _VALVE_ABOVE = 64, 130, 75


@dataclass(frozen=True)
class Element:
    """A box of an item, placed relative to the centre of the item's first cell."""

    name: str
    kind: BoxKind
    dx: int
    dy: int
    w: int
    h: int
    lines: tuple[str, ...] = ()
    vertical: bool = False


@dataclass
class Item:
    """What moves as one: its boxes, the cells it covers, and its half pipes.

    A half pipe is (number of the valve, number of the stock or cloud, x and y of its point,
    whether it leads to the sink); numbers are those of `elements`.
    """

    elements: list[Element]
    cells: list[tuple[int, int]]
    pipes: list[tuple[int, int, tuple[int, int], bool]] = field(default_factory=list)


def word(name: str, kind: BoxKind) -> Item:
    """Return an item that is one word in one cell."""
    lines, w, h = wrap(name, 2 if kind == "shadow" else 0)
    return Item([Element(name, kind, 0, 0, w, h, lines)], [(0, 0)])


def stock_box(name: str, dx: int = 0, dy: int = 0, lanes: int = 1) -> Element:
    """Return the box of a stock that takes pipes on so many rows."""
    lines, w, h = wrap(name)
    further = CELL[1] * (lanes - 1) // 2
    return Element(name, "stock", dx, dy + further, max(_STOCK[0], w * 7 // 6 + 4),
                   max(_STOCK[1], h + 3) + further, lines)


@dataclass
class _Flow:
    name: str
    source: str | None = None
    sink: str | None = None


def stock_pieces(
    structure: Structure, defined: Sequence[str]
) -> tuple[list[Item], set[tuple[str, str]]]:
    """Return the pieces of a view, and the links flow -> stock that their pipes show.

    A flow is drawn as a pipe between at most one source and one sink among the defined stocks.
    """
    stocks = [name for name in defined if structure.kind(name) == "stock"]
    flows = _flows(structure, stocks, set(defined))
    links: nx.Graph[str] = nx.Graph()
    links.add_nodes_from(stocks)
    links.add_edges_from((flow.source, flow.sink) for flow in flows if flow.source and flow.sink)
    items, shown = [], set()
    for component in nx.connected_components(links):
        piece = _Piece(_in_line([name for name in stocks if name in component], flows))
        for flow in flows:
            if component & {flow.source, flow.sink} and piece.add(flow):
                shown |= {(flow.name, stock) for stock in (flow.source, flow.sink) if stock}
        items.append(piece.item())
    return items, shown


def _flows(structure: Structure, stocks: Iterable[str], defined: set[str]) -> list[_Flow]:
    """Give every flow its source and sink; the stock with the fewest flows chooses first."""
    flows: dict[str, _Flow] = {}
    for stock in sorted(stocks, key=lambda name: len(structure.flows[name])):
        for name, sign in structure.flows[stock]:
            if name not in defined or structure.kind(name) == "stock":
                continue
            flow = flows.setdefault(name, _Flow(name))
            if sign > 0 and flow.sink is None and flow.source != stock:
                flow.sink = stock
            elif sign < 0 and flow.source is None and flow.sink != stock:
                flow.source = stock
    # Flows between stocks take their place first.
    return sorted((flows[name] for name in structure.sorted(flows)),
                  key=lambda flow: flow.source is None or flow.sink is None)


def _in_line(stocks: list[str], flows: Sequence[_Flow]) -> list[str]:
    """Order stocks so that flows run from left to right as far as possible."""
    order: list[str] = []
    left = list(stocks)
    while left:
        def entering(stock: str) -> int:
            return sum(flow.sink == stock and flow.source in left for flow in flows)
        following = [stock for stock in left if order and any(
            flow.source == order[-1] and flow.sink == stock for flow in flows)]
        order.append(min(following or left, key=entering))
        left.remove(order[-1])
    return order


class _Piece:
    """A line of stocks while flows are being added to it."""

    def __init__(self, stocks: Sequence[str]) -> None:
        self.place = {name: number for number, name in enumerate(stocks)}
        self.lanes = dict.fromkeys(stocks, 1)
        self.taken: dict[str, set[str]] = defaultdict(set)  # sides of a stock in use
        self.gaps: dict[int, int] = defaultdict(int)  # pipes between neighbours
        self.placed: list[tuple[_Flow, str, int, int]] = []  # flow, side, column, lane

    def add(self, flow: _Flow) -> bool:
        """Place a flow; return whether there was room."""
        if flow.source is not None and flow.sink is not None:
            return self._join(flow, flow.source, flow.sink)
        stock = flow.source or flow.sink
        if stock is None:
            return False
        column = 2 * self.place[stock]
        for side in self._sides(stock, entering=flow.sink is not None):
            if side not in self.taken[stock]:
                self.taken[stock].add(side)
                way, _, second = side.partition(" ")
                lane = 1 if second else 0
                self.lanes[stock] = max(self.lanes[stock], lane + 1)
                aside = {"left": -1, "right": 1}.get(way, 0)
                self.placed.append((flow, way, column + aside, lane))
                return True
        return False

    def _join(self, flow: _Flow, source: str, sink: str) -> bool:
        one, other = sorted((self.place[source], self.place[sink]))
        if other - one > 1:
            return False
        lane = self.gaps[one]
        self.gaps[one] += 1
        for stock in (source, sink):
            self.lanes[stock] = max(self.lanes[stock], lane + 1)
        self.placed.append((flow, "link", 2 * one + 1, lane))
        return True

    def _sides(self, stock: str, *, entering: bool) -> list[str]:
        sides = ["left", "top", "bottom", "right"]
        if not entering:
            sides = ["right", "bottom", "top", "left"]
        closed = set()
        if self.place[stock] > 0:
            closed.add("left")
        if self.place[stock] < len(self.place) - 1:
            closed.add("right")
        sides = [side for side in sides if side not in closed]
        # With all sides taken, a stock at an end of the line grows for a second pipe.
        return sides + [f"{side} second" for side in sides if side in {"left", "right"}]

    def item(self) -> Item:
        """Return the finished piece."""
        elements = [stock_box(name, CELL[0] * 2 * number, 0, self.lanes[name])
                    for name, number in self.place.items()]
        cells = [(2 * number, lane) for name, number in self.place.items()
                 for lane in range(self.lanes[name])]
        item = Item(elements, cells)
        for flow, side, column, lane in self.placed:
            if side in {"top", "bottom"}:
                self._vertical(item, flow, side, column)
            else:
                self._horizontal(item, flow, side, column, lane)
        return item

    def _horizontal(self, item: Item, flow: _Flow, side: str, column: int, lane: int) -> None:
        x, y = CELL[0] * column, CELL[1] * lane
        cloud = None
        if side != "link":
            cloud = (x + (_CLOUD_ASIDE if side == "right" else -_CLOUD_ASIDE), y)
        lines, w, h = wrap(flow.name)
        valve = [Element(flow.name, "valve", x, y, 6, 8),
                 Element(flow.name, "flow", x, y + 8 + h, w, h, lines)]
        item.cells.append((column, lane))
        self._pipes(item, flow, valve, cloud)

    def _vertical(self, item: Item, flow: _Flow, side: str, column: int) -> None:
        stock = flow.source or flow.sink or ""
        way = -1 if side == "top" else 1
        last = 0 if side == "top" else self.lanes[stock] - 1
        x, y = CELL[0] * column, CELL[1] * last
        lines, w, h = wrap(flow.name)
        valve = [Element(flow.name, "valve", x, y + way * _VALVE_ABOVE, 8, 6, vertical=True),
                 Element(flow.name, "flow", x + 10 + w, y + way * _VALVE_ABOVE, w, h, lines)]
        # The name beside the valve reaches into the next cell.
        item.cells += [(column, last + way), (column + 1, last + way)]
        self._pipes(item, flow, valve, (x, y + way * _CLOUD_ABOVE))

    def _pipes(
        self, item: Item, flow: _Flow, valve: list[Element], cloud: tuple[int, int] | None
    ) -> None:
        """Add a cloud (if any), valve, name and both half pipes."""
        if cloud is not None:
            item.elements.append(Element("", "cloud", *cloud, 10, 8))
        at_cloud = len(item.elements) - 1
        item.elements += valve
        number = len(item.elements) - 2
        for stock, sink in ((flow.sink, True), (flow.source, False)):
            end = at_cloud if stock is None else self.place[stock]
            item.pipes.append((number, end, _pipe_point(valve[0], item.elements[end]), sink))


def _pipe_point(valve: Element, end: Element) -> tuple[int, int]:
    """Return the middle between the valve and the border of the pipe's end."""
    if valve.vertical:
        border = end.dy + (end.h if valve.dy > end.dy else -end.h)
        return valve.dx, (valve.dy + border) // 2
    border = end.dx + (end.w if valve.dx > end.dx else -end.w)
    return (valve.dx + border) // 2, valve.dy
