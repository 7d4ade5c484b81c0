"""Copies of a model side by side, to see how cost grows with size."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from kuzbass.sd.kernel.ir import Ir, State
from kuzbass.sd.kernel.nodes import LEAVES, Graph, arguments


def copies(ir: Ir, count: int) -> Ir:
    """Return `count` copies of a model; the outside drivers and tables are shared."""
    size = len(ir.states)
    grown = Ir(f"{count} x {ir.name}",
               hashlib.sha256(f"{count} {ir.sha256}".encode()).hexdigest(), Graph(),
               tables=ir.tables, time_axis=ir.time_axis, controls=ir.controls,
               time_unit=ir.time_unit)
    for copy in range(count):
        new = _copy_nodes(ir, grown.graph, copy, size)
        grown.states += [State(state.kind, f"{copy} {state.owner}", new[state.start],
                               new[state.next], new.get(state.delay_time, -1))
                         for state in ir.states]
        grown.constants |= {f"{copy} {name}": value for name, value in ir.constants.items()}
        grown.drivers |= {f"{copy} {name}": (new[now], new[start])
                          for name, (now, start) in ir.drivers.items()}
        grown.symbols |= {f"{copy} {name}": replace(symbol, now=new.get(symbol.now, -1),
                                                    start=new.get(symbol.start, -1))
                          for name, symbol in ir.symbols.items()}
    return grown


def _copy_nodes(ir: Ir, graph: Graph, copy: int, size: int) -> dict[int, int]:
    new: dict[int, int] = {}
    for number, (op, *what) in enumerate(ir.graph.nodes):
        if op == "number":
            new[number] = graph.number(what[0])
        elif op == "truth":
            new[number] = graph.truth(what[0])
        elif op == "state":
            new[number] = graph.leaf(op, what[0] + copy * size)
        elif op in LEAVES:
            shared = not what or what[0] in ir.controls
            new[number] = graph.leaf(op, what[0] if shared and what else
                                     f"{copy} {what[0]}" if what else None)
        elif op == "table":
            new[number] = graph.table(what[0], new[what[1]])
        else:
            new[number] = graph.add(op, *(new[arg] for arg in arguments((op, *what))))
    return new
