"""The memory of a block of eight runs: one work array of vectors.

::

    fixed | states | next states | rates, for RK4 | input and line of each DELAY FIXED
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kuzbass.sd.kernel.nodes import arguments

if TYPE_CHECKING:
    from kuzbass.sd.kernel.plan import Plan

__all__ = ["LANES", "Layout"]

LANES = 8


@dataclass(frozen=True)
class Layout:
    """Where things lie in the work array, in vectors of eight doubles."""

    fixed: dict[int, int]
    states: int
    following: int
    rates: int
    lines: dict[int, int]
    size: int

    @classmethod
    def of(cls, plan: Plan) -> Layout:
        """Return the layout of a plan."""
        used = {arg for node in (*plan.core, *plan.extra) for arg in arguments(plan.graph[node])}
        used.update(plan.outputs, (state.next for state in plan.states))
        fixed = {node: place for place, node in enumerate(n for n in plan.once if n in used)}
        count = len(plan.states)
        states = len(fixed)
        rates = states + 2 * count
        free = rates + (4 * count if plan.spec.method == "rk4" else 0)
        lines: dict[int, int] = {}
        for place, state in enumerate(plan.states):
            if state.kind == "fixed":
                lines[place] = free
                free += 1 + state.length
        return cls(fixed, states, states + count, rates, lines, free)
