"""From PySD's abstract model to the flat scalar form.

Every variable becomes two nodes: its value now, and its value at the start, where states stand
for their initial values and Time for INITIAL TIME.  Every stateful function becomes states of its
own.  The order of operations is that of PySD's printed Python and of its stateful classes, so that
the numbers agree to the last bits.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kuzbass.errors import InputError, nearest, plain_name
from kuzbass.sd.kernel.nodes import Graph

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model

__all__ = ["Ir", "State", "Symbol", "translate"]


@dataclass(frozen=True)
class Symbol:
    """What a run needs to know of a variable; `now` and `start` are nodes, -1 if it has none."""

    kind: str
    unit: str
    lower: float | None
    upper: float | None
    now: int = -1
    start: int = -1


@dataclass
class State:
    """A number that one step hands to the next.

    Attributes
    ----------
    kind : {"flow", "fixed", "sample"}
        ``flow``: `next` is its rate of change; ``fixed``: `next` enters a line of `delay_time`;
        ``sample``: `next` is its next value.
    owner : str
        The variable whose equation holds it.
    start, next, delay_time : int
        Nodes.
    """

    kind: str
    owner: str
    start: int
    next: int = -1
    delay_time: int = -1


@dataclass
class Ir:
    """A model in flat scalar form; knows nothing of runs, inputs and outputs.

    Attributes
    ----------
    name, sha256 : str
        Of the .mdl file.
    graph : Graph
        All nodes.
    symbols : dict of str to Symbol
        The variables, as written, in the order of the file.
    states : list of State
        By their position in ``state`` nodes.
    tables : dict of str to (list, list)
        Points x, y of each lookup; the name of an inline one is not a variable.
    constants : dict of str to float
        Literal numbers by name.
    drivers : dict of str to (int, int)
        Nodes, now and at the start, of the equation of each outside driver.
    time_axis : dict of str to float
        ``INITIAL TIME``, ``FINAL TIME``, ``TIME STEP``.
    controls : dict of str to str
        Name as written of a control variable -> its plain upper-case name.
    time_unit : str
        Unit of the time step.
    """

    name: str
    sha256: str
    graph: Graph = field(default_factory=Graph)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    tables: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    drivers: dict[str, tuple[int, int]] = field(default_factory=dict)
    time_axis: dict[str, float] = field(default_factory=dict)
    controls: dict[str, str] = field(default_factory=dict)
    time_unit: str = ""

    def written(self, name: str) -> str:
        """Return the name as written of the variable called `name`.

        Raises
        ------
        InputError
            No such variable; the message offers the nearest names.
        """
        if name in self.symbols:
            return name
        plain = plain_name(name)
        for known in self.symbols:
            if plain_name(known) == plain:
                return known
        close = nearest(name, self.symbols)
        raise InputError(f"the model {self.name} has no such variable", key=name,
                         allowed=f"did you mean {', '.join(close)}?" if close else None)

    def fixed_lengths(self) -> set[str]:
        """Return the inputs that set the length of a DELAY FIXED, which all runs must share."""
        times = [state.delay_time for state in self.states if state.kind == "fixed"]
        nodes = (self.graph[number] for number in self.graph.reachable(times))
        return {node[1] for node in nodes if node[0] in {"start", "driver0", "table"}}

    def dumps(self) -> bytes:
        """Return the whole as JSON."""
        content = {**vars(self), "graph": self.graph.nodes,
                   "symbols": {name: list(asdict(symbol).values())
                               for name, symbol in self.symbols.items()},
                   "states": [list(asdict(state).values()) for state in self.states]}
        return json.dumps(content, ensure_ascii=False).encode()

    @classmethod
    def loads(cls, content: bytes) -> Ir:
        """Read what `dumps` wrote."""
        data: dict[str, Any] = json.loads(content)
        data["graph"] = Graph(tuple(node) for node in data["graph"])
        data["symbols"] = {name: Symbol(*symbol) for name, symbol in data["symbols"].items()}
        data["states"] = [State(*state) for state in data["states"]]
        return cls(**data)


def translate(model: Model) -> Ir:
    """Return the flat scalar form of a model.

    Raises
    ------
    UnsupportedError
        The model uses something that the kernel does not support; element and construct named.
    """
    # Here, not above: a warm start must not import PySD.
    from kuzbass.sd.kernel.translate import Translator  # noqa: PLC0415

    return Translator(model).translate()
